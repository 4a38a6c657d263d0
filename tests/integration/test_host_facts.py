"""Facts of this machine must not get into a wheel of another: sizes, layouts, signs, byte order.

`tests/projects/abi-facts` reports what its C code and the interpreter that loads it make of the target's ABI,
and holds that against a table written from the ABI documents. The tests after the first spoil its build on
purpose, each in a way that projects get wrong, and expect that it is noticed.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import pytest
from support.commandline import xtool
from uv import find_uv_bin

PROJECT = Path(__file__).parent.parent / "projects" / "abi-facts"
TARGETS = ("s390x", "armv7l", "i686", "riscv64")
"""Big-endian; 32 bits with doubles aligned to 8 bytes, and to 4; and one whose `char` alone is another."""
NUMPY = "numpy==2.3.5"


def _build(
    cache: Path, outdir: Path, target: str, *words: str, project: Path = PROJECT, **environ: str
) -> dict[str, Any]:
    """What xtool says of a build for Python 3.13, as data."""
    options = ("--target", target, "--python", "3.13", "--outdir", str(outdir), "--output", "json")
    done = xtool(cache, "build", str(project), *options, *words, **environ)
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["exit_code"] == done.returncode
    return document


def _check(target: str, log: Path) -> tuple[str, str]:
    """The option that holds a build against the table, and keeps what was said."""
    return "--test-command", f"python {{project}}/check.py {target} > {shlex.quote(str(log))}"


def _error(document: dict[str, Any]) -> tuple[str, str]:
    """Code and facts of the one error of a build that failed."""
    assert document["exit_code"] == 1
    (error,) = document["errors"]
    return error["code"], "\n".join(error["facts"])


@pytest.fixture
def of_this_machine(tmp_path: Path) -> Path:
    """Facts of the machine that the tests run on, by the names that the project's `setup.py` has for them."""
    names = ("LONG", "VOID_P", "SIZE_T", "LONG_DOUBLE")
    facts = {f"SIZEOF_{name}": sysconfig.get_config_var(f"SIZEOF_{name}") for name in names}
    path = tmp_path / "facts.json"
    path.write_text(json.dumps({**facts, "BIGENDIAN": 0}))
    return path


@pytest.fixture
def pyconfig(tmp_path: Path) -> Path:
    """A `pyconfig.h` with all that the Python which runs the tests was configured with."""
    values = {name: value for name, value in sysconfig.get_config_vars().items() if isinstance(value, int)}
    defined = re.compile(r"(SIZEOF|ALIGNOF|HAVE|WITH|Py)_\w+|_\w+_SOURCE|_FILE_OFFSET_BITS|DOUBLE_IS_\w+")
    lines = [f"#define {n} {v}\n" for n, v in sorted(values.items()) if v and defined.fullmatch(n)]
    path = tmp_path / "pyconfig-of-this-machine.h"
    path.write_text(f"#ifndef Py_PYCONFIG_H\n#define Py_PYCONFIG_H\n{''.join(lines)}#endif\n")
    return path


@pytest.mark.parametrize("target", TARGETS)
def test_c_and_the_interpreter_are_what_the_abi_documents_say(
    shared_cache: Path, tmp_path: Path, target: str
) -> None:
    document = _build(shared_cache, tmp_path, target, *_check(target, tmp_path / "log"))
    log = (tmp_path / "log").read_text() if (tmp_path / "log").exists() else ""
    assert document["exit_code"] == 0, [document["errors"], log]
    (wheel,) = document["data"]["wheels"]
    assert wheel["smoke"]["status"] == "passed"
    right = re.fullmatch(rf"{target}: (\d+) facts are right, 0 are wrong\n", log)
    assert right is not None, log
    assert int(right[1]) > 190


LEAKS = {
    "s390x": ("facts", "XT_BIGENDIAN is not __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__"),
    "armv7l": ("facts", "XT_SIZEOF_LONG is not sizeof(long)"),
    "i686": ("pyconfig", "SIZEOF_LONG_DOUBLE is not sizeof(long double)"),
    "riscv64": ("pyconfig", "pyconfig.h is of another kind of processor"),
}


@pytest.mark.parametrize("target", TARGETS)
def test_a_leak_is_noticed_by_a_project_that_asserts(
    shared_cache: Path, tmp_path: Path, target: str, of_this_machine: Path, pyconfig: Path
) -> None:
    kind, assertion = LEAKS[target]
    leak = {"XT_LEAK": str(of_this_machine)} if kind == "facts" else {"XT_PYCONFIG": str(pyconfig)}
    code, facts = _error(_build(shared_cache, tmp_path, target, "--no-test", **leak))
    assert code == "build-failed"
    assert assertion in facts


TRUSTED = {
    "s390x": ("facts", "smoke-test", ""),
    "armv7l": ("facts", "foreign-header", "src/xt_config.h:6: XT_SIZEOF_LONG is 8; for armv7l it is 4"),
    "i686": ("facts", "foreign-header", "XT_SIZEOF_LONG_DOUBLE is 16; for i686 it is 12"),
    "riscv64": ("pyconfig", "foreign-header", "src/pyconfig.h:1: it stands in for Python's own"),
}


@pytest.mark.parametrize("target", TARGETS)
def test_a_leak_is_noticed_in_a_project_that_does_not(
    shared_cache: Path, tmp_path: Path, target: str, of_this_machine: Path, pyconfig: Path
) -> None:
    """xtool refuses what it can see in the headers; what it cannot is found when the wheel is tested."""
    kind, expected, said = TRUSTED[target]
    leak = {"XT_LEAK": str(of_this_machine)} if kind == "facts" else {"XT_PYCONFIG": str(pyconfig)}
    log = tmp_path / "log"
    document = _build(shared_cache, tmp_path, target, *_check(target, log), XT_TRUSTING="1", **leak)
    code, facts = _error(document)
    assert (code, said in facts) == (expected, True), facts
    if code == "smoke-test":
        assert "BIGENDIAN of setup.py: False, and not True\n" in log.read_text()
        assert "1 are wrong" in log.read_text()
    assert list(tmp_path.glob("*.whl")) == []


def test_flags_of_this_machine_show_when_the_wheel_is_tested(shared_cache: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    flags = {"XTOOL_CFLAGS_RISCV64": "-fsigned-char"}
    code, _ = _error(_build(shared_cache, tmp_path, "riscv64", *_check("riscv64", log), **flags))
    assert code == "smoke-test"
    assert log.read_text().splitlines()[0] == "char signed: True, and not False"


def test_a_header_that_the_project_ships_is_warned_of(shared_cache: Path, tmp_path: Path) -> None:
    """In its place it may say something else than alone; one that asks the compiler is right anywhere."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "left.h").write_text("/* From an earlier build. */\n#define SIZEOF_LONG 8\n")
    (project / "asks.h").write_text(
        "#ifdef __LP64__\n#define SIZEOF_VOID_P 8\n#else\n#define SIZEOF_VOID_P 4\n#endif\n"
        "#define SIZEOF_SIZE_T __SIZEOF_SIZE_T__\n"
    )
    (project / "demo.c").write_text(
        '#include <Python.h>\n#undef SIZEOF_LONG\n#include "left.h"\n#undef SIZEOF_VOID_P\n'
        '#undef SIZEOF_SIZE_T\n#include "asks.h"\n'
        'static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "demo", .m_size = -1};\n'
        "PyMODINIT_FUNC PyInit_demo(void) { return PyModule_Create(&module); }\n"
    )
    (project / "setup.py").write_text(
        "from setuptools import Extension, setup\n"
        "setup(name='demo', version='1', py_modules=[], ext_modules=[Extension('demo', ['demo.c'])])\n"
    )
    options = ("--target", "i686", "--python", "3.13", "--no-test", "--outdir", str(tmp_path / "out"))
    done = xtool(shared_cache, "build", str(project), *options)
    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning:")]
    said = "left.h:2: SIZEOF_LONG is 8; for i686 it is 4"
    assert warnings == [f"warning: a header seems to be made for another machine: {said}"]


@pytest.fixture
def uses_numpy(tmp_path: Path) -> Path:
    """A project that is compiled with the headers of NumPy, which its build requires."""
    folder = tmp_path / "uses-numpy"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        f'[build-system]\nrequires = ["setuptools", "{NUMPY}"]\nbuild-backend = "setuptools.build_meta"\n'
        '[project]\nname = "xt-uses-numpy"\nversion = "1.0"\n'
    )
    (folder / "setup.py").write_text(
        "import numpy\nfrom setuptools import Extension, setup\n"
        "setup(py_modules=[], ext_modules=[\n"
        "    Extension('xt_uses_numpy', ['uses.c'], include_dirs=[numpy.get_include()])])\n"
    )
    (folder / "uses.c").write_text(
        "#include <Python.h>\n#define NPY_NO_DEPRECATED_API NPY_1_7_API_VERSION\n"
        "#include <numpy/arrayobject.h>\n"
        'static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "xt", .m_size = -1};\n'
        "PyMODINIT_FUNC PyInit_xt_uses_numpy(void) {\n"
        "    PyObject *made = PyModule_Create(&module);\n"
        '    if (made != NULL) PyModule_AddIntConstant(made, "int64", sizeof(npy_int64));\n'
        "    return made;\n}\n"
    )
    return folder


def test_numpys_headers_of_this_machine_are_refused(
    shared_cache: Path, tmp_path: Path, uses_numpy: Path
) -> None:
    """`npy_int64` would have 4 bytes: NumPy's header says that `long` has 8."""
    code, facts = _error(_build(shared_cache, tmp_path, "i686", project=uses_numpy))
    assert code == "foreign-header"
    assert re.search(r"_numpyconfig\.h:\d+: NPY_SIZEOF_LONG is 8; for i686 it is 4", facts)
    # The cure that the error names: the same headers as NumPy makes them on the target.
    installed = tmp_path / "numpy"
    uv = [find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--target", str(installed), NUMPY]
    subprocess.run([*uv, "--python-version", "3.13", "--only-binary", ":all:"], check=True)
    headers = Path(shutil.copytree(installed / "numpy" / "_core" / "include", tmp_path / "of-the-target"))
    config = headers / "numpy" / "_numpyconfig.h"
    text = config.read_text()
    for name, size in (("LONG", 4), ("LONGDOUBLE", 12), ("PY_INTPTR_T", 4), ("INTP", 4), ("UINTP", 4)):
        text, count = re.subn(rf"(#define NPY_SIZEOF_{name}) \d+", rf"\1 {size}", text)
        assert count == 1
    config.write_text(text)
    test = ("--test-command", "python -c 'import xt_uses_numpy; assert xt_uses_numpy.int64 == 8'")
    own = {"XTOOL_CFLAGS_I686": f"-I{headers}"}
    document = _build(shared_cache, tmp_path, "i686", *test, project=uses_numpy, **own)
    assert document["exit_code"] == 0, document["errors"]
