#!/usr/bin/env python3
"""Make `toolchains/glibc/moves.toml`: which library each glibc symbol lived in before 2.34 moved them.

    scripts/update_glibc_moves.py           write it
    scripts/update_glibc_moves.py --check   write nothing; exit 1 if it would change

It reads Debian 11's glibc 2.31 for arm64 (the division is the same on every architecture, and arm64 has
symbol versions from 2.17 on, as ppc64le has) and the locked, newest glibc of a target. What those two cannot
tell is in `corrections.toml`. Needs binutils' readelf.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import textwrap
from pathlib import Path

from xtool.archive import unpack
from xtool.artifacts import Artifact, VerifiedFile
from xtool.catalog import Catalog, SuiteEvidence, default_root
from xtool.config import Settings
from xtool.context import Context
from xtool.errors import XtoolError
from xtool.fetch import fetch
from xtool.log import SilentLog
from xtool.paths import default_cache_dir
from xtool.targets import current_host
from xtool.toolchain.floor import LIBC, read_symbols

OLD = Artifact(
    name="libc6",
    version="2.31-13+deb11u11",
    arch="arm64",
    archive="debian",
    suite="bullseye",
    path="pool/main/g/glibc/libc6_2.31-13+deb11u11_arm64.deb",
    size=2_455_356,
    sha256="baaa9aa184e2f21738c5819055e6740cc5b22f198e3f416e33f82b40ff6933d8",
    unpacked_size=16_000_000,
)
EVIDENCE = SuiteEvidence(suite="bullseye", date="2024-08-31", fingerprint="", snapshot="20240901T000000Z")
FOLDED = (2, 34)
LIBRARIES = (
    LIBC, "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1", "libresolv.so.2",
    "libanl.so.1",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description="make toolchains/glibc/moves.toml")
    parser.add_argument("--target", default="ppc64le", help="whose newest glibc is read")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if it would change")
    arguments = parser.parse_args()
    readelf = shutil.which("readelf")
    if readelf is None:
        parser.error("needs readelf (Debian: binutils)")
    environ = dict(os.environ)
    settings = Settings(
        cache_dir=Path(environ.get("XTOOL_CACHE_DIR") or default_cache_dir()),
        debian_mirror=environ.get("XTOOL_DEBIAN_MIRROR"),
        snapshot_mirror=environ.get("XTOOL_SNAPSHOT_MIRROR"),
    )
    catalog = Catalog()
    lock = catalog.lock(current_host(), catalog.target(arguments.target))
    new = next(artifact for artifact in lock.artifacts("glibc") if artifact.name == "libc6")
    files = fetch(
        Context(settings, SilentLog(), environ),
        catalog,
        [OLD, new],
        evidence={**lock.evidence, OLD.suite: EVIDENCE},
        downloads=settings.cache_dir / "v1" / "downloads",
    )
    text = table(symbols(files[OLD.sha256], Path(readelf)), symbols(files[new.sha256], Path(readelf)))
    path = default_root() / "glibc" / "moves.toml"
    same = path.is_file() and path.read_text(encoding="utf-8") == text
    if not arguments.check:
        path.write_text(text, encoding="utf-8")
    print(f"{path.name}: {'unchanged' if same else 'changed'}")
    return 1 if arguments.check and not same else 0


def symbols(package: VerifiedFile, readelf: Path) -> dict[str, dict[str, tuple[int, ...]]]:
    """By soname, the oldest version of each symbol."""
    found: dict[str, dict[str, tuple[int, ...]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        unpack(package, Path(folder), only=lambda name: ".so" in name and "gconv" not in name)
        for soname in LIBRARIES:
            # Debian 11 has them in /lib/TRIPLET, 12 and later in /usr/lib/TRIPLET.
            for library in sorted(Path(folder).rglob(soname)):
                versions = found.setdefault(soname, {})
                for symbol in read_symbols(readelf, library, SilentLog()):
                    versions[symbol.name] = min(symbol.number, versions.get(symbol.name, symbol.number))
    return found


def table(old: dict[str, dict[str, tuple[int, ...]]], new: dict[str, dict[str, tuple[int, ...]]]) -> str:
    groups: dict[tuple[str, ...], set[str]] = {}
    for soname, versions in new.items():
        for name, version in versions.items():
            homes = tuple(sorted(library for library in old if name in old[library]))
            if version < FOLDED and homes and homes != (soname,):
                groups.setdefault(homes, set()).add(name)
    lines = [
        "# Made by scripts/update_glibc_moves.py; corrections.toml adds what it cannot know.",
        "# The libraries that had each symbol below the glibc named; since then the one that has it today.",
        "schema = 1",
    ]
    for homes, names in sorted(groups.items()):
        quoted = ", ".join(f'"{name}"' for name in sorted(names)) + ","
        indents = {"initial_indent": "  ", "subsequent_indent": "  "}
        wrapped = textwrap.wrap(quoted, 110, break_on_hyphens=False, **indents)
        libraries = ", ".join(f'"{library}"' for library in homes)
        lines += ["", "[[moved]]", f'below = "{FOLDED[0]}.{FOLDED[1]}"', f"libraries = [{libraries}]"]
        lines += ["symbols = [", *wrapped, "]"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except XtoolError as error:
        sys.exit(f"error: {error.message}")
