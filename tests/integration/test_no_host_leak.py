"""Nothing of the host leaks into a build, by the kernel's word: strace of a whole `xtool build`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.commandline import xtool

TOOLS = re.compile(r"/(cc1|cc1plus|collect2|[^/]*-?(gcc|g\+\+|cpp|as|ld|ld\.bfd))$")
"""Programs that read headers and libraries; the shell wrappers around them are not among them."""

_UNFINISHED = " <unfinished ...>"

PROJECTS = Path(__file__).parent.parent / "projects"


def _opened_by_tools(log: str) -> tuple[set[str], set[str]]:
    """The programs among `TOOLS` that ran, and the files that they opened."""
    running: dict[str, str] = {}
    ran, opened = set(), set()
    for pid, call in _calls(log):
        if started := re.match(r'execve\("([^"]+)".* = 0$', call):
            running[pid] = started[1]
            if TOOLS.search(started[1]) and not _is_script(started[1]):
                ran.add(started[1])
        elif (file := re.match(r'open(?:at)?\((?:[^,"]+, )?"([^"]+)".* = \d+', call)) and running.get(
            pid
        ) in ran:
            opened.add(file[1])
    return ran, opened


def _calls(log: str) -> Iterator[tuple[str, str]]:
    """Process and text of each call; where another process came in between, strace writes it in two parts."""
    begun: dict[str, str] = {}
    for line in log.splitlines():
        pid, _, call = line.partition(" ")
        call = call.lstrip()
        if call.endswith(_UNFINISHED):
            begun[pid] = call.removesuffix(_UNFINISHED)
        elif resumed := re.match(r"<\.\.\. \w+ resumed>", call):
            yield pid, begun.pop(pid, "") + call[resumed.end() :]
        else:
            yield pid, call


def _is_script(program: str) -> bool:
    try:
        with Path(program).open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        # Wrappers lie in the build's own folder, which is gone by now; the toolchain is still there.
        return True


@pytest.mark.parametrize(
    ("project", "target"),
    [
        ("c-setuptools", "ppc64le"),
        ("cpp-setuptools", "ppc64le"),
        ("machine-branch", "ppc64le"),
        # Its compiler is built to look where the host keeps its own files.
        ("cpp-setuptools", "x86_64"),
    ],
)
def test_compilers_open_no_file_of_the_host(
    shared_cache: Path, tmp_path: Path, project: str, target: str
) -> None:
    assert xtool(shared_cache, "setup", target).returncode == 0
    log = tmp_path / "strace.log"
    done = subprocess.run(
        [
            *("strace", "-f", "-qq", "-s", "4096", "-e", "trace=execve,open,openat", "-o", str(log)),
            *(sys.executable, "-m", "xtool", "build", str(PROJECTS / project), "--target", target),
            *("--python", "3.13", "--no-test", "--compiler-cache", "none", "--outdir", str(tmp_path / "out")),
            *("--cache-dir", str(shared_cache)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    ran, opened = _opened_by_tools(log.read_text(errors="replace"))
    names = {Path(program).name for program in ran}
    assert "cc1plus" in names if project.startswith("cpp") else "cc1" in names
    assert any(path.endswith("Python.h") for path in opened)
    assert any(path.endswith(("/libc.so", "/libc.so.6")) for path in opened)
    ours = (str(shared_cache), str(tmp_path), tempfile.gettempdir(), "/dev/", "/proc/self", "/xtool/")
    absolute = {os.path.normpath(path) for path in opened if path.startswith("/")}
    assert {path for path in absolute if not path.startswith(ours)} == set()
