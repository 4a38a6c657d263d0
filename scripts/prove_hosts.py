#!/usr/bin/env python3
"""Run xtool on other hosts than this one: an old glibc, musl, aarch64.

    scripts/prove_hosts.py                       all three, one after the other
    scripts/prove_hosts.py --host musl
    scripts/prove_hosts.py --host aarch64 --keep FOLDER

Each host is a root folder with that system's C library and shell (`tests/support/hostroots.py`). xtool runs
in it as its packages come from the index, on the build Python of its store, with no network:

- `glibc 2.31` and `musl` get a cache that was exported here, and import it;
- `aarch64` gets the packages of its lock alone and sets ppc64le up by itself. Every program of it, Python and
  compilers included, is one of aarch64: qemu-user runs it, through a binfmt_misc of its own (Linux 6.7).

There projects are built and smoke-tested, and the wheels compared with this host's. Prints tables, Markdown;
exits 1 when a wheel fails or differs. Needs dpkg-deb, unshare and, for musl, make and musl-gcc (Debian:
musl-tools). The aarch64 host takes a quarter of an hour. The cache is XTOOL_CACHE_DIR's, where that is set.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.commandline import xtool  # noqa: E402
from support.otherhost import CHOSEN, PROJECTS, ROOTS, TARGET, OtherHost, clear, furnish  # noqa: E402
from support.wheeldiff import differences  # noqa: E402

BUILT = ("c-setuptools", "cpp-setuptools", "cython", "traces")
FACTS = """
import json, os, sys
print(json.dumps([os.uname().machine, os.confstr("CS_GNU_LIBC_VERSION"), sys.version.partition(" ")[0]]))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description="run xtool on other hosts")
    parser.add_argument("--host", action="append", choices=list(ROOTS), help="default: all")
    parser.add_argument("--project", action="append", metavar="NAME", help=f"default: {', '.join(BUILT)}")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the roots here")
    arguments = parser.parse_args()
    projects = arguments.project or list(BUILT)
    problems: list[str] = []
    with tempfile.TemporaryDirectory(prefix="xt-") as temporary:
        folder = (arguments.keep or Path(temporary)).resolve()
        cache = Path(os.environ.get("XTOOL_CACHE_DIR") or folder / "cache")
        here = _build_here(cache, folder / "here", projects)
        for name in arguments.host or ROOTS:
            root = folder / name.replace(" ", "-")
            root.mkdir(parents=True)
            host = furnish(name, root, cache, projects, folder)
            try:
                problems += _prove(host, here, cache)
            finally:
                if arguments.keep is None:
                    clear(root)
    print(*problems, sep="\n", file=sys.stderr)
    return 1 if problems else 0


def _build_here(cache: Path, outdir: Path, projects: list[str]) -> dict[str, Path]:
    """This host's wheels, by project."""
    done = xtool(cache, "setup", TARGET, *CHOSEN[2:])
    if done.returncode != 0:
        sys.exit(done.stderr)
    wheels = {}
    for project in projects:
        words = ["build", str(PROJECTS / project), *CHOSEN, "--outdir", str(outdir), "--no-test"]
        done = xtool(cache, *words, "--output", "json")
        if done.returncode != 0:
            sys.exit(done.stderr)
        wheels[project] = Path(json.loads(done.stdout)["data"]["wheels"][0]["path"])
    return wheels


def _prove(host: OtherHost, here: dict[str, Path], cache: Path) -> list[str]:
    """Print what happens on a host; what is wrong."""
    asked = host.run(*host.alone.command()[:-2], "-c", FACTS)
    machine, libc, python = json.loads(asked.stdout)
    print(f"\n## {host.name}: {machine}, Python {python} on a {libc} that it brings\n", flush=True)
    problems = _set_up(host, cache) if host.emulator else []
    print("| wheel | built and tested in | bytes |\n| --- | --- | --- |", flush=True)
    for project, wheel in here.items():
        started = time.monotonic()
        try:
            found = differences(wheel, host.wheel(project))
        except AssertionError as error:
            found = [f"failed: {error}"]
        outcome = "as here" if not found else "**failed**" if found[0].startswith("failed") else "**differ**"
        print(f"| {project} | {time.monotonic() - started:.0f} s | {outcome} |", flush=True)
        problems += [f"{host.name}, {project}: {text}" for text in found]
    checks = json.loads(host.xtool("doctor", "--output", "json").stdout)["data"]["checks"]
    wrong = [f"{host.name}: {check}" for check in checks if check["status"] == "fail"]
    print(f"\n`xtool doctor`: {len(checks)} checks, {len(wrong)} failed", flush=True)
    return problems + wrong


def _set_up(host: OtherHost, cache: Path) -> list[str]:
    """Let a host make its components, and hold those that are for the target against this machine's."""
    started = time.monotonic()
    host.data("setup", TARGET, *CHOSEN[2:])
    print(f"`xtool setup`: {time.monotonic() - started:.0f} s\n")
    print("| component | files | here |\n| --- | --- | --- |")
    problems = []
    ours = {tree for _, tree, _ in _components(cache)}
    for name, tree, count in _components(host.root / "home" / "cache"):
        if name.startswith(("gcc-", "qemu-")):
            outcome = "of its own"
        else:
            outcome = "the same" if tree in ours else "**differs**"
            problems += [] if tree in ours else [f"{host.name}: {name} differs"]
        print(f"| {name} | {count} | {outcome} |")
    print(flush=True)
    return problems


def _components(cache: Path) -> list[tuple[str, str, int]]:
    """Name, tree digest and number of files of each component of a cache."""
    files = sorted(cache.glob("v1/store/*/share/xtool/manifest.json"))
    records = [json.loads(file.read_bytes()) for file in files]
    return [(record["name"], record["tree"], record["count"]) for record in records]


if __name__ == "__main__":
    sys.exit(main())
