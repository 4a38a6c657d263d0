"""`--sysroot-package` with an RPM sysroot: resolved in a signed vault, linked against, run, and refused."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support import oldglibc
from support.commandline import xtool
from support.fakeserver import FakeServer
from support.vault import GpgKey, Package, Repository, Vault

from xtool.catalog import Catalog, default_root
from xtool.fetch import cached
from xtool.targets import current_host

BASE, APPS, MORE = (f"10.1/{part}/ppc64le/os/" for part in ("BaseOS", "AppStream", "CRB"))
TRIPLET = "powerpc64le-linux-gnu"

LIBRARY = '#include <stdio.h>\nint hello(void) { return puts("hello from an RPM") < 0; }\n'
PROGRAM = "#include <hello.h>\nint main(void) { return hello(); }\n"
PKGCONFIG = """\
prefix=/usr
libdir=${prefix}/lib64
Name: hello
Description: a library of the tests
Version: 1
Libs: -L${libdir} -lhello
Cflags: -I${prefix}/include
"""


@dataclass
class World:
    """A vault with a C library and a small one beside it, and the declarations that trust its key."""

    cache: Path
    server: FakeServer
    vault: Vault
    environ: dict[str, str]

    def setup(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        self.server.forget()
        self.server.add_tree(self.vault.root)
        common = ("setup", "ppc64le", "--sysroot", "almalinux10", "--python-source", "debian")
        return xtool(self.cache, *common, *words, **{**self.environ, **environ})

    def kit(self, *words: str) -> Any:
        done = self.setup("--output", "json", *words)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["data"]["kits"][0]


def _gcc(kit: Any, *words: str | Path) -> None:
    compiler = Path(kit["toolchain"]["path"], "bin", f"{TRIPLET}-gcc")
    command = [compiler, f"--sysroot={kit['sysroot']['path']}", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _library(kit: Any, folder: Path, repository: Repository) -> None:
    """Compile a library for the target and package it as distributions do."""
    folder.mkdir()
    (folder / "hello.c").write_text(LIBRARY)
    shared = folder / "libhello.so.1"
    _gcc(kit, "-shared", "-fPIC", "-Wl,-soname,libhello.so.1", "-o", shared, folder / "hello.c")
    repository.build(
        [
            Package(
                "hello-libs",
                "1",
                "1.el10",
                {"usr/lib64/libhello.so.1": shared.read_bytes(), "usr/bin/hello": b"#!/bin/sh\n"},
                requires=["glibc >= 2.17", "/usr/bin/nobody-has-this"],
                provides=["libhello.so.1()(64bit)"],
            ),
            Package(
                "hello-devel",
                "1",
                "1.el10",
                {
                    "usr/include/hello.h": b"int hello(void);\n",
                    "usr/lib64/libhello.so": "libhello.so.1",
                    "usr/lib64/pkgconfig/hello.pc": PKGCONFIG.encode(),
                },
                requires=["libhello.so.1()(64bit)", "hello-libs = 1-1.el10", "/usr/bin/pkg-config"],
                provides=["pkgconfig(hello) = 1"],
            ),
        ],
        payload=".zst",
        whole=False,
    )
    repository.publish(compression="zst")


@pytest.fixture(scope="module")
def world(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("vault")
    toolchains = Path(shutil.copytree(default_root(), folder / "toolchains"))
    with tempfile.TemporaryDirectory(prefix="xt-") as home, FakeServer() as server:
        key = GpgKey(Path(home) / "gnupg")
        # A shop's own vault: its key is pinned in a copy of the declarations. The C library is Debian's.
        (toolchains / "keys" / "almalinux-10.asc").write_text(key.file.read_text())
        declared = toolchains / "sysroots.toml"
        text = declared.read_text().replace('glibc = "2.39"', 'glibc = "2.41"')
        text, count = re.subn(r"EE6DB7B98F5BF5EDD9DA0DE5DEE5C11CC2A1E572", key.fingerprint, text)
        assert count == 1
        declared.write_text(text)
        vault = Vault(folder / "root", key)
        base, apps, more = (vault.repository(path) for path in (BASE, APPS, MORE))
        packages = oldglibc.usr_merged(_debs(cache, folder / "debs"), TRIPLET, folder / "el10")
        base.sign(packages, key, whole=False)
        for path in packages:
            shutil.move(path, base.folder / "Packages" / path.name)
        for repository in (base, apps, more):
            repository.publish(compression="zst")
        made = World(
            cache,
            server,
            vault,
            {
                "XTOOL_TOOLCHAINS_DIR": str(toolchains),
                "XTOOL_ALMALINUX_MIRROR": server.base,
                "XTOOL_RETRIES": "0",
            },
        )
        server.add_tree(vault.root)
        done = xtool(cache, "lock", "--update", "--sysroot", "almalinux10", "ppc64le", **made.environ)
        assert done.returncode == 0, done.stderr
        _library(made.kit(), folder / "library", apps)
        yield made
        key.close()


def _debs(cache: Path, folder: Path) -> list[Path]:
    catalog = Catalog()
    folder.mkdir()
    found = []
    for artifact in catalog.lock(current_host(), catalog.target("ppc64le")).artifacts("glibc"):
        if artifact.name in ("libc6", "libc6-dev", "linux-libc-dev"):
            place = folder / artifact.filename
            place.symlink_to(cached(cache / "v1" / "downloads", artifact))
            found.append(place)
    return found


def test_a_package_and_what_it_requires(world: World, tmp_path: Path) -> None:
    record = tmp_path / "packages.toml"
    kit = world.kit("--sysroot-package", "hello-devel", "--sysroot-lock", str(record))
    sysroot = Path(kit["sysroot"]["path"])
    assert (sysroot / "usr/include/hello.h").is_file()
    assert (sysroot / "usr/lib/pkgconfig/hello.pc").is_file()
    assert not (sysroot / "usr/bin/hello").exists()
    text = record.read_text()
    assert 'names = ["hello-devel"]' in text
    assert 'needed_by = "hello-devel"\nname = "hello-libs"' in text
    assert f'path = "{APPS}Packages/hello-libs-1-1.el10.ppc64le.rpm"' in text
    assert "glibc-2.41" not in text
    (tmp_path / "main.c").write_text(PROGRAM)
    program = tmp_path / "main"
    _gcc(kit, "-o", program, tmp_path / "main.c", "-lhello")
    emulated = [kit["emulator"]["path"], "-L", sysroot, program]
    done = subprocess.run(emulated, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "hello from an RPM\n"), done.stderr
    # Recorded once, it is not looked up again.
    again = world.setup("--sysroot-package", "hello-devel", "--sysroot-lock", str(record), "--offline")
    assert again.returncode == 0, again.stderr
    assert record.read_text() == text


def test_a_name_that_is_another_familys(world: World) -> None:
    done = world.setup("--sysroot-package", "hello-dev")
    assert done.returncode == 2
    assert "AlmaLinux 10.1 (ppc64le) has no package `hello-dev`" in done.stderr
    assert "did you mean `hello-devel`" in done.stderr


def test_a_package_that_nobody_signed(world: World, tmp_path: Path) -> None:
    good = tmp_path / "good"
    shutil.copytree(world.vault.root, good)
    try:
        repository = world.vault.repository(APPS)
        repository.build([Package("hello-libs", "2", "1.el10", {"usr/lib64/libx.so": b"x"})], signed=False)
        repository.publish(compression="zst")
        done = world.setup("--sysroot-package", "hello-libs")
        assert done.returncode == 4
        assert "hello-libs-2-1.el10.ppc64le.rpm is not signed" in done.stderr
    finally:
        shutil.rmtree(world.vault.root)
        shutil.copytree(good, world.vault.root)


def test_a_vault_whose_key_nobody_pinned(world: World, tmp_path: Path) -> None:
    """What the lock has is taken by its hash; more of the same vault is not, without its key."""
    toolchains = Path(shutil.copytree(world.environ["XTOOL_TOOLCHAINS_DIR"], tmp_path / "toolchains"))
    shutil.copy(default_root() / "keys" / "almalinux-10.asc", toolchains / "keys" / "almalinux-10.asc")
    declared = toolchains / "sysroots.toml"
    shipped = Catalog().sysroots.distributions["almalinux10"]["ppc64le"].fingerprints[0]
    ours = Catalog(toolchains).sysroots.distributions["almalinux10"]["ppc64le"]
    declared.write_text(declared.read_text().replace(ours.fingerprints[0], shipped))
    done = world.setup(XTOOL_TOOLCHAINS_DIR=str(toolchains))
    assert done.returncode == 0, done.stderr
    done = world.setup("--sysroot-package", "hello-libs", XTOOL_TOOLCHAINS_DIR=str(toolchains))
    assert done.returncode == 4
    assert "is not signed by a pinned key" in done.stderr
    assert shipped in done.stderr
