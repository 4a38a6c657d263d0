"""A strict reader of tar streams: POSIX ustar, GNU long names, pax paths; nothing else.

Formats: POSIX.1-2024, `pax`, sections "ustar Interchange Format" and "pax Extended Header"; GNU tar manual,
"Basic Tar Format". What two readers could understand differently is refused: base-256 numbers, sparse files,
two sizes for one member, a regular file whose name ends in a slash.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

from xtool.archive.chunks import Chunks
from xtool.errors import ArchiveError

BLOCK = 512
_ZERO = bytes(BLOCK)
_LONGEST_NAME = 4096
_LONGEST_PAX = 1 << 16
_OCTAL = re.compile(rb" *([0-7]+)[ \0]*")
_T = TypeVar("_T")
_REFUSED = {
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a named pipe",
    b"7": "a contiguous file",
    b"S": "a sparse file",
    b"M": "a part of a multi-volume archive",
}


class Kind(Enum):
    """What a member is."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "symbolic link"
    HARD_LINK = "hard link"


_KINDS = {b"0": Kind.FILE, b"\0": Kind.FILE, b"5": Kind.FOLDER, b"2": Kind.LINK, b"1": Kind.HARD_LINK}
_EXTENSIONS = (b"L", b"K", b"x", b"g")


@dataclass(slots=True)
class _Extension:
    """What GNU and pax headers say about the member that follows them."""

    path: str | None = None
    target: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a tar stream.

    Args:
        name: its name as the archive has it.
        kind: what it is.
        executable: whether any execute bit is set.
        size: bytes that follow; 0 for everything but files.
        target: what a link points to; empty for everything else.
    """

    name: str
    kind: Kind
    executable: bool
    size: int
    target: str


class TarReader:
    """Reads members one after the other, and the bytes of each file that are asked for.

    Args:
        chunks: the stream.
        label: the archive's name, for messages.
        limit: how many members there may be.
    """

    def __init__(self, chunks: Iterator[bytes], label: str, *, limit: int) -> None:
        self._chunks = Chunks(chunks, label)
        self._label = label
        self._limit = limit

    def members(self) -> Iterator[Member]:
        """Yield every member.

        Raises:
            ArchiveError: malformed, unsupported or truncated.
        """
        count = 0
        extension = _Extension()
        while True:
            header = self._chunks.take(BLOCK)
            if header == _ZERO:
                if extension != _Extension():
                    raise self._error("an extended header belongs to no member")
                self._finish()
                return
            count += 1
            if count > self._limit:
                raise self._error(f"more than {self._limit} members", code="too-large")
            self._check_header(header)
            if header[156:157] in _EXTENSIONS:
                self._extend(extension, header)
                continue
            member = self._member(header, extension)
            extension = _Extension()
            self._chunks.left = member.size
            yield member
            self._chunks.skip(self._chunks.left + -member.size % BLOCK)

    def payload(self) -> Iterator[memoryview]:
        """Yield the bytes of the present file; what is not read is passed over."""
        return self._chunks.payload()

    def _extend(self, extension: _Extension, header: bytes) -> None:
        """Take what a header says about the member that follows."""
        flag = header[156:157]
        if flag == b"L":
            extension.path = self._once(extension.path, self._long_name(header))
        elif flag == b"K":
            extension.target = self._once(extension.target, self._long_name(header))
        else:
            records = self._pax(header)
            if flag == b"g":
                if records:
                    raise self._error("a global header that names or sizes every member")
                return
            if "path" in records:
                extension.path = self._once(extension.path, records["path"])
            if "linkpath" in records:
                extension.target = self._once(extension.target, records["linkpath"])
            if "size" in records:
                extension.size = self._once(extension.size, self._decimal(records["size"]))

    def _member(self, header: bytes, extension: _Extension) -> Member:
        flag = header[156:157]
        path, target, size = extension.path, extension.target, extension.size
        name = path if path is not None else self._header_name(header)
        own_size = self._octal(header[124:136], "size")
        if size is not None and size != own_size:
            raise self._error(f"two sizes for `{name}`: {own_size} and {size}")
        if flag in _REFUSED:
            raise self._error(f"`{name}` is {_REFUSED[flag]}")
        kind = _KINDS.get(flag)
        if kind is None:
            raise self._error(f"`{name}` has the unknown type {flag!r}")
        if kind is Kind.FILE:
            if name.endswith("/"):
                raise self._error(f"`{name}` is a file with the name of a folder")
        elif own_size:
            raise self._error(f"`{name}` is a {kind.value} with {own_size} bytes of content")
        link = ""
        if kind in (Kind.LINK, Kind.HARD_LINK):
            link = target if target is not None else self._text(header[157:257])
        elif target is not None:
            raise self._error(f"`{name}` is a {kind.value} with a link target")
        mode = self._octal(header[100:108], "mode")
        return Member(name, kind, bool(mode & 0o111), own_size, link)

    def _check_header(self, header: bytes) -> None:
        stored = self._octal(header[148:156], "checksum")
        if sum(header) - sum(header[148:156]) + 8 * 0x20 != stored:
            raise self._error("a tar header has the wrong checksum")
        if header[257:265] not in (b"ustar\x0000", b"ustar  \0"):
            raise self._error("a tar header is neither ustar nor GNU", facts=[repr(header[257:265])])

    def _header_name(self, header: bytes) -> str:
        name = self._text(header[:100])
        # Only POSIX headers have a prefix; GNU's put times and sparse maps there.
        if header[257:263] == b"ustar\0":
            prefix = self._text(header[345:500])
            if prefix:
                return f"{prefix}/{name}"
        return name

    def _long_name(self, header: bytes) -> str:
        size = self._octal(header[124:136], "size")
        if not 1 <= size <= _LONGEST_NAME + 1:
            raise self._error(f"a long name of {size} bytes")
        data = self._chunks.take(size)
        self._chunks.skip(-size % BLOCK)
        if not data.endswith(b"\0"):
            raise self._error("a long name without an end")
        return self._decode(data[:-1])

    def _pax(self, header: bytes) -> dict[str, str]:
        """Records `LENGTH KEY=VALUE\\n` of an extended header; those that xtool acts on."""
        size = self._octal(header[124:136], "size")
        if size > _LONGEST_PAX:
            raise self._error(f"an extended header of {size} bytes")
        data = self._chunks.take(size)
        self._chunks.skip(-size % BLOCK)
        records: dict[str, str] = {}
        at = 0
        while at < len(data):
            digits, space, _ = data[at : at + 8].partition(b" ")
            if not (space and digits.isdigit()):
                raise self._error("a broken extended header")
            end = at + int(digits)
            record = data[at + len(digits) + 1 : end]
            key, equals, value = record.removesuffix(b"\n").partition(b"=")
            if end > len(data) or end <= at or not record.endswith(b"\n") or not equals:
                raise self._error("a broken extended header")
            at = end
            if key.startswith(b"GNU.sparse"):
                raise self._error("a sparse file")
            if key in (b"path", b"linkpath", b"size"):
                name = key.decode("ascii")
                if name in records:
                    raise self._error(f"two extended headers for one {name}")
                if len(value) > _LONGEST_NAME:
                    raise self._error(f"a {name} of {len(value)} bytes")
                records[name] = self._decode(value)
            elif key in (b"charset", b"hdrcharset"):
                raise self._error("an extended header that changes the character set")
        return records

    def _once(self, old: _T | None, new: _T) -> _T:
        if old is not None:
            raise self._error("two extended headers for one member")
        return new

    def _decimal(self, text: str) -> int:
        if not (text.isascii() and text.isdigit()):
            raise self._error(f"a size of {text!r}")
        return int(text)

    def _octal(self, field: bytes, what: str) -> int:
        match = _OCTAL.fullmatch(field)
        if match is None:
            # Base-256 and negative numbers have the high bit of the first byte set (GNU tar).
            raise self._error(f"a {what} that is not an octal number", facts=[repr(field)])
        return int(match[1], 8)

    def _text(self, field: bytes) -> str:
        return self._decode(field.partition(b"\0")[0])

    def _decode(self, raw: bytes) -> str:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            raise self._error("a name that is not UTF-8", facts=[repr(raw)]) from None

    def _finish(self) -> None:
        """After the first zero block: nothing but zeros to the end."""
        if self._chunks.take(BLOCK) != _ZERO:
            raise self._error("a single zero block inside the archive")
        self._chunks.finish()

    def _error(
        self, message: str, *, facts: list[str] | None = None, code: str | None = None
    ) -> ArchiveError:
        return ArchiveError(f"{self._label}: {message}", facts=facts or (), code=code)
