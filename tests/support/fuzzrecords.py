"""Mutations of what xtool checks as a whole: signed text, exported caches."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Sequence
from typing import Any

from support.fuzzformats import CODECS, packed, tar, tar_header, tar_members, unpacked
from support.fuzzmutate import Mutator, Pool, change_json, document, lines, noise

# Signed text


def cleartext(words: Sequence[str]) -> Mutator:
    """A cleartext-signed file: its text, its framing, or the packets inside the armor."""
    text = lines(words)

    def mutate(rng: random.Random, data: bytes, pool: Pool) -> bytes:
        begin, middle, end = data.partition(b"-----BEGIN PGP SIGNATURE-----\n")
        choice = rng.randrange(4)
        if choice == 0 or not middle:
            return noise(rng, data, pool)
        if choice == 1:
            return text(rng, begin, pool) + middle + end
        body, _, rest = end.lstrip(b"\n").partition(b"-----END")
        try:
            packets = base64.b64decode(body.partition(b"\n=")[0], validate=False)
        except ValueError:
            return text(rng, data, pool)
        if choice == 2:
            return text(rng, data, pool)
        armored = base64.encodebytes(noise(rng, packets, ()))
        return begin + middle + b"\n" + armored + b"-----END" + rest

    return mutate


# Exported caches


def cache(rng: random.Random, data: bytes, pool: Pool) -> bytes:
    """An exported cache: its records changed and every digest, size and count of them made right again."""
    choice = rng.randrange(8)
    if choice < 2:
        return packed(".zst", tar)(rng, data, pool)
    plain = unpacked(data, ".zst")
    members = tar_members(plain or b"")
    try:
        rows = [
            (item[:100].rstrip(b"\0").decode(), item[512 : 512 + int(item[124:135], 8)]) for item in members
        ]
        contents = json.loads(rows[0][1])
        folder = contents["components"][0]["folder"]
        at = {name: index for index, (name, _) in enumerate(rows)}
        record_at, files_at = (at[f"{folder}/share/xtool/{name}.json"] for name in ("manifest", "files"))
        listing, record = json.loads(rows[files_at][1]), json.loads(rows[record_at][1])
        if choice == 2:
            contents = change_json(rng, contents)
        elif choice == 3:
            record = change_json(rng, record)
        elif choice == 4:
            name, body = rng.choice(rows[1:])
            rows[at[name]] = (
                name,
                document(rng, body, ()) if name.endswith(".json") else noise(rng, body, ()),
            )
        else:
            listing = change_json(rng, listing)
        if choice != 4:
            text = json.dumps(listing).encode()
            known = {"tree": hashlib.sha256(text).hexdigest(), "count": len(listing["files"])}
            known["size"] = sum(entry[2] for entry in listing["files"])
            if choice != 3 or rng.random() < 0.5:
                record.update(known)
                contents["components"][0].update(known)
            rows[files_at] = (rows[files_at][0], text)
            rows[record_at] = (rows[record_at][0], json.dumps(record).encode())
            rows[0] = (rows[0][0], json.dumps(contents).encode())
            rows = _renamed(rows, folder, listing) if rng.random() < 0.9 else rows
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return noise(rng, data, pool)
    blocks = [
        tar_header(name.encode("utf-8", "replace"), b"0", len(body)) + body + bytes(-len(body) % 512)
        for name, body in rows
    ]
    return CODECS[".zst"][1](b"".join(blocks) + bytes(1024))


def _renamed(rows: list[tuple[str, bytes]], folder: str, listing: dict[str, Any]) -> list[tuple[str, bytes]]:
    """The files of the first component under the names that its list has for them now."""
    first = 3
    last = next((i for i, (name, _) in enumerate(rows) if i and not name.startswith(f"{folder}/")), len(rows))
    bodies = [body for _, body in rows[first:last]]
    named = []
    for index, entry in enumerate(listing["files"]):
        body = bodies[index % len(bodies)] if bodies else b""
        named.append(
            (f"{folder}/{entry[0]}", body[: int(entry[2])] if 0 <= int(entry[2]) < 1 << 20 else body)
        )
    return [*rows[:first], *named, *rows[last:]]
