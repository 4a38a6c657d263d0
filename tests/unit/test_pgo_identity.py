"""How GCC numbers functions: values that GCC 14 itself has written."""

from __future__ import annotations

import pytest

from xtool.pgo.identity import crc32, lineno_checksum, local_ident, public_ident

KNOWN = [("ind", 0x7D9491D0), ("pub", 0x5BF758A9), ("_Z4useri", 0x1218F0F1)]


@pytest.mark.parametrize(("name", "ident"), KNOWN)
def test_public_functions_are_numbered_by_their_names(name: str, ident: int) -> None:
    assert public_ident(name) == ident


def test_the_place_of_a_public_function() -> None:
    assert lineno_checksum("./p/a.c", 2, "pub") == 0x8AA6F353
    assert lineno_checksum("p/b.cc", 3, "_Z4useri") == 0x3D247EA2


KNOWN_LOCAL = [
    ("p/a.c", "sloc", "build/a", 1, 0x0C1A10E0, 0x32027FA4),
    ("/p/a.c", "sloc", "build/m.cpython-313", 1, 0x03DFADEF, 0x4D08D8EA),
    ("./p/a.c", "sloc", "../id/build/z", 1, 0x794742C0, 0x77F060B5),
    ("p/b.cc", "_ZN12_GLOBAL__N_11S2goEi", "build/b", 1, 0x3F669A17, 0xE5B2FE91),
]


@pytest.mark.parametrize(("file", "name", "aux", "line", "ident", "lineno"), KNOWN_LOCAL)
def test_local_functions_are_numbered_by_their_place(
    file: str, name: str, aux: str, line: int, ident: int, lineno: int
) -> None:
    assert local_ident(file, name, aux) == ident
    assert lineno_checksum(file, line, name) == lineno


def test_the_closing_nul_counts() -> None:
    """As a CRC-32 with the highest bit first (polynomial 0x04C11DB7, nothing inverted)."""
    assert crc32(0, "") == 0
    assert crc32(1, "") == 0x100
    assert crc32(1 << 24, "") == 0x04C11DB7
    assert crc32(crc32(0, "ab"), "c") != crc32(0, "abc")


def test_a_number_is_never_0_and_has_31_bits() -> None:
    assert all(0 < public_ident(f"f{number}") < 1 << 31 for number in range(2000))


def test_the_random_part_of_a_name_does_not_count() -> None:
    one = "_GLOBAL__N_src_a.cc_0123ABCD_4567CDEF"
    assert public_ident(one) == public_ident("_GLOBAL__N_src_a.cc_0123ABCD_89ABCDEF")
    assert public_ident(one) != public_ident("_GLOBAL__N_src_a.cc_0123ABCE_4567CDEF")
    assert local_ident("a.cc", one, "a") == local_ident("a.cc", one[:-1] + "0", "a")
    assert lineno_checksum("a.cc", 3, one) == lineno_checksum("a.cc", 3, one[:-1] + "0")
    # Only in names that the compiler makes for a file.
    assert public_ident("f_0123ABCD_4567CDEF") != public_ident("f_0123ABCD_89ABCDEF")


def test_each_part_of_a_place_counts() -> None:
    base = local_ident("a.c", "f", "a")
    others = {local_ident("b.c", "f", "a"), local_ident("a.c", "g", "a"), local_ident("a.c", "f", "b")}
    assert len({base, *others}) == 4
    there = lineno_checksum("a.c", 1, "f")
    others = {lineno_checksum("b.c", 1, "f"), lineno_checksum("a.c", 2, "f"), lineno_checksum("a.c", 1, "g")}
    assert len({there, *others}) == 4


def test_names_that_are_not_utf_8() -> None:
    assert crc32(0, b"a\xff.c".decode("utf-8", "surrogateescape")) == crc32(0, "a\udcff.c")
