"""Trains httptools: requests and answers, whole and in pieces, with bodies of both kinds."""

from __future__ import annotations

import contextlib

import httptools
from common import Writer

writer = Writer(7)
draw = writer.random


class Handler:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.url = b""
        self.size = 0
        self.done = 0

    def on_url(self, url: bytes) -> None:
        self.url = url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self.size += len(body)

    def on_message_complete(self) -> None:
        self.done += 1


def request(number: int) -> bytes:
    """A request."""
    body = writer.paragraph(number % 4).encode()
    lines = [f"{'POST' if body else 'GET'} /{writer.word()}/{number}?{writer.word()}={number} HTTP/1.1"]
    lines += ["Host: www.example.org", f"User-Agent: {writer.sentence()}", "Accept: text/html,*/*;q=0.8"]
    lines += [f"X-{writer.word()}: {writer.word()}" for _ in range(number % 6)]
    lines += [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([*lines, "", ""]).encode() + body


def answer() -> bytes:
    """An answer, its body in chunks."""
    chunks = b"".join(
        b"%x\r\n%s\r\n" % (len(one), one) for one in (writer.sentence().encode() for _ in range(3))
    )
    head = f"HTTP/1.1 {draw.choice((200, 301, 404))} OK\r\nContent-Type: text/html\r\n"
    head += f"Server: {writer.word()}\r\n"
    return head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


for number in range(150):
    for parser, data in (
        (httptools.HttpRequestParser, request(number)),
        (httptools.HttpResponseParser, answer()),
    ):
        handler = Handler()
        whole = parser(handler)
        whole.feed_data(data)
        assert handler.done == 1
        if number % 5 == 0:
            handler = Handler()
            pieces = parser(handler)
            for start in range(0, len(data), 50):
                pieces.feed_data(data[start : start + 50])
            assert handler.done == 1
    httptools.parse_url(b"https://user@example.org:81/%d/path?q=1#top" % number)
for broken in (b"GET\r\n\r\n", b"HTTP/9 x", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"):
    with contextlib.suppress(httptools.HttpParserError):
        httptools.HttpRequestParser(Handler()).feed_data(broken)
