"""A strict reader of RPM packages: what they say of themselves, and where their payload lies.

What others call:

- `read_rpm(fd, label)` reads lead, signature header and header, and returns an `RpmFile`: name, version,
  release, epoch and architecture (`.nevra`, `.evr`), `.requires` and `.provides`, `.archive_size` (bytes that
  the payload decompresses to, for a lock's unpacked size), and where header and payload lie (`Extent`).
- `RpmFile.signatures`: each OpenPGP signature with its tag, its packet, and the bytes it was made over as an
  `Extent` of the file: the header with its 16 bytes of introduction for the tags 267 and 268, header and
  payload for 1002 and 1005. `read_extent(fd, extent, label)` yields those bytes. Nothing here verifies a
  signature.
- `check_digests(fd, rpm)` compares every digest that the package carries, and returns what it compared.

Digests of a package speak of accidents only; whose it is, a key or a lock tells.

Formats: rpm's own manual, "V4 Package format", and `include/rpm/rpmtag.h` for the numbers of tags.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
from collections.abc import Generator
from dataclasses import dataclass

from xtool.archive.rpmheader import INT32, INT64, Dependency, Extent, Header
from xtool.errors import ArchiveError

_LEAD = 96
_LEAD_MAGIC = b"\xed\xab\xee\xdb"
_BINARY = 0
_HEADER_SIGNATURE = 5
"""`signature_type` of the lead: a header structure, the only kind since rpm 3."""

_LARGEST = 32 << 20
"""Bytes of data in either header; rpm allows 64 and 256 MiB, of which packages use a small part."""

_STEP = 1 << 18

_COMPRESSIONS = {"gzip": ".gz", "xz": ".xz", "zstd": ".zst"}
_PAYLOAD_HASHES = {8: "sha256", 9: "sha384", 10: "sha512"}
"""OpenPGP's numbers of hash algorithms (RFC 9580, section 9.5)."""

_HEX_DIGITS = {"md5": 32, "sha1": 40, "sha256": 64, "sha384": 96, "sha512": 128}

_NAME = re.compile(r"[0-9A-Za-z._+-]+")
_VERSION = re.compile(r"[0-9A-Za-z._+~^]+")
"""A dash in a version would leave open where the name ends; rpmbuild refuses it, too."""


class _Tag:
    """Numbers of tags; those with S_ stand in the signature header, where a number means something else."""

    S_DSA = 267
    S_RSA = 268
    S_SHA1 = 269
    S_LONG_SIZE = 270
    S_LONG_ARCHIVE_SIZE = 271
    S_SHA256 = 273
    S_SIZE = 1000
    S_PGP = 1002
    S_MD5 = 1004
    S_GPG = 1005
    S_ARCHIVE_SIZE = 1007
    REGION = 63
    LONG_ARCHIVE_SIZE = 271
    NAME = 1000
    VERSION = 1001
    RELEASE = 1002
    EPOCH = 1003
    ARCH = 1022
    ARCHIVE_SIZE = 1046
    PROVIDE_NAME = 1047
    REQUIRE_FLAGS = 1048
    REQUIRE_NAME = 1049
    REQUIRE_VERSION = 1050
    PROVIDE_FLAGS = 1112
    PROVIDE_VERSION = 1113
    PAYLOAD_FORMAT = 1124
    PAYLOAD_COMPRESSOR = 1125
    PAYLOAD_DIGEST = 5092
    PAYLOAD_DIGEST_ALGORITHM = 5093


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest that the package carries.

    Args:
        algorithm: as hashlib names it.
        value: lower-case hex.
        what: `header`, `payload` or `header and payload`.
        covers: the bytes it was made over.
    """

    algorithm: str
    value: str
    what: str
    covers: Extent


@dataclass(frozen=True, slots=True)
class Signature:
    """An OpenPGP signature that the package carries, unverified.

    Args:
        tag: 267 and 268 sign the header, 1002 and 1005 the header and the payload.
        packet: the signature as binary OpenPGP packets.
        what: `header` or `header and payload`.
        covers: the bytes it was made over.
    """

    tag: int
    packet: bytes
    what: str
    covers: Extent


@dataclass(frozen=True, slots=True)
class RpmFile:
    """What a package says of itself.

    Args:
        label: the file's name, for messages.
        name, version, release, epoch, arch: its identity; `epoch` is None where the package has none.
        header: where the header lies, introduction included.
        payload: where the compressed payload lies; it reaches to the end of the file.
        compression: suffix as `xtool.archive.streams` knows it; empty for none.
        archive_size: bytes that the payload decompresses to, as declared; None where it is not.
        digests, signatures: see there.
        provides, requires: see `Dependency`; in the package's order.
    """

    label: str
    name: str
    version: str
    release: str
    epoch: int | None
    arch: str
    header: Extent
    payload: Extent
    compression: str
    archive_size: int | None
    digests: tuple[Digest, ...]
    signatures: tuple[Signature, ...]
    provides: tuple[Dependency, ...]
    requires: tuple[Dependency, ...]

    @property
    def evr(self) -> str:
        """`[epoch:]version-release`."""
        epoch = f"{self.epoch}:" if self.epoch is not None else ""
        return f"{epoch}{self.version}-{self.release}"

    @property
    def nevra(self) -> str:
        """`name-[epoch:]version-release.arch`."""
        return f"{self.name}-{self.evr}.{self.arch}"


def read_rpm(fd: int, label: str) -> RpmFile:
    """Read what stands before the payload of a package.

    Args:
        fd: the open file.
        label: its name, for messages.

    Raises:
        ArchiveError: it is no binary package, or malformed, or of a kind that xtool does not unpack.
    """
    total = os.fstat(fd).st_size
    _check_lead(os.pread(fd, _LEAD, 0), label)
    signatures = Header(fd, _LEAD, _LARGEST, f"{label}: the signature header")
    padding = -signatures.extent.size % 8
    start = _LEAD + signatures.extent.size + padding
    if os.pread(fd, padding, start - padding).strip(b"\0"):
        raise ArchiveError(f"{label}: the padding of the signature header is not zero")
    header = Header(fd, start, _LARGEST, f"{label}: the header")
    header.check_region(_Tag.REGION)
    payload = Extent(start + header.extent.size, total - start - header.extent.size)
    both = Extent(start, total - start)
    size = signatures.number(_Tag.S_LONG_SIZE, INT64)
    if size is None:
        size = signatures.number(_Tag.S_SIZE)
    if size is not None and size != both.size:
        longer = "longer" if both.size > size else "shorter"
        raise ArchiveError(
            f"{label} is {longer} than it says",
            facts=[f"header and payload have {both.size} bytes, the signature header says {size}"],
        )
    archive_format = header.text(_Tag.PAYLOAD_FORMAT)
    if archive_format != "cpio":
        raise ArchiveError(
            f"{label}: the payload is no cpio archive", facts=[f"it is {_clipped(archive_format)}"]
        )
    return RpmFile(
        label=label,
        name=_identity(header, _Tag.NAME, label),
        version=_identity(header, _Tag.VERSION, label),
        release=_identity(header, _Tag.RELEASE, label),
        epoch=header.number(_Tag.EPOCH),
        arch=_identity(header, _Tag.ARCH, label),
        header=header.extent,
        payload=payload,
        compression=_compression(fd, header.text(_Tag.PAYLOAD_COMPRESSOR), payload, label),
        archive_size=_archive_size(signatures, header),
        digests=_digests(signatures, header, payload, both, label),
        signatures=_signatures(signatures, header.extent, both),
        provides=header.dependencies(_Tag.PROVIDE_NAME, _Tag.PROVIDE_FLAGS, _Tag.PROVIDE_VERSION),
        requires=header.dependencies(_Tag.REQUIRE_NAME, _Tag.REQUIRE_FLAGS, _Tag.REQUIRE_VERSION),
    )


def check_digests(fd: int, rpm: RpmFile) -> tuple[Digest, ...]:
    """Compare every digest that a package carries with its bytes.

    Args:
        fd: the open file.
        rpm: what `read_rpm` gave for it.

    Returns:
        The digests that were compared; empty when the package carries none, which proves nothing.

    Raises:
        ArchiveError: a digest is not that of the bytes.
    """
    for digest in rpm.digests:
        # MD5 and SHA-1 protect from accidents only: a machine's ban on them must not stop the comparison.
        hasher = hashlib.new(digest.algorithm, usedforsecurity=False)
        for piece in read_extent(fd, digest.covers, rpm.label):
            hasher.update(piece)
        if hasher.hexdigest() != digest.value:
            raise ArchiveError(
                f"{rpm.label}: the {digest.what} has another {digest.algorithm} digest than the package says",
                facts=[f"it has {hasher.hexdigest()}", f"it should be {digest.value}"],
            )
    return rpm.digests


def read_extent(fd: int, extent: Extent, label: str) -> Generator[bytes, None, None]:
    """Yield the bytes of a part of a file, a quarter of a MiB at a time.

    Raises:
        ArchiveError: the file ends before.
    """
    offset, end = extent.offset, extent.offset + extent.size
    while offset < end:
        data = os.pread(fd, min(_STEP, end - offset), offset)
        if not data:
            raise ArchiveError(f"{label} became shorter while it was read")
        offset += len(data)
        yield data


def _check_lead(lead: bytes, label: str) -> None:
    if lead[:4] != _LEAD_MAGIC:
        raise ArchiveError(f"{label} is not an RPM package: it has no lead")
    if len(lead) != _LEAD:
        raise ArchiveError(f"{label} is cut short: the lead ends early")
    major, kind = struct.unpack(">BxH", lead[4:8])
    (signature,) = struct.unpack(">H", lead[78:80])
    if major not in (3, 4) or signature != _HEADER_SIGNATURE:
        raise ArchiveError(
            f"{label} has an unknown package format", facts=[f"version {major}, signature type {signature}"]
        )
    if kind != _BINARY:
        raise ArchiveError(f"{label} is not a binary package")


def _identity(header: Header, tag: int, label: str) -> str:
    text = header.text(tag)
    allowed = _NAME if tag == _Tag.NAME else _VERSION
    if text is None or not allowed.fullmatch(text):
        raise ArchiveError(
            f"{label}: the header has no proper name, version or architecture", facts=[_clipped(text)]
        )
    return text


def _compression(fd: int, compressor: str | None, payload: Extent, label: str) -> str:
    if compressor is None:
        # rpm then reads what is gzip as gzip, and all else as it is.
        return ".gz" if os.pread(fd, 2, payload.offset) == b"\x1f\x8b" else ""
    suffix = _COMPRESSIONS.get(compressor)
    if suffix is None:
        raise ArchiveError(
            f"{label}: the payload is compressed with {_clipped(compressor)}, which xtool does not read",
            facts=[f"known: {', '.join(_COMPRESSIONS)}, none"],
        )
    return suffix


def _archive_size(signatures: Header, header: Header) -> int | None:
    # Where it stands depends on rpm's age and on whether it fits in 32 bits.
    for where, tag, kind in (
        (signatures, _Tag.S_LONG_ARCHIVE_SIZE, INT64),
        (signatures, _Tag.S_ARCHIVE_SIZE, INT32),
        (header, _Tag.LONG_ARCHIVE_SIZE, INT64),
        (header, _Tag.ARCHIVE_SIZE, INT32),
    ):
        size = where.number(tag, kind)
        if size is not None:
            return size
    return None


def _digests(
    signatures: Header, header: Header, payload: Extent, both: Extent, label: str
) -> tuple[Digest, ...]:
    found = []
    for tag, algorithm in ((_Tag.S_SHA256, "sha256"), (_Tag.S_SHA1, "sha1")):
        value = signatures.text(tag)
        if value is not None:
            found.append(Digest(algorithm, _hex(value, algorithm, label), "header", header.extent))
    md5 = signatures.binary(_Tag.S_MD5)
    if md5 is not None:
        found.append(Digest("md5", _hex(md5.hex(), "md5", label), "header and payload", both))
    values = header.texts(_Tag.PAYLOAD_DIGEST)
    if values:
        number = header.number(_Tag.PAYLOAD_DIGEST_ALGORITHM)
        name = _PAYLOAD_HASHES.get(number) if number is not None else None
        if name is None or len(values) != 1:
            raise ArchiveError(f"{label}: the payload has a digest of an unknown kind", facts=[f"{number}"])
        found.append(Digest(name, _hex(values[0], name, label), "payload", payload))
    return tuple(found)


def _hex(value: str, algorithm: str, label: str) -> str:
    digits = _HEX_DIGITS[algorithm]
    if not re.fullmatch(rf"[0-9A-Fa-f]{{{digits}}}", value):
        raise ArchiveError(f"{label}: the {algorithm} digest is none", facts=[_clipped(value)])
    return value.lower()


def _clipped(text: str | None) -> str:
    """Something that a package says, fit for a message."""
    return repr(text) if text is None or len(text) <= 100 else f"{text[:100]!r}..."


def _signatures(signatures: Header, header: Extent, both: Extent) -> tuple[Signature, ...]:
    found = []
    for tag, what, covers in (
        (_Tag.S_RSA, "header", header),
        (_Tag.S_DSA, "header", header),
        (_Tag.S_PGP, "header and payload", both),
        (_Tag.S_GPG, "header and payload", both),
    ):
        packet = signatures.binary(tag)
        if packet is not None:
            found.append(Signature(tag, packet, what, covers))
    return tuple(found)
