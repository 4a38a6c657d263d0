"""Lowering: a shared library that was linked against a newer glibc, made to ask for no more than a floor has.

Most of what such a library asks for has only a newer version, because it moved (glibc 2.34 took libpthread
in) or because an old fault was mended under a new version (`exp@GLIBC_2.29`): the floor has the same name
under an older version. Some have only another name: what newer headers call `__isoc23_strtol` is `strtol` to
older ones. What the floor lacks altogether is asked of the compat library (`xtool.toolchain.compat`),
without a version: where the C library at run time has the function, that one is found first.

Three tables of the file say what it asks for (System V ABI, "Dynamic Section"; LSB core specification,
chapter 10.7, "Symbol Versioning"): DT_VERSYM gives each symbol a number, DT_VERNEED says which version of
which library a number is, DT_NEEDED names the libraries. The loader compares a version's name and hash and
not where it is found; linkers and auditwheel do look at the library, so it is named as well.

DT_VERSYM is changed in place. The new DT_VERNEED and the longer string table go into a new read-only segment
at the end of the file, whose program header takes the place of a note's, as in `xtool.toolchain.relocate`: no
byte of code or data moves.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xtool.elf import read_elf
from xtool.elfreader import DynamicSymbol, Reader
from xtool.errors import ArchiveError
from xtool.toolchain.floor import version_number

Exports = Mapping[str, Collection[str]]
"""By soname, `symbol@version` of all that a library of the floor exports; a sysroot's `exports.json`."""

_FIRST_CHOICE = ("libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1")
"""Whom to ask where several libraries have a symbol at the same version."""

_OLD_NAMES = (
    # 2.38: strtol, scanf and their kin with C23's prefix 0b; before, headers said __isoc99_scanf and strtol.
    (re.compile(r"(__nldbl_)?__isoc23_(\w+)"), (r"\1__isoc99_\2", r"\1\2")),
    # 2.34: functions of libresolv that resolv.h used to rename.
    (re.compile(r"(?:dn|res)_\w+"), (r"__\g<0>",)),
    # 2.28: fcntl served both sizes of file offsets.
    (re.compile(r"fcntl64"), ("fcntl",)),
    # 2.22, ppc64le: the same function; ld asks for it by another name to have a loader that knows its stubs.
    (re.compile(r"__tls_get_addr_opt"), ("__tls_get_addr",)),
)
"""Names of newer glibc versions, and what the same source is compiled to with older headers."""

_UNVERSIONED = 1
_HIDDEN = 0x8000
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_STRSZ = 0, 1, 5, 10
_DT_VERNEED, _DT_VERNEEDNUM = 0x6FFFFFFE, 0x6FFFFFFF
_PF_W, _PF_R = 2, 4
_ALIGNMENT = 16


@dataclass(frozen=True, slots=True)
class Lowered:
    """What lowering a library came to.

    Args:
        changed: whether the file is another one now.
        replaced: by `symbol@version` asked for before, what is asked for now; a bare name is asked of
            whoever has it.
        missing: what neither the floor nor the compat library has: `symbol@version`, or the bare name of a
            version that no symbol carries (`GLIBC_ABI_DT_RELR`); the file goes on asking for it.
        needs_compat: whether it needs the compat library.
    """

    changed: bool
    replaced: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    needs_compat: bool = False


@dataclass(slots=True)
class _Plan:
    """What a library is to ask for.

    Args:
        versions: by (soname, version), its number in DT_VERSYM; what stays first.
        numbers: new DT_VERSYM entries by place in the symbol table.
        names: new names by place in the symbol table.
        needed: sonames to add to DT_NEEDED.
    """

    versions: dict[tuple[str, str], int]
    numbers: dict[int, int] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    needed: list[str] = field(default_factory=list)
    replaced: dict[str, str] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)


def lower(
    library: Path, exports: Exports, compat: Collection[str] = (), *, compat_soname: str = ""
) -> Lowered:
    """Rewrite a shared library so that it asks for nothing above a floor.

    The same input gives the same bytes. What has a version of a library that `exports` does not name is left
    alone, and so is a file that asks for nothing above the floor.

    Args:
        library: the file; replaced by a new one of the same mode, links to it elsewhere keep the old.
        exports: what the floor's libraries export.
        compat: names that the compat library exports.
        compat_soname: the compat library's soname.

    Raises:
        ArchiveError: it is no shared library, or there is no room for the changes.
    """
    data = library.read_bytes()
    # Whatever contradicts itself is refused here, and needs no thought below.
    if read_elf(data, name=library.name).header.kind != "ET_DYN":
        raise ArchiveError(f"{library.name} is not a shared library")
    reader = Reader(data)
    reader.read_dynamic()
    plan = _plan(reader, _Floor(exports), frozenset(compat), compat_soname)
    changed = bool(plan.numbers) or len(plan.versions) != len(list(reader.version_needs()))
    if changed:
        made = _Editor(reader, library.name).apply(plan)
        mode = library.stat().st_mode & 0o777
        library.unlink()
        library.write_bytes(made)
        library.chmod(mode)
    return Lowered(
        changed=changed,
        replaced=plan.replaced,
        missing=tuple(sorted(set(plan.missing))),
        needs_compat=bool(compat_soname) and compat_soname in plan.needed,
    )


class _Floor:
    """Where the floor has which symbol.

    Args:
        exports: what its libraries export.
    """

    def __init__(self, exports: Exports) -> None:
        self.sonames = frozenset(exports)
        self.versions = {soname: {n.partition("@")[2] for n in names} for soname, names in exports.items()}
        self._symbols: dict[str, list[tuple[str, str]]] = {}
        for soname, names in exports.items():
            for entry in names:
                name, _, version = entry.partition("@")
                self._symbols.setdefault(name, []).append((soname, version))

    def has(self, name: str, soname: str, version: str) -> bool:
        """Whether a library exports a symbol in a version."""
        return (soname, version) in self._symbols.get(name, ())

    def find(
        self, name: str, soname: str, version: str, needed: Collection[str]
    ) -> tuple[str, str, str] | None:
        """The (name, soname, version) to ask for instead, or None."""
        for spelling in (name, *_older_names(name)):
            found = self._find(spelling, soname, version, needed)
            if found is not None:
                return (spelling, *found)
        return None

    def _find(self, name: str, soname: str, version: str, needed: Collection[str]) -> tuple[str, str] | None:
        """The library and version of one name.

        The same version elsewhere means that the symbol moved since. Else the newest older version is what
        its callers could have been linked to on the floor: of the same library before others, of libraries
        that are needed anyway before further ones.
        """
        older = [
            (home, other)
            for home, other in self._symbols.get(name, ())
            if version_number(other) <= version_number(version)
        ]
        if not older:
            return None

        def merit(candidate: tuple[str, str]) -> tuple[object, ...]:
            home, other = candidate
            choice = _FIRST_CHOICE.index(home) if home in _FIRST_CHOICE else len(_FIRST_CHOICE)
            return (
                other != version,
                home != soname,
                home not in needed,
                choice,
                home,
                [-part for part in version_number(other)],
            )

        return min(older, key=merit)


def _plan(reader: Reader, floor: _Floor, compat: frozenset[str], compat_soname: str) -> _Plan:
    """Decide for each symbol with a version, and for each version."""
    needs = {need.index: need for need in reader.version_needs()}
    needed = [reader.string(index) for index in reader.tags.get(_DT_NEEDED, [])]
    symbols = [s for s in reader.symbols() if s.undefined and s.version_index & ~_HIDDEN in needs]
    every = [s.version_index & ~_HIDDEN for s in reader.symbols()]
    following = max([_UNVERSIONED, *needs, *every]) + 1
    used: set[int] = set()
    plan = _Plan({(need.library, need.version): index for index, need in needs.items()})
    for symbol in symbols:
        need = needs[symbol.version_index & ~_HIDDEN]
        asked = f"{symbol.name}@{need.version}"
        if need.library not in floor.sonames or floor.has(symbol.name, need.library, need.version):
            used.add(need.index)
            continue
        found = floor.find(symbol.name, need.library, need.version, [*needed, *plan.needed])
        if found is not None:
            name, home, version = found
            if (home, version) not in plan.versions:
                plan.versions[home, version] = following
                following += 1
            plan.numbers[symbol.number] = plan.versions[home, version]
            if name != symbol.name:
                plan.names[symbol.number] = name
            used.add(plan.versions[home, version])
            plan.replaced[asked] = f"{name}@{version}"
            _need(plan, needed, home)
        elif symbol.name in compat or symbol.weak:
            plan.numbers[symbol.number] = _UNVERSIONED
            plan.replaced[asked] = symbol.name
            if symbol.name in compat:
                _need(plan, needed, compat_soname)
        else:
            used.add(need.index)
            plan.missing.append(asked)
    _drop_unused(plan, floor, used, symbols)
    return plan


def _older_names(name: str) -> Iterator[str]:
    for pattern, replacements in _OLD_NAMES:
        match = pattern.fullmatch(name)
        if match:
            yield from (match.expand(replacement) for replacement in replacements)


def _need(plan: _Plan, needed: Collection[str], soname: str) -> None:
    if soname not in needed and soname not in plan.needed:
        plan.needed.append(soname)


def _drop_unused(plan: _Plan, floor: _Floor, used: Collection[int], symbols: Iterable[DynamicSymbol]) -> None:
    """Drop versions that the floor lacks and no symbol asks for any more; the loader would insist on them.

    One that no symbol asked for in the first place marks a property of the file (`GLIBC_ABI_DT_RELR`: it has
    packed relocations), unless it is a plain version: that is left of a symbol which was removed.
    """
    asked = {symbol.version_index & ~_HIDDEN for symbol in symbols}
    for (library, version), index in list(plan.versions.items()):
        if index in used or version in floor.versions.get(library, {version}):
            continue
        if index in asked or version_number(version):
            del plan.versions[library, version]
        else:
            plan.missing.append(version)


class _Editor:
    """Writes a plan into a copy of a file.

    Args:
        reader: the file, its dynamic segment read.
        name: what error messages call it.
    """

    def __init__(self, reader: Reader, name: str) -> None:
        self._reader = reader
        self._name = name
        self._data = bytearray(reader.data[:])
        self._strings = bytearray(reader.data[reader.strings[0] : sum(reader.strings)])
        self._known: dict[str, int] = {}
        self._dynamic_at, self._room, self._dynamic = self._read_dynamic()

    def apply(self, plan: _Plan) -> bytes:
        """The changed file."""
        for number, index in plan.numbers.items():
            at = self._reader.offset(self._value("DT_VERSYM")) + 2 * number
            struct.pack_into(self._reader.order + "H", self._data, at, index)
        size = 24 if self._reader.wide else 16
        for number, name in plan.names.items():
            # st_name is the first field in both classes.
            at = self._reader.offset(self._value("DT_SYMTAB")) + size * number
            struct.pack_into(self._reader.order + "I", self._data, at, self._string(name))
        last = max((i for i, (tag, _) in enumerate(self._dynamic) if tag == _DT_NEEDED), default=-1)
        self._dynamic[last + 1 : last + 1] = [(_DT_NEEDED, self._string(n)) for n in plan.needed]
        needs = self._version_needs(plan)
        moved = (1 + len(self._dynamic)) * self._entry.size > self._room
        parts = [
            bytes(self._strings),
            needs,
            bytes((1 + len(self._dynamic)) * self._entry.size) if moved else b"",
        ]
        offsets = [0]
        for part in parts:
            offsets.append(-(-(offsets[-1] + len(part)) // _ALIGNMENT) * _ALIGNMENT)
        segment = self._segment_at_end(offsets[-1], _PF_R | (_PF_W if moved else 0))
        base, start = int(segment["p_vaddr"]), int(segment["p_offset"])
        self._move_section("SHT_STRTAB", self._value("DT_STRTAB"), base, start, len(self._strings))
        self._set(_DT_STRTAB, base)
        self._set(_DT_STRSZ, len(self._strings))
        self._move_section(
            "SHT_GNU_verneed", self._value("DT_VERNEED"), base + offsets[1], start + offsets[1], len(needs),
            count=len({library for library, _ in plan.versions}),
        )  # fmt: skip
        if needs:
            self._set(_DT_VERNEED, base + offsets[1])
            self._set(_DT_VERNEEDNUM, len({library for library, _ in plan.versions}))
        else:
            # The loader reads one entry without asking whether there is any.
            self._dynamic = [e for e in self._dynamic if e[0] not in (_DT_VERNEED, _DT_VERNEEDNUM)]
        if moved:
            self._move_dynamic(base + offsets[2], start + offsets[2], len(parts[2]))
        self._data += bytes(start - len(self._data))
        for part, offset in zip(parts, offsets, strict=False):
            self._data += bytes(start + offset - len(self._data)) + part
        self._data += bytes(start + offsets[-1] - len(self._data))
        self._write_headers()
        return bytes(self._data)

    # Tables

    @property
    def _entry(self) -> struct.Struct:
        return struct.Struct(self._reader.order + ("qQ" if self._reader.wide else "iI"))

    def _read_dynamic(self) -> tuple[int, int, list[tuple[int, int]]]:
        """Where the dynamic section is in the file, its bytes, its entries up to the first empty one."""
        segment = next((s for s in self._reader.segments if s["p_type"] == "PT_DYNAMIC"), None)
        if segment is None:
            raise ArchiveError(f"{self._name} has no dynamic segment")
        at, size = int(segment["p_offset"]), int(segment["p_filesz"])
        entries = []
        for tag, value in self._entry.iter_unpack(self._data[at : at + size - size % self._entry.size]):
            if tag == _DT_NULL:
                break
            entries.append((tag, value))
        return at, size, entries

    def _value(self, tag: str) -> int:
        from elftools.elf.enums import ENUM_D_TAG

        values = self._reader.tags.get(ENUM_D_TAG[tag])
        if not values:
            raise ArchiveError(f"{self._name} has no {tag}")
        return values[0]

    def _set(self, tag: int, value: int) -> None:
        self._dynamic = [(t, value if t == tag else v) for t, v in self._dynamic]

    def _string(self, text: str) -> int:
        """Where a name is in the string table; it is added where it is not there."""
        if text not in self._known:
            entry = text.encode() + b"\0"
            at = self._strings.find(b"\0" + entry)
            if at < 0:
                at = len(self._strings) - 1
                self._strings += entry
            self._known[text] = at + 1
        return self._known[text]

    def _version_needs(self, plan: _Plan) -> bytes:
        """The content of DT_VERNEED."""
        flags = {need.index: need.flags for need in self._reader.version_needs()}
        by_library: dict[str, list[tuple[str, int]]] = {}
        for (library, version), index in plan.versions.items():
            by_library.setdefault(library, []).append((version, index))
        need, auxiliary = (
            struct.Struct(self._reader.order + "HHIII"),
            struct.Struct(self._reader.order + "IHHII"),
        )
        table = b""
        for position, (library, versions) in enumerate(by_library.items()):
            size = need.size + len(versions) * auxiliary.size
            step = size if position < len(by_library) - 1 else 0
            table += need.pack(1, len(versions), self._string(library), need.size, step)
            for place, (version, index) in enumerate(versions):
                step = auxiliary.size if place < len(versions) - 1 else 0
                name = self._string(version)
                table += auxiliary.pack(_elf_hash(version), flags.get(index, 0), index, name, step)
        return table

    # Segments and sections

    def _segment_at_end(self, size: int, flags: int) -> Any:
        """A new segment behind all others; its header follows the last `PT_LOAD`'s, in place of a note's."""
        segments = self._reader.segments
        loads = [s for s in segments if s["p_type"] == "PT_LOAD"]
        notes = [s for s in segments if s["p_type"] == "PT_NOTE"]
        properties = {s["p_offset"] for s in segments if s["p_type"] == "PT_GNU_PROPERTY"}
        if not notes or not loads:
            raise ArchiveError(f"{self._name} has no note segment whose header could be used")
        page = max(4096, *(int(s["p_align"]) for s in loads))
        offset = -(-len(self._data) // _ALIGNMENT) * _ALIGNMENT
        highest = max(int(s["p_vaddr"] + s["p_memsz"]) for s in loads)
        # Offset and address must agree modulo the page size.
        address = -(-highest // page) * page + offset % page
        if address + size > 1 << (56 if self._reader.wide else 32):
            raise ArchiveError(f"{self._name} is loaded where no machine has memory")
        # The loader reads GNU properties from PT_GNU_PROPERTY, so the note that repeats them goes first.
        segment = next((s for s in notes if s["p_offset"] in properties), notes[-1])
        segments.remove(segment)
        segments.insert(max(i for i, s in enumerate(segments) if s["p_type"] == "PT_LOAD") + 1, segment)
        segment.update(
            p_type="PT_LOAD", p_flags=flags, p_offset=offset, p_vaddr=address, p_paddr=address, p_filesz=size,
            p_memsz=size, p_align=page,
        )  # fmt: skip
        return segment

    def _move_section(
        self, kind: str, old: int, address: int, offset: int, size: int, count: int | None = None
    ) -> None:
        """Let the section headers, which only tools read, tell the same as the dynamic section."""
        for section in self._reader.sections:
            if section["sh_type"] == kind and section["sh_addr"] == old:
                section.update(sh_addr=address, sh_offset=offset, sh_size=size)
                if count is not None:
                    section["sh_info"] = count

    def _move_dynamic(self, address: int, offset: int, size: int) -> None:
        for segment in self._reader.segments:
            if segment["p_type"] == "PT_DYNAMIC":
                self._move_section("SHT_DYNAMIC", int(segment["p_vaddr"]), address, offset, size)
                segment.update(p_offset=offset, p_vaddr=address, p_paddr=address, p_filesz=size, p_memsz=size)
        self._dynamic_at, self._room = offset, size

    def _write_headers(self) -> None:
        elf = self._reader.elf
        entries = b"".join(self._entry.pack(*entry) for entry in self._dynamic)
        self._overwrite(self._dynamic_at, entries.ljust(self._room, b"\0"))
        segments = b"".join(elf.structs.Elf_Phdr.build(segment) for segment in self._reader.segments)
        self._overwrite(int(elf["e_phoff"]), segments)
        sections = b"".join(elf.structs.Elf_Shdr.build(section) for section in self._reader.sections)
        self._overwrite(int(elf["e_shoff"]), sections)

    def _overwrite(self, at: int, data: bytes) -> None:
        self._data[at : at + len(data)] = data


def _elf_hash(name: str) -> int:
    """The hash of a version's name (System V ABI, "Hash Table")."""
    value = 0
    for byte in name.encode():
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ (high >> 24)) & ~high
    return value
