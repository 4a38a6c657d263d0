"""Locks between xtool processes, and the places where the crash tests stop one.

Locks are flock(2) on files that are never deleted while the cache lives: the kernel frees them when their
holder ends, however it ends.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from xtool.errors import StoreError

if TYPE_CHECKING:
    from xtool.context import Context
    from xtool.log import Log

CHECKPOINT_VARIABLE = "XTOOL_TEST_CHECKPOINT"
"""Name of a checkpoint at which the process stops itself; the crash tests then kill it."""

_ENOTSUPP = 524
"""The kernel's ENOTSUPP, which some network filesystems let out of flock (Lustre without `-o flock`)."""

_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, _ENOTSUPP})
_SAID_AFTER = 2.0
_POLL = 0.05

_armed: list[str] = []


class LocksUnavailable(StoreError):
    """The filesystem of the cache has no locks."""


class LockTimeout(StoreError):
    """Another process has held a lock for too long."""


def arm(environ: Mapping[str, str]) -> None:
    """Take the checkpoint to stop at from the environment that a test gives."""
    _armed[:] = [name for name in (environ.get(CHECKPOINT_VARIABLE),) if name]


def checkpoint(ctx: Context, name: str) -> None:
    """Stop here when the environment of `ctx` says so; see `passing`."""
    if ctx.environ.get(CHECKPOINT_VARIABLE) == name:
        _park()


def passing(name: str) -> None:
    """Like `checkpoint`, for code that has no context: stops where `arm` said.

    The process stops itself (SIGSTOP), which its parent sees with `waitpid(WUNTRACED)`.
    """
    if name in _armed:
        _park()


def _park() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)
    # Another thread may take the signal; this one must not get any further meanwhile.
    while True:
        time.sleep(1)


@contextmanager
def locked(
    path: Path, *, log: Log, timeout: float, what: str, shared: bool = False, wait: bool = True
) -> Iterator[None]:
    """Hold the lock of a file while the block runs.

    Args:
        path: the lock file; made when missing.
        log: told after two seconds that and for whom xtool waits.
        timeout: seconds to wait at most.
        what: what is locked, for messages (`GCC 14.2.0 for ppc64le`).
        shared: let other shared holders in.
        wait: False to give up at once.

    Raises:
        LockTimeout: somebody else holds it, and the time is up.
        LocksUnavailable: the filesystem has no locks.
        StoreError: the lock file cannot be made.
    """
    fd = acquire(path, log=log, timeout=timeout if wait else 0.0, what=what, shared=shared)
    try:
        yield
    finally:
        os.close(fd)


def acquire(path: Path, *, log: Log, timeout: float, what: str, shared: bool = False) -> int:
    """Take a lock and return the file descriptor that holds it until it is closed; see `locked`."""
    started = time.monotonic()
    said = False
    while True:
        fd = _open(path, shared)
        if _try(fd, path, shared):
            # A sweeper may have deleted the file between our open and our lock: then it locks nothing.
            if _is_current(fd, path):
                if not shared:
                    _sign(fd)
                return fd
            os.close(fd)
            continue
        waited = time.monotonic() - started
        if waited >= timeout:
            holder = _holder(fd)
            os.close(fd)
            raise LockTimeout(
                f"another xtool is still using {what}" + (f" (PID {holder})" if holder else ""),
                facts=[f"lock file: {path}", f"waited {waited:.0f} s"],
                hint="let it finish or end it; XTOOL_LOCK_TIMEOUT sets how many seconds xtool waits",
                code="lock-timeout",
            )
        if waited >= _SAID_AFTER and not said:
            said = True
            holder = _holder(fd)
            log.info(f"waiting for another xtool{f', PID {holder},' if holder else ''} that is using {what}")
        os.close(fd)
        time.sleep(min(_POLL, max(timeout - waited, 0.001)))


def _open(path: Path, shared: bool) -> int:
    flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        return os.open(path, flags, 0o644)
    except OSError as error:
        if shared and error.errno in (errno.EACCES, errno.EROFS):
            with suppress(OSError):
                return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        from xtool.diskerrors import as_store_error

        raise as_store_error(error, path, "cannot open a lock of the cache") from error


def _try(fd: int, path: Path, shared: bool) -> bool:
    """True when the lock was taken, False when somebody else has it."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except InterruptedError:
        return False
    except OSError as error:
        os.close(fd)
        if error.errno in _NO_LOCKS:
            raise LocksUnavailable(
                "the filesystem of the cache has no file locks",
                facts=[f"flock on {path}: {error.strerror} ({error.errno})"],
                hint="point XTOOL_CACHE_DIR to a folder on a local filesystem",
                code="no-locks",
            ) from error
        from xtool.diskerrors import as_store_error

        raise as_store_error(error, path, "cannot lock the cache") from error
    return True


def _is_current(fd: int, path: Path) -> bool:
    try:
        there = path.stat(follow_symlinks=False)
    except OSError:
        return False
    here = os.fstat(fd)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)


def _sign(fd: int) -> None:
    """Write our PID, so that whoever waits can say for whom."""
    with suppress(OSError):
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)


def _holder(fd: int) -> int | None:
    """PID of the process that holds the lock of an open file, as far as it can be known.

    /proc/locks knows it for certain (proc(5)), shared holders included; the PID written in the file is the
    fallback where /proc shows other namespaces only.
    """
    inode = os.fstat(fd).st_ino
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            fields = line.split()
            if fields[1] == "FLOCK" and fields[5].rpartition(":")[2] == str(inode) and int(fields[4]) > 0:
                return int(fields[4])
    with suppress(OSError, ValueError):
        return int(os.pread(fd, 32, 0))
    return None
