"""The shim archive: what code compiled against a newer glibc asks for and the floor does not have.

It stands in the place of glibc's own `libc_nonshared.a`. Every function in it is hidden: it ends up inside
the program or library that needs it and is never exported. Headers are made to answer for the floor
(`xtool.toolchain.headers`), so but for stat the shims serve what is already compiled: libstdc++.a, libgcc.a,
libgcov.a.

Shared libraries that were linked elsewhere (`xtool.toolchain.lower`) get the same, and more, from the compat
library, `libxtool-floor.so.1`. A project cannot link with it: what a configure script finds must be what it
would find on the old system.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from xtool.errors import UsageError
from xtool.kit import Toolchain
from xtool.log import Log
from xtool.proc import run
from xtool.targets import Glibc, Target, format_glibc

SOURCES = Path(__file__).parent / "compat"
NEW_START: Glibc = (2, 34)
"""The first glibc that finds a program's constructors by itself; older ones are told by the start file."""

_FLAGS = (
    "-std=gnu11", "-O2", "-fPIC", "-fvisibility=hidden", "-ffreestanding", "-fno-stack-protector",
    "-Wall", "-Wextra", "-Wno-builtin-declaration-mismatch", "-Wno-missing-attributes", "-Werror",
    "-g0", "-U_FORTIFY_SOURCE", "-D_GNU_SOURCE",
    # Debian's GCC for armhf defines both by itself; here each name must mean its own function.
    "-U_TIME_BITS", "-U_FILE_OFFSET_BITS",
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
        archive: GCC's library that it is linked with; without it, it is left out.
    """

    source: str
    symbols: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    define: str = ""
    when: str = ""
    archive: str = ""


_ISOC23 = ("__isoc23_strtol", "__isoc23_strtoul", "__isoc23_strtoll", "__isoc23_strtoull")
_IEEE128 = ("__frexpieee128", "__sprintfieee128", "__vsnprintfieee128", "__strtoieee128", "__strtoieee128_l")
_HWCAP = "__parse_hwcap_and_convert_at_platform"
_TIME64 = (
    "__clock_gettime64", "__clock_getres64", "__gettimeofday64", "__time64", "__nanosleep64", "__gmtime64_r",
    "__localtime64_r", "__stat64_time64", "__lstat64_time64", "__fstat64_time64", "__utimensat64",
    "__getrusage64", "__ioctl_time64", "__fcntl_time64",
)  # fmt: skip

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
    Shim("fcntl64.c", ("fcntl64",), machines=("i686",)),
    Shim("time64.c", _TIME64, machines=("armv7l",)),
    Shim("float128.c", ("strtof128", "strfromf128"), machines=("i686", "x86_64")),
    Shim("ieee128.c", _IEEE128, machines=("ppc64le",)),
    Shim("hwcap.c", machines=("ppc64le",), define="XTOOL_HWCAP_IN_TCB", when=_HWCAP),
)


COMPAT_SONAME = "libxtool-floor.so.1"
"""The compat library. No link name leads to it; it goes into wheels beside the libraries that need it."""

_COMPAT_VERSION = "XTOOL_FLOOR_1"
"""The version of all that it exports. Nobody asks for it: it keeps the library from answering in the place of
the C library, which the loader lets a library without versions do."""

_QUAD = (
    "acos", "acosh", "asin", "asinh", "atan2", "atan", "atanh", "cabs", "ccos", "cexp", "clog", "copysign",
    "cos", "cosh", "csin", "csqrt", "erfc", "exp", "fabs", "fma", "fmod", "jn", "log10", "log", "lround",
    "round", "sin", "sinh", "sqrt", "tan", "tanh", "trunc", "yn",
)  # fmt: skip
_QUAD_PPC = (*(f"__{name}ieee128" for name in _QUAD), "__snprintfieee128", "__strtoieee128")
_FLOAT128 = ("strtof128", "strfromf128")
_QUAD_X86 = (*(f"{name}f128" for name in _QUAD), *_FLOAT128)
_CLOCKWAIT = (
    "pthread_cond_clockwait", "pthread_mutex_clocklock", "pthread_rwlock_clockrdlock",
    "pthread_rwlock_clockwrlock", "sem_clockwait",
)  # fmt: skip
_KERNEL = (
    "memfd_create", "copy_file_range", "renameat2", "statx", "gettid", "tgkill", "close_range", "closefrom",
)  # fmt: skip

_LIBRARY_SHIMS = (
    *(shim for shim in _SHIMS if shim.symbols not in ((), _ISOC23, _IEEE128, _FLOAT128)),
    Shim("library/random.c", ("getrandom", "arc4random_buf", "arc4random_uniform")),
    Shim("library/memory.c", ("explicit_bzero", "__explicit_bzero_chk", "reallocarray")),
    Shim("library/strl.c", ("strlcpy", "strlcat", "__strlcpy_chk", "__strlcat_chk")),
    Shim("library/clockwait.c", _CLOCKWAIT),
    Shim("library/kernel.c", _KERNEL),
    Shim("library/hwcap.c", (_HWCAP,), machines=("ppc64le",)),
    Shim("library/quad.c", _QUAD_PPC, machines=("ppc64le",), archive="libquadmath.a"),
    Shim("library/quad.c", _QUAD_X86, machines=("i686", "x86_64"), archive="libquadmath.a"),
)
"""What the compat library is made of; it exports those of the names that the floor lacks."""


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


@dataclass(frozen=True, slots=True)
class Workshop:
    """What the objects of a sysroot are made with.

    Args:
        target: the target.
        tools: the compiler.
        sysroot: where its headers are.
        scratch: folder for what lies between.
        log: told the commands.
    """

    target: Target
    tools: Toolchain
    sysroot: Path
    scratch: Path
    log: Log

    def runtime_archive(self, name: str) -> Path | None:
        """An archive that GCC brings, or None."""
        command: list[str | Path] = [self.tools.tool("gcc"), f"-print-file-name={name}"]
        found = Path(run(command, log=self.log, what=f"looking for {name}").stdout.strip())
        return found if found.is_absolute() else None

    def compile(
        self, flags: Sequence[str], sources: Sequence[Path], output: Path, libraries: Sequence[str] = ()
    ) -> None:
        """Compile sources of `compat/` into one object.

        Raises:
            CommandFailed: a source does not compile.
        """
        command: list[str | Path] = [self.tools.tool("gcc"), f"--sysroot={self.sysroot}"]
        # The sources' folder must not reach the object: the same inputs give the same bytes.
        command += [*self.target.cflags, *_FLAGS, f"-ffile-prefix-map={SOURCES}=.", *flags]
        run([*command, "-o", output, *sources, *libraries], log=self.log, what=f"compiling {output.name}")


def write_archive(shop: Workshop, shims: Sequence[Shim], exported: Collection[str], archive: Path) -> None:
    """Add shims to an archive.

    Args:
        shop: compiler and folders.
        shims: what to put in.
        exported: names of the symbols that the floor's libraries export.
        archive: the archive, which may exist (glibc's own `libc_nonshared.a`).

    Raises:
        CommandFailed: a source does not compile.
    """

    def compile_one(shim: Shim) -> Path:
        output = shop.scratch / f"xtool_{Path(shim.source).stem}.o"
        define = [f"-D{shim.define}"] if shim.when in exported else []
        shop.compile([*define, "-c"], [SOURCES / shim.source], output)
        return output

    with ThreadPoolExecutor(max_workers=4) as pool:
        objects = list(pool.map(compile_one, shims))
    # D: no dates, owners or modes, so that the same inputs give the same bytes.
    run([shop.tools.tool("ar"), "rcsD", archive, *objects], log=shop.log, what="archiving the shims")


def write_compat_library(shop: Workshop, exported: Collection[str], folder: Path) -> frozenset[str]:
    """Write the compat library of a floor, `libxtool-floor.so.1`, into a folder.

    Args:
        shop: tools; the sysroot must be complete but for this library.
        exported: names that the floor's libraries export.
        folder: where it goes.

    Returns:
        The names that it exports: none of them is in `exported`.

    Raises:
        CommandFailed: a source does not compile.
    """
    archives: dict[str, Path | None] = {"": None}
    shims = []
    for shim in _LIBRARY_SHIMS:
        elsewhere = shim.machines and shop.target.name not in shim.machines
        if elsewhere or set(shim.symbols) <= set(exported):
            continue
        if shim.archive:
            archives[shim.archive] = shop.runtime_archive(shim.archive)
        if not shim.archive or archives[shim.archive]:
            shims.append(shim)
    names = provided(shims) - set(exported)
    script = shop.scratch / "xtool_floor.map"
    listed = "".join(f"    {name};\n" for name in sorted(names))
    listed = f"  global:\n{listed}" if listed else ""
    script.write_text(f"{_COMPAT_VERSION} {{\n{listed}  local: *;\n}};\n", encoding="ascii")
    flags = ["-shared", "-fvisibility=default", f"-Wl,-soname,{COMPAT_SONAME}", "-Wl,--build-id=none"]
    # Not with -Wl, which would cut a path at its commas.
    flags += ["-Xlinker", f"--version-script={script}", "-Wl,--as-needed", "-Wl,--no-undefined"]
    flags += shop.target.ldflags
    # Without a name for `-l`, and so that the file names in the object say nothing of this machine.
    sources = [SOURCES / shim.source for shim in shims] + [path for path in archives.values() if path]
    shop.compile([*flags, "-s"], sources, folder / COMPAT_SONAME, ["-lm"])
    return names


def write_start_files(shop: Workshop, folder: Path) -> None:
    """Write `crt1.o` and `Scrt1.o` for a C library that must be told where constructors are.

    Raises:
        UsageError: the target has no such start file.
    """
    source = SOURCES / "start" / f"{shop.target.triplet.partition('-')[0]}.S"
    if not source.is_file():
        raise UsageError(
            f"xtool has no start file for {shop.target.name} below glibc {format_glibc(NEW_START)}",
            hint=f"ask for `--glibc {format_glibc(NEW_START)}` or later",
        )
    shop.compile(["-r", "-nostdlib"], [source, SOURCES / "start" / "csu.c"], folder / "Scrt1.o")
    # Position-independent, so it serves programs at fixed addresses as well.
    shutil.copyfile(folder / "Scrt1.o", folder / "crt1.o")
