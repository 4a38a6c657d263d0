"""A distribution's own C library as a sysroot: CentOS 7's, AlmaLinux's, Rocky's, or Debian's as it is.

What the packages hold becomes one tree that programs are linked against and run in: `usr/lib` is the one
library folder, `lib`, `lib64` and `usr/lib64` lead to it, because GCC looks in `lib` and `usr/lib` of a
sysroot and the distributions' loaders in `lib64`. The libraries are the distribution's to the byte. Of what
is for linking alone, some is changed: linker scripts name files relative to the sysroot, `libc_nonshared.a`
gets the shims that GCC 14's runtime libraries want (`xtool.toolchain.compat`), and libgcc_s is a stub.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from xtool.archive import unpack_all
from xtool.artifacts import Artifact
from xtool.catalog import Lock
from xtool.errors import ArchiveError, StoreError
from xtool.kit import Toolchain
from xtool.log import Log
from xtool.proc import run
from xtool.recipes import Assembly, Recipe
from xtool.sysroots import DEBIAN, Distribution
from xtool.targets import Glibc, Target, format_glibc, parse_glibc
from xtool.toolchain import compat, runtimes, stubs
from xtool.toolchain.floor import Libraries, Symbol
from xtool.toolchain.gcc import toolchain
from xtool.toolchain.sysroot import (
    AS_NEEDED,
    LIBC,
    LIBGCC,
    later_symbols,
    libgcc_at,
    merge_headers,
    newest_floor,
    read_libraries,
    symbol_names,
    write_tables,
)

REVISION = 1
FACTS = Path("share") / "xtool" / "sysroot.json"
"""Where such a sysroot says what it is."""

_WITNESS = ("libc6", "libgcc-s1")
"""Debian packages that tell what a later glibc has, and what libgcc_s is made of."""

_ELF = b"\x7fELF"
_SCRIPT = b"/* GNU ld script"
_SCRIPT_SIZE = 1 << 16
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_PATH = re.compile(r"(?<![^\s(,])/[^\s(),]+")
_BANNER = re.compile(rb"GNU C Library [^\n]*release version (\d+\.\d+)")

_ALIASES = frozenset({"bin", "sbin", "lib", "lib64", "usr/lib64"})
_RISCV_ABI = "lp64d"
"""Rocky's riscv64 puts its libraries in a folder named for the ABI; conda-forge makes it a link to `.`."""

_DROPPED = re.compile(
    r"""
    (usr/)?lib(64)?/((lp64d|[a-z0-9_]+-linux-gnu[a-z0-9_]*)/)?(
        (locale|debug|\.build-id|systemd|tmpfiles\.d|sysusers\.d|rpm|firmware|modules)(/.*)?
      | lib(nsl|nss_nis|nss_nisplus|nss_compat)[-.].* | libcrypt\.(so|a) | pkgconfig/libx?crypt\.pc
    )
  | usr/include/rpcsvc/(yp|nis).*
    """,
    re.VERBOSE,
)
"""Members that no build and no program under the emulator is to find.

Newer systems have neither libnsl nor libcrypt.so.1: what links them breaks there. libcrypt's library stays,
for programs of the distribution that need it.
"""

_KEPT = re.compile(r"usr/include/.*|(usr/)?lib(64)?/.*|etc/(nsswitch\.conf|rpc|gai\.conf)")


def distribution_recipe(
    distribution: Distribution, packages: Sequence[Artifact], target: Target, base: Lock, gcc: Recipe
) -> Recipe:
    """The recipe of a distribution's sysroot.

    Args:
        distribution: which one.
        packages: its packages, from its lock.
        target: the target.
        base: the target's own lock, whose newer glibc tells what the floor lacks.
        gcc: the toolchain that is linked with, and makes the shims.

    Raises:
        CatalogError: the target's lock has no glibc.
    """
    witness = tuple(a for a in base.artifacts("glibc") if a.name in _WITNESS)
    return _recipe(
        distribution.name,
        distribution.title,
        distribution.glibc,
        target,
        gcc,
        packages=tuple(packages),
        witness=witness,
    )


def debian_recipe(target: Target, base: Lock, gcc: Recipe) -> Recipe:
    """The recipe of the sysroot that the target's own lock has: Debian's glibc as it is.

    Raises:
        CatalogError: the lock has no glibc.
    """
    artifacts = base.artifacts("glibc")
    return _recipe(DEBIAN, "Debian", newest_floor(base), target, gcc, packages=artifacts, witness=())


def _recipe(
    name: str,
    title: str,
    floor: Glibc,
    target: Target,
    gcc: Recipe,
    *,
    packages: tuple[Artifact, ...],
    witness: tuple[Artifact, ...],
) -> Recipe:
    return Recipe(
        name=f"sysroot-{target.name}-{name}",
        title=f"{title} sysroot for {target.name} (glibc {format_glibc(floor)})",
        revision=REVISION,
        artifacts=packages + witness,
        assemble=partial(
            _assemble,
            name=name,
            target=target,
            floor=floor,
            gcc=gcc.name,
            own=tuple(artifact.name for artifact in packages),
            witness=tuple(artifact.name for artifact in witness),
        ),
        parameters={
            "target": target.name,
            "distribution": name,
            "floor": format_glibc(floor),
            "shims": compat.sources_digest(),
            "cflags": " ".join(target.cflags),
        },
        needs=(gcc,),
    )


def _assemble(
    job: Assembly,
    *,
    name: str,
    target: Target,
    floor: Glibc,
    gcc: str,
    own: Sequence[str],
    witness: Sequence[str],
) -> None:
    root, log = job.staging, job.ctx.log
    if witness:
        _unpack_rpms(job, own, target)
    else:
        _unpack_debs(job, own, target)
    libraries = root / "usr" / "lib"
    _drop_dangling(root)
    check_glibc(libraries / LIBC, floor, name)
    _name_services(root)
    tools = toolchain(job.needs[gcc], target)
    exports = read_libraries(libraries, target, tools, log, needed=(LIBC,))
    today: dict[str, tuple[Symbol, ...]] = dict(exports)
    newer = job.scratch / "newer"
    if witness:
        unpack_all((job.files[n] for n in witness), newer, only=_is_library, jobs=2)
        today = read_libraries(newer / "usr" / "lib" / target.multiarch, target, tools, log)
    exports[LIBGCC] = libgcc_at(today.pop(LIBGCC), floor)
    _write_facts(root, name, floor, [job.files[n].artifact for n in own])
    static = [path for part in ("c", "pthread") if (path := libraries / f"lib{part}_nonshared.a").is_file()]
    names = symbol_names(exports) | _defined(tools, static, log)
    write_tables(root, exports, later_symbols(today, names))
    _mend_scripts(root, exports, target)
    shop = compat.Workshop(target, tools, root, job.scratch, log)
    compat.write_archive(shop, compat.shims_for(target, names), names, libraries / "libc_nonshared.a")
    if witness:
        _bring_libgcc(shop, newer / "usr" / "lib" / target.multiarch / LIBGCC, exports)
    else:
        runtimes.install_runtimes(shop, _listed(exports), libraries)


def _bring_libgcc(shop: compat.Workshop, packaged: Path, exports: Libraries) -> None:
    """Put libgcc_s, which the packages lack, and the other runtimes into a sysroot.

    Two of it: a stub with what may be linked at the floor, in the folder that GCC looks in before others and
    the distribution's loader never; and Debian's, lowered, for running.
    """
    libraries = shop.sysroot / "usr" / "lib"
    stub = libraries / shop.target.multiarch / LIBGCC
    stub.parent.mkdir()
    bench = stubs.Bench(shop.tools.tool("as"), shop.tools.tool("ld"), shop.scratch, shop.log)
    stubs.write_stub(LIBGCC, exports[LIBGCC], stub, bench)
    listed = _listed(exports)
    runtimes.install_runtimes(shop, listed, libraries)
    shutil.copyfile(packaged, libraries / LIBGCC)
    offered = runtimes.compat_names(libraries / compat.COMPAT_SONAME)
    known = {soname: names for soname, names in listed.items() if soname != LIBGCC}
    runtimes.fit(libraries / LIBGCC, shop.target, known, offered)


def _listed(exports: Libraries) -> dict[str, frozenset[str]]:
    return {soname: frozenset(map(str, symbols)) for soname, symbols in exports.items()}


def _name_services(root: Path) -> None:
    """Let name services read files: without the distribution's own `nsswitch.conf`, glibc asks for NIS."""
    file = root / "etc" / "nsswitch.conf"
    if not file.is_file():
        file.parent.mkdir(exist_ok=True)
        file.write_text("passwd: files\ngroup: files\nhosts: files dns\n", encoding="ascii")


def run_time_files(sysroot: Path) -> tuple[str, ...]:
    """Names, below `usr/lib`, of what programs of an installed distribution sysroot are run with.

    Raises:
        StoreError: the sysroot does not say what it is.
    """
    try:
        facts = json.loads((sysroot / FACTS).read_text(encoding="utf-8"))
        return tuple(facts["run_time"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            "a sysroot in the cache is damaged",
            facts=[f"{sysroot / FACTS}: {error}"],
            hint="`xtool verify` names what is damaged; `xtool cache clean` starts afresh",
        ) from error


def check_glibc(libc: Path, floor: Glibc, name: str) -> None:
    """Hold a C library against the glibc that its distribution is declared with.

    Raises:
        ArchiveError: it is not there, or another one.
    """
    if not libc.is_file():
        raise ArchiveError(f"the packages of {name} have no {libc.name}")
    found = _BANNER.search(libc.read_bytes())
    if found is None or parse_glibc(found[1].decode()) != floor:
        has = found[1].decode() if found else "does not say which glibc it is"
        raise ArchiveError(
            f"the packages of {name} hold another glibc than declared",
            facts=[f"declared: {format_glibc(floor)}; {libc.name}: {has}"],
            hint="`xtool lock` shows what the sysroot is made of",
        )


def _unpack_rpms(job: Assembly, names: Sequence[str], target: Target) -> None:
    root = job.staging
    (root / "usr" / "lib").mkdir(parents=True)
    (root / "usr" / "lib64").mkdir()
    # In place before anything is unpacked: members below `lib64/` then land in `usr/lib64`, whichever of the
    # two a release's packages name.
    for place in ("lib", "lib64"):
        (root / place).symlink_to(f"usr/{place}")
    skipped = set(_ALIASES)
    if target.name.startswith("riscv"):
        (root / "usr" / "lib64" / _RISCV_ABI).symlink_to(".")
        skipped |= {f"lib64/{_RISCV_ABI}", f"usr/lib64/{_RISCV_ABI}"}
    unpack_all(
        (job.files[name] for name in names),
        root,
        only=partial(_wanted, skipped=frozenset(skipped)),
        absolute_links="rewrite",
        jobs=job.ctx.settings.jobs,
    )
    merge_folders(root / "usr" / "lib64", root / "usr" / "lib")
    (root / "usr" / "lib64").symlink_to("lib")


def _unpack_debs(job: Assembly, names: Sequence[str], target: Target) -> None:
    raw, root = job.scratch / "raw", job.staging
    unpack_all(
        (job.files[name] for name in names),
        raw,
        only=partial(_wanted, skipped=_ALIASES),
        absolute_links="rewrite",
        jobs=job.ctx.settings.jobs,
    )
    packaged, libraries = raw / "usr" / "lib" / target.multiarch, root / "usr" / "lib"
    libraries.parent.mkdir(parents=True)
    packaged.rename(libraries)
    merge_headers(raw, root / "usr" / "include", target)
    # Debian's loader looks in the multiarch folder.
    (libraries / target.multiarch).symlink_to(".")
    for place, link in (("lib", "usr/lib"), ("lib64", "usr/lib"), ("usr/lib64", "lib")):
        (root / place).symlink_to(link)


def _wanted(name: str, *, skipped: frozenset[str]) -> bool:
    return name not in skipped and bool(_KEPT.fullmatch(name)) and not _DROPPED.fullmatch(name)


def _is_library(name: str) -> bool:
    return name.startswith("usr/lib/") and ".so." in name


def merge_folders(source: Path, into: Path) -> None:
    """Move everything of a folder into the one beside it and remove the folder.

    A name may be in both, as a link and what it leads to. Relative links stay right, because both folders lie
    equally deep.

    Raises:
        ArchiveError: two different files have one name.
    """
    for entry in sorted(source.iterdir()):
        place = into / entry.name
        if entry.is_symlink() and entry.readlink() == Path():
            entry.unlink()
        elif entry.is_dir() and not entry.is_symlink():
            place.mkdir(exist_ok=True)
            merge_folders(entry, place)
        elif not (place.exists() or place.is_symlink()):
            entry.rename(place)
        else:
            _merge_names(entry, place)
    source.rmdir()


def _merge_names(entry: Path, place: Path) -> None:
    real = entry.resolve()
    if real != place.resolve():
        raise ArchiveError(
            f"`{place.name}` is one file in {entry.parent.name} and another in {place.parent.name}"
        )
    if not entry.is_symlink():
        place.unlink()
        entry.rename(place)
    elif place.is_symlink():
        # Either could be the link that the other one is reached by: after the move it would lead to itself.
        place.unlink()
        place.symlink_to(real.name)
        entry.unlink()
    else:
        entry.unlink()


def _drop_dangling(root: Path) -> None:
    """Remove links to what no package of the sysroot brings (a library that was left out, a tool)."""
    for path in sorted(root.rglob("*")):
        if path.is_symlink() and not path.exists():
            path.unlink()


def _mend_scripts(root: Path, exports: Libraries, target: Target) -> None:
    """Make linker scripts name what they join relative to the sysroot (`=`), wherever that lies.

    libc's is written anew: it offers the libraries that glibc 2.34 folded into libc as well, because code
    written for newer systems, libstdc++.a among it, does not pass `-lpthread` or `-ldl`.

    Raises:
        ArchiveError: a script names a file that is not there.
    """
    folder = root / "usr" / "lib"
    for path in sorted((*folder.glob("*.so"), *folder.glob("*.a"))):
        if path.is_symlink() or path.stat().st_size > _SCRIPT_SIZE:
            continue
        data = path.read_bytes()
        if data.startswith(_SCRIPT):
            path.write_text(mended_script(data.decode("ascii"), root, path.name), encoding="ascii")
    loader = PurePosixPath(target.dynamic_linker).name
    parts = [LIBC, "libc_nonshared.a"]
    parts += ["libpthread_nonshared.a"] if (folder / "libpthread_nonshared.a").is_file() else []
    offered = [soname for soname in (*AS_NEEDED, loader) if exports.get(soname)]
    inputs, more = (" ".join(f"=/usr/lib/{name}" for name in names) for names in (parts, offered))
    script = f"GROUP ( {inputs} AS_NEEDED ( {more} ) )\n"
    (folder / "libc.so").unlink(missing_ok=True)
    (folder / "libc.so").write_text(script, encoding="ascii")


def mended_script(text: str, root: Path, name: str) -> str:
    """A linker script without comments, its absolute paths made relative to the sysroot.

    Args:
        text: the script.
        root: the sysroot.
        name: the script's name, for messages.

    Raises:
        ArchiveError: it names a file that is not there.
    """

    def relative(match: re.Match[str]) -> str:
        path = root / match[0].lstrip("/")
        if not path.exists():
            raise ArchiveError(f"the linker script {name} names {match[0]}, which no package has")
        return "=/" + (path.parent.resolve() / path.name).relative_to(root.resolve()).as_posix()

    return _PATH.sub(relative, _COMMENT.sub("", text)).strip() + "\n"


def _defined(tools: Toolchain, archives: Sequence[Path], log: Log) -> frozenset[str]:
    """The names that static archives define."""
    command: list[str | Path] = [tools.tool("nm"), "--extern-only", "--defined-only", "--format=posix"]
    text = run([*command, *archives], log=log, what="reading what glibc links statically").stdout
    return frozenset(words[0] for line in text.splitlines() if len(words := line.split()) > 1)


def _write_facts(root: Path, name: str, floor: Glibc, packages: Sequence[Artifact]) -> None:
    libraries = root / "usr" / "lib"
    facts: Mapping[str, object] = {
        "schema": 1,
        "distribution": name,
        "glibc": format_glibc(floor),
        "packages": {artifact.name: artifact.version for artifact in packages},
        "run_time": sorted(path.name for path in libraries.iterdir() if _is_run_time(path)),
    }
    (root / FACTS).parent.mkdir(parents=True)
    (root / FACTS).write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _is_run_time(path: Path) -> bool:
    """Whether a loader may ask for a file: a shared object by its soname or its own name, or the loader."""
    if ".so" not in path.name or (path.is_symlink() and path.suffix == ".so") or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_ELF)) == _ELF
