#!/usr/bin/env python3
"""Build and smoke-test the same projects for every target and every Python, as a user would; print a table.

    scripts/target_table.py                                   everything that this host has locks for
    scripts/target_table.py --target s390x --python 3.11 --package zstandard
    scripts/target_table.py -j 2 --write                      put the table into docs/targets.md

Rows are a target and a Python, columns a project: three of `tests/projects/` (C, C++, one whose tests start
child processes) and five from the index, at fixed versions. Each cell is one `xtool build`: its platform tag
and what came of its tests, which use what was built and do not only import it. A cell is right when its tests
passed and its tag is one of PEP 600's.

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
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from target_facts import PAGE, replace_part

ROOT = Path(__file__).parent.parent
PROJECTS = ROOT / "tests" / "projects"
MOST_SECONDS = 3600
"""For one build, its tests under the emulator included, on a busy machine."""


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
    ready = [kit for kit in kits if _set_up(kit, projects, cells)]
    with tempfile.TemporaryDirectory() as folder:
        outdir = arguments.outdir or Path(folder)
        jobs = [
            (project, kit.target, python) for kit in ready for python in kit.pythons for project in projects
        ]

        def one(job: tuple[Project, str, str]) -> None:
            project, target, python = job
            for (of, version), cell in build(project, [target], [python], outdir, arguments.jobs).items():
                cells[of, version, project.name] = cell
                _say(f"{of} {version} {project.name}: {cell.text}")

        with ThreadPoolExecutor(max_workers=arguments.jobs) as pool:
            list(pool.map(one, jobs))
    table = _table(kits, projects, cells)
    print(table)
    failed = {where: cell for where, cell in cells.items() if cell.problem}
    for where, cell in sorted(failed.items()):
        _say(f"{' '.join(where)}: {cell.problem}")
    _say(f"{len(cells)} builds, {len(failed)} failed")
    if arguments.write:
        today = datetime.now(timezone.utc).strftime("%-d %B %Y")
        replace_part(PAGE, "table", f"Made on {today}.\n\n{table}")
    return 1 if failed or not cells else 0


def _arguments() -> argparse.Namespace:
    names = [project.name for project in PROJECTS_OF_THE_TABLE]
    parser = argparse.ArgumentParser(description="build and test projects for every target and every Python")
    parser.add_argument(
        "--target", action="append", help="default: every target that this host has a lock for"
    )
    parser.add_argument("--python", action="append", help="default: every Python of the target's lock")
    parser.add_argument("--package", action="append", choices=names, help="default: all")
    parser.add_argument("-j", "--jobs", type=int, default=1, help="builds at once")
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


def _set_up(kit: Kit, projects: Iterable[Project], cells: dict[Where, Cell]) -> bool:
    """Set a target up with all its Pythons; where that fails, it is what all its cells say."""
    words = [word for version in kit.pythons for word in ("--python", version)]
    document = _xtool("setup", kit.target, *words)
    _say(f"{kit.target}: {'set up' if document['exit_code'] == 0 else 'not set up'}")
    if document["exit_code"] == 0:
        return True
    for python in kit.pythons:
        for project in projects:
            cells[kit.target, python, project.name] = _failure("set-up", document["errors"])
    return False


def build(
    project: Project, targets: Sequence[str], pythons: Sequence[str], outdir: Path, at_once: int
) -> Mapping[tuple[str, str], Cell]:
    """Build a project for the product of targets and Pythons with one command; a cell for each.

    Args:
        project: what.
        targets: for which targets.
        pythons: for which Pythons.
        outdir: where the wheels go.
        at_once: how many such commands run side by side and share the processors.
    """
    words = ["build", project.source, "--outdir", str(outdir), "--test-command", project.test]
    words += [word for target in targets for word in ("--target", target)]
    words += [word for python in pythons for word in ("--python", python)]
    words += ["--jobs", str(max(1, (os.cpu_count() or 1) // at_once))]
    document = _xtool(*words)
    made = {(wheel["target"], wheel["python"]): wheel for wheel in (document["data"] or {}).get("wheels", ())}
    return {
        (target, python): _cell(made[target, python])
        if (target, python) in made
        else _failure("", document["errors"])
        for target in targets
        for python in pythons
    }


def _cell(wheel: Mapping[str, Any]) -> Cell:
    """The cell of a finished wheel: the PEP 600 tag without the machine's name, and its tests."""
    target, smoke = str(wheel["target"]), str(wheel["smoke"]["status"])
    tag = re.search(rf"(manylinux_\d+_\d+)_{re.escape(target)}$", str(wheel["platform_tag"]))
    text = f"{tag[1] if tag else wheel['platform_tag']}, {smoke}"
    if tag is None:
        return Cell(f"**{text}**", f"the platform tag is {wheel['platform_tag']}")
    return Cell(text) if smoke == "passed" else Cell(f"**{text}**", f"its tests: {wheel['smoke']}")


def _failure(step: str, errors: Sequence[Mapping[str, Any]]) -> Cell:
    """The cell of a build that failed: what in few words; all of it as the problem."""
    if errors and all(error["code"] == "requires-python" for error in errors):
        return Cell("not for this Python")
    codes = " ".join(str(error["code"]) for error in errors) or "no wheel"
    return Cell(f"**failed: {' '.join(filter(None, (step, codes)))}**", json.dumps(errors, indent=1))


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
    """What xtool says of a command, as data."""
    command = [sys.executable, "-m", "xtool", *words, "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=MOST_SECONDS)
    try:
        document: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        problem = {"code": "no-document", "message": done.stderr[-3000:]}
        return {"exit_code": done.returncode or 1, "data": None, "errors": [problem]}
    return document


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
