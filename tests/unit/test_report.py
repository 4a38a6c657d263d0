"""What `inspect` tells: data for programs, words for people, and errors for what is neither wheel nor ELF."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support import elfforge
from support.elfforge import SUFFIX, Want, elf, extension, wheel

from xtool.errors import ArchiveError, UsageError
from xtool.wheel.report import inspect

NAME = f"demo/_x{SUFFIX}"
TAG = "cp313-cp313-manylinux2014_ppc64le.manylinux_2_17_ppc64le"


def _code(**changes: object) -> bytes:
    wanted = [
        Want("memcpy", "GLIBC_2.17", "libc.so.6"),
        Want("getentropy", "GLIBC_2.25", "libc.so.6"),
        Want("_Znwm", "GLIBCXX_3.4", "libstdc++.so.6"),
        Want("_Znwn", "GLIBCXX_3.4.11", "libstdc++.so.6"),
    ]
    return extension("_x", imports=wanted, needed=["libstdc++.so.6", "libc.so.6"], **changes)


def unwrapped(text: str) -> str:
    return re.sub(r"\n +", " ", text)


def test_a_wheel_is_described_as_data(tmp_path: Path) -> None:
    report = inspect(wheel(tmp_path, {NAME: _code()}, tag=TAG))
    data = report.as_data()
    assert json.loads(json.dumps(data)) == data
    assert (data["libc"], data["pythons"]) == ("glibc", "CPython 3.13")
    assert (data["claim"]["relation"], data["claim"]["tag"]) == ("older", "manylinux_2_17_ppc64le")
    assert [(step["tag"], step["status"], step["reaches"]) for step in data["ladder"]] == [
        ("manylinux_2_26_ppc64le", "earned", "manylinux_2_26_ppc64le"),
        ("manylinux_2_24_ppc64le", "blocked", "manylinux_2_17_ppc64le"),
        ("manylinux_2_17_ppc64le", "follows", "manylinux_2_17_ppc64le"),
    ]
    (obstacle,) = data["ladder"][1]["obstacles"]
    assert (obstacle["kind"], obstacle["file"], obstacle["symbols"]) == ("version", NAME, ["getentropy"])
    assert data["kind"] == "wheel"
    assert data["machine"] == "ppc64le"
    assert data["claimed_tags"] == ["manylinux2014_ppc64le", "manylinux_2_17_ppc64le"]
    assert data["earned_tag"] == "manylinux_2_26_ppc64le"
    assert data["glibc_required"] == "2.25"
    assert data["reasons"] == [
        {
            "tag": "manylinux_2_24_ppc64le",
            "file": NAME,
            "message": "imports `getentropy@GLIBC_2.25` of libc.so.6",
        }
    ]
    (file,) = data["files"]
    assert (file["machine"], file["bits"], file["endianness"], file["kind"]) == (
        "ppc64le",
        64,
        "little",
        "extension",
    )
    assert (file["fits"], file["decided_by"]) == ("manylinux_2_26_ppc64le", "getentropy@GLIBC_2.25")
    assert (file["module"], file["suffix"]) == ("_x", SUFFIX)
    assert file["needed"] == ["libstdc++.so.6", "libc.so.6"]
    assert file["versions"] == [
        {
            "kind": "GLIBC",
            "version": "2.25",
            "library": "libc.so.6",
            "symbols": ["getentropy"],
            "tag": "manylinux_2_26_ppc64le",
        },
        {
            "kind": "GLIBCXX",
            "version": "3.4.11",
            "library": "libstdc++.so.6",
            "symbols": ["_Znwn"],
            "tag": "manylinux_2_17_ppc64le",
        },
    ]
    assert [(f["code"], f["symbol"]) for f in data["findings"]] == [("symbol", "getentropy@GLIBC_2.25")]


def test_a_wheel_is_described_in_words(tmp_path: Path) -> None:
    report = inspect(wheel(tmp_path, {NAME: _code()}, tag=TAG))
    text = report.as_text(80)
    assert "  earns         manylinux_2_26_ppc64le" in text
    assert (
        "untrue: manylinux_2_17_ppc64le is claimed, but the contents need manylinux_2_26_ppc64le"
        in unwrapped(text)
    )
    assert f"drop `getentropy@GLIBC_2.25` from _x{SUFFIX}, and it earns manylinux_2_17_ppc64le" in unwrapped(
        text
    )
    assert "cure: build against an older sysroot: `xtool build --target ppc64le --glibc 2.17`" in unwrapped(
        text
    )
    assert "    GLIBC      2.25  getentropy" in text
    assert "error: " in text
    assert "cure: build with `--glibc 2.26`" in text
    assert "\033" not in text
    assert "\033[31;1merror:\033[0m" in report.as_text(80, color=True)
    lines = [line for line in text.splitlines() if " " in line.strip()]
    assert max(len(line) for line in lines) <= 100


def test_names_from_a_file_cannot_steer_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "x.so"
    path.write_bytes(elf(needed=["lib\033[2Jx.so\n"], soname="\u202eevil"))
    text = inspect(path).as_text(80)
    assert "\033" not in text
    assert "\u202e" not in text
    assert "lib\\x1b[2Jx.so\\n" in text


@pytest.mark.parametrize(
    ("settings", "tag", "machine"),
    [
        ({"machine": elfforge.EM_S390, "little": False, "flags": 0}, "linux_s390x", "s390x"),
        ({"machine": elfforge.EM_RISCV, "flags": 5}, "manylinux_2_31_riscv64", "riscv64"),
        ({"machine": elfforge.EM_ARM, "bits": 32, "flags": 0x05000400}, "manylinux_2_31_armv7l", "armv7l"),
        ({"machine": elfforge.EM_AARCH64, "flags": 0}, "manylinux2014_aarch64", "aarch64"),
    ],
)
def test_foreign_wheels_of_every_machine_are_understood(
    tmp_path: Path, settings: dict[str, int], tag: str, machine: str
) -> None:
    data = elf(needed=["libc.so.6"], exports=["PyInit__x"], **settings)  # type: ignore[arg-type]
    report = inspect(wheel(tmp_path, {"demo/_x.so": data}, tag=f"cp313-cp313-{tag}"))
    assert report.machine == machine
    assert report.findings == ()
    assert report.files[0].machine == machine


def test_code_for_another_machine_than_the_tag_says_is_an_error(tmp_path: Path) -> None:
    report = inspect(wheel(tmp_path, {"demo/_x.so": _code()}, tag="cp313-cp313-manylinux_2_17_s390x"))
    assert [f.code for f in report.errors] == ["machine"]
    assert report.earned_tag == "linux_s390x"


def test_a_pure_wheel_earns_any(tmp_path: Path) -> None:
    report = inspect(wheel(tmp_path, {"demo.py": b""}, tag="py3-none-any", purelib=True))
    assert (report.earned_tag, report.machine, report.glibc_required) == ("any", None, None)
    assert "pure Python" in report.as_text(80)


def test_a_single_file_is_described(tmp_path: Path) -> None:
    path = tmp_path / f"_x{SUFFIX}"
    path.write_bytes(_code())
    report = inspect(path)
    assert (report.kind, report.earned_tag, report.claimed_tags) == ("elf", "manylinux_2_26_ppc64le", ())
    assert report.findings == ()
    program = tmp_path / "tool"
    program.write_bytes(elf(kind=2, interpreter="/lib64/ld64.so.2"))
    assert inspect(program).files[0].kind == "program"


def test_a_machine_that_wheels_have_no_name_for_is_told_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x.so"
    path.write_bytes(elf(machine=2, bits=32, little=False, flags=0))
    report = inspect(path)
    assert (report.machine, report.earned_tag) == (None, "linux")
    assert report.files[0].machine == "EM_SPARC"


def test_what_is_neither_is_a_mistake_of_the_user(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*absent"):
        inspect(tmp_path / "absent.whl")
    with pytest.raises(UsageError, match="is a folder"):
        inspect(tmp_path)
    text = tmp_path / "notes.txt"
    text.write_text("hello")
    with pytest.raises(UsageError, match="neither a wheel nor an ELF file"):
        inspect(text)
    text.rename(tmp_path / "notes.whl")
    with pytest.raises(UsageError, match="not the name of a wheel"):
        inspect(tmp_path / "notes.whl")


def test_what_is_broken_is_an_error_of_the_archive(tmp_path: Path) -> None:
    path = tmp_path / "demo-1.0-py3-none-any.whl"
    path.write_bytes(b"hello")
    with pytest.raises(ArchiveError, match="not a readable wheel"):
        inspect(path)
    broken = wheel(tmp_path, {NAME: _code()[:200]}, tag=TAG)
    with pytest.raises(ArchiveError, match="malformed ELF file") as caught:
        inspect(broken)
    assert NAME in caught.value.message


@pytest.mark.parametrize(
    ("member", "magic", "tag"),
    [
        ("demo/_fast.cp313-win_amd64.pyd", b"MZ\x90\0", "win_amd64"),
        ("demo/_fast.cpython-313-darwin.so", b"\xcf\xfa\xed\xfe", "macosx_11_0_arm64"),
        ("demo/_fast.cpython-313-darwin.so", b"\xca\xfe\xba\xbe", "macosx_10_13_universal2"),
    ],
)
def test_code_of_other_systems_is_not_called_pure_python(
    tmp_path: Path, member: str, magic: bytes, tag: str
) -> None:
    report = inspect(wheel(tmp_path, {member: magic + bytes(60)}, tag=f"cp313-cp313-{tag}"))
    assert (report.earned_tag, report.machine, report.findings) == ("none", None, ())
    assert "another system" in report.as_text(80)


def test_a_program_for_windows_in_a_pure_wheel_is_data(tmp_path: Path) -> None:
    report = inspect(wheel(tmp_path, {"demo/cli.exe": b"MZ"}, tag="py3-none-any", purelib=True))
    assert (report.earned_tag, report.findings) == ("any", ())
