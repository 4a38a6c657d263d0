"""A cache whose files were changed behind xtool's back: found by `verify`, mended by `doctor --fix`."""

from __future__ import annotations

import subprocess
from pathlib import Path


def _set_up(cli, shared_cache: Path) -> None:
    """Fill the test's own cache from the shared one, without downloading."""
    shared = {"XTOOL_CACHE_DIR": str(shared_cache)}
    assert cli("setup", "ppc64le", env=shared).code == 0
    assert cli("cache", "export", cli.cwd / "cache.tar.zst", env=shared).code == 0
    assert cli("cache", "import", cli.cwd / "cache.tar.zst").code == 0


def test_a_modified_file_is_found_and_mended(cli, shared_cache: Path) -> None:
    _set_up(cli, shared_cache)
    assert cli("verify").code == 0
    assert cli("doctor", "--offline").code == 0
    (qemu,) = (cli.cache / "v1" / "store").glob("qemu-ppc64le-*/bin/qemu-ppc64le")
    whole = qemu.read_bytes()
    qemu.chmod(0o755)
    qemu.write_bytes(whole[:1_000_000] + b"X" + whole[1_000_001:])
    found = cli("verify")
    assert found.code == 6
    assert "bin/qemu-ppc64le: changed" in found.stderr
    assert cli("doctor", "--offline").code == 6
    mended = cli("doctor", "--fix")
    assert mended.code == 0, mended.stdout
    assert "was modified, made anew" in mended.stdout
    assert qemu.read_bytes() == whole
    assert cli("verify").code == 0


def test_a_sysroot_with_packages_is_mended_from_its_own_record(cli, shared_cache: Path) -> None:
    _set_up(cli, shared_cache)
    store = cli.cache / "v1" / "store"
    before = set(store.glob("sysroot-aarch64-*"))
    assert cli("setup", "aarch64", "--sysroot-package", "zlib1g-dev").code == 0
    (sysroot,) = set(store.glob("sysroot-aarch64-*-with-*")) - before
    header, record = sysroot / "usr/include/zlib.h", sysroot / "share/xtool/packages.toml"
    whole = header.read_bytes()
    header.chmod(0o644)
    header.write_bytes(whole[:-1])
    mended = cli("doctor", "--fix")
    assert mended.code == 0, mended.stdout
    assert f"{sysroot.name}: was modified, made anew" in mended.stdout
    assert header.read_bytes() == whole
    assert cli("verify").code == 0
    # A record that was changed says nothing about what the component was.
    record.chmod(0o644)
    record.write_text(record.read_text().replace('version = "', 'version = "9'))
    removed = cli("doctor", "--fix")
    assert removed.code == 0, removed.stdout
    assert f"{sysroot.name}: was modified, removed" in removed.stdout
    assert not sysroot.exists()
    assert cli("setup", "aarch64", "--sysroot-package", "zlib1g-dev").code == 0
    assert header.read_bytes() == whole


def test_doctor_runs_what_is_installed(cli, shared_cache: Path) -> None:
    _set_up(cli, shared_cache)
    checks = cli("doctor", "--offline", "--output", "json").document["data"]["checks"]
    said = {check["name"]: check["message"] for check in checks}
    assert said["GCC 14.2.0 for ppc64le"].startswith("powerpc64le-linux-gnu-gcc")
    assert said["CPython 3.13 for ppc64le"].startswith("3.13.")
    assert any(message.startswith("qemu-ppc64le version") for message in said.values())
    assert {check["status"] for check in checks} == {"ok"}


def test_a_warm_set_up_needs_no_network_and_writes_nothing(cli, shared_cache: Path) -> None:
    _set_up(cli, shared_cache)
    before = sorted((str(path), path.lstat().st_mtime_ns) for path in cli.cache.rglob("*"))
    done = cli("setup", "ppc64le", "--offline")
    assert done.code == 0
    assert "ppc64le is ready" in done.stderr
    assert sorted((str(path), path.lstat().st_mtime_ns) for path in cli.cache.rglob("*")) == before


def test_what_a_command_uses_is_not_removed(cli, shared_cache: Path) -> None:
    _set_up(cli, shared_cache)
    code = "print('ready', flush=True); input(); import json; print(json.dumps('still there'))"
    process = subprocess.Popen(
        cli.command("run", "--target", "ppc64le", "--", "python", "-c", code),
        env=cli.environ({}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    cleaned = cli("cache", "clean", "--output", "json")
    assert cleaned.code == 0, cleaned.stderr
    kept = {Path(path).name.rpartition("-")[0] for path in cleaned.document["data"]["kept_in_use"]}
    assert kept == {"qemu-ppc64le", "python3.13-ppc64le"}
    assert process.communicate("\n", timeout=60)[0] == '"still there"\n'
    assert process.returncode == 0
    assert cli("cache", "clean", "--output", "json").document["data"]["kept_in_use"] == []
