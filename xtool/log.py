"""What library code may say while it works: a small protocol, implemented by `xtool.output`.

Library code never prints. It gets a `Log` and tells it what happens; the command line decides what of that
is shown, where (always stderr) and how.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol


class Progress(Protocol):
    """A running total of bytes (or of other units), shown as one bar."""

    def advance(self, amount: int) -> None:
        """Add `amount` units to what is done; may be negative when a download restarts. Thread-safe."""


class Log(Protocol):
    """Receiver of everything that is not a result."""

    def info(self, message: str) -> None:
        """One line a user wants to see: a thing was made."""

    def detail(self, message: str) -> None:
        """One line shown under `-v`."""

    def warning(self, message: str, *, hint: str | None = None) -> None:
        """Something is not as asked, and the work goes on."""

    def command(self, argv: Sequence[str], *, cwd: Path | None = None) -> None:
        """A process is about to start; shown shell-quoted under `-v`."""

    def stream(self, text: str) -> None:
        """Output of a running process, shown as it comes under `-v`."""

    def step(self, title: str) -> AbstractContextManager[None]:
        """A part of the work: start and end line with seconds; a fold under GitHub Actions."""

    def progress(self, title: str, total: int, unit: str = "B") -> AbstractContextManager[Progress]:
        """One overall bar over `total` units."""


class SilentLog:
    """A `Log` that says nothing; for tests and for callers who want only results."""

    def info(self, message: str) -> None:
        """Drop the line."""

    def detail(self, message: str) -> None:
        """Drop the line."""

    def warning(self, message: str, *, hint: str | None = None) -> None:
        """Drop the warning."""

    def command(self, argv: Sequence[str], *, cwd: Path | None = None) -> None:
        """Drop the command."""

    def stream(self, text: str) -> None:
        """Drop the output."""

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Say nothing."""
        del title
        yield

    @contextmanager
    def progress(self, title: str, total: int, unit: str = "B") -> Iterator[Progress]:
        """Count nothing."""
        del title, total, unit
        yield _NoProgress()


class _NoProgress:
    def advance(self, amount: int) -> None:
        """Drop the amount."""
