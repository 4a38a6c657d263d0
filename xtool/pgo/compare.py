"""Two profiles side by side, counter by counter.

Objects are matched by their place in the project, functions by their assembler name, which an object has but
once. Where a function has another graph (`#ifdef`, word size, another source), its counters count other
things and are not compared. Lists of values (`topn`, `indirect_call`) are one counter each, and callees go by
numbers that are of no machine.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import Any, Literal

from xtool.pgo.names import shown
from xtool.pgo.notes import COUNTER_NAMES, INDIRECT, TOPN, lists
from xtool.pgo.profile import Function, ObjectProfile, Profile

Reason = Literal["counters", "graph", "only-a", "only-b"]
"""How a function differs: in what was counted; in its blocks and arcs; one of the two does not have it."""


@dataclass(frozen=True, slots=True)
class KindCounts:
    """How many counters of a kind are the same.

    Args:
        kind: `arcs`, `topn`, `indirect_call`, `time_profiler`, ...
        equal: counters that have the same value in both; those that are 0 in both included.
        zero: how many of these are 0.
        differing: counters that have another value.
    """

    kind: str
    equal: int
    zero: int
    differing: int


@dataclass(frozen=True, slots=True)
class CounterChange:
    """A counter that differs.

    Args:
        kind: `arcs`, ...
        index: its place among the counters of this kind in the function, from 0.
        a: the first's value; of a list, the number of values that were counted.
        b: the second's.
    """

    kind: str
    index: int
    a: int
    b: int


@dataclass(frozen=True, slots=True)
class FunctionChange:
    """A function that differs.

    Args:
        object: the object that it is in (`ObjectProfile.key`).
        name: its assembler name.
        file: its source, from the project's folder.
        line: the line that it starts in, in the first; in the second where the first does not have it.
        reason: `counters`, `graph`, `only-a` or `only-b`.
        entered_a: how often it was called in the first; None where that is not known.
        entered_b: how often in the second.
        kinds: of the counters, by kind, how many differ; empty unless the reason is `counters`.
        counters: the counters that differ.
    """

    object: str
    name: str
    file: str
    line: int
    reason: Reason
    entered_a: int | None
    entered_b: int | None
    kinds: tuple[KindCounts, ...] = ()
    counters: tuple[CounterChange, ...] = ()

    @property
    def run(self) -> bool:
        """Whether either profile has it called."""
        return bool(self.entered_a or self.entered_b)


@dataclass(frozen=True, slots=True)
class ObjectCounts:
    """The functions of one object.

    Args:
        object: the object (`ObjectProfile.key`).
        same: functions that have the same counters in both.
        differing: functions that have other counters.
        graph: functions that have another graph.
        only_a: functions of the first alone.
        only_b: functions of the second alone.
    """

    object: str
    same: int
    differing: int
    graph: int
    only_a: int
    only_b: int


@dataclass(frozen=True, slots=True)
class ProfileComparison:
    """What differs between two profiles.

    Args:
        a: the first.
        b: the second.
        kinds: over all functions with the same graph, the counters by kind.
        objects: objects of both, by their functions.
        functions: the functions that differ, in the order of objects and lines.
        only_a: objects of the first alone.
        only_b: objects of the second alone.
        sources: files of the project that are not the same in both.
    """

    a: Profile
    b: Profile
    kinds: tuple[KindCounts, ...]
    objects: tuple[ObjectCounts, ...]
    functions: tuple[FunctionChange, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    sources: tuple[str, ...]

    @property
    def functions_same(self) -> int:
        """How many functions have the same counters in both."""
        return sum(each.same for each in self.objects)

    @property
    def counters_equal(self) -> int:
        """How many counters have the same value in both."""
        return sum(each.equal for each in self.kinds)

    @property
    def counters_differing(self) -> int:
        """How many counters have another value."""
        return sum(each.differing for each in self.kinds)

    @property
    def same(self) -> bool:
        """Whether nothing was counted differently, and both are of the same functions."""
        return not (self.functions or self.only_a or self.only_b)

    def as_data(self) -> dict[str, Any]:
        """The comparison as plain data for JSON output."""
        reasons = Counter(each.reason for each in self.functions)
        return {
            "a": self.a.label,
            "b": self.b.label,
            "same": self.same,
            "functions": {
                "same": self.functions_same,
                "counters": reasons["counters"],
                "graph": reasons["graph"],
                "only_a": reasons["only-a"],
                "only_b": reasons["only-b"],
            },
            "kinds": [asdict(each) for each in self.kinds],
            "objects": [asdict(each) for each in self.objects],
            "differing": [asdict(each) for each in self.functions],
            "only_a": list(self.only_a),
            "only_b": list(self.only_b),
            "sources": list(self.sources),
        }


def compare(a: Profile, b: Profile) -> ProfileComparison:
    """Compare two profiles.

    What the linker kept in another object (`Function.lent`) is compared there and not again.

    Args:
        a: a profile.
        b: another, of the same project; of another target, Python or training as may be.
    """
    ours = {each.key: each for each in a.objects}
    theirs = {each.key: each for each in b.objects}
    kinds: dict[str, list[KindCounts]] = defaultdict(list)
    objects: list[ObjectCounts] = []
    changes: list[FunctionChange] = []
    for key in sorted(ours.keys() & theirs.keys()):
        counts: Counter[Reason | Literal["same"]] = Counter()
        for change, told in _functions(ours[key], theirs[key]):
            counts[change.reason if change else "same"] += 1
            changes += [change] if change else []
            for each in told:
                kinds[each.kind].append(each)
        objects.append(
            ObjectCounts(
                key, counts["same"], counts["counters"], counts["graph"], counts["only-a"], counts["only-b"]
            )
        )
    return ProfileComparison(
        a=a,
        b=b,
        kinds=tuple(_sum(kind, kinds[kind]) for kind in COUNTER_NAMES if kind in kinds),
        objects=tuple(objects),
        functions=tuple(changes),
        only_a=tuple(sorted(ours.keys() - theirs.keys())),
        only_b=tuple(sorted(theirs.keys() - ours.keys())),
        sources=_sources(a, b),
    )


def _functions(
    a: ObjectProfile, b: ObjectProfile
) -> Iterator[tuple[FunctionChange | None, tuple[KindCounts, ...]]]:
    """Each function of an object: how it differs, or None, and its counters by kind."""
    ours = {function.name: function for function in a.functions}
    theirs = {function.name: function for function in b.functions}
    both = [(ours.get(name), theirs.get(name)) for name in {**ours, **theirs}]
    for one, other in sorted(both, key=lambda pair: _order(*pair)):
        if (one is None or one.lent) and (other is None or other.lent):
            continue
        kinds: tuple[KindCounts, ...] = ()
        counters: tuple[CounterChange, ...] = ()
        if one is None or other is None:
            reason: Reason = "only-b" if one is None else "only-a"
        elif one.cfg_checksum != other.cfg_checksum:
            reason = "graph"
        else:
            reason = "counters"
            kinds, counters = _counters(one, other)
            if not counters:
                yield None, kinds
                continue
        known = one or other
        if known is not None:
            yield (
                FunctionChange(
                    object=a.key,
                    name=known.name,
                    file=shown(known.file, a.place),
                    line=known.line,
                    reason=reason,
                    entered_a=_entered(one),
                    entered_b=_entered(other),
                    kinds=kinds,
                    counters=counters,
                ),
                kinds,
            )


def _order(one: Function | None, other: Function | None) -> tuple[str, int, str]:
    known = one or other
    return (known.file, known.line, known.name) if known else ("", 0, "")


def _entered(function: Function | None) -> int | None:
    return function.coverage.entered if function and function.coverage else None


def _counters(a: Function, b: Function) -> tuple[tuple[KindCounts, ...], tuple[CounterChange, ...]]:
    """The counters of a function with one graph, by kind, and those that differ."""
    kinds: list[KindCounts] = []
    changes: list[CounterChange] = []
    for kind in sorted({*a.counters, *b.counters}):
        name = COUNTER_NAMES[kind]
        # What was never counted stands in no file: it is 0.
        values = list(zip_longest(_values(a, kind), _values(b, kind), fillvalue=_NOTHING))
        differing = [(index, one, other) for index, (one, other) in enumerate(values) if one != other]
        zero = sum(not one[0] and not other[0] for one, other in values)
        kinds.append(KindCounts(name, len(values) - len(differing), zero, len(differing)))
        changes += [CounterChange(name, index, one[0], other[0]) for index, one, other in differing]
    return tuple(kinds), tuple(changes)


_Value = tuple[int, tuple[tuple[int, int], ...]]
_NOTHING: _Value = (0, ())


def _values(function: Function, kind: int) -> Iterable[_Value]:
    """Each counter: its value, and of a list its values with how often each was seen."""
    values = function.counters.get(kind, ())
    if kind in (TOPN, INDIRECT):
        return [(total, tuple(sorted(pairs))) for total, pairs in lists(values)]
    return [(value, ()) for value in values]


def _sum(kind: str, counts: Iterable[KindCounts]) -> KindCounts:
    every = list(counts)
    return KindCounts(
        kind,
        sum(each.equal for each in every),
        sum(each.zero for each in every),
        sum(each.differing for each in every),
    )


def _sources(a: Profile, b: Profile) -> tuple[str, ...]:
    """Files of the project that are not the same in both profiles."""
    then, now = (_digests(profile) for profile in (a, b))
    return tuple(sorted(name for name in {*then, *now} if then.get(name) != now.get(name)))


def _digests(profile: Profile) -> Mapping[str, str]:
    return {name: digest for each in profile.objects for name, digest in each.sources.items()}
