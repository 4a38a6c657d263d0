"""Hostile archives: each is refused as an ArchiveError, and nothing outside the folder is touched."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support import forge

from xtool.archive import unpack, unpack_all
from xtool.errors import ArchiveError


@pytest.fixture
def refuse(tmp_path: Path) -> Callable[..., str]:
    """Unpack a .deb made of tar members, expect a refusal, check that nothing got out; gives the message."""
    outside = tmp_path / "outside"
    outside.mkdir()
    victim = outside / "victim"
    victim.write_text("untouched")
    os.utime(victim, (1_000_000, 1_000_000))
    victim.chmod(0o640)

    def check(*members: bytes, content: bytes | None = None, **options: object) -> str:
        raw = content if content is not None else forge.deb(forge.tar(*members), ".xz")
        package = forge.verified(tmp_path / "evil_1_all.deb", raw, unpacked_size=1 << 20)
        started = time.monotonic()
        with pytest.raises(ArchiveError) as caught:
            unpack(package, tmp_path / "in" / "side", **options)  # type: ignore[arg-type]
        assert time.monotonic() - started < 5
        assert caught.value.exit_code == 4
        assert sorted(p.name for p in tmp_path.iterdir()) == ["evil_1_all.deb", "in", "outside"]
        assert [p.name for p in (tmp_path / "in").iterdir()] == ["side"]
        assert [p.name for p in outside.iterdir()] == ["victim"]
        state = victim.stat()
        assert victim.read_text() == "untouched"
        assert (state.st_mode & 0o777, state.st_mtime, state.st_nlink) == (0o640, 1_000_000, 1)
        return " ".join([caught.value.message, *caught.value.facts])

    return check


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (b"../x", "leads upwards"),
        (b"a/../../x", "leads upwards"),
        (b"a/..", "leads upwards"),
        (b"../evil/../dest/f", "leads upwards"),
        (b"/etc/passwd", "absolute"),
        (b"", "empty"),
        (b"a\nb", "control character"),
        (b"a\rb", "control character"),
        (b"caf\xe9", "UTF-8"),
        (b"a" * 90, None),
    ],
)
def test_names(refuse: Callable[..., str], name: bytes, says: str | None) -> None:
    if says is None:
        assert "too long" in refuse(forge.gnu_long(b"L", name * 4), forge.file("short"))
        return
    assert says in refuse(forge.folder("a"), forge.file(name, b"x"))


def test_nul_in_a_pax_path(refuse: Callable[..., str]) -> None:
    assert "control character" in refuse(forge.pax({"path": b"a\0b"}), forge.file("short"))


def test_a_file_may_not_end_in_a_slash(refuse: Callable[..., str]) -> None:
    assert "name of a folder" in refuse(forge.file("a/", b"x"))


@pytest.mark.parametrize("target", ["/etc", "/etc/passwd", "/"])
def test_absolute_links(refuse: Callable[..., str], target: str) -> None:
    assert "absolute path" in refuse(forge.link("l", target))


@pytest.mark.parametrize("target", ["..", "../outside", "a/../../outside", "x/../../../y", "../side/../.."])
def test_escaping_links(refuse: Callable[..., str], target: str) -> None:
    assert "outside of the folder" in refuse(forge.folder("a"), forge.link("l", target))


def test_a_link_that_escapes_through_another_link(refuse: Callable[..., str]) -> None:
    # Read as text the target stays inside; but `deep` is the root itself, and `..` leads out of it.
    refuse(forge.link("deep", "."), forge.link("l", "deep/deep/../outside"))


def test_a_link_whose_middle_is_moved_by_a_later_member(refuse: Callable[..., str]) -> None:
    # While `p/q` does not exist, `p/q/..` is `p`; once it is a link to the root, it leads out.
    refuse(forge.link("l", "p/q/../x"), forge.folder("p"), forge.link("p/q", ".."))


def test_a_file_through_an_escaping_link(refuse: Callable[..., str]) -> None:
    refuse(forge.link("d", "../../outside"), forge.file("d/victim", b"owned"))


def test_a_file_over_a_link(refuse: Callable[..., str]) -> None:
    assert "already there" in refuse(forge.file("a"), forge.link("l", "a"), forge.file("l", b"x"))


def test_a_folder_over_a_link(refuse: Callable[..., str]) -> None:
    assert "already there" in refuse(forge.folder("d"), forge.link("l", "d"), forge.folder("l", mode=0o777))


def test_a_link_over_a_folder(refuse: Callable[..., str]) -> None:
    assert "already there" in refuse(forge.folder("d"), forge.file("d/f"), forge.link("d", "e"))


def test_a_file_over_a_folder_and_below_a_file(refuse: Callable[..., str]) -> None:
    refuse(forge.folder("d"), forge.file("d"))


def test_a_file_below_a_file(refuse: Callable[..., str]) -> None:
    assert "a file and a folder" in refuse(forge.file("f"), forge.file("f/g"))


def test_one_file_twice(refuse: Callable[..., str]) -> None:
    assert "twice" in refuse(forge.file("f", b"one"), forge.file("f", b"one"))


@pytest.mark.parametrize(
    "members",
    [
        (forge.hard_link("h", "missing"),),
        (forge.hard_link("h", "../outside/victim"),),
        (forge.hard_link("h", "/etc/passwd"),),
        (forge.link("s", "../../outside/victim"), forge.hard_link("h", "s")),
        (forge.link("s", "t"), forge.hard_link("h", "s"), forge.file("h", b"owned")),
        (forge.folder("d"), forge.hard_link("h", "d")),
        (forge.hard_link("h", "later"), forge.file("later")),
        (forge.folder("a/b"), forge.link("a/b/s", "../../t"), forge.hard_link("h", "a/b/s")),
        (forge.file("f"), forge.file("h"), forge.hard_link("h", "f")),
    ],
)
def test_hard_links(refuse: Callable[..., str], members: tuple[bytes, ...]) -> None:
    refuse(*members)


def test_a_hard_link_to_what_another_archive_brought(tmp_path: Path) -> None:
    first = forge.verified(tmp_path / "a_1_all.deb", forge.deb(forge.tar(forge.file("f", b"x"))))
    second = forge.verified(tmp_path / "b_1_all.deb", forge.deb(forge.tar(forge.hard_link("h", "f"))))
    unpack(first, tmp_path / "root")
    with pytest.raises(ArchiveError, match="earlier file of the archive"):
        unpack(second, tmp_path / "root")


def test_links_longer_than_any_path(refuse: Callable[..., str]) -> None:
    # CVE-2025-4517: realpath gives up on a path longer than PATH_MAX, and the check with it.
    part = "d" * 247
    members = []
    at = ""
    for step in "abcdefghijklmnop":
        members.append(forge.gnu_long(b"L", (at + part).encode()) + forge.folder("x"))
        members.append(forge.gnu_long(b"L", (at + step).encode()) + forge.gnu_long(b"K", part.encode()))
        members[-1] += forge.link("x", "y")
        at += f"{part}/"
    chain = "/".join("abcdefghijklmnop")
    members.append(forge.gnu_long(b"K", f"{chain}/{'../' * 17}outside".encode()) + forge.link("escape", "y"))
    refuse(*members)


def test_link_cycles_and_chains(refuse: Callable[..., str]) -> None:
    assert "more than 40 links" in refuse(forge.link("a", "b"), forge.link("b", "a"))


def test_a_cycle_on_the_way_of_a_file(refuse: Callable[..., str]) -> None:
    refuse(forge.link("a", "a"), forge.file("a/f"))


def test_depth(refuse: Callable[..., str]) -> None:
    deep = b"d/" * 10_000 + b"f"
    refuse(forge.gnu_long(b"L", deep), forge.file("f"))


def test_a_chain_of_ten_thousand_links(tmp_path: Path) -> None:
    links = [forge.link(f"l{n}", f"l{n + 1}") for n in range(10_000)]
    package = forge.verified(tmp_path / "evil_1_all.deb", forge.deb(forge.tar(*links), ".xz"))
    started = time.monotonic()
    with pytest.raises(ArchiveError, match="more than 40 links"):
        unpack(package, tmp_path / "root")
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("kind", [b"3", b"4", b"6", b"7", b"S", b"M", b"V", b"9", b"\xff"])
def test_special_files(refuse: Callable[..., str], kind: bytes) -> None:
    refuse(forge.header("special", kind=kind, mode=0o666))


def test_special_files_are_refused_even_when_not_wanted(refuse: Callable[..., str]) -> None:
    assert "named pipe" in refuse(forge.header("pipe", kind=b"6"), only=lambda name: name == "other")


def test_a_pax_sparse_file(refuse: Callable[..., str]) -> None:
    members = forge.pax({"GNU.sparse.major": "1", "GNU.sparse.realsize": str(1 << 40)}), forge.file("f", b"x")
    assert "sparse" in refuse(*members)


@pytest.mark.parametrize("field", [b"-0000000001\0", b"\x80" + bytes(10) + b"\x01", b"\xff" * 12, b"9" * 12])
def test_sizes_that_are_no_octal_numbers(refuse: Callable[..., str], field: bytes) -> None:
    assert "not an octal number" in refuse(forge.header("f", size_field=field))


def test_a_size_past_the_end(refuse: Callable[..., str]) -> None:
    assert "cut short" in refuse(forge.header("f", size_field=b"77777777777\0"))


@pytest.mark.parametrize("size", ["0", "1024", "-512", "1e3", ""])
def test_two_sizes(refuse: Callable[..., str], size: str) -> None:
    refuse(forge.pax({"size": size}), forge.file("f", b"x" * 512))


@pytest.mark.parametrize("kind", [b"5", b"2", b"1"])
def test_content_where_none_belongs(refuse: Callable[..., str], kind: bytes) -> None:
    smuggled = forge.header("d", kind=kind, size=512, target="f") + forge.file("inner")
    assert "content" in refuse(forge.file("f"), smuggled)


@pytest.mark.parametrize("kind", [b"L", b"K", b"x"])
def test_extensions_that_belong_to_nothing_or_come_twice(refuse: Callable[..., str], kind: bytes) -> None:
    extension = forge.pax({"path": "p"}) if kind == b"x" else forge.gnu_long(kind, b"p")
    assert "no member" in refuse(extension)
    assert "two extended headers" in refuse(extension, extension, forge.link("f", "g"))


def test_a_global_path(refuse: Callable[..., str]) -> None:
    assert "global" in refuse(forge.pax({"path": "p"}, kind=b"g"), forge.file("f"))


@pytest.mark.parametrize("data", [b"", b"x", b"9999999 path=a\n", b"5 a=b", b"7 path=\n" * 2, b"0 path=x\n"])
def test_broken_pax_records(refuse: Callable[..., str], data: bytes) -> None:
    if not data:
        assert "character set" in refuse(forge.pax({"hdrcharset": "BINARY"}), forge.file("f"))
        return
    refuse(forge.header("pax", kind=b"x", size=len(data)) + forge.padded(data), forge.file("f"))


def test_wrong_checksum_and_unknown_format(refuse: Callable[..., str]) -> None:
    assert "checksum" in refuse(forge.header("f", checksum=b"000001\0 "))
    assert "neither ustar nor GNU" in refuse(forge.header("f", magic=bytes(8)))


def test_more_than_the_lock_allows(refuse: Callable[..., str], tmp_path: Path) -> None:
    # 8 MiB of zeros in a few KiB, with a cap of 1 MiB.
    assert "more than it should" in refuse(forge.file("bomb", bytes(8 << 20)))
    on_disk = sum(p.stat().st_size for p in (tmp_path / "in").rglob("*") if p.is_file())
    assert on_disk <= 1 << 20


@pytest.mark.parametrize("compression", ["", ".gz", ".xz", ".zst"])
def test_the_cap_holds_for_every_compression(refuse: Callable[..., str], compression: str) -> None:
    content = forge.deb(forge.tar(forge.file("bomb", bytes(8 << 20))), compression)
    assert "more than it should" in refuse(content=content)


def test_too_many_members(refuse: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xtool.archive.MEMBER_LIMIT", 100)
    assert "more than 100 members" in refuse(*(forge.file(f"f{n}") for n in range(101)))


@pytest.mark.parametrize("compression", [".gz", ".xz", ".zst"])
@pytest.mark.parametrize("cut", [1, 9, 200])
def test_cut_short(refuse: Callable[..., str], compression: str, cut: int) -> None:
    whole = forge.compress(forge.tar(forge.file("f", os.urandom(4096))), compression)
    refuse(content=forge.deb(b"", compression, packed=whole[:-cut]))


@pytest.mark.parametrize("compression", [".gz", ".xz", ".zst"])
@pytest.mark.parametrize("garbage", [b"\0", b"garbage", b"\0" * 5000])
def test_trailing_garbage(refuse: Callable[..., str], compression: str, garbage: bytes) -> None:
    whole = forge.compress(forge.tar(forge.file("f", b"x")), compression)
    refuse(content=forge.deb(b"", compression, packed=whole + garbage))


@pytest.mark.parametrize("compression", [".gz", ".xz", ".zst"])
def test_a_second_stream_behind_the_first(refuse: Callable[..., str], compression: str) -> None:
    whole = forge.compress(forge.tar(forge.file("f", b"x")), compression)
    refuse(content=forge.deb(b"", compression, packed=whole + whole))


def test_the_end_of_a_tar(refuse: Callable[..., str]) -> None:
    one = forge.file("f", b"x")
    assert "cut short" in refuse(content=forge.deb(one))
    assert "cut short" in refuse(content=forge.deb(one + bytes(512)))
    assert "single zero block" in refuse(content=forge.deb(one + bytes(512) + one))
    assert "after the end" in refuse(content=forge.deb(one + forge.END + one))


@pytest.mark.parametrize("flip", [20, 40, 100, -20])
def test_flipped_bits_in_xz(refuse: Callable[..., str], flip: int) -> None:
    packed = bytearray(forge.compress(forge.tar(forge.file("f", os.urandom(2000))), ".xz"))
    packed[flip] ^= 0x10
    refuse(content=forge.deb(b"", ".xz", packed=bytes(packed)))


BINARY = forge.ar_member("debian-binary", b"2.0\n")
CONTROL = forge.ar_member("control.tar", forge.tar(forge.file("control")))
DATA = forge.ar_member("data.tar", forge.tar(forge.file("f")))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no ar header"),
        (b"<html>sign in</html>", "no ar header"),
        (forge.ar(BINARY, CONTROL, DATA, magic=b"!<thin>\n"), "no ar header"),
        (forge.ar(), "debian-binary"),
        (forge.ar(CONTROL, BINARY, DATA), "debian-binary"),
        (forge.ar(forge.ar_member("debian-binary", b"3.0\n"), CONTROL, DATA), "format"),
        (forge.ar(BINARY, CONTROL), "exactly one"),
        (forge.ar(BINARY, DATA), "exactly one"),
        (forge.ar(BINARY, CONTROL, DATA, DATA), "exactly one"),
        (forge.ar(BINARY, CONTROL, DATA, forge.ar_member("data.tar.gz", b"")), "exactly one"),
        (forge.ar(BINARY, CONTROL, CONTROL, DATA), "exactly one"),
        (forge.ar(BINARY, CONTROL, DATA, forge.ar_member("extra", b"")), "exactly one"),
        (forge.ar(BINARY, CONTROL, forge.ar_member("data.tar.lz4", b"x")), "unknown compression `lz4`"),
        (forge.ar(BINARY, CONTROL, forge.ar_member("data.tar", b"", end=b"x\n")), "broken ar header"),
        (forge.ar(BINARY, CONTROL, forge.ar_member("data.tar", b"", size_field=b"-1")), "size"),
        (forge.ar(BINARY, CONTROL, forge.ar_member("data.tar", b"", size_field=b"99")), "cut short"),
        (forge.ar(BINARY, CONTROL, DATA) + b"trailing", "broken ar header"),
        (forge.ar(BINARY, CONTROL, DATA)[:-1], "cut short"),
    ],
)
def test_the_outer_layer(refuse: Callable[..., str], content: bytes, says: str) -> None:
    assert says in refuse(content=content)


def test_two_packages_with_one_file(tmp_path: Path) -> None:
    root = tmp_path / "root"
    packages = [
        forge.verified(tmp_path / f"{name}_1_all.deb", forge.deb(forge.tar(forge.file("d/f", data))))
        for name, data in (("a", b"same"), ("b", b"same"), ("c", b"else"))
    ]
    unpack_all(packages[:2], root, jobs=2)
    assert (root / "d/f").read_bytes() == b"same"
    with pytest.raises(ArchiveError, match=r"c_1_all.deb: `d/f` differs"):
        unpack(packages[2], root)
    with pytest.raises(ArchiveError, match="`d/f` differs"):
        unpack_all(packages, tmp_path / "other", jobs=2)


def test_a_later_archive_cannot_move_the_middle_of_an_earlier_link(tmp_path: Path) -> None:
    first = forge.deb(forge.tar(forge.link("l", "p/q/../x")))
    second = forge.deb(forge.tar(forge.folder("p"), forge.link("p/q", "..")))
    unpack(forge.verified(tmp_path / "a_1_all.deb", first), tmp_path / "root")
    with pytest.raises(ArchiveError, match="outside"):
        unpack(forge.verified(tmp_path / "b_1_all.deb", second), tmp_path / "root")


def test_names_that_a_case_insensitive_disk_takes_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def folding(path: object, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        name = path.lower() if flags & os.O_CREAT and isinstance(path, str) else path
        return real(name, flags, mode, dir_fd=dir_fd)  # type: ignore[arg-type]

    package = forge.verified(
        tmp_path / "a_1_all.deb",
        forge.deb(forge.tar(forge.file("xt_mark.h", b"1"), forge.file("xt_MARK.h", b"2"))),
    )
    monkeypatch.setattr(os, "open", folding)
    with pytest.raises(ArchiveError) as caught:
        unpack(package, tmp_path / "root")
    assert "upper and lower case" in " ".join(caught.value.facts)
    assert "XTOOL_CACHE_DIR" in str(caught.value.hint)


def test_only_known_kinds_of_files(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="does not unpack"):
        unpack(forge.verified(tmp_path / "a.cpio", b"070701"), tmp_path / "root")
