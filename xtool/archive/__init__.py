"""Unpacking verified archives: one strict reader a format, one safe writer, bounded in every direction.

`docs/decisions/0002-own-tar-reader.md` says why this is not tarfile, and `0009-own-rpm-reader.md` why it is
no library for RPM packages.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

from xtool import locking
from xtool.archive import ar, rpm, streams
from xtool.archive.cpio import CpioReader
from xtool.archive.tar import TarReader
from xtool.archive.tree import MTIME, Tree, clean_name
from xtool.artifacts import VerifiedFile
from xtool.errors import ArchiveError

__all__ = ["MTIME", "unpack", "unpack_all"]

MEMBER_LIMIT = 200_000
"""How many members one archive may have; the largest package in use has 5,000."""

Wanted = Callable[[str], bool]


def unpack(
    file: VerifiedFile,
    into: Path,
    *,
    only: Wanted | None = None,
    stop_after: frozenset[str] | None = None,
    absolute_links: str = "refuse",
    jobs: int | None = None,
) -> list[str]:
    """Unpack one verified archive into a folder.

    Files get mode 0644 or 0755, folders 0755, everything the same modification time, whatever the archive and
    the umask say; owners, setuid and setgid bits are not taken over. The folder may hold what other archives
    brought: shared folders are fine, a file with other bytes under the same name is not.

    Args:
        file: a .deb, a .rpm, or a .tar, .tar.gz, .tar.xz or .tar.zst.
        into: the folder; made when missing.
        only: told each member's name, without leading `./`; whether it is wanted.
        stop_after: names after which nothing else is wanted; the rest of the archive is not read.
        absolute_links: `refuse`, or `rewrite` for packages that are unpacked as a system root: the target is
            taken as a path below `into` and made relative.
        jobs: how many threads may decompress; the number of usable CPUs, at most four, by default.

    Returns:
        Names of the members unpacked, in the archive's order, as the archive spells them.

    Raises:
        ArchiveError: malformed, hostile, or larger than `file.artifact.unpacked_size`.
        OSError: the disk refuses; `xtool.store` turns it into a StoreError.
    """
    with Tree(into, absolute_links=absolute_links) as tree:
        return _unpack_into(tree, file, only, stop_after, jobs or _cpus())


def unpack_all(
    files: Iterable[VerifiedFile],
    into: Path,
    *,
    only: Wanted | None = None,
    absolute_links: str = "refuse",
    jobs: int = 1,
) -> list[str]:
    """Unpack several archives into one folder, `jobs` at a time; else like `unpack`.

    `files` may block until the next file is there: unpacking goes on meanwhile.

    Returns:
        Names of all members unpacked, sorted.
    """
    names: list[str] = []
    with Tree(into, absolute_links=absolute_links) as tree, ThreadPoolExecutor(max(jobs, 1)) as pool:
        futures = []
        try:
            for file in files:
                futures.append(pool.submit(_unpack_into, tree, file, only, None, max(jobs, 1)))
                if any(future.done() and future.exception() for future in futures):
                    break
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        for future in futures:
            if not future.cancelled():
                names += future.result()
    return sorted(names)


def _unpack_into(
    tree: Tree, file: VerifiedFile, only: Wanted | None, stop_after: frozenset[str] | None, jobs: int
) -> list[str]:
    label = file.artifact.filename
    missing = set(stop_after) if stop_after is not None else None
    names: list[str] = []
    fd = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        offset, size, compression = _locate(fd, label)
        cap = file.artifact.unpacked_size
        chunks = streams.decompressed(fd, offset, size, compression, cap=cap, label=label, jobs=jobs)
        # Closed before the descriptor is: its threads read from it.
        with closing(chunks):
            reader = _reader(chunks, label, only)
            for member in reader.members():
                name = clean_name(member.name, label)
                if only is None or only(name):
                    tree.add(member, name, reader.payload(), label)
                    if name:
                        names.append(name)
                        locking.passing("mid-unpack")
                if missing is not None:
                    missing.discard(name)
                    if not missing:
                        return names
    finally:
        os.close(fd)
    if missing:
        raise ArchiveError(f"{label} lacks {', '.join(sorted(missing))}")
    return names


def _reader(chunks: Iterator[bytes], label: str, only: Wanted | None) -> TarReader | CpioReader:
    if label.endswith(".rpm"):
        return CpioReader(chunks, label, limit=MEMBER_LIMIT, wanted=only)
    return TarReader(chunks, label, limit=MEMBER_LIMIT)


def _locate(fd: int, label: str) -> tuple[int, int, str]:
    """Offset, size and compression of the tar or cpio stream of an archive."""
    if label.endswith(".rpm"):
        package = rpm.read_rpm(fd, label)
        return package.payload.offset, package.payload.size, package.compression
    if label.endswith(".deb"):
        data = ar.find_data(fd, label)
        return data.offset, data.size, data.name.removeprefix("data.tar")
    for compression in streams.COMPRESSIONS:
        if label.endswith(f".tar{compression}"):
            return 0, os.fstat(fd).st_size, compression
    raise ArchiveError(f"{label} is of a kind that xtool does not unpack")


def _cpus() -> int:
    # Every thread holds a block of up to 64 MiB; more than four would buy little for that.
    return min(len(os.sched_getaffinity(0)), 4)
