"""Wheels timed side by side: one process for each, rounds in turns, on one processor.

A round is short, and each variant has one before any has its next: whatever else the machine does hits all
of them alike. What counts is the ratio of two neighbours, never a time. Memory lies elsewhere in each
process, which alone makes programs a little faster or slower; so there are several sessions with new
processes, and the uncertainty is worked out over sessions, not over rounds.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WARM_UP = 3
"""Rounds of each process that do not count."""

RESAMPLES = 4000


class WorkloadFailedError(Exception):
    """A workload ended, or came to something else than before."""


@dataclass(frozen=True)
class Variant:
    """A wheel to time.

    Args:
        name: what it is called.
        site: the folder that it is unpacked in.
    """

    name: str
    site: Path


class Worker:
    """A process that does one round of a workload whenever it is told to.

    Args:
        python: the interpreter.
        script: an evaluation script; see `workloads/common.py`.
        variant: the wheel that it uses.
        processor: the CPU it may run on.
    """

    def __init__(self, python: Path, script: Path, variant: Variant, processor: int) -> None:
        self.variant = variant
        self._process = subprocess.Popen(
            [str(python), str(script), "serve"],
            env=quiet_environment(variant.site),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        os.sched_setaffinity(self._process.pid, {processor})

    def round(self) -> tuple[float, str]:
        """One round.

        Returns:
            Seconds of processor time, and a checksum of the results.

        Raises:
            WorkloadFailedError: it has ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
            seconds, checksum = self._process.stdout.readline().split()
        except (OSError, ValueError) as error:
            raise WorkloadFailedError(f"{self.variant.name}: the workload ended: {error}") from error
        return float(seconds), checksum

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def quiet_environment(site: Path) -> dict[str, str]:
    """The environment of a workload: the same for all, with nothing of the user's."""
    return {
        "PATH": os.defpath,
        "PYTHONPATH": str(site),
        "PYTHONHASHSEED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
    }


def session(
    python: Path, script: Path, variants: Sequence[Variant], rounds: int, processor: int
) -> list[dict[str, float]]:
    """Start a process for each variant, and let them take turns.

    Returns:
        For each round, the seconds of each variant.

    Raises:
        WorkloadFailedError: two variants did not come to the same.
    """
    workers = [Worker(python, script, variant, processor) for variant in variants]
    outcomes: dict[str, str] = {}
    timed = []
    try:
        for number in range(WARM_UP + rounds):
            # Nobody is always the one that comes after the slowest.
            turn = number % len(workers)
            seconds = {}
            for worker in workers[turn:] + workers[:turn]:
                seconds[worker.variant.name], outcomes[worker.variant.name] = worker.round()
            if number >= WARM_UP:
                timed.append(seconds)
            if len(set(outcomes.values())) != 1:
                raise WorkloadFailedError(f"{script.name}: not all came to the same: {outcomes}")
    finally:
        for worker in workers:
            worker.close()
    return timed


def sessions(
    python: Path, script: Path, variants: Sequence[Variant], rounds: int, count: int
) -> list[list[dict[str, float]]]:
    """Several sessions, on the last processor that this process may use."""
    processor = max(os.sched_getaffinity(0))
    return [session(python, script, variants, rounds, processor) for _ in range(count)]


Sessions = Sequence[Sequence[Mapping[str, float]]]


def speed_up(timed: Sessions, plain: str, other: str) -> float:
    """How much faster the other is, as a share of 1: the median ratio of neighbours, less 1."""
    return statistics.median(one[plain] / one[other] for rounds in timed for one in rounds) - 1


def summary(timed: Sessions, plain: str, trained: str, compared: str) -> dict[str, Any]:
    """What a profile is worth, and how much of that another profile is worth.

    Args:
        timed: seconds, by session and round.
        plain: the variant without a profile.
        trained: the variant whose profile is the measure.
        compared: the variant with the other profile.

    Returns:
        `trained` and `compared`: speed-ups, each with the bounds of 95 % of the resampled ones; `share`: the
        second as a share of the first, or None where the first cannot be told from nothing.
    """
    draw = random.Random(0)
    samples: dict[str, list[float]] = {trained: [], compared: [], "share": []}
    for _ in range(RESAMPLES if len(timed) > 1 else 0):
        again = [timed[draw.randrange(len(timed))] for _ in timed]
        one, two = speed_up(again, plain, trained), speed_up(again, plain, compared)
        samples[trained].append(one)
        samples[compared].append(two)
        samples["share"].append(two / one if one else 0.0)
    first, second = speed_up(timed, plain, trained), speed_up(timed, plain, compared)
    told = first > 0 and (not samples[trained] or bounds(samples[trained])[0] > 0)
    return {
        "rounds": sum(map(len, timed)),
        "sessions": len(timed),
        "trained": {"speed_up": first, "bounds": bounds(samples[trained])},
        "compared": {"speed_up": second, "bounds": bounds(samples[compared])},
        "share": {"share": second / first, "bounds": bounds(samples["share"])} if told else None,
    }


def bounds(values: Sequence[float]) -> list[float]:
    """Between which 95 % of them lie; empty for none."""
    if len(values) < 2:
        return []
    cuts = statistics.quantiles(values, n=40)
    return [cuts[0], cuts[-1]]
