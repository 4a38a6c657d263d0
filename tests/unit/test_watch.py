"""A matrix as a user sees it: at the foot of a terminal, line by line elsewhere, folded for GitHub."""

from __future__ import annotations

import io
import re
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from xtool import live
from xtool.build.pipeline import BuiltWheel, Cell
from xtool.build.report import BuildReport, Outcome
from xtool.build.schedule import State
from xtool.cli.watch import MatrixView, summary
from xtool.errors import CommandFailed
from xtool.output import Console


class Screen(io.StringIO):
    """A terminal that does what it is told: text, line feeds, `up N lines to column 1`, `clear below`."""

    def __init__(self) -> None:
        super().__init__()
        self.lines = [""]
        self.row = 0

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        for part in re.split(r"(\x1b\[\d*[FJ]|\n)", text):
            if part == "\n":
                self.row += 1
                self.lines += [""] * (self.row + 1 - len(self.lines))
            elif up := re.fullmatch(r"\x1b\[(\d+)F", part):
                self.row -= int(up[1])
                assert self.row >= 0, "above the screen"
            elif part == "\x1b[J":
                self.lines[self.row :] = [""]
            elif part:
                assert "\x1b" not in part
                self.lines[self.row] += part
        return len(text)

    @property
    def text(self) -> list[str]:
        return self.lines[:-1] if not self.lines[-1] else self.lines


def cell(target: str, version: str) -> Cell:
    kit: Any = SimpleNamespace(target=SimpleNamespace(name=target))
    return Cell(kit, version)


@pytest.fixture
def wheel(tmp_path: Path) -> BuiltWheel:
    path = tmp_path / "x-1-cp313-cp313-manylinux2014_ppc64le.manylinux_2_17_ppc64le.whl"
    path.write_bytes(bytes(2000))
    return BuiltWheel(
        path,
        "ppc64le",
        "3.13",
        "manylinux2014_ppc64le.manylinux_2_17_ppc64le",
        "2.17",
        {"status": "passed"},
        {"build": 2.0},
        tested=({"python": "3.13", "status": "passed"},),
    )


A, B, C = cell("ppc64le", "3.13"), cell("ppc64le", "3.11"), cell("s390x", "3.13")


def built(wheel: BuiltWheel) -> Outcome:
    return Outcome("ppc64le", "3.13", State.BUILT, wheel, seconds=2.0)


def failed(log: Path | None = None, message: str = "no such luck") -> Outcome:
    return Outcome("ppc64le", "3.11", State.FAILED, None, CommandFailed(message), "compile", log, 1.5)


def test_line_by_line(wheel: BuiltWheel) -> None:
    stream = io.StringIO()
    view = MatrixView(Console(stream))
    view.begin("x 1", [A, B, C], 2)
    view.started(A)
    view.step(A, "compile")
    view.started(B)
    view.line(A, "a compiler's command")
    view.warning(A, "careful", hint="do so")
    view.ended(A, built(wheel))
    view.ended(B, failed())
    view.ended(C, Outcome("s390x", "3.13", State.NOT_RUN))
    view.end()
    assert stream.getvalue().splitlines() == [
        "building x 1 for ppc64le, s390x, Python 3.13, 3.11: 3 in all, 2 at once",
        "building x 1 for ppc64le, Python 3.13 ...",
        "building x 1 for ppc64le, Python 3.11 ...",
        "warning: ppc64le, Python 3.13: careful",
        "hint: do so",
        f"built {wheel.path.name} (2.0 kB, smoke test passed, 2.0 s)",
        "ppc64le, Python 3.11: failed after 1.5 s, building: no such luck",
        "s390x, Python 3.13: not run",
    ]


def test_commands_and_output_of_cells_do_not_mix() -> None:
    stream = io.StringIO()
    view = MatrixView(Console(stream, verbosity=1))
    view.line(A, "$ cc -c x.c")
    view.line(C, "warning of a compiler")
    assert stream.getvalue() == "[ppc64le 3.13] $ cc -c x.c\n[s390x 3.13] warning of a compiler\n"


def test_nothing_but_errors_when_that_is_asked_for(wheel: BuiltWheel) -> None:
    screen = Screen()
    view = MatrixView(Console(screen, verbosity=-1, bars=True))
    view.begin("x 1", [A, B], 2)
    view.started(A)
    view.ended(A, built(wheel))
    view.end()
    assert screen.text == []


def test_at_the_foot_of_a_terminal(wheel: BuiltWheel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_INTERVAL", 0.01)
    screen = Screen()
    console = Console(screen, bars=True)
    view = MatrixView(console)
    view.begin("x 1", [A, B, C], 2)
    view.started(A)
    view.started(B)
    view.step(A, "compile")
    view.step(B, "smoke")
    time.sleep(0.1)
    with console._lock:
        shown = [re.sub(r"\d+\.\d s", "N s", line) for line in screen.text]
    assert shown == [
        "building x 1 for ppc64le, s390x, Python 3.13, 3.11: 3 in all, 2 at once",
        "2 running, 1 waiting of 3, N s",
        "  ppc64le  3.13   compiling  N s",
        "  ppc64le  3.11   testing  N s",
    ]
    view.ended(B, failed())
    view.ended(A, built(wheel))
    time.sleep(0.1)
    with console._lock:
        shown = [re.sub(r", \d+\.\d s$", ", N s", line) for line in screen.text]
    assert shown == [
        "building x 1 for ppc64le, s390x, Python 3.13, 3.11: 3 in all, 2 at once",
        "ppc64le, Python 3.11: failed after 1.5 s, building: no such luck",
        f"built {wheel.path.name} (2.0 kB, smoke test passed, 2.0 s)",
        "1 done, 1 failed, 1 waiting of 3, N s",
    ]
    view.end()
    assert len(screen.text) == 3
    console.info("after")
    assert screen.text[-1] == "after"


def test_a_narrow_and_low_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_INTERVAL", 0.01)
    monkeypatch.setattr(live.Live, "_size", lambda self: (24, 5))
    screen = Screen()
    console = Console(screen, bars=True)
    view = MatrixView(console)
    every = [cell(f"target{i}", "3.13") for i in range(6)]
    view.begin("x", every, 6)
    for one in every:
        view.started(one)
        view.step(one, "requirements")
    time.sleep(0.1)
    with console._lock:
        shown = screen.text[1:]
    view.end()
    assert all(len(line) < 24 for line in shown)
    assert shown[0].startswith("6 running of 6, 0.")
    assert [line.split()[0] for line in shown[1:3]] == ["target0", "target1"]
    # The time is the last thing to go.
    assert all(re.search(r"\d\.\d s$", line) for line in shown[1:3])
    assert shown[3] == "  and 4 more"


def test_lines_that_a_narrower_terminal_has_broken_are_cleared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_INTERVAL", 1000.0)
    screen = Screen()
    console = Console(screen, bars=True)
    with console.live(lambda columns, rows: ["a" * 30, "b"]):
        bar = console._bar
        bar.refresh()
        monkeypatch.setattr(live.Live, "_size", lambda self: (20, 24))
        # The terminal has made two lines of the first.
        screen.lines, screen.row = ["a" * 20, "a" * 10, "b", ""], 3
        bar.refresh()
        assert screen.text == ["a" * 19, "b"]
    assert screen.text == []


def test_folds_for_github(wheel: BuiltWheel, tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("$ cc\n::error::not ours\nat the end\n")
    stream = io.StringIO()
    view = MatrixView(Console(stream, github=True))
    view.begin("x 1", [A, B], 2)
    view.line(A, "a line")
    view.ended(A, built(wheel))
    view.ended(B, failed(log))
    view.end()
    assert stream.getvalue().splitlines()[1:] == [
        f"built {wheel.path.name} (2.0 kB, smoke test passed, 2.0 s)",
        "::group::ppc64le, Python 3.11: failed after 1.5 s, building: no such luck",
        "$ cc",
        " ::error::not ours",
        "at the end",
        "::endgroup::",
    ]
    loud = io.StringIO()
    MatrixView(Console(loud, github=True, verbosity=1)).ended(A, replace(built(wheel), log=log))
    assert loud.getvalue().splitlines()[0].startswith("::group::built x-1-")


def test_the_table(wheel: BuiltWheel, tmp_path: Path) -> None:
    stable = replace(
        wheel,
        path=wheel.path.with_name("x-1-cp311-abi3-manylinux_2_17_s390x.whl"),
        target="s390x",
        python="3.11",
        platform_tag="manylinux_2_17_s390x",
        glibc_required=None,
        tested=({"python": "3.11", "status": "passed"}, {"python": "3.14", "status": "passed"}),
    )
    stable.path.write_bytes(bytes(1000))
    long = f"the smoke test of x-1.whl failed: {'importing `x` raised an error of many words ' * 3}"
    report = BuildReport(
        (
            replace(built(wheel), log=tmp_path / "logs" / "a.log"),
            replace(failed(message=long), step="smoke"),
            Outcome("s390x", "3.11", State.BUILT, stable, seconds=61.0),
            Outcome("s390x", "3.13", State.SERVED, stable),
            Outcome("s390x", "3.14", State.SERVED, stable),
            Outcome("riscv64", "3.13", State.STOPPED, seconds=2.0),
            Outcome("riscv64", "3.14", State.NOT_RUN),
        ),
        75.0,
    )
    lines = summary(report).splitlines()
    assert [re.split(r"  +", line) for line in lines[:-2]] == [
        ["TARGET", "PYTHON", "TAG", "GLIBC", "SMOKE TEST", "TIME", "SIZE"],
        ["ppc64le", "3.13", "cp313-cp313-manylinux_2_17", "2.17", "passed", "2.0 s", "2.0 kB"],
        [
            *("ppc64le", "3.11", "failed", "-", "failed", "1.5 s"),
            "testing: importing `x` raised an error of many words importing ...",
        ],
        ["s390x", "3.11", "cp311-abi3-manylinux_2_17", "-", "passed", "1 min 1 s", "1.0 kB"],
        ["s390x", "3.13", "cp311-abi3-manylinux_2_17", "-", "-", "-", "as for Python 3.11"],
        ["s390x", "3.14", "cp311-abi3-manylinux_2_17", "-", "passed", "-", "as for Python 3.11"],
        ["riscv64", "3.13", "-", "-", "-", "2.0 s", "stopped"],
        ["riscv64", "3.14", "-", "-", "-", "-", "not run"],
    ]
    assert lines[-2:] == [
        "2 built, 2 served by another's wheel, 1 failed, 2 not run of 7, 1 min 15 s",
        f"logs: {tmp_path / 'logs'}",
    ]
