"""Profiles on the command line: options that contradict each other, what is told, what is inspected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.profiles import compiled, function, profile

from xtool.build import matrix
from xtool.build.pipeline import BuildRequest, BuiltWheel
from xtool.build.report import BuildReport, Outcome, Watcher
from xtool.build.schedule import State
from xtool.config import load
from xtool.context import Context
from xtool.pgo import archive, demangle, report
from xtool.pgo.report import Training
from xtool.pgo.usage import ObjectUse

BUILD = ("build", "x", "--target", "ppc64le", "--python", "3.13")

ONE = profile(compiled("build/a", function("f", 3), function("_ZN4demo1gEv", 1), function("never", 0)))


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[BuildRequest]:
    """Builds succeed at once, with a profile where one is wanted; the requests they were given."""
    asked: list[BuildRequest] = []

    def built(request: BuildRequest, target: str, version: str) -> Outcome:
        path = tmp_path / f"x-1-cp{version.replace('.', '')}-{target}.whl"
        path.write_bytes(bytes(2000))
        told = None
        if request.pgo is not None:
            one = replace(ONE, target=target, python=version)
            told = report.make(
                one,
                [ObjectUse("@source/build/a", "src/a.c", found=True)],
                origin=str(request.pgo.loaded or "trained"),
                training=None if request.pgo.loaded else Training(("x",), 2.5, (2.5,), "qemu-user"),
                demangle=lambda names: names,
            )
        wheel = BuiltWheel(
            path=path,
            target=target,
            python=version,
            platform_tag=f"manylinux_2_17_{target}",
            glibc_required="2.17",
            smoke={"status": "passed"},
            timings={"build": 2.0},
            tested=(),
            pgo=told,
        )
        return Outcome(target, version, State.BUILT, wheel, seconds=2.0)

    def build(ctx: Context, request: BuildRequest, watcher: Watcher) -> BuildReport:
        asked.append(request)
        return BuildReport(
            tuple(built(request, one.target.name, v) for one in request.setups for v in one.versions), 3.0
        )

    monkeypatch.setattr(matrix, "build", build)
    return asked


def wrong(done: Any, message: str, *, code: str, hint: str = "") -> None:
    """The error of a mistake on the command line, as text and as the one JSON document."""
    assert done.code == 2
    (error,) = done.document["errors"]
    assert message in error["message"]
    assert error["code"] == code
    assert hint in (error["hint"] or "")
    assert f"error: {error['message']}" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_page_and_no_file_without_a_profile(inside, builds: list[BuildRequest], cli) -> None:
    for option, name in (("--html", "r.html"), ("--pgo-save", "p.zip")):
        done = inside(*BUILD, option, name, "--output", "json")
        wrong(done, f"`{option}` is about a profile, and there is none", code="no-profile", hint="--pgo CMD")
    done = inside(*BUILD, "--pgo", "x", "--no-pgo", "--html", "r.html", "--output", "json")
    wrong(done, "`--html` is about a profile", code="no-profile")
    assert builds == []
    assert list(cli.cwd.iterdir()) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("pgo-load", "pgo-save"),
        ("pgo-load", "pgo-instrument"),
        ("pgo-load", "pgo-collect"),
        ("pgo-save", "pgo-instrument"),
        ("pgo-instrument", "pgo-collect"),
    ],
)
def test_a_profile_is_either_made_or_used(
    inside, builds: list[BuildRequest], cli, one: str, other: str
) -> None:
    archive.write(cli.cwd / "x", [ONE])
    done = inside(*BUILD, f"--{one}", "x", f"--{other}", "y", "--output", "json")
    message = f"`--{one}` and `--{other}` contradict each other"
    wrong(done, message, code="contradiction", hint="leave one of them out")
    assert builds == []


def test_a_profile_that_is_not_there_or_broken(inside, builds: list[BuildRequest], cli) -> None:
    done = inside(*BUILD, "--pgo-load", "absent.zip", "--output", "json")
    wrong(done, "there is no profile", code="no-profile", hint="--pgo-save FILE")
    (cli.cwd / "broken.zip").write_bytes(b"PK\x03\x04 and nothing else")
    done = inside(*BUILD, "--pgo-load", "broken.zip", "--output", "json")
    assert (done.code, done.document["errors"][0]["code"]) == (4, "bad-profile")
    assert builds == []


def test_a_page_that_could_not_be_written_is_told_before_anything_is_built(
    inside, builds: list[BuildRequest], cli
) -> None:
    (cli.cwd / "folder").mkdir()
    (cli.cwd / "file").write_text("")
    done = inside(*BUILD, "--pgo", "x", "--html", "folder", "--output", "json")
    wrong(done, "`--html folder` names a folder", code="usage")
    done = inside(*BUILD, "--pgo", "x", "--html", "file/r.html", "--output", "json")
    assert done.code == 5
    assert "--html" in done.document["errors"][0]["hint"]
    assert builds == []


def test_what_is_asked_for_is_handed_on(inside, builds: list[BuildRequest], cli) -> None:
    words = ("--pgo", "a {project}", "--pgo", "b", "--pgo-requires", "numpy", "--pgo-timeout", "60")
    assert inside(*BUILD, *words, "--pgo-native", "--pgo-save", "p.zip").code == 0
    wanted = builds[0].pgo
    assert wanted is not None
    assert wanted.commands == ("a {project}", "b")
    assert (wanted.requires, wanted.timeout, wanted.native) == (("numpy",), 60.0, True)
    assert (wanted.save, wanted.loaded, wanted.profiles) == (cli.cwd / "p.zip", None, ())


def test_a_loaded_profile_wins_over_the_project_s_training(inside, builds: list[BuildRequest], cli) -> None:
    (cli.cwd / "pyproject.toml").write_text('[tool.xtool]\npgo-command = ["python -m demo"]\n')
    archive.write(cli.cwd / "p.zip", [ONE])
    words = ("build", "--target", "ppc64le", "--python", "3.13")
    assert inside(*words, "--pgo-load", "p.zip", "--pgo-stale").code == 0
    assert inside(*words).code == 0
    assert inside(*words, "--no-pgo").code == 0
    loaded, trained, without = (request.pgo for request in builds)
    assert loaded is not None
    assert (loaded.commands, loaded.profiles, loaded.stale) == ((), (ONE,), True)
    assert trained is not None
    assert (trained.commands, trained.profiles, trained.stale) == (("python -m demo",), (), False)
    assert without is None


def test_a_build_without_a_profile_may_have_settings_for_one(inside, builds: list[BuildRequest], cli) -> None:
    (cli.cwd / "pyproject.toml").write_text('[tool.xtool]\npgo-command = ["x"]\npgo-save = "p.zip"\n')
    assert inside("build", "--target", "ppc64le", "--python", "3.13", "--no-pgo").code == 0
    assert builds[0].pgo is None


@pytest.mark.parametrize("key", ["pgo", "pgo-command"])
def test_training_commands_have_two_names_in_files(tmp_path: Path, key: str) -> None:
    (tmp_path / "pyproject.toml").write_text(f'[tool.xtool]\n{key} = ["a b", "c"]\n')
    home = {"HOME": str(tmp_path / "home")}
    assert load({}, home, project=tmp_path).value("pgo") == ("a b", "c")
    assert load({}, {**home, "XTOOL_PGO": "d e"}, project=tmp_path).value("pgo") == ("d e",)
    assert load({"pgo": ("f",)}, home, project=tmp_path).value("pgo") == ("f",)


def test_one_wheel_tells_of_its_profile(inside, builds: list[BuildRequest], cli) -> None:
    done = inside(*BUILD, "--pgo", "x", "--html", "r.html")
    lines = done.stderr.splitlines()
    place = next(
        i for i, line in enumerate(lines) if line.startswith("  profile  trained in 2.5 s under qemu-user")
    )
    assert lines[place + 1].startswith("  covered  2 of 3 functions, 8 of 12 arcs (67 %) in 1 file")
    assert lines[place + 2] == "  used     3 functions in 1 object"
    assert not any("src/a.c" in line for line in lines)
    assert "wrote r.html" in lines
    assert "Hottest functions" in (cli.cwd / "r.html").read_text()
    details = inside(*BUILD, "--pgo", "x", "-v").stderr
    assert "  src/a.c" in details
    assert "src/a.c:1" in details


def test_a_matrix_has_a_line_for_each_wheel(inside, builds: list[BuildRequest]) -> None:
    words = (*BUILD, "--target", "s390x", "--pgo", "x")
    lines = inside(*words).stderr.splitlines()
    place = lines.index("profiles:")
    assert [line.split(":")[0] for line in lines[place + 1 :]] == [
        "  ppc64le, Python 3.13",
        "  s390x, Python 3.13",
    ]
    assert lines[place + 1].endswith("used 3 functions in 1 object; hottest f 75.0 %")
    # All of it, where that is wanted.
    details = inside(*words, "-v").stderr
    assert details.count("  profile  trained") == 2


def test_the_document_has_the_report(inside, builds: list[BuildRequest], cli) -> None:
    done = inside(*BUILD, "--pgo", "x", "--html", "r.html", "--output", "json")
    data = done.document["data"]
    (wheel,) = data["wheels"]
    assert data["html"] == "r.html"
    assert set(wheel["pgo"]) == {"origin", "profile", "training", "files", "hottest", "used", "findings"}
    assert wheel["pgo"]["profile"] == {
        "project": "demo 1.0",
        "target": "ppc64le",
        "python": "3.13",
        "compiler": "14.2.0",
        "trained": "qemu-user",
    }
    assert set(wheel["pgo"]["files"][0]) == {
        *("file", "functions", "functions_covered", "arcs", "arcs_covered", "weight"),
    }
    assert set(wheel["pgo"]["used"]) == {"objects", "functions", "objects_without_profile", "unused", "each"}
    assert wheel["pgo"]["used"]["each"] == [
        {
            "key": "@source/build/a",
            "source": "src/a.c",
            "found": True,
            "missing": [],
            "mismatched": [],
            "changed": [],
            "flags": "",
        }
    ]


# Files of profiles that are looked into.


def test_a_saved_profile_is_described(inside, cli) -> None:
    archive.write(cli.cwd / "p.zip", [ONE, replace(ONE, target="s390x")])
    done = inside("inspect", "p.zip")
    assert done.code == 0
    first, second = done.stdout.split("\n\np.zip\n")
    assert "  target    ppc64le, Python 3.13" in first
    assert "  target    s390x, Python 3.13" in second
    assert "covered   2 of 3 functions" in first


def test_a_saved_profile_as_data_and_as_a_page(inside, cli) -> None:
    archive.write(cli.cwd / "p.zip", [ONE])
    done = inside("inspect", "p.zip", "--html", "p.html", "--output", "json")
    data = done.document["data"]
    assert set(data) == {"files", "profiles", "html", "warnings"}
    assert data["files"] == []
    (found,) = data["profiles"]
    assert (found["path"], found["target"], found["commands"]) == ("p.zip", "ppc64le", ["python -m demo"])
    assert found["objects"] == [
        {
            "object": "@source/build/a",
            "source": "src/a.c",
            "modules": ["demo.so"],
            "flags": ["-O2"],
            "counted": True,
            "runs": 1,
            "functions": 3,
            "functions_counted": 3,
            "sources": [{"file": "src/a.c", "sha256": "0" * 64}],
        }
    ]
    assert "Profile of demo 1.0" in (cli.cwd / "p.html").read_text()


def test_two_saved_profiles_are_compared(inside, cli) -> None:
    archive.write(cli.cwd / "a.zip", [ONE])
    other = profile(compiled("build/a", function("f", 4), function("_ZN4demo1gEv", 1), function("never", 0)))
    archive.write(cli.cwd / "b.zip", [replace(other, target="s390x")])
    done = inside("inspect", "--diff", "a.zip", "b.zip", "--html", "d.html")
    assert done.code == 0
    assert "functions  2 the same, 1 with other counters" in done.stdout
    assert "f (src/a.c:1): 1 of 1 arcs differ; called 3 and 4 times" in done.stdout
    assert "Two profiles side by side" in (cli.cwd / "d.html").read_text()
    data = inside("inspect", "--diff", "a.zip", "b.zip", "--output", "json").document["data"]
    (pair,) = data["profile_diff"]["pairs"]
    assert pair["functions"] == {"same": 2, "counters": 1, "graph": 0, "only_a": 0, "only_b": 0}
    assert pair["kinds"] == [{"kind": "arcs", "equal": 2, "zero": 1, "differing": 1}]
    assert pair["differing"][0]["counters"] == [{"kind": "arcs", "index": 0, "a": 3, "b": 4}]


def test_functions_that_differ_have_names_for_people(inside, cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        demangle, "demangle", lambda ctx, program, names: [f"void {name}(int)" for name in names]
    )
    for name, count in (("a.zip", 1), ("b.zip", 2)):
        archive.write(cli.cwd / name, [profile(compiled("a", function("_ZN4demo1gEv", count)))])
    done = inside("inspect", "--diff", "a.zip", "b.zip", "--html", "d.html")
    assert "  _ZN4demo1gEv (src/a.c:1): 1 of 1 arcs differ" in done.stdout
    assert (
        "<summary>_ZN4demo1gEv</summary>void _ZN4demo1gEv(int)</details>" in (cli.cwd / "d.html").read_text()
    )
    data = inside("inspect", "--diff", "a.zip", "b.zip", "--output", "json").document["data"]
    assert data["profile_diff"]["pairs"][0]["differing"][0]["name"] == "_ZN4demo1gEv"


def test_profiles_and_wheels_are_different_things(inside, cli) -> None:
    archive.write(cli.cwd / "a.zip", [ONE])
    from support.elfforge import elf

    (cli.cwd / "x.so").write_bytes(elf())
    done = inside("inspect", "--diff", "a.zip", "x.so", "--output", "json")
    wrong(done, "a.zip is a profile, and the other file is none", code="usage")
    done = inside("inspect", "a.zip", "x.so", "--html", "p.html", "--output", "json")
    wrong(done, "either about wheels or about profiles", code="usage")
    both = inside("inspect", "a.zip", "x.so", "--output", "json").document["data"]
    assert (len(both["files"]), len(both["profiles"])) == (1, 1)


def test_profiles_that_have_nothing_in_common(inside, cli) -> None:
    archive.write(cli.cwd / "a.zip", [ONE, replace(ONE, python="3.11")])
    archive.write(cli.cwd / "b.zip", [replace(ONE, target="s390x")])
    done = inside("inspect", "--diff", "a.zip", "b.zip", "--output", "json")
    wrong(done, "a.zip and b.zip have no target and Python in common", code="usage")
    facts = done.document["errors"][0]["facts"]
    assert facts == ["a.zip: ppc64le, Python 3.11; ppc64le, Python 3.13", "b.zip: s390x, Python 3.13"]


def test_a_broken_profile_hides_no_other(inside, cli) -> None:
    archive.write(cli.cwd / "a.zip", [ONE])
    whole = (cli.cwd / "a.zip").read_bytes()
    (cli.cwd / "b.zip").write_bytes(whole[:-9])
    (cli.cwd / "c.zip").write_bytes(whole.replace(b"\x50\x4b\x01\x02", b"\x50\x4b\x01\x03", 1))
    done = inside("inspect", "a.zip", "b.zip", "c.zip", "--output", "json")
    assert (done.code, done.document["status"]) == (4, "partial")
    assert [error["code"] for error in done.document["errors"]] == ["bad-profile"] * 2
    assert len(done.document["data"]["profiles"]) == 1
    lone = inside("inspect", "b.zip")
    assert (lone.code, lone.stdout) == (4, "")
    assert "b.zip is no profile that xtool has saved" in lone.stderr


def test_other_archives_are_no_profiles(inside, cli) -> None:
    import zipfile

    with zipfile.ZipFile(cli.cwd / "x.zip", "w") as package:
        package.writestr("x.py", "")
    done = inside("inspect", "x.zip")
    assert done.code == 2
    assert "x.zip is neither a wheel nor an ELF file" in done.stderr


def test_names_of_functions_are_those_that_people_write(
    inside, cli, make_context: Callable[..., Context], tmp_path: Path
) -> None:
    program = tmp_path / "bin" / "c++filt"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nwhile read -r name; do echo "<$name>"; done\n')
    program.chmod(0o755)
    ctx = make_context(environ={"PATH": f"{program.parent}:/usr/bin:/bin"})
    assert demangle.find_program(ctx) == program
    names = ["f", "_ZN4demo1gEv.constprop.0", "f.part.1", "_Z bad\nname", "_ZN4demo1gEv", "."]
    assert demangle.demangle(ctx, program, names) == [
        *("f", "<_ZN4demo1gEv>", "f", "_Z bad\nname", "<_ZN4demo1gEv>", "."),
    ]
    assert demangle.demangle(ctx, None, names)[1] == "_ZN4demo1gEv"
    # A program that does not run is no reason to fail.
    program.write_text("#!/bin/sh\nexit 3\n")
    assert demangle.demangle(ctx, program, names)[1] == "_ZN4demo1gEv"
    assert demangle.find_program(make_context(environ={"PATH": str(tmp_path / "none")})) is None
