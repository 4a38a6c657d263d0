"""The shim archive: what code compiled against a newer glibc asks for and the floor does not have.

It stands in the place of glibc's own `libc_nonshared.a`. Every function in it is hidden: it ends up inside the
program or library that needs it and is never exported. Headers are made to answer for the floor
(`xtool.toolchain.headers`), so the shims serve what is already compiled: libstdc++.a, libgcc.a, libgcov.a.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from xtool.errors import UsageError
from xtool.kit import Toolchain
from xtool.log import Log
from xtool.proc import run
from xtool.targets import Glibc, Target

SOURCES = Path(__file__).parent / "compat"
NEW_START = (2, 34)
"""The first glibc that finds a program's constructors by itself; start files before it tell where they are."""

_FLAGS = (
    "-std=gnu11", "-O2", "-fPIC", "-fvisibility=hidden", "-ffreestanding", "-fno-stack-protector",
    "-Wall", "-Wextra", "-Wno-builtin-declaration-mismatch", "-Wno-missing-attributes", "-Werror",
    "-g0", "-U_FORTIFY_SOURCE", "-D_GNU_SOURCE",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shim:
    """One source file of the archive.

    Args:
        source: file name below `compat/`.
        symbols: names of glibc that it defines; it is left out where the floor's libraries export the first.
        machines: targets that need it; empty for all.
        define: preprocessor name to set where the floor exports `when`.
        when: see `define`.
    """

    source: str
    symbols: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    define: str = ""
    when: str = ""


_ISOC23 = ("__isoc23_strtol", "__isoc23_strtoul", "__isoc23_strtoll", "__isoc23_strtoull")
_IEEE128 = ("__frexpieee128", "__sprintfieee128", "__vsnprintfieee128", "__strtoieee128", "__strtoieee128_l")
_HWCAP = "__parse_hwcap_and_convert_at_platform"

_SHIMS = (
    Shim("stat.c", ("stat", "lstat", "fstat", "fstatat")),
    Shim("stat64.c", ("stat64", "lstat64", "fstat64", "fstatat64")),
    Shim("mknod.c", ("mknod", "mknodat")),
    Shim("getentropy.c", ("getentropy",)),
    Shim("arc4random.c", ("arc4random",)),
    Shim("single_threaded.c", ("__libc_single_threaded",)),
    Shim("isoc23.c", _ISOC23),
    Shim("find_object.c", ("_dl_find_object",)),
    Shim("thread_atexit.c", ("__cxa_thread_atexit_impl",)),
    Shim("ieee128.c", _IEEE128, machines=("ppc64le",)),
    Shim("hwcap.c", machines=("ppc64le",), define="XTOOL_HWCAP_IN_TCB", when=_HWCAP),
)


def sources_digest() -> str:
    """Sha256 over every source file of the shims: a change makes the sysroots again."""
    digest = hashlib.sha256()
    for path in sorted(p for p in SOURCES.rglob("*") if p.suffix in {".c", ".h", ".S"}):
        digest.update(f"{path.relative_to(SOURCES)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def shims_for(target: Target, exported: Collection[str]) -> tuple[Shim, ...]:
    """The shims that a target needs at a floor whose libraries export these names."""
    return tuple(
        shim
        for shim in _SHIMS
        if (not shim.machines or target.name in shim.machines)
        and not (shim.symbols and shim.symbols[0] in exported)
    )


def provided(shims: Sequence[Shim]) -> frozenset[str]:
    """Names of glibc functions that the shims define, and that headers may go on declaring."""
    return frozenset(name for shim in shims for name in shim.symbols)


def write_archive(
    target: Target,
    tools: Toolchain,
    sysroot: Path,
    shims: Sequence[Shim],
    exported: Collection[str],
    archive: Path,
    scratch: Path,
    log: Log,
) -> None:
    """Add shims to an archive.

    Args:
        target: the target.
        tools: the compiler.
        sysroot: where its headers are.
        shims: what to put in.
        exported: names of the symbols that the floor's libraries export.
        archive: the archive, which may exist (glibc's own `libc_nonshared.a`).
        scratch: folder for the objects.
        log: told the commands.

    Raises:
        CommandFailed: a source does not compile.
    """

    def compile_one(shim: Shim) -> Path:
        output = scratch / f"xtool_{Path(shim.source).stem}.o"
        define = [f"-D{shim.define}"] if shim.when in exported else []
        _compile(target, tools, sysroot, [*define, "-c"], [SOURCES / shim.source], output, log)
        return output

    with ThreadPoolExecutor(max_workers=4) as pool:
        objects = list(pool.map(compile_one, shims))
    # D: no dates, owners or modes, so that the same inputs give the same bytes.
    run([tools.tool("ar"), "rcsD", archive, *objects], log=log, what="archiving the shims")


def write_start_files(
    target: Target, tools: Toolchain, sysroot: Path, floor: Glibc, folder: Path, log: Log
) -> tuple[str, ...]:
    """Write `crt1.o` and `Scrt1.o` for a floor whose C library is told where constructors are.

    Returns:
        Names of the files written; none where glibc's own serve.

    Raises:
        UsageError: the target has no start file for such a floor.
    """
    if floor >= NEW_START:
        return ()
    source = SOURCES / "start" / f"{target.triplet.partition('-')[0]}.S"
    if not source.is_file():
        raise UsageError(
            f"xtool has no start file for {target.name} below glibc 2.34",
            hint="ask for `--glibc 2.34` or later",
        )
    for name in ("crt1.o", "Scrt1.o"):
        flags = ["-r", "-nostdlib"]
        _compile(target, tools, sysroot, flags, [source, SOURCES / "start" / "csu.c"], folder / name, log)
    return ("crt1.o", "Scrt1.o")


def _compile(
    target: Target,
    tools: Toolchain,
    sysroot: Path,
    flags: list[str],
    sources: list[Path],
    output: Path,
    log: Log,
) -> None:
    command = [tools.tool("gcc"), f"--sysroot={sysroot}", *target.cflags, *_FLAGS]
    # Sources are named absolutely; their folders must not reach the object.
    command += [f"-ffile-prefix-map={SOURCES}=.", *flags, "-o", output, *sources]
    run(command, log=log, what=f"compiling {output.name}")
