"""What `toolchains/` may hold: a lock that leaves something unsaid or says something else is refused."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from xtool.catalog import Catalog, default_root
from xtool.targets import HOSTS

LOCK = "locks/x86_64-ppc64le.toml"


@pytest.fixture
def toolchains(tmp_path: Path) -> Path:
    """A copy of the shipped `toolchains/`, to be spoilt."""
    return Path(shutil.copytree(default_root(), tmp_path / "toolchains"))


def _change(path: Path, pattern: str, becomes: str) -> None:
    text, count = re.subn(pattern, becomes, path.read_text(), count=1, flags=re.MULTILINE)
    assert count == 1
    path.write_text(text)


@pytest.mark.parametrize(
    ("pattern", "becomes", "says"),
    [
        (r'^sha256 = ".*"$', "", "missing sha256"),
        (r"^size = \d+$", "", "missing size"),
        (r'sha256 = "[0-9a-f]{64}"', f'md5 = "{"0" * 32}"', "missing sha256"),
        (r'sha256 = "[0-9a-f]{64}"', f'sha256 = "{"0" * 32}"', "sha256 is not 64 lower-case hex digits"),
        (r'sha256 = "[0-9a-f]{64}"', f'sha256 = "{"A" * 64}"', "sha256 is not 64 lower-case hex digits"),
        (r"^size = \d+", "size = 0", "size is not a positive number"),
        (r"^size = \d+", 'size = "many"', "size is not a positive number"),
        (r'^path = "', 'extra = 1\npath = "', "unknown extra"),
        (r'path = "[^"]*"', 'path = "../../etc/passwd"', "below the archive's base"),
        (r'path = "[^"]*"', 'path = "/etc/passwd"', "below the archive's base"),
        (r'path = "[^"]*"', "path = 7", "path is not text"),
        (r'version = "[^"]*"', "version = 14", "version is not text"),
        (r"^schema = 1", "schema = 2", "schema 2"),
        (r"^schema = 1", "schema = ", "not valid TOML"),
        (r"^\[\[suite\]\]", "[suite]", "not valid TOML"),
        (r"^\[\[component\]\]\nname", "[[component]]\nnames", "missing name"),
        (r"^host = .*", "", "missing host"),
    ],
)
def test_a_lock_that_cannot_be_held_to_is_refused(
    inside, monkeypatch: pytest.MonkeyPatch, toolchains: Path, pattern: str, becomes: str, says: str
) -> None:
    _change(toolchains / LOCK, pattern, becomes)
    monkeypatch.setenv("XTOOL_TOOLCHAINS_DIR", str(toolchains))
    done = inside("setup", "ppc64le")
    assert done.code == 2
    assert done.stderr.startswith("error: ")
    assert LOCK in done.stderr
    assert says in done.stderr
    assert "\nhint: " in done.stderr
    assert "bug in xtool" not in done.stderr


def test_a_lock_that_is_older_than_the_declaration(
    inside, monkeypatch: pytest.MonkeyPatch, toolchains: Path
) -> None:
    _change(toolchains / LOCK, r'^declaration = "[0-9a-f]', 'declaration = "x')
    monkeypatch.setenv("XTOOL_TOOLCHAINS_DIR", str(toolchains))
    words = ("setup", "ppc64le", "--python-source", "debian", "--offline")
    locked = inside(*words, "--locked")
    assert locked.code == 2
    assert "is older than what `components.toml` declares" in locked.stderr
    assert "--frozen" in locked.stderr.rpartition("hint: ")[2]
    frozen = inside(*words, "--frozen")
    assert frozen.code == 3
    assert "older than" not in frozen.stderr
    plain = inside(*words)
    assert plain.code == 3
    assert "warning: " in plain.stderr
    assert "xtool lock --update" in plain.stderr


@pytest.mark.parametrize("how", ["missing", "empty"])
def test_a_toolchains_folder_with_nothing_in_it(
    inside, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, how: str
) -> None:
    folder = tmp_path / "toolchains"
    if how == "empty":
        folder.mkdir()
    monkeypatch.setenv("XTOOL_TOOLCHAINS_DIR", str(folder))
    done = inside("setup", "ppc64le")
    assert done.code == 2
    assert f"no targets in {folder}" in done.stderr
    assert "XTOOL_TOOLCHAINS_DIR" in done.stderr


def test_a_read_only_installation_works(cli, tmp_path: Path) -> None:
    package = tmp_path / "site" / "xtool"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(default_root()).parent / "xtool", package, ignore=ignored, dirs_exist_ok=True)
    if not (package / "_toolchains").is_dir():
        shutil.copytree(default_root(), package / "_toolchains")
    for path in [package, *package.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = sorted(package.rglob("*"))
    search = f"{package.parent}:{cli.env['PYTHONPATH']}"
    env = {"PYTHONPATH": search, "PYTHONDONTWRITEBYTECODE": "1"}
    shown = cli("show", "ppc64le", "--output", "json", env=env)
    assert shown.code == 0, shown.stderr
    failed = cli("setup", "ppc64le", "--offline", "--python-source", "debian", env=env)
    assert failed.code == 3, failed.stderr
    assert sorted(package.rglob("*")) == before
    lock = cli("lock", "no-such-target", env=env)
    assert lock.code == 2
    (package / "_toolchains/locks").chmod(0o755)
    for path in (package / "_toolchains/locks").glob("*.toml"):
        path.unlink()
    assert "there is no lock for target ppc64le" in cli("setup", "ppc64le", env=env).stderr


@pytest.mark.parametrize("host", sorted(HOSTS))
def test_what_runs_on_a_host_is_the_same_file_for_every_target(host: str) -> None:
    """So that set-ups of several targets download and keep it once; a lock that lags behind doubles it."""
    catalog = Catalog()
    machine = HOSTS[host]
    seen: dict[tuple[str, str, str], dict[str, list[str]]] = {}
    for target in catalog.targets.values():
        for items in catalog.lock(machine, target).components.values():
            for item in items:
                if item.arch == machine.debian:
                    files = seen.setdefault((item.suite, item.name, item.arch), {})
                    files.setdefault(item.sha256, []).append(target.name)
    assert len(seen) > 50
    assert {key: files for key, files in seen.items() if len(files) > 1} == {}


@pytest.mark.parametrize("host", sorted(HOSTS))
def test_every_target_has_an_up_to_date_lock_for_every_host(host: str) -> None:
    catalog = Catalog()
    assert set(catalog.targets) == {
        *("aarch64", "armv7l", "i686", "loongarch64", "ppc64le", "riscv64", "s390x", "x86_64")
    }
    for target in catalog.targets.values():
        lock = catalog.lock(HOSTS[host], target)
        assert lock.declaration == catalog.declaration_digest(HOSTS[host], target), target.name
