"""Two profiles side by side."""

from __future__ import annotations

import json

from support.profiles import compiled, function, profile

from xtool.pgo.compare import CounterChange, KindCounts, compare
from xtool.pgo.notes import ARCS, INDIRECT, TIME, TOPN
from xtool.pgo.profile import Coverage, Profile


def test_a_profile_is_the_same_as_itself() -> None:
    one = profile(compiled("a", function("f", 3, 0), function("g", 5)), compiled("b", function("h")))
    found = compare(one, one)
    assert found.same
    assert found.kinds == (KindCounts("arcs", equal=3, zero=1, differing=0),)
    assert (found.functions_same, found.counters_equal, found.counters_differing) == (3, 3, 0)
    assert [(each.object, each.same) for each in found.objects] == [("@source/a", 2), ("@source/b", 1)]


def test_each_counter_that_differs_is_named() -> None:
    a = profile(compiled("a", function("f", 3, 0, 8), function("g", 1)))
    b = profile(compiled("a", function("f", 3, 2, 9), function("g", 1)), target="s390x")
    found = compare(a, b)
    (change,) = found.functions
    assert (change.object, change.name, change.reason, change.run) == ("@source/a", "f", "counters", True)
    assert change.counters == (CounterChange("arcs", 1, 0, 2), CounterChange("arcs", 2, 8, 9))
    assert change.kinds == (KindCounts("arcs", 1, 0, 2),)
    assert found.kinds == (KindCounts("arcs", 2, 0, 2),)
    assert not found.same
    (counts,) = found.objects
    assert (counts.same, counts.differing) == (1, 1)


def test_counters_of_another_graph_are_not_compared() -> None:
    a = profile(compiled("a", function("f", 3, 3)))
    b = profile(compiled("a", function("f", 3, 3, cfg_checksum=8)))
    found = compare(a, b)
    (change,) = found.functions
    assert (change.reason, change.counters) == ("graph", ())
    assert (change.entered_a, change.entered_b) == (3, 3)
    assert found.kinds == ()


def test_what_only_one_has() -> None:
    a = profile(compiled("a", function("f", 1), function("old", 2)), compiled("gone", function("x", 1)))
    b = profile(compiled("a", function("f", 1), function("new")), compiled("added", function("y", 1)))
    found = compare(a, b)
    told = [(change.name, change.reason, change.entered_a, change.entered_b) for change in found.functions]
    assert told == [("new", "only-b", None, 0), ("old", "only-a", 2, None)]
    assert (found.only_a, found.only_b) == (("@source/gone",), ("@source/added",))
    assert not compare(profile(compiled("x")), profile()).same


def test_counters_that_a_file_leaves_out_are_zero() -> None:
    none = profile(compiled("a", function("f", counters={}, coverage=Coverage(0, 2, 0, 0))))
    zero = profile(compiled("a", function("f", 0, 0)))
    assert compare(none, zero).same
    assert compare(none, zero).kinds == (KindCounts("arcs", equal=2, zero=2, differing=0),)
    assert not compare(none, profile(compiled("a", function("f", 0, 1)))).same


def test_a_list_of_values_is_one_counter_in_any_order() -> None:
    def seen(*values: int) -> Profile:
        return profile(compiled("a", function("f", counters={ARCS: (6,), TOPN: values, TIME: (1,)})))

    a, b = seen(6, 2, 10, 4, 20, 2, 0, 0), seen(6, 2, 20, 2, 10, 4, 0, 0)
    found = compare(a, b)
    assert found.same
    assert found.kinds[1] == KindCounts("topn", equal=2, zero=1, differing=0)
    other = compare(a, seen(6, 2, 10, 3, 20, 3, 0, 0))
    assert other.functions[0].counters == (CounterChange("topn", 0, 6, 6),)
    assert [kind.kind for kind in other.kinds] == ["arcs", "topn", "time_profiler"]


def test_what_the_linker_kept_elsewhere_is_compared_once() -> None:
    def made(count: int) -> Profile:
        own = function("_ZN1TIiE1fEv", count)
        return profile(
            compiled("a", own),
            compiled("b", function("_ZN1TIiE1fEv", count, lent=True), function("g", 1)),
        )

    found = compare(made(3), made(4))
    assert [change.object for change in found.functions] == ["@source/a"]
    assert found.functions_same == 1


def test_callees_go_by_their_numbers() -> None:
    a = profile(compiled("a", function("f", counters={INDIRECT: (5, 1, 77, 5)})))
    b = profile(compiled("a", function("f", counters={INDIRECT: (5, 1, 78, 5)})))
    assert compare(a, a).same
    assert compare(a, b).counters_differing == 1


def test_files_of_the_project_that_are_not_the_same() -> None:
    a = profile(compiled("a", function("f", 1), sources={"src/a.c": "1", "src/b.h": "2", "same.h": "3"}))
    b = profile(compiled("a", function("f", 1), sources={"src/a.c": "9", "src/c.h": "2", "same.h": "3"}))
    assert compare(a, b).sources == ("src/a.c", "src/b.h", "src/c.h")


def test_the_comparison_as_data_is_json() -> None:
    a = profile(compiled("a", function("f", 3), function("g", 1)))
    b = profile(compiled("a", function("f", 4)), target="s390x", python="3.11")
    data = json.loads(json.dumps(compare(a, b).as_data()))
    assert (data["a"], data["b"], data["same"]) == ("ppc64le, Python 3.13", "s390x, Python 3.11", False)
    assert data["functions"] == {"same": 0, "counters": 1, "graph": 0, "only_a": 1, "only_b": 0}
    assert [each["name"] for each in data["differing"]] == ["f", "g"]
    assert data["differing"][0]["counters"] == [{"kind": "arcs", "index": 0, "a": 3, "b": 4}]
