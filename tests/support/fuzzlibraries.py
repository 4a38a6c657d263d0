"""Fuzzing what rewrites libraries of the target: lowering to a floor, taking signed return addresses out."""

from __future__ import annotations

import struct
from pathlib import Path

from support import elfforge, forge, fuzzformats
from support.fuzzmutate import either, noise
from support.fuzztarget import Target, check

from xtool.errors import ArchiveError

_EXPORTS = {
    "libc.so.6": ["memcpy@GLIBC_2.17", "strtol@GLIBC_2.17", "fcntl@GLIBC_2.17", "late@GLIBC_2.40"],
    "libm.so.6": ["exp@GLIBC_2.17"],
}


def _libraries() -> list[bytes]:
    """Libraries that ask for more than the floor has, of four layouts."""
    libc = "libc.so.6"
    wanted = [
        elfforge.Want("memcpy", "GLIBC_2.17", libc),
        elfforge.Want("__isoc23_strtol", "GLIBC_2.38", libc),
        elfforge.Want("fcntl64", "GLIBC_2.28", libc),
        elfforge.Want("exp", "GLIBC_2.29", "libm.so.6"),
        elfforge.Want("strlcpy", "GLIBC_2.38", libc),
        elfforge.Want("nowhere", "GLIBC_2.35", libc),
    ]
    return [
        elfforge.elf(machine=machine, bits=bits, little=little, needed=[libc], imports=wanted, note=True)
        for machine, bits, little in ((21, 64, True), (22, 64, False), (40, 32, True), (3, 32, True))
    ]


def run_lower(data: bytes, folder: Path) -> None:
    """What was lowered can be read, and is not lowered again."""
    from xtool.elf import read_elf
    from xtool.toolchain.lower import lower

    path = folder / "libx.so"
    path.write_bytes(data)
    done = lower(path, _EXPORTS, {"strlcpy"}, compat_soname="libcompat.so.1")
    if done.changed:
        read_elf(path)
        check(path.stat().st_size <= 4 * len(data) + (1 << 16), "a library grew beyond measure")
        check(not lower(path, _EXPORTS, {"strlcpy"}, compat_soname="libcompat.so.1").changed, "lowered twice")
    else:
        check(path.read_bytes() == data, "a library was changed, and it was not said")


def _signed() -> list[bytes]:
    """An archive with an AArch64 object: `.text` with two hints, and `.eh_frame` that tells of them."""

    def entry(pointer: int, content: bytes) -> bytes:
        content += bytes(-(len(content) + 4) % 8)
        return struct.pack("<II", len(content) + 4, pointer) + content

    text = struct.pack("<4I", 0xD503233F, 0xD65F03C0, 0xD50323BF, 0xD65F03C0)
    first = entry(0, bytes([1, *b"zR\0", 4, 0x78, 30, 1, 0x1B, 0x0C, 31, 0]))
    program = bytes([0x41, 0x2D, 0x0E, 0x2D, 0x02, 0x2D, 0x9D, 0x2D, 0x10, 30, 1, 0x2D, 0x2D, 0xDE])
    frames = first + entry(len(first) + 4, bytes(9) + program) + bytes(4)
    names = b"\0.text\0.eh_frame\0.shstrtab\0"
    body, headers = b"", bytes(64)
    sections = ((b".text", 1, 6, text), (b".eh_frame", 1, 2, frames), (b".shstrtab", 3, 0, names))
    for name, kind, flags, content in sections:
        fields = (names.index(name), kind, flags, 0, 64 + len(body), len(content), 0, 0, 8, 0)
        headers += struct.pack("<IIQQQQIIQQ", *fields)
        body += content + bytes(-len(content) % 8)
    start = b"\x7fELF\x02\x01\x01" + bytes(9)
    start += struct.pack("<HHIQQQIHHHHHH", 1, 183, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, 4, 3)
    return [forge.ar(forge.ar_member("a.o/", start + body + headers), forge.ar_member("b.txt/", b"text"))]


def run_unsign(data: bytes, folder: Path) -> None:
    from xtool.toolchain.unsigned import unsign_archive

    changed = bytearray(data)
    unsign_archive(changed, "libx.a")
    check(len(changed) == len(data), "an archive changed its size")
    check(unsign_archive(bytearray(changed), "libx.a") == 0, "unsigned twice")


def targets() -> list[Target]:
    """What rewrites libraries."""
    errors = (ArchiveError,)
    objects = fuzzformats.ar(lambda _: either(fuzzformats.elf, noise))
    return [
        Target("lower", "libraries lowered to a floor", errors, _libraries, fuzzformats.elf, run_lower),
        Target("unsign", "archives of signed code", errors, _signed, objects, run_unsign),
    ]
