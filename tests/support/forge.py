"""Archives made header by header: what no real tool would write, and what an attacker would."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import zlib
from pathlib import Path

import zstandard

from xtool.artifacts import Artifact, VerifiedFile

END = bytes(1024)


def octal(value: int, width: int) -> bytes:
    return f"{value:0{width - 1}o}\0".encode()


def header(
    name: str | bytes,
    *,
    size: int = 0,
    kind: bytes = b"0",
    mode: int = 0o644,
    target: str | bytes = b"",
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
    size_field: bytes | None = None,
    mode_field: bytes | None = None,
    checksum: bytes | None = None,
) -> bytes:
    """One tar header block; any field may be given raw."""
    raw_name = name.encode() if isinstance(name, str) else name
    raw_target = target.encode() if isinstance(target, str) else target
    assert len(raw_name) <= 100
    assert len(raw_target) <= 100
    parts = [
        raw_name.ljust(100, b"\0"),
        mode_field if mode_field is not None else octal(mode, 8),
        octal(1000, 8),
        octal(1000, 8),
        size_field if size_field is not None else octal(size, 12),
        octal(1_700_000_000, 12),
        b" " * 8,
        kind,
        raw_target.ljust(100, b"\0"),
        magic,
        b"somebody".ljust(32, b"\0"),
        b"somebody".ljust(32, b"\0"),
        octal(0, 8),
        octal(0, 8),
        prefix.ljust(155, b"\0"),
        bytes(12),
    ]
    block = b"".join(parts)
    assert len(block) == 512
    stored = checksum if checksum is not None else f"{sum(block):06o}\0 ".encode()
    return block[:148] + stored + block[156:]


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def file(name: str | bytes, data: bytes = b"", *, mode: int = 0o644) -> bytes:
    return header(name, size=len(data), mode=mode) + padded(data)


def folder(name: str | bytes, *, mode: int = 0o755) -> bytes:
    return header(name, kind=b"5", mode=mode)


def link(name: str | bytes, target: str | bytes) -> bytes:
    return header(name, kind=b"2", target=target, mode=0o777)


def hard_link(name: str | bytes, target: str | bytes) -> bytes:
    return header(name, kind=b"1", target=target)


def gnu_long(kind: bytes, text: bytes) -> bytes:
    data = text + b"\0"
    return header("././@LongLink", size=len(data), kind=kind, magic=b"ustar  \0") + padded(data)


def pax(records: dict[str, str | bytes], kind: bytes = b"x") -> bytes:
    data = b""
    for key, value in records.items():
        raw = value.encode() if isinstance(value, str) else value
        body = b" " + key.encode() + b"=" + raw + b"\n"
        length = len(body)
        while length != len(body) + len(str(length)):
            length = len(body) + len(str(length))
        data += str(length).encode() + body
    return header("pax", size=len(data), kind=kind) + padded(data)


def tar(*members: bytes, end: bytes = END) -> bytes:
    return b"".join(members) + end


def ar_member(name: str, data: bytes, *, size_field: bytes | None = None, end: bytes = b"`\n") -> bytes:
    size = size_field if size_field is not None else str(len(data)).encode()
    head = name.encode().ljust(16) + b"0".ljust(12) + b"0".ljust(6) + b"0".ljust(6) + b"100644".ljust(8)
    return head + size.ljust(10) + end + data + (b"\n" if len(data) % 2 else b"")


def ar(*members: bytes, magic: bytes = b"!<arch>\n") -> bytes:
    return magic + b"".join(members)


def compress(data: bytes, compression: str) -> bytes:
    if compression == ".xz":
        return lzma.compress(data, preset=0)
    if compression == ".gz":
        return gzip.compress(data, mtime=0)
    if compression == ".zst":
        return zstandard.ZstdCompressor().compress(data)
    return data


def xz_blocks(*contents: bytes) -> bytes:
    """One xz stream with a block for each content, as dpkg writes it with several threads."""
    from xtool.archive import xzblocks

    blocks, records, flags = b"", [], b""
    for content in contents:
        stream = lzma.compress(content, preset=0)
        index_size = (int.from_bytes(stream[-8:-4], "little") + 1) * 4
        flags = stream[6:8]
        unpadded, _ = xzblocks._number(stream, len(stream) - 12 - index_size + 2)
        blocks += stream[12 : len(stream) - 12 - index_size]
        records.append((unpadded, len(content)))
    index = b"\0" + xzblocks._encoded(len(records))
    for unpadded, size in records:
        index += xzblocks._encoded(unpadded) + xzblocks._encoded(size)
    index += bytes(-len(index) % 4)
    index += zlib.crc32(index).to_bytes(4, "little")
    footer = (len(index) // 4 - 1).to_bytes(4, "little") + flags
    end = zlib.crc32(footer).to_bytes(4, "little") + footer + b"YZ"
    return b"\xfd7zXZ\0" + flags + zlib.crc32(flags).to_bytes(4, "little") + blocks + index + end


def deb(data_tar: bytes, compression: str = "", *, packed: bytes | None = None) -> bytes:
    """A .deb around a tar stream; `packed` replaces what it compresses to."""
    control = tar(file("./control", b"Package: x\n"))
    return ar(
        ar_member("debian-binary", b"2.0\n"),
        ar_member("control.tar.xz", compress(control, ".xz")),
        ar_member(
            f"data.tar{compression}", packed if packed is not None else compress(data_tar, compression)
        ),
    )


def verified(path: Path, content: bytes, *, unpacked_size: int = 1 << 24) -> VerifiedFile:
    """Write a file and call it verified, as `xtool.fetch` would."""
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    name = path.name.partition("_")[0]
    artifact = Artifact(
        name, "1", "all", "debian", "trixie", f"pool/{path.name}", len(content), sha256, unpacked_size
    )
    return VerifiedFile(artifact, path)
