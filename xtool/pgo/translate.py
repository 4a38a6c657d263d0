"""The profile of another target or Python, told in the graphs of this one.

GCC takes a profile for a function whose checksum of the graph is the same, and reads the counters in order.
Which arcs are counted is another matter: it follows a spanning tree that depends on what the compiler guesses
of branches, and that differs between targets. So the counts of all arcs are worked out, and those that this
target counts are written. Values (lengths, divisors, callees) stand in places that cannot be compared, and
are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from xtool.pgo.flow import solve
from xtool.pgo.notes import ARCS, FAKE, ON_TREE, Arc, Graph
from xtool.pgo.profile import Function, ObjectProfile, Profile


def translate(
    profile: Profile, own: Sequence[ObjectProfile]
) -> tuple[Profile, Mapping[str, tuple[str, ...]]]:
    """Put the counts of a profile into the graphs of another build.

    Args:
        profile: the profile.
        own: the objects of that build, without counters.

    Returns:
        The profile as if it had been made there; and by object (`ObjectProfile.key`) the functions that were
        run and have another graph.
    """
    other = {each.key: each for each in profile.objects}
    different: dict[str, tuple[str, ...]] = {}
    found = [each for each in profile.objects if each.key not in {one.key for one in own}]
    for one in own:
        if one.key not in other:
            continue
        functions, names = _functions(other[one.key].functions, one.functions)
        # Of what it was made is asked of the profile, not of this build.
        found.append(replace(other[one.key], place=one.place, aux=one.aux, functions=functions))
        if names:
            different[one.key] = names
    return replace(profile, objects=tuple(found)), different


def _functions(
    counted: Sequence[Function], own: Sequence[Function]
) -> tuple[tuple[Function, ...], tuple[str, ...]]:
    known = {(each.name, each.file, each.line): each for each in counted}
    functions, different = [], []
    for one in own:
        source = known.get((one.name, one.file, one.line))
        if source is None or not source.counters:
            continue
        arcs = _arcs(source, one)
        if arcs is not None:
            functions.append(
                replace(
                    one,
                    # With one other kind GCC 14 takes all for granted, and crashes where one is missing.
                    counters={ARCS: arcs},
                    coverage=source.coverage,
                    lent=source.lent,
                    consistent=source.consistent,
                )
            )
        elif source.coverage is None or source.coverage.covered:
            different.append(one.name)
    return tuple(functions), tuple(different)


def _arcs(source: Function, own: Function) -> tuple[int, ...] | None:
    """The counters of a function's arcs as this target counts them; None where the graph is another."""
    if source.blocks != own.blocks or _shape(source.graph) != _shape(own.graph):
        return None
    flow = solve(
        Graph(0, 0, 0, source.name, False, "", 0, source.blocks, source.graph), source.counters.get(ARCS, ())
    )
    if flow is None:
        return None
    return tuple(count for arc, count in zip(own.graph, flow.arcs, strict=True) if not arc.flags & ON_TREE)


def _shape(arcs: Sequence[Arc]) -> list[tuple[int, int, int]]:
    return [(arc.source, arc.target, arc.flags & FAKE) for arc in arcs]
