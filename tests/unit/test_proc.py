"""Processes: how they end, and that waiting for them costs nothing."""

from __future__ import annotations

import os
import statistics
import sys
import threading
import time
from pathlib import Path

import pytest

from xtool import proc
from xtool.errors import CommandFailed, Interrupted
from xtool.log import SilentLog

WITH_A_CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


def run(code: str, timeout: float | None = None) -> proc.Completed:
    return proc.run(
        [sys.executable, "-I", "-S", "-c", code],
        log=SilentLog(),
        timeout=timeout,
        what="the test",
        check=False,
    )


def test_a_limit_in_time_does_not_delay_what_ends_before() -> None:
    def seconds(timeout: float | None) -> float:
        code = "import time; time.sleep(0.12)"
        return statistics.median(run(code, timeout).seconds for _ in range(5))

    assert seconds(60.0) - seconds(None) < 0.03


def test_a_command_that_takes_too_long_is_ended_with_its_children() -> None:
    started = time.monotonic()
    with pytest.raises(CommandFailed, match=r"the test took longer than 0\.5 s") as caught:
        run(WITH_A_CHILD, timeout=0.5)
    assert time.monotonic() - started < 4
    assert caught.value.code == "timeout"
    child = int(caught.value.facts[-1])
    for _ in range(100):
        if not _is_running(child):
            break
        time.sleep(0.05)
    assert not _is_running(child)


def test_a_command_that_ends_by_itself_keeps_its_code() -> None:
    assert run("raise SystemExit(7)", timeout=60.0).returncode == 7


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie that nobody has waited for yet has ended.
    status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return status.rpartition(")")[2].split()[0] != "Z"


def test_commands_of_one_piece_of_work_end_without_the_others(tmp_path: Path) -> None:
    script = "trap '' TERM; echo $$ >> {note}; sleep 300 & wait; sleep 300"
    ended: dict[str, BaseException | proc.Completed] = {}
    pieces = {name: proc.Commands() for name in ("stopped", "other")}
    notes = {name: tmp_path / name for name in pieces}
    release = tmp_path / "release"

    def work(name: str) -> None:
        argv = ["sh", "-c", script.format(note=notes[name])]
        if name == "other":
            argv = ["sh", "-c", f"echo $$ > {notes[name]}; until [ -e {release} ]; do sleep 0.05; done"]
        with pieces[name].current():
            try:
                ended[name] = proc.run(argv, log=SilentLog(), env={"PATH": os.defpath}, check=False)
            except Interrupted as error:
                ended[name] = error

    threads = {name: threading.Thread(target=work, args=(name,)) for name in pieces}
    for thread in threads.values():
        thread.start()
    until = time.monotonic() + 60
    while not all(note.is_file() and note.read_text().strip() for note in notes.values()):
        assert time.monotonic() < until
        time.sleep(0.02)
    pieces["stopped"].end()
    threads["stopped"].join(60)
    assert isinstance(ended["stopped"], Interrupted)
    # SIGTERM was ignored, so that SIGKILL had to follow; nothing of the group is left.
    assert not Path(f"/proc/{notes['stopped'].read_text().split()[0]}").exists()
    assert threads["other"].is_alive()
    release.touch()
    threads["other"].join(60)
    other = ended["other"]
    assert isinstance(other, proc.Completed)
    assert other.returncode == 0


def test_nothing_starts_once_the_work_was_ended(tmp_path: Path) -> None:
    commands = proc.Commands()
    commands.end()
    with commands.current(), pytest.raises(Interrupted):
        proc.run(["touch", str(tmp_path / "ran")], log=SilentLog(), env={"PATH": os.defpath})
    assert not (tmp_path / "ran").exists()
    proc.run(["touch", str(tmp_path / "ran")], log=SilentLog(), env={"PATH": os.defpath})
    assert (tmp_path / "ran").exists()
