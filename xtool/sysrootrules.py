"""The reader of `toolchains/sysroot-packages.toml`: what is known of libraries beside the C library.

The package resolver takes from it what it never follows, builds what `*-config` tools answer, and failed
builds which package brings what they lack.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

from xtool.errors import CatalogError
from xtool.records import MEND, check_fields, digest_of, load, texts

FILE = "sysroot-packages.toml"

_RPM_SYSROOTS = ("centos", "clefos", "almalinux", "rocky")
"""Kinds of sysroot, by how their names begin, whose packages are RPMs."""


@dataclass(frozen=True, slots=True)
class ConfigTool:
    """A program that projects ask where a library is, answered from a pkg-config file.

    Args:
        name: `xml2-config`.
        module: the pkg-config module: `libxml-2.0`.
        version: what `--version` says, with `{version}` for the module's.
        answers: by option, what the tool says beyond `--cflags`, `--libs` and their like; `{version}`,
            `{prefix}`, `{includedir}` and `{libdir}` stand for what the module says.
    """

    name: str
    module: str
    version: str
    answers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Library:
    """A library by what builds look for, and the packages that bring it.

    Args:
        deb: Debian's package.
        rpm: the package of RPM distributions.
        headers: names or shell patterns of its headers, as `#include` spells them.
        links: what `-l` calls it.
        modules: its pkg-config modules.
        tools: its `*-config` tools.
    """

    deb: str
    rpm: str
    headers: tuple[str, ...]
    links: tuple[str, ...]
    modules: tuple[str, ...]
    tools: tuple[str, ...]

    def package(self, sysroot: str) -> str:
        """What the distribution of a kind of sysroot (`derived`, `centos7`) calls the package."""
        return self.rpm if sysroot.startswith(_RPM_SYSROOTS) else self.deb


@dataclass(frozen=True, slots=True)
class Rules:
    """All that the file says.

    Args:
        given: shell patterns of package names that are neither asked for nor followed.
        tools: the `*-config` tools.
        libraries: the libraries.
        answers: variables of configure scripts, for what they would find out by running a program.
    """

    given: tuple[str, ...]
    tools: tuple[ConfigTool, ...]
    libraries: tuple[Library, ...]
    answers: Mapping[str, str]

    @property
    def digest(self) -> str:
        """Digest of what decides which packages a request comes to."""
        return digest_of(list(self.given))

    def is_given(self, name: str) -> bool:
        """Whether a package or capability is there already, or needed by no build."""
        return any(fnmatchcase(name, pattern) for pattern in self.given)

    def library_of_header(self, header: str) -> Library | None:
        """The library that has a header."""
        return self._first("headers", header)

    def library_of_link(self, name: str) -> Library | None:
        """The library that `-lNAME` means."""
        return self._first("links", name)

    def library_of_module(self, module: str) -> Library | None:
        """The library of a pkg-config module."""
        return self._first("modules", module)

    def library_of_tool(self, name: str) -> Library | None:
        """The library that a `*-config` tool tells of."""
        return self._first("tools", name)

    def other_name(self, name: str) -> str | None:
        """What the other family of distributions calls a package: `libssl-dev` for `openssl-devel`."""
        for library in self.libraries:
            if name in (library.deb, library.rpm):
                return library.rpm if name == library.deb else library.deb
        return None

    def _first(self, field: str, name: str) -> Library | None:
        for library in self.libraries:
            patterns: Sequence[str] = getattr(library, field)
            if any(fnmatchcase(name, pattern) for pattern in patterns):
                return library
        return None


@cache
def read_rules(root: Path) -> Rules:
    """Read the file of a `toolchains/` folder.

    Raises:
        CatalogError: it is malformed.
    """
    path = root / FILE
    document = load(path)
    check_fields(document, path, required={"schema", "given", "config-tool", "library", "configure-answer"})
    return Rules(
        given=texts(document, "given", path, "given"),
        tools=tuple(_tool(entry, path) for entry in document["config-tool"]),
        libraries=tuple(_library(entry, path) for entry in document["library"]),
        answers=dict(_answer(entry, path) for entry in document["configure-answer"]),
    )


def _answer(entry: Any, path: Path) -> tuple[str, str]:
    check_fields(entry, path, required={"name", "value", "why"}, where="configure-answer")
    name, value = entry["name"], entry["value"]
    if not (isinstance(value, str) and isinstance(name, str) and name.isidentifier()):
        raise CatalogError(f"{path}: configure-answer {name} is not a variable and a text", hint=MEND)
    return name, value


def _tool(entry: Any, path: Path) -> ConfigTool:
    check_fields(
        entry, path, required={"name", "module"}, optional={"version", "answers"}, where="config-tool"
    )
    answers = entry.get("answers", {})
    words = [entry["name"], entry["module"], entry.get("version", "{version}"), *answers, *answers.values()]
    if not all(isinstance(word, str) for word in words):
        raise CatalogError(f"{path}: config-tool {entry['name']}: a value is not text", hint=MEND)
    return ConfigTool(entry["name"], entry["module"], entry.get("version", "{version}"), dict(answers))


def _library(entry: Any, path: Path) -> Library:
    lists = ("headers", "links", "modules", "tools")
    check_fields(entry, path, required={"deb", "rpm"}, optional=lists, where="library")
    where = f"library {entry['deb']}"
    found = {key: texts(entry, key, path, where) if key in entry else () for key in lists}
    return Library(str(entry["deb"]), str(entry["rpm"]), **found)
