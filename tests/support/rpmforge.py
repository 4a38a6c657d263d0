"""RPM packages: real ones made by rpmbuild, and forged ones made field by field.

It needs Debian's packages rpm and cpio, which `scripts/test` installs.
"""

from __future__ import annotations

import hashlib
import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from support import forge

CHAR, INT8, INT16, INT32, INT64, STRING, BIN, STRING_ARRAY, I18N_STRING = range(1, 10)
Entry = tuple[int, int, "bytes | str | list[str] | list[int]"]
"""Tag, type and value."""

COMPRESSORS = {"": None, ".gz": "gzip", ".xz": "xz", ".zst": "zstd"}
PAYLOADS = {"": "w.ufdio", ".gz": "w9.gzdio", ".xz": "w2.xzdio", ".zst": "w19.zstdio"}
"""rpm's names of compressors, and what `_binary_payload` calls them."""


def rpmbuild(folder: Path, spec: str, *, arch: str = "ppc64le", payload: str = "w2.xzdio") -> list[Path]:
    """Build packages from a spec with the real rpmbuild, sorted by name."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "it.spec").write_text(spec, encoding="utf-8")
    defines = {
        "_topdir": str(folder),
        "_binary_payload": payload,
        # What the host's macros would do to foreign binaries is none of the tests' business.
        "__os_install_post": "%{nil}",
        "_build_id_links": "none",
    }
    words = [word for name, value in defines.items() for word in ("--define", f"{name} {value}")]
    done = subprocess.run(
        ["rpmbuild", "-bb", "--quiet", "--target", arch, *words, folder / "it.spec"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return sorted((folder / "RPMS").rglob("*.rpm"))


def member(
    name: str | bytes,
    data: bytes = b"",
    *,
    mode: int = 0o100644,
    inode: int = 1,
    links: int = 1,
    device: tuple[int, int] = (0, 0),
    magic: bytes = b"070701",
    fields: Mapping[int, bytes] | None = None,
    pad: bytes = b"\0",
) -> bytes:
    """One member of a cpio stream; `fields` replaces numbers of the header (0 to 12), raw."""
    raw = name.encode() if isinstance(name, str) else name
    checksum = sum(data) & 0xFFFFFFFF if magic == b"070702" else 0
    numbers = [inode, mode, 0, 0, links, 1_700_000_000, len(data), *device, 0, 0, len(raw) + 1, checksum]
    texts = [b"%08x" % number for number in numbers]
    for at, text in (fields or {}).items():
        texts[at] = text
    head = magic + b"".join(texts) + raw + b"\0"
    return head + pad * (-len(head) % 4) + data + pad * (-len(data) % 4)


def folder(name: str | bytes, mode: int = 0o755) -> bytes:
    return member(name, mode=0o040000 | mode)


def link(name: str | bytes, target: str | bytes) -> bytes:
    return member(name, target.encode() if isinstance(target, str) else target, mode=0o120777)


END = member("TRAILER!!!", mode=0, inode=0)


def cpio(*members: bytes, end: bytes = END) -> bytes:
    return b"".join(members) + end


def header(
    entries: Sequence[Entry], region: int | None, *, index: Mapping[int, Sequence[int | None]] | None = None
) -> bytes:
    """A header structure, in which single fields of the index may be replaced.

    Args:
        entries: sorted by tag.
        region: 62 for a signature header, 63 for a header; None for none.
        index: by tag: type, offset and count, each None where it stays.
    """
    store = bytearray()
    rows = []
    for tag, kind, value in entries:
        if isinstance(value, list) and kind not in (STRING_ARRAY, I18N_STRING):
            code = {INT16: "H", INT32: "I", INT64: "Q"}[kind]
            raw = struct.pack(f">{len(value)}{code}", *value)
            count = len(value)
            store += bytes(-len(store) % struct.calcsize(code))
        elif isinstance(value, list):
            raw = b"".join(str(text).encode() + b"\0" for text in value)
            count = len(value)
        elif isinstance(value, str):
            raw, count = value.encode() + b"\0", 1
        else:
            raw, count = value, 1 if kind == STRING else len(value)
        row = [tag, kind, len(store), count]
        for at, replaced in enumerate((index or {}).get(tag, ())):
            if replaced is not None:
                row[at + 1] = replaced
        rows.append(tuple(row))
        store += raw
    if region is not None:
        rows.insert(0, (region, BIN, len(store), 16))
        store += struct.pack(">IIiI", region, BIN, -16 * len(rows), 16)
    body = b"".join(struct.pack(">IIII", *row) for row in rows) + bytes(store)
    return b"\x8e\xad\xe8\x01" + bytes(4) + struct.pack(">II", len(rows), len(store)) + body


def lead(*, magic: bytes = b"\xed\xab\xee\xdb", major: int = 3, kind: int = 0, signature: int = 5) -> bytes:
    name = b"forged-1-1".ljust(66, b"\0")
    return magic + struct.pack(">BBHH66sHH16x", major, 0, kind, 1, name, 1, signature)


def header_entries(compressor: str | None, **changes: Entry | None) -> list[Entry]:
    """What a header needs; `t1000=None` leaves tag 1000 out, `t1000=(1000, STRING, "x")` changes it."""
    entries: dict[int, Entry] = {
        1000: (1000, STRING, "forged"),
        1001: (1001, STRING, "1"),
        1002: (1002, STRING, "1"),
        1022: (1022, STRING, "ppc64le"),
        1047: (1047, STRING_ARRAY, ["forged"]),
        1048: (1048, INT32, [0, 0x100000A]),
        1049: (1049, STRING_ARRAY, ["/bin/sh", "rpmlib(CompressedFileNames)"]),
        1050: (1050, STRING_ARRAY, ["", "3.0.4-1"]),
        1112: (1112, INT32, [8]),
        1113: (1113, STRING_ARRAY, ["1-1"]),
        1124: (1124, STRING, "cpio"),
    }
    if compressor is not None:
        entries[1125] = (1125, STRING, compressor)
    for name, entry in changes.items():
        tag = int(name.removeprefix("t"))
        if entry is None:
            entries.pop(tag)
        else:
            entries[tag] = entry
    return [entries[tag] for tag in sorted(entries)]


def rpm(
    payload: bytes,
    compression: str = "",
    *,
    packed: bytes | None = None,
    main: bytes | None = None,
    signatures: Sequence[Entry] | None = None,
    first: bytes | None = None,
    pad: bytes = b"\0",
) -> bytes:
    """A package around a cpio stream.

    Args:
        payload: the stream.
        compression: of it.
        packed: replaces what it compresses to.
        main: replaces the header.
        signatures: replaces the entries of the signature header.
        first: replaces the lead.
        pad: what stands between the headers, as often as needed.
    """
    body = packed if packed is not None else forge.compress(payload, compression)
    main = main if main is not None else header(header_entries(COMPRESSORS[compression]), 63)
    if signatures is None:
        signatures = [
            (269, STRING, hashlib.sha1(main, usedforsecurity=False).hexdigest()),
            (273, STRING, hashlib.sha256(main).hexdigest()),
            (1000, INT32, [len(main) + len(body)]),
            (1004, BIN, hashlib.md5(main + body, usedforsecurity=False).digest()),
            (1007, INT32, [len(payload)]),
        ]
    signed = header(signatures, 62)
    start = first if first is not None else lead()
    return start + signed + pad * (-len(signed) % 8) + main + body
