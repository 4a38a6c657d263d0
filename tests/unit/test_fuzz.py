"""Fuzzing: that the parsers hold, that the harness would notice if they did not, and what it once found."""

from __future__ import annotations

import base64
import io
import json
import lzma
import re
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import forge, fuzzindexes, fuzzrecords, fuzztargets, hostelf
from support.fuzzing import Sandbox, make_input

from xtool.archive import tree, unpack
from xtool.errors import ArchiveError

ROOT = Path(__file__).parent.parent.parent
TARGETS = fuzztargets.targets()
DEEP = b"[" * 100_000


def test_parsers_survive_thousands_of_inputs(tmp_path: Path) -> None:
    """The same inputs every time; `scripts/fuzz.py` without `--inputs` goes on from there."""
    words = ["--inputs", "240", "--seed", "1", "--jobs", "2", "--work", str(tmp_path / "work")]
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "fuzz.py"), *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert rows.keys() == {*TARGETS, "all"}
    for name in TARGETS:
        tried, taken, found, refused = re.findall(
            r"(\d+) inputs +(\d+) taken +(\d+) findings +(.*)", rows[name]
        )[0]
        # Mutations that are all refused, or all taken, would test nothing behind the first check.
        assert (int(tried), found) == (240, "0")
        assert int(taken) > 0
        assert refused


@pytest.mark.parametrize("name", TARGETS)
def test_inputs_depend_on_seed_and_number_alone(name: str) -> None:
    first, second = fuzztargets.targets()[name], fuzztargets.targets()[name]
    one, other = first.seeds(), second.seeds()
    assert list(one) == list(other)
    numbers = range(len(one), len(one) + 10)
    made = [make_input(first, one, 1, number) for number in numbers]
    assert made == [make_input(second, other, 1, number) for number in numbers]
    assert made != [make_input(first, one, 2, number) for number in numbers]


PLANTED = """
import os, subprocess, sys, time
sys.path[:0] = {path!r}
from pathlib import Path
from support import fuzzing
from support.fuzzing import Finding, Sandbox
from support.fuzztarget import Target
from xtool.errors import ArchiveError
outside = Path({outside!r})

def refuse(): raise ArchiveError("no")
def wrong(): raise KeyError("x")
def link(folder): (folder / "link").symlink_to(outside); (folder / "link" / "new").write_text("x")
# Written, not only read: pages of zeros that are only read take no memory.
def memory(): bytearray(b"x") * (600 << 20)

faults = {{
    "fine": lambda folder: (folder / "own").write_text("x"),
    "refused": lambda folder: refuse(),
    "exception": lambda folder: wrong(),
    "hang": lambda folder: time.sleep(9),
    "file outside": lambda folder: (outside / "new").write_text("x"),
    "file through a link": link,
    "file here": lambda folder: Path("here").write_text("x"),
    "folder outside": lambda folder: (outside / "new").mkdir(),
    "removal": lambda folder: outside.rmdir(),
    "process": lambda folder: subprocess.run(["true"]),
    "memory": lambda folder: memory(),
}}
box = Sandbox()
box.confine()
for name, fault in faults.items():
    # Touching 600 MiB may take a busy machine longer than what a planted hang should cost the test.
    fuzzing.TIME_LIMIT = 0.3 if name == "hang" else 60
    run = lambda _, folder, fault=fault: fault(folder)
    target = Target(name, "", (ArchiveError,), list, lambda *_: b"", run)
    result = box.attempt(target, b"")
    print(f"{{name}}: {{result.kind if isinstance(result, Finding) else result}}")
box.close()
"""


def test_the_harness_finds_planted_faults(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    code = PLANTED.format(path=[str(ROOT), str(ROOT / "tests")], outside=str(tmp_path / "outside"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "fine: ",
        "refused: ArchiveError",
        "exception: KeyError",
        "hang: hang",
        "file outside: Escaped",
        "file through a link: Escaped",
        "file here: Escaped",
        "folder outside: Escaped",
        "removal: Escaped",
        "process: Escaped",
        "memory: memory",
    ]
    assert list((tmp_path / "outside").iterdir()) == []


# What fuzzing found, each as the shortest input that shows it.


def poked(data: bytes, layout: str, offset: int, value: int) -> bytes:
    out = bytearray(data)
    struct.pack_into(layout, out, offset, value)
    return bytes(out)


def longer_index() -> bytes:
    """A size in an xz index with a byte more than it needs, which liblzma does not take."""
    stream = forge.xz_blocks(b"a" * 10, b"b" * 10)
    size = (int.from_bytes(stream[-8:-4], "little") + 1) * 4
    index = stream[-12 - size : -16]
    # Count, and of each block the size as stored and as content; the last number becomes 10 as 8A 00.
    changed = index.rstrip(b"\0")[:-1] + b"\x8a\x00"
    changed += bytes(-len(changed) % 4)
    changed += zlib.crc32(changed).to_bytes(4, "little")
    footer = (len(changed) // 4 - 1).to_bytes(4, "little") + stream[-4:-2]
    return stream[: -12 - size] + changed + zlib.crc32(footer).to_bytes(4, "little") + footer + b"YZ"


def unknown_hash() -> bytes:
    begin, middle, end = fuzzindexes.SIGNED.partition(b"-----BEGIN PGP SIGNATURE-----\n\n")
    body, _, rest = end.partition(b"\n=")
    packets = bytearray(base64.b64decode(body))
    # Packet tag, length, version, type, key algorithm, hash algorithm (RFC 9580, section 5.2.3).
    packets[5] = 0
    armored = base64.encodebytes(bytes(packets))
    return begin + middle + armored.rstrip(b"\n") + b"\n-----END" + rest.partition(b"-----END")[2]


def cache_of(size: str, folder: str = '"x"') -> bytes:
    text = f'{{"schema": 1, "components": [{{"folder": {folder}, "size": {size}}}]}}'.encode()
    return forge.compress(forge.tar(forge.file("xtool-cache.json", text)), ".zst")


def changed_list(change: Callable[[dict[str, Any]], object]) -> bytes:
    """A cache whose list of files was changed and written with other spaces; every digest fits."""
    return fuzzrecords.changed_cache(TARGETS["cache"].seeds()[1], change)


def unknown_fingerprint() -> bytes:
    """The issuer's fingerprint (subpacket 33, RFC 9580, section 5.2.3.35) is one of version 0 keys."""
    data = bytearray(TARGETS["signature"].seeds()[0])
    data[data.index(b"\x16\x21\x04") + 2] = 0
    return bytes(data)


def wheel_with_odd_tags() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(TARGETS["wheel"].seeds()[2])) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name) + (b"X: \xf2\n" if name.endswith("/WHEEL") else b""))
    return out.getvalue()


_PHDR = 64
ELF = hostelf.elf()
PACKAGES = lzma.compress(fuzzindexes.PACKAGES.replace(b"Size: 1234", b"Size: -1"), preset=0)

FOUND: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "index numbers in a longer form": ("xzblocks", longer_index, "ArchiveError"),
    "a member that leads back": (
        "debsize",
        lambda: forge.ar(forge.ar_member("x", b"", size_field=b"-60")),
        "ArchiveError",
    ),
    "a size with an underscore": (
        "debsize",
        lambda: forge.ar(forge.ar_member("data.tar", b"", size_field=b"1_0")),
        "ArchiveError",
    ),
    "xz that is none": ("debsize", lambda: forge.deb(b"", ".xz", packed=b"none"), "ArchiveError"),
    "gzip that is none": ("debsize", lambda: forge.deb(b"", ".gz", packed=b"none"), "ArchiveError"),
    "zstd that is none": ("debsize", lambda: forge.deb(b"", ".zst", packed=b"none"), "ArchiveError"),
    "zstd cut short": (
        "debsize",
        lambda: forge.deb(b"", ".zst", packed=forge.compress(bytes(9999), ".zst")[:-3]),
        "ArchiveError",
    ),
    "a date before all dates": (
        "release",
        lambda: re.sub(rb"\nDate: .*", b"\nDate: 1 Jan 2026 00:00:00 +99999999999999", fuzzindexes.RELEASE),
        "IntegrityError",
    ),
    "a negative size of an index": (
        "release",
        lambda: fuzzindexes.RELEASE.replace(b" 1234 ", b" -1234 "),
        "IntegrityError",
    ),
    "a negative size of a package": ("packages", lambda: PACKAGES, "IntegrityError"),
    "a signature with a hash of no name": ("openpgp", unknown_hash, "IntegrityError"),
    "program headers beyond any file": ("relocate", lambda: poked(ELF, "<Q", 32, 1 << 63), "ArchiveError"),
    "program headers beyond what seeks": (
        "relocate",
        lambda: poked(ELF, "<Q", 32, (1 << 63) - 8),
        "ArchiveError",
    ),
    "a dynamic section of all memory": (
        "relocate",
        lambda: poked(ELF, "<Q", _PHDR + 2 * 56 + 32, 1 << 62),
        "ArchiveError",
    ),
    "half a dynamic entry": ("relocate", lambda: poked(ELF, "<Q", _PHDR + 2 * 56 + 32, 24), "ArchiveError"),
    "a name outside the strings": (
        "relocate",
        lambda: poked(ELF, "<Q", ELF.index(struct.pack("<QQ", 1, 1)) + 8, 1 << 40),
        "ArchiveError",
    ),
    "a program at the end of all addresses": (
        "relocate",
        lambda: poked(ELF, "<Q", _PHDR + 56 + 40, (1 << 64) - 1),
        "ArchiveError",
    ),
    "a slot at infinity": (
        "slots",
        lambda: b'{"schema":1,"loader":"l","slots":[["p",Infinity,64]]}',
        "StoreError",
    ),
    "a slot beyond all files": (
        "slots",
        lambda: b'{"schema":1,"loader":"l","slots":[["bin/tool",%d,64]]}' % (1 << 70),
        "StoreError",
    ),
    "a slot in a file with a NUL": (
        "slots",
        lambda: b'{"schema":1,"loader":"l","slots":[["a\\u0000",0,64]]}',
        "StoreError",
    ),
    "a slot in half a character": (
        "slots",
        lambda: b'{"schema":1,"loader":"l","slots":[["\\ud800",0,64]]}',
        "StoreError",
    ),
    "a record nested too deep": ("slots", lambda: DEEP, "StoreError"),
    "a lock nested too deep": ("lock", lambda: b"schema = " + DEEP, "CatalogError"),
    "a manifest nested too deep": ("manifest", lambda: DEEP, "StoreError"),
    "a wheel of a version without end": (
        "wheelname",
        lambda: b"x-" + b"9" * 5000 + b"-py3-none-any.whl",
        "UsageError",
    ),
    "a component of infinite size": ("cache", lambda: cache_of("Infinity"), "ArchiveError"),
    "a folder in half a character": (
        "cache",
        lambda: changed_list(lambda listing: listing["folders"].append("\ud800")),
        "ArchiveError",
    ),
    "folders one in the other without end": (
        "tar",
        lambda: forge.tar(forge.gnu_long(b"L", b"a/" * 2000 + b"b"), forge.file("x")),
        "ArchiveError",
    ),
    "folders below a link without end": (
        "tar",
        lambda: forge.tar(
            forge.gnu_long(b"K", b"a/" * 2000), forge.header("l", kind=b"2"), forge.file("l/x")
        ),
        "ArchiveError",
    ),
    "a list that leaves out a folder": (
        "cache",
        lambda: changed_list(lambda listing: listing["folders"].remove("bin")),
        "ArchiveError",
    ),
    "a list with a path in a longer form": (
        "cache",
        lambda: changed_list(lambda listing: listing["folders"].append("bin/./x")),
        "ArchiveError",
    ),
    "a list with other spaces": ("cache", lambda: changed_list(lambda listing: None), ""),
    "a component with a number for a name": (
        "cache",
        lambda: cache_of("1", folder="7"),
        "ArchiveError",
    ),
    "a component with a name without end": (
        "cache",
        lambda: cache_of("1", folder=json.dumps("x" * 300)),
        "ArchiveError",
    ),
    "an encoding that is none": (
        "repomd",
        lambda: TARGETS["repomd"].seeds()[0].replace(b"UTF-8", b"UTUF-8"),
        "IntegrityError",
    ),
    "a relation of spaces": ("relations", lambda: b"x" + b" " * 3000 + b"!", "IntegrityError"),
    "a relation to no version": ("relations", lambda: b"x (= :)", "IntegrityError"),
    "a relation to a version without end": (
        "relations",
        lambda: b"x (= 1%s)" % (b"9" * 5000),
        "IntegrityError",
    ),
    "a signature by a fingerprint of no kind": ("signature", unknown_fingerprint, "IntegrityError"),
    "a component with an unknown placeholder": (
        "components",
        lambda: TARGETS["components"].seeds()[0].replace(b"{gnu}", b"{gun}"),
        "CatalogError",
    ),
    "a target with a number for a text": (
        "target",
        lambda: re.sub(rb"(?m)^lowest_glibc = .*$", b"lowest_glibc = 217", TARGETS["target"].seeds()[0]),
        "CatalogError",
    ),
    "a target with a number for flags": (
        "target",
        lambda: re.sub(rb"(?m)^cflags = .*$", b"cflags = 1", TARGETS["target"].seeds()[0]),
        "CatalogError",
    ),
    "a project nested too deep": ("project", lambda: b"a = " + DEEP, "UsageError"),
    "a project with a number without end": ("project", lambda: b"a = " + b"9" * 5000, "UsageError"),
    "signed code in a member of less than nothing": (
        "unsign",
        lambda: forge.ar(forge.ar_member("a.o/", b"x" * 60, size_field=b"-60")),
        "ArchiveError",
    ),
    "an unwind entry of another table": (
        "unsign",
        lambda: TARGETS["unsign"].seeds()[0].replace(b"\x20\0\0\0\x18", b"\x20\0\0\0\x19"),
        "ArchiveError",
    ),
    "a library at the end of all addresses": (
        "lower",
        lambda: poked(TARGETS["lower"].seeds()[0], "<Q", _PHDR + 40, (1 << 64) - 1),
        "ArchiveError",
    ),
    "a folder below a link to a name too long": (
        "tar",
        lambda: forge.tar(
            forge.gnu_long(b"K", b"x" * 300 + b"/y"), forge.header("l", kind=b"2"), forge.file("l/z/f")
        ),
        "ArchiveError",
    ),
    "sections beyond what can be reached": (
        "unsign",
        lambda: poked(TARGETS["unsign"].seeds()[0], "<Q", 8 + 60 + 0x28, (1 << 64) - 1),
        "ArchiveError",
    ),
    "a number without end": ("sources", lambda: b"schema = " + b"9" * 5000, "CatalogError"),
    "a wheel whose tags are no text": ("wheel", wheel_with_odd_tags, ""),
    "contents nested too deep": ("cache", lambda: cache_of(DEEP.decode()), "ArchiveError"),
}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    box = Sandbox()
    yield box
    box.close()


@pytest.mark.parametrize("what", FOUND)
def test_what_was_found_stays_mended(what: str, sandbox: Sandbox) -> None:
    name, make, error = FOUND[what]
    assert sandbox.attempt(TARGETS[name], make()) == error


def test_links_that_lead_through_links_have_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of 47 kB kept the unpacker busy for minutes: 30,000 links through 38 others of 3 kB each."""
    monkeypatch.setattr(tree, "_MOST_STEPS", 20_000)
    detour = b"a/../" * 600
    members = [forge.folder("a")]
    for number in range(38):
        members += [
            forge.gnu_long(b"K", detour + b"l%d" % (number + 1)),
            forge.header(f"l{number}", kind=b"2"),
        ]
    members += [forge.link("l38", "a"), forge.link("z", "l0")]
    package = forge.verified(tmp_path / "a.tar", forge.tar(*members))
    with pytest.raises(ArchiveError, match="take too long to follow") as caught:
        unpack(package, tmp_path / "in")
    assert caught.value.code == "too-large"


def test_names_cannot_ask_for_more_folders_than_a_tree_may_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "_MOST_NODES", 1000)
    members = [forge.file(f"{number}/" + "a/" * 40 + "b") for number in range(30)]
    package = forge.verified(tmp_path / "a.tar", forge.tar(*members))
    with pytest.raises(ArchiveError, match="more than 1000 files and folders") as caught:
        unpack(package, tmp_path / "in")
    assert caught.value.code == "too-large"
