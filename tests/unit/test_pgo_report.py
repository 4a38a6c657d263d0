"""What a build with a profile has to say, and how it reads what the compiler said of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.profiles import compiled, function, profile

from xtool.errors import StoreError
from xtool.pgo import report, usage
from xtool.pgo.compiles import Compile
from xtool.pgo.names import Names
from xtool.pgo.notes import ARCS, INDIRECT, read_data
from xtool.pgo.profile import Coverage
from xtool.pgo.report import FileCoverage, HotFunction, Training, coverage, hottest
from xtool.pgo.usage import ObjectUse, linked_stems, prepare, used

# What GCC 14 says, word by word, when it is compiled with a profile that does not fit.
SAID = """\
u.cc: In function 'int t(int) [with char c = 'q']':
u.cc:1:22: warning: the control flow of function 'int t(int) [with char c = 'q']' does not match its profile \
data (counter 'arcs') [-Wcoverage-mismatch]
    1 | template<char c> int t(int x) { return x == c; }
      |                      ^
u.cc:5:5: warning: profile for function 'int other(int)' not found in profile data [-Wmissing-profile]
    5 | int other(int x) { return x ? 2 : 3; }
u.cc:4:5: warning: source locations for function 'int pub(int)' have changed, the profile data may be out \
of date [-Wcoverage-mismatch]
u.cc:9:5: warning: number of counters in profile data for function 'n::S::f' does not match its profile data \
(counter 'arcs', expected 3 and have 2) [-Wcoverage-mismatch]
u.cc:9:5: warning: the control flow of function 'int pub(int)' does not match its profile data (counter \
'indirect_call') [-Wcoverage-mismatch]
u.cc:9:1: warning: unused variable 'function' [-Wunused-variable]
"""
ABSENT = "a.c:5:38: warning: '/p/a.gcda' profile count data file not found [-Wmissing-profile]\n"


def compile_of(
    aux: str, *, said: str = "", flags: tuple[str, ...] = ("-O2",), order: int = 1, **more: object
) -> Compile:
    made = {"place": "@source", "cwd": Path("/p"), "source": "src/a.c", "headers": ()} | more
    return Compile(aux=aux, flags=flags, notes=Path("/p/none"), said=said, order=order, **made)  # type: ignore[arg-type]


def plain(names: object) -> list[str]:
    return [f"<{name}>" for name in names]  # type: ignore[attr-defined]


def test_coverage_by_file_the_project_s_own_first() -> None:
    objects = [
        compiled(
            "build/a",
            function("cold", 0, 0),
            function("f", 4, 4),
            function("inlined", 90, file="/xtool/python/object.h"),
            function("_GLOBAL__sub_I_f", 5, artificial=True),
            function("unknown", 5, coverage=None),
        ),
        compiled("build/b", function("g", 50, file="../src/b.c"), place="@source/build"),
    ]
    assert coverage(objects) == (
        FileCoverage("src/b.c", 1, 1, 4, 4, 50),
        FileCoverage("src/a.c", 2, 1, 8, 4, 8),
        FileCoverage("/xtool/python/object.h", 1, 1, 4, 4, 90),
    )


def test_a_function_that_several_objects_have_is_one() -> None:
    """Copies that were counted each, in a header; and one that the linker kept once and lent to others."""
    copies = [
        compiled("a", function("clamp", 3, file="src/x.h", coverage=Coverage(3, 4, 2, 30))),
        compiled("b", function("clamp", 5, file="/xtool/source/src/x.h", coverage=Coverage(5, 4, 3, 50))),
        compiled("c", function("clamp", 5, file="src/x.h", coverage=Coverage(5, 4, 3, 50), lent=True)),
    ]
    assert coverage(copies) == (FileCoverage("src/x.h", 1, 1, 4, 3, 80),)
    assert hottest(copies, plain) == (HotFunction("<clamp>", "src/x.h", 1, 8, 1.0),)


def test_the_hottest_functions() -> None:
    functions = [function(f"f{number:02}", number) for number in range(30)]
    found = hottest([compiled("a", *functions)], plain)
    assert [each.name for each in found[:2]] == ["<f29>", "<f28>"]
    assert len(found) == 20
    assert found[0].share == round(29 / sum(range(30)), 4)
    assert hottest([compiled("a", function("f", 0))], plain) == ()
    assert hottest([], plain) == ()


def test_what_the_compiler_said_of_a_profile(tmp_path: Path) -> None:
    one = profile(compiled("a", function("f", 1)))
    (found,) = used(one, [compile_of("a", said=SAID)], frozenset(), Names(()), tmp_path)
    assert found.found
    assert found.mismatched == ("int t(int) [with char c = 'q']", "int pub(int)", "n::S::f")
    assert found.missing == ("int other(int)",)
    (found,) = used(one, [compile_of("a", said=ABSENT)], frozenset(), Names(()), tmp_path)
    assert (found.found, found.mismatched, found.missing) == (False, (), ())


def test_the_last_compile_of_an_object_counts(tmp_path: Path) -> None:
    one = profile(compiled("a", function("f", 1)))
    twice = [compile_of("a", order=2), compile_of("a", said=ABSENT, order=1)]
    assert [each.found for each in used(one, twice, frozenset(), Names(()), tmp_path)] == [True]


def test_an_object_that_the_profile_does_not_have_counts_if_it_is_linked(tmp_path: Path) -> None:
    one = profile(compiled("a", function("f", 1)))
    compiles = [
        compile_of("a"),
        compile_of("new", said=ABSENT, source="../src/new.c", place="@source/build"),
        compile_of("probe", said=ABSENT),
        compile_of("empty"),
    ]
    linked = linked_stems(["/p/a.o", "/p/new.o", "/p/empty.o", "/lib/libm.so"])
    found = used(one, compiles, linked, Names(()), tmp_path)
    assert [(each.key, each.source, each.found) for each in found] == [
        ("@source/a", "src/a.c", True),
        ("@source/build/new", "src/new.c", False),
    ]


def test_files_and_options_that_are_not_what_they_were(tmp_path: Path) -> None:
    header = tmp_path / "src" / "a.h"
    header.parent.mkdir()
    header.write_text("new")
    one = profile(compiled("a", function("f", 1), sources={"src/a.h": "0" * 64, "src/gone.h": "1" * 64}))
    now = compile_of("a", flags=("-O3", "-DX"), headers=(str(header), "/usr/include/x.h"))
    (found,) = used(one, [now], frozenset(), Names(()), tmp_path)
    assert found.changed == ("src/a.h", "src/gone.h")
    assert found.flags == "-O2 -> -O3 -DX"
    (found,) = used(one, [compile_of("a", flags=())], frozenset(), Names(()), tmp_path)
    assert found.flags == "-O2 -> nothing"


def test_a_profile_is_written_where_this_build_looks_for_it(tmp_path: Path) -> None:
    """With other paths, functions have other numbers; so have callees."""
    callee = function("own", 7, scope="local", ident=555, file="/xtool/source/a.c")
    caller = function("f", counters={ARCS: (7,), INDIRECT: (7, 1, 555, 7)})
    one = profile(
        compiled("build/a", caller, callee, function("never", counters={})),
        compiled("/xtool/source/o/b", function("g", 1)),
        compiled("none", function("h", counters={})),
    )
    names = Names(((Path("/here/src"), "/xtool/source"),))
    prepare(one, tmp_path, names)
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.gcda"))
    assert files == ["@source/build#a.gcda", "@source/here/src/o/b.gcda"]
    first, second = read_data(tmp_path / "@source" / "build#a.gcda").functions
    assert second.ident != 555
    assert first.counters[INDIRECT] == (7, 1, second.ident, 7)
    (other,) = read_data(tmp_path / "@source" / "here" / "src" / "o" / "b.gcda").functions
    assert (other.ident, other.counters) == (function("g").ident, {ARCS: (1,)})


def test_a_profile_that_cannot_be_written(tmp_path: Path) -> None:
    long = profile(compiled("x" * 300, function("f", 1)))
    with pytest.raises(StoreError, match=r"cannot write the profile of @source/x+: File name too long"):
        prepare(long, tmp_path, Names(()))


def made(*uses: ObjectUse, training: Training | None = None, **objects: object) -> report.PgoReport:
    one = profile(
        compiled("ran", function("f", 3), function("g", 1, consistent=False)),
        compiled("loaded", function("h", 0)),
        compiled("never", counted=False),
    )
    return report.make(one, uses, origin="trained", training=training, demangle=lambda names: names)


USED = (
    ObjectUse("@source/ran", "src/a.c", found=True),
    ObjectUse("@source/loaded", "src/a.c", found=True),
    ObjectUse("@source/never", "src/a.c", found=False),
)


def test_what_is_not_as_it_should_be_is_named_with_its_file() -> None:
    mismatched = tuple(f"f{number}" for number in range(7))
    found = made(
        ObjectUse("@source/ran", "src/a.c", found=True, mismatched=mismatched, flags="-O2 -> -O3"),
        ObjectUse("@source/new", "src/new.c", found=False),
        ObjectUse("@source/never", "src/a.c", found=False),
        training=Training(("x",), 1.0, (1.0,), "qemu-user", lost=2),
    )
    told = [(each.code, each.file) for each in found.findings]
    assert told == [
        ("lost-profile", ""),
        ("inconsistent-profile", "src/a.c"),
        ("not-covered", "src/a.c"),
        ("not-covered", "src/a.c"),
        ("coverage-mismatch", "src/a.c"),
        ("profile-flags", "src/a.c"),
        ("missing-profile", "src/new.c"),
        ("unused-profile", "@source/loaded"),
    ]
    messages = [each.message for each in found.findings]
    assert messages[0].startswith("2 processes of the training")
    assert messages[1].startswith("the counters of `g` do not add up")
    assert "no function of it was called" in messages[2]
    assert "was not run by the training" in messages[3]
    assert messages[4] == "the profile does not fit `f0`, `f1`, `f2`, `f3`, `f4` and 2 more"
    assert messages[5].endswith("-O2 -> -O3")
    assert {each.severity for each in found.findings} == {"warning"}
    assert found.unused == ("@source/loaded",)


def test_how_many_functions_the_second_stage_used() -> None:
    assert made(*USED).functions_used == 3
    other = ObjectUse("@source/ran", "src/a.c", found=True, mismatched=("int f(int)",))
    assert made(other).functions_used == 1
    assert made(ObjectUse("@source/ran", "src/a.c", found=False)).functions_used == 0


def test_the_report_as_data_is_json() -> None:
    data = json.loads(json.dumps(made(*USED, training=Training(("x",), 1.5, (1.5,), "native")).as_data()))
    assert set(data) == {"origin", "profile", "training", "files", "hottest", "used", "findings"}
    assert data["training"] == {
        "commands": ["x"],
        "seconds": 1.5,
        "each": [1.5],
        "where": "native",
        "lost": 0,
    }
    assert data["files"][0]["file"] == "src/a.c"
    assert [each["name"] for each in data["hottest"]] == ["f", "g"]
    assert (data["used"]["objects"], data["used"]["functions"]) == (2, 3)
    assert data["used"]["objects_without_profile"] == ["@source/never"]
    assert made(*USED).as_data()["training"] is None


@pytest.mark.parametrize(
    ("then", "now", "told"),
    [
        ({"a": "1"}, {"a": "1"}, ()),
        ({"a": "1"}, {"a": "2"}, ("a",)),
        ({"a": "1", "b": "1"}, {"a": "1", "c": "1"}, ("b", "c")),
    ],
)
def test_files_that_have_changed(then: dict[str, str], now: dict[str, str], told: tuple[str, ...]) -> None:
    assert usage.changed(then, now) == told
