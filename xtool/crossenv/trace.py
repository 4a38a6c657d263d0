"""What the compiler and the linker really opened during a build, and whether any of it was the host's.

The wrappers (`xtool.crossenv.wrappers`) leave notes in make's dependency format. This module reads them: a
promise about leaks is worth what can be shown for it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from xtool.errors import WheelRejected

_SHOWN = 8

ASKED = "asked"
"""File among the notes: what the project asked of the interpreter's word size and byte order."""

_WORD = re.compile(r"(?:\\.|[^\s\\])+")


@dataclass(frozen=True, slots=True)
class Question:
    """Something of word size or byte order that a project asked of the interpreter that builds it.

    Args:
        place: `setup.py:12`, below the project's folder; or `python -c`.
        what: `sys.maxsize`, `struct.calcsize('P')`, ...
        answered: whether the answer was the target's; it was this machine's otherwise.
    """

    place: str
    what: str
    answered: bool


@dataclass(frozen=True, slots=True)
class BuildTrace:
    """What a build did; files are absolute paths with links resolved.

    Args:
        headers: what was read while compiling, sources included.
        libraries: what was read while linking: objects, archives, shared objects, linker scripts.
        skipped: options that pointed at the host and were dropped.
        refused: files of the host that were to be linked by path.
        roots: by what they are (`sysroot`, `source`, ...), the folders that files may come from.
        compiles: how many compiler runs left a note.
        links: how many linker runs left a note.
        asked: what the project asked of word size and byte order, where the target differs in them.
    """

    headers: frozenset[str] = frozenset()
    libraries: frozenset[str] = frozenset()
    skipped: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    roots: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    compiles: int = 0
    links: int = 0
    asked: tuple[Question, ...] = ()

    def origin(self, path: str) -> str | None:
        """Which root a file lies in (`toolchain`, `sysroot`, `python`, ...); None for the host's."""
        for name, folders in self.roots.items():
            for folder in folders:
                if path == folder or path.startswith(folder.rstrip("/") + "/"):
                    return name
        return None

    @property
    def leaks(self) -> tuple[str, ...]:
        """Files that lie in none of the roots, sorted."""
        return tuple(sorted(p for p in self.headers | self.libraries if self.origin(p) is None))

    @property
    def python_headers(self) -> tuple[str, ...]:
        """Which `Python.h` and `pyconfig.h` were used, sorted."""
        return tuple(sorted(p for p in self.headers if p.rsplit("/", 1)[-1] in ("Python.h", "pyconfig.h")))

    def check(self, what: str) -> None:
        """Refuse a build that opened a file of the host.

        Args:
            what: what was built, for the message.

        Raises:
            WheelRejected: names the files.
        """
        leaks = self.leaks
        if not leaks:
            return
        kinds = [f"{'library' if leak in self.libraries else 'header'} {leak}" for leak in leaks[:_SHOWN]]
        more = [f"... and {len(leaks) - _SHOWN} more"] if len(leaks) > _SHOWN else []
        raise WheelRejected(
            f"the build of {what} used files of this machine, which are not the target's",
            facts=[*kinds, *more],
            hint="look for a fixed path or a `..` in what the project passes to the compiler (`-v` shows the "
            "commands); folders that hold files for the target can be named in XTOOL_CFLAGS (-I) and "
            "XTOOL_LDFLAGS (-L)",
            code="host-leak",
        )


def read_trace(folder: Path, roots: Mapping[str, Iterable[Path]]) -> BuildTrace:
    """Read the notes that a build's wrappers left in a folder.

    Args:
        folder: the wrappers' `trace` folder.
        roots: by what they are, the folders that files may come from.
    """
    resolver = _Resolver()
    headers: set[str] = set()
    libraries: set[str] = set()
    compiles = links = 0
    for note in sorted(folder.glob("*.d")):
        first, _, rest = note.read_text("utf-8", "surrogateescape").partition("\n")
        cwd = first.removeprefix("# ")
        if rest.strip():
            compiles += 1
            headers.update(resolver.resolve(cwd, name) for name in dependencies(rest))
        linked = note.with_suffix(".ld")
        if linked.is_file():
            links += 1
            names = linker_inputs(linked.read_text("utf-8", "surrogateescape"))
            libraries.update(resolver.resolve(cwd, name) for name in names)
    return BuildTrace(
        headers=frozenset(filter(resolver.exists, headers)),
        libraries=frozenset(filter(resolver.exists, libraries)),
        skipped=_lines(folder / "skipped"),
        refused=_lines(folder / "refused"),
        roots={name: tuple(os.path.realpath(path) for path in paths) for name, paths in roots.items()},
        compiles=compiles,
        links=links,
        asked=tuple(_questions(folder / ASKED, roots.get("source", ()))),
    )


def dependencies(text: str) -> list[str]:
    """The prerequisites of every rule of a makefile fragment as GCC writes it.

    Spaces are written as `\\ `, `#` as `\\#`, `$` as `$$`.
    """
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        words = [re.sub(r"\\([ #\\:])", r"\1", word).replace("$$", "$") for word in _WORD.findall(line)]
        colons = [index for index, word in enumerate(words) if word.endswith(":")]
        if colons:
            found += words[colons[0] + 1 :]
    return found


def linker_inputs(text: str) -> list[str]:
    """The files that `ld --dependency-file` names: one a line, indented, and nothing in them escaped."""
    lines = (line for line in text.splitlines() if line.startswith("  "))
    return [line[2:].removesuffix(" \\") for line in lines]


class _Resolver:
    """Absolute, link-free paths; folders are resolved once each."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}

    def resolve(self, cwd: str, name: str) -> str:
        folder, base = os.path.split(os.path.join(cwd, name))  # noqa: PTH118 - text, half a million times
        known = self._folders.get(folder)
        if known is None:
            known = self._folders[folder] = os.path.realpath(folder)
        path = f"{known}/{base}"
        return os.path.realpath(path) if os.path.islink(path) else path  # noqa: PTH114

    @staticmethod
    def exists(path: str) -> bool:
        """Temporary objects and probes of the build are gone; what the host keeps is still there."""
        return os.path.exists(path)  # noqa: PTH110


def _questions(path: Path, source: Iterable[Path]) -> Iterator[Question]:
    """What was written down of a project's questions, each once."""
    folders = tuple(f"{folder}/" for folder in source)
    for line in _lines(path):
        state, place, what = line.split("\t", 2)
        for folder in folders:
            place = place.removeprefix(folder)
        yield Question(place, what, state == "answered")


def _lines(path: Path) -> tuple[str, ...]:
    """The lines of a file, each once, in order; none when it does not exist."""
    if not path.is_file():
        return ()
    return tuple(dict.fromkeys(path.read_text("utf-8", "replace").splitlines()))
