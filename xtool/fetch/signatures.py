"""Checking detached OpenPGP signatures of RPM repositories and packages against pinned certificates.

Sequoia does it wherever it will. Two things that CentOS 7 is made of it refuses for good reasons that do not
hold here (`docs/decisions/0012-rpm-locks.md`): signatures of version 3, and certificates whose self-signature
is by SHA-1. A pinned fingerprint says which key is meant, whatever its self-signature is worth; so for these
two the RSA check (RFC 8017, section 8.2.2) is made here, over SHA-256 or better, with the pinned primary key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xtool.errors import CatalogError, IntegrityError
from xtool.fetch.openpgp import BROKEN_HASHES, first_line, read_certs, signature_packets

if TYPE_CHECKING:
    from pysequoia import Cert

_BINARY = 0x00
"""The type of a signature over a file as it is (RFC 9580, section 5.2.1.1)."""

_RSA = (1, 3)
_HASHES = {
    8: ("sha256", "3031300d060960864801650304020105000420"),
    9: ("sha384", "3041300d060960864801650304020205000430"),
    10: ("sha512", "3051300d060960864801650304020305000440"),
}
"""Number of the hash, its name, and its DigestInfo (RFC 9580, section 9.5; RFC 8017, section 9.2)."""

_HASH_NAMES = {1: "MD5", 2: "SHA1", 3: "RIPEMD160", 8: "SHA256", 9: "SHA384", 10: "SHA512", 11: "SHA224"}
_SHORTEST = 2048
"""Bits of the shortest RSA modulus that may sign."""

_SELF_SIGNATURES = (0x10, 0x11, 0x12, 0x13, 0x1F)
_CLOCKS = timedelta(days=1)
"""How far the clock of who signed may be ahead."""

Reader = Callable[[], Iterable[bytes]]
"""Gives the signed bytes, from the start, each time it is called."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that may sign, or one subkey of it that is pinned by itself.

    Args:
        cert: as Sequoia reads it.
        fingerprint: upper-case hex fingerprint of the primary key, or of the subkey.
        names: fingerprints and key IDs of all its keys, upper-case; or of the subkey alone.
        key: the body of that key's packet (RFC 9580, section 5.5.2).
        created: when that key was made.
        expires: until when it may sign, if it says so.
        revoked: whether it was revoked.
        sound: whether Sequoia's policy accepts it; a subkey by itself is none of its business.
    """

    cert: Cert
    fingerprint: str
    names: frozenset[str]
    key: bytes
    created: datetime
    expires: datetime | None
    revoked: bool
    sound: bool


@dataclass(frozen=True, slots=True)
class _Signature:
    """A signature packet, read as far as the check needs it."""

    version: int
    kind: int
    algorithm: int
    hash: int
    created: datetime | None
    issuer: str
    signed: bytes
    mpi: int
    packet: bytes

    @property
    def hash_name(self) -> str:
        """The hash algorithm in words."""
        return _HASH_NAMES.get(self.hash, f"hash {self.hash}")


def read_certificates(keyring: Path) -> list[Certificate]:
    """All certificates of a file.

    Raises:
        CatalogError: it cannot be read, or holds none.
    """
    return [_certificate(cert) for cert in read_certs(keyring)]


def pinned(keyring: Path, fingerprints: Sequence[str]) -> list[Certificate]:
    """The certificates of a file that are pinned, by their primary key's fingerprint or by a subkey's own.

    Raises:
        CatalogError: one of them is not there.
    """
    found: dict[str, Certificate] = {}
    for cert in read_certs(keyring):
        found.update((one.fingerprint, one) for one in (*_subkeys(cert), _certificate(cert)))
    missing = [name for name in fingerprints if name not in found]
    if missing or not fingerprints:
        raise CatalogError(f"{keyring} lacks pinned certificates", facts=missing or ["nothing is pinned"])
    return [found[name] for name in fingerprints]


def check_signature(
    signature: bytes, read: Reader, certificates: Sequence[Certificate], what: str, *, now: datetime
) -> str:
    """Check a detached signature.

    The key must have been valid when the signature was made, not today: what a vault holds was signed while
    the release was alive, and its key may have expired since.

    Args:
        signature: one or more signature packets, armored or binary; one that holds is enough.
        read: gives the signed bytes.
        certificates: who may sign.
        what: what was signed, for messages.
        now: the present time, UTC.

    Returns:
        The primary fingerprint that signed.

    Raises:
        IntegrityError: malformed, by another key, weak, by a revoked key, made outside the key's validity, or
            not a signature of these bytes; each says which.
    """
    packets = signature_packets(signature)
    refusals = []
    for packet in packets:
        try:
            parsed = _parse(packet)
        except Exception:  # noqa: BLE001, S112 - pysequoia raises RuntimeError and bare Exception alike
            continue
        certificate = _signer(parsed.issuer, certificates)
        refusal = _refusal(parsed, certificate, certificates, what, now)
        if refusal is None and certificate is not None:
            refusal = _holds(parsed, read, certificate, what)
            if refusal is None:
                return certificate.fingerprint
        if refusal is not None:
            refusals.append(refusal)
    if not refusals:
        raise IntegrityError(f"the signature of {what} is malformed", code="signature")
    # A signature by a pinned key says more than one by a stranger.
    raise min(refusals, key=lambda error: error.code == "wrong-key")


def _signer(issuer: str, certificates: Iterable[Certificate]) -> Certificate | None:
    """Whose signature it is; a subkey that is pinned by itself goes before the certificate it belongs to."""
    fitting = [one for one in certificates if issuer in one.names]
    return max(fitting, key=lambda one: one.fingerprint.endswith(issuer), default=None)


def _refusal(
    signature: _Signature,
    certificate: Certificate | None,
    certificates: Sequence[Certificate],
    what: str,
    now: datetime,
) -> IntegrityError | None:
    """Why a signature counts for nothing whatever it was made over."""
    if certificate is None:
        return IntegrityError(
            f"{what} is not signed by a pinned key",
            facts=[
                f"signed by {signature.issuer or 'an unnamed key'}",
                f"pinned: {', '.join(one.fingerprint for one in certificates)}",
            ],
            hint="`xtool lock --update --sysroot NAME --key FILE` names the keys of a vault of your own; "
            "for `--sysroot-package`, `sysroots.toml` in the folder of XTOOL_TOOLCHAINS_DIR does",
            code="wrong-key",
        )
    if signature.hash_name.startswith(BROKEN_HASHES):
        return IntegrityError(
            f"{what} is signed only with {signature.hash_name}, which is broken",
            facts=[f"by {certificate.fingerprint}"],
            code="weak-signature",
        )
    if certificate.revoked:
        return IntegrityError(
            f"{what} is signed by a key that is no longer good",
            facts=[f"{certificate.fingerprint} was revoked"],
            code="expired-key",
        )
    return _untimely(signature, certificate, what, now)


def _untimely(
    signature: _Signature, certificate: Certificate, what: str, now: datetime
) -> IntegrityError | None:
    """Why a signature cannot have been made when it says, or was made when the key was no longer good."""
    made = signature.created
    if made is None or signature.kind != _BINARY:
        return IntegrityError(f"the signature of {what} is not one of a file", code="signature")
    if made < certificate.created or made > now + _CLOCKS:
        return IntegrityError(
            f"the signature of {what} says that it was made at {made:%Y-%m-%d}, which cannot be",
            facts=[f"{certificate.fingerprint} was made on {certificate.created:%Y-%m-%d}"],
            code="signature-time",
        )
    end = certificate.expires
    if end is not None and made >= end:
        return IntegrityError(
            f"{what} is signed by a key that was no longer good",
            facts=[f"signed on {made:%Y-%m-%d}; {certificate.fingerprint} expired on {end:%Y-%m-%d}"],
            code="expired-key",
        )
    return None


def _holds(signature: _Signature, read: Reader, certificate: Certificate, what: str) -> IntegrityError | None:
    """Why a signature is not one of these bytes, or None."""
    if certificate.sound and signature.version != 3:
        reason = _ask_sequoia(signature, read, certificate)
    else:
        reason = _check_rsa(signature, read, certificate)
    if reason is None:
        return None
    return IntegrityError(
        f"the signature of {what} does not hold",
        facts=[reason, f"by {certificate.fingerprint}"],
        hint="the file was altered or damaged on its way; try another mirror",
        code="bad-signature",
    )


def _ask_sequoia(signature: _Signature, read: Reader, certificate: Certificate) -> str | None:
    import pysequoia

    try:
        parsed = pysequoia.Sig.from_bytes(signature.packet)
        checked = pysequoia.verify(b"".join(read()), lambda _ids: [certificate.cert], signature=parsed)
    except Exception as error:  # noqa: BLE001 - pysequoia raises RuntimeError and bare Exception alike
        return first_line(error)
    signers = [one.certificate.upper() for one in checked.valid_sigs]
    return None if signers == [certificate.fingerprint] else "Sequoia names another signer"


def _check_rsa(signature: _Signature, read: Reader, certificate: Certificate) -> str | None:
    """RSASSA-PKCS1-v1_5 with the pinned key: the block that must come out is built and compared whole."""
    key = certificate.key
    try:
        modulus, rest = _mpi(key[6:])
        exponent, _ = _mpi(rest)
    except ValueError:
        modulus = exponent = 0
    unfit = {
        "neither Sequoia nor RSA can check it": key[0] != 4 or not {key[5], signature.algorithm} <= set(_RSA),
        "it is by a subkey that is not pinned": not certificate.fingerprint.endswith(signature.issuer),
        f"the key has {modulus.bit_length()} bits": modulus.bit_length() < _SHORTEST or exponent < 3,
        f"{signature.hash_name} is not to be relied on": signature.hash not in _HASHES,
        "its number is larger than the key's modulus": signature.mpi >= modulus,
    }
    if any(unfit.values()):
        return next(reason for reason, holds in unfit.items() if holds)
    name, prefix = _HASHES[signature.hash]
    digest = hashlib.new(name)
    for piece in read():
        digest.update(piece)
    digest.update(signature.signed)
    info = bytes.fromhex(prefix) + digest.digest()
    length = (modulus.bit_length() + 7) // 8
    block = b"\x00\x01" + b"\xff" * (length - 3 - len(info)) + b"\x00" + info
    if pow(signature.mpi, exponent, modulus) != int.from_bytes(block, "big"):
        return f"it was made over other bytes, or by another key ({name}, RSA)"
    return None


def _parse(packet: Any) -> _Signature:
    """Read a signature packet of version 3 or 4 (RFC 9580, sections 5.2.2 and 5.2.3).

    Raises:
        ValueError, IndexError: it is not one.
    """
    body = bytes(packet.body)
    if body[0] == 3:
        if body[1] != 5 or len(body) < 22:
            raise ValueError("a version 3 signature hashes five bytes")
        seconds = int.from_bytes(body[3:7], "big")
        return _Signature(
            version=3,
            kind=body[2],
            algorithm=body[15],
            hash=body[16],
            created=datetime.fromtimestamp(seconds, timezone.utc),
            issuer=body[7:15].hex().upper(),
            signed=body[2:7],
            mpi=_mpi(body[19:])[0] if body[15] in _RSA else 0,
            packet=bytes(packet),
        )
    if body[0] not in (4, 6):
        raise ValueError(f"a signature of version {body[0]}")
    length = int.from_bytes(body[4:6], "big")
    hashed = body[: 6 + length]
    after = 6 + length + 2 + int.from_bytes(body[6 + length : 8 + length], "big")
    rsa = body[0] == 4 and body[2] in _RSA
    if packet.signature_created is None:
        raise ValueError("a signature without a time")
    return _Signature(
        version=body[0],
        kind=body[1],
        algorithm=body[2],
        hash=body[3],
        created=packet.signature_created,
        issuer=str(packet.issuer_fingerprint or packet.issuer_key_id or "").upper(),
        signed=hashed + bytes([4, 0xFF]) + len(hashed).to_bytes(4, "big"),
        mpi=_mpi(body[after + 2 :])[0] if rsa else 0,
        packet=bytes(packet),
    )


def _mpi(data: bytes) -> tuple[int, bytes]:
    """A number (RFC 9580, section 3.2) and what follows it."""
    size = 2 + (int.from_bytes(data[:2], "big") + 7) // 8
    if len(data) < size or size == 2:
        raise ValueError("a number is cut short")
    return int.from_bytes(data[2:size], "big"), data[size:]


def _certificate(cert: Cert) -> Certificate:
    from pysequoia.packet import PacketPile, Tag

    packets = list(PacketPile.from_bytes(bytes(cert)))
    fingerprint = cert.fingerprint.upper()
    primary = packets[0]
    names = {name.upper() for packet in packets for name in (packet.fingerprint, packet.key_id) if name}
    sound = True
    try:
        expires = cert.expiration
    except Exception:  # noqa: BLE001 - see above
        sound = False
        own = [
            packet for packet in packets if packet.tag == Tag.Signature and packet.body[1] in _SELF_SIGNATURES
        ]
        newest = max(own, key=lambda packet: packet.signature_created, default=None)
        period = newest.key_validity_period if newest is not None else None
        expires = primary.key_created + period if period else None
    return Certificate(
        cert=cert,
        fingerprint=fingerprint,
        names=frozenset(names),
        key=bytes(primary.body),
        created=primary.key_created,
        expires=expires,
        revoked=bool(cert.is_revoked),
        sound=sound,
    )


def _subkeys(cert: Cert) -> list[Certificate]:
    """The subkeys of a certificate, each as a key that could be pinned by itself."""
    from pysequoia.packet import PacketPile, Tag

    found = []
    packets = list(PacketPile.from_bytes(bytes(cert)))
    for packet, binding in pairwise(packets):
        if packet.tag != Tag.PublicSubkey or binding.tag != Tag.Signature:
            continue
        period = binding.key_validity_period
        found.append(
            Certificate(
                cert=cert,
                fingerprint=packet.fingerprint.upper(),
                names=frozenset((packet.fingerprint.upper(), packet.key_id.upper())),
                key=bytes(packet.body),
                created=packet.key_created,
                expires=packet.key_created + period if period else None,
                revoked=bool(cert.is_revoked),
                sound=False,
            )
        )
    return found
