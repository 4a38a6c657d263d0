"""Sysroots from distributions, by the command line: a vault of real RPM packages, real glibc 2.17, qemu-user.

The vault for aarch64 has a glibc 2.17 that was built from its source, in CentOS 7's layout; the one for
ppc64le has Debian's glibc in the layout of newer releases. Both are made with the real tools and signed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support import floorpython, oldglibc
from support.commandline import xtool
from support.fakeserver import FakeServer, Reply
from support.vault import GpgKey, Vault
from test_sysroot import C_PROGRAM, CXX_OUTPUT, CXX_PROGRAM

from xtool.catalog import Catalog, default_root
from xtool.fetch import cached
from xtool.targets import current_host

PROJECTS = Path(__file__).parent.parent / "projects"
EL7, EL10 = "altarch/7.9.2009/os/aarch64/", "10.1/{}/ppc64le/os/"
DEAD = "http://127.0.0.1:9/"


@dataclass
class World:
    """A vault, a copy of `toolchains/` whose locks were made from it, and the cache."""

    cache: Path
    toolchains: Path
    server: FakeServer
    environ: dict[str, str]
    kits: dict[str, Any] = field(default_factory=dict)

    def xtool(
        self, *words: str, cache: Path | None = None, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        return xtool(cache or self.cache, *words, **{**self.environ, **environ})

    def json(self, code: int, *words: str, cache: Path | None = None, **environ: str) -> Any:
        done = self.xtool(*words, "--output", "json", cache=cache, **environ)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return json.loads(done.stdout)

    def kit(self, target: str, sysroot: str) -> Any:
        if sysroot not in self.kits:
            words = ("setup", target, "--sysroot", sysroot, "--python-source", "debian")
            self.kits[sysroot] = self.json(0, *words)["data"]["kits"][0]
        return self.kits[sysroot]

    def compile(
        self, kit: Any, tool: str, *words: str | Path, root: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        triplet = Catalog().target(kit["target"]).triplet
        compiler = Path(kit["toolchain"]["path"], "bin", f"{triplet}-{tool}")
        command = [compiler, f"--sysroot={root or kit['sysroot']['path']}", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def run(self, kit: Any, program: Path) -> subprocess.CompletedProcess[str]:
        emulator = kit["emulator"]
        root = kit["sysroot"]["path"]
        command = [emulator["path"], "-cpu", emulator["cpu"], "-L", root]
        if kit["sysroot"]["kind"] == "almalinux10":
            # Unlike AlmaLinux's, the loader of this vault looks in Debian's folder first, where the stub is.
            command += ["-E", f"LD_LIBRARY_PATH={root}/usr/lib"]
        command.append(program)
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture(scope="module")
def key() -> Iterator[GpgKey]:
    """GnuPG's socket must have a short path."""
    with tempfile.TemporaryDirectory(prefix="xt-") as home:
        made = GpgKey(Path(home) / "gnupg")
        yield made
        made.close()


@pytest.fixture(scope="module")
def world(cache: Path, key: GpgKey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("vault")
    toolchains = Path(shutil.copytree(default_root(), folder / "toolchains"))
    declared = toolchains / "sysroots.toml"
    # The vault's AlmaLinux 10 has the glibc that there is for ppc64le: Debian's.
    text = declared.read_text()
    assert text.count('glibc = "2.39"') == 2
    declared.write_text(text.replace('glibc = "2.39"', 'glibc = "2.41"'))
    vault = Vault(folder / "root", key)
    kept = cache.with_name(cache.name + "-files") if "XTOOL_TEST_CACHE" in os.environ else folder / "files"
    old = vault.repository(EL7, arch="aarch64")
    _put(old, oldglibc.centos7(oldglibc.fetch(kept / "glibc-2.17-aarch64"), folder / "el7"))
    catalog = Catalog()
    lock = catalog.lock(current_host(), catalog.target("ppc64le"))
    debs = [
        _named(cached(cache / "v1" / "downloads", artifact), folder / "debs" / artifact.filename)
        for artifact in lock.artifacts("glibc")
        if artifact.name in ("libc6", "libc6-dev", "linux-libc-dev")
    ]
    for part in ("BaseOS", "AppStream", "CRB"):
        repository = vault.repository(EL10.format(part))
        if part == "BaseOS":
            _put(repository, oldglibc.usr_merged(debs, "powerpc64le-linux-gnu", folder / "el10"), whole=False)
        repository.publish(compression="zst")
    with FakeServer() as server:
        server.add_tree(vault.root)
        environ = {
            "XTOOL_TOOLCHAINS_DIR": str(toolchains),
            "XTOOL_CENTOS_MIRROR": server.base,
            "XTOOL_ALMALINUX_MIRROR": server.base,
            "XTOOL_RETRIES": "0",
        }
        made = World(cache, toolchains, server, environ)
        for name, target in (("centos7", "aarch64"), ("almalinux10", "ppc64le")):
            words = ("lock", "--update", "--sysroot", name, target, "--key", str(key.file))
            done = made.xtool(*words)
            assert done.returncode == 0, done.stderr
        yield made
        # No lock but this vault's knows what was made here: the tests that follow shall not find it.
        xtool(cache, "prune")


def _put(repository: Any, packages: list[Path], *, whole: bool = True) -> None:
    repository.sign(packages, repository.signer, whole=whole)
    for path in packages:
        shutil.move(path, repository.folder / "Packages" / path.name)
    repository.publish()


def _named(path: Path, place: Path) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(path)
    return place


def test_a_sysroot_says_what_it_is(world: World) -> None:
    kit = world.kit("aarch64", "centos7")
    sysroot = kit["sysroot"]
    assert (sysroot["kind"], sysroot["glibc"], sysroot["why"]) == ("centos7", "2.17", "`--sysroot` names it")
    facts = json.loads(Path(sysroot["path"], "share/xtool/sysroot.json").read_text())
    assert facts["packages"]["glibc"] == "2.17-317.el7"
    assert "libc.so.6" in facts["run_time"]
    # Nothing is asked of the network for what is there.
    again = world.json(0, "setup", "aarch64", "--sysroot", "centos7", "--offline", XTOOL_CENTOS_MIRROR=DEAD)
    assert again["data"]["kits"][0]["sysroot"] == sysroot
    assert "CentOS 7 sysroot for aarch64 (glibc 2.17)" in world.xtool("list").stdout
    assert "centos7" in world.xtool("list", "--available").stdout
    assert "centos7: `--sysroot` names it" in world.xtool("show", "aarch64", "--sysroot", "centos7").stdout
    assert "sysroot-aarch64-centos7" not in world.xtool("prune", "--dry-run").stderr


@pytest.mark.parametrize(
    ("target", "name"), [("aarch64", "centos7"), ("ppc64le", "almalinux10"), ("ppc64le", "debian")]
)
def test_the_tree_of_a_sysroot(world: World, target: str, name: str) -> None:
    root = Path(world.kit(target, name)["sysroot"]["path"])
    links = [path for path in root.rglob("*") if path.is_symlink()]
    assert links
    for link in links:
        assert not link.readlink().is_absolute(), link
        assert link.resolve().is_relative_to(root), link
        assert link.exists(), link
    names = {path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir()}
    assert {"usr/include/stdio.h", "usr/include/linux/version.h", "usr/lib/libc.so.6"} <= names
    assert {"usr/lib/crt1.o", "usr/lib/libc_nonshared.a", "etc/nsswitch.conf"} <= names
    unwanted = ("usr/share/", "usr/bin/", "usr/lib/locale/", "usr/lib/libnsl", "usr/include/rpcsvc/yp")
    assert not [one for one in names if one.startswith(unwanted)]
    assert not {"usr/lib/libcrypt.so", "usr/lib/libcrypt.a"} & names
    assert not any(path.lstat().st_mode & 0o6000 for path in root.rglob("*"))
    for path in root.glob("usr/lib/*.so"):
        if not path.is_symlink() and path.stat().st_size < 4096 and path.read_bytes()[:4] != b"\x7fELF":
            words = [word for word in path.read_text().split() if "/" in word]
            assert words, path
            assert all(word.startswith("=/usr/lib/") for word in words), path


@pytest.mark.parametrize(
    ("target", "name", "minor"),
    [("aarch64", "centos7", 17), ("ppc64le", "almalinux10", 41), ("ppc64le", "debian", 41)],
)
def test_programs_are_linked_against_it_and_run_on_it(
    world: World, tmp_path: Path, target: str, name: str, minor: int
) -> None:
    kit = world.kit(target, name)
    # A sysroot may be moved: nothing in it knows where it is.
    moved = tmp_path / "moved here"
    shutil.copytree(kit["sysroot"]["path"], moved, symlinks=True)
    (tmp_path / "c.c").write_text(C_PROGRAM)
    (tmp_path / "cxx.cpp").write_text(CXX_PROGRAM)
    made = world.compile(kit, "gcc", f"-DMINOR={minor}", "-D_FILE_OFFSET_BITS=64", "-o", tmp_path / "c",
                         tmp_path / "c.c", "-lm", root=moved)  # fmt: skip
    assert made.returncode == 0, made.stderr
    done = world.run(kit, tmp_path / "c")
    assert (done.returncode, done.stdout) == (0, "1.414\ndestructed\n"), done.stderr
    made = world.compile(kit, "g++", "-std=c++20", "-o", tmp_path / "cxx", tmp_path / "cxx.cpp")
    assert made.returncode == 0, made.stderr
    done = world.run(kit, tmp_path / "cxx")
    assert (done.returncode, done.stdout) == (0, CXX_OUTPUT), done.stderr


def test_what_the_floor_lacks_does_not_link(world: World, tmp_path: Path) -> None:
    kit = world.kit("aarch64", "centos7")
    for call, found in (("getrandom", False), ("reallocarray", False), ("pow", True), ("dlopen", True)):
        (tmp_path / "t.c").write_text(f"char {call} (void); int main (void) {{ return {call} (); }}\n")
        made = world.compile(kit, "gcc", "-fno-builtin", "-w", "-o", tmp_path / "t", tmp_path / "t.c", "-lm")
        assert (made.returncode == 0) == found, (call, made.stderr)
    later = json.loads(Path(kit["sysroot"]["path"], "share/xtool/later.json").read_text())
    assert later["getrandom"] == "2.25"
    assert "stat" not in later


def test_the_derived_floor_has_what_the_real_one_has(world: World) -> None:
    """The real glibc 2.17 is a witness that the derived one does not come from."""
    real, derived = (
        json.loads(
            Path(world.kit("aarch64", kind)["sysroot"]["path"], "share/xtool/exports.json").read_text()
        )
        for kind in ("centos7", "derived")
    )
    # Newer releases have given them up, and a newer library cannot tell that they were there.
    given_up = {"malloc_get_state@GLIBC_2.17", "malloc_set_state@GLIBC_2.17"}
    assert set(real["libc.so.6"]) - set(derived["libc.so.6"]) == given_up
    assert len(real["libc.so.6"]) > 2000
    for soname in (
        "libm.so.6",
        "libpthread.so.0",
        "libdl.so.2",
        "librt.so.1",
        "libutil.so.1",
        "libresolv.so.2",
    ):
        assert set(real[soname]) == set(derived[soname]), soname
    assert set(derived["libc.so.6"]) <= set(real["libc.so.6"])


@pytest.mark.parametrize("standard", ["gnu++11", "c++20", "gnu++23"])
def test_every_header_of_cxx_compiles_with_the_old_headers(
    world: World, tmp_path: Path, standard: str
) -> None:
    # C's headers first: what they declare must not stand in the way of <cmath>.
    lines = (
        "#include <math.h>",
        "#include <bits/stdc++.h>",
        "bool it() { return isinf(1.0) || std::isnan(1.0); }",
    )
    (tmp_path / "all.cpp").write_text("\n".join(lines) + "\n")
    flags = ("-O2", "-D_FILE_OFFSET_BITS=64", "-D_FORTIFY_SOURCE=2", f"-std={standard}", "-fsyntax-only")
    made = world.compile(world.kit("aarch64", "centos7"), "g++", *flags, tmp_path / "all.cpp")
    assert made.returncode == 0, made.stderr


def test_a_wheel_is_built_and_tested_on_the_floor_itself(world: World, tmp_path: Path) -> None:
    kit = world.kit("aarch64", "centos7")
    root = Path(kit["pythons"][0]["path"]).parents[2]
    (tmp_path / "python").mkdir()
    target = Catalog().target("aarch64")
    environ = floorpython.serve(world.server, root, Path(kit["sysroot"]["path"]), target, tmp_path / "python")
    words = ("build", str(PROJECTS / "cpp-setuptools"), "--target", "aarch64", "--python", "3.13")
    words += ("--sysroot", "centos7", "--outdir", str(tmp_path / "dist"))
    document = world.json(0, *words, **environ)
    (wheel,) = document["data"]["wheels"]
    assert (wheel["smoke"]["status"], wheel["smoke"]["glibc"]) == ("passed", "2.17")
    assert "manylinux_2_17_aarch64" in wheel["platform_tag"]
    program = "import os, sys; print(sys.version_info[:2], os.confstr('CS_GNU_LIBC_VERSION'))"
    words = ("run", "--target", "aarch64", "--sysroot", "centos7", "--", "python", "-c", program)
    done = world.xtool(*words, **environ)
    assert (done.returncode, done.stdout) == (0, "(3, 13) glibc 2.17\n"), done.stderr


def test_wheels_of_the_derived_floor_run_on_the_real_one(world: World, tmp_path: Path) -> None:
    kit = world.kit("aarch64", "centos7")
    root = Path(kit["pythons"][0]["path"]).parents[2]
    (tmp_path / "python").mkdir()
    target = Catalog().target("aarch64")
    environ = floorpython.serve(world.server, root, Path(kit["sysroot"]["path"]), target, tmp_path / "python")
    project = PROJECTS / "floors"
    build = (
        "build",
        str(project),
        "--target",
        "aarch64",
        "--sysroot",
        "derived",
        "--glibc",
        "2.17",
        "--no-test",
    )
    build += ("--fortran", "--python", "3.13", "--python-source", "debian")
    build += ("--outdir", str(tmp_path / "dist"))
    run = ("run", "--target", "aarch64", "--sysroot", "centos7", "--with")
    for kind in ("c", "cpp", "fortran", "openmp"):
        (wheel,) = world.json(0, *build, XT_FLOORS=kind)["data"]["wheels"]
        words = (*run, wheel["path"], "--", "python", str(project / "check.py"), kind, str(tmp_path / kind))
        done = world.xtool(*words, **environ)
        assert done.returncode == 0, (kind, done.stderr)
        assert (tmp_path / kind).read_text() == "2.17\n"


@pytest.fixture(scope="module")
def copied(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with all that aarch64 needs but a CentOS sysroot.

    Hard links would not do: the slots of programs are filled in place.
    """
    done = world.xtool("setup", "aarch64", "--python-source", "debian")
    assert done.returncode == 0, done.stderr
    copy = tmp_path_factory.mktemp("copied") / "cache"
    (copy / "v1" / "store").mkdir(parents=True)
    shutil.copy(world.cache / "CACHEDIR.TAG", copy)
    kit = world.json(0, "setup", "aarch64", "--python-source", "debian")["data"]["kits"][0]
    python = Path(kit["pythons"][0]["path"]).parents[2]
    emulator = Path(kit["emulator"]["path"]).parents[1]
    for part in (kit["toolchain"]["path"], kit["sysroot"]["path"], python, emulator):
        subprocess.run(["cp", "-a", part, copy / "v1" / "store"], check=True)
    return copy


@pytest.fixture
def bare(world: World, copied: Path) -> Path:
    """That cache without any download of the CentOS vault."""
    shutil.rmtree(copied / "v1" / "downloads", ignore_errors=True)
    return copied


def _setup(sysroot: str, *more: str) -> tuple[str, ...]:
    return ("setup", "aarch64", "--sysroot", sysroot, "--python-source", "debian", *more)


@pytest.mark.parametrize("how", ["down", "gone", "offline"])
def test_a_sysroot_out_of_reach_gives_way_to_the_next(world: World, bare: Path, how: str) -> None:
    with FakeServer() as empty:
        mirror = empty.base if how == "gone" else DEAD
        more = ("--offline",) if how == "offline" else ()
        document = world.json(0, *_setup("centos7,derived", *more), cache=bare, XTOOL_CENTOS_MIRROR=mirror)
        sysroot = document["data"]["kits"][0]["sysroot"]
        assert (sysroot["kind"], sysroot["glibc"]) == ("derived", "2.17")
        assert sysroot["why"].startswith("CentOS 7: ")
        (warning,) = document["data"]["warnings"]
        said = json.dumps(warning)
        assert "the CentOS 7 sysroot is out of reach" in said
        assert "the derived one is taken" in said
        alone = world.xtool(*_setup("centos7", *more), cache=bare, XTOOL_CENTOS_MIRROR=mirror)
        assert alone.returncode == 3, alone.stderr
        assert "Traceback" not in alone.stderr


def test_a_false_package_never_gives_way(world: World, bare: Path) -> None:
    path = f"/{EL7}Packages/glibc-headers-2.17-317.el7.aarch64.rpm"
    body = bytearray(world.server.body(path))
    body[len(body) // 2] ^= 1
    with FakeServer() as server:
        for name in ("glibc", "glibc-common", "glibc-devel", "glibc-static", "kernel-headers"):
            other = f"/{EL7}Packages/{name}-2.17-317.el7.aarch64.rpm"
            server.add(other, Reply(world.server.body(other)))
        other = f"/{EL7}Packages/nss-softokn-freebl-2.17-317.el7.aarch64.rpm"
        server.add(other, Reply(world.server.body(other)))
        server.add(path, Reply(bytes(body)))
        document = world.json(4, *_setup("centos7,derived"), cache=bare, XTOOL_CENTOS_MIRROR=server.base)
    assert "checksum mismatch" in document["errors"][0]["message"]
    assert not list((bare / "v1" / "store").glob("sysroot-aarch64-centos7-*"))


def test_floors_that_a_distribution_does_not_have(world: World) -> None:
    done = world.xtool("setup", "aarch64", "--sysroot", "centos7", "--glibc", "2.28")
    assert done.returncode == 2
    assert "there is no glibc 2.28 sysroot for aarch64 from centos7" in done.stderr
    assert "centos7: floor 2.17" in done.stderr
    assert "almalinux8: floor 2.28" in done.stderr
    done = world.xtool("setup", "riscv64", "--sysroot", "centos7")
    assert done.returncode == 2
    assert "centos7: not for riscv64" in done.stderr
    # The glibc of the first sysroot that is named is the floor.
    done = world.xtool("show", "aarch64", "--sysroot", "almalinux9,derived", "--output", "json")
    setup = json.loads(done.stdout)["data"]["setup"]
    assert (setup["glibc"], setup["sysroot"]["kind"]) == ("2.34", "almalinux9")
