"""A profile of another target, told in the graphs of this one."""

from __future__ import annotations

from dataclasses import replace

from xtool.pgo.notes import ARCS, FAKE, INDIRECT, ON_TREE, TIME, Arc
from xtool.pgo.profile import Coverage, Function, ObjectProfile, Profile
from xtool.pgo.translate import translate

# Entry, a branch to 3 or 4, and the exit; 3 and 4 meet in 5.
BRANCH = ((0, 2), (2, 3), (2, 4), (3, 5), (4, 5), (5, 1))


def function(name: str, tree: set[int], *counts: int, fake: tuple[int, ...] = ()) -> Function:
    arcs = tuple(
        Arc(*ends, (ON_TREE if index in tree else 0) | (FAKE if index in fake else 0))
        for index, ends in enumerate(BRANCH)
    )
    counters = {ARCS: counts, TIME: (7,), INDIRECT: (9, 1, 1234, 9)} if counts else {}
    return Function(
        name=name,
        file="src/a.c",
        line=3,
        scope="public",
        ident=1,
        lineno_checksum=2,
        cfg_checksum=len(tree),
        counters=counters,
        coverage=Coverage(10, 6, 6, 30),
        blocks=6,
        graph=arcs,
    )


def profile(*functions: Function, key: str = "a") -> Profile:
    one = ObjectProfile("@source", key, "src/a.c", ("a.so",), ("-O2",), {"src/a.c": "0"}, 1, 9, functions)
    return Profile("demo 1", "s390x", "3.13", "14.2.0", "B42*", "qemu-user", ("x",), (one,))


def own(*functions: Function, key: str = "a") -> list[ObjectProfile]:
    return list(profile(*functions, key=key).objects)


def test_what_another_spanning_tree_counts_is_worked_out() -> None:
    # There the arcs 2 -> 3 and 2 -> 4 were counted, here those into 5 and the entry's.
    theirs = function("f", {0, 3, 4, 5}, 3, 7)
    ours = function("f", {1, 2, 5})
    found, different = translate(profile(theirs), own(ours))
    assert not different
    ((made,),) = [each.functions for each in found.objects]
    assert made.counters == {ARCS: (10, 3, 7)}
    assert made.cfg_checksum == ours.cfg_checksum
    assert made.coverage == theirs.coverage
    assert found.objects[0].flags == ("-O2",)


def test_functions_with_another_graph_are_named() -> None:
    theirs = [function("f", {0, 3, 4, 5}, 3, 7), function("g", {0, 3, 4, 5}, 3, 7)]
    longer = replace(function("f", {1, 2, 5}), blocks=7)
    returning = function("g", {0, 3, 4, 5}, fake=(2,))
    found, different = translate(profile(*theirs), own(longer, returning))
    assert different == {"@source/a": ("f", "g")}
    assert found.objects[0].functions == ()


def test_what_was_not_run_needs_no_word() -> None:
    theirs = replace(function("f", {0, 3, 4, 5}, 0, 0), coverage=Coverage(0, 6, 0, 0))
    _, different = translate(profile(theirs), own(replace(function("f", {1, 2, 5}), blocks=7)))
    assert not different


def test_objects_of_one_side_only() -> None:
    theirs = profile(function("f", {0, 3, 4, 5}, 3, 7), key="gone")
    found, different = translate(theirs, own(function("f", {1, 2, 5}), key="new"))
    assert [each.key for each in found.objects] == ["@source/gone"]
    assert not different
