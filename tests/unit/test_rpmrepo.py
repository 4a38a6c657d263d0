"""Metadata of RPM repositories as createrepo_c writes it, hostile metadata, and the order of versions."""

from __future__ import annotations

import random
import subprocess
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.vault import Package, Vault

from xtool.errors import IntegrityError
from xtool.fetch.rpmrepo import RpmPackage, highest, read_primary, read_repomd
from xtool.fetch.rpmversions import RpmVersion, part_key

COMMON = "http://linux.duke.edu/metadata/common"
RPM = "http://linux.duke.edu/metadata/rpm"
REPO = "http://linux.duke.edu/metadata/repo"


@pytest.fixture(scope="module")
def repodata(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repository = Vault(tmp_path_factory.mktemp("vault")).repository("os/")
    repository.build(
        [
            Package(
                "glibc",
                "2.17",
                "317.el7",
                {"usr/bin/ldd": b"#!/bin/sh\n", "lib64/libc.so.6": b"x", "usr/lib64/gconv/": b""},
                requires=["glibc-common = 2.17-317.el7", "basesystem", "tz >= 1:3", "(a if b)", "/bin/sh"],
                provides=["libc.so.6(GLIBC_2.17)(64bit)", "bundled(x) = 2~rc1-1"],
            ),
            Package("dbus", "1.10.24", "15.el7", {"usr/share/d": b"d"}, epoch=1),
        ]
    )
    repository.build([Package("glibc", "2.17", "326.el7_9", {"usr/share/g": b"g"})])
    repository.arch = "noarch"
    repository.build([Package("filesystem", "3.2", "25.el7", {"usr/share/f": b"f"})])
    repository.arch = "s390x"
    repository.build([Package("dbus", "9", "1", {"usr/share/d": b"d"})])
    repository.publish()
    return repository.folder / "repodata"


def _primary(repodata: Path) -> bytes:
    import gzip

    (path,) = repodata.glob("*-primary.xml.gz")
    return gzip.decompress(path.read_bytes())


def _read(data: bytes, **options: object) -> list[RpmPackage]:
    return read_primary([data], arches={"ppc64le", "noarch"}, what="it", **options)  # type: ignore[arg-type]


def test_what_createrepo_writes(repodata: Path) -> None:
    repomd = read_repomd((repodata / "repomd.xml").read_bytes(), "it")
    assert repomd.date == "2020-10-29T19:33:20Z"
    (path,) = repodata.glob("*-primary.xml.gz")
    assert repomd.primary.location == f"repodata/{path.name}"
    assert repomd.primary.size == path.stat().st_size
    assert repomd.primary.open_size == len(_primary(repodata))
    assert repomd.primary.compression == ".gz"
    packages = _read(_primary(repodata))
    assert sorted((one.name, one.version, one.arch) for one in packages) == [
        ("dbus", "1:1.10.24-15.el7", "ppc64le"),
        ("filesystem", "3.2-25.el7", "noarch"),
        ("glibc", "2.17-317.el7", "ppc64le"),
        ("glibc", "2.17-326.el7_9", "ppc64le"),
    ]
    one = next(package for package in packages if package.rel == "317.el7")
    assert {"glibc-common = 2.17-317.el7", "basesystem", "tz >= 1:3", "(a if b)", "/bin/sh"} <= set(
        one.requires
    )
    assert "libc.so.6(GLIBC_2.17)(64bit)" in one.provides
    assert "bundled(x) = 2~rc1-1" in one.provides
    assert "glibc = 2.17-317.el7" in one.provides
    assert one.files == ("/usr/bin/ldd",)
    file = repodata.parent / one.location
    assert one.size == file.stat().st_size
    newest = highest(packages, "glibc", "ppc64le")
    assert newest is not None
    assert newest.rel == "326.el7_9"
    assert highest(packages, "filesystem", "ppc64le") is not None
    assert highest(packages, "bash", "ppc64le") is None


def test_a_primary_in_pieces_of_one_byte(repodata: Path) -> None:
    data = _primary(repodata)
    pieces = (data[at : at + 1] for at in range(len(data)))
    assert read_primary(pieces, arches={"ppc64le", "noarch"}, what="it") == _read(data)


def test_only_what_is_wanted(repodata: Path) -> None:
    assert {one.name for one in _read(_primary(repodata), wanted={"dbus"})} == {"dbus"}


def _package(name: str = "a", **changes: str) -> str:
    parts = {
        "name": f"<name>{name}</name>",
        "arch": "<arch>ppc64le</arch>",
        "version": '<version epoch="0" ver="1" rel="1"/>',
        "checksum": f'<checksum type="sha256" pkgid="YES">{"0" * 64}</checksum>',
        "size": '<size package="10" installed="20" archive="30"/>',
        "location": '<location href="Packages/a.rpm"/>',
        "format": "<format/>",
        **changes,
    }
    return f'<package type="rpm">{"".join(parts.values())}</package>'


def _document(*packages: str, head: str = "") -> bytes:
    return f'{head}<metadata xmlns="{COMMON}" xmlns:rpm="{RPM}">{"".join(packages)}</metadata>'.encode()


def _requires(entry: str) -> str:
    return f"<format><rpm:requires>{entry}</rpm:requires></format>"


def test_the_smallest_package() -> None:
    (one,) = _read(_document(_package()))
    assert (one.name, one.version, one.size, one.archive_size) == ("a", "1-1", 10, 30)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (b"", "not XML"),
        (b"\x1f\x8b", "not XML"),
        (_document(_package())[:-5], "not XML"),
        (_document() + b"x", "not XML"),
        (b"<metadata/>", "another kind"),
        (_document(head='<!DOCTYPE metadata SYSTEM "file:///etc/passwd">'), "document type"),
        (_document(head='<!DOCTYPE metadata [<!ENTITY a "a">]>'), "document type"),
        (_document(_package(name="&a;")), "not XML"),
        (_document(_package(name="")), "no proper name"),
        (_document(_package(name="../a")), "no proper name"),
        (_document(_package(name="a" * 5000)), "name is too long"),
        (_document(_package(arch="<arch/>")), None),
        (_document(_package(version='<version ver="1"/>')), "no proper rel"),
        (_document(_package(version='<version epoch="x" ver="1" rel="1"/>')), "not a number"),
        (_document(_package(checksum='<checksum type="md5">0</checksum>')), "not given by a sha256"),
        (_document(_package(checksum='<checksum type="sha256">0</checksum>')), "not given by a sha256"),
        (_document(_package(size="<size/>")), "not a number"),
        (_document(_package(size='<size package="0"/>')), "not a number"),
        (_document(_package(size=f'<size package="{"9" * 30}"/>')), "not a number"),
        (_document(_package(location="<location/>")), "no path below"),
        (_document(_package(location='<location href="a.deb"/>')), "no path below"),
        (_document(_package(location='<location href="../a.rpm"/>')), "no path below"),
        (_document(_package(location='<location xml:base="http://x" href="a.rpm"/>')), "no path below"),
        (_document(_package(format=_requires("<rpm:entry/>"))), "without a proper name"),
        (_document(_package(format=_requires('<rpm:entry name="b" flags="NE"/>'))), "none: 'NE'"),
        (_document("<a>" * 40 + "</a>" * 40), "nested too deep"),
    ],
)
def test_what_is_no_primary(document: bytes, says: str | None) -> None:
    if says is None:
        assert _read(document) == []
        return
    with pytest.raises(IntegrityError, match="it is malformed") as caught:
        _read(document)
    assert says in caught.value.message


def test_texts_that_nobody_asked_for_take_no_memory() -> None:
    def chunks() -> Iterator[bytes]:
        whole = _document(_package(format="<description>|</description><format/>"))
        before, after = whole.split(b"|")
        yield before
        for _ in range(256):
            yield b"x" * 65536
        yield after

    tracemalloc.start()
    (one,) = read_primary(chunks(), arches={"ppc64le"}, what="it")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert one.name == "a"
    assert peak < 2 << 20


def _repomd(primary: str, *, revision: str = "1604000000", more: str = "") -> bytes:
    return (
        f'<repomd xmlns="{REPO}"><revision>{revision}</revision>'
        f'<data type="primary">{primary}</data>{more}</repomd>'
    ).encode()


CHECKSUM = f'<checksum type="sha256">{"0" * 64}</checksum>'
LOCATION = '<location href="repodata/primary.xml.zst"/>'
WHOLE = f"{CHECKSUM}{LOCATION}<size>10</size><timestamp>1500000000</timestamp>"


@pytest.mark.parametrize(
    ("revision", "date"),
    [
        ("1604000000", "2020-10-29T19:33:20Z"),
        ("", "2017-07-14T02:40:00Z"),
        ("10.1", "2017-07-14T02:40:00Z"),
        ("7", "2017-07-14T02:40:00Z"),
        ("9" * 400, "2017-07-14T02:40:00Z"),
    ],
)
def test_a_revision_need_not_be_a_time(revision: str, date: str) -> None:
    assert read_repomd(_repomd(WHOLE, revision=revision), "it").date == date


def test_a_repository_without_any_time() -> None:
    found = read_repomd(_repomd(f"{CHECKSUM}{LOCATION}<size>10</size>", revision="1"), "it")
    assert found.date == ""
    assert found.primary.open_size is None
    assert found.primary.compression == ".zst"


@pytest.mark.parametrize(
    ("document", "says"),
    [
        (b"<html>", "another kind"),
        (_repomd("")[:-9], "not XML"),
        (_repomd(""), "no path"),
        (_repomd(WHOLE.replace("repodata/", "/repodata/")), "no path"),
        (_repomd(WHOLE.replace(LOCATION, '<location href="a.xml.zst" xml:base="http://x/"/>')), "no path"),
        (_repomd(WHOLE.replace("sha256", "sha")), "not given by a sha256"),
        (_repomd(WHOLE.replace("<size>10", "<size>-1")), "not a number"),
        (_repomd(WHOLE + "<open-size>1e3</open-size>"), "not a number"),
        (_repomd(WHOLE.replace("1500000000", "inf")), "malformed"),
        (_repomd(WHOLE.replace("1500000000", "soon")), "malformed"),
        (_repomd(WHOLE, more=f'<data type="primary">{WHOLE}</data>'), "two primaries"),
    ],
)
def test_what_is_no_repomd(document: bytes, says: str) -> None:
    with pytest.raises(IntegrityError, match="it is malformed") as caught:
        read_repomd(document, "it")
    assert says in caught.value.message


def _rpm_compares(folder: Path, pairs: list[tuple[str, str]]) -> list[int]:
    """What rpm's own `rpm.vercmp` says, for all pairs in one run."""
    (folder / "pairs").write_text("".join(f"{one} {other}\n" for one, other in pairs))
    (folder / "compare.lua").write_text(
        f'for line in io.lines("{folder}/pairs") do local a, b = line:match("^(%S+) (%S+)$"); '
        'io.write(rpm.vercmp(a, b), "\\n") end'
    )
    words = ["rpm", "--eval", f'%{{lua: dofile("{folder}/compare.lua")}}']
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


def test_versions_compare_as_rpm_compares_them(tmp_path: Path) -> None:
    source = random.Random(7)
    pairs = [
        ("1.0", "1.0"), ("1.0", "2.0"), ("2.0.1", "2.0.1a"), ("5.5p1", "5.5p10"), ("10xyz", "10.1xyz"),
        ("xyz.4", "8"), ("5.5p2", "5.6p1"), ("1.0~rc1", "1.0"), ("1.0^", "1.0"), ("1.0^git1", "1.0.1"),
        ("1.0~rc1^git1", "1.0~rc1"), ("317.el7", "326.el7_9"), ("58.el10_1.2", "58.el10_1.2.alma.1"),
        ("007", "7"), ("a", "A"), ("1_", "1"), ("9" * 5000, "1" + "0" * 5000),
    ]  # fmt: skip
    letters = "0019aAbz.._~^+"
    while len(pairs) < 5000:
        one = "".join(source.choices(letters, k=source.randint(1, 6)))
        start = one[: source.randint(0, len(one))] if source.random() < 0.5 else ""
        other = start + "".join(source.choices(letters, k=source.randint(1, 3)))
        pairs.append((one, other))
    ours = [(part_key(one) > part_key(other)) - (part_key(one) < part_key(other)) for one, other in pairs]
    theirs = _rpm_compares(tmp_path, pairs)
    assert len(theirs) == len(pairs)
    assert [pair for pair, us, them in zip(pairs, ours, theirs, strict=True) if us != them] == []


def test_the_epoch_comes_first_and_the_release_last() -> None:
    assert RpmVersion(1, "1", "1") > RpmVersion(0, "9", "9")
    assert RpmVersion(0, "2", "1") > RpmVersion(0, "1", "9")
    assert RpmVersion(0, "1", "2") > RpmVersion(0, "1", "1")
    assert RpmVersion(0, "1.0", "1") == RpmVersion(0, "1_0", "01")
    assert str(RpmVersion(1, "2", "3")) == "1:2-3"
    assert str(RpmVersion(0, "2", "3")) == "2-3"
