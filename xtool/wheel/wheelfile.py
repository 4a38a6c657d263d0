"""Wheels as files: names, metadata and RECORD, read with suspicion and written deterministically.

Sources: the binary distribution format specification (PEP 427, PEP 425, PEP 376), and PEP 600 for platform
tags. The same members always give the same bytes: sorted, one timestamp, two modes, no leftovers of the
machine that wrote them.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import stat
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from email.parser import HeaderParser
from functools import cached_property
from pathlib import Path, PurePosixPath

from xtool.errors import ArchiveError, UsageError

_MAX_ENTRIES = 200_000
_MAX_TOTAL = 8 << 30
"""Most bytes that a wheel may unpack to: twice the largest that is known, CUDA builds included."""
_MAX_METADATA = 16 << 20
_MAX_RATIO = 200
"""Most that a large member may expand; deflate can do 1032, real libraries stay below 20."""
_RATIO_FREE = 64 << 20

EARLIEST = 315532800
"""1980-01-01, the first moment that a zip can name; used when nothing else is asked for."""

_SIGNATURES = ("RECORD.jws", "RECORD.p7s")


@dataclass(frozen=True, slots=True)
class WheelName:
    """The parts of a wheel's file name, as they stand in it.

    Args:
        distribution: escaped project name.
        version: version.
        build: build tag, or empty.
        pythons: python tags (`cp313`).
        abis: ABI tags (`cp313`, `abi3`, `none`).
        platforms: platform tags, in order.
    """

    distribution: str
    version: str
    build: str
    pythons: tuple[str, ...]
    abis: tuple[str, ...]
    platforms: tuple[str, ...]

    @classmethod
    def parse(cls, filename: str) -> WheelName:
        """Take a file name apart.

        Raises:
            UsageError: it is no wheel's name.
        """
        from packaging.utils import parse_wheel_filename

        try:
            parse_wheel_filename(filename)
        # Beside packaging's own, a ValueError: of a version with thousands of digits.
        except ValueError as error:
            raise UsageError(
                f"`{filename}` is not the name of a wheel",
                facts=[str(error)],
                hint="a wheel is called NAME-VERSION-PYTHON-ABI-PLATFORM.whl",
            ) from error
        parts = filename[: -len(".whl")].split("-")
        python, abi, platform = (tuple(part.split(".")) for part in parts[-3:])
        return cls(parts[0], parts[1], parts[2] if len(parts) == 6 else "", python, abi, platform)

    @property
    def filename(self) -> str:
        """The file name."""
        build = [self.build] if self.build else []
        tags = [".".join(part) for part in (self.pythons, self.abis, self.platforms)]
        return "-".join([self.distribution, self.version, *build, *tags]) + ".whl"

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that it stands for, one for each line of `WHEEL`."""
        return tuple(f"{p}-{a}-{m}" for p in self.pythons for a in self.abis for m in self.platforms)

    @property
    def pure(self) -> bool:
        """Whether it claims to run on any platform."""
        return self.platforms == ("any",)

    def with_platforms(self, platforms: Iterable[str]) -> WheelName:
        """The same wheel under other platform tags, sorted as auditwheel sorts them."""
        return replace(self, platforms=tuple(sorted(set(platforms))))


@dataclass(frozen=True, slots=True)
class Member:
    """One file in a wheel.

    Args:
        name: its path in the wheel.
        data: its bytes.
        executable: whether its mode has an executable bit.
    """

    name: str
    data: bytes
    executable: bool = False


class Wheel:
    """An open wheel whose directory was checked: names, sizes, kinds of entries.

    Args:
        path: the file.
        name: its name, taken apart.
        archive: the open zip.
    """

    def __init__(self, path: Path, name: WheelName, archive: zipfile.ZipFile) -> None:
        self.path = path
        self.name = name
        self._archive = archive
        self._entries = {info.filename: info for info in _checked_entries(path, archive)}
        self.dist_info = _dist_info(path, name, self._entries)

    @property
    def names(self) -> tuple[str, ...]:
        """Paths of its files, in the archive's order."""
        return tuple(self._entries)

    def size(self, name: str) -> int:
        """Bytes of a member as the directory has it."""
        return self._entries[name].file_size

    def executable(self, name: str) -> bool:
        """Whether a member's mode has an executable bit."""
        return bool((self._entries[name].external_attr >> 16) & 0o111)

    def read(self, name: str, *, limit: int | None = None) -> bytes:
        """Bytes of a member, or its first `limit`.

        Raises:
            ArchiveError: it cannot be unpacked.
        """
        with _archive_errors(self.path), self._archive.open(self._entries[name]) as file:
            return file.read() if limit is None else file.read(limit)

    def members(self) -> Iterator[Member]:
        """Every file with its bytes, one at a time."""
        for name in self._entries:
            yield Member(name, self.read(name), self.executable(name))

    @cached_property
    def wheel_info(self) -> dict[str, list[str]]:
        """Fields of `WHEEL`, each with its values in order."""
        return _headers(self._metadata("WHEEL"))

    @cached_property
    def metadata(self) -> dict[str, list[str]]:
        """Fields of `METADATA`, each with its values in order."""
        return _headers(self._metadata("METADATA"))

    @property
    def requirements(self) -> tuple[str, ...]:
        """The `Requires-Dist` lines."""
        return tuple(self.metadata.get("Requires-Dist", ()))

    @property
    def purelib(self) -> bool:
        """Whether `WHEEL` says `Root-Is-Purelib: true`."""
        return self.wheel_info.get("Root-Is-Purelib", ["false"])[0].strip().lower() == "true"

    def _metadata(self, file: str) -> str:
        name = f"{self.dist_info}/{file}"
        if name not in self._entries:
            raise ArchiveError(f"{self.path.name} has no `{name}`")
        if self.size(name) > _MAX_METADATA:
            raise ArchiveError(f"`{name}` of {self.path.name} has {self.size(name)} bytes")
        return self.read(name).decode("utf-8", "replace")

    @cached_property
    def record(self) -> dict[str, tuple[str, str]]:
        """RECORD: for each path its hash field and its size field.

        Raises:
            ArchiveError: the wheel has none, or it is no CSV.
        """
        try:
            rows = list(csv.reader(io.StringIO(self._metadata("RECORD"))))
        except csv.Error as error:
            raise ArchiveError(f"RECORD of {self.path.name} is unreadable", facts=[str(error)]) from error
        return {row[0]: (row[1], row[2]) for row in rows if len(row) == 3}

    def record_problem(self, name: str, data: bytes) -> str | None:
        """What RECORD has against a member's bytes, or None."""
        if name in {f"{self.dist_info}/{file}" for file in ("RECORD", *_SIGNATURES)}:
            return None
        if name not in self.record:
            return "is not in RECORD"
        algorithm, _, digest = self.record[name][0].partition("=")
        if algorithm not in {"sha256", "sha384", "sha512"}:
            return f"has the hash `{self.record[name][0]}` in RECORD, which is none that wheels may use"
        # Some writers keep base64's padding, which PEP 376 leaves out.
        if digest.rstrip("=") != _digest(data, algorithm):
            return "does not have the hash that RECORD gives"
        return None


@contextmanager
def open_wheel(path: Path) -> Iterator[Wheel]:
    """Open a wheel and check its directory.

    Raises:
        UsageError: the file is absent, unreadable or not named as a wheel.
        ArchiveError: it is no zip, or a hostile or broken one.
    """
    name = WheelName.parse(path.name)
    try:
        file = path.open("rb")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    with file:
        with _archive_errors(path):
            archive = zipfile.ZipFile(file)
        with archive:
            yield Wheel(path, name, archive)


@contextmanager
def _archive_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        OverflowError,
        OSError,
        KeyError,
    ) as error:
        raise ArchiveError(
            f"{path.name} is not a readable wheel",
            facts=[str(error) or type(error).__name__],
            hint="download or build it again; a wheel is a zip file",
        ) from error


def _checked_entries(path: Path, archive: zipfile.ZipFile) -> Iterator[zipfile.ZipInfo]:
    """The file entries; directories are dropped, everything suspicious is an error."""
    infos = archive.infolist()
    if len(infos) > _MAX_ENTRIES:
        raise ArchiveError(f"{path.name} has {len(infos)} entries")
    if sum(info.file_size for info in infos) > _MAX_TOTAL:
        raise ArchiveError(f"{path.name} unpacks to more than {_MAX_TOTAL >> 30} GiB")
    seen: set[str] = set()
    for info in infos:
        problem = _entry_problem(info)
        if problem is None and info.filename in seen:
            problem = "is there twice"
        if problem:
            raise ArchiveError(
                f"{path.name} is not a wheel to be trusted", facts=[f"{info.filename!r} {problem}"]
            )
        seen.add(info.filename)
        if not info.is_dir():
            yield info


def _entry_problem(info: zipfile.ZipInfo) -> str | None:
    name = info.filename
    mode = info.external_attr >> 16
    parts = name.rstrip("/").split("/")
    # zipfile cuts a name at NUL and turns the host's separator round; the raw name is what others see.
    if name != info.orig_filename or "\\" in name or not name.isprintable():
        return "is no plain path"
    if name.startswith("/") or any(part in {"", ".", ".."} for part in parts) or ":" in parts[0]:
        return "leads outside the wheel"
    if stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
        return "is neither a file nor a folder"
    if info.flag_bits & 0x1:
        return "is encrypted"
    if info.file_size > _RATIO_FREE and info.file_size > _MAX_RATIO * max(info.compress_size, 1):
        return f"claims to expand {info.file_size // max(info.compress_size, 1)} times"
    return None


def _dist_info(path: Path, name: WheelName, entries: Mapping[str, zipfile.ZipInfo]) -> str:
    found = sorted({e.split("/")[0] for e in entries if e.split("/")[0].endswith(".dist-info") and "/" in e})
    if len(found) != 1:
        raise ArchiveError(
            f"{path.name} is not a wheel",
            facts=[f"it has {len(found)} folders named *.dist-info, not one", *found[:5]],
        )
    from packaging.utils import canonicalize_name

    project = found[0].removesuffix(".dist-info").rpartition("-")[0]
    if canonicalize_name(project) != canonicalize_name(name.distribution):
        raise ArchiveError(
            f"{path.name} is not what its name says", facts=[f"its metadata folder is `{found[0]}`"]
        )
    return found[0]


def _headers(text: str) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for key, value in HeaderParser().parsestr(text).items():
        fields.setdefault(key, []).append(str(value).strip())
    return fields


def _digest(data: bytes, algorithm: str) -> str:
    return base64.urlsafe_b64encode(hashlib.new(algorithm, data).digest()).rstrip(b"=").decode()


def rewrite(
    wheel: Wheel,
    outdir: Path,
    *,
    name: WheelName,
    changes: Mapping[str, bytes] | None = None,
    epoch: int = EARLIEST,
) -> Path:
    """Write a wheel anew under a name, with `WHEEL` and RECORD to fit.

    Args:
        wheel: where the members come from.
        outdir: folder to write to; it must exist.
        name: the new name; its tags go into `WHEEL`.
        changes: new bytes of members.
        epoch: seconds since 1970 that every member is dated to (`SOURCE_DATE_EPOCH`).
    """
    info = f"{wheel.dist_info}/WHEEL"
    dropped = {f"{wheel.dist_info}/{file}" for file in ("RECORD", *_SIGNATURES)}
    new = dict(changes or {})
    new[info] = _retagged(wheel.read(info), name, root_is_purelib=None if name.pure else False)

    def members() -> Iterator[Member]:
        # Metadata last, as PEP 427 recommends: tools that rewrite it need not move the rest.
        for path in sorted(wheel.names, key=lambda n: (n.startswith(f"{wheel.dist_info}/"), n)):
            if path not in dropped:
                data = new[path] if path in new else wheel.read(path)
                yield Member(path, data, wheel.executable(path))

    return write(outdir / name.filename, members(), dist_info=wheel.dist_info, epoch=epoch)


def write(path: Path, members: Iterable[Member], *, dist_info: str, epoch: int = EARLIEST) -> Path:
    """Write a wheel from members in the order given, RECORD last and made here.

    The file appears under its name only when it is complete.
    """
    moment = time.gmtime(max(epoch, EARLIEST))[:6]
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    partial = path.with_name(f".{path.name}.partial")
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for member in members:
            _add(archive, member, moment)
            rows.writerow((member.name, f"sha256={_digest(member.data, 'sha256')}", len(member.data)))
        rows.writerow((f"{dist_info}/RECORD", "", ""))
        _add(archive, Member(f"{dist_info}/RECORD", record.getvalue().encode()), moment)
    partial.replace(path)
    return path


def _add(archive: zipfile.ZipFile, member: Member, moment: Sequence[int]) -> None:
    year, month, day, hour, minute, second = moment
    entry = zipfile.ZipInfo(member.name, (year, month, day, hour, minute, second))
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3
    entry.external_attr = (stat.S_IFREG | (0o755 if member.executable else 0o644)) << 16
    archive.writestr(entry, member.data)


def _retagged(text: bytes, name: WheelName, *, root_is_purelib: bool | None) -> bytes:
    """`WHEEL` with the tags of a name."""
    lines = []
    for line in text.decode("utf-8", "replace").splitlines():
        key = line.partition(":")[0].strip().lower()
        if not line.strip() or key in {"tag", "build"}:
            continue
        if key == "root-is-purelib" and root_is_purelib is not None:
            lines.append(f"Root-Is-Purelib: {str(root_is_purelib).lower()}")
        else:
            lines.append(line)
    lines += [f"Tag: {tag}" for tag in name.tags]
    if name.build:
        lines.append(f"Build: {name.build}")
    return ("\n".join(lines) + "\n").encode()


def is_script(name: str) -> bool:
    """Whether a member becomes a program on the PATH (`NAME.data/scripts/...`)."""
    parts = PurePosixPath(name).parts
    return len(parts) > 2 and parts[0].endswith(".data") and parts[1] == "scripts"
