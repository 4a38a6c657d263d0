"""What is said of the cells of a matrix: while they run, and in the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from xtool.build.pipeline import BuiltWheel, Cell
from xtool.build.schedule import State
from xtool.errors import XtoolError


@dataclass(frozen=True, slots=True)
class Outcome:
    """What has become of one cell.

    Args:
        target: target name.
        python: `X.Y`.
        state: `BUILT`, `SERVED`, `FAILED`, `STOPPED` or `NOT_RUN`.
        wheel: its wheel, or the one that it is served by.
        error: why there is none.
        step: the step that it was in: `setup`, `requirements`, `compile`, `judge`, `smoke`, `deliver`.
        log: its log, where there is one.
        seconds: how long it ran.
    """

    target: str
    python: str
    state: State
    wheel: BuiltWheel | None = None
    error: XtoolError | None = None
    step: str = ""
    log: Path | None = None
    seconds: float = 0.0

    @property
    def label(self) -> str:
        """`ppc64le, Python 3.13`."""
        return f"{self.target}, Python {self.python}"


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What came of a matrix.

    Args:
        cells: what has become of each cell, in the order that the user gave.
        seconds: how long all of it took, set-up included.
    """

    cells: tuple[Outcome, ...]
    seconds: float = 0.0

    @property
    def wheels(self) -> tuple[BuiltWheel, ...]:
        """The finished wheels."""
        return tuple(cell.wheel for cell in self.cells if cell.state is State.BUILT and cell.wheel)

    @property
    def failures(self) -> tuple[Outcome, ...]:
        """The cells that have failed."""
        return tuple(cell for cell in self.cells if cell.state is State.FAILED)

    @property
    def left_out(self) -> tuple[Outcome, ...]:
        """The cells that nothing is known of, because an earlier failure ended everything."""
        return tuple(cell for cell in self.cells if cell.state in (State.STOPPED, State.NOT_RUN))


class Watcher(Protocol):
    """Who is told how a matrix of several cells gets on.

    Steps, warnings and lines come from the cells' threads, the rest from the caller's.
    """

    def begin(self, what: str, cells: Sequence[Cell], jobs: int) -> None:
        """Cells are about to run, so many at once."""

    def started(self, cell: Cell) -> None:
        """A cell begins."""

    def step(self, cell: Cell, step: str) -> None:
        """A cell comes to a step."""

    def warning(self, cell: Cell, message: str, *, hint: str | None = None) -> None:
        """Something is not as asked in a cell."""

    def line(self, cell: Cell, text: str) -> None:
        """A command of a cell, or a line that it printed."""

    def ended(self, cell: Cell, outcome: Outcome) -> None:
        """What has become of a cell that has begun."""

    def end(self) -> None:
        """Nothing runs any more."""


class Quiet:
    """A `Watcher` that looks away."""

    def begin(self, what: str, cells: Sequence[Cell], jobs: int) -> None:
        """Look away."""

    def started(self, cell: Cell) -> None:
        """Look away."""

    def step(self, cell: Cell, step: str) -> None:
        """Look away."""

    def warning(self, cell: Cell, message: str, *, hint: str | None = None) -> None:
        """Look away."""

    def line(self, cell: Cell, text: str) -> None:
        """Look away."""

    def ended(self, cell: Cell, outcome: Outcome) -> None:
        """Look away."""

    def end(self) -> None:
        """Look away."""
