"""The file that profiles are kept in: what comes back, the same bytes, and files that somebody has broken."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.profiles import compiled, function, profile

from xtool.errors import ArchiveError, StoreError, UsageError, XtoolError
from xtool.pgo import archive
from xtool.pgo.notes import ARCS, INDIRECT, TIME, TOPN
from xtool.pgo.profile import Coverage, Profile

MEMBER = "ppc64le-3.13.json"

FULL = profile(
    compiled(
        "build/a",
        function("f", 3, 0, -(1 << 63)),
        function("g", counters={ARCS: (1,), TOPN: (5, 1, -7, 5, 0, 0), INDIRECT: (2, 0), TIME: (9,)}),
        function("local", scope="local", ident=5, coverage=None, file="/xtool/python/x.h"),
        function("_ZN1TIiE1fEv", 4, lent=True),
        function("torn", 4, consistent=False),
        function("_GLOBAL__sub_I_f", artificial=True, scope="fixed"),
        sources={"src/a.c": "ab" * 32, "src/é.h": "cd" * 32},
    ),
    compiled("/xtool/source/b", place="@tmp/x", modules=("a.so", "b.so"), counted=False, runs=0, highest=0),
)


def put(folder: Path, members: dict[str, Any], *, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    path = folder / "x.zip"
    with zipfile.ZipFile(path, "w", compression) as package:
        for name, data in members.items():
            package.writestr(name, data if isinstance(data, (str, bytes)) else json.dumps(data))
    return path


def saved(folder: Path, *profiles: Profile) -> dict[str, Any]:
    """The members of a file as data, to be broken."""
    path = archive.write(folder / "whole.zip", profiles or (FULL,))
    with zipfile.ZipFile(path) as package:
        return {name: json.loads(package.read(name)) for name in package.namelist()}


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    other = profile(compiled("x", function("f", 1)), target="aarch64", python="3.11", trained="native")
    path = archive.write(tmp_path / "p.zip", [FULL, other])
    assert archive.read(path) == (other, FULL)
    assert list(tmp_path.iterdir()) == [path]


def test_the_same_profiles_make_the_same_bytes(tmp_path: Path) -> None:
    other = profile(target="aarch64")
    one = archive.write(tmp_path / "one.zip", [FULL, other]).read_bytes()
    assert archive.write(tmp_path / "two.zip", [other, FULL]).read_bytes() == one
    assert archive.write(tmp_path / "one.zip", archive.read(tmp_path / "two.zip")).read_bytes() == one


def test_what_a_file_says_of_itself(tmp_path: Path) -> None:
    members = saved(tmp_path)
    assert list(members) == ["index.json", MEMBER]
    assert members["index.json"] == {
        "kind": "xtool profile",
        "schema": 1,
        "profiles": [
            {
                "file": MEMBER,
                "project": "demo 1.0",
                "target": "ppc64le",
                "python": "3.13",
                "compiler": "14.2.0",
                "format": "B42*",
                "trained": "qemu-user",
                "commands": ["python -m demo"],
            }
        ],
    }


def test_a_file_that_cannot_be_written_leaves_nothing_and_keeps_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (tmp_path / "absent" / "p.zip", tmp_path, Path("/dev/null")):
        with pytest.raises(StoreError, match="cannot write") as caught:
            archive.write(place, [FULL])
        assert "--pgo-save" in (caught.value.hint or "")
    old = archive.write(tmp_path / "p.zip", [FULL]).read_bytes()

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StoreError, match="No space left"):
        archive.write(tmp_path / "p.zip", [])
    assert (tmp_path / "p.zip").read_bytes() == old
    assert [path.name for path in tmp_path.iterdir()] == ["p.zip"]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no profile") as caught:
        archive.read(tmp_path / "p.zip")
    assert (caught.value.code, caught.value.exit_code) == ("no-profile", 2)
    with pytest.raises(UsageError, match=r"cannot read .*: Is a directory"):
        archive.read(tmp_path)


def test_a_file_of_a_later_version(tmp_path: Path) -> None:
    members = saved(tmp_path)
    members["index.json"]["schema"] = 2
    with pytest.raises(UsageError, match="another version of xtool") as caught:
        archive.read(put(tmp_path, members))
    assert caught.value.facts == ("schema 2, this one reads 1",)


def refused(path: Path, match: str = "") -> ArchiveError:
    with pytest.raises(ArchiveError, match="is no profile that xtool has saved") as caught:
        archive.read(path)
    assert (caught.value.code, caught.value.exit_code) == ("bad-profile", 4)
    assert match in caught.value.facts[0]
    return caught.value


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(18), b"no zip" * 99])
def test_no_archive(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    refused(path)


def test_other_archives(tmp_path: Path) -> None:
    refused(put(tmp_path, {"demo/__init__.py": ""}))
    refused(put(tmp_path, {"index.json": {"kind": "something"}}), "another kind")
    refused(put(tmp_path, {"index.json": [1]}), "another kind")
    refused(put(tmp_path, {"index.json": "no JSON"}))
    refused(put(tmp_path, {"index.json": b"\xff\xfe\x00"}))
    refused(put(tmp_path, {"index.json": "[" * 100_000}))


def test_every_byte_that_is_cut_off(tmp_path: Path) -> None:
    whole = archive.write(tmp_path / "whole.zip", [profile(compiled("a", function("f", 1)))]).read_bytes()
    path = tmp_path / "x.zip"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        refused(path)


def test_a_member_that_cannot_be_unpacked(tmp_path: Path) -> None:
    """Encrypted, of an unknown method, with other bytes: zipfile has an exception of its own for each."""
    whole = archive.write(tmp_path / "whole.zip", [FULL]).read_bytes()
    entry = whole.index(b"PK\x01\x02")
    path = tmp_path / "x.zip"
    for at, value in ((entry + 8, 1), (entry + 10, 99), (entry + 10, 14), (entry + 10, 12), (60, 0xFF)):
        broken = bytearray(whole)
        broken[at] = value
        local = {entry + 8: 6, entry + 10: 8}.get(at)
        if local:
            broken[local] = value
        path.write_bytes(broken)
        refused(path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_bomb_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compression: int
) -> None:
    members = {**saved(tmp_path), "more": bytes(1 << 20)}
    monkeypatch.setattr(archive, "_MAX_SIZE", 1 << 20)

    def unpacked(*_: object) -> bytes:
        raise AssertionError("it was unpacked")

    path = put(tmp_path, members, compression=compression)
    monkeypatch.setattr(zipfile.ZipFile, "open", unpacked)
    refused(path, "more than 1 MiB")


def test_a_file_packed_by_other_programs(tmp_path: Path) -> None:
    assert archive.read(put(tmp_path, saved(tmp_path), compression=zipfile.ZIP_STORED)) == (FULL,)
    refused(put(tmp_path, saved(tmp_path), compression=zipfile.ZIP_BZIP2), "packed in another way")


def test_a_member_is_not_larger_than_it_says(tmp_path: Path) -> None:
    path = put(tmp_path, {**saved(tmp_path), MEMBER: "[" + "0," * (1 << 20) + "0]"})
    data = bytearray(path.read_bytes())
    name = data.rindex(MEMBER.encode())
    size = name - 46 + 24
    data[size : size + 4] = (99).to_bytes(4, "little")
    path.write_bytes(data)
    refused(path)


WRONG: list[tuple[str, Any]] = [
    *(
        (field, wrong)
        for field in ("project", "target", "python", "compiler", "trained")
        for wrong in (5, None, "\0")
    ),
    *(
        (field, wrong)
        for field in ("target", "python", "compiler")
        for wrong in ("", "a/b", "..", "é", "a b")
    ),
    *(("project", wrong) for wrong in ("\ud800",)),
    *(("format", wrong) for wrong in (5, "", "B42", "B42*x", "B42é", "\0\0\0\0")),
    *(("commands", wrong) for wrong in ("abc", [1], {}, None)),
    *(("objects", wrong) for wrong in ("abc", [1], {}, None, [[]])),
]

WRONG_OBJECT: list[tuple[str, Any]] = [
    *((field, wrong) for field in ("place", "aux", "source") for wrong in (5, None, ["a"], "a\0b")),
    *(("place", wrong) for wrong in ("/etc", "@source/../..", "..", "/", "@tmp/../../x")),
    *(("aux", wrong) for wrong in ("/../x", "/a/../../x", "/..")),
    *((field, wrong) for field in ("modules", "flags") for wrong in ("abc", [1], None, {"a": 1})),
    *(("sources", wrong) for wrong in ([], "abc", {"a": 1}, None)),
    *((field, wrong) for field in ("runs", "highest") for wrong in (-1, 1 << 32, "1", 1.5, True, None)),
    *(("functions", wrong) for wrong in ("abc", [1], {}, None)),
    *(("counted", wrong) for wrong in (1, "yes", None, [])),
]

WRONG_FUNCTION: list[tuple[str, Any]] = [
    *((field, wrong) for field in ("name", "file") for wrong in (5, None, "\0")),
    *(
        (field, wrong)
        for field in ("line", "ident", "lineno", "cfg")
        for wrong in (-1, 1 << 32, "1", 1.5, False, None)
    ),
    *(("scope", wrong) for wrong in ("global", 1, None, ["public"])),
    *(("counters", wrong) for wrong in ([], "abc", None, {"arcs": 1}, {"arcs": "12"}, {"nothing": [1]})),
    *(("counters", {"arcs": [wrong]}) for wrong in (1 << 63, -(1 << 63) - 1, 0.5, "1", True, None)),
    *(
        ("counters", {kind: wrong})
        for kind in ("topn", "indirect_call")
        for wrong in ([1], [1, -1], [1, 1, 5], [1, 0, 1], [0, 0, 0, 99], [1, 1 << 62])
    ),
    *(("coverage", wrong) for wrong in ([], [1, 2, 3], [1, 2, 3, 4, 5], "1234", [1, 2, 3, "4"], 5)),
    *((field, wrong) for field in ("lent", "artificial") for wrong in (1, "true", None)),
]


def broken(folder: Path, change: Callable[[Any], None]) -> Path:
    members = saved(folder)
    change(members[MEMBER])
    return put(folder, members)


@pytest.mark.parametrize(("field", "wrong"), WRONG)
def test_every_field_of_a_profile_is_looked_at(tmp_path: Path, field: str, wrong: Any) -> None:
    refused(broken(tmp_path, lambda data: data.__setitem__(field, wrong)))
    refused(broken(tmp_path, lambda data: data.pop(field)), field)


@pytest.mark.parametrize(("field", "wrong"), WRONG_OBJECT)
def test_every_field_of_an_object_is_looked_at(tmp_path: Path, field: str, wrong: Any) -> None:
    refused(broken(tmp_path, lambda data: data["objects"][1].__setitem__(field, wrong)))
    refused(broken(tmp_path, lambda data: data["objects"][1].pop(field)), field)


@pytest.mark.parametrize(("field", "wrong"), WRONG_FUNCTION)
def test_every_field_of_a_function_is_looked_at(tmp_path: Path, field: str, wrong: Any) -> None:
    refused(broken(tmp_path, lambda data: data["objects"][0]["functions"][0].__setitem__(field, wrong)))
    if field not in ("coverage", "lent", "artificial"):
        refused(broken(tmp_path, lambda data: data["objects"][0]["functions"][0].pop(field)), field)


@pytest.mark.parametrize(
    "wrong", [None, 5, [], ["a"], {"file": MEMBER}, [{"file": 5}], [{"file": "absent"}], [{}]]
)
def test_the_index_is_looked_at(tmp_path: Path, wrong: Any) -> None:
    members = saved(tmp_path)
    members["index.json"]["profiles"] = wrong
    path = put(tmp_path, members)
    if wrong == []:
        assert archive.read(path) == ()
    else:
        refused(path)


def test_what_is_wrong_is_told_briefly(tmp_path: Path) -> None:
    path = broken(tmp_path, lambda data: data.__setitem__("project", ["x" * 9, *"ab" * 5000]))
    assert len(refused(path).facts[0]) <= 300


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_broken_file_is_refused_or_read(tmp_path: Path, data: st.DataObject) -> None:
    whole = archive.write(tmp_path / "whole.zip", [profile(compiled("a", function("f", 1)))]).read_bytes()
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 5))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "x.zip"
    path.write_bytes(changed)
    try:
        found = archive.read(path)
    except XtoolError:
        return
    assert all(isinstance(each, Profile) for each in found)


coverages = st.none() | st.builds(Coverage, *[st.integers(0, (1 << 63) - 1)] * 4)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
words = st.integers(0, (1 << 32) - 1)
counters = st.dictionaries(
    st.sampled_from([ARCS, TIME]), st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=4).map(tuple)
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=texts, file=texts, line=words, ident=words, shape=coverages, counted=counters, lent=st.booleans())
def test_any_function_comes_back(
    tmp_path: Path, name: str, file: str, line: int, ident: int, shape: Any, counted: Any, lent: bool
) -> None:
    made = function(name, file=file, line=line, ident=ident, coverage=shape, counters=counted, lent=lent)
    one = profile(compiled("a", made))
    assert archive.read(archive.write(tmp_path / "p.zip", [one])) == (one,)
