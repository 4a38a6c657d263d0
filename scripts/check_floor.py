#!/usr/bin/env python3
"""Hold the derived floors against two witnesses that know nothing of how they are derived.

    scripts/check_floor.py [--target ppc64le] [--package NAME ...]

1. Official wheels of the target's lowest manylinux policy, from the package index: every `symbol@version`
   that one imports from a glibc library must be exported by the stub of the same library (.gnu.version_r
   names it).
2. The table of the `ziglang` wheel, collected from glibc's own lists of symbols: at every floor from the
   lowest to glibc 2.33, each library must export the same; from 2.34 on, all libraries together.

Differences that are known and why are in `toolchains/glibc/differences.toml`. Exit code 1 for any other.
Needs pip, and the development dependencies (`ziglang`).
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator
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
from xtool.targets import Glibc, current_host, format_glibc, parse_glibc
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

Exports = dict[str, set[str]]
"""By soname, `symbol@version`."""

Difference = tuple[str, str, str]
"""Witness, library, `symbol@version`."""

Explained = dict[Difference, Glibc]
"""Known differences, and the lowest floor that each is known for."""


def main() -> int:
    parser = argparse.ArgumentParser(description="hold the derived floors against wheels and zig's table")
    parser.add_argument("--target", default="ppc64le")
    parser.add_argument("--package", action="append", help="a package with wheels for the target")
    parser.add_argument("--wheels", type=Path, help="a folder of wheels, instead of downloading")
    arguments = parser.parse_args()
    target = Catalog().target(arguments.target)
    newest, floors = make_sysroots(arguments.target)
    known = tomllib.loads((default_root() / "glibc" / "differences.toml").read_text(encoding="utf-8"))
    explained = {
        (entry["witness"], entry["library"], symbol): parse_glibc(entry["from"])
        for entry in known["difference"]
        for symbol in entry["symbols"]
    }

    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.wheels or download(
            arguments.package or PACKAGES, target.name, target.lowest_glibc, Path(scratch)
        )
        unexplained = check_wheels(folder, target.lowest_glibc, floors[target.lowest_glibc], explained)
    unexplained += check_zig(target.triplet, newest, explained, target.lowest_glibc)
    print(f"{unexplained} unexplained differences")
    return 1 if unexplained else 0


def make_sysroots(name: str) -> tuple[Exports, dict[Glibc, Exports]]:
    """What the sysroots at the lowest and at the newest floor export."""
    environ = dict(os.environ)
    settings = Settings(
        cache_dir=Path(environ.get("XTOOL_CACHE_DIR") or default_cache_dir()),
        debian_mirror=environ.get("XTOOL_DEBIAN_MIRROR"),
        jobs=os.cpu_count() or 1,
    )
    catalog, host = Catalog(), current_host()
    target = catalog.target(name)
    lock = catalog.lock(host, target)
    compiler = gcc.gcc_recipe(host, target, lock)
    newest = sysroot.newest_floor(lock)
    recipes = {
        floor: sysroot.derived_recipe(target, lock, floor, compiler)
        for floor in (target.lowest_glibc, newest)
    }
    context = Context(settings, SilentLog(), environ)
    installed = installer.ensure(context, catalog, lock, [compiler, *recipes.values()])
    exports = {}
    for floor, recipe in recipes.items():
        table = json.loads(sysroot.sysroot(installed[recipe.name], floor).exports.read_text(encoding="ascii"))
        exports[floor] = {soname: set(symbols) for soname, symbols in table.items()}
    return exports[newest], exports


def download(packages: tuple[str, ...], machine: str, glibc: Glibc, folder: Path) -> Path:
    """Fetch the newest wheel of each package for the policy; name those that have none."""
    tags = [f"manylinux_{glibc[0]}_{glibc[1]}_{machine}"]
    tags += [f"manylinux2014_{machine}"] if glibc == (2, 17) else []
    command = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
    command += [
        "--only-binary",
        ":all:",
        "--implementation",
        "cp",
        "--python-version",
        "3.11",
        "-d",
        str(folder),
    ]
    command += [word for tag in tags for word in ("--platform", tag)]
    for package in packages:
        done = subprocess.run([*command, package], capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{package}: no wheel for {tags[0]}")
    return folder


def check_wheels(folder: Path, floor: Glibc, exports: Exports, explained: Explained) -> int:
    wheels = imports = 0
    differences: Counter[Difference] = Counter()
    for wheel in sorted(folder.glob("*.whl")):
        found = list(wheel_imports(wheel))
        wheels += bool(found)
        for library, symbol in found:
            if library in exports:
                imports += 1
                differences["wheel", library, symbol] += symbol not in exports[library]
    missing = +differences
    print(f"wheels: {wheels}, imports from glibc and libgcc_s: {imports}, not in the stub: {len(missing)}")
    return report(set(missing), floor, explained, "a wheel imports it, the stub has it not")


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


def check_zig(triplet: str, newest: Exports, explained: Explained, lowest: Glibc) -> int:
    spec = importlib.util.find_spec("ziglang")
    if spec is None or spec.origin is None:
        sys.exit("error: needs the ziglang package")
    table = Path(spec.origin).parent / "lib" / "libc" / "glibc" / "abilists"
    inclusions = list(read_abilists(table.read_bytes(), triplet))
    sonames = {soname.removeprefix("lib").partition(".")[0]: soname for soname in newest}
    loader = next(soname for soname in newest if soname.startswith("ld"))
    sonames["ld"] = loader
    today = {
        soname: tuple(parse_symbol(text) for text in texts)
        for soname, texts in newest.items()
        if soname in {sonames[item.library] for item in inclusions}
    }
    history = load_history(default_root() / "glibc")
    unexplained = compared = 0
    top = max(symbol.number[:2] for symbols in today.values() for symbol in symbols)
    floors = [(2, minor) for minor in range(lowest[1], top[1] + 1)]
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
        compared += len(ours | theirs)
        label = format_glibc(floor)
        for side, text in ((ours - theirs, "only we have it"), (theirs - ours, "only zig has it")):
            unexplained += report({("zig", *pair) for pair in side}, floor, explained, f"{label}: {text}")
    print(f"zig: {len(floors)} floors, {compared} symbols compared")
    return unexplained


def report(found: set[Difference], floor: Glibc, explained: Explained, why: str) -> int:
    """Print what is not explained; how many that is."""
    known = {key for key, since in explained.items() if floor >= since}
    if floor >= FOLDED:
        known |= {(witness, "any", symbol) for witness, _, symbol in known}
    rest = sorted(found - known)
    for _, library, symbol in rest:
        print(f"  {library} {symbol}: {why}")
    return len(rest)


def parse_symbol(text: str) -> Symbol:
    name, _, version = text.partition("@")
    return Symbol(name, version, "FUNC", 0, 0, weak=False, default=False)


def read_abilists(data: bytes, triplet: str) -> Iterator[Inclusion]:
    """Read zig's table; its format is described in the README of ziglang/libc-abi-tools."""
    reader = Reader(data)
    libraries = [reader.text() for _ in range(reader.byte())]
    versions = [(reader.byte(), reader.byte(), reader.byte()) for _ in range(reader.byte())]
    targets = [reader.text() for _ in range(reader.byte())]
    wanted = 1 << targets.index(triplet if triplet in targets else f"{triplet}-gnu")
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
