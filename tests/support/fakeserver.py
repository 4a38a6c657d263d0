"""An HTTP server on loopback that misbehaves on demand.

    with FakeServer() as server:
        server.add("/pool/x.deb", Reply(b"..."))                        always this
        server.add("/pool/y.deb", Reply(status=503), Reply(b"..."))     first the one, then the other
        ... server.url("/pool/x.deb") ...
        assert server.count("/pool/x.deb") == 1

The last reply of a path stays; a path without replies is 404. Every request is recorded in `server.requests`.
"""

from __future__ import annotations

import gzip
import socket
import ssl
import struct
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

CERTIFICATE = Path(__file__).with_name("localhost.pem")
"""A self-signed certificate for localhost and its key; made for these tests, worth nothing elsewhere."""


@dataclass
class Reply:
    """What the server does with one request.

    Args:
        body: the whole file.
        status: status code; 200 becomes 206 where a range is answered.
        headers: further headers.
        etag: value of `ETag`, quotes included.
        ranges: `right`, `wrong` (another part than asked for), `ignored` (200, the whole file), `416`.
        length: False leaves `Content-Length` out and ends the body by closing.
        chunked: send chunks instead of a length.
        encoding: `gzip` compresses the body although nobody asked for it.
        cut_at: close the connection after so many bytes of body.
        reset_at: reset the connection (RST) after so many bytes of body.
        stall_at: send nothing more after so many bytes of body, until the server stops.
        drip: (bytes, seconds): send slowly.
        endless: go on after the body for ever, without a length.
        gate: an event to wait for before answering.
    """

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str | None = None
    ranges: str = "right"
    length: bool = True
    chunked: bool = False
    encoding: str | None = None
    cut_at: int | None = None
    reset_at: int | None = None
    stall_at: int | None = None
    drip: tuple[int, float] | None = None
    endless: bool = False
    gate: threading.Event | None = None


def redirect(to: str, status: int = 302) -> Reply:
    """A reply that sends the client elsewhere."""
    return Reply(status=status, headers={"Location": to})


def captive_portal() -> Reply:
    """What a hotel's network answers instead of a file."""
    page = b"<!doctype html><title>Welcome</title><p>Please accept the terms of use"
    return Reply(page, headers={"Content-Type": "text/html; charset=utf-8"}, ranges="ignored")


@dataclass(frozen=True)
class Request:
    """A request that came: its path, and its headers with lower-case names."""

    path: str
    headers: Mapping[str, str]


class FakeServer:
    """A threaded server on loopback; a context manager.

    Args:
        tls: speak HTTPS, with the certificate in `CERTIFICATE`.
    """

    def __init__(self, *, tls: bool = False) -> None:
        self.requests: list[Request] = []
        self._replies: dict[str, list[Reply]] = {}
        self._mutex = threading.Lock()
        self._stopping = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._scheme = "https" if tls else "http"
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._server.server_port

    @property
    def base(self) -> str:
        """Its URL, with a slash at the end."""
        return f"{self._scheme}://127.0.0.1:{self.port}/"

    def url(self, path: str, *, user: str = "") -> str:
        """The URL of a path; `user` may hold `name:password`."""
        at = f"{user}@" if user else ""
        return f"{self._scheme}://{at}127.0.0.1:{self.port}{path}"

    def add(self, path: str, *replies: Reply) -> None:
        """Set what a path answers: each reply once, the last one from then on."""
        with self._mutex:
            self._replies[path] = list(replies)

    def add_tree(self, folder: Path, prefix: str = "/") -> None:
        """Serve every file of a folder."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.add(prefix + path.relative_to(folder).as_posix(), Reply(path.read_bytes()))

    def body(self, path: str) -> bytes:
        """What a path answers at last."""
        with self._mutex:
            return self._replies[path][-1].body

    def forget(self) -> None:
        """Have nothing any more."""
        with self._mutex:
            self._replies.clear()

    def count(self, path: str | None = None) -> int:
        """How many requests came, for one path or in all."""
        with self._mutex:
            return sum(path in (None, request.path) for request in self.requests)

    def asked(self, path: str) -> list[Mapping[str, str]]:
        """The headers of each request for a path."""
        with self._mutex:
            return [request.headers for request in self.requests if request.path == path]

    def __enter__(self) -> FakeServer:  # noqa: PYI034 - typing.Self is younger than Python 3.10
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, request: Request) -> Reply:
        with self._mutex:
            self.requests.append(request)
            replies = self._replies.get(request.path) or [Reply(b"not here", status=404)]
            return replies.pop(0) if len(replies) > 1 else replies[0]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    owner: FakeServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Broken connections are what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        owner = self.server.owner
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = owner._take(Request(self.path, headers))
        if reply.gate is not None:
            reply.gate.wait(30)
        status, body, extra = self._part(reply, headers)
        self.send_response(status)
        for name, value in {**extra, **reply.headers}.items():
            self.send_header(name, value)
        if reply.etag:
            self.send_header("ETag", reply.etag)
        if reply.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif reply.length and not reply.endless:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.close_connection = True
            self.send_header("Connection", "close")
        self.end_headers()
        with suppress(OSError):
            self._send(reply, body)

    def _part(self, reply: Reply, headers: Mapping[str, str]) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers, with the range that was asked for as far as the reply allows it."""
        body = reply.body
        if reply.encoding == "gzip":
            return reply.status, gzip.compress(body), {"Content-Encoding": "gzip"}
        asked = headers.get("range", "")
        if reply.status != 200 or not asked.startswith("bytes=") or reply.ranges == "ignored":
            return reply.status, body, {"Accept-Ranges": "bytes"}
        condition = headers.get("if-range")
        if condition is not None and condition not in (reply.etag, reply.headers.get("Last-Modified")):
            return 200, body, {}
        start = int(asked.removeprefix("bytes=").partition("-")[0])
        if reply.ranges == "416" or start >= len(body):
            return 416, b"", {"Content-Range": f"bytes */{len(body)}"}
        if reply.ranges == "wrong":
            start = max(0, start - 3)
        return 206, body[start:], {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}

    def _send(self, reply: Reply, body: bytes) -> None:
        stops = [n for n in (reply.cut_at, reply.reset_at, reply.stall_at) if n is not None]
        end = min([len(body), *stops])
        size, seconds = reply.drip or (1 << 16, 0.0)
        for start in range(0, end, size):
            self._write(body[start : min(start + size, end)], chunked=reply.chunked)
            if seconds and self.server.owner._stopping.wait(seconds):
                return
        if reply.reset_at is not None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
        elif reply.cut_at is not None:
            self.close_connection = True
        elif reply.stall_at is not None:
            self.server.owner._stopping.wait(60)
            self.close_connection = True
        elif reply.chunked:
            self.wfile.write(b"0\r\n\r\n")
        while reply.endless and not self.server.owner._stopping.is_set():
            self.wfile.write(b"\0" * 65536)

    def _write(self, data: bytes, *, chunked: bool) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)
        self.wfile.flush()
