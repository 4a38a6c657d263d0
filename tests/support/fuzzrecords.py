"""Mutations of what xtool checks as a whole: signed text, exported caches."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Callable, Sequence
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
    try:
        rows = _rows(data)
        folder, record_at, files_at = _records(rows)
        contents, listing, record = (json.loads(rows[at][1]) for at in (0, files_at, record_at))
        if choice == 2:
            contents = change_json(rng, contents)
        elif choice == 3:
            record = change_json(rng, record)
        elif choice == 4:
            at = rng.randrange(1, len(rows))
            name, body = rows[at]
            rows[at] = (name, document(rng, body, ()) if name.endswith(".json") else noise(rng, body, ()))
        else:
            listing = change_json(rng, listing)
        if choice == 3 and rng.random() < 0.5:
            rows[record_at] = (rows[record_at][0], json.dumps(record).encode())
        elif choice != 4:
            _agree(rows, contents, record, listing, record_at, files_at)
            rows = _renamed(rows, folder, listing) if rng.random() < 0.9 else rows
        return _joined(rows)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError):
        return noise(rng, data, pool)


_Rows = list[tuple[str, bytes]]


def _rows(data: bytes) -> _Rows:
    """Name and content of every member."""
    members = tar_members(unpacked(data, ".zst") or b"")
    return [(item[:100].rstrip(b"\0").decode(), item[512 : 512 + int(item[124:135], 8)]) for item in members]


def _records(rows: _Rows) -> tuple[str, int, int]:
    """Folder of the first component, and where its manifest and its list of files are."""
    folder = str(json.loads(rows[0][1])["components"][0]["folder"])
    at = {name: index for index, (name, _) in enumerate(rows)}
    return folder, at[f"{folder}/share/xtool/manifest.json"], at[f"{folder}/share/xtool/files.json"]


def _agree(rows: _Rows, contents: Any, record: Any, listing: Any, record_at: int, files_at: int) -> None:
    """Write the records back with the digests, counts and sizes that fit the list of files."""
    text = json.dumps(listing).encode()
    known = {"tree": hashlib.sha256(text).hexdigest(), "count": len(listing["files"])}
    known["size"] = sum(entry[2] for entry in listing["files"])
    record.update(known)
    contents["components"][0].update(known)
    for at, body in ((files_at, text), (record_at, record), (0, contents)):
        rows[at] = (rows[at][0], body if isinstance(body, bytes) else json.dumps(body).encode())


def _joined(rows: _Rows) -> bytes:
    blocks = [
        tar_header(name.encode("utf-8", "replace"), b"0", len(body)) + body + bytes(-len(body) % 512)
        for name, body in rows
    ]
    return CODECS[".zst"][1](b"".join(blocks) + bytes(1024))


def _renamed(rows: _Rows, folder: str, listing: dict[str, Any]) -> _Rows:
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


def changed_cache(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """An exported cache of one component whose list of files was changed, with all else made to fit."""
    rows = _rows(data)
    folder, record_at, files_at = _records(rows)
    contents, listing, record = (json.loads(rows[at][1]) for at in (0, files_at, record_at))
    change(listing)
    _agree(rows, contents, record, listing, record_at, files_at)
    return _joined(_renamed(rows, folder, listing))
