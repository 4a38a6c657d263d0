"""The shims, in interpreters of their own."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from xtool.build.environment import install_shim
from xtool.crossenv.facts_shim import Abi
from xtool.crossenv.steady_shim import groups
from xtool.crossenv.trace import Question, read_trace

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


OTHER = "big" if sys.byteorder == "little" else "little"
FACTS = {
    "XTOOL_CROSS_BITS": "32",
    "XTOOL_CROSS_BYTEORDER": OTHER,
    "XTOOL_CROSS_DOUBLE_ALIGNMENT": "4",
    "XTOOL_CROSS_LONG_DOUBLE": "12",
}
"""A target that is another machine in all that programs ask for: 32 bits, the other order, as i686 aligns."""

QUESTIONS = """
import array, ctypes, platform, struct, sys
from sys import byteorder, maxsize
answers = {
    "maxsize": sys.maxsize, "imported": [maxsize, byteorder], "byteorder": sys.byteorder,
    "architecture": list(platform.architecture()),
    "calcsize": [struct.calcsize(code) for code in ("P", "l", "@cq", "=l", "<q", b"n", "4s0l", "dc")],
    "unpack": struct.unpack("h", b"\\0\\1")[0],
    "pack": struct.pack("cl", b"a", 1).hex(),
    "pointer": ctypes.sizeof(ctypes.c_void_p), "function": ctypes.sizeof(ctypes.CFUNCTYPE(None)),
    "long double": ctypes.sizeof(ctypes.c_longdouble), "short": ctypes.sizeof(ctypes.c_short),
    "long": ctypes.sizeof(ctypes.c_long),
}
"""
PROJECTS_ANSWERS: dict[str, object] = {
    "maxsize": 2**31 - 1,
    "imported": [2**31 - 1, OTHER],
    "byteorder": OTHER,
    "architecture": ["32bit", "ELF"],
    "calcsize": [4, 4, 12, 4, 8, 4, 4, 9],
    "unpack": 1 if OTHER == "big" else 256,
    "pack": "6100000000000001" if OTHER == "big" else "6100000001000000",
    "pointer": 4,
    "function": 4,
    "long double": 12,
    "short": 2,
    # Where `long` and `long long` are as long as each other ctypes has one type for both.
    "long": 8,
}


def _run(python: Path, environ: Mapping[str, str], *words: str | Path, cwd: Path | None = None) -> Any:
    env = {"PATH": os.defpath, **environ}
    done = subprocess.run(
        [str(python), *map(str, words)], env=env, cwd=cwd, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


@pytest.fixture
def project(tmp_path: Path, cross: dict[str, str]) -> tuple[Path, dict[str, str]]:
    """A folder that counts as the project's, and the variables of its build for another kind of machine."""
    folder = tmp_path / "a project"
    (folder / "lib").mkdir(parents=True)
    asked = {"XTOOL_CROSS_SOURCE": str(folder), "XTOOL_CROSS_ASKED": str(tmp_path / "asked")}
    return folder, {**cross, **FACTS, **asked}


def test_a_project_is_answered_for_the_target(python: Path, project: tuple[Path, dict[str, str]]) -> None:
    folder, environ = project
    (folder / "lib" / "probe.py").write_text(QUESTIONS)
    program = "import sys; sys.path.insert(0, 'lib'); import json, probe; print(json.dumps(probe.answers))"
    (folder / "setup.py").write_text(program)
    assert _run(python, environ, "setup.py", cwd=folder) == PROJECTS_ANSWERS


def test_text_that_a_back_end_executes_is_the_projects(
    python: Path, project: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    """setuptools executes the text of `setup.py` in a namespace that has its `__file__`."""
    folder, environ = project
    (folder / "setup.py").write_text(QUESTIONS)
    backend = tmp_path / "backend.py"
    backend.write_text(
        "import json\nspace = {'__file__': 'setup.py', '__name__': '__main__'}\n"
        "exec(open('setup.py').read(), space)\nprint(json.dumps(space['answers']))"
    )
    assert _run(python, environ, backend, cwd=folder) == PROJECTS_ANSWERS
    program = QUESTIONS + "\nimport json; print(json.dumps(answers))"
    assert _run(python, environ, "-c", program, cwd=tmp_path) == PROJECTS_ANSWERS


def test_others_are_answered_for_this_machine(
    python: Path, project: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder, environ = project
    installed = folder / ".eggs" / "helper"
    installed.mkdir(parents=True)
    here: dict[str, object] = {}
    exec(QUESTIONS, here)
    plain = dict(here["answers"])  # type: ignore[call-overload]
    # Code of no file, as of the interpreter's frozen modules.
    frozen = "code = compile(open('helper.py').read(), '<frozen helper>', 'exec')\nexec(code, {})"
    (folder / "helper.py").write_text(QUESTIONS + "\nimport json; print(json.dumps(answers))")
    assert _run(python, environ, "-c", frozen, cwd=folder)["byteorder"] == sys.byteorder
    for place in (tmp_path, installed):
        (place / "helper.py").write_text(QUESTIONS + "\nimport json; print(json.dumps(answers))")
        said = _run(python, environ, place / "helper.py", cwd=folder)
        # That is the one thing that nothing on this machine computes with.
        assert said.pop("architecture") == ["32bit", "ELF"]
        assert said == {name: answer for name, answer in plain.items() if name != "architecture"}
    assert not (tmp_path / "asked").exists()


def test_the_standard_library_works_while_a_project_is_answered_otherwise(
    python: Path, project: tuple[Path, dict[str, str]]
) -> None:
    folder, environ = project
    (folder / "setup.py").write_text("""
import array, base64, gzip, io, json, pickle, random, struct, sys, tarfile, uuid, zipfile
data = pickle.dumps([1.5, 2**70, "x" * 300, array.array("l", [1, 2])])
assert pickle.loads(data)[3].tolist() == [1, 2]
assert gzip.decompress(gzip.compress(data)) == data
buffer = io.BytesIO()
with zipfile.ZipFile(buffer, "w") as archive:
    archive.writestr("a", data)
assert zipfile.ZipFile(buffer).read("a") == data
random.seed(1); random.shuffle(list(range(100))); uuid.uuid4(); list(range(10))[: sys.maxsize]
sys.maxsize, sys.byteorder
print(json.dumps([struct.unpack("<IH", b"abcdef"), int.from_bytes(b"ab", "little")]))
""")
    assert _run(python, environ, "setup.py", cwd=folder) == [[0x64636261, 0x6665], 0x6261]


def test_what_a_project_asked_is_written_down_with_its_place(
    python: Path, project: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder, environ = project
    (folder / "setup.py").write_text(
        "import ctypes, sys\nwide = sys.maxsize > 2**32\nfor _ in 1, 2: sys.byteorder\n"
        "ctypes.sizeof(ctypes.c_long)\nprint(int(wide))\n"
    )
    assert _run(python, environ, "setup.py", cwd=folder) == 0
    trace = read_trace(tmp_path, {"source": (folder,)})
    assert trace.asked == (
        Question("setup.py:2", "sys.maxsize", answered=True),
        Question("setup.py:3", "sys.byteorder", answered=True),
        Question("setup.py:4", "ctypes.sizeof(c_long)", answered=False),
    )


def test_a_target_that_does_not_differ_changes_nothing(
    python: Path, project: tuple[Path, dict[str, str]]
) -> None:
    folder, environ = project
    same = {"XTOOL_CROSS_BITS": str(8 * struct.calcsize("P")), "XTOOL_CROSS_BYTEORDER": sys.byteorder}
    (folder / "setup.py").write_text(
        "import json, sys; print(json.dumps([type(sys).__module__, '_xtool_facts_shim' in sys.modules]))"
    )
    assert _run(python, {**environ, **same}, "setup.py", cwd=folder) == ["builtins", False]


def test_formats_are_written_as_this_machine_would_take_them() -> None:
    """Where the target is this machine, what is spelt out must come to what native mode does."""
    abi = Abi(
        {
            "XTOOL_CROSS_BITS": str(8 * struct.calcsize("P")),
            "XTOOL_CROSS_BYTEORDER": sys.byteorder,
            "XTOOL_CROSS_DOUBLE_ALIGNMENT": str(struct.calcsize("cd") - 8),
            "XTOOL_CROSS_LONG_DOUBLE": "16",
        }
    )
    for code in "cbB?hHiIlLqQnNPefd":
        texts = (code, f"c{code}", f"c2{code}h", f"3{code}c0{code}", f"@ 2s {code} x{code}")
        assert [struct.calcsize(abi.explicit(text)) for text in texts] == [struct.calcsize(t) for t in texts]
        assert all(abi.explicit(text).startswith("<>"[sys.byteorder == "big"]) for text in texts)
    values = (b"a", -2, 3.5, 7, b"text")
    assert struct.pack(abi.explicit("clfH5s"), *values) == struct.pack("clfH5s", *values)
    assert abi.explicit("cw") == "cw"


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
