"""Small files of unknown size and hash, read into memory: signed ones, which prove themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xtool.fetch.session import AttemptError, Client, Trouble, root_cause
from xtool.fetch.transfer import pause
from xtool.text import format_bytes, plain

if TYPE_CHECKING:
    from xtool.context import Context

_CHUNK = 1 << 16


def get_small(ctx: Context, client: Client, url: str, *, limit: int) -> bytes:
    """Download a file into memory, with the same retries as a large one.

    Args:
        ctx: settings, log.
        client: opens the URL.
        url: what to get.
        limit: bytes that it may have.

    Raises:
        AttemptError: it cannot be had.
    """
    failures = 0
    while True:
        try:
            return _attempt(client, url, limit)
        except AttemptError as error:  # noqa: PERF203 - each failure is followed by a wait
            failures += 1
            if error.trouble not in (Trouble.AGAIN, Trouble.UNREACHABLE) or failures > ctx.settings.retries:
                raise
            pause(ctx, client, error, failures, url)


def _attempt(client: Client, url: str, limit: int) -> bytes:
    from urllib3.exceptions import HTTPError

    data = bytearray()
    with client.get(url) as response:
        if response.status_code != 200:
            raise AttemptError(Trouble.REFUSED, f"HTTP {response.status_code}")
        while True:
            try:
                chunk = response.raw.read1(_CHUNK, decode_content=False)
            except (HTTPError, OSError) as error:
                reason = f"the connection broke ({plain(root_cause(error))})"
                raise AttemptError(Trouble.AGAIN, reason) from error
            if not chunk:
                return bytes(data)
            data += chunk
            if len(data) > limit:
                raise AttemptError(Trouble.WRONG, f"it is larger than {format_bytes(limit)}")
