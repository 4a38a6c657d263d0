"""What the counters of a function say: how often each block and each arc of its graph was run.

GCC counts only the arcs off a spanning tree; the others follow: as much flows into a block as out of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xtool.pgo.notes import FAKE, ON_TREE, Arc, Graph

_ENTRY, _EXIT = 0, 1


@dataclass(frozen=True, slots=True)
class Flow:
    """How often the parts of a function were run.

    Args:
        entered: how often it was called.
        arcs: for each arc of its graph, how often it was taken.
        arcs_total: how many arcs there are that can be taken, those apart that stand for calls which do not
            return.
        arcs_covered: how many of them were taken.
        weight: sum of how often its blocks were run.
    """

    entered: int
    arcs: tuple[int, ...]
    arcs_total: int
    arcs_covered: int
    weight: int


def solve(graph: Graph, counters: Sequence[int]) -> Flow | None:
    """Work out all arcs of a function.

    Args:
        graph: its graph.
        counters: its arc counters; empty where it was never run.

    Returns:
        None where the counters are not this graph's.
    """
    counted = [index for index, arc in enumerate(graph.arcs) if not arc.flags & ON_TREE]
    if counters and len(counters) != len(counted):
        return None
    known: list[int | None] = [None] * len(graph.arcs)
    for place, index in enumerate(counted):
        known[index] = counters[place] if counters else 0
    entering: list[list[int]] = [[] for _ in range(graph.blocks)]
    leaving: list[list[int]] = [[] for _ in range(graph.blocks)]
    for index, arc in enumerate(graph.arcs):
        if not (arc.source < graph.blocks and arc.target < graph.blocks):
            return None
        leaving[arc.source].append(index)
        entering[arc.target].append(index)
    if not _propagate(graph.arcs, entering, leaving, known):
        return None
    arcs = tuple(value or 0 for value in known)
    real = [index for index, arc in enumerate(graph.arcs) if not arc.flags & FAKE]
    inner = range(2, graph.blocks)
    return Flow(
        entered=sum(arcs[index] for index in leaving[_ENTRY]) if graph.blocks else 0,
        arcs=arcs,
        arcs_total=len(real),
        arcs_covered=sum(1 for index in real if arcs[index] > 0),
        weight=sum(sum(arcs[index] for index in entering[block]) for block in inner),
    )


def _propagate(
    arcs: Sequence[Arc], entering: list[list[int]], leaving: list[list[int]], known: list[int | None]
) -> bool:
    """Fill in what follows; whether everything did.

    A block whose arcs on one side are all known tells how often it was run, and so the one unknown arc on
    the other side. Entry and exit have one side only, and together the flow of the other.
    """
    left = sum(value is None for value in known)
    waiting = list(range(len(entering)))
    while left and waiting:
        block = waiting.pop()
        into, out = entering[block], leaving[block]
        for here, there in ((into, out), (out, into)):
            if not here or any(known[index] is None for index in here):
                continue
            total = sum(known[index] or 0 for index in here)
            missing = [index for index in there if known[index] is None]
            if len(missing) == 1:
                known[missing[0]] = total - sum(known[index] or 0 for index in there)
                left -= 1
                waiting += [arcs[missing[0]].source, arcs[missing[0]].target]
    return left == 0
