"""Which cell starts when, how many compilers it may run, and whose wheel is for whom."""

from __future__ import annotations

import itertools
import random

import pytest

from xtool.build.schedule import ENDED, Schedule, Slot, State, share
from xtool.build.stated import Hints
from xtool.python.versions import PythonVersion, parse_python
from xtool.wheel.wheelfile import WheelName

ABI3 = Hints(stable_abi=True)
PURE = Hints(pure=True)


def schedule(*cells: str, hints: Hints | None = None) -> Schedule:
    """Cells written as `ppc64le-3.13`."""
    slots = [Slot(target, parse_python(python)) for target, python in (cell.split("-") for cell in cells)]
    return Schedule(slots, hints or Hints())


def name(tag: str, platform: str = "manylinux_2_17_ppc64le") -> WheelName:
    return WheelName.parse(f"x-1-{tag}-{platform}.whl")


def states(board: Schedule) -> list[str]:
    return [state.value for state in board.states]


@pytest.mark.parametrize(
    ("jobs", "cells", "shares"),
    [
        (2, 1, [2]),
        (2, 2, [1, 1]),
        (2, 3, [1, 1, 2]),
        (8, 2, [4, 4]),
        (8, 3, [3, 3, 2]),
        (4, 6, [1, 1, 1, 1, 2, 2]),
        (4, 7, [1, 1, 1, 1, 2, 1, 1]),
        (4, 8, [1] * 8),
        (1, 3, [1, 1, 1]),
    ],
)
def test_the_last_cells_divide_what_would_be_idle(jobs: int, cells: int, shares: list[int]) -> None:
    board = schedule(*(f"t{i}-3.13" for i in range(cells)))
    assert [board.start(i, jobs) for i in range(cells)] == shares
    assert [share(jobs, cells=cells, waiting=cells - i) for i in range(cells)] == shares
    # However many cells run at once, each wave has work for all processors and never for twice as many.
    for first in range(0, cells, jobs):
        wave = sum(shares[first : first + jobs])
        assert jobs <= wave < 2 * jobs


def test_without_hints_everything_may_start_at_once() -> None:
    board = schedule("a-3.11", "a-3.13", "b-3.13")
    assert board.ready == [0, 1, 2]
    board.start(0, 2)
    assert board.ready == [1, 2]
    assert board.made(0, name("cp311-cp311")) == [0]
    assert states(board) == ["built", "waiting", "waiting"]


def test_a_hint_at_the_stable_abi_lets_the_oldest_python_of_each_target_go_first() -> None:
    board = schedule("a-3.13", "a-3.11", "a-3.13t", "b-3.11", "b-3.13", hints=ABI3)
    # Builds without a GIL cannot use such a wheel.
    assert board.ready == [1, 2, 3]
    for cell in (1, 2, 3):
        board.start(cell, 8)
    assert board.made(1, name("cp311-abi3")) == [1]
    assert states(board) == ["served", "built", "running", "running", "waiting"]
    assert board.served_by == {0: 1}
    # The hint was wrong for b, or for its oldest Python.
    assert board.made(3, name("cp311-cp311")) == [3]
    assert board.ready == [4]


def test_the_oldest_python_that_is_written_down_goes_first() -> None:
    hints = Hints(stable_abi=True, stable_since=PythonVersion(3, 12))
    board = schedule("a-3.11", "a-3.12", "a-3.13", hints=hints)
    assert board.ready == [0, 1]


def test_a_leader_that_fails_lets_the_others_try() -> None:
    board = schedule("a-3.11", "a-3.13", "a-3.14", hints=ABI3)
    board.start(0, 2)
    assert board.failed(0) == []
    assert board.ready == [1, 2]
    board.start(1, 2)
    board.start(2, 2)
    # The wheel of 3.14 waits for that of 3.13, which may come to the same.
    assert board.made(2, name("cp311-abi3")) == []
    assert board.made(1, name("cp311-abi3")) == [1]
    assert states(board) == ["failed", "built", "served"]


def test_a_wheel_that_waits_is_delivered_when_the_older_python_fails() -> None:
    board = schedule("a-3.13", "a-3.11")
    board.start(0, 2)
    board.start(1, 2)
    assert board.made(0, name("cp311-abi3")) == []
    assert states(board) == ["made", "running"]
    assert board.failed(1) == [0]
    assert states(board) == ["built", "failed"]


def test_a_wheel_for_the_stable_abi_serves_nothing_older_than_its_tag() -> None:
    board = schedule("a-3.11", "a-3.12", "a-3.13", "b-3.13")
    for cell in range(4):
        board.start(cell, 4)
    assert board.made(1, name("cp312-abi3")) == [1]
    assert states(board) == ["running", "built", "served", "running"]


def test_a_pure_project_is_tried_once_and_its_wheel_is_for_all() -> None:
    board = schedule("a-3.13", "a-3.13t", "b-3.13", hints=PURE)
    assert board.ready == [0]
    board.start(0, 4)
    assert board.made(0, name("py3-none", "any")) == [0]
    assert states(board) == ["built", "served", "served"]


def test_a_project_that_only_looks_pure() -> None:
    board = schedule("a-3.13", "b-3.13", hints=PURE)
    board.start(0, 4)
    assert board.made(0, name("cp313-cp313")) == [0]
    assert board.ready == [1]


def test_a_pure_wheel_that_comes_late_does_not_hide_a_failure() -> None:
    board = schedule("a-3.11", "a-3.13", "b-3.13", hints=PURE)
    board.start(0, 4)
    board.failed(0)
    assert board.ready == [1, 2]
    board.start(1, 4)
    board.start(2, 4)
    assert board.made(2, name("py3-none", "any")) == [2]
    assert states(board) == ["failed", "running", "built"]


def test_what_is_abandoned_is_not_run() -> None:
    board = schedule("a-3.13", "a-3.11", "b-3.13")
    board.start(0, 2)
    board.start(1, 2)
    assert board.made(0, name("cp311-abi3")) == []
    assert board.abandon() == []
    assert board.failed(1, State.STOPPED) == [0]
    assert states(board) == ["built", "stopped", "not run"]


def python_versions(*texts: str) -> list[PythonVersion]:
    return [parse_python(text) for text in texts]


def test_which_pythons_a_wheel_is_tested_on() -> None:
    asked = python_versions("3.13", "3.14t", "3.10", "3.12", "3.14")
    board = schedule("a-3.13", "a-3.12", "a-3.10", "a-3.14t", "a-3.14")
    for cell in range(5):
        board.start(cell, 8)
    assert board.tested_on(0, name("cp313-cp313"), asked=asked) == python_versions("3.13")
    assert board.tested_on(1, name("cp312-abi3"), asked=asked) == python_versions("3.12", "3.14")
    # Another cell's wheel will take its place.
    assert board.tested_on(4, name("cp312-abi3"), asked=asked) == python_versions("3.14")
    assert board.tested_on(3, name("cp314-cp314t"), asked=asked) == python_versions("3.14t")


def test_a_wheel_built_alone_is_tested_on_the_oldest_and_the_newest_there_are() -> None:
    board = schedule("a-3.13")
    board.start(0, 2)
    asked = python_versions("3.9", "3.11", "3.13", "3.14")
    assert board.tested_on(0, name("cp311-abi3"), asked=asked) == python_versions("3.13", "3.11", "3.14")


def play(order: random.Random, jobs: int) -> tuple[list[str], dict[int, int]]:
    """One run of a matrix whose cells end in any order; what comes of it."""
    outcomes = {
        "a-3.10": name("cp310-cp310"),
        "a-3.13": name("cp311-abi3"),
        "a-3.11": None,
        "a-3.12": name("cp311-abi3"),
        "a-3.14": name("cp311-abi3"),
        "a-3.14t": name("cp314-cp314t"),
        "b-3.13": name("cp311-abi3"),
        "b-3.14": name("cp311-abi3"),
    }
    board = schedule(*outcomes)
    made = list(outcomes.values())
    running: list[int] = []
    for _ in itertools.count():
        while len(running) < jobs and board.ready:
            running.append(board.ready[0])
            board.start(running[-1], jobs)
        if not running:
            break
        cell = running.pop(order.randrange(len(running)))
        if board.states[cell] is State.SERVED:
            continue
        wheel = made[cell]
        if wheel is None:
            board.failed(cell)
        else:
            board.made(cell, wheel)
    assert all(state in ENDED for state in board.states)
    return states(board), board.served_by


def test_what_comes_out_does_not_depend_on_who_is_quicker_nor_on_the_jobs() -> None:
    first = play(random.Random(0), 1)
    assert first == (
        ["built", "served", "failed", "built", "served", "built", "built", "served"],
        {1: 3, 4: 3, 7: 6},
    )
    for seed in range(300):
        assert play(random.Random(seed), 1 + seed % 5) == first
