"""Build Pythons: found on the host, or assembled from packages with their own C library."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from xtool import installer
from xtool.catalog import Catalog
from xtool.config import Settings
from xtool.context import Context
from xtool.kit import BuildPython
from xtool.log import SilentLog
from xtool.python.build import build_python_recipe, find_build_python, from_store
from xtool.targets import current_host
from xtool.toolchain import relocate

OWN = f"{sys.version_info[0]}.{sys.version_info[1]}"
OTHER = "3.13" if OWN != "3.13" else "3.11"


def _install(shared_cache: Path, version: str) -> BuildPython:
    context = Context(Settings(cache_dir=shared_cache), SilentLog(), dict(os.environ))
    catalog, host = Catalog(), current_host()
    target = catalog.target("ppc64le")
    lock = catalog.lock(host, target)
    recipe = build_python_recipe(host, lock, version)
    return from_store(installer.ensure(context, catalog, lock, [recipe])[recipe.name], version)


@pytest.fixture(scope="module", params=["3.13", "3.11"])
def assembled(request: pytest.FixtureRequest, shared_cache: Path) -> BuildPython:
    return _install(shared_cache, request.param)


@pytest.fixture(scope="module")
def other(shared_cache: Path) -> BuildPython:
    """One of another version than the interpreter of the tests, which every search would find first."""
    return _install(shared_cache, OTHER)


def ask(python: Path, code: str) -> dict[str, object]:
    """Run code in an interpreter with an empty environment; what it prints, as JSON."""
    done = subprocess.run([python, "-c", code], env={}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def virtual_environment(python: Path, folder: Path) -> Path:
    import uv

    command = [uv.find_uv_bin(), "venv", "--offline", "--no-config", "--python", python, folder]
    done = subprocess.run(
        command, env={"HOME": str(folder.parent)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder / "bin/python"


def test_modules_with_libraries_work_in_a_virtual_environment(assembled: BuildPython, tmp_path: Path) -> None:
    python = virtual_environment(assembled.executable, tmp_path / "env")
    code = """
import bz2, ctypes, curses, decimal, hashlib, json, lzma, readline, sqlite3, ssl, sys, uuid, venv, zlib
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
assert lzma.decompress(lzma.compress(b"x")) == bz2.decompress(bz2.compress(b"x")) == b"x"
assert ctypes.CDLL(None).abs(-3) == 3
assert get_context("fork").Pool(1).map(abs, [-2]) == [2]
assert sqlite3.connect(":memory:").execute("select 6 * 7").fetchone() == (42,)
ssl.create_default_context()
print(json.dumps({
    "version": "%d.%d" % sys.version_info[:2],
    "prefix": sys.prefix,
    "base": sys.base_prefix,
    "cached": json.__spec__.cached,
    "libc": sorted({l.split()[-1] for l in open("/proc/self/maps") if "libc.so" in l}),
}))
"""
    home = assembled.executable.parent.parent
    found = ask(python, code)
    assert found["version"] == assembled.version
    assert found["prefix"] == str(tmp_path / "env")
    assert found["base"] == str(home)
    assert str(found["cached"]).startswith(str(home))
    assert Path(str(found["cached"])).is_file()
    assert found["libc"] == [str(home / "lib/host/libc.so.6")]


def test_debian_layout_does_not_reach_virtual_environments(assembled: BuildPython, tmp_path: Path) -> None:
    python = virtual_environment(assembled.executable, tmp_path / "env")
    code = """
import json, sys, sysconfig
print(json.dumps({
    "paths": sysconfig.get_paths(),
    "scheme": sysconfig.get_default_scheme(),
    "path": sys.path[1:],
    "headers": sysconfig.get_path("include"),
}))
"""
    inside, outside = ask(python, code), ask(assembled.executable, code)
    paths = inside["paths"]
    assert isinstance(paths, dict)
    assert paths["purelib"] == str(tmp_path / "env/lib" / f"python{assembled.version}" / "site-packages")
    assert outside["scheme"] == "posix_prefix"
    for found in (inside, outside):
        assert "dist-packages" not in json.dumps([found["path"], found["paths"]])
    assert not list(assembled.executable.parent.parent.rglob("EXTERNALLY-MANAGED"))


def test_compiled_modules_say_nothing_of_this_machine(assembled: BuildPython) -> None:
    home = assembled.executable.parent.parent
    compiled = sorted(home.rglob("*.pyc"))
    assert len(compiled) == len(list((home / "lib").rglob("*.py")))
    # PEP 552: flags 1 is a hash-based file whose source is not looked at.
    assert {file.read_bytes()[4:8] for file in compiled} == {b"\1\0\0\0"}
    leaking = [file for file in compiled if str(home.parent.parent).encode() in file.read_bytes()]
    assert leaking == []


def test_it_works_where_it_is_moved_to(assembled: BuildPython, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(assembled.executable.parent.parent, moved, symlinks=True)
    relocate.fill_slots(moved, moved)
    code = "import json, ssl, sys; print(json.dumps({'base': sys.base_prefix, 'file': ssl.__file__}))"
    found = ask(moved / "bin/python3", code)
    assert found == {"base": str(moved), "file": str(moved / f"lib/python{assembled.version}/ssl.py")}


def _link(folder: Path, name: str, target: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).symlink_to(target)
    return folder


def _script(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)
    return folder


def test_own_interpreter_is_found_without_a_path(make_context: Callable[..., Context]) -> None:
    found = find_build_python(make_context(environ={}), OWN)
    assert found is not None
    assert found.source == "host"
    assert ask(found.executable, "import json, sys; print(json.dumps({'v': sys.version_info[:2]}))") == {
        "v": list(sys.version_info[:2])
    }


def test_search_passes_over_what_does_not_work(
    other: BuildPython, make_context: Callable[..., Context], tmp_path: Path
) -> None:
    """A shim that fails, a script that lies, another version under the name; then the right one."""
    name = f"python{other.version}"
    folders = [
        _script(tmp_path / "shim", name, "echo 'command not found' >&2; exit 127"),
        _script(tmp_path / "liar", name, "echo not json"),
        _link(tmp_path / "other", name, Path(sys.executable)),
        tmp_path / "missing",
        _link(tmp_path / "right", name, other.executable),
    ]
    environ = {"PATH": os.pathsep.join(map(str, folders)), "HOME": str(tmp_path)}
    found = find_build_python(make_context(environ=environ), other.version)
    assert found is not None
    assert (found.version, found.source) == (other.version, "host")
    assert os.path.realpath(found.executable) == str(other.executable)


def test_pyenv_shim_is_looked_behind(
    other: BuildPython, make_context: Callable[..., Context], tmp_path: Path
) -> None:
    name = f"python{other.version}"
    shims = _script(tmp_path / "pyenv/shims", name, "echo 'pyenv: command not found' >&2; exit 127")
    _link(tmp_path / f"pyenv/versions/{other.version}.1/bin", name, other.executable)
    found = find_build_python(
        make_context(environ={"PATH": str(shims), "HOME": str(tmp_path)}), other.version
    )
    assert found is not None
    assert os.path.realpath(found.executable) == str(other.executable)


def test_nothing_is_found_where_there_is_nothing(
    make_context: Callable[..., Context], tmp_path: Path
) -> None:
    environ = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    assert find_build_python(make_context(environ=environ), OTHER) is None
