"""Trains fastavro: customers, written and read as files and one by one."""

from __future__ import annotations

import io

import fastavro
from common import Writer

writer = Writer(8)
draw = writer.random
SCHEMA = fastavro.parse_schema(
    {
        "type": "record",
        "name": "Customer",
        "fields": [
            {"name": "id", "type": "long"},
            {"name": "name", "type": "string"},
            {"name": "active", "type": "boolean"},
            {"name": "balance", "type": "double"},
            {"name": "parent", "type": ["null", "int"]},
            {"name": "tags", "type": {"type": "array", "items": "string"}},
            {"name": "counts", "type": {"type": "map", "values": "int"}},
            {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
            {"name": "blob", "type": "bytes"},
        ],
    }
)
records = [
    {
        "id": draw.randrange(2**40),
        "name": writer.sentence(),
        "active": number % 2 == 0,
        "balance": draw.random(),
        "parent": number if number % 3 else None,
        "tags": [writer.word() for _ in range(4)],
        "counts": {writer.word(): draw.randrange(-99, 99) for _ in range(3)},
        "kind": "AB"[number % 2],
        "blob": draw.randbytes(20),
    }
    for number in range(150)
]
for codec in ("null", "deflate"):
    file = io.BytesIO()
    fastavro.writer(file, SCHEMA, records, codec=codec)
    file.seek(0)
    assert list(fastavro.reader(file)) == records
for one in records[:50]:
    file = io.BytesIO()
    fastavro.schemaless_writer(file, SCHEMA, one)
    file.seek(0)
    assert fastavro.schemaless_reader(file, SCHEMA, None) == one
