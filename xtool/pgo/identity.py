"""How GCC numbers the functions of a profile, so that a profile can be moved to where its paths are others.

GCC finds a function in a profile by a number, made of its assembler name; for one that other files cannot
see, also of the path of its source and of the object's name. A second number, made of path, line and name,
tells it whether the source has changed. Both are CRC-32s of text (`coverage_compute_profile_id` and
`coverage_compute_lineno_checksum` in `gcc/coverage.cc`), so a cache or checkout that lies elsewhere would
make a profile unusable. What they are made of is known, so they can be made again with other paths.
"""

from __future__ import annotations

import re
from typing import Literal

Scope = Literal["public", "local", "fixed"]
"""How a function's number is made: of its name; of its path, name and object; in a way that is not known."""


def _table() -> tuple[int, ...]:
    found = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value >> 31 else 0)) & 0xFFFFFFFF
        found.append(value)
    return tuple(found)


_TABLE = _table()


def crc32(value: int, text: str) -> int:
    """GCC's `crc32_string`: the highest bit first, the closing NUL included.

    Args:
        value: the checksum so far.
        text: the text.
    """
    for byte in (*text.encode("utf-8", "surrogateescape"), 0):
        value = (value << 8 ^ _TABLE[value >> 24 ^ byte]) & 0xFFFFFFFF
    return value


_MAGIC = re.compile(r"(_[0-9A-F]{8}_)[0-9A-F]{8}")


def _steady(text: str) -> str:
    """Text without the random part of names such as `_GLOBAL__N_file_0123ABCD_4567CDEF`, as GCC reads it."""
    head, mark, rest = text.partition("_GLOBAL__")
    return head + mark + _MAGIC.sub(r"\g<1>00000000", rest) if mark else text


def public_ident(name: str) -> int:
    """The number of a function that other files can see.

    Args:
        name: its assembler name.
    """
    return _ident(crc32(0, _steady(name)))


def local_ident(file: str, name: str, aux: str) -> int:
    """The number of a function that other files cannot see.

    Args:
        file: the path of its source, as the compiler was told.
        name: its assembler name.
        aux: GCC's name for files beside the object: the object's path, as told, without its suffix.
    """
    return _ident(crc32(crc32(crc32(0, _steady(file)), _steady(name)), _steady(aux)))


def lineno_checksum(file: str, line: int, name: str) -> int:
    """The number of a function's place.

    Args:
        file: the path of its source, as the compiler was told.
        line: the line that it starts in.
        name: its assembler name.
    """
    return crc32(crc32(line, _steady(file)), _steady(name))


def _ident(checksum: int) -> int:
    return checksum & 0x7FFFFFFF or 1
