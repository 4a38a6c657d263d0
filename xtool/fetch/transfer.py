"""One file from one place: read, resume, count, retry, and compare with the lock."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

from xtool.fetch.session import AttemptError, Client, Trouble, redact, root_cause
from xtool.locking import checkpoint
from xtool.text import format_bytes, plain

if TYPE_CHECKING:
    from requests import Response

    from xtool.context import Context
    from xtool.fetch.partial import Partial

_CHUNK = 1 << 18
_LOWEST_RATE = 1024
"""Bytes a second, over the stall timeout, below which a download counts as stalled."""

_PROGRESS = 1 << 20
"""Bytes after which a connection that breaks has earned a new count of retries."""

_FIRST_WAIT = 0.5
_LONGEST_WAIT = 60.0


class CancelledError(Exception):
    """Another thread has failed; this one stops."""


def transfer(ctx: Context, client: Client, url: str, partial: Partial) -> None:
    """Complete a partial download from one URL and compare it with its artifact.

    Raises:
        AttemptError: this place cannot give the file; never one that is worth another try.
        CancelledError: another download has failed.
        StoreError: the disk cannot take it.
    """
    failures = 0
    while not partial.complete:
        before = partial.offset
        try:
            _attempt(ctx, client, url, partial)
        except AttemptError as error:
            if client.cancelled.is_set():
                raise CancelledError from None
            if error.trouble not in (Trouble.AGAIN, Trouble.UNREACHABLE):
                raise
            failures = 1 if partial.offset - before >= _PROGRESS else failures + 1
            if failures > ctx.settings.retries:
                raise
            pause(ctx, client, error, failures, url)
    checkpoint(ctx, "pre-hash")
    _compare(partial)


def backoff(failures: int) -> float:
    """Seconds to wait before the next try: doubled each time, spread so that clients do not come together."""
    spread = random.uniform(0.5, 1.0)  # noqa: S311 - nobody gains by guessing it
    return spread * min(_FIRST_WAIT * 2.0 ** (failures - 1), _LONGEST_WAIT)


def pause(ctx: Context, client: Client, error: AttemptError, failures: int, url: str) -> None:
    """Wait before the next try, as long as the server asked for or ever longer.

    Raises:
        AttemptError: the server asks for more patience than xtool has.
        CancelledError: another download has failed meanwhile.
    """
    seconds = backoff(failures) if error.wait is None else error.wait
    if seconds > _LONGEST_WAIT:
        raise AttemptError(Trouble.REFUSED, f"{error.reason}, and asks to wait {seconds:.0f} s") from None
    ctx.log.detail(f"{redact(url)}: {error.reason}; trying again in {seconds:.1f} s")
    if client.cancelled.wait(seconds):
        raise CancelledError


def _attempt(ctx: Context, client: Client, url: str, partial: Partial) -> None:
    """One request: take what it gives until the file is complete or the connection ends."""
    with client.get(url, partial.headers(url)) as response:
        if response.status_code == 416:
            # The server's file ends where ours already is, or before: ours began as something else.
            partial.restart()
            raise AttemptError(Trouble.AGAIN, "HTTP 416 for the rest of the file")
        if response.status_code == 206 and not partial.accepts(response, url):
            partial.restart()
            raise AttemptError(Trouble.AGAIN, "the server sent another part of the file than was asked for")
        if response.status_code == 200 and partial.offset:
            partial.restart()
        announced = _announced(response)
        if announced is not None and partial.offset + announced > partial.limit:
            raise _wrong(partial, response, f"{format_bytes(partial.offset + announced)} were announced")
        partial.remember(response, url)
        _read(ctx, client, response, partial)
        if partial.complete:
            return
        if announced is None and not _is_chunked(response):
            raise AttemptError(Trouble.AGAIN, f"the connection ended after {_so_far(partial)}")
        if not partial.artifact.size:
            raise _differs(partial)
        raise _wrong(partial, response, f"it ends after {_so_far(partial)}")


def _read(ctx: Context, client: Client, response: Response, partial: Partial) -> None:
    """Read the body into the partial file, watching its pace and its size."""
    from urllib3.exceptions import HTTPError

    left = partial.limit - partial.offset
    stall = ctx.settings.stall_timeout
    window, arrived = time.monotonic(), 0
    while True:
        if client.cancelled.is_set():
            raise CancelledError
        try:
            # One byte more than is due shows a body without end; read1 returns what has come, so that a
            # slow drip cannot hide inside one call. Undecoded: the lock's hash is of the bytes on the wire.
            data = response.raw.read1(min(_CHUNK, left + 1), decode_content=False)
        except (HTTPError, OSError) as error:
            reason = f"the connection broke after {_so_far(partial)} ({plain(root_cause(error))})"
            raise AttemptError(Trouble.AGAIN, reason) from error
        if not data:
            return
        if len(data) > left:
            raise _wrong(partial, response, "more bytes came")
        partial.write(data)
        checkpoint(ctx, "mid-download")
        left -= len(data)
        arrived += len(data)
        passed = time.monotonic() - window
        if passed >= stall:
            if left and arrived < _LOWEST_RATE * passed:
                came = f"{format_bytes(arrived)} in {passed:.0f} s"
                raise AttemptError(Trouble.AGAIN, f"stalled: {came}, after {_so_far(partial)}")
            window, arrived = time.monotonic(), 0


def _compare(partial: Partial) -> None:
    """Refuse a complete file that is another one than its artifact says."""
    if partial.sha256 != partial.artifact.sha256:
        raise _differs(partial)


def _differs(partial: Partial) -> AttemptError:
    """A whole file with another hash than its artifact's."""
    expected, got, size = partial.artifact.sha256, partial.sha256, format_bytes(partial.offset)
    return AttemptError(Trouble.WRONG, f"expected sha256 {expected}, got {got} ({size})")


def _wrong(partial: Partial, response: Response, what: str) -> AttemptError:
    """A file of another size than its artifact's."""
    artifact = partial.artifact
    wanted = f"{artifact.size} bytes" if artifact.size else f"at most {format_bytes(partial.limit)}"
    reason = f"expected {wanted}, but {what}"
    if partial.sha256 == artifact.sha256:
        return AttemptError(
            Trouble.WRONG,
            f"{reason}; the sha256 is the right one",
            hint="the size in the lock is wrong; please report it",
        )
    encoding = response.headers.get("Content-Encoding", "identity")
    if encoding.lower() != "identity":
        reason += f" (the server encoded it: {plain(encoding)})"
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind in ("text/html", "application/xhtml+xml"):
        return AttemptError(
            Trouble.WRONG,
            f"{reason} (content-type {kind})",
            hint="a web page came instead of the file: a captive portal, or a proxy of HTTPS_PROXY?",
        )
    return AttemptError(Trouble.WRONG, reason)


def _announced(response: Response) -> int | None:
    """Bytes of body that the response announces; None where it does not say."""
    length = response.headers.get("Content-Length", "")
    if _is_chunked(response) or not (length.isascii() and length.isdigit()):
        return None
    return int(length)


def _is_chunked(response: Response) -> bool:
    return "chunked" in response.headers.get("Transfer-Encoding", "").lower()


def _so_far(partial: Partial) -> str:
    size = partial.artifact.size
    return f"{format_bytes(partial.offset)} of {format_bytes(size) if size else 'an unknown size'}"
