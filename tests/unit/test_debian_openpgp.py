"""Signatures of releases: what holds, and every way in which one does not, each with words of its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pysequoia
import pytest
from support.debarchive import clearsign, fingerprint, new_key

from xtool.catalog import Catalog
from xtool.errors import CatalogError, IntegrityError
from xtool.fetch.openpgp import Signed, verify_cleartext

TEXT = b"Origin: Test\nSuite: stable\n- a line with a dash\n"
DATA = Path(__file__).parent.parent / "support" / "data"

Verify = Callable[..., Signed]


@pytest.fixture(scope="module")
def key() -> pysequoia.Tsk:
    return new_key()


@pytest.fixture
def verify(tmp_path: Path) -> Verify:
    def run(data: bytes, *pinned: pysequoia.Tsk | pysequoia.Cert) -> Signed:
        certificates = [p if isinstance(p, pysequoia.Cert) else p.extract_certificate() for p in pinned]
        keyring = tmp_path / "keys.asc"
        keyring.write_text("".join(map(str, certificates)))
        names = [certificate.fingerprint.upper() for certificate in certificates]
        return verify_cleartext(data, keyring=keyring, fingerprints=names, what="InRelease of trixie")

    return run


def test_a_good_signature(verify: Verify, key: pysequoia.Tsk) -> None:
    signed = verify(clearsign(key, TEXT), new_key("another"), key)
    assert signed.content == TEXT
    assert signed.fingerprint == fingerprint(key)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.replace(b"stable", b"stabel"), "the signature of InRelease of trixie does not hold"),
        (lambda d: b"Suite: evil\n" + d, "text outside its signed block"),
        (lambda d: d + b"Suite: evil\n", "text outside its signed block"),
        (lambda d: d + d, "more than one signed block"),
        (lambda d: d.partition(b"-----BEGIN PGP SIGNATURE")[0], "carries no signature"),
        (lambda _: TEXT, "carries no signature"),
        (lambda _: b"", "carries no signature"),
        (lambda _: b"<html>", "carries no signature"),
        (lambda d: d[: len(d) - 60], "is cut short"),
        (lambda _: b"\xff\xfe", "is not text"),
        (lambda d: d.replace(b"\n\n", b"\n\n@@@@", 2), "InRelease of trixie"),
    ],
)
def test_each_refusal_has_its_words(
    verify: Verify, key: pysequoia.Tsk, change: Callable[[bytes], bytes], words: str
) -> None:
    with pytest.raises(IntegrityError, match=words) as caught:
        verify(change(clearsign(key, TEXT)), key)
    assert caught.value.exit_code == 4
    assert "backtrace" not in " ".join(caught.value.facts)


def test_a_smuggled_second_message_is_not_read(verify: Verify, key: pysequoia.Tsk) -> None:
    good = clearsign(key, TEXT)
    evil = b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nSuite: evil\n"
    with pytest.raises(IntegrityError, match="more than one signed block"):
        verify(evil + good, key)


def test_the_wrong_key_is_named(verify: Verify, key: pysequoia.Tsk) -> None:
    other = new_key("another")
    with pytest.raises(IntegrityError, match="is not signed by a pinned key") as caught:
        verify(clearsign(other, TEXT), key)
    assert any(fingerprint(key) in fact for fact in caught.value.facts)
    assert any(fact.startswith("signed by ") for fact in caught.value.facts)


def test_a_certificate_that_is_not_pinned_does_not_count(key: pysequoia.Tsk, tmp_path: Path) -> None:
    other = new_key("another")
    keyring = tmp_path / "keys.asc"
    keyring.write_text(str(key.extract_certificate()) + str(other.extract_certificate()))
    with pytest.raises(IntegrityError, match="is not signed by a pinned key"):
        verify_cleartext(clearsign(other, TEXT), keyring=keyring, fingerprints=[fingerprint(key)], what="it")


def test_an_expired_key(verify: Verify, key: pysequoia.Tsk) -> None:
    ended = datetime.now(timezone.utc) - timedelta(seconds=20)
    expired = key.extract_certificate().set_expiration(ended, key.certifier())
    with pytest.raises(IntegrityError, match="by a key that is no longer good") as caught:
        verify(clearsign(key, TEXT), expired)
    assert caught.value.facts == (f"{fingerprint(key)} expired on {ended:%Y-%m-%d}",)


def test_a_revoked_key(verify: Verify, key: pysequoia.Tsk) -> None:
    certificate = key.extract_certificate()
    revocation = certificate.revoke(key.certifier())
    revoked = pysequoia.Cert.from_bytes(bytes(certificate) + bytes(revocation))
    assert revoked.is_revoked
    with pytest.raises(IntegrityError, match="by a key that is no longer good") as caught:
        verify(clearsign(key, TEXT), revoked)
    assert "was revoked" in caught.value.facts[0]


def test_a_signature_that_is_only_sha1() -> None:
    (certificate,) = pysequoia.Cert.split_file(str(DATA / "sha1.asc"))
    with pytest.raises(IntegrityError, match="signed only with SHA1, which is broken"):
        verify_cleartext(
            (DATA / "sha1.InRelease").read_bytes(),
            keyring=DATA / "sha1.asc",
            fingerprints=[certificate.fingerprint.upper()],
            what="InRelease of trixie",
        )


def test_a_keyring_without_a_pinned_certificate(key: pysequoia.Tsk, tmp_path: Path) -> None:
    keyring = tmp_path / "keys.asc"
    keyring.write_text(str(key.extract_certificate()))
    for names in (["0" * 40], []):
        with pytest.raises(CatalogError, match="lacks pinned certificates"):
            verify_cleartext(clearsign(key, TEXT), keyring=keyring, fingerprints=names, what="it")
    with pytest.raises(CatalogError, match="cannot read"):
        verify_cleartext(clearsign(key, TEXT), keyring=tmp_path / "none", fingerprints=["0"], what="it")


@pytest.mark.parametrize("suite", ["trixie", "bookworm"])
def test_the_shipped_keyrings_hold_what_is_pinned_and_nothing_else(suite: str) -> None:
    catalog = Catalog()
    record = catalog.archives["debian"].suites[suite]
    found = pysequoia.Cert.split_file(str(catalog.root / record.keyring))
    assert sorted(c.fingerprint.upper() for c in found) == sorted(record.fingerprints)
