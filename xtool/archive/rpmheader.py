"""The structure that both headers of an RPM package are made of: an index of tags, and their data.

Format: rpm's own manual, "RPM Package Header format": 16 bytes of introduction, 16 bytes of index an entry,
then the data; all numbers big-endian. Like rpm 4.14 and newer this reader wants the data in the order of the
entries and without overlaps, and, of a header that is signed, a region that is the whole header: what is
signed is all there is.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

from xtool.errors import ArchiveError

_MAGIC = b"\x8e\xad\xe8\x01" + bytes(4)
_INTRO = 16
_ENTRY = 16
_MOST_ENTRIES = 0xFFFF
_MOST_VALUES = 1 << 17
"""Of an array that is read; a kernel has some ten thousand dependencies."""

_REGIONS = (62, 63)

INT32, INT64 = 4, 5
_STRING, _BIN, _STRING_ARRAY, _I18N_STRING = 6, 7, 8, 9
_STRINGS = (_STRING, _STRING_ARRAY, _I18N_STRING)
_WIDTHS = {1: 1, 2: 1, 3: 2, INT32: 4, INT64: 8, _BIN: 1}
"""Bytes of one value, by type: CHAR, INT8, INT16, INT32, INT64, BIN. They are aligned to it."""

_SENSES = {0: "", 2: "<", 4: ">", 8: "=", 10: "<=", 12: ">="}
"""The lowest bits of a dependency's flags (`rpmsenseFlags`): less 2, greater 4, equal 8."""


@dataclass(frozen=True, slots=True)
class Extent:
    """A part of a file: offset and size in bytes."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Dependency:
    """One thing that a package provides or requires.

    Args:
        name: a package, `libc.so.6(GLIBC_2.17)(64bit)`, a path, `rpmlib(...)`.
        sense: `<`, `<=`, `=`, `>=` or `>`; empty for any version.
        version: `epoch:version-release` as far as given; empty for any.
        flags: all of rpm's flags (`rpmsenseFlags`).
    """

    name: str
    sense: str
    version: str
    flags: int


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of a header's index; its data lies in the store from `offset` up to `end` at most."""

    kind: int
    offset: int
    count: int
    end: int


class Header:
    """A header structure, checked as a whole before anything of it is used.

    Args:
        fd: the open file.
        offset: where it starts.
        largest: how many bytes its data may have.
        label: file and header, for messages.
    """

    def __init__(self, fd: int, offset: int, largest: int, label: str) -> None:
        self._label = label
        intro = os.pread(fd, _INTRO, offset)
        if len(intro) != _INTRO:
            raise ArchiveError(f"{label} is cut short")
        count, size = struct.unpack(">II", intro[8:])
        if intro[:8] != _MAGIC:
            raise ArchiveError(f"{label} has the wrong magic number", facts=[repr(intro[:8])])
        if not 1 <= count <= _MOST_ENTRIES or not 1 <= size <= largest:
            raise ArchiveError(f"{label} claims {count} entries with {size} bytes of data")
        self.extent = Extent(offset, _INTRO + count * _ENTRY + size)
        if offset + self.extent.size > os.fstat(fd).st_size:
            raise ArchiveError(f"{label} is cut short")
        body = os.pread(fd, count * _ENTRY + size, offset + _INTRO)
        if len(body) != count * _ENTRY + size:
            raise ArchiveError(f"{label} became shorter while it was read")
        self._count = count
        self._store = body[count * _ENTRY :]
        self._entries, self._region = self._read_index(body[: count * _ENTRY])

    def check_region(self, tag: int) -> None:
        """Insist on a region that is the whole header, as rpm does for what is signed.

        Raises:
            ArchiveError: no region, or one that leaves entries or data out.
        """
        whole = struct.pack(">IIiI", tag, _BIN, -self._count * _ENTRY, _ENTRY)
        if self._region != (tag, len(self._store) - _ENTRY) or not self._store.endswith(whole):
            raise ArchiveError(f"{self._label} has no region that covers all of it")

    def text(self, tag: int) -> str | None:
        """A string; None where there is none."""
        entry = self._entry(tag, _STRING)
        return self._decode(self._strings(entry)[0]) if entry is not None else None

    def texts(self, tag: int) -> list[str]:
        """An array of strings; empty where there is none."""
        entry = self._entry(tag, _STRING_ARRAY)
        return [self._decode(raw) for raw in self._strings(entry)] if entry is not None else []

    def number(self, tag: int, kind: int = INT32) -> int | None:
        """A single number; None where there is none."""
        numbers = self.numbers(tag, kind)
        if len(numbers) > 1:
            raise ArchiveError(f"{self._label}: tag {tag} has {len(numbers)} values instead of one")
        return numbers[0] if numbers else None

    def numbers(self, tag: int, kind: int = INT32) -> tuple[int, ...]:
        """An array of numbers; empty where there is none."""
        entry = self._entry(tag, kind)
        if entry is None:
            return ()
        code = "I" if kind == INT32 else "Q"
        return struct.unpack_from(f">{entry.count}{code}", self._store, entry.offset)

    def binary(self, tag: int) -> bytes | None:
        """Bytes; None where there are none."""
        entry = self._entry(tag, _BIN)
        return self._store[entry.offset : entry.offset + entry.count] if entry is not None else None

    def dependencies(self, names: int, flags: int, versions: int) -> tuple[Dependency, ...]:
        """Three arrays side by side.

        Raises:
            ArchiveError: they are of different lengths, or compare in a way that is none.
        """
        columns = self.texts(names), self.numbers(flags), self.texts(versions)
        if not len(columns[0]) == len(columns[1]) == len(columns[2]):
            raise ArchiveError(f"{self._label}: the dependencies of tag {names} are incomplete")
        found = []
        for name, flag, version in zip(*columns, strict=True):
            sense = _SENSES.get(flag & 0xF)
            if sense is None or not name:
                raise ArchiveError(
                    f"{self._label}: a broken dependency", facts=[f"{name[:100]!r}, flags {flag}"]
                )
            found.append(Dependency(name, sense, version, flag))
        return tuple(found)

    def _read_index(self, index: bytes) -> tuple[dict[int, _Entry], tuple[int, int] | None]:
        """Check every entry: its type, its alignment, and that its data is inside and nobody else's.

        Returns:
            The entries by tag; tag and offset of the region that they begin with, if they do.
        """
        rows = list(struct.iter_unpack(">IIII", index))
        region = None
        if rows[0][0] in _REGIONS:
            tag, kind, offset, count = rows.pop(0)
            if kind != _BIN or count != _ENTRY or offset + count > len(self._store):
                raise ArchiveError(f"{self._label}: the region is broken")
            region = tag, offset
        entries: dict[int, _Entry] = {}
        ends = [row[2] for row in rows[1:]]
        if rows:
            ends.append(len(self._store))
        for (tag, kind, offset, count), end in zip(rows, ends, strict=True):
            if not 0 < count <= len(self._store) or not offset < end <= len(self._store):
                raise ArchiveError(
                    f"{self._label}: the data of tag {tag} is not where it can be",
                    facts=[f"{count} values from byte {offset} on, the next tag's from byte {end} on"],
                )
            if not self._fits(kind, offset, count, end):
                raise ArchiveError(
                    f"{self._label}: the data of tag {tag} does not fit its place",
                    facts=[f"type {kind}, {count} values, bytes {offset} to {end}"],
                )
            if tag in entries:
                raise ArchiveError(f"{self._label} has tag {tag} twice")
            entries[tag] = _Entry(kind, offset, count, end)
        return entries, region

    def _fits(self, kind: int, offset: int, count: int, end: int) -> bool:
        width = _WIDTHS.get(kind)
        if width is not None:
            return offset % width == 0 and offset + count * width <= end
        if kind == _STRING and count != 1:
            return False
        return kind in _STRINGS and self._store.count(b"\0", offset, end) >= count

    def _entry(self, tag: int, kind: int) -> _Entry | None:
        entry = self._entries.get(tag)
        if entry is None:
            return None
        if entry.kind != kind:
            raise ArchiveError(f"{self._label}: tag {tag} is of type {entry.kind} instead of {kind}")
        if entry.count > _MOST_VALUES and kind != _BIN:
            raise ArchiveError(f"{self._label}: tag {tag} has {entry.count} values")
        return entry

    def _strings(self, entry: _Entry) -> list[bytes]:
        return self._store[entry.offset : entry.end].split(b"\0", entry.count)[: entry.count]

    def _decode(self, raw: bytes) -> str:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise ArchiveError(f"{self._label}: a text that is not UTF-8", facts=[repr(raw[:100])]) from None
