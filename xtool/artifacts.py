"""One file that xtool downloads, and the proof that it is the right one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file of a lock: what it is, where it lies in its archive, and its exact bytes.

    Args:
        name: package name, for example `gcc-14-powerpc64le-linux-gnu`.
        version: the package's version as its archive spells it.
        arch: the package's architecture as its archive spells it (`amd64`, `ppc64el`, `all`).
        archive: which archive of `toolchains/sources.toml` it comes from (`debian`).
        suite: the suite it was locked from (`trixie`); empty for archives without suites.
        path: its path below the archive's base URL.
        size: bytes of the file.
        sha256: lower-case hex digest of the file.
        unpacked_size: bytes it unpacks to; the cap that the unpacker enforces.
    """

    name: str
    version: str
    arch: str
    archive: str
    suite: str
    path: str
    size: int
    sha256: str
    unpacked_size: int

    @property
    def filename(self) -> str:
        """The last part of the path."""
        return PurePosixPath(self.path).name


@dataclass(frozen=True, slots=True)
class VerifiedFile:
    """A file on disk whose size and sha256 were checked against its artifact.

    Only `xtool.fetch` makes one, and `xtool.archive` opens nothing else: the types forbid unpacking before
    verifying.
    """

    artifact: Artifact
    path: Path
