"""`xtool lock --sysroot` against a vault made with the real tools, and against every way to spoil one."""

from __future__ import annotations

import gzip
import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import pgpforge
from support.fakeserver import FakeServer, Reply
from support.vault import REVISION, ForgedKey, GpgKey, Package, Signer, Vault

from xtool.catalog import Catalog, default_root

CENTOS = "altarch/7.9.2009/os/ppc64le/"
DEVEL = "glibc-devel-2.17-317.el7.ppc64le.rpm"
NAMES = Catalog().sysroots.distributions["centos7"]["ppc64le"].packages
LOCK = "locks/sysroots/centos7-ppc64le.toml"


def _packages(version: str = "317.el7") -> list[Package]:
    found = []
    for name in NAMES:
        text = f"{name} ".encode() * 3000
        release = version if name.startswith("glibc") else "1.el7"
        wants = ["glibc = 2.17-317.el7"] if name == "glibc-devel" else []
        found.append(Package(name, "2.17", release, {f"usr/share/{name}/it": text}, requires=wants))
    return found


@pytest.fixture(scope="module")
def key() -> Iterator[GpgKey]:
    """GnuPG's socket must have a short path."""
    with tempfile.TemporaryDirectory(prefix="xt-") as home:
        made = GpgKey(Path(home) / "gnupg")
        yield made
        made.close()


@pytest.fixture(scope="module")
def good(key: GpgKey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A vault with nothing wrong in it."""
    vault = Vault(tmp_path_factory.mktemp("good"), key)
    repository = vault.repository(CENTOS)
    repository.build(_packages())
    repository.publish()
    return vault.root


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


class World:
    """A copy of the good vault, a copy of `toolchains/`, a mirror, and the command line."""

    def __init__(
        self, inside: Any, folder: Path, good: Path, key: Signer, server: FakeServer, set_variable: Any
    ) -> None:
        self.inside = inside
        self.folder = folder
        self.key = key
        self.server = server
        self.vault = Vault(Path(shutil.copytree(good, folder / "vault")), key)
        self.repository = self.vault.repository(CENTOS)
        self.toolchains = Path(shutil.copytree(default_root(), folder / "toolchains"))
        self.lock = self.toolchains / LOCK
        for variable, value in {
            "XTOOL_TOOLCHAINS_DIR": str(self.toolchains),
            "XTOOL_CENTOS_MIRROR": server.base,
            "XTOOL_ALMALINUX_MIRROR": server.base,
            "XTOOL_CLEFOS_MIRROR": server.base,
            "XTOOL_RETRIES": "0",
            "NO_PROXY": "127.0.0.1",
        }.items():
            set_variable(variable, value)

    def serve(self) -> None:
        """Let the mirror have exactly what is in the vault."""
        self.server.forget()
        self.server.add_tree(self.vault.root)

    def run(
        self, *words: str, key: Path | None = None, sysroot: str = "centos7", target: str = "ppc64le"
    ) -> Any:
        """`xtool lock --sysroot centos7 ppc64le --key ...` with what the vault has now."""
        self.serve()
        keys = ["--key", str(key or self.key.file)]
        return self.inside("lock", "--sysroot", sysroot, target, *keys, *words)

    def update(self, key: Path | None = None) -> None:
        """Make the lock, which must succeed."""
        done = self.run("--update", key=key)
        assert done.code == 0, done.stderr

    def refuses(self, code: int, *says: str, key: Path | None = None) -> str:
        """Making the lock must fail in these words, and leave the lock as it is."""
        before = self.lock.read_bytes()
        done = self.run("--update", key=key)
        assert done.code == code, done.stderr
        assert done.stderr.count("\nerror: ") + done.stderr.startswith("error: ") == 1
        for words in says:
            assert words in done.stderr
        assert "bug in xtool" not in done.stderr
        assert "Traceback" not in done.stderr
        assert self.lock.read_bytes() == before
        return str(done.stderr)

    @property
    def repodata(self) -> Path:
        return self.repository.folder / "repodata"

    def edit_repomd(self, pattern: str, becomes: str) -> None:
        """Change `repomd.xml`, and sign nothing."""
        path = self.repodata / "repomd.xml"
        text, count = re.subn(pattern, becomes, path.read_text(), count=1, flags=re.DOTALL)
        assert count == 1
        path.write_text(text)

    def edit_primary(self, change: Callable[[str], str], *, open_size: int | None = None) -> None:
        """Change the primary and all that speaks of it, and sign that: what only its owner can do."""
        (path,) = self.repodata.glob("*-primary.xml.gz")
        before = gzip.decompress(path.read_bytes()).decode()
        plain = change(before)
        assert plain != before or open_size is not None
        packed = gzip.compress(plain.encode())
        digest = hashlib.sha256(packed).hexdigest()
        old = path.name.partition("-")[0]
        path.unlink()
        path.with_name(path.name.replace(old, digest)).write_bytes(packed)
        repomd = self.repodata / "repomd.xml"
        text = repomd.read_text().replace(old, digest)
        start = text.index('<data type="primary">')
        end = text.index("</data>", start)
        block = re.sub(r"<size>\d+", f"<size>{len(packed)}", text[start:end])
        block = re.sub(r"<open-size>\d+", f"<open-size>{open_size or len(plain.encode())}", block)
        repomd.write_text(text[:start] + block + text[end:])
        self.repository.sign_metadata(self.key)

    def flip(self, name: str, at: int) -> None:
        """Change one byte of a package."""
        path = self.repository.files[name]
        data = bytearray(path.read_bytes())
        data[at] ^= 1
        path.write_bytes(data)

    def forged(self, name: str, made: pgpforge.Key, **options: Any) -> ForgedKey:
        """A key that was written field by field."""
        return ForgedKey(self.folder / name, made, **options)


@pytest.fixture
def world(
    inside: Any,
    tmp_path: Path,
    good: Path,
    key: GpgKey,
    server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
) -> World:
    return World(inside, tmp_path, good, key, server, monkeypatch.setenv)


def test_a_lock_is_made_from_a_vault(world: World) -> None:
    world.update()
    catalog = Catalog(world.toolchains)
    lock = catalog.sysroot_lock(catalog.sysroots.distributions["centos7"]["ppc64le"])
    assert [one.name for one in lock.artifacts] == sorted(NAMES)
    for one in lock.artifacts:
        path = world.vault.root / one.path
        assert one.size == path.stat().st_size
        assert one.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        # A cpio archive of one file: two headers, two names, the data; each padded to four bytes.
        assert len(f"{one.name} ") * 3000 < one.unpacked_size < len(f"{one.name} ") * 3000 + 1024
    (evidence,) = lock.evidence
    assert evidence.repository == CENTOS
    assert evidence.url == world.server.base
    assert evidence.date == "2020-10-29T19:33:20Z"
    assert evidence.fingerprint == evidence.packages_fingerprint == world.key.fingerprint
    text = world.lock.read_text()
    shown = world.inside("lock", "--sysroot", "centos7", "ppc64le")
    assert f"metadata signed by {world.key.fingerprint}, packages by {world.key.fingerprint}" in shown.stdout
    assert world.run("--check").code == 0
    assert world.run("--update").code == 0
    assert world.lock.read_text() == text
    document = world.run("--check", "--output", "json").document
    assert document["data"]["locks"][0]["changed"] is False


def test_newer_packages_change_the_lines_that_they_must(world: World) -> None:
    world.update()
    before = world.lock.read_text().splitlines()
    world.repository.build(_packages("326.el7_9"))
    world.repository.publish(revision=REVISION + 86400)
    check = world.run("--check")
    assert check.code == 6
    assert "there are newer files for centos7 of ppc64le" in check.stderr
    assert "xtool lock --update --sysroot centos7" in check.stderr
    assert world.lock.read_text().splitlines() == before
    world.update()
    after = world.lock.read_text().splitlines()
    assert 'version = "2.17-326.el7_9"' in after
    changed = {line.partition(" = ")[0] for line in set(after) - set(before)}
    assert changed <= {"date", "version", "path", "size", "sha256", "unpacked_size"}
    assert len(after) == len(before)


def test_another_mirror_of_the_same_state_is_no_change(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.update()
    text = world.lock.read_text()
    with FakeServer() as other:
        other.add_tree(world.vault.root)
        monkeypatch.setenv("XTOOL_CENTOS_MIRROR", f"http://127.0.0.1:9/ {other.url('/', user='me:secret')}")
        done = world.run("--update")
        assert done.code == 0, done.stderr
        assert "secret" not in done.stderr
    assert world.lock.read_text() == text


@pytest.mark.parametrize(
    ("payload", "metadata"), [(".gz", "xz"), (".zst", "zst"), ("", "gz")], ids=["gz", "zst", "none"]
)
def test_every_compression(world: World, payload: str, metadata: str) -> None:
    """As on EL8 and later: the header is signed, and holds the payload's digest."""
    shutil.rmtree(world.vault.root)
    repository = world.vault.repository(CENTOS)
    repository.build(_packages(), payload=payload, whole=False)
    repository.publish(compression=metadata)
    world.update()
    assert f'packages_fingerprint = "{world.key.fingerprint}"' in world.lock.read_text()


def test_several_repositories_of_almalinux(world: World) -> None:
    catalog = Catalog(world.toolchains)
    distribution = catalog.sysroots.distributions["almalinux9"]["ppc64le"]
    base, apps, more = (world.vault.repository(one.path) for one in distribution.repositories)
    old, new = "60.el9", "125.el9_5"
    base.build([Package(n, "2.34", new) for n in ("glibc", "glibc-common", "glibc-gconv-extra")], whole=False)
    apps.build([Package("glibc-devel", "2.34", old), Package("kernel-headers", "5.14.0", "1")], whole=False)
    apps.build([Package("glibc-devel", "2.34", new)], whole=False)
    more.build([Package("glibc-static", "2.34", new), Package("glibc", "2.34", old)], whole=False)
    for repository in (base, apps, more):
        repository.publish()
    done = world.run("--update", sysroot="almalinux9")
    assert done.code == 0, done.stderr
    lock = catalog.sysroot_lock(distribution)
    assert {one.name: one.version for one in lock.artifacts if one.name.startswith("glibc")} == dict.fromkeys(
        ("glibc", "glibc-common", "glibc-devel", "glibc-gconv-extra", "glibc-static"), f"2.34-{new}"
    )
    assert [one.repository for one in lock.evidence] == sorted(one.path for one in distribution.repositories)


def test_keys_and_signatures_as_on_centos_7(world: World) -> None:
    """Version 3, a certificate held together by SHA-1, and a key that has expired since."""
    old = world.forged("old", pgpforge.Key(self_hash="sha1", expires=100_000_000), version=3)
    world.repository.sign(list(world.repository.files.values()), old)
    world.repository.publish(signed=False)
    world.repository.sign_metadata(old)
    world.update(key=old.file)
    assert f'packages_fingerprint = "{old.fingerprint}"' in world.lock.read_text()


# How the metadata can be spoilt.


def test_metadata_that_was_altered(world: World) -> None:
    world.edit_repomd(r"<revision>16", "<revision>17")
    world.refuses(
        4, "the signature of repomd.xml of altarch/7.9.2009/os/ppc64le/ does not hold", "another mirror"
    )


def test_metadata_signed_by_another_key(world: World) -> None:
    other = world.forged("other", pgpforge.Key(2))
    world.repository.sign_metadata(other)
    said = world.refuses(4, "is not signed by a pinned key", "--key FILE", "XTOOL_TOOLCHAINS_DIR does")
    assert other.fingerprint[-16:] in said
    assert world.key.fingerprint in said


@pytest.mark.parametrize(
    ("made", "options", "says"),
    [
        ({}, {"hash_name": "sha1"}, "is signed only with SHA1, which is broken"),
        ({}, {"hash_name": "md5", "version": 3}, "is signed only with MD5, which is broken"),
        ({"revoked": True}, {}, "was revoked"),
        ({"expires": 1000}, {}, "expired on 2014-05-13"),
        ({"expires": 1000, "self_hash": "sha1"}, {"version": 3}, "expired on 2014-05-13"),
        ({"created": 1_500_000_000}, {}, "which cannot be"),
        ({"bits": 1024, "self_hash": "sha1"}, {}, "the key has 1024 bits"),
    ],
)
def test_metadata_signed_by_a_key_that_is_no_good(world: World, made: Any, options: Any, says: str) -> None:
    bad = world.forged("bad", pgpforge.Key(**made), **options)
    world.repository.sign_metadata(bad)
    world.refuses(4, "repomd.xml", says, key=bad.file)


def test_a_signature_that_is_none(world: World) -> None:
    (world.repodata / "repomd.xml.asc").write_text("<!doctype html>Please log in")
    world.refuses(4, "the signature of repomd.xml", "is malformed")


def test_a_signature_that_was_there_before(world: World) -> None:
    world.update()
    (world.repodata / "repomd.xml.asc").unlink()
    world.refuses(4, "is not signed, and the one that the lock was made from was", world.key.fingerprint)


def test_a_repository_that_never_was_signed(world: World) -> None:
    """Its packages are signed all the same."""
    (world.repodata / "repomd.xml.asc").unlink()
    world.update()
    assert '\nfingerprint = ""\n' in world.lock.read_text()
    assert f'packages_fingerprint = "{world.key.fingerprint}"' in world.lock.read_text()


def test_a_repository_older_than_the_locks(world: World) -> None:
    world.update()
    world.repository.publish(revision=REVISION - 1)
    world.refuses(4, "is older than the one that the lock was made from", "2020-10-29T19:33:19Z")


def test_a_primary_that_is_not_the_listed_one(world: World) -> None:
    (path,) = world.repodata.glob("*-primary.xml.gz")
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)
    world.refuses(4, "is not the primary that repomd.xml lists", "expected sha256", "XTOOL_CENTOS_MIRROR")


_DOCTYPE = '<!DOCTYPE metadata [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>\n<metadata '


@pytest.mark.parametrize(
    ("pattern", "becomes", "says"),
    [
        ("<metadata ", _DOCTYPE, "it has a document type"),
        ("</metadata>", "", "not XML"),
        ("<metadata ", "<other ", "another kind of document"),
        (f'href="Packages/{DEVEL}"', f'href="../../../{DEVEL}"', "no path below the repository"),
        (f'href="Packages/{DEVEL}"', f'href="/{DEVEL}"', "no path below the repository"),
        (f'href="Packages/{DEVEL}"', f'xml:base="http://x/" href="{DEVEL}"', "no path below the repository"),
        ('checksum type="sha256"', 'checksum type="sha"', "is not given by a sha256"),
        ("<name>glibc-devel</name>", "<name>glibc-devel</name><name>x</name>", "two of name"),
        ('ver="2.17"', 'ver="2/17"', "no proper ver"),
        ('size package="', 'size package="-', "not a number of bytes"),
    ],
)
def test_a_primary_that_is_malformed(world: World, pattern: str, becomes: str, says: str) -> None:
    world.edit_primary(lambda text: text.replace(pattern, becomes))
    world.refuses(4, "primary of altarch/7.9.2009/os/ppc64le/ is malformed", says)


def test_a_primary_that_is_larger_than_it_says(world: World) -> None:
    world.edit_primary(lambda text: text, open_size=100)
    world.refuses(4, "unpacks to more than it should")


@pytest.mark.parametrize(
    ("pattern", "becomes", "says"),
    [
        (r"<\?xml.*\?>", '<!DOCTYPE repomd SYSTEM "http://127.0.0.1:9/x">', "it has a document type"),
        (r'type="primary"', 'type="secondary"', "it has no primary"),
        (r'type="filelists"', 'type="primary"', "it has two primaries"),
        (r'href="repodata/', 'href="../../repodata/', "no path of a .gz, .xz or .zst file"),
        (r"-primary.xml.gz", "-primary.xml.bz2", "no path of a .gz, .xz or .zst file"),
        (r'checksum type="sha256"', 'checksum type="sha1"', "not given by a sha256"),
        (r"<size>\d+", "<size>many", "not a number of bytes"),
        (r"</repomd>", "", "not XML"),
    ],
)
def test_metadata_that_is_malformed(world: World, pattern: str, becomes: str, says: str) -> None:
    world.edit_repomd(pattern, becomes)
    world.repository.sign_metadata(world.key)
    world.refuses(4, "repomd.xml of altarch/7.9.2009/os/ppc64le/ is malformed", says)


# How packages can be spoilt.


def test_a_package_that_is_not_the_listed_one(world: World) -> None:
    world.flip("glibc-devel", -1)
    world.refuses(4, f"checksum mismatch for {DEVEL}", "expected sha256", "XTOOL_CENTOS_MIRROR")


def test_a_package_that_is_not_signed(world: World) -> None:
    world.repository.build(
        [Package("glibc-devel", "2.17", "317.el7", {"usr/include/x.h": b"int x;"})], signed=False
    )
    world.repository.publish()
    world.refuses(4, f"{DEVEL} is not signed", "rpmsign --addsign")


def test_a_package_signed_by_another_key(world: World) -> None:
    other = world.forged("other", pgpforge.Key(2))
    world.repository.sign([world.repository.files["glibc-devel"]], other)
    world.repository.publish()
    said = world.refuses(4, f"{DEVEL} is not signed by a pinned key")
    assert other.fingerprint[-16:] in said


@pytest.mark.parametrize(
    ("made", "options", "says"),
    [
        ({}, {"hash_name": "sha1"}, "is signed only with SHA1, which is broken"),
        ({"revoked": True}, {}, "was revoked"),
        ({"expires": 1000}, {}, "expired on 2014-05-13"),
    ],
)
def test_a_package_signed_by_a_key_that_is_no_good(world: World, made: Any, options: Any, says: str) -> None:
    bad = world.forged("bad", pgpforge.Key(**made), **options)
    world.repository.sign([world.repository.files["glibc-devel"]], bad)
    world.repository.publish()
    both = world.folder / "both.asc"
    both.write_text(world.key.file.read_text() + bad.file.read_text())
    world.refuses(4, DEVEL, says, key=both)


def _query(path: Path, what: str) -> str:
    words = ["rpm", "-qp", "--nosignature", "--qf", what, str(path)]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("what", ["header", "payload"])
def test_a_package_that_was_altered_with_its_metadata(world: World, what: str) -> None:
    path = world.repository.files["glibc-devel"]
    data = path.read_bytes()
    if what == "header":
        data = data.replace(b"a package of the tests", b"a package of the pests")
        says = f"the signature of {DEVEL} does not hold"
    else:
        start = len(data) - int(_query(path, "%{sigsize}"))
        old = hashlib.md5(data[start:]).digest()
        data = data[:-20] + bytes([data[-20] ^ 1]) + data[-19:]
        # Nothing signs the MD5, so whoever alters the payload makes it fit.
        assert data.count(old) == 1
        data = data.replace(old, hashlib.md5(data[start:]).digest())
        says = "the payload has another sha256 digest"
    path.write_bytes(data)
    world.repository.publish()
    world.refuses(4, says)


def test_one_package_under_the_name_of_another(world: World) -> None:
    """A valid, signed package: only its own words give it away."""
    static = world.repository.files["glibc-static"]
    sha256 = hashlib.sha256(static.read_bytes()).hexdigest()

    def change(text: str) -> str:
        start = text.index("<name>glibc-devel</name>")
        end = text.index("</package>", start)
        block = re.sub(r"[0-9a-f]{64}", sha256, text[start:end]).replace(DEVEL, static.name)
        block = re.sub(r'size package="\d+"', f'size package="{static.stat().st_size}"', block)
        return text[:start] + block + text[end:]

    world.edit_primary(change)
    world.refuses(4, "is another package than the repository says", "it says that it is glibc-static-2.17")


@pytest.mark.parametrize("what", ["page", "deb", "cut", "lead", "longer"])
def test_a_listed_file_that_is_no_package(world: World, what: str) -> None:
    """Whoever signs the metadata can list anything; nothing is unpacked before it was looked at."""
    path = world.repository.files["glibc-devel"]
    before = path.read_bytes()
    data, says = {
        "page": (b"<!doctype html>", "is not an RPM package"),
        "deb": (b"!<arch>\ndebian-binary   ", "is not an RPM package"),
        "cut": (before[:3000], "cut short"),
        "lead": (before[:4] + b"\x09" + before[5:], "unknown package format"),
        "longer": (before + b"more", "is longer than it says"),
    }[what]
    path.write_bytes(data)
    old, new = (hashlib.sha256(one).hexdigest() for one in (before, data))
    world.edit_primary(
        lambda text: re.sub(
            rf"({old}.*?size package=\")\d+",
            lambda match: match[1].replace(old, new) + str(len(data)),
            text,
            count=1,
            flags=re.DOTALL,
        )
    )
    world.refuses(4, DEVEL, says)


# What is nobody's attack.


def test_a_package_that_is_missing(world: World) -> None:
    world.repository.files["glibc-static"].unlink()
    world.repository.publish()
    world.refuses(2, "the repositories of CentOS 7 have no glibc-static for ppc64le", CENTOS)


def test_a_repository_that_is_missing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(world.repodata)
    world.refuses(3, "there is no repomd.xml of altarch/7.9.2009/os/ppc64le/", "XTOOL_CENTOS_MIRROR")
    monkeypatch.setenv("XTOOL_CENTOS_MIRROR", "http://127.0.0.1:9/")
    world.refuses(3, "cannot download the repomd.xml", "XTOOL_CENTOS_MIRROR")
    monkeypatch.setenv("XTOOL_OFFLINE", "1")
    world.refuses(3, "`--offline` forbids")


def test_a_second_mirror_helps(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeServer() as stale:
        stale.add(f"/{CENTOS}repodata/repomd.xml", Reply((world.repodata / "repomd.xml").read_bytes() + b" "))
        stale.add(
            f"/{CENTOS}repodata/repomd.xml.asc", Reply((world.repodata / "repomd.xml.asc").read_bytes())
        )
        monkeypatch.setenv("XTOOL_CENTOS_MIRROR", f"{stale.base} {world.server.base}")
        world.update()
        assert stale.count() >= 2


def test_the_pinned_keys_count_without_a_key_option(world: World) -> None:
    world.serve()
    done = world.inside("lock", "--update", "--sysroot", "centos7", "--target", "ppc64le")
    assert done.code == 4
    assert "BAFA3436FC50768E3C3C2E4EA963BBDBF533F4FA" in done.stderr


def test_packages_that_only_a_hash_pins(world: World) -> None:
    """ClefOS: nothing new is believed without a key; what the lock has already is."""
    lock = world.toolchains / "locks/sysroots/centos7-s390x.toml"
    repository = world.vault.repository("7/os/s390x/", arch="s390x", packages=".")
    repository.build(_packages())
    repository.publish(signed=False)
    world.serve()
    words = ("lock", "--update", "--sysroot", "centos7", "s390x")
    stranger = world.inside(*words)
    assert stranger.code == 4
    assert "no key is pinned for ClefOS 7" in stranger.stderr
    assert "glibc-2.17-317.el7.s390x.rpm" in stranger.stderr
    made = world.inside(*words, "--key", str(world.key.file))
    assert made.code == 0, made.stderr
    signed = lock.read_text()
    assert 'path = "7/os/s390x/glibc-2.17-317.el7.s390x.rpm"' in signed
    again = world.inside(*words)
    assert again.code == 0, again.stderr
    assert lock.read_text() == signed.replace(world.key.fingerprint, "")


@pytest.mark.parametrize(
    ("words", "says", "hint"),
    [
        (["--sysroot", "centos8"], "there is no sysroot `centos8`", "derived"),
        (["--sysroot", "rocky10", "riscv65"], "there is no target `riscv65`", "riscv64"),
        (["--sysroot", "almalinux9", "riscv64"], "sysroot almalinux9 is not declared for", "sysroots.toml"),
        (["--update", "--key", "x"], "`--key` names who may sign", "--sysroot NAME"),
        (["--sysroot", "centos7", "--check", "--key", "none"], "cannot read", ""),
        (["--sysroot", "centos7", "--check", "--key", LOCK], "holds no OpenPGP certificates", ""),
    ],
)
def test_mistakes(world: World, words: list[str], says: str, hint: str) -> None:
    words = [str(world.toolchains / word) if word == LOCK else word for word in words]
    done = world.inside("lock", *words)
    assert done.code == 2, done.stderr
    assert says in done.stderr
    assert hint in done.stderr.rpartition("hint: ")[2]


def test_a_folder_that_cannot_be_written(world: World) -> None:
    shutil.rmtree(world.lock.parent)
    world.lock.parent.write_text("in the way")
    done = world.run("--update")
    assert done.code == 5
    assert "cannot write" in done.stderr
    assert "XTOOL_TOOLCHAINS_DIR" in done.stderr


def test_what_is_declared_has_changed_since(world: World) -> None:
    path = world.toolchains / "sysroots.toml"
    path.write_text(path.read_text().replace('  "nss-softokn-freebl",\n', ""))
    shown = world.inside("lock", "--sysroot", "centos7", "ppc64le")
    assert shown.code == 0
    assert "older than what is declared" in shown.stdout
    world.update()
    assert "older than" not in world.inside("lock", "--sysroot", "centos7", "ppc64le").stdout


def test_the_repositories_helper_signs_as_it_says(world: World) -> None:
    """What these tests rest on: rpm itself takes the packages for signed by this key."""
    files = [str(path) for path in world.repository.files.values()]
    database = world.folder / "rpmdb"
    for words in (["--import", str(world.key.file)], ["--checksig", "--verbose", *files]):
        done = subprocess.run(
            ["rpmkeys", "--dbpath", str(database), *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Header V4 RSA/SHA512 Signature") == len(files)


def test_a_modern_key_signs_with_the_other_tags(world: World) -> None:
    """Ed25519 signatures stand under the tags 267 and 1005; Sequoia checks them."""
    with tempfile.TemporaryDirectory(prefix="xt-") as home:
        modern = GpgKey(Path(home) / "gnupg", "ed25519")
        try:
            world.repository.sign(list(world.repository.files.values()), modern)
            world.repository.publish(signed=False)
            world.repository.sign_metadata(modern)
            world.update(key=modern.file)
            assert f'packages_fingerprint = "{modern.fingerprint}"' in world.lock.read_text()
            data = world.repository.files["glibc-devel"].read_bytes()
            altered = data.replace(b"a package of the tests", b"a package of the pests")
            world.repository.files["glibc-devel"].write_bytes(altered)
            world.repository.publish(signed=False, revision=REVISION + 1)
            world.repository.sign_metadata(modern)
            world.refuses(4, f"the signature of {DEVEL} does not hold", key=modern.file)
        finally:
            modern.close()
