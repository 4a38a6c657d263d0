"""The main job as a user does it: set up, build, inspect, run, move the cache; by the command line alone."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.commandline import xtool

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def _data(done: subprocess.CompletedProcess[str]) -> Any:
    document = json.loads(done.stdout)
    assert document["schema"] == 1
    assert document["exit_code"] == done.returncode
    return document["data"]


def _build(cache: Path, outdir: Path, *words: str, **environ: str) -> list[dict[str, Any]]:
    done = xtool(
        cache, "build", *words, "--target", "ppc64le", "--outdir", str(outdir), "--output", "json", **environ
    )
    assert done.returncode == 0, done.stdout + done.stderr
    wheels: list[dict[str, Any]] = _data(done)["wheels"]
    return wheels


def test_warm_setup_is_a_no_op_without_network(cache: Path) -> None:
    done = xtool(cache, "setup", "ppc64le", "--offline")
    assert done.returncode == 0, done.stderr


def test_wheel_from_the_index_is_tagged_tested_and_clean(cache: Path, tmp_path: Path) -> None:
    (wheel,) = _build(cache, tmp_path, "markupsafe==3.0.3")
    path = Path(wheel["path"])
    assert "manylinux2014_ppc64le" in path.name
    assert "manylinux_2_17_ppc64le" in path.name
    assert wheel["smoke"]["status"] == "passed"
    assert wheel["glibc_required"] == "2.17"
    with zipfile.ZipFile(path) as archive:
        assert "markupsafe/_speedups.cpython-313-powerpc64le-linux-gnu.so" in archive.namelist()
    shown = subprocess.run(
        [sys.executable, "-m", "auditwheel", "show", str(path)], capture_output=True, text=True, check=True
    )
    assert "manylinux_2_17_ppc64le" in shown.stdout


def test_inspect_says_what_the_wheel_earns(cache: Path, tmp_path: Path) -> None:
    (wheel,) = _build(cache, tmp_path, "ujson==5.11.0")
    done = xtool(cache, "inspect", wheel["path"], "--output", "json")
    assert done.returncode == 0, done.stderr
    assert "manylinux_2_17_ppc64le" in json.dumps(_data(done))
    table = xtool(cache, "inspect", wheel["path"])
    assert "ujson" in table.stdout
    assert "GLIBC" in table.stdout


def test_run_gives_the_target_python_and_its_exit_code(cache: Path) -> None:
    code = "import platform, sys, ssl, sqlite3, ctypes, lzma; print(platform.machine()); sys.exit(7)"
    done = xtool(cache, "run", "--target", "ppc64le", "--", "python", "-c", code)
    assert done.stdout.strip() == "ppc64le"
    assert done.returncode == 7


def test_run_with_a_built_wheel(cache: Path, tmp_path: Path) -> None:
    (wheel,) = _build(cache, tmp_path, "markupsafe==3.0.3")
    code = "from markupsafe import _speedups, escape; print(escape('<'))"
    done = xtool(cache, "run", "--target", "ppc64le", "--with", wheel["path"], "--", "python", "-c", code)
    assert done.stdout.strip() == "&lt;", done.stderr


def test_a_moved_cache_works_at_once_and_offline(cache: Path, tmp_path: Path) -> None:
    archive = tmp_path / "cache.tar.zst"
    assert xtool(cache, "cache", "export", str(archive)).returncode == 0
    again = tmp_path / "again.tar.zst"
    assert xtool(cache, "cache", "export", str(again)).returncode == 0
    assert archive.read_bytes() == again.read_bytes()
    other = tmp_path / "another place"
    done = xtool(other, "cache", "import", str(archive))
    assert done.returncode == 0, done.stderr
    project = _copy_project("c-setuptools", tmp_path)
    assert xtool(other, "setup", "ppc64le", "--offline").returncode == 0
    (wheel,) = _build(other, tmp_path / "out", str(project))
    assert wheel["smoke"]["status"] == "passed"


def test_a_failing_test_command_fails_the_build_and_leaves_no_wheel(cache: Path, tmp_path: Path) -> None:
    project = _copy_project("c-setuptools", tmp_path)
    out = tmp_path / "out"
    done = xtool(
        cache, "build", str(project), "--target", "ppc64le", "--outdir", str(out),
        "--test-command", "python -c 'raise SystemExit(3)'", "--output", "json",
    )  # fmt: skip
    assert done.returncode == 1
    assert json.loads(done.stdout)["status"] == "error"
    assert not list(out.glob("*.whl"))


def test_a_segfault_in_the_emulated_process_is_called_one(cache: Path, tmp_path: Path) -> None:
    project = _copy_project("c-setuptools", tmp_path)
    crash = "python -c 'import ctypes; ctypes.string_at(0)'"
    done = xtool(cache, "build", str(project), "--target", "ppc64le", "--outdir", str(tmp_path / "out"),
                  "--test-command", crash)  # fmt: skip
    assert done.returncode == 1
    assert "SIGSEGV" in done.stderr


def test_the_users_project_is_left_as_it_was(cache: Path, tmp_path: Path) -> None:
    project = _copy_project("c-setuptools", tmp_path)
    before = sorted(str(path) for path in project.rglob("*"))
    _build(cache, tmp_path / "out", str(project))
    assert sorted(str(path) for path in project.rglob("*")) == before


def _copy_project(name: str, into: Path) -> Path:
    source = Path(__file__).parent.parent / "projects" / name
    return Path(shutil.copytree(source, into / name))
