"""Taking signed return addresses out of AArch64 archives."""

from __future__ import annotations

import struct

import pytest

from xtool.errors import ArchiveError
from xtool.toolchain.unsigned import unsign_archive

PACIASP, AUTIASP = 0xD503233F, 0xD50323BF
BTI_C, NOP, RET = 0xD503245F, 0xD503201F, 0xD65F03C0

# A common entry with augmentation zR, code alignment 4, data alignment -8, return address in x30.
COMMON = bytes([1, *b"zR\0", 4, 0x78, 30, 1, 0x1B, 0x0C, 31, 0])
# advance_loc, negate, def_cfa_offset 0x2d, advance_loc1 0x2d, offset x29 0x2d, expression of one byte 0x2d,
# negate, restore x30: the number 0x2d is an instruction in two of six places.
PROGRAM = bytes(
    [0x41, 0x2D, 0x0E, 0x2D, 0x02, 0x2D, 0x9D, 0x2D, 0x10, 30, 1, 0x2D, 0x2D, 0xDE]
)  # fmt: skip
UNSIGNED = bytes(
    [0x41, 0x00, 0x0E, 0x2D, 0x02, 0x2D, 0x9D, 0x2D, 0x10, 30, 1, 0x2D, 0x00, 0xDE]
)  # fmt: skip


def entry(pointer: int, content: bytes) -> bytes:
    content += bytes(-(len(content) + 4) % 8)
    return struct.pack("<II", len(content) + 4, pointer) + content


def frames(program: bytes, *, common: bytes = COMMON) -> bytes:
    first = entry(0, common)
    return first + entry(len(first) + 4, bytes(8) + b"\0" + program) + bytes(4)


def an_object(text: bytes, eh_frame: bytes) -> bytes:
    """A 64-bit little-endian ELF file with `.text`, `.data` (the same words), `.eh_frame`."""
    names = b"\0.text\0.data\0.eh_frame\0.shstrtab\0"
    contents = [(b".text", 1, 6, text), (b".data", 1, 3, text), (b".eh_frame", 1, 2, eh_frame)]
    contents.append((b".shstrtab", 3, 0, names))
    body, headers = b"", struct.pack("<IIQQQQIIQQ", *[0] * 10)
    for name, kind, flags, content in contents:
        offset = 64 + len(body)
        headers += struct.pack(
            "<IIQQQQIIQQ", names.index(name), kind, flags, 0, offset, len(content), 0, 0, 8, 0
        )
        body += content + bytes(-len(content) % 8)
    start = b"\x7fELF\x02\x01\x01" + bytes(9)
    start += struct.pack("<HHIQQQIHHHHHH", 1, 183, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, 5, 4)
    return start + body + headers


def archive(*members: bytes) -> bytearray:
    data = bytearray(b"!<arch>\n")
    for number, content in enumerate(members):
        data += f"m{number}.o/".ljust(48).encode() + str(len(content)).ljust(10).encode() + b"`\n" + content
        data += b"\n" * (len(content) % 2)
    return data


def words(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def test_instructions_and_tables_lose_the_signing_and_nothing_else() -> None:
    before = words(PACIASP, RET, AUTIASP, RET)
    after = words(BTI_C, RET, NOP, RET)
    data = archive(b"//\nnot an object", an_object(before, frames(PROGRAM)))
    assert unsign_archive(data, "libx.a") == 2
    expected = bytearray(an_object(before, frames(UNSIGNED)))
    expected[64 : 64 + len(after)] = after
    assert data == archive(b"//\nnot an object", bytes(expected))
    assert unsign_archive(data, "libx.a") == 0


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (bytearray(b"\x7fELF"), "no archive"),
        (archive(an_object(b"", frames(b"\x3f"))), "unknown instruction 0x3f"),
        (archive(an_object(b"", frames(PROGRAM, common=b"\1zPLR\0" + bytes(8)))), "of another kind"),
        (archive(an_object(b"", frames(PROGRAM, common=b"\1zB\0" + bytes(8)))), "augmentation"),
        (archive(an_object(b"", frames(PROGRAM)[:40])), "cut off"),
        (archive(b"\x7fELF\x01\x01" + bytes(60)), "64-bit little-endian"),
    ],
)
def test_what_it_does_not_know_is_refused(data: bytearray, reason: str) -> None:
    with pytest.raises(ArchiveError, match=reason) as caught:
        unsign_archive(data, "libx.a")
    assert "libx.a" in caught.value.message
