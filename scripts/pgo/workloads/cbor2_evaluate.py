"""Times cbor2 on what it was not trained with: nested settings and text in many scripts, in large documents.

Decoded three times for each time encoded, and no tags; training has records of devices with dates and tags.
"""

from __future__ import annotations

import cbor2
from common import Writer, run

writer = Writer(1006, foreign=0.3)
draw = writer.random


def nested(depth: int) -> object:
    """Settings within settings."""
    if depth == 0:
        return draw.choice((True, None, 17, 2.5, -4, writer.word()))
    return {writer.word(): nested(depth - 1) for _ in range(4)}


documents = [
    nested(5),
    [{"title": writer.sentence(), "body": writer.paragraph(4), "sum": draw.randbytes(32)} for _ in range(60)],
    [[draw.gauss(20, 5) for _ in range(30)] for _ in range(30)],
    {str(number): list(range(number)) for number in range(60)},
]
encoded = [cbor2.dumps(one) for one in documents]


def work() -> int:
    """One round."""
    size = 0
    for document, data in zip(documents, encoded, strict=True):
        size += len(cbor2.dumps(document))
        for _ in range(3):
            size += len(cbor2.loads(data))
    return size


run(work)
