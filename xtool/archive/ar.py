"""The outer layer of a .deb: an ar archive with `debian-binary`, `control.tar*` and `data.tar*` (deb(5))."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from xtool.errors import ArchiveError

_MAGIC = b"!<arch>\n"
_HEADER = 60
_NUMBER = re.compile(rb"[0-9]{1,10} *")


@dataclass(frozen=True, slots=True)
class ArMember:
    """One member of an ar archive: its name and where its bytes lie in the file."""

    name: str
    offset: int
    size: int


def read_ar(fd: int, label: str) -> list[ArMember]:
    """List the members of an ar archive.

    Args:
        fd: the open file.
        label: the archive's name, for messages.

    Raises:
        ArchiveError: magic, a header or a size is wrong.
    """
    total = os.fstat(fd).st_size
    if os.pread(fd, len(_MAGIC), 0) != _MAGIC:
        raise ArchiveError(f"{label} is not a Debian package: it has no ar header")
    members = []
    offset = len(_MAGIC)
    while offset < total:
        header = os.pread(fd, _HEADER, offset)
        if len(header) != _HEADER or header[58:] != b"`\n":
            raise ArchiveError(f"{label}: broken ar header at byte {offset}")
        field = header[48:58]
        if not _NUMBER.fullmatch(field):
            raise ArchiveError(f"{label}: an ar member has no proper size", facts=[repr(field)])
        name = header[:16].rstrip(b" ").removesuffix(b"/")
        size = int(field)
        offset += _HEADER
        if offset + size > total:
            raise ArchiveError(f"{label} is cut short: a member reaches past the end of the file")
        if not name.isascii():
            raise ArchiveError(f"{label}: an ar member has a name that is not ASCII", facts=[repr(name)])
        members.append(ArMember(name.decode("ascii"), offset, size))
        offset += size
        if size % 2:
            if offset < total and os.pread(fd, 1, offset) != b"\n":
                raise ArchiveError(f"{label}: ar padding at byte {offset} is not a newline")
            offset += 1
    return members


def find_data(fd: int, label: str) -> ArMember:
    """The `data.tar*` member of a .deb, once the whole outer layer has been checked.

    Raises:
        ArchiveError: it is not a package of format 2.0 with exactly one control and one data member.
    """
    members = read_ar(fd, label)
    if not members or members[0].name != "debian-binary":
        raise ArchiveError(f"{label} is not a Debian package: it does not start with debian-binary")
    first = members[0]
    version = os.pread(fd, min(first.size, 64), first.offset)
    if not version.startswith(b"2.") or not version.endswith(b"\n") or first.size > 64:
        raise ArchiveError(f"{label} has an unknown package format", facts=[repr(version[:64])])
    # deb(5): members whose names start with an underscore may be ignored, others may not.
    rest = [member for member in members[1:] if not member.name.startswith("_")]
    control = [member for member in rest if _is_tar(member.name, "control.tar")]
    data = [member for member in rest if _is_tar(member.name, "data.tar")]
    if len(control) != 1 or len(data) != 1 or len(rest) != 2:
        names = ", ".join(member.name for member in members)
        raise ArchiveError(
            f"{label} has not exactly one control.tar and one data.tar", facts=[f"members: {names}"]
        )
    return data[0]


def _is_tar(name: str, stem: str) -> bool:
    return name == stem or name.startswith(f"{stem}.")
