"""Wheels of C, C++, Fortran and OpenMP that need the very floor: a sample of `scripts/check_floors.py`."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.commandline import xtool

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "check_floors.py"
PROJECT = Path(__file__).parent.parent / "projects" / "floors"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_floors", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _rows(cache: Path, *words: str) -> list[list[str]]:
    """The rows of the script's table, which must be without a disagreement."""
    command = [sys.executable, str(SCRIPT), *words]
    env = {**os.environ, "XTOOL_CACHE_DIR": str(cache)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr.endswith("4 wheels, 0 in disagreement\n")
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()[2:]]


@pytest.mark.parametrize(
    ("words", "floor", "tag"),
    [
        (["--sysroot", "derived", "--floor", "2.17"], "2.17", "manylinux2014_ppc64le.manylinux_2_17_ppc64le"),
        (["--sysroot", "debian"], "2.41", "manylinux_2_41_ppc64le"),
    ],
    ids=["derived", "debian"],
)
def test_every_language_earns_the_tag_of_the_floor(
    cache: Path, words: list[str], floor: str, tag: str
) -> None:
    audited = tag.rpartition(".")[2]
    sysroot = words[1]
    assert _rows(cache, *words) == [
        [kind, sysroot, floor, tag, floor, audited, "passed"] for kind in ("c", "cpp", "fortran", "openmp")
    ]


def test_what_disagrees_is_told(script: ModuleType) -> None:
    tags = script._tags("ppc64le")
    path = "xt-1-cp313-cp313-manylinux_2_28_ppc64le.whl"
    right = {"path": path, "platform_tag": "manylinux_2_28_ppc64le", "glibc_required": "2.28"}

    def problems(wheel: dict[str, str], *facts: Any) -> str:
        return "; ".join(script._problems({**right, **wheel}, *facts, tags))

    audited = "manylinux_2_28_ppc64le"
    assert problems({}, (2, 28), "2.28", audited) == ""
    assert "is named" in problems({}, (2, 27), "2.27", audited)
    assert "is named" in problems({"platform_tag": "manylinux_2_31_ppc64le"}, (2, 28), "2.28", audited)
    assert "need glibc 2.27" in problems({"glibc_required": "2.27"}, (2, 28), "2.28", audited)
    assert "used a function of glibc 2.17" in problems({}, (2, 28), "2.17", audited)
    assert "auditwheel calls it" in problems({}, (2, 28), "2.28", "manylinux_2_17_ppc64le")
    assert "auditwheel calls it" in problems({}, (2, 28), "2.28", "linux_ppc64le")
    assert script._steps()[0] == (2, 17)
    assert script._steps()[-1] == (2, 41)


def test_a_floor_without_a_policy_gets_the_next_tag_and_says_so(cache: Path, tmp_path: Path) -> None:
    words = ["--target", "ppc64le", "--glibc", "2.30", "--outdir", str(tmp_path), "--output", "json"]
    done = xtool(cache, "build", str(PROJECT), *words, "--fortran", "--no-test", XT_FLOORS="c")
    document = json.loads(done.stdout)
    assert done.returncode == 0, document["errors"]
    (wheel,) = document["data"]["wheels"]
    assert (wheel["platform_tag"], wheel["glibc_required"]) == ("manylinux_2_31_ppc64le", "2.30")
    (said,) = [text for text in wheel["warnings"] if "2.30" in text]
    assert "installers take it from glibc 2.31 on" in said
    assert "--glibc 2.28" in done.stderr
