"""What CMake and meson are told about a cross build, as the files that they read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from xtool.crossenv.asked import PKG_CONFIG, emulator_command, pkgconfig_folders
from xtool.kit import Kit, TargetPython


def cmake_toolchain(kit: Kit, python: TargetPython, bindir: Path, sysconfig: Mapping[str, str]) -> str:
    """A CMake toolchain file (cmake-toolchains(7)).

    Args:
        kit: the kit.
        python: the target's Python.
        bindir: folder of the compiler wrappers.
        sysconfig: variables that make the build Python's `sysconfig` answer for the target.
    """
    triplet = kit.target.triplet
    tools = {
        "CMAKE_C_COMPILER": "gcc",
        "CMAKE_CXX_COMPILER": "g++",
        "CMAKE_ASM_COMPILER": "gcc",
        **({"CMAKE_Fortran_COMPILER": "gfortran"} if "fortran" in kit.toolchain.languages else {}),
        "CMAKE_AR": "ar",
        "CMAKE_RANLIB": "ranlib",
        "CMAKE_STRIP": "strip",
        "CMAKE_NM": "nm",
        "CMAKE_OBJCOPY": "objcopy",
        "CMAKE_OBJDUMP": "objdump",
        "CMAKE_LINKER": "ld",
    }
    emulator = ";".join(emulator_command(kit, python))
    lines = [
        f"# Written by xtool: CMake toolchain file for {kit.target.name}.",
        "set(CMAKE_SYSTEM_NAME Linux)",
        f"set(CMAKE_SYSTEM_PROCESSOR {kit.target.name})",
        f"set(CMAKE_LIBRARY_ARCHITECTURE {kit.target.multiarch})",
        *(f"set({variable} {_cmake(bindir / f'{triplet}-{tool}')})" for variable, tool in tools.items()),
        f"set(PKG_CONFIG_EXECUTABLE {_cmake(bindir / f'{triplet}-{PKG_CONFIG}')})",
        f"set(CMAKE_SYSROOT {_cmake(kit.sysroot.path)})",
        f"set(CMAKE_CROSSCOMPILING_EMULATOR {_cmake(emulator)})",
        f"list(APPEND CMAKE_FIND_ROOT_PATH {_cmake(kit.sysroot.path)})",
        "set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)",
        "set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)",
        "set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)",
        # Packages of the build environment (pybind11) bring CMake files; what they find is still checked.
        "set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE BOTH)",
        "set(CMAKE_FIND_USE_CMAKE_SYSTEM_PATH OFF)",
    ]
    build_python = kit.build_pythons.get(python.version)
    for prefix in ("Python", "Python3"):
        if build_python is not None:
            # Another version's, which may come first on PATH, would not go with the headers.
            named = f"{prefix}_EXECUTABLE"
            lines.append(
                f"if(NOT DEFINED {named})\n  set({named} {_cmake(build_python.executable)})\nendif()"
            )
        lines += [
            f"set({prefix}_INCLUDE_DIR {_cmake(python.includes[0])})",
            f"set({prefix}_INCLUDE_DIRS {_cmake(';'.join(str(path) for path in python.includes))})",
            f"set({prefix}_SOABI {_cmake(soabi(python))})",
        ]
    # FindPython asks the interpreter for the suffix of extension modules, whatever is set here.
    lines += [f"set(ENV{{{name}}} {_cmake(value)})" for name, value in sorted(sysconfig.items())]
    lines += [
        f"set(PYTHON_INCLUDE_DIR {_cmake(python.includes[0])})",
        f"set(PYTHON_MODULE_EXTENSION {_cmake(python.ext_suffix)})",
    ]
    return "\n".join(lines) + "\n"


def meson_cross_file(kit: Kit, python: TargetPython, bindir: Path) -> str:
    """A meson cross file (the section "Cross-compilation" of meson's manual).

    Args:
        kit: the kit.
        python: the target's Python.
        bindir: folder of the compiler wrappers.
    """
    triplet = kit.target.triplet
    tools = {
        "c": "gcc",
        "cpp": "g++",
        **({"fortran": "gfortran"} if "fortran" in kit.toolchain.languages else {}),
        "ar": "ar",
        "strip": "strip",
        "objcopy": "objcopy",
        "nm": "nm",
        "ranlib": "ranlib",
    }
    lines = [
        f"# Written by xtool: meson cross file for {kit.target.name}.",
        "[binaries]",
        *(f"{name} = {_meson(str(bindir / f'{triplet}-{tool}'))}" for name, tool in tools.items()),
        f"pkg-config = {_meson(str(bindir / f'{triplet}-{PKG_CONFIG}'))}",
        f"exe_wrapper = {_meson_list(emulator_command(kit, python))}",
        "",
        "[properties]",
        f"sys_root = {_meson(str(kit.sysroot.path))}",
        f"pkg_config_libdir = {_meson_list([str(path) for path in pkgconfig_folders(kit)])}",
        "needs_exe_wrapper = true",
        f"longdouble_format = {_meson(kit.target.long_double)}",
        "",
        "[host_machine]",
        "system = 'linux'",
        f"cpu_family = {_meson(kit.target.cpu_family)}",
        f"cpu = {_meson(kit.emulator.cpu)}",
        f"endian = '{'little' if kit.target.elf.little_endian else 'big'}'",
    ]
    return "\n".join(lines) + "\n"


def soabi(python: TargetPython) -> str:
    """`cpython-313-powerpc64le-linux-gnu`, from the extension suffix (PEP 3149)."""
    return python.ext_suffix.removesuffix(".so").removeprefix(".")


def _cmake(value: str | Path) -> str:
    """A bracket argument, in which nothing is evaluated."""
    return f"[==[{value}]==]"


def _meson(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _meson_list(values: Sequence[str]) -> str:
    return "[" + ", ".join(_meson(value) for value in values) + "]"
