"""A strict reader of cpio streams in SVR4's portable format, as RPM packages hold them.

Format: cpio(5), "New ASCII Format": magic 070701, or 070702 with a checksum, thirteen numbers of eight hex
digits, the name, the content, each padded to four bytes; at the end a member called `TRAILER!!!`. Names begin
with `./` in RPM packages. Files that share device and inode and have a link count above one are one file; rpm
and cpio put its content with the last of them and give the others none. Refused are rpm's own form for
packages with files of 4 GB and more (07070X), which cannot be read without the package's header, and all
other formats.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from xtool.archive.chunks import Chunks
from xtool.archive.tar import Kind, Member
from xtool.archive.tree import clean_name
from xtool.errors import ArchiveError

_HEADER = 110
_NUMBERS = re.compile(rb"[0-9A-Fa-f]{104}")
_TRAILER = "TRAILER!!!"
_LONGEST_NAME = 4096
_LARGEST = (1 << 31) - 1

_TYPE = 0o170000
_KINDS = {0o100000: Kind.FILE, 0o040000: Kind.FOLDER, 0o120000: Kind.LINK}
_REFUSED = {
    0o010000: "a named pipe",
    0o020000: "a character device",
    0o060000: "a block device",
    0o140000: "a socket",
}
_OTHERS = {
    b"07070X": "rpm's own form of cpio, for packages with files of 4 GB and more",
    b"070707": "cpio of POSIX.1, with octal numbers",
}


@dataclass(frozen=True, slots=True)
class _Header:
    """What xtool acts on of a member's header."""

    magic: bytes
    inode: tuple[int, int, int]
    mode: int
    links: int
    size: int
    name_size: int
    checksum: int


@dataclass(slots=True)
class _LinkSet:
    """Names of one file; `written` is the one that its content was given to."""

    names: list[tuple[str, bool]] = field(default_factory=list)
    written: str | None = None


class CpioReader:
    """Reads members one after the other, and the bytes of each file that are asked for.

    A file with several names comes as a file under the first name that is wanted, and as hard links to that.

    Args:
        chunks: the stream.
        label: the archive's name, for messages.
        limit: how many members there may be.
        wanted: told a name without leading `./`, whether it is wanted.
    """

    def __init__(
        self,
        chunks: Iterator[bytes],
        label: str,
        *,
        limit: int,
        wanted: Callable[[str], bool] | None = None,
    ) -> None:
        self._chunks = Chunks(chunks, label)
        self._label = label
        self._limit = limit
        self._wanted = wanted
        self._sets: dict[tuple[int, int, int], _LinkSet] = {}
        self._sum: int | None = None

    def members(self) -> Iterator[Member]:
        """Yield every member.

        Raises:
            ArchiveError: malformed, unsupported or truncated.
        """
        count = 0
        while True:
            header = self._header()
            name = self._name(header.name_size)
            if name == _TRAILER:
                if header.size:
                    raise self._error(f"the trailer has {header.size} bytes of content")
                self._chunks.finish()
                yield from self._empty_sets()
                return
            count += 1
            if count > self._limit:
                raise self._error(f"more than {self._limit} members", code="too-large")
            yield from self._member(header, name)

    def payload(self) -> Iterator[memoryview]:
        """Yield the bytes of the present file; what is not read is passed over."""
        for piece in self._chunks.payload():
            if self._sum is not None:
                self._sum += sum(piece)
            yield piece

    def _member(self, header: _Header, name: str) -> Iterator[Member]:
        kind = _KINDS.get(header.mode & _TYPE)
        if kind is None:
            what = _REFUSED.get(header.mode & _TYPE, f"of the unknown mode {header.mode:o}")
            raise self._error(f"`{name}` is {what}")
        executable = bool(header.mode & 0o111)
        if kind is Kind.LINK:
            yield Member(name, kind, executable, 0, self._target(name, header))
            return
        if kind is Kind.FOLDER:
            if header.size:
                raise self._error(f"`{name}` is a {kind.value} with {header.size} bytes of content")
            yield Member(name, kind, executable, 0, "")
            return
        if name.endswith("/"):
            raise self._error(f"`{name}` is a file with the name of a folder")
        if header.links <= 1:
            yield from self._file(header, Member(name, kind, executable, header.size, ""))
            return
        yield from self._linked(header, Member(name, kind, executable, header.size, ""))

    def _file(self, header: _Header, member: Member) -> Iterator[Member]:
        """A file and its content."""
        self._chunks.left = member.size
        self._sum = 0 if header.magic == b"070702" else None
        yield member
        for _ in self.payload():
            pass
        if self._sum is not None and self._sum & 0xFFFFFFFF != header.checksum:
            raise self._error(f"`{member.name}` has the wrong checksum")
        self._padding(member.size)

    def _linked(self, header: _Header, member: Member) -> Iterator[Member]:
        """One name of a file that has several: held back until the content is there."""
        links = self._sets.setdefault(header.inode, _LinkSet())
        if links.written is not None:
            if header.size:
                raise self._error(
                    f"`{member.name}` has content, though it is a hard link to `{links.written}`"
                )
            yield Member(member.name, Kind.HARD_LINK, member.executable, 0, links.written)
            return
        links.names.append((member.name, member.executable))
        if header.size:
            first, others = self._split(links)
            links.written = first
            yield from self._file(header, Member(first, Kind.FILE, member.executable, header.size, ""))
            for name in others:
                yield Member(name, Kind.HARD_LINK, member.executable, 0, first)

    def _empty_sets(self) -> Iterator[Member]:
        """What is still held back at the end has no content at all."""
        for links in self._sets.values():
            if links.written is None:
                first, others = self._split(links)
                executable = links.names[-1][1]
                yield Member(first, Kind.FILE, executable, 0, "")
                for name in others:
                    yield Member(name, Kind.HARD_LINK, executable, 0, first)

    def _split(self, links: _LinkSet) -> tuple[str, list[str]]:
        """The name that the content goes to, and the others."""
        names = [name for name, _ in links.names]
        first = 0
        if self._wanted is not None:
            hits = (n for n, name in enumerate(names) if self._wanted(clean_name(name, self._label)))
            first = next(hits, 0)
        return names[first], names[:first] + names[first + 1 :]

    def _header(self) -> _Header:
        raw = self._chunks.take(_HEADER)
        magic = raw[:6]
        if magic not in (b"070701", b"070702"):
            what = _OTHERS.get(magic, f"{magic!r} where a member should begin")
            raise self._error("not a cpio archive that xtool reads", facts=[what])
        if not _NUMBERS.fullmatch(raw, 6):
            raise self._error("a cpio header with a number that is not hexadecimal", facts=[repr(raw[6:])])
        numbers = [int(raw[at : at + 8], 16) for at in range(6, _HEADER, 8)]
        inode, mode, _, _, links, _, size, major, minor, _, _, name_size, checksum = numbers
        if size > _LARGEST:
            raise self._error(f"a member of {size} bytes", facts=["2 GiB and more are not unpacked"])
        return _Header(magic, (major, minor, inode), mode, links, size, name_size, checksum)

    def _name(self, size: int) -> str:
        if not 2 <= size <= _LONGEST_NAME + 1:
            raise self._error(f"a name of {size} bytes")
        raw = self._chunks.take(size)
        self._padding(_HEADER + size)
        if raw.find(b"\0") != size - 1:
            raise self._error("a name that does not end where its size says", facts=[repr(raw)])
        return self._decode(raw[:-1])

    def _target(self, name: str, header: _Header) -> str:
        if not 1 <= header.size <= _LONGEST_NAME:
            raise self._error(f"link `{name}` has a target of {header.size} bytes")
        raw = self._chunks.take(header.size)
        self._padding(header.size)
        if header.magic == b"070702" and header.checksum not in (0, sum(raw)):
            raise self._error(f"`{name}` has the wrong checksum")
        return self._decode(raw)

    def _padding(self, size: int) -> None:
        if self._chunks.take(-size % 4).strip(b"\0"):
            raise self._error("padding that is not zero")

    def _decode(self, raw: bytes) -> str:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise self._error("a name that is not UTF-8", facts=[repr(raw)]) from None

    def _error(
        self, message: str, *, facts: list[str] | None = None, code: str | None = None
    ) -> ArchiveError:
        return ArchiveError(f"{self._label}: {message}", facts=facts or (), code=code)
