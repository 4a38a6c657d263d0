"""Wheels as files: names, hostile archives, and writing that always gives the same bytes."""

from __future__ import annotations

import stat
import warnings
import zipfile
from pathlib import Path

import pytest
from support.elfforge import extension, wheel

from xtool.errors import ArchiveError, UsageError
from xtool.wheel.contents import scan
from xtool.wheel.wheelfile import Member, WheelName, open_wheel, rewrite, write


def test_a_name_is_taken_apart_and_put_together() -> None:
    text = "my_pkg-1.0+local.1-2a-cp39.cp310-abi3-manylinux_2_17_ppc64le.manylinux2014_ppc64le.whl"
    name = WheelName.parse(text)
    assert (name.distribution, name.version, name.build) == ("my_pkg", "1.0+local.1", "2a")
    assert name.pythons == ("cp39", "cp310")
    assert name.platforms == ("manylinux_2_17_ppc64le", "manylinux2014_ppc64le")
    assert name.filename == text
    assert len(name.tags) == 4
    renamed = name.with_platforms(["manylinux_2_17_ppc64le", "manylinux2014_ppc64le"]).filename
    assert renamed.endswith("-manylinux2014_ppc64le.manylinux_2_17_ppc64le.whl")


@pytest.mark.parametrize(
    "name", ["demo.whl", "demo-1.0-py3-none.whl", "demo-1.0.tar.gz", "-1-py3-none-any.whl"]
)
def test_what_is_no_wheels_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="not the name of a wheel"):
        WheelName.parse(name)


def _zip(folder: Path, *entries: tuple[zipfile.ZipInfo | str, bytes], name: str = "demo") -> Path:
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for entry, data in entries:
            archive.writestr(entry, data)
    return path


def _mode(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


INFO = ("demo-1.0.dist-info/WHEEL", b"Wheel-Version: 1.0\n")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("../evil.py", "leads outside"),
        ("/etc/passwd", "leads outside"),
        ("pkg/../../evil.py", "leads outside"),
        ("pkg//evil.py", "leads outside"),
        ("C:evil.py", "leads outside"),
        ("pkg\\evil.py", "no plain path"),
        ("pkg/new\nline.py", "no plain path"),
        ("pkg/esc\x1b[2J.py", "no plain path"),
        (_mode("pkg/link.py", stat.S_IFLNK | 0o777), "neither a file nor a folder"),
        (_mode("pkg/fifo", stat.S_IFIFO | 0o644), "neither a file nor a folder"),
    ],
)
def test_a_hostile_member_is_refused(tmp_path: Path, entry: zipfile.ZipInfo | str, said: str) -> None:
    path = _zip(tmp_path, INFO, (entry, b"x"))
    with pytest.raises(ArchiveError) as caught, open_wheel(path):
        pass
    assert said in caught.value.facts[0]


def test_a_member_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path, INFO, ("pkg/a.py", b"1"), ("pkg/a.py", b"2"))
    with pytest.raises(ArchiveError) as caught, open_wheel(path):
        pass
    assert "is there twice" in caught.value.facts[0]


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = _zip(tmp_path, INFO, ("pkg/zeros", bytes(100 << 20)))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(ArchiveError) as caught, open_wheel(path):
        pass
    assert "claims to expand" in caught.value.facts[0]


def test_broken_archives_are_errors_of_the_archive(tmp_path: Path) -> None:
    path = tmp_path / "demo-1.0-py3-none-any.whl"
    path.write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(ArchiveError, match="not a readable wheel"), open_wheel(path):
        pass
    good = wheel(tmp_path, {"demo.py": bytes(range(256)) * 64}, tag="py3-none-any")
    data = bytearray(good.read_bytes())
    data[60] ^= 0xFF
    good.write_bytes(bytes(data))
    with pytest.raises(ArchiveError), open_wheel(good) as opened:
        scan(opened)
    for cut in (10, len(data) // 2, len(data) - 5):
        good.write_bytes(bytes(data[:cut]))
        with pytest.raises(ArchiveError), open_wheel(good) as opened:
            scan(opened)


@pytest.mark.parametrize("missing", ["WHEEL", "METADATA", "RECORD"])
def test_a_wheel_without_its_metadata_is_malformed(tmp_path: Path, missing: str) -> None:
    whole = wheel(tmp_path, {"demo.py": b""}, tag="py3-none-any")
    with zipfile.ZipFile(whole) as archive:
        kept = {n: archive.read(n) for n in archive.namelist() if not n.endswith(f"/{missing}")}
    path = _zip(tmp_path, *kept.items())
    with open_wheel(path) as opened, pytest.raises(ArchiveError, match=missing):
        _ = (opened.wheel_info, opened.metadata, opened.record)


def test_a_foreign_metadata_folder_is_refused(tmp_path: Path) -> None:
    path = _zip(tmp_path, ("other-1.0.dist-info/WHEEL", b""))
    with pytest.raises(ArchiveError, match="not what its name says"), open_wheel(path):
        pass
    path = _zip(tmp_path, ("demo.py", b""))
    with pytest.raises(ArchiveError, match="not a wheel"), open_wheel(path):
        pass


def test_rewriting_gives_the_same_bytes_whatever_it_came_from(tmp_path: Path) -> None:
    files = {
        "demo/__init__.py": b"",
        "demo/_x.so": extension("_x"),
        "demo-1.0.data/scripts/run": b"#!python\n",
    }
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    first = wheel(tmp_path / "one", files)
    second = wheel(tmp_path / "two", dict(reversed(files.items())))
    assert first.read_bytes() != second.read_bytes()
    made = []
    for path in (first, second):
        outdir = path.parent / "out"
        outdir.mkdir()
        with open_wheel(path) as opened:
            name = opened.name.with_platforms(["manylinux_2_17_ppc64le", "manylinux2014_ppc64le"])
            made.append(rewrite(opened, outdir, name=name, epoch=1_700_000_000))
    assert made[0].name == "demo-1.0-cp313-cp313-manylinux2014_ppc64le.manylinux_2_17_ppc64le.whl"
    assert made[0].read_bytes() == made[1].read_bytes()
    with zipfile.ZipFile(made[0]) as archive:
        assert {i.date_time for i in archive.infolist()} == {(2023, 11, 14, 22, 13, 20)}
        assert archive.namelist()[-1] == "demo-1.0.dist-info/RECORD"
    with open_wheel(made[0]) as opened:
        assert opened.wheel_info["Tag"] == list(opened.name.tags)
        assert scan(opened).record_problems == {}


def test_changed_members_and_modes_are_written(tmp_path: Path) -> None:
    path = write(
        tmp_path / "demo-1.0-py3-none-any.whl",
        [
            Member("demo-1.0.data/scripts/run", b"#!python\n", executable=True),
            Member("demo.py", b"old"),
            Member(
                "demo-1.0.dist-info/WHEEL", b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            ),
        ],
        dist_info="demo-1.0.dist-info",
    )
    (tmp_path / "out").mkdir()
    with open_wheel(path) as opened:
        assert opened.executable("demo-1.0.data/scripts/run")
        again = rewrite(opened, tmp_path / "out", name=opened.name, changes={"demo.py": b"new"})
    with open_wheel(again) as opened:
        assert opened.read("demo.py") == b"new"
        assert opened.executable("demo-1.0.data/scripts/run")
        assert not opened.executable("demo.py")
        assert opened.purelib
        assert scan(opened).record_problems == {}
