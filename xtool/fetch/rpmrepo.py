"""The metadata of an RPM repository: `repomd.xml`, and `primary`, which lists its packages.

Format: what createrepo_c writes (namespaces `linux.duke.edu/metadata`). The XML is read with expat as it
comes, and a document type is refused: without one there are no entities but XML's own five, and nothing to
expand or to fetch. Texts that nobody asked for are not kept, those that are wanted have a largest length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from xtool.errors import IntegrityError
from xtool.fetch.release import iso
from xtool.fetch.rpmversions import RpmVersion
from xtool.records import is_below

if TYPE_CHECKING:
    from xml.parsers.expat import XMLParserType

_REPO = "http://linux.duke.edu/metadata/repo "
_COMMON = "http://linux.duke.edu/metadata/common "
_RPM = "http://linux.duke.edu/metadata/rpm "
_SHA256 = re.compile(r"[0-9a-f]{64}")
_PLAIN = re.compile(r"[0-9A-Za-z._+~^-]+")
_LONGEST_TEXT = 1 << 12
_MOST_ENTRIES = 1 << 20
"""Requirements, capabilities and files of one package; a kernel with its debug data has some 10,000."""

_SENSES = {"LT": "<", "LE": "<=", "EQ": "=", "GE": ">=", "GT": ">"}
_OLDEST = 10**9
"""Seconds since 1970 from which a revision can be a time (September 2001); others are counted by hand."""

COMPRESSIONS = (".gz", ".xz", ".zst")
PRIMARY_LIMIT = 1 << 30
"""Bytes that a primary may unpack to, where it does not say or says more."""


@dataclass(frozen=True, slots=True)
class PrimaryFile:
    """What a `repomd.xml` says of its primary.

    Args:
        location: path below the repository.
        size: bytes as it lies there.
        sha256: of these bytes.
        open_size: bytes that it unpacks to; None where that is not said.
        compression: suffix: `.gz`, `.xz` or `.zst`.
    """

    location: str
    size: int
    sha256: str
    open_size: int | None
    compression: str


@dataclass(frozen=True, slots=True)
class Repomd:
    """A `repomd.xml`: when it was made (ISO 8601, UTC; empty when it does not say), and its primary."""

    date: str
    primary: PrimaryFile


@dataclass(frozen=True, slots=True)
class RpmPackage:
    """One package of a repository.

    Args:
        name, epoch, ver, rel, arch: its identity.
        location: path below the repository.
        size: bytes of the file.
        archive_size: bytes of the cpio archive in it; 0 where that is not said.
        sha256: of the file.
        requires, provides, conflicts, obsoletes: as a spec file has them: `name`, `name >= 1:2.17-317.el7`.
        files: the files that the primary lists: those that others may require by path.
    """

    name: str
    epoch: int
    ver: str
    rel: str
    arch: str
    location: str
    size: int
    archive_size: int
    sha256: str
    requires: tuple[str, ...]
    provides: tuple[str, ...]
    conflicts: tuple[str, ...]
    obsoletes: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def version(self) -> str:
        """`[epoch:]version-release`, the epoch only where there is one."""
        return str(self.order)

    @property
    def order(self) -> RpmVersion:
        """The version as something that compares."""
        return RpmVersion(self.epoch, self.ver, self.rel)


def read_repomd(data: bytes, what: str) -> Repomd:
    """Read a `repomd.xml`.

    Raises:
        IntegrityError: it is not one, or its primary is not given by sha256, size and a path below it.
    """
    reader = _RepomdReader(what)
    reader.feed([data])
    return reader.result()


def read_primary(
    chunks: Iterable[bytes], *, arches: Collection[str], what: str, wanted: Collection[str] | None = None
) -> list[RpmPackage]:
    """Read the packages of a primary, in its order.

    Args:
        chunks: the document, decompressed.
        arches: architectures that count.
        what: what the file is, for messages.
        wanted: names of packages that count; None for all.

    Raises:
        IntegrityError: it is not XML or has a document type, or a package that counts is malformed.
    """
    reader = _PrimaryReader(what, arches, wanted)
    reader.feed(chunks)
    return reader.packages


def highest(packages: Iterable[RpmPackage], name: str, arch: str) -> RpmPackage | None:
    """The highest version of a package for an architecture or for all of them; the first one of equals."""
    candidates = [one for one in packages if one.name == name and one.arch in (arch, "noarch")]
    return max(candidates, key=lambda one: one.order, default=None)


class _Reader:
    """What both documents have in common: a parser that refuses document types, and bounded texts."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._path: list[str] = []
        self._text: list[str] | None = None
        self._length = 0

    def feed(self, chunks: Iterable[bytes]) -> None:
        """Read the whole document."""
        from xml.parsers import expat

        parser: XMLParserType = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        try:
            for chunk in chunks:
                parser.Parse(chunk, False)
            parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise self.broken(f"not XML: {error}") from None
        except (ValueError, OverflowError, LookupError) as error:
            # A LookupError: the document names an encoding that there is not.
            raise self.broken(str(error)) from None

    def broken(self, why: str) -> IntegrityError:
        """The error for a malformed document."""
        return IntegrityError(f"{self.what} is malformed: {why}", code="repodata")

    def element(self, path: tuple[str, ...], attributes: dict[str, str]) -> bool:
        """An element begins; whether its text is wanted."""
        raise NotImplementedError

    def ended(self, path: tuple[str, ...], text: str) -> None:
        """An element is over."""
        raise NotImplementedError

    def _doctype(self, *_: object) -> None:
        raise self.broken("it has a document type, which no repository needs")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._path.append(tag)
        if len(self._path) > 32:
            raise self.broken("its elements are nested too deep")
        self._text = [] if self.element(tuple(self._path[-3:]), attributes) else None
        self._length = 0

    def _end(self, _tag: str) -> None:
        text = "".join(self._text).strip() if self._text is not None else ""
        self._text = None
        self.ended(tuple(self._path[-3:]), text)
        self._path.pop()

    def _characters(self, data: str) -> None:
        if self._text is not None:
            self._length += len(data)
            if self._length > _LONGEST_TEXT:
                raise self.broken(f"{self._path[-1].rpartition(' ')[2]} is too long")
            self._text.append(data)


class _RepomdReader(_Reader):
    def __init__(self, what: str) -> None:
        super().__init__(what)
        self._revision = ""
        self._timestamps: list[int] = []
        self._data: dict[str, str] | None = None
        self._primary: dict[str, str] | None = None

    def element(self, path: tuple[str, ...], attributes: dict[str, str]) -> bool:
        if len(path) == 1 and path[0] != f"{_REPO}repomd":
            raise self.broken("it is another kind of document")
        if path[-1] == f"{_REPO}data":
            self._data = {"type": attributes.get("type", "")}
        elif self._data is not None and path[-1] == f"{_REPO}location":
            self._data["location"] = "" if len(attributes) != 1 else attributes.get("href", "")
        elif self._data is not None and path[-1] == f"{_REPO}checksum":
            self._data["algorithm"] = attributes.get("type", "")
        return True

    def ended(self, path: tuple[str, ...], text: str) -> None:
        name = path[-1].removeprefix(_REPO)
        if name == "revision":
            self._revision = text
        elif name == "data" and self._data is not None:
            if self._data["type"] == "primary":
                if self._primary is not None:
                    raise self.broken("it has two primaries")
                self._primary = self._data
            self._data = None
        elif self._data is not None and name in ("checksum", "size", "open-size", "timestamp"):
            self._data[name] = text
            if name == "timestamp":
                self._timestamps.append(int(float(text)))

    def result(self) -> Repomd:
        """What was read."""
        found = self._primary
        if found is None:
            raise self.broken("it has no primary")
        location, sha256 = found.get("location", ""), found.get("checksum", "")
        suffix = next((one for one in COMPRESSIONS if location.endswith(one)), None)
        if not is_below(location) or suffix is None:
            raise self.broken(f"its primary is at {location!r}, which is no path of a .gz, .xz or .zst file")
        if found.get("algorithm") != "sha256" or not _SHA256.fullmatch(sha256):
            raise self.broken("its primary is not given by a sha256")
        try:
            size = _number(found.get("size", ""))
            open_size = _number(found["open-size"]) if "open-size" in found else None
        except ValueError as error:
            raise self.broken(str(error)) from None
        return Repomd(self._date(), PrimaryFile(location, size, sha256, open_size, suffix))

    def _date(self) -> str:
        """When the repository was made: its revision where that is a time, else its newest part's time."""
        revision = self._revision
        seconds = int(revision) if revision.isascii() and revision.isdigit() and len(revision) < 12 else 0
        if seconds < _OLDEST:
            seconds = max(self._timestamps, default=0)
        if not _OLDEST <= seconds < 10**11:
            return ""
        return iso(datetime.fromtimestamp(seconds, timezone.utc))


class _PrimaryReader(_Reader):
    def __init__(self, what: str, arches: Collection[str], wanted: Collection[str] | None) -> None:
        super().__init__(what)
        self.packages: list[RpmPackage] = []
        self._arches = arches
        self._wanted = wanted
        self._fields: dict[str, str] = {}
        self._lists: dict[str, list[str]] = {}
        self._skip = True
        package, form = f"{_COMMON}package", f"{_COMMON}format"
        self._begins: dict[tuple[str, str], Callable[[dict[str, str]], None]] = {
            (package, f"{_COMMON}version"): self._take("epoch", "ver", "rel"),
            (package, f"{_COMMON}size"): self._take("package", "archive"),
            (package, f"{_COMMON}checksum"): self._take("type"),
            (package, f"{_COMMON}location"): self._locate,
            **{(f"{_RPM}{kind}", f"{_RPM}entry"): self._entry(kind) for kind in _KINDS},
        }
        self._texts = {
            (package, f"{_COMMON}name"): "name",
            (package, f"{_COMMON}arch"): "arch",
            (package, f"{_COMMON}checksum"): "sha256",
            (form, f"{_COMMON}file"): "file",
        }

    def element(self, path: tuple[str, ...], attributes: dict[str, str]) -> bool:
        if len(path) == 1 and path[0] != f"{_COMMON}metadata":
            raise self.broken("it is another kind of document")
        if path == (f"{_COMMON}metadata", f"{_COMMON}package"):
            self._fields, self._lists, self._skip = {}, {kind: [] for kind in (*_KINDS, "files")}, False
        if self._skip or len(path) < 3:
            return False
        begin = self._begins.get((path[-2], path[-1]))
        if begin is not None:
            begin(attributes)
        return (path[-2], path[-1]) in self._texts

    def ended(self, path: tuple[str, ...], text: str) -> None:
        if path == (f"{_COMMON}metadata", f"{_COMMON}package"):
            if not self._skip:
                self.packages.append(self._package())
            self._skip = True
            return
        name = self._texts.get((path[-2], path[-1])) if len(path) > 2 and not self._skip else None
        if name == "file":
            self._append("files", text)
        elif name is not None:
            if name in self._fields:
                raise self.broken(f"a package has two of {name}")
            self._fields[name] = text
            unwanted = self._wanted is not None and name == "name" and text not in self._wanted
            if unwanted or (name == "arch" and text not in self._arches):
                self._skip = True

    def _take(self, *names: str) -> Callable[[dict[str, str]], None]:
        def take(attributes: dict[str, str]) -> None:
            for name in names:
                self._fields[name] = attributes.get(name, "")

        return take

    def _locate(self, attributes: dict[str, str]) -> None:
        # A base of its own (xml:base) would lead to another place than the mirror.
        self._fields["href"] = attributes.get("href", "") if len(attributes) == 1 else ""

    def _entry(self, kind: str) -> Callable[[dict[str, str]], None]:
        return lambda attributes: self._append(kind, _dependency(attributes))

    def _append(self, kind: str, text: str) -> None:
        if len(self._lists[kind]) >= _MOST_ENTRIES:
            raise self.broken(f"{self._fields.get('name', 'a package')} has too many {kind}")
        self._lists[kind].append(text)

    def _package(self) -> RpmPackage:
        fields = self._fields
        name = fields.get("name", "")
        for key in ("name", "ver", "rel", "arch"):
            if not _PLAIN.fullmatch(fields.get(key, "")):
                raise self.broken(f"package {name!r} has no proper {key}")
        href, sha256 = fields.get("href", ""), fields.get("sha256", "")
        if not is_below(href) or not href.endswith(".rpm"):
            raise self.broken(f"package {name} is at {href!r}, which is no path below the repository")
        if fields.get("type") != "sha256" or not _SHA256.fullmatch(sha256):
            raise self.broken(f"package {name} is not given by a sha256")
        return RpmPackage(
            name=name,
            epoch=_number(fields.get("epoch") or "0", lowest=0),
            ver=fields["ver"],
            rel=fields["rel"],
            arch=fields["arch"],
            location=href,
            size=_number(fields.get("package", "")),
            archive_size=_number(fields.get("archive") or "0", lowest=0),
            sha256=sha256,
            requires=tuple(self._lists["requires"]),
            provides=tuple(self._lists["provides"]),
            conflicts=tuple(self._lists["conflicts"]),
            obsoletes=tuple(self._lists["obsoletes"]),
            files=tuple(self._lists["files"]),
        )


_KINDS = ("requires", "provides", "conflicts", "obsoletes")


def _dependency(attributes: dict[str, str]) -> str:
    """An entry as a spec file writes it."""
    name = attributes.get("name", "")
    flags = attributes.get("flags")
    if not name or len(name) > _LONGEST_TEXT:
        raise ValueError("a requirement without a proper name")
    if flags is None:
        return name
    if flags not in _SENSES:
        raise ValueError(f"{name}: a comparison that is none: {flags!r}")
    epoch, version, release = (attributes.get(key, "") for key in ("epoch", "ver", "rel"))
    full = f"{epoch}:{version}" if epoch not in ("", "0") else version
    return f"{name} {_SENSES[flags]} {full}-{release}" if release else f"{name} {_SENSES[flags]} {full}"


def _number(text: str, *, lowest: int = 1) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 16 and int(text) >= lowest):
        raise ValueError(f"not a number of bytes: {text[:32]!r}")
    return int(text)
