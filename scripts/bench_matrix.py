#!/usr/bin/env python3
"""What building a matrix side by side gains: wall time and use of the processors, ways taking turns.

    scripts/bench_matrix.py                         all of it, for every target there is
    scripts/bench_matrix.py matrix --target ppc64le --target s390x --rounds 5
    scripts/bench_matrix.py shares cache            how compilers are divided; what ccache spares

- `matrix`: `tests/projects/c-setuptools` for the targets, two Pythons each: one `xtool build` with as many
  jobs as there are processors, one with a single job, and one for each wheel, one after the other.
- `shares`: a project of eight extensions and three cells: compilers divided as xtool does it, one for each
  cell, and all for each cell.
- `cache`: zstandard for one target and two Pythons, without a compiler cache, with an empty one, and with one
  that has seen the build before.

Everything is set up, and built once without being counted, before the first figure. CPU use is the user and
system time of all processes over wall time and processors. Machines are noisy: ways take turns, and medians
are shown.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parent.parent / "tests" / "projects" / "c-setuptools"
PYTHONS = ("3.11", "3.13")
CORES = len(os.sched_getaffinity(0))

_FUNCTION = """
#include <Python.h>
#define F(n) double f##n(double x) {{ double s = 0; \\
    for (int i = 0; i < 64; i++) s += (x * i + n) / (i + s + 1); return s; }}
#define F8(n) F(n##0) F(n##1) F(n##2) F(n##3) F(n##4) F(n##5) F(n##6) F(n##7)
#define F64(n) F8(n##0) F8(n##1) F8(n##2) F8(n##3) F8(n##4) F8(n##5) F8(n##6) F8(n##7)
F64(1)
static struct PyModuleDef module = {{PyModuleDef_HEAD_INIT, "m{n}", NULL, -1, NULL, NULL, NULL, NULL, NULL}};
PyMODINIT_FUNC PyInit_m{n}(void) {{ return PyModule_Create(&module); }}
"""

_PATCHED = """
import sys
from xtool.build import schedule
schedule.share = lambda jobs, *, cells, waiting: {share}
from xtool.cli import main
sys.argv[0] = "xtool"
sys.exit(main())
"""


@dataclass(frozen=True)
class Run:
    """One measured way: seconds of wall time, and of user and system time."""

    wall: float
    cpu: float

    @property
    def use(self) -> float:
        """Share of the processors' time that was used."""
        return self.cpu / (self.wall * CORES)


class Bench:
    """Runs xtool with a cache folder of its own."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("XTOOL_", "CCACHE_"))
        }
        for name in ("XTOOL_DEBIAN_MIRROR", "XTOOL_INDEX_URL", "XTOOL_PYTHON_MIRROR"):
            if name in os.environ:
                kept[name] = os.environ[name]
        self.environ = {**kept, "XTOOL_CACHE_DIR": str(cache), "CCACHE_DIR": str(folder / "ccache")}

    def xtool(self, *words: str, program: str | None = None) -> Run:
        """Run xtool; ends the script where it fails."""
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        command = [sys.executable, "-c", program] if program else [sys.executable, "-m", "xtool"]
        done = subprocess.run(
            [*command, *words], env=self.environ, capture_output=True, text=True, check=False
        )
        wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode != 0:
            sys.exit(f"xtool {' '.join(words)} failed:\n{done.stdout[-2000:]}{done.stderr[-3000:]}")
        return Run(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    def build(
        self, source: str | Path, targets: Sequence[str], pythons: Sequence[str], *more: str, **options: str
    ) -> Run:
        """One `xtool build`; compiles anew unless it is told otherwise."""
        words = ["build", str(source), "--outdir", str(self.folder / "out")]
        words += [word for target in targets for word in ("--target", target)]
        words += [word for python in pythons for word in ("--python", python)]
        cache = () if "--compiler-cache" in more else ("--compiler-cache", "none")
        return self.xtool(*words, *cache, *more, program=options.get("program"))


def in_turns(ways: Mapping[str, Callable[[], Run]], rounds: int) -> dict[str, Run]:
    """The median of each way, by wall time; one more round at the start does not count."""
    runs: dict[str, list[Run]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, way in ways.items():
            run = way()
            if number:
                runs[name].append(run)
    return {
        name: Run(statistics.median(r.wall for r in found), statistics.median(r.cpu for r in found))
        for name, found in runs.items()
    }


def show(title: str, runs: Mapping[str, Run]) -> None:
    """A table; the first way is what the others are held against."""
    first = next(iter(runs.values()))
    print(f"\n{title}\n\n| way | wall time | CPU time | CPU use | wall, against the first |")
    print("| --- | --- | --- | --- | --- |")
    for name, run in runs.items():
        print(
            f"| {name} | {run.wall:.1f} s | {run.cpu:.1f} s | {run.use:.0%} | {run.wall / first.wall:.2f} |"
        )
    sys.stdout.flush()


def matrix(bench: Bench, arguments: argparse.Namespace) -> None:
    """All cells at once, one at a time, and one invocation each."""
    targets, pythons = arguments.targets, arguments.pythons

    def one_by_one() -> Run:
        runs = [bench.build(PROJECT, [target], [python]) for target in targets for python in pythons]
        return Run(sum(run.wall for run in runs), sum(run.cpu for run in runs))

    count = len(targets) * len(pythons)
    ways = {
        f"`xtool build -j{CORES}`, {count} wheels": lambda: bench.build(
            PROJECT, targets, pythons, f"-j{CORES}"
        ),
        "`xtool build -j1`": lambda: bench.build(PROJECT, targets, pythons, "-j1"),
        f"{count} times `xtool build`, one after the other": one_by_one,
    }
    title = f"{len(targets)} targets x {len(pythons)} Pythons of a C project, {CORES} processors:"
    show(title, in_turns(ways, arguments.rounds))


def shares(bench: Bench, arguments: argparse.Namespace) -> None:
    """How many compilers each of three cells may run."""
    project = bench.folder / "many"
    project.mkdir()
    modules = [f"m{number}" for number in range(8)]
    for number, name in enumerate(modules):
        (project / f"{name}.c").write_text(_FUNCTION.format(n=number))
    listed = ", ".join(f'Extension("{name}", ["{name}.c"])' for name in modules)
    text = f"setup(name='many', version='1', ext_modules=[{listed}])\n"
    (project / "setup.py").write_text(f"from setuptools import Extension, setup\n{text}")
    targets = arguments.targets[:3]

    def build(share: str) -> Run:
        program = _PATCHED.format(share=share) if share else ""
        return bench.build(project, targets, PYTHONS[-1:], f"-j{CORES}", "--no-test", program=program)

    ways = {
        "as xtool divides them": lambda: build(""),
        "one for each cell": lambda: build("1"),
        "all for each": lambda: build("jobs"),
    }
    title = f"Compilers of {len(targets)} cells with {len(modules)} extensions each, {CORES} jobs:"
    show(title, in_turns(ways, arguments.rounds))


def cache(bench: Bench, arguments: argparse.Namespace) -> None:
    """What ccache spares."""
    if shutil.which("ccache") is None:
        sys.exit("ccache is not installed")

    def build(which: str, *, empty: bool = False) -> Run:
        if empty:
            shutil.rmtree(bench.folder / "ccache", ignore_errors=True)
        target = arguments.targets[:1]
        return bench.build(
            "zstandard==0.25.0", target, arguments.pythons, "--no-test", "--compiler-cache", which
        )

    ways = {
        "without": lambda: build("none"),
        "ccache, empty": lambda: build("ccache", empty=True),
        "ccache, the same build again": lambda: build("ccache"),
    }
    title = f"zstandard for {arguments.targets[0]}, {len(arguments.pythons)} Pythons:"
    show(title, in_turns(ways, arguments.rounds))


STEPS = {"matrix": matrix, "shares": shares, "cache": cache}


def main() -> int:
    parser = argparse.ArgumentParser(description="measure matrix builds")
    parser.add_argument("steps", nargs="*", metavar="STEP", help=" ".join(STEPS))
    parser.add_argument("--target", action="append", dest="targets", help="default: every one there is")
    parser.add_argument("--python", action="append", dest="pythons", help=f"default: {' '.join(PYTHONS)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--cache", type=Path, help="folder for what is set up; kept. Default: a temporary one"
    )
    arguments = parser.parse_args()
    unknown = [step for step in arguments.steps if step not in STEPS]
    if unknown:
        parser.error(f"no such step: {', '.join(unknown)}")
    arguments.pythons = arguments.pythons or list(PYTHONS)
    arguments.targets = arguments.targets or offered(arguments.pythons)
    with tempfile.TemporaryDirectory(prefix="xtool-bench-", ignore_cleanup_errors=True) as folder:
        bench = Bench(Path(folder), arguments.cache or Path(folder) / "cache")
        words = [word for python in arguments.pythons for word in ("--python", python)]
        bench.xtool("setup", *arguments.targets, *words)
        for step in arguments.steps or STEPS:
            STEPS[step](bench, arguments)
    return 0


def offered(pythons: Sequence[str]) -> list[str]:
    """The targets that have all these Pythons from Debian, so that every run has the same cells."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from xtool.catalog import Catalog
    from xtool.python import offers
    from xtool.targets import current_host

    catalog, host = Catalog(), current_host()
    targets = [target for target in catalog.targets.values() if catalog.lock_path(host, target).is_file()]
    return [t.name for t in targets if set(pythons) <= set(offers.debian(catalog.lock(host, t)))]


if __name__ == "__main__":
    sys.exit(main())
