"""Locks: who waits, for how long, what is said, and what happens when their holder dies."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from xtool.errors import StoreError
from xtool.locking import LocksUnavailable, LockTimeout, acquire, locked
from xtool.log import SilentLog

HOLDER = """
import sys, time
from pathlib import Path
from xtool.locking import locked
from xtool.log import SilentLog
with locked(Path(sys.argv[1]), log=SilentLog(), timeout=5, what="x", shared=len(sys.argv) > 2):
    print("held", flush=True)
    time.sleep(60)
"""


class Lines(SilentLog):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "a.lock"


def hold(lock: Path, *words: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, lock, *words], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_hung_holder_is_named_and_not_waited_for_forever(lock: Path) -> None:
    with hold(lock) as holder:
        started = time.monotonic()
        with pytest.raises(LockTimeout) as caught, locked(lock, log=SilentLog(), timeout=0.5, what="GCC 14"):
            pytest.fail("two holders")
        assert 0.4 < time.monotonic() - started < 3
        holder.kill()
    error = caught.value
    assert error.exit_code == 5
    assert "GCC 14" in error.message
    assert f"PID {holder.pid}" in error.message
    assert str(lock) in " ".join(error.facts)
    assert "XTOOL_LOCK_TIMEOUT" in str(error.hint)


def test_waiting_is_said_after_two_seconds_and_ends_when_the_holder_is_killed(lock: Path) -> None:
    log = Lines()
    with hold(lock) as holder:
        threading.Timer(2.6, holder.send_signal, [signal.SIGKILL]).start()
        started = time.monotonic()
        with locked(lock, log=log, timeout=30, what="GCC 14"):
            assert 2 < time.monotonic() - started < 10
    assert log.lines == [f"waiting for another xtool, PID {holder.pid}, that is using GCC 14"]


def test_shared_holders_keep_an_exclusive_one_out_and_are_named(lock: Path) -> None:
    with hold(lock, "shared") as first, hold(lock, "shared") as second:
        with locked(lock, log=SilentLog(), timeout=1, what="x", shared=True):
            pass
        with (
            pytest.raises(LockTimeout) as caught,
            locked(lock, log=SilentLog(), timeout=9, what="x", wait=False),
        ):
            pytest.fail("not exclusive")
        assert any(f"PID {pid}" in caught.value.message for pid in (first.pid, second.pid))
        first.kill()
        second.kill()


def test_threads_of_one_process_exclude_each_other(lock: Path) -> None:
    with (
        locked(lock, log=SilentLog(), timeout=1, what="x"),
        pytest.raises(LockTimeout),
        locked(lock, log=SilentLog(), timeout=0.1, what="x"),
    ):
        pytest.fail("two holders")


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, 524])
def test_filesystems_without_locks_are_explained(
    lock: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def flock(fd: int, operation: int) -> None:
        raise OSError(code, "no locks here")

    monkeypatch.setattr(fcntl, "flock", flock)
    before = len(list(Path("/proc/self/fd").iterdir()))
    started = time.monotonic()
    with pytest.raises(LocksUnavailable) as caught, locked(lock, log=SilentLog(), timeout=30, what="x"):
        pytest.fail("no lock was taken")
    assert time.monotonic() - started < 1
    assert "XTOOL_CACHE_DIR" in str(caught.value.hint)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_lock_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as caught:
        acquire(tmp_path / "missing" / "a.lock", log=SilentLog(), timeout=1, what="x")
    assert "missing" in " ".join(caught.value.facts)


def test_a_lock_file_that_was_deleted_meanwhile_locks_nothing(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A sweeper deletes the file between our open and our flock: the lock must be taken on the new one.
    real = fcntl.flock
    calls = []

    def flock(fd: int, operation: int) -> None:
        calls.append(fd)
        if len(calls) == 1:
            lock.unlink()
        real(fd, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    fd = acquire(lock, log=SilentLog(), timeout=1, what="x")
    assert len(calls) == 2
    assert os.fstat(fd).st_ino == lock.stat().st_ino
    os.close(fd)


def test_a_link_in_place_of_a_lock_is_refused(lock: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    lock.symlink_to(victim)
    with pytest.raises(StoreError):
        acquire(lock, log=SilentLog(), timeout=1, what="x")
    assert victim.read_text() == "untouched"
