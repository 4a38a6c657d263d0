"""The exported cache: the same bytes from anywhere, working anywhere, and no trust in what it says."""

from __future__ import annotations

import errno
import hashlib
import json
import stat
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import zstandard
from support import forge, parts

from xtool import manifest
from xtool.cachefile import CONTENTS, cache_key, export_cache, import_cache, key_of
from xtool.catalog import Catalog
from xtool.context import Context
from xtool.errors import ArchiveError, StoreError, UsageError, XtoolError
from xtool.recipes import Recipe
from xtool.setup import Request
from xtool.store import Store

MakeContext = Callable[..., Context]


@pytest.fixture
def caches(make_context: MakeContext, tmp_path: Path) -> Callable[[str], Context]:
    return lambda name: make_context(cache_dir=tmp_path / name, jobs=2)


def fill(ctx: Context) -> list[Recipe]:
    """Install two components, one of them with a loader slot."""
    recipes = [parts.recipe("gcc", slot=True), parts.recipe("qemu", files={"bin/qemu": b"q" * 300_000})]
    for made in recipes:
        Store(ctx).install(made, parts.fill_of(made))
    return recipes


def fill_qemu(ctx: Context) -> None:
    made = parts.recipe("qemu", files={"share/data/a.txt": b"q"})
    Store(ctx).install(made, parts.fill_of(made))


def problems(ctx: Context) -> list[str]:
    store = Store(ctx)
    assert list(store.staging.iterdir()) == []
    return [problem for entry in store.entries() for problem in store.verify(entry)]


def test_a_round_trip(caches: Callable[[str], Context], tmp_path: Path) -> None:
    one, two = caches("one"), caches("another place")
    recipes = fill(one)
    file = tmp_path / "cache.tar.zst"
    exported = export_cache(one, file)
    assert exported.components == tuple(sorted(r.folder for r in recipes))
    assert exported.size == file.stat().st_size
    assert import_cache(two, file).installed == exported.components
    assert problems(two) == []
    store = Store(two)
    gcc = store.find(recipes[0])
    assert gcc is not None
    content = (gcc / "bin/slotted").read_bytes()
    assert str(gcc / "lib/host/ld.so").encode() in content
    assert b"/one/" not in content
    for path in gcc.rglob("*"):
        other = Store(one).path(recipes[0]) / path.relative_to(gcc)
        state, expected = path.lstat(), other.lstat()
        assert (state.st_mode, state.st_mtime) == (expected.st_mode, expected.st_mtime)
    assert stat.S_IMODE(gcc.stat().st_mode) == 0o555
    assert (gcc / "share/link").readlink() == Path("data/a.txt")


def test_the_bytes_do_not_tell_where_when_or_with_how_many_threads(
    caches: Callable[[str], Context], tmp_path: Path
) -> None:
    one, two = caches("one"), caches("a/longer/place")
    for recipe in fill(one)[::-1]:
        Store(two).install(recipe, parts.fill_of(recipe))
    export_cache(one, tmp_path / "one.tar.zst")
    for jobs in (1, 2, 5):
        export_cache(replace(two, settings=replace(two.settings, jobs=jobs)), tmp_path / "two.tar.zst")
        assert (tmp_path / "one.tar.zst").read_bytes() == (tmp_path / "two.tar.zst").read_bytes()
    import_cache(caches("third"), tmp_path / "one.tar.zst")
    export_cache(caches("third"), tmp_path / "three.tar.zst")
    assert (tmp_path / "one.tar.zst").read_bytes() == (tmp_path / "three.tar.zst").read_bytes()
    plain = zstandard.ZstdDecompressor().stream_reader((tmp_path / "one.tar.zst").read_bytes()).read()
    assert str(tmp_path).encode() not in plain


def test_what_is_there_is_left_alone(caches: Callable[[str], Context], tmp_path: Path) -> None:
    one, two = caches("one"), caches("two")
    recipes = fill(one)
    path = Store(two).install(recipes[0], parts.fill_of(recipes[0]))
    before = path.stat().st_ino
    export_cache(one, tmp_path / "c")
    done = import_cache(two, tmp_path / "c")
    assert (done.present, done.installed) == ((recipes[0].folder,), (recipes[1].folder,))
    assert path.stat().st_ino == before
    assert import_cache(two, tmp_path / "c").installed == ()


def test_some_of_it(caches: Callable[[str], Context], tmp_path: Path) -> None:
    one, two = caches("one"), caches("two")
    recipes = fill(one)
    export_cache(one, tmp_path / "c", ["qemu"])
    assert import_cache(two, tmp_path / "c").installed == (recipes[1].folder,)
    with pytest.raises(UsageError, match="`clang` is not installed"):
        export_cache(one, tmp_path / "d", ["clang"])
    assert not (tmp_path / "d").exists()


def test_through_pipes(
    caches: Callable[[str], Context], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = caches("one"), caches("two")
    fill(one)
    out = BytesIO()
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=out))
    export_cache(one, None)
    monkeypatch.undo()
    export_cache(one, tmp_path / "c")
    assert out.getvalue() == (tmp_path / "c").read_bytes()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=BytesIO(out.getvalue())))
    assert len(import_cache(two, None).installed) == 2
    assert problems(two) == []


def test_a_damaged_component_is_not_exported(caches: Callable[[str], Context], tmp_path: Path) -> None:
    one = caches("one")
    recipes = fill(one)
    path = Store(one).path(recipes[0]) / "share/data/a.txt"
    path.chmod(0o644)
    path.write_bytes(b"dbta")
    (tmp_path / "c").write_text("an older export")
    with pytest.raises(StoreError, match=r"share/data/a.txt has changed"):
        export_cache(one, tmp_path / "c")
    assert (tmp_path / "c").read_text() == "an older export"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c", "one"]


def test_a_full_disk_while_exporting(
    caches: Callable[[str], Context], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = caches("one")
    fill(one)

    def full(sink: object, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("xtool.cachefile._Counted.write", full)
    with pytest.raises(StoreError, match="cannot export") as caught:
        export_cache(one, tmp_path / "c")
    assert caught.value.code == "disk-full"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one"]


def test_too_little_room_for_an_import(
    caches: Callable[[str], Context], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(caches("one"))
    export_cache(caches("one"), tmp_path / "c")
    monkeypatch.setattr("xtool.cachefile.free_bytes", lambda path: 1000)
    with pytest.raises(StoreError, match="not enough room") as caught:
        import_cache(caches("two"), tmp_path / "c")
    assert "1.0 kB free" in caught.value.facts[0]


@pytest.mark.parametrize("content", [b"", b"hello", b"\x28\xb5\x2f\xfd", forge.tar(forge.file("f"))])
def test_something_else(caches: Callable[[str], Context], tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c").write_bytes(content)
    with pytest.raises(ArchiveError) as caught:
        import_cache(caches("two"), tmp_path / "c")
    assert caught.value.exit_code == 4
    assert "c is not an exported cache" in caught.value.message or "cut short" in caught.value.message


def test_a_missing_file(caches: Callable[[str], Context], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        import_cache(caches("two"), tmp_path / "missing")


@pytest.mark.parametrize("cut", [6, 100, 3000])
def test_cut_short(caches: Callable[[str], Context], tmp_path: Path, cut: int) -> None:
    one, two = caches("one"), caches("two")
    recipes = fill(one)
    export_cache(one, tmp_path / "c")
    whole = (tmp_path / "c").read_bytes()
    (tmp_path / "c").write_bytes(whole[: min(len(whole) - cut, len(whole) // 2 if cut > 100 else len(whole))])
    with pytest.raises(ArchiveError):
        import_cache(two, tmp_path / "c")
    # Components that came before the cut are whole; nothing else is there.
    assert problems(two) == []
    (tmp_path / "c").write_bytes(whole)
    import_cache(two, tmp_path / "c")
    assert all(Store(two).find(recipe) for recipe in recipes)


# --- a cache file made by somebody else

Rows = list[tuple[str, bytes]]


class Forged:
    """An exported cache taken apart, to be changed and put together again."""

    def __init__(self, plain: bytes) -> None:
        self.members: Rows = []
        with tarfile.open(fileobj=BytesIO(plain)) as archive:
            for member in archive:
                extracted = archive.extractfile(member)
                assert extracted is not None
                self.members.append((member.name, extracted.read()))
        self.folder = json.loads(self.members[0][1])["components"][0]["folder"]

    def get(self, name: str) -> bytes:
        return dict(self.members)[name]

    def put(self, name: str, content: bytes) -> None:
        self.members = [(n, content if n == name else c) for n, c in self.members]

    def relist(self, change: Callable[[dict[str, Any]], None], **fields: object) -> None:
        """Change the list of files and make manifest and contents agree with it again."""
        listing = json.loads(self.get(f"{self.folder}/{manifest.FILES}"))
        change(listing)
        data = json.dumps(listing).encode()
        self.put(f"{self.folder}/{manifest.FILES}", data)
        tree = hashlib.sha256(data).hexdigest()
        size = sum(entry[2] for entry in listing["files"])
        known = {"tree": tree, "count": len(listing["files"]), "size": size}
        record = json.loads(self.get(f"{self.folder}/{manifest.MANIFEST}"))
        self.put(f"{self.folder}/{manifest.MANIFEST}", json.dumps({**record, **known, **fields}).encode())
        contents = json.loads(self.get(CONTENTS))
        contents["components"][0].update(known)
        self.put(CONTENTS, json.dumps(contents).encode())

    def write(self, file: Path) -> None:
        out = BytesIO()
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for name, content in self.members:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, BytesIO(content))
        file.write_bytes(zstandard.ZstdCompressor().compress(out.getvalue()))


@pytest.fixture
def forged(caches: Callable[[str], Context], tmp_path: Path) -> Forged:
    fill_qemu(caches("one"))
    export_cache(caches("one"), tmp_path / "c")
    return Forged(zstandard.ZstdDecompressor().stream_reader((tmp_path / "c").read_bytes()).read())


def change_byte(it: Forged) -> None:
    it.put(f"{it.folder}/share/data/a.txt", b"x")


def change_size(it: Forged) -> None:
    it.put(f"{it.folder}/share/data/a.txt", b"qq")


def leave_file_out(it: Forged) -> None:
    it.members = [row for row in it.members if not row[0].endswith("a.txt")]


def add_file(it: Forged) -> None:
    it.members.append((f"{it.folder}/extra", b"x"))


def escape(it: Forged) -> None:
    row = [f"{it.folder}/../../../../escaped", b"x"]
    it.relist(lambda listing: listing["files"].append(["../../../../escaped", True, 1, sha(b"x")]))
    it.members.append((str(row[0]), b"x"))


def absolute(it: Forged) -> None:
    it.relist(lambda listing: listing["files"].append(["/escaped", True, 1, sha(b"x")]))
    it.members.append((f"{it.folder}//escaped", b"x"))


def link_out(it: Forged) -> None:
    it.relist(lambda listing: listing["links"].append(["share/out", "../../../../../.."]))


def link_absolute(it: Forged) -> None:
    it.relist(lambda listing: listing["links"].append(["share/out", "/etc"]))


def folder_up(it: Forged) -> None:
    it.relist(lambda listing: listing["folders"].append("../evil"))


def file_twice(it: Forged) -> None:
    it.relist(lambda listing: listing["files"].append(listing["files"][0]))
    it.members.append(it.members[-1])


def other_format(it: Forged) -> None:
    it.put(CONTENTS, json.dumps({"schema": 99, "components": []}).encode())


def other_schema(it: Forged) -> None:
    it.relist(lambda listing: None, schema=99)


def other_inputs(it: Forged) -> None:
    it.relist(lambda listing: None, inputs={"name": "qemu"})


def other_digest(it: Forged) -> None:
    it.relist(lambda listing: None, digest="0" * 64)


def slots_claimed(it: Forged) -> None:
    it.relist(lambda listing: None, slots=True)


def bad_listing(it: Forged) -> None:
    it.relist(lambda listing: listing.update(links=[5]))


def named_upwards(it: Forged) -> None:
    contents = json.loads(it.get(CONTENTS))
    contents["components"][0]["folder"] = "../up"
    it.put(CONTENTS, json.dumps(contents).encode())


def negative_size(it: Forged) -> None:
    it.relist(lambda listing: listing["files"][0].__setitem__(2, -1))


def reserved_name(it: Forged) -> None:
    it.relist(lambda listing: listing["files"].append([manifest.MANIFEST, False, 1, sha(b"x")]))
    it.members.append((f"{it.folder}/{manifest.MANIFEST}", b"x"))


def not_a_mapping(it: Forged) -> None:
    it.put(CONTENTS, b"[1, 2]")


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


HOSTILE = [
    change_byte,
    change_size,
    leave_file_out,
    add_file,
    escape,
    absolute,
    link_out,
    link_absolute,
    folder_up,
    file_twice,
    other_format,
    other_schema,
    other_inputs,
    other_digest,
    slots_claimed,
    bad_listing,
    named_upwards,
    negative_size,
    reserved_name,
    not_a_mapping,
]


@pytest.mark.parametrize("change", HOSTILE)
def test_hostile_files_are_refused(
    caches: Callable[[str], Context], forged: Forged, tmp_path: Path, change: Callable[[Forged], None]
) -> None:
    change(forged)
    forged.write(tmp_path / "c")
    two = caches("deep/er/two")
    with pytest.raises(ArchiveError) as caught:
        import_cache(two, tmp_path / "c")
    assert caught.value.exit_code == 4
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c", "deep", "one"]
    store = Store(two)
    assert list(store.staging.iterdir()) == []
    # A member too many comes after the component; that one is whole and stays.
    assert len(store.entries()) == (1 if change is add_file else 0)


def test_the_forge_itself_is_sound(caches: Callable[[str], Context], forged: Forged, tmp_path: Path) -> None:
    forged.relist(lambda listing: None)
    forged.write(tmp_path / "c")
    assert import_cache(caches("two"), tmp_path / "c").installed == (forged.folder,)


SLOTS = [["../../escaped", 0, 8], ["share/data/a.txt", 0, 1 << 20], ["share/no", 0, 8]]


@pytest.mark.parametrize("bad", SLOTS)
def test_loader_slots_that_point_elsewhere(
    caches: Callable[[str], Context], forged: Forged, tmp_path: Path, bad: list[object]
) -> None:
    slots = json.dumps({"schema": 1, "loader": "lib/host/ld.so", "slots": [bad]}).encode()
    name = "share/xtool/slots.json"
    row = [name, False, len(slots), sha(slots)]
    forged.relist(lambda listing: listing["files"].append(row), slots=True)
    forged.members.append((f"{forged.folder}/{name}", slots))
    forged.write(tmp_path / "c")
    with pytest.raises(XtoolError) as caught:
        import_cache(caches("two"), tmp_path / "c")
    assert caught.value.exit_code in (4, 5)
    assert Store(caches("two")).entries() == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c", "one", "two"]


# --- the key


def variants() -> Iterator[tuple[str, list[str], list[str]]]:
    yield "x86_64", ["ppc64le"], ["a", "b"]
    yield "aarch64", ["ppc64le"], ["a", "b"]
    yield "x86_64", ["s390x"], ["a", "b"]
    yield "x86_64", ["ppc64le", "s390x"], ["a", "b"]
    yield "x86_64", ["ppc64le"], ["a", "c"]
    yield "x86_64", ["ppc64le"], ["a"]


def test_keys_differ_exactly_when_inputs_do(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [key_of(*inputs) for inputs in variants()]
    assert len(set(keys)) == len(keys)
    assert key_of("x86_64", ["s390x", "ppc64le"], ["b", "a", "a"]) == keys[3]
    assert keys[0].startswith("xtool-v1-x86_64-ppc64le-")
    monkeypatch.setattr(manifest, "SCHEMA", 2)
    assert key_of(*next(variants())) != keys[0]


def test_a_key_tells_requests_apart_and_nothing_else(ctx: Context) -> None:
    request = Request(Catalog().target("ppc64le"))
    key = cache_key(ctx, [request])
    same = [
        replace(request, pythons=("3.13",)),
        replace(request, glibc=(2, 17)),
        replace(request, python_source="debian"),
        replace(request, locked=True),
    ]
    assert {cache_key(ctx, [other]) for other in same} == {key}
    others = [
        replace(request, pythons=("3.11",)),
        replace(request, pythons=("3.13", "3.11")),
        replace(request, pythons=("3.13t",)),
        replace(request, pythons=("3.12",)),
        replace(request, glibc=(2, 28)),
        replace(request, python_source="portable"),
        replace(request, fortran=True),
    ]
    assert len({cache_key(ctx, [other]) for other in others} | {key}) == len(others) + 1
    with pytest.raises(UsageError, match=r"no Python 3\.9"):
        cache_key(ctx, [replace(request, pythons=("3.9",))])
