"""Profiles in words for a terminal, and as pages."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from support.profiles import compiled, function, profile
from test_page import Page

from xtool.errors import StoreError
from xtool.pgo import archive, page, report, words
from xtool.pgo.compare import compare
from xtool.pgo.inspection import FileComparison, compare_files, inspect
from xtool.pgo.notes import ARCS, TOPN
from xtool.pgo.profile import Profile
from xtool.pgo.report import FileCoverage, PgoReport, Training
from xtool.pgo.usage import ObjectUse

EVIL = "<script>alert(1)</script>\"'&\u202e\x1b[31m"

TRAINED = Training(("python -m demo", "python -m demo.more"), 75.2, (75.2, 3.0), "qemu-user")


def project(*, files: int = 2, target: str = "ppc64le") -> Profile:
    """Some files with a hot function and one that was never called each, and a header of Python's."""
    objects = [
        compiled(
            f"build/a{number}",
            function(f"hot{number}", 100 - number, file=f"./src/a{number}.c"),
            function(f"cold{number}", 0, file=f"./src/a{number}.c"),
            source=f"./src/a{number}.c",
        )
        for number in range(files)
    ]
    objects.append(compiled("build/z", function("Py_DECREF", 7, file="/xtool/python/object.h")))
    return profile(*objects, target=target)


def made(one: Profile | None = None, *, training: Training | None = TRAINED, found: bool = True) -> PgoReport:
    one = one or project()
    uses = [ObjectUse(each.key, each.source, found=found) for each in one.objects]
    origin = "trained" if training else "saved.zip"
    return report.make(one, uses, origin=origin, training=training, demangle=lambda names: names)


def test_the_short_report() -> None:
    assert list(words.report_lines(made(), 100, details=False)) == [
        "  profile  trained in 1 min 15 s under qemu-user, 2 commands",
        "  covered  2 of 4 functions, 8 of 16 arcs (50 %) in 2 files of the project",
        "           1 of 1 function, 4 of 4 arcs (100 %) in 1 file of others",
        "  used     5 functions in 3 objects",
        "  hottest  hot0 48.5 %, hot1 48.1 %, Py_DECREF 3.4 %",
    ]


def test_the_report_of_one_wheel_of_many() -> None:
    assert words.report_line(made()) == (
        "ppc64le, Python 3.13: trained in 1 min 15 s under qemu-user, 2 commands; 2 of 4 functions, "
        "8 of 16 arcs (50 %); used 5 functions in 3 objects; hottest hot0 48.5 %"
    )


def test_the_report_of_a_profile_that_was_loaded() -> None:
    lines = list(words.report_lines(made(training=None), 100, details=False))
    assert lines[0] == "  profile  saved.zip, of demo 1.0 for ppc64le, Python 3.13, trained under qemu-user"


def test_what_was_lost_or_not_used_is_said() -> None:
    one = made()
    odd = replace(
        one,
        training=replace(TRAINED, lost=1, where="native", commands=("x",)),
        uses=(one.uses[0], ObjectUse("@source/new", "new.c", found=False)),
        unused=("@source/build/a1", "@source/build/z"),
    )
    lines = list(words.report_lines(odd, 200, details=False))
    assert lines[0] == "  profile  trained in 1 min 15 s on this machine, 1 process lost"
    assert lines[3] == (
        "  used     2 functions in 1 object; 1 object without a profile; "
        "2 objects of the profile not compiled"
    )


def test_details_have_a_row_for_each_file_and_function() -> None:
    lines = list(words.report_lines(made(project(files=20)), 80, details=True))
    table = "\n".join(lines)
    assert [line.split()[0] for line in lines if ".c  " in line] == [
        f"src/a{number}.c" for number in range(20)
    ]
    assert re.search(r"^  /xtool/python/object\.h +1 of 1  4 of 4 +100 % +<?\d+ %$", table, re.MULTILINE)
    assert re.search(r"^  hot0 +5\.5 % +100  src/a0\.c:1$", table, re.MULTILINE)
    assert all(len(line) <= 80 for line in lines)


def test_long_names_are_cut_in_their_middle() -> None:
    name = "void demo::" + "inner::" * 20 + "transform<std::vector<int> >(int)"
    one = profile(compiled("a", function(name, 5)))
    for details in (False, True):
        lines = list(words.report_lines(made(one), 90, details=details))
        assert any(" demo::inner" in line and "::transform<>" in line for line in lines)
        assert all(len(line) <= 90 for line in lines)


def test_a_profile_of_nothing() -> None:
    lines = list(words.report_lines(made(profile(compiled("a"))), 100, details=True))
    assert lines[1:] == [
        "  covered  0 of 0 functions, 0 of 0 arcs (0 %) in 0 files of the project",
        "  used     0 functions in 1 object",
    ]


@pytest.mark.parametrize(
    ("part", "whole", "told"),
    [(0, 0, "0 %"), (0, 9, "0 %"), (1, 900, "<1 %"), (1, 3, "33 %"), (899, 900, ">99 %"), (9, 9, "100 %")],
)
def test_parts_in_percent(part: int, whole: int, told: str) -> None:
    assert words.percent(part, whole) == told


def saved(folder: Path, *profiles: Profile, name: str = "p.zip") -> Path:
    return archive.write(folder / name, profiles)


def test_a_saved_profile(tmp_path: Path) -> None:
    (found,) = inspect(saved(tmp_path, project(files=14)))
    lines = list(words.profile_lines(found, 100, color=False, details=False))
    assert lines[:8] == [
        "p.zip",
        "  project   demo 1.0",
        "  target    ppc64le, Python 3.13",
        "  compiler  GCC 14.2.0, and no other",
        "  trained   under qemu-user",
        "            `python -m demo`",
        "  covered   14 of 28 functions, 56 of 112 arcs (50 %) in 14 files of the project",
        "            1 of 1 function, 4 of 4 arcs (100 %) in 1 file of others",
    ]
    assert lines[8] == "  objects   15 of 15 objects ran, in 1 file of the wheel"
    assert lines[-1] == "  and 2 more files; `-v` shows each"
    assert lines[-2].startswith("  (1 file of others)")
    assert not any("src/a12.c" in line for line in lines)


def test_all_of_a_saved_profile(tmp_path: Path) -> None:
    (found,) = inspect(saved(tmp_path, project(files=14)))
    lines = list(words.profile_lines(found, 100, color=True, details=True))
    assert lines[0] == "\033[1mp.zip\033[0m"
    assert any(line.startswith("  src/a13.c ") for line in lines)
    place = lines.index("  \033[1m@source/build/a13\033[0m")
    assert lines[place + 1 :][:4] == [
        "    source   src/a13.c",
        "    options  -O2",
        "    counted  2 of 2 functions, by 1 process",
        "    modules  demo.so",
    ]


def differing() -> tuple[Profile, Profile]:
    a = profile(
        compiled("a", function("same", 1), function("more", 5, 0), function("old", 1), function("ifdef", 2)),
        compiled("gone", function("x", 1)),
        compiled("t", function("values", 3, counters={ARCS: (3,), TOPN: (3, 1, 8, 3)})),
    )
    b = profile(
        compiled("a", function("same", 1), function("more", 6, 0), function("ifdef", 2, cfg_checksum=1)),
        compiled("t", function("values", 3, counters={ARCS: (3,), TOPN: (3, 1, 4, 3)})),
        target="s390x",
    )
    return a, b


def test_two_saved_profiles_side_by_side(tmp_path: Path) -> None:
    a, b = differing()
    found = compare_files(saved(tmp_path, a, name="a.zip"), saved(tmp_path, b, name="b.zip"))
    lines = list(words.comparison_lines(found, 100, color=False, details=False))
    assert lines[:2] == [f"a  {tmp_path}/a.zip", f"b  {tmp_path}/b.zip"]
    assert lines[3:8] == [
        "ppc64le, Python 3.13 and s390x, Python 3.13",
        "  functions  1 the same, 2 with other counters, 1 with another graph, 1 only in a",
        "             1 object only in a: @source/gone",
        "  arcs       3 equal, 1 of them 0; 1 differ",
        "  topn       0 equal, 0 of them 0; 1 differ",
    ]
    assert lines[9:] == [
        "  ifdef (src/a.c:1): another graph; called 2 times",
        "  more (src/a.c:1): 1 of 2 arcs differ; called 5 and 6 times",
        "  old (src/a.c:1): only in a; called 1 time",
        "  values (src/a.c:1): 1 of 1 topn differ; called 3 times",
    ]
    details = list(words.comparison_lines(found, 100, color=False, details=True))
    assert details[11] == "    arcs 0: 5 -> 6"


def test_files_with_several_profiles_are_compared_by_target_and_python(tmp_path: Path) -> None:
    one = saved(tmp_path, project(), project(target="s390x"), name="a.zip")
    two = saved(tmp_path, project(), project(target="aarch64"), name="b.zip")
    found = compare_files(one, two)
    assert [pair.a.target for pair in found.pairs] == ["ppc64le"]
    assert (found.only_a, found.only_b) == (("s390x, Python 3.13",), ("aarch64, Python 3.13",))
    text = "\n".join(words.comparison_lines(found, 100, color=False, details=False))
    assert "profiles only in b: aarch64, Python 3.13" in text


def test_functions_that_differ_are_counted_where_there_are_many(tmp_path: Path) -> None:
    a = profile(compiled("a", *(function(f"f{number}", number) for number in range(30))))
    b = profile(compiled("a", *(function(f"f{number}", number + 1) for number in range(30))))
    found = FileComparison(tmp_path / "a", tmp_path / "b", (compare(a, b),), (), ())
    lines = list(words.comparison_lines(found, 100, color=False, details=False))
    assert lines[-1] == "  and 22 more functions; `-v` shows each"


def test_nothing_from_a_profile_drives_the_terminal() -> None:
    one = profile(
        compiled(
            "a" + EVIL,
            function("f" + EVIL, 5, file="src/" + EVIL),
            source=EVIL,
            modules=(EVIL,),
            flags=(EVIL,),
        ),
        project=EVIL,
    )
    told = replace(made(one), origin=EVIL, training=None)
    lines = [*words.report_lines(told, 100, details=True), words.report_line(told)]
    other = profile(compiled("a" + EVIL, function("f" + EVIL, 6, file="src/" + EVIL), sources={EVIL: "1"}))
    found = FileComparison(Path("a" + EVIL), Path("b"), (compare(one, other),), (EVIL,), ())
    lines += words.comparison_lines(found, 100, color=False, details=True)
    assert len(lines) > 10
    assert "\x1b" not in "".join(lines)
    assert "\u202e" not in "".join(lines)


# Pages.


def test_the_page_of_a_build(tmp_path: Path) -> None:
    text = page.write_page(tmp_path / "p.html", [made()]).read_text()
    tags = Page(text).tags
    assert "<title>Profile of demo 1.0 for ppc64le, Python 3.13</title>" in text
    assert '<span class="badge good">all of it fits</span>' in text
    assert re.findall(r"<h2>(.*?)</h2>", text) == [
        *("Training", "Hottest functions", "Coverage", "What the second stage used"),
    ]
    assert "<td><code>python -m demo.more</code></td><td>3.0 s</td>" in text
    # A bar for the functions and the arcs of each file, one for its work, and one for each hot function.
    widths = re.findall(r'<i style="width:([\d.]+)%"></i></span>([^<]*)<', text)
    assert len(widths) == 3 * 3 + 3
    assert ("50.0", "1 of 2") in widths
    assert all(0 <= float(width) <= 100 for width, _ in widths)
    assert not {"script", "link", "img"} & {tag for tag, _ in tags}
    assert "<summary>1 file of others</summary>" in text
    assert "xtool build --html" in text


def test_the_page_names_what_does_not_fit(tmp_path: Path) -> None:
    one = project()
    uses = [
        ObjectUse(
            "@source/build/a0", "src/a0.c", True, ("other()",), ("int hot0(int)",), ("x.h",), "-O2 -> -O3"
        ),
        ObjectUse("@source/build/a1", "src/a1.c", found=True),
        ObjectUse("@source/new", "src/new.c", found=False),
    ]
    told = report.make(one, uses, origin="saved.zip", training=None, demangle=lambda names: names)
    text = page.write_page(tmp_path / "p.html", [told]).read_text()
    Page(text)
    rows = re.findall(
        r"<tr><td>(src/\S+|@source\S+)</td><td>(.*?)</td><td>(.*?)</td><td>(.*?)</td></tr>", text
    )
    notes = {
        source: (re.sub("<.*?>", "", state), count, re.sub("<.*?>", " ", what))
        for source, state, count, what in rows
    }
    assert notes["src/a1.c"] == ("used", "2", "")
    assert notes["src/new.c"] == ("none", "0", "")
    assert notes["@source/build/z"] == ("not compiled", "1", "")
    words_of = " ".join(notes["src/a0.c"][2].split())
    assert words_of == (
        "other functions: int hot0(int) not in the profile: other() changed files: x.h "
        "other options: -O2 -&gt; -O3"
    )
    assert re.search(r'<span class="badge warn">\d warnings</span>', text)
    assert "<h2>Findings</h2>" in text


def test_several_wheels_share_a_page(tmp_path: Path) -> None:
    text = page.write_page(tmp_path / "p.html", [made(), made(project(target="s390x"))]).read_text()
    Page(text)
    assert "<title>2 profiles</title>" in text
    assert ('href="#r1"' in text, 'id="r1"' in text) == (True, True)


def test_the_page_of_saved_profiles(tmp_path: Path) -> None:
    found = inspect(saved(tmp_path, project(), project(target="s390x")))
    text = page.write_profiles(tmp_path / "p.html", found).read_text()
    Page(text)
    assert re.findall(r"<h2>(.*?)</h2>", text) == 2 * ["Training", "Hottest functions", "Coverage", "Objects"]
    assert "<td>src/a1.c</td><td>2 of 2</td><td>1</td><td>demo.so</td><td>-O2</td>" in text


def test_the_page_of_a_comparison(tmp_path: Path) -> None:
    a, b = differing()
    found = FileComparison(Path("a.zip"), Path("b.zip"), (compare(a, b),), (), ("x, Python 3.11",))
    text = page.write_comparison(tmp_path / "p.html", found).read_text()
    Page(text)
    assert "1 the same, 2 with other counters, 1 with another graph, 1 only in a." in text
    assert "<td>more</td><td>5 / 6</td><td>src/a.c:1</td><td>1 of 2 arcs</td>" in text
    assert "<td>old</td><td>1 / -</td><td>src/a.c:1</td><td>only in a</td>" in text
    assert "only in b:</span> x, Python 3.11" in text


def test_what_is_in_a_profile_stays_text(tmp_path: Path) -> None:
    evil = dict.fromkeys(("project", "compiler", "trained", "python"), EVIL)
    one = profile(
        compiled(EVIL, function(EVIL, 5, file=EVIL), source=EVIL, modules=(EVIL,), flags=(EVIL,)),
        **evil,
        commands=(EVIL,),
    )
    use = ObjectUse(f"@source/{EVIL}", EVIL, True, (EVIL,), (EVIL,), (EVIL,), EVIL)
    training = Training((EVIL,), 1.0, (1.0,), EVIL)
    told = report.make(one, [use], origin=EVIL, training=training, demangle=lambda names: names)
    other = replace(one, objects=(compiled(EVIL, function(EVIL, 6, file=EVIL)), compiled(f"{EVIL}2")))
    found = FileComparison(Path(f"a{EVIL}"), Path("b"), (compare(one, other),), (EVIL,), ())
    saved_profiles = inspect(saved(tmp_path, replace(one, target="x", python="3", compiler="14")))
    for path in (
        page.write_page(tmp_path / "1.html", [told, replace(told, training=None)]),
        page.write_profiles(tmp_path / "2.html", saved_profiles),
        page.write_comparison(tmp_path / "3.html", found),
    ):
        text = path.read_text()
        assert "script" not in {tag for tag, _ in Page(text).tags}
        assert "&lt;script&gt;" in text
        assert "\u202e" not in text
        assert "\x1b" not in text


def test_a_page_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot write"):
        page.write_page(tmp_path / "absent" / "p.html", [made()])


def test_totals_without_files_of_others() -> None:
    own, other = words.totals([FileCoverage("a.c", 2, 1, 4, 2, 9)])
    assert (own, other) == (FileCoverage("1 file", 2, 1, 4, 2, 9), None)
