"""Names that stand for what is called otherwise in another build."""

from __future__ import annotations

from pathlib import Path

import pytest

from xtool.pgo.names import Names, is_own, shown

FOLDERS = (
    (Path("/cache/gcc-1"), "/xtool/toolchain"),
    (Path("/mnt/cache/gcc-1"), "/xtool/toolchain"),
    (Path("/cache/sysroot-1"), "/xtool/sysroot"),
    (Path("/cache/sysroot-1/python"), "/xtool/python"),
    (Path("/b/source"), "/xtool/source"),
)
NAMES = Names(FOLDERS, platform="linux-ppc64le", python="cpython-313", triplet="powerpc64le-linux-gnu")
ELSEWHERE = Names(
    tuple(
        (Path(str(folder).replace("1", "22").replace("/b/", "/home/b/")), name) for folder, name in FOLDERS
    ),
    platform="linux-s390x",
    python="cpython-311",
    triplet="s390x-linux-gnu",
)

PATHS = [
    ("/cache/gcc-1/lib/gcc/x.h", "/xtool/toolchain/lib/gcc/x.h"),
    ("/mnt/cache/gcc-1/lib/gcc/x.h", "/xtool/toolchain/lib/gcc/x.h"),
    ("/cache/sysroot-1/usr/include/stdio.h", "/xtool/sysroot/usr/include/stdio.h"),
    ("/cache/sysroot-1/python/Python.h", "/xtool/python/Python.h"),
    ("/b/source", "/xtool/source"),
    ("/b/source/src/a.c", "/xtool/source/src/a.c"),
    ("/b/sources/a.c", "/b/sources/a.c"),
    ("./src/a.c", "./src/a.c"),
    ("build/temp.linux-ppc64le-cpython-313/src/a", "build/temp.@platform@-@python@/src/a"),
    (
        "build/temp.linux-ppc64le-cpython-313/b/source/a",
        "build/temp.@platform@-@python@/@/xtool/source@/a",
    ),
    ("include/powerpc64le-linux-gnu/x.h", "include/@triplet@/x.h"),
]


@pytest.mark.parametrize(("path", "name"), PATHS)
def test_a_path_and_the_name_for_it(path: str, name: str) -> None:
    assert NAMES.abstract(path) == name
    assert path in NAMES.candidates(name)


@pytest.mark.parametrize(("path", "name"), [item for item in PATHS if "/mnt/" not in item[0]])
def test_a_name_is_another_path_in_another_build(path: str, name: str) -> None:
    there = ELSEWHERE.concrete(name)
    assert ELSEWHERE.abstract(there) == name
    if "@" in name or name.startswith("/xtool/"):
        assert there != path


def test_gcc_finds_its_own_headers_by_the_resolved_path() -> None:
    assert NAMES.concrete("/xtool/toolchain/lib/x.h") == "/mnt/cache/gcc-1/lib/x.h"
    assert NAMES.concrete("/xtool/sysroot/usr/x.h") == "/cache/sysroot-1/usr/x.h"


def test_what_tells_an_object_from_others() -> None:
    assert NAMES.abstract_key("@source", "build/temp.linux-ppc64le-cpython-313/a") == (
        "@source/build/temp.@platform@-@python@/a"
    )
    assert NAMES.abstract_key("@source", "/b/source/o/a") == "/xtool/source/o/a"


def test_names_that_are_not_known_stand_for_nothing() -> None:
    bare = Names(())
    for _, name in PATHS:
        assert bare.abstract(name) == bare.concrete(name) == name


@pytest.mark.parametrize(
    ("file", "place", "name"),
    [
        ("./src/a.c", "@source", "src/a.c"),
        ("src/a.c", "@source", "src/a.c"),
        ("../src/a.c", "@source/build", "src/a.c"),
        ("a.c", "@source/build", "build/a.c"),
        ("/xtool/source/src/a.c", "@source/build", "src/a.c"),
        ("/xtool/source-1/src/a.c", "@source", "/xtool/source-1/src/a.c"),
        ("/xtool/python/object.h", "@source", "/xtool/python/object.h"),
        ("gen.c", "@tmp/x", "@tmp/x/gen.c"),
        ("../../outside.c", "@source", "../outside.c"),
        ("", "@source", ""),
    ],
)
def test_files_are_shown_from_the_project_s_folder(file: str, place: str, name: str) -> None:
    assert shown(file, place) == name


def test_whose_a_file_is() -> None:
    own = ["src/a.c", "@tmp/x/gen.c", "/xtool/temporary/gen.c", "../outside.c"]
    others = ["/xtool/python/object.h", "/xtool/sysroot/usr/include/x.h", "/xtool/environment/pybind11.h"]
    assert [name for name in (*own, *others) if is_own(name)] == own
