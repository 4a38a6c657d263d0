"""Compressed streams, read in bounded pieces: no input makes more memory or disk than its cap."""

from __future__ import annotations

import lzma
import os
import zlib
from collections.abc import Generator, Iterator

from xtool.archive import xzblocks
from xtool.errors import ArchiveError

_INPUT = 1 << 18
_OUTPUT = 1 << 18
_XZ_MEMORY = 1 << 29
"""More than any xz preset needs (`-9` decodes in 65 MiB), less than would hurt."""

_ZSTD_INPUT = 1 << 10
"""zstandard's streaming objects do not bound their output; a KiB of run-length blocks makes 32 MiB."""

_ZSTD_WINDOW = 1 << 27
"""The largest window that `zstd --long=27` makes, which is what dpkg accepts."""

COMPRESSIONS = ("", ".gz", ".xz", ".zst")
"""Suffixes of the compressions that can be read."""


def decompressed(
    fd: int, offset: int, size: int, compression: str, *, cap: int, label: str, jobs: int = 1
) -> Generator[bytes, None, None]:
    """Yield the bytes that a part of a file decompresses to.

    Args:
        fd: the open file.
        offset: where the compressed bytes start.
        size: how many they are.
        compression: one of `COMPRESSIONS`.
        cap: how many bytes may come out.
        label: the archive's name, for messages.
        jobs: how many threads may decompress; only xz of several blocks makes use of them.

    Raises:
        ArchiveError: unknown compression, broken or truncated data, trailing bytes, or more than `cap` bytes.
    """
    raw = _raw(fd, offset, size, _ZSTD_INPUT if compression == ".zst" else _INPUT)
    if compression == "":
        chunks = raw
    elif compression == ".xz":
        blocks = xzblocks.find_blocks(fd, offset, size) if jobs > 1 else None
        if blocks is not None:
            chunks = xzblocks.decode_blocks(fd, blocks, jobs=jobs, label=label)
        else:
            chunks = _xz(raw, label)
    elif compression == ".gz":
        chunks = _gzip(raw, label)
    elif compression == ".zst":
        chunks = _zstd(raw, label)
    else:
        raise ArchiveError(
            f"{label}: unknown compression `{compression.removeprefix('.')}`",
            facts=[f"known: {', '.join(name.removeprefix('.') for name in COMPRESSIONS if name)}, none"],
        )
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > cap:
            raise ArchiveError(
                f"{label} unpacks to more than it should",
                facts=[f"stopped at the {cap} bytes that the lock allows"],
                code="too-large",
            )
        yield chunk


def _raw(fd: int, offset: int, size: int, step: int) -> Generator[bytes, None, None]:
    end = offset + size
    while offset < end:
        data = os.pread(fd, min(step, end - offset), offset)
        if not data:
            raise ArchiveError("an archive became shorter while it was read")
        offset += len(data)
        yield data


def _xz(raw: Iterator[bytes], label: str) -> Generator[bytes, None, None]:
    decoder = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
    try:
        for data in raw:
            if _ended(decoder):
                raise _garbage(label)
            piece = data
            while True:
                chunk = decoder.decompress(piece, _OUTPUT)
                if chunk:
                    yield chunk
                if decoder.needs_input or _ended(decoder):
                    break
                piece = b""
    except lzma.LZMAError as error:
        raise ArchiveError(f"{label}: broken xz data: {error}") from error
    _check_end(decoder.eof, decoder.unused_data, label)


def _gzip(raw: Iterator[bytes], label: str) -> Generator[bytes, None, None]:
    decoder = zlib.decompressobj(wbits=31)
    try:
        for data in raw:
            if decoder.eof:
                raise _garbage(label)
            chunk = decoder.decompress(data, _OUTPUT)
            while chunk:
                yield chunk
                chunk = decoder.decompress(decoder.unconsumed_tail, _OUTPUT) if not decoder.eof else b""
    except zlib.error as error:
        raise ArchiveError(f"{label}: broken gzip data: {error}") from error
    _check_end(decoder.eof, decoder.unused_data, label)


def _zstd(raw: Iterator[bytes], label: str) -> Generator[bytes, None, None]:
    import zstandard

    decoder = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
    try:
        for data in raw:
            if decoder.eof:
                raise _garbage(label)
            chunk = decoder.decompress(data)
            if chunk:
                yield chunk
    except zstandard.ZstdError as error:
        raise ArchiveError(f"{label}: broken zstd data: {error}") from error
    _check_end(decoder.eof, decoder.unused_data, label)


def _ended(decoder: lzma.LZMADecompressor) -> bool:
    return decoder.eof


def _check_end(eof: bool, unused: bytes, label: str) -> None:
    if not eof:
        raise ArchiveError(f"{label}: compressed data is cut short")
    if unused:
        raise _garbage(label)


def _garbage(label: str) -> ArchiveError:
    return ArchiveError(f"{label}: there are bytes after the end of the compressed data")
