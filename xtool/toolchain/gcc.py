"""The cross GCC: Debian's, laid out so that it finds its own parts wherever it stands, and nothing else's.

Layout of the component: what Debian has below `usr/` lies at its root (`bin`, `lib/gcc-cross/TRIPLET/14`,
`libexec/gcc-cross/TRIPLET/14`, `TRIPLET/bin`, `TRIPLET/include/c++/14`), because GCC looks for its parts
relative to its own `bin`. Where the target is the host's own machine it is Debian's native compiler, whose
folders have other names (`_Layout`); it is tied to its sysroot like the others. No C library is in it:
`--sysroot` alone decides. libstdc++ and libatomic are there as archives alone. What stays shared, libgomp,
libgfortran and libquadmath, is put into every sysroot by `xtool.toolchain.runtimes`; the compiler keeps the
originals where no search looks (`docs/decisions/0003`).
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from xtool import proc
from xtool.catalog import Lock
from xtool.errors import ArchiveError, CatalogError, StoreError
from xtool.kit import Toolchain
from xtool.recipes import Assembly, Recipe
from xtool.targets import Glibc, Host, Target, same_machine
from xtool.toolchain.relocate import blank_slots, bundle_host_libraries, fill_slots
from xtool.toolchain.unsigned import unsign

REVISION = 6
FACTS_FILE = "share/xtool/toolchain.json"
RUNTIMES = "share/xtool/runtimes"
"""Folder of the runtime libraries that sysroots are given: shared ones under their sonames, as they were
packaged, and the archives of the same, for a project that asks for them (`-static-libgfortran`)."""
_SCHEMA = 1

STATIC_RUNTIMES = (
    "libstdc++.a",
    "libstdc++exp.a",
    "libstdc++fs.a",
    "libsupc++.a",
    "libgcc.a",
    "libgcc_eh.a",
    "libc_nonshared.a",
    "libgfortran.a",
    "libcaf_single.a",
    "libquadmath.a",
    "libatomic.a",
)
"""Archives whose symbols no shared object exports: extensions in one process must not mix their copies."""

_UNUSED = re.compile(
    r"""
    usr/share/.* | etc/.* | usr/lib/debug/.*
  | usr/bin/[^/]+-(lto-dump|gcov-dump)-[0-9]+ | usr/bin/[^/]+-gprof
  | .*/(ldscripts|bfd-plugins|gconv|audit|plugin)/.*
  | .*/lib(asan|hwasan|lsan|tsan|ubsan|itm|sanitizer)[^/]* | .*/include/sanitizer/.*
  | usr/libexec/.*/(plugin|install-tools)/.* | .*/g\+\+-mapper-server
  | .*\.la | .*/libcc1\.so[^/]* | .*/libgomp\.a
  | .*/usr/share/gdb/.*
    """,
    re.VERBOSE,
)
"""Members of the packages that no build needs, or that would only mislead one."""

_SHARED_RUNTIME = re.compile(r"lib(gomp|gfortran|quadmath)\.so\.[0-9]+")
_DROPPED = re.compile(r"lib(stdc\+\+|gcc_s|atomic|gomp|gfortran|quadmath)\.so(\.[0-9.]+)?")
"""What must not be found beside the compiler: a sysroot brings it, or nothing is to be linked with it."""

_LIBGCC_S = """/* The shared part comes from the sysroot; some functions are in the static part only. */
GROUP ( libgcc_s.so.1 -lgcc )
"""

_GATED: Mapping[str, Glibc] = {
    "_GLIBCXX_USE_PTHREAD_COND_CLOCKWAIT": (2, 30),
    "_GLIBCXX_USE_PTHREAD_MUTEX_CLOCKLOCK": (2, 30),
    "_GLIBCXX_USE_PTHREAD_RWLOCK_CLOCKLOCK": (2, 30),
    "_GLIBCXX_USE_UCHAR_C8RTOMB_MBRTOC8_CXX20": (2, 36),
    "_GLIBCXX_USE_UCHAR_C8RTOMB_MBRTOC8_FCHAR8_T": (2, 36),
}
"""Macros of c++config.h upon which *headers* call glibc functions, and the glibc that brought those.

glibc's NEWS: 2.30 "pthread_cond_clockwait, pthread_mutex_clocklock, ..."; 2.36 "mbrtoc8 and c8rtomb".
"""

_OBSOLETE = ("_GLIBCXX_HAVE_OBSOLETE_ISINF", "_GLIBCXX_HAVE_OBSOLETE_ISNAN")
_OBSOLETE_WHEN = b"#if !__GLIBC_PREREQ(2, 23) && !__has_include(<bits/libc-header-start.h>)"
"""glibc's own headers below 2.23 declare `int isinf(double)` to C++ as well (its NEWS), and <cmath> must not.
Newer headers that say they are older, a derived sysroot's, do not; they have a file that came with 2.25."""

_WEAK_THREADS = re.compile(
    rb"# if __GLIBC_PREREQ\(2, 34\)\n(?:// [^\n]*\n)*#  define _GLIBCXX_GTHREAD_USE_WEAK 0\n# endif\n"
)

_FLOAT128_GATE = b"#if __GLIBC_PREREQ(2, 26) \\\n    && ("
"""Below glibc 2.26 libstdc++'s headers do without the _Float128 overloads of <cmath>, and C++23's <format>
then refuses to compile on ppc64le. Declaring them costs nothing: what is not there does not link."""

_RENAMED: Mapping[str, Mapping[str, tuple[bytes, bytes]]] = {
    "ppc64le": {
        "libgcc.a": (b"__parse_hwcap_and_convert_at_platform", b"__xtool_hwcap_in_tcb"),
        "libstdc++.a": (b"__parse_hwcap_and_convert_at_platform", b"__xtool_hwcap_in_tcb"),
    }
}
"""By target and archive: an undefined symbol of a runtime library, and the name it gets instead.

The reference only makes sure that the loader puts AT_HWCAP into the thread control block (glibc 2.23). Under
another name the sysroot's shim can satisfy it for our libraries, while code of a project that asks for it by
itself (`__builtin_cpu_supports`) still fails to link below that floor.
"""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Names within the component.

    Args:
        triplet: the target's.
        major: GCC's major version.
        native: whether the compiler runs on the machine that it makes code for, which Debian lays out in
            another way.
    """

    triplet: str
    major: str
    native: bool = False

    @property
    def folders(self) -> tuple[str, ...]:
        """What is taken out of the packages' `usr/`."""
        if self.native:
            return ("bin", "libexec", "include", "lib/gcc")
        return ("bin", "libexec", self.triplet, "lib/gcc-cross")

    @property
    def gcc_lib(self) -> str:
        return f"lib/{self._gcc}/{self.triplet}/{self.major}"

    @property
    def gcc_libexec(self) -> str:
        return f"libexec/{self._gcc}/{self.triplet}/{self.major}"

    @property
    def cxx_config(self) -> str:
        if self.native:
            return f"include/{self.triplet}/c++/{self.major}/bits"
        return f"{self.triplet}/include/c++/{self.major}/{self.triplet}/bits"

    @property
    def packaged_runtimes(self) -> str:
        """Where packages have the shared runtime libraries, below `usr/`."""
        return f"lib/{self.triplet}" if self.native else f"{self.triplet}/lib"

    @property
    def _gcc(self) -> str:
        return "gcc" if self.native else "gcc-cross"


def gcc_recipe(
    host: Host, target: Target, lock: Lock, *, fortran: bool = False, runner: Sequence[str | Path] = ()
) -> Recipe:
    """The recipe of the cross GCC for a target.

    Args:
        host: the machine it runs on.
        target: the machine it compiles for.
        lock: where its packages are locked.
        fortran: add GNU Fortran; makes another component.
        runner: words that start a program of the host, where this machine is another one (an emulator).

    Raises:
        CatalogError: the lock has no such component.
    """
    artifacts = lock.artifacts("gcc") + (lock.artifacts("gfortran") if fortran else ())
    name = f"gcc-14-{target.triplet.replace('_', '-')}"
    version = next((a.version.partition("-")[0] for a in artifacts if a.name == name), None)
    if version is None:
        raise CatalogError(f"component `gcc` of the lock for {target.name} has no package {name}")
    languages = ("c", "c++", "fortran") if fortran else ("c", "c++")
    return Recipe(
        name=f"gcc-{'fortran-' if fortran else ''}{target.name}",
        title=f"GCC {version} for {target.name}" + (" with Fortran" if fortran else ""),
        revision=REVISION,
        artifacts=artifacts,
        assemble=partial(
            _assemble, host=host, target=target, version=version, languages=languages, runner=runner
        ),
        parameters={"host": host.name, "target": target.name, "version": version},
    )


def toolchain(path: Path, target: Target) -> Toolchain:
    """Read what an installed toolchain says about itself.

    Raises:
        StoreError: it is damaged, or was made for another target.
    """
    file = path / FACTS_FILE
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        if facts["schema"] != _SCHEMA or facts["triplet"] != target.triplet:
            raise ValueError(f"made for {facts['triplet']}, schema {facts['schema']}")
        return Toolchain(path, path / "bin", facts["triplet"], facts["version"], tuple(facts["languages"]))
    except OSError as error:
        reason = error.strerror or str(error)
    except (ValueError, KeyError, TypeError) as error:
        reason = str(error)
    raise StoreError(
        f"the toolchain in {path} cannot be used: {reason}", hint=f"`xtool setup {target.name}` repairs it"
    )


def unpack_wanted(work: Assembly, into: Path, unused: re.Pattern[str]) -> None:
    """Unpack all packages of a recipe into one folder, two at a time; xz takes most of the time.

    Args:
        work: the assembly.
        into: the folder.
        unused: members to leave out, matched from the start of their name to its end.
    """
    from xtool.archive import unpack_all

    # They come as their downloads end, the largest first.
    unpack_all(work.files.values(), into, only=lambda name: not unused.fullmatch(name), jobs=2)


def _assemble(
    work: Assembly,
    *,
    host: Host,
    target: Target,
    version: str,
    languages: Sequence[str],
    runner: Sequence[str | Path],
) -> None:
    layout = _Layout(target.triplet, version.partition(".")[0], native=same_machine(host, target))
    tree = work.scratch / "tree"
    unpack_wanted(work, tree, _UNUSED)
    _put_runtimes_aside(tree / "usr", work.staging, layout)
    _move_in(tree, work.staging, layout)
    _name_tools(work.staging, layout)
    _mend_headers(work.staging / layout.cxx_config)
    _mend_archives(work.staging / layout.gcc_lib, target)
    (work.staging / layout.gcc_lib / "libgcc_s.so").write_text(_LIBGCC_S, encoding="ascii")
    _offer_plugin(work.staging, layout)
    bundle_host_libraries(work.staging, libraries=tree, host=host)
    _write_specs(work, layout, runner)
    facts = {
        "schema": _SCHEMA,
        "triplet": target.triplet,
        "version": version,
        "languages": list(languages),
    }
    (work.staging / FACTS_FILE).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    _check(work.staging, layout, languages)


def _put_runtimes_aside(usr: Path, staging: Path, layout: _Layout) -> None:
    """Keep the shared runtimes that sysroots are given, and leave no runtime for the linker to find."""
    kept = staging / RUNTIMES
    kept.mkdir(parents=True)
    packaged = usr / layout.packaged_runtimes
    for path in sorted(packaged.iterdir()):
        if _SHARED_RUNTIME.fullmatch(path.name):
            shutil.copyfile(path, kept / path.name)
    # An archive goes where its shared library goes: the linker takes what it finds in the first folder.
    archives = {f"{path.name.partition('.so.')[0]}.a" for path in kept.iterdir()}
    # The native compiler's lie among the host's libraries, which the compiler itself runs on.
    searched = (usr / layout.gcc_lib,) if layout.native else (usr / layout.gcc_lib, packaged)
    for folder in searched:
        for path in sorted(folder.rglob("lib*")):
            if path.name in archives:
                path.rename(kept / path.name)
            elif _DROPPED.fullmatch(path.name):
                path.unlink()


def _move_in(tree: Path, staging: Path, layout: _Layout) -> None:
    """Take the compiler's folders out of `usr/`; host libraries stay behind for the bundling."""
    for folder in layout.folders:
        destination = staging / folder
        destination.parent.mkdir(parents=True, exist_ok=True)
        (tree / "usr" / folder).rename(destination)
    if layout.native:
        _give_tools_their_folder(staging, layout)


def _give_tools_their_folder(staging: Path, layout: _Layout) -> None:
    """Put the assembler and the linker where a cross compiler has them; a native one would take the host's.

    GCC looks for `as` and `ld` in `TRIPLET/bin` beside its own `bin`, and then on PATH.
    """
    folder = staging / layout.triplet / "bin"
    folder.mkdir(parents=True)
    for name in ("ar", "as", "ld", "ld.bfd", "nm", "objcopy", "objdump", "ranlib", "readelf", "strip"):
        (folder / name).symlink_to(f"../../bin/{layout.triplet}-{name}")


def _name_tools(staging: Path, layout: _Layout) -> None:
    """Give every tool its name without the version: `TRIPLET-gcc-14` becomes `TRIPLET-gcc`."""
    suffix = f"-{layout.major}"
    for path in sorted((staging / "bin").iterdir()):
        if path.name.endswith(suffix):
            path.rename(path.with_name(path.name.removesuffix(suffix)))


def _offer_plugin(staging: Path, layout: _Layout) -> None:
    """Let plain `ar`, `nm` and `ranlib` read objects for link-time optimisation; they look in this folder."""
    folder = staging / "lib/bfd-plugins"
    folder.mkdir()
    (folder / "liblto_plugin.so").symlink_to(f"../../{layout.gcc_libexec}/liblto_plugin.so")


def _mend_headers(bits: Path) -> None:
    """Make libstdc++'s headers agree with a floor below the glibc that they were configured for.

    Raises:
        ArchiveError: a header does not hold the text that is to be changed.
    """
    os_defines = bits / "os_defines.h"
    text, count = _WEAK_THREADS.subn(
        b"// libstdc++.a was compiled with strong references to pthread functions. Weak ones in headers,\n"
        b"// at a glibc below 2.34, would let a process believe that it has no threads.\n"
        b"# define _GLIBCXX_GTHREAD_USE_WEAK 0\n",
        os_defines.read_bytes(),
    )
    if count != 1:
        raise ArchiveError(
            f"{os_defines.name} of libstdc++ has changed: no _GLIBCXX_GTHREAD_USE_WEAK to mend"
        )
    if _FLOAT128_GATE not in text:
        raise ArchiveError(
            f"{os_defines.name} of libstdc++ has changed: no _GLIBCXX_HAVE_FLOAT128_MATH to mend"
        )
    _rewrite(os_defines, text.replace(_FLOAT128_GATE, b"#if ("))
    config = bits / "c++config.h"
    text = config.read_bytes()
    for macro, (major, minor) in _GATED.items():
        line = re.compile(rb"^#define " + macro.encode() + rb" [^\n\\]+\n", re.MULTILINE)
        text, count = line.subn(rb"#if __GLIBC_PREREQ(%d, %d)\n\g<0>#endif\n" % (major, minor), text)
        if count != 1:
            raise ArchiveError(f"{config.name} of libstdc++ has changed: no `#define {macro}` to mend")
    for macro in _OBSOLETE:
        old, name = f"/* #undef {macro} */\n".encode(), macro.encode()
        if text.count(old) != 1:
            raise ArchiveError(f"{config.name} of libstdc++ has changed: no `#undef {macro}` to mend")
        text = text.replace(old, _OBSOLETE_WHEN + b"\n# define " + name + b" 1\n#endif\n")
    _rewrite(config, text)


def _mend_archives(gcc_lib: Path, target: Target) -> None:
    """Make the runtime archives fit for the oldest floor, each in place.

    Undefined symbols are renamed in string tables; the new names are shorter.
    """
    if target.elf.machine == "EM_AARCH64":
        for path in sorted(gcc_lib.glob("*.a")):
            unsign(path)
    for name, (old, new) in _RENAMED.get(target.name, {}).items():
        path = gcc_lib / name
        data = path.read_bytes()
        if data.count(b"\0" + old + b"\0") != 1 or data.count(old) != 1:
            raise ArchiveError(f"{name} has changed: {old.decode()} is not there exactly once")
        _rewrite(path, data.replace(old, new.ljust(len(old), b"\0")))


def _write_specs(work: Assembly, layout: _Layout, runner: Sequence[str | Path]) -> None:
    """Write the `specs` file that GCC reads by itself: its built-in specs and our default linker options.

    A specs file replaces all that is built in, even when it only adds to one entry, hence the dump.
    """
    driver = work.staging / "bin" / f"{layout.triplet}-gcc"
    fill_slots(work.staging, work.staging)
    command = [*runner, driver, "-dumpspecs"]
    text = proc.run(command, log=work.ctx.log, what="reading GCC's specs").stdout
    blank_slots(work.staging)
    specs, count = re.subn(
        r"^(\*link:\n.*)$", rf"\g<1> --exclude-libs={':'.join(STATIC_RUNTIMES)}", text, flags=re.MULTILINE
    )
    if count != 1:
        raise ArchiveError("GCC's specs have no `link` entry")
    (work.staging / layout.gcc_lib / "specs").write_text(specs, encoding="utf-8")


def _rewrite(path: Path, data: bytes) -> None:
    """Replace a file's content; a new inode, so that nothing else that has the file is touched."""
    mode = path.stat().st_mode & 0o777
    path.unlink()
    path.write_bytes(data)
    path.chmod(mode)


def _check(staging: Path, layout: _Layout, languages: Sequence[str]) -> None:
    tools = ["gcc", "g++", "cpp", "as", "ld", "ld.bfd", "ar", "ranlib", "nm", "strip", "objcopy", "objdump"]
    tools += ["readelf", "gcc-ar", "gcc-ranlib", "gcc-nm", "gcov", "gcov-tool"]
    if "fortran" in languages:
        tools.append("gfortran")
    missing = [tool for tool in tools if not (staging / "bin" / f"{layout.triplet}-{tool}").is_file()]
    dangling = [
        path.relative_to(staging).as_posix()
        for path in staging.rglob("*")
        if path.is_symlink() and not path.exists()
    ]
    if missing or dangling:
        raise ArchiveError(
            "the packages do not make a whole toolchain",
            facts=[
                *(f"no {layout.triplet}-{tool}" for tool in missing),
                *(f"{d} leads nowhere" for d in dangling),
            ],
        )
