"""Order of RPM package versions, as rpm's own `rpmvercmp` has it (rpm-version(7))."""

from __future__ import annotations

import re
from functools import total_ordering

_SEGMENT = re.compile(r"[0-9]+|[A-Za-z]+|~|\^")
_END, _TILDE, _CARET, _TEXT, _NUMBER = 0, -1, 1, 2, 3
"""Order of what can stand at one place: `~`, the end, `^`, a word, a number."""


@total_ordering
class RpmVersion:
    """Epoch, version and release that compare as rpm compares them.

    Args:
        epoch: 0 where a package has none.
        version: for example `2.17`.
        release: for example `317.el7`.
    """

    __slots__ = ("_key", "epoch", "release", "version")

    def __init__(self, epoch: int, version: str, release: str) -> None:
        self.epoch, self.version, self.release = epoch, version, release
        self._key = (epoch, part_key(version), part_key(release))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RpmVersion) and self._key == other._key

    def __lt__(self, other: RpmVersion) -> bool:
        return self._key < other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __str__(self) -> str:
        return f"{f'{self.epoch}:' if self.epoch else ''}{self.version}-{self.release}"

    def __repr__(self) -> str:
        return f"RpmVersion({self})"


def part_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """Key of a version or a release: its segments, and its end.

    Everything but ASCII letters, digits, `~` and `^` only separates. Numbers compare by value, words by their
    bytes, and a number is newer than a word.
    """
    segments = []
    for piece in _SEGMENT.findall(text):
        if piece == "~":
            segments.append((_TILDE, 0, ""))
        elif piece == "^":
            segments.append((_CARET, 0, ""))
        elif piece.isdigit():
            digits = piece.lstrip("0")
            segments.append((_NUMBER, len(digits), digits))
        else:
            segments.append((_TEXT, 0, piece))
    return (*segments, (_END, 0, ""))
