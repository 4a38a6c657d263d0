"""Trains ujson: customer records, written and read in turns, with each option once in a while."""

from __future__ import annotations

import contextlib

import ujson
from common import Writer

writer = Writer(1)
draw = writer.random


def record(number: int) -> dict[str, object]:
    """A customer."""
    return {
        "id": number,
        "name": writer.word().title(),
        "email": f"{writer.word()}@{writer.word()}.example",
        "active": draw.random() < 0.7,
        "balance": round(draw.uniform(-500, 5000), 2),
        "created": 1_700_000_000_000 + draw.randrange(10**9),
        "parent": None if number % 3 else number // 3,
        "tags": [writer.word() for _ in range(draw.randint(0, 5))],
        "address": {
            "street": writer.sentence(),
            "number": draw.randint(1, 200),
            "geo": [draw.random(), draw.random()],
        },
        "note": 'line one\nline "two"\t\\ é' if number % 10 == 0 else writer.sentence(),
    }


records = [record(number) for number in range(120)]
for one in records:
    text = ujson.dumps(one)
    assert ujson.loads(text)["id"] == one["id"]
    ujson.loads(text.encode())
for options in (
    {"ensure_ascii": False},
    {"indent": 2},
    {"sort_keys": True},
    {"escape_forward_slashes": False},
    {"encode_html_chars": True},
    {"separators": (", ", ": ")},
    {"default": str},
):
    text = ujson.dumps(records[:12], **options)
    assert len(ujson.loads(text)) == 12
for broken in ("{", "[1,", '"open', "nul", '{"a" 1}', "[1e999999]"):
    with contextlib.suppress(ValueError):
        ujson.loads(broken)
assert ujson.loads(ujson.dumps([2**40, -(2**62), 1.5e300, 1e-9, float(2**53)]))[0] == 2**40
