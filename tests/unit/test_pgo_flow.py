"""Counters and graphs: what follows from what was counted."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from xtool.pgo.flow import solve
from xtool.pgo.notes import FAKE, ON_TREE, Arc, Graph


def graph(blocks: int, *arcs: tuple[int, int, int]) -> Graph:
    return Graph(1, 2, 3, "f", False, "a.c", 1, blocks, tuple(Arc(*arc) for arc in arcs))


def test_counters_that_do_not_add_up_are_told() -> None:
    branch = graph(5, (0, 2, ON_TREE), (2, 3, 0), (2, 4, 0), (3, 4, ON_TREE), (4, 1, ON_TREE))
    whole, torn = solve(branch, (3, 4)), solve(branch, (-3, 4))
    assert whole is not None
    assert whole.consistent
    assert torn is not None
    assert not torn.consistent


def test_straight_on() -> None:
    found = solve(graph(3, (0, 2, ON_TREE), (2, 1, 0)), [5])
    assert found is not None
    assert (found.entered, found.arcs, found.weight) == (5, (5, 5), 5)
    assert (found.arcs_total, found.arcs_covered) == (2, 2)


def test_a_loop() -> None:
    """0 -> 2 -> 3, 3 -> 3 as often as it was counted, 3 -> 1."""
    loop = graph(4, (0, 2, ON_TREE), (2, 3, ON_TREE), (3, 3, 0), (3, 1, 0))
    found = solve(loop, [70, 7])
    assert found is not None
    assert (found.entered, found.arcs) == (7, (7, 7, 70, 7))
    assert found.weight == 7 + 77


def test_a_choice_of_which_one_side_was_never_taken() -> None:
    choice = graph(5, (0, 2, ON_TREE), (2, 3, 0), (2, 4, 0), (3, 1, ON_TREE), (4, 1, ON_TREE))
    found = solve(choice, [9, 0])
    assert found is not None
    assert found.arcs == (9, 9, 0, 9, 0)
    assert (found.arcs_total, found.arcs_covered, found.weight) == (5, 3, 18)


def test_a_call_that_does_not_return_is_no_arc_that_can_be_taken() -> None:
    calls = graph(4, (0, 2, 0), (2, 3, ON_TREE), (2, 1, FAKE | ON_TREE), (3, 1, 0))
    found = solve(calls, [8, 5])
    assert found is not None
    assert found.arcs == (8, 5, 3, 5)
    assert (found.arcs_total, found.arcs_covered) == (3, 3)
    assert found.weight == 8 + 5


def test_a_block_that_nothing_leads_to_is_not_run() -> None:
    """GCC leaves out how `setjmp` comes back; a block of its own stands for that."""
    back = graph(4, (0, 2, 0), (2, 1, ON_TREE), (3, 1, FAKE | ON_TREE))
    found = solve(back, [4])
    assert found is not None
    assert found.arcs == (4, 4, 0)


def test_a_function_that_never_ran_has_no_counters() -> None:
    found = solve(graph(3, (0, 2, ON_TREE), (2, 1, 0)), ())
    assert found is not None
    assert (found.entered, found.arcs, found.arcs_total, found.arcs_covered, found.weight) == (
        0,
        (0, 0),
        2,
        0,
        0,
    )


def test_counters_of_another_graph() -> None:
    straight = graph(3, (0, 2, ON_TREE), (2, 1, 0))
    assert solve(straight, [1, 2]) is None
    assert solve(straight, [0, 0, 0]) is None


def test_what_cannot_be_worked_out() -> None:
    """A ring of arcs that were not counted, and arcs to blocks that there are not."""
    assert solve(graph(4, (0, 2, ON_TREE), (2, 3, ON_TREE), (3, 2, ON_TREE), (3, 1, ON_TREE)), []) is None
    assert solve(graph(3, (0, 2, 0), (2, 7, 0)), [1, 1]) is None
    assert solve(graph(1 << 31, (0, 2, 0), (2, 1, 0)), [1, 1]) is None


def test_a_graph_without_anything() -> None:
    found = solve(graph(0), ())
    assert found is not None
    assert (found.entered, found.arcs, found.weight) == (0, (), 0)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**9), st.integers(3, 24))
def test_any_spanning_tree_is_filled_in(seed: int, blocks: int) -> None:
    """Walks through a random graph, of whose arcs those off a random spanning tree are counted."""
    chance = random.Random(seed)
    inner = [number for number in range(blocks) if number != 1]
    arcs = list(dict.fromkeys((inner[i - 1], inner[i]) for i in range(1, len(inner))))
    arcs += [(a, b) for a in inner for b in (*inner[1:], 1) if (a, b) not in arcs and chance.random() < 0.15]
    if (inner[-1], 1) not in arcs:
        arcs.append((inner[-1], 1))
    chance.shuffle(arcs)
    taken = dict.fromkeys(arcs, 0)
    for _ in range(chance.randrange(9)):
        block = 0
        for _ in range(200):
            ways = [arc for arc in arcs if arc[0] == block]
            # Towards the exit in the end.
            way = chance.choice(ways)
            taken[way] += 1
            block = way[1]
            if block == 1:
                break
        while block != 1:
            way = (inner[-1], 1) if block == inner[-1] else (block, inner[inner.index(block) + 1])
            taken[way] += 1
            block = way[1]
    # The exit leads back to the entry, as GCC has it when it looks for a tree.
    tree: set[tuple[int, int]] = set()
    group = {block: block for block in range(blocks)}
    group[1] = 0

    def root(block: int) -> int:
        while group[block] != block:
            block = group[block]
        return block

    for source, target in arcs:
        if root(source) != root(target):
            group[root(source)] = root(target)
            tree.add((source, target))
    made = graph(blocks, *((*arc, ON_TREE if arc in tree else 0) for arc in arcs))
    found = solve(made, [taken[arc] for arc in arcs if arc not in tree])
    assert found is not None
    assert found.arcs == tuple(taken[arc] for arc in arcs)
    assert found.entered == sum(count for (source, _), count in taken.items() if source == 0)
    assert found.arcs_covered == sum(count > 0 for count in taken.values())
