"""Trains zstandard: log lines and binary tables at three levels, whole and as streams."""

from __future__ import annotations

import contextlib
import io
import struct

import zstandard
from common import Writer

writer = Writer(4)
draw = writer.random

log = "\n".join(f"{number:08} {writer.sentence()}" for number in range(700)).encode()
table = b"".join(struct.pack("<IHd", number, draw.randrange(500), draw.random()) for number in range(1200))
noise = draw.randbytes(8000)
for level in (1, 3, 7):
    compressor = zstandard.ZstdCompressor(level=level)
    for data in (log, table, noise, b"a" * 5000, b""):
        packed = compressor.compress(data)
        assert zstandard.ZstdDecompressor().decompress(packed) == data
target = io.BytesIO()
with zstandard.ZstdCompressor(level=3, write_checksum=True).stream_writer(target, closefd=False) as stream:
    for start in range(0, len(log), 3000):
        stream.write(log[start : start + 3000])
with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(target.getvalue())) as stream:
    assert b"".join(iter(lambda: stream.read(2000), b"")) == log
samples = [writer.sentence().encode() for _ in range(300)]
dictionary = zstandard.ZstdCompressionDict(b"".join(samples)[:4000])
small = zstandard.ZstdCompressor(level=3, dict_data=dictionary)
for sample in samples[:40]:
    packed = small.compress(sample)
    assert zstandard.ZstdDecompressor(dict_data=dictionary).decompress(packed) == sample
for broken in (b"not zstd", packed[:10]):
    with contextlib.suppress(zstandard.ZstdError):
        zstandard.ZstdDecompressor().decompress(broken)
