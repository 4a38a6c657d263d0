"""Order of Debian package versions (deb-version(7), Debian Policy 5.6.12)."""

from __future__ import annotations

import re
from functools import total_ordering
from itertools import zip_longest

_END = ((0,), 0)
"""What the end of a part counts as, however often it is looked at: an empty text and the number 0."""

_PIECE = re.compile(r"([^0-9]*)([0-9]*)")


@total_ordering
class DebianVersion:
    """A version that compares as dpkg compares it.

    Args:
        text: `[epoch:]upstream[-revision]`.

    Raises:
        ValueError: the epoch is not a number, or the upstream part is empty.
    """

    __slots__ = ("_key", "text")

    def __init__(self, text: str) -> None:
        epoch, colon, rest = text.partition(":")
        if not colon:
            epoch, rest = "0", text
        if not (epoch.isascii() and epoch.isdigit()) or not rest:
            raise ValueError(f"not a Debian version: {text!r}")
        upstream, dash, revision = rest.rpartition("-")
        if not dash:
            upstream, revision = rest, ""
        self.text = text
        self._key = (int(epoch), _part_key(upstream), _part_key(revision))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DebianVersion) and self._key == other._key

    def __lt__(self, other: DebianVersion) -> bool:
        if self._key[0] != other._key[0]:
            return self._key[0] < other._key[0]
        for one, another in zip(self._key[1:], other._key[1:], strict=True):
            for piece, against in zip_longest(one, another, fillvalue=_END):
                if piece != against:
                    return piece < against
        return False

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"DebianVersion({self.text!r})"


def _part_key(text: str) -> tuple[tuple[tuple[int, ...], int], ...]:
    """Key of an upstream version or a revision: alternately a text weighed by character, and a number.

    The end of a text weighs more than `~` and less than anything else, so each text gets a closing zero; the
    end of the whole part counts as an empty text and the number 0, as in dpkg's `verrevcmp`.
    """
    pieces = [((*map(_weight, word), 0), int(number or "0")) for word, number in _PIECE.findall(text)]
    while pieces and pieces[-1] == _END:
        pieces.pop()
    return tuple(pieces)


def _weight(character: str) -> int:
    if character == "~":
        return -1
    return ord(character) if character.isascii() and character.isalpha() else ord(character) + 256
