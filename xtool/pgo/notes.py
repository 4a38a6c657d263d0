"""Readers and the writer of GCC's files: `.gcno` (the graph of each function) and `.gcda` (its counters).

The formats are those of `gcc/gcov-io.h` from GCC 12 on: lengths are in bytes, and a negative length stands
for counters that are all zero. A file is in the byte order of the machine that wrote it, which its magic
tells.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from xtool.errors import ArchiveError

ARCS, INTERVAL, POW2, TOPN, INDIRECT, AVERAGE, IOR, TIME = range(8)
"""Kinds of counters, in the order of `gcc/gcov-counter.def`."""

COUNTER_NAMES = (
    "arcs",
    "interval",
    "pow2",
    "topn",
    "indirect_call",
    "average",
    "ior",
    "time_profiler",
    "conditions",
)

ON_TREE, FAKE = 1, 2
"""Flags of an arc: it is on the spanning tree and not counted; it stands for a call that does not return."""

_FUNCTION = 0x01000000
_BLOCKS = 0x01410000
_BLOCK_ARCS = 0x01430000
_COUNTERS = 0x01A10000
_OBJECT_SUMMARY = 0xA1000000

_MAX_SIZE = 256 << 20


@dataclass(frozen=True, slots=True)
class Arc:
    """An edge of a function's graph.

    Args:
        source: number of the block that it leaves.
        target: number of the block that it enters.
        flags: `ON_TREE`, `FAKE` and others.
    """

    source: int
    target: int
    flags: int


@dataclass(frozen=True, slots=True)
class Graph:
    """What a `.gcno` file says of one function.

    Args:
        ident: its number in profiles.
        lineno_checksum: of its place and name.
        cfg_checksum: of its blocks and arcs.
        name: its assembler name.
        artificial: whether the compiler made it up.
        file: where it stands, as the compiler was told, with prefixes mapped.
        line: the line that it starts in.
        blocks: how many blocks it has; 0 is the entry, 1 the exit.
        arcs: its arcs, in the order of their counters.
    """

    ident: int
    lineno_checksum: int
    cfg_checksum: int
    name: str
    artificial: bool
    file: str
    line: int
    blocks: int = 0
    arcs: tuple[Arc, ...] = ()


@dataclass(frozen=True, slots=True)
class Notes:
    """A `.gcno` file.

    Args:
        stamp: tells one compile of a file from another.
        functions: its functions.
    """

    stamp: int
    functions: tuple[Graph, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """What a `.gcda` file says of one function.

    Args:
        ident: its number.
        lineno_checksum: of its place and name.
        cfg_checksum: of its blocks and arcs.
        counters: by kind, the values as they stand in the file.
    """

    ident: int
    lineno_checksum: int
    cfg_checksum: int
    counters: Mapping[int, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Data:
    """A `.gcda` file.

    Args:
        version: GCC's version as the file has it, four letters (`B42*` for 14.2).
        runs: how many processes have written to it.
        highest: the highest arc counter.
        functions: the functions that are in it.
        stamp: that of the compile which made the program.
    """

    version: str
    runs: int
    highest: int
    functions: tuple[Counts, ...]
    stamp: int = 0


@dataclass(slots=True)
class _Reader:
    """Words and strings of one file."""

    path: Path
    data: bytes
    order: str = "<"
    at: int = 0
    _words: struct.Struct = field(default_factory=lambda: struct.Struct("<I"))

    def begin(self, magic: bytes) -> str:
        """Read the magic and the version."""
        if self.data[:4] == magic:
            self.order = ">"
        elif self.data[:4] != magic[::-1]:
            raise self.malformed("it does not begin like one")
        self._words = struct.Struct(f"{self.order}I")
        self.at = 4
        return self.word().to_bytes(4, "big").decode("latin-1")

    @property
    def more(self) -> bool:
        return self.at + 8 <= len(self.data)

    def word(self) -> int:
        try:
            (value,) = self._words.unpack_from(self.data, self.at)
        except struct.error:
            raise self.malformed("it ends too early") from None
        self.at += 4
        return int(value)

    def text(self) -> str:
        length = self.word()
        if self.at + length > len(self.data):
            raise self.malformed("it ends too early")
        value = self.data[self.at : self.at + length]
        self.at += length
        return value.rstrip(b"\0").decode("utf-8", "surrogateescape")

    def records(self) -> Iterator[tuple[int, int]]:
        """The tag and the length in bytes of each record; goes on behind it, however much of it was read."""
        while self.more:
            tag, length = self.word(), self.word()
            if tag == 0:
                return
            signed = length - (1 << 32) if length >> 31 else length
            end = self.at + max(0, signed)
            if end > len(self.data):
                raise self.malformed("it ends too early")
            yield tag, signed
            self.at = end

    def counters(self, length: int) -> tuple[int, ...]:
        """The 64-bit counters of a record, the low word first in either byte order."""
        if length < 0:
            return (0,) * (-length // 8)
        words = struct.unpack_from(f"{self.order}{length // 4}I", self.data, self.at)
        pairs = zip(words[::2], words[1::2], strict=False)
        return tuple(_signed(low | high << 32) for low, high in pairs)

    def malformed(self, why: str) -> ArchiveError:
        return ArchiveError(f"{self.path.name} is no file of GCC's profiles: {why}", facts=[str(self.path)])


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _open(path: Path, magic: bytes) -> tuple[_Reader, str]:
    with path.open("rb") as file:
        data = file.read(_MAX_SIZE + 1)
    reader = _Reader(path, data)
    if len(data) > _MAX_SIZE:
        raise reader.malformed("it is too large")
    return reader, reader.begin(magic)


def read_notes(path: Path) -> Notes:
    """Read a `.gcno` file.

    Raises:
        ArchiveError: it is malformed.
    """
    reader, _ = _open(path, b"gcno")
    stamp = reader.word()
    reader.word()  # a checksum, always 0
    reader.text()  # the working folder
    reader.word()  # whether there can be blocks that are never executed
    functions: list[Graph] = []
    blocks, arcs = 0, list[Arc]()

    def close() -> None:
        if functions:
            last = functions[-1]
            functions[-1] = Graph(
                last.ident,
                last.lineno_checksum,
                last.cfg_checksum,
                last.name,
                last.artificial,
                last.file,
                last.line,
                blocks,
                tuple(arcs),
            )

    for tag, length in reader.records():
        if tag == _FUNCTION:
            close()
            blocks, arcs = 0, []
            ident, lineno, cfg = reader.word(), reader.word(), reader.word()
            name = reader.text()
            artificial = reader.word() != 0
            file = reader.text()
            functions.append(Graph(ident, lineno, cfg, name, artificial, file, reader.word()))
        elif tag == _BLOCKS:
            blocks = reader.word()
        elif tag == _BLOCK_ARCS:
            source = reader.word()
            arcs += [Arc(source, reader.word(), reader.word()) for _ in range((length - 4) // 8)]
    close()
    return Notes(stamp, tuple(functions))


def read_data(path: Path) -> Data:
    """Read a `.gcda` file.

    Raises:
        ArchiveError: it is malformed.
    """
    reader, version = _open(path, b"gcda")
    stamp = reader.word()
    reader.word()  # a checksum of all functions
    runs = highest = 0
    functions: list[Counts] = []
    counters: dict[int, tuple[int, ...]] = {}
    for tag, length in reader.records():
        if tag == _OBJECT_SUMMARY:
            runs, highest = reader.word(), reader.word()
        elif tag == _FUNCTION:
            counters = {}
            if length > 0:
                functions.append(Counts(reader.word(), reader.word(), reader.word(), counters))
        elif _is_counter(tag):
            counters[(tag - _COUNTERS) >> 17] = reader.counters(length)
    return Data(version, runs, highest, tuple(functions), stamp)


def _is_counter(tag: int) -> bool:
    return (
        tag >= _COUNTERS and (tag - _COUNTERS) & 0x1FFFF == 0 and (tag - _COUNTERS) >> 17 < len(COUNTER_NAMES)
    )


def write_data(path: Path, data: Data) -> None:
    """Write a `.gcda` file for a compiler to read; in little-endian order, which every GCC can read.

    Args:
        path: the file.
        data: what goes into it; its stamp is left 0, so that the same counters make the same file.
    """
    out = bytearray()

    def words(*values: int) -> None:
        out.extend(struct.pack(f"<{len(values)}I", *values))

    words(int.from_bytes(b"gcda", "big"), int.from_bytes(data.version.encode("latin-1"), "big"), 0, 0)
    words(_OBJECT_SUMMARY, 8, data.runs, data.highest)
    for function in data.functions:
        words(_FUNCTION, 12, function.ident, function.lineno_checksum, function.cfg_checksum)
        for kind, values in sorted(function.counters.items()):
            tag = _COUNTERS + (kind << 17)
            if any(values) or kind in (TOPN, INDIRECT):
                words(tag, 8 * len(values), *_halves(values))
            else:
                words(tag, -8 * len(values) % (1 << 32))
    words(0)
    path.write_bytes(out)


def _halves(values: Sequence[int]) -> Iterator[int]:
    for value in values:
        yield value & 0xFFFFFFFF
        yield value >> 32 & 0xFFFFFFFF
