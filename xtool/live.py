"""Lines at the foot of a terminal that are drawn again as things get on, below messages that scroll by."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TextIO

_INTERVAL = 0.2
"""Seconds between two drawings."""

Render = Callable[[int, int], Iterable[str]]
"""Gives the lines for a terminal of so many columns and rows."""


class Live:
    """Lines that are drawn again and again, until they are closed.

    Args:
        stream: the terminal.
        lock: held while something is written to it.
        render: gives the lines; they may be cut to fit.
    """

    def __init__(self, stream: TextIO, lock: threading.RLock, render: Render) -> None:
        self._stream = stream
        self._lock = lock
        self._render = render
        self._drawn: list[str] = []
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._keep_drawing, daemon=True)
        self._thread.start()

    def clear(self) -> None:
        """Take the lines away; what is written next stands where they began."""
        with self._lock:
            columns, _ = self._size()
            # A terminal that became narrower has broken the lines that were drawn before.
            rows = sum(max(1, -(-len(line) // columns)) for line in self._drawn)
            self._drawn = []
            if rows:
                self._stream.write(f"\x1b[{rows}F\x1b[J")
                self._stream.flush()

    def refresh(self) -> None:
        """Draw the lines as they are now."""
        with self._lock:
            if self._closed.is_set():
                return
            self.clear()
            columns, rows = self._size()
            # A line as wide as the terminal makes some of them begin another one.
            lines = [line[: columns - 1] for line in self._render(columns, rows)][: max(1, rows - 1)]
            self._drawn = lines
            self._stream.write("".join(f"{line}\n" for line in lines))
            self._stream.flush()

    def close(self) -> None:
        """Take the lines away for good."""
        self._closed.set()
        self._thread.join()
        with suppress(OSError, ValueError):
            self.clear()

    def _keep_drawing(self) -> None:
        # A terminal that has gone away needs no more drawing.
        with suppress(OSError, ValueError):
            while not self._closed.wait(_INTERVAL):
                self.refresh()

    def _size(self) -> tuple[int, int]:
        with suppress(OSError, ValueError):
            columns, rows = os.get_terminal_size(self._stream.fileno())
            if columns > 1 and rows > 1:
                return columns, rows
        return 80, 24
