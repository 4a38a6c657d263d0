"""Ctrl-C and SIGTERM: children end, exit code 130, the second one leaves at once."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

PATIENCE = 60.0
"""Seconds that a loaded machine may take for what should be instant."""


@contextmanager
def stalling_server() -> Iterator[tuple[str, threading.Event]]:
    """A server that takes connections and never answers; the event says that somebody has connected."""
    asked = threading.Event()
    held = []
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    held.append(connection)
                    asked.set()

        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/", asked
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
    for connection in held:
        connection.close()


@contextmanager
def running(command: list[str], **options) -> Iterator[subprocess.Popen[str]]:
    """A process that does not outlive a failing test, whose leavings would be the warnings of another one."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_download_ends_soon_and_says_so(cli, number: signal.Signals) -> None:
    with stalling_server() as (url, asked):
        env = cli.environ(
            {
                "XTOOL_DEBIAN_MIRROR": url,
                "XTOOL_SNAPSHOT_MIRROR": url,
                "XTOOL_APT_SOURCES": "0",
                "XTOOL_PYTHON_SOURCE": "debian",
            }
        )
        with running(
            cli.command("setup", "ppc64le"),
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert asked.wait(PATIENCE)
            process.send_signal(number)
            stdout, stderr = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert stdout == ""
    assert "error: interrupted" in stderr
    assert "hint: run the same command again" in stderr
    assert "Traceback" not in stderr


SLOW_TO_UNWIND = """
import sys, threading, time
from xtool import proc
from xtool.cli import app
from xtool.log import SilentLog
app._handle_signals()
threading.Thread(
    target=lambda: proc.run(["sh", "-c", "echo $$ > child; exec sleep 60"], log=SilentLog(), check=False)
).start()
try:
    print("ready", flush=True)
    time.sleep(60)
finally:
    print("unwinding", flush=True)
    time.sleep(60)
"""


def _gone(pid: int) -> bool:
    # A process may end between the opening of its file and the reading.
    with suppress(FileNotFoundError, ProcessLookupError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state == "Z"
    return True


def _wait_for(condition) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_children_of_threads_end_and_the_second_signal_leaves_at_once(cli) -> None:
    with running(
        [sys.executable, "-c", SLOW_TO_UNWIND],
        cwd=cli.cwd,
        env=cli.environ({}),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        note = cli.cwd / "child"
        _wait_for(lambda: note.exists() and note.read_text().strip())
        child = int(note.read_text())
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "unwinding\n"
        _wait_for(lambda: _gone(child))
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130


FOREGROUND = """
import os, sys
from xtool import proc
from xtool.cli import app
from xtool.log import SilentLog
app._handle_signals()
sys.exit(proc.exec_foreground(sys.argv[1:], env=os.environ, log=SilentLog()))
"""


@contextmanager
def _foreground(cli, script: str) -> Iterator[subprocess.Popen[str]]:
    with running(
        [sys.executable, "-c", FOREGROUND, "sh", "-c", script],
        env=cli.environ({}),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process


def test_a_foreground_command_decides_what_ctrl_c_means(cli) -> None:
    script = "trap 'echo caught' INT; echo ready; for i in 1 2 3 4 5 6 7 8 9; do sleep 0.2; done; exit 7"
    with _foreground(cli, script) as process:
        for _ in range(2):
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.3)
        stdout, _ = process.communicate(timeout=PATIENCE)
    assert "caught" in stdout
    assert process.returncode == 7


def test_sigterm_reaches_the_foreground_command(cli) -> None:
    script = "trap 'echo terminated; exit 3' TERM; echo ready; while :; do sleep 0.1; done"
    with _foreground(cli, script) as process:
        process.send_signal(signal.SIGTERM)
        stdout, _ = process.communicate(timeout=PATIENCE)
    assert "terminated" in stdout
    assert process.returncode == 3


def test_a_command_that_a_signal_ended_gives_128_and_its_number(cli) -> None:
    with _foreground(cli, "echo ready; kill -SEGV $$") as process:
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + signal.SIGSEGV
