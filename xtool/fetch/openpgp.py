"""Checking cleartext-signed files (RFC 9580, section 7) against pinned certificates, with Sequoia.

Sequoia's standard policy decides what a good signature is (no SHA-1, no MD5, signing-capable key); on top of
it the whole file must be one signed block, and the signer one of the certificates that the catalog pins.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xtool.errors import CatalogError, IntegrityError

if TYPE_CHECKING:
    from pysequoia import Cert

_BEGIN = "-----BEGIN PGP SIGNED MESSAGE-----"
_SIGNATURE = "-----BEGIN PGP SIGNATURE-----"
_END = "-----END PGP SIGNATURE-----"

BROKEN_HASHES = ("MD5", "SHA1", "RIPEMD")
"""Beginnings of the names of hash algorithms that no signature may rest on."""


@dataclass(frozen=True, slots=True)
class Signed:
    """What a good signature covers, and who made it.

    Args:
        content: the signed text; nothing outside it may be used.
        fingerprint: upper-case hex fingerprint of the signer's primary key.
    """

    content: bytes
    fingerprint: str


def verify_cleartext(data: bytes, *, keyring: Path, fingerprints: Sequence[str], what: str) -> Signed:
    """Check that `data` is one cleartext-signed block of a pinned key.

    Args:
        data: the whole file.
        keyring: file of armored certificates.
        fingerprints: primary fingerprints that may sign.
        what: what the file is, for messages.

    Raises:
        IntegrityError: the signature is missing, bad, weak, by another key, by an expired or revoked key, or
            text stands outside the signed block; each says which.
        CatalogError: the keyring lacks a pinned certificate.
    """
    import pysequoia

    armored = _only_block(data, what)
    pinned = pinned_certs(keyring, fingerprints)
    usable, unusable = _usable(pinned)
    try:
        checked = pysequoia.verify(data, lambda _ids: usable)
    except Exception as error:  # noqa: BLE001 - pysequoia raises RuntimeError and bare Exception alike
        raise _refusal(error, armored, pinned, unusable, what) from None
    allowed = {certificate.fingerprint.upper() for certificate in usable}
    signers = [signature.certificate.upper() for signature in checked.valid_sigs]
    good = [signer for signer in signers if signer in allowed]
    if not good or checked.bytes is None:
        raise IntegrityError(f"{what} has no signature by a pinned key", code="signature")
    return Signed(checked.bytes, good[0])


def _only_block(data: bytes, what: str) -> str:
    """The armored signature, once it is sure that the file is one signed block and nothing else."""
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        raise IntegrityError(f"{what} is not text", code="signature") from None
    # Lines of the signed text that begin with a dash are escaped as "- -", so these can only be real ones.
    begins = [index for index, line in enumerate(lines) if line.rstrip() == _BEGIN]
    signatures = [index for index, line in enumerate(lines) if line.rstrip() == _SIGNATURE]
    ends = [index for index, line in enumerate(lines) if line.rstrip() == _END]
    if not begins or not signatures:
        hint = "a proxy or a captive portal may have answered instead of the mirror"
        raise IntegrityError(f"{what} carries no signature", hint=hint, code="unsigned")
    if len(begins) > 1 or len(signatures) > 1 or len(ends) > 1:
        raise IntegrityError(f"{what} has more than one signed block", code="signature-blocks")
    if not ends or not begins[0] < signatures[0] < ends[0]:
        raise IntegrityError(f"{what} is cut short: its signature has no end", code="signature")
    if begins[0] != 0 or any(line.strip() for line in lines[ends[0] + 1 :]):
        raise IntegrityError(f"{what} has text outside its signed block", code="signature-outside")
    return "\n".join(lines[signatures[0] : ends[0] + 1]) + "\n"


def read_certs(keyring: Path) -> list[Cert]:
    """The certificates of a file, armored or binary.

    Raises:
        CatalogError: it cannot be read, or holds no certificates.
    """
    import pysequoia

    try:
        return list(pysequoia.Cert.split_bytes(keyring.read_bytes()))
    except OSError as error:
        raise CatalogError(f"cannot read {keyring}: {error.strerror}") from error
    except Exception as error:
        raise CatalogError(f"{keyring} holds no OpenPGP certificates: {first_line(error)}") from error


def pinned_certs(keyring: Path, fingerprints: Sequence[str]) -> list[Cert]:
    """The certificates of a file that are pinned.

    Raises:
        CatalogError: one is missing, or none is pinned.
    """
    by_fingerprint = {certificate.fingerprint.upper(): certificate for certificate in read_certs(keyring)}
    missing = [name for name in fingerprints if name not in by_fingerprint]
    if missing or not fingerprints:
        raise CatalogError(
            f"{keyring} lacks pinned certificates", facts=missing or ["no fingerprint is pinned at all"]
        )
    return [by_fingerprint[name] for name in fingerprints]


def _usable(pinned: Iterable[Cert]) -> tuple[list[Cert], dict[str, str]]:
    """Certificates that are good today, and why the others are not."""
    now = datetime.now(timezone.utc)
    usable, unusable = [], {}
    for certificate in pinned:
        name = certificate.fingerprint.upper()
        if certificate.is_revoked:
            unusable[name] = "was revoked"
            continue
        try:
            expiration = certificate.expiration
        except Exception as error:  # noqa: BLE001 - see above
            unusable[name] = f"is not acceptable: {first_line(error)}"
            continue
        if expiration is not None and expiration <= now:
            unusable[name] = f"expired on {expiration:%Y-%m-%d}"
        else:
            usable.append(certificate)
    return usable, unusable


def _refusal(
    error: Exception, armored: str, pinned: Sequence[Cert], unusable: dict[str, str], what: str
) -> IntegrityError:
    """Say why no signature holds: the parts of the signatures tell what Sequoia only counts."""
    packets = signature_packets(armored.encode())
    if not packets:
        return IntegrityError(
            f"the signature of {what} is malformed", facts=[first_line(error)], code="signature"
        )
    owners = {key: c.fingerprint.upper() for c in pinned for key in key_names(c)}
    issuers = [(packet, _issuer(packet)) for packet in packets]
    known = [(packet, owners[issuer]) for packet, issuer in issuers if issuer in owners]
    if not known:
        return IntegrityError(
            f"{what} is not signed by a pinned key",
            facts=[
                f"signed by {', '.join(issuer or 'an unnamed key' for _, issuer in issuers)}",
                f"pinned: {', '.join(certificate.fingerprint.upper() for certificate in pinned)}",
            ],
            hint="the mirror may serve another archive; a new signing key of the suite needs a newer xtool",
            code="wrong-key",
        )
    hashes = {_hash_name(packet) for packet, _ in known}
    if all(name.startswith(BROKEN_HASHES) for name in hashes):
        return IntegrityError(
            f"{what} is signed only with {', '.join(sorted(hashes))}, which is broken", code="weak-signature"
        )
    bad = [f"{owner} {unusable[owner]}" for _, owner in known if owner in unusable]
    if len(bad) == len(known):
        return IntegrityError(
            f"{what} is signed by a key that is no longer good",
            facts=bad,
            hint="a newer xtool may carry the suite's new key",
            code="expired-key",
        )
    return IntegrityError(
        f"the signature of {what} does not hold",
        facts=[first_line(error)],
        hint="the file was altered or damaged on its way; try another mirror",
        code="bad-signature",
    )


def signature_packets(signature: bytes) -> list[Any]:
    """The packets of a signature, armored or binary; none where it is malformed."""
    from pysequoia.packet import PacketPile, Tag

    try:
        return [packet for packet in PacketPile.from_bytes(signature) if packet.tag == Tag.Signature]
    except Exception:  # noqa: BLE001 - whatever it is, it is no signature
        return []


def key_names(certificate: Cert) -> list[str]:
    """Fingerprints and key IDs of a certificate's keys, upper-case."""
    from pysequoia.packet import PacketPile

    names = []
    for packet in PacketPile.from_bytes(bytes(certificate)):
        names += [name.upper() for name in (packet.fingerprint, packet.key_id) if name]
    return names


def _issuer(packet: Any) -> str:
    return str(packet.issuer_fingerprint or packet.issuer_key_id or "").upper()


def _hash_name(packet: Any) -> str:
    try:
        return str(packet.hash_algorithm).rpartition(".")[2].upper()
    except Exception:  # noqa: BLE001 - a number that no algorithm has
        return "an unknown hash"


def first_line(error: Exception) -> str:
    """The first line: with RUST_BACKTRACE set the rest is a stack trace."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
