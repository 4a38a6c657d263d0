"""The installer: downloads once, assembles while downloads go on, and leaves nothing half behind."""

from __future__ import annotations

import threading
import time
import types
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support import forge, parts

from xtool import archive, installer
from xtool.archive import unpack_all
from xtool.artifacts import Artifact
from xtool.context import Context
from xtool.errors import ArchiveError, NetworkError, OfflineError
from xtool.log import SilentLog
from xtool.recipes import Assembly, Recipe
from xtool.store import Store

LOCK: Any = types.SimpleNamespace(evidence={})
CATALOG: Any = None


class Lines(SilentLog):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, message: str) -> None:
        self.lines.append(message)


@pytest.fixture
def fetch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> parts.FakeFetch:
    folder = tmp_path / "mirror"
    folder.mkdir()
    return parts.FakeFetch(monkeypatch, folder)


@pytest.fixture
def package(fetch: parts.FakeFetch) -> Callable[..., Artifact]:
    def make(name: str, *members: bytes) -> Artifact:
        content = forge.deb(forge.tar(*(members or (forge.file(f"share/{name}", name.encode()),))))
        return forge.verified(fetch.folder / f"{name}_1_all.deb", content).artifact

    return make


def unpacking(work: Assembly) -> None:
    unpack_all(work.files.values(), work.staging, jobs=2)


def ensure(ctx: Context, *recipes: Recipe) -> dict[str, Path]:
    return installer.ensure(ctx, CATALOG, LOCK, recipes)


def assert_clean(ctx: Context, installed: Sequence[str] = ()) -> None:
    store = Store(ctx)
    assert [e.manifest.name for e in store.entries() if e.manifest] == list(installed)
    assert list(store.staging.iterdir()) == []


def test_everything_is_made_once(
    make_context: Callable[..., Context], fetch: parts.FakeFetch, package: Callable[..., Artifact]
) -> None:
    log = Lines()
    ctx = make_context(jobs=2, log=log)
    shared = package("shared")
    one = parts.recipe("one", artifacts=(shared, package("a")), assemble=unpacking)
    two = parts.recipe("two", artifacts=(shared, package("b")), assemble=unpacking)
    paths = ensure(ctx, one, two)
    assert sorted(fetch.asked) == ["a", "b", "shared"]
    assert (paths["one"] / "share/a").read_bytes() == b"a"
    assert (paths["two"] / "share/shared").read_bytes() == b"shared"
    assert sorted(line.partition(" (")[0] for line in log.lines) == ["One 1.0", "Two 1.0"]
    assert ensure(ctx, one, two) == paths
    assert len(fetch.asked) == 3
    assert len(log.lines) == 2
    assert_clean(ctx, ["one", "two"])


def test_what_is_there_costs_nothing(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    recipes = [parts.recipe(f"part{n}") for n in range(12)]
    ensure(ctx, *recipes)

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("neither locks nor anything else is needed")

    monkeypatch.setattr("xtool.locking.acquire", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    started = time.monotonic()
    assert len(ensure(ctx, *recipes)) == 12
    assert time.monotonic() - started < 0.05


def test_needs_come_first_and_are_handed_over(ctx: Context) -> None:
    base = parts.recipe("base")

    def assemble(work: Assembly) -> None:
        (work.staging / "copy").write_bytes((work.needs["base"] / "share/data/a.txt").read_bytes())

    top = parts.recipe("top", needs=(base,), assemble=assemble)
    paths = ensure(ctx, top)
    assert list(paths) == ["top"]
    assert (paths["top"] / "copy").read_bytes() == b"data"
    assert_clean(ctx, ["base", "top"])


def test_what_needs_something_starts_without_it(ctx: Context) -> None:
    unpacked = threading.Event()

    def slow(work: Assembly) -> None:
        assert unpacked.wait(20)
        (work.staging / "f").write_bytes(b"base")

    base = parts.recipe("base", assemble=slow)

    def assemble(work: Assembly) -> None:
        assert list(work.needs) == ["base"]
        unpacked.set()
        (work.staging / "copy").write_bytes((work.needs["base"] / "f").read_bytes())

    assert (ensure(ctx, parts.recipe("top", needs=(base,), assemble=assemble))["top"] / "copy").is_file()


def test_needs_of_what_is_there_are_not_made(ctx: Context) -> None:
    base = parts.recipe("base")
    top = parts.recipe("top", needs=(base,))
    ensure(ctx, top)
    Store(ctx).remove(base.folder)
    ensure(ctx, top)
    assert_clean(ctx, ["top"])


def test_assembling_starts_while_downloads_go_on(
    ctx: Context, fetch: parts.FakeFetch, package: Callable[..., Artifact]
) -> None:
    first, second = package("first"), package("second")
    fetch.order = ["first", "second"]
    fetch.gates["second"] = threading.Event()
    seen: list[str] = []

    def assemble(work: Assembly) -> None:
        for name in work.files:
            seen.append(name)
            if name == "first":
                # The second download waits for this: it would never end were the first not handed out before.
                fetch.gates["second"].set()
        assert len(work.files) == 2
        assert work.files["first"].artifact == first
        unpacking(work)

    ensure(ctx, parts.recipe(artifacts=(second, first), assemble=assemble))
    assert seen == ["first", "second"]


@pytest.mark.parametrize("error", [NetworkError("mirror down"), OfflineError("offline"), KeyboardInterrupt()])
def test_a_failed_download_ends_everything(
    ctx: Context, fetch: parts.FakeFetch, package: Callable[..., Artifact], error: BaseException
) -> None:
    fetch.order = ["good", "bad"]
    fetch.fails["bad"] = error
    whole = parts.recipe("whole", artifacts=(package("good"),), assemble=unpacking)
    broken = parts.recipe("broken", artifacts=(package("bad"),), assemble=unpacking)

    def depend(work: Assembly) -> None:
        (work.staging / "file").write_bytes((work.needs["broken"] / "share/bad").read_bytes())

    dependent = parts.recipe("dependent", needs=(broken,), assemble=depend)
    with pytest.raises(type(error)) as caught:
        ensure(ctx, dependent, broken, whole)
    assert caught.value is error
    store = Store(ctx)
    assert store.find(broken) is None
    assert store.find(dependent) is None
    assert list(store.staging.iterdir()) == []
    fetch.fails.clear()
    ensure(ctx, dependent, broken, whole)
    assert_clean(ctx, ["broken", "dependent", "whole"])


def test_a_broken_archive_ends_the_downloads(
    ctx: Context, fetch: parts.FakeFetch, package: Callable[..., Artifact]
) -> None:
    evil = package("evil", forge.link("l", "/etc"))
    others = [package(f"p{n}") for n in range(5)]
    fetch.order = ["evil", *(f"p{n}" for n in range(5))]
    stopped = threading.Event()
    fetch.gates["p1"] = stopped
    real = installer._Arrivals.cancel

    def cancel(self: installer._Arrivals) -> None:
        real(self)
        stopped.set()

    installer._Arrivals.cancel, restore = cancel, real  # type: ignore[method-assign]
    try:
        with pytest.raises(ArchiveError, match="absolute path"):
            ensure(
                ctx,
                parts.recipe("bad", artifacts=(evil,), assemble=unpacking),
                parts.recipe("good", artifacts=tuple(others), assemble=unpacking),
            )
    finally:
        installer._Arrivals.cancel = restore  # type: ignore[method-assign]
    assert fetch.asked == ["evil", "p0", "p1"]
    assert_clean(ctx)


def test_eight_set_ups_at_once_fetch_once(
    ctx: Context, fetch: parts.FakeFetch, package: Callable[..., Artifact]
) -> None:
    recipes = [parts.recipe(f"r{n}", artifacts=(package(f"a{n}"),), assemble=unpacking) for n in range(3)]
    start = threading.Barrier(8)
    results: list[object] = []

    def work(number: int) -> None:
        start.wait()
        mixed = recipes[number % 3 :] + recipes[: number % 3]
        try:
            results.append(ensure(ctx, *mixed))
        except BaseException as error:  # noqa: BLE001
            results.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [results[0]] * 8
    assert isinstance(results[0], dict)
    assert sorted(fetch.asked) == ["a0", "a1", "a2"]


def test_other_components_do_not_wait(make_context: Callable[..., Context]) -> None:
    ctx = make_context()
    entered, go_on = threading.Event(), threading.Event()

    def slow(work: Assembly) -> None:
        (work.staging / "f").touch()
        entered.set()
        assert go_on.wait(20)

    thread = threading.Thread(target=ensure, args=(ctx, parts.recipe("slow", assemble=slow)))
    thread.start()
    assert entered.wait(20)
    hasty = replace(ctx, settings=replace(ctx.settings, lock_timeout=0.2))
    assert ensure(hasty, parts.recipe("quick"))["quick"].is_dir()
    go_on.set()
    thread.join()
    assert_clean(ctx, ["quick", "slow"])


def _taking(*names: str) -> Callable[[Assembly], None]:
    def assemble(work: Assembly) -> None:
        assert set(work.picked) == set(names)
        for name in names:
            work.picked[name].rename(work.staging / Path(name).name)

    return assemble


def test_a_large_archive_is_read_once_for_all_that_take_from_it(
    ctx: Context, package: Callable[..., Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = package("many", *(forge.file(f"bin/p{n}", b"%d" % n) for n in range(5)))
    read: list[frozenset[str]] = []
    real = archive.unpack

    def unpack(file: Any, into: Path, **options: Any) -> list[str]:
        read.append(options["stop_after"])
        return real(file, into, **options)

    monkeypatch.setattr(archive, "unpack", unpack)
    recipes = [
        parts.recipe(
            f"r{n}", artifacts=(artifact,), members=frozenset({f"bin/p{n}"}), assemble=_taking(f"bin/p{n}")
        )
        for n in range(3)
    ]
    paths = ensure(ctx, *recipes)
    assert [(paths[f"r{n}"] / f"p{n}").read_bytes() for n in range(3)] == [b"0", b"1", b"2"]
    assert read == [frozenset({"bin/p0", "bin/p1", "bin/p2"})]
    assert_clean(ctx, ["r0", "r1", "r2"])


def test_a_member_that_is_not_there_is_an_error_of_the_archive(
    ctx: Context, package: Callable[..., Artifact]
) -> None:
    recipe = parts.recipe(
        artifacts=(package("many"),), members=frozenset({"bin/absent"}), assemble=_taking("bin/absent")
    )
    with pytest.raises(ArchiveError, match="lacks bin/absent"):
        ensure(ctx, recipe)
    assert_clean(ctx)


def test_groups_are_downloaded_one_after_the_other(
    make_context: Callable[..., Context], fetch: parts.FakeFetch, package: Callable[..., Artifact]
) -> None:
    """The components of the first can be assembled while files of the next are still to come."""
    ctx = make_context(jobs=2)
    small, large, shared = (
        package("small"),
        package("large", forge.file("share/l", b"l" * 9000)),
        package("both"),
    )
    first = parts.recipe("first", artifacts=(small, shared), assemble=unpacking)
    second = parts.recipe("second", artifacts=(large, shared), assemble=unpacking)
    found = installer.ensure_all(ctx, CATALOG, LOCK, [[first], [second, first]])
    assert found == {first.folder: Store(ctx).find(first), second.folder: Store(ctx).find(second)}
    assert sorted(fetch.asked[:2]) == ["both", "small"]
    assert fetch.asked[2:] == ["large"]
