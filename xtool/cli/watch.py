"""What a user sees of a matrix of several wheels: while it is built, and as a table in the end."""

from __future__ import annotations

import re
import textwrap
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from xtool.build.schedule import State
from xtool.text import format_bytes, format_seconds, table

if TYPE_CHECKING:
    from xtool.build.pipeline import BuiltWheel, Cell
    from xtool.build.report import BuildReport, Outcome
    from xtool.output import Console

_WHY = 60
"""Letters that the reason of a failure has in a table."""

_STEPS = {
    "": "starting",
    "requirements": "getting build requirements",
    "instrument": "compiling with counters",
    "train": "training",
    "compile": "compiling",
    "judge": "checking the wheel",
    "smoke": "testing",
}

_WHILE = {
    "setup": "setting up",
    "requirements": "getting build requirements",
    "instrument": "building with counters",
    "train": "training",
    "compile": "building",
    "judge": "checking the wheel",
    "smoke": "testing",
    "deliver": "writing the wheel",
}


class MatrixView:
    """Follows a matrix: lines at the foot of a terminal, a line at start and end of each wheel elsewhere.

    Args:
        console: where it is shown.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stack = ExitStack()
        self._lock = threading.Lock()
        self._live = False
        self._what = ""
        self._total = 0
        self._started = 0.0
        self._running: dict[str, tuple[Cell, float, str]] = {}
        self._done: dict[str, State] = {}

    def begin(self, what: str, cells: Sequence[Cell], jobs: int) -> None:
        """Say what will be built, and begin to draw where there is a terminal."""
        self._what, self._total, self._started = what, len(cells), time.monotonic()
        targets = ", ".join(dict.fromkeys(cell.target for cell in cells))
        versions = ", ".join(dict.fromkeys(cell.version for cell in cells))
        count = f"{len(cells)} in all, {min(jobs, len(cells))} at once"
        self._console.info(f"building {what} for {targets}, Python {versions}: {count}")
        self._live = self._stack.enter_context(self._console.live(self._render))

    def started(self, cell: Cell) -> None:
        """A cell begins."""
        with self._lock:
            self._running[cell.label] = (cell, time.monotonic(), "")
        if not self._live:
            self._console.info(f"building {self._what} for {cell.label} ...")

    def step(self, cell: Cell, step: str) -> None:
        """A cell comes to a step."""
        with self._lock:
            if cell.label in self._running:
                self._running[cell.label] = (cell, self._running[cell.label][1], step)

    def warning(self, cell: Cell, message: str, *, hint: str | None = None) -> None:
        """Something is not as asked in a cell."""
        self._console.warning(f"{cell.label}: {message}", hint=hint)

    def line(self, cell: Cell, text: str) -> None:
        """A command of a cell, or a line that it printed: shown under `-v`."""
        if not self._console.folds:
            self._console.detail(f"[{cell.target} {cell.version}] {text}")

    def ended(self, cell: Cell, outcome: Outcome) -> None:
        """A cell is done: a line, under which GitHub's log has all of it where it failed."""
        with self._lock:
            self._running.pop(cell.label, None)
            self._done[cell.label] = outcome.state
        told = _told(outcome)
        whole = outcome.state is State.FAILED or self._console.verbosity >= 1
        if not (whole and self._console.folds and self._console.fold(told, _text(outcome))):
            self._console.info(told)

    def end(self) -> None:
        """Nothing runs any more."""
        self._stack.close()

    def _render(self, columns: int, rows: int) -> Iterator[str]:
        """One line in all, and one for each cell that runs."""
        with self._lock:
            running, done = list(self._running.values()), list(self._done.values())
        now = time.monotonic()
        passed, failed = (sum(s in some for s in done) for some in (_GOOD, {State.FAILED}))
        counts = {
            "done": passed,
            "failed": failed,
            "running": len(running),
            "waiting": self._total - len(done) - len(running),
        }
        words = [f"{count} {word}" for word, count in counts.items() if count]
        yield f"{', '.join(words)} of {self._total}, {format_seconds(now - self._started)}"
        room = rows - 3
        width = max((len(cell.target) for cell, _, _ in running), default=0)
        for cell, since, step in running[:room]:
            name = f"{cell.target:{width}}  {cell.version:5}"
            text = f"  {name}  {_STEPS.get(step, step)}"
            seconds = format_seconds(now - since)
            # The time is worth more than the last letters of the step.
            yield f"{text[: columns - len(seconds) - 3]}  {seconds}"
        if len(running) > room:
            yield f"  and {len(running) - room} more"


_GOOD = {State.BUILT, State.SERVED, State.MADE}


def _told(outcome: Outcome) -> str:
    if outcome.state is State.BUILT and outcome.wheel is not None:
        return describe(outcome.wheel)
    if outcome.state is State.MADE and outcome.wheel is not None:
        return f"made {outcome.wheel.path.name}; an older Python's may take its place"
    if outcome.state is State.SERVED and outcome.wheel is not None:
        return f"{outcome.label}: {outcome.wheel.path.name} is for it as well"
    if outcome.error is None or outcome.state is not State.FAILED:
        return f"{outcome.label}: {outcome.state.value}"
    seconds = f" after {format_seconds(outcome.seconds)}" if outcome.seconds else ""
    return f"{outcome.label}: failed{seconds}, {_why(outcome)}"


def _why(outcome: Outcome) -> str:
    """Why a cell has failed, in a line that fits into a table; the error itself is told in full."""
    message = outcome.error.message if outcome.error else ""
    # What a smoke test came to matters more than the long name of the wheel.
    message = re.sub(r"^the smoke test of \S+ failed: ", "", message)
    return f"{_WHILE.get(outcome.step, outcome.step)}: {textwrap.shorten(message, _WHY, placeholder=' ...')}"


def _text(outcome: Outcome) -> str:
    """The whole log of a cell."""
    try:
        return outcome.log.read_text(encoding="utf-8", errors="replace") if outcome.log else ""
    except OSError:
        return ""


def describe(wheel: BuiltWheel) -> str:
    """One line about a finished wheel."""
    smoke = str(wheel.smoke.get("status", "not run"))
    if len(wheel.tested) > 1:
        smoke += f" on Python {' and '.join(str(test['python']) for test in wheel.tested)}"
    size = format_bytes(wheel.path.stat().st_size)
    seconds = format_seconds(sum(wheel.timings.values()))
    return f"built {wheel.path.name} ({size}, smoke test {smoke}, {seconds})"


def summary(report: BuildReport) -> str:
    """The table of a matrix, one row a cell, and what it comes to."""
    header = ["TARGET", "PYTHON", "TAG", "GLIBC", "SMOKE TEST", "TIME", "SIZE"]
    counts = [f"{len(report.wheels)} built"]
    served = sum(cell.state is State.SERVED for cell in report.cells)
    counts += [f"{served} served by another's wheel"] if served else []
    counts += [f"{len(report.failures)} failed"] if report.failures else []
    counts += [f"{len(report.left_out)} not run"] if report.left_out else []
    lines = [table([_row(cell) for cell in report.cells], header)]
    lines.append(f"{', '.join(counts)} of {len(report.cells)}, {format_seconds(report.seconds)}")
    folders = sorted({str(cell.log.parent) for cell in report.cells if cell.log})
    return "\n".join([*lines, *(f"logs: {folder}" for folder in folders)])


def _row(cell: Outcome) -> list[str]:
    row = [cell.target, cell.python]
    seconds = format_seconds(cell.seconds) if cell.seconds else ""
    wheel = cell.wheel
    if wheel is None:
        why = cell.state.value
        if cell.error is not None and cell.state is State.FAILED:
            why = _why(cell)
        word = "failed" if cell.state is State.FAILED else "-"
        return [*row, word, "-", word if cell.step == "smoke" else "-", seconds or "-", why]
    tag = "-".join(wheel.path.stem.split("-")[-3:-1])
    platform = wheel.platform_tag.split(".")[-1].removesuffix(f"_{wheel.target}")
    row += [f"{tag}-{platform}", wheel.glibc_required or "-"]
    tests = {str(test["python"]): str(test["status"]) for test in wheel.tested}
    if cell.state is State.SERVED:
        smoke = tests.get(cell.python, "-") if cell.target == wheel.target else "-"
        other = "" if cell.target == wheel.target else f"{wheel.target}, "
        return [*row, smoke, seconds or "-", f"as for {other}Python {wheel.python}"]
    size = format_bytes(wheel.path.stat().st_size)
    return [*row, str(wheel.smoke.get("status", "-")), seconds, size]
