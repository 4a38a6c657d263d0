"""Lowering shared libraries to a floor: what is asked for afterwards, and what is left alone."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from support.elfforge import EM_386, EM_AARCH64, EM_ARM, EM_PPC64, EM_S390, Want, elf

from xtool.elf import ElfFacts, read_elf
from xtool.errors import ArchiveError
from xtool.toolchain.lower import Lowered, lower

EXPORTS = {
    "ld64.so.2": ["__tls_get_addr@GLIBC_2.17"],
    "libc.so.6": [
        "memcpy@GLIBC_2.17", "strtol@GLIBC_2.17", "strtol@GLIBC_2.2", "fcntl@GLIBC_2.17",
        "__isoc99_sscanf@GLIBC_2.17", "pthread_mutex_lock@GLIBC_2.17", "late@GLIBC_2.40",
    ],
    "libm.so.6": ["exp@GLIBC_2.17", "exp@GLIBC_2.2"],
    "libdl.so.2": ["dlopen@GLIBC_2.17"],
    "libpthread.so.0": ["pthread_create@GLIBC_2.17", "pthread_mutex_lock@GLIBC_2.17", "both@GLIBC_2.17"],
    "librt.so.1": ["both@GLIBC_2.17"],
    "libresolv.so.2": ["__res_query@GLIBC_2.17"],
}  # fmt: skip
COMPAT = {"strlcpy", "stat"}
SONAME = "libxtool-floor.so.1"

KINDS = pytest.mark.parametrize(
    ("machine", "bits", "little"),
    [
        (EM_PPC64, 64, True),
        (EM_AARCH64, 64, True),
        (EM_S390, 64, False),
        (EM_ARM, 32, True),
        (EM_386, 32, True),
        (EM_PPC64, 32, False),
    ],
)


def _libc(name: str, version: str = "GLIBC_2.34", *, weak: bool = False) -> Want:
    return Want(name, version, "libc.so.6", weak)


def _lower(path: Path, data: bytes) -> tuple[Lowered, ElfFacts]:
    path.write_bytes(data)
    done = lower(path, EXPORTS, COMPAT, compat_soname=SONAME)
    return done, read_elf(path)


def _asked(facts: ElfFacts) -> dict[str, tuple[str | None, str | None]]:
    return {i.name: (i.version, i.library) for i in facts.imports}


@KINDS
def test_symbols_are_asked_of_the_floor(tmp_path: Path, machine: int, bits: int, little: bool) -> None:
    wanted = [
        _libc("memcpy", "GLIBC_2.17"),
        _libc("pthread_create"),
        Want("exp", "GLIBC_2.29", "libm.so.6"),
        _libc("strlcpy", "GLIBC_2.38"),
        Want("deflate", "ZLIB_1.2", "libz.so.1"),
        Want("environ"),
        _libc("sigaction", "GLIBC_2.99", weak=True),
    ]
    data = elf(
        machine=machine, bits=bits, little=little, needed=["libc.so.6", "libm.so.6", "libz.so.1"],
        imports=wanted, exports=["entry"], soname="libx.so.1", note=True,
    )  # fmt: skip
    done, facts = _lower(tmp_path / "libx.so.1", data)
    assert done.changed
    assert done.missing == ()
    assert done.needs_compat
    assert _asked(facts) == {
        "memcpy": ("GLIBC_2.17", "libc.so.6"),
        "pthread_create": ("GLIBC_2.17", "libpthread.so.0"),
        "exp": ("GLIBC_2.17", "libm.so.6"),
        "strlcpy": (None, None),
        "deflate": ("ZLIB_1.2", "libz.so.1"),
        "environ": (None, None),
        "sigaction": (None, None),
    }
    assert [i.name for i in facts.imports if i.weak] == ["sigaction"]
    assert facts.version_needs == (
        ("libc.so.6", "GLIBC_2.17"),
        ("libz.so.1", "ZLIB_1.2"),
        ("libpthread.so.0", "GLIBC_2.17"),
        ("libm.so.6", "GLIBC_2.17"),
    )
    assert facts.needed == ("libc.so.6", "libm.so.6", "libz.so.1", "libpthread.so.0", SONAME)
    assert (facts.soname, [e.name for e in facts.exports]) == ("libx.so.1", ["entry"])
    assert done.replaced == {
        "pthread_create@GLIBC_2.34": "pthread_create@GLIBC_2.17",
        "exp@GLIBC_2.29": "exp@GLIBC_2.17",
        "strlcpy@GLIBC_2.38": "strlcpy",
        "sigaction@GLIBC_2.99": "sigaction",
    }


@KINDS
@pytest.mark.parametrize("spare", [0, 8])
def test_the_new_segment_is_what_a_loader_needs(
    tmp_path: Path, machine: int, bits: int, little: bool, spare: int
) -> None:
    """Above all others, address and offset agreeing by page; writable only with a dynamic section in it."""
    data = elf(
        machine=machine, bits=bits, little=little, needed=["libc.so.6"], imports=[_libc("pthread_create")],
        note=True, spare=spare, payload=b"payload",
    )  # fmt: skip
    _lower(tmp_path / "lib.so", data)
    made = (tmp_path / "lib.so").read_bytes()
    order, wide = "<" if little else ">", bits == 64
    start, size = (64, 56) if wide else (52, 32)
    segments = []
    for number in range(struct.unpack_from(f"{order}H", made, 56 if wide else 44)[0]):
        fields = struct.unpack_from(f"{order}{'IIQQQQQQ' if wide else '8I'}", made, start + number * size)
        kind, flags = fields[0], fields[1] if wide else fields[6]
        offset, address, length = (
            (fields[2], fields[3], fields[5]) if wide else (fields[1], fields[2], fields[4])
        )
        segments.append((kind, flags, offset, address, length))
    (old, new) = [s for s in segments if s[0] == 1]
    assert old[2:] == (0, 0, len(data))
    assert 4 not in {s[0] for s in segments}
    assert new[2] >= len(data)
    assert new[3] >= len(data)
    assert new[2] % 4096 == new[3] % 4096
    assert new[2] + new[4] == len(made)
    assert new[1] == (4 if spare else 6)
    (dynamic,) = [s for s in segments if s[0] == 2]
    assert (dynamic[2] >= new[2]) == (not spare)
    assert made[: len(data)].endswith(b"payload")


@pytest.mark.parametrize(
    ("wanted", "name", "found"),
    [
        (_libc("__isoc23_strtol", "GLIBC_2.38"), "strtol", ("GLIBC_2.17", "libc.so.6")),
        (_libc("__isoc23_sscanf", "GLIBC_2.38"), "__isoc99_sscanf", ("GLIBC_2.17", "libc.so.6")),
        (_libc("fcntl64", "GLIBC_2.28"), "fcntl", ("GLIBC_2.17", "libc.so.6")),
        (_libc("res_query"), "__res_query", ("GLIBC_2.17", "libresolv.so.2")),
        (
            Want("__tls_get_addr_opt", "GLIBC_2.22", "ld64.so.2"),
            "__tls_get_addr",
            ("GLIBC_2.17", "ld64.so.2"),
        ),
    ],
)
def test_names_of_newer_headers_become_older_ones(
    tmp_path: Path, wanted: Want, name: str, found: tuple[str, str]
) -> None:
    data = elf(needed=["libc.so.6"], imports=[wanted], note=True)
    done, facts = _lower(tmp_path / "lib.so", data)
    assert _asked(facts) == {name: found}
    assert not done.needs_compat


@pytest.mark.parametrize(
    ("needed", "chosen"),
    [(["libc.so.6"], "libpthread.so.0"), (["libc.so.6", "librt.so.1"], "librt.so.1")],
)
def test_libraries_that_are_needed_anyway_come_first(tmp_path: Path, needed: list[str], chosen: str) -> None:
    _, facts = _lower(tmp_path / "lib.so", elf(needed=needed, imports=[_libc("both")], note=True))
    assert _asked(facts)["both"] == ("GLIBC_2.17", chosen)


def test_a_symbol_stays_in_its_library_where_that_has_it(tmp_path: Path) -> None:
    data = elf(needed=["libc.so.6"], imports=[_libc("pthread_mutex_lock")], note=True)
    _, facts = _lower(tmp_path / "lib.so", data)
    assert _asked(facts)["pthread_mutex_lock"] == ("GLIBC_2.17", "libc.so.6")
    assert facts.needed == ("libc.so.6",)


def test_what_nobody_has_is_named_and_left(tmp_path: Path) -> None:
    wanted = [_libc("pthread_create"), _libc("unheard_of"), _libc("late", "GLIBC_2.34")]
    done, facts = _lower(tmp_path / "lib.so", elf(needed=["libc.so.6"], imports=wanted, note=True))
    # A newer version of a name is no help.
    assert done.missing == ("late@GLIBC_2.34", "unheard_of@GLIBC_2.34")
    assert _asked(facts)["unheard_of"] == ("GLIBC_2.34", "libc.so.6")
    assert _asked(facts)["pthread_create"] == ("GLIBC_2.17", "libpthread.so.0")


def test_marks_of_the_file_are_no_leftovers(tmp_path: Path) -> None:
    """A version without symbols: a plain one is what is left of a removed symbol, others are properties."""
    marks = [("libc.so.6", "GLIBC_2.34"), ("libc.so.6", "GLIBC_ABI_DT_RELR")]
    data = elf(needed=["libc.so.6"], imports=[_libc("memcpy", "GLIBC_2.17")], marks=marks, note=True)
    done, facts = _lower(tmp_path / "lib.so", data)
    assert done.missing == ("GLIBC_ABI_DT_RELR",)
    assert facts.version_needs == (("libc.so.6", "GLIBC_2.17"), ("libc.so.6", "GLIBC_ABI_DT_RELR"))


def test_without_versions_the_table_goes(tmp_path: Path) -> None:
    data = elf(needed=["libc.so.6"], imports=[_libc("stat", "GLIBC_2.33")], note=True)
    done, facts = _lower(tmp_path / "lib.so", data)
    assert done.needs_compat
    assert facts.version_needs == ()
    assert _asked(facts) == {"stat": (None, None)}
    assert struct.pack("<Q", 0x6FFFFFFE) not in (tmp_path / "lib.so").read_bytes()[len(data) :]


def test_a_file_at_the_floor_is_not_touched(tmp_path: Path) -> None:
    data = elf(needed=["libc.so.6"], imports=[_libc("memcpy", "GLIBC_2.17")])
    path = tmp_path / "lib.so"
    path.write_bytes(data)
    before = path.stat()
    assert lower(path, EXPORTS, COMPAT, compat_soname=SONAME) == Lowered(changed=False)
    assert (path.read_bytes(), path.stat().st_ino) == (data, before.st_ino)


def test_twice_is_once_and_links_to_the_file_keep_the_old(tmp_path: Path) -> None:
    data = elf(needed=["libc.so.6"], imports=[_libc("pthread_create"), _libc("stat")], note=True)
    one, two, other = tmp_path / "one.so", tmp_path / "two.so", tmp_path / "other"
    _lower(one, data)
    two.write_bytes(data)
    two.chmod(0o555)
    other.hardlink_to(two)
    lower(two, EXPORTS, COMPAT, compat_soname=SONAME)
    assert one.read_bytes() == two.read_bytes()
    assert other.read_bytes() == data
    assert two.stat().st_mode & 0o777 == 0o555
    assert not lower(two, EXPORTS, COMPAT, compat_soname=SONAME).changed


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"!<arch>\n", "not an ELF file"),
        (elf(kind=1), "not a shared library"),
        (elf(needed=["libc.so.6"], imports=[_libc("pthread_create")]), "no note segment"),
        (elf(needed=["libc.so.6"], imports=[_libc("pthread_create")], note=True)[:300], "malformed"),
    ],
)
def test_what_cannot_be_lowered_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "lib.so"
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match=message):
        lower(path, EXPORTS, COMPAT, compat_soname=SONAME)
    assert path.read_bytes() == data
