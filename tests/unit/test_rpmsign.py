"""Signatures of RPM packages: EL7's, which today's tools make no more, and rpm's own verdict on them."""

from __future__ import annotations

import hashlib
import os
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import pytest
from support import pgpforge, rpmforge
from support.artifacts import said
from support.pgpforge import Key
from support.rpmforge import BIN, INT32, STRING, STRING_ARRAY

from xtool.errors import ArchiveError, CatalogError, IntegrityError
from xtool.fetch.rpmsign import inspect, unpacked_size
from xtool.fetch.signatures import Certificate, check_signature, pinned, read_certificates

NOW = datetime(2026, 11, 22, tzinfo=timezone.utc)
MAKER = Key(self_hash="sha1")
OTHER = Key(2)
CPIO = rpmforge.cpio(rpmforge.member("./usr/include/x.h", b"int x;\n" * 100))


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> list[Certificate]:
    """A certificate as CentOS 7's are: its self-signature is by SHA-1."""
    return _ring(tmp_path_factory.mktemp("ring"), MAKER)


def _ring(folder: Path, *keys: Key) -> list[Certificate]:
    path = folder / "ring.asc"
    path.write_text(pgpforge.keyring(keys))
    return read_certificates(path)


def _el7(
    *,
    header_by: Key | None = MAKER,
    whole_by: Key | None = MAKER,
    version: int = 3,
    hash_name: str = "sha256",
    digest: bool = False,
) -> bytes:
    """A package as rpm 4.11 made them: signed as a whole, no digest of the payload in the header."""
    body = rpmforge.forge.compress(CPIO, ".xz")
    entries = rpmforge.header_entries("xz")
    # What rpm wants to see in a header before it looks at signatures at all.
    entries = [entry for entry in entries if entry[0] != 1125]
    entries.append((1125, STRING, "xz"))
    if digest:
        entries += [(5092, STRING_ARRAY, [hashlib.sha256(body).hexdigest()]), (5093, INT32, [8])]
    main = rpmforge.header(sorted(entries), 63)
    options = {"version": version, "hash_name": hash_name}
    signatures: list[rpmforge.Entry] = []
    if header_by is not None:
        signatures.append((268, BIN, header_by.sign(main, **options)))  # type: ignore[arg-type]
    signatures += [
        (269, STRING, hashlib.sha1(main, usedforsecurity=False).hexdigest()),
        (1000, INT32, [len(main) + len(body)]),
    ]
    if whole_by is not None:
        signatures.append((1002, BIN, whole_by.sign(main + body, **options)))  # type: ignore[arg-type]
    signatures += [
        (1004, BIN, hashlib.md5(main + body, usedforsecurity=False).digest()),
        (1007, INT32, [len(CPIO)]),
    ]
    return rpmforge.rpm(CPIO, ".xz", packed=body, main=main, signatures=signatures)


def _look(folder: Path, data: bytes, ring: list[Certificate]) -> str:
    path = folder / "x.rpm"
    path.write_bytes(data)
    return inspect(path, "x.rpm", ring, now=NOW)[1]


def _refused(folder: Path, data: bytes, ring: list[Certificate]) -> IntegrityError:
    with pytest.raises(IntegrityError) as caught:
        _look(folder, data, ring)
    return caught.value


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
def test_a_package_of_el7(tmp_path: Path, ring: list[Certificate], version: int, hash_name: str) -> None:
    data = _el7(version=version, hash_name=hash_name)
    assert _look(tmp_path, data, ring) == MAKER.fingerprint
    rpm, _ = inspect(tmp_path / "x.rpm", "x.rpm", ring, now=NOW)
    assert rpm.nevra == "forged-1-1.ppc64le"
    assert unpacked_size(tmp_path / "x.rpm", rpm) == len(CPIO)


def test_a_certificate_that_sequoia_takes(tmp_path: Path) -> None:
    sound = _ring(tmp_path, Key())
    assert sound[0].sound
    for version in (3, 4):
        assert _look(tmp_path, _el7(version=version), sound) == MAKER.fingerprint


@pytest.mark.parametrize("version", [3, 4])
def test_the_payload_is_under_the_signature(tmp_path: Path, ring: list[Certificate], version: int) -> None:
    data = bytearray(_el7(version=version))
    data[-30] ^= 1
    error = _refused(tmp_path, bytes(data), ring)
    assert error.code == "bad-signature"
    assert "the signature of x.rpm does not hold" in said(error)


def test_the_header_is_under_the_signature(tmp_path: Path, ring: list[Certificate]) -> None:
    data = _el7()
    assert data.count(b"/bin/sh\0") == 1
    assert _refused(tmp_path, data.replace(b"/bin/sh\0", b"/bin/ss\0"), ring).code == "bad-signature"


def test_a_signed_header_alone_says_nothing_of_the_payload(tmp_path: Path, ring: list[Certificate]) -> None:
    error = _refused(tmp_path, _el7(whole_by=None), ring)
    assert error.code == "unsigned"
    assert "only its header is signed" in error.message
    assert _look(tmp_path, _el7(whole_by=None, digest=True), ring) == MAKER.fingerprint
    # The header's signature is good here, but what covers the files is another one's.
    assert _refused(tmp_path, _el7(whole_by=OTHER), ring).code == "wrong-key"


def test_the_digest_in_a_signed_header_is_compared(tmp_path: Path, ring: list[Certificate]) -> None:
    data = bytearray(_el7(whole_by=None, digest=True))
    data[-30] ^= 1
    path = tmp_path / "x.rpm"
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match=r"another (sha256|md5) digest"):
        inspect(path, "x.rpm", ring, now=NOW)


def test_a_package_without_signature(tmp_path: Path, ring: list[Certificate]) -> None:
    data = _el7(header_by=None, whole_by=None)
    error = _refused(tmp_path, data, ring)
    assert (error.code, error.message) == ("unsigned", "x.rpm is not signed")
    assert _look(tmp_path, data, []) == ""


@pytest.mark.parametrize(
    ("key", "options", "code", "says"),
    [
        (OTHER, {}, "wrong-key", OTHER.fingerprint[-16:]),
        (MAKER, {"hash_name": "sha1"}, "weak-signature", "only with SHA1"),
        (MAKER, {"hash_name": "md5"}, "weak-signature", "only with MD5"),
        (MAKER, {"created": 1_399_999_999}, "signature-time", "cannot be"),
        (MAKER, {"created": int(NOW.timestamp()) + 90_000}, "signature-time", "cannot be"),
        (MAKER, {"kind": 0x01}, "signature", "not one of a file"),
    ],
)
@pytest.mark.parametrize("version", [3, 4])
def test_each_refusal_has_its_words(
    ring: list[Certificate], key: Key, options: dict[str, object], code: str, says: str, version: int
) -> None:
    packet = key.sign(b"data", version=version, **options)  # type: ignore[arg-type]
    with pytest.raises(IntegrityError) as caught:
        check_signature(packet, lambda: [b"data"], ring, "it", now=NOW)
    assert caught.value.code == code
    assert says in said(caught.value)


def test_the_time_of_the_signature_counts_and_not_today(tmp_path: Path) -> None:
    for version in (3, 4):
        for self_hash in ("sha1", "sha256"):
            ring = _ring(tmp_path, Key(expires=10_000_000, self_hash=self_hash))
            early = MAKER.sign(b"data", version=version, created=1_409_999_999)
            assert check_signature(early, lambda: [b"data"], ring, "it", now=NOW) == MAKER.fingerprint
            late = MAKER.sign(b"data", version=version, created=1_410_000_000)
            with pytest.raises(IntegrityError, match="no longer good") as caught:
                check_signature(late, lambda: [b"data"], ring, "it", now=NOW)
            assert "expired on 2014-09-06" in said(caught.value)


def test_a_subkey_counts_where_it_is_pinned_by_itself(tmp_path: Path) -> None:
    """AlmaLinux 8 was signed by a subkey until January 2024, bound by SHA-1."""
    path = tmp_path / "ring.asc"
    path.write_text(Key(2, self_hash="sha1", subkey=MAKER).armored)
    for version in (3, 4):
        packet = MAKER.sign(b"data", version=version)
        both = pinned(path, [OTHER.fingerprint, MAKER.fingerprint])
        assert check_signature(packet, lambda: [b"data"], both, "it", now=NOW) == MAKER.fingerprint
        alone = pinned(path, [MAKER.fingerprint])
        assert check_signature(packet, lambda: [b"data"], alone, "it", now=NOW) == MAKER.fingerprint
        with pytest.raises(IntegrityError, match="does not hold") as caught:
            check_signature(packet, lambda: [b"data"], pinned(path, [OTHER.fingerprint]), "it", now=NOW)
        assert "by a subkey that is not pinned" in said(caught.value)
        by_primary = OTHER.sign(b"data", version=version)
        with pytest.raises(IntegrityError, match="not signed by a pinned key"):
            check_signature(by_primary, lambda: [b"data"], alone, "it", now=NOW)
    with pytest.raises(CatalogError, match="lacks pinned certificates"):
        pinned(path, ["0" * 40])


@pytest.mark.parametrize("self_hash", ["sha1", "sha256"])
def test_a_revoked_key(tmp_path: Path, self_hash: str) -> None:
    ring = _ring(tmp_path, Key(revoked=True, self_hash=self_hash))
    with pytest.raises(IntegrityError) as caught:
        check_signature(MAKER.sign(b"data", version=3), lambda: [b"data"], ring, "it", now=NOW)
    assert "was revoked" in said(caught.value)


def test_a_short_key(tmp_path: Path) -> None:
    short = Key(3, bits=1024, self_hash="sha1")
    with pytest.raises(IntegrityError, match="does not hold") as caught:
        check_signature(short.sign(b"data"), lambda: [b"data"], _ring(tmp_path, short), "it", now=NOW)
    assert "the key has 1024 bits" in said(caught.value)


def test_every_bit_of_the_number_counts(ring: list[Certificate]) -> None:
    packet = MAKER.sign(b"data", version=3)
    for at in range(len(packet) - 256, len(packet), 17):
        spoilt = packet[:at] + bytes([packet[at] ^ 0x10]) + packet[at + 1 :]
        with pytest.raises(IntegrityError, match="does not hold"):
            check_signature(spoilt, lambda: [b"data"], ring, "it", now=NOW)


@pytest.mark.parametrize("cut", range(0, 290, 7))
def test_a_signature_that_is_cut_short(ring: list[Certificate], cut: int) -> None:
    for version in (3, 4):
        packet = MAKER.sign(b"data", version=version)
        with pytest.raises(IntegrityError):
            check_signature(packet[: min(cut, len(packet) - 1)], lambda: [b"data"], ring, "it", now=NOW)


def test_one_good_signature_among_several_is_enough(ring: list[Certificate]) -> None:
    both = OTHER.sign(b"data") + MAKER.sign(b"data", version=3)
    assert check_signature(both, lambda: [b"data"], ring, "it", now=NOW) == MAKER.fingerprint
    bad = MAKER.sign(b"Data", version=3) + OTHER.sign(b"data")
    with pytest.raises(IntegrityError) as caught:
        check_signature(bad, lambda: [b"data"], ring, "it", now=NOW)
    assert caught.value.code == "bad-signature"


@pytest.fixture(scope="module")
def rpm_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """rpm's own database, with the maker's key."""
    folder = tmp_path_factory.mktemp("rpmdb")
    (folder / "key.asc").write_text(MAKER.armored)
    words = ["rpmkeys", "--dbpath", str(folder / "db"), "--import", str(folder / "key.asc")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "db"


@pytest.mark.parametrize("spoil", ["", "header", "payload", "key"])
@pytest.mark.parametrize("version", [3, 4])
def test_rpm_is_of_the_same_opinion(
    tmp_path: Path, ring: list[Certificate], rpm_database: Path, spoil: str, version: int
) -> None:
    data = _el7(version=version)
    if spoil == "key":
        data = _el7(version=version, header_by=OTHER, whole_by=OTHER)
    elif spoil == "header":
        data = data.replace(b"/bin/sh\0", b"/bin/ss\0")
    elif spoil == "payload":
        data = data[:-30] + bytes([data[-30] ^ 1]) + data[-29:]
    path = tmp_path / "x.rpm"
    path.write_bytes(data)
    words = ["rpmkeys", "--dbpath", str(rpm_database), "--checksig", "--verbose", str(path)]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
    )
    said_by_rpm = [line.strip() for line in done.stdout.splitlines() if f"V{version} RSA/SHA256" in line]
    assert said_by_rpm, done.stdout + done.stderr
    good = all(line.endswith(": OK") for line in said_by_rpm)
    try:
        ours = _look(tmp_path, data, ring) == MAKER.fingerprint
    except IntegrityError:
        ours = False
    assert ours == good == (not spoil), done.stdout
