"""The one place that prints: messages and progress on stderr, results on stdout.

`Console` is the `Log` that library code talks to. What it shows depends on the verbosity, on whether stderr
is a terminal, and on GitHub Actions, whose log folds what stands between `::group::` and `::endgroup::`.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from xtool.errors import StoreError, XtoolError
from xtool.log import Progress
from xtool.text import format_bytes, format_seconds, plain

if TYPE_CHECKING:
    from xtool.live import Render

SCHEMA = 1
"""Version of the JSON documents' shape."""

_STYLES = {"red": "\x1b[1;31m", "yellow": "\x1b[1;33m", "cyan": "\x1b[36m", "dim": "\x1b[2m"}
_RESET = "\x1b[0m"
_BAR_DELAY = 1.0
"""Seconds that something must take before it gets a bar."""


class Console:
    """A `Log` on a text stream. Thread-safe.

    Args:
        stream: where messages go; stderr, or None where it is closed.
        verbosity: -2 errors only, -1 and warnings (`-q`), 0 normal, 1 commands and their output (`-v`), 2
            tracebacks too.
        color: whether to use colours.
        bars: whether to draw progress bars (a terminal).
        github: whether to fold steps as GitHub Actions' log does.
    """

    def __init__(
        self,
        stream: TextIO | None,
        *,
        verbosity: int = 0,
        color: bool = False,
        bars: bool = False,
        github: bool = False,
    ) -> None:
        self.verbosity = verbosity
        self.warnings: list[dict[str, str | None]] = []
        self._stream = stream
        self._color = color
        self._bars = bars
        self._github = github
        self._lock = threading.RLock()
        self._bar: Any = None
        self._grouped = False

    def info(self, message: str) -> None:
        """One line a user wants to see."""
        if self.verbosity >= 0:
            self._write(plain(message))

    def detail(self, message: str) -> None:
        """One line shown under `-v`."""
        if self.verbosity >= 1:
            self._write(self._style("dim", plain(message)))

    def warning(self, message: str, *, hint: str | None = None) -> None:
        """A warning, said once; also kept for the JSON document."""
        entry = {"message": message, "hint": hint}
        with self._lock:
            if entry in self.warnings:
                return
            self.warnings.append(entry)
        if self.verbosity >= -1:
            self._write(f"{self._style('yellow', 'warning')}: {plain(message)}")
            if hint:
                self._write(f"{self._style('cyan', 'hint')}: {plain(hint)}")

    def command(self, argv: Sequence[str], *, cwd: Path | None = None) -> None:
        """The shell-quoted command, under `-v`."""
        if self.verbosity >= 1:
            place = f"  (in {cwd})" if cwd is not None else ""
            self._write(self._style("dim", plain(f"$ {shlex.join(argv)}{place}")))

    def stream(self, text: str) -> None:
        """A process's output as it comes, under `-v`."""
        if self.verbosity >= 1:
            self._write("\n".join(map(plain, text.splitlines())))

    def error(self, error: XtoolError) -> None:
        """An error: what happened, the facts, what to do next."""
        self._write(f"{self._style('red', 'error')}: {plain(error.message)}")
        if error.facts:
            lines = [line for fact in error.facts for line in fact.splitlines() or [""]]
            self._write("\n" + "\n".join(f"  {plain(line)}".rstrip() for line in lines))
        if error.hint:
            self._write(f"\n{self._style('cyan', 'hint')}: {plain(error.hint)}")

    def raw(self, text: str) -> None:
        """Text as it is, at every verbosity: help after a usage error, a traceback."""
        self._write(text.rstrip("\n"))

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Start and end line with seconds; a fold under GitHub Actions, where folds do not nest."""
        fold = False
        with self._lock:
            if self._github and not self._grouped and self.verbosity >= 0:
                self._grouped = fold = True
        self.info(f"::group::{title}" if fold else f"{title} ...")
        started = time.monotonic()
        how = "failed after"
        try:
            yield
            how = "done in"
        finally:
            if fold:
                self.info("::endgroup::")
                self._grouped = False
            self.info(f"{title}: {how} {format_seconds(time.monotonic() - started)}")

    @contextmanager
    def progress(self, title: str, total: int, unit: str = "B") -> Iterator[Progress]:
        """One bar on a terminal; a start and an end line elsewhere. A total of 0 is not known beforehand."""
        show = self.verbosity >= 0
        meter = _Meter(self, title, total, unit, bar=show and self._bars)
        if show and not self._bars:
            self.info(f"{title}: {meter.amount(total)} ..." if total else f"{title} ...")
        done = False
        try:
            yield meter
            done = True
        finally:
            seconds = meter.close()
            if done and show and (not self._bars or seconds >= _BAR_DELAY):
                whole = max(total, meter.done)
                rate = f", {meter.amount(whole / seconds)}/s" if unit == "B" and seconds > 0.05 else ""
                self.info(f"{title}: {meter.amount(whole)} in {format_seconds(seconds)}{rate}")

    @contextmanager
    def live(self, render: Render) -> Iterator[bool]:
        """Keep lines at the foot of a terminal while the block runs; False where there is none to draw on."""
        if self.verbosity < 0 or not self._bars or self._stream is None:
            yield False
            return
        from xtool.live import Live

        with self._lock:
            self._bar = lines = Live(self._stream, self._lock, render)
        try:
            yield True
        finally:
            lines.close()
            with self._lock:
                self._bar = None

    @property
    def folds(self) -> bool:
        """Whether messages go to GitHub Actions' log, which folds."""
        return self._github

    def fold(self, title: str, text: str) -> bool:
        """Say a line, and below it text that GitHub Actions' log shows folded; False elsewhere."""
        if not self._github or self.verbosity < 0:
            return False
        # What others printed must not be taken for commands to GitHub's runner.
        inside = "\n".join(re.sub(r"^(\s*)::", r"\1 ::", plain(line)) for line in text.splitlines())
        self._write(f"::group::{plain(title)}\n{inside}\n::endgroup::")
        return True

    def _style(self, style: str, text: str) -> str:
        return f"{_STYLES[style]}{text}{_RESET}" if self._color else text

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        with self._lock:
            bar = self._bar
            if bar is not None:
                bar.clear()
            try:
                # One write a message: lines of two processes that share a terminal do not mix.
                self._stream.write(text + "\n")
                self._stream.flush()
            except OSError:
                # Nobody reads it, or its disk is full. That ends the talk, not the work.
                discard(self._stream)
                self._stream = None
            if bar is not None:
                bar.refresh()


class _Meter:
    """A running total, drawn with tqdm where bars are wanted and the work takes its time."""

    def __init__(self, console: Console, title: str, total: int, unit: str, *, bar: bool) -> None:
        self._console = console
        self._title, self._total, self._unit = title, total, unit
        self._started = time.monotonic()
        self.done = 0
        """Units so far."""
        self._wanted = bar
        self._bar: Any = None
        # Opens the bar of work that takes long without getting on.
        self._timer = threading.Timer(_BAR_DELAY, self._appear)
        self._timer.daemon = True
        if bar:
            self._timer.start()

    def amount(self, count: float) -> str:
        """A figure with its unit."""
        return format_bytes(count) if self._unit == "B" else f"{count:.0f} {self._unit}"

    def advance(self, amount: int) -> None:
        """Add to what is done."""
        with self._console._lock:
            self.done += amount
            if self._bar is not None:
                self._bar.update(amount)

    def _appear(self) -> None:
        with self._console._lock:
            if self._wanted:
                self._open()

    def _open(self) -> None:
        from tqdm import tqdm

        if self._console._bar is not None:
            return
        tqdm.monitor_interval = 0
        # Above 999 tqdm would write `1.00k/2.00kfiles`; counts of things are small and stay as they are.
        self._bar = tqdm(
            desc=self._title,
            total=self._total or None,
            initial=self.done,
            unit=self._unit,
            unit_scale=self._unit == "B",
            unit_divisor=1000,
            file=self._console._stream,
            leave=False,
            dynamic_ncols=True,
        )
        self._console._bar = self._bar

    def close(self) -> float:
        """Take the bar away; the seconds that it all took."""
        self._timer.cancel()
        with self._console._lock:
            self._wanted = False
            if self._bar is not None:
                self._console._bar = None
                self._bar.close()
                self._bar = None
        return time.monotonic() - self._started


def make_console(
    environ: Mapping[str, str],
    *,
    verbosity: int = 0,
    color: str = "auto",
    no_progress: bool = False,
) -> Console:
    """The console for this process's stderr.

    Args:
        environ: the environment: NO_COLOR, FORCE_COLOR, TERM, CI and GITHUB_ACTIONS are honoured.
        verbosity: `-v` given how often, less `-q`.
        color: `auto`, `always` or `never`.
        no_progress: draw no bars.
    """
    stream = sys.stderr
    # A CI service's log may be a terminal to look at, but nobody watches bars there.
    watched = _is_terminal(stream, environ) and environ.get("CI", "").lower() in ("", "0", "false")
    return Console(
        stream,
        verbosity=verbosity,
        color=wants_color(stream, environ, color),
        bars=watched and not no_progress,
        github=environ.get("GITHUB_ACTIONS") == "true",
    )


def wants_color(stream: TextIO | None, environ: Mapping[str, str], choice: str) -> bool:
    """Whether what goes to a stream is coloured: as chosen, or with `auto`, on a terminal that can.

    See no-color.org and force-color.org for the variables.
    """
    if choice != "auto":
        return choice == "always"
    if environ.get("NO_COLOR"):
        return False
    return _is_terminal(stream, environ) or bool(environ.get("FORCE_COLOR"))


def _is_terminal(stream: TextIO | None, environ: Mapping[str, str]) -> bool:
    return stream is not None and stream.isatty() and environ.get("TERM") != "dumb"


def document(
    command: str,
    status: str,
    exit_code: int,
    data: Mapping[str, Any],
    errors: Sequence[XtoolError] = (),
) -> str:
    """The one JSON document of a run with `--output json`."""
    content = {
        "schema": SCHEMA,
        "command": command,
        "status": status,
        "exit_code": exit_code,
        "data": data,
        "errors": [
            {"code": error.code, "message": error.message, "facts": list(error.facts), "hint": error.hint}
            for error in errors
        ],
    }
    return json.dumps(content, indent=2, default=_plain_data)


def write_result(text: str) -> None:
    """Write data to stdout; does nothing where stdout is closed, or where its reader has gone (`| head`).

    Raises:
        StoreError: it cannot be written.
    """
    if sys.stdout is None or not text:
        return
    # A lone surrogate (a file name that is not UTF-8) must not end in a traceback.
    encoding = sys.stdout.encoding or "utf-8"
    safe = text.encode(encoding, "backslashreplace").decode(encoding)
    try:
        sys.stdout.write(safe if safe.endswith("\n") else safe + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        discard(sys.stdout)
    except OSError as error:
        discard(sys.stdout)
        raise StoreError(
            f"cannot write to stdout: {error.strerror}", hint="make room where stdout goes", code="stdout"
        ) from error


def discard(stream: TextIO) -> None:
    """Let what a stream still holds go nowhere: the flush at exit would fail again, and loudly."""
    with suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _plain_data(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is no JSON data")
