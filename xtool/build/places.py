"""Where a cell is built: in the run's own folder, or in one that is the same each time, for compiler caches.

A compiler cache knows a compile by its command line. Many a `setup.py` names folders of the project by their
whole path, which must be that of the earlier build to be found again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from xtool.folders import remove_tree


@contextmanager
def own(folder: Path) -> Iterator[Path]:
    """A folder that is made, and gone afterwards."""
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        with suppress(OSError):
            remove_tree(folder)


@contextmanager
def lasting(names: Sequence[str], spare: Path) -> Iterator[Path]:
    """An empty folder whose path depends on some names alone, in a folder that is this user's only.

    Args:
        names: what is built there.
        spare: the folder to take where that one is in use, or cannot be had.
    """
    name = hashlib.sha256("\0".join(names).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    root = _root()
    lock = None if root is None else _lock(root / f"{name}.lock")
    if root is None or lock is None:
        with own(spare) as folder:
            yield folder
        return
    try:
        # What a killed process has left behind.
        remove_tree(root / name)
        with own(root / name) as folder:
            yield folder
    finally:
        # Removed while it is locked: who opens it meanwhile finds that it is no longer the one of its name.
        (root / f"{name}.lock").unlink(missing_ok=True)
        os.close(lock)
        with suppress(OSError):
            root.rmdir()


def _root() -> Path | None:
    """This user's folder among the temporary files; None where somebody else could have made it."""
    root = Path(tempfile.gettempdir()).resolve() / f"xtool-{os.geteuid()}"
    try:
        with suppress(FileExistsError):
            root.mkdir(mode=0o700)
        status = root.lstat()
    except OSError:
        return None
    private = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022
    return root if private else None


def _lock(path: Path) -> int | None:
    """Lock a file, or None where another build holds it."""
    try:
        fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        here, there = os.fstat(fd), path.stat()
        if (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino):
            return fd
    except OSError:
        pass
    os.close(fd)
    return None
