"""The readers and the writer of GCC's files, with files that are forged word by word."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support import gcovforge
from support.gcovforge import ARCS, BLOCKS, COUNTERS, FUNCTION, LINES, Forge, Order

from xtool.errors import ArchiveError
from xtool.pgo import notes
from xtool.pgo.notes import Arc, Counts, Data, Graph, lists, read_data, read_notes, write_data

both = pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])


def put(folder: Path, forge: Forge | bytes, name: str = "x.gcda") -> Path:
    path = folder / name
    path.write_bytes(forge if isinstance(forge, bytes) else forge.bytes)
    return path


def two_functions(order: Order) -> Forge:
    forge = gcovforge.notes(order)
    forge.record(FUNCTION, 11, 12, 13, "first", 0, "./src/é.c", 7, 3, 9, 1)
    forge.record(BLOCKS, 4)
    forge.record(ARCS, 0, 2, 1)
    forge.record(ARCS, 2, 3, 0, 1, 5)
    forge.record(LINES, 2, 0, "./src/é.c", 7, 0, "")
    forge.record(FUNCTION, 21, 22, 23, "_ZN1aC1Ev", 1, "b.cc", 9, 1, 9, 1)
    return forge.record(BLOCKS, 2)


@both
def test_graphs_are_read(tmp_path: Path, order: Order) -> None:
    found = read_notes(put(tmp_path, two_functions(order)))
    assert found.stamp == 0x5EED
    first = Graph(
        *(11, 12, 13, "first", False, "./src/é.c", 7),
        blocks=4,
        arcs=(Arc(0, 2, 1), Arc(2, 3, 0), Arc(2, 1, 5)),
    )
    assert found.functions == (first, Graph(21, 22, 23, "_ZN1aC1Ev", True, "b.cc", 9, 2, ()))


@both
def test_counters_are_read(tmp_path: Path, order: Order) -> None:
    forge = gcovforge.counted(order)
    forge.record(FUNCTION, 11, 12, 13).counters(0, [1, 1 << 40, 0]).zeros(3, 2).counters(6, [-1])
    forge.record(FUNCTION, 21, 22, 23).zeros(0, 5)
    found = read_data(put(tmp_path, forge.words(0)))
    assert (found.version, found.runs, found.highest, found.stamp) == ("B42*", 2, 9, 0x5EED)
    assert found.functions == (
        Counts(11, 12, 13, {0: (1, 1 << 40, 0), 3: (0, 0), 6: (-1,)}),
        Counts(21, 22, 23, {0: (0,) * 5}),
    )


def test_a_function_that_was_left_out_takes_its_counters_along(tmp_path: Path) -> None:
    forge = gcovforge.counted().record(FUNCTION, 1, 2, 3).counters(0, [5])
    # A record of length 0 stands for a function that the linker left out.
    forge.record(FUNCTION).counters(0, [7])
    (only,) = read_data(put(tmp_path, forge)).functions
    assert only.counters == {0: (5,)}


def test_records_of_later_compilers_are_passed_over(tmp_path: Path) -> None:
    forge = gcovforge.counted().record(0xA3000000, 1, 2, 3).record(COUNTERS + (9 << 17), 1, 2)
    forge.record(FUNCTION, 1, 2, 3, 4).counters(8, [6])
    (only,) = read_data(put(tmp_path, forge)).functions
    assert (only.ident, only.counters) == (1, {8: (6,)})


def test_nothing_is_read_behind_the_end(tmp_path: Path) -> None:
    forge = gcovforge.counted().words(0).record(FUNCTION, 1, 2, 3)
    assert read_data(put(tmp_path, forge)).functions == ()


@both
@pytest.mark.parametrize("reader", [read_notes, read_data])
def test_other_files_are_refused(tmp_path: Path, order: Order, reader: object) -> None:
    wrong = gcovforge.counted(order) if reader is read_notes else gcovforge.notes(order)
    for data in (b"", b"gcd", b"\x7fELF" + bytes(99), wrong.bytes):
        with pytest.raises(ArchiveError, match=r"x\.gcda is no file of GCC's profiles: it") as caught:
            reader(put(tmp_path, data))  # type: ignore[operator]
        assert caught.value.facts == (str(tmp_path / "x.gcda"),)
        assert caught.value.exit_code == 4


@both
def test_a_file_that_ends_too_early_is_refused_or_has_whole_functions(tmp_path: Path, order: Order) -> None:
    whole = two_functions(order).bytes
    every = read_notes(put(tmp_path, whole)).functions
    read = 0
    for length in range(len(whole)):
        path = put(tmp_path, whole[:length])
        try:
            found = read_notes(path).functions
        except ArchiveError:
            continue
        assert [each.name for each in found] == [each.name for each in every[: len(found)]]
        read += 1
    assert read < len(whole) / 4


@both
def test_counters_that_end_too_early_are_refused(tmp_path: Path, order: Order) -> None:
    forge = gcovforge.counted(order).record(FUNCTION, 1, 2, 3).counters(0, [1, 2, 3])
    with pytest.raises(ArchiveError, match="too early"):
        read_data(put(tmp_path, forge.bytes[:-1]))


@pytest.mark.parametrize("length", [8, 1 << 20, (1 << 31) - 1])
def test_a_length_beyond_the_file_is_refused(tmp_path: Path, length: int) -> None:
    forge = gcovforge.counted().record(FUNCTION, 1, 2, 3).record(COUNTERS, length=length)
    with pytest.raises(ArchiveError, match="too early"):
        read_data(put(tmp_path, forge))
    named = gcovforge.notes().record(FUNCTION, 1, 2, 3, length, 5, length=20)
    with pytest.raises(ArchiveError, match="too early"):
        read_notes(put(tmp_path, named))


def test_a_few_bytes_do_not_ask_for_gigabytes(tmp_path: Path) -> None:
    forge = gcovforge.counted().record(FUNCTION, 1, 2, 3)
    for kind in range(8):
        forge.zeros(kind, (1 << 28) - 1)
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveError, match="too many counters"):
            read_data(put(tmp_path, forge))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    many = gcovforge.counted()
    for ident in range(99):
        many.record(FUNCTION, ident, 2, 3).zeros(0, 1 << 17)
    with pytest.raises(ArchiveError, match="too many counters"):
        read_data(put(tmp_path, many))


def test_a_negative_length_of_anything_else_has_nothing_in_it(tmp_path: Path) -> None:
    forge = gcovforge.notes().record(FUNCTION, 1, 2, 3, "f", 0, "a.c", 1).record(ARCS, length=-400)
    with pytest.raises(ArchiveError, match="too early"):
        read_notes(put(tmp_path, forge))
    (only,) = read_notes(put(tmp_path, forge.record(BLOCKS, 3))).functions
    assert (only.arcs, only.blocks) == ((), 3)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path, gcovforge.counted())
    monkeypatch.setattr(notes, "_MAX_SIZE", 8)
    with pytest.raises(ArchiveError, match="too large"):
        read_data(path)


words = st.integers(0, (1 << 32) - 1)
values = st.lists(st.integers(-(1 << 63), (1 << 63) - 1), min_size=1, max_size=6).map(tuple)
functions = st.builds(Counts, words, words, words, st.dictionaries(st.integers(0, 8), values, max_size=4))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.builds(Data, st.just("B42*"), words, words, st.lists(functions, max_size=4).map(tuple)))
def test_what_is_written_is_read_again(tmp_path: Path, data: Data) -> None:
    path = tmp_path / "x.gcda"
    write_data(path, data)
    assert read_data(path) == data
    first = path.read_bytes()
    write_data(path, read_data(path))
    assert path.read_bytes() == first


@both
def test_what_a_big_endian_machine_wrote_is_written_for_every_compiler(tmp_path: Path, order: Order) -> None:
    forge = gcovforge.counted(order).record(FUNCTION, 1, 2, 3).counters(0, [1 << 35, -2]).zeros(3, 4)
    data = read_data(put(tmp_path, forge.words(0)))
    write_data(tmp_path / "y.gcda", data)
    little = gcovforge.counted(stamp=0).record(FUNCTION, 1, 2, 3).counters(0, [1 << 35, -2])
    # Lists of values are written out: GCC 14 does not take the short form for them.
    assert (tmp_path / "y.gcda").read_bytes() == little.counters(3, [0] * 4).words(0).bytes


def test_zeros_take_no_room(tmp_path: Path) -> None:
    write_data(tmp_path / "x.gcda", Data("B42*", 1, 0, (Counts(1, 2, 3, {0: (0,) * 1000, 7: (0,)}),)))
    assert (tmp_path / "x.gcda").stat().st_size < 80
    (only,) = read_data(tmp_path / "x.gcda").functions
    assert only.counters == {0: (0,) * 1000, 7: (0,)}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_broken_file_is_refused_or_read(tmp_path: Path, data: st.DataObject) -> None:
    order: Order = data.draw(st.sampled_from(["<", ">"]))
    wanted = data.draw(st.sampled_from(["notes", "counters"]))
    forge = two_functions(order) if wanted == "notes" else gcovforge.counted(order)
    if wanted == "counters":
        forge.record(FUNCTION, 1, 2, 3).counters(0, [1, 2]).zeros(3, 4).counters(4, [3, 1, 9, 3])
    broken = bytearray(forge.bytes)
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    path = put(tmp_path, bytes(broken))
    try:
        found = read_notes(path) if wanted == "notes" else read_data(path)
    except ArchiveError:
        return
    assert len(found.functions) <= 3


def test_lists_of_values() -> None:
    assert list(lists(())) == []
    assert list(lists((7, 2, 10, 4, 20, 3, 0, 0, -5, 1, -1, 5))) == [
        (7, [(10, 4), (20, 3)]),
        (0, []),
        (-5, [(-1, 5)]),
    ]
    # What is broken ends, and does not go round for ever.
    assert list(lists((7, 9, 10, 4))) == [(7, [(10, 4)])]
    assert list(lists((7, -1, 7, -1))) == [(7, []), (7, [])]
    assert list(lists((7,))) == []
