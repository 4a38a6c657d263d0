"""The wrappers' notes of compiles: what was compiled, where its counters are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from xtool.pgo.compiles import Compile, data_file, read_compiles


def note(
    folder: Path,
    words: str,
    *,
    name: str = "1",
    place: str = "@source",
    deps: str = "",
    said: str | None = None,
) -> None:
    """What a wrapper leaves behind of one compile in `/p`."""
    folder.mkdir(exist_ok=True)
    parts = [place, *words.split()]
    (folder / f"{name}.cmd").write_bytes(b"".join(os.fsencode(part) + b"\0" for part in parts))
    (folder / f"{name}.d").write_text(f"# /p\n{deps}")
    if said is not None:
        (folder / f"{name}.err").write_text(said)


def one(tmp_path: Path, words: str, **more: str) -> Compile:
    note(tmp_path / "trace", words, **more)  # type: ignore[arg-type]
    (found,) = read_compiles(tmp_path / "trace")
    return found


@pytest.mark.parametrize(
    ("words", "aux"),
    [
        ("-c src/a.c", "a"),
        ("-c src/a.c -o build/a.o", "build/a"),
        ("-c -obuild/a.b.o src/a.c", "build/a.b"),
        ("-c src/a.c -o build.d/a", "build.d/a"),
        ("-c src/a.c -o /abs/a.o", "/abs/a"),
        ("-S src/a.c -o out/a.s", "out/a"),
        ("src/a.c -shared -o d/m.so", "d/m.so-a"),
        ("src/a.c", "a"),
        ("src/b.c", "a-b"),
        ("src/a.c -o a.out", "a"),
        ("src/b.c -o d/a.out", "d/a-b"),
        ("src/a.c -o prog", "prog-a"),
        ("src/a.c -o d/a", "d/a"),
        ("src/a.c x.o -o d/a", "d/a-a"),
        ("src/a.c -lm -l m -e main.c -Xlinker x.o -L lib -o d/a", "d/a"),
        ("src/a.c -o d/a.exe", "d/a"),
        ("src/a.c -o d/prog.exe", "d/prog-a"),
        ("src/a.c -o .exe", ".exe-a"),
    ],
)
def test_the_name_of_files_beside_an_object(tmp_path: Path, words: str, aux: str) -> None:
    assert one(tmp_path, words).aux == aux


def test_several_sources_of_one_command(tmp_path: Path) -> None:
    note(tmp_path, "-shared src/a.c src/b.cpp other.o -o m.so")
    a, b = read_compiles(tmp_path)
    assert [(each.source, each.aux) for each in (a, b)] == [("src/a.c", "m.so-a"), ("src/b.cpp", "m.so-b")]
    # Their notes are where GCC itself puts them.
    assert (a.notes, b.notes) == (Path("/p/m.so-a.gcno"), Path("/p/m.so-b.gcno"))
    note(tmp_path, "-c src/a.c src/b.cpp")
    assert [each.aux for each in read_compiles(tmp_path)] == ["a", "b"]


def test_a_single_source_has_its_notes_beside_those_of_the_wrapper(tmp_path: Path) -> None:
    found = one(tmp_path, "-c src/a.c -o a.o")
    assert found.notes == tmp_path / "trace" / "1.gcno"
    assert found.cwd == Path("/p")


@pytest.mark.parametrize(
    ("place", "aux", "file"),
    [
        ("@source", "build/temp/a", "@source/build#temp#a.gcda"),
        ("@source/sub", "../o/a", "@source/sub/^#o#a.gcda"),
        ("@source", "./d/../a", "@source/.#d#^#a.gcda"),
        ("@source", "/abs/o/a", "@source/abs/o/a.gcda"),
        ("@tmp/x", "a.b", "@tmp/x/a.b.gcda"),
        ("@other/opt", "a", "@other/opt/a.gcda"),
    ],
)
def test_where_the_counters_are(place: str, aux: str, file: str) -> None:
    assert data_file(Path("/counters"), place, aux) == Path("/counters") / file


def test_what_tells_objects_apart(tmp_path: Path) -> None:
    assert one(tmp_path, "-c a.c -o o/a.o", place="@source/sub").key == "@source/sub/o/a"
    assert one(tmp_path, "-c a.c -o /abs/a.o", place="@source/sub").key == "/abs/a"


def test_the_options_that_decide_what_code_comes_out(tmp_path: Path) -> None:
    words = (
        "-mcpu=power8 -ffile-prefix-map=/p=. -Wall -g -O2 -fPIC -std=c11 -DX=1 -D Y -UZ -I inc -isystem sys "
        "-fdebug-prefix-map=a=b -fprofile-generate=x -fdiagnostics-color -D__TIMESTAMP__=now -MF a.d "
        "--param max=3 -c a.c -o a.o"
    )
    note(tmp_path, words)
    (found,) = read_compiles(tmp_path, ("-mcpu=power8",))
    assert found.flags == ("-O2", "-fPIC", "-std=c11", "-DX=1", "-D", "Y", "-UZ", "--param", "max=3")


def test_values_of_options_are_no_sources(tmp_path: Path) -> None:
    found = one(tmp_path, "-include config.c -x c -MT x.c -MQ y.c -imacros z.c -c a.c -o a.o")
    assert found.source == "a.c"
    note(tmp_path / "trace", "-shared a.o b.a -o m.so")
    assert read_compiles(tmp_path / "trace") == ()


def test_what_was_read_and_said(tmp_path: Path) -> None:
    deps = "a.o: src/a.c inc/../inc/a.h \\\n /sys/stdio.h\n"
    found = one(tmp_path, "-c src/a.c -o a.o", deps=deps, said="a.c:1: warning: no\n")
    assert found.headers == ("/p/src/a.c", "/p/inc/a.h", "/sys/stdio.h")
    assert found.said == "a.c:1: warning: no\n"
    # A compile that was stopped before it could read anything.
    assert one(tmp_path, "-c src/a.c -o a.o").headers == ("/p/src/a.c",)


def test_names_that_are_not_utf_8(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.c")
    found = one(tmp_path, f"-c {name} -o d/{name}.o")
    assert (found.source, found.aux) == (name, f"d/{name}")
