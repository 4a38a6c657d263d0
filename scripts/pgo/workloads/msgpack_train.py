"""Trains msgpack: customer records and events, packed and unpacked whole and as a stream."""

from __future__ import annotations

import contextlib
import io

import msgpack
from common import Writer

writer = Writer(3)
draw = writer.random

records = [
    {
        "id": number,
        "name": writer.word(),
        "active": number % 3 == 0,
        "score": draw.uniform(0, 100),
        "parent": None,
        "tags": [writer.word() for _ in range(draw.randint(0, 20))],
        "counts": [draw.randrange(2 ** draw.choice((4, 7, 8, 15, 16, 31, 32, 63))) for _ in range(8)],
        "deltas": [-draw.randrange(1, 2 ** draw.choice((4, 5, 8, 15, 31, 60))) for _ in range(4)],
        "note": writer.paragraph(draw.choice((1, 1, 1, 4))),
        "blob": draw.randbytes(draw.choice((3, 40, 400))),
    }
    for number in range(120)
]
packer = msgpack.Packer()
packed = [packer.pack(one) for one in records]
assert all(msgpack.unpackb(data) == one for data, one in zip(packed, records, strict=True))
stream = msgpack.Unpacker(io.BytesIO(b"".join(packed)))
assert sum(1 for _ in stream) == len(records)
feeding = msgpack.Unpacker(use_list=False, raw=True)
for data in packed[:40]:
    for start in range(0, len(data), 100):
        feeding.feed(data[start : start + 100])
    assert len(list(feeding)) == 1
times = msgpack.packb([msgpack.Timestamp(number, 5) for number in range(20)])
assert len(msgpack.unpackb(times)) == 20
extension = msgpack.packb(msgpack.ExtType(5, b"data"), use_bin_type=True)
assert msgpack.unpackb(extension, ext_hook=lambda code, data: (code, data)) == (5, b"data")
assert msgpack.unpackb(msgpack.packb({1: 2.5}, use_single_float=True), strict_map_key=False) == {1: 2.5}
for broken in (b"", b"\xc1", packed[0][:-1], packed[0] + b"\x00"):
    with contextlib.suppress(ValueError):
        msgpack.unpackb(broken)
with contextlib.suppress(TypeError):
    msgpack.packb({"object": object()})
