"""Reading the files of `toolchains/`: strictly, with errors that name the file and the field."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xtool.artifacts import Artifact
from xtool.errors import CatalogError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


SCHEMA = 1
MEND = "reinstall xtool, or mend what XTOOL_TOOLCHAINS_DIR names"
"""What helps when a file of `toolchains/` is wrong."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


def load(path: Path) -> dict[str, Any]:
    """A TOML file of the schema that this xtool reads.

    Raises:
        CatalogError: it cannot be read, is not TOML, or has another schema.
    """
    try:
        document: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CatalogError(f"cannot read {path}: {error.strerror}", hint=MEND) from error
    # Beside errors of TOML and of UTF-8, a ValueError is a number of thousands of digits.
    except (ValueError, RecursionError) as error:
        raise CatalogError(f"{path} is not valid TOML", facts=[str(error)], hint=MEND) from error
    if document.get("schema") != SCHEMA:
        raise CatalogError(
            f"{path} has schema {document.get('schema')!r}; this xtool reads schema {SCHEMA}",
            hint="use the xtool that the file was made for",
        )
    return document


def check_fields(
    entry: Any,
    path: Path,
    *,
    required: Iterable[str],
    optional: Iterable[str] = (),
    where: str = "",
) -> None:
    """Refuse an entry that lacks a field or has one that nobody reads."""
    at = f"{path}: {where}" if where else str(path)
    if not isinstance(entry, dict):
        raise CatalogError(f"{at}: expected a table", hint=MEND)
    missing = set(required) - entry.keys()
    unknown = entry.keys() - set(required) - set(optional)
    if missing:
        raise CatalogError(f"{at}: missing {', '.join(sorted(missing))}", hint=MEND)
    if unknown:
        raise CatalogError(f"{at}: unknown {', '.join(sorted(unknown))}", hint=MEND)


@contextmanager
def well_formed(path: Path) -> Iterator[None]:
    """Say of a value of the wrong kind, met wherever it is used, which file it stands in.

    Raises:
        CatalogError: instead of what Python makes of it.
    """
    try:
        yield
    except (TypeError, ValueError, AttributeError, LookupError) as error:
        raise CatalogError(
            f"{path} holds a value of the wrong kind", facts=[f"{type(error).__name__}: {error}"], hint=MEND
        ) from error


def check_texts(entry: Mapping[str, Any], keys: Iterable[str], path: Path, where: str = "") -> None:
    """Refuse an entry with a field that is not text."""
    at = f"{path}: {where}" if where else str(path)
    for key in keys:
        if not isinstance(entry[key], str):
            raise CatalogError(f"{at}: {key} is not text", hint=MEND)


def texts(entry: Mapping[str, Any], key: str, path: Path, where: str) -> tuple[str, ...]:
    """A field that must be a list of texts."""
    values = entry[key]
    if not isinstance(values, list) or not all(isinstance(value, str) and value for value in values):
        raise CatalogError(f"{path}: {where}: {key} is not a list of texts", hint=MEND)
    return tuple(values)


def is_below(path: str) -> bool:
    """Whether a path stays below what it is appended to."""
    return bool(path) and not path.startswith("/") and ".." not in Path(path).parts and "\0" not in path


def digest_of(document: Any) -> str:
    """Hex sha256 of a value made of TOML's types."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def read_artifact(entry: Any, path: Path, unsized: frozenset[str] = frozenset()) -> Artifact:
    """One artifact; its size may be 0, which means unknown, for the archives in `unsized`."""
    check_fields(entry, path, required=set(Artifact.__dataclass_fields__), where="artifact")
    where = f"{path}: {entry['name']}"
    for field in ("name", "version", "arch", "archive", "suite", "path"):
        if not isinstance(entry[field], str):
            raise CatalogError(f"{where}: {field} is not text", hint=MEND)
    if not (isinstance(entry["sha256"], str) and _SHA256.fullmatch(entry["sha256"])):
        raise CatalogError(f"{where}: sha256 is not 64 lower-case hex digits", hint=MEND)
    for field in ("size", "unpacked_size"):
        lowest = 0 if field == "size" and entry["archive"] in unsized else 1
        if not isinstance(entry[field], int) or isinstance(entry[field], bool) or entry[field] < lowest:
            raise CatalogError(f"{where}: {field} is not a positive number of bytes", hint=MEND)
    if not is_below(entry["path"]):
        raise CatalogError(f"{where}: path must lie below the archive's base", hint=MEND)
    return Artifact(**entry)
