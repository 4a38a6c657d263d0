"""Fuzzing the readers of indexes: Debian's `InRelease` and `Packages`, signatures."""

from __future__ import annotations

import lzma
from datetime import datetime, timezone
from pathlib import Path

from support import fuzzformats, fuzzrecords
from support.fuzzmutate import lines
from support.fuzztarget import CAP, Target, check

from xtool.errors import IntegrityError

DATA = Path(__file__).parent / "data"

RELEASE = b"""Origin: Debian
Suite: stable
Codename: trixie
Date: Sat, 12 Sep 2026 07:55:41 UTC
Valid-Until: Sat, 19 Sep 2026 07:55:41 UTC
Acquire-By-Hash: yes
Architectures: all amd64
SHA256:
 %s  1234 main/binary-amd64/Packages
 %s   567 main/binary-amd64/Packages.xz
""" % (b"ab" * 32, b"cd" * 32)

PACKAGES = "".join(
    f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nInstalled-Size: 4321\n"
    f"Depends: libc6 (>= 2.36)\nFilename: pool/main/{name[0]}/{name}/{name}_{version}_amd64.deb\n"
    f"Size: 1234\nSHA256: {'0a' * 32}\nDescription: something\n more of it\n\n"
    for name, version in (("gcc-14", "14.2.0-19cross1"), ("libc6", "1:2.41-12"), ("libc6", "2.41~rc1-1+b2"))
).encode()

_DATES = (
    *(
        "Date: Mon, 01 Jan 0001 00:00:00 +2359",
        "Date: Fri, 31 Dec 9999 23:59:59 -2359",
        "Date: 1 Jan 99999 1:1 UTC",
    ),
    *(
        "Date: 12 Sep 2026 24:61:61 UTC",
        "Date: Sat, 12 Sep 2026 07:55:41 +99999999999",
        "Date: ,",
        "Date: x x x x",
    ),
)
RELEASE_WORDS = (
    *_DATES,
    *(
        "SHA256:",
        " " + "ab" * 32 + " -1 x",
        " " + "ab" * 32 + " 9" * 3 + " y",
        "Suite:",
        "Codename: \x00",
        ":",
        "#",
    ),
    *("Valid-Until: never", "Valid-Until: 1 Jan 0001 00:00 +1200", "\ud800", "\u0663", "Acquire-By-Hash: no"),
)
PACKAGES_WORDS = (
    *(
        "Package: libc6",
        "Package: ",
        "Version: :",
        "Version: 1:",
        "Version: 9" * 900,
        "Version: \u0663:1",
        "Size: -1",
    ),
    *(
        "Filename: ../x",
        "Filename: /x",
        "Filename: ",
        "SHA256: ",
        "Installed-Size: 1e9",
        "Size: " + "9" * 5000,
        "",
        " x",
    ),
)


def run_release(data: bytes, folder: Path) -> None:
    from xtool.fetch import release

    found = release.parse_release(data, "F" * 40, "InRelease of trixie")
    now = datetime(2026, 9, 13, tzinfo=timezone.utc)
    release.check_release(
        found, "trixie", "InRelease", base="http://localhost/", not_before="2026-09-01T00:00:00Z", now=now
    )
    release.iso(found.date)


def run_packages(data: bytes, folder: Path) -> None:
    from xtool.fetch import release

    found = release.read_packages(data, wanted=("gcc-14", "libc6"), limit=CAP, what="Packages")
    for packages in found.values():
        release.highest(packages, "amd64")
        for package in packages:
            check(package.size >= 0, "a negative size")
            check(not package.filename.startswith("/"), "a path that is absolute")


SIGNED = (DATA / "fuzz.InRelease").read_bytes()
_FINGERPRINT = "5C64F031123266849A2FEB86C192FC1B85895E56"


def run_openpgp(data: bytes, folder: Path) -> None:
    """Whatever is taken as signed is what was signed."""
    from xtool.fetch.openpgp import verify_cleartext

    signed = verify_cleartext(data, keyring=DATA / "fuzz.asc", fingerprints=[_FINGERPRINT], what="InRelease")
    check(signed.content == RELEASE, "another text is taken as signed")
    check(signed.fingerprint == _FINGERPRINT, "another signer")


def targets() -> list[Target]:
    """Debian's indexes and their signatures."""
    return [
        Target(
            "release",
            "InRelease's text",
            (IntegrityError,),
            lambda: [RELEASE],
            lines(RELEASE_WORDS),
            run_release,
        ),
        Target(
            "packages",
            "Packages.xz",
            (IntegrityError,),
            lambda: [lzma.compress(PACKAGES, preset=0)],
            fuzzformats.packed(".xz", lines(PACKAGES_WORDS)),
            run_packages,
        ),
        Target(
            "openpgp",
            "cleartext signatures",
            (IntegrityError,),
            lambda: [SIGNED],
            fuzzrecords.cleartext(
                (*RELEASE_WORDS, "- x", "-----END PGP SIGNATURE-----", "Hash: MD5", "\u2028")
            ),
            run_openpgp,
        ),
    ]
