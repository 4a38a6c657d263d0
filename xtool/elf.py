"""Facts of one ELF file, known without running it and whatever machine it is for.

Sources: System V ABI (gABI) chapters 4 and 5; "ELF Symbol Versioning" (Drepper) and chapter 10.7 of the LSB
core specification for versions; the processor supplements for `e_flags`.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from xtool.errors import ArchiveError, UsageError

MAGIC = b"\x7fELF"


@dataclass(frozen=True, slots=True)
class Import:
    """An undefined symbol: something the file wants from others.

    Args:
        name: the symbol.
        version: its version (`GLIBC_2.17`), or None.
        library: SONAME that the version is asked of, or None.
        weak: whether it may stay unresolved.
    """

    name: str
    version: str | None
    library: str | None
    weak: bool

    @property
    def versioned(self) -> str:
        """`symbol@version`, or the bare symbol."""
        return f"{self.name}@{self.version}" if self.version else self.name


@dataclass(frozen=True, slots=True)
class Export:
    """A symbol that the file gives to others.

    Args:
        name: the symbol.
        version: its version, or None.
        default: whether unversioned references bind to it.
    """

    name: str
    version: str | None
    default: bool


@dataclass(frozen=True, slots=True)
class ElfHeader:
    """What the ELF header says.

    Args:
        bits: 32 or 64.
        little_endian: byte order.
        machine: `EM_PPC64`, or the bare number where pyelftools has no name for it.
        flags: `e_flags`.
        kind: `ET_DYN`, `ET_EXEC`, `ET_REL`, `ET_CORE` or a number.
    """

    bits: int
    little_endian: bool
    machine: str
    flags: int
    kind: str


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of a file ends up in memory, counted as `size` (binutils) counts in its Berkeley format.

    Args:
        text: bytes of code and of data that never change.
        data: bytes of data that may change.
        bss: bytes that begin as zeros and are not in the file.
    """

    text: int
    data: int
    bss: int


@dataclass(frozen=True, slots=True)
class Hardening:
    """What the loader makes read-only, and when it binds.

    Args:
        relro: PT_GNU_RELRO: relocated data becomes read-only.
        bind_now: DF_BIND_NOW, DF_1_NOW or DT_BIND_NOW: every symbol is bound at load time; together with
            RELRO the whole table of addresses is read-only ("full RELRO").
    """

    relro: bool
    bind_now: bool


@dataclass(frozen=True)
class ElfFacts:
    """All that is known of one ELF file.

    Args:
        header: machine, class, byte order, flags and kind.
        size: bytes of the file.
        interpreter: the program interpreter, or None.
        soname: DT_SONAME, or None.
        needed: DT_NEEDED in order.
        rpath: entries of DT_RPATH.
        runpath: entries of DT_RUNPATH.
        imports: undefined symbols in the table's order.
        exports: defined symbols that are not local.
        version_needs: (SONAME, version) pairs the loader checks before anything runs.
        executable_stack: PT_GNU_STACK asks for one; None where the file has no PT_GNU_STACK.
        text_relocations: DT_TEXTREL or DF_TEXTREL.
        compilers: what `.comment` says.
        debug_sections: whether there is DWARF in it.
        instrumented: whether it writes profile or coverage data (`-fprofile-generate`, `--coverage`).
        extent: bytes of each kind.
        hardening: what the loader protects.
        symbol_table: whether the static symbol table is still there (`strip` takes it away).
    """

    header: ElfHeader
    size: int
    interpreter: str | None
    soname: str | None
    needed: tuple[str, ...]
    rpath: tuple[str, ...]
    runpath: tuple[str, ...]
    imports: tuple[Import, ...]
    exports: tuple[Export, ...]
    version_needs: tuple[tuple[str, str], ...]
    executable_stack: bool | None
    text_relocations: bool
    compilers: tuple[str, ...]
    debug_sections: bool
    instrumented: bool
    extent: Extent
    hardening: Hardening
    symbol_table: bool

    @cached_property
    def init_functions(self) -> tuple[str, ...]:
        """Entry points of an extension module: `PyInit*` (PEP 489), `PyModExport*` (PEP 793)."""
        return tuple(e.name for e in self.exports if e.name.startswith(("PyInit", "PyModExport")))

    @cached_property
    def export_names(self) -> frozenset[str]:
        """Names of the exported symbols, without versions."""
        return frozenset(e.name for e in self.exports)


def is_elf(start: bytes) -> bool:
    """Whether a file that begins with these bytes is an ELF file."""
    return start[:4] == MAGIC


def read_header(data: bytes, *, name: str = "ELF file") -> ElfHeader:
    """Read the ELF header alone, for example of an object file in an archive.

    Raises:
        ArchiveError: it is no ELF file.
    """
    if not is_elf(data):
        raise ArchiveError(f"{name} is not an ELF file")
    try:
        from xtool.elfreader import Reader

        return Reader(data).header()
    except Exception as error:
        raise ArchiveError(f"{name} is a malformed ELF file", facts=[str(error)]) from error


def read_elf(source: bytes | Path, *, name: str | None = None) -> ElfFacts:
    """Read the facts of an ELF file.

    Args:
        source: its bytes, or its path.
        name: what to call it in errors; the path by default.

    Raises:
        ArchiveError: it is no ELF file, or what it says of itself cannot be.
        UsageError: the path cannot be read.
    """
    if isinstance(source, bytes):
        return _guarded(source, name or "ELF file")
    try:
        with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _guarded(data, name or str(source))
    except ValueError:
        raise ArchiveError(f"{name or source} is empty, not an ELF file") from None
    except OSError as error:
        raise UsageError(f"cannot read {source}: {error.strerror}") from error


def _guarded(data: bytes | mmap.mmap, name: str) -> ElfFacts:
    if not is_elf(data[:4]):
        raise ArchiveError(f"{name} is not an ELF file")
    try:
        from xtool.elfreader import Malformed, Reader

        return Reader(data).facts()
    except Malformed as error:
        raise ArchiveError(f"{name} is a malformed ELF file", facts=[str(error)]) from error
    except Exception as error:
        # pyelftools meets nonsense with whatever its own code happens to raise: AttributeError, KeyError,
        # UnicodeDecodeError, ... None of them means anything else here.
        raise ArchiveError(
            f"{name} is a malformed ELF file", facts=[f"{type(error).__name__}: {error}"]
        ) from error
