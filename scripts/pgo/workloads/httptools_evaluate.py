"""Times httptools on what it was not trained with: long requests of a browser, on connections kept alive.

Only heads of requests, where training has bodies, answers and addresses to take apart as well.
"""

from __future__ import annotations

import httptools
from common import Writer, run

writer = Writer(1007)
draw = writer.random


class Handler:
    """Counts."""

    def __init__(self) -> None:
        self.count = 0

    def on_header(self, _name: bytes, _value: bytes) -> None:
        self.count += 1

    def on_message_complete(self) -> None:
        self.count += 100


def request(number: int) -> bytes:
    """A request."""
    cookies = "; ".join(f"{writer.word()}={draw.getrandbits(128):x}" for _ in range(8))
    return (
        f"GET /{'/'.join(writer.word() for _ in range(6))}.html HTTP/1.1\r\nHost: {writer.word()}.example\r\n"
        f"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n"
        f"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n"
        f"Cookie: {cookies}\r\nReferer: https://www.example/{writer.word()}/{number}\r\n"
        f"Connection: keep-alive\r\n\r\n"
    ).encode()


stream = b"".join(request(number) for number in range(300))


def work() -> int:
    """One round."""
    handler = Handler()
    parser = httptools.HttpRequestParser(handler)
    for start in range(0, len(stream), 8192):
        parser.feed_data(stream[start : start + 8192])
    return handler.count


run(work)
