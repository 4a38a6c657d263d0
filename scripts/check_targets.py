#!/usr/bin/env python3
"""Set targets up at several floors, run C and C++ programs, and build a wheel that needs the very floor.

    scripts/check_targets.py [--target NAME ...] [--floor X.Y ...] [--no-wheels]

Without options: every target that has a lock, at its lowest floor, 2.28, 2.34 and its newest. For each:

- `tests/projects/programs/` is compiled and linked, as a position-independent program and as one at a fixed
  address; no symbol of it may be newer than the floor; it runs under qemu-user on the target's Python's glibc
  and, at floors up to 2.31 of machines that Debian 11 had, on Debian 11's own glibc 2.31 and libgcc;
- `tests/projects/floor/` is built by `xtool build`, smoke-tested, and asked for a function of that glibc; its
  platform tag must be the floor.

Prints a table; exit code 1 if anything failed. Files go to the cache (XTOOL_CACHE_DIR).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from update_glibc_moves import EVIDENCE, OLD

from xtool.archive import unpack
from xtool.artifacts import Artifact
from xtool.catalog import Catalog
from xtool.config import Settings
from xtool.context import Context
from xtool.errors import XtoolError
from xtool.fetch import fetch
from xtool.kit import Kit
from xtool.log import SilentLog
from xtool.paths import default_cache_dir
from xtool.setup import Request, ensure_kit
from xtool.targets import Glibc, Target, current_host, format_glibc, parse_glibc
from xtool.toolchain.sysroot import lowest_floor, newest_floor

PROJECTS = Path(__file__).parent.parent / "tests" / "projects"
FLOORS: tuple[Glibc, ...] = ((2, 28), (2, 34))
OLD_GLIBC: Glibc = (2, 31)
PYTHON = "3.13"
USED: tuple[Glibc, ...] = ((2, 17), (2, 28), (2, 31), (2, 34), (2, 41))
"""The glibc versions that `tests/projects/floor/` has a function of."""


def _gcc(arch: str, size: int, sha256: str) -> Artifact:
    path = f"pool/main/g/gcc-10/libgcc-s1_10.2.1-6_{arch}.deb"
    return Artifact("libgcc-s1", "10.2.1-6", arch, "debian", "bullseye", path, size, sha256, 1_000_000)


OLD_GCC = {
    "aarch64": _gcc("arm64", 34_572, "e2fcdb378d3c1ad1bcb64d4fb6b37aab44011152beca12a4944f435a2582df1f"),
    "armv7l": _gcc("armhf", 36_200, "4cfff89c7f492090c5988298f9f9419d3464d294c43883800a2ed55676581d26"),
    "i686": _gcc("i386", 49_604, "0a52edec5d626f8d9acf1998248d276760aff3950f44a308d27d4a2a488fe18d"),
    "x86_64": _gcc("amd64", 41_400, "e478f2709d8474165bb664de42e16950c391f30eaa55bc9b3573281d83a29daf"),
}
"""By machine, Debian 11's libgcc_s, for C++ programs on its glibc."""


@dataclass
class Row:
    """What was found for one target at one floor."""

    target: str
    floor: Glibc
    cells: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def check(self, what: str, problem: str) -> None:
        """Note the outcome of one check; `problem` is empty when it passed."""
        self.cells.append("FAILED" if problem else what)
        if problem:
            self.failures.append(f"{self.target} {format_glibc(self.floor)}: {problem}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description="run programs and build a wheel for targets at several floors"
    )
    parser.add_argument("--target", action="append", help="default: every target that has a lock")
    parser.add_argument("--floor", action="append", type=parse_glibc)
    parser.add_argument("--no-wheels", action="store_true", help="programs only")
    arguments = parser.parse_args()
    environ = dict(os.environ)
    settings = Settings(
        cache_dir=Path(environ.get("XTOOL_CACHE_DIR") or default_cache_dir()),
        debian_mirror=environ.get("XTOOL_DEBIAN_MIRROR"),
        snapshot_mirror=environ.get("XTOOL_SNAPSHOT_MIRROR"),
        jobs=os.cpu_count() or 1,
    )
    ctx, catalog = Context(settings, SilentLog(), environ), Catalog()
    locked = [t.name for t in catalog.targets.values() if catalog.lock_path(current_host(), t).is_file()]
    print("| target | floor | C | C++ | C on 2.31 | C++ on 2.31 | wheel |", flush=True)
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    failures = []
    for name in arguments.target or locked:
        target = catalog.target(name)
        # A newer glibc has no manylinux policy yet.
        newest = min(newest_floor(catalog.lock(current_host(), target)), USED[-1])
        lowest = lowest_floor(target)
        wanted = arguments.floor or sorted({lowest, *FLOORS, newest})
        for floor in [floor for floor in wanted if lowest <= floor <= newest]:
            row = one(ctx, catalog, target, floor, wheels=not arguments.no_wheels)
            failures += row.failures
            cells = [row.target, format_glibc(row.floor), *row.cells]
            print(f"| {' | '.join(cells)} |", flush=True)
    print(*failures, sep="\n")
    return 1 if failures else 0


def one(ctx: Context, catalog: Catalog, target: Target, floor: Glibc, *, wheels: bool) -> Row:
    """All that is tried for one target at one floor."""
    row = Row(target.name, floor)
    request = Request(target, (PYTHON,), floor, sysroot="derived", python_source="debian")
    kit = ensure_kit(ctx, request)
    old = old_root(ctx, catalog, target) if floor <= OLD_GLIBC else None
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        sources = [PROJECTS / "programs" / name for name in ("program.c", "program.cc")]
        made = [build(kit, source, folder, floor) for source in sources]
        for root in (kit.pythons[PYTHON].root, old):
            for programs, problem in made:
                if root is None:
                    row.cells.append("-")
                else:
                    row.check("ran", problem or run_all(kit, programs, root))
        if wheels:
            tag, problem = wheel(target, floor, folder)
            row.check(tag, problem)
        else:
            row.cells.append("-")
    return row


def build(kit: Kit, source: Path, folder: Path, floor: Glibc) -> tuple[list[Path], str]:
    """Compile and link a program as a project's build would, in two ways; what is wrong, or nothing."""
    compiler = "gcc" if source.suffix == ".c" else "g++"
    programs = []
    for name, flags in (("pie", ("-fPIE", "-pie")), ("fixed", ("-fno-pie", "-no-pie"))):
        program = folder / f"{source.name}-{name}"
        command: list[str | Path] = [kit.toolchain.tool(compiler), f"--sysroot={kit.sysroot.path}"]
        command += [*kit.target.cflags, "-O2", *(["-std=c++17"] if compiler == "g++" else []), *flags]
        command += [source, "-o", program, *kit.target.ldflags, "-lm", "-lpthread"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return [], f"{source.name}: {done.stderr[-2000:]}"
        above = too_new(kit, program, floor)
        if above:
            return [], f"{program.name} needs glibc {', '.join(map(format_glibc, above))}"
        programs.append(program)
    return programs, ""


def too_new(kit: Kit, program: Path, floor: Glibc) -> list[Glibc]:
    """The versions of glibc's that a program asks for and the floor lacks."""
    command: list[str | Path] = [kit.toolchain.tool("readelf"), "--wide", "--version-info", program]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = {(int(a), int(b)) for a, b in re.findall(r"Name: GLIBC_(\d+)\.(\d+)", text)}
    return sorted(version for version in found if version > floor)


def run_all(kit: Kit, programs: Sequence[Path], root: Path) -> str:
    """Run programs under the emulator; what went wrong, or nothing."""
    for program in programs:
        command: list[str | Path] = [kit.emulator.executable, "-cpu", kit.emulator.cpu, "-L", root, program]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        except subprocess.TimeoutExpired:
            return f"{program.name} runs and runs"
        if done.returncode != 0 or not done.stdout.startswith("ok"):
            return f"{program.name} on {root}: {done.returncode} {done.stdout[-500:]}{done.stderr[-500:]}"
    return ""


def old_root(ctx: Context, catalog: Catalog, target: Target) -> Path | None:
    """Debian 11's C library and libgcc_s of a target, unpacked once; None where it had none."""
    if target.name not in OLD:
        return None
    artifacts = [OLD[target.name], OLD_GCC[target.name]]
    folder = ctx.settings.cache_dir / "v1" / "check-targets" / f"{target.name}-{artifacts[0].version}"
    if not folder.is_dir():
        files = fetch(
            ctx,
            catalog,
            artifacts,
            evidence={EVIDENCE.suite: EVIDENCE},
            downloads=ctx.settings.cache_dir / "v1" / "downloads",
        )
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            tree = Path(scratch) / "tree"
            for file in files.values():
                # amd64 has the loader a second time, as an absolute link.
                unpack(file, tree, only=lambda name: name.startswith("lib/"))
            loader = tree / target.dynamic_linker.lstrip("/")
            if not loader.exists():
                loader.parent.mkdir(parents=True, exist_ok=True)
                loader.symlink_to(f"../lib/{target.multiarch}/{loader.name}")
            tree.rename(folder)
    return folder


def wheel(target: Target, floor: Glibc, folder: Path) -> tuple[str, str]:
    """Build a wheel as a user does; its tag, and what is wrong with it."""
    used = max(version for version in USED if version <= floor)
    number = used[0] * 100 + used[1]
    command = [sys.executable, "-m", "xtool", "build", str(PROJECTS / "floor"), "--target", target.name]
    command += ["--glibc", format_glibc(floor), "--sysroot", "derived", "--python", PYTHON]
    command += ["--python-source", "debian", "--outdir", str(folder / "dist"), "--output", "json"]
    command += ["--test-command", f'python -c "import xt_floor; assert xt_floor.used() == {number}"']
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        document = json.loads(done.stdout)
    except ValueError:
        return "", f"xtool build: {done.stderr[-2000:]}"
    if done.returncode != 0:
        return "", "; ".join(error["message"] for error in document["errors"]) + done.stderr[-2000:]
    (made,) = document["data"]["wheels"]
    tag = str(made["platform_tag"])
    # No policy is older than a target's lowest floor.
    used = max(used, lowest_floor(target))
    if f"manylinux_{used[0]}_{used[1]}_{target.name}" not in tag.split("."):
        return tag, f"the wheel's tag is {tag}"
    if made["smoke"]["status"] != "passed":
        return tag, f"smoke test: {made['smoke']}"
    return tag, ""


if __name__ == "__main__":
    try:
        sys.exit(main())
    except XtoolError as error:
        sys.exit(f"error: {error.message}")
