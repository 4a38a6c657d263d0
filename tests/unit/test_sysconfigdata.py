"""The rewritten build-time variables: the ABI stays, places and flags of the target's own build go."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from xtool.catalog import Catalog
from xtool.errors import CatalogError
from xtool.kit import TargetPython
from xtool.python.sysconfigdata import build_details, write_build_details, write_cross_sysconfig
from xtool.python.target import read_sysconfig
from xtool.targets import Target

TOOLS = {
    "CC": "x-gcc",
    "CXX": "x-g++",
    "AR": "x-ar",
    "LDSHARED": "x-gcc -shared",
    "LDCXXSHARED": "x-g++ -shared",
}


@pytest.fixture
def target() -> Target:
    return Catalog().target("ppc64le")


def make_python(full_version: str = "3.13.5", **variables: str | int) -> TargetPython:
    return TargetPython(
        root=Path("/root-of-target"),
        executable=Path("/root-of-target/usr/bin/python3.13"),
        version="3.13",
        full_version=full_version,
        source="debian",
        includes=(Path("/root-of-target/usr/include/python3.13"),),
        sysconfig={"MULTIARCH": "powerpc64le-linux-gnu", "MACHDEP": "linux", "ABIFLAGS": "", **variables},
        glibc=(2, 41),
        ext_suffix=".cpython-313-powerpc64le-linux-gnu.so",
    )


def written(folder: Path, target: Target, python: TargetPython) -> dict[str, str | int]:
    cross = write_cross_sysconfig(folder, target, python, TOOLS)
    assert [path.name for path in folder.iterdir()] == [f"{cross.name}.py"]
    assert cross.platform == "linux-ppc64le"
    return read_sysconfig(folder)[1]


def test_abi_stays(target: Target, tmp_path: Path) -> None:
    abi = {
        "EXT_SUFFIX": ".cpython-313-powerpc64le-linux-gnu.so",
        "SOABI": "cpython-313-powerpc64le-linux-gnu",
        "SIZEOF_LONG": 8,
        "HAVE_FORK": 1,
        "Py_GIL_DISABLED": 0,
        "VERSION": "3.13",
        "CCSHARED": "-fPIC",
        "SHLIB_SUFFIX": ".so",
    }
    found = written(tmp_path / "s", target, make_python(**abi))
    assert {name: found[name] for name in abi} == abi


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CFLAGS", "-g -O2"),
        ("PY_CFLAGS_NODIST", "-fstack-protector"),
        ("LDFLAGS", "-Wl,-z,relro"),
        ("OPT", "-DNDEBUG -O2"),
        ("LIBS", "-ldl"),
        ("BLDLIBRARY", "-lpython3.13"),
        ("LIBDIR", "/usr/lib/powerpc64le-linux-gnu"),
        ("LIBPL", "/usr/lib/python3.13/config-3.13"),
        ("CONFIG_ARGS", "'--prefix=/usr'"),
        ("MODULE_X", "-I/usr/include/uuid"),
    ],
)
def test_flags_and_places_of_the_targets_own_build_go(
    target: Target, tmp_path: Path, name: str, value: str
) -> None:
    assert written(tmp_path / "s", target, make_python(**{name: value})).get(name, "") == ""


def test_prefixes_stay_the_build_interpreters(target: Target, tmp_path: Path) -> None:
    found = written(tmp_path / "s", target, make_python(prefix="/usr", exec_prefix="/usr"))
    assert "prefix" not in found
    assert "exec_prefix" not in found


def test_tools_and_headers_are_this_machines(target: Target, tmp_path: Path) -> None:
    python = make_python(CC="powerpc64le-linux-gnu-gcc", LDSHARED="gcc -shared -Wl,-O1", Py_ENABLE_SHARED=1)
    found = written(tmp_path / "s", target, python)
    assert {name: found[name] for name in TOOLS} == TOOLS
    assert found["BLDSHARED"] == "x-gcc -shared"
    assert found["LINKCC"] == "x-gcc"
    assert found["INCLUDEPY"] == found["CONFINCLUDEPY"] == "/root-of-target/usr/include/python3.13"
    assert found["Py_ENABLE_SHARED"] == 0


def test_no_interpreter_has_a_module_of_the_same_name(target: Target, tmp_path: Path) -> None:
    plain = write_cross_sysconfig(tmp_path / "a", target, make_python(), TOOLS)
    threaded = write_cross_sysconfig(tmp_path / "b", target, make_python(ABIFLAGS="t"), TOOLS)
    assert plain.name == "_sysconfigdata__linux_powerpc64le-linux-gnu_xtool"
    assert threaded.name == "_sysconfigdata_t_linux_powerpc64le-linux-gnu_xtool"


def test_order_of_variables_does_not_matter(target: Target, tmp_path: Path) -> None:
    one = write_cross_sysconfig(tmp_path / "a", target, make_python(A="1", B="2"), TOOLS)
    two = write_cross_sysconfig(
        tmp_path / "b", target, make_python(B="2", A="1"), dict(reversed(TOOLS.items()))
    )
    texts = [(cross.folder / f"{cross.name}.py").read_bytes() for cross in (one, two)]
    assert texts[0] == texts[1]
    ast.parse(texts[0])


@pytest.mark.parametrize(
    ("version", "level", "serial", "hexversion"),
    [
        ("3.13.5", "final", 0, 0x030D05F0),
        ("3.14.0rc2", "candidate", 2, 0x030E00C2),
        ("3.15.0a1", "alpha", 1, 0x030F00A1),
    ],
)
def test_build_details_tell_the_release(
    target: Target, version: str, level: str, serial: int, hexversion: int
) -> None:
    implementation = build_details(target, make_python(version))["implementation"]
    assert isinstance(implementation, dict)
    assert implementation["hexversion"] == hexversion
    assert implementation["version"]["releaselevel"] == level
    assert implementation["version"]["serial"] == serial


def test_without_the_gil_the_module_bears_a_letter(target: Target, tmp_path: Path) -> None:
    """CPython looks for `_sysconfigdata_{abiflags}_{platform}_{multiarch}` (Lib/sysconfig)."""
    tag = ".cpython-313t-powerpc64le-linux-gnu.so"
    python = make_python(ABIFLAGS="t", Py_GIL_DISABLED=1, EXT_SUFFIX=tag, SOABI=tag[1:-3])
    made = write_cross_sysconfig(tmp_path, target, python, TOOLS)
    assert made.name.startswith("_sysconfigdata_t_linux_powerpc64le-linux-gnu")
    found: dict[str, object] = {}
    exec((tmp_path / f"{made.name}.py").read_text(), found)
    variables = found["build_time_vars"]
    assert isinstance(variables, dict)
    assert (variables["Py_GIL_DISABLED"], variables["EXT_SUFFIX"]) == (1, tag)


def test_build_details_hold_what_meson_reads(target: Target, tmp_path: Path) -> None:
    path = write_build_details(tmp_path / "d" / "build-details.json", target, make_python(Py_GIL_DISABLED=1))
    details = json.loads(path.read_text())
    assert details["schema_version"] == "1.0"
    assert details["platform"] == "linux-ppc64le"
    assert details["language"]["version"] == "3.13"
    assert details["abi"]["flags"] == ["t"]
    assert details["abi"]["extension_suffix"] == ".cpython-313-powerpc64le-linux-gnu.so"
    # Without the GIL no file of the stable ABI is looked for (Python/dynload_shlib.c).
    assert "stable_abi_suffix" not in details["abi"]
    assert details["suffixes"]["extensions"] == [".cpython-313-powerpc64le-linux-gnu.so", ".so"]
    with_gil = build_details(target, make_python())
    assert with_gil["abi"]["stable_abi_suffix"] == ".abi3.so"
    assert ".abi3.so" in with_gil["suffixes"]["extensions"]
    assert details["libpython"] == {"link_extensions": False}
    assert details["c_api"]["headers"] == "/root-of-target/usr/include/python3.13"


def test_stdlib_without_variables_is_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="no build-time variables"):
        read_sysconfig(tmp_path)
    (tmp_path / "_sysconfigdata__x.py").write_text("something_else = {}\n")
    with pytest.raises(CatalogError) as caught:
        read_sysconfig(tmp_path)
    assert "_sysconfigdata__x.py" in caught.value.facts[0]


def test_variables_are_read_without_running_the_file(tmp_path: Path) -> None:
    file = tmp_path / "_sysconfigdata__x.py"
    file.write_text("raise SystemExit\nbuild_time_vars = {'A': 1, 'B': 'two'}\n")
    assert read_sysconfig(tmp_path) == ("_sysconfigdata__x", {"A": 1, "B": "two"})
    file.write_text("build_time_vars = {'A': __import__('os').getcwd()}\n")
    with pytest.raises(CatalogError):
        read_sysconfig(tmp_path)
