"""x86_64 as a target on an x86_64 host, where an ELF header does not tell host and target apart."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from support.commandline import xtool

PYPROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "xt-own"
version = "1"
"""

SETUP = """\
import subprocess
from setuptools import setup, Extension
from setuptools.command.build_ext import build_ext

class ByHand(build_ext):
    def build_extension(self, extension):
        include = self.include_dirs[0] if self.include_dirs else ""
        import sysconfig
        path = self.get_ext_fullpath(extension.name)
        self.mkpath(path.rpartition("/")[0])
        subprocess.check_call(
            [{compiler!r}, "-shared", "-fPIC", "-O1", *{flags!r}, "-I" + sysconfig.get_path("include"),
             "xt_own.c", "-o", path])

setup(ext_modules=[Extension("xt_own", ["xt_own.c"])], cmdclass={{"build_ext": ByHand}})
"""

SOURCE = """\
#include <Python.h>
#include <features.h>
{more}
static PyObject *facts(PyObject *self, PyObject *none) {{
  return Py_BuildValue("(iis)", __GLIBC_MINOR__, {value}, __VERSION__);
}}
static PyMethodDef methods[] = {{{{"facts", facts, METH_NOARGS, ""}}, {{0}}}};
static struct PyModuleDef module = {{PyModuleDef_HEAD_INIT, "xt_own", "", -1, methods}};
PyMODINIT_FUNC PyInit_xt_own(void) {{ return PyModule_Create(&module); }}
"""

SSE3 = """\
#include <xmmintrin.h>
static int sum(void) {
  __m128 v = _mm_set1_ps(1.5f);
  __asm__ volatile ("haddps %0, %0" : "+x"(v));
  return (int)_mm_cvtss_f32(v);
}
"""


def project(
    folder: Path, *, compiler: str, flags: tuple[str, ...] = (), more: str = "", value: str = "0"
) -> Path:
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "setup.py").write_text(SETUP.format(compiler=compiler, flags=flags))
    (folder / "xt_own.c").write_text(SOURCE.format(more=more, value=value))
    return folder


def build(cache: Path, source: Path, *words: str) -> tuple[dict[str, Any], str]:
    command = ("build", str(source), "--target", "x86_64", "--outdir", str(source.parent / "out"))
    done = xtool(cache, *command, "--output", "json", *words)
    return json.loads(done.stdout), done.stderr


def test_a_compiler_that_is_named_plainly_is_the_targets(shared_cache: Path, tmp_path: Path) -> None:
    """`gcc` in a build is xtool's: it reads the floor's headers, and its version stands in the file."""
    source = project(tmp_path / "plain", compiler="gcc")
    command = "python -c 'import xt_own; print(xt_own.facts()); assert xt_own.facts()[0] == 17'"
    document, said = build(shared_cache, source, "--test-command", command)
    assert document["status"] == "success", said
    (wheel,) = document["data"]["wheels"]
    assert (wheel["platform_tag"], wheel["glibc_required"]) == (
        "manylinux2014_x86_64.manylinux_2_17_x86_64",
        wheel["glibc_required"],
    )
    assert wheel["warnings"] == []
    assert wheel["smoke"]["status"] == "passed"
    with zipfile.ZipFile(wheel["path"]) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".so")]
        assert name == "xt_own.cpython-313-x86_64-linux-gnu.so"
        assert b") 14.2.0" in archive.read(name)


def test_the_hosts_compiler_by_its_path_is_refused(shared_cache: Path, tmp_path: Path) -> None:
    """It links with the `ld` on PATH, which is xtool's and writes down what it opens."""
    document, _ = build(shared_cache, project(tmp_path / "byhand", compiler=_hosts_gcc()))
    assert (document["exit_code"], document["errors"][0]["code"]) == (1, "host-leak")
    assert any("crtbeginS.o" in fact for fact in document["errors"][0]["facts"])


def test_the_hosts_compiler_and_linker_are_named(shared_cache: Path, tmp_path: Path) -> None:
    """Where nothing of xtool's takes part, the compiler's name in the file is what is left."""
    host = _hosts_gcc()
    source = project(tmp_path / "byhand", compiler=host, flags=(f"-B{Path(host).parent}/",))
    document, said = build(shared_cache, source)
    assert document["status"] == "success", said
    version = subprocess.run([host, "-dumpfullversion"], capture_output=True, text=True, check=True)
    (wheel,) = document["data"]["wheels"]
    assert "xt_own.cpython-313-x86_64-linux-gnu.so: was made by" in said
    assert f") {version.stdout.strip()}, not by xtool's GCC 14.2.0" in said
    assert any("was made by" in warning for warning in wheel["warnings"])


def _hosts_gcc() -> str:
    host = shutil.which("gcc")
    assert host is not None, "this test needs the host's GCC"
    return host


def test_code_above_the_baseline_does_not_pass_its_test(shared_cache: Path, tmp_path: Path) -> None:
    """x86-64-v1 ends with SSE2; every machine that tests run on has more."""
    source = project(tmp_path / "sse3", compiler="gcc", more=SSE3, value="sum()")
    command = "python -c 'import xt_own; print(xt_own.facts())'"
    document, _ = build(shared_cache, source, "--test-command", command)
    assert document["exit_code"] == 1
    assert "SIGILL" in document["errors"][0]["message"]
    assert "qemu64" in document["errors"][0]["hint"]


@pytest.mark.parametrize("options", [("-I",), ()])
def test_the_build_python_answers_for_the_target(
    shared_cache: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """Its own build-time variables have the target's name, so they must not be found first."""
    source = tmp_path / "asks"
    source.mkdir()
    (source / "pyproject.toml").write_text(PYPROJECT)
    (source / "setup.py").write_text(
        "import subprocess, sys\n"
        "from setuptools import setup, Extension\n"
        'code = \'import sysconfig as s; print(s.get_config_var("CC"), s.get_config_var("INCLUDEPY"))\'\n'
        f"said = subprocess.check_output([sys.executable, *{options!r}, '-c', code], text=True)\n"
        "compiler, include = said.split()\n"
        "assert compiler == 'x86_64-linux-gnu-gcc' and '/python3.13-x86_64-' in include, said\n"
        "setup(ext_modules=[Extension('xt_own', ['xt_own.c'])])\n"
    )
    (source / "xt_own.c").write_text(SOURCE.format(more="", value="0"))
    document, said = build(shared_cache, source, "--no-test")
    assert document["status"] == "success", said
    assert sys.executable not in said
