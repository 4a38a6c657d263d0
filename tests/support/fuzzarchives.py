"""Fuzzing the parsers of archives: what they are given to begin with, and what must hold when they agree."""

from __future__ import annotations

import io
import lzma
import os
import stat
import tarfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from support import forge, fuzzformats
from support.fuzzmutate import Mutator, either, noise
from support.fuzztarget import CAP, Target, check

from xtool.errors import ArchiveError


def tar_seeds() -> list[bytes]:
    plain = forge.tar(
        forge.folder("./"),
        forge.folder("./usr/"),
        forge.folder("./usr/lib/"),
        forge.file("./usr/lib/a.so.1.2", b"\x7fELF" + bytes(700)),
        forge.link("./usr/lib/a.so", "a.so.1.2"),
        forge.link("./lib", "usr/lib"),
        forge.hard_link("./usr/lib/b", "./usr/lib/a.so.1.2"),
        forge.file("./usr/bin/tool", b"#!/bin/sh\n", mode=0o755),
    )
    long = forge.tar(
        forge.gnu_long(b"L", b"usr/share/" + b"n" * 200 + b"/file"),
        forge.file("usr/share/short", b"x" * 600),
        forge.pax({"path": "usr/share/caf\u00e9", "mtime": "1.5"}),
        forge.file("usr/share/cafe", b"y"),
        forge.pax({"linkpath": "../" * 3 + "usr/share"}),
        forge.link("usr/lib/x/up", "unused"),
        forge.header("name", prefix=b"usr/share/prefix"),
    )
    chain = forge.tar(
        forge.link("a", "b"),
        forge.link("b", "c/d"),
        forge.folder("c"),
        forge.folder("c/d"),
        forge.file("a/f", b"1"),
        forge.link("c/up", "../c"),
        forge.file("c/up/d/g", b"2" * 1500),
    )
    return [plain, long, chain, forge.tar(), forge.tar(forge.folder("c"), forge.link("l", "/c"))]


def packed_seeds(suffix: str) -> list[bytes]:
    return [forge.compress(data, suffix) for data in tar_seeds()]


def deb_seeds() -> list[bytes]:
    debs = [forge.deb(data, suffix) for data in tar_seeds()[:3] for suffix in (".xz", ".gz", ".zst", "")]
    return [*debs, forge.deb(b"", ".xz", packed=forge.xz_blocks(*_halves(tar_seeds()[0])))]


def _halves(data: bytes) -> list[bytes]:
    return [data[at : at + 1024] for at in range(0, len(data), 1024)]


def deb_member(name: str) -> Mutator:
    suffix = next((s for s in (".xz", ".gz", ".zst", ".bz2") if name.endswith(s)), "")
    inner = fuzzformats.packed(suffix, fuzzformats.tar)
    return either(inner, inner, inner, fuzzformats.xz) if suffix == ".xz" else inner


def run_unpack(
    filename: str, data: bytes, folder: Path, *, around: Callable[[bytes], bytes] = bytes
) -> object:
    """Unpack an archive, with something put `around` it or not, beside a file that must stay as it is."""
    from xtool import archive

    salt = zlib.crc32(data)
    victim = lay_out(folder)
    packed = forge.verified(folder / filename, around(data), unpacked_size=CAP)
    root = folder / "in" / "side"
    links = "rewrite" if salt & 2 else "refuse"
    try:
        names = archive.unpack(packed, root, jobs=1 + (salt & 1), absolute_links=links)
    finally:
        check_confined(folder, victim, {filename})
    check_tree(root, cap=CAP)
    if not filename.endswith(".rpm"):
        check_read_alike(filename, data)
    return names


def lay_out(folder: Path) -> os.stat_result:
    """A folder to unpack into and a file outside of it."""
    (folder / "in").mkdir()
    (folder / "outside").mkdir()
    victim = folder / "outside" / "victim"
    victim.write_bytes(b"untouched")
    return victim.stat()


def check_confined(folder: Path, victim: os.stat_result, own: set[str]) -> None:
    """Nothing but `in/side` has changed."""
    check(
        {entry.name for entry in folder.iterdir()} == {"in", "outside"} | own,
        "something new beside the folder",
    )
    check([e.name for e in (folder / "in").iterdir()] in ([], ["side"]), "something new above the root")
    outside = folder / "outside"
    check([e.name for e in outside.iterdir()] == ["victim"], "something new outside")
    state = (outside / "victim").lstat()
    fields = ("st_mode", "st_mtime_ns", "st_nlink", "st_size", "st_ino")
    check(all(getattr(state, f) == getattr(victim, f) for f in fields), "a file outside was touched")


def check_tree(root: Path, *, cap: int, modes: frozenset[int] = frozenset({0o644, 0o755})) -> None:
    """Files, folders and links that lead inside; ordinary modes; no more bytes than allowed."""
    total = 0
    real = os.path.realpath(root)
    for folder, _, names in os.walk(root):
        for name in [*names, "."]:
            path = Path(folder, name)
            state = path.lstat()
            if stat.S_ISLNK(state.st_mode):
                continue
            check(stat.S_ISREG(state.st_mode) or stat.S_ISDIR(state.st_mode), f"a special file: {path}")
            check(stat.S_IMODE(state.st_mode) in modes, f"mode {state.st_mode:o}: {path}")
            total += state.st_size if stat.S_ISREG(state.st_mode) and state.st_nlink == 1 else 0
    for folder, folders, names in os.walk(root):
        for name in [*folders, *names]:
            path = Path(folder, name)
            if path.is_symlink():
                target = os.path.realpath(path)
                check(target == real or target.startswith(f"{real}/"), f"a link leads out: {path}")
                check(not path.readlink().is_absolute(), f"an absolute link: {path}")
    check(total <= cap, f"{total} bytes were written")


def check_read_alike(filename: str, data: bytes) -> None:
    """What was taken means the same to another reader, Python's own, as far as that one reads."""
    from xtool.archive.tar import TarReader
    from xtool.archive.tree import clean_name

    if filename.endswith(".deb"):
        head, data = next(pair for pair in fuzzformats.ar_members(data) if pair[0].startswith(b"data.tar"))
        filename = head[:16].decode().strip().rstrip("/")
    plain = fuzzformats.unpacked(data, filename.rpartition(".tar")[2]) or b""
    kinds = {"5": "folder", "2": "symbolic link", "1": "hard link"}
    own = [
        (clean_name(item.name, ""), item.kind.value, item.size, item.target)
        for item in TarReader(iter([plain]), "", limit=9999).members()
    ]
    other = []
    with suppress(tarfile.ReadError), tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as archive:
        for item in archive:
            kind = kinds.get(item.type.decode("latin-1"), "file")
            target = item.linkname if "link" in kind else ""
            other.append((clean_name(item.name or "/", ""), kind, item.size, target))
    # It stops at what it does not like, now and then without a word.
    for ours, theirs in zip(own, other, strict=False):
        check(ours == theirs, f"tarfile reads something else: {theirs}, not {ours}")
    check(len(other) <= len(own), f"tarfile reads more: {other[len(own) :][:3]}")


# Pieces of archives


def run_ar(data: bytes, folder: Path) -> None:
    from xtool.archive import ar

    path = folder / "a.deb"
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        for member in ar.read_ar(fd, "a.deb"):
            check(0 <= member.offset <= member.offset + member.size <= len(data), "a member outside the file")
        ar.find_data(fd, "a.deb")
    finally:
        os.close(fd)


def xz_seeds() -> list[bytes]:
    return [
        forge.xz_blocks(b"a" * 3000, b"b" * 10, b"c" * 5000),
        forge.xz_blocks(*(bytes([n]) * n * 40 for n in range(1, 20))),
        lzma.compress(b"one block", preset=0),
        lzma.compress(b"crc32" * 99, preset=0, check=lzma.CHECK_CRC32),
        lzma.compress(b"sha256" * 99, preset=0, check=lzma.CHECK_SHA256),
    ]


def run_xzblocks(data: bytes, folder: Path) -> None:
    """What the blocks give, decoded one by one, is what the stream gives."""
    from xtool.archive import streams

    path = folder / "x.xz"
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        several = _outcome(
            lambda: b"".join(streams.decompressed(fd, 0, len(data), ".xz", cap=CAP, label="x", jobs=2))
        )
        single = _outcome(lambda: b"".join(streams.decompressed(fd, 0, len(data), ".xz", cap=CAP, label="x")))
    finally:
        os.close(fd)
    check(several == single, "several threads decode something else than one")
    if several is None:
        raise ArchiveError("refused")


def _outcome(call: Callable[[], bytes]) -> bytes | None:
    try:
        return call()
    except ArchiveError:
        return None


def run_debsize(data: bytes, folder: Path) -> None:
    from xtool.fetch.debfile import unpacked_size

    path = folder / "a.deb"
    path.write_bytes(data)
    check(0 <= unpacked_size(path) < 1 << 40, "a size that cannot be")


def targets() -> list[Target]:
    """Archives and their pieces."""
    unpacking = (ArchiveError,)
    deb = fuzzformats.ar(deb_member)
    found = []
    for suffix in (".gz", ".xz", ".zst"):
        mutate = fuzzformats.packed(suffix, fuzzformats.tar)
        run = partial(run_unpack, f"a.tar{suffix}")
        seeds = partial(packed_seeds, suffix)
        found.append(Target(f"tar{suffix}", f"tar{suffix} unpacked", unpacking, seeds, mutate, run))
    return [
        Target(
            "ar",
            "outer layer of a .deb",
            unpacking,
            deb_seeds,
            fuzzformats.ar(lambda _: noise),
            run_ar,
        ),
        Target(
            "tar",
            "tar unpacked",
            unpacking,
            tar_seeds,
            fuzzformats.tar,
            partial(run_unpack, "a.tar"),
        ),
        Target(
            "deb",
            "whole .deb unpacked",
            unpacking,
            deb_seeds,
            deb,
            partial(run_unpack, "a_1_all.deb"),
        ),
        Target(
            "xzblocks",
            "xz in blocks",
            unpacking,
            xz_seeds,
            either(fuzzformats.xz, noise),
            run_xzblocks,
        ),
        Target(
            "debsize",
            "size of a .deb's data",
            unpacking,
            deb_seeds,
            deb,
            run_debsize,
        ),
        *found,
    ]
