"""Targets times Pythons through the command line: real compilers, Pythons and emulators, side by side."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from support.commandline import xtool

PROJECTS = Path(__file__).parent.parent / "projects"
TARGETS = ("--target", "ppc64le", "--target", "s390x")
PYTHONS = ("--python", "3.11", "--python", "3.13")

PATIENCE = 120.0
"""Seconds that a loaded machine may take for what should be quick."""

NOT_ON_ONE = """
#if PY_VERSION_HEX >= 0x030D0000 && defined(__s390x__)
#error this one is not for s390x
#endif
"""


@pytest.fixture(scope="module")
def both(shared_cache: Path) -> Path:
    """The shared cache with both targets and both Pythons."""
    done = xtool(shared_cache, "setup", "ppc64le", "s390x", *PYTHONS)
    assert done.returncode == 0, done.stderr
    return shared_cache


def copy_project(name: str, into: Path) -> Path:
    return Path(shutil.copytree(PROJECTS / name, into / name))


def document(done: subprocess.CompletedProcess[str]) -> Any:
    found = json.loads(done.stdout)
    assert found["exit_code"] == done.returncode, done.stderr
    return found


def test_three_wheels_and_one_failure(both: Path, tmp_path: Path) -> None:
    project = copy_project("c-setuptools", tmp_path)
    source = project / "src" / "where.c"
    source.write_text(source.read_text() + NOT_ON_ONE)
    words = ("build", str(project), *TARGETS, *PYTHONS, "-j", "2", "--outdir", str(tmp_path / "out"))
    found = document(xtool(both, *words, "--log-dir", str(tmp_path / "logs"), "--output", "json"))
    assert (found["status"], found["exit_code"]) == ("partial", 1)
    data = found["data"]
    made = [(wheel["target"], wheel["python"], wheel["smoke"]["status"]) for wheel in data["wheels"]]
    assert made == [("ppc64le", "3.11", "passed"), ("ppc64le", "3.13", "passed"), ("s390x", "3.11", "passed")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        Path(wheel["path"]).name for wheel in data["wheels"]
    )
    for wheel in data["wheels"]:
        with zipfile.ZipFile(wheel["path"]) as archive:
            suffix = f".cpython-{wheel['python'].replace('.', '')}-"
            assert all(suffix in name for name in archive.namelist() if name.endswith(".so"))
        # Every wheel has its log, with its own commands and nobody else's.
        log = Path(wheel["log"]).read_text()
        assert "-gcc " in log
        other = "s390x-linux-gnu-gcc" if wheel["target"] == "ppc64le" else "powerpc64le-linux-gnu-gcc"
        assert other not in log
    (failure,) = data["failed"]
    assert (failure["target"], failure["python"], failure["step"]) == ("s390x", "3.13", "compile")
    assert failure["code"] == "build-failed"
    assert "#error this one is not for s390x" in Path(failure["log"]).read_text()
    (error,) = found["errors"]
    assert error["message"].startswith("s390x, Python 3.13: the build of xt-c 1.0 exited with code")
    assert f"log: {failure['log']}" in error["facts"]


def test_the_same_bytes_side_by_side_and_one_after_the_other(both: Path, tmp_path: Path) -> None:
    words = ("build", str(PROJECTS / "c-setuptools"), "--target", "s390x", *PYTHONS, "--no-test")
    for jobs in ("1", "4"):
        done = xtool(both, *words, "-j", jobs, "--outdir", str(tmp_path / jobs))
        assert done.returncode == 0, done.stderr
        assert "2 built of 2" in done.stderr
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / jobs).iterdir()} for jobs in ("1", "4"))
    assert len(first) == 2
    assert first == second


def test_a_project_for_the_stable_abi_is_built_once_a_target(both: Path, tmp_path: Path) -> None:
    # Which Pythons there are decides what it is tested on, unless somebody says which.
    words = ("build", str(PROJECTS / "abi3-setuptools"), *TARGETS, *PYTHONS, "--outdir", str(tmp_path))
    done = xtool(both, *words, "--output", "json")
    data = document(done)["data"]
    assert [(wheel["target"], wheel["python"]) for wheel in data["wheels"]] == [
        ("ppc64le", "3.11"),
        ("s390x", "3.11"),
    ]
    for wheel in data["wheels"]:
        assert "-cp311-abi3-manylinux" in wheel["path"]
        tested = [(test["python"], test["status"]) for test in wheel["tested"]]
        assert tested == [("3.11", "passed"), ("3.13", "passed")]
        assert wheel["serves"] == [{"target": wheel["target"], "python": "3.13"}]
    assert "as for Python 3.11" in done.stderr


def test_a_wheel_that_only_says_that_it_is_for_the_stable_abi(both: Path, tmp_path: Path) -> None:
    words = ("build", str(PROJECTS / "abi3-setuptools"), "--target", "ppc64le", "--python", "3.13")
    done = xtool(both, *words, "--outdir", str(tmp_path / "out"), "--output", "json", XT_ABI3_UNLIMITED="1")
    found = document(done)
    assert found["exit_code"] == 1
    (error,) = found["errors"]
    assert error["code"] == "stable-abi"
    assert any("`PyUnicode_New`, which is not in the stable ABI" in fact for fact in error["facts"])
    assert not (tmp_path / "out").exists()


def test_ctrl_c_in_the_middle(both: Path, tmp_path: Path) -> None:
    project = copy_project("c-setuptools", tmp_path)
    begun, temporary = tmp_path / "begun", tmp_path / "tmp"
    temporary.mkdir()
    setup = project / "setup.py"
    wait = f"open({str(begun)!r}, 'a').write(f'{{os.getpid()}} ')\n    time.sleep(300)\n"
    setup.write_text(f"import os, sys, time\nif 'bdist_wheel' in sys.argv:\n    {wait}{setup.read_text()}")
    words = ["build", str(project), *TARGETS, *PYTHONS, "-j", "2", "--outdir", str(tmp_path / "out")]
    env = {**os.environ, "XTOOL_CACHE_DIR": str(both), "TMPDIR": str(temporary)}
    process = subprocess.Popen(
        [sys.executable, "-m", "xtool", *words, "--log-dir", str(tmp_path / "logs")],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        until = time.monotonic() + PATIENCE
        while not begun.is_file() or len(begun.read_text().split()) < 2:
            assert time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert (process.returncode, stdout) == (130, "")
    assert "error: interrupted" in stderr
    assert "Traceback" not in stderr
    for child in begun.read_text().split():
        assert not Path(f"/proc/{child}").exists()
    assert not (tmp_path / "out").exists()
    assert list(temporary.iterdir()) == []
    assert sorted(path.suffix for path in (tmp_path / "logs").iterdir()) == [".log", ".log"]


LEAKING = """
#include <Python.h>
{include}
static struct PyModuleDef module = {{PyModuleDef_HEAD_INIT, "demo", NULL, -1, NULL, NULL, NULL, NULL, NULL}};
PyMODINIT_FUNC PyInit_demo(void) {{ return PyModule_Create(&module); }}
"""
LEAKING_SETUP = """
import os
from setuptools import Extension, setup
here = os.path.dirname(os.path.abspath(__file__))
setup(name="demo", version="1", ext_modules=[Extension("demo", ["demo.c"], include_dirs=[here])])
"""


def hits(environ: dict[str, str]) -> int:
    """How many compiles ccache has answered."""
    env = {**os.environ, **environ}
    done = subprocess.run(["ccache", "--print-stats"], env=env, capture_output=True, text=True, check=True)
    counts = dict(line.split("\t") for line in done.stdout.splitlines())
    return int(counts["direct_cache_hit"]) + int(counts["preprocessed_cache_hit"])


def test_ccache_answers_a_build_that_was_done_before_and_hides_nothing(both: Path, tmp_path: Path) -> None:
    environ = {"CCACHE_DIR": str(tmp_path / "ccache")}
    project = tmp_path / "demo"
    project.mkdir()
    (project / "setup.py").write_text(LEAKING_SETUP)
    words = ("build", str(project), "--target", "ppc64le", "--python", "3.13", "--no-test")
    header = next(path.name for path in sorted(Path("/usr/include").glob("*.h")))
    for include, code in ((f'#include "/usr/include/{header}"', 1), ("", 0)):
        (project / "demo.c").write_text(LEAKING.format(include=include))
        outcomes = []
        for round_ in ("first", "second", "uncached"):
            before = hits(environ)
            cache = "none" if round_ == "uncached" else "ccache"
            out = tmp_path / round_
            options = ("--outdir", str(out), "--compiler-cache", cache, "--output", "json")
            done = xtool(both, *words, *options, **environ)
            assert done.returncode == code, done.stderr
            assert hits(environ) - before == (round_ == "second")
            data = json.loads(done.stdout)
            # What a host's header brings is found in a compile that never took place, too.
            assert [error["code"] for error in data["errors"]] == ["host-leak"] * code
            outcomes.append([path.read_bytes() for path in out.glob("*.whl")])
        assert outcomes[0] == outcomes[1] == outcomes[2]


def test_the_version_comes_from_git_for_every_cell(both: Path, tmp_path: Path) -> None:
    project = copy_project("c-setuptools", tmp_path)
    text = (project / "pyproject.toml").read_text()
    text = text.replace('requires = ["setuptools>=68"]', 'requires = ["setuptools>=68", "setuptools-scm>=8"]')
    text = text.replace('version = "1.0"', 'dynamic = ["version"]') + "\n[tool.setuptools_scm]\n"
    (project / "pyproject.toml").write_text(text)
    # Whoever runs the tests may have settings of their own.
    own = ("user.name=t", "user.email=t@t", "commit.gpgsign=false", "tag.gpgsign=false")
    git = ["git", "-C", str(project), *(word for setting in own for word in ("-c", setting))]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "one"], ["tag", "v4.5"]):
        subprocess.run([*git, *command], check=True)
    words = ("build", str(project), "--target", "ppc64le", *PYTHONS, "--no-test")
    done = xtool(both, *words, "--outdir", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    names = sorted(path.name.split("-manylinux")[0] for path in (tmp_path / "out").iterdir())
    assert names == ["xt_c-4.5-cp311-cp311", "xt_c-4.5-cp313-cp313"]
    status = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=True)
    assert status.stdout == ""
