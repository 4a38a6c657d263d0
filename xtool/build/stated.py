"""What a project says of itself before it is built: name, version, its Pythons, hints at its wheels.

Nothing of it is run. `setup.py` is read for literals only, as far as its syntax is that of this Python.
"""

from __future__ import annotations

import ast
import configparser
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from xtool.python.versions import PythonVersion

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_LARGEST = 1 << 20
"""Bytes of a file that is looked through for hints."""

_FILES = ("pyproject.toml", "setup.cfg", "setup.py")

_LIMITED_API = re.compile(r"py[-_]limited[-_]api|\babi3\b", re.IGNORECASE)

_LIMITED_SINCE = re.compile(r"py[-_]limited[-_]api\W{1,6}cp3(\d{1,2})\b", re.IGNORECASE)

_COMPILED = re.compile(
    r".+\.(c|cc|cpp|cxx|c\+\+|mm?|pyx|pxd|rs|f|for|f\d\d|s|asm|cu|i|go|zig)", re.IGNORECASE
)
"""Names of sources that are compiled."""

_COMPILED_NAMES = frozenset({"CMakeLists.txt", "meson.build", "Cargo.toml"})


@dataclass(frozen=True, slots=True)
class Stated:
    """As much as a project states.

    Args:
        name: its name, normalised.
        version: its version.
        requires_python: the Pythons that it is for.
    """

    name: str | None = None
    version: str | None = None
    requires_python: SpecifierSet | None = None


@dataclass(frozen=True, slots=True)
class Hints:
    """What the sources let expect of the wheels; the wheels themselves say it for certain.

    Args:
        stable_abi: one wheel may do for several Pythons (`abi3`).
        stable_since: the oldest Python that it would be for, where that is written down.
        pure: there is nothing to compile.
    """

    stable_abi: bool = False
    stable_since: PythonVersion | None = None
    pure: bool = False


def of_folder(path: Path) -> Stated:
    """What the configuration files of a project's folder state, the strongest first."""
    name, version, pythons = _pyproject(path)
    if pythons is None:
        pythons = _setup_cfg(path) or _setup_py(path)
    return _stated(name, version, pythons)


def of_sdist(path: Path) -> Stated:
    """What `PKG-INFO` of an unpacked sdist states (core metadata specification)."""
    text = _text(path / "PKG-INFO")
    if text is None:
        return of_folder(path)
    message = HeaderParser().parsestr(text)
    return _stated(message["Name"], message["Version"], message["Requires-Python"])


def hints(path: Path) -> Hints:
    """Look for what makes a project's wheels serve more than one Python or target."""
    texts = [text for name in _FILES if (text := _text(path / name)) is not None]
    since = {int(match[1]) for text in texts for match in _LIMITED_SINCE.finditer(text)}
    return Hints(
        stable_abi=any(_LIMITED_API.search(text) for text in texts),
        stable_since=PythonVersion(3, since.pop()) if len(since) == 1 else None,
        pure=not any(name in _COMPILED_NAMES or _COMPILED.fullmatch(name) for name in _file_names(path)),
    )


def _file_names(path: Path) -> Iterator[str]:
    for _, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from names


def _text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST).decode("utf-8", "replace")
    except OSError:
        return None


def _pyproject(path: Path) -> tuple[object, object, object]:
    """The `[project]` table; the build will say what is wrong with it."""
    try:
        project = tomllib.loads((path / "pyproject.toml").read_text(encoding="utf-8")).get("project", {})
        return project.get("name"), project.get("version"), project.get("requires-python")
    except (OSError, ValueError, AttributeError, RecursionError):
        return None, None, None


def _setup_cfg(path: Path) -> str | None:
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(_text(path / "setup.cfg") or "")
    except configparser.Error:
        return None
    for option in ("python_requires", "python-requires"):
        if parser.has_option("options", option):
            return parser.get("options", option)
    return None


def _setup_py(path: Path) -> str | None:
    """The literal that `setup.py` passes as `python_requires`, itself or through a variable."""
    try:
        tree = ast.parse(_text(path / "setup.py") or "")
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    variables = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "python_requires":
            value = variables.get(node.value.id) if isinstance(node.value, ast.Name) else node.value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                return value.value
    return None


def _stated(name: object, version: object, pythons: object) -> Stated:
    try:
        requires = SpecifierSet(pythons) if isinstance(pythons, str) and pythons.strip() else None
    except InvalidSpecifier:
        # The back end will say so, and better.
        requires = None
    return Stated(
        canonicalize_name(name) if isinstance(name, str) and name else None,
        version if isinstance(version, str) else None,
        requires,
    )
