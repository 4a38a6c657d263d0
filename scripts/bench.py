#!/usr/bin/env python3
"""Every figure of the README, as ratios of things timed side by side in one run.

    scripts/bench.py                  all of it (some minutes; needs curl and dpkg-deb)
    scripts/bench.py start warm       some of it: start warm cold import build compile
    scripts/bench.py --rounds 5       more rounds; the median counts

Machines are noisy, so a figure here is never seconds alone: two ways of doing the same thing take turns, and
the ratio of their medians is what the documents quote.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xtool.context import Context

sys.path.insert(0, str(Path(__file__).parent.parent))

TARGET = "ppc64le"
PYTHON = "3.13"
BUILT = ("markupsafe==3.0.3", "zstandard==0.25.0")


class Bench:
    """Times commands; keeps caches under one temporary folder."""

    def __init__(self, folder: Path, rounds: int) -> None:
        self.folder = folder
        self.rounds = rounds
        self.rows: list[tuple[str, str, str, str]] = []

    def xtool(self, cache: Path, *words: str) -> float:
        env = {**os.environ, "XTOOL_CACHE_DIR": str(cache)}
        return self.command([sys.executable, "-m", "xtool", *words], env=env)

    def command(
        self, argv: list[str], *, env: dict[str, str] | None = None, cwd: Path | None = None
    ) -> float:
        started = time.perf_counter()
        done = subprocess.run(argv, env=env, cwd=cwd, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - started
        if done.returncode != 0:
            sys.exit(f"{argv} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return seconds

    def take_turns(self, *ways: Callable[[], float], rounds: int | None = None) -> list[float]:
        """Median seconds of each way, taking turns."""
        seconds: list[list[float]] = [[] for _ in ways]
        for _ in range(rounds or self.rounds):
            for way, kept in zip(ways, seconds, strict=True):
                kept.append(way())
        return [statistics.median(kept) for kept in seconds]

    def row(self, what: str, ours: float, other: float | None, target: str) -> None:
        ratio = f"{ours / other:.2f}" if other else ""
        against = f"{other:.2f} s" if other else ""
        self.rows.append((what, f"{ours:.3f} s", against, f"{ratio or '-'} | {target}"))
        print(f"| {what} | {ours:.3f} s | {against} | {ratio} | {target} |", flush=True)


def start(bench: Bench) -> None:
    """`xtool --version`, against an interpreter that does nothing."""
    program = shutil.which("xtool", path=str(Path(sys.executable).parent)) or "xtool"
    ours, bare = bench.take_turns(
        lambda: bench.command([program, "--version"]),
        lambda: bench.command([sys.executable, "-c", "pass"]),
        rounds=bench.rounds * 5,
    )
    bench.row("`xtool --version` / `python -c pass`", ours, bare, "under 0.1 s")


def warm(bench: Bench) -> None:
    """A set-up of what is there."""
    cache = _installed(bench)
    (seconds,) = bench.take_turns(lambda: bench.xtool(cache, "setup", TARGET), rounds=bench.rounds * 3)
    bench.row("warm set-up", seconds, None, "under 0.25 s")


def cold(bench: Bench) -> None:
    """A cold set-up, against fetching the same bytes with curl and unpacking them with dpkg-deb."""
    count = iter(range(1000))

    def ours() -> float:
        return bench.xtool(_empty(bench.folder / f"cold-{next(count)}"), "setup", TARGET)

    def plain() -> float:
        return _curl_and_dpkg(bench, bench.folder / f"plain-{next(count)}")

    seconds, other = bench.take_turns(ours, plain)
    bench.row("cold set-up / `curl` + `dpkg-deb -x` of the same files", seconds, other, "")


def cache_import(bench: Bench) -> None:
    """Bringing a saved cache back, against setting up anew."""
    cache = _installed(bench)
    archive = bench.folder / "cache.tar.zst"
    bench.xtool(cache, "cache", "export", str(archive))
    count = iter(range(1000))
    ours, anew = bench.take_turns(
        lambda: bench.xtool(bench.folder / f"import-{next(count)}", "cache", "import", str(archive)),
        lambda: bench.xtool(bench.folder / f"anew-{next(count)}", "setup", TARGET),
    )
    megabytes = archive.stat().st_size / 1e6
    bench.row(f"`cache import` ({megabytes:.0f} MB) / cold set-up", ours, anew, "0.33 or less")


def build(bench: Bench) -> None:
    """Cross builds with smoke test, against `uv build` of the same sdist for the host.

    Both with the same interpreter, and both after a round that does not count, which fills what each keeps.
    """
    from uv import find_uv_bin

    from xtool.python.build import find_build_python

    cache = _installed(bench)
    python = find_build_python(context(cache), PYTHON)
    if python is None:
        sys.exit(f"there is no Python {PYTHON} on this machine")
    for requirement in BUILT:
        sdist = _sdist(bench, requirement)
        outdir = bench.folder / "out"
        cross = ["build", str(sdist), "--target", TARGET, "--python", PYTHON, "--outdir", str(outdir)]
        # Both compile everything anew.
        cross += ["--compiler-cache", "none"]
        native = [
            find_uv_bin(),
            "build",
            "--wheel",
            str(sdist),
            "-o",
            str(outdir),
            "--python",
            str(python.executable),
        ]
        ways = partial(bench.xtool, cache, *cross), partial(bench.command, native)
        bench.take_turns(*ways, rounds=1)
        ours, other = bench.take_turns(*ways)
        bench.row(f"`xtool build {requirement}` / `uv build` for the host", ours, other, "under 1.5")


def compiling(bench: Bench) -> None:
    """The compile step alone."""
    from bench_compile import compile_step

    cache = _installed(bench)
    compile_step(bench, cache, _sdist(bench, "zstandard==0.25.0"))


STEPS = {
    "start": start,
    "warm": warm,
    "cold": cold,
    "import": cache_import,
    "build": build,
    "compile": compiling,
}


def main() -> int:
    parser = argparse.ArgumentParser(description="measure xtool against other ways of doing the same")
    parser.add_argument("steps", nargs="*", metavar="STEP", help=" ".join(STEPS))
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    unknown = [step for step in arguments.steps if step not in STEPS]
    if unknown:
        parser.error(f"no such step: {', '.join(unknown)}")
    print("| what | xtool | other | ratio | aim |\n| --- | --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory(prefix="xtool-bench-", ignore_cleanup_errors=True) as folder:
        bench = Bench(Path(folder), arguments.rounds)
        for step in arguments.steps or STEPS:
            STEPS[step](bench)
    return 0


def _installed(bench: Bench) -> Path:
    cache = bench.folder / "cache"
    bench.xtool(cache, "setup", TARGET)
    return cache


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def _sdist(bench: Bench, requirement: str) -> Path:
    """The sdist of a requirement, fetched once."""
    from xtool.build.source import obtain

    folder = bench.folder / "sdists" / requirement
    if not folder.is_dir():
        folder.mkdir(parents=True)
        source = obtain(context(bench.folder / "cache"), requirement, folder / "tree")
        if source.sdist is None:
            sys.exit(f"{requirement} has no sdist")
        shutil.copy(source.sdist, folder / f"{source.name}-{source.version}.tar.gz")
    (found,) = folder.glob("*.tar.gz")
    return found


def context(cache: Path) -> Context:
    """A context for calling xtool's own functions."""
    from xtool.config import Settings
    from xtool.context import Context
    from xtool.log import SilentLog

    return Context(Settings(cache_dir=cache), SilentLog(), os.environ)


def _curl_and_dpkg(bench: Bench, folder: Path) -> float:
    """Seconds that curl and dpkg-deb take for the files of the set-up."""
    from xtool.catalog import Catalog
    from xtool.fetch import mirrors
    from xtool.setup import Request, plan

    ctx = context(bench.folder / "cache")
    catalog = Catalog()
    planned = plan(ctx, Request(target=catalog.target(TARGET)))
    files = {artifact.sha256: artifact for recipe in planned.recipes for artifact in recipe.artifacts}
    archive = catalog.archives["debian"]
    first = {
        suite: mirrors.mirrors(ctx, archive, evidence)[0] for suite, evidence in planned.lock.evidence.items()
    }
    folder.mkdir(parents=True)
    config = folder / "curl.conf"
    config.write_text(
        "".join(
            f'url = "{first[artifact.suite].url(artifact.path)}"\noutput = "{folder / artifact.sha256}.deb"\n'
            for artifact in files.values()
        )
    )
    seconds = bench.command(["curl", "-sSfL", "--config", str(config)])
    for sha256 in files:
        seconds += bench.command(["dpkg-deb", "-x", str(folder / f"{sha256}.deb"), str(folder / "tree")])
    shutil.rmtree(folder)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
