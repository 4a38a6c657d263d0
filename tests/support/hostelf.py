"""Programs and libraries of the host made byte by byte, as `xtool.toolchain.relocate` takes them in hand."""

from __future__ import annotations

import struct

BASE = 0x400000
LOAD, DYNAMIC, INTERP, NOTE = 1, 2, 3, 4
NEEDED, STRTAB, STRSZ, RUNPATH, DEBUG = 1, 5, 10, 29, 21


def elf(
    needed: tuple[str, ...] = ("libc.so.6",),
    *,
    program: bool = True,
    notes: int = 1,
    spare: int = 2,
    machine: int = 62,
    runpath: str | None = None,
) -> bytes:
    """A small but well-formed ELF file: one segment of everything, and a bss behind it."""
    strings = b"\0"
    entries = []
    for name in needed:
        entries.append((NEEDED, len(strings)))
        strings += name.encode() + b"\0"
    if runpath is not None:
        entries.append((RUNPATH, len(strings)))
        strings += runpath.encode() + b"\0"
    headers = 2 + program + notes
    interp_at = 64 + headers * 56
    interp = b"/lib64/ld-linux-x86-64.so.2\0"
    note_at = interp_at + len(interp)
    note = struct.pack("<III4sI", 4, 4, 1, b"GNU\0", 7)
    strings_at = note_at + len(note)
    dynamic_at = strings_at + len(strings)
    entries += [(STRTAB, BASE + strings_at), (STRSZ, len(strings)), (DEBUG, 0)]
    dynamic = b"".join(struct.pack("<QQ", *entry) for entry in entries + [(0, 0)] * spare)
    size = dynamic_at + len(dynamic)

    def header(kind: int, offset: int, length: int, memory: int, align: int) -> bytes:
        return struct.pack("<IIQQQQQQ", kind, 6, offset, BASE + offset, BASE + offset, length, memory, align)

    table = [header(INTERP, interp_at, len(interp), len(interp), 1)] if program else []
    table.append(header(LOAD, 0, size, size + 0x5000, 0x1000))
    table.append(header(DYNAMIC, dynamic_at, len(dynamic), len(dynamic), 8))
    table += [header(NOTE, note_at, len(note), len(note), 4)] * notes
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    ehdr = struct.pack(
        "<16sHHIQQQIHHHHHH", ident, 3, machine, 1, BASE, 64, 0, 0, 64, 56, len(table), 64, 0, 0
    )
    return ehdr + b"".join(table) + interp + note + strings + dynamic
