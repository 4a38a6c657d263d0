#!/usr/bin/env python3
"""Make `toolchains/glibc/moves.toml`: which library each glibc symbol lived in before 2.34 moved them.

    scripts/update_glibc_moves.py             write it
    scripts/update_glibc_moves.py --check     write nothing; exit 1 if it would change
    scripts/update_glibc_moves.py --check --machine i686      look at one machine's part only

It reads Debian 11's glibc 2.31 and the locked, newest glibc of each machine that Debian 11 still has. The
division between the libraries is the same everywhere, so one machine's table serves for all: arm64's, whose
symbols begin with version 2.17, by name. Machines that have older versions of some names, of which each
went a way of its own (i386's `pread@GLIBC_2.1`), get entries by `name@version` for what the first table gets
wrong. What none of these packages can tell is in `corrections.toml`. Needs binutils' readelf.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path

from xtool.archive import unpack
from xtool.artifacts import Artifact, VerifiedFile
from xtool.catalog import Catalog, Lock, SuiteEvidence, default_root
from xtool.config import Settings
from xtool.context import Context
from xtool.errors import XtoolError
from xtool.fetch import fetch
from xtool.log import SilentLog
from xtool.paths import default_cache_dir
from xtool.targets import current_host
from xtool.toolchain.floor import LIBC, Symbol, read_symbols


def _old(arch: str, size: int, sha256: str) -> Artifact:
    version = "2.31-13+deb11u11"
    path = f"pool/main/g/glibc/libc6_{version}_{arch}.deb"
    return Artifact("libc6", version, arch, "debian", "bullseye", path, size, sha256, 16_000_000)


GENERAL = "aarch64"
OLD = {
    "aarch64": _old("arm64", 2_455_356, "baaa9aa184e2f21738c5819055e6740cc5b22f198e3f416e33f82b40ff6933d8"),
    "armv7l": _old("armhf", 2_331_296, "2b8a57429fd1999ae15c144a09a37a2c37a02ec1c5a5e07eded65455934e3b08"),
    "i686": _old("i386", 2_755_136, "8198abd817cbcd615ce3207fb924317b53cc0b522bfe57d689757de13fe00d66"),
    "x86_64": _old("amd64", 2_822_708, "05f7264da867b37f4c5ce49266b558ea1e81e05a9464f623152fca70f3550282"),
}
"""By machine, Debian 11's glibc. The other architectures of Debian 11 have left the mirrors."""

EVIDENCE = SuiteEvidence(suite="bullseye", date="2024-08-31", fingerprint="", snapshot="20240901T000000Z")
FOLDED = (2, 34)
SEEN = (2, 31)
LIBRARIES = (
    LIBC, "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libutil.so.1", "libresolv.so.2",
    "libanl.so.1",
)  # fmt: skip

Homes = dict[Symbol, tuple[str, ...]]
"""The libraries that have each symbol; only its name and version are told."""

Groups = dict[tuple[str, ...], set[str]]
"""By libraries, the symbols that lived there."""


def main() -> int:
    parser = argparse.ArgumentParser(description="make toolchains/glibc/moves.toml")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if it would change")
    parser.add_argument("--machine", choices=sorted(OLD), help="with --check: this machine's part only")
    arguments = parser.parse_args()
    if arguments.machine and not arguments.check:
        parser.error("--machine needs --check: the file is written as a whole")
    readelf = shutil.which("readelf")
    if readelf is None:
        parser.error("needs readelf (Debian: binutils)")
    machines = sorted({GENERAL, arguments.machine or GENERAL}) if arguments.machine else sorted(OLD)
    found = {machine: both(machine, Path(readelf)) for machine in machines}
    general = by_name(*found.pop(GENERAL))
    parts = {machine: apart(machine_old, new, general) for machine, (machine_old, new) in found.items()}
    path = default_root() / "glibc" / "moves.toml"
    present = path.read_text(encoding="utf-8") if path.is_file() else ""
    if arguments.machine:
        wanted = [render(general), *(render(groups, machine) for machine, groups in parts.items())]
        same = all(text in present for text in wanted)
    else:
        text = HEAD + render(general) + "".join(render(parts[machine], machine) for machine in sorted(parts))
        same = present == text
        if not arguments.check:
            path.write_text(text, encoding="utf-8")
    print(f"{path.name}: {'unchanged' if same else 'changed'}")
    return 1 if arguments.check and not same else 0


def both(machine: str, readelf: Path) -> tuple[Homes, Homes]:
    """Where a machine's symbols are in glibc 2.31 and in the newest one."""
    environ = dict(os.environ)
    settings = Settings(
        cache_dir=Path(environ.get("XTOOL_CACHE_DIR") or default_cache_dir()),
        debian_mirror=environ.get("XTOOL_DEBIAN_MIRROR"),
        snapshot_mirror=environ.get("XTOOL_SNAPSHOT_MIRROR"),
    )
    catalog, old = Catalog(), OLD[machine]
    lock, new = newest(catalog, old.arch)
    files = fetch(
        Context(settings, SilentLog(), environ),
        catalog,
        [old, new],
        evidence={**lock.evidence, old.suite: EVIDENCE},
        downloads=settings.cache_dir / "v1" / "downloads",
    )
    return homes(files[old.sha256], readelf), homes(files[new.sha256], readelf)


def newest(catalog: Catalog, arch: str) -> tuple[Lock, Artifact]:
    """The locked glibc of a Debian architecture, a target's own or the one that compilers run with."""
    for target in catalog.targets.values():
        if catalog.lock_path(current_host(), target).is_file():
            lock = catalog.lock(current_host(), target)
            for artifact in (*lock.artifacts("glibc"), *lock.artifacts("gcc")):
                if (artifact.name, artifact.arch) == ("libc6", arch):
                    return lock, artifact
    raise SystemExit(f"error: no lock has libc6 for {arch}")


def homes(package: VerifiedFile, readelf: Path) -> Homes:
    """Where each symbol of a glibc is."""
    found: dict[Symbol, set[str]] = {}
    with tempfile.TemporaryDirectory() as folder:
        # amd64 has the loader a second time, as an absolute link.
        unpack(package, Path(folder), only=lambda name: "-linux-gnu" in name and "gconv" not in name)
        for soname in LIBRARIES:
            # Debian 11 has them in /lib/TRIPLET, 12 and later in /usr/lib/TRIPLET.
            for library in sorted(Path(folder).rglob(soname)):
                for symbol in read_symbols(readelf, library, SilentLog()):
                    found.setdefault(_bare(symbol), set()).add(soname)
    return {symbol: tuple(sorted(libraries)) for symbol, libraries in found.items()}


def _bare(symbol: Symbol) -> Symbol:
    return Symbol(symbol.name, symbol.version, "FUNC", 0, 0, weak=False, default=False)


def by_name(old: Homes, new: Homes) -> Groups:
    """The table for all machines: where names lived that have moved since."""
    groups: Groups = {}
    former = _joined(old.items())
    today = _joined((symbol, where) for symbol, where in new.items() if symbol.number < FOLDED)
    for name, libraries in today.items():
        if name in former and former[name] != libraries:
            groups.setdefault(former[name], set()).add(name)
    return groups


def _joined(homes: Iterable[tuple[Symbol, tuple[str, ...]]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for symbol, libraries in homes:
        found.setdefault(symbol.name, set()).update(libraries)
    return {name: tuple(sorted(libraries)) for name, libraries in found.items()}


def apart(old: Homes, new: Homes, general: Mapping[tuple[str, ...], set[str]]) -> Groups:
    """What the table for all gets wrong for one machine, by `name@version`."""
    told = {name: libraries for libraries, names in general.items() for name in names}
    groups: Groups = {}
    for symbol, today in new.items():
        if symbol.number[:2] > SEEN or not symbol.version.startswith("GLIBC_"):
            continue
        truth = old.get(symbol, ())
        if told.get(symbol.name, today) != truth:
            groups.setdefault(truth, set()).add(str(symbol))
    return groups


HEAD = """# Made by scripts/update_glibc_moves.py; corrections.toml adds what it cannot know.
# The libraries that had each symbol below the glibc named; since then the one that has it today.
# `machines`: only there; none of the libraries: no library had this version then.
schema = 1
"""


def render(groups: Groups, machine: str = "") -> str:
    """The entries of one table, as they stand in the file."""
    lines = []
    for libraries, names in sorted(groups.items()):
        quoted = ", ".join(f'"{name}"' for name in sorted(names)) + ","
        wrapped = textwrap.wrap(
            quoted, 110, break_on_hyphens=False, initial_indent="  ", subsequent_indent="  "
        )
        listed = ", ".join(f'"{library}"' for library in libraries)
        lines += ["", "[[moved]]", f'below = "{FOLDED[0]}.{FOLDED[1]}"']
        lines += [f'machines = ["{machine}"]'] * bool(machine)
        lines += [f"libraries = [{listed}]", "symbols = [", *wrapped, "]"]
    return "\n".join(lines) + "\n" if lines else ""


if __name__ == "__main__":
    try:
        sys.exit(main())
    except XtoolError as error:
        sys.exit(f"error: {error.message}")
