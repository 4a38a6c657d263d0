"""The one module that starts processes.

Commands are lists, never shell text. What a command prints is kept, shown as it comes under `-v`, and its
end is shown when it fails. A command runs in its own process group, which is ended as a whole when xtool is
interrupted or the time is up.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from xtool.errors import CommandFailed, Interrupted, UsageError
from xtool.log import Log

_GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL."""

_SHOWN_LINES = 60
"""How many of the last lines of a failed command stand in the error."""


_NOTHING: Mapping[str, str] = {"LC_ALL": "C"}
"""Variables such as CPATH and GNUTARGET would change what the tools of the store make of the same files."""

_running: set[int] = set()
"""Process groups that `run` has started and that have not ended."""


class Commands:
    """The commands of one piece of work among several, which can be ended without the others'.

    Args:
        within: the commands of the work that this is a part of.
    """

    def __init__(self, within: Commands | None = None) -> None:
        self._within = within
        self._groups: set[int] = set()
        self._lock = threading.Lock()
        self._ended = False

    @classmethod
    def part(cls) -> Commands:
        """A part of the work that this thread does."""
        return cls(_current.get())

    @property
    def ended(self) -> bool:
        """Whether the work shall stop: no further command starts."""
        return self._ended or (self._within is not None and self._within.ended)

    def end(self) -> None:
        """End what runs, process groups as a whole: SIGTERM, and SIGKILL after a grace; does not wait."""
        self._signal(signal.SIGTERM)
        timer = threading.Timer(_GRACE, self._signal, [signal.SIGKILL])
        timer.daemon = True
        timer.start()

    def check(self) -> None:
        """Stop here once the work was ended.

        Raises:
            Interrupted: it was.
        """
        if self.ended:
            raise Interrupted("stopped")

    @contextmanager
    def current(self) -> Iterator[None]:
        """What this thread starts while the block runs is among these commands."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    def _signal(self, number: int) -> None:
        with self._lock:
            self._ended = True
            for group in self._groups:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(group, number)

    def _add(self, group: int) -> None:
        with self._lock:
            self._groups.add(group)
            if self._ended:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(group, signal.SIGKILL)
        if self._within is not None:
            self._within._add(group)

    def _remove(self, group: int) -> None:
        with self._lock:
            self._groups.discard(group)
        if self._within is not None:
            self._within._remove(group)


_current: ContextVar[Commands | None] = ContextVar("commands", default=None)


@dataclass(frozen=True, slots=True)
class Completed:
    """A process that has ended.

    Args:
        argv: the command.
        returncode: its exit code, or minus the signal that ended it.
        stdout: its standard output.
        stderr: its standard error; empty where it was merged into `stdout`.
        seconds: wall time.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    seconds: float


def run(
    argv: Sequence[str | Path],
    *,
    log: Log,
    env: Mapping[str, str] = _NOTHING,
    cwd: Path | None = None,
    stdin: str | None = None,
    what: str | None = None,
    check: bool = True,
    merge: bool = True,
    timeout: float | None = None,
    hint: str | None = None,
) -> Completed:
    """Run a command to its end.

    Args:
        argv: program and arguments.
        log: told the command, and its output as it comes.
        env: the whole environment of the command; by default nothing of the user's.
        cwd: its working directory.
        stdin: text for its standard input; nothing otherwise.
        what: what the command does, for the error message (`build of ujson`).
        check: raise when it exits with another code than 0.
        merge: send stderr into stdout, in order; otherwise both are kept apart.
        timeout: seconds after which the command is ended.
        hint: what the user can do when it fails.

    Raises:
        CommandFailed: it failed and `check` is set, or the time is up.
        UsageError: the program does not exist or cannot be executed.
        Interrupted: it is one of `Commands` that were ended.
    """
    commands = _current.get() or Commands()
    commands.check()
    words = [os.fspath(word) for word in argv]
    log.command(words, cwd=cwd)
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            words,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merge else subprocess.PIPE,
            start_new_session=True,
        )
    except (FileNotFoundError, PermissionError, OSError) as error:
        raise UsageError(
            f"cannot start `{words[0]}`: {error.strerror or error}", hint=hint, code="cannot-start"
        ) from error
    _running.add(process.pid)
    commands._add(process.pid)
    out: list[str] = []
    err: list[str] = []
    readers = [_reader(process.stdout, out, log)]
    if not merge:
        readers.append(_reader(process.stderr, err, log))
    try:
        if stdin is not None and process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.write(stdin.encode())
            with suppress(BrokenPipeError):
                process.stdin.close()
        timed_out = _wait(process, timeout)
        if commands.ended:
            _end_group(process)
    except BaseException:
        _end_group(process)
        raise
    finally:
        _running.discard(process.pid)
        commands._remove(process.pid)
        for reader in readers:
            reader.join(timeout=_GRACE)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    done = Completed(tuple(words), process.returncode, "".join(out), "".join(err), time.monotonic() - started)
    commands.check()
    if timed_out:
        raise CommandFailed(
            f"{what or words[0]} took longer than {timeout:g} s and was ended",
            facts=_facts(done),
            hint=hint,
            code="timeout",
        )
    if check and done.returncode != 0:
        raise CommandFailed(
            f"{what or words[0]} {describe_exit(done.returncode)}", facts=_facts(done), hint=hint
        )
    return done


def exec_foreground(argv: Sequence[str | Path], *, env: Mapping[str, str], log: Log) -> int:
    """Run a command with xtool's own stdin, stdout and stderr; return its exit code.

    A command that a signal ended gives 128 plus the signal's number, as shells say it.
    """
    words = [os.fspath(word) for word in argv]
    log.command(words)
    with _signals_passed_on() as started:
        try:
            process = subprocess.Popen(words, env=dict(env))
        except OSError as error:
            raise UsageError(f"cannot start `{words[0]}`: {error.strerror}", code="cannot-start") from error
        started(process)
        code = process.wait()
    return code if code >= 0 else 128 - code


def end_all(number: int) -> None:
    """Send a signal to the group of every command that `run` has started and that has not ended.

    For the handler of Ctrl-C: commands run in groups of their own, which the terminal's signal does not
    reach, and threads that wait for one are not interrupted.
    """
    for group in tuple(_running):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)


@contextmanager
def _signals_passed_on() -> Iterator[Callable[[subprocess.Popen[bytes]], None]]:
    """Leave signals to a foreground command, which is made known to the function given.

    The terminal sends Ctrl-C to the command as well, and the command decides what that means; what comes for
    xtool alone is passed on. Handlers are in place before the command starts, so that none comes between.
    """
    running: list[subprocess.Popen[bytes]] = []
    early: list[int] = []

    def started(process: subprocess.Popen[bytes]) -> None:
        running.append(process)
        for number in early:
            process.send_signal(number)

    def ignore(number: int, frame: FrameType | None) -> None:
        del number, frame

    def forward(number: int, frame: FrameType | None) -> None:
        del frame
        if running:
            running[0].send_signal(number)
        else:
            early.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield started
        return
    handlers = {signal.SIGINT: ignore, signal.SIGTERM: forward, signal.SIGHUP: forward}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield started
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def describe_exit(returncode: int) -> str:
    """Say how a process ended: `exited with code 3`, `was ended by SIGSEGV (signal 11)`."""
    number = -returncode if returncode < 0 else 0
    if number:
        try:
            name = signal.Signals(number).name
        except ValueError:
            name = "a signal"
        return f"was ended by {name} (signal {number})"
    return f"exited with code {returncode}"


def _reader(pipe: IO[bytes] | None, into: list[str], log: Log) -> threading.Thread:
    def read() -> None:
        if pipe is None:
            return
        with suppress(ValueError, OSError):
            for line in iter(pipe.readline, b""):
                text = line.decode("utf-8", "replace")
                into.append(text)
                log.stream(text)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    return thread


def _wait(process: subprocess.Popen[bytes], timeout: float | None) -> bool:
    """Wait for the end; True when the time was up and the group was ended.

    A thread watches the time: `Popen.wait` with a timeout sleeps between looks, up to 50 ms too long.
    """
    if timeout is None:
        process.wait()
        return False
    timed_out = threading.Event()

    def end() -> None:
        if process.returncode is None:
            timed_out.set()
            _end_group(process)

    timer = threading.Timer(timeout, end)
    timer.daemon = True
    timer.start()
    try:
        process.wait()
    finally:
        timer.cancel()
    if timed_out.is_set():
        # What the leader left behind in its group is ended as well before this returns.
        timer.join()
    return timed_out.is_set()


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End the command and all that it started: SIGTERM, and SIGKILL after a grace."""
    for number, grace in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, None)):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        try:
            process.wait(timeout=grace)
        except subprocess.TimeoutExpired:
            continue
        if number == signal.SIGTERM:
            # The leader is gone; what it left behind in its group goes too.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        return


def _facts(done: Completed) -> list[str]:
    lines = (done.stdout + done.stderr).splitlines()
    cut = [f"... {len(lines) - _SHOWN_LINES} earlier lines"] if len(lines) > _SHOWN_LINES else []
    return [f"command: {shlex.join(done.argv)}", *cut, *lines[-_SHOWN_LINES:]]
