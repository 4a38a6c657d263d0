"""Trains cbor2: readings of devices, each encoded and decoded, with the tags that devices use."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import io
import uuid

import cbor2
from common import Writer

writer = Writer(6)
draw = writer.random
start = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)

readings = [
    {
        "device": writer.word(),
        "time": start + datetime.timedelta(seconds=number),
        "values": [draw.randrange(2 ** draw.choice((4, 7, 15, 31, 60))) for _ in range(10)],
        "delta": -draw.randrange(1, 10**6),
        "level": draw.random(),
        "on": number % 2 == 0,
        "error": None,
        "raw": draw.randbytes(draw.choice((4, 60, 300))),
        "text": writer.sentence(),
        7: (1, 2, 3),
    }
    for number in range(100)
]
for one in readings:
    assert cbor2.loads(cbor2.dumps(one))["device"] == one["device"]
stream = io.BytesIO()
for one in readings[:30]:
    cbor2.dump(one, stream)
stream.seek(0)
assert [cbor2.load(stream)["level"] for _ in range(30)] == [one["level"] for one in readings[:30]]
special = [decimal.Decimal("1.25"), uuid.UUID(int=5), 2**70, {1, 2}, float("inf"), cbor2.undefined]
assert len(cbor2.loads(cbor2.dumps(special))) == len(special)
cbor2.dumps(readings[:20], canonical=True)
cbor2.loads(cbor2.dumps([["a" * 9] * 9] * 3, value_sharing=True))
for broken in (b"", b"\x9f\x01", b"\x5f", b"\xa1\x01"):
    with contextlib.suppress(cbor2.CBORDecodeError):
        cbor2.loads(broken)
