"""The signed chain over real archives: locks, replacements, and every refusal on the way."""

from __future__ import annotations

import hashlib
import lzma
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pysequoia
import pytest
from support.artifacts import Recorder, said
from support.debarchive import RELEASED, DebArchive, component, fingerprint, new_key, toolchains
from support.fakeserver import FakeServer, Reply

from xtool.artifacts import Artifact
from xtool.catalog import Catalog, Lock
from xtool.context import Context
from xtool.errors import CatalogError, IntegrityError, NetworkError, OfflineError, XtoolError
from xtool.fetch import Vanished, cached, fetch, transfer
from xtool.fetch.debian import default_downloads, replacements
from xtool.fetch.locks import resolve
from xtool.targets import HOSTS

HOST = HOSTS["x86_64"]
COMPONENTS = component(
    "gcc", {("trixie", "{host}"): ["zed", "gcc-{gnu}"], ("trixie", "all"): ["libgcc-{debian}-cross"]}
) + component("glibc", {("trixie", "{debian}"): ["libc6"]})
INDEX = "/dists/trixie/main/binary-amd64/"


class Mirror:
    """A fake server that serves an archive, and a `toolchains/` folder that trusts its key."""

    def __init__(self, folder: Path, server: FakeServer, key: pysequoia.Tsk) -> None:
        self.archive = DebArchive(folder / "archive", key)
        self.archive.package("gcc-powerpc64le-linux-gnu", "14.2.0-19")
        self.archive.package("gcc-powerpc64le-linux-gnu", "14.2.0-9")
        self.archive.package("zed", "1:1.0-2", compression="zstd")
        self.archive.package("libgcc-ppc64el-cross", "14.2.0-19", "all", compression="gzip")
        self.archive.package("libc6", "2.41-12", "ppc64el", compression="none")
        self.archive.package("libc6", "2.41-13", "amd64")
        self.root = toolchains(folder / "toolchains", key, COMPONENTS)
        self.server = server
        self.publish()

    def publish(self, **options: Any) -> None:
        self.archive.publish(**options)
        self.serve()

    def sign(self, release: str) -> None:
        self.archive.sign(release)
        self.serve()

    def serve(self) -> None:
        self.server.add_tree(self.archive.root)

    @property
    def catalog(self) -> Catalog:
        return Catalog(self.root)

    def resolve(self, ctx: Context) -> str:
        catalog = self.catalog
        return resolve(ctx, catalog, HOST, catalog.target("ppc64le"))

    def lock(self, ctx: Context) -> Lock:
        """Make and write a lock, and read it."""
        catalog = self.catalog
        target = catalog.target("ppc64le")
        catalog.lock_path(HOST, target).write_text(self.resolve(ctx))
        return catalog.lock(HOST, target)


@pytest.fixture(scope="module")
def key() -> pysequoia.Tsk:
    return new_key()


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


@pytest.fixture
def mirror(tmp_path: Path, server: FakeServer, key: pysequoia.Tsk) -> Mirror:
    return Mirror(tmp_path, server, key)


@pytest.fixture
def ctx(make_context: Callable[..., Context], server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setattr(transfer, "_FIRST_WAIT", 0.01)
    return make_context(debian_mirror=server.base, snapshot_mirror=server.url("/snapshot/"), retries=0)


def test_a_lock_holds_what_the_archive_has(mirror: Mirror, ctx: Context, key: pysequoia.Tsk) -> None:
    lock = mirror.lock(ctx)
    assert list(lock.components) == ["gcc", "glibc"]
    names = [(item.name, item.version, item.arch) for item in lock.artifacts("gcc")]
    assert names == [
        ("gcc-powerpc64le-linux-gnu", "14.2.0-19", "amd64"),
        ("libgcc-ppc64el-cross", "14.2.0-19", "all"),
        ("zed", "1:1.0-2", "amd64"),
    ]
    evidence = lock.evidence["trixie"]
    assert evidence.date == "2026-09-12T07:55:41Z"
    assert evidence.fingerprint == fingerprint(key)
    assert evidence.snapshot == "20260912T195541Z"
    for item in (*lock.artifacts("gcc"), *lock.artifacts("glibc")):
        deb = mirror.archive.root / item.path
        assert (item.size, item.sha256) == (deb.stat().st_size, hashlib.sha256(deb.read_bytes()).hexdigest())
        plain = subprocess.run(["dpkg-deb", "--fsys-tarfile", deb], capture_output=True, check=True).stdout
        assert item.unpacked_size == len(plain)


def test_a_lock_is_the_same_every_time(mirror: Mirror, ctx: Context) -> None:
    mirror.lock(ctx)
    first = mirror.resolve(ctx)
    assert mirror.resolve(ctx) == first
    assert first == mirror.catalog.lock_path(HOST, mirror.catalog.target("ppc64le")).read_text()


def test_another_hosts_lock_says_which_files_of_the_target_are_taken(
    mirror: Mirror, ctx: Context, server: FakeServer
) -> None:
    """A mirror may have the index of today and lack its files; and both hosts are to make the same wheels."""
    first = mirror.lock(ctx)
    mirror.archive.package("libc6", "2.41-14", "ppc64el")
    for name, version in (("gcc-powerpc64le-linux-gnu", "14.2.0-19"), ("zed", "1:1.0-2")):
        mirror.archive.package(name, version, "arm64")
    mirror.publish(date=RELEASED + timedelta(days=40))
    catalog = mirror.catalog
    target, other = catalog.target("ppc64le"), HOSTS["aarch64"]
    catalog.lock_path(other, target).write_text(resolve(ctx, catalog, other, target, like=HOST))
    lock = catalog.lock(other, target)
    assert lock.artifacts("glibc") == first.artifacts("glibc")
    assert {item.arch for item in lock.artifacts("gcc")} == {"arm64", "all"}
    newest, before = lock.evidence["trixie"], first.evidence["trixie"]
    assert newest.date > before.date
    assert newest.earlier == (before.snapshot,)
    # What has left the mirror is looked for in the snapshots of both.
    (libc,) = lock.artifacts("glibc")
    content = (mirror.archive.root / libc.path).read_bytes()
    server.add(f"/{libc.path}", Reply(status=404))
    server.add(f"/snapshot/{before.snapshot}/{libc.path}", Reply(content))
    cached(default_downloads(ctx), libc).unlink()
    found = fetch(ctx, catalog, [libc], evidence=lock.evidence, downloads=default_downloads(ctx))
    assert list(found) == [libc.sha256]
    assert server.count(f"/snapshot/{newest.snapshot}/{libc.path}") == 1


def test_what_another_hosts_lock_lacks_is_named(mirror: Mirror, ctx: Context) -> None:
    mirror.lock(ctx)
    catalog = mirror.catalog
    target = catalog.target("ppc64le")
    path = catalog.lock_path(HOST, target)
    path.write_text(path.read_text().replace('name = "libc6"', 'name = "libc7"'))
    for name, version in (("gcc-powerpc64le-linux-gnu", "14.2.0-19"), ("zed", "1:1.0-2")):
        mirror.archive.package(name, version, "arm64")
    mirror.publish()
    with pytest.raises(CatalogError, match="has no package libc6 for ppc64el") as caught:
        resolve(ctx, catalog, HOSTS["aarch64"], target, like=HOST)
    assert caught.value.hint == "make the lock without `--like`"


def test_indexes_are_asked_for_by_hash(mirror: Mirror, ctx: Context, server: FakeServer) -> None:
    mirror.lock(ctx)
    assert server.count(INDEX + "Packages.xz") == 0
    assert any(request.path.startswith(INDEX + "by-hash/SHA256/") for request in server.requests)


@pytest.mark.parametrize("announced", [True, False])
def test_a_mirror_without_by_hash_folders_is_fine(
    mirror: Mirror, ctx: Context, server: FakeServer, announced: bool
) -> None:
    mirror.publish(by_hash=announced)
    if announced:
        for path in list(server._replies):
            if "/by-hash/" in path:
                server.add(path, Reply(status=404))
    mirror.lock(ctx)
    assert server.count(INDEX + "Packages.xz") == 1


def test_an_index_that_is_not_the_signed_one_is_refused(
    mirror: Mirror, ctx: Context, server: FakeServer
) -> None:
    mirror.publish(by_hash=False)
    server.add(INDEX + "Packages.xz", Reply(lzma.compress(b"Package: evil\n")))
    with pytest.raises(IntegrityError, match="is not the index that the signed release lists") as caught:
        mirror.lock(ctx)
    assert "by-hash" in (caught.value.hint or "")


def test_a_package_that_is_not_the_listed_one_is_refused(
    mirror: Mirror, ctx: Context, server: FakeServer
) -> None:
    server.add("/pool/main/z/zed/zed_1.0-2_amd64.deb", Reply(b"evil"))
    with pytest.raises(IntegrityError, match="checksum mismatch for zed_1"):
        mirror.lock(ctx)


def test_a_package_that_is_not_there_is_named(mirror: Mirror, ctx: Context) -> None:
    text = (mirror.root / "components.toml").read_text()
    (mirror.root / "components.toml").write_text(text.replace('"libc6"', '"libc6", "zed"'))
    with pytest.raises(CatalogError, match="component glibc: trixie has no package zed for ppc64el"):
        mirror.lock(ctx)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda m: m.publish(key=new_key("evil")), "is not signed by a pinned key"),
        (
            lambda m: m.publish(date=RELEASED - timedelta(days=1)),
            "is older than the one that the lock was made from",
        ),
        (
            lambda m: m.publish(valid_until=RELEASED + timedelta(hours=1)),
            "was valid until 2026-09-12T08:55:41Z",
        ),
        (
            lambda m: m.server.add("/dists/trixie/InRelease", Reply(b"Suite: stable\n")),
            "carries no signature",
        ),
        (
            lambda m: m.sign("Suite: sid\nDate: Sat, 12 Sep 2026 07:55:41 UTC\nSHA256:\n"),
            "belongs to suite sid",
        ),
        (lambda m: m.sign("Suite: stable\nCodename: trixie\nSHA256:\n"), "has no field Date"),
        (lambda m: m.sign("Suite: stable\nDate: whenever\nSHA256:\n x 1 y\n"), "is malformed"),
        (
            lambda m: m.sign("Codename: trixie\nDate: Sat, 12 Sep 2026 07:55:41 UTC\nSHA256:\n"),
            "has no index of architecture amd64",
        ),
    ],
)
def test_each_refusal_has_its_words(
    mirror: Mirror, ctx: Context, spoil: Callable[[Mirror], None], words: str
) -> None:
    lock = mirror.lock(ctx)
    spoil(mirror)
    for action in (
        lambda: mirror.resolve(ctx),
        lambda: replacements(ctx, mirror.catalog, lock, lock.artifacts("gcc")),
    ):
        with pytest.raises(IntegrityError, match=words) as caught:
            action()
        assert caught.value.exit_code == 4


def test_a_release_that_is_still_valid_is_taken(mirror: Mirror, ctx: Context) -> None:
    mirror.publish(valid_until=datetime.now(timezone.utc) + timedelta(days=7))
    assert mirror.lock(ctx).components


def test_a_suite_that_stands_still_may_have_been_valid_on_a_day_of_its_time(
    mirror: Mirror, ctx: Context
) -> None:
    catalog, target = mirror.catalog, mirror.catalog.target("ppc64le")
    mirror.publish(valid_until=RELEASED + timedelta(days=7))
    day = RELEASED + timedelta(days=1)
    assert resolve(ctx, catalog, HOST, target, as_of=day).startswith("# Made by")
    for other in (RELEASED + timedelta(days=8), RELEASED - timedelta(days=1)):
        # Past its time on that day; or newer than that day, so that it must be valid today.
        with pytest.raises(IntegrityError, match="was valid until"):
            resolve(ctx, catalog, HOST, target, as_of=other)


def test_what_a_lock_says_of_a_suite_can_be_kept(mirror: Mirror, ctx: Context, server: FakeServer) -> None:
    catalog, target = mirror.catalog, mirror.catalog.target("ppc64le")
    lock = mirror.lock(ctx)
    mirror.archive.package("zed", "1:1.0-3")
    mirror.publish(date=RELEASED + timedelta(days=60))
    before = server.count()
    text = resolve(ctx, catalog, HOST, target, keep=["trixie"])
    assert (text, server.count()) == (catalog.lock_path(HOST, target).read_text(), before)
    newer = mirror.lock(ctx)
    assert [a.version for a in newer.artifacts("gcc") if a.name == "zed"] == ["1:1.0-3"]
    assert newer.evidence["trixie"].date > lock.evidence["trixie"].date


def test_a_package_that_no_lock_knows_cannot_be_kept(mirror: Mirror, ctx: Context) -> None:
    mirror.lock(ctx)
    more = component("desktop", {("trixie", "{debian}"): ["libx11-6"]})
    path = mirror.root / "components.toml"
    path.write_text(path.read_text() + more)
    target = mirror.catalog.target("ppc64le")
    with pytest.raises(CatalogError, match="libx11-6") as caught:
        resolve(ctx, mirror.catalog, HOST, target, keep=["trixie"])
    assert "--keep trixie" in (caught.value.hint or "")


def test_a_dated_snapshot_may_be_past_its_time(
    mirror: Mirror, make_context: Callable[..., Context], server: FakeServer
) -> None:
    mirror.publish(valid_until=RELEASED + timedelta(days=7))
    server.add_tree(mirror.archive.root, "/archive/20260913T000000Z/")
    ctx = make_context(
        debian_mirror=server.url("/archive/20260913T000000Z/"), snapshot_mirror=server.base, retries=0
    )
    assert mirror.lock(ctx).components


def test_the_second_mirror_serves_when_the_first_is_bad(
    mirror: Mirror, make_context: Callable[..., Context], server: FakeServer
) -> None:
    with FakeServer() as portal:
        portal.add("/dists/trixie/InRelease", Reply(b"<html>", headers={"Content-Type": "text/html"}))
        log = Recorder()
        ctx = make_context(debian_mirror=f"{portal.base} {server.base}", retries=0, log=log)
        assert mirror.lock(ctx).components
        assert "carries no signature" in log.text


def test_the_chain_needs_the_network(mirror: Mirror, make_context: Callable[..., Context]) -> None:
    with pytest.raises(OfflineError, match="index of suite trixie is needed"):
        mirror.resolve(make_context(offline=True))


def test_no_mirror_at_all_names_the_variable(mirror: Mirror, make_context: Callable[..., Context]) -> None:
    with pytest.raises(NetworkError) as caught:
        mirror.resolve(make_context())
    assert "XTOOL_DEBIAN_MIRROR" in (caught.value.hint or "")


def vanish(mirror: Mirror, item: Artifact) -> None:
    (mirror.archive.root / item.path).unlink()
    mirror.server.add("/" + item.path, Reply(status=404))


def test_what_has_vanished_is_replaced_by_what_stands_there_now(
    mirror: Mirror, make_context: Callable[..., Context], ctx: Context
) -> None:
    lock = mirror.lock(ctx)
    old = {item.name: item for item in lock.artifacts("gcc")}
    for name, version, arch in (
        ("zed", "1:1.0-10", "amd64"),
        ("libgcc-ppc64el-cross", "14.2.0-20", "all"),
    ):
        vanish(mirror, old[name])
        mirror.archive.package(name, version, arch)
    mirror.publish(date=RELEASED + timedelta(days=60))
    fresh = make_context(
        cache_dir=ctx.settings.cache_dir / "other",
        debian_mirror=mirror.server.base,
        snapshot_mirror=mirror.server.base,
    )
    where = default_downloads(fresh)
    with pytest.raises(Vanished) as caught:
        fetch(fresh, mirror.catalog, lock.artifacts("gcc"), evidence=lock.evidence, downloads=where)
    found = replacements(fresh, mirror.catalog, lock, caught.value.artifacts)
    assert {(new.name, new.version, new.arch, new.suite) for new in found.values()} == {
        ("zed", "1:1.0-10", "amd64", "trixie"),
        ("libgcc-ppc64el-cross", "14.2.0-20", "all", "trixie"),
    }
    assert set(found) == {old["zed"].sha256, old["libgcc-ppc64el-cross"].sha256}
    files = fetch(fresh, mirror.catalog, found.values(), evidence=lock.evidence, downloads=where)
    for new in found.values():
        assert files[new.sha256].path == cached(where, new)
        # Installed-Size is 100 (kB) in these packages.
        assert new.unpacked_size == 100 * 1024 * 6 // 5 + (16 << 20)


@pytest.mark.parametrize(
    ("again", "words"),
    [(True, "list zed_1.0-2_amd64.deb but do not have it"), (False, "has no zed for amd64 any more")],
)
def test_what_cannot_be_replaced_is_said(mirror: Mirror, ctx: Context, again: bool, words: str) -> None:
    lock = mirror.lock(ctx)
    zed = next(item for item in lock.artifacts("gcc") if item.name == "zed")
    if not again:
        vanish(mirror, zed)
        mirror.publish(date=RELEASED + timedelta(days=60))
    with pytest.raises(NetworkError, match=words):
        replacements(ctx, mirror.catalog, lock, [zed])


def test_an_index_that_unpacks_to_more_than_declared_is_refused(mirror: Mirror, ctx: Context) -> None:
    folder = mirror.archive.root / "dists" / "trixie" / "main" / "binary-amd64"
    bomb = lzma.compress(b"\n" * 50_000_000)
    (folder / "Packages.xz").write_bytes(bomb)
    digest = hashlib.sha256(bomb).hexdigest()
    plain = hashlib.sha256(b"").hexdigest()
    mirror.archive.sign(
        "Codename: trixie\nDate: Sat, 12 Sep 2026 07:55:41 UTC\nSHA256:\n"
        f" {digest} {len(bomb)} main/binary-amd64/Packages.xz\n {plain} 1000 main/binary-amd64/Packages\n"
    )
    mirror.serve()
    with pytest.raises(IntegrityError, match="does not unpack to the 1000 bytes"):
        mirror.resolve(ctx)


def test_the_first_error_of_several_mirrors_is_the_signature(
    mirror: Mirror, make_context: Callable[..., Context], server: FakeServer
) -> None:
    server.add("/dists/trixie/InRelease", Reply(b"no"))
    ctx = make_context(debian_mirror=f"http://127.0.0.1:9/ {server.base}", retries=0)
    with pytest.raises(XtoolError) as caught:
        mirror.resolve(ctx)
    assert isinstance(caught.value, IntegrityError)
    assert server.base in said(caught.value)


def test_an_inrelease_is_asked_for_again_after_a_failure(
    mirror: Mirror, make_context: Callable[..., Context], ctx: Context, server: FakeServer
) -> None:
    path = "/dists/trixie/InRelease"
    good = Reply((mirror.archive.root / path[1:]).read_bytes())
    server.add(path, Reply(status=503), Reply(good.body, cut_at=100), good)
    again = make_context(debian_mirror=server.base, snapshot_mirror=server.base, retries=2)
    assert mirror.lock(again).components
    server.add(path, Reply(status=503))
    with pytest.raises(NetworkError, match="cannot download the InRelease of trixie"):
        mirror.resolve(ctx)
    server.add(path, Reply(b"x", endless=True))
    with pytest.raises(NetworkError) as caught:
        mirror.resolve(ctx)
    assert "it is larger than 8.4 MB" in said(caught.value)
