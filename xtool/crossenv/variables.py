"""The environment of builds: what of the user's passes, and what the cross build adds.

`docs/decisions/0004-build-environment.md` says why it lists what is kept out, and not what is let in.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

_DROPPED = frozenset(
    word
    for words in (
        # Tools and flags: these name the host's.
        "AR ARFLAGS ARCHFLAGS AS ASFLAGS BASECFLAGS BLDSHARED CC CCSHARED CFLAGS CPP CPPFLAGS CXX CXXFLAGS",
        "DEBUGINFOD_URLS DLLTOOL F77 F90 FC FCFLAGS FFLAGS GFORTRAN LD LDCXXSHARED LDFLAGS LDSHARED",
        "LIBS NM OBJCOPY OBJDUMP OPT RANLIB READELF STRIP CROSS_COMPILE MAKEFLAGS GNUMAKEFLAGS MFLAGS",
        "MAKELEVEL MAKEOVERRIDES CONFIG_SITE",
        # Variables that GCC and the linker read by themselves.
        "CPATH C_INCLUDE_PATH CPLUS_INCLUDE_PATH OBJC_INCLUDE_PATH OBJCPLUS_INCLUDE_PATH LIBRARY_PATH",
        "COMPILER_PATH GCC_EXEC_PREFIX GCC_COMPARE_DEBUG COLLECT_GCC COLLECT_GCC_OPTIONS",
        "COLLECT_LTO_WRAPPER LD_RUN_PATH DEPENDENCIES_OUTPUT SUNPRO_DEPENDENCIES LDEMULATION GNUTARGET",
        # CMake's search paths.
        "CMAKE_PREFIX_PATH CMAKE_INCLUDE_PATH CMAKE_LIBRARY_PATH CMAKE_FRAMEWORK_PATH",
        "CMAKE_APPBUNDLE_PATH CMAKE_PROGRAM_PATH CMAKE_TOOLCHAIN_FILE CMAKE_SYSROOT",
        "CMAKE_INSTALL_PREFIX CMAKE_CONFIG_DIR",
        # Rust.
        "RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET CARGO_BUILD_RUSTFLAGS",
        # Environments that the user happens to have activated.
        "VIRTUAL_ENV VIRTUAL_ENV_PROMPT CONDA_PREFIX CONDA_BUILD CONDA_BUILD_SYSROOT",
        "CONDA_BUILD_CROSS_COMPILATION",
        # The shell's own.
        "_ OLDPWD PWD SHLVL",
    )
    for word in words.split()
)

_DROPPED_PREFIXES = (
    "PYTHON",
    "_PYTHON_",
    "_CONDA_",
    "PKG_CONFIG",
    "PYO3_",
    "CARGO_TARGET_",
    "XTOOL_",
    "QEMU_",
)

_REPRODUCIBLE = {
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
    "PYTHONNOUSERSITE": "1",
    # 1980-01-01, the earliest time that a zip archive can hold. Not the time of the sources: those of a fresh
    # checkout are the time of the checkout.
    "SOURCE_DATE_EPOCH": "315532800",
}


def base_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What of the user's environment a build may see: everything but what speaks of the host as a target.

    Args:
        environ: the environment xtool was started in.
    """
    return {
        name: value
        for name, value in environ.items()
        if name not in _DROPPED and not name.startswith(_DROPPED_PREFIXES)
    }


def build_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """`base_environment` with what makes a build come out the same everywhere.

    SOURCE_DATE_EPOCH passes where the user has set it.
    """
    base = base_environment(environ)
    fixed = dict(_REPRODUCIBLE)
    if "SOURCE_DATE_EPOCH" in base:
        del fixed["SOURCE_DATE_EPOCH"]
    return base | fixed


def timestamp(environ: Mapping[str, str]) -> str | None:
    """SOURCE_DATE_EPOCH as C's `__TIMESTAMP__` writes it; None where it is no time, which GCC will say."""
    try:
        return time.asctime(time.gmtime(int(environ["SOURCE_DATE_EPOCH"])))
    except (KeyError, ValueError, OverflowError, OSError):
        return None


def target_flags(environ: Mapping[str, str], name: str, target: str) -> str:
    """Flags that the user has for targets: `XTOOL_CFLAGS`, then `XTOOL_CFLAGS_PPC64LE`.

    `CFLAGS` itself says what the user's own machine needs, so it does not count here.

    Args:
        environ: the environment xtool was started in.
        name: `CFLAGS`, `CXXFLAGS`, `LDFLAGS`, ...
        target: the target's name.
    """
    words = (environ.get(f"XTOOL_{name}", ""), environ.get(f"XTOOL_{name}_{target.upper()}", ""))
    return " ".join(word for word in words if word)


def parallel_environment(jobs: int) -> dict[str, str]:
    """Variables that tell make, CMake and cargo how many jobs may run at once."""
    return {
        "MAKEFLAGS": f"-j{jobs}",
        "CMAKE_BUILD_PARALLEL_LEVEL": str(jobs),
        "CARGO_BUILD_JOBS": str(jobs),
    }
