"""Repair of a foreign wheel with real files: a compiler's code, auditwheel and patchelf as they are."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support.elfforge import SUFFIX, wheel

from xtool.catalog import Catalog
from xtool.context import Context
from xtool.elf import read_elf
from xtool.errors import WheelRejected
from xtool.targets import Glibc
from xtool.wheel.judge import judge
from xtool.wheel.repair import repair
from xtool.wheel.wheelfile import open_wheel

PPC64LE = Catalog().target("ppc64le")
EXTENSION = f"demo/_x{SUFFIX}"
TAGS = "manylinux2014_ppc64le.manylinux_2_17_ppc64le"

LIBRARY = "unsigned long strlen(const char *); unsigned long size(const char *s) { return strlen(s); }"
NEWER = """
    int getentropy(void *, unsigned long);
    unsigned long size(const char *s) { return getentropy((void *)s, 1); }
"""
MODULE = """
    extern void *PyModule_Create2(void *, int);
    extern unsigned long size(const char *);
    unsigned long used(const char *s) { return size(s); }
    void *PyInit__x(void) { return PyModule_Create2(0, 1013); }
"""
ALONE = f"""
    {LIBRARY}
    extern void *PyModule_Create2(void *, int);
    void *PyInit__x(void) {{ return PyModule_Create2(0, 1013); }}
"""

Compile = Callable[..., Path]


@pytest.fixture(scope="module")
def compile_(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """`compile_(source, name, *options)` gives a shared object of ppc64le, made by the `ziglang` package."""
    folder = tmp_path_factory.mktemp("zig")
    env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "ZIG_GLOBAL_CACHE_DIR": str(folder / "cache")}

    def run(source: str, name: str, *options: str | Path, target: str = "powerpc64le-linux-gnu.2.19") -> Path:
        output = tmp_path_factory.mktemp("built") / name
        argv = [sys.executable, "-m", "ziglang", "cc", "-target", target, "-shared", "-fPIC", "-g", "-O1"]
        subprocess.run(
            [*argv, "-x", "c", "-", "-x", "none", *map(str, options), "-o", str(output)],
            input=textwrap.dedent(source),
            text=True,
            env=env,
            check=True,
        )
        return output

    return run


@pytest.fixture
def linked(compile_: Compile) -> tuple[Path, Path]:
    """An extension that needs libdemo.so.1, and that library."""
    library = compile_(LIBRARY, "libdemo.so.1", "-Wl,-soname,libdemo.so.1")
    return compile_(MODULE, "_x.so", library), library


def _audited(path: Path) -> str:
    """The tag that auditwheel itself finds, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "auditwheel", "show", "--json", str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    return str(json.loads(done.stdout)["overall_tag"])


def _repaired(
    ctx: Context,
    folder: Path,
    files: dict[str, bytes],
    *libraries: Path,
    glibc: Glibc = (2, 17),
    **settings: Path,
) -> Path:
    raw = folder / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    made = wheel(raw, {"demo/__init__.py": b"", **files})
    dirs = [library.parent for library in libraries]
    outdir = folder / "wheelhouse"
    return repair(ctx, made, target=PPC64LE, glibc=glibc, library_dirs=dirs, outdir=outdir, **settings)


def test_a_library_is_grafted_into_a_foreign_wheel(
    ctx: Context, tmp_path: Path, linked: tuple[Path, Path]
) -> None:
    extension, library = linked
    made = _repaired(ctx, tmp_path, {EXTENSION: extension.read_bytes()}, library)
    assert made.name == f"demo-1.0-cp313-cp313-{TAGS}.whl"
    with open_wheel(made) as opened:
        (grafted,) = [n for n in opened.names if n.startswith("demo.libs/libdemo-")]
        facts = read_elf(opened.read(EXTENSION))
        assert facts.needed[0] == grafted.removeprefix("demo.libs/")
        assert facts.rpath == ("$ORIGIN/../demo.libs",)
        assert read_elf(opened.read(grafted)).soname == grafted.removeprefix("demo.libs/")
    verdict = judge(made, target=PPC64LE, python="3.13", glibc=(2, 17))
    assert verdict.findings == ()
    assert verdict.earned_tag == _audited(made) == "manylinux_2_17_ppc64le"
    again = _repaired(ctx, tmp_path / "again", {EXTENSION: extension.read_bytes()}, library)
    assert again.read_bytes() == made.read_bytes()


def test_a_wheel_that_needs_nothing_is_renamed_and_nothing_else(
    ctx: Context, tmp_path: Path, compile_: Compile
) -> None:
    data = compile_(ALONE, "_x.so").read_bytes()
    made = _repaired(ctx, tmp_path, {EXTENSION: data})
    assert made.name == f"demo-1.0-cp313-cp313-{TAGS}.whl"
    with open_wheel(made) as opened:
        assert opened.read(EXTENSION) == data
        assert opened.wheel_info["Tag"] == [f"cp313-cp313-{tag}" for tag in TAGS.split(".")]
    assert judge(made, target=PPC64LE, python="3.13", glibc=(2, 17)).findings == ()
    assert _audited(made) == "manylinux_2_17_ppc64le"


def test_the_tag_is_never_older_than_the_floor(ctx: Context, tmp_path: Path, compile_: Compile) -> None:
    data = compile_(ALONE, "_x.so").read_bytes()
    made = _repaired(ctx, tmp_path, {EXTENSION: data}, glibc=(2, 28))
    assert made.name == "demo-1.0-cp313-cp313-manylinux_2_28_ppc64le.whl"


def test_a_library_that_needs_a_newer_system_is_refused(
    ctx: Context, tmp_path: Path, compile_: Compile, linked: tuple[Path, Path]
) -> None:
    newer = compile_(NEWER, "libdemo.so.1", "-Wl,-soname,libdemo.so.1", target="powerpc64le-linux-gnu.2.28")
    with pytest.raises(WheelRejected) as caught:
        _repaired(ctx, tmp_path, {EXTENSION: linked[0].read_bytes()}, newer)
    assert "demo.libs/libdemo-" in caught.value.facts[0]
    assert "getentropy@GLIBC_2.25" in caught.value.facts[0]
    assert "--glibc 2.26" in (caught.value.hint or "")
    assert list((tmp_path / "wheelhouse").iterdir()) == []


def test_a_library_that_is_nowhere_is_refused(
    ctx: Context, tmp_path: Path, linked: tuple[Path, Path]
) -> None:
    with pytest.raises(WheelRejected) as caught:
        _repaired(ctx, tmp_path, {EXTENSION: linked[0].read_bytes()})
    assert "libdemo.so.1" in caught.value.facts[0]
    assert caught.value.code == "library"


def test_a_library_of_another_machine_is_not_grafted(
    ctx: Context, tmp_path: Path, compile_: Compile, linked: tuple[Path, Path]
) -> None:
    host = compile_("int x;", "libdemo.so.1", "-nostdlib", target="x86_64-linux-gnu")
    with pytest.raises(WheelRejected) as caught:
        _repaired(ctx, tmp_path, {EXTENSION: linked[0].read_bytes()}, host)
    assert "libdemo.so.1" in caught.value.facts[0]


def test_code_of_the_host_is_refused(ctx: Context, tmp_path: Path, compile_: Compile) -> None:
    host = compile_("int x;", "_x.so", "-nostdlib", target="x86_64-linux-gnu")
    with pytest.raises(WheelRejected) as caught:
        _repaired(ctx, tmp_path, {EXTENSION: host.read_bytes()})
    assert "is built for x86_64, not for ppc64le" in caught.value.facts[0]


def test_paths_of_the_build_machine_and_libpython_are_taken_out(
    ctx: Context, tmp_path: Path, compile_: Compile
) -> None:
    source = "void *PyModule_Create2(void *a, int b) { return b ? a : 0; }"
    python = compile_(source, "libpython3.13.so.1.0", "-nostdlib", "-Wl,-soname,libpython3.13.so.1.0")
    extension = compile_(ALONE, "_x.so", python, "-Wl,-rpath,/build/lib:$ORIGIN/x")
    assert "libpython3.13.so.1.0" in read_elf(extension).needed
    made = _repaired(ctx, tmp_path, {EXTENSION: extension.read_bytes()})
    with open_wheel(made) as opened:
        facts = read_elf(opened.read(EXTENSION))
    assert facts.needed == ("libc.so.6",)
    assert "/build/lib" not in (*facts.rpath, *facts.runpath)
    assert judge(made, target=PPC64LE, python="3.13", glibc=(2, 17)).findings == ()
    assert _audited(made) == "manylinux_2_17_ppc64le"


def test_what_strip_leaves_is_what_is_packed(ctx: Context, tmp_path: Path, compile_: Compile) -> None:
    full = compile_(ALONE, "_x.so")
    small = compile_(ALONE, "_x.so", "-s")
    assert read_elf(full).debug_sections
    assert not read_elf(small).debug_sections
    strip = tmp_path / "strip"
    strip.write_text(f'#!/bin/sh\n[ "$1" = --strip-unneeded ] && cat {small} > "$2"\n')
    strip.chmod(0o755)
    made = _repaired(ctx, tmp_path, {EXTENSION: full.read_bytes()}, strip=strip)
    with open_wheel(made) as opened:
        assert opened.read(EXTENSION) == small.read_bytes()


def test_a_pure_wheel_keeps_its_tag(ctx: Context, tmp_path: Path) -> None:
    made = wheel(tmp_path, {"demo.py": b""}, tag="py3-none-any", purelib=True)
    outdir = tmp_path / "out"
    result = repair(ctx, made, target=PPC64LE, glibc=(2, 17), library_dirs=[], outdir=outdir)
    assert result.name == "demo-1.0-py3-none-any.whl"
    verdict = judge(result, target=PPC64LE, python="3.13", glibc=(2, 17))
    assert (verdict.findings, verdict.earned_tag) == ((), "any")


def test_nothing_of_this_machine_reaches_the_wheel(
    ctx: Context, tmp_path: Path, linked: tuple[Path, Path]
) -> None:
    made = _repaired(ctx, tmp_path, {EXTENSION: linked[0].read_bytes()}, linked[1])
    with zipfile.ZipFile(made) as archive:
        assert not [n for n in archive.namelist() if "sbom" in n]
        assert {i.date_time for i in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
