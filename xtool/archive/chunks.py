"""A stream of chunks, read in the pieces that a format is made of; what the readers of archives share."""

from __future__ import annotations

from collections.abc import Iterator

from xtool.errors import ArchiveError


class Chunks:
    """Reads a stream front to back: so many bytes, the bytes of the present member, or zeros to the end.

    Args:
        chunks: the stream.
        label: the archive's name, for messages.
    """

    def __init__(self, chunks: Iterator[bytes], label: str) -> None:
        self._chunks = chunks
        self._label = label
        self._buffer = b""
        self._at = 0
        self.left = 0
        """Bytes of the present member that were not read yet; the format's reader sets it."""

    def payload(self) -> Iterator[memoryview]:
        """Yield what is left of the present member."""
        while self.left:
            available = len(self._buffer) - self._at
            if not available:
                self._fill()
                continue
            step = min(self.left, available)
            piece = memoryview(self._buffer)[self._at : self._at + step]
            self._at += step
            self.left -= step
            yield piece

    def take(self, size: int) -> bytes:
        """The next bytes.

        Raises:
            ArchiveError: the stream ends before.
        """
        if len(self._buffer) - self._at >= size:
            at = self._at
            self._at += size
            return self._buffer[at : self._at]
        parts = [self._buffer[self._at :]]
        have = len(parts[0])
        while have < size:
            self._fill()
            parts.append(self._buffer)
            have += len(self._buffer)
        joined = b"".join(parts)
        self._buffer = joined[size:]
        self._at = 0
        return joined[:size]

    def skip(self, size: int) -> None:
        """Pass over bytes.

        Raises:
            ArchiveError: the stream ends before.
        """
        while size:
            available = len(self._buffer) - self._at
            if not available:
                self._fill()
                continue
            step = min(size, available)
            self._at += step
            size -= step

    def finish(self) -> None:
        """Read to the end of the stream.

        Raises:
            ArchiveError: there is something else than zeros.
        """
        rest = self._buffer[self._at :]
        while True:
            if rest.strip(b"\0"):
                raise ArchiveError(f"{self._label}: there are bytes after the end of the archive")
            following = next(self._chunks, None)
            if following is None:
                return
            rest = following

    def _fill(self) -> None:
        chunk = next(self._chunks, None)
        if chunk is None:
            raise ArchiveError(f"{self._label}: the archive is cut short")
        self._buffer = chunk
        self._at = 0
