"""The index files of a Debian archive: `InRelease` and `Packages` (Debian Wiki, DebianRepository/Format)."""

from __future__ import annotations

import lzma
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

from xtool.errors import IntegrityError
from xtool.fetch.versions import DebianVersion

_SHA256 = re.compile(r"[0-9a-f]{64}")
_PROVIDES = re.compile(rb"^Provides: (.*(?:\n .*)*)", re.MULTILINE)
_COUNT = re.compile(r"[0-9]{1,18}")
_XZ_MEMORY = 1 << 29
"""More than any xz preset needs; a header may ask for 4 GiB."""
_DATED = re.compile(r"/\d{8}T\d{6}Z/?$")


@dataclass(frozen=True, slots=True)
class IndexFile:
    """One file that an `InRelease` vouches for: its size in bytes and its hex sha256."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Release:
    """The signed content of an `InRelease`.

    Args:
        names: its `Suite` and `Codename`.
        date: when it was made, UTC.
        valid_until: when it ends to be valid, if it says so; stable suites do not.
        by_hash: whether index files can be asked for by their hash.
        files: index files by their path below the suite's folder.
        fingerprint: primary fingerprint of the key that signed it.
    """

    names: tuple[str, ...]
    date: datetime
    valid_until: datetime | None
    by_hash: bool
    files: Mapping[str, IndexFile]
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Package:
    """One stanza of a `Packages` file: sizes in bytes, relations as text."""

    name: str
    version: str
    arch: str
    filename: str
    size: int
    sha256: str
    installed_size: int
    pre_depends: str = ""
    depends: str = ""
    provides: str = ""
    conflicts: str = ""
    breaks: str = ""


def parse_release(content: bytes, fingerprint: str, what: str) -> Release:
    """Read the signed part of an `InRelease`.

    Raises:
        IntegrityError: a field that is needed is missing or malformed.
    """
    fields = next(stanzas(content.decode("utf-8", "replace")), {})
    try:
        files = {}
        for line in fields["SHA256"].splitlines():
            if line.strip():
                sha256, size, path = line.split()
                if not _SHA256.fullmatch(sha256):
                    raise ValueError(f"not a sha256: {sha256}")
                files[path] = IndexFile(_count(size), sha256)
        until = fields.get("Valid-Until")
        return Release(
            names=tuple(fields[key] for key in ("Suite", "Codename") if key in fields),
            date=_date(fields["Date"]),
            valid_until=_date(until) if until else None,
            by_hash=fields.get("Acquire-By-Hash") == "yes",
            files=files,
            fingerprint=fingerprint,
        )
    except KeyError as error:
        raise IntegrityError(f"{what} has no field {error.args[0]}", code="release") from None
    except (ValueError, TypeError, OverflowError) as error:
        raise IntegrityError(f"{what} is malformed: {error}", code="release") from None


def check_release(
    release: Release, suite: str, what: str, *, base: str, not_before: str | None, now: datetime
) -> None:
    """Refuse a release of another suite, an older one than was seen before, and one that is past its time.

    Args:
        release: the release.
        suite: the suite that was asked for.
        what: what the file is, for messages.
        base: URL that it came from; one that names a snapshot's date may be past its time.
        not_before: ISO 8601 date of the newest release seen so far, or None.
        now: the present time, UTC.

    Raises:
        IntegrityError: it is refused.
    """
    if suite not in release.names:
        raise IntegrityError(
            f"{what} belongs to suite {' / '.join(release.names) or 'without a name'}, not to {suite}",
            hint="the mirror serves files in the wrong place; try another one",
            code="wrong-suite",
        )
    if not_before is not None and release.date < datetime.fromisoformat(not_before.replace("Z", "+00:00")):
        raise IntegrityError(
            f"{what} is older than the one that the lock was made from",
            facts=[f"it is of {iso(release.date)}, the lock's of {not_before}"],
            hint="the mirror is out of date; try another one",
            code="rollback",
        )
    if release.valid_until is not None and release.valid_until < now and not _DATED.search(base):
        raise IntegrityError(
            f"{what} was valid until {iso(release.valid_until)}",
            hint="the mirror is out of date, or this machine's clock is wrong",
            code="release-expired",
        )


def read_packages(
    packed: bytes, *, wanted: Collection[str], limit: int, what: str
) -> dict[str, list[Package]]:
    """The stanzas of some packages from a `Packages.xz`, every version that stands in it.

    Args:
        packed: the compressed file, its hash already checked.
        wanted: names of the packages.
        limit: bytes that it may unpack to.
        what: what the file is, for messages.

    Raises:
        IntegrityError: it is damaged, larger than declared, or a stanza lacks a field.
    """
    index = Index(packed, limit=limit, what=what)
    return {name: index.packages(name) for name in wanted}


class Index:
    """A whole `Packages.xz`; stanzas are read when they are asked for, of the 60,000 that there are.

    Args:
        packed: the compressed file, its hash already checked.
        limit: bytes that it may unpack to.
        what: what the file is, for messages.

    Raises:
        IntegrityError: it is damaged, or larger than declared.
    """

    def __init__(self, packed: bytes, *, limit: int, what: str) -> None:
        self._what = what
        self._stanzas: dict[str, list[bytes]] = {}
        for raw in _unpacked(packed, limit, what).split(b"\n\n"):
            first = raw.lstrip(b"\n").split(b"\n", 1)[0].decode("utf-8", "replace")
            if first.startswith("Package: "):
                self._stanzas.setdefault(first.removeprefix("Package: ").strip(), []).append(raw)

    @property
    def names(self) -> Collection[str]:
        """The names of all packages."""
        return self._stanzas.keys()

    def packages(self, name: str) -> list[Package]:
        """Every version of a package.

        Raises:
            IntegrityError: a stanza lacks a field.
        """
        found = self._stanzas.get(name, ())
        return [_package(next(stanzas(raw.decode("utf-8", "replace"))), self._what) for raw in found]

    def providers(self) -> dict[str, set[str]]:
        """For each name that packages provide beside their own, the packages that do."""
        found: dict[str, set[str]] = {}
        for name, versions in self._stanzas.items():
            for raw in versions:
                match = _PROVIDES.search(raw)
                for entry in match[1].decode("utf-8", "replace").split(",") if match else ():
                    words = entry.split("(")[0].split()
                    if words:
                        found.setdefault(words[0].partition(":")[0], set()).add(name)
        return found


def _unpacked(packed: bytes, limit: int, what: str) -> bytes:
    decompressor = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
    try:
        text = decompressor.decompress(packed, max_length=limit + 1)
    except lzma.LZMAError as error:
        raise IntegrityError(f"{what} is damaged: {error}") from None
    if len(text) > limit or not decompressor.eof:
        raise IntegrityError(f"{what} does not unpack to the {limit} bytes that its release declares")
    return text


def highest(packages: Collection[Package], arch: str) -> Package | None:
    """The highest version for an architecture; an index can hold several versions of a package."""
    return highest_of(packages, (arch,))


def highest_of(packages: Collection[Package], archs: Collection[str]) -> Package | None:
    """The highest version for any of some architectures."""
    candidates = [package for package in packages if package.arch in archs]
    return max(candidates, key=lambda package: DebianVersion(package.version), default=None)


def stanzas(text: str) -> Iterator[dict[str, str]]:
    """Paragraphs of a control file (deb822(5)): field to value, continuation lines joined by newlines."""
    fields: dict[str, str] = {}
    key = ""
    for line in [*text.split("\n"), ""]:
        if not line.strip():
            if fields:
                yield fields
            fields, key = {}, ""
        elif line.startswith("#"):
            continue
        elif line[0] in " \t":
            if key:
                fields[key] += "\n" + line.strip()
        else:
            key, _, value = line.partition(":")
            fields[key] = value.strip()


def iso(date: datetime) -> str:
    """A UTC time as ISO 8601 with seconds: `2026-09-12T07:55:41Z`."""
    return date.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _count(text: str) -> int:
    # int() takes signs, underscores and digits of other scripts as well.
    if not _COUNT.fullmatch(text):
        raise ValueError(f"not a number: {text[:40]!r}")
    return int(text)


def _date(text: str) -> datetime:
    # RFC 5322 with `UTC` in the place of an offset, which Python reads as a time without a zone.
    date = parsedate_to_datetime(text.replace("UTC", "+0000"))
    return date.astimezone(timezone.utc)


def _package(fields: Mapping[str, str], what: str) -> Package:
    try:
        package = Package(
            name=fields["Package"],
            version=fields["Version"],
            arch=fields["Architecture"],
            filename=fields["Filename"],
            size=_count(fields["Size"]),
            sha256=fields["SHA256"],
            installed_size=_count(fields.get("Installed-Size", "0")) * 1024,
            pre_depends=fields.get("Pre-Depends", ""),
            depends=fields.get("Depends", ""),
            provides=fields.get("Provides", ""),
            conflicts=fields.get("Conflicts", ""),
            breaks=fields.get("Breaks", ""),
        )
        DebianVersion(package.version)
    except (KeyError, ValueError) as error:
        name = fields.get("Package", "?")
        raise IntegrityError(f"{what}: the stanza of {name} is malformed ({error})") from None
    parts = package.filename.split("/")
    if not _SHA256.fullmatch(package.sha256) or ".." in parts or parts[0] == "":
        raise IntegrityError(f"{what}: the stanza of {package.name} has a malformed hash or path")
    return package
