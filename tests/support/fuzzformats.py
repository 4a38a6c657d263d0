"""Mutations that know a format: compression, ar, tar, ELF and zip.

What stands around a changed part (sizes, checksums, compression) is made right again, mostly, so that the
change is looked at and not its wrapping.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import re
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence

import zstandard
from support.fuzzmutate import (
    PATHS,
    TEXT_NUMBERS,
    Mutator,
    Pool,
    extreme,
    noise,
)

# Compression

CODECS: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    "": (bytes, bytes),
    ".gz": (
        lambda data: zlib.decompressobj(31).decompress(data, 1 << 22),
        lambda data: gzip.compress(data, 1, mtime=0),
    ),
    ".bz2": (
        lambda data: bz2.BZ2Decompressor().decompress(data, 1 << 22),
        lambda data: bz2.compress(data, 1),
    ),
    ".xz": (
        lambda data: lzma.LZMADecompressor().decompress(data, 1 << 22),
        lambda data: lzma.compress(data, preset=0),
    ),
    ".zst": (
        lambda data: zstandard.ZstdDecompressor().stream_reader(data).read(1 << 22),
        lambda data: zstandard.ZstdCompressor(level=1).compress(data),
    ),
}
_UNREADABLE = (zlib.error, lzma.LZMAError, zstandard.ZstdError, OSError, EOFError, ValueError, MemoryError)


def unpacked(data: bytes, suffix: str) -> bytes | None:
    """What compressed bytes hold, or None when they hold nothing readable."""
    try:
        return CODECS[suffix][0](data)
    except _UNREADABLE:
        return None


def packed(suffix: str, inner: Mutator) -> Mutator:
    """Three times in four the content is changed and compressed again, else the compressed bytes are."""

    def mutate(rng: random.Random, data: bytes, pool: Pool) -> bytes:
        if rng.randrange(4) == 0:
            return noise(rng, data, pool)
        content = unpacked(data, suffix)
        if content is None:
            return noise(rng, data, pool)
        others = [text for item in pool[:8] if (text := unpacked(item, suffix))]
        fresh = CODECS[suffix][1](inner(rng, content, others))
        return noise(rng, fresh, pool, most=1) if rng.randrange(12) == 0 else fresh

    return mutate


def xz(rng: random.Random, data: bytes, pool: Pool) -> bytes:
    """The framework of an xz stream (header, index, footer) changed, with checksums made right again."""
    out = bytearray(data)
    if len(out) < 32 or out[:6] != b"\xfd7zXZ\0":
        return noise(rng, data, pool)
    index_size = (int.from_bytes(out[-8:-4], "little") + 1) * 4
    if rng.random() < 0.7 and index_size < len(out) - 24:
        start = len(out) - 12 - index_size
        index = bytearray(noise(rng, bytes(out[start : len(out) - 16]), (), most=3))
        index += bytes(-len(index) % 4)
        index += zlib.crc32(index).to_bytes(4, "little")
        footer = ((len(index) // 4 - 1) % (1 << 32)).to_bytes(4, "little") + bytes(out[-4:-2])
        out[start:] = bytes(index) + zlib.crc32(footer).to_bytes(4, "little") + footer + b"YZ"
    else:
        if rng.random() < 0.5:
            out[6 + rng.randrange(2)] = rng.randrange(256)
            out[8:12] = zlib.crc32(out[6:8]).to_bytes(4, "little")
        backward = extreme(rng, near=index_size // 4 - 1, size=len(out) // 4) % (1 << 32)
        footer = backward.to_bytes(4, "little") + bytes(out[6:8])
        out[-12:] = zlib.crc32(footer).to_bytes(4, "little") + footer + b"YZ"
    return bytes(out)


# ar


def ar(members: Callable[[str], Mutator]) -> Mutator:
    """An ar archive: members changed by the mutator for their name, dropped, doubled, sized wrongly."""

    def mutate(rng: random.Random, data: bytes, pool: Pool) -> bytes:
        found = ar_members(data)
        if not found or rng.randrange(5) == 0:
            return noise(rng, data, pool)
        at = rng.choice([len(found) - 1, rng.randrange(len(found))])
        head, content = found[at]
        choice = rng.randrange(12)
        if choice == 0:
            found.insert(rng.randrange(len(found) + 1), found[at])
        elif choice == 1:
            del found[at]
        elif choice == 2:
            found[at] = (noise(rng, head, (), most=2)[:60].ljust(60), content)
        elif choice == 3:
            name = rng.choice(
                ("data.tar", "data.tar.gz", "data.tar.xz", "data.tar.zst", "data.tar.bz2", "_x", "")
            )
            found[at] = (name.encode().ljust(16) + head[16:], content)
        elif choice == 4:
            size = rng.choice(TEXT_NUMBERS).encode("utf-8")[:10].ljust(10)
            found[at] = (head[:48] + size + head[58:], content)
            return _ar_join(found, fix=False)
        else:
            others = [body for item in pool[:8] for _, body in ar_members(item)[-1:]]
            name = head[:16].decode("latin-1").strip().rstrip("/")
            found[at] = (head, members(name)(rng, content, others))
        return _ar_join(found, fix=True)

    return mutate


def ar_members(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at + 60 <= len(data) and len(found) < 64:
        head = data[at : at + 60]
        size = head[48:58].strip()
        if not (size.isdigit() and len(size) < 10):
            break
        found.append((head, data[at + 60 : at + 60 + int(size)]))
        at += 60 + int(size) + int(size) % 2
    return found


def _ar_join(members: Sequence[tuple[bytes, bytes]], *, fix: bool) -> bytes:
    out = b"!<arch>\n"
    for head, content in members:
        right = head[:48] + str(len(content)).encode().ljust(10) + head[58:]
        out += (right if fix and len(head) == 60 else head) + content + b"\n" * (len(content) % 2)
    return out


# tar

_TAR_FIELDS = ((0, 100), (100, 8), (124, 12), (148, 8), (156, 1), (157, 100), (257, 8), (345, 155))


def tar(rng: random.Random, data: bytes, pool: Pool) -> bytes:
    """A tar stream: headers changed and their checksums made right, members moved, doubled, invented."""
    members = tar_members(data)
    if not members or rng.randrange(6) == 0:
        return noise(rng, data, pool)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(members))
        choice = rng.randrange(10)
        if choice < 4:
            members[at] = _tar_field(rng, members[at]) + members[at][512:]
        elif choice == 4:
            members.insert(rng.randrange(len(members) + 1), members[at])
        elif choice == 5 and len(members) > 1:
            members.insert(rng.randrange(len(members)), members.pop(at))
        elif choice == 6 and len(members) > 1:
            del members[at]
        elif choice == 7:
            members.insert(at, _tar_extension(rng))
        elif choice == 8:
            members.insert(at, _tar_invented(rng))
        else:
            others = tar_members(rng.choice(pool)) if pool else members
            if others:
                members.insert(at, rng.choice(others))
    end = bytes(1024) if rng.randrange(10) else bytes(rng.choice((0, 1, 512, 1536, 10240)))
    return b"".join(members) + end


def tar_members(data: bytes) -> list[bytes]:
    found, at = [], 0
    while at + 512 <= len(data) and len(found) < 200:
        head = data[at : at + 512]
        if not head.strip(b"\0"):
            break
        field = head[124:136].strip(b" \0")
        size = int(field, 8) if field and not field.strip(b"01234567") else 0
        end = at + 512 + size + -size % 512
        found.append(data[at:end])
        at = end
    return found


def tar_header(name: bytes, kind: bytes, size: int, target: bytes = b"", mode: int = 0o755) -> bytes:
    head = bytearray(512)
    head[0 : min(len(name), 100)] = name[:100]
    head[100:108] = f"{mode:07o}\0".encode()
    head[124:136] = f"{size % (1 << 33):011o}\0".encode()
    head[156:157] = kind
    head[157 : 157 + min(len(target), 100)] = target[:100]
    head[257:265] = b"ustar\x0000"
    return _tar_checked(bytes(head))


def _tar_checked(head: bytes) -> bytes:
    total = sum(head) - sum(head[148:156]) + 8 * 0x20
    return head[:148] + f"{total:06o}\0 ".encode() + head[156:]


def _tar_field(rng: random.Random, member: bytes) -> bytes:
    start, width = rng.choice(_TAR_FIELDS)
    choice = rng.randrange(5)
    if start in (0, 157, 345) and choice < 4:
        value = rng.choice(PATHS).encode("utf-8", "surrogatepass")
    elif start in (100, 124) and choice < 4:
        value = rng.choice(
            (f"{extreme(rng) % (1 << 33):o}".encode(), b"\x80" + bytes(11), b"-1", b" 17 ", b"\xff" * 12)
        )
    elif start == 156:
        value = rng.choice(
            (b"0", b"\0", b"1", b"2", b"3", b"5", b"6", b"7", b"L", b"K", b"x", b"g", b"S", rng.randbytes(1))
        )
    else:
        value = noise(rng, member[start : start + width], (), most=2)
    head = member[:start] + value[:width].ljust(width, b"\0") + member[start + width : 512]
    return _tar_checked(head) if rng.randrange(8) else head


def _tar_extension(rng: random.Random) -> bytes:
    text = rng.choice(PATHS).encode("utf-8", "surrogatepass")
    if rng.random() < 0.5:
        body = text + rng.choice((b"\0", b""))
        kind = rng.choice((b"L", b"K"))
    else:
        key = rng.choice(
            (b"path", b"linkpath", b"size", b"mtime", b"GNU.sparse.major", b"charset", b"hdrcharset", b"")
        )
        value = rng.choice((text, str(extreme(rng)).encode(), b"9" * 5000, b"-1", b"0", "\u0663".encode()))
        record = b" " + key + b"=" + value + b"\n"
        length = len(record) + len(str(len(record) + 3))
        shown = rng.choice(
            (str(length).encode(), str(extreme(rng, near=length)).encode(), b"0", b"\xb2", b"9" * 7)
        )
        body = shown + record
        kind = rng.choice((b"x", b"x", b"g"))
    size = rng.choice((len(body), len(body), len(body), extreme(rng)))
    return tar_header(b"././@x", kind, size) + body + bytes(-len(body) % 512)


def _tar_invented(rng: random.Random) -> bytes:
    kind = rng.choice((b"0", b"1", b"2", b"2", b"5"))
    name, target = (rng.choice(PATHS).encode("utf-8", "surrogatepass") for _ in range(2))
    body = rng.randbytes(rng.choice((0, 1, 512, 700))) if kind == b"0" else b""
    return (
        tar_header(name, kind, len(body), target if kind in b"12" else b"") + body + bytes(-len(body) % 512)
    )


# ELF


def elf(rng: random.Random, data: bytes, pool: Pool) -> bytes:
    """An ELF file: fields of its headers and of its dynamic section set to extremes and to each other."""
    if len(data) < 64 or data[:4] != b"\x7fELF" or rng.randrange(4) == 0:
        return noise(rng, data, pool)
    out = bytearray(data)
    for _ in range(rng.randint(1, 5)):
        wide = out[4] == 2
        order = "<" if out[5] == 1 else ">"
        word = "Q" if wide else "I"
        fields = _elf_fields(out, order, wide=wide, word=word)
        if not fields:
            break
        offset, layout = rng.choice(fields)
        size = struct.calcsize(order + layout)
        if offset < 0 or offset + size > len(out):
            continue
        old = struct.unpack_from(order + layout, out, offset)[0]
        if rng.randrange(5) == 0:
            other, same = rng.choice(fields)
            if other >= 0 and other + struct.calcsize(order + same) <= len(out):
                old = struct.unpack_from(order + same, out, other)[0]
        value = extreme(rng, near=old, size=len(out)) if rng.randrange(5) else old
        struct.pack_into(order + layout, out, offset, value % (1 << 8 * size))
    return noise(rng, bytes(out), pool, most=2) if rng.randrange(5) == 0 else bytes(out)


def _elf_fields(out: bytearray, order: str, *, wide: bool, word: str) -> list[tuple[int, str]]:
    """Offset and layout of each number that says where something is or how much of it there is."""
    head = "HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"
    fields, at = [], 16
    for layout in head:
        fields.append((at, layout))
        at += struct.calcsize(order + layout)
    if len(out) < at:
        return fields
    numbers = struct.unpack_from(order + head, out, 16)
    phoff, shoff, phnum, shnum = numbers[4], numbers[5], numbers[9], numbers[11]
    entry = "IIQQQQQQ" if wide else "IIIIIIII"
    size = struct.calcsize(order + entry)
    for index in range(min(phnum, 16)):
        place = phoff + index * size
        if place + size > len(out):
            break
        segment = struct.unpack_from(order + entry, out, place)
        at = place
        for layout in entry:
            fields.append((at, layout))
            at += struct.calcsize(order + layout)
        if segment[0] == 2:
            start, length = (segment[2], segment[5]) if wide else (segment[1], segment[4])
            step = 2 * struct.calcsize(order + word)
            for position in range(start, min(start + length, start + 64 * step), step):
                if position + step > len(out):
                    break
                fields += [(position, word), (position + step // 2, word)] * 2
                tag, value = struct.unpack_from(f"{order}2{word}", out, position)
                # Tables that are found through the dynamic section: hash tables and versions, by address 0.
                if tag in (4, 0x6FFFFEF5, 0x6FFFFFFE, 0x6FFFFFFC, 0x6FFFFFF0) and value + 64 < len(out):
                    fields += [(value + 4 * n, "I") for n in range(8)] + [
                        (value + 2 * n, "H") for n in range(8)
                    ]
    for index in range(min(shnum, 40)):
        place = shoff + index * (64 if wide else 40)
        if place + 64 > len(out):
            break
        fields += [(place + 4 * n, "I") for n in range(10)]
    return fields


# zip and wheels


def wheel(inner: Mutator) -> Mutator:
    """A zip: members changed by `inner`, renamed, dropped, doubled; or its records changed."""

    def mutate(rng: random.Random, data: bytes, pool: Pool) -> bytes:
        choice = rng.randrange(6)
        if choice == 0:
            return noise(rng, data, pool)
        if choice == 1:
            return _zip_records(rng, data)
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                members = [(info, archive.read(info)) for info in archive.infolist()[:60]]
        except Exception:  # noqa: BLE001 - zipfile meets nonsense with all kinds of them
            return noise(rng, data, pool)
        if not members:
            return noise(rng, data, pool)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(members))
            info, content = members[at]
            fresh = zipfile.ZipInfo(info.filename)
            fresh.external_attr, fresh.compress_type = info.external_attr, info.compress_type
            todo = rng.randrange(8)
            if todo == 0:
                fresh.filename = rng.choice(PATHS).replace("\ud800", "d").replace("\udcff", "f") or "x"
            elif todo == 1:
                fresh.external_attr = rng.choice(
                    (0o120777 << 16, 0o020644 << 16, 0, 0xFFFFFFFF, rng.getrandbits(32))
                )
            elif todo == 2:
                members.insert(rng.randrange(len(members) + 1), members[at])
                continue
            elif todo == 3 and len(members) > 1:
                del members[at]
                continue
            elif todo == 4:
                fresh.compress_type = rng.choice((0, 8, 12, 14))
            else:
                content = inner(rng, content, [body for _, body in members])
            members[at] = (fresh, content)
        return _zipped(members)

    return mutate


def _zipped(members: Sequence[tuple[zipfile.ZipInfo, bytes]]) -> bytes:
    out = io.BytesIO()
    # zipfile warns about two members of one name; that is what is wanted.
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as archive:
        warnings.simplefilter("ignore")
        for info, content in members:
            archive.writestr(info, content)
    return out.getvalue()


def _zip_records(rng: random.Random, data: bytes) -> bytes:
    """Numbers in the local headers, the directory and its end set to extremes."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        magic, size = rng.choice(
            ((b"PK\x03\x04", 30), (b"PK\x01\x02", 46), (b"PK\x01\x02", 46), (b"PK\x05\x06", 22))
        )
        places = [match.start() for match in re.finditer(re.escape(magic), bytes(out))]
        if not places:
            continue
        at = rng.choice(places) + 4 + 2 * rng.randrange((size - 4) // 2)
        width = rng.choice((2, 4))
        value = extreme(rng, size=len(out)) % (1 << 8 * width)
        if at + width <= len(out):
            out[at : at + width] = value.to_bytes(width, "little")
    return bytes(out)
