"""What differs between two files that should be the same: of wheels, which member and which part of it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile

_SHOWN = 48
"""Bytes of a difference that are shown."""


def differences(a: Path, b: Path) -> list[str]:
    """Everything that is not the same in two wheels; empty for equal bytes."""
    if a.read_bytes() == b.read_bytes():
        return []
    found = [] if a.name == b.name else [f"named {a.name} and {b.name}"]
    with zipfile.ZipFile(a) as one, zipfile.ZipFile(b) as other:
        found += _archives(one, other)
    return found or ["only what lies between the members of the zip differs"]


def _archives(a: zipfile.ZipFile, b: zipfile.ZipFile) -> Iterator[str]:
    if a.namelist() != b.namelist():
        only = sorted(set(a.namelist()) ^ set(b.namelist()))
        yield f"members of one alone: {', '.join(only)}" if only else "the order of the members"
    for name in a.namelist():
        if name not in b.namelist() or name.endswith("/RECORD"):
            continue
        one, other = a.getinfo(name), b.getinfo(name)
        for fact in ("date_time", "external_attr", "create_system", "compress_type", "flag_bits", "extra"):
            if getattr(one, fact) != getattr(other, fact):
                yield f"{name}: {fact} is {getattr(one, fact)!r} and {getattr(other, fact)!r}"
        data = a.read(name), b.read(name)
        if data[0] != data[1]:
            yield from (f"{name}: {text}" for text in _contents(*data))
        elif one.compress_size != other.compress_size:
            yield f"{name}: compressed to {one.compress_size} and {other.compress_size} bytes"


def _contents(a: bytes, b: bytes) -> Iterator[str]:
    try:
        sections = _sections(a), _sections(b)
    except ELFError:
        yield _first(a, b)
        return
    same = True
    for name in dict.fromkeys([*sections[0], *sections[1]]):
        one, other = (part.get(name) for part in sections)
        if one != other:
            same = False
            yield f"section {name}: " + (_first(one, other) if one and other else "in one alone")
    if same:
        yield _first(a, b)


def _sections(data: bytes) -> dict[str, bytes]:
    elf = ELFFile(io.BytesIO(data))
    return {s.name: s.data() for s in elf.iter_sections() if s["sh_type"] not in ("SHT_NULL", "SHT_NOBITS")}


def _first(a: bytes, b: bytes) -> str:
    """The first bytes that differ, with what stands around them."""
    shorter = min(len(a), len(b))
    at = next((i for i in range(shorter) if a[i] != b[i]), shorter)
    begin = max(0, at - _SHOWN // 2)
    shown = [part[begin : at + _SHOWN // 2] for part in (a, b)]
    sizes = f", {len(a)} and {len(b)} bytes" if len(a) != len(b) else ""
    return f"at byte {at}{sizes}: {shown[0]!r} and {shown[1]!r}"
