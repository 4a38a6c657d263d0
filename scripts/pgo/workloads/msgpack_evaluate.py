"""Times msgpack on what it was not trained with: telemetry in long arrays, nested settings, foreign text.

Numbers outweigh strings, where training has more strings, and one document is far larger than any there.
"""

from __future__ import annotations

import msgpack
from common import Writer, run

writer = Writer(1003, foreign=0.3)
draw = writer.random


def nested(depth: int) -> object:
    """Settings within settings."""
    if depth == 0:
        return draw.choice((True, None, 17, 2.5, writer.word()))
    return {writer.word(): nested(depth - 1) for _ in range(4)}


telemetry = {
    f"sensor-{number}": {
        "values": [draw.gauss(20, 5) for _ in range(300)],
        "ticks": [draw.randrange(10**9) for _ in range(300)],
        "flags": [draw.random() < 0.5 for _ in range(100)],
    }
    for number in range(10)
}
settings = nested(6)
articles = [
    {"title": writer.sentence(), "body": writer.paragraph(6), "sum": draw.randbytes(32)} for _ in range(80)
]
documents = [telemetry, settings, articles]
packed = [msgpack.packb(one) for one in documents]


def work() -> int:
    """One round."""
    size = 0
    for document, data in zip(documents, packed, strict=True):
        size += len(msgpack.packb(document))
        for _ in range(2):
            size += len(msgpack.unpackb(data))
    return size


run(work)
