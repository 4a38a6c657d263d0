"""The evidence on profiles: comparing counters, telling speed-ups from noise, and the page made of them."""

from __future__ import annotations

import importlib
import json
import random
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from xtool.pgo.notes import ARCS, IOR, TIME
from xtool.pgo.profile import Coverage, Function, ObjectProfile, Profile

SCRIPTS = Path(__file__).parent.parent.parent / "scripts"
WORKLOADS = SCRIPTS / "pgo" / "workloads"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    names = ("builds", "counters", "timing", "page", "instructions")
    return {name: importlib.import_module(f"pgo.{name}") for name in names}


def _function(
    name: str,
    arcs: tuple[int, ...],
    *,
    cfg: int = 1,
    line: int = 1,
    lent: bool = False,
    **kinds: tuple[int, ...],
) -> Function:
    counters = {ARCS: arcs, **{{"ior": IOR, "time": TIME}[kind]: values for kind, values in kinds.items()}}
    shape = Coverage(entered=arcs[0], arcs=len(arcs), covered=sum(1 for x in arcs if x), weight=sum(arcs))
    return Function(name, "a.c", line, "public", 0, 0, cfg, counters, shape, lent)


def _profile(*functions: Function) -> Profile:
    one = ObjectProfile("@source", "build/a", "a.c", (), (), {}, 1, 1, functions)
    return Profile("demo 1", "x86_64", "3.13", "14.2.0", "B42*", "native", (), (one,))


def test_every_counter_is_compared(scripts: dict[str, ModuleType]) -> None:
    first = _profile(_function("f", (5, 3, 2), ior=(16,)), _function("g", (1, 1)), _function("h", (4,)))
    second = _profile(
        _function("f", (5, 2, 3), ior=(48,)), _function("g", (1, 1)), _function("h", (4,), cfg=2)
    )
    found = scripts["counters"].compare_counters(first, second)
    assert (found.functions, found.graphs) == (3, 1)
    assert found.counters == {"arcs": 5, "ior": 1}
    assert found.differing == {"arcs": 2, "ior": 1}
    assert [(one["name"], one["counters"], one["largest"]) for one in found.where] == [
        ("f", {"arcs": 2, "ior": 1}, 1)
    ]
    assert json.loads(json.dumps(found.plain))["differing"] == {"arcs": 2, "ior": 1}
    same = scripts["counters"].compare_counters(first, first)
    assert (same.differing, same.graphs, same.where) == ({}, 0, [])


def test_a_kind_that_was_not_written_was_never_counted(scripts: dict[str, ModuleType]) -> None:
    found = scripts["counters"].compare_counters(
        _profile(_function("f", (1,), time=(0, 7))), _profile(_function("f", (1,)))
    )
    assert (found.counters, found.differing) == ({"arcs": 1, "time_profiler": 2}, {"time_profiler": 1})


def test_functions_of_two_targets_are_told_apart_by_what_differs(scripts: dict[str, ModuleType]) -> None:
    first = _profile(
        _function("equal", (40, 10)),
        _function("counts", (5, 5)),
        _function("moved", (0, 8)),
        _function("entries", (5, 5), cfg=1),
        _function("calls", (5, 5), cfg=1),
        _function("first", (10, 10)),
        _function("neither", (0, 0)),
        _function("_Z4evenm", (1, 4), line=70),
        _function("lent", (9, 9), lent=True),
    )
    second = _profile(
        _function("equal", (40, 10)),
        _function("counts", (5, 6)),
        _function("moved", (8, 0)),
        _function("entries", (5, 5, 1), cfg=2),
        _function("calls", (6, 5, 1), cfg=2),
        _function("first", (0, 0)),
        _function("second", (3, 3)),
        _function("neither", (0, 0)),
        _function("_Z4evenj", (1, 4), line=70),
    )
    found = scripts["counters"].compare_targets(first, second)
    assert found.functions == {
        "equal": 2, "moved": 1, "counts": 1, "entries": 1, "calls": 1, "first": 1, "second": 1, "neither": 1,
    }  # fmt: skip
    assert found.arcs == [8, 3]
    assert found.weight["equal"] == pytest.approx(55 / 113)
    assert found.weight["first"] == pytest.approx(20 / 113)
    assert 0.75 < found.overlap < 0.85
    assert 0.8 < found.arc_overlap < 0.95
    assert found.where[0]["name"] == "first"
    assert {row["name"] for row in found.where} == {"moved", "counts", "entries", "calls", "first", "second"}
    assert json.loads(json.dumps(found.plain))["functions"] == found.functions
    itself = scripts["counters"].compare_targets(first, first)
    assert (itself.overlap, itself.arc_overlap, itself.where) == (pytest.approx(1), pytest.approx(1), [])


def test_instances_in_one_line_are_not_taken_for_each_other(scripts: dict[str, ModuleType]) -> None:
    first = _profile(_function("_Z1fm", (1,), line=9), _function("_Z1fl", (2,), line=9))
    second = _profile(_function("_Z1fj", (1,), line=9), _function("_Z1fi", (2,), line=9))
    assert scripts["counters"].compare_targets(first, second).functions == {"first": 2, "second": 2}


def _timed(gain: float, noise: float) -> list[list[dict[str, float]]]:
    """Sessions of three variants, two of them faster by a share, with noise that hits neighbours alike."""
    draw = random.Random(1)
    sessions = []
    for _ in range(8):
        rounds = []
        for _ in range(10):
            shared = 1 + draw.random()
            each = {
                kind: shared * (1 + draw.uniform(-noise, noise)) / (1 if kind == "plain" else 1 + gain)
                for kind in ("plain", "native", "qemu")
            }
            rounds.append(each)
        sessions.append(rounds)
    return sessions


def test_a_speed_up_is_found_in_noise_that_hits_all_alike(scripts: dict[str, ModuleType]) -> None:
    found = scripts["timing"].summary(_timed(0.2, 0.01), "plain", "native", "qemu")
    assert found["trained"]["speed_up"] == pytest.approx(0.2, abs=0.005)
    low, high = found["trained"]["bounds"]
    assert low < 0.2 < high
    assert high - low < 0.02
    assert found["share"]["share"] == pytest.approx(1, abs=0.03)


def test_there_is_no_share_of_a_gain_that_may_be_none(scripts: dict[str, ModuleType]) -> None:
    found = scripts["timing"].summary(_timed(0.0, 0.05), "plain", "native", "qemu")
    low, high = found["trained"]["bounds"]
    assert low < 0 < high
    assert found["share"] is None


ECHO = """
import sys, time
for _ in sys.stdin:
    print(0.001, {outcome}, flush=True)
"""


def test_workloads_take_turns_and_must_come_to_the_same(
    scripts: dict[str, ModuleType], tmp_path: Path
) -> None:
    timing = scripts["timing"]
    variants = [timing.Variant(name, tmp_path) for name in ("a", "b")]
    script = tmp_path / "echo_evaluate.py"
    script.write_text(ECHO.format(outcome=7))
    timed = timing.sessions(Path(sys.executable), script, variants, 2, 2)
    assert timed == [[{"a": 0.001, "b": 0.001}] * 2] * 2
    script.write_text(ECHO.format(outcome="__import__('os').getpid()"))
    with pytest.raises(timing.WorkloadFailedError, match="not all came to the same"):
        timing.sessions(Path(sys.executable), script, variants, 1, 1)
    script.write_text("raise SystemExit")
    with pytest.raises(timing.WorkloadFailedError, match="ended"):
        timing.sessions(Path(sys.executable), script, variants, 1, 1)


def test_a_workload_runs_rounds_by_number_or_on_demand(tmp_path: Path) -> None:
    script = tmp_path / "w.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(WORKLOADS)!r})\nfrom common import run\nrun(lambda: 42)\n"
    )
    words = [sys.executable, str(script)]
    assert subprocess.run([*words, "3"], capture_output=True, text=True, check=True).stdout == "42\n"
    served = subprocess.run([*words, "serve"], input="\n\n", capture_output=True, text=True, check=True)
    answers = [line.split() for line in served.stdout.splitlines()]
    assert [answer[1] for answer in answers] == ["42", "42"]
    assert all(float(answer[0]) >= 0 for answer in answers)


def test_made_up_text_is_the_same_on_each_machine() -> None:
    command = "from common import Writer; print(Writer(1, foreign=0.5).paragraph(2).encode())"
    said = [
        subprocess.run(
            [sys.executable, "-c", command], cwd=WORKLOADS, env={"PYTHONHASHSEED": seed}, capture_output=True,
            text=True, check=True,
        ).stdout
        for seed in ("0", "1")
    ]  # fmt: skip
    assert said[0] == said[1]
    assert len(said[0]) > 40


def test_each_package_is_trained_and_timed_by_two_scripts(scripts: dict[str, ModuleType]) -> None:
    for package in scripts["builds"].PACKAGES:
        train, evaluate = (
            (WORKLOADS / f"{package}_{what}.py").read_text(encoding="utf-8") for what in ("train", "evaluate")
        )
        assert "run(work)" in evaluate
        assert "run(work)" not in train


def _xtool(asked: list[tuple[list[str], dict[str, str]]], returncode: int = 0) -> Any:
    """A `subprocess.run` that keeps what xtool was asked, and says what it says."""

    def run(command: list[str], *, env: dict[str, str], **_: Any) -> subprocess.CompletedProcess[str]:
        asked.append((command, env))
        said = json.dumps({"data": {"wheels": [{"path": "there/demo.whl"}]}})
        return subprocess.CompletedProcess(command, returncode, said, "said")

    return run


@pytest.mark.parametrize(
    ("kind", "words", "others"),
    [
        ("plain", "--no-pgo", "--pgo "),
        ("native", "_train.py --pgo-save {folder}/profile.zip --pgo-native", "setarch"),
        ("still", "--pgo setarch -R python {workloads}/ujson_train.py --pgo-save", "qemu"),
        ("qemu", "--pgo python {workloads}/ujson_train.py --pgo-save {folder}/profile.zip", "--pgo-native"),
        ("from-s390x", "--pgo-load {shop}/builds/ujson/s390x-qemu/profile.zip --pgo-stale", "_train.py"),
    ],
)
def test_each_kind_of_build_is_asked_for_as_its_name_says(
    scripts: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str, words: str,
    others: str,
) -> None:  # fmt: skip
    builds = scripts["builds"]
    asked: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(builds.subprocess, "run", _xtool(asked))
    shop = builds.Shop(tmp_path, 1)
    built = shop.build("ujson", "x86_64", kind)
    assert built.wheel == tmp_path / "builds" / "ujson" / f"x86_64-{kind}" / "demo.whl"
    command = " ".join(asked[-1][0])
    assert words.format(folder=built.folder, workloads=WORKLOADS, shop=tmp_path) in command
    assert others not in command
    before = len(asked)
    assert shop.build("ujson", "x86_64", kind) == built
    assert len(asked) == before


def test_a_training_on_the_baseline_has_a_catalog_that_says_so(
    scripts: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from xtool.catalog import Catalog

    builds = scripts["builds"]
    asked: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(builds.subprocess, "run", _xtool(asked))
    builds.Shop(tmp_path, 1).build("ujson", "x86_64", "qemu-baseline")
    targets = Catalog(Path(asked[0][1]["XTOOL_TOOLCHAINS_DIR"])).targets
    assert {target.qemu_best_cpu == target.qemu_cpu for target in targets.values()} == {True}
    assert Catalog().target("x86_64").qemu_best_cpu != targets["x86_64"].qemu_best_cpu


def test_a_failed_build_is_said_and_tried_again(
    scripts: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    builds = scripts["builds"]
    asked: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(builds.subprocess, "run", _xtool(asked, 1))
    for count in (1, 2):
        with pytest.raises(builds.BuildFailedError, match="said"):
            builds.Shop(tmp_path, 1).build("ujson", "x86_64", "plain")
        assert len(asked) == count


def test_instructions_are_those_of_the_rounds(
    scripts: dict[str, ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    module = site / "demo" / "_demo.so"
    counter = scripts["instructions"].Counter(Path("q"), "c", tmp_path, Path("python"), tmp_path)

    def run(_: Any, __: Path, ___: Path, rounds: int) -> dict[str, int]:
        return {"/usr/bin/python": 1000 + 50 * rounds, str(module): 30 + 7 * rounds}

    monkeypatch.setattr(scripts["instructions"].Counter, "_run", run)
    counts = counter.rounds(Path("w.py"), site, 4)
    assert counts == {"/usr/bin/python": 50, str(module): 7}
    assert scripts["instructions"].own_and_all(counts, site) == (7, 57)


def _known(folder: Path) -> None:
    gain = {"speed_up": 0.2, "bounds": [0.19, 0.21]}
    other = {"speed_up": -0.05, "bounds": [-0.06, -0.04]}
    share = {"share": 0.98, "bounds": [0.95, 1.02]}
    qemu = {"trained": gain, "compared": gain, "share": share}
    summaries = {"qemu": qemu, "qemu-baseline": {**qemu, "compared": other}}
    same = {
        "functions": 3, "counters": {"arcs": 9, "ior": 1}, "differing": {}, "graphs": 0, "same_modules": True,
    }  # fmt: skip
    across = {
        "functions": {"equal": 2, "counts": 1},
        "weight": {"equal": 0.9},
        "arcs": [9, 1],
        "overlap": 0.99,
    }
    wheel = {"tag": "manylinux2014_x86_64.manylinux_2_17_x86_64", "smoke": "passed", "gcov": []}
    parts: dict[str, Any] = {
        "builds": {"x86_64": wheel, "s390x": {**wheel, "gcov": ["_demo.so"]}},
        "counters": {
            "native-again": same,
            "qemu": {**same, "differing": {"ior": 1}, "same_modules": False},
            "still": same,
        },
        "targets": {"ppc64le": across, "s390x": across},
        "worth": {
            "summaries": summaries,
            "same_modules": {"qemu": True},
            "sizes": {"plain": 100, "qemu": 102},
        },
        "instructions": {"plain": [[2e6, 4e6], [2e6, 4e6]], "qemu": [[1.5e6, 3.5e6], [1.5e6, 3.5e6]]},
        "costs": {
            f"{target}-{kind}": {"build": 10.0 if kind == "plain" else 25.0, "training": 0.5}
            for target in ("x86_64", "ppc64le")
            for kind in ("plain", "native", "qemu")
        },
    }
    parts["graphs"] = {"ppc64le": [18, 13, 17]}
    for name, found in parts.items():
        (folder / f"{name}.json").write_text(json.dumps({"demo": found}))


def test_the_page_is_made_of_what_was_found(scripts: dict[str, ModuleType], tmp_path: Path) -> None:
    _known(tmp_path)
    page = tmp_path / "pgo.md"
    parts = scripts["page"].TABLES
    page.write_text("".join(f"words\n<!-- {name}: made -->\nold\n<!-- end of {name} -->\n" for name in parts))
    scripts["page"].write(tmp_path, page, plots=False)
    text = page.read_text()
    assert "old" not in text
    assert text.count("words\n") == len(parts)
    rows = [line for line in text.splitlines() if line.startswith("| demo ")]
    gain = "20.0 % (19.0 to 21.0)"
    assert rows == [
        "| demo | 2_17, passed | **2_17, passed, counts: _demo.so** |",
        "| demo | 3 | 10 | 9 | none | 1 `ior` | none | same bytes | other bytes | same bytes |",
        "| demo | 90 %, 99.0 % | 90 %, 99.0 % |",
        f"| demo | {gain} | {gain} | 98 % (95 to 102) | same | -5.0 % (-6.0 to -4.0) | 2 % |",
        "| demo | 2.000 | 1.500 | -25.0 % | 4.000 | 3.500 | -12.5 % | yes |",
        "| demo | 0.50 s | 0.50 s | 1.0 | 10.0 s | 2.5 | 2.5 | 0.50 s | 2.5 |",
    ]
    assert "| ppc64le | 13 of 18 | 17 of 18 |" in text
    assert "| ppc64le | 2 | 0 | 1 | 0 | 0 | 0 | 0 | 1 of 9 |" in text


def test_the_page_has_a_row_for_each_package(scripts: dict[str, ModuleType]) -> None:
    text = scripts["page"].PAGE.read_text(encoding="utf-8")
    for name in scripts["page"].TABLES:
        part = text.partition(f"<!-- {name}: ")[2].partition(f"<!-- end of {name} -->")[0]
        rows = {line.split(" | ")[0].removeprefix("| ") for line in part.splitlines()}
        # One file for all in the one; the other leaves out what takes too long, and says so.
        left_out = {"graphs": set(scripts["builds"].PACKAGES), "costs": {"zstandard"}}.get(name, set())
        assert set(scripts["builds"].PACKAGES) - left_out <= rows
        assert len(rows) > 4
