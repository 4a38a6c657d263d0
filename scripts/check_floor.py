#!/usr/bin/env python3
"""Hold the derived floors against two witnesses that know nothing of how they are derived.

    scripts/check_floor.py [--target NAME ...] [--package NAME ...]      every target without --target

1. Official wheels from the package index, of the target's lowest manylinux policy or the next that they are
   for: every `symbol@version` that one imports from a glibc library must be exported by the stub of the same
   library (.gnu.version_r names it) at that floor.
2. The table of the `ziglang` wheel, collected from glibc's own lists of symbols: at every floor from the
   lowest to glibc 2.33, each library must export the same; from 2.34 on, all libraries together.

Differences that are known and why are in `toolchains/glibc/differences.toml`. Exit code 1 for any other.
Prints a table of all targets at the end. Needs pip, and the development dependencies (`ziglang`).
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile

from xtool import installer
from xtool.catalog import Catalog, default_root
from xtool.config import Settings
from xtool.context import Context
from xtool.errors import XtoolError
from xtool.log import SilentLog
from xtool.paths import default_cache_dir
from xtool.targets import Glibc, Target, current_host, format_glibc, parse_glibc
from xtool.toolchain import gcc, sysroot
from xtool.toolchain.floor import Symbol, floor_libraries, load_history

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PACKAGES = (
    "aiohttp", "cffi", "charset-normalizer", "coverage", "frozenlist", "greenlet", "hiredis", "kiwisolver",
    "lxml", "markupsafe", "multidict", "orjson", "pydantic-core", "regex", "rpds-py", "simplejson", "tornado",
    "websockets", "yarl", "zstandard",
)  # fmt: skip
FOLDED: Glibc = (2, 34)

ZIG_NAMES = {"i686": "x86-linux-gnu"}
"""Where zig's name of a target is not its triplet."""

WHEEL_FLOORS: tuple[Glibc, ...] = ((2, 17), (2, 28), (2, 31), (2, 34), (2, 35), (2, 36), (2, 39))
"""Policies that wheels on the index are made for, the oldest preferred."""

Exports = dict[str, set[str]]
"""By soname, `symbol@version`."""

Difference = tuple[str, str, str]
"""Witness, library, `symbol@version`."""

Known = dict[Difference, Glibc]
"""Known differences, and the lowest floor that each is known for. Without a version: all versions."""


@dataclass
class Outcome:
    """What one witness says of one target: things compared, and how many differences there were."""

    compared: int = 0
    explained: int = 0
    unexplained: int = 0


def main() -> int:
    parser = argparse.ArgumentParser(description="hold the derived floors against wheels and zig's table")
    parser.add_argument("--target", action="append", help="default: every target that has a lock")
    parser.add_argument("--package", action="append", help="a package with wheels for the target")
    parser.add_argument("--wheels", type=Path, help="a folder of wheels, instead of downloading")
    arguments = parser.parse_args()
    catalog = Catalog()
    locked = [t.name for t in catalog.targets.values() if catalog.lock_path(current_host(), t).is_file()]
    rows = []
    unexplained = 0
    for name in arguments.target or locked:
        target = catalog.target(name)
        print(f"{target.name}:")
        with tempfile.TemporaryDirectory() as scratch:
            floors = [floor for floor in WHEEL_FLOORS if floor >= target.lowest_glibc] or [
                target.lowest_glibc
            ]
            folder = arguments.wheels or download(
                arguments.package or PACKAGES, target.name, floors, Path(scratch)
            )
            wheels = {path: wheel_floor(path, target) for path in sorted(folder.glob("*.whl"))}
            wanted = {floor for floor in wheels.values() if floor is not None}
            exports = make_sysroots(catalog, target, wanted)
            known = known_differences(target.name)
            by_wheels = check_wheels(wheels, exports, known)
        by_zig = check_zig(target, exports[max(exports)], known)
        found = by_wheels.unexplained + by_zig.unexplained
        print(f"{found} unexplained differences")
        unexplained += found
        used = sum(floor is not None for floor in wheels.values())
        cells = [target.name, used, by_wheels.compared, by_wheels.explained, by_wheels.unexplained]
        cells += [by_zig.compared, by_zig.explained, by_zig.unexplained]
        rows.append(f"| {' | '.join(map(str, cells))} |")
    print("| target | wheels | imports | explained | missing | zig: symbols | explained | different |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", *rows, sep="\n")
    return 1 if unexplained else 0


def known_differences(machine: str) -> Known:
    document = tomllib.loads((default_root() / "glibc" / "differences.toml").read_text(encoding="utf-8"))
    return {
        (entry["witness"], "ld" if entry["library"] == "ld.so" else entry["library"], symbol): parse_glibc(
            entry["from"]
        )
        for entry in document["difference"]
        if machine in entry.get("machines", (machine,))
        for symbol in entry["symbols"]
    }


def make_sysroots(catalog: Catalog, target: Target, floors: set[Glibc]) -> dict[Glibc, Exports]:
    """What the sysroots at some floors, at the lowest and at the newest one export."""
    environ = dict(os.environ)
    settings = Settings(
        cache_dir=Path(environ.get("XTOOL_CACHE_DIR") or default_cache_dir()),
        debian_mirror=environ.get("XTOOL_DEBIAN_MIRROR"),
        jobs=os.cpu_count() or 1,
    )
    host = current_host()
    lock = catalog.lock(host, target)
    compiler = gcc.gcc_recipe(host, target, lock)
    recipes = {
        floor: sysroot.derived_recipe(target, lock, floor, compiler)
        for floor in floors | {target.lowest_glibc, sysroot.newest_floor(lock)}
    }
    context = Context(settings, SilentLog(), environ)
    installed = installer.ensure(context, catalog, lock, [compiler, *recipes.values()])
    exports = {}
    for floor, recipe in recipes.items():
        table = json.loads(sysroot.sysroot(installed[recipe.name], floor).exports.read_text(encoding="ascii"))
        exports[floor] = {soname: set(symbols) for soname, symbols in table.items()}
    return exports


def download(packages: Sequence[str], machine: str, floors: Sequence[Glibc], folder: Path) -> Path:
    """Fetch the newest wheel of each package for one of the policies; name those that have none."""
    tags = [f"manylinux_{major}_{minor}_{machine}" for major, minor in floors]
    tags[1:1] = [f"manylinux2014_{machine}"] if floors[0] == (2, 17) else []
    command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary", ":all:", "--implementation", "cp", "--python-version", "3.13"]
    command += ["-d", str(folder), *(word for tag in tags for word in ("--platform", tag))]
    for package in packages:
        done = subprocess.run([*command, package], capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"  {package}: no wheel for {machine}")
    return folder


def wheel_floor(wheel: Path, target: Target) -> Glibc | None:
    """The oldest floor of ours that a wheel's name promises; None for a wheel that is not for the target."""
    platforms = wheel.stem.rpartition("-")[2].replace("manylinux2014_", "manylinux_2_17_").split(".")
    found = (re.fullmatch(rf"manylinux_(\d+)_(\d+)_{target.name}", platform) for platform in platforms)
    floors = [(int(match[1]), int(match[2])) for match in found if match]
    return max(min(floors), target.lowest_glibc) if floors else None


def check_wheels(
    wheels: Mapping[Path, Glibc | None], exports: Mapping[Glibc, Exports], known: Known
) -> Outcome:
    outcome, missing = Outcome(), set()
    for wheel, floor in wheels.items():
        if floor is None:
            continue
        for library, symbol in wheel_imports(wheel):
            if library in exports[floor]:
                outcome.compared += 1
                if symbol not in exports[floor][library]:
                    missing.add((floor, ("wheel", library, symbol)))
    for floor, difference in sorted(missing):
        judge({difference}, floor, known, "a wheel imports it, the stub has it not", outcome)
    used = sum(floor is not None for floor in wheels.values())
    print(f"  wheels: {used}, imports: {outcome.compared}, not in the stub: {outcome.unexplained}")
    return outcome


def wheel_imports(wheel: Path) -> Iterator[tuple[str, str]]:
    """(library, `symbol@version`) of every ELF file of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            if not data.startswith(b"\x7fELF"):
                continue
            elf = ELFFile(io.BytesIO(data))
            needs = elf.get_section_by_name(".gnu.version_r")
            indexes = elf.get_section_by_name(".gnu.version")
            versions = {}
            for library, auxiliaries in needs.iter_versions() if needs else ():
                for auxiliary in auxiliaries:
                    versions[auxiliary["vna_other"]] = (library.name, auxiliary.name)
            for number, symbol in enumerate(elf.get_section_by_name(".dynsym").iter_symbols()):
                index = indexes.get_symbol(number)["ndx"] if indexes else None
                if symbol["st_shndx"] == "SHN_UNDEF" and index in versions:
                    library, version = versions[index]
                    yield library, f"{symbol.name}@{version}"


@dataclass(frozen=True)
class Inclusion:
    """One entry of zig's table: a symbol that a library has had, at some versions, for one target."""

    name: str
    library: str
    versions: tuple[tuple[int, ...], ...]


def check_zig(target: Target, newest: Exports, known: Known) -> Outcome:
    spec = importlib.util.find_spec("ziglang")
    if spec is None or spec.origin is None:
        sys.exit("error: needs the ziglang package")
    table = Path(spec.origin).parent / "lib" / "libc" / "glibc" / "abilists"
    inclusions = list(read_abilists(table.read_bytes(), ZIG_NAMES.get(target.name, target.triplet)))
    sonames = {soname.removeprefix("lib").partition(".")[0]: soname for soname in newest}
    sonames["ld"] = next(soname for soname in newest if soname.startswith("ld"))
    today = {
        soname: tuple(parse_symbol(text) for text in texts)
        for soname, texts in newest.items()
        if soname in {sonames[item.library] for item in inclusions}
    }
    history = load_history(default_root() / "glibc", target.name)
    outcome = Outcome()
    top = max(symbol.number[:2] for symbols in today.values() for symbol in symbols)
    floors = [(2, minor) for minor in range(target.lowest_glibc[1], top[1] + 1)]
    for floor in floors:
        ours = {
            (soname, str(symbol))
            for soname, symbols in floor_libraries(today, floor, history).items()
            for symbol in symbols
            if soname in today
        }
        theirs = {
            (sonames[item.library], f"{item.name}@GLIBC_{'.'.join(map(str, version))}")
            for item in inclusions
            for version in item.versions
            if version[:2] <= floor
        }
        if floor >= FOLDED:
            # Zig's table keeps the old versions of a folded symbol in the old library.
            ours, theirs = ({("any", text) for _, text in side} for side in (ours, theirs))
        outcome.compared += len(ours | theirs)
        label = format_glibc(floor)
        for side, text in ((ours - theirs, "only we have it"), (theirs - ours, "only zig has it")):
            judge({("zig", *pair) for pair in side}, floor, known, f"{label}: {text}", outcome)
    print(f"  zig: {len(floors)} floors, {outcome.compared} symbols compared, {outcome.explained} explained")
    return outcome


def judge(found: set[Difference], floor: Glibc, known: Known, why: str, outcome: Outcome) -> None:
    """Count what is explained and what is not; print the latter."""
    valid = {key for key, since in known.items() if floor >= since}
    if floor >= FOLDED:
        valid |= {(witness, "any", symbol) for witness, _, symbol in valid}
    for witness, library, symbol in sorted(found):
        place = "ld" if library.startswith("ld") else library
        if {(witness, place, symbol), (witness, place, symbol.partition("@")[0])} & valid:
            outcome.explained += 1
        else:
            outcome.unexplained += 1
            print(f"  {library} {symbol}: {why}")


def parse_symbol(text: str) -> Symbol:
    name, _, version = text.partition("@")
    return Symbol(name, version, "FUNC", 0, 0, weak=False, default=False)


def read_abilists(data: bytes, name: str) -> Iterator[Inclusion]:
    """Read zig's table; its format is described in the README of ziglang/libc-abi-tools."""
    reader = Reader(data)
    libraries = [reader.text() for _ in range(reader.byte())]
    versions = [(reader.byte(), reader.byte(), reader.byte()) for _ in range(reader.byte())]
    targets = [reader.text() for _ in range(reader.byte())]
    wanted = 1 << targets.index(name)
    for has_size in (False, True, True):
        left = reader.byte() | reader.byte() << 8
        while left:
            name, last = reader.text(), False
            while not last:
                mask = reader.number()
                if has_size:
                    reader.number()
                library = reader.byte()
                found = []
                while True:
                    index = reader.byte()
                    version = versions[index & 0x7F]
                    found.append(version if version[2] else version[:2])
                    if index & 0x80:
                        break
                last = bool(library & 0x80)
                left -= 1
                if mask & wanted:
                    yield Inclusion(name, libraries[library & 0x1F], tuple(found))


class Reader:
    """Bytes, numbers (unsigned LEB128) and texts, one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def byte(self) -> int:
        self.position += 1
        return self.data[self.position - 1]

    def number(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    def text(self) -> str:
        end = self.data.index(0, self.position)
        start, self.position = self.position, end + 1
        return self.data[start:end].decode()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except XtoolError as error:
        sys.exit(f"error: {error.message}")
