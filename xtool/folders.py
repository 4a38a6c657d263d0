"""What is done to whole folders: deleting, measuring, writing to the disk."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path


def remove_tree(path: Path) -> None:
    """Delete a folder whatever the modes of the folders in it; one that is gone already is fine."""
    with suppress(FileNotFoundError):
        path.chmod(0o700)
        for base, names, _ in os.walk(path):
            for name in names:
                below = Path(base, name)
                if not below.is_symlink():
                    below.chmod(0o700)
        shutil.rmtree(path)


def folder_size(path: Path) -> int:
    """Bytes of the regular files below a folder."""
    total = 0
    pending: list[str] = [str(path)]
    while pending:
        with suppress(OSError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    total += entry.stat(follow_symlinks=False).st_size
    return total


def flush(path: Path) -> None:
    """Write all that is in memory of a filesystem to its disk: one call instead of one for each file."""
    import ctypes

    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if hasattr(library, "syncfs") and library.syncfs(fd) != 0:
            code = ctypes.get_errno()
            if code != errno.ENOSYS:
                raise OSError(code, os.strerror(code), str(path))
    finally:
        os.close(fd)


def sync_folder(path: Path) -> None:
    """Write the names in a folder to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
