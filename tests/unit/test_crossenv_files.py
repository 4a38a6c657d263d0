"""What CMake and meson are told."""

from __future__ import annotations

import ast
import configparser
from pathlib import Path

import pytest

from xtool.catalog import Catalog
from xtool.crossenv.files import cmake_toolchain, meson_cross_file
from xtool.kit import Emulator, Kit, Sysroot, TargetPython, Toolchain
from xtool.targets import Host

BIN = Path("/env it's/bin")


@pytest.fixture
def kit() -> Kit:
    target = Catalog().target("ppc64le")
    python = TargetPython(
        root=Path("/target root"),
        executable=Path("/target root/usr/bin/python3.13"),
        version="3.13",
        full_version="3.13.5",
        source="debian",
        includes=(Path("/target root/usr/include/python3.13"),),
        sysconfig={},
        glibc=(2, 41),
        ext_suffix=".cpython-313-powerpc64le-linux-gnu.so",
    )
    return Kit(
        host=Host("x86_64", "x86_64-linux-gnu", "amd64", "ld-linux-x86-64.so.2"),
        target=target,
        toolchain=Toolchain(Path("/gcc"), Path("/gcc/bin"), target.triplet, "14.2.0", ("c", "c++")),
        sysroot=Sysroot(Path("/sys root"), (2, 17), "derived"),
        emulator=Emulator(Path("/qemu"), "power8"),
        pythons={"3.13": python},
        build_pythons={},
        lock_digest="",
    )


def test_the_meson_cross_file_says_what_the_target_is(kit: Kit) -> None:
    parser = configparser.RawConfigParser()
    parser.read_string(meson_cross_file(kit, kit.pythons["3.13"], BIN))
    assert ast.literal_eval(parser["binaries"]["c"]) == f"{BIN}/powerpc64le-linux-gnu-gcc"
    assert ast.literal_eval(parser["binaries"]["exe_wrapper"])[:3] == ["/qemu", "-cpu", "power8"]
    assert "fortran" not in parser["binaries"]
    assert ast.literal_eval(parser["properties"]["longdouble_format"]) == "IBM_DOUBLE_DOUBLE_LE"
    assert ast.literal_eval(parser["properties"]["sys_root"]) == "/sys root"
    assert parser["properties"]["needs_exe_wrapper"] == "true"
    machine = {name: ast.literal_eval(value) for name, value in parser["host_machine"].items()}
    assert machine == {"system": "linux", "cpu_family": "ppc64", "cpu": "power8", "endian": "little"}


def test_the_cmake_toolchain_file_looks_for_files_in_the_sysroot_only(kit: Kit) -> None:
    lines = cmake_toolchain(kit, kit.pythons["3.13"], BIN, {"PYTHONPATH": "/data"}).splitlines()
    assert "set(CMAKE_SYSTEM_NAME Linux)" in lines
    assert "set(CMAKE_SYSTEM_PROCESSOR ppc64le)" in lines
    assert f"set(CMAKE_CXX_COMPILER [==[{BIN}/powerpc64le-linux-gnu-g++]==])" in lines
    assert "set(CMAKE_CROSSCOMPILING_EMULATOR [==[/qemu;-cpu;power8;-L;/target root]==])" in lines
    assert "set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)" in lines
    assert "set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)" in lines
    assert "set(Python_SOABI [==[cpython-313-powerpc64le-linux-gnu]==])" in lines
    assert "set(ENV{PYTHONPATH} [==[/data]==])" in lines
