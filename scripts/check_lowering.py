#!/usr/bin/env python3
"""Lower shared libraries to floors and say what became of each symbol that a floor does not have.

    scripts/check_lowering.py [--target NAME] [--glibc X.Y ...] [LIBRARY ...]

Without libraries: the runtimes of the toolchain, as they were packaged. Prints a table for the documents:
how many symbols were above the floor, how many of them only moved or have an older version, have an older
name, or are in the compat library, and what is missing. Exit code 1 where something is missing, or where
readelf still finds a version above the floor.
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
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xtool.catalog import Catalog
from xtool.targets import parse_glibc
from xtool.toolchain.compat import COMPAT_SONAME
from xtool.toolchain.floor import version_number
from xtool.toolchain.gcc import RUNTIMES
from xtool.toolchain.lower import Lowered
from xtool.toolchain.runtimes import compat_names, fit


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--target", default="ppc64le")
    parser.add_argument("--glibc", action="append", help="a floor; repeatable (2.17)")
    parser.add_argument("libraries", nargs="*", type=Path)
    options = parser.parse_args()
    target = Catalog().target(options.target)
    print(
        "| floor | library | above the floor | moved or older | older name | compat | missing | bytes | s |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    failed = False
    for glibc in options.glibc or ["2.17"]:
        kit = _kit(options.target, glibc)
        root = Path(kit["toolchain"]["path"])
        readelf = root / "bin" / f"{target.triplet}-readelf"
        sysroot = Path(kit["sysroot"]["path"])
        exports: Mapping[str, Any] = json.loads((sysroot / "share/xtool/exports.json").read_text())
        compat = compat_names(sysroot / "usr" / "lib" / COMPAT_SONAME)
        for library in options.libraries or sorted((root / RUNTIMES).glob("lib*.so.*")):
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(shutil.copy(library, folder))
                started = time.monotonic()
                done = fit(copy, target, exports, compat)
                seconds = time.monotonic() - started
                left = _above(readelf, copy, glibc) - {m.partition("@")[2] for m in done.missing}
                size = f"{library.stat().st_size} -> {copy.stat().st_size}"
            print(f"| {glibc} | {library.name} | {_row(done)} | {size} | {seconds:.2f} |")
            failed |= bool(done.missing or left)
            for line in (*done.missing, *sorted(left)):
                print(f"  {line}", file=sys.stderr)
    return int(failed)


def _row(done: Lowered) -> str:
    older = [new for old, new in done.replaced.items() if new.partition("@")[0] == old.partition("@")[0]]
    bare = [new for new in done.replaced.values() if "@" not in new]
    versioned = [new for new in older if "@" in new]
    renamed = len(done.replaced) - len(versioned) - len(bare)
    above = len(done.replaced) + len(done.missing)
    return f"{above} | {len(versioned)} | {renamed} | {len(bare)} | {len(done.missing)}"


def _above(readelf: Path, library: Path, glibc: str) -> set[str]:
    """Versions of glibc above a floor that a library still asks for."""
    text = subprocess.check_output([readelf, "--wide", "--version-info", library], text=True)
    needs = text.partition("Version needs section")[2]
    asked = set(re.findall(r"Name: (GLIBC_[\w.]+)", needs))
    return {v for v in asked if not version_number(v) or version_number(v)[:2] > parse_glibc(glibc)}


def _kit(target: str, glibc: str) -> dict[str, Any]:
    words = ["setup", target, "--fortran", "--sysroot", "derived", "--glibc", glibc, "--output", "json"]
    done = subprocess.run(
        [sys.executable, "-m", "xtool", *words], env=os.environ, stdout=subprocess.PIPE, text=True, check=True
    )
    kit: dict[str, Any] = json.loads(done.stdout)["data"]["kits"][0]
    return kit


if __name__ == "__main__":
    sys.exit(main())
