"""The machine shim, in interpreters of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from xtool.build.environment import install_shim

CROSS = {
    "XTOOL_CROSS_MACHINE": "ppc64le",
    "XTOOL_CROSS_MULTIARCH": "powerpc64le-linux-gnu",
    "XTOOL_CROSS_EXT_SUFFIX": ".cpython-399-powerpc64le-linux-gnu.so",
    "XTOOL_CROSS_GLIBC": "2.17",
    "XTOOL_CROSS_INCLUDE": "/target/{odd}/include",
}
ASK = """
import importlib.machinery, json, os, platform, sys, sysconfig
import _ctypes  # an extension module of the host still loads
print(json.dumps({
    "machine": platform.machine(), "uname": os.uname().machine, "system": os.uname().sysname,
    "processor": platform.processor(), "suffixes": importlib.machinery.EXTENSION_SUFFIXES,
    "libc": platform.libc_ver(), "multiarch": getattr(sys.implementation, "_multiarch", ""),
    "include": sysconfig.get_path("include"), "platinclude": sysconfig.get_path("platinclude"),
    "purelib": sysconfig.get_path("purelib"), "shim": "_xtool_machine_shim" in sys.modules,
}))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the shim in it."""
    folder = tmp_path_factory.mktemp("shim") / "env"
    venv.create(folder, symlinks=True)
    install_shim(next((folder / "lib").glob("python3*")) / "site-packages")
    return folder / "bin" / "python"


def ask(python: Path, environ: Mapping[str, str], *options: str) -> dict[str, Any]:
    env = {"PATH": os.defpath, **environ}
    done = subprocess.run(
        [str(python), *options, "-c", ASK], env=env, capture_output=True, text=True, check=True
    )
    return dict(json.loads(done.stdout))


@pytest.fixture
def cross(tmp_path: Path) -> dict[str, str]:
    """The variables of a cross build, with build-time variables that say `.target.so`."""
    name = "_sysconfigdata__linux_powerpc64le-linux-gnu"
    (tmp_path / f"{name}.py").write_text("build_time_vars = {'EXT_SUFFIX': '.target.so'}\n")
    place = str(tmp_path)
    return {
        **CROSS,
        "PYTHONPATH": place,
        "_PYTHON_SYSCONFIGDATA_NAME": name,
        "_PYTHON_SYSCONFIGDATA_PATH": place,
        "XTOOL_CROSS_SYSCONFIG": place,
    }


def test_the_interpreter_answers_for_the_target(python: Path, cross: dict[str, str]) -> None:
    said = ask(python, cross)
    assert (said["machine"], said["uname"], said["processor"]) == ("ppc64le", "ppc64le", "ppc64le")
    assert said["system"] == "Linux"
    assert said["libc"] == ["glibc", "2.17"]
    assert said["multiarch"] == "powerpc64le-linux-gnu"
    assert said["suffixes"] == [".cpython-399-powerpc64le-linux-gnu.so", ".abi3.so", ".so"]
    assert said["include"] == said["platinclude"] == "/target/{odd}/include"


def test_an_isolated_interpreter_answers_for_the_target_too(python: Path, cross: dict[str, str]) -> None:
    code = "import sysconfig, platform; print(sysconfig.get_config_var('EXT_SUFFIX'), platform.machine())"
    env = {"PATH": os.defpath, **cross}
    done = subprocess.run(
        [str(python), "-I", "-c", code], env=env, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [".target.so", "ppc64le"]


def test_without_the_variable_nothing_is_changed_or_loaded(python: Path) -> None:
    plain = ask(Path(sys.executable), {}, "-S")
    said = ask(python, {name: value for name, value in CROSS.items() if name != "XTOOL_CROSS_MACHINE"})
    assert not said["shim"]
    for key in ("machine", "uname", "suffixes", "libc", "multiarch"):
        assert said[key] == plain[key]
    assert "/target/" not in said["include"]
