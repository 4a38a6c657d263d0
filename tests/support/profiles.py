"""Profiles put together for tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from xtool.pgo.identity import lineno_checksum, public_ident
from xtool.pgo.notes import ARCS
from xtool.pgo.profile import Coverage, Function, ObjectProfile, Profile


def function(name: str, *arcs: int, **changes: Any) -> Function:
    """A function that others can see, in `src/a.c`, with these counters of its arcs."""
    made = Function(
        name=name,
        file="src/a.c",
        line=1,
        scope="public",
        ident=public_ident(name),
        lineno_checksum=lineno_checksum("src/a.c", 1, name),
        cfg_checksum=7,
        counters={ARCS: arcs} if arcs else {},
        coverage=Coverage(sum(arcs[:1]), 4, 4 if any(arcs) else 0, sum(arcs)),
    )
    return replace(made, **changes)


def compiled(aux: str, *functions: Function, **changes: Any) -> ObjectProfile:
    """An object of `src/a.c`."""
    made = ObjectProfile(
        place="@source",
        aux=aux,
        source="src/a.c",
        modules=("demo.so",),
        flags=("-O2",),
        sources={"src/a.c": "0" * 64},
        runs=1,
        highest=9,
        functions=functions,
    )
    return replace(made, **changes)


def profile(*objects: ObjectProfile, **changes: Any) -> Profile:
    """The profile of a wheel for ppc64le."""
    made = Profile(
        project="demo 1.0",
        target="ppc64le",
        python="3.13",
        compiler="14.2.0",
        format="B42*",
        trained="qemu-user",
        commands=("python -m demo",),
        objects=objects,
    )
    return replace(made, **changes)
