"""The derived sysroot: headers, start files and link libraries of a glibc floor, made from a newer glibc."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath

from xtool.archive import unpack
from xtool.catalog import Lock, default_root
from xtool.errors import CatalogError, UsageError
from xtool.kit import Sysroot, Toolchain
from xtool.log import Log
from xtool.recipes import Assembly, Recipe
from xtool.targets import Glibc, Target, format_glibc, parse_glibc
from xtool.toolchain import compat, headers, runtimes, stubs
from xtool.toolchain.floor import (
    Libraries,
    Symbol,
    floor_libraries,
    libgcc_version,
    load_history,
    read_symbols,
)
from xtool.toolchain.gcc import toolchain

REVISION = 5
KIND = "derived"
_COMPONENT = "glibc"
_LOWEST: Glibc = (2, 17)

LIBC = "libc.so.6"
LIBGCC = "libgcc_s.so.1"
LIBM = "libm.so.6"
LIBMVEC = "libmvec.so.1"
_LINK_NAMES = {
    LIBM: "m",
    "libresolv.so.2": "resolv",
    LIBMVEC: "mvec",
    "libpthread.so.0": "pthread",
    "libdl.so.2": "dl",
    "librt.so.1": "rt",
    "libutil.so.1": "util",
    "libanl.so.1": "anl",
}
"""What `-l` calls each library."""

_NEVER_LINKED = ("libnsl.so.1", "libcrypt.so.1", "libBrokenLocale.so.1", "libthread_db.so.1")
"""Stubs without a name for `-l`: other libraries may need them, but a wheel that does breaks on newer
systems, which have given libnsl and libcrypt up."""

AS_NEEDED = ("libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1")
_FOLDED = (*AS_NEEDED, "libanl.so.1")
"""Libraries that glibc 2.34 folded into libc; an architecture that is newer than that never had them."""

_START_FILES = ("crti.o", "crtn.o")
_NEW_START_FILES = ("crt1.o", "Scrt1.o", "gcrt1.o", "grcrt1.o", "Mcrt1.o")
_EMPTY_ARCHIVE = b"!<arch>\n"
_OTHER_TRIPLET = re.compile(r"usr/include/[a-z0-9_]+-linux-gnu[a-z0-9_]*/")


def derived_recipe(target: Target, lock: Lock, floor: Glibc, gcc: Recipe) -> Recipe:
    """The recipe of a sysroot at any floor that the locked glibc can stand for.

    Args:
        target: the target.
        lock: where glibc's packages are locked.
        floor: the newest glibc whose symbols shall link.
        gcc: the toolchain, whose `as`, `ld` and `gcc` make it.

    Raises:
        UsageError: the floor is out of range.
    """
    artifacts = lock.artifacts(_COMPONENT)
    newest = newest_floor(lock)
    lowest = lowest_floor(target)
    if not lowest <= floor <= newest:
        raise UsageError(
            f"there is no glibc {format_glibc(floor)} sysroot for {target.name}",
            facts=[f"floors from {format_glibc(lowest)} to {format_glibc(newest)} can be derived"],
            hint=f"use `--glibc {format_glibc(min(max(floor, lowest), newest))}`",
            code="no-such-floor",
        )
    return Recipe(
        name=f"sysroot-{target.name}-glibc{format_glibc(floor)}",
        title=f"glibc {format_glibc(floor)} sysroot for {target.name}",
        revision=REVISION,
        artifacts=artifacts,
        assemble=partial(_assemble, target=target, floor=floor, gcc=gcc.name),
        parameters={
            "target": target.name,
            "floor": format_glibc(floor),
            "shims": compat.sources_digest(),
            "tables": _tables_digest(),
            "cflags": " ".join(target.cflags),
        },
        needs=(gcc,),
    )


def lowest_floor(target: Target) -> Glibc:
    """The lowest floor that can be derived."""
    return max(target.lowest_glibc, _LOWEST)


def newest_floor(lock: Lock) -> Glibc:
    """The glibc that is locked, which is the highest floor.

    Raises:
        CatalogError: the lock does not say.
    """
    for artifact in lock.artifacts(_COMPONENT):
        match = re.match(r"(?:\d+:)?(\d+\.\d+)", artifact.version)
        if artifact.name == "libc6" and match:
            return parse_glibc(match[1])
    raise CatalogError("component `glibc` of the lock has no package libc6")


def sysroot(path: Path, floor: Glibc) -> Sysroot:
    """The sysroot of an installed component."""
    return Sysroot(path=path, glibc=floor, kind=KIND)


def _assemble(job: Assembly, *, target: Target, floor: Glibc, gcc: str) -> None:
    log, tools = job.ctx.log, toolchain(job.needs[gcc], target)
    raw = job.scratch / "raw"
    unpacked = {
        name: unpack(file, raw, only=partial(_wanted, multiarch=target.multiarch))
        for name, file in job.files.items()
    }
    packaged = raw / "usr" / "lib" / target.multiarch
    folder = job.staging / "usr" / "lib"
    folder.mkdir(parents=True)
    for place, link in (("lib", "usr/lib"), ("lib64", "usr/lib"), ("usr/lib64", "lib")):
        (job.staging / place).symlink_to(link)

    today = read_libraries(packaged, target, tools, log)
    libgcc = libgcc_at(today.pop(LIBGCC), floor)
    exports = {**floor_libraries(today, floor, load_history(_tables(), target.name)), LIBGCC: libgcc}
    names = symbol_names(exports)

    include = job.staging / "usr" / "include"
    merge_headers(raw, include, target)
    shims = compat.shims_for(target, names)
    ours = {include / _below_include(name, target) for name in unpacked["libc6-dev"]}
    headers.answer_for(include, floor, symbol_names(today) - names - compat.provided(shims), glibc_files=ours)

    bench = stubs.Bench(tools.tool("as"), tools.tool("ld"), job.scratch, log)
    with ThreadPoolExecutor(max_workers=4) as pool:
        made = [
            pool.submit(stubs.write_stub, soname, symbols, folder / soname, bench)
            for soname, symbols in exports.items()
        ]
        for stub in made:
            stub.result()
    _write_link_names(folder, exports, target)
    shop = compat.Workshop(target, tools, job.staging, job.scratch, log)
    _write_start_files(shop, floor, packaged, folder)
    shutil.copyfile(packaged / "libc_nonshared.a", folder / "libc_nonshared.a")
    compat.write_archive(shop, shims, names, folder / "libc_nonshared.a")
    listed = {soname: frozenset(map(str, symbols)) for soname, symbols in exports.items()}
    runtimes.install_runtimes(shop, listed, folder)

    write_tables(job.staging, exports, later_symbols(today, names))


def write_tables(root: Path, exports: Libraries, later: Mapping[str, str]) -> None:
    """Write what `kit.Sysroot.exports` and `kit.Sysroot.later` name."""
    share = root / "share" / "xtool"
    share.mkdir(parents=True, exist_ok=True)
    table = {soname: sorted(map(str, symbols)) for soname, symbols in sorted(exports.items())}
    (share / "exports.json").write_text(json.dumps(table, indent=0) + "\n", encoding="ascii")
    (share / "later.json").write_text(json.dumps(later, indent=0) + "\n", encoding="ascii")


def libgcc_at(symbols: Sequence[Symbol], floor: Glibc) -> tuple[Symbol, ...]:
    """What of libgcc_s may link at a floor."""
    limit = libgcc_version(_tables(), floor)
    # __register_frame and its like are at a version of glibc's, from the time when they lived in libc.
    return tuple(
        s for s in symbols if (s.number <= limit if s.version.startswith("GCC_") else s.number[:2] <= floor)
    )


def symbol_names(libraries: Libraries) -> frozenset[str]:
    """Every name that some library exports, without versions."""
    return frozenset(symbol.name for symbols in libraries.values() for symbol in symbols)


def later_symbols(today: Libraries, names: Collection[str]) -> dict[str, str]:
    """What the floor lacks and a later glibc has: symbol -> the first version that has it."""
    since: dict[str, tuple[int, ...]] = {}
    for symbols in today.values():
        for symbol in symbols:
            if symbol.name not in names and symbol.version.startswith("GLIBC_"):
                since[symbol.name] = min(since.get(symbol.name, symbol.number), symbol.number)
    return {name: ".".join(map(str, number)) for name, number in sorted(since.items())}


def _write_start_files(shop: compat.Workshop, floor: Glibc, packaged: Path, folder: Path) -> None:
    names = _START_FILES if floor < compat.NEW_START else (*_START_FILES, *_NEW_START_FILES)
    for name in names:
        if (packaged / name).is_file():
            shutil.copyfile(packaged / name, folder / name)
    if floor < compat.NEW_START:
        compat.write_start_files(shop, folder)


def _wanted(name: str, *, multiarch: str) -> bool:
    """Headers of this target, the kernel's, link-time objects and shared libraries."""
    if name.startswith("usr/include/"):
        return name.startswith(f"usr/include/{multiarch}/") or not _OTHER_TRIPLET.match(name)
    if name.startswith("usr/lib/linux/"):
        return True
    path = PurePosixPath(name)
    if path.name == "libc_nonshared.a" or path.suffix == ".o":
        return True
    return path.parent == PurePosixPath("usr/lib", multiarch) and ".so." in path.name


def read_libraries(
    folder: Path, target: Target, tools: Toolchain, log: Log, *, needed: Collection[str] = (LIBC, LIBGCC)
) -> dict[str, tuple[Symbol, ...]]:
    """The symbols of a glibc's libraries, and of libgcc_s where it lies beside them, by soname.

    Raises:
        CatalogError: one that is needed is not there.
    """
    loader = PurePosixPath(target.dynamic_linker).name
    wanted = (LIBC, loader, LIBGCC, *_LINK_NAMES, *_NEVER_LINKED)
    found = {soname: folder / soname for soname in wanted if (folder / soname).is_file()}
    missing = {loader, *needed} - found.keys()
    if missing:
        raise CatalogError(f"the packages of glibc lack {', '.join(sorted(missing))}")
    with ThreadPoolExecutor(max_workers=4) as pool:
        read = pool.map(lambda path: read_symbols(tools.tool("readelf"), path, log), found.values())
        return dict(zip(found, read, strict=True))


def merge_headers(raw: Path, include: Path, target: Target) -> None:
    """Move Debian's headers into place, multiarch ones among the others, links replaced by their files."""
    (raw / "usr" / "include").rename(include)
    multiarch = include / target.multiarch
    for path in sorted(multiarch.rglob("*")):
        place = include / path.relative_to(multiarch)
        if path.is_symlink():
            # As it stood in the package: usr/include/TRIPLET/asm/x.h -> ../../../lib/linux/uapi/ARCH/asm/x.h
            named = os.path.normpath(
                raw / "usr" / "include" / path.relative_to(include).parent / path.readlink()
            )
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(named, place)
        elif path.is_dir():
            place.mkdir(exist_ok=True)
        else:
            path.rename(place)
    shutil.rmtree(multiarch)


def _below_include(name: str, target: Target) -> str:
    """Where a header of the package stands below the merged include folder."""
    return name.removeprefix("usr/include/").removeprefix(f"{target.multiarch}/")


def _write_link_names(folder: Path, exports: Mapping[str, tuple[Symbol, ...]], target: Target) -> None:
    """What `-lc`, `-lm`, `-lpthread` and so on find.

    libc's script offers the libraries that glibc 2.34 folded into libc: code written for newer systems does
    not pass `-lpthread` or `-ldl`. AS_NEEDED makes an unused library cost nothing. `=` is the sysroot.
    """
    loader = PurePosixPath(target.dynamic_linker).name
    offered = [soname for soname in (*AS_NEEDED, loader) if exports.get(soname)]
    inputs = " ".join(f"=/usr/lib/{soname}" for soname in offered)
    script = f"GROUP ( =/usr/lib/{LIBC} =/usr/lib/libc_nonshared.a AS_NEEDED ( {inputs} ) )\n"
    (folder / "libc.so").write_text(script, encoding="ascii")
    for soname, name in _LINK_NAMES.items():
        if exports.get(soname):
            (folder / f"lib{name}.so").symlink_to(soname)
        elif soname in exports or soname in _FOLDED:
            # Nothing is left in it: `-lpthread` must be accepted and do nothing, as with glibc 2.34 itself.
            (folder / f"lib{name}.a").write_bytes(_EMPTY_ARCHIVE)
    if exports.get(LIBMVEC):
        # Calls of it are the compiler's own doing: `-lm` is all that a project passes.
        (folder / "libm.so").unlink()
        script = f"GROUP ( =/usr/lib/{LIBM} AS_NEEDED ( =/usr/lib/{LIBMVEC} ) )\n"
        (folder / "libm.so").write_text(script, encoding="ascii")


def _tables() -> Path:
    return default_root() / "glibc"


def _tables_digest() -> str:
    digest = hashlib.sha256()
    for path in sorted(_tables().glob("*.toml")):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
