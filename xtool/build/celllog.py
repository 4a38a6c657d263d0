"""The log of one wheel: a file with every command, what it printed, and the steps with their times.

The file gets its name when the wheel is done or has failed; until then it is called `NAME.part`. A disk that
is full ends the log, not the build.
"""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, TextIO

from xtool.log import Log, Progress
from xtool.text import format_bytes, format_seconds

PART = ".part"
"""What the name of a log ends with that is still being written, or whose process was killed."""


class Voice(Protocol):
    """Where the messages of one wheel among several go, beside its file."""

    def warning(self, message: str, *, hint: str | None = None) -> None:
        """Something is not as asked, and the work goes on."""

    def line(self, text: str) -> None:
        """A line that a user sees who has asked for commands and their output."""


class CellLog:
    """A `Log` that writes into a file.

    Args:
        path: the file; its folder is there.
        plain: the log that everything is passed on to as it comes, for a wheel that is built alone.
        voice: where warnings and output go instead, for one among several.
    """

    def __init__(self, path: Path, *, plain: Log | None = None, voice: Voice | None = None) -> None:
        self.path = path
        self._plain = plain
        self._voice = voice
        self._lock = threading.Lock()
        self._part = path.with_name(path.name + PART)
        self._started = time.monotonic()
        self._file: TextIO | None = None
        with suppress(OSError):
            self._file = self._part.open("w", encoding="utf-8", errors="backslashreplace")

    def close(self, *, last: str = "") -> Path | None:
        """Write the last line and give the file its name; None where it could not be written."""
        if last:
            self._write(last)
        with self._lock:
            file, self._file = self._file, None
        if file is None:
            return None
        try:
            file.close()
            self._part.replace(self.path)
        except OSError:
            return None
        return self.path

    def info(self, message: str) -> None:
        """One line a user wants to see."""
        self._write(message)
        if self._plain is not None:
            self._plain.info(message)

    def detail(self, message: str) -> None:
        """One line shown under `-v`."""
        self._write(message)
        if self._plain is not None:
            self._plain.detail(message)
        elif self._voice is not None:
            self._voice.line(message)

    def warning(self, message: str, *, hint: str | None = None) -> None:
        """Something is not as asked, and the work goes on."""
        self._write(f"warning: {message}")
        if hint:
            self._write(f"hint: {hint}")
        if self._plain is not None:
            self._plain.warning(message, hint=hint)
        elif self._voice is not None:
            self._voice.warning(message, hint=hint)

    def command(self, argv: Sequence[str], *, cwd: Path | None = None) -> None:
        """A process is about to start."""
        line = f"$ {shlex.join(argv)}" + (f"  (in {cwd})" if cwd is not None else "")
        self._write(line)
        if self._plain is not None:
            self._plain.command(argv, cwd=cwd)
        elif self._voice is not None:
            self._voice.line(line)

    def stream(self, text: str) -> None:
        """Output of a running process."""
        self._write(text)
        if self._plain is not None:
            self._plain.stream(text)
        elif self._voice is not None:
            for line in text.splitlines():
                self._voice.line(line)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """A part of the work, with its seconds."""
        started = time.monotonic()
        self._write(f"{title} ...")
        how = "failed after"
        try:
            if self._plain is not None:
                with self._plain.step(title):
                    yield
            else:
                yield
            how = "done in"
        finally:
            self._write(f"{title}: {how} {format_seconds(time.monotonic() - started)}")

    @contextmanager
    def progress(self, title: str, total: int, unit: str = "B") -> Iterator[Progress]:
        """What takes its time; the file gets a line."""
        amount = format_bytes(total) if unit == "B" else f"{total} {unit}"
        self._write(f"{title}: {amount}" if total else title)
        if self._plain is not None:
            with self._plain.progress(title, total, unit) as meter:
                yield meter
        else:
            yield _Uncounted()

    def _write(self, text: str) -> None:
        with self._lock:
            if self._file is None:
                return
            try:
                self._file.write(text if text.endswith("\n") else f"{text}\n")
                self._file.flush()
            except OSError:
                # No disk space for the log is none for the build either, which says so itself.
                with suppress(OSError):
                    self._file.close()
                self._file = None


class _Uncounted:
    def advance(self, amount: int) -> None:
        """Drop the amount."""
