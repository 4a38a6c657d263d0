"""Facts of ELF files: every machine's layout, and files that no linker wrote."""

from __future__ import annotations

import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from support import elfforge
from support.elfforge import Want, elf, extension
from zstandard import backend_c

from xtool.elf import Import, read_elf, read_header
from xtool.errors import ArchiveError, UsageError


@pytest.mark.parametrize(
    ("machine", "bits", "little", "name"),
    [
        (elfforge.EM_PPC64, 64, True, "EM_PPC64"),
        (elfforge.EM_S390, 64, False, "EM_S390"),
        (elfforge.EM_ARM, 32, True, "EM_ARM"),
        (elfforge.EM_RISCV, 64, True, "EM_RISCV"),
    ],
)
def test_symbols_and_versions_are_read_from_every_layout(
    machine: int, bits: int, little: bool, name: str
) -> None:
    facts = read_elf(
        elf(
            machine=machine,
            bits=bits,
            little=little,
            soname="libdemo.so.1",
            needed=["libc.so.6", "libm.so.6"],
            imports=[
                Want("open", "GLIBC_2.4", "libc.so.6"),
                Want("pow", "GLIBC_2.29", "libm.so.6"),
                Want("stat", "GLIBC_2.33", "libc.so.6"),
                Want("maybe", weak=True),
            ],
            exports=["PyInit_demo", "helper"],
        )
    )
    assert (facts.header.machine, facts.header.bits, facts.header.little_endian) == (name, bits, little)
    assert facts.soname == "libdemo.so.1"
    assert facts.needed == ("libc.so.6", "libm.so.6")
    assert facts.imports == (
        Import("open", "GLIBC_2.4", "libc.so.6", weak=False),
        Import("pow", "GLIBC_2.29", "libm.so.6", weak=False),
        Import("stat", "GLIBC_2.33", "libc.so.6", weak=False),
        Import("maybe", None, None, weak=True),
    )
    assert facts.export_names == {"PyInit_demo", "helper"}
    assert facts.init_functions == ("PyInit_demo",)
    assert set(facts.version_needs) == {
        ("libc.so.6", "GLIBC_2.4"),
        ("libc.so.6", "GLIBC_2.33"),
        ("libm.so.6", "GLIBC_2.29"),
    }


def test_paths_stack_and_relocations_are_read() -> None:
    facts = read_elf(
        elf(
            rpath="/build/lib:$ORIGIN",
            runpath="$ORIGIN/../x",
            interpreter="/lib64/ld64.so.2",
            stack=True,
            textrel=True,
        )
    )
    assert facts.rpath == ("/build/lib", "$ORIGIN")
    assert facts.runpath == ("$ORIGIN/../x",)
    assert facts.interpreter == "/lib64/ld64.so.2"
    assert facts.executable_stack is True
    assert facts.text_relocations
    plain = read_elf(elf(stack=None))
    assert plain.executable_stack is None
    assert not plain.text_relocations


def test_a_stripped_instrumented_file_is_recognised(tmp_path: Path) -> None:
    data = extension(payload=b"\0GCOV_PREFIX\0/build/demo.gcda\0")
    path = tmp_path / "demo.so"
    path.write_bytes(data)
    assert read_elf(data).instrumented
    assert read_elf(path).instrumented
    assert not read_elf(extension()).instrumented


def test_a_real_library_agrees_with_pyelftools() -> None:
    from elftools.elf.elffile import ELFFile

    path = Path(backend_c.__file__)
    facts = read_elf(path)
    with path.open("rb") as file:
        symbols = [s for s in ELFFile(file).get_section_by_name(".dynsym").iter_symbols() if s.name]
        wanted = {
            s.name for s in symbols if s["st_shndx"] == "SHN_UNDEF" and s["st_info"]["bind"] != "STB_LOCAL"
        }
        given = {
            s.name for s in symbols if s["st_shndx"] != "SHN_UNDEF" and s["st_info"]["bind"] != "STB_LOCAL"
        }
    assert {i.name for i in facts.imports} == wanted
    assert facts.export_names == given
    assert facts.compilers


def test_what_is_no_elf_file_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="demo is not an ELF file"):
        read_elf(b"MZ\x90\0", name="demo")
    (tmp_path / "empty.so").write_bytes(b"")
    with pytest.raises(ArchiveError, match=r"empty\.so is empty"):
        read_elf(tmp_path / "empty.so")
    with pytest.raises(UsageError, match="cannot read"):
        read_elf(tmp_path / "absent.so")
    with pytest.raises(ArchiveError):
        read_header(b"\x7fELF")


GOOD = extension(
    needed=["libc.so.6", "libm.so.6"],
    imports=[Want("PyModule_Create2"), *(Want(f"f{n}", f"GLIBC_2.{n}", "libc.so.6") for n in range(17, 30))],
    rpath="$ORIGIN",
    soname="demo",
)


def _survives(data: bytes) -> None:
    """Anything but facts or an ArchiveError fails the test."""
    with suppress(ArchiveError):
        assert read_elf(data, name="demo").size == len(data)


@given(st.integers(min_value=0, max_value=len(GOOD) - 1))
@settings(max_examples=200, deadline=2000)
def test_a_truncated_file_is_an_error_or_read(length: int) -> None:
    _survives(GOOD[:length])


_NUMBERS = st.sampled_from(
    [0, 1, 2, 0x7F, 0xFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1]
)


@given(
    st.lists(
        st.tuples(
            st.integers(0, len(GOOD) - 8), st.sampled_from("BHIQ"), _NUMBERS | st.integers(0, 2**64 - 1)
        ),
        min_size=1,
        max_size=6,
    )
)
@settings(max_examples=500, deadline=2000, suppress_health_check=[HealthCheck.too_slow])
@example([(0x38, "H", 0xFFFF)])
def test_a_mutated_file_is_an_error_or_read(changes: list[tuple[int, str, int]]) -> None:
    data = bytearray(GOOD)
    for offset, layout, value in changes:
        size = struct.calcsize(f"<{layout}")
        struct.pack_into(f"<{layout}", data, offset, value % (1 << 8 * size))
    _survives(bytes(data))


@given(st.binary(max_size=600))
@settings(max_examples=300, deadline=2000)
def test_noise_behind_the_magic_is_an_error_or_read(noise: bytes) -> None:
    _survives(b"\x7fELF" + noise)
    _survives(b"\x7fELF\x02\x01\x01" + noise)


def test_version_entries_that_overlap_end_in_an_error() -> None:
    """65,535 entries of 65,535 each, all in the same few bytes: four billion steps for who believes them."""
    data = bytearray(
        elf(
            imports=[Want("f", "GLIBC_2.17", "libc.so.6"), Want("g", "GLIBC_2.18", "libc.so.6")],
            payload=bytes(1 << 20),
        )
    )
    needs = data.find(struct.pack("<HH", 1, 2))
    struct.pack_into("<H", data, needs + 2, 0xFFFF)
    struct.pack_into("<I", data, needs + 12, 1)
    number = data.find(struct.pack("<QQ", 0x6FFFFFFF, 1))
    struct.pack_into("<Q", data, number + 8, 0xFFFF)
    with pytest.raises(ArchiveError):
        read_elf(bytes(data))


def test_the_reader_loads_pyelftools_only_when_it_reads() -> None:
    code = "import sys, xtool.elf, xtool.wheel.judge, xtool.wheel.report; print('elftools' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_extent_and_hardening_are_read() -> None:
    facts = read_elf(elf())
    assert facts.extent.text == facts.size  # one readable segment, no sections: all of it
    assert (facts.extent.data, facts.extent.bss) == (0, 0)
    assert (facts.hardening.relro, facts.hardening.bind_now, facts.symbol_table) == (False, False, False)


def test_extent_of_a_linked_program_adds_up() -> None:
    """Of the interpreter that runs the tests: what is mapped is most of the file, and it has zeros too."""
    facts = read_elf(Path(sys.executable).resolve())
    assert 0 < facts.extent.text + facts.extent.data <= facts.size
    assert min(facts.extent.text, facts.extent.data, facts.extent.bss) > 0
