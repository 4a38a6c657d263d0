"""Host programs that run with the C library they were built for, wherever their tree stands.

Debian's host binaries ask for the glibc of their suite. Its loader and libraries are therefore put into
the tree itself (`lib/host`), and every program is told to use them. Two strings of an ELF file decide
that (System V ABI, "Program Interpreter" and "Dynamic Section"; ld.so(8) for the order of the search):

- `PT_INTERP`, the loader's path, which the kernel takes literally and which must be absolute;
- `DT_RPATH`, where libraries are. It is looked at before `LD_LIBRARY_PATH`, which `DT_RUNPATH` is not, and it
  counts for libraries that a library needs or a program loads later: they stay untouched. It names the folder
  relative to the program (`$ORIGIN`) and, for a root without `/proc`, where `$ORIGIN` is not known, as it is.

The two absolute paths lie in a *slot* of fixed length, so that moving a tree is overwriting bytes in place;
`share/xtool/slots.json` says where the slots are.

Both go into one new read-only segment at the end of the file. Its program header takes the place of a
note that nothing needs at run time. So no byte of code or data moves, the file is not rewritten, and what
comes out does not depend on the version of a tool.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from xtool.errors import ArchiveError, CatalogError, StoreError
from xtool.targets import Host

SLOT_LENGTH = 2048
"""Bytes of a slot: a half for the folder of the libraries, a half for the loader in it, both padded with NUL.

The kernel takes a loader's path of up to PATH_MAX (4096) bytes that ends with a NUL.
"""

SLOTS_FILE = "share/xtool/slots.json"
HOST_LIBRARIES = "lib/host"
_SCHEMA = 1

_MACHINES = {"x86_64": 62, "aarch64": 183}
"""`e_machine` by host name (EM_X86_64, EM_AARCH64)."""

_PT_LOAD, _PT_DYNAMIC, _PT_INTERP, _PT_NOTE, _PT_GNU_PROPERTY = 1, 2, 3, 4, 0x6474E553
_DT_NULL, _DT_NEEDED, _DT_STRTAB, _DT_STRSZ, _DT_RPATH, _DT_RUNPATH = 0, 1, 5, 10, 15, 29
_PF_R = 4
_SHT_PROGBITS, _SHT_STRTAB = 1, 3

_HIGHEST = 1 << 56
"""No 64-bit machine gives a process more address space."""

_EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
_PHDR = struct.Struct("<IIQQQQQQ")
_SHDR = struct.Struct("<IIQQQQIIQQ")
_DYN = struct.Struct("<QQ")


@dataclass(frozen=True, slots=True)
class Slot:
    """Bytes of a file that hold absolute paths: the libraries' folder, then the loader.

    Args:
        path: the file, relative to its tree, with `/`.
        offset: where the slot begins in the file, bytes.
        length: bytes of the slot, an even number.
    """

    path: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Slots:
    """All slots of a tree.

    Args:
        loader: the loader's path relative to the tree.
        slots: sorted by path.
    """

    loader: str
    slots: tuple[Slot, ...]


@dataclass(slots=True)
class _Segment:
    """One program header, in the order of the fields of `Elf64_Phdr`."""

    kind: int
    flags: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int
    align: int

    def pack(self) -> bytes:
        return _PHDR.pack(
            self.kind,
            self.flags,
            self.offset,
            self.vaddr,
            self.paddr,
            self.filesz,
            self.memsz,
            self.align,
        )


class _HostElf:
    """An ELF file of the host, as far as its loading goes; read from an open file.

    Args:
        file: the file, open for reading (and writing, for `add_slot`).
        name: what error messages call it.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._size = file.seek(0, os.SEEK_END)
        self.name = name
        header = _EHDR.unpack(self._at(0, _EHDR.size))
        self.machine: int = header[2]
        self._phoff, self._shoff = header[5], header[6]
        count, self._shentsize, self._shnum = header[10], header[11], header[12]
        table = self._at(self._phoff, count * _PHDR.size)
        self.segments = [_Segment(*fields) for fields in _PHDR.iter_unpack(table)]
        self._dynamic_at, self._dynamic = self._read_dynamic()

    @property
    def interpreter(self) -> _Segment | None:
        """The `PT_INTERP` segment; programs have one, libraries mostly not."""
        return next((s for s in self.segments if s.kind == _PT_INTERP), None)

    @property
    def needed(self) -> list[str]:
        """Sonames of `DT_NEEDED`, in order."""
        strings = self._strings() if self._dynamic else b""
        return [self._text(strings, value) for tag, value in self._dynamic if tag == _DT_NEEDED]

    @property
    def searches_by_itself(self) -> bool:
        """Whether it has a `DT_RUNPATH`, which switches the program's `DT_RPATH` off for what it needs."""
        return any(tag == _DT_RUNPATH for tag, _ in self._dynamic)

    def add_slot(self, rpath: str) -> tuple[int, int]:
        """Give a program a blank interpreter slot and a `DT_RPATH`; return the slot's (offset, length)."""
        interpreter = self.interpreter
        if interpreter is None:
            raise ArchiveError(f"{self.name} has no program interpreter")
        old_interpreter, old_strings = interpreter.vaddr, self._value(_DT_STRTAB)
        strings = self._strings()
        rpath_at = len(strings)
        strings += rpath.encode() + b":"
        half = SLOT_LENGTH // 2
        load = self._segment_at_end(len(strings) + SLOT_LENGTH)
        loader_at = len(strings) + half
        interpreter.offset, interpreter.vaddr = load.offset + loader_at, load.vaddr + loader_at
        interpreter.paddr, interpreter.filesz, interpreter.memsz = interpreter.vaddr, half, half
        self._place(load)
        self._set_dynamic(_DT_STRTAB, load.vaddr)
        self._set_dynamic(_DT_STRSZ, loader_at)
        self._set_rpath(rpath_at)
        self._write(load.offset, strings + bytes(SLOT_LENGTH))
        self._write(self._phoff, b"".join(segment.pack() for segment in self.segments))
        self._write(self._dynamic_at, b"".join(_DYN.pack(*entry) for entry in self._dynamic))
        self._move_section(_SHT_PROGBITS, old_interpreter, interpreter.vaddr, interpreter.offset, half)
        self._move_section(_SHT_STRTAB, old_strings, load.vaddr, load.offset, loader_at)
        return load.offset + len(strings), SLOT_LENGTH

    def _segment_at_end(self, size: int) -> _Segment:
        loads = [s for s in self.segments if s.kind == _PT_LOAD]
        page = max(4096, *(s.align for s in loads))
        end = self._file.seek(0, os.SEEK_END)
        offset = -(-end // 16) * 16
        highest = max(s.vaddr + s.memsz for s in loads)
        # Offset and address must agree modulo the page size.
        vaddr = -(-highest // page) * page + offset % page
        if vaddr + size > _HIGHEST:
            raise ArchiveError(f"{self.name} is loaded where no machine has memory")
        return _Segment(_PT_LOAD, _PF_R, offset, vaddr, vaddr, size, size, page)

    def _place(self, load: _Segment) -> None:
        """Put the new header after the last `PT_LOAD` (addresses must ascend), in the place of a note's."""
        notes = [s for s in self.segments if s.kind == _PT_NOTE]
        properties = {s.offset for s in self.segments if s.kind == _PT_GNU_PROPERTY}
        if not notes:
            raise ArchiveError(f"{self.name} has no note segment whose header could be used")
        # The loader reads GNU properties from PT_GNU_PROPERTY, so the note that repeats them goes first.
        self.segments.remove(next((s for s in notes if s.offset in properties), notes[-1]))
        last = max(i for i, s in enumerate(self.segments) if s.kind == _PT_LOAD)
        self.segments.insert(last + 1, load)

    def _set_rpath(self, value: int) -> None:
        kept = [entry for entry in self._dynamic if entry[0] not in (_DT_RPATH, _DT_RUNPATH)]
        end = next((i for i, (tag, _) in enumerate(kept) if tag == _DT_NULL), len(kept))
        entries = [*kept[:end], (_DT_RPATH, value)]
        if len(entries) >= len(self._dynamic):
            raise ArchiveError(f"{self.name} has no room for a DT_RPATH in its dynamic section")
        self._dynamic = entries + [(_DT_NULL, 0)] * (len(self._dynamic) - len(entries))

    def _set_dynamic(self, tag: int, value: int) -> None:
        self._dynamic = [(t, value if t == tag else v) for t, v in self._dynamic]

    def _move_section(self, kind: int, old: int, vaddr: int, offset: int, size: int) -> None:
        """Let the section headers, which only tools read, tell the same as the segments."""
        for index in range(self._shnum):
            at = self._shoff + index * self._shentsize
            fields = list(_SHDR.unpack(self._at(at, _SHDR.size)))
            if fields[1] == kind and fields[3] == old:
                fields[3], fields[4], fields[5] = vaddr, offset, size
                self._write(at, _SHDR.pack(*fields))

    def _read_dynamic(self) -> tuple[int, list[tuple[int, int]]]:
        for segment in self.segments:
            if segment.kind == _PT_DYNAMIC:
                if segment.filesz % _DYN.size:
                    raise ArchiveError(f"{self.name} has a dynamic section with half an entry")
                entries = list(_DYN.iter_unpack(self._at(segment.offset, segment.filesz)))
                return segment.offset, entries
        return 0, []

    def _strings(self) -> bytes:
        address = self._value(_DT_STRTAB)
        for segment in self.segments:
            if segment.kind == _PT_LOAD and segment.vaddr <= address < segment.vaddr + segment.filesz:
                return self._at(segment.offset + address - segment.vaddr, self._value(_DT_STRSZ))
        raise ArchiveError(f"{self.name} has no dynamic string table")

    def _value(self, tag: int) -> int:
        for found, value in self._dynamic:
            if found == tag:
                return value
        raise ArchiveError(f"{self.name} lacks entry {tag} in its dynamic section")

    def _text(self, strings: bytes, offset: int) -> str:
        end = strings.find(b"\0", offset)
        if end < 0:
            raise ArchiveError(f"{self.name} has a name outside its string table")
        return strings[offset:end].decode("utf-8", "surrogateescape")

    def _at(self, offset: int, size: int) -> bytes:
        if offset + size > self._size:
            raise ArchiveError(f"{self.name} is a truncated ELF file")
        self._file.seek(offset)
        return self._file.read(size)

    def _write(self, offset: int, data: bytes) -> None:
        self._file.seek(offset)
        self._file.write(data)


def bundle_host_libraries(
    staging: Path,
    *,
    libraries: Path,
    host: Host,
    libdir: str = HOST_LIBRARIES,
    extra: Sequence[str] = ("libgcc_s.so.1",),
) -> tuple[Slot, ...]:
    """Make every host program below `staging` use a C library of the tree.

    The libraries that the programs and shared objects need, their own needs included, are moved from
    `libraries` into the tree under their sonames, the loader with them. Every program gets a slot, recorded
    in `share/xtool/slots.json`; the tree runs after `fill_slots`.

    Args:
        staging: the tree; its files must not be hard links into another.
        libraries: folder with the unpacked host packages; what is used of it is moved away.
        host: whose ELF files are meant; those of the target are left alone.
        libdir: where the libraries go, relative to the tree.
        extra: sonames that are opened by name at run time (glibc opens libgcc_s when a thread is cancelled);
            taken where `libraries` has them.

    Raises:
        CatalogError: a needed library is not among `libraries`.
        ArchiveError: an ELF file is malformed, or has no room for the changes.
    """
    programs: list[str] = []
    wanted: dict[str, str] = {host.dynamic_linker: "the loader"}
    for path in _host_elf_files(staging, host):
        relative = path.relative_to(staging).as_posix()
        with path.open("rb") as file:
            elf = _HostElf(file, relative)
            wanted.update(dict.fromkeys(elf.needed, relative))
            if elf.interpreter is not None:
                programs.append(relative)
    available = _sonames(libraries)
    for name in extra:
        if name in available:
            wanted.setdefault(name, "the C library")
    _move_closure(wanted, available, staging / libdir, host)
    slots = tuple(sorted((_add_slot(staging, p, libdir) for p in programs), key=lambda slot: slot.path))
    write_slots(staging, Slots(f"{libdir}/{host.dynamic_linker}", slots))
    return slots


def write_slots(tree: Path, slots: Slots) -> None:
    """Record a tree's slots in `share/xtool/slots.json`."""
    document = {
        "schema": _SCHEMA,
        "loader": slots.loader,
        "slots": [[slot.path, slot.offset, slot.length] for slot in slots.slots],
    }
    file = tree / SLOTS_FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def read_slots(tree: Path) -> Slots | None:
    """The slots of a tree; None for a tree without host programs.

    Raises:
        StoreError: the record is damaged, or points out of the tree.
    """
    file = tree / SLOTS_FILE
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        if document["schema"] != _SCHEMA:
            raise ValueError(f"schema {document['schema']!r}")
        slots = tuple(Slot(str(path), *_span(offset, length)) for path, offset, length in document["slots"])
        loader = str(document["loader"])
        for path in (loader, *(slot.path for slot in slots)):
            parts = PurePosixPath(path).parts
            if path.startswith("/") or ".." in parts or b"\0" in os.fsencode(path):
                raise ValueError(f"path {path!r} leaves the tree")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"cannot read {file}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(
            f"{file} is damaged: {error}", hint="`xtool verify` finds what else is; `xtool setup` repairs it"
        ) from error
    return Slots(loader, slots)


def _span(offset: Any, length: Any) -> tuple[int, int]:
    """Where a slot lies, once it is sure that it lies anywhere."""
    if type(offset) is not int or type(length) is not int:
        raise TypeError("a slot is not told by numbers")
    if not 0 <= offset < _HIGHEST or length % 2 or not 1 < length <= 8192:
        raise ValueError("a slot lies nowhere")
    return offset, length


def fill_slots(tree: Path, final: Path) -> None:
    """Write the paths of the loader and the libraries into every slot of a tree.

    A tree without slots is left alone, and so is a slot that holds the path already.

    Args:
        tree: where the tree lies now.
        final: the absolute path where it will stand.

    Raises:
        StoreError: the path is longer than a slot, or a file cannot be written.
    """
    slots = read_slots(tree)
    if slots is None:
        return
    if not final.is_absolute():
        raise StoreError(f"the store must have an absolute path, not {final}")
    loader = os.fsencode(final / slots.loader)
    room = min((slot.length for slot in slots.slots), default=SLOT_LENGTH) // 2
    if len(loader) >= room:
        raise StoreError(
            f"the path of the cache is too long: {final}",
            facts=[f"the loader's path would have {len(loader)} bytes, and {room - 1} fit"],
            hint="choose a shorter folder with `--cache-dir` or XTOOL_CACHE_DIR",
        )
    folder = os.path.dirname(loader)  # noqa: PTH120  (bytes: a path need not be valid text)
    for slot in slots.slots:
        half = slot.length // 2
        _overwrite(tree, slot, folder.ljust(half, b"\0") + loader.ljust(half, b"\0"))


def blank_slots(tree: Path) -> None:
    """Fill every slot of a tree with NUL bytes, so that its bytes do not tell where it stood."""
    slots = read_slots(tree)
    for slot in slots.slots if slots else ():
        _overwrite(tree, slot, bytes(slot.length))


def _overwrite(tree: Path, slot: Slot, data: bytes) -> None:
    path = tree / slot.path
    try:
        with path.open("rb") as file:
            file.seek(slot.offset)
            present = file.read(slot.length)
        if len(present) != slot.length:
            raise StoreError(f"{path} is shorter than its record says", hint="`xtool setup` repairs it")
        if present == data:
            return
        with _writable(path), path.open("r+b") as file:
            file.seek(slot.offset)
            file.write(data)
    except OSError as error:
        raise StoreError(f"cannot set the loader of {path}: {error.strerror}") from error


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    mode = path.stat().st_mode & 0o7777
    if mode & 0o200:
        yield
        return
    path.chmod(mode | 0o200)
    try:
        yield
    finally:
        path.chmod(mode)


def _add_slot(staging: Path, relative: str, libdir: str) -> Slot:
    path = staging / relative
    up = "/".join([".."] * (len(PurePosixPath(relative).parts) - 1))
    rpath = f"$ORIGIN/{up}/{libdir}" if up else f"$ORIGIN/{libdir}"
    with _writable(path), path.open("r+b") as file:
        return Slot(relative, *_HostElf(file, relative).add_slot(rpath))


def _move_closure(wanted: dict[str, str], available: dict[str, Path], libdir: Path, host: Host) -> None:
    """Move the wanted libraries, and what they need in turn, into `libdir` under their sonames."""
    libdir.mkdir(parents=True, exist_ok=True)
    queue = sorted(wanted)
    while queue:
        name = queue.pop()
        source = available.get(name)
        if source is None:
            raise CatalogError(
                f"no package of the component brings {name}",
                facts=[f"needed by {wanted[name]}"],
                hint="this is a defect of `toolchains/components.toml`",
            )
        with source.open("rb") as file:
            elf = _HostElf(file, name)
            if elf.searches_by_itself:
                raise ArchiveError(f"{name} has a DT_RUNPATH, so it would look for its needs elsewhere")
            for need in elf.needed:
                if need not in wanted:
                    wanted[need] = name
                    queue.append(need)
        source.chmod(0o755 if name == host.dynamic_linker else 0o644)
        source.rename(libdir / name)


def _sonames(folder: Path) -> dict[str, Path]:
    """Regular files by every name that a link or the file itself gives them."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.so*")):
        if path.is_file():
            found.setdefault(path.name, path.resolve())
    return found


def _host_elf_files(tree: Path, host: Host) -> Iterator[Path]:
    """Regular files that are 64-bit little-endian ELF programs or shared objects of the host, sorted."""
    for path in _regular_files(tree):
        with path.open("rb") as file:
            head = file.read(20)
        # EI_CLASS 64 bit, EI_DATA little-endian; ET_EXEC or ET_DYN.
        if head[:6] == b"\x7fELF\x02\x01" and len(head) == 20:
            kind, machine = struct.unpack_from("<HH", head, 16)
            if kind in (2, 3) and machine == _MACHINES[host.name]:
                yield path


def _regular_files(tree: Path) -> Iterable[Path]:
    for folder, names, files in os.walk(tree):
        names.sort()
        for name in sorted(files):
            path = Path(folder, name)
            if not path.is_symlink():
                yield path
