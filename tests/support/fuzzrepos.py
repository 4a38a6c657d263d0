"""Fuzzing the readers of RPM repositories: `repomd.xml`, `primary`, versions; and of detached signatures."""

from __future__ import annotations

import base64
import gzip
import random
import re
from datetime import datetime, timezone
from pathlib import Path

from support import fuzzformats, fuzzindexes
from support.fuzzmutate import PATHS, TEXT_NUMBERS, Pool, lines, noise
from support.fuzztarget import Target, check

from xtool.errors import IntegrityError

DATA = Path(__file__).parent / "data"

_REPOMD = b"""<?xml version="1.0" encoding="UTF-8"?>
<repomd xmlns="http://linux.duke.edu/metadata/repo" xmlns:rpm="http://linux.duke.edu/metadata/rpm">
  <revision>1600000000</revision>
  <data type="primary">
    <checksum type="sha256">%s</checksum>
    <open-checksum type="sha256">%s</open-checksum>
    <location href="repodata/%s-primary.xml.gz"/>
    <timestamp>1600000000</timestamp>
    <size>1234</size>
    <open-size>12345</open-size>
  </data>
  <data type="filelists"><checksum type="sha256">0</checksum><location href="f.xz"/><size>1</size></data>
</repomd>
""" % (b"ab" * 32, b"cd" * 32, b"ab" * 32)

_PACKAGE = """<package type="rpm">
  <name>{name}</name>
  <arch>ppc64le</arch>
  <version epoch="0" ver="2.17" rel="317.el7"/>
  <checksum type="sha256" pkgid="YES">{sha256}</checksum>
  <summary>A &lt;library&gt;</summary>
  <time file="1600000000" build="1600000000"/>
  <size package="1234" installed="4321" archive="4444"/>
  <location href="Packages/{name}-2.17-317.el7.ppc64le.rpm"/>
  <format>
    <rpm:license>LGPL</rpm:license>
    <rpm:header-range start="280" end="9999"/>
    <rpm:provides><rpm:entry name="{name}" flags="EQ" epoch="0" ver="2.17" rel="317.el7"/></rpm:provides>
    <rpm:requires><rpm:entry name="/bin/sh" pre="1"/><rpm:entry name="b" flags="GE" ver="1"/></rpm:requires>
    <file>/usr/bin/{name}</file>
  </format>
</package>
"""

_PRIMARY = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm" '
    'packages="2">\n'
    + "".join(_PACKAGE.format(name=name, sha256="0a" * 32) for name in ("glibc", "glibc-devel"))
    + "</metadata>\n"
).encode()

_XML_WORDS = (
    *(
        '<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;&a;">]>',
        "&a;",
        "&#0;",
        "&#x110000;",
        "<![CDATA[",
        "]]>",
    ),
    *(
        "<!--",
        "-->",
        "<data>",
        "</data>",
        '<data type="primary">',
        "</package>",
        "<package>",
        "<format>",
        "<file>",
    ),
    *(
        '<?xml version="1.0" encoding="UTF-16"?>',
        '<?xml version="1.0" encoding="x"?>',
        "</metadata>",
        "\x00",
        "\ud800",
    ),
    *(
        "<timestamp>1e999</timestamp>",
        "<timestamp>nan</timestamp>",
        "<timestamp>-1e15</timestamp>",
        "<x>" * 40,
    ),
    *(
        "<revision>99999999999</revision>",
        "<revision>\u0663</revision>",
        "<size>-1</size>",
        "<arch>ppc64le</arch>",
    ),
    *(
        '<location href="/x.gz"/>',
        '<location href="../x.gz"/>',
        '<location xml:base="http://x/" href="a.rpm"/>',
    ),
    *(
        "<revision>" + "9" * 400 + "</revision>",
        "<name>" + "x" * 5000 + "</name>",
        '<version ver="" rel=""/>',
    ),
)


def xml(rng: random.Random, data: bytes, pool: Pool) -> bytes:
    """A document: values of attributes and texts replaced, elements moved, doubled, left out."""
    choice = rng.randrange(5)
    if choice == 0:
        return noise(rng, data, pool)
    if choice == 1:
        return lines(_XML_WORDS)(rng, data, pool)
    for _ in range(rng.randint(1, 4)):
        found = list(re.finditer(rb'="[^"]*"|>[^<>]+<|<[^<>]*>', data))
        if not found:
            break
        match, other = rng.choice(found), rng.choice(found)
        text = match[0]
        if text.startswith(b"<"):
            fresh = rng.choice(
                (b"", text * 2, other[0], rng.choice(_XML_WORDS).encode("utf-8", "surrogatepass"))
            )
        else:
            value = rng.choice((*PATHS, *TEXT_NUMBERS)).encode("utf-8", "surrogatepass")
            inner = noise(rng, text[1:-1], (), most=2) if rng.randrange(3) == 0 else value
            fresh = b'="' + inner + b'"' if text.startswith(b"=") else b">" + inner + b"<"
        data = data[: match.start()] + fresh + data[match.end() :]
    return data


def run_repomd(data: bytes, folder: Path) -> None:
    from xtool.fetch import rpmrepo

    found = rpmrepo.read_repomd(data, "repomd.xml").primary
    check(found.size > 0 and (found.open_size is None or found.open_size > 0), "a size that cannot be")
    check(not found.location.startswith("/") and ".." not in found.location.split("/"), "a path leads out")
    check(re.fullmatch("[0-9a-f]{64}", found.sha256), "a digest that is none")


def run_primary(data: bytes, folder: Path) -> None:
    from xtool.archive import streams
    from xtool.errors import ArchiveError
    from xtool.fetch import rpmrepo

    path = folder / "primary.xml.gz"
    path.write_bytes(data)
    with path.open("rb") as file:
        chunks = streams.decompressed(file.fileno(), 0, len(data), ".gz", cap=1 << 20, label="primary")
        try:
            found = rpmrepo.read_primary(chunks, arches=("ppc64le", "noarch"), what="primary")
        except ArchiveError:
            raise IntegrityError("refused") from None
    for package in found:
        path_parts = package.location.split("/")
        check(not package.location.startswith("/") and ".." not in path_parts, "a path leads out")
        check(
            package.size > 0 and package.archive_size >= 0 and package.epoch >= 0, "a number that cannot be"
        )
        _ = package.version
    rpmrepo.highest(found, "glibc", "ppc64le")


_FINGERPRINT = "8186805F9BCB84395B25C4146CEF178CF4204629"
_SIGNATURE = (DATA / "fuzz-rsa.sig").read_bytes()


def signature(rng: random.Random, data: bytes, pool: Pool) -> bytes:
    """A detached signature: its packets, or the armor around them."""
    fresh = noise(rng, data, pool, most=3)
    if rng.randrange(6):
        return fresh
    armored = (
        b"-----BEGIN PGP SIGNATURE-----\n\n" + base64.encodebytes(fresh) + b"-----END PGP SIGNATURE-----\n"
    )
    return noise(rng, armored, pool, most=2) if rng.randrange(2) else armored


def run_signature(data: bytes, folder: Path) -> None:
    """What is taken names the key; the same signature over other bytes is never taken."""
    from xtool.fetch.signatures import check_signature, pinned

    certificates = pinned(DATA / "fuzz-rsa.asc", [_FINGERPRINT])
    now = datetime(2027, 1, 1, tzinfo=timezone.utc)
    signer = check_signature(data, lambda: [fuzzindexes.RELEASE], certificates, "x", now=now)
    check(signer == _FINGERPRINT, "another signer")
    try:
        check_signature(data, lambda: [fuzzindexes.RELEASE, b"more"], certificates, "x", now=now)
    except IntegrityError:
        return
    check(False, "a signature holds for other bytes")


_RELATIONS = (
    b"libc6 (>= 2.36), libgcc-s1 (>= 3.0) | x:any [amd64 !i386] <!nocheck> <cross>, gcc (= 1:14~rc1-2+b1)"
)
_RELATION_WORDS = (
    *(
        "(",
        ")",
        "|",
        ",",
        "(>= )",
        "(>> 1)",
        "(= :)",
        "(= 1:)",
        "[",
        "]",
        "<",
        "<a> " * 300,
        "a:b:c",
        "\u0663",
        " " * 3000,
    ),
    *("(>= 9" + "9" * 5000 + ")", "x (<< 2)" * 20, "<" * 2000, "[" * 2000, "(" * 2000, "\ud800"),
)


def run_relations(data: bytes, folder: Path) -> None:
    from xtool.fetch.relations import relations

    for _, alternatives in relations(data.decode("utf-8", "replace")):
        for one in alternatives:
            one.accepts("1:2.41-12")


def targets() -> list[Target]:
    """Metadata of RPM repositories, detached signatures, relations of Debian packages."""
    integrity = (IntegrityError,)
    return [
        Target("repomd", "repomd.xml", integrity, lambda: [_REPOMD], xml, run_repomd),
        Target(
            "primary",
            "primary.xml.gz",
            integrity,
            lambda: [gzip.compress(_PRIMARY, mtime=0)],
            fuzzformats.packed(".gz", xml),
            run_primary,
        ),
        Target("signature", "detached signatures", integrity, lambda: [_SIGNATURE], signature, run_signature),
        Target(
            "relations",
            "relations of packages",
            integrity,
            lambda: [_RELATIONS],
            lines(_RELATION_WORDS),
            run_relations,
        ),
    ]
