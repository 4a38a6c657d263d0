"""Makes the build interpreter answer for the target where `sysconfig` is not asked.

This file is copied into build environments and loaded there by a `.pth` file. It does nothing unless
XTOOL_CROSS_MACHINE is set, which only the build back end's process sees: tools that manage the environment
must see the interpreter as it is. It runs in every Python process of a build and on every version that builds
run on, so it imports little and needs nothing else of xtool.

Loading extension modules of the host (Cython, numpy) keeps working: the import system took its list of
suffixes before this file runs, and is not touched.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping


def install(environ: Mapping[str, str]) -> None:
    """Patch this interpreter, if the environment asks for it.

    `sys.byteorder`, `sys.maxsize` and `struct` stay the host's for the standard library, which computes with
    them; for the project's own files see `xtool.crossenv.facts_shim`.
    """
    machine = environ.get("XTOOL_CROSS_MACHINE")
    if not machine:
        return
    _patch_uname(machine)
    _patch_platform(environ.get("XTOOL_CROSS_GLIBC", ""))
    _patch_suffixes(environ.get("XTOOL_CROSS_EXT_SUFFIX", ""))
    multiarch = environ.get("XTOOL_CROSS_MULTIARCH")
    if multiarch:
        sys.implementation._multiarch = multiarch  # type: ignore[attr-defined]
    folder = environ.get("XTOOL_CROSS_SYSCONFIG")
    if folder and folder not in sys.path:
        # `python -I` ignores PYTHONPATH but not the variable that names the module which lies there.
        sys.path.append(folder)
    _patch_include(environ.get("XTOOL_CROSS_INCLUDE", ""), environ.get("XTOOL_CROSS_PLATINCLUDE", ""))
    here = (str(sys.maxsize.bit_length() + 1), sys.byteorder)
    if (environ.get("XTOOL_CROSS_BITS", here[0]), environ.get("XTOOL_CROSS_BYTEORDER", here[1])) != here:
        # By the name that it has beside this file where both run.
        __import__("_xtool_facts_shim").install(environ)


def _patch_uname(machine: str) -> None:
    original = os.uname

    def uname() -> os.uname_result:
        real = original()
        return os.uname_result((real.sysname, real.nodename, real.release, real.version, machine))

    os.uname = uname


def _patch_platform(glibc: str) -> None:
    import platform

    # On Linux `platform.processor()` starts `uname -p`; where that knows an answer it is the machine's name.
    processor = getattr(platform, "_Processor", None)
    if processor is not None:
        processor.get = staticmethod(lambda: os.uname().machine)
    cache = getattr(platform, "_uname_cache", None)
    if cache is not None:
        platform._uname_cache = None  # type: ignore[attr-defined]
    if glibc:
        original = platform.libc_ver

        def libc_ver(
            executable: str | None = None, lib: str = "", version: str = "", chunksize: int = 16384
        ) -> tuple[str, str]:
            if executable is None:
                return "glibc", glibc
            return original(executable, lib, version, chunksize)

        platform.libc_ver = libc_ver


def _patch_suffixes(suffix: str) -> None:
    if not suffix:
        return
    from importlib import machinery

    general = [s for s in machinery.EXTENSION_SUFFIXES if s == ".so" or s.startswith(".abi3")]
    machinery.EXTENSION_SUFFIXES = [suffix, *general]  # type: ignore[misc]


def _patch_include(include: str, platinclude: str) -> None:
    """`sysconfig.get_path("include")` comes from the interpreter's prefix, not from its sysconfig data."""
    if not include:
        return
    import sysconfig

    def literal(path: str) -> str:
        return path.replace("{", "{{").replace("}", "}}")

    for scheme in getattr(sysconfig, "_INSTALL_SCHEMES", {}).values():
        if scheme.get("include", "").startswith("{installed_base}"):
            scheme["include"] = literal(include)
            scheme["platinclude"] = literal(platinclude or include)


install(os.environ)
