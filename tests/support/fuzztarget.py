"""What a fuzzed parser is made of.

A target's `run` gets bytes and an empty folder. It may return, or raise one of the errors it names; whatever
else comes out is a finding. Where the parser says yes, `run` checks with `Broken` that it was right to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.fuzzmutate import Mutator

from xtool.errors import XtoolError

CAP = 1 << 20
"""Bytes that an archive may unpack to here."""


class Broken(Exception):
    """The parser took something that it must not take, or wrote where it must not write."""


@dataclass(frozen=True)
class Target:
    """One parser.

    Args:
        name: on the command line and in reports.
        about: what is fuzzed, in a few words.
        errors: what it may raise.
        seeds: makes inputs to begin with.
        mutate: changes one.
        run: hands one to the parser; its folder is empty and its own.
    """

    name: str
    about: str
    errors: tuple[type[XtoolError], ...]
    seeds: Callable[[], Sequence[bytes]]
    mutate: Mutator
    run: Callable[[bytes, Path], object]


def check(condition: object, what: str) -> None:
    """Raise `Broken` unless a condition holds."""
    if not condition:
        raise Broken(what)


def digest(data: bytes) -> str:
    """The short name of an input."""
    return hashlib.sha256(data).hexdigest()[:16]
