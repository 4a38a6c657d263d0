#!/usr/bin/env python3
"""Build and smoke-test the same projects for every target and every Python, as a user would; print a table.

    scripts/target_table.py                                   everything that this host has locks for
    scripts/target_table.py --target s390x --python 3.11 --package zstandard
    scripts/target_table.py -j 2 --write                      put the table into docs/targets.md

Rows are a target and a Python, columns a project: four of `tests/projects/` (C, C++, one whose tests start
child processes, one that holds the target's ABI against its documents) and five from the index, at fixed
versions. A column is one matrix build, or two where targets have not the same Pythons. A cell says which
platform tag its wheel has and what came of its tests, which use what was built and do not only import it. It
is right when the tests passed and the tag is one of PEP 600's.

Prints Markdown, says on stderr what goes on and why cells failed, and exits 1 when one did. Where a project's
own `requires-python` excludes a Python, the cell says so and counts as right. Files go to the cache
(XTOOL_CACHE_DIR).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from target_facts import PAGE, replace_part

ROOT = Path(__file__).parent.parent
PROJECTS = ROOT / "tests" / "projects"


@dataclass(frozen=True)
class Project:
    """What is built in one column.

    Args:
        name: the column's head.
        source: what `xtool build` is given.
        test: the command that tests the wheel.
    """

    name: str
    source: str
    test: str


def _using(program: str) -> str:
    return f"python -c {shlex.quote(program.strip())}"


PROJECTS_OF_THE_TABLE = (
    Project(
        "c-setuptools",
        str(PROJECTS / "c-setuptools"),
        _using("""
import xt_c
assert xt_c.total(2**40, 2) == 2**40 + 2
assert abs(xt_c.where(27.0)[1] - 3) < 1e-12
"""),
    ),
    Project(
        "cpp-setuptools",
        str(PROJECTS / "cpp-setuptools"),
        _using("""
import xt_cpp
assert xt_cpp.work(4) == (6, 4, "thrown in a thread", True)
"""),
    ),
    Project("spawns", str(PROJECTS / "spawns"), "python -m xt_spawns"),
    Project("abi-facts", str(PROJECTS / "abi-facts"), "python {project}/check.py"),
    Project(
        "markupsafe",
        "markupsafe==3.0.4",
        _using("""
from markupsafe import _speedups, escape
assert str(escape("<\\u00e9\\u20ac\\U0001f600&>")) == "&lt;\\u00e9\\u20ac\\U0001f600&amp;&gt;"
"""),
    ),
    Project(
        "psutil",
        "psutil==7.2.2",
        _using("""
import os, psutil
here = psutil.Process()
assert here.pid == os.getpid() and here.memory_info().rss > 2**20
assert psutil.virtual_memory().total > 2**20 and psutil.boot_time() > 10**9
assert psutil.disk_usage("/").total > 0 and psutil.net_if_addrs()
"""),
    ),
    Project(
        "greenlet",
        "greenlet==3.5.6",
        _using("""
from greenlet import greenlet, getcurrent
main = getcurrent()
def body(first):
    second = main.switch(first + 1)
    try:
        main.switch(second * 2.5)
    except KeyError as error:
        return error.args[0]
other = greenlet(body)
assert other.switch(1) == 2 and other.switch(4) == 10.0 and other.throw(KeyError("thrown")) == "thrown"
assert other.dead
"""),
    ),
    Project(
        "ujson",
        "ujson==6.1.0",
        _using("""
import ujson
value = {"a": [1, -2**63, 2**64 - 1, 0.1, 1e308, None, True], "\\u20ac\\U0001f600": "\\u00e9"}
assert ujson.loads(ujson.dumps(value)) == value
"""),
    ),
    Project(
        "zstandard",
        "zstandard==0.25.0",
        _using("""
import zstandard
assert zstandard.backend == "cext"
data = bytes(range(256)) * 4096
frame = zstandard.ZstdCompressor(level=19, write_checksum=True, threads=2).compress(data)
assert len(frame) < 4096 and zstandard.ZstdDecompressor().decompress(frame) == data
assert frame[:4] == b"\\x28\\xb5\\x2f\\xfd" and zstandard.frame_content_size(frame) == len(data)
"""),
    ),
)


@dataclass(frozen=True)
class Kit:
    """What can be set up for one target."""

    target: str
    pythons: tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """What came of one build.

    Args:
        text: what the table says.
        problem: what is wrong at length; empty when nothing is.
    """

    text: str
    problem: str = ""


Where = tuple[str, str, str]
"""Target, Python, project: the place of a cell."""


def main() -> int:
    arguments = _arguments()
    kits = _kits(arguments)
    projects = [p for p in PROJECTS_OF_THE_TABLE if p.name in (arguments.package or (p.name,))]
    cells: dict[Where, Cell] = {}
    with tempfile.TemporaryDirectory() as folder:
        outdir = arguments.outdir or Path(folder)
        for project in projects:
            for pythons, targets in _alike(kits).items():
                made = build(project, targets, pythons, outdir, arguments.jobs)
                cells |= {(target, python, project.name): cell for (target, python), cell in made.items()}
    table = _table(kits, projects, cells)
    print(table)
    failed = {where: cell for where, cell in cells.items() if cell.problem}
    for where, cell in sorted(failed.items()):
        _say(f"{' '.join(where)}: {cell.problem}")
    _say(f"{len(cells)} cells, {len(failed)} failed")
    if arguments.write:
        today = datetime.now(timezone.utc).strftime("%-d %B %Y")
        replace_part(PAGE, "table", f"Made on {today}.\n\n{table}")
    return 1 if failed or not cells else 0


def _arguments() -> argparse.Namespace:
    names = [project.name for project in PROJECTS_OF_THE_TABLE]
    parser = argparse.ArgumentParser(description="build and test projects for every target and every Python")
    parser.add_argument("--target", action="append", help="default: all with a lock for this host")
    parser.add_argument("--python", action="append", help="default: every Python of the target's lock")
    parser.add_argument("--package", action="append", choices=names, help="default: all")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1, help="how much runs at once")
    parser.add_argument("--outdir", type=Path, help="keep the wheels here")
    parser.add_argument("--write", action="store_true", help="put the table into docs/targets.md")
    arguments = parser.parse_args()
    if arguments.write and (arguments.target or arguments.python or arguments.package):
        parser.error("--write is for the whole table")
    return arguments


def _kits(arguments: argparse.Namespace) -> list[Kit]:
    """What `xtool list --available` offers, as far as it was asked for."""
    offered = _xtool("list", "--available")["data"]["targets"]
    kits = []
    for offer in offered:
        # Portable builds come from one host that many networks do not reach: they are there for who asks.
        wanted = tuple(
            python["version"]
            for python in offer["pythons"]
            if (python["version"] in arguments.python if arguments.python else "debian" in python["sources"])
        )
        if wanted and offer["target"] in (arguments.target or (offer["target"],)):
            kits.append(Kit(offer["target"], wanted))
    missing = set(arguments.target or ()) - {kit.target for kit in kits}
    if missing or not kits:
        sys.exit(f"error: not offered: {' '.join(sorted(missing)) or 'anything of this'}")
    return kits


def _alike(kits: Sequence[Kit]) -> Mapping[tuple[str, ...], list[str]]:
    """By the Pythons that they have, the targets: one matrix each."""
    found: dict[tuple[str, ...], list[str]] = {}
    for kit in kits:
        found.setdefault(kit.pythons, []).append(kit.target)
    return found


def build(
    project: Project, targets: Sequence[str], pythons: Sequence[str], outdir: Path, jobs: int
) -> Mapping[tuple[str, str], Cell]:
    """Build a project for the product of targets and Pythons with one command; a cell for each.

    Args:
        project: what.
        targets: for which targets.
        pythons: for which Pythons.
        outdir: where the wheels go.
        jobs: how much may run at once.
    """
    words = ["build", project.source, "--outdir", str(outdir), "--test-command", project.test]
    words += [word for target in targets for word in ("--target", target)]
    words += [word for python in pythons for word in ("--python", python)]
    document = _xtool(*words, "--jobs", str(jobs))
    data = document["data"] or {}
    cells: dict[tuple[str, str], Cell] = {}
    for wheel in data.get("wheels", ()):
        cells[wheel["target"], wheel["python"]] = _cell(wheel, wheel["smoke"])
        tested = {test["python"]: test for test in wheel["tested"]}
        for other in wheel["serves"]:
            cells[other["target"], other["python"]] = _cell(wheel, tested.get(other["python"]))
    for failure in data.get("failed", ()):
        cells[failure["target"], failure["python"]] = _failure(failure)
    nothing = {"code": None, "message": json.dumps(document["errors"], indent=1)}
    return {
        (target, python): cells.get((target, python)) or _failure(nothing)
        for target in targets
        for python in pythons
    }


def _cell(wheel: Mapping[str, Any], smoke: Mapping[str, Any] | None) -> Cell:
    """The cell of a finished wheel: the glibc of its PEP 600 tag as it stands there (`2_17`), and its tests.

    Args:
        wheel: the wheel; one for the stable ABI stands in the cells of all Pythons that it serves.
        smoke: its tests on the cell's Python; None where only others, the oldest and the newest, tried it.
    """
    target = str(wheel["target"])
    tag = re.search(rf"manylinux_(\d+_\d+)_{re.escape(target)}$", str(wheel["platform_tag"]))
    status = str(smoke["status"]) if smoke else f"as {wheel['python']}"
    text = f"{tag[1] if tag else wheel['platform_tag']}, {status}"
    if tag is None:
        return Cell(f"**{text}**", f"the platform tag is {wheel['platform_tag']}")
    return Cell(text) if smoke is None or status == "passed" else Cell(f"**{text}**", f"its tests: {smoke}")


def _failure(failure: Mapping[str, Any]) -> Cell:
    """The cell of a build that failed: what in few words; all of it as the problem."""
    if failure["code"] == "requires-python":
        return Cell("not for this Python")
    words = " ".join(filter(None, (failure.get("step"), failure["code"] or "no wheel")))
    return Cell(f"**failed: {words}**", f"{failure['message']} {failure.get('log') or ''}".strip())


def _table(kits: Sequence[Kit], projects: Sequence[Project], cells: Mapping[Where, Cell]) -> str:
    """The cells as Markdown; heads name what is built and, for what comes from the index, its version."""
    heads = [
        "target",
        "Python",
        *(f"{p.name}{' ' if '==' in p.source else ''}{_version(p)}" for p in projects),
    ]
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for kit in kits:
        for python in kit.pythons:
            texts = [cells[kit.target, python, project.name].text for project in projects]
            lines.append(f"| {' | '.join((kit.target, python, *texts))} |")
    return "\n".join(lines)


def _version(project: Project) -> str:
    return project.source.partition("==")[2]


def _xtool(*words: str) -> dict[str, Any]:
    """What xtool says of a command, as data; what it tells people goes to stderr as it comes."""
    command = [sys.executable, "-m", "xtool", *words, "--output", "json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    try:
        document: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        problem = {"code": "no-document", "message": f"exit code {done.returncode}"}
        return {"exit_code": done.returncode or 1, "data": None, "errors": [problem]}
    return document


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
