"""Times ujson on what it was not trained with: maps full of coordinates, messages in many scripts, tables.

Read four times for each time written; training does both equally often, on small records in plain ASCII.
"""

from __future__ import annotations

import ujson
from common import Writer, run

writer = Writer(1001, foreign=0.3)
draw = writer.random

regions = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"name": writer.word(), "population": draw.randrange(10**7)},
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[draw.uniform(-180, 180), draw.uniform(-90, 90)] for _ in range(40)]],
            },
        }
        for _ in range(25)
    ],
}
messages = [
    {
        "text": writer.paragraph(3),
        "user": {"screen_name": writer.word(), "url": f"https://example.org/{writer.word()}/{number}"},
        "entities": {"hashtags": [{"text": writer.word(), "indices": [3, 9]}], "media": []},
        "retweeted": number % 2 == 0,
        "place": None,
    }
    for number in range(120)
]
table = [[draw.randrange(-(10**9), 10**9) for _ in range(30)] for _ in range(60)]
documents = [regions, messages, table]
texts = [ujson.dumps(one) for one in documents]


def work() -> int:
    """One round."""
    size = 0
    for document, text in zip(documents, texts, strict=True):
        size += len(ujson.dumps(document))
        for _ in range(4):
            size += len(ujson.loads(text))
    return size


run(work)
