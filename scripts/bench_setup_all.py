#!/usr/bin/env python3
"""What setting every target up costs: bytes, time and disk, in one go and one target after the other.

    scripts/bench_setup_all.py                       every target that has a lock for this host
    scripts/bench_setup_all.py --target s390x --target riscv64
    scripts/bench_setup_all.py --rounds 3            the ways take turns; medians count

Each round starts from two empty caches. Prints Markdown: a table of the two ways, and one of each target's
share of the disk: what only it has, and what it shares with others.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from xtool.catalog import Catalog
from xtool.housekeeping import folder_size
from xtool.targets import current_host
from xtool.text import format_bytes, format_seconds


@dataclass(frozen=True)
class Cost:
    """What a set-up cost.

    Args:
        seconds: wall time.
        busy: processor time of all processes, over wall time and CPUs.
    """

    seconds: float
    busy: float


def main() -> int:
    parser = argparse.ArgumentParser(description="what setting every target up costs")
    parser.add_argument("--target", action="append", help="default: every one that has a lock for this host")
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    catalog, host = Catalog(), current_host()
    names = arguments.target or [
        target.name for target in catalog.targets.values() if catalog.lock_path(host, target).is_file()
    ]
    together: list[Cost] = []
    apart: list[Cost] = []
    with tempfile.TemporaryDirectory(prefix="xtool-bench-") as folder:
        for number in range(arguments.rounds):
            whole, single = Path(folder) / f"together-{number}", Path(folder) / f"apart-{number}"
            together.append(timed(whole, [["setup", *names]]))
            apart.append(timed(single, [["setup", name] for name in names]))
        print(f"{len(names)} targets on {host.name}, {os.cpu_count()} CPUs, medians of {arguments.rounds}\n")
        print(ways(together, apart), "\n")
        print(disk(whole, names))
    return 0


def timed(cache: Path, commands: list[list[str]]) -> Cost:
    """Run commands one after the other with a cache of their own."""
    env = {**os.environ, "XTOOL_CACHE_DIR": str(cache)}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    for words in commands:
        done = subprocess.run(
            [sys.executable, "-m", "xtool", *words], env=env, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            sys.exit(f"{words} failed:\n{done.stderr[-3000:]}")
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(seconds, used / seconds / (os.cpu_count() or 1))


def ways(together: list[Cost], apart: list[Cost]) -> str:
    """The table of the two ways."""
    rows = []
    for name, costs in (("all in one `xtool setup`", together), ("one after the other", apart)):
        seconds = statistics.median(cost.seconds for cost in costs)
        busy = statistics.median(cost.busy for cost in costs)
        rows.append([name, format_seconds(seconds), f"{busy:.0%}"])
    first, second = (statistics.median(cost.seconds for cost in costs) for costs in (together, apart))
    rows.append(["ratio", f"{first / second:.2f}", ""])
    return _markdown(rows, ["way", "wall time", "CPUs busy"])


def disk(cache: Path, names: list[str]) -> str:
    """The table of what each target needs, by the paths that its set-up names."""
    uses: dict[str, set[Path]] = {}
    downloads: dict[str, dict[str, int]] = {}
    for name in names:
        kit = document(cache, "setup", name)["kits"][0]
        uses[name] = {_component(cache, Path(path)) for path in _paths(kit)} - {cache}
        shown = document(cache.parent / "nothing", "show", name)["setup"]
        downloads[name] = {"files": shown["download_files"], "bytes": shown["download_bytes"]}
    shared = Counter(path for paths in uses.values() for path in paths)
    sizes = {path: folder_size(path) for path in shared}
    rows = []
    for name, paths in uses.items():
        own = sum(sizes[path] for path in paths if shared[path] == 1)
        common = sum(sizes[path] for path in paths if shared[path] > 1)
        rows.append([name, format_bytes(downloads[name]["bytes"]), format_bytes(own), format_bytes(common)])
    files = [path for path in (cache / "v1" / "downloads").rglob("*") if path.is_file()]
    rows.append(
        [
            "together",
            format_bytes(sum(path.stat().st_size for path in files)),
            format_bytes(sum(sizes.values())),
            "",
        ]
    )
    return _markdown(rows, ["target", "downloads, alone", "installed, its own", "installed, shared"])


def document(cache: Path, *words: str) -> Any:
    """The `data` of a command's JSON document."""
    env = {**os.environ, "XTOOL_CACHE_DIR": str(cache)}
    command = [sys.executable, "-m", "xtool", *words, "--output", "json"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)["data"]


def _paths(kit: dict[str, Any]) -> list[str]:
    several = [*kit["pythons"], *kit["build_pythons"]]
    return [kit[part]["path"] for part in ("toolchain", "sysroot", "emulator")] + [
        python["path"] for python in several
    ]


def _component(cache: Path, path: Path) -> Path:
    """The component of the store that a path lies in; the cache itself for what lies elsewhere."""
    store = cache / "v1" / "store"
    return store / path.relative_to(store).parts[0] if path.is_relative_to(store) else cache


def _markdown(rows: list[list[str]], header: list[str]) -> str:
    return "\n".join(
        [
            f"| {' | '.join(header)} |",
            f"|{' --- |' * len(header)}",
            *(f"| {' | '.join(row)} |" for row in rows),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
