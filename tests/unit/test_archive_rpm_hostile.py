"""Hostile and broken RPM packages: each is refused as an ArchiveError, and nothing outside is touched."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support import forge, rpmforge
from support.rpmforge import BIN, CHAR, INT32, INT64, STRING, STRING_ARRAY, cpio, member

from xtool.archive import unpack
from xtool.archive.rpm import read_rpm
from xtool.errors import ArchiveError


@pytest.fixture
def refuse(tmp_path: Path) -> Callable[..., str]:
    """Unpack a package, expect a refusal, check that nothing got out; gives the message."""
    outside = tmp_path / "outside"
    outside.mkdir()
    victim = outside / "victim"
    victim.write_text("untouched")
    os.utime(victim, (1_000_000, 1_000_000))
    victim.chmod(0o640)

    def check(*members: bytes, content: bytes | None = None, **options: object) -> str:
        raw = content if content is not None else rpmforge.rpm(cpio(*members), ".xz")
        package = forge.verified(tmp_path / "evil.rpm", raw, unpacked_size=1 << 20)
        started = time.monotonic()
        with pytest.raises(ArchiveError) as caught:
            unpack(package, tmp_path / "in" / "side", absolute_links="rewrite", **options)  # type: ignore[arg-type]
        assert time.monotonic() - started < 5
        assert caught.value.exit_code == 4
        assert len(caught.value.message) + sum(map(len, caught.value.facts)) < 10_000
        assert sorted(p.name for p in tmp_path.iterdir()) == ["evil.rpm", "in", "outside"]
        assert [p.name for p in (tmp_path / "in").iterdir()] == ["side"]
        assert [p.name for p in outside.iterdir()] == ["victim"]
        state = victim.stat()
        assert victim.read_text() == "untouched"
        assert (state.st_mode & 0o777, state.st_mtime, state.st_nlink) == (0o640, 1_000_000, 1)
        on_disk = sum(p.stat().st_size for p in (tmp_path / "in").rglob("*") if p.is_file())
        assert on_disk <= 1 << 20
        return " ".join([caught.value.message, *caught.value.facts])

    return check


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (b"../x", "leads upwards"),
        (b"./../outside/x", "leads upwards"),
        (b"./a/../../x", "leads upwards"),
        (b"./../evil/../dest/f", "leads upwards"),
        (b"/etc/passwd", "absolute"),
        (b"", "a name of 1 bytes"),
        (b"./a\nb", "control character"),
        (b"./a\0b", "does not end where its size says"),
        (b"./caf\xe9", "UTF-8"),
        (b"./" + b"a" * 300, "too long"),
        (b"./" + b"a/" * 2500, "a name of 5003 bytes"),
        (b"./f/", "name of a folder"),
        (b".", "the root itself"),
    ],
)
def test_names(refuse: Callable[..., str], name: bytes, says: str) -> None:
    assert says in refuse(rpmforge.folder("./a"), member(name, b"x"))


@pytest.mark.parametrize("target", ["..", "../outside", "../../outside/victim", "a/../../outside"])
def test_escaping_links(refuse: Callable[..., str], target: str) -> None:
    assert "outside of the folder" in refuse(rpmforge.folder("./a"), rpmforge.link("./l", target))


def test_a_file_through_an_escaping_link(refuse: Callable[..., str]) -> None:
    refuse(rpmforge.link("./d", "../../outside"), member("./d/victim", b"owned"))


def test_a_file_over_a_link(refuse: Callable[..., str]) -> None:
    refuse(rpmforge.link("./f", "../../outside/victim"), member("./f", b"owned"))
    assert "already there" in refuse(member("./a"), rpmforge.link("./l", "a"), member("./l", b"x"))


def test_a_folder_over_a_link(refuse: Callable[..., str]) -> None:
    assert "already there" in refuse(
        rpmforge.folder("./d"), rpmforge.link("./l", "d"), rpmforge.folder("./l")
    )


def test_one_file_twice(refuse: Callable[..., str]) -> None:
    assert "twice" in refuse(member("./f", b"one"), member("f", b"one"))


@pytest.mark.parametrize(
    "members",
    [
        # Two contents for one file.
        (member("./a", b"1", links=2), member("./b", b"2", links=2)),
        # One name twice in a set, before and after its content.
        (member("./a", links=2), member("./a", b"x", links=2)),
        (member("./a", b"x", links=2), member("./a", links=2)),
        # A name that is taken by something else.
        (rpmforge.link("./a", "../../outside/victim"), member("./a", links=2), member("./b", b"x", links=2)),
        (rpmforge.folder("./a"), member("./a", links=2), member("./b", b"x", links=2)),
        (member("./a", b"x", links=2), rpmforge.link("./b", "a"), member("./b", links=2)),
        # Names that lead out.
        (member("./../outside/victim", links=2), member("./b", b"owned", links=2)),
        (member("./a", links=2), member("/etc/passwd", b"owned", links=2)),
        (
            rpmforge.link("./d", "../../outside"),
            member("./d/victim", links=2),
            member("./b", b"owned", links=2),
        ),
        # Held back to the end, and then hostile.
        (member("./a", links=2), member("./../b", links=2)),
        (member("./a", links=2), rpmforge.folder("./a")),
    ],
)
def test_sets_of_hard_links(refuse: Callable[..., str], members: tuple[bytes, ...]) -> None:
    refuse(*members)


@pytest.mark.parametrize(
    ("mode", "says"),
    [
        (0o010644, "named pipe"),
        (0o020600, "character device"),
        (0o060600, "block device"),
        (0o140755, "socket"),
        (0o000644, "unknown mode"),
        (0o160644, "unknown mode"),
        (0o7100644, None),
    ],
)
def test_special_files(refuse: Callable[..., str], mode: int, says: str | None) -> None:
    if says is None:
        assert "mode" in refuse(member("./p", fields={1: b"fffff000"}))
        return
    assert says in refuse(member("./p", mode=mode))
    assert says in refuse(member("./p", mode=mode), only=lambda name: name == "other")


@pytest.mark.parametrize("at", range(13))
@pytest.mark.parametrize("text", [b"-0000001", b"+0000001", b"0x000001", b"0000000g", b"00_00001", b" " * 8])
def test_numbers_that_are_not_hexadecimal(refuse: Callable[..., str], at: int, text: bytes) -> None:
    assert "not hexadecimal" in refuse(member("./f", b"x", fields={at: text}))


@pytest.mark.parametrize(
    ("field", "text", "says"),
    [
        (6, b"7fffffff", "cut short"),
        (6, b"80000000", "2147483648 bytes"),
        (6, b"ffffffff", "4294967295 bytes"),
        (11, b"ffffffff", "a name of 4294967295 bytes"),
        (11, b"00001002", "a name of 4098 bytes"),
        (11, b"00000001", "a name of 1 bytes"),
        (11, b"00000000", "a name of 0 bytes"),
        (11, b"00000003", "does not end"),
        (11, b"00000005", "does not end"),
    ],
)
def test_sizes(refuse: Callable[..., str], field: int, text: bytes, says: str) -> None:
    assert says in refuse(member("./f", b"x", fields={field: text}))


def test_content_where_none_belongs(refuse: Callable[..., str]) -> None:
    assert "content" in refuse(member("./d", b"smuggled", mode=0o040755))
    assert "a target of 0 bytes" in refuse(rpmforge.link("./l", ""))
    assert "a target of 5000 bytes" in refuse(rpmforge.link("./l", "a" * 5000))
    assert "no proper target" in refuse(rpmforge.link("./l", "a\0b"))
    assert "UTF-8" in refuse(rpmforge.link("./l", b"caf\xe9"))


@pytest.mark.parametrize(
    ("magic", "says"),
    [
        (b"07070X", "4 GB"),
        (b"070707", "POSIX.1"),
        (b"\xc7\x71  ", "where a member should begin"),
        (b"070703", "where a member should begin"),
    ],
)
def test_other_kinds_of_cpio(refuse: Callable[..., str], magic: bytes, says: str) -> None:
    assert says in refuse(member("./f", b"x", magic=magic))


def test_checksums(tmp_path: Path, refuse: Callable[..., str]) -> None:
    data = os.urandom(100_000)
    good = member("./f", data, magic=b"070702")
    assert "wrong checksum" in refuse(member("./f", data, magic=b"070702", fields={12: b"00000001"}))
    # What nobody wants is checked as well.
    wrong = member("./f", b"ab", magic=b"070702", fields={12: b"00000001"})
    assert "wrong checksum" in refuse(wrong, only=lambda name: False)
    link = member("./l", b"f", mode=0o120777, magic=b"070702")
    unpack(forge.verified(tmp_path / "a.rpm", rpmforge.rpm(cpio(good, link))), tmp_path / "root")
    assert (tmp_path / "root/f").read_bytes() == data


def test_the_end_of_a_cpio(refuse: Callable[..., str]) -> None:
    one = member("./f", b"x")

    def at_the_end(end: bytes) -> str:
        return refuse(content=rpmforge.rpm(cpio(one, end=end), ".xz"))

    assert "cut short" in at_the_end(b"")
    assert "cut short" in at_the_end(rpmforge.END[:-1])
    assert "cut short" in at_the_end(one[:-1])
    assert "where a member should begin" in at_the_end(bytes(512))
    assert "after the end" in at_the_end(rpmforge.END + b"x")
    assert "after the end" in at_the_end(rpmforge.END + member("./g", b"smuggled") + rpmforge.END)
    assert "after the end" in at_the_end(rpmforge.END + bytes(1 << 19) + b"x")
    assert "the trailer has 4 bytes" in at_the_end(member("TRAILER!!!", b"more"))


def test_padding_is_zero(refuse: Callable[..., str]) -> None:
    assert "padding" in refuse(member("./f", b"x", pad=b"p"))
    assert "padding" in refuse(member("./link", b"x", mode=0o120777, pad=b"p"))


@pytest.mark.parametrize("compression", ["", ".gz", ".xz", ".zst"])
def test_the_cap_holds_for_every_compression(refuse: Callable[..., str], compression: str) -> None:
    content = rpmforge.rpm(cpio(member("./bomb", bytes(8 << 20))), compression)
    assert "more than it should" in refuse(content=content)


def test_endless_members(refuse: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xtool.archive.MEMBER_LIMIT", 100)
    assert "more than 100 members" in refuse(*(member(f"./f{n}") for n in range(101)))
    assert "more than 100 members" in refuse(*(member(f"./f{n}", links=200) for n in range(101)))


@pytest.mark.parametrize("compression", [".gz", ".xz", ".zst"])
@pytest.mark.parametrize("cut", [1, 9, 200])
def test_cut_short(refuse: Callable[..., str], compression: str, cut: int) -> None:
    whole = forge.compress(cpio(member("./f", os.urandom(4096))), compression)
    assert "cut short" in refuse(content=rpmforge.rpm(b"", compression, packed=whole[:-cut]))
    # Cut after it was made: the signature header knows better.
    assert "shorter than it says" in refuse(content=rpmforge.rpm(b"", compression, packed=whole)[:-cut])


@pytest.mark.parametrize("compression", [".gz", ".xz", ".zst"])
@pytest.mark.parametrize("garbage", [b"\0", b"garbage", bytes(5000)])
def test_trailing_garbage(refuse: Callable[..., str], compression: str, garbage: bytes) -> None:
    whole = forge.compress(cpio(member("./f", b"x")), compression)
    refuse(content=rpmforge.rpm(b"", compression, packed=whole + garbage))
    refuse(content=rpmforge.rpm(b"", compression, packed=whole + whole))
    assert "longer than it says" in refuse(content=rpmforge.rpm(b"", compression, packed=whole) + garbage)


def test_a_payload_of_another_compression(refuse: Callable[..., str]) -> None:
    stream = cpio(member("./f", b"x"))
    assert "broken xz" in refuse(content=rpmforge.rpm(b"", ".xz", packed=forge.compress(stream, ".gz")))
    assert "broken zstd" in refuse(content=rpmforge.rpm(b"", ".zst", packed=stream))
    assert "where a member should begin" in refuse(content=rpmforge.rpm(b"", "", packed=b"<html>" * 100))


GOOD = rpmforge.rpm(cpio(member("./f", b"x")))
"""Lead of 96 bytes, signature header, its padding, header, payload."""


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no lead"),
        (b"<html>sign in</html>", "no lead"),
        (GOOD[:50], "the lead ends early"),
        (GOOD[:96], "the signature header is cut short"),
        (GOOD[:111], "the signature header is cut short"),
        (GOOD[:200], "the signature header is cut short"),
        (rpmforge.rpm(b"", first=rpmforge.lead(magic=b"\xed\xab\xee\xdc")), "no lead"),
        (rpmforge.rpm(b"", first=rpmforge.lead(major=2)), "unknown package format"),
        (rpmforge.rpm(b"", first=rpmforge.lead(signature=1)), "unknown package format"),
        (rpmforge.rpm(b"", first=rpmforge.lead(kind=1)), "not a binary package"),
        (GOOD[:96] + b"\x8e\xad\xe8\x02" + GOOD[100:], "wrong magic number"),
        (GOOD[:100] + b"\0\0\0\1" + GOOD[104:], "wrong magic number"),
        (GOOD[:104] + bytes(4) + GOOD[108:], "claims 0 entries"),
        (GOOD[:104] + b"\xff" * 4 + GOOD[108:], "claims 4294967295 entries"),
        (GOOD[:104] + b"\0\0\xff\xff" + GOOD[108:], "the signature header is cut short"),
        (GOOD[:108] + bytes(4) + GOOD[112:], "with 0 bytes of data"),
        (GOOD[:108] + b"\xff" * 4 + GOOD[112:], "with 4294967295 bytes"),
        (GOOD[:108] + b"\x01\0\0\0" + GOOD[112:], "the signature header is cut short"),
        (rpmforge.rpm(b"", pad=b"\1", signatures=[(1004, BIN, b"x")]), "padding"),
        (rpmforge.rpm(b"", main=b""), "the header is cut short"),
        (rpmforge.rpm(b"", main=b"not a header, but long enough"), "wrong magic number"),
        (rpmforge.rpm(b"", main=b"\x8e\xad\xe8\x01" + bytes(4) + b"\0\1\0\0\0\0\0\1x"), "claims 65536"),
        (rpmforge.rpm(b"", signatures=[(1000, INT32, [1])]), "longer than it says"),
        (rpmforge.rpm(b"", signatures=[(270, INT64, [1 << 60])]), "shorter than it says"),
        (rpmforge.rpm(b"", signatures=[(1000, INT32, [1, 2])]), "2 values instead of one"),
        (rpmforge.rpm(b"", signatures=[(1000, INT64, [1])]), "type 5 instead of 4"),
        (rpmforge.rpm(b"", signatures=[(1004, BIN, bytes(15))]), "the md5 digest is none"),
        (rpmforge.rpm(b"", signatures=[(269, STRING, "")]), "the sha1 digest is none"),
        (rpmforge.rpm(b"", signatures=[(273, STRING, "0" * 65)]), "the sha256 digest is none"),
    ],
)
def test_the_outer_layer(refuse: Callable[..., str], content: bytes, says: str) -> None:
    assert says in refuse(content=content)


@pytest.mark.parametrize(
    ("tag", "row", "says"),
    [
        # Type, offset and count; None leaves what is right.
        (1000, (0, None, None), "does not fit its place"),
        (1000, (10, None, None), "does not fit its place"),
        (1000, (STRING, None, 0), "not where it can be"),
        (1000, (STRING, None, 2), "does not fit its place"),
        (1000, (STRING, 1 << 20, None), "not where it can be"),
        (1000, (STRING, 0xFFFFFFF0, None), "not where it can be"),
        (1001, (STRING, 0, None), "not where it can be"),
        (1000, (STRING, 9, None), "not where it can be"),
        (1000, (BIN, None, 1000), "not where it can be"),
        (1000, (BIN, None, 8), "does not fit its place"),
        (1000, (BIN, None, 0xFFFFFFFF), "not where it can be"),
        (1000, (INT32, None, 2), "does not fit its place"),
        (1048, (INT64, None, 1), "does not fit its place"),
        (1048, (INT64, None, 0x20000001), "not where it can be"),
        (1049, (STRING_ARRAY, None, 3), "does not fit its place"),
        (1049, (STRING_ARRAY, None, 0x7FFFFFFF), "not where it can be"),
        (1000, (BIN, None, 7), "type 7 instead of 6"),
        (1022, (CHAR, None, 7), "type 1 instead of 6"),
    ],
)
def test_index_entries(refuse: Callable[..., str], tag: int, row: tuple[int | None, ...], says: str) -> None:
    main = rpmforge.header(rpmforge.header_entries(None), 63, index={tag: row})
    assert says in refuse(content=rpmforge.rpm(cpio(), main=main))


def test_numbers_are_aligned(refuse: Callable[..., str]) -> None:
    entries = rpmforge.header_entries(None, t1003=(1003, BIN, bytes(7)))
    main = rpmforge.header(entries, 63, index={1003: (INT32, None, 1)})
    offset = struct.unpack(">I", main[16 + 4 * 16 + 8 : 16 + 4 * 16 + 12])[0]
    assert offset % 4
    assert "tag 1003 does not fit" in refuse(content=rpmforge.rpm(cpio(), main=main))


def test_one_tag_twice(refuse: Callable[..., str]) -> None:
    entries = rpmforge.header_entries(None)
    entries.insert(1, (1000, STRING, "other"))
    main = rpmforge.header(entries, 63)
    assert "tag 1000 twice" in refuse(content=rpmforge.rpm(cpio(), main=main))


def test_the_region_of_the_header(refuse: Callable[..., str]) -> None:
    entries = rpmforge.header_entries(None)
    whole = rpmforge.header(entries, 63)
    trailer = struct.pack(">IIiI", 63, BIN, -16 * (len(entries) + 1), 16)
    assert whole.endswith(trailer)
    shorter = struct.pack(">IIiI", 63, BIN, -16 * len(entries), 16)
    for main in (
        rpmforge.header(entries, None),
        rpmforge.header(entries, 62),
        whole[: -len(trailer)] + shorter,
        whole[: -len(trailer)] + trailer[:-4] + bytes(4),
        # A trailer before the end: what follows it would not be signed.
        whole[:12] + struct.pack(">I", int.from_bytes(whole[12:16], "big") + 4) + whole[16:] + bytes(4),
    ):
        assert "no region that covers all" in refuse(content=rpmforge.rpm(cpio(), main=main))
    outside = whole[:24] + struct.pack(">I", 1 << 20) + whole[28:]
    assert "region is broken" in refuse(content=rpmforge.rpm(cpio(), main=outside))
    alone = rpmforge.header([], 63)
    assert "cpio" in refuse(content=rpmforge.rpm(cpio(), main=alone))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"t1000": None}, "no proper name"),
        ({"t1000": (1000, STRING, "../../etc")}, "no proper name"),
        ({"t1000": (1000, STRING, "")}, "no proper name"),
        ({"t1000": (1000, STRING, b"caf\xe9\0")}, "UTF-8"),
        ({"t1001": (1001, STRING, "1-2")}, "no proper name"),
        ({"t1022": (1022, STRING, "ppc64le\n")}, "no proper name"),
        ({"t1124": None}, "no cpio archive"),
        ({"t1124": (1124, STRING, "drpm")}, "no cpio archive"),
        ({"t1125": (1125, STRING, "bzip2")}, "'bzip2', which xtool does not read"),
        ({"t1125": (1125, STRING, "lzma")}, "'lzma', which xtool does not read"),
        ({"t1125": (1125, STRING, "rot13")}, "'rot13', which xtool does not read"),
        ({"t1003": (1003, INT32, [1, 2])}, "2 values"),
        ({"t1048": (1048, INT32, [0])}, "incomplete"),
        ({"t1050": None}, "incomplete"),
        ({"t1113": (1113, STRING_ARRAY, ["1", "2"])}, "incomplete"),
        ({"t1112": (1112, INT32, [6])}, "a broken dependency"),
        ({"t1047": (1047, STRING_ARRAY, [""])}, "a broken dependency"),
        ({"t5092": (5092, STRING_ARRAY, ["00"])}, "unknown kind"),
        ({"t5092": (5092, STRING_ARRAY, ["00"]), "t5093": (5093, INT32, [1])}, "unknown kind"),
        ({"t5092": (5092, STRING_ARRAY, ["0", "1"]), "t5093": (5093, INT32, [8])}, "unknown kind"),
        ({"t1047": (1047, STRING_ARRAY, ["x"] * 200_000)}, "tag 1047 has 200000 values"),
        ({"t1112": (1112, INT32, [0] * 200_000)}, "tag 1112 has 200000 values"),
        ({"t1000": (1000, STRING, "/" * 100_000)}, "no proper name"),
        ({"t5092": (5092, STRING_ARRAY, ["0" * 63]), "t5093": (5093, INT32, [8])}, "digest is none"),
        ({"t5092": (5092, STRING_ARRAY, ["g" * 64]), "t5093": (5093, INT32, [8])}, "digest is none"),
    ],
)
def test_contradictions_in_the_header(
    refuse: Callable[..., str], changes: dict[str, rpmforge.Entry | None], says: str
) -> None:
    content = rpmforge.rpm(cpio(), main=rpmforge.header(rpmforge.header_entries(None, **changes), 63))
    assert says in refuse(content=content)


def test_a_header_of_many_entries_is_read_at_once(tmp_path: Path) -> None:
    # 20,000 entries of 50 strings each: reading must not take the square of it.
    entries = rpmforge.header_entries(None)
    entries += [(10_000 + n, STRING_ARRAY, ["text"] * 50) for n in range(20_000)]
    path = tmp_path / "a.rpm"
    path.write_bytes(rpmforge.rpm(cpio(), main=rpmforge.header(entries, 63)))
    started = time.monotonic()
    with path.open("rb") as file:
        assert read_rpm(file.fileno(), "a.rpm").name == "forged"
    assert time.monotonic() - started < 5


def test_every_prefix_of_a_package_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.rpm"
    for end in range(0, len(GOOD), 7):
        package = forge.verified(path, GOOD[:end])
        with pytest.raises(ArchiveError):
            unpack(package, tmp_path / "root")


def test_flipped_bits_never_do_anything_else(tmp_path: Path) -> None:
    # Whatever byte changes: an ArchiveError or a file inside the root, never another error.
    refused = 0
    for at in range(len(GOOD)):
        content = bytearray(GOOD)
        content[at] ^= 1 << at % 8
        try:
            unpack(forge.verified(tmp_path / "a.rpm", bytes(content)), tmp_path / f"root{at}")
        except ArchiveError:
            refused += 1
    assert refused > len(GOOD) // 2
    assert {p.name.rstrip("0123456789") for p in tmp_path.iterdir()} == {"a.rpm", "root"}
