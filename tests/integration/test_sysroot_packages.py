"""Libraries beside the C library, from Debian's archive: found by pkg-config, lowered, grafted, used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

from support.commandline import xtool

from xtool.elf import read_elf

PROJECT = Path(__file__).parent.parent / "projects" / "uses-libraries"
TARGET = "aarch64"
PACKAGES = ("--sysroot-package", "libffi-dev", "--sysroot-package", "zlib1g-dev")
USE = (
    "import xt_libraries as x, zlib; assert x.power(2, 10) == 1024.0; assert x.closure(6, 7) == 42; "
    "assert x.checksum(b'text') == zlib.crc32(b'text')"
)


def _document(cache: Path, *words: str, **environ: str) -> Any:
    done = xtool(cache, *words, "--output", "json", **environ)
    document = json.loads(done.stdout)
    assert document["exit_code"] == done.returncode, done.stderr
    return document


def test_a_project_gets_libraries_from_the_sysroot_at_the_floor(shared_cache: Path, tmp_path: Path) -> None:
    lock = tmp_path / "sysroot.lock.toml"
    document = _document(
        shared_cache, "build", str(PROJECT), "--target", TARGET, "--outdir", str(tmp_path), *PACKAGES,
        "--sysroot-lock", str(lock), "--test-command", f'python -c "{USE}"',
    )  # fmt: skip
    assert document["exit_code"] == 0, document["errors"]
    (built,) = document["data"]["wheels"]
    assert built["smoke"]["status"] == "passed"
    assert f"manylinux_2_17_{TARGET}" in built["platform_tag"]
    needed, grafted = {}, {}
    with zipfile.ZipFile(built["path"]) as archive:
        for name in archive.namelist():
            if ".so" in name:
                facts = read_elf(archive.read(name), name=name)
                (grafted if ".libs/" in name else needed)[name.rpartition("/")[2].partition("-")[0]] = facts
    (extension,) = needed.values()
    # zlib is on every system that the policy speaks of, libffi is not.
    assert "libz.so.1" in extension.needed
    assert "libffi" in grafted
    for facts in (extension, *grafted.values()):
        versions = [version for _, version in facts.version_needs if version.startswith("GLIBC_")]
        assert all(tuple(map(int, version[6:].split("."))) <= (2, 17) for version in versions)
    shown = subprocess.run(
        [sys.executable, "-m", "auditwheel", "show", built["path"]],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"manylinux_2_17_{TARGET}" in " ".join(shown.stdout.split())
    again = _document(
        shared_cache, "setup", TARGET, *PACKAGES, "--sysroot-lock", str(lock), "--locked", "--offline"
    )
    assert again["exit_code"] == 0, again["errors"]
    packages = again["data"]["kits"][0]["sysroot"]["packages"]
    assert {one["name"]: one["needed_by"] for one in packages} == {
        "libffi-dev": "", "libffi8": "libffi-dev", "zlib1g-dev": "", "zlib1g": "zlib1g-dev",
    }  # fmt: skip


def test_a_build_without_them_names_the_package(shared_cache: Path, tmp_path: Path) -> None:
    document = _document(shared_cache, "build", str(PROJECT), "--target", TARGET, "--outdir", str(tmp_path))
    assert document["exit_code"] == 1
    (error,) = document["errors"]
    assert "`--sysroot-package libffi-dev`" in error["hint"]


def test_pkg_config_comes_along_and_lists_the_sysroot_alone(shared_cache: Path) -> None:
    environ = _document(shared_cache, "env", "--target", TARGET, "--format", "json", *PACKAGES)["data"]["content"]
    root = Path(environ["XTOOL_CROSS_SYSROOT"])
    bindir = environ["PATH"].split(os.pathsep)[0]
    there = {path.stem for folder in root.glob("usr/**/pkgconfig") for path in folder.glob("*.pc")}
    assert there == {"libffi", "zlib"}
    done = subprocess.run(
        ["pkg-config", "--list-package-names"],
        env={**environ, "PATH": f"{bindir}:/usr/bin:/bin", "PKG_CONFIG_PATH": "/usr/lib/pkgconfig"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(done.stdout.split()) - {"pkgconf", "pkg-config"} == there


def test_an_unknown_package_is_a_users_mistake(shared_cache: Path) -> None:
    document = _document(shared_cache, "setup", TARGET, "--sysroot-package", "libffi-devel")
    assert document["exit_code"] == 2
    (error,) = document["errors"]
    assert error["code"] == "unknown-sysroot-package"
    assert "`libffi-dev`" in error["hint"]
