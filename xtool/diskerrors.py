"""What the operating system says about a disk, told as errors of the store (exit code 5)."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from xtool.errors import StoreError
from xtool.text import format_bytes

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def as_store_error(error: OSError, path: Path, message: str, *, need: int | None = None) -> StoreError:
    """Say what an OSError means for the cache and what to do about it.

    Args:
        error: what the operating system said.
        path: where it happened, as far as is known.
        message: what failed (`cannot install GCC 14.2.0 for ppc64le`).
        need: bytes that were to be written, where known.
    """
    where = Path(os.fsdecode(error.filename)) if isinstance(error.filename, (str, bytes)) else path
    facts = [f"{where}: {error.strerror or error}"]
    hint: str | None
    if error.errno in _FULL:
        free = free_bytes(path)
        if free is not None:
            needed = f"needs {format_bytes(need)}, " if need else ""
            facts.append(f"{needed}{format_bytes(free)} free on the disk of {path}")
        hint = "make room (`xtool prune`, `xtool cache clean`) or point XTOOL_CACHE_DIR to a larger disk"
        code = "disk-full"
    elif error.errno in _FORBIDDEN:
        hint = "point XTOOL_CACHE_DIR to a folder that you may write to"
        code = "not-writable"
    elif error.errno in (errno.EMFILE, errno.ENFILE):
        hint = "raise the limit of open files (`ulimit -n`) or use fewer jobs"
        code = "too-many-files"
    elif error.errno == errno.EFBIG:
        hint = "`ulimit -f`, or the filesystem, limits the size of files; raise it, or set XTOOL_CACHE_DIR"
        code = "file-too-large"
    elif error.errno == errno.EIO:
        hint = "the disk reports errors; point XTOOL_CACHE_DIR to another one"
        code = "disk-error"
    else:
        hint = "`xtool doctor` checks the cache folder; XTOOL_CACHE_DIR names another one"
        code = "disk"
    return StoreError(message, facts=facts, hint=hint, code=code)


@contextmanager
def reported(path: Path, message: str, *, need: int | None = None) -> Iterator[None]:
    """Turn every OSError of the block into a StoreError."""
    try:
        yield
    except OSError as error:
        raise as_store_error(error, path, message, need=need) from error


def free_bytes(path: Path) -> int | None:
    """Bytes an ordinary user may still write on the filesystem of the nearest existing folder."""
    for folder in (path, *path.parents):
        with suppress(OSError):
            state = os.statvfs(folder)
            return state.f_bavail * state.f_frsize
    return None
