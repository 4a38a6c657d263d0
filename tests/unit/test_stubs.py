"""Stub libraries, written with the machine's own `as` and `ld` and read back with two readers."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from xtool.errors import CommandFailed
from xtool.log import SilentLog
from xtool.toolchain.floor import Symbol, read_symbols
from xtool.toolchain.stubs import Bench, version_script, write_stub


def tool(name: str) -> Path:
    found = shutil.which(name)
    assert found, f"these tests need binutils' {name} (Debian: dpkg-dev brings it)"
    return Path(found)


SYMBOLS = (
    Symbol("__environ", "GLIBC_2.17", "OBJECT", 8, 0x2008, weak=False, default=True),
    Symbol("_nl_tls", "GLIBC_2.17", "TLS", 16, 0x20, weak=False, default=True),
    Symbol("environ", "GLIBC_2.17", "OBJECT", 8, 0x2008, weak=True, default=True),
    Symbol("memcpy", "GLIBC_2.3.4", "FUNC", 4, 0x100, weak=False, default=False),
    Symbol("memcpy", "GLIBC_2.17", "FUNC", 4, 0x100, weak=False, default=True),
    Symbol("stdout", "GLIBC_2.17", "OBJECT", 24, 0x2010, weak=False, default=True),
    Symbol("wait", "GLIBC_2.17", "FUNC", 4, 0x200, weak=True, default=True),
)


@pytest.fixture
def stub(tmp_path: Path) -> Path:
    output = tmp_path / "libx.so.6"
    write_stub("libx.so.6", SYMBOLS, output, Bench(tool("as"), tool("ld"), tmp_path, SilentLog()))
    return output


def test_what_was_written_is_read_back(stub: Path) -> None:
    found = read_symbols(tool("readelf"), stub, SilentLog())
    seen = [(s.name, s.version, s.kind, s.size, s.weak, s.default) for s in found]
    assert seen == [(s.name, s.version, s.kind, s.size, s.weak, s.default) for s in SYMBOLS]


def test_names_of_one_object_share_its_address(stub: Path) -> None:
    addresses = {s.name: s.address for s in read_symbols(tool("readelf"), stub, SilentLog())}
    assert addresses["environ"] == addresses["__environ"]
    assert addresses["environ"] % 8 == 0
    assert addresses["stdout"] not in (addresses["environ"], addresses["environ"] + 4)
    assert addresses["memcpy"] != addresses["wait"]


def test_soname_and_chain_of_versions(stub: Path) -> None:
    with stub.open("rb") as file:
        elf = ELFFile(file)
        tags = {tag.entry.d_tag: tag for tag in elf.get_section_by_name(".dynamic").iter_tags()}
        assert tags["DT_SONAME"].soname == "libx.so.6"
        assert "DT_NEEDED" not in tags
        definitions = [
            [aux.name for aux in auxiliaries]
            for _, auxiliaries in elf.get_section_by_name(".gnu.version_d").iter_versions()
        ]
    assert definitions == [["libx.so.6"], ["GLIBC_2.3.4"], ["GLIBC_2.17", "GLIBC_2.3.4"]]


def test_no_symbols_makes_an_empty_library(tmp_path: Path) -> None:
    output = tmp_path / "libdl.so.2"
    write_stub("libdl.so.2", (), output, Bench(tool("as"), tool("ld"), tmp_path, SilentLog()))
    assert read_symbols(tool("readelf"), output, SilentLog()) == ()


def test_same_symbols_same_bytes(stub: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    other.mkdir()
    write_stub("libx.so.6", SYMBOLS, other / "out", Bench(tool("as"), tool("ld"), other, SilentLog()))
    assert (other / "out").read_bytes() == stub.read_bytes()


def test_versions_are_ordered_as_numbers() -> None:
    assert version_script(SYMBOLS) == "GLIBC_2.3.4 { };\nGLIBC_2.17 { } GLIBC_2.3.4;\n"


def test_not_a_library_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "libx.so").write_text("GROUP ( libx.so.6 )\n")
    with pytest.raises(CommandFailed, match=r"libx\.so"):
        read_symbols(tool("readelf"), tmp_path / "libx.so", SilentLog())
