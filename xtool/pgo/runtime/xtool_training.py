"""Loaded by every Python of a training: has counters written where a process ends without exit(3).

Workers of `multiprocessing` end by `os._exit` or by SIGTERM, and `os.exec*` replaces a process. The library
of the training, which is in every process that has loaded counting code, does what it is asked here.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import os
from collections.abc import Mapping
from typing import Any, NoReturn

LIBRARY = "@LIBRARY@"

_exit, _execv, _execve = os._exit, os.execv, os.execve


def call(function: str) -> None:
    """Call a function of the library, in a process that has loaded it."""
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:  # noqa: PTH123 - a light start
            if LIBRARY not in maps.read():
                return
        import ctypes

        getattr(ctypes.CDLL(LIBRARY), function)()
    except Exception as error:  # noqa: BLE001 - the process is to end as it would without this
        os.write(2, f"xtool: the counters of process {os.getpid()} are not written: {error}\n".encode())


def dump() -> None:
    """Write the counters of this process."""
    call("xtool_training_dump")


def _exit_and_dump(status: int) -> NoReturn:
    dump()
    _exit(status)


def _execv_and_dump(path: Any, argv: Any) -> NoReturn:
    dump()
    _execv(path, argv)


def _execve_and_dump(path: Any, argv: Any, env: Mapping[Any, Any]) -> NoReturn:
    dump()
    _execve(path, argv, env)


def terminated(number: int, _: object) -> None:
    """Write the counters, and end as the signal would have it."""
    dump()
    _signal.signal(number, _signal.SIG_DFL)
    os.kill(os.getpid(), number)


def install() -> None:
    """Stand in the way of whatever ends a process."""
    os._exit = _exit_and_dump
    os.execv, os.execve = _execv_and_dump, _execve_and_dump
    os.register_at_fork(after_in_child=lambda: call("xtool_training_begin"))
    if _signal.getsignal(_signal.SIGTERM) is _signal.SIG_DFL:
        _signal.signal(_signal.SIGTERM, terminated)


install()
