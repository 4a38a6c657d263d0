"""How many bytes a `.deb` unpacks to: read once, when a lock is made."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from xtool.errors import ArchiveError

if TYPE_CHECKING:
    from typing_extensions import Buffer

_MAGIC = b"!<arch>\n"
_HEADER = 60
_CHUNK = 1 << 20


class _Readable(Protocol):
    def read(self, size: int = ..., /) -> bytes: ...


def unpacked_size(deb: Path) -> int:
    """Bytes of the decompressed `data.tar` of a `.deb` (deb(5): an ar archive of three members).

    Raises:
        ArchiveError: it is not a `.deb`, or its data member is compressed in an unknown way.
    """
    with deb.open("rb") as file:
        name, size = _find_data(file, deb)
        member = io.BufferedReader(_Member(file, size), _CHUNK)
        opener = _openers().get(name.removeprefix("data.tar"))
        if opener is None:
            raise ArchiveError(f"{deb.name}: unknown compression of `{name}`")
        total = 0
        plain = opener(member)
        while chunk := plain.read(_CHUNK):
            total += len(chunk)
        return total


def _find_data(file: IO[bytes], deb: Path) -> tuple[str, int]:
    """Leave the file at the start of its data member; give the member's name and size."""
    if file.read(len(_MAGIC)) != _MAGIC:
        raise ArchiveError(f"{deb.name} is not a Debian package")
    while len(header := file.read(_HEADER)) == _HEADER:
        name = header[:16].decode("ascii", "replace").strip().rstrip("/")
        try:
            size = int(header[48:58])
        except ValueError:
            break
        if name.startswith("data.tar"):
            return name, size
        file.seek(size + size % 2, 1)
    raise ArchiveError(f"{deb.name} has no data member")


class _Member(io.RawIOBase):
    """The next `size` bytes of a file as a file of their own."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        super().__init__()
        self._file = file
        self._left = size

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Buffer) -> int:
        """Fill the buffer as far as there are bytes left."""
        view = memoryview(buffer)[: self._left]
        data = self._file.read(len(view))
        view[: len(data)] = data
        self._left -= len(data)
        return len(data)


def _openers() -> Mapping[str, Callable[[IO[bytes]], _Readable]]:
    import zstandard

    return {
        "": lambda member: member,
        ".gz": lambda member: gzip.GzipFile(fileobj=member, mode="rb"),
        ".bz2": bz2.BZ2File,
        ".xz": lzma.LZMAFile,
        ".zst": lambda member: zstandard.ZstdDecompressor().stream_reader(member),
    }
