"""What a profile is: for each object what was counted in its functions, with no path of a machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xtool.pgo.identity import Scope
from xtool.pgo.notes import Arc


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was run of a function.

    Args:
        entered: how often it was called.
        arcs: how many arcs it has, and how many of them were taken.
        covered: how many arcs were taken.
        weight: sum of how often its blocks were run.
    """

    entered: int
    arcs: int
    covered: int
    weight: int


@dataclass(frozen=True, slots=True)
class Function:
    """The profile of a function.

    Args:
        name: its assembler name.
        file: where it stands, with names for folders (`/xtool/sysroot/usr/include/x.h`, `src/a.c`).
        line: the line that it starts in.
        scope: how GCC numbers it.
        ident: its number, made with those names.
        lineno_checksum: the number of its place, made with those names.
        cfg_checksum: of its blocks and arcs.
        counters: by kind (`xtool.pgo.notes`), the values; a callee stands as its `ident`.
        coverage: what was run; None where the graph is not known.
        lent: it was counted in another object that has the same function (C++ keeps one of them).
        artificial: the compiler made it up.
        consistent: whether its counters add up.
        blocks: how many blocks its graph has; 0 where that is not known.
        graph: the arcs of its graph, which tell another target's compiler what was counted.
    """

    name: str
    file: str
    line: int
    scope: Scope
    ident: int
    lineno_checksum: int
    cfg_checksum: int
    counters: Mapping[int, tuple[int, ...]]
    coverage: Coverage | None = None
    lent: bool = False
    artificial: bool = False
    consistent: bool = True
    blocks: int = 0
    graph: tuple[Arc, ...] = ()


@dataclass(frozen=True, slots=True)
class ObjectProfile:
    """The profile of one object.

    Args:
        place: the place that its compiler was started in, with names for folders.
        aux: GCC's name for files beside it, with names for folders.
        source: its source, with names for folders.
        modules: the files of the wheel that it is in.
        flags: the options that decide what code comes out.
        sources: by name, the sha256 of each file of the project that it was made from.
        runs: how many processes counted.
        highest: the highest arc counter.
        functions: its functions that were counted.
        counted: whether the training wrote counters of it at all.
    """

    place: str
    aux: str
    source: str
    modules: tuple[str, ...]
    flags: tuple[str, ...]
    sources: Mapping[str, str]
    runs: int
    highest: int
    functions: tuple[Function, ...]
    counted: bool = True

    @property
    def key(self) -> str:
        """What tells it from other objects."""
        return self.aux if self.aux.startswith("/") else f"{self.place}/{self.aux}"


@dataclass(frozen=True, slots=True)
class Profile:
    """The profile of one wheel.

    Args:
        project: name and version, for people.
        target: the target that was trained.
        python: its Python, `3.13`.
        compiler: the version of GCC (`14.2.0`); no other can use it.
        format: GCC's version as its files have it (`B42*`).
        trained: `qemu-user` or `native`.
        commands: the training commands.
        objects: the objects of the wheel.
    """

    project: str
    target: str
    python: str
    compiler: str
    format: str
    trained: str
    commands: tuple[str, ...]
    objects: tuple[ObjectProfile, ...] = field(default=())

    @property
    def label(self) -> str:
        """`ppc64le, Python 3.13`."""
        return f"{self.target}, Python {self.python}"

    def header(self) -> dict[str, Any]:
        """What it is a profile of, as plain data."""
        return {
            "project": self.project,
            "target": self.target,
            "python": self.python,
            "compiler": self.compiler,
            "format": self.format,
            "trained": self.trained,
            "commands": list(self.commands),
        }
