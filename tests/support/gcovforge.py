"""Files of GCC's profiles, forged word by word: `.gcno` and `.gcda` in either byte order."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

Order = Literal["<", ">"]

FUNCTION, BLOCKS, ARCS, LINES, COUNTERS, SUMMARY = (
    *(0x01000000, 0x01410000, 0x01430000, 0x01450000, 0x01A10000),
    0xA1000000,
)


@dataclass
class Forge:
    """A file in the making.

    Args:
        order: `<` little-endian, `>` big-endian.
    """

    order: Order = "<"
    data: bytearray = field(default_factory=bytearray)

    def words(self, *values: int) -> Forge:
        """Append 32-bit words."""
        self.data += struct.pack(f"{self.order}{len(values)}I", *values)
        return self

    def magic(self, name: str, version: str = "B42*") -> Forge:
        """Append what a file begins with: its kind and GCC's version."""
        return self.words(*(int.from_bytes(each.encode(), "big") for each in (name, version)))

    def record(self, tag: int, *parts: int | str, length: int | None = None) -> Forge:
        """Append a record, with its length in bytes or another one."""
        body = Forge(self.order)
        for part in parts:
            if isinstance(part, str):
                body.words(len(part.encode()) + 1)
                body.data += part.encode() + b"\0"
            else:
                body.words(part)
        self.words(tag, (len(body.data) if length is None else length) % (1 << 32))
        self.data += body.data
        return self

    def counters(self, kind: int, values: Sequence[int]) -> Forge:
        """Append 64-bit counters, the low word first."""
        halves = [half for value in values for half in (value & 0xFFFFFFFF, value >> 32 & 0xFFFFFFFF)]
        return self.record(COUNTERS + (kind << 17), *halves)

    def zeros(self, kind: int, count: int) -> Forge:
        """Append counters that are all zero: a record with a negative length and nothing in it."""
        return self.record(COUNTERS + (kind << 17), length=-8 * count)

    @property
    def bytes(self) -> bytes:
        """The file."""
        return bytes(self.data)


def notes(order: Order = "<", *, stamp: int = 0x5EED, cwd: str = "/p") -> Forge:
    """The head of a `.gcno` file."""
    forge = Forge(order).magic("gcno").words(stamp, 0)
    forge.words(len(cwd) + 1)
    forge.data += cwd.encode() + b"\0"
    return forge.words(1)


def counted(order: Order = "<", *, stamp: int = 0x5EED, runs: int = 2, highest: int = 9) -> Forge:
    """The head of a `.gcda` file."""
    return Forge(order).magic("gcda").words(stamp, 0).record(SUMMARY, runs, highest)
