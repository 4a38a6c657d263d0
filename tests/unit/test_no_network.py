"""The network block itself: a unit test that reaches out must fail, in its own process and in xtool's."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("example.org", 80)])
def test_connections_to_elsewhere_fail(address: tuple[str, int]) -> None:
    with pytest.raises(RuntimeError, match="may not use the network"):
        socket.create_connection(address, timeout=0.1)


def test_loopback_stays_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass


def test_processes_of_the_cli_are_blocked_too(cli) -> None:
    code = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=0.1)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=cli.environ({}), capture_output=True, text=True, check=False
    )
    assert "may not use the network" in done.stderr
