"""What a header says of the machine, held against what the compiler says."""

from __future__ import annotations

from pathlib import Path

import pytest

from xtool.build import foreignheaders

I686 = {
    "__SIZEOF_LONG__": "4",
    "__SIZEOF_POINTER__": "4",
    "__SIZEOF_LONG_DOUBLE__": "12",
    "__SIZEOF_INT__": "4",
    "__BYTE_ORDER__": "__ORDER_LITTLE_ENDIAN__",
}
S390X = {**I686, "__SIZEOF_LONG__": "8", "__SIZEOF_POINTER__": "8", "__BYTE_ORDER__": "__ORDER_BIG_ENDIAN__"}


@pytest.mark.parametrize(
    ("compiler", "header", "undefined", "wrong"),
    [
        (I686, {"SIZEOF_LONG": "8"}, False, [("SIZEOF_LONG", "SIZEOF_LONG is 8", "4")]),
        (I686, {"NPY_SIZEOF_PY_INTPTR_T": "(8)"}, False, ["NPY_SIZEOF_PY_INTPTR_T"]),
        (I686, {"MY_SIZEOF_LONG_DOUBLE": "16", "SIZEOF_INT": "4"}, False, ["MY_SIZEOF_LONG_DOUBLE"]),
        (I686, {"SIZEOF_LONG": "sizeof(long)", "SIZEOF_VOID_P": "__SIZEOF_POINTER__"}, False, []),
        (I686, {"SIZEOF_SOCKADDR": "8", "SIZEOF_OFF_T": "8", "SIZEOF_TIME_T": "8"}, False, []),
        (I686, {"WORDS_BIGENDIAN": "1"}, False, ["WORDS_BIGENDIAN"]),
        (I686, {"WORDS_BIGENDIAN": "0"}, True, []),
        (I686, {}, True, []),
        (S390X, {"SIZEOF_LONG": "8", "WORDS_BIGENDIAN": ""}, False, []),
        (S390X, {}, True, [("WORDS_BIGENDIAN", "WORDS_BIGENDIAN is not defined", "big-endian")]),
        (S390X, {"WORDS_BIGENDIAN": "0"}, False, ["WORDS_BIGENDIAN"]),
        (S390X, {}, False, []),
        (S390X, {"BYTEORDER": "1234"}, False, [("BYTEORDER", "BYTEORDER is 1234", "4321")]),
        (I686, {"BYTEORDER": "1234"}, False, []),
    ],
)
def test_the_compiler_decides(
    compiler: dict[str, str], header: dict[str, str], undefined: bool, wrong: list[object]
) -> None:
    found = list(foreignheaders._wrong({**compiler, **header}, undefined=undefined))
    assert [one[0] if isinstance(item, str) else one for one, item in zip(found, wrong, strict=True)] == wrong


def test_a_claim_is_placed_where_it_is_made() -> None:
    text = "#ifdef A\n# define SIZEOF_LONG 8\n#else\n#define SIZEOF_LONG 4\n#endif\n"
    text += "/* #undef WORDS_BIGENDIAN */\n"
    assert foreignheaders._line(text, "SIZEOF_LONG") == 4
    assert foreignheaders._line(text, "WORDS_BIGENDIAN") == 6


def test_a_header_that_was_made_during_the_build_is_told_from_one_that_came_with_the_project(
    tmp_path: Path,
) -> None:
    pristine, project = tmp_path / "pristine", tmp_path / "project"
    for folder in (pristine, project):
        folder.mkdir()
        (folder / "shipped.h").write_text("same")
        (folder / "changed.h").write_text(folder.name)
    (project / "made.h").write_text("")
    shipped = {
        name: foreignheaders._is_shipped(project / name, pristine, project)
        for name in ("shipped.h", "changed.h", "made.h")
    }
    assert shipped == {"shipped.h": True, "changed.h": False, "made.h": False}
    assert not foreignheaders._is_shipped(tmp_path / "elsewhere.h", pristine, project)
