#!/usr/bin/env python3
"""What a profile taken under emulation is worth: counters, speed and costs of real packages, measured.

    scripts/pgo_evidence.py FOLDER                      everything, kept in FOLDER (two hours on two cores)
    scripts/pgo_evidence.py FOLDER --only worth         one part of it
    scripts/pgo_evidence.py FOLDER --package ujson      of some packages
    scripts/pgo_evidence.py FOLDER --only page          nothing new; tables and plots into docs/pgo.md

The parts are costs, builds, counters, targets, worth, instructions, graphs. Each package has two scripts in
`scripts/pgo/workloads/`: one that trains, one that is timed, with other inputs. Wheels are built once and
kept in FOLDER, and what a part finds is written there as JSON; the page is made of that. Needs an x86_64
host; `instructions` a C compiler and a qemu-user with plugins (`--qemu`, by default the qemu-ppc64le on
PATH); `page` matplotlib (`pip install --group evidence`).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from pgo import counters, graphs, instructions, timing  # noqa: E402
from pgo.builds import NATIVE, PACKAGES, PYTHON, WORKLOADS, BuildFailedError, Built, Shop  # noqa: E402

from xtool.build.source import obtain  # noqa: E402
from xtool.catalog import Catalog  # noqa: E402
from xtool.config import Settings  # noqa: E402
from xtool.context import Context  # noqa: E402
from xtool.kit import Kit  # noqa: E402
from xtool.log import SilentLog  # noqa: E402
from xtool.paths import default_cache_dir  # noqa: E402
from xtool.setup import Request, ensure_kit  # noqa: E402

COUNTED = "ppc64le"
"""The target whose instructions are counted."""

TIMED = ("plain", "native", "native-again", "qemu", "qemu-baseline", "from-s390x")
"""The x86_64 wheels that are timed."""


@dataclass(frozen=True)
class Run:
    """One run of this script.

    Args:
        shop: where builds are.
        packages: the packages.
        targets: the targets beside x86_64.
        rounds: rounds of a session.
        sessions: sessions of a package.
        qemu: a qemu-user that takes plugins.
    """

    shop: Shop
    packages: Sequence[str]
    targets: Sequence[str]
    rounds: int
    sessions: int
    qemu: Path

    def file(self, part: str) -> Path:
        """Where a part's results are kept."""
        return self.shop.folder / f"{part}.json"

    def known(self, part: str) -> dict[str, Any]:
        """What is known of a part, by package."""
        path = self.file(part)
        return dict(json.loads(path.read_bytes())) if path.is_file() else {}

    def keep(self, part: str, package: str, found: object) -> None:
        """Keep what was found of a package."""
        known = {**self.known(part), package: found}
        self.file(part).write_text(json.dumps(known, indent=1), encoding="utf-8")
        say(f"{part}: {package} done")


def main() -> int:
    arguments = _arguments()
    if platform.machine() != NATIVE:
        print(f"this needs an {NATIVE} host: wheels are timed there", file=sys.stderr)
        return 2
    folder: Path = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    targets = arguments.target or [name for name in Catalog().targets if name != NATIVE]
    run = Run(
        Shop(folder, arguments.jobs),
        arguments.package or list(PACKAGES),
        targets,
        arguments.rounds,
        arguments.sessions,
        arguments.qemu,
    )
    try:
        for part in arguments.only or [*PARTS, *WHOLE]:
            if part == "page":
                from pgo import page

                page.write(folder)
                continue
            if part == "graphs":
                run.keep(part, graphs.SOURCE, compare_graphs(run))
                continue
            for package in run.packages:
                run.keep(part, package, PARTS[part](run, package))
    except (BuildFailedError, timing.WorkloadFailedError) as error:
        say(str(error))
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="measure what a profile taken under emulation is worth")
    parser.add_argument("folder", type=Path, help="wheels and results are kept here")
    parser.add_argument("--only", action="append", choices=[*PARTS, *WHOLE], help="default: all parts")
    parser.add_argument("--package", action="append", choices=list(PACKAGES), help="default: all")
    parser.add_argument("--target", action="append", help="beside x86_64 (default: all)")
    parser.add_argument("--rounds", type=int, default=20, help="rounds of a session")
    parser.add_argument("--sessions", type=int, default=12, help="sessions, each with new processes")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="for each build")
    parser.add_argument(
        "--qemu", type=Path, default=Path(f"qemu-{COUNTED}"), help="a qemu-user that takes plugins"
    )
    return parser.parse_args()


def say(text: str) -> None:
    """Tell how far it is."""
    print(text, file=sys.stderr, flush=True)


def look_at_builds(run: Run, package: str) -> dict[str, Any]:
    """Build a package with a profile for every target; what xtool said of it, and whether wheels count."""

    def one(target: str) -> dict[str, Any]:
        built = run.shop.build(package, target, "qemu")
        return {
            "tag": built.data["platform_tag"],
            "smoke": built.data["smoke"]["status"],
            "gcov": sorted(
                name for name, data in built.modules.items() if b"__gcov_" in data or b".gcda" in data
            ),
            "covered": [
                sum(each["functions_covered"] for each in built.data["pgo"]["files"]),
                sum(each["functions"] for each in built.data["pgo"]["files"]),
            ],
        }

    return {target: one(target) for target in (NATIVE, *run.targets)}


def compare_with_itself(run: Run, package: str) -> dict[str, Any]:
    """Counters of a native training against those of another native one, and of emulated ones."""
    first = run.shop.build(package, NATIVE, "native")
    found = {kind: _same(first, run.shop.build(package, NATIVE, kind)) for kind in ("native-again", "qemu")}
    still = [run.shop.build(package, NATIVE, kind) for kind in ("still", "still-again")]
    return {**found, "still": _same(*still)}


def _same(one: Built, other: Built) -> dict[str, Any]:
    same = counters.compare_counters(one.profile, other.profile)
    return {**same.plain, "same_modules": one.modules == other.modules}


def compare_with_targets(run: Run, package: str) -> dict[str, Any]:
    """Functions of a native training against those of each target."""
    native = run.shop.build(package, NATIVE, "native").profile
    return {
        target: counters.compare_targets(native, run.shop.build(package, target, "qemu").profile).plain
        for target in run.targets
    }


def measure_worth(run: Run, package: str) -> dict[str, Any]:
    """Time x86_64 wheels against each other."""
    built = {kind: run.shop.build(package, NATIVE, kind) for kind in TIMED}
    variants = [timing.Variant(kind, each.site) for kind, each in built.items()]
    python = _kit(NATIVE).build_pythons[PYTHON].executable
    timed = timing.sessions(python, _evaluation(package), variants, run.rounds, run.sessions)
    others = [kind for kind in TIMED if kind not in ("plain", "native")]
    return {
        "summaries": {kind: timing.summary(timed, "plain", "native", kind) for kind in others},
        "sizes": {kind: sum(map(len, each.modules.values())) for kind, each in built.items()},
        "same_modules": {kind: built[kind].modules == built["native"].modules for kind in others},
        "processor": _processor(),
        "seconds": timed,
    }


def count_instructions(run: Run, package: str) -> dict[str, Any]:
    """Count the instructions of wheels of another target."""
    kit = _kit(COUNTED)
    python = kit.pythons[PYTHON]
    counter = instructions.Counter(
        run.qemu, kit.target.qemu_best_cpu, python.root, python.executable, run.shop.folder / "instructions"
    )
    found: dict[str, Any] = {"emulator": counter.check(), "cpu": counter.cpu, "rounds": 3}
    for kind in ("plain", "qemu"):
        built = run.shop.build(package, COUNTED, kind)
        counts = [counter.rounds(_evaluation(package), built.site, found["rounds"]) for _ in range(2)]
        found[kind] = [instructions.own_and_all(each, built.site) for each in counts]
    return found


def measure_costs(run: Run, package: str) -> dict[str, Any]:
    """What training and building cost: builds made anew, one after the other."""
    folder = run.shop.folder / "costs"
    shutil.rmtree(folder / "builds" / package, ignore_errors=True)
    shop = replace(run.shop, folder=folder)
    wanted = [(NATIVE, "plain"), (NATIVE, "native"), (NATIVE, "qemu"), (COUNTED, "plain"), (COUNTED, "qemu")]
    found: dict[str, Any] = {}
    for target, kind in wanted:
        built: Built = shop.build(package, target, kind)
        training = None if kind == "plain" else built.training_seconds
        found[f"{target}-{kind}"] = {"build": built.seconds, "training": training}
    return found


def compare_graphs(run: Run) -> dict[str, Any]:
    """Hold the graphs of one file on each target against those of x86_64, and of x86_64 with an option."""
    requirement = f"httptools=={PACKAGES['httptools']}"
    with tempfile.TemporaryDirectory() as folder:
        source = obtain(_context(), requirement, Path(folder) / "sdist", python=PYTHON).path / graphs.SOURCE
        out = Path(folder) / "out"
        usual = graphs.graphs(_kit(NATIVE), source, out)
        branching = graphs.graphs(_kit(NATIVE), source, out, *graphs.BRANCHING)
        found = {target: graphs.graphs(_kit(target), source, out) for target in run.targets}
    return {
        target: [len(usual), graphs.alike(usual, one), graphs.alike(branching, one)]
        for target, one in found.items()
    }


PARTS: dict[str, Callable[[Run, str], dict[str, Any]]] = {
    "costs": measure_costs,
    "builds": look_at_builds,
    "counters": compare_with_itself,
    "targets": compare_with_targets,
    "worth": measure_worth,
    "instructions": count_instructions,
}
"""By name, what this script can find out of a package."""

WHOLE = ("graphs", "page")
"""What is not done package by package."""


def _evaluation(package: str) -> Path:
    return WORKLOADS / f"{package}_evaluate.py"


def _kit(target: str) -> Kit:
    return ensure_kit(_context(), Request(Catalog().target(target), (PYTHON,)))


def _context() -> Context:
    settings = Settings(cache_dir=Path(os.environ.get("XTOOL_CACHE_DIR") or default_cache_dir()))
    return Context(settings, SilentLog(), os.environ)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


if __name__ == "__main__":
    sys.exit(main())
