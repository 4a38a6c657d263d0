"""Times zstandard on what it was not trained with: JSON, source code and text in many scripts.

Other levels (2, 5), longer inputs, and three times decompressed for each time compressed.
"""

from __future__ import annotations

import json
import zlib

import zstandard
from common import Writer, run

writer = Writer(1004, foreign=0.3)
draw = writer.random

records = json.dumps(
    [
        {"key": writer.word(), "value": draw.random(), "list": [draw.randrange(99) for _ in range(9)]}
        for _ in range(900)
    ]
).encode()
source = "".join(
    f"    if {writer.word()} > {draw.randrange(1000)}:\n"
    f"        {writer.word()}.{writer.word()}({writer.word()!r})\n"
    for _ in range(900)
).encode()
prose = writer.paragraph(900).encode()
inputs = [records, source, prose]
levels = (2, 5)
packed = [zstandard.ZstdCompressor(level=level).compress(data) for level in levels for data in inputs]


def work() -> int:
    """One round."""
    check = 0
    for level in levels:
        compressor = zstandard.ZstdCompressor(level=level)
        for data in inputs:
            check += len(compressor.compress(data))
    decompressor = zstandard.ZstdDecompressor()
    for _ in range(3):
        for data in packed:
            check ^= zlib.crc32(decompressor.decompress(data)[-64:])
    return check


run(work)
