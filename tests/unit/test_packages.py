"""Packages in a sysroot: resolved once, recorded, unpacked beside the C library and never over it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pysequoia
import pytest
from support.artifacts import Recorder
from support.debarchive import DebArchive, new_key, toolchains
from support.fakeserver import FakeServer, Reply
from support.parts import write_files

from xtool import installer
from xtool.artifacts import Artifact
from xtool.catalog import Catalog, Lock, default_root
from xtool.choose import Candidate
from xtool.context import Context
from xtool.errors import CatalogError, OfflineError, UsageError
from xtool.fetch import Vanished, transfer
from xtool.fetch.packagelock import read_pins
from xtool.manifest import read_manifest
from xtool.recipes import Assembly, Recipe
from xtool.setup import Request
from xtool.toolchain.packages import (
    add,
    installed_packages,
    is_current,
    listed,
    planned_packages,
    wanted_member,
)

LIB = "usr/lib/powerpc64le-linux-gnu"
BASE = {
    "usr/lib/libc.so.6": b"the floor's",
    "usr/include/stdio.h": b"the floor's",
    "share/xtool/exports.json": b'{"libc.so.6": ["puts@GLIBC_2.17"]}',
    "share/xtool/later.json": b"{}",
}


class Bench:
    """A mirror with packages, a base sysroot, and the request that adds the packages to it."""

    def __init__(self, folder: Path, server: FakeServer, key: pysequoia.Tsk) -> None:
        self.archive = DebArchive(folder / "archive", key)
        self.server = server
        self.package("libfoo1", "1.0-1", {f"{LIB}/libfoo.so.1": b"shared", "usr/share/doc/foo": b"words"})
        self.package(
            "libfoo-dev", "1.0-1",
            {
                "usr/include/foo.h": b"foo", "usr/include/powerpc64le-linux-gnu/stdio.h": b"a package's",
                f"{LIB}/libfoo.a": b"static", f"{LIB}/pkgconfig/foo.pc": b"Name: foo", "usr/bin/foo": b"no",
                f"{LIB}/libc.so.6": b"a package's",
            },
            Depends="libfoo1 (>= 1.0), libc6-dev",
        )  # fmt: skip
        self.package("libbar-dev", "2", {"usr/include/bar.h": b"bar"}, Conflicts="libfoo-dev")
        self.package("libc6", "2.41-12", {"usr/lib/libc.so.6": b"Debian's"})
        root = toolchains(folder / "toolchains", key, "")
        (root / "sysroot-packages.toml").write_text((default_root() / "sysroot-packages.toml").read_text())
        (root / "sysroots.toml").write_text("schema = 1\ndistribution = []\n")
        self.catalog = Catalog(root)
        self.target = self.catalog.target("ppc64le")
        self.publish()

    def package(self, name: str, version: str, files: dict[str, bytes], **fields: str) -> None:
        self.archive.package(name, version, "ppc64el", files=files, fields=fields)

    def publish(self) -> None:
        self.archive.publish()
        self.server.add_tree(self.archive.root)

    @property
    def base(self) -> Candidate:
        def fill(work: Assembly) -> None:
            write_files(work.staging, BASE)
            (work.staging / "lib").symlink_to("usr/lib")

        recipe = Recipe("sysroot-ppc64le-glibc2.17", "glibc 2.17 sysroot", 1, (), fill)
        return Candidate("derived", "derived", recipe, (), own_libc=False)

    @property
    def lock(self) -> Lock:
        libc = Artifact("libc6", "2.41-12", "ppc64el", "debian", "trixie", "pool/x.deb", 1, "0" * 64, 1)
        return Lock("x86_64", "ppc64le", "", {}, {"glibc": (libc,)}, "")

    def add(self, ctx: Context, *names: str, **options: Any) -> Recipe:
        request = Request(self.target, sysroot_packages=names, **options)
        return add(ctx, self.catalog, request, self.lock, self.base).recipe

    def install(self, ctx: Context, recipe: Recipe) -> Path:
        return installer.ensure(ctx, self.catalog, self.lock, [recipe])[recipe.name]


@pytest.fixture(scope="module")
def key() -> pysequoia.Tsk:
    return new_key()


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


@pytest.fixture
def bench(tmp_path: Path, server: FakeServer, key: pysequoia.Tsk) -> Bench:
    return Bench(tmp_path, server, key)


@pytest.fixture
def ctx(make_context: Callable[..., Context], server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setattr(transfer, "_FIRST_WAIT", 0.01)
    return make_context(debian_mirror=server.base, snapshot_mirror=server.url("/snapshot/"), retries=0)


def test_packages_lie_beside_the_c_library_and_never_over_it(bench: Bench, ctx: Context) -> None:
    recipe = bench.add(ctx, "libfoo-dev")
    assert recipe.name.startswith("sysroot-ppc64le-glibc2.17-with-")
    root = bench.install(ctx, recipe)
    assert (root / "usr/lib/libc.so.6").read_bytes() == b"the floor's"
    assert (root / "lib/libc.so.6").read_bytes() == b"the floor's"
    assert (root / "usr/include/stdio.h").read_bytes() == b"the floor's"
    assert not (root / LIB / "libc.so.6").exists()
    assert not (root / "usr/include/powerpc64le-linux-gnu").exists()
    for name, data in ((f"{LIB}/libfoo.so.1", b"shared"), ("usr/include/foo.h", b"foo")):
        assert (root / name).read_bytes() == data
    assert (root / LIB / "pkgconfig/foo.pc").is_file()
    assert not (root / "usr/bin").exists()
    assert not (root / "usr/share").exists()
    assert json.loads((root / "share/xtool/exports.json").read_text()) == {"libc.so.6": ["puts@GLIBC_2.17"]}
    record = json.loads((root / "share/xtool/packages.json").read_text())
    assert record["left_to_the_base"] == [
        "usr/include/powerpc64le-linux-gnu/stdio.h", f"{LIB}/libc.so.6",
    ]  # fmt: skip
    assert [package["name"] for package in installed_packages(root)] == ["libfoo-dev", "libfoo1"]
    assert listed(root)[1] == {
        "name": "libfoo1", "version": "1.0-1", "arch": "ppc64el", "needed_by": "libfoo-dev",
    }  # fmt: skip


def test_the_same_request_gives_the_same_packages_whatever_the_archive_has_by_then(
    bench: Bench, ctx: Context, server: FakeServer
) -> None:
    first = bench.add(ctx, "libfoo-dev", "libfoo-dev")
    bench.package("libfoo1", "1.0-2", {f"{LIB}/libfoo.so.1": b"newer"})
    bench.publish()
    before = len(server.requests)
    assert bench.add(ctx, "libfoo-dev").digest == first.digest
    assert len(server.requests) == before


def test_what_was_resolved_once_is_there_offline(
    bench: Bench, ctx: Context, make_context: Callable[..., Context], server: FakeServer
) -> None:
    offline = make_context(debian_mirror=server.base, offline=True)
    with pytest.raises(OfflineError):
        bench.add(offline, "libfoo-dev")
    online = bench.add(ctx, "libfoo-dev")
    recipe = bench.add(offline, "libfoo-dev")
    assert recipe.digest == online.digest
    assert (bench.install(offline, recipe) / "usr/include/foo.h").is_file()


def test_an_installed_sysroot_says_itself_what_it_is_made_of(
    bench: Bench, ctx: Context, make_context: Callable[..., Context], server: FakeServer
) -> None:
    recipe = bench.add(ctx, "libfoo-dev")
    root = bench.install(ctx, recipe)
    for path in (ctx.settings.cache_dir / "v1/state").iterdir():
        path.unlink()
    offline = make_context(debian_mirror=server.base, offline=True)
    assert bench.add(offline, "libfoo-dev").digest == recipe.digest
    with pytest.raises(OfflineError):
        bench.add(offline, "libbar-dev")
    manifest = read_manifest(root)
    assert manifest is not None
    assert is_current(manifest, [bench.base.recipe.digest, "other"])
    assert not is_current(manifest, ["other"])
    assert [package["name"] for package in planned_packages(recipe)] == ["libfoo-dev", "libfoo1"]
    assert planned_packages(bench.base.recipe) == []


def test_a_lock_file_is_written_read_and_reviewable(bench: Bench, ctx: Context, tmp_path: Path) -> None:
    lock = tmp_path / "project" / "sysroot.lock.toml"
    first = bench.add(ctx, "libfoo-dev", sysroot_lock=lock)
    text = lock.read_text()
    assert 'names = ["libfoo-dev"]' in text
    assert text.index('name = "libfoo-dev"') < text.index('name = "libfoo1"')
    assert 'needed_by = "libfoo-dev"' in text
    assert 'date = "2026-09-12T07:55:41Z"' in text
    for option in ("locked", "frozen"):
        assert bench.add(ctx, "libfoo-dev", sysroot_lock=lock, **{option: True}).digest == first.digest
    other = text.replace('target = "ppc64le"', 'target = "s390x"')
    lock.write_text(text + other.partition("schema = 1\n")[2])
    bench.add(ctx, "libbar-dev", sysroot_lock=lock)
    written = lock.read_text()
    assert written.count("[[sysroot]]") == 2
    assert 'names = ["libbar-dev"]' in written
    assert 'target = "s390x"' in written


@pytest.mark.parametrize("option", ["locked", "frozen"])
@pytest.mark.parametrize("named", [True, False])
def test_locked_and_frozen_refuse_what_is_not_recorded(
    bench: Bench, ctx: Context, tmp_path: Path, server: FakeServer, option: str, named: bool
) -> None:
    lock = tmp_path / "lock.toml" if named else None
    with pytest.raises(UsageError, match=f"`--{option}` forbids to look") as caught:
        bench.add(ctx, "libfoo-dev", sysroot_lock=lock, **{option: True})
    assert caught.value.code == "sysroot-lock"
    assert ("--sysroot-lock FILE" in str(caught.value.hint)) is not named
    assert not server.requests


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace("schema = 1", "schema = 7"),
        lambda text: text.replace('sha256 = "', 'sha256 = "zz'),
        lambda text: text.replace('path = "pool', 'path = "../pool'),
        lambda text: text + "\n[[sysroot]]\ntarget = 1\n",
        lambda text: text.replace('names = ["libfoo-dev"]', "names = 3"),
    ],
)
def test_a_damaged_lock_file_is_refused(
    bench: Bench, ctx: Context, tmp_path: Path, damage: Callable[[str], str]
) -> None:
    lock = tmp_path / "lock.toml"
    bench.add(ctx, "libfoo-dev", sysroot_lock=lock)
    lock.write_text(damage(lock.read_text()))
    with pytest.raises(CatalogError, match=r"lock\.toml"):
        bench.add(ctx, "libfoo-dev", sysroot_lock=lock)


def test_vanished_packages_are_resolved_anew_unless_a_file_pins_them(
    bench: Bench, ctx: Context, tmp_path: Path, server: FakeServer
) -> None:
    lock = tmp_path / "lock.toml"
    old = bench.add(ctx, "libfoo-dev", sysroot_lock=lock)
    bench.add(ctx, "libfoo-dev")
    (gone,) = bench.archive.root.glob("pool/main/l/libfoo1/*.deb")
    gone.unlink()
    for artifact in old.artifacts:
        (ctx.settings.cache_dir / "v1/downloads" / artifact.sha256[:2] / artifact.sha256).unlink()
    server.add(f"/{gone.relative_to(bench.archive.root)}", Reply(status=404))
    bench.package("libfoo1", "1.0-2", {f"{LIB}/libfoo.so.1": b"newer"})
    bench.publish()
    with pytest.raises(Vanished):
        bench.add(ctx, "libfoo-dev", sysroot_lock=lock)
    log = Recorder()
    again = bench.add(Context(ctx.settings, log, ctx.environ), "libfoo-dev")  # type: ignore[arg-type]
    assert again.digest != old.digest
    assert any("have left every mirror" in line for line in log.lines)


def test_packages_that_the_sysroot_gives_change_nothing(
    bench: Bench, ctx: Context, server: FakeServer
) -> None:
    assert bench.add(ctx, "libc6-dev").digest == bench.base.recipe.digest
    assert not server.requests


def test_nonsense_is_a_users_mistake(bench: Bench, ctx: Context) -> None:
    with pytest.raises(UsageError, match="has no package `libfo-devel`") as caught:
        bench.add(ctx, "libfo-devel")
    assert "`libfoo-dev`" in str(caught.value.hint)
    with pytest.raises(UsageError, match="cannot be in one sysroot"):
        bench.add(ctx, "libfoo-dev", "libbar-dev")
    assert read_pins(ctx.settings.cache_dir / "nowhere.toml", None) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("usr/include/openssl/ssl.h", True), (f"{LIB}/libssl.so.3", True), (f"{LIB}/libssl.so", True),
        (f"{LIB}/libdb-5.3.so", True), (f"{LIB}/libssl.a", True), (f"{LIB}/pkgconfig/libssl.pc", True),
        (f"{LIB}/cmake/libxml2/libxml2-config.cmake", True), ("usr/share/pkgconfig/xproto.pc", True),
        ("usr/share/eigen3/cmake/Eigen3Config.cmake", True), (f"{LIB}/glib-2.0/include/glibconfig.h", True),
        ("lib64/libz.so.1", True), ("usr/lib64/libz.so.1", True),
        (f"{LIB}/ossl-modules/legacy.so", False), ("usr/bin/xml2-config", False),
        ("usr/share/doc/x/copyright", False), ("usr/lib/debug/.build-id/1/2.debug", False),
        ("etc/ssl/openssl.cnf", False), ("usr/libexec/x.a", False), (f"{LIB}/libfoo.la", False),
    ],
)  # fmt: skip
def test_builds_get_what_they_read(name: str, wanted: bool) -> None:
    assert wanted_member(name) is wanted


@pytest.mark.parametrize(
    "text", ["garbage[", "schema = 1\nmore = 2\n", "schema = 1\n[[sysroot]]\n", "schema = 1\nsysroot = 3\n"]
)
def test_a_broken_record_can_be_made_anew(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sysroot.lock"
    path.write_text(text)
    with pytest.raises(CatalogError) as caught:
        read_pins(path, None)  # type: ignore[arg-type]
    assert str(path) in caught.value.message
    assert caught.value.hint == "mend it, or remove it to have it made anew"
