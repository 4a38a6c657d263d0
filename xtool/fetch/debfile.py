"""How many bytes a `.deb` unpacks to: read once, when a lock is made."""

from __future__ import annotations

from pathlib import Path

from xtool.archive import ar, streams

_LIMIT = 1 << 40
"""Bytes after which a package is taken for a trick: nobody's disk would hold it."""


def unpacked_size(deb: Path) -> int:
    """Bytes of the decompressed `data.tar` of a `.deb`.

    It is read by what will unpack it, so no lock names a package that could not be unpacked.

    Raises:
        ArchiveError: it is not a `.deb`, it is damaged, or compressed in an unknown way.
    """
    with deb.open("rb") as file:
        fd, label = file.fileno(), deb.name
        data = ar.find_data(fd, label)
        suffix = data.name.removeprefix("data.tar")
        chunks = streams.decompressed(fd, data.offset, data.size, suffix, cap=_LIMIT, label=label)
        return sum(map(len, chunks))
