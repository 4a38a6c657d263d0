"""The shims, in interpreters of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from xtool.build.environment import install_shim
from xtool.crossenv.steady_shim import groups

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


LISTINGS = """
import glob, json, os, pathlib
os.chdir("files")
with os.scandir() as entries:
    scanned = [entry.name for entry in entries]
walked = [names for _, _, names in os.walk(".")]
flat = [os.listdir(), os.listdir(b".")[0].decode(), scanned, walked, glob.glob("*"), glob.glob("*.c")]
print(json.dumps([*flat, [path.name for path in pathlib.Path().iterdir()], os.scandir in os.supports_fd]))
"""


def test_folders_are_listed_in_the_order_of_names(python: Path, tmp_path: Path) -> None:
    names = [f"{n}.c" for n in "qazwsxedcrfv"]
    (tmp_path / "files").mkdir()
    for name in names:
        (tmp_path / "files" / name).touch()
    env = {"PATH": os.defpath, **CROSS}
    command = [str(python), "-c", LISTINGS]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=True)
    ordered = sorted(names)
    expected = [ordered, "a.c", ordered, [ordered], ordered, ordered, ordered, True]
    assert json.loads(done.stdout) == expected


DIST = """
import os
class Distribution:
    want_user_cfg = True
    def find_config_files(self):
        return ["setup.cfg", *(["~/.pydistutils.cfg"] if self.want_user_cfg else [])]
"""
BUILD_EXT = """
import contextlib
class build_ext:
    parallel = 8
    def _build_extensions_parallel(self):
        raise SystemExit("all at once")
    @contextlib.contextmanager
    def _filter_build_errors(self, ext):
        yield
"""
COMMAND = """
import threading, time
from setuptools._distutils.command.build_ext import build_ext
from setuptools._distutils.dist import Distribution
class Extension:
    def __init__(self, name, *sources):
        self.name, self.sources = name, sources
class command(build_ext):
    extensions = [Extension("a", "x.c", "a.c"), Extension("b", "./x.c"), Extension("c", "c.c", "x.c")]
    extensions += [Extension("alone", "alone.c")]
    running, done = set(), []
    def build_extension(self, extension):
        assert not self.running & {"a", "b", "c"} or extension.name == "alone", (extension.name, self.running)
        self.running.add(extension.name)
        time.sleep(0.05)
        self.running.remove(extension.name)
        self.done.append(extension.name)
command()._build_extensions_parallel()
assert [name for name in command.done if name != "alone"] == ["a", "b", "c"] and len(command.done) == 4
print(Distribution().find_config_files())
"""


def test_setuptools_builds_apart_what_shares_sources_and_reads_no_settings_of_the_user(
    python: Path, tmp_path: Path
) -> None:
    """In a stand-in for setuptools, whose modules are changed when they are imported."""
    modules = {
        "dist.py": DIST,
        "command/build_ext.py": BUILD_EXT,
        "command/__init__.py": "",
        "__init__.py": "",
    }
    for name, text in modules.items():
        path = tmp_path / "setuptools" / "_distutils" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "setuptools" / "__init__.py").touch()
    env = {"PATH": os.defpath, "PYTHONPATH": str(tmp_path), **CROSS}
    command = [str(python), "-c", COMMAND]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("['setup.cfg']\n", "")


def test_extensions_are_grouped_by_the_sources_that_they_share() -> None:
    made = [("a", ["1.c"]), ("b", ["2.c"]), ("c", ["3.c"]), ("d", ["x/../1.c", "3.c"]), ("e", [Path("2.c")])]
    extensions = [SimpleNamespace(name=name, sources=sources) for name, sources in made]
    assert [[one.name for one in group] for group in groups(extensions)] == [["a", "c", "d"], ["b", "e"]]
    assert groups([]) == []
