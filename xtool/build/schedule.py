"""Which cell of a matrix may start, how many compilers it may run, and which wheel stands for which cells.

A cell is one target with one Python. Nothing here builds, waits or writes: `xtool.build.matrix` asks and
tells. What comes out does not depend on which cell happens to be quicker.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from xtool.build.stated import Hints
from xtool.python.versions import PythonVersion
from xtool.wheel import stableabi
from xtool.wheel.wheelfile import WheelName


class State(Enum):
    """What has become of a cell."""

    WAITING = "waiting"
    RUNNING = "running"
    MADE = "made"
    """Its wheel is finished; whether it is delivered depends on a cell that is not."""
    BUILT = "built"
    SERVED = "served"
    """Another cell's wheel is for it as well."""
    FAILED = "failed"
    STOPPED = "stopped"
    NOT_RUN = "not run"


ENDED = frozenset({State.BUILT, State.SERVED, State.FAILED, State.STOPPED, State.NOT_RUN})


@dataclass(frozen=True, slots=True)
class Slot:
    """A cell's place in the matrix.

    Args:
        target: the target's name.
        python: the Python.
    """

    target: str
    python: PythonVersion


def share(jobs: int, *, cells: int, waiting: int) -> int:
    """How many compilers a cell may run at once.

    Cells run in waves of as many as there are jobs, with one compiler each. The last wave may be smaller:
    its cells divide what would be idle otherwise. `docs/decisions/0014-matrix.md` has figures.

    Args:
        jobs: how much may run at once in all.
        cells: how many cells there are to run, those included that have run.
        waiting: how many of them have not started; the one that starts now is among them.
    """
    last = cells % jobs or jobs
    if waiting > last:
        return 1
    return jobs // last + (last - waiting < jobs % last)


class Schedule:
    """The cells of a matrix and what has become of each.

    Args:
        slots: the cells, in the order that the user gave.
        hints: what the sources let expect.
    """

    def __init__(self, slots: Sequence[Slot], hints: Hints) -> None:
        self.slots = tuple(slots)
        self.states = [State.WAITING] * len(slots)
        self.served_by: dict[int, int] = {}
        """By cell, the one whose wheel it is served by."""
        self._names: dict[int, WheelName] = {}
        self._hints = hints
        self._started = 0

    def count(self, *states: State) -> int:
        """How many cells are in any of some states."""
        return sum(state in states for state in self.states)

    @property
    def ready(self) -> list[int]:
        """The cells that may start, in order.

        Where the sources hint at wheels that serve several cells, those wait for the one that makes it.
        """
        return [i for i, state in enumerate(self.states) if state is State.WAITING and not self._is_held(i)]

    def start(self, cell: int, jobs: int) -> int:
        """A cell begins; how many compilers it may run at once, of `jobs` that all cells have together."""
        waiting = len(self.ready)
        self._started += 1
        self.states[cell] = State.RUNNING
        return share(jobs, cells=self._started - 1 + waiting, waiting=waiting)

    def made(self, cell: int, name: WheelName) -> list[int]:
        """A cell has a finished wheel of this name; the cells whose wheels are to be delivered now."""
        self.states[cell] = State.MADE
        self._names[cell] = name
        return self._settle()

    def failed(self, cell: int, state: State = State.FAILED) -> list[int]:
        """A cell has failed, or was stopped; the cells whose wheels are to be delivered now."""
        self.states[cell] = state
        return self._settle()

    def serve(self, cell: int, by: int) -> None:
        """A cell is served by another one's wheel."""
        self.states[cell] = State.SERVED
        self.served_by[cell] = by

    def abandon(self) -> list[int]:
        """Start no further cell; the wheels that need not wait for one any more."""
        self.states = [State.NOT_RUN if state is State.WAITING else state for state in self.states]
        return self._settle()

    def tested_on(self, cell: int, name: WheelName, *, asked: Iterable[PythonVersion]) -> list[PythonVersion]:
        """The Pythons to test a cell's wheel on: its own, the oldest and the newest that it is for.

        Args:
            cell: the cell.
            name: the wheel's name.
            asked: the Pythons that the user asked for, or that there are.
        """
        self._names[cell] = name
        own = self.slots[cell].python
        since = stable_since(name)
        if since is None and not self._serves_all(cell):
            return [own]
        if since is not None and cell != self._winner(cell, since):
            # Another cell makes the wheel that is kept.
            return [own]
        fit = sorted(p for p in asked if not p.free_threaded and (since is None or p >= since))
        return list(dict.fromkeys([own, *fit[:1], *fit[-1:]]))

    def _is_held(self, cell: int) -> bool:
        if self._hints.pure and self.states[0] not in ENDED:
            return cell != 0
        if not self._hints.stable_abi or self.slots[cell].python.free_threaded:
            return False
        leader = self._leader(self.slots[cell].target)
        return (
            leader is not None
            and leader != cell
            and self.slots[cell].python > self.slots[leader].python
            and self.states[leader] not in ENDED
        )

    def _leader(self, target: str) -> int | None:
        """The cell of a target that is expected to make the wheel for the stable ABI."""
        since = self._hints.stable_since
        return self._oldest(i for i in self._of(target) if since is None or self.slots[i].python >= since)

    def _of(self, target: str) -> Iterator[int]:
        """The cells of a target that can use the stable ABI of builds with a GIL."""
        for i, slot in enumerate(self.slots):
            if slot.target == target and not slot.python.free_threaded:
                yield i

    def _oldest(self, cells: Iterable[int]) -> int | None:
        return min(cells, key=lambda i: self.slots[i].python, default=None)

    def _winner(self, cell: int, since: PythonVersion) -> int | None:
        """Whose wheel for the stable ABI is kept: that of the oldest Python that may yet make one.

        Args:
            cell: a cell that has made one.
            since: the oldest Python that its wheel is for.
        """
        open_states = (State.WAITING, State.RUNNING, State.MADE)
        return self._oldest(
            i
            for i in self._of(self.slots[cell].target)
            if self.slots[i].python >= since
            and (i == cell or self.states[i] in open_states)
            and (i not in self._names or stable_since(self._names[i]) is not None)
        )

    def _settle(self) -> list[int]:
        """Decide which finished wheels are delivered; what they serve is served from now on."""
        delivered = []
        made = [i for i, state in enumerate(self.states) if state is State.MADE]
        for cell in sorted(made, key=lambda i: self.slots[i].python):
            if self.states[cell] is not State.MADE:
                continue
            name = self._names[cell]
            since = stable_since(name)
            if since is not None and self._winner(cell, since) != cell:
                continue
            self.states[cell] = State.BUILT
            delivered.append(cell)
            for other in self._served(cell, since):
                self.serve(other, cell)
        return sorted(delivered)

    def _serves_all(self, cell: int) -> bool:
        """Whether a cell's wheel is pure Python, and the others have waited to know it."""
        return cell == 0 and self._hints.pure and self._names[cell].pure

    def _served(self, cell: int, since: PythonVersion | None) -> Iterator[int]:
        """The cells that a delivered wheel is for as well."""
        undecided = (State.WAITING, State.RUNNING, State.MADE, State.NOT_RUN)
        if since is None:
            if self._serves_all(cell):
                yield from (i for i, state in enumerate(self.states) if i != cell and state in undecided)
            return
        for i in self._of(self.slots[cell].target):
            # What a newer Python's own build comes to does not count: mostly it is not even tried.
            if self.slots[i].python > self.slots[cell].python and self.states[i] is not State.BUILT:
                yield i


def stable_since(name: WheelName) -> PythonVersion | None:
    """The oldest Python that a wheel for the stable ABI is for (PEP 425: `cp311-abi3`); None for another."""
    since = stableabi.oldest(name) if "abi3" in name.abis else None
    return PythonVersion(*since) if since else None
