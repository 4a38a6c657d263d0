"""Trains regex: a server's log, taken apart in the ways that a log is taken apart."""

from __future__ import annotations

import regex
from common import Writer

writer = Writer(2)
draw = writer.random

lines = []
for number in range(220):
    address = ".".join(str(draw.randrange(256)) for _ in range(4))
    path = "/".join(writer.word() for _ in range(draw.randint(1, 4)))
    stamp = (
        f"2026-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}T{draw.randrange(24):02}:{number % 60:02}:07Z"
    )
    level = draw.choice(("INFO", "WARNING", "ERROR"))
    said = writer.sentence()
    lines.append(
        f'{address} [{stamp}] {level} "GET /{path}?id={number}" {draw.choice((200, 404, 500))} {said}'
    )
log = "\n".join(lines)

entry = regex.compile(
    r'^(?P<address>[\d.]+) \[(?P<time>[^\]]+)\] (?P<level>[A-Z]+) "(\w+) ([^"]*)" (\d{3}) (.*)$'
)
assert all(entry.match(line) for line in lines)
for pattern, flags in (
    (r"\b\d{1,3}(?:\.\d{1,3}){3}\b", 0),
    (r"(?:error|warning)\b.*?(\d+)", regex.IGNORECASE),
    (r"/(\w+)(?=/|\?)", 0),
    (r"(?<!\d)[45]\d\d(?!\d)", 0),
    (r"\b(\w)\w*\1\b", 0),
    (r"^\S+", regex.MULTILINE),
    (r"\p{Lu}\p{Ll}+", 0),
    (r"(?>[a-z]+)[,!]", 0),
    (r"\w++ \w++\.", 0),
):
    compiled = regex.compile(pattern, flags)
    assert compiled.search(log)
    compiled.findall(log)
    for line in lines[:40]:
        compiled.search(line)
words = [writer.word() for _ in range(20)]
assert regex.findall(r"\L<words>", log, words=words)
assert regex.sub(r"(\d+)-(\d+)", r"\2/\1", log) != log
assert len(regex.split(r"[\s\"]+", log)) > 100
assert regex.search(r"(?:GEET){e<=1}", log)
assert regex.fullmatch(r"(?:[^\n]*\n)*[^\n]*", log)
assert regex.sub(r"[aeiou]", lambda found: found[0].upper(), lines[0]) != lines[0]
