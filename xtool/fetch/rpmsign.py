"""Whose an RPM package is: its signature by a pinned key, over all of it.

A signature covers the whole package in one of two ways. Tags 1002 and 1005 sign header and payload together;
that is what EL7 relies on. Tags 267 and 268 sign the header alone, which from rpm 4.14 on holds the payload's
digest; that is what EL8 and later rely on. A header signature without such a digest proves nothing about the
files and is refused. Which tags there are: rpm's manual, "V4 Package format".
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from xtool.archive.rpm import RpmFile, Signature, check_digests, read_extent, read_rpm
from xtool.archive.rpmheader import Extent
from xtool.archive.streams import decompressed
from xtool.errors import IntegrityError
from xtool.fetch.signatures import Certificate, check_signature

_PAYLOAD_HASHES = ("sha256", "sha384", "sha512")
_UNPACKED_LIMIT = 2 << 30
"""Bytes that a package may unpack to when it is measured."""


def inspect(
    path: Path, label: str, certificates: Sequence[Certificate], *, now: datetime
) -> tuple[RpmFile, str]:
    """Read a package, compare all its digests, and check its signature.

    Args:
        path: the package.
        label: its name, for messages.
        certificates: who may sign; nobody for packages that a hash pins.
        now: the present time, UTC.

    Returns:
        What it says of itself, and the primary fingerprint that signed it; empty without certificates.

    Raises:
        ArchiveError: it is no RPM package, or a digest in it does not hold.
        IntegrityError: it is not signed, or the signature does not hold.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        rpm = read_rpm(fd, label)
        fingerprint = ""
        if certificates:
            signature = _covering(rpm)
            fingerprint = check_signature(
                signature.packet, _Reader(fd, signature.covers, label), certificates, label, now=now
            )
        check_digests(fd, rpm)
        return rpm, fingerprint
    finally:
        os.close(fd)


def unpacked_size(path: Path, rpm: RpmFile) -> int:
    """Bytes of the cpio archive in a package, counted by unpacking it.

    Raises:
        ArchiveError: the payload is damaged, or larger than 2 GiB.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        payload = rpm.payload
        chunks = decompressed(
            fd, payload.offset, payload.size, rpm.compression, cap=_UNPACKED_LIMIT, label=rpm.label
        )
        return sum(map(len, chunks))
    finally:
        os.close(fd)


def _covering(rpm: RpmFile) -> Signature:
    """The signature that says something about every byte of the package."""
    digested = any(one.what == "payload" and one.algorithm in _PAYLOAD_HASHES for one in rpm.digests)
    whole = [one for one in rpm.signatures if one.what == "header and payload"]
    header = [one for one in rpm.signatures if one.what == "header"]
    if digested and header:
        return header[0]
    if whole:
        return whole[0]
    if header:
        raise IntegrityError(
            f"{rpm.label}: only its header is signed, and that says nothing of the files",
            facts=["neither a signature over header and payload nor a payload digest in the header"],
            code="unsigned",
        )
    raise IntegrityError(
        f"{rpm.label} is not signed",
        hint="packages of your own repository are signed with `rpmsign --addsign`",
        code="unsigned",
    )


class _Reader:
    """The bytes of a part of a file, again at each call."""

    def __init__(self, fd: int, extent: Extent, label: str) -> None:
        self._fd, self._extent, self._label = fd, extent, label

    def __call__(self) -> Iterable[bytes]:
        return read_extent(self._fd, self._extent, self._label)
