"""Two profiles of one project, held against each other: counter by counter, or function by function."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from xtool.pgo.notes import ARCS, COUNTER_NAMES
from xtool.pgo.profile import Function, Profile

Key = tuple[str, str, str]
"""What tells a function from others on every machine: its object, its file, its name."""

SHOWN = 12

_SEVERAL = re.compile(r"^(/xtool/\w+)-\d+/")
"""A folder of several of a kind: a Python may have its headers in two."""


def functions(profile: Profile) -> dict[Key, Function]:
    """The functions that were counted in a profile, by what they are called on every machine.

    What was counted in another object is left out there.
    """
    return {
        (one.key, _SEVERAL.sub(r"\1/", function.file), function.name): function
        for one in profile.objects
        for function in one.functions
        if not function.lent
    }


@dataclass
class Same:
    """How two profiles of one target differ, counter by counter.

    Args:
        functions: how many functions either has.
        counters: by kind of counter, how many there are.
        differing: by kind of counter, how many of them differ.
        graphs: functions that only one has, or whose graph is another.
        where: the functions with differing counters: name, file, kinds, how many, the largest difference.
    """

    functions: int = 0
    counters: Counter[str] = field(default_factory=Counter)
    differing: Counter[str] = field(default_factory=Counter)
    graphs: int = 0
    where: list[dict[str, Any]] = field(default_factory=list)

    @property
    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            name: dict(value) if isinstance(value, Counter) else value for name, value in vars(self).items()
        }


def compare_counters(one: Profile, two: Profile) -> Same:
    """Hold each counter of a profile against the other's, where both are of one target and source."""
    left, right = functions(one), functions(two)
    found = Same(functions=len(left.keys() | right.keys()))
    for key in sorted(left.keys() | right.keys()):
        first, second = left.get(key), right.get(key)
        if first is None or second is None or first.cfg_checksum != second.cfg_checksum:
            found.graphs += 1
            continue
        differing, largest = _compare(first, second, found)
        if differing:
            found.where.append(
                {
                    "name": first.name,
                    "file": first.file,
                    "counters": dict(differing),
                    "entered": [_entered(first), _entered(second)],
                    "largest": largest,
                }
            )
    return found


def _compare(first: Function, second: Function, found: Same) -> tuple[Counter[str], int]:
    """Count two functions' counters; by kind, how many differ, and the largest difference of an arc's."""
    differing: Counter[str] = Counter()
    largest = 0
    for kind in sorted(first.counters.keys() | second.counters.keys()):
        # A kind that was never counted is not written: nothing but zeros.
        a, b = first.counters.get(kind, ()), second.counters.get(kind, ())
        size = max(len(a), len(b))
        pairs = list(zip((*a, *[0] * (size - len(a))), (*b, *[0] * (size - len(b))), strict=True))
        apart = [abs(x - y) for x, y in pairs if x != y]
        name = COUNTER_NAMES[kind]
        found.counters[name] += size
        if apart:
            found.differing[name] += len(apart)
            differing[name] += len(apart)
        if kind == ARCS:
            largest = max(apart, default=0)
    return differing, largest


@dataclass
class Across:
    """How the profile of a target differs from that of another, function by function.

    Args:
        functions: by what came of the comparison, how many functions of either; see `WORDS`.
        weight: the same, as shares of all blocks that were run in the first profile.
        arcs: how many arc counters functions with the same graph have, and how many of them differ.
        overlap: what both profiles' shares of run blocks have in common, function by function, 0 to 1.
        arc_overlap: the same for the arcs of functions with the same graph.
        where: the functions that are not equal, the most run first.
    """

    functions: Counter[str] = field(default_factory=Counter)
    weight: dict[str, float] = field(default_factory=dict)
    arcs: list[int] = field(default_factory=lambda: [0, 0])
    overlap: float = 0.0
    arc_overlap: float = 0.0
    where: list[dict[str, Any]] = field(default_factory=list)

    @property
    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            name: dict(value) if isinstance(value, Counter) else value for name, value in vars(self).items()
        }


WORDS = {
    "equal": "same graph, all counters equal",
    "moved": "same graph, same counts in other places",
    "counts": "same graph, other counts",
    "entries": "other graph, called as often",
    "calls": "other graph, called more or less often",
    "first": "run on x86_64 only",
    "second": "run on the target only",
    "neither": "run on neither",
}
"""What may come of comparing one function across targets."""


def compare_targets(one: Profile, two: Profile) -> Across:
    """Hold the functions of a profile against those of another target's."""
    left, right = _by_place(one), _by_place(two)
    found = Across()
    weights = {side: sum(map(_weight, each.values())) or 1 for side, each in ((0, left), (1, right))}
    weight: Counter[str] = Counter()
    common_arcs: list[tuple[int, int]] = []
    for key in sorted(left.keys() | right.keys()):
        first, second = left.get(key), right.get(key)
        verdict = _verdict(first, second, found, common_arcs)
        found.functions[verdict] += 1
        weight[verdict] += _weight(first)
        shares = _weight(first) / weights[0], _weight(second) / weights[1]
        found.overlap += min(shares)
        if verdict not in ("equal", "neither"):
            name = (first or second).name  # type: ignore[union-attr]
            entered = [_entered(first), _entered(second)]
            row = {"name": name, "file": key[1], "verdict": verdict, "entered": entered, "shares": shares}
            found.where.append(row)
    found.weight = {name: value / weights[0] for name, value in weight.items()}
    found.arc_overlap = _overlap(common_arcs)
    found.where.sort(key=lambda row: -max(row["shares"]))
    del found.where[SHOWN:]
    return found


def _by_place(profile: Profile) -> dict[Key, Function]:
    """Functions by object, file and name, or by their line where the target is part of their name.

    In C++ `size_t` is, which is another type on a machine with other words. Of several in one line, such as
    instances of a template, none can be told from the others then.
    """
    named = functions(profile)
    lines: dict[Key, list[Key]] = defaultdict(list)
    for key, function in named.items():
        if function.name.startswith("_Z"):
            lines[key[0], key[1], f"line {function.line}"].append(key)
    by_line = {keys[0]: line for line, keys in lines.items() if len(keys) == 1}
    return {by_line.get(key, key): function for key, function in named.items()}


def _verdict(
    first: Function | None, second: Function | None, found: Across, common: list[tuple[int, int]]
) -> str:
    if not _weight(first) and not _weight(second):
        return "neither"
    if not _weight(second) or second is None:
        return "first"
    if not _weight(first) or first is None:
        return "second"
    a, b = first.counters.get(ARCS, ()), second.counters.get(ARCS, ())
    if first.cfg_checksum == second.cfg_checksum and len(a) == len(b):
        pairs = list(zip(a, b, strict=True))
        found.arcs[0] += len(pairs)
        found.arcs[1] += sum(x != y for x, y in pairs)
        common += pairs
        if a == b:
            return "equal"
        # The two ways of a branch exchanged, or another choice of the arcs that are counted.
        return "moved" if sorted(a) == sorted(b) else "counts"
    return "entries" if _entered(first) == _entered(second) else "calls"


def _overlap(pairs: Iterable[tuple[int, int]]) -> float:
    pairs = list(pairs)
    totals = [sum(side) or 1 for side in zip(*pairs, strict=True)] or [1, 1]
    return sum(min(a / totals[0], b / totals[1]) for a, b in pairs)


def _weight(function: Function | None) -> int:
    return function.coverage.weight if function and function.coverage else 0


def _entered(function: Function | None) -> int | None:
    return function.coverage.entered if function and function.coverage else None


def total(counts: Mapping[str, int]) -> int:
    """Of all kinds."""
    return sum(counts.values())
