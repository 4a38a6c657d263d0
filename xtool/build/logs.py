"""Where the logs of wheels lie: a folder for each run in the cache, unless the user names one."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from xtool.build.deliver import usable
from xtool.context import Context
from xtool.errors import StoreError
from xtool.store import Store

KEPT_FOR = 14 * 24 * 3600.0
"""Seconds after which `xtool prune` removes the logs of a run."""


@contextmanager
def folder(ctx: Context, wanted: Path | None) -> Iterator[Path]:
    """The folder for the logs of a run; it is taken away again where nothing was written.

    Args:
        ctx: settings, log, environment.
        wanted: the folder that the user names; otherwise one in the cache, or where that cannot be written
            among the temporary files.

    Raises:
        StoreError: the folder that the user names cannot be written.
    """
    if wanted is not None:
        with usable(wanted, hint="choose another folder with `--log-dir`"):
            yield wanted
        return
    place = _new(ctx)
    try:
        yield place
    finally:
        with suppress(OSError):
            place.rmdir()


def file_name(project: str, target: str, python: str) -> str:
    """The name of a wheel's log: `ujson-ppc64le-3.13.log`."""
    return re.sub(r"[^\w.+-]", "_", f"{project}-{target}-{python}.log")


def runs(ctx: Context) -> list[Path]:
    """The folders of earlier runs in the cache, oldest first."""
    with suppress(OSError):
        return sorted(path for path in _root(ctx).iterdir() if path.is_dir())
    return []


def age(run: Path) -> float:
    """Seconds since something was last written into a run's folder."""
    with suppress(OSError):
        return time.time() - run.stat().st_mtime
    return 0.0


def _root(ctx: Context) -> Path:
    return Store(ctx).root / "state" / "logs"


def _new(ctx: Context) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    try:
        Store(ctx).prepare()
        root = _root(ctx)
        root.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f"{stamp}-", dir=root))
    except (StoreError, OSError) as error:
        ctx.log.detail(f"logs do not go to the cache: {error}")
        return Path(tempfile.mkdtemp(prefix="xtool-logs-"))
