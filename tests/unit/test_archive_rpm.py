"""RPM packages: the same tree, identity and digests as rpm's own tools make of real ones."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support import forge, rpmforge
from support.rpmforge import BIN, INT32, INT64, STRING, STRING_ARRAY, cpio, member

from xtool.archive import MTIME, unpack, unpack_all
from xtool.archive.rpm import RpmFile, check_digests, read_extent, read_rpm
from xtool.errors import ArchiveError

SPEC = r"""
Name: sample
Epoch: 3
Version: 1.0~rc1
Release: 2.el7
Summary: A package of the tests
License: MIT
AutoReqProv: no
Requires: /sbin/ldconfig
Requires: sample-libs(ppc-64) = 3:1.0~rc1-2.el7
Requires: other >= 4
Provides: virtual < 9
%description
A package of the tests.
%install
mkdir -p %{buildroot}/usr/bin %{buildroot}/usr/lib64/deep/er %{buildroot}/etc/empty %{buildroot}/usr/share
head -c 300000 /dev/urandom > %{buildroot}/usr/bin/tool
yes text | head -c 500000 > %{buildroot}/usr/share/text
ln %{buildroot}/usr/share/text %{buildroot}/usr/share/also
ln %{buildroot}/usr/share/text %{buildroot}/usr/bin/again
touch %{buildroot}/usr/share/nothing
touch %{buildroot}/usr/share/none; ln %{buildroot}/usr/share/none %{buildroot}/usr/lib64/none
echo su > %{buildroot}/usr/bin/su
echo conf > %{buildroot}/etc/sample.conf
echo ghost > %{buildroot}/etc/ghost
echo named > "%{buildroot}/usr/share/caf"$'\xc3\xa9'" au lait"
echo o > %{buildroot}/usr/share/o; echo od > %{buildroot}/usr/share/od; echo odd > %{buildroot}/usr/share/odd
ln -s /usr/bin/tool %{buildroot}/usr/lib64/absolute
ln -s ../../bin/tool %{buildroot}/usr/lib64/deep/up
ln -s nowhere %{buildroot}/usr/lib64/dangling
echo f > %{buildroot}/usr/lib64/deep/er/f
%files
%attr(0755,root,root) /usr/bin/tool
%attr(4755,root,root) /usr/bin/su
/usr/bin/again
/usr/lib64/*
/usr/share/*
%dir /etc/empty
%config(noreplace) /etc/sample.conf
%ghost /etc/ghost
"""


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A package by rpmbuild with a payload of the compression asked for, built once."""
    built: dict[str, Path] = {}

    def get(compression: str) -> Path:
        if compression not in built:
            folder = tmp_path_factory.mktemp("rpmbuild")
            built[compression] = rpmforge.rpmbuild(
                folder, SPEC, payload=rpmforge.PAYLOADS.get(compression, compression)
            )[0]
        return built[compression]

    return get


def read(path: Path) -> RpmFile:
    with path.open("rb") as file:
        return read_rpm(file.fileno(), path.name)


def tree(root: Path) -> dict[str, tuple[str, int, str | bytes]]:
    """Everything below a folder: kind, mode as far as xtool keeps it, content."""
    found: dict[str, tuple[str, int, str | bytes]] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        executable = path.lstat().st_mode & 0o111
        if path.is_symlink():
            found[name] = ("link", 0, str(path.readlink()))
        elif path.is_dir():
            found[name] = ("folder", 0o755, "")
        else:
            found[name] = ("file", 0o755 if executable else 0o644, path.read_bytes())
    return found


def link_sets(root: Path) -> set[frozenset[str]]:
    """Which names are one file."""
    names: dict[int, set[str]] = {}
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            names.setdefault(path.stat().st_ino, set()).add(str(path.relative_to(root)))
    return {frozenset(group) for group in names.values() if len(group) > 1}


@pytest.mark.parametrize("compression", ["", ".gz", ".xz", ".zst"])
def test_same_tree_as_rpms_own_tools(tmp_path: Path, real: Callable[[str], Path], compression: str) -> None:
    path = real(compression)
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir()
    stream = subprocess.run(["rpm2cpio", path], check=True, capture_output=True).stdout
    subprocess.run(["cpio", "-id", "--quiet"], input=stream, cwd=theirs, check=True)
    package = forge.verified(tmp_path / path.name, path.read_bytes(), unpacked_size=len(stream))
    names = unpack(package, ours, absolute_links="rewrite")
    expected = tree(theirs)
    assert expected["usr/lib64/absolute"] == ("link", 0, "/usr/bin/tool")
    expected["usr/lib64/absolute"] = ("link", 0, "../../usr/bin/tool")
    assert tree(ours) == expected
    assert link_sets(ours) == link_sets(theirs)
    assert frozenset({"usr/share/text", "usr/share/also", "usr/bin/again"}) in link_sets(ours)
    assert frozenset({"usr/share/none", "usr/lib64/none"}) in link_sets(ours)
    assert len(names) == len(set(names))
    assert set(names) | {"etc", "usr", "usr/bin", "usr/share", "usr/lib64"} == set(expected)
    assert (ours / "usr/bin/su").stat().st_mode & 0o7777 == 0o755
    assert "etc/ghost" not in expected
    assert {p.lstat().st_mtime for p in ours.rglob("*") if p.is_symlink() or p.is_file()} == {MTIME}


def test_what_the_header_lists_is_what_is_unpacked(tmp_path: Path, real: Callable[[str], Path]) -> None:
    path = real(".xz")
    unpack(
        forge.verified(tmp_path / path.name, path.read_bytes()), tmp_path / "root", absolute_links="rewrite"
    )
    dump = subprocess.run(["rpm", "-qlp", "--dump", path], check=True, capture_output=True, text=True).stdout
    seen = 0
    for line in dump.splitlines():
        name, size, _, _, mode, *_ = line.rsplit(" ", 10)
        if name == "/etc/ghost":
            continue
        at = tmp_path / "root" / name[1:]
        seen += 1
        assert os.path.lexists(at), name
        if int(mode, 8) & 0o170000 == 0o100000:
            assert at.stat().st_size == int(size), name
    assert seen == 20


@pytest.mark.parametrize("compression", ["", ".gz", ".xz", ".zst"])
def test_what_a_package_says_of_itself(real: Callable[[str], Path], compression: str) -> None:
    path = real(compression)
    rpm = read(path)
    assert (rpm.name, rpm.version, rpm.release, rpm.epoch) == ("sample", "1.0~rc1", "2.el7", 3)
    assert rpm.arch == "ppc64le"
    assert rpm.nevra == "sample-3:1.0~rc1-2.el7.ppc64le"
    assert rpm.compression == compression
    stream = subprocess.run(["rpm2cpio", path], check=True, capture_output=True).stdout
    assert rpm.archive_size == len(stream)
    assert rpm.payload.offset == rpm.header.offset + rpm.header.size
    assert rpm.payload.offset + rpm.payload.size == path.stat().st_size
    query = "[%{REQUIRENAME} %{REQUIREFLAGS:depflags} %{REQUIREVERSION}\n]"
    theirs = subprocess.run(["rpm", "-qp", "--qf", query, path], check=True, capture_output=True, text=True)
    lines = [f"{d.name} {d.sense} {d.version}".split() for d in rpm.requires]
    assert lines == [line.split() for line in theirs.stdout.splitlines()]
    assert ["sample-libs(ppc-64)", "=", "3:1.0~rc1-2.el7"] in lines
    assert ("virtual", "<", "9") in {(d.name, d.sense, d.version) for d in rpm.provides}
    assert ("sample", "=", "3:1.0~rc1-2.el7") in {(d.name, d.sense, d.version) for d in rpm.provides}


@pytest.mark.parametrize("part", ["header", "payload"])
def test_every_digest_is_compared(tmp_path: Path, real: Callable[[str], Path], part: str) -> None:
    path = real(".xz")
    rpm = read(path)
    with path.open("rb") as file:
        compared = {(d.algorithm, d.what) for d in check_digests(file.fileno(), rpm)}
        assert b"".join(read_extent(file.fileno(), rpm.header, "x")).startswith(b"\x8e\xad\xe8\x01")
    assert compared == {
        ("sha256", "header"),
        ("sha1", "header"),
        ("md5", "header and payload"),
        ("sha256", "payload"),
    }
    content = bytearray(path.read_bytes())
    extent = getattr(rpm, part)
    content[extent.offset + extent.size // 2] ^= 1
    broken = tmp_path / path.name
    broken.write_bytes(content)
    with broken.open("rb") as file, pytest.raises(ArchiveError) as caught:
        check_digests(file.fileno(), rpm)
    assert caught.value.exit_code == 4
    assert "digest" in caught.value.message
    assert len(caught.value.facts) == 2


@pytest.mark.parametrize("algorithm", ["sha256", "sha1", "md5", "sha512"])
def test_each_digest_alone_is_compared(tmp_path: Path, algorithm: str) -> None:
    stream = cpio(member("./f", b"x"))
    extra = {"t5092": (5092, STRING_ARRAY, ["0" * 128]), "t5093": (5093, INT32, [10])}
    main = rpmforge.header(rpmforge.header_entries(None, **extra if algorithm == "sha512" else {}), 63)
    entries = {
        "sha256": [(273, STRING, "0" * 64)],
        "sha1": [(269, STRING, "0" * 40)],
        "md5": [(1004, BIN, bytes(16))],
        "sha512": [],
    }
    path = tmp_path / "a.rpm"
    path.write_bytes(rpmforge.rpm(stream, main=main, signatures=[*entries[algorithm], (1007, INT32, [9])]))
    with path.open("rb") as file, pytest.raises(ArchiveError, match=f"another {algorithm} digest"):
        check_digests(file.fileno(), read_rpm(file.fileno(), "a.rpm"))


def test_no_digests_are_none(tmp_path: Path) -> None:
    path = tmp_path / "a.rpm"
    path.write_bytes(rpmforge.rpm(cpio(member("./f", b"x")), signatures=[(1007, INT32, [9])]))
    with path.open("rb") as file:
        assert check_digests(file.fileno(), read_rpm(file.fileno(), "a.rpm")) == ()


def test_signatures_and_what_they_cover(tmp_path: Path) -> None:
    entries = [(267, BIN, b"dsa"), (268, BIN, b"rsa"), (1002, BIN, b"pgp"), (1005, BIN, b"gpg")]
    stream = cpio(member("./f", b"x"))
    main = rpmforge.header(rpmforge.header_entries(None), 63)
    path = tmp_path / "a.rpm"
    path.write_bytes(rpmforge.rpm(stream, main=main, signatures=entries))
    rpm = read(path)
    with path.open("rb") as file:
        found = {
            s.tag: (s.packet, s.what, b"".join(read_extent(file.fileno(), s.covers, "a.rpm")))
            for s in rpm.signatures
        }
    assert found == {
        267: (b"dsa", "header", main),
        268: (b"rsa", "header", main),
        1002: (b"pgp", "header and payload", main + stream),
        1005: (b"gpg", "header and payload", main + stream),
    }


def test_forged_packages_are_packages_to_rpm(tmp_path: Path) -> None:
    # What is refused below is refused for its one fault, not for being badly forged.
    path = tmp_path / "forged.rpm"
    for compression in rpmforge.COMPRESSORS:
        path.write_bytes(rpmforge.rpm(cpio(member("./usr/f", b"content")), compression))
        checked = subprocess.run(
            ["rpm", "-K", "--nosignature", path], capture_output=True, text=True, check=False
        )
        assert checked.stdout.strip().endswith("digests OK"), checked.stdout
        assert read(path).nevra == "forged-1-1.ppc64le"
        unpack(forge.verified(path, path.read_bytes()), tmp_path / f"root{compression}")
        assert (tmp_path / f"root{compression}/usr/f").read_bytes() == b"content"


def test_where_the_size_of_the_archive_stands(tmp_path: Path) -> None:
    path = tmp_path / "a.rpm"
    stream = cpio(member("./f", b"x"))
    for entries, changes, size in (
        ([(271, INT64, [1 << 40])], {}, 1 << 40),
        ([(1007, INT32, [77])], {}, 77),
        ([(1000, INT32, None)], {"t1046": (1046, INT32, [88])}, 88),
        ([(1000, INT32, None)], {"t271": (271, INT64, [99])}, 99),
        ([(1000, INT32, None)], {}, None),
    ):
        main = rpmforge.header(rpmforge.header_entries(None, **changes), 63)
        whole = [(t, k, v if v is not None else [len(main) + len(stream)]) for t, k, v in entries]
        path.write_bytes(rpmforge.rpm(stream, main=main, signatures=whole))
        assert read(path).archive_size == size


def test_a_package_without_a_named_compressor(tmp_path: Path) -> None:
    stream = cpio(member("./f", b"x"))
    main = rpmforge.header(rpmforge.header_entries(None), 63)
    for compression in ("", ".gz"):
        content = rpmforge.rpm(stream, compression, main=main)
        unpack(forge.verified(tmp_path / "a.rpm", content), tmp_path / f"root{compression}")
        assert (tmp_path / f"root{compression}/f").read_bytes() == b"x"


def test_absolute_links_are_refused_or_rewritten(tmp_path: Path) -> None:
    content = rpmforge.rpm(cpio(rpmforge.link("./usr/lib/l", "/lib64/libc.so.6")), ".gz")
    package = forge.verified(tmp_path / "a.rpm", content)
    with pytest.raises(ArchiveError, match="absolute path"):
        unpack(package, tmp_path / "refused")
    unpack(package, tmp_path / "root", absolute_links="rewrite")
    assert str((tmp_path / "root/usr/lib/l").readlink()) == "../../lib64/libc.so.6"


def test_a_file_through_a_linked_folder_lands_inside(tmp_path: Path) -> None:
    # With links rewritten, the absolute one means the root that is unpacked into.
    members = rpmforge.link("./lib64", "/usr/lib64"), member("./lib64/libc.so.6", b"libc")
    package = forge.verified(tmp_path / "a.rpm", rpmforge.rpm(cpio(*members)))
    unpack(package, tmp_path / "root", absolute_links="rewrite")
    assert (tmp_path / "root/usr/lib64/libc.so.6").read_bytes() == b"libc"
    assert str((tmp_path / "root/lib64").readlink()) == "usr/lib64"


@pytest.mark.parametrize("order", ["last", "first", "middle"])
def test_content_may_be_with_any_name_of_a_set(tmp_path: Path, order: str) -> None:
    contents = {"last": [b"", b"", b"x"], "first": [b"x", b"", b""], "middle": [b"", b"x", b""]}[order]
    members = [member(f"./d{n}/f", data, links=3, inode=9, mode=0o104755) for n, data in enumerate(contents)]
    members.insert(1, member("./other", b"other", links=3, inode=9, device=(0, 7)))
    members.insert(3, member("./single", b"single", inode=9))
    unpack(forge.verified(tmp_path / "a.rpm", rpmforge.rpm(cpio(*members))), tmp_path / "root")
    assert link_sets(tmp_path / "root") == {frozenset({"d0/f", "d1/f", "d2/f"})}
    assert (tmp_path / "root/d0/f").read_bytes() == b"x"
    assert (tmp_path / "root/d0/f").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "root/other").read_bytes() == b"other"
    assert (tmp_path / "root/single").read_bytes() == b"single"


def test_a_part_of_a_set_may_be_elsewhere(tmp_path: Path) -> None:
    # A %ghost, or a name in another sub-package: the link count is higher than the names there are.
    members = [
        member("./a", links=5, inode=1),
        member("./b", b"x", links=5, inode=1),
        member("./c", b"y", links=2, inode=2),
        member("./d", links=2, inode=3),
    ]
    unpack(forge.verified(tmp_path / "a.rpm", rpmforge.rpm(cpio(*members))), tmp_path / "root")
    contents = {path.name: path.read_bytes() for path in (tmp_path / "root").iterdir()}
    assert contents == {"a": b"x", "b": b"x", "c": b"y", "d": b""}


@pytest.mark.parametrize("wanted", [{"a"}, {"b"}, {"c"}, {"a", "c"}, {"b", "c"}, set()])
def test_only_some_names_of_a_set(tmp_path: Path, wanted: set[str]) -> None:
    members = [member(f"./{name}", b"x" * (name == "c"), links=3) for name in "abc"]
    members += [member(f"./e{name}", links=2, inode=2) for name in "ab"]
    package = forge.verified(tmp_path / "a.rpm", rpmforge.rpm(cpio(*members)))
    for kind in ("", "e"):
        names = {f"{kind}{name}" for name in wanted if f"{kind}{name}" != "ec"}
        root = tmp_path / f"root{kind}"
        assert set(unpack(package, root, only=names.__contains__)) == names
        assert {path.name for path in root.iterdir()} == names
        assert all(path.read_bytes() == (b"" if kind else b"x") for path in root.iterdir())


def test_hard_links_through_a_linked_folder(tmp_path: Path) -> None:
    members = [
        rpmforge.link("./lib64", "usr/lib64"),
        member("./lib64/a", links=2),
        member("./usr/bin/b", b"x", links=2),
    ]
    unpack(forge.verified(tmp_path / "a.rpm", rpmforge.rpm(cpio(*members))), tmp_path / "root")
    assert link_sets(tmp_path / "root") == {frozenset({"usr/lib64/a", "usr/bin/b"})}


def test_modes_are_not_taken_over(tmp_path: Path) -> None:
    members = [
        rpmforge.folder("./closed", 0o000),
        member("./closed/in", b"x", mode=0o100000),
        member("./run", b"x", mode=0o106751),
        rpmforge.folder("./sticky", 0o1777),
    ]
    unpack(forge.verified(tmp_path / "a.rpm", rpmforge.rpm(cpio(*members))), tmp_path / "root")
    modes = {p.name: p.stat().st_mode & 0o7777 for p in (tmp_path / "root").rglob("*")}
    assert modes == {"closed": 0o755, "in": 0o644, "run": 0o755, "sticky": 0o755}


def test_zeros_may_follow_the_trailer(tmp_path: Path) -> None:
    content = rpmforge.rpm(cpio(member("./f", b"x")) + bytes(512), ".xz")
    assert unpack(forge.verified(tmp_path / "a.rpm", content), tmp_path / "root") == ["f"]


@pytest.mark.parametrize("compressor", ["w9.bzdio", "w6.lzdio"])
def test_real_packages_of_other_compressions(
    tmp_path: Path, real: Callable[[str], Path], compressor: str
) -> None:
    path = real(compressor)
    with pytest.raises(ArchiveError, match=r"'(bzip2|lzma)', which xtool does not read"):
        unpack(forge.verified(tmp_path / path.name, path.read_bytes()), tmp_path / "root")


def test_packages_side_by_side_make_one_tree(tmp_path: Path, real: Callable[[str], Path]) -> None:
    files = []
    for compression in (".gz", ".xz", ".zst"):
        members = [
            rpmforge.folder("./usr"),
            member(f"./usr/{compression[1:]}", b"x"),
            member("./usr/common", b"y"),
        ]
        content = rpmforge.rpm(cpio(*members), compression)
        files.append(forge.verified(tmp_path / f"p{compression[1:]}.rpm", content))
    names = unpack_all(iter(files), tmp_path / "root", jobs=2)
    assert names == sorted(["usr", "usr/common"] * 3 + ["usr/gz", "usr/xz", "usr/zst"])
    other = rpmforge.rpm(cpio(member("./usr/common", b"z")))
    with pytest.raises(ArchiveError, match=r"q.rpm: `usr/common` differs"):
        unpack(forge.verified(tmp_path / "q.rpm", other), tmp_path / "root")


@pytest.mark.parametrize("flavour", ["newc", "crc"])
def test_streams_of_cpio_itself(tmp_path: Path, flavour: str) -> None:
    source = tmp_path / "source"
    (source / "d").mkdir(parents=True)
    (source / "d/one").write_bytes(os.urandom(10_000))
    (source / "d/two").hardlink_to(source / "d/one")
    (source / "link").symlink_to("d/one")
    (source / "empty").touch()
    (source / "run").write_bytes(b"#!/bin/sh\n")
    (source / "run").chmod(0o755)
    names = b"d\nd/one\nempty\nlink\nd/two\nrun\n"
    words = ["cpio", "-o", "--quiet", "-H", flavour]
    stream = subprocess.run(words, input=names, cwd=source, check=True, capture_output=True).stdout
    unpack(forge.verified(tmp_path / "a.rpm", rpmforge.rpm(stream, ".gz")), tmp_path / "ours")
    assert tree(tmp_path / "ours") == tree(source)
    assert link_sets(tmp_path / "ours") == link_sets(source) == {frozenset({"d/one", "d/two"})}
