"""Loaded by every Python of a training: has counters written where a process ends without exit(3).

Workers of `multiprocessing` end by `os._exit` or by SIGTERM, at any time, and `os.exec*` replaces a process.
"""

from __future__ import annotations

import _imp
import _signal  # type: ignore[import-not-found]
import atexit
import os
from collections.abc import Mapping
from typing import Any, NoReturn

_exit, _execv, _execve = os._exit, os.execv, os.execve


class Spec:
    """What the import system is told of the extension module."""

    name = "_xtool_training"
    origin = "@MODULE@"


counters: Any = _imp.create_dynamic(Spec)  # type: ignore[arg-type]
_imp.exec_dynamic(counters)


def exit_with_counters(status: int) -> NoReturn:
    """Stand in for `os._exit`."""
    counters.dump()
    _exit(status)


def execv_with_counters(path: Any, argv: Any) -> NoReturn:
    """Stand in for `os.execv`."""
    counters.dump()
    _execv(path, argv)


def execve_with_counters(path: Any, argv: Any, env: Mapping[Any, Any]) -> NoReturn:
    """Stand in for `os.execve`."""
    counters.dump()
    _execve(path, argv, env)


def terminated(number: int, _: object) -> None:
    """Write the counters, and end as the signal would have it."""
    counters.dump()
    _signal.signal(number, _signal.SIG_DFL)
    os.kill(os.getpid(), number)


def forked() -> None:
    """Begin as a child."""
    counters.begin()
    if _signal.getsignal(_signal.SIGTERM) is terminated:
        counters.insist()


def install() -> None:
    """Stand in the way of whatever ends a process."""
    os._exit = exit_with_counters
    os.execv, os.execve = execv_with_counters, execve_with_counters
    # An interpreter that is being taken down has no handlers any more, and pools end their workers even then.
    atexit.register(counters.dump)
    os.register_at_fork(after_in_child=forked)
    if _signal.getsignal(_signal.SIGTERM) is _signal.SIG_DFL:
        _signal.signal(_signal.SIGTERM, terminated)
        counters.insist()


install()
