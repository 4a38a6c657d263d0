"""A download that is not complete yet: its bytes so far, their hash, and what they can be resumed with."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from xtool.artifacts import Artifact
from xtool.diskerrors import as_store_error

if TYPE_CHECKING:
    from requests import Response

_CHUNK = 1 << 20
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


UNKNOWN_SIZE_LIMIT = 256 << 20
"""Bytes that a file may have whose size nobody knows beforehand."""


class Partial:
    """The file `partial/<sha256>` and, beside it, where its bytes come from.

    Only the holder of the artifact's lock may open one.

    Args:
        folder: the cache's folder of partial downloads.
        artifact: what is being downloaded.
        advance: told how many bytes were added, or taken back (negative).
    """

    def __init__(self, folder: Path, artifact: Artifact, advance: Callable[[int], None]) -> None:
        self.artifact = artifact
        self.path = folder / artifact.sha256
        self._note = folder / f"{artifact.sha256}.json"
        self._advance = advance
        self._hash = hashlib.sha256()
        self.offset = 0
        self.resumed = False
        with self._reported():
            folder.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(self.path, flags, 0o644)
            self._load()

    @property
    def sha256(self) -> str:
        """Hex digest of the bytes so far."""
        return self._hash.hexdigest()

    @property
    def limit(self) -> int:
        """Bytes that the file may have at most; exactly so many where its size is known."""
        return self.artifact.size or UNKNOWN_SIZE_LIMIT

    @property
    def complete(self) -> bool:
        """Whether all bytes are there, right or wrong; where the size is unknown only the right ones tell."""
        if self.artifact.size:
            return self.offset == self.artifact.size
        return self.sha256 == self.artifact.sha256

    def headers(self, url: str) -> dict[str, str]:
        """Request headers that ask for the rest (RFC 9110, section 13.1.5 for `If-Range`).

        The validator belongs to the server that gave it. Another mirror is asked without one: the hash over
        the whole file decides in the end.
        """
        if self.offset == 0:
            return {}
        headers = {"Range": f"bytes={self.offset}-"}
        note = self._read_note()
        validator = note.get("etag") or note.get("last_modified")
        if note.get("url") == _origin(url) and validator:
            headers["If-Range"] = validator
        return headers

    def accepts(self, response: Response, url: str) -> bool:
        """Whether a 206 continues exactly these bytes."""
        match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != self.offset:
            return False
        if self.artifact.size and match[3] not in ("*", str(self.artifact.size)):
            return False
        note, etag = self._read_note(), response.headers.get("ETag")
        same_server = note.get("url") == _origin(url)
        return not (same_server and etag and note.get("etag") and note["etag"] != etag)

    def remember(self, response: Response, url: str) -> None:
        """Write down what the bytes that follow can be resumed with."""
        etag = response.headers.get("ETag", "")
        note = {"url": _origin(url), "last_modified": response.headers.get("Last-Modified", "")}
        # A weak validator must not be used with If-Range.
        note["etag"] = "" if etag.startswith("W/") else etag
        with self._reported():
            self._note.write_text(json.dumps(note), encoding="utf-8")

    def write(self, data: bytes) -> None:
        """Append bytes."""
        with self._reported():
            view = memoryview(data)
            while view:
                view = view[os.write(self._fd, view) :]
        self._hash.update(data)
        self.offset += len(data)
        self._advance(len(data))

    def restart(self) -> None:
        """Throw the bytes away and begin again."""
        with self._reported():
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)
        self._advance(-self.offset)
        self._hash = hashlib.sha256()
        self.offset = 0
        self.resumed = False

    def close(self) -> None:
        """Close the file and keep it for the next run; an empty one is removed."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            if self.offset == 0:
                self._remove()

    def discard(self) -> None:
        """Close and delete the file."""
        self.restart()
        self.close()

    def finish(self, final: Path) -> None:
        """Move the file to its final name."""
        with self._reported():
            final.parent.mkdir(parents=True, exist_ok=True)
            self.path.replace(final)
        os.close(self._fd)
        self._fd = -1
        with suppress(OSError):
            self._note.unlink()

    def _load(self) -> None:
        """Take what an earlier run has left; more than the whole file is worth nothing."""
        if os.fstat(self._fd).st_size > self.limit:
            os.ftruncate(self._fd, 0)
        while chunk := os.read(self._fd, _CHUNK):
            self._hash.update(chunk)
            self.offset += len(chunk)
        self.resumed = self.offset > 0
        self._advance(self.offset)

    def _remove(self) -> None:
        for path in (self.path, self._note):
            with suppress(OSError):
                path.unlink()

    def _read_note(self) -> dict[str, str]:
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return note if isinstance(note, dict) else {}

    def _reported(self) -> _Reported:
        return _Reported(self)


class _Reported:
    """Turns OSErrors into StoreErrors that know how many bytes are still to come."""

    def __init__(self, partial: Partial) -> None:
        self._partial = partial

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError):
            artifact = self._partial.artifact
            need = artifact.size - self._partial.offset if artifact.size else None
            message = f"cannot save the download of {artifact.filename}"
            raise as_store_error(error, self._partial.path, message, need=need) from error


def _origin(url: str) -> str:
    """A URL's name in the note beside a partial download: a hash, for the URL may hold credentials."""
    return hashlib.sha256(url.encode()).hexdigest()
