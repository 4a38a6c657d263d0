"""Loader slots: what an ELF reader sees afterwards, and that moving a tree is overwriting bytes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from support.hostelf import elf

from xtool.errors import ArchiveError, CatalogError, StoreError
from xtool.targets import Host
from xtool.toolchain import relocate

HOST = Host("x86_64", "x86_64-linux-gnu", "amd64", "ld-linux-x86-64.so.2")


@pytest.fixture
def libraries(tmp_path: Path) -> Path:
    folder = tmp_path / "packages" / "usr/lib/x86_64-linux-gnu"
    folder.mkdir(parents=True)
    (folder / "ld-linux-x86-64.so.2").write_bytes(elf((), program=False))
    (folder / "libc.so.6").write_bytes(elf(("ld-linux-x86-64.so.2",), program=False))
    (folder / "libgmp.so.10.5.0").write_bytes(elf(program=False))
    (folder / "libgmp.so.10").symlink_to("libgmp.so.10.5.0")
    (folder / "libunused.so.1").write_bytes(elf(program=False))
    return tmp_path / "packages"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    for name, needed in (("bin/tool", ("libgmp.so.10",)), ("libexec/deep/cc1", ("libc.so.6",))):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(elf(needed))
    (folder / "bin/alias").symlink_to("tool")
    (folder / "bin/foreign").write_bytes(elf(machine=21))
    (folder / "bin/script").write_text("#!/bin/sh\n")
    return folder


def facts(path: Path) -> tuple[str, list[str], list[str]]:
    """What an independent reader finds: interpreter, DT_RPATH, DT_NEEDED."""
    with path.open("rb") as file:
        read = ELFFile(file)
        segments = list(read.iter_segments())
        interpreter = next(s for s in segments if s["p_type"] == "PT_INTERP").get_interp_name()
        tags = list(next(s for s in segments if s["p_type"] == "PT_DYNAMIC").iter_tags())
        rpath = [tag.rpath for tag in tags if tag.entry.d_tag == "DT_RPATH"]
        return interpreter, rpath, [tag.needed for tag in tags if tag.entry.d_tag == "DT_NEEDED"]


def test_programs_get_the_loader_and_the_libraries_of_their_tree(tree: Path, libraries: Path) -> None:
    slots = relocate.bundle_host_libraries(tree, libraries=libraries, host=HOST)
    relocate.fill_slots(tree, Path("/opt/x y/store"))

    assert [slot.path for slot in slots] == ["bin/tool", "libexec/deep/cc1"]
    assert facts(tree / "bin/tool") == (
        "/opt/x y/store/lib/host/ld-linux-x86-64.so.2",
        ["$ORIGIN/../lib/host:/opt/x y/store/lib/host"],
        ["libgmp.so.10"],
    )
    assert facts(tree / "libexec/deep/cc1")[1] == ["$ORIGIN/../../lib/host:/opt/x y/store/lib/host"]
    assert sorted(p.name for p in (tree / "lib/host").iterdir()) == [
        "ld-linux-x86-64.so.2",
        "libc.so.6",
        "libgmp.so.10",
    ]
    assert os.access(tree / "lib/host/ld-linux-x86-64.so.2", os.X_OK)
    assert (tree / "bin/foreign").read_bytes() == elf(machine=21)


def test_nothing_that_was_mapped_moves_and_segments_ascend(tree: Path, libraries: Path) -> None:
    before = (tree / "bin/tool").read_bytes()
    relocate.bundle_host_libraries(tree, libraries=libraries, host=HOST)
    after = (tree / "bin/tool").read_bytes()

    with (tree / "bin/tool").open("rb") as file:
        read = ELFFile(file)
        loads = [s.header for s in read.iter_segments() if s["p_type"] == "PT_LOAD"]
        (interp,) = [s.header for s in read.iter_segments() if s["p_type"] == "PT_INTERP"]
        (dynamic,) = [s.header for s in read.iter_segments() if s["p_type"] == "PT_DYNAMIC"]
        kinds = [s["p_type"] for s in read.iter_segments()]
    headers_end = 64 + 4 * 56
    assert after[headers_end : dynamic["p_offset"]] == before[headers_end : dynamic["p_offset"]]
    assert kinds == ["PT_INTERP", "PT_LOAD", "PT_LOAD", "PT_DYNAMIC"]
    assert loads[1]["p_vaddr"] >= loads[0]["p_vaddr"] + loads[0]["p_memsz"]
    assert all((load["p_vaddr"] - load["p_offset"]) % load["p_align"] == 0 for load in loads)
    end = loads[1]["p_offset"] + loads[1]["p_filesz"]
    assert loads[1]["p_offset"] < interp["p_offset"]
    assert interp["p_offset"] + interp["p_filesz"] == end == len(after)
    # The kernel refuses a loader's path that does not end with a NUL, or is longer than PATH_MAX.
    assert after[end - 1 : end] == b"\0"
    assert interp["p_filesz"] <= 4096


def test_moving_and_blanking_leave_the_same_bytes_whatever_came_before(tree: Path, libraries: Path) -> None:
    relocate.bundle_host_libraries(tree, libraries=libraries, host=HOST)
    blank = (tree / "bin/tool").read_bytes()
    relocate.fill_slots(tree, Path("/a/very/much/longer/path/than/the/second"))
    relocate.fill_slots(tree, Path("/b"))
    assert facts(tree / "bin/tool")[0] == "/b/lib/host/ld-linux-x86-64.so.2"
    assert b"much/longer" not in (tree / "bin/tool").read_bytes()
    relocate.blank_slots(tree)
    assert (tree / "bin/tool").read_bytes() == blank


def test_read_only_files_are_filled_and_stay_read_only(tree: Path, libraries: Path) -> None:
    relocate.bundle_host_libraries(tree, libraries=libraries, host=HOST)
    (tree / "bin/tool").chmod(0o555)
    relocate.fill_slots(tree, Path("/b"))
    assert facts(tree / "bin/tool")[0].startswith("/b/")
    assert (tree / "bin/tool").stat().st_mode & 0o777 == 0o555


def test_filled_slots_are_not_written_again(tree: Path, libraries: Path) -> None:
    relocate.bundle_host_libraries(tree, libraries=libraries, host=HOST)
    relocate.fill_slots(tree, Path("/b"))
    os.utime(tree / "bin/tool", (1, 1))
    relocate.fill_slots(tree, Path("/b"))
    assert (tree / "bin/tool").stat().st_mtime == 1


@pytest.mark.parametrize(("length", "fits"), [(1023, True), (1024, False)])
def test_a_path_fits_up_to_the_last_byte_before_the_nul(
    tree: Path, libraries: Path, length: int, fits: bool
) -> None:
    relocate.bundle_host_libraries(tree, libraries=libraries, host=HOST)
    final = Path("/" + "d" * (length - 1 - len("/lib/host/ld-linux-x86-64.so.2")))
    if fits:
        relocate.fill_slots(tree, final)
        assert facts(tree / "bin/tool")[0] == f"{final}/lib/host/ld-linux-x86-64.so.2"
    else:
        with pytest.raises(StoreError, match="too long") as caught:
            relocate.fill_slots(tree, final)
        assert "XTOOL_CACHE_DIR" in str(caught.value.hint)


def test_a_relative_place_is_refused(tree: Path, libraries: Path) -> None:
    relocate.bundle_host_libraries(tree, libraries=libraries, host=HOST)
    with pytest.raises(StoreError, match="absolute"):
        relocate.fill_slots(tree, Path("store"))


def test_a_tree_without_programs_is_left_alone(tmp_path: Path) -> None:
    assert relocate.read_slots(tmp_path) is None
    relocate.fill_slots(tmp_path, Path("/b"))
    relocate.blank_slots(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "record",
    [
        "{",
        "[]",
        '{"schema": 2, "loader": "l", "slots": []}',
        '{"schema": 1, "loader": "l", "slots": [["../../etc/passwd", 0, 2048]]}',
        '{"schema": 1, "loader": "l", "slots": [["/etc/passwd", 0, 2048]]}',
        '{"schema": 1, "loader": "l", "slots": [["bin/tool", -1, 2048]]}',
        '{"schema": 1, "loader": "l", "slots": [["bin/tool", 0, 99999999]]}',
        '{"schema": 1, "loader": "l", "slots": [["bin/tool", 0]]}',
    ],
)
def test_a_damaged_record_is_a_store_error(tree: Path, record: str) -> None:
    (tree / relocate.SLOTS_FILE).parent.mkdir(parents=True)
    (tree / relocate.SLOTS_FILE).write_text(record)
    before = (tree / "bin/tool").read_bytes()
    with pytest.raises(StoreError, match="damaged"):
        relocate.fill_slots(tree, Path("/b"))
    assert (tree / "bin/tool").read_bytes() == before


def test_a_cut_program_is_a_store_error(tree: Path, libraries: Path) -> None:
    relocate.bundle_host_libraries(tree, libraries=libraries, host=HOST)
    os.truncate(tree / "bin/tool", 400)
    with pytest.raises(StoreError, match="shorter"):
        relocate.fill_slots(tree, Path("/b"))


def test_the_record_is_sorted_and_has_a_schema(tree: Path, libraries: Path) -> None:
    relocate.bundle_host_libraries(tree, libraries=libraries, host=HOST)
    record = json.loads((tree / "share/xtool/slots.json").read_text())
    assert record["schema"] == 1
    assert record["loader"] == "lib/host/ld-linux-x86-64.so.2"
    assert record["slots"] == sorted(record["slots"])


def test_a_missing_library_is_named_with_who_needs_it(tree: Path, libraries: Path) -> None:
    (libraries / "usr/lib/x86_64-linux-gnu/libgmp.so.10").unlink()
    with pytest.raises(CatalogError, match=r"libgmp\.so\.10") as caught:
        relocate.bundle_host_libraries(tree, libraries=libraries, host=HOST)
    assert "bin/tool" in caught.value.facts[0]


def test_a_library_that_searches_by_itself_is_refused(tree: Path, libraries: Path) -> None:
    gmp = libraries / "usr/lib/x86_64-linux-gnu/libgmp.so.10.5.0"
    gmp.write_bytes(elf(program=False, runpath="/usr/lib"))
    with pytest.raises(ArchiveError, match="DT_RUNPATH"):
        relocate.bundle_host_libraries(tree, libraries=libraries, host=HOST)


def test_a_runpath_of_a_program_gives_way_to_the_rpath(tree: Path, libraries: Path) -> None:
    (tree / "bin/tool").write_bytes(elf(("libgmp.so.10",), runpath="/usr/lib"))
    relocate.bundle_host_libraries(tree, libraries=libraries, host=HOST)
    relocate.fill_slots(tree, Path("/b"))
    assert facts(tree / "bin/tool")[1] == ["$ORIGIN/../lib/host:/b/lib/host"]
    with (tree / "bin/tool").open("rb") as file:
        dynamic = next(s for s in ELFFile(file).iter_segments() if s["p_type"] == "PT_DYNAMIC")
        assert "DT_RUNPATH" not in [tag.entry.d_tag for tag in dynamic.iter_tags()]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (elf(notes=0), "no note segment"),
        (elf(spare=1), "no room"),
        (elf()[:300], "truncated"),
    ],
)
def test_programs_that_cannot_be_changed_are_refused(
    tree: Path, libraries: Path, content: bytes, reason: str
) -> None:
    (tree / "bin/tool").write_bytes(content)
    with pytest.raises(ArchiveError, match=reason):
        relocate.bundle_host_libraries(tree, libraries=libraries, host=HOST)
