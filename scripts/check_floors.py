#!/usr/bin/env python3
"""Build one test set at several floors, as a user would, and hold each wheel's tag against auditwheel.

    scripts/check_floors.py                                   ppc64le: derived 2.17, 2.28, 2.34, and Debian's
    scripts/check_floors.py --target s390x --floor 2.26 --kind c
    scripts/check_floors.py --sysroot derived --all           every floor that has a policy

`tests/projects/floors/` makes a wheel each of C, C++, Fortran and OpenMP. Every one uses a function of the
newest glibc that its sysroot's headers offer, so what its symbols need follows the floor. For each wheel:

- the platform tag in its name is that of the floor's manylinux policy, with the policy's older names;
- `glibc_required`, as xtool computes it, is the newest glibc of `newest.h` that the floor has;
- `auditwheel show` gives the oldest of its policies that has that glibc: where `newest.h` has a function of
  the floor itself, the tag of the name;
- the project's own `check.py` has passed under qemu-user, and the newest function it used was of that glibc.

Prints a table, Markdown, and exits 1 when anything disagrees. Files go to the cache (XTOOL_CACHE_DIR).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditwheel.architecture import Architecture
from auditwheel.libc import Libc
from auditwheel.policy import WheelPolicies

PROJECT = Path(__file__).parent.parent / "tests" / "projects" / "floors"
KINDS = ("c", "cpp", "fortran", "openmp")
FLOORS = ("2.17", "2.28", "2.34")
SYSROOTS = ("derived", "debian")
MOST_SECONDS = 900
"""For one build with its set-up, on a busy machine."""

Glibc = tuple[int, int]


@dataclass(frozen=True)
class Tag:
    """A policy of auditwheel's: its glibc, its tag and the tag's older names."""

    glibc: Glibc
    name: str
    aliases: tuple[str, ...]

    @property
    def platforms(self) -> frozenset[str]:
        """What stands in a wheel's name."""
        return frozenset((self.name, *self.aliases))


@dataclass(frozen=True)
class Row:
    """What came of one build.

    Args:
        cells: the table's row.
        problems: what disagrees.
    """

    cells: tuple[str, ...]
    problems: tuple[str, ...]


def main() -> int:
    arguments = _arguments()
    tags = _tags(arguments.target)
    rows = []
    print("| project | sysroot | floor | platform tag | needs glibc | auditwheel | tests |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        shutil.copytree(PROJECT, place / "project")
        for sysroot in arguments.sysroot or SYSROOTS:
            for floor in _floors(arguments, sysroot, tags):
                for kind in arguments.kind or KINDS:
                    outdir = (arguments.outdir or place) / f"{sysroot}-{floor or 'own'}"
                    rows.append(_build(kind, sysroot, floor, arguments, tags, place / "project", outdir))
                    print(f"| {' | '.join(rows[-1].cells)} |", flush=True)
    for row in rows:
        for problem in row.problems:
            print(f"{' '.join(row.cells[:3])}: {problem}", file=sys.stderr)
    wrong = sum(bool(row.problems) for row in rows)
    print(f"{len(rows)} wheels, {wrong} in disagreement", file=sys.stderr)
    return 1 if wrong or not rows else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="hold the tags of wheels for several floors against auditwheel"
    )
    parser.add_argument("--target", default="ppc64le")
    parser.add_argument("--python", default="3.13")
    parser.add_argument("--sysroot", action="append", help=f"default: {' and '.join(SYSROOTS)}")
    parser.add_argument(
        "--floor", action="append", metavar="X.Y", help=f"floors to derive (default: {', '.join(FLOORS)})"
    )
    parser.add_argument("--all", action="store_true", help="derive every floor that has a policy")
    parser.add_argument("--kind", action="append", choices=KINDS, help="default: all")
    parser.add_argument("--outdir", type=Path, help="keep the wheels here")
    arguments = parser.parse_args()
    if arguments.floor and arguments.all:
        parser.error("--floor and --all exclude each other")
    return arguments


def _tags(machine: str) -> list[Tag]:
    """auditwheel's policies for a machine, the oldest first; nothing of xtool's is asked."""
    found = []
    for policy in WheelPolicies(libc=Libc.GLIBC, arch=Architecture(machine)):
        match = re.match(r"manylinux_(\d+)_(\d+)_", policy.name)
        if match:
            found.append(Tag((int(match[1]), int(match[2])), policy.name, tuple(policy.aliases)))
    return sorted(found, key=lambda tag: tag.glibc)


def _floors(arguments: argparse.Namespace, sysroot: str, tags: Sequence[Tag]) -> list[str | None]:
    """Floors to ask for; a distribution's sysroot has its own."""
    if sysroot != "derived":
        return [None]
    if arguments.all:
        return [_text(tag.glibc) for tag in tags if tag.glibc >= (2, 17)]
    lowest = _text(tags[0].glibc)
    return list(arguments.floor or sorted({max(floor, lowest, key=_glibc) for floor in FLOORS}, key=_glibc))


def _build(
    kind: str,
    sysroot: str,
    floor: str | None,
    arguments: argparse.Namespace,
    tags: Sequence[Tag],
    project: Path,
    outdir: Path,
) -> Row:
    words = ["build", str(project), "--target", arguments.target, "--python", arguments.python]
    words += ["--sysroot", sysroot, "--fortran", "--outdir", str(outdir), "--output", "json"]
    words += ["--test-command", f"timeout 300 python {{project}}/check.py {kind} {outdir}/newest-{kind}"]
    words += ["--glibc", floor] if floor else []
    outdir.mkdir(parents=True, exist_ok=True)
    document = _xtool(*words, XT_FLOORS=kind)
    if document["exit_code"] != 0:
        cells = (kind, sysroot, floor or "", "**failed**", "", "", "")
        return Row(cells, tuple(f"{e['message']} {e.get('facts', '')}" for e in document["errors"]))
    (wheel,) = document["data"]["wheels"]
    wanted = _glibc(floor or _own_floor(sysroot, arguments))
    used = (outdir / f"newest-{kind}").read_text().strip()
    audited = _audited(Path(wheel["path"]))
    smoke = wheel["smoke"]["status"]
    problems = _problems(wheel, wanted, used, audited, tags)
    problems += [] if smoke == "passed" else [f"its tests: {smoke}"]
    known = (kind, sysroot, _text(wanted), str(wheel["platform_tag"]), str(wheel["glibc_required"]))
    return Row((*known, audited, smoke), tuple(problems))


def _problems(wheel: dict[str, Any], floor: Glibc, used: str, audited: str, tags: Sequence[Tag]) -> list[str]:
    """What of a wheel's name, symbols and auditwheel's verdict disagrees with its floor."""
    found = []
    in_name = frozenset(Path(wheel["path"]).stem.rpartition("-")[2].split("."))
    earned = next((tag for tag in tags if tag.glibc >= floor), None)
    if (
        earned is None
        or in_name != earned.platforms
        or in_name != frozenset(wheel["platform_tag"].split("."))
    ):
        found.append(f"is named {wheel['path']}, its floor has {earned}")
    newest = max(version for version in _steps() if version <= floor)
    if wheel["glibc_required"] != _text(newest):
        found.append(f"its symbols need glibc {wheel['glibc_required']}, not {_text(newest)}")
    if used != _text(newest):
        found.append(f"used a function of glibc {used}, not of {_text(newest)}")
    consistent = next((tag.name for tag in tags if tag.glibc >= newest), None)
    if audited != consistent:
        found.append(f"auditwheel calls it {audited}, not {consistent}")
    return found


def _steps() -> list[Glibc]:
    """The glibc versions that `newest.h` has a function of."""
    text = (PROJECT / "newest.h").read_text(encoding="utf-8")
    steps = re.findall(r"#if __GLIBC_PREREQ \((\d+), (\d+)\)\n(?!#include|/\*)", text)
    return [(int(major), int(minor)) for major, minor in steps]


def _own_floor(sysroot: str, arguments: argparse.Namespace) -> str:
    """The glibc of a distribution's sysroot, as `xtool setup` tells it."""
    words = ["setup", arguments.target, "--sysroot", sysroot, "--python", arguments.python, "--fortran"]
    document = _xtool(*words, "--output", "json")
    return str(document["data"]["kits"][0]["sysroot"]["glibc"])


def _audited(wheel: Path) -> str:
    """The tag that auditwheel itself finds, in a process of its own."""
    command = [sys.executable, "-m", "auditwheel", "show", "--json", str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return str(json.loads(done.stdout)["overall_tag"]) if done.returncode == 0 else done.stderr.strip()


def _xtool(*words: str, **environ: str) -> dict[str, Any]:
    """What xtool says of a command, as data."""
    command = [sys.executable, "-m", "xtool", *words]
    environment = {**os.environ, **environ}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=MOST_SECONDS
    )
    try:
        document: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {"exit_code": done.returncode or 1, "errors": [{"message": done.stderr[-3000:]}]}
    return document


def _glibc(text: str) -> Glibc:
    major, _, minor = text.partition(".")
    return int(major), int(minor)


def _text(glibc: Glibc) -> str:
    return f"{glibc[0]}.{glibc[1]}"


if __name__ == "__main__":
    sys.exit(main())
