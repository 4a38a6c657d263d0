"""The reader behind `xtool.elf`.

Headers are read with pyelftools; symbols and versions come from the dynamic segment alone, as the loader
reads them, so that stripped files tell as much as others. Every count and offset of the file is checked
against its size before it is believed: a wheel from anywhere may be inspected.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import IO, Any, cast

from xtool.elf import ElfFacts, ElfHeader, Export, Extent, Hardening, Import

_MAX_HEADERS = 10_000
"""Most program or section headers of one file: the largest libraries in wheels have some dozens."""

_MAX_VERSIONS = 100_000
"""Most entries of a version table; entries may overlap in a hostile file: its size is no bound."""

_MAX_NAME = 1 << 16
"""Longest symbol or library name in bytes; mangled C++ names stay well below."""

_PF_X, _PF_W = 1, 2
_SHF_WRITE, _SHF_ALLOC = 1, 2
_SHN_UNDEF = 0
_STB_LOCAL, _STB_WEAK = 0, 2
_HIDDEN = 0x8000
_VER_FLG_BASE = 1
_DF_TEXTREL = 4
_DF_BIND_NOW = 8
_DF_1_NOW = 1
_PN_XNUM = 0xFFFF


class Malformed(Exception):
    """The file contradicts itself."""


@dataclass(frozen=True, slots=True)
class VersionNeed:
    """An auxiliary entry of DT_VERNEED.

    Args:
        library: the SONAME that the version is asked of.
        version: its name.
        index: what symbols call it by in DT_VERSYM.
        flags: `VER_FLG_WEAK` (2) for one that may be missing.
    """

    library: str
    version: str
    index: int
    flags: int


@dataclass(frozen=True, slots=True)
class DynamicSymbol:
    """An entry of the dynamic symbol table.

    Args:
        number: its place in the table.
        name: its name.
        version_index: its entry of DT_VERSYM, or 0.
        weak: its binding.
        undefined: whether others must define it.
    """

    number: int
    name: str
    version_index: int
    weak: bool
    undefined: bool


class Reader:
    """The reader: data, byte order, and what was found so far."""

    def __init__(self, data: bytes | mmap.mmap) -> None:
        from elftools.elf.elffile import ELFFile

        self.data = data
        self.size = len(data)
        # A mapped file reads and seeks, which is all that pyelftools asks of a stream.
        self.stream = cast("IO[bytes]", BytesIO(data) if isinstance(data, bytes) else data)
        self.elf = ELFFile(self.stream)
        self.wide = self.elf.elfclass == 64
        self.order = "<" if self.elf.little_endian else ">"
        self.names_left = max(1 << 26, 16 * self.size)
        self.segments: list[Any] = list(self._headers("e_phoff", "e_phnum", "e_phentsize", "Elf_Phdr"))
        self.sections: list[Any] = list(self._headers("e_shoff", "e_shnum", "e_shentsize", "Elf_Shdr"))
        self.tags: dict[int, list[int]] = {}
        self.strings = (0, 0)

    def _headers(self, offset: str, count: str, entry: str, layout: str) -> Iterator[Any]:
        from elftools.common.utils import struct_parse

        start, number, size = (int(self.elf[field]) for field in (offset, count, entry))
        if not start or not number:
            return
        if number == _PN_XNUM or number > _MAX_HEADERS:
            raise Malformed(f"{count} is {number}")
        parser = getattr(self.elf.structs, layout)
        if size != parser.sizeof() or start + number * size > self.size:
            raise Malformed(f"{offset} {start:#x} with {number} entries of {size} bytes is outside the file")
        for index in range(number):
            yield struct_parse(parser, self.stream, stream_pos=start + index * size)

    # Bytes

    def unpack(self, layout: str, offset: int) -> tuple[int, ...]:
        """Numbers at a file offset, in the file's byte order."""
        if offset < 0 or offset + struct.calcsize(self.order + layout) > self.size:
            raise Malformed(f"a table reaches outside the file at {offset:#x}")
        return struct.unpack_from(self.order + layout, self.data, offset)

    def offset(self, address: int) -> int:
        """Where the byte that is loaded at `address` lies in the file."""
        for segment in self.segments:
            if segment["p_type"] == "PT_LOAD":
                inside = address - segment["p_vaddr"]
                if 0 <= inside < segment["p_filesz"]:
                    return int(segment["p_offset"] + inside)
        raise Malformed(f"address {address:#x} is in no loaded segment")

    def string(self, index: int) -> str:
        """An entry of the dynamic string table."""
        start, size = self.strings
        if index >= size:
            raise Malformed(f"name {index} is outside the string table")
        begin = start + index
        end = self.data.find(b"\0", begin, min(start + size, begin + _MAX_NAME))
        if end < 0:
            raise Malformed(f"name {index} does not end")
        self.names_left -= end - begin
        if self.names_left < 0:
            raise Malformed("the names are longer than any real file's")
        return self.data[begin:end].decode("utf-8", "backslashreplace")

    # Tables

    def facts(self) -> ElfFacts:
        """Read everything."""
        self.read_dynamic()
        versions, needs = self._read_versions()
        imports, exports = self._read_symbols(versions)
        compilers, debug, coverage = self._read_sections()
        stack = [s for s in self.segments if s["p_type"] == "PT_GNU_STACK"]
        return ElfFacts(
            header=self.header(),
            size=self.size,
            interpreter=self._interpreter(),
            soname=next((self.string(i) for i in self._tag("DT_SONAME")), None),
            needed=tuple(self.string(i) for i in self._tag("DT_NEEDED")),
            rpath=self._paths("DT_RPATH"),
            runpath=self._paths("DT_RUNPATH"),
            imports=imports,
            exports=exports,
            version_needs=needs,
            executable_stack=bool(stack[0]["p_flags"] & _PF_X) if stack else None,
            text_relocations=bool(self._tag("DT_TEXTREL"))
            or any(value & _DF_TEXTREL for value in self._tag("DT_FLAGS")),
            compilers=compilers,
            debug_sections=debug,
            instrumented=coverage,
            extent=self._extent(),
            hardening=self._hardening(),
            symbol_table=any(section["sh_type"] == "SHT_SYMTAB" for section in self.sections),
        )

    def _extent(self) -> Extent:
        """Text, data and zeros: from the sections, or from the segments where there are no sections."""
        found = {"text": 0, "data": 0, "bss": 0}
        for section in self.sections:
            flags, size = int(section["sh_flags"]), int(section["sh_size"])
            if flags & _SHF_ALLOC:
                kind = "data" if flags & _SHF_WRITE else "text"
                found["bss" if section["sh_type"] == "SHT_NOBITS" else kind] += size
        if not any(found.values()):
            for segment in self.segments:
                if segment["p_type"] == "PT_LOAD":
                    size = int(segment["p_filesz"])
                    found["data" if segment["p_flags"] & _PF_W else "text"] += size
                    found["bss"] += max(int(segment["p_memsz"]) - size, 0)
        return Extent(**found)

    def _hardening(self) -> Hardening:
        now = bool(self._tag("DT_BIND_NOW"))
        now = now or any(value & _DF_BIND_NOW for value in self._tag("DT_FLAGS"))
        now = now or any(value & _DF_1_NOW for value in self._tag("DT_FLAGS_1"))
        return Hardening(any(s["p_type"] == "PT_GNU_RELRO" for s in self.segments), now)

    def header(self) -> ElfHeader:
        """What the ELF header says."""
        return ElfHeader(
            bits=self.elf.elfclass,
            little_endian=self.elf.little_endian,
            machine=str(self.elf["e_machine"]),
            flags=int(self.elf["e_flags"]),
            kind=str(self.elf["e_type"]),
        )

    def _tag(self, name: str) -> list[int]:
        from elftools.elf.enums import ENUM_D_TAG

        return self.tags.get(ENUM_D_TAG[name], [])

    def _first(self, name: str) -> int | None:
        return next(iter(self._tag(name)), None)

    def read_dynamic(self) -> None:
        """Find the dynamic segment's entries, which the tables are reached by."""
        segment = next((s for s in self.segments if s["p_type"] == "PT_DYNAMIC"), None)
        if segment is None or not segment["p_filesz"]:
            return
        layout, size = ("qQ", 16) if self.wide else ("iI", 8)
        start, length = int(segment["p_offset"]), int(segment["p_filesz"])
        if start + length > self.size:
            raise Malformed("the dynamic segment is outside the file")
        if length // size > _MAX_HEADERS:
            raise Malformed(f"the dynamic segment has {length // size} entries")
        for position in range(start, start + length - size + 1, size):
            tag, value = self.unpack(layout, position)
            if tag == 0:
                break
            self.tags.setdefault(tag, []).append(value)
        table, length_tag = self._first("DT_STRTAB"), self._first("DT_STRSZ")
        if table is not None and length_tag is not None:
            at = self.offset(table)
            self.strings = (at, min(length_tag, self.size - at))

    def _paths(self, tag: str) -> tuple[str, ...]:
        return tuple(part for index in self._tag(tag) for part in self.string(index).split(":"))

    def _interpreter(self) -> str | None:
        segment = next((s for s in self.segments if s["p_type"] == "PT_INTERP"), None)
        if segment is None:
            return None
        start, length = int(segment["p_offset"]), int(segment["p_filesz"])
        if start + length > self.size or length > _MAX_NAME:
            raise Malformed("the program interpreter is outside the file")
        return self.data[start : start + length].rstrip(b"\0").decode("utf-8", "backslashreplace")

    def _read_versions(self) -> tuple[dict[int, tuple[str, str | None]], tuple[tuple[str, str], ...]]:
        """Names by version index, with the library asked for; and the (library, version) pairs needed."""
        names: dict[int, tuple[str, str | None]] = {}
        needs: dict[tuple[str, str], None] = {}
        for need in self.version_needs():
            names[need.index] = (need.version, need.library)
            needs[(need.library, need.version)] = None
        for at, index, flags in self._definitions():
            if not flags & _VER_FLG_BASE:
                names[index & ~_HIDDEN] = (self.string(self.unpack("II", at)[0]), None)
        return names, tuple(needs)

    def version_needs(self) -> Iterator[VersionNeed]:
        """What DT_VERNEED lists: the versions asked of each library, in order."""
        budget = _MAX_VERSIONS
        for at, count, library in self._entries("DT_VERNEED", "DT_VERNEEDNUM", "HHIII"):
            place = at
            for _ in range(count):
                budget -= 1
                if budget < 0:
                    raise Malformed("the version table does not end")
                _, flags, index, name, step = self.unpack("IHHII", place)
                yield VersionNeed(library, self.string(name), index & ~_HIDDEN, flags)
                if not step:
                    break
                place += step

    def _entries(self, tag: str, number: str, layout: str) -> Iterator[tuple[int, int, str]]:
        """Verneed entries: offset of the first auxiliary entry, their number, the library."""
        address, count = self._first(tag), self._first(number)
        if address is None or not count:
            return
        at = self.offset(address)
        for _ in range(min(count, _MAX_VERSIONS)):
            _, auxiliaries, file, first, step = self.unpack(layout, at)
            yield at + first, auxiliaries, self.string(file)
            if not step:
                return
            at += step

    def _definitions(self) -> Iterator[tuple[int, int, int]]:
        """Verdef entries: offset of the first auxiliary entry, index, flags."""
        address, count = self._first("DT_VERDEF"), self._first("DT_VERDEFNUM")
        if address is None or not count:
            return
        at = self.offset(address)
        for _ in range(min(count, _MAX_VERSIONS)):
            _, flags, index, _, _, first, step = self.unpack("HHHHIII", at)
            yield at + first, index, flags
            if not step:
                return
            at += step

    def _read_symbols(
        self, versions: dict[int, tuple[str, str | None]]
    ) -> tuple[tuple[Import, ...], tuple[Export, ...]]:
        imports: list[Import] = []
        exports: list[Export] = []
        for symbol in self.symbols():
            index = symbol.version_index
            version, library = versions.get(index & ~_HIDDEN, (None, None)) if index > 1 else (None, None)
            if symbol.undefined:
                imports.append(Import(symbol.name, version, library, symbol.weak))
            elif symbol.name != version:
                # A version definition itself stands in the table as an absolute symbol of its own name.
                exports.append(Export(symbol.name, version, not index & _HIDDEN))
        return tuple(imports), tuple(exports)

    def symbols(self) -> Iterator[DynamicSymbol]:
        """The dynamic symbols that are not local, in the table's order."""
        address = self._first("DT_SYMTAB")
        if address is None:
            return
        start, count = self.offset(address), self._symbol_count(address)
        layout = struct.Struct(self.order + ("IBBHQQ" if self.wide else "IIIBBH"))
        if start + count * layout.size > self.size:
            raise Malformed(f"{count} symbols at {start:#x} reach outside the file")
        indices = self._version_indices(count)
        for number in range(1, count):
            fields = layout.unpack_from(self.data, start + number * layout.size)
            name, info, section = (
                (fields[0], fields[1], fields[3]) if self.wide else (fields[0], fields[3], fields[5])
            )
            binding = info >> 4
            if binding == _STB_LOCAL or not name:
                continue
            index = indices[number] if indices else 0
            weak, undefined = binding == _STB_WEAK, section == _SHN_UNDEF
            yield DynamicSymbol(number, self.string(name), index, weak, undefined)

    def _version_indices(self, count: int) -> tuple[int, ...]:
        address = self._first("DT_VERSYM")
        return self.unpack(f"{count}H", self.offset(address)) if address is not None else ()

    def _symbol_count(self, address: int) -> int:
        """Number of dynamic symbols; only hash tables tell it, and a GNU one omits what nobody looks up."""
        counts = [0]
        table = self._first("DT_HASH")
        if table is not None:
            # s390x has hash tables of 64-bit words (its ABI supplement); everybody else of 32-bit ones.
            word = "Q" if self.wide and str(self.elf["e_machine"]) == "EM_S390" else "I"
            counts.append(self.unpack(f"2{word}", self.offset(table))[1])
        table = self._first("DT_GNU_HASH")
        if table is not None and len(counts) == 1:
            counts.append(self._gnu_hash_count(self.offset(table)))
        entry = 24 if self.wide else 16
        counts += [
            int(section["sh_size"]) // entry
            for section in self.sections
            if section["sh_type"] == "SHT_DYNSYM" and section["sh_addr"] == address
        ]
        strings = self._first("DT_STRTAB")
        if max(counts) <= 1 and strings is not None and strings > address:
            # Without exports and section headers: linkers put the names right behind the symbols.
            counts.append((strings - address) // entry)
        return max(counts)

    def _gnu_hash_count(self, at: int) -> int:
        buckets, first, bloom, _ = self.unpack("4I", at)
        table = at + 16 + bloom * (8 if self.wide else 4)
        last = max(self.unpack(f"{buckets}I", table), default=0) if buckets <= self.size // 4 else 0
        if last < first:
            return first
        chain = table + buckets * 4 - first * 4
        while not self.unpack("I", chain + last * 4)[0] & 1:
            last += 1
        return last + 1

    def _read_sections(self) -> tuple[tuple[str, ...], bool, bool]:
        """Compilers, whether there is DWARF, whether the file writes profiles."""
        compilers: tuple[str, ...] = ()
        debug = coverage = False
        for section, name in self._named_sections():
            if name == ".comment":
                start, length = int(section["sh_offset"]), min(int(section["sh_size"]), _MAX_NAME)
                text = self.data[start : start + length].decode("utf-8", "backslashreplace")
                compilers = tuple(dict.fromkeys(part for part in text.split("\0") if part))
            debug = debug or name.startswith((".debug_", ".zdebug_"))
            coverage = coverage or name.startswith("__llvm_prf")
        # libgcov is static and its symbols are hidden: of a stripped file's, only the names of its variable
        # and of the files that it writes remain. A map searches from where it was last read unless told else.
        if not coverage and self.data.find(b"GCOV_PREFIX\0", 0) >= 0:
            coverage = self.data.find(b".gcda\0", 0) >= 0
        return compilers, debug, coverage

    def _named_sections(self) -> Iterator[tuple[Any, str]]:
        index = int(self.elf["e_shstrndx"])
        if not 0 < index < len(self.sections):
            return
        start, size = (int(self.sections[index][field]) for field in ("sh_offset", "sh_size"))
        for section in self.sections:
            begin = start + int(section["sh_name"])
            with suppress(UnicodeDecodeError):
                end = self.data.find(b"\0", begin, min(start + size, begin + _MAX_NAME))
                if end > begin:
                    yield section, self.data[begin:end].decode("ascii")
