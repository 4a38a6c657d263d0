"""Unpacking what real tools make: the same tree as theirs, whatever compression, umask and order."""

from __future__ import annotations

import lzma
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import forge

from xtool.archive import MTIME, unpack, unpack_all
from xtool.archive.streams import decompressed
from xtool.archive.xzblocks import find_blocks
from xtool.errors import ArchiveError


def tree(root: Path) -> dict[str, tuple[str, int, str | bytes]]:
    """Everything below a folder: kind, mode, content."""
    found: dict[str, tuple[str, int, str | bytes]] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        mode = path.lstat().st_mode & 0o7777
        if path.is_symlink():
            found[name] = ("link", 0, str(path.readlink()))
        elif path.is_dir():
            found[name] = ("folder", mode, "")
        else:
            found[name] = ("file", mode, path.read_bytes())
    return found


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def source(tmp_path: Path, umask: None) -> Path:
    root = tmp_path / "source"
    long = root / "usr/share" / ("long-" * 14) / ("name-" * 18)
    long.mkdir(parents=True)
    (long / "file").write_text("deep\n")
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN/control").write_text(
        "Package: sample\nVersion: 1\nArchitecture: all\nMaintainer: A <a@example.invalid>\nDescription: a\n"
    )
    (root / "usr/bin").mkdir()
    tool = root / "usr/bin/tool"
    tool.write_bytes(os.urandom(300_000))
    tool.chmod(0o755)
    (root / "usr/share/empty").touch()
    (root / "usr/share/caf\u00e9 au lait").write_text("named\n")
    (root / "usr/lib/deep").mkdir(parents=True)
    (root / "usr/lib/deep/up").symlink_to("../../bin/tool")
    (root / "usr/lib/dangling").symlink_to("nowhere")
    (root / "usr/lib/self").symlink_to(".")
    return root


@pytest.mark.parametrize("compression", ["none", "gzip", "xz", "zstd"])
def test_same_tree_as_dpkg(tmp_path: Path, source: Path, compression: str) -> None:
    path = tmp_path / "sample_1_all.deb"
    subprocess.run(
        ["dpkg-deb", f"-Z{compression}", "--root-owner-group", "--build", source, path],
        check=True,
        capture_output=True,
    )
    subprocess.run(["dpkg-deb", "-x", path, tmp_path / "dpkg"], check=True)
    names = unpack(forge.verified(path, path.read_bytes()), tmp_path / "ours")
    assert tree(tmp_path / "ours") == tree(tmp_path / "dpkg")
    assert set(names) == set(tree(tmp_path / "dpkg"))
    times = {p.lstat().st_mtime for p in (tmp_path / "ours").rglob("*") if not p.is_dir() or p.is_symlink()}
    assert times == {MTIME}


@pytest.mark.parametrize("flavour", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("compression", ["", ".gz", ".xz", ".zst"])
def test_tars_of_every_format(tmp_path: Path, source: Path, flavour: int, compression: str) -> None:
    plain = tmp_path / "plain.tar"
    with tarfile.open(plain, "w", format=flavour, dereference=False) as archive:
        archive.add(source / "usr", "usr")
    content = forge.compress(plain.read_bytes(), compression)
    unpack(forge.verified(tmp_path / f"x.tar{compression}", content), tmp_path / "ours")
    assert tree(tmp_path / "ours/usr") == tree(source / "usr")


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077, 0o777])
def test_modes_do_not_depend_on_the_umask(tmp_path: Path, umask: None, mask: int) -> None:
    members = [
        forge.folder("d", mode=0o000),
        forge.file("d/plain", b"x", mode=0o600),
        forge.file("d/run", b"x", mode=0o6711),
        forge.folder("sticky", mode=0o1777),
    ]
    package = forge.verified(tmp_path / "a_1_all.deb", forge.deb(forge.tar(*members)))
    (tmp_path / "root").mkdir()
    os.umask(mask)
    unpack(package, tmp_path / "root")
    os.umask(0o022)
    modes = {name: mode for name, (_, mode, _) in tree(tmp_path / "root").items()}
    assert modes == {"d": 0o755, "d/plain": 0o644, "d/run": 0o755, "sticky": 0o755}


def test_blocks_of_xz_in_parallel(tmp_path: Path) -> None:
    plain = forge.tar(*(forge.file(f"f{n}", os.urandom(70_000)) for n in range(9)))
    parts = [plain[at : at + 100_000] for at in range(0, len(plain), 100_000)]
    packed = forge.xz_blocks(*parts)
    assert lzma.decompress(packed) == plain
    path = tmp_path / "blocks"
    path.write_bytes(b"before" + packed)
    with path.open("rb") as file:
        found = find_blocks(file.fileno(), 6, len(packed))
        assert found is not None
        assert [block.size for block in found.blocks] == [len(part) for part in parts]
        for jobs in (1, 2, 5):
            chunks = decompressed(file.fileno(), 6, len(packed), ".xz", cap=len(plain), label="x", jobs=jobs)
            assert b"".join(chunks) == plain
    whole = forge.deb(b"", ".xz", packed=packed)
    unpack(forge.verified(tmp_path / "a_1_all.deb", whole), tmp_path / "one", jobs=1)
    unpack(forge.verified(tmp_path / "a_1_all.deb", whole), tmp_path / "many", jobs=4)
    assert len(tree(tmp_path / "one")) == 9
    assert tree(tmp_path / "one") == tree(tmp_path / "many")


@pytest.mark.parametrize("at", [3, 8, 14, 30, 400, 800, -60, -30, -20, -10, -6, -1])
def test_damaged_blocks_are_refused(tmp_path: Path, at: int) -> None:
    plain = forge.tar(forge.file("f", os.urandom(900)))
    packed = bytearray(forge.xz_blocks(plain[:700], plain[700:1400], plain[1400:]))
    packed[at] ^= 0x01
    package = forge.verified(tmp_path / "a_1_all.deb", forge.deb(b"", ".xz", packed=bytes(packed)))
    with pytest.raises(ArchiveError):
        unpack(package, tmp_path / "root", jobs=2)


def test_an_index_that_lies_about_sizes(tmp_path: Path) -> None:
    plain = forge.tar(forge.file("f", bytes(3000)))
    packed = forge.xz_blocks(plain[:2000], plain[2000:])
    other = forge.xz_blocks(plain[:2001], plain[2001:])
    swapped = packed[: len(packed) - 32] + other[len(other) - 32 :]
    package = forge.verified(tmp_path / "a_1_all.deb", forge.deb(b"", ".xz", packed=swapped))
    with pytest.raises(ArchiveError):
        unpack(package, tmp_path / "root", jobs=2)


def test_a_file_through_a_linked_folder_lands_inside(tmp_path: Path) -> None:
    members = [
        forge.folder("usr/lib"),
        forge.link("lib", "usr/lib"),
        forge.link("alias", "lib/../lib"),
        forge.file("lib/a", b"a"),
        forge.file("alias/sub/b", b"b"),
    ]
    unpack(forge.verified(tmp_path / "a_1_all.deb", forge.deb(forge.tar(*members))), tmp_path / "root")
    assert (tmp_path / "root/usr/lib/a").read_bytes() == b"a"
    assert (tmp_path / "root/usr/lib/sub/b").read_bytes() == b"b"
    assert (tmp_path / "root/lib").is_symlink()
    assert (tmp_path / "root/alias/a").read_bytes() == b"a"


def test_a_later_package_goes_through_an_earlier_ones_link(tmp_path: Path) -> None:
    first = forge.deb(forge.tar(forge.folder("usr/lib"), forge.link("lib", "usr/lib")))
    second = forge.deb(forge.tar(forge.file("lib/x86_64/libc.so.6", b"libc")))
    unpack(forge.verified(tmp_path / "a_1_all.deb", first), tmp_path / "root")
    unpack(forge.verified(tmp_path / "b_1_all.deb", second), tmp_path / "root")
    assert (tmp_path / "root/usr/lib/x86_64/libc.so.6").read_bytes() == b"libc"


def test_hard_links_to_earlier_files(tmp_path: Path) -> None:
    members = [forge.file("d/one", b"data", mode=0o755), forge.hard_link("e/two", "./d/one")]
    unpack(forge.verified(tmp_path / "a_1_all.deb", forge.deb(forge.tar(*members))), tmp_path / "root")
    assert (tmp_path / "root/e/two").read_bytes() == b"data"
    assert (tmp_path / "root/e/two").stat().st_ino == (tmp_path / "root/d/one").stat().st_ino


@pytest.mark.parametrize(
    ("at", "target", "becomes"),
    [
        ("lib64/ld64.so.2", "/lib/powerpc64le-linux-gnu/ld64.so.2", "../lib/powerpc64le-linux-gnu/ld64.so.2"),
        ("top", "/usr/bin/tool", "usr/bin/tool"),
        ("usr/lib/x/y", "/etc/../usr//bin/", "../../../usr/bin"),
        ("root", "/", "."),
        ("usr/up", "/../../etc/passwd", "../etc/passwd"),
    ],
)
def test_absolute_links_are_rewritten_on_demand(tmp_path: Path, at: str, target: str, becomes: str) -> None:
    content = forge.deb(forge.tar(forge.link(at, target)))
    unpack(forge.verified(tmp_path / "a_1_all.deb", content), tmp_path / "root", absolute_links="rewrite")
    assert str((tmp_path / "root" / at).readlink()) == becomes


def test_rewriting_counts_real_folders(tmp_path: Path) -> None:
    members = forge.folder("a/b/c"), forge.link("short", "a/b/c"), forge.link("short/l", "/top")
    package = forge.verified(tmp_path / "a_1_all.deb", forge.deb(forge.tar(*members)))
    unpack(package, tmp_path / "root", absolute_links="rewrite")
    assert str((tmp_path / "root/a/b/c/l").readlink()) == "../../../top"


def test_only_what_is_wanted(tmp_path: Path) -> None:
    members = [
        forge.file("./usr/bin/a", b"a"),
        forge.file("./usr/bin/b", b"b"),
        forge.file("./usr/bin/c", b"c"),
    ]
    package = forge.verified(tmp_path / "a_1_all.deb", forge.deb(forge.tar(*members)))
    assert unpack(package, tmp_path / "root", only=lambda name: name == "usr/bin/b") == ["usr/bin/b"]
    assert list(tree(tmp_path / "root")) == ["usr", "usr/bin", "usr/bin/b"]


def test_stopping_early_reads_no_further(tmp_path: Path) -> None:
    whole = forge.tar(forge.file("a", b"a"), forge.file("b", b"b")) + b"what follows is broken"
    package = forge.verified(tmp_path / "a_1_all.deb", forge.deb(whole))
    wanted = frozenset({"a", "b"})
    assert unpack(package, tmp_path / "root", stop_after=wanted) == ["a", "b"]
    with pytest.raises(ArchiveError):
        unpack(package, tmp_path / "other")


def test_stopping_early_misses_nothing(tmp_path: Path) -> None:
    package = forge.verified(tmp_path / "a_1_all.deb", forge.deb(forge.tar(forge.file("a", b"a"))))
    with pytest.raises(ArchiveError, match="lacks usr/bin/qemu-ppc64le"):
        unpack(package, tmp_path / "root", stop_after=frozenset({"usr/bin/qemu-ppc64le"}))


def test_an_archive_inside_is_just_a_file(tmp_path: Path) -> None:
    inner = forge.tar(forge.file("../../evil", b"x"))
    package = forge.verified(tmp_path / "a_1_all.deb", forge.deb(forge.tar(forge.file("inner.tar", inner))))
    unpack(package, tmp_path / "root")
    assert tree(tmp_path / "root") == {"inner.tar": ("file", 0o644, inner)}


def test_many_packages_in_any_order_make_one_tree(tmp_path: Path) -> None:
    packages = []
    for n in range(12):
        members = [forge.folder("usr/share/doc"), forge.file(f"usr/share/doc/p{n}/copyright", b"c" * n)]
        members += [
            forge.file("usr/share/doc/COMMON", b"common"),
            forge.link(f"usr/l{n}", "share/doc/COMMON"),
        ]
        packages.append(forge.verified(tmp_path / f"p{n}_1_all.deb", forge.deb(forge.tar(*members), ".xz")))
    names = unpack_all(iter(packages), tmp_path / "one", jobs=4)
    unpack_all(reversed(packages), tmp_path / "two", jobs=1)
    for package in packages:
        unpack(package, tmp_path / "three")
    assert tree(tmp_path / "one") == tree(tmp_path / "two") == tree(tmp_path / "three")
    assert names == sorted(names)
    assert (tmp_path / "one/usr/l11").read_bytes() == b"common"


def test_deep_trees_do_not_run_out_of_descriptors(tmp_path: Path) -> None:
    members = [forge.file(f"{n}/{m}/f", b"x") for n in range(60) for m in range(20)]
    package = forge.verified(tmp_path / "a_1_all.deb", forge.deb(forge.tar(*members)))
    before = len(list(Path("/proc/self/fd").iterdir()))
    unpack(package, tmp_path / "root")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert len(list((tmp_path / "root").rglob("f"))) == 1200
