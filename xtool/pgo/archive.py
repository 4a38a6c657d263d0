"""The file that profiles are kept in: a zip archive of JSON, the same bytes for the same profiles.

`index.json` says what is in it; each wheel's profile is a file of its own. Numbers and paths in it are of no
machine: see `xtool.pgo.identity` and `xtool.pgo.names`.
"""

from __future__ import annotations

import json
import os
import re
import struct
import textwrap
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

from xtool.errors import ArchiveError, StoreError, UsageError
from xtool.pgo.identity import Scope
from xtool.pgo.notes import COUNTER_NAMES, INDIRECT, TOPN, Arc
from xtool.pgo.profile import Coverage, Function, ObjectProfile, Profile

SCHEMA = 1
KIND = "xtool profile"

INDEX = "index.json"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_MAX_SIZE = 1 << 30
"""Bytes that profiles may have when unpacked; that of a large project has some tens of millions."""

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

# zipfile's, for what it makes no sense of, cannot unpack, or will not without a password; then the reader's.
_OF_ZIP = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError)
_BROKEN = (*_OF_ZIP, KeyError, TypeError, ValueError, AttributeError, OverflowError)


def write(path: Path, profiles: Sequence[Profile]) -> Path:
    """Write profiles into a file, whole or not at all.

    Args:
        path: the file.
        profiles: the profiles, one a wheel.

    Raises:
        StoreError: it cannot be written.
    """
    ordered = sorted(profiles, key=lambda each: (each.target, each.python))
    members = {f"{each.target}-{each.python}.json": _dump(_plain(each)) for each in ordered}
    index = {
        "kind": KIND,
        "schema": SCHEMA,
        "profiles": [{"file": file, **each.header()} for file, each in zip(members, ordered, strict=True)],
    }
    place = path.resolve()
    partial = place.with_name(f".{place.name}.{os.getpid()}.partial")
    try:
        if place.exists() and not place.is_file():
            raise StoreError(
                f"cannot write {path}: it is no ordinary file", hint="name a file after `--pgo-save`"
            )
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in {INDEX: _dump(index), **members}.items():
                info = zipfile.ZipInfo(name, _EPOCH)
                info.external_attr = 0o644 << 16
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, text)
        partial.replace(place)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise StoreError(
            f"cannot write {path}: {error.strerror}",
            hint="name a file in a folder that is there and has room: `--pgo-save profile.zip`",
            code="not-writable",
        ) from error
    return path


def read(path: Path) -> tuple[Profile, ...]:
    """Read the profiles of a file.

    Raises:
        UsageError: there is no such file, or it was written by a later xtool.
        ArchiveError: it is no such archive, or malformed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > _MAX_SIZE:
                raise _malformed(path, f"it would have more than {_MAX_SIZE >> 20} MiB")
            if any(info.compress_type not in _METHODS for info in archive.infolist()):
                raise _malformed(path, "it is packed in another way")
            index = json.loads(archive.read(INDEX))
            if not isinstance(index, dict) or index.get("kind") != KIND:
                raise _malformed(path, "it is another kind of archive")
            if index["schema"] != SCHEMA:
                raise UsageError(
                    f"{path} was written by another version of xtool",
                    facts=[f"schema {index['schema']}, this one reads {SCHEMA}"],
                    hint="train again, or use the xtool that wrote it",
                    code="profile-schema",
                )
            return tuple(
                _profile(json.loads(archive.read(_text(each["file"])))) for each in _list(index["profiles"])
            )
    except FileNotFoundError:
        raise UsageError(
            f"there is no profile {path}",
            hint="`xtool build --pgo CMD --pgo-save FILE` makes one",
            code="no-profile",
        ) from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", code="no-profile") from error
    except _BROKEN as error:
        raise _malformed(path, f"{type(error).__name__}: {error}") from error


def _malformed(path: Path, why: str) -> ArchiveError:
    why = textwrap.shorten(why, 300, placeholder=" ...")
    return ArchiveError(
        f"{path} is no profile that xtool has saved",
        facts=[why],
        hint="`xtool build --pgo CMD --pgo-save FILE` makes one",
        code="bad-profile",
    )


def _dump(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":")) + "\n"


def _plain(profile: Profile) -> dict[str, Any]:
    return {**profile.header(), "objects": [_plain_object(each) for each in profile.objects]}


def _plain_object(each: ObjectProfile) -> dict[str, Any]:
    return {
        "place": each.place,
        "aux": each.aux,
        "source": each.source,
        "modules": list(each.modules),
        "flags": list(each.flags),
        "sources": dict(each.sources),
        "runs": each.runs,
        "highest": each.highest,
        "counted": each.counted,
        "functions": [_plain_function(function) for function in each.functions],
    }


def _plain_function(function: Function) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": function.name,
        "file": function.file,
        "line": function.line,
        "scope": function.scope,
        "ident": function.ident,
        "lineno": function.lineno_checksum,
        "cfg": function.cfg_checksum,
        "counters": {COUNTER_NAMES[kind]: list(values) for kind, values in function.counters.items()},
    }
    if function.coverage is not None:
        shape = function.coverage
        found["coverage"] = [shape.entered, shape.arcs, shape.covered, shape.weight]
    if function.lent:
        found["lent"] = True
    if not function.consistent:
        found["inconsistent"] = True
    if function.artificial:
        found["artificial"] = True
    if function.blocks:
        arcs = (word for arc in function.graph for word in (arc.source, arc.target, arc.flags))
        found["graph"] = [function.blocks, *arcs]
    return found


def _profile(data: Mapping[str, Any]) -> Profile:
    return Profile(
        project=_text(data["project"]),
        target=_word(data["target"]),
        python=_word(data["python"]),
        compiler=_word(data["compiler"]),
        format=_format(data["format"]),
        trained=_text(data["trained"]),
        commands=_texts(data["commands"]),
        objects=tuple(_object(each) for each in _list(data["objects"])),
    )


def _object(data: Mapping[str, Any]) -> ObjectProfile:
    place, aux = _text(data["place"]), _text(data["aux"])
    # Counters are written below a folder of theirs, at this place.
    if place.startswith("/") or ".." in place.split("/") or (aux.startswith("/") and ".." in aux.split("/")):
        raise ValueError(f"an object outside the project: {place}/{aux}")
    return ObjectProfile(
        place=place,
        aux=aux,
        source=_text(data["source"]),
        modules=_texts(data["modules"]),
        flags=_texts(data["flags"]),
        sources={_text(name): _text(digest) for name, digest in data["sources"].items()},
        runs=_number(data["runs"]),
        highest=_number(data["highest"]),
        functions=tuple(_function(each) for each in _list(data["functions"])),
        counted=_flag(data["counted"]),
    )


def _function(data: Mapping[str, Any]) -> Function:
    scope: Scope = data["scope"]
    if scope not in get_args(Scope):
        raise ValueError(f"no scope: {scope!r}")
    shape = data.get("coverage")
    blocks, *words = map(_number, _list(data.get("graph", [0])))
    return Function(
        name=_text(data["name"]),
        file=_text(data["file"]),
        line=_number(data["line"]),
        scope=scope,
        ident=_number(data["ident"]),
        lineno_checksum=_number(data["lineno"]),
        cfg_checksum=_number(data["cfg"]),
        counters=dict(_counters(name, values) for name, values in data["counters"].items()),
        coverage=Coverage(*map(_count, _list(shape))) if shape is not None else None,
        lent=_flag(data.get("lent", False)),
        consistent=not _flag(data.get("inconsistent", False)),
        artificial=_flag(data.get("artificial", False)),
        blocks=blocks,
        graph=tuple(Arc(*arc) for arc in zip(*[iter(words)] * 3, strict=True)),
    )


def _counters(name: str, values: Any) -> tuple[int, tuple[int, ...]]:
    kind = COUNTER_NAMES.index(name)
    counters = tuple(_count(value) for value in _list(values))
    if kind in (TOPN, INDIRECT):
        at = 0
        while at < len(counters):
            if at + 2 > len(counters) or counters[at + 1] < 0:
                raise ValueError(f"no lists of values: {counters!r}")
            at += 2 + 2 * counters[at + 1]
        if at != len(counters):
            raise ValueError(f"no lists of values: {counters!r}")
    return kind, counters


def _format(value: Any) -> str:
    """GCC's version, as four bytes of its files."""
    text = _text(value)
    if len(text) != 4 or not text.isascii():
        raise ValueError(f"no version of GCC's files: {value!r}")
    return text


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"no list: {value!r}")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(_text, _list(value)))


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"neither true nor false: {value!r}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(f"no text: {value!r}")
    value.encode("utf-8", "surrogateescape")
    return value


def _word(value: Any) -> str:
    """The name of a target or a version."""
    text = _text(value)
    if not _WORD.fullmatch(text):
        raise ValueError(f"no name: {value!r}")
    return text


def _number(value: Any) -> int:
    """A 32-bit word of GCC's files."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 32:
        raise ValueError(f"no 32-bit number: {value!r}")
    return value


def _count(value: Any) -> int:
    """A signed 64-bit counter."""
    if not isinstance(value, int) or isinstance(value, bool) or not -(1 << 63) <= value < 1 << 63:
        raise ValueError(f"no 64-bit number: {value!r}")
    return value
