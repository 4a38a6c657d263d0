"""Two wheels, or two ELF files, side by side: what one has, needs or promises that the other does not.

Files are matched by what they are, not by how a build named them: without the hash of a grafted library
(`libpq-1a2b3c4d.so.5`), without the ABI in a module's name (`_x.cpython-313-...so` and `_x.abi3.so`), then
without a library's version, and last by their base names alone.
"""

from __future__ import annotations

import posixpath
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from xtool.elf import ElfFacts
from xtool.errors import UsageError
from xtool.wheel.contents import installed
from xtool.wheel.explain import plain_library
from xtool.wheel.report import Report, WheelFacts, _listed, relro

_ABI = re.compile(r"\.(cpython-\d+\w*(-[\w-]+)?|abi3t?|pypy\d+-[\w-]+)\.so$")
_LIBRARY_VERSION = re.compile(r"\.so(\.\d+)+$")
_RUNTIME = re.compile(
    r"_Z(N?K?S[tabsiod]|T[ISV]N?S|N?K?9__gnu_cxx|T[ISV]N10__cxxabiv1|nw|na|dl|da)|__cxa_|_Unwind_"
)
"""Symbols of libstdc++ and libgcc (Itanium C++ ABI mangling: `St` is `std::`)."""

_IGNORED = ("RECORD",)
_INFO = ("Root-Is-Purelib", "Generator", "Wheel-Version")
_METADATA = ("Metadata-Version", "Requires-Python", "Requires-Dist", "Provides-Extra")


@dataclass(frozen=True, slots=True)
class Change:
    """One fact that differs.

    Args:
        name: what it is (`Requires-Python`, `earned_tag`, `text`, ...).
        a: what the first has; None where it has nothing.
        b: what the second has.
    """

    name: str
    a: str | int | None
    b: str | int | None


@dataclass(frozen=True, slots=True)
class Names:
    """Names that only one of the two has, sorted.

    Args:
        removed: those of the first alone.
        added: those of the second alone.
    """

    removed: tuple[str, ...]
    added: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.removed or self.added)


@dataclass(frozen=True, slots=True)
class VersionChange:
    """The newest symbol version asked of a library, where it differs.

    Args:
        kind: `GLIBC`, `GLIBCXX`, ...
        library: who is asked, without a repair's hash.
        a: the first's newest, or None.
        b: the second's.
        symbols_a: symbols that ask for the first's.
        symbols_b: symbols that ask for the second's.
    """

    kind: str
    library: str
    a: str | None
    b: str | None
    symbols_a: tuple[str, ...]
    symbols_b: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileChange:
    """One ELF file of both.

    Args:
        name: what it is called without hash and ABI.
        a: member of the first.
        b: member of the second.
        changes: sizes (`size`, `text`, `data`, `bss`), `fits`, `soname`, `rpath`, `debug`, `symbol_table`,
            `relro`, `executable_stack`, `text_relocations`, `compilers`; only those that differ.
        needed: needed libraries, without hashes.
        versions: newest symbol versions that differ.
        exports: exported symbols.
        runtime_exports: those of them that are libstdc++'s or libgcc's, which a module should hide.
        imports: undefined symbols, without versions.
    """

    name: str
    a: str
    b: str
    changes: tuple[Change, ...]
    needed: Names
    versions: tuple[VersionChange, ...]
    exports: Names
    runtime_exports: Names
    imports: Names

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.changes or self.needed or self.versions or self.exports or self.imports)


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that differs.

    Args:
        a: report on the first.
        b: report on the second.
        changes: tags, metadata and sizes that differ.
        files: ELF files of both, in the order of their names; those that are the same, too.
        only: ELF files of one alone.
        members: other files of one alone.
        changed: other files whose bytes differ, by RECORD's hashes.
    """

    a: Report
    b: Report
    changes: tuple[Change, ...]
    files: tuple[FileChange, ...]
    only: Names
    members: Names
    changed: tuple[str, ...]

    def as_data(self) -> dict[str, Any]:
        """The comparison as plain data for JSON (`docs/inspect.schema.json`)."""
        return {
            "a": str(self.a.path),
            "b": str(self.b.path),
            "changes": [asdict(change) for change in self.changes],
            "files": [_listed(asdict(file)) for file in self.files],
            "only": _listed(asdict(self.only)),
            "members": _listed(asdict(self.members)),
            "changed": list(self.changed),
        }

    def as_text(self, width: int | None = None, *, color: bool = False, details: bool = False) -> str:
        """The comparison for a reader.

        Args:
            width: columns to keep to; the terminal's by default.
            color: whether to use ANSI colours.
            details: whether to list every name.
        """
        from xtool.wheel.comparewords import render

        columns = width or shutil.get_terminal_size((100, 24)).columns
        return "\n".join(render(self, columns, color=color, details=details))


def compare(a: Report, b: Report) -> Comparison:
    """Compare two wheels or two ELF files.

    Raises:
        UsageError: one is a wheel and the other is not.
    """
    if a.kind != b.kind:
        raise UsageError(
            f"cannot compare a wheel with a single file: {a.path.name} and {b.path.name}",
            hint="`xtool inspect --diff` takes two wheels, or two ELF files",
        )
    pairs, only = matched(a.facts, b.facts) if a.kind == "wheel" else (_the_two(a, b), Names((), ()))
    fits = (_floors(a), _floors(b))
    files = tuple(
        sorted(
            (
                _compare_files(
                    name, one, other, (a.facts[one], b.facts[other]), (fits[0][one], fits[1][other])
                )
                for name, one, other in pairs
            ),
            key=lambda file: (file.name, file.a),
        )
    )
    members, changed = _other_members(a, b)
    return Comparison(a, b, tuple(_changes(a, b)), files, only, members, changed)


def _floors(report: Report) -> dict[str, str | None]:
    """The policy that each file fits, without the machine: two machines' are comparable."""
    ending = f"_{report.machine}"
    return {file.name: file.fits.removesuffix(ending) if file.fits else None for file in report.files}


def _the_two(a: Report, b: Report) -> list[tuple[str, str, str]]:
    one, other = next(iter(a.facts)), next(iter(b.facts))
    return [(module_name(other), one, other)]


def module_name(member: str) -> str:
    """What a file is, whoever built it: `psycopg2/_psycopg`, `x.libs/libpq.so.5`."""
    path = plain_library(installed(member))
    named = _ABI.sub("", path)
    return named if posixpath.basename(path).startswith("lib") else named.removesuffix(".so")


def matched(a: Iterable[str], b: Iterable[str]) -> tuple[list[tuple[str, str, str]], Names]:
    """Pair members of two wheels.

    Returns:
        Name, first's member and second's member of each pair; and what is left of both.
    """
    left, right = sorted(a), sorted(b)
    pairs: list[tuple[str, str, str]] = []
    keys: tuple[Callable[[str], str], ...] = (
        module_name,
        lambda member: _LIBRARY_VERSION.sub(".so", module_name(member)),
        lambda member: _LIBRARY_VERSION.sub(".so", posixpath.basename(module_name(member))),
    )
    for key in keys:
        waiting: dict[str, list[str]] = {}
        for member in right:
            waiting.setdefault(key(member), []).append(member)
        for member in list(left):
            others = waiting.get(key(member))
            if others:
                other = others.pop(0)
                pairs.append((module_name(other), member, other))
                left.remove(member)
                right.remove(other)
    return pairs, Names(tuple(left), tuple(right))


def _changes(a: Report, b: Report) -> Iterator[Change]:
    for name in ("machine", "libc", "pythons", "earned_tag", "glibc_required"):
        one, other = getattr(a, name), getattr(b, name)
        if one != other:
            yield Change(name, one, other)
    if a.wheel is None or b.wheel is None:
        return
    told = [
        ("version", a.wheel.name.version, b.wheel.name.version),
        ("build", a.wheel.name.build, b.wheel.name.build),
        ("claimed_tags", _sorted(a.claimed_tags), _sorted(b.claimed_tags)),
        ("abi", ".".join(a.wheel.name.abis), ".".join(b.wheel.name.abis)),
    ]
    told += [(key, _field(a.wheel.info, key), _field(b.wheel.info, key)) for key in _INFO]
    told += [(key, _field(a.wheel.metadata, key), _field(b.wheel.metadata, key)) for key in _METADATA]
    for name, one, other in told:
        if one != other:
            yield Change(name, one or None, other or None)
    if a.wheel.size != b.wheel.size:
        yield Change("size", a.wheel.size, b.wheel.size)
    if _unpacked(a.wheel) != _unpacked(b.wheel):
        yield Change("unpacked_size", _unpacked(a.wheel), _unpacked(b.wheel))


def _sorted(tags: Sequence[str]) -> str:
    return ", ".join(sorted(tags))


def _field(fields: Mapping[str, list[str]], name: str) -> str:
    values = fields.get(name, [])
    return "; ".join(sorted(map(_requirement, values) if name == "Requires-Dist" else values))


def _requirement(text: str) -> str:
    """A requirement in one spelling: back ends differ in spaces and quotes (PEP 508)."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        return str(Requirement(text))
    except InvalidRequirement:
        return text


def _unpacked(wheel: WheelFacts) -> int:
    return sum(size for size, _ in wheel.members.values())


def _other_members(a: Report, b: Report) -> tuple[Names, tuple[str, ...]]:
    """Files that are no ELF files: of one alone, and those whose bytes differ."""
    found = [_members(report) for report in (a, b)]
    names = _names(found[0], found[1])
    changed = sorted(
        name
        for name in set(found[0]) & set(found[1])
        if found[0][name] != found[1][name] and posixpath.basename(name) not in _IGNORED
    )
    return names, tuple(changed)


def _members(report: Report) -> dict[str, tuple[int, str]]:
    """Members by a name that two versions of a project share."""
    if report.wheel is None:
        return {}
    found = {}
    for name, facts in report.wheel.members.items():
        if name not in report.facts:
            folder, slash, rest = name.partition("/")
            found["*.dist-info/" + rest if slash and folder == report.wheel.dist_info else name] = facts
    return found


def _names(a: Iterable[str], b: Iterable[str]) -> Names:
    first, second = set(a), set(b)
    return Names(tuple(sorted(first - second)), tuple(sorted(second - first)))


def _compare_files(
    name: str, a: str, b: str, facts: tuple[ElfFacts, ElfFacts], fits: tuple[str | None, str | None]
) -> FileChange:
    one, other = facts
    exports = _names(one.export_names, other.export_names)
    told = zip(_told(one, fits[0]).items(), _told(other, fits[1]).values(), strict=True)
    return FileChange(
        name=name,
        a=a,
        b=b,
        changes=tuple(Change(key, first, second) for (key, first), second in told if first != second),
        needed=_names(map(plain_library, one.needed), map(plain_library, other.needed)),
        versions=tuple(_version_changes(one, other)),
        exports=exports,
        runtime_exports=Names(
            tuple(filter(_RUNTIME.match, exports.removed)), tuple(filter(_RUNTIME.match, exports.added))
        ),
        imports=_names((i.name for i in one.imports), (i.name for i in other.imports)),
    )


def _told(facts: ElfFacts, fits: str | None) -> dict[str, str | int | None]:
    """The facts of a file that are held against another's."""
    return {
        "size": facts.size,
        "text": facts.extent.text,
        "data": facts.extent.data,
        "bss": facts.extent.bss,
        "fits": fits,
        "soname": plain_library(facts.soname) if facts.soname else None,
        "rpath": ":".join((*facts.rpath, *facts.runpath)) or None,
        "debug": "yes" if facts.debug_sections else "no",
        "symbol_table": "yes" if facts.symbol_table else "no",
        "relro": relro(facts),
        "executable_stack": "yes" if facts.executable_stack else "no",
        "text_relocations": "yes" if facts.text_relocations else "no",
        "compilers": ", ".join(facts.compilers) or None,
    }


Needs = Mapping[tuple[str, str], tuple[str, tuple[str, ...]]]


def _version_changes(a: ElfFacts, b: ElfFacts) -> Iterator[VersionChange]:
    first, second = _newest(a), _newest(b)
    nothing: tuple[None, tuple[str, ...]] = (None, ())
    for library, kind in sorted({*first, *second}):
        one, by_one = first.get((library, kind), nothing)
        other, by_other = second.get((library, kind), nothing)
        if one != other:
            yield VersionChange(kind, library, one, other, by_one, by_other)


def _newest(facts: ElfFacts) -> Needs:
    """The newest version asked of each library, with the symbols that ask for it."""
    newest: dict[tuple[str, str], tuple[tuple[int, ...], str]] = {}
    for library, version in facts.version_needs:
        kind, _, number = version.rpartition("_")
        digits = tuple(int(part) if part.isdigit() else -1 for part in number.split("."))
        key = (library, kind or version)
        if key not in newest or digits > newest[key][0]:
            newest[key] = (digits, version)
    found = {}
    for (library, kind), (_, version) in newest.items():
        symbols = sorted({i.name for i in facts.imports if (i.library, i.version) == (library, version)})
        number = version.removeprefix(f"{kind}_")
        found[plain_library(library), kind] = (number, tuple(symbols))
    return found
