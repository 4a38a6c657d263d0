"""Mutations of files: blind ones, and ones that know a format well enough to get past its first checks.

Every mutator takes a random generator, the bytes to change and other inputs of the kind to borrow from, and
gives new bytes. Formats are taken apart leniently: what cannot be parsed is changed blindly instead, so that
mutations of mutations work too (the coverage-guided engine makes them).
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

Pool = Sequence[bytes]
Mutator = Callable[[random.Random, bytes, Pool], bytes]

NUMBERS = (
    *(
        0,
        1,
        2,
        3,
        4,
        7,
        8,
        16,
        31,
        32,
        63,
        64,
        100,
        127,
        128,
        255,
        256,
        511,
        512,
        513,
        1000,
        1024,
        4095,
        4096,
    ),
    *(0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x10000, 0xFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF),
    *(1 << 32, 1 << 40, (1 << 63) - 1, 1 << 63, (1 << 64) - 8, (1 << 64) - 1),
)
"""Where counts, sizes and offsets wrap round, change their sign, or ask for more than there is."""

TEXT_NUMBERS = (
    *("0", "-1", "-60", "-9223372036854775808", "1", "00000000", "4294967295", "4294967296", "9999999999"),
    *("18446744073709551616", "9" * 400, "9" * 5000, "1e999", "1_0", "+1", "0x10", "\u0663", " 1", "NaN"),
)

PATHS = (
    *("../x", "..", ".", "", "/", "/etc/x", "a/../../x", "a/./b", "a//b", "usr/lib/", "./", "//x", "a/b/c/d"),
    *(
        "x" * 255,
        "x" * 300,
        "a/" * 600 + "b",
        "\udcff",
        "caf\u00e9",
        "a\nb",
        "a\x7fb",
        "nul\0l",
        "C:\\x",
        "~root",
        "-rf",
    ),
    *(
        "../outside/victim",
        "../../outside/victim",
        "link/x",
        "lib",
        "usr",
        "usr/lib",
        "lib/x",
        "\ud800",
        "bin/tool",
    ),
)

_TEXT = re.compile(rb"[0-9]+")


def extreme(rng: random.Random, near: int = 0, size: int = 0) -> int:
    """A number to put where a count or an offset stands: an extreme, one near `near`, or one near `size`."""
    choice = rng.randrange(6)
    if choice < 3:
        return rng.choice(NUMBERS)
    if choice == 3:
        return max(near + rng.choice((-512, -8, -2, -1, 1, 2, 8, 512)), 0)
    if choice == 4:
        return max(size + rng.randrange(-64, 65), 0)
    return rng.getrandbits(rng.choice((4, 8, 16, 32, 64)))


def noise(rng: random.Random, data: bytes, pool: Pool, *, most: int = 6) -> bytes:
    """One to `most` blind changes: bits, bytes, numbers in any width and order, cuts, copies, splices."""
    out = bytearray(data)
    for _ in range(1 if rng.random() < 0.4 else rng.randint(1, most)):
        if not out:
            out += (rng.choice(pool)[: rng.randrange(1, 200)] if pool else b"") or b"\0"
        rng.choice(_BLIND)(rng, out, pool)
    return bytes(out)


def _flip(rng: random.Random, out: bytearray, pool: Pool) -> None:
    out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)


def _set(rng: random.Random, out: bytearray, pool: Pool) -> None:
    out[rng.randrange(len(out))] = rng.choice((0, 1, 0x20, 0x2F, 0x30, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _number(rng: random.Random, out: bytearray, pool: Pool) -> None:
    width = rng.choice((1, 2, 4, 8))
    at = rng.randrange(len(out))
    if rng.random() < 0.5:
        at -= at % width
    value = extreme(rng, size=len(out)) % (1 << 8 * width)
    out[at : at + width] = value.to_bytes(width, rng.choice(("little", "big")))


def _cut(rng: random.Random, out: bytearray, pool: Pool) -> None:
    at = rng.randrange(len(out))
    del out[at : at + _span(rng, len(out))]


def _truncate(rng: random.Random, out: bytearray, pool: Pool) -> None:
    del out[rng.randrange(len(out)) :]


def _copy(rng: random.Random, out: bytearray, pool: Pool) -> None:
    at = rng.randrange(len(out))
    piece = out[at : at + _span(rng, len(out))]
    to = rng.randrange(len(out) + 1)
    out[to : to + (len(piece) if rng.random() < 0.5 else 0)] = piece


def _insert(rng: random.Random, out: bytearray, pool: Pool) -> None:
    at = rng.randrange(len(out) + 1)
    size = _span(rng, 256)
    out[at:at] = (
        rng.randbytes(size) if rng.random() < 0.5 else bytes([rng.choice((0, 0x20, 0x41, 0xFF))]) * size
    )


def _splice(rng: random.Random, out: bytearray, pool: Pool) -> None:
    if not pool:
        return
    other = rng.choice(pool)
    start = rng.randrange(len(other) + 1)
    piece = other[start : start + _span(rng, len(other) + 1)]
    at = rng.randrange(len(out) + 1)
    if rng.random() < 0.3:
        out[at:] = other[start:]
    else:
        out[at : at + rng.choice((0, len(piece)))] = piece


def _digits(rng: random.Random, out: bytearray, pool: Pool) -> None:
    found = list(_TEXT.finditer(out[: 1 << 16]))
    if found:
        match = rng.choice(found)
        out[match.start() : match.end()] = rng.choice(TEXT_NUMBERS).encode()


def _span(rng: random.Random, size: int) -> int:
    return min(rng.choice((1, 2, 4, 8, 16, 60, 64, 512, rng.randrange(1, max(size, 2)))), max(size, 1))


_BLIND = (
    _flip,
    _flip,
    _set,
    _set,
    _number,
    _number,
    _number,
    _cut,
    _truncate,
    _copy,
    _insert,
    _splice,
    _digits,
)


def either(*choices: Mutator) -> Mutator:
    """One of several mutators, each as often as it is named."""

    def mutate(rng: random.Random, data: bytes, pool: Pool) -> bytes:
        return rng.choice(choices)(rng, data, pool)

    return mutate


# Text


def lines(tokens: Sequence[str]) -> Mutator:
    """Changes whole lines and words; `tokens` are words of the format."""

    def mutate(rng: random.Random, data: bytes, pool: Pool) -> bytes:
        rows = data.split(b"\n")
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(rows))
            choice = rng.randrange(9)
            if choice == 0 and len(rows) > 1:
                del rows[at]
            elif choice == 1:
                rows.insert(rng.randrange(len(rows) + 1), rows[at])
            elif choice == 2:
                rows.insert(at, rng.choice(tokens).encode("utf-8", "surrogatepass"))
            elif choice == 3:
                other = rng.choice(pool).split(b"\n") if pool else rows
                rows.insert(at, rng.choice(other))
            elif choice == 4 and _TEXT.search(rows[at]):
                match = rng.choice(list(_TEXT.finditer(rows[at])))
                rows[at] = (
                    rows[at][: match.start()] + rng.choice(TEXT_NUMBERS).encode() + rows[at][match.end() :]
                )
            elif choice == 5:
                key, colon, _ = rows[at].partition(rng.choice((b":", b"=", b" ")))
                rows[at] = key + colon + b" " + rng.choice(tokens).encode("utf-8", "surrogatepass")
            elif choice == 6:
                rows[at] = noise(rng, rows[at], pool, most=2)
            elif choice == 7:
                rows[at] = rows[at] * rng.choice((2, 3, 50))
            else:
                words = rows[at].split(b" ")
                words[rng.randrange(len(words))] = rng.choice(tokens).encode("utf-8", "surrogatepass")
                rows[at] = b" ".join(words)
        return b"\n".join(rows)

    return either(mutate, mutate, mutate, noise)


_JSON_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        1 << 31,
        1 << 63,
        1 << 64,
        -(1 << 63),
        1e308,
        float("inf"),
        float("nan"),
    ),
    *("", "x", "0", [], {}, [[]], [1], [""], {"schema": 1}, "x" * 5000, 10**30, *PATHS),
)


def change_json(rng: random.Random, document: Any) -> Any:
    """Replace, delete or add somewhere in a document of lists, tables and values; changes it in place."""
    spots: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, value in items:
            spots.append((node, key))
            walk(value)

    walk(document)
    for _ in range(rng.randint(1, 3)):
        if not spots:
            return rng.choice(_JSON_VALUES)
        node, key = rng.choice(spots)
        choice = rng.randrange(8)
        try:
            if choice == 0:
                del node[key]
            elif choice == 1 and isinstance(node, list):
                node.insert(rng.randrange(len(node) + 1), node[key])
            elif choice == 2:
                other, name = rng.choice(spots)
                node[key] = json.loads(json.dumps(other[name]))
            elif choice == 3 and isinstance(node[key], int):
                node[key] = extreme(rng, near=int(node[key])) * rng.choice((1, 1, -1))
            elif choice == 4 and isinstance(node[key], str):
                node[key] = node[key][: rng.randrange(len(node[key]) + 1)] + rng.choice(PATHS)
            elif choice == 5 and isinstance(node, dict):
                node[rng.choice(PATHS)] = node[key]
            else:
                node[key] = rng.choice(_JSON_VALUES)
        except (KeyError, IndexError, ValueError, TypeError, RecursionError):
            continue
    return document


def document(rng: random.Random, data: bytes, pool: Pool) -> bytes:
    """JSON, changed as a document; now and then nested deeper than any reader likes."""
    choice = rng.randrange(20)
    if choice == 0:
        depth = rng.choice((100, 900, 1100, 20_000, 200_000))
        at = rng.randrange(len(data) + 1)
        return data[:at] + rng.choice((b"[", b'{"a":')) * depth + data[at:]
    if choice < 4:
        return noise(rng, data, pool)
    try:
        return json.dumps(change_json(rng, json.loads(data)), indent=1).encode()
    except (ValueError, RecursionError, UnicodeError):
        return noise(rng, data, pool)
