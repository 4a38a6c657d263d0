"""xz streams of several blocks, decompressed by several threads.

dpkg compresses large packages in blocks of 24 MiB, each of which stands for itself. Python's lzma decodes one
stream in one thread; so every block is handed to it as a stream of its own, made of the original header, the
block, and an index and footer for this block alone. Sizes and checksums are checked by liblzma as ever.

Format: "The .xz File Format", version 1.2.1, https://tukaani.org/xz/xz-file-format.txt, sections 2 and 4.
"""

from __future__ import annotations

import lzma
import os
import struct
import zlib
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from xtool.errors import ArchiveError

_EDGE = 12
"""Bytes of a stream header, and of a stream footer."""

_LARGEST_INDEX = 1 << 20
_LARGEST_BLOCK = 1 << 26
_MEMORY = 1 << 29


@dataclass(frozen=True, slots=True)
class Block:
    """One block of an xz stream.

    Args:
        offset: where it starts in the file.
        unpadded: its bytes without the padding to a multiple of four.
        size: bytes it decompresses to.
    """

    offset: int
    unpadded: int
    size: int

    @property
    def padded(self) -> int:
        """Its bytes in the file."""
        return self.unpadded + -self.unpadded % 4


@dataclass(frozen=True, slots=True)
class Blocks:
    """The blocks of a stream, and its header, which tells the kind of check that each block ends with."""

    header: bytes
    blocks: tuple[Block, ...]


def find_blocks(fd: int, offset: int, size: int) -> Blocks | None:
    """Read the index at the end of an xz stream.

    Args:
        fd: the open file.
        offset: where the stream starts.
        size: its bytes.

    Returns:
        The blocks; None when the stream is not one of several blocks of bounded size, or not in order. It is
        then left to the ordinary decoder, which says what is wrong.
    """
    if size < 2 * _EDGE + 8:
        return None
    header = os.pread(fd, _EDGE, offset)
    footer = os.pread(fd, _EDGE, offset + size - _EDGE)
    flags = header[6:8]
    crc, backward = struct.unpack("<II", footer[:8])
    index_size = (backward + 1) * 4
    if (
        header[:6] != b"\xfd7zXZ\0"
        or footer[8:] != flags + b"YZ"
        or crc != zlib.crc32(footer[4:10])
        or index_size > min(_LARGEST_INDEX, size - 2 * _EDGE)
    ):
        return None
    index = os.pread(fd, index_size, offset + size - _EDGE - index_size)
    try:
        records = _read_index(index)
    except (ValueError, IndexError):
        return None
    at = offset + _EDGE
    blocks = []
    for unpadded, uncompressed in records:
        block = Block(at, unpadded, uncompressed)
        if uncompressed > _LARGEST_BLOCK or unpadded > _LARGEST_BLOCK:
            return None
        blocks.append(block)
        at += block.padded
    if len(blocks) < 2 or at + index_size + _EDGE != offset + size:
        return None
    return Blocks(header, tuple(blocks))


def decode_blocks(fd: int, found: Blocks, *, jobs: int, label: str) -> Generator[bytes, None, None]:
    """Yield the content of each block, in order, decoding `jobs` at a time.

    Raises:
        ArchiveError: a block is broken.
    """

    def decode(block: Block) -> bytes:
        decoder = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_MEMORY)
        parts = [found.header, os.pread(fd, block.padded, block.offset), _trailer(found.header[6:8], block)]
        try:
            content = decoder.decompress(b"".join(parts), block.size + 1)
        except lzma.LZMAError as error:
            raise ArchiveError(f"{label}: broken xz data: {error}") from error
        if not decoder.eof or decoder.unused_data or len(content) != block.size:
            raise ArchiveError(f"{label}: an xz block is not what the index says")
        return content

    with ThreadPoolExecutor(jobs, thread_name_prefix="xz") as pool:
        try:
            left = iter(found.blocks)
            ahead: deque[Future[bytes]] = deque(
                pool.submit(decode, block) for block in islice(left, jobs + 1)
            )
            while ahead:
                content = ahead.popleft().result()
                ahead.extend(pool.submit(decode, block) for block in islice(left, 1))
                yield content
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _read_index(index: bytes) -> list[tuple[int, int]]:
    """(unpadded size, uncompressed size) of every block."""
    if index[0] != 0 or zlib.crc32(index[:-4]) != int.from_bytes(index[-4:], "little"):
        raise ValueError
    count, at = _number(index, 1)
    records = []
    for _ in range(count):
        unpadded, at = _number(index, at)
        uncompressed, at = _number(index, at)
        records.append((unpadded, uncompressed))
    if len(index) != at + -at % 4 + 4 or any(index[at:-4]):
        raise ValueError
    return records


def _number(data: bytes, at: int) -> tuple[int, int]:
    """A multibyte integer (section 1.2): seven bits a byte, the lowest first; and where the next begins."""
    value = 0
    for shift in range(0, 63, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            if not byte and shift:
                # The format wants the shortest form, and liblzma refuses any other.
                break
            return value, at
    raise ValueError


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _trailer(flags: bytes, block: Block) -> bytes:
    index = b"\0\x01" + _encoded(block.unpadded) + _encoded(block.size)
    index += bytes(-len(index) % 4)
    index += struct.pack("<I", zlib.crc32(index))
    footer = struct.pack("<I", len(index) // 4 - 1) + flags
    return index + struct.pack("<I", zlib.crc32(footer)) + footer + b"YZ"
