"""Times fastavro on what it was not trained with: orders with nested lines and unions, mostly read."""

from __future__ import annotations

import io

import fastavro
from common import Writer, run

writer = Writer(1008, foreign=0.3)
draw = writer.random
SCHEMA = fastavro.parse_schema(
    {
        "type": "record",
        "name": "Order",
        "fields": [
            {"name": "number", "type": "int"},
            {"name": "note", "type": ["null", "string"]},
            {"name": "weights", "type": {"type": "array", "items": "float"}},
            {
                "name": "lines",
                "type": {
                    "type": "array",
                    "items": {
                        "type": "record",
                        "name": "Line",
                        "fields": [
                            {"name": "article", "type": "string"},
                            {"name": "amount", "type": "long"},
                            {"name": "price", "type": ["double", "long", "null"]},
                        ],
                    },
                },
            },
        ],
    }
)
orders = [
    {
        "number": number,
        "note": writer.sentence() if number % 2 else None,
        "weights": [float(draw.randrange(100)) for _ in range(10)],
        "lines": [
            {
                "article": writer.word(),
                "amount": draw.randrange(10**6),
                "price": draw.choice((draw.random(), 5, None)),
            }
            for _ in range(6)
        ],
    }
    for number in range(100)
]
file = io.BytesIO()
fastavro.writer(file, SCHEMA, orders)


def work() -> int:
    """One round."""
    count = 0
    for _ in range(4):
        file.seek(0)
        count += sum(len(one["lines"]) for one in fastavro.reader(file))
    out = io.BytesIO()
    fastavro.writer(out, SCHEMA, orders, sync_marker=b"0" * 16)
    return count + len(out.getvalue())


run(work)
