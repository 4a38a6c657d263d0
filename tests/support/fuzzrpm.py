"""Fuzzing the readers of RPM packages and of the cpio streams in them."""

from __future__ import annotations

import os
import random
import struct
from functools import partial
from pathlib import Path

from support import fuzzarchives, rpmforge
from support.fuzzformats import packed, unpacked
from support.fuzzmutate import PATHS, Pool, extreme, noise
from support.fuzztarget import Target, check

from xtool.errors import ArchiveError

_NUMBERS = 13
"""Numbers of eight hex digits in a cpio header."""


def cpio_seeds() -> list[bytes]:
    plain = rpmforge.cpio(
        rpmforge.folder("./usr"),
        rpmforge.folder("./usr/lib64"),
        rpmforge.member("./usr/lib64/liba.so.1", b"\x7fELF" + bytes(700), mode=0o100755),
        rpmforge.link("./usr/lib64/liba.so", "liba.so.1"),
        rpmforge.member("./usr/share/doc", b"text", magic=b"070702"),
    )
    linked = rpmforge.cpio(
        rpmforge.member("./usr/bin/a", inode=7, links=3),
        rpmforge.member("./usr/bin/b", inode=7, links=3),
        rpmforge.member("./usr/bin/c", b"content", inode=7, links=3),
        rpmforge.member("./usr/bin/empty", inode=8, links=2),
        rpmforge.link("./lib64", "usr/lib64"),
        rpmforge.link("./usr/lib64/up", "../../usr/bin"),
        rpmforge.member("./lib64/x", b"1" * 1500),
    )
    return [plain, linked, rpmforge.cpio()]


def rpm_seeds() -> list[bytes]:
    return [rpmforge.rpm(data, suffix) for data in cpio_seeds() for suffix in ("", ".gz", ".xz", ".zst")]


def cpio(rng: random.Random, data: bytes, pool: Pool) -> bytes:
    """A cpio stream: numbers of headers, names, members moved, doubled, linked to each other, invented."""
    members = _members(data)
    if not members or rng.randrange(6) == 0:
        return noise(rng, data, pool)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(members))
        numbers, name, body = members[at]
        choice = rng.randrange(10)
        if choice < 3:
            which = rng.randrange(_NUMBERS)
            value = extreme(rng, near=numbers[which], size=len(data)) % (1 << 32)
            members[at] = ([*numbers[:which], value, *numbers[which + 1 :]], name, body)
        elif choice == 3:
            mode = rng.choice(
                (0o120777, 0o100644, 0o040755, 0o010644, 0o060644, 0o104755, 0, rng.getrandbits(32))
            )
            members[at] = ([numbers[0], mode, *numbers[2:]], name, body)
        elif choice == 4:
            fresh = rng.choice(PATHS).encode("utf-8", "surrogatepass")
            members[at] = ([*numbers[:11], len(fresh) + 1, numbers[12]], fresh, body)
        elif choice == 5:
            members.insert(rng.randrange(len(members) + 1), members[at])
        elif choice == 6 and len(members) > 1:
            members.insert(rng.randrange(len(members)), members.pop(at))
        elif choice == 7 and len(members) > 1:
            del members[at]
        elif choice == 8:
            links = rng.choice((0, 1, 2, 3))
            members[at] = ([rng.choice((1, 7, 8)), *numbers[1:4], links, *numbers[5:]], name, body)
        else:
            target = rng.choice(PATHS).encode("utf-8", "surrogatepass")
            place = rng.choice(PATHS).encode("utf-8", "surrogatepass")
            mode = rng.choice((0o120777, 0o100644, 0o040755))
            size = len(target)
            members.insert(at, ([1, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, len(place) + 1, 0], place, target))
    out = b"".join(map(_member, members))
    return out if rng.randrange(10) else out + rng.choice((bytes(512), b"\0", b"x", data[:200]))


_Member = tuple[list[int], bytes, bytes]


def _members(data: bytes) -> list[_Member]:
    found, at = [], 0
    while at + 110 <= len(data) and data[at : at + 5] == b"07070" and len(found) < 200:
        try:
            numbers = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(_NUMBERS)]
        except ValueError:
            break
        name_at = at + 110
        body_at = name_at + numbers[11] + -(110 + numbers[11]) % 4
        found.append(
            (numbers, data[name_at : name_at + numbers[11] - 1], data[body_at : body_at + numbers[6]])
        )
        at = body_at + numbers[6] + -numbers[6] % 4
    return found


def _member(member: _Member) -> bytes:
    numbers, name, body = member
    head = b"070701" + b"".join(b"%08x" % number for number in numbers) + name + b"\0"
    return head + bytes(-len(head) % 4) + body + bytes(-len(body) % 4)


def rpm(rng: random.Random, data: bytes, pool: Pool) -> bytes:
    """A package: its payload, or one of its two headers, with sizes and digests made right again, mostly."""
    parts = _parts(data)
    choice = rng.randrange(8)
    if parts is None or choice == 0:
        return noise(rng, data, pool)
    first, signatures, main, payload = parts
    if choice < 4:
        for suffix, magic in ((".gz", b"\x1f\x8b"), (".xz", b"\xfd7z"), (".zst", b"\x28\xb5"), ("", b"")):
            if payload.startswith(magic):
                others = [
                    part[3] for item in pool[:4] if (part := _parts(item)) and part[3].startswith(magic)
                ]
                fresh = packed(suffix, cpio)(rng, payload, others)
                size = unpacked(fresh, suffix) or b""
                return rpmforge.rpm(size, suffix, packed=fresh, main=main)
    if choice < 7:
        return rpmforge.rpm(b"", packed=payload, main=_header(rng, main), first=first)
    changed = _header(rng, signatures)
    return first + changed + bytes(-len(changed) % 8) + main + payload


def _parts(data: bytes) -> tuple[bytes, bytes, bytes, bytes] | None:
    if len(data) < 128:
        return None
    count, size = struct.unpack(">II", data[104:112])
    end = 112 + 16 * count + size
    start = end + -(end - 96) % 8
    if start + 16 > len(data):
        return None
    count, size = struct.unpack(">II", data[start + 8 : start + 16])
    after = start + 16 + 16 * count + size
    if after > len(data):
        return None
    return data[:96], data[96:end], data[start:after], data[after:]


def _header(rng: random.Random, raw: bytes) -> bytes:
    """Numbers of the introduction and of entries set to extremes, data changed; the region stays mostly."""
    out = bytearray(raw)
    count = int.from_bytes(out[8:12], "big")
    for _ in range(rng.randint(1, 4)):
        choice = rng.randrange(10)
        if choice == 0:
            at = rng.choice((8, 12))
        elif choice < 6 and count > 1:
            at = (
                16
                + 16 * rng.randrange(rng.randrange(2), min(count, len(out) // 16 - 1))
                + 4 * rng.randrange(4)
            )
        else:
            at = rng.randrange(min(16 + 16 * count, len(out) - 1), len(out))
            out[at] = rng.choice((0, 0x2F, 0x80, 0xFF, rng.randrange(256)))
            continue
        if at + 4 <= len(out):
            old = int.from_bytes(out[at : at + 4], "big")
            value = extreme(rng, near=old, size=len(out)) if rng.randrange(3) else rng.randrange(12)
            out[at : at + 4] = (value % (1 << 32)).to_bytes(4, "big")
    return bytes(out)


def run_cpio(data: bytes, folder: Path) -> object:
    return fuzzarchives.run_unpack("a-1-1.ppc64le.rpm", data, folder, around=_package)


def _package(data: bytes) -> bytes:
    return rpmforge.rpm(data, "")


def run_header(data: bytes, folder: Path) -> None:
    from xtool.archive import rpm as reader

    path = folder / "a.rpm"
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        found = reader.read_rpm(fd, "a.rpm")
        for extent in (found.header, found.payload, *(s.covers for s in found.signatures)):
            check(0 <= extent.offset <= extent.offset + extent.size <= len(data), "a part outside the file")
        check(found.archive_size is None or found.archive_size >= 0, "a negative size")
        _ = found.nevra
        reader.check_digests(fd, found)
    finally:
        os.close(fd)


def targets() -> list[Target]:
    """Packages, their headers, their streams."""
    unpacking = (ArchiveError,)
    return [
        Target(
            "rpm",
            "whole .rpm unpacked",
            unpacking,
            rpm_seeds,
            rpm,
            partial(fuzzarchives.run_unpack, "a-1-1.ppc64le.rpm"),
        ),
        Target(
            "rpmheader",
            "headers and digests of a .rpm",
            unpacking,
            rpm_seeds,
            rpm,
            run_header,
        ),
        Target("cpio", "cpio of a .rpm", unpacking, cpio_seeds, cpio, run_cpio),
    ]
