"""Loaded by Python at start when this folder is on PYTHONPATH: the process may talk to loopback only.

An audit hook costs no import, so the start-up time that tests measure stays true.
"""

import sys

EVENTS = {
    "socket.connect": 1,
    "socket.sendto": 1,
    "socket.sendmsg": 1,
    "socket.getaddrinfo": 0,
    "socket.gethostbyname": 0,
}
"""Audit events of the socket module and where in their arguments the address stands."""

LOOPBACK = ("127.", "localhost", "::1")

enabled = True


def hook(event: str, args: "tuple[object, ...]") -> None:
    position = EVENTS.get(event)
    if position is None or not enabled:
        return
    address = args[position]
    host = address[0] if isinstance(address, tuple) else address
    # A path or bytes is a Unix socket's; an empty or missing host is this machine.
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg") and not isinstance(address, tuple):
        return
    if host and not str(host).startswith(LOOPBACK):
        raise RuntimeError(f"unit tests may not use the network: {event} {address!r}")


sys.addaudithook(hook)
