"""Take the signing of return addresses out of AArch64 archives.

Debian compiles libstdc++.a and its siblings with `-mbranch-protection=standard`. Their functions sign return
addresses, and their unwind tables say where, with an opcode that libgcc_s knows since GCC 7. The libgcc_s of
systems with glibc 2.17 (GCC 4.8) takes it for SPARC's `DW_CFA_GNU_window_save`, which has the same number,
and crashes on the first exception that passes `__cxa_throw`. So both go, in place: the instructions and
their entries in the tables. What is left is what GCC makes by default.

Numbers: Arm Architecture Reference Manual (hint instructions), DWARF for the Arm 64-bit Architecture
(section 4.4, `DW_CFA_AARCH64_negate_ra_state`), DWARF 5 section 7.24 (call frame instructions), Linux
Standard Base (section 10.6.1, `.eh_frame`), System V ABI (ELF-64, archives).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from xtool.errors import ArchiveError

_PACIASP, _AUTIASP = 0xD503233F, 0xD50323BF
_BTI_C, _NOP = 0xD503245F, 0xD503201F
_REPLACED = {
    # It is also a landing pad for indirect calls; that stays.
    _PACIASP.to_bytes(4, "little"): _BTI_C.to_bytes(4, "little"),
    _AUTIASP.to_bytes(4, "little"): _NOP.to_bytes(4, "little"),
}
_SHF_EXECINSTR = 4
_SHT_PROGBITS = 1
_AR_MAGIC, _AR_HEADER = b"!<arch>\n", 60
_NEGATE_RA_STATE, _CFA_NOP = 0x2D, 0x00
_LEB, _BLOCK = "leb", "block"
_OPERANDS: dict[int, tuple[int | str, ...]] = {
    0x00: (), 0x02: (1,), 0x03: (2,), 0x04: (4,), 0x05: (_LEB, _LEB), 0x06: (_LEB,), 0x07: (_LEB,),
    0x08: (_LEB,), 0x09: (_LEB, _LEB), 0x0A: (), 0x0B: (), 0x0C: (_LEB, _LEB), 0x0D: (_LEB,), 0x0E: (_LEB,),
    0x0F: (_BLOCK,), 0x10: (_LEB, _BLOCK), 0x11: (_LEB, _LEB), 0x12: (_LEB, _LEB), 0x13: (_LEB,),
    0x14: (_LEB, _LEB), 0x15: (_LEB, _LEB), 0x16: (_LEB, _BLOCK), _NEGATE_RA_STATE: (), 0x2E: (_LEB,),
}  # fmt: skip
"""Operands of each call frame instruction: bytes, a LEB128 number, or a block with its length before it."""


def unsign_archive(data: bytearray, label: str) -> int:
    """Take the signing of return addresses out of every object of a static library, in place.

    Args:
        data: the archive.
        label: its name, for messages.

    Returns:
        How many entries of unwind tables were changed.

    Raises:
        ArchiveError: the archive, an object or an unwind table is malformed.
    """
    changed = 0
    try:
        if not data.startswith(_AR_MAGIC):
            raise ValueError("it is no archive")
        position = len(_AR_MAGIC)
        while position < len(data):
            size = int(data[position + 48 : position + 58])
            if size < 0:
                raise ValueError("a member has less than nothing in it")
            start = position + _AR_HEADER
            if data[start : start + 4] == b"\x7fELF":
                with memoryview(data) as view:
                    changed += _unsign_object(view[start : start + size])
            position = start + size + size % 2
    except (ValueError, LookupError, OverflowError, struct.error) as error:
        raise ArchiveError(f"{label} cannot be mended: {error}") from error
    return changed


def unsign(path: Path) -> None:
    """Do the same to a file.

    Raises:
        ArchiveError: see `unsign_archive`.
    """
    data = bytearray(path.read_bytes())
    unsign_archive(data, path.name)
    _replace(path, data)


def unsign_library(path: Path) -> None:
    """Do the same to a shared library.

    Raises:
        ArchiveError: the file or an unwind table is malformed.
    """
    data = bytearray(path.read_bytes())
    try:
        if not data.startswith(b"\x7fELF"):
            raise ValueError("it is no ELF file")
        with memoryview(data) as view:
            _unsign_object(view)
    except (ValueError, LookupError, OverflowError, struct.error) as error:
        raise ArchiveError(f"{path.name} cannot be mended: {error}") from error
    _replace(path, data)


def _replace(path: Path, data: bytes | bytearray) -> None:
    mode = path.stat().st_mode & 0o777
    path.unlink()
    path.write_bytes(data)
    path.chmod(mode)


def _unsign_object(elf: memoryview) -> int:
    changed = 0
    for name, kind, flags, offset, size in _sections(elf):
        if kind != _SHT_PROGBITS:
            continue
        content = elf[offset : offset + size]
        if flags & _SHF_EXECINSTR:
            for at in range(0, len(content) - 3, 4):
                new = _REPLACED.get(bytes(content[at : at + 4]))
                if new:
                    content[at : at + 4] = new
        elif name == b".eh_frame":
            for at in _negations(content):
                content[at] = _CFA_NOP
                changed += 1
    return changed


def _sections(elf: memoryview) -> Iterator[tuple[bytes, int, int, int, int]]:
    """Name, type, flags, offset and size of each section of a little-endian 64-bit object."""
    if bytes(elf[4:6]) != b"\x02\x01":
        raise ValueError("an object is not 64-bit little-endian")
    (table,) = struct.unpack_from("<Q", elf, 0x28)
    entry, count, names = struct.unpack_from("<HHH", elf, 0x3A)
    headers = [struct.unpack_from("<IIQQQQ", elf, table + number * entry) for number in range(count)]
    strings = bytes(elf[headers[names][4] : headers[names][4] + headers[names][5]])
    for name, kind, flags, _, offset, size in headers:
        yield strings[name : strings.index(b"\0", name)], kind, flags, offset, size


def _negations(table: memoryview) -> Iterator[int]:
    """Offsets in an `.eh_frame` of the instructions that say that a return address is now signed, or not."""
    common: dict[int, bytes] = {}
    position = 0
    while position + 4 <= len(table):
        (length,) = struct.unpack_from("<I", table, position)
        if length in (0, 0xFFFFFFFF):
            if length:
                raise ValueError("an unwind table has 64-bit lengths")
            position += 4
            continue
        start, end = position + 4, position + 4 + length
        if end > len(table):
            raise ValueError("an unwind table is cut off")
        (pointer,) = struct.unpack_from("<I", table, start)
        if pointer == 0:
            first, common[position] = _common_entry(table, start + 4)
        else:
            # Two 4-byte addresses (`R` 0x1b: relative, signed, 4 bytes), then the augmentation data.
            if common[start - pointer][-1:] != b"\x1b":
                raise ValueError("an unwind table has addresses of another kind than GCC's")
            size, first = _leb(table, start + 12)
            first += size
        yield from _negations_of(table, first, end)
        position = end


def _common_entry(table: memoryview, position: int) -> tuple[int, bytes]:
    """Where the instructions of a common information entry begin, and its augmentation data."""
    end = position + 1
    while table[end]:
        end += 1
    letters = bytes(table[position + 1 : end])
    if table[position] != 1 or not letters.startswith(b"z") or not letters.endswith(b"R"):
        raise ValueError(f"an unwind table has an unknown augmentation {letters!r}")
    _, position = _leb(table, end + 1)
    _, position = _leb(table, position)
    _, position = _leb(table, position)
    size, position = _leb(table, position)
    return position + size, bytes(table[position : position + size])


def _negations_of(table: memoryview, position: int, end: int) -> Iterator[int]:
    while position < end:
        instruction = table[position]
        if instruction == _NEGATE_RA_STATE:
            yield position
        position += 1
        if instruction & 0xC0:
            # advance_loc, offset, restore: the low bits are an operand; offset has another one.
            operands: tuple[int | str, ...] = (_LEB,) if instruction & 0xC0 == 0x80 else ()
        elif instruction in _OPERANDS:
            operands = _OPERANDS[instruction]
        else:
            raise ValueError(f"an unwind table has an unknown instruction {instruction:#x}")
        for operand in operands:
            if isinstance(operand, int):
                position += operand
            else:
                number, position = _leb(table, position)
                position += number if operand == _BLOCK else 0


def _leb(table: memoryview, position: int) -> tuple[int, int]:
    """An unsigned LEB128 number (DWARF 5, section 7.6), and where it ends; signed ones are as long."""
    value = shift = 0
    while True:
        byte = table[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, position
