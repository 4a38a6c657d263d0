"""What of a distribution's packages becomes a sysroot: members, folders, linker scripts, the glibc."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xtool.errors import ArchiveError, StoreError
from xtool.toolchain import distribution
from xtool.toolchain.distribution import check_glibc, mended_script, merge_folders, run_time_files

BANNER = b"\0GNU C Library (GNU libc) stable release version 2.17, by Roland McGrath et al.\n\0"


@pytest.mark.parametrize(
    "name",
    [
        *("lib64/libc-2.17.so", "usr/lib64/libc.so", "usr/lib64/crt1.o", "lib/ld-linux-aarch64.so.1"),
        *(
            "usr/include/stdio.h",
            "usr/include/rpcsvc/rex.h",
            "usr/lib64/gconv/UTF-16.so",
            "etc/nsswitch.conf",
        ),
        *(
            "lib64/libcrypt.so.1",
            "lib64/libcrypt-2.17.so",
            "lib64/libnss_files.so.2",
            "lib64/lp64d/libm.so.6",
        ),
    ],
)
def test_members_that_a_sysroot_has(name: str) -> None:
    assert distribution._wanted(name, skipped=distribution._ALIASES)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "lib64",
            "usr/lib64",
            "lib",
            "sbin/ldconfig",
            "usr/bin/ldd",
            "usr/share/man/man3/x.gz",
            "var/db/Makefile",
        ),
        *("usr/lib64/libnsl.so", "lib64/libnsl-2.17.so", "lib64/libnss_nis.so.2", "usr/lib64/libcrypt.so"),
        *(
            "usr/lib64/libcrypt.a",
            "usr/include/rpcsvc/yp.h",
            "usr/include/rpcsvc/ypclnt.h",
            "usr/lib/locale/x",
        ),
        *("usr/lib/locale", "usr/lib/debug/x", "usr/lib/.build-id/aa/bb", "etc/ld.so.conf", "usr/libexec/x"),
        *("usr/lib/powerpc64le-linux-gnu/libcrypt.a", "usr/lib/powerpc64le-linux-gnu/libnsl.so.1"),
    ],
)
def test_members_that_a_sysroot_leaves_out(name: str) -> None:
    assert not distribution._wanted(name, skipped=distribution._ALIASES)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """`usr/lib64` and `usr/lib` of a root, with `lib64` and `lib` leading to them."""
    for name in ("lib64", "lib"):
        (tmp_path / "usr" / name).mkdir(parents=True)
        (tmp_path / name).symlink_to(f"usr/{name}")
    return tmp_path / "usr" / "lib64", tmp_path / "usr" / "lib"


def test_folders_are_merged_and_links_stay_right(folders: tuple[Path, Path]) -> None:
    lib64, lib = folders
    (lib64 / "libm-2.17.so").write_text("m")
    (lib64 / "libm.so.6").symlink_to("libm-2.17.so")
    (lib64 / "libm.so").symlink_to("../../lib64/libm.so.6")
    (lib64 / "gconv").mkdir()
    (lib64 / "gconv" / "a.so").write_text("a")
    (lib / "gconv").mkdir()
    (lib / "gconv" / "b.so").write_text("b")
    merge_folders(lib64, lib)
    lib64.symlink_to("lib")
    assert (lib / "libm.so").read_text() == "m"
    assert sorted(path.name for path in (lib / "gconv").iterdir()) == ["a.so", "b.so"]


@pytest.mark.parametrize("also", [False, True])
def test_a_loader_under_two_names_does_not_lead_to_itself(folders: tuple[Path, Path], also: bool) -> None:
    lib64, lib = folders
    (lib64 / "ld-2.17.so").write_text("loader")
    (lib / "ld.so.1").symlink_to("../lib64/ld-2.17.so")
    if also:
        (lib64 / "ld.so.1").symlink_to("ld-2.17.so")
    merge_folders(lib64, lib)
    lib64.symlink_to("lib")
    assert (lib / "ld.so.1").read_text() == "loader"


@pytest.mark.parametrize("real", ["lib", "lib64"])
def test_a_link_from_the_one_folder_to_the_other_gives_way_to_the_file(
    folders: tuple[Path, Path], real: str
) -> None:
    lib64, lib = folders
    (folders[real == "lib"] / "ld.so.1").write_text("loader")
    (folders[real != "lib"] / "ld.so.1").symlink_to(f"../{real}/ld.so.1")
    merge_folders(lib64, lib)
    assert (lib / "ld.so.1").read_text() == "loader"
    assert not (lib / "ld.so.1").is_symlink()


def test_two_files_of_one_name_are_refused(folders: tuple[Path, Path]) -> None:
    for folder in folders:
        (folder / "libx.so.1").write_text(folder.name)
    with pytest.raises(ArchiveError, match=r"libx\.so\.1"):
        merge_folders(*folders)


def test_linker_scripts_name_files_below_the_sysroot(folders: tuple[Path, Path]) -> None:
    lib64, lib = folders
    root = lib.parent.parent
    for name in ("libpthread.so.0", "libpthread_nonshared.a"):
        (lib / name).write_text("")
    lib64.rmdir()
    lib64.symlink_to("lib")
    text = "/* GNU ld script\n   see /usr/share/doc */\nOUTPUT_FORMAT(elf64-x)\n"
    text += (
        "GROUP ( /lib64/libpthread.so.0 AS_NEEDED(/usr/lib64/libpthread_nonshared.a,/lib/libpthread.so.0) )\n"
    )
    inner = "=/usr/lib/libpthread_nonshared.a,=/usr/lib/libpthread.so.0"
    assert mended_script(text, root, "libpthread.so") == (
        f"OUTPUT_FORMAT(elf64-x)\nGROUP ( =/usr/lib/libpthread.so.0 AS_NEEDED({inner}) )\n"
    )
    with pytest.raises(ArchiveError, match=r"names /lib64/libz\.so\.1"):
        mended_script("GROUP ( /lib64/libz.so.1 )", root, "libz.so")


def test_the_glibc_must_be_the_one_declared(tmp_path: Path) -> None:
    libc = tmp_path / "libc.so.6"
    with pytest.raises(ArchiveError, match=r"have no libc\.so\.6"):
        check_glibc(libc, (2, 17), "centos7")
    libc.write_bytes(BANNER)
    check_glibc(libc, (2, 17), "centos7")
    with pytest.raises(ArchiveError) as caught:
        check_glibc(libc, (2, 28), "almalinux8")
    assert caught.value.facts == ("declared: 2.28; libc.so.6: 2.17",)
    libc.write_bytes(b"nothing")
    with pytest.raises(ArchiveError):
        check_glibc(libc, (2, 17), "centos7")


def test_run_time_files_are_shared_objects(tmp_path: Path) -> None:
    elf = b"\x7fELF and more"
    for name, data in (("libc-2.17.so", elf), ("libm.so", b"GROUP"), ("crt1.o", elf), ("libz.so.1", b"text")):
        (tmp_path / name).write_bytes(data)
    (tmp_path / "libc.so.6").symlink_to("libc-2.17.so")
    (tmp_path / "libdl.so").symlink_to("libc-2.17.so")
    found = {path.name for path in tmp_path.iterdir() if distribution._is_run_time(path)}
    assert found == {"libc-2.17.so", "libc.so.6"}


@pytest.mark.parametrize("text", [None, "{", "[]", json.dumps({"schema": 1})])
def test_a_sysroot_that_does_not_say_what_it_is(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "share/xtool").mkdir(parents=True)
        (tmp_path / distribution.FACTS).write_text(text)
    with pytest.raises(StoreError, match="damaged"):
        run_time_files(tmp_path)
