"""Distributions as declared, their locks, their mirrors, and files of which only the hash is known."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.artifacts import artifact, downloads, leftovers, noise, said
from support.fakeserver import FakeServer, Reply

from xtool.artifacts import Artifact, VerifiedFile
from xtool.catalog import Catalog, default_root
from xtool.context import Context
from xtool.errors import CatalogError, IntegrityError, NetworkError, OfflineError, UsageError
from xtool.fetch import Vanished, cached, fetch, partial, transfer
from xtool.fetch.mirrors import mirrors
from xtool.fetch.signatures import pinned
from xtool.sysroots import Distribution, declaration_digest

CATALOG = Catalog()
DATA = noise(300_000)


def _all() -> list[Distribution]:
    return [one for targets in CATALOG.sysroots.distributions.values() for one in targets.values()]


def _rpm() -> list[Distribution]:
    return [one for one in _all() if CATALOG.archives[one.archive].kind == "rpm"]


def test_every_distribution_of_the_mission_is_there() -> None:
    found = {name: set(targets) for name, targets in CATALOG.sysroots.distributions.items()}
    four = {"x86_64", "aarch64", "ppc64le", "s390x"}
    assert {"centos7", "almalinux8", "almalinux9", "almalinux10", "rocky10"} <= set(found)
    for name in ("centos7", "almalinux8", "almalinux9", "almalinux10"):
        assert found[name] == four
    assert found["rocky10"] == four | {"riscv64"}
    glibc = {one.name: one.glibc for one in _rpm()}
    assert glibc["centos7"] == (2, 17)
    assert (glibc["almalinux8"], glibc["almalinux9"], glibc["rocky10"]) == ((2, 28), (2, 34), (2, 39))


@pytest.mark.parametrize("distribution", _rpm(), ids=lambda one: f"{one.name}-{one.target}")
def test_locks_hold_what_is_declared(distribution: Distribution) -> None:
    lock = CATALOG.sysroot_lock(distribution)
    assert (lock.sysroot, lock.target) == (distribution.name, distribution.target)
    assert lock.declaration == declaration_digest(distribution)
    assert [one.name for one in lock.artifacts] == sorted(distribution.packages)
    for one in lock.artifacts:
        assert one.archive == distribution.archive
        assert one.path.startswith(tuple(repository.path for repository in distribution.repositories))
        assert one.filename == f"{one.name}-{one.version}.{one.arch}.rpm"
        assert one.arch in (distribution.arch, "noarch")
    versions = {one.version for one in lock.artifacts if one.name.startswith("glibc")}
    assert len(versions) == 1
    assert next(iter(versions)).startswith(f"{distribution.glibc[0]}.{distribution.glibc[1]}-")


@pytest.mark.parametrize("distribution", _rpm(), ids=lambda one: f"{one.name}-{one.target}")
def test_every_pinned_key_is_in_its_file(distribution: Distribution) -> None:
    if not distribution.keyring:
        assert distribution.archive == "clefos"
        return
    found = pinned(CATALOG.root / distribution.keyring, distribution.fingerprints)
    assert [one.fingerprint for one in found] == list(distribution.fingerprints)
    assert not any(one.revoked for one in found)


def _lock_of_centos7(catalog: Catalog) -> object:
    return catalog.sysroot_lock(catalog.sysroots.distributions["centos7"]["ppc64le"])


@pytest.fixture
def toolchains(tmp_path: Path) -> Path:
    return Path(shutil.copytree(default_root(), tmp_path / "toolchains"))


@pytest.mark.parametrize(
    ("file", "pattern", "becomes", "says"),
    [
        ("sysroots.toml", r'^glibc = "2\.17"', 'glibc = "new"', "not a glibc version"),
        ("sysroots.toml", r'^archive = "centos"', 'archive = "centaur"', "there is no archive `centaur`"),
        ("sysroots.toml", r'^archive = "centos"', "", "missing archive"),
        ("sysroots.toml", r'^archive = "centos"', "archive = 7", "archive is not text"),
        ("sysroots.toml", r'^archive = "centos"', 'archive = "debian"', "has no suite"),
        ("sysroots.toml", r'^name = "centos7"', 'name = "derived"', "declared twice"),
        ("sysroots.toml", r'^name = "almalinux8"', 'name = "centos7"', "declared twice"),
        ("sysroots.toml", r'^name = "centos7"', 'name = "Cent OS"', "lower-case word"),
        ("sysroots.toml", r'"7\.9\.2009/os/', '"../os/', "paths below"),
        ("sysroots.toml", r'os/\{arch\}/"', 'os/{arch}"', "end with a slash"),
        ("sysroots.toml", r"6341AB27", "6341ab27", "upper-case hex"),
        ("sysroots.toml", r'^keyring = "keys/centos-7.asc"', 'keyring = ""', "go together"),
        ("sysroots.toml", r'^keyring = "keys/', 'keyring = "../', "below toolchains"),
        ("sysroots.toml", r'^arch = "x86_64"', 'arch = "x86_64"\nextra = 1', "unknown extra"),
        ("sources.toml", r'^kind = "rpm"', 'kind = "tar"', "kind must be debian or rpm|missing"),
        ("sources.toml", r'centos\.org/"', 'centos.org"', "end with a slash"),
        ("sources.toml", r"https://vault", "file:///vault", "must be URLs"),
        ("locks/sysroots/centos7-ppc64le.toml", r'sha256 = ".*"', 'sha256 = ""', "sha256 is not 64"),
        ("locks/sysroots/centos7-ppc64le.toml", r"^size = 0", "size = -1", "not a positive number"),
        ("locks/sysroots/centos7-ppc64le.toml", r"^size = 0", "size = false", "not a positive number"),
        ("locks/sysroots/centos7-ppc64le.toml", r"^unpacked_size = \d+", "unpacked_size = 0", "not a pos"),
        ("locks/sysroots/centos7-ppc64le.toml", r'^archive = "centos"', 'archive = "debian"', "not a pos"),
        ("locks/sysroots/centos7-ppc64le.toml", r'^path = "', 'path = "/', "below the archive's base"),
        ("locks/sysroots/centos7-ppc64le.toml", r"^sysroot = .*", "", "missing sysroot"),
    ],
)
def test_what_cannot_be_held_to_is_refused(
    toolchains: Path, file: str, pattern: str, becomes: str, says: str
) -> None:
    path = toolchains / file
    text, count = re.subn(pattern, becomes, path.read_text(), count=1, flags=re.MULTILINE)
    assert count == 1
    path.write_text(text)
    with pytest.raises(CatalogError, match=says) as caught:
        _lock_of_centos7(Catalog(toolchains))
    assert str(path) in caught.value.message


def test_a_missing_lock_says_how_it_is_made(toolchains: Path) -> None:
    catalog = Catalog(toolchains)
    distribution = catalog.sysroots.distributions["centos7"]["ppc64le"]
    catalog.sysroot_lock_path(distribution).unlink()
    with pytest.raises(CatalogError) as caught:
        catalog.sysroot_lock(distribution)
    assert caught.value.code == "no-lock"
    assert "xtool lock --update --sysroot centos7" in (caught.value.hint or "")


def _import(folder: Path, rows: list[list[str]]) -> subprocess.CompletedProcess[str]:
    table = folder / "pins.tsv"
    columns = ["sysroot", "arch", "package", "url", "sha256"]
    table.write_text("".join("\t".join(row) + "\n" for row in [columns, *rows]))
    script = default_root().parent / "scripts" / "import_sysroot_pins.py"
    words = [sys.executable, script, table, "--into", folder / "toolchains"]
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)


def _rows() -> list[list[str]]:
    """What the shipped locks hold as a table of pins, with the vault's other names of one folder."""
    found = []
    for one in _rpm():
        base = CATALOG.archives[one.archive].bases[-1].replace("https:", "http:")
        for item in CATALOG.sysroot_lock(one).artifacts:
            path = item.path.replace("altarch/7.9.2009/", "altarch/7/")
            found.append([one.name, one.arch, item.name, base + path, item.sha256])
    return found


def test_pins_are_imported_from_a_table(toolchains: Path) -> None:
    for path in (toolchains / "locks" / "sysroots").glob("*.toml"):
        path.unlink()
    # What nobody declares is passed over.
    other = [
        "centos6",
        "x86_64",
        "glibc",
        "http://vault.centos.org/6.10/os/x86_64/glibc-2.12-1.rpm",
        "0" * 64,
    ]
    done = _import(toolchains.parent, [other, *_rows()])
    assert done.returncode == 0, done.stderr
    catalog = Catalog(toolchains)
    for one in _rpm():
        ours, shipped = catalog.sysroot_lock(one), CATALOG.sysroot_lock(one)
        assert [(a.name, a.version, a.arch, a.path, a.sha256) for a in ours.artifacts] == [
            (a.name, a.version, a.arch, a.path, a.sha256) for a in shipped.artifacts
        ]
        assert {a.size for a in ours.artifacts} == {0}
        assert ours.evidence == ()


def test_a_table_that_does_not_fit(toolchains: Path) -> None:
    rows = _rows()
    short = _import(toolchains.parent, [row for row in rows if row[2] != "kernel-headers"])
    assert short.returncode == 2
    assert "the table lacks kernel-headers" in short.stderr
    twisted = [row if row[2] != "glibc-devel" else [*row[:2], "glibc", *row[3:]] for row in rows]
    wrong = _import(toolchains.parent, twisted)
    assert wrong.returncode == 2
    assert "the file name does not fit the package" in wrong.stderr


def test_mirrors_of_an_rpm_archive(make_context: Callable[..., Context]) -> None:
    archive = CATALOG.archives["almalinux"]
    assert [one.base for one in mirrors(make_context(), archive, None)] == list(archive.bases)
    ours = make_context(rpm_mirrors={"almalinux": "http://a.example.org/x  https://b.example.org/"})
    found = mirrors(ours, archive, None)
    assert [one.base for one in found] == ["http://a.example.org/x/", "https://b.example.org/"]
    assert {one.origin for one in found} == {"XTOOL_ALMALINUX_MIRROR"}
    assert [one.base for one in mirrors(ours, CATALOG.archives["centos"], None)] == [
        "https://vault.centos.org/"
    ]
    with pytest.raises(UsageError, match="XTOOL_ALMALINUX_MIRROR is not a web address"):
        mirrors(make_context(rpm_mirrors={"almalinux": "ftp://a"}), archive, None)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


@pytest.fixture
def ctx(make_context: Callable[..., Context], server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setattr(transfer, "_FIRST_WAIT", 0.01)
    return make_context(rpm_mirrors={"centos": server.base}, retries=2, stall_timeout=0.5)


def _unsized(data: bytes = DATA) -> Artifact:
    item = artifact("x", data)
    return replace(item, archive="centos", suite="", path="pool/x.rpm", size=0)


def _get(ctx: Context, *items: Artifact) -> dict[str, VerifiedFile]:
    return fetch(ctx, CATALOG, items, evidence={}, downloads=downloads(ctx))


@pytest.mark.parametrize(
    "replies",
    [
        [Reply(DATA)],
        [Reply(DATA, length=False)],
        [Reply(DATA, chunked=True)],
        [Reply(DATA, cut_at=200_000), Reply(DATA)],
        [Reply(DATA, length=False, cut_at=200_000), Reply(DATA)],
        [Reply(DATA, reset_at=200_000), Reply(DATA, ranges="ignored")],
        [Reply(DATA, cut_at=200_000), Reply(DATA, ranges="wrong"), Reply(DATA)],
        [Reply(DATA, cut_at=200_000), Reply(DATA, ranges="416"), Reply(DATA)],
    ],
)
def test_a_file_of_unknown_size_arrives(ctx: Context, server: FakeServer, replies: list[Reply]) -> None:
    server.add("/pool/x.rpm", *replies)
    item = _unsized()
    assert _get(ctx, item)[item.sha256].path.read_bytes() == DATA
    assert server.count() == len(replies)
    assert leftovers(ctx) == []
    _get(ctx, item)
    assert server.count() == len(replies)


def test_a_download_of_unknown_size_goes_on_in_the_next_run(ctx: Context, server: FakeServer) -> None:
    server.add("/pool/x.rpm", Reply(DATA, cut_at=200_000, ranges="ignored"))
    with pytest.raises(NetworkError, match=r"cannot download x\.rpm") as caught:
        _get(ctx, _unsized())
    assert "XTOOL_CENTOS_MIRROR" in (caught.value.hint or "")
    assert "an unknown size" in said(caught.value)
    server.add("/pool/x.rpm", Reply(DATA))
    _get(ctx, _unsized())
    assert server.asked("/pool/x.rpm")[-1]["range"] == "bytes=200000-"


@pytest.mark.parametrize("body", [DATA[:-1], DATA + b"more", noise(300_000, seed=2), b""])
def test_other_bytes_of_unknown_size_are_refused(ctx: Context, server: FakeServer, body: bytes) -> None:
    server.add("/pool/x.rpm", Reply(body))
    with pytest.raises(IntegrityError, match=r"checksum mismatch for x\.rpm") as caught:
        _get(ctx, _unsized())
    assert f"expected sha256 {_unsized().sha256}" in said(caught.value)
    assert "XTOOL_CENTOS_MIRROR" in (caught.value.hint or "")
    assert not cached(downloads(ctx), _unsized()).exists()
    assert [name for name in leftovers(ctx) if not name.endswith(".lock")] == []


@pytest.mark.parametrize("reply", [Reply(DATA, endless=True), Reply(bytes(3_000_000))])
def test_a_body_of_unknown_size_has_an_end(
    ctx: Context, server: FakeServer, monkeypatch: pytest.MonkeyPatch, reply: Reply
) -> None:
    monkeypatch.setattr(partial, "UNKNOWN_SIZE_LIMIT", 1_000_000)
    server.add("/pool/x.rpm", reply)
    with pytest.raises(IntegrityError) as caught:
        _get(ctx, _unsized())
    assert "expected at most 1.0 MB" in said(caught.value)
    assert not any((downloads(ctx).parent / "partial").glob(_unsized().sha256))


def test_a_damaged_cached_file_of_unknown_size_is_fetched_again(ctx: Context, server: FakeServer) -> None:
    server.add("/pool/x.rpm", Reply(DATA))
    path = _get(ctx, _unsized())[_unsized().sha256].path
    path.write_bytes(DATA[:-1] + b"?")
    assert _get(ctx, _unsized())[_unsized().sha256].path.read_bytes() == DATA


def test_offline_says_that_the_size_is_unknown(make_context: Callable[..., Context]) -> None:
    with pytest.raises(OfflineError) as caught:
        _get(make_context(offline=True), _unsized())
    assert "x.rpm (size unknown)" in said(caught.value)
    assert "https://vault.centos.org/pool/x.rpm" in said(caught.value)


def test_a_file_that_has_left_an_rpm_archive(ctx: Context) -> None:
    with pytest.raises(NetworkError) as caught:
        _get(ctx, _unsized())
    assert not isinstance(caught.value, Vanished)
    assert "x.rpm has left every mirror" in caught.value.message
    assert "HTTP 404" in said(caught.value)
    assert "XTOOL_CENTOS_MIRROR" in (caught.value.hint or "")
