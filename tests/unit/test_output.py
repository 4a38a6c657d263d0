"""What a user sees on stderr, and the JSON document on stdout."""

from __future__ import annotations

import io
import json
import sys
import threading
import time
from pathlib import Path

import pytest

from xtool import output
from xtool.errors import IntegrityError, UsageError
from xtool.output import Console, document, make_console
from xtool.text import format_bytes, format_seconds, format_sizes, plain, table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def console(**options: object) -> tuple[Console, io.StringIO]:
    stream = io.StringIO()
    return Console(stream, **options), stream  # type: ignore[arg-type]


ERROR = IntegrityError(
    "checksum mismatch for gcc.deb",
    facts=["expected sha256 ab12, got 9f00", "two\nlines"],
    hint="the mirror may be stale; run `xtool setup ppc64le` with another XTOOL_DEBIAN_MIRROR",
)


def test_an_error_is_message_facts_and_hint() -> None:
    shown, stream = console()
    shown.error(ERROR)
    assert stream.getvalue() == (
        "error: checksum mismatch for gcc.deb\n"
        "\n"
        "  expected sha256 ab12, got 9f00\n"
        "  two\n"
        "  lines\n"
        "\n"
        "hint: the mirror may be stale; run `xtool setup ppc64le` with another XTOOL_DEBIAN_MIRROR\n"
    )


def test_an_error_without_facts_or_hint_is_one_line() -> None:
    shown, stream = console()
    shown.error(UsageError("no"))
    assert stream.getvalue() == "error: no\n"


def test_colour_is_added_and_nothing_else() -> None:
    plain_one, without = console()
    coloured, with_colour = console(color=True)
    for one in (plain_one, coloured):
        one.error(ERROR)
        one.warning("careful", hint="do so")
    text = with_colour.getvalue()
    assert "\x1b[1;31merror\x1b[0m: checksum" in text
    for code in ("\x1b[1;31m", "\x1b[1;33m", "\x1b[36m", "\x1b[2m", "\x1b[0m"):
        text = text.replace(code, "")
    assert text == without.getvalue()


@pytest.mark.parametrize(
    ("verbosity", "seen"),
    [
        (-2, set()),
        (-1, {"warning"}),
        (0, {"warning", "info"}),
        (1, {"warning", "info", "detail", "command", "stream"}),
    ],
)
def test_verbosity_decides_what_is_shown(verbosity: int, seen: set[str]) -> None:
    shown, stream = console(verbosity=verbosity)
    shown.info("info-line")
    shown.detail("detail-line")
    shown.warning("warning-line")
    shown.command(["command-line", "two words"], cwd=Path("/there"))
    shown.stream("stream-line\n")
    text = stream.getvalue()
    assert {
        word for word in ("info", "detail", "warning", "command", "stream") if f"{word}-line" in text
    } == seen
    if verbosity >= 1:
        assert "$ command-line 'two words'  (in /there)" in text


def test_a_warning_is_said_once_and_kept() -> None:
    shown, stream = console(verbosity=-2)
    shown.warning("careful", hint="do so")
    shown.warning("careful", hint="do so")
    assert shown.warnings == [{"message": "careful", "hint": "do so"}]
    assert stream.getvalue() == ""


def test_control_characters_of_others_do_not_reach_the_terminal() -> None:
    shown, stream = console(verbosity=1)
    shown.error(UsageError("bad \x1b[2Jname", facts=["\x9b31m"], hint="\x07"))
    shown.stream("\x1b]0;title\x07\n")
    assert "\x1b" not in stream.getvalue()
    assert "\\x1b[2Jname" in stream.getvalue()


def test_steps_have_a_start_and_an_end() -> None:
    shown, stream = console()
    with shown.step("compiling"):
        shown.info("inside")
    lines = stream.getvalue().splitlines()
    assert lines[0] == "compiling ..."
    assert lines[1] == "inside"
    assert lines[2].startswith("compiling: done in 0.")


def test_a_total_that_is_not_known_is_what_came_in_the_end() -> None:
    shown, stream = console()
    with shown.progress("Downloading 2 packages", 0) as progress:
        progress.advance(1_500_000)
        progress.advance(500_000)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "Downloading 2 packages ..."
    assert lines[1].startswith("Downloading 2 packages: 2.0 MB in 0.")


def test_a_failed_step_does_not_say_done() -> None:
    shown, stream = console()
    with pytest.raises(ValueError, match="x"), shown.step("compiling"):
        raise ValueError("x")
    assert "done" not in stream.getvalue()
    assert "failed after" in stream.getvalue()


def test_github_folds_do_not_nest() -> None:
    shown, stream = console(github=True)
    with shown.step("outer"), shown.step("inner"):
        pass
    with shown.step("next"):
        pass
    lines = [line for line in stream.getvalue().splitlines() if not line.startswith(("outer:", "next:"))]
    assert lines[0] == "::group::outer"
    assert lines[1] == "inner ..."
    assert lines[3] == "::endgroup::"
    assert lines[4:] == ["::group::next", "::endgroup::"]


def test_progress_elsewhere_is_one_start_and_one_end_line() -> None:
    shown, stream = console()
    with shown.progress("downloading", 61_200_000) as meter:
        for _ in range(1000):
            meter.advance(61_200)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0] == "downloading: 61.2 MB ..."
    assert lines[1].startswith("downloading: 61.2 MB in 0.")


def test_progress_that_is_quick_draws_no_bar() -> None:
    stream = Terminal()
    with Console(stream, bars=True).progress("downloading", 10) as meter:
        meter.advance(10)
    assert stream.getvalue() == ""


def test_a_bar_shows_bytes_and_rate_and_makes_way_for_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_BAR_DELAY", 0.01)
    stream = Terminal()
    shown = Console(stream, bars=True)
    with shown.progress("downloading", 10_000_000) as meter:
        time.sleep(0.02)
        meter.advance(5_000_000)
        shown.info("a line")
        time.sleep(0.2)
        meter.advance(5_000_000)
    text = stream.getvalue()
    assert "B/s" in text
    assert "5.00M/10.0M" in text
    # The line stands at the start of a row that was wiped.
    assert "\ra line\n" in text
    assert "downloading: 10.0 MB in " in text.splitlines()[-1]


def test_a_failed_transfer_has_no_end_line() -> None:
    shown, stream = console()
    with pytest.raises(ValueError, match="x"), shown.progress("downloading", 10):
        raise ValueError("x")
    assert stream.getvalue() == "downloading: 10 B ...\n"


def test_lines_of_many_threads_stay_whole() -> None:
    shown, stream = console()

    def talk(name: str) -> None:
        for _ in range(200):
            shown.info(name * 40)

    threads = [threading.Thread(target=talk, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 800
    assert all(len(line) == 40 and len(set(line)) == 1 for line in lines)


def test_a_closed_stderr_is_survived() -> None:
    shown = Console(None, verbosity=1, bars=True)
    shown.info("x")
    shown.error(ERROR)
    with shown.progress("x", 1) as meter:
        meter.advance(1)


@pytest.mark.parametrize(
    ("environ", "choice", "colour", "bars"),
    [
        ({}, "auto", True, True),
        ({"NO_COLOR": "1"}, "auto", False, True),
        ({"NO_COLOR": ""}, "auto", True, True),
        ({"TERM": "dumb"}, "auto", False, False),
        ({"TERM": "dumb"}, "always", True, False),
        ({"NO_COLOR": "1"}, "always", True, True),
        ({}, "never", False, True),
        ({"CI": "true"}, "auto", True, False),
    ],
)
def test_colour_and_bars_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], choice: str, colour: bool, bars: bool
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(output, "_BAR_DELAY", 0)
    monkeypatch.setattr(sys, "stderr", terminal)
    shown = make_console(environ, color=choice)
    with shown.progress("loading", 10) as meter:
        meter.advance(10)
    assert ("\r" in terminal.getvalue()) == bars
    shown.error(ERROR)
    assert ("\x1b[1;31m" in terminal.getvalue()) == colour


def test_no_colour_and_no_bars_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    shown = make_console({"TERM": "xterm"})
    with shown.progress("loading", 10) as meter:
        meter.advance(10)
    shown.error(ERROR)
    assert "\x1b" not in stream.getvalue()
    assert "\r" not in stream.getvalue()


def test_the_document_has_exactly_the_contracts_fields() -> None:
    made = json.loads(document("setup", "error", 4, {"path": Path("/x")}, [ERROR]))
    assert made == {
        "schema": 1,
        "command": "setup",
        "status": "error",
        "exit_code": 4,
        "data": {"path": "/x"},
        "errors": [
            {"code": "integrity", "message": ERROR.message, "facts": list(ERROR.facts), "hint": ERROR.hint}
        ],
    }


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (16_900_000, "16.9 MB"),
        (999_960, "1.0 MB"),
        (10**15, "1000.0 TB"),
    ],
)
def test_bytes(count: int, text: str) -> None:
    assert format_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (2.34, "2.3 s"), (9.96, "10 s"), (59.4, "59 s"), (185, "3 min 5 s")],
)
def test_seconds(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_table_aligns_and_leaves_no_trailing_blanks() -> None:
    assert table([["a", "bbb"], ["ccc", "d"]], ["x", "y"]) == "x    y\na    bbb\nccc  d"


def test_plain_keeps_words_of_every_language() -> None:
    assert plain("naïve 目标\ttab") == "naïve 目标\ttab"


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ([], "0 B"),
        ([1500, 500], "2.0 kB"),
        ([1500, 0, 0], "1.5 kB and 2 of unknown size"),
        ([0, 0], "size unknown"),
    ],
)
def test_sizes_that_nobody_knows_are_not_nothing(sizes: list[int], text: str) -> None:
    assert format_sizes(sizes) == text
