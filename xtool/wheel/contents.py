"""The machine code in a wheel: every ELF file, object file and static archive, wherever it lies."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from xtool.elf import ElfFacts, ElfHeader, is_elf, read_elf, read_header
from xtool.errors import ArchiveError, UsageError
from xtool.wheel.machines import Machine, fits
from xtool.wheel.wheelfile import Wheel

_AR_MAGIC = b"!<arch>\n"
_AR_HEADER = 60
_CODE_SUFFIXES = (".so", ".dylib", ".pyd")
"""Of other systems; programs (`.exe`) are data in many a pure wheel, setuptools' own among them."""
_MAX_OBJECTS = 20_000


@dataclass(frozen=True)
class Contents:
    """What a scan of a wheel found.

    Args:
        files: facts of each linked ELF file (shared object or program) by member name.
        objects: headers of object files, loose or in static archives, by member name.
        record_problems: what RECORD has against members.
        foreign: formats of other systems' machine code (`Mach-O`, `PE`), by member name.
    """

    files: Mapping[str, ElfFacts]
    objects: Mapping[str, tuple[ElfHeader, ...]]
    record_problems: Mapping[str, str] = field(default_factory=dict)
    foreign: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def providers(self) -> Mapping[str, tuple[str, ...]]:
        """Members by each library name that they answer to: file name and SONAME."""
        found: dict[str, list[str]] = {}
        for member, facts in self.files.items():
            for name in {posixpath.basename(member), facts.soname or ""} - {""}:
                found.setdefault(name, []).append(member)
        return {name: tuple(members) for name, members in found.items()}

    def resolve(self, member: str, library: str) -> str | None:
        """The member that a file's library is found in through its RPATH, or None.

        A library that an extension loads inherits the extension's DT_RPATH, so one without any of its own is
        taken to find what lies in the wheel; auditwheel sees it the same way.
        """
        candidates = self.providers.get(library, ())
        if not candidates:
            return None
        facts = self.files[member]
        here = posixpath.dirname(installed(member))
        for entry in (*facts.rpath, *facts.runpath):
            place = entry.replace("${ORIGIN}", "$ORIGIN")
            if place == "$ORIGIN" or place.startswith("$ORIGIN/"):
                folder = posixpath.normpath(posixpath.join("/", here, place[len("$ORIGIN") :].lstrip("/")))
                for candidate in candidates:
                    if posixpath.join("/", posixpath.dirname(installed(candidate))) == folder:
                        return candidate
        return None if facts.init_functions else candidates[0]

    def inside(self, member: str) -> frozenset[str]:
        """Names of the libraries that a file needs and finds in the wheel."""
        needed = self.files[member].needed
        return frozenset(name for name in needed if self.resolve(member, name) is not None)


def installed(member: str) -> str:
    """Where a member goes below site-packages: `NAME.data/platlib/` is no folder of its own."""
    first, _, rest = member.partition("/")
    scheme, _, path = rest.partition("/")
    return path if first.endswith(".data") and scheme in {"platlib", "purelib"} else member


def find_library(name: str, machine: Machine, folders: Sequence[Path]) -> Path | None:
    """The first shared library of a name in some folders; files of other machines do not count."""
    for folder in folders:
        path = folder / name
        with suppress(ArchiveError, UsageError):
            if path.is_file() and fits(read_elf(path).header, machine.elf):
                return path
    return None


def scan(wheel: Wheel) -> Contents:
    """Read every member once.

    Raises:
        ArchiveError: the wheel or an ELF file in it is malformed.
    """
    files: dict[str, ElfFacts] = {}
    objects: dict[str, tuple[ElfHeader, ...]] = {}
    problems: dict[str, str] = {}
    foreign: dict[str, str] = {}
    for member in wheel.members():
        problem = wheel.record_problem(member.name, member.data)
        if problem:
            problems[member.name] = problem
        if is_elf(member.data):
            facts = read_elf(member.data, name=member.name)
            if facts.header.kind == "ET_REL":
                objects[member.name] = (facts.header,)
            else:
                files[member.name] = facts
        elif member.data.startswith(_AR_MAGIC):
            objects[member.name] = tuple(dict.fromkeys(_archived(member.data, member.name)))
        elif member.name.endswith(_CODE_SUFFIXES) and (system := _foreign_format(member.data)):
            foreign[member.name] = system
    return Contents(files, {name: headers for name, headers in objects.items() if headers}, problems, foreign)


def _foreign_format(data: bytes) -> str | None:
    """`PE` for Windows, `Mach-O` for macOS (thin or universal), by the magic numbers in their headers."""
    if data.startswith(b"MZ"):
        return "PE"
    magics = {0xFEEDFACE, 0xFEEDFACF, 0xCAFEBABE, 0xCAFEBABF}
    found = {int.from_bytes(data[:4], "little"), int.from_bytes(data[:4], "big")}
    return "Mach-O" if magics & found else None


def _archived(data: bytes, name: str) -> Iterator[ElfHeader]:
    """Headers of the ELF files in a static archive (the common ar format of System V)."""
    position, count = len(_AR_MAGIC), 0
    while position + _AR_HEADER <= len(data):
        count += 1
        header = data[position : position + _AR_HEADER]
        size = header[48:58].strip()
        if header[58:60] != b"`\n" or not size.isdigit() or count > _MAX_OBJECTS:
            raise ArchiveError(f"{name} is a malformed static archive")
        position += _AR_HEADER
        start = data[position : position + 4]
        if is_elf(start):
            yield read_header(data[position : position + int(size)], name=name)
        position += int(size) + int(size) % 2
