"""The compile step: three builds of one compiler version take turns on one file.

GCC 14's own `cc1` as the cross compiler of the set-up, as the host's compiler, and as the target's native
one, under qemu-user as in an emulated container. All read the same source with the same flags, each with the
headers of the machine that it compiles for.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench import Bench

_COMPONENTS = """
schema = 1

[[component]]
name = "host-cc1"
title = "the host's cc1"
version = "14"
[[component.packages]]
suite = "trixie"
arch = "{host}"
names = [
  "cpp-14-x86-64-linux-gnu", "libc6", "libgmp10", "libisl23", "libmpc3", "libmpfr6", "libzstd1", "zlib1g",
  "libc6-dev", "libgcc-14-dev",
]
[[component.packages]]
suite = "trixie"
arch = "all"
names = ["linux-libc-dev"]

[[component]]
name = "target-cc1"
title = "the target's own cc1"
version = "14"
[[component.packages]]
suite = "trixie"
arch = "{debian}"
names = ["cpp-14-{gnu}", "libc6", "libgmp10", "libisl23", "libmpc3", "libmpfr6", "libzstd1", "zlib1g"]
"""


@dataclass(frozen=True)
class Compilers:
    """The command of each compiler, up to its arguments."""

    cross: list[str]
    host: list[str]
    emulated: list[str]
    target_headers: list[str]
    host_headers: list[str]


def compile_step(bench: Bench, cache: Path, sdist: Path) -> None:
    """Time `cc1 -O2` on zstd's amalgamated source."""
    with tarfile.open(sdist) as archive:
        archive.extractall(bench.folder / "zstd", filter="data")
    (source,) = (bench.folder / "zstd").rglob("zstd.c")
    compilers = _prepare(bench, cache)
    arguments = ["-quiet", "-O2", "-nostdinc", str(source), "-o", "/dev/null"]
    commands = (
        [*compilers.cross, *compilers.target_headers],
        [*compilers.host, *compilers.host_headers],
        [*compilers.emulated, *compilers.target_headers],
    )
    runs = [partial(bench.command, [*command, *arguments], cwd=source.parent) for command in commands]
    # One emulated run takes minutes; the ratio is far from close, so one round settles it.
    cross, host, emulated = bench.take_turns(*runs, rounds=1)
    bench.row("compile zstd.c, cross GCC 14 / GCC 14 for the host", cross, host, "")
    bench.row("compile zstd.c, cross GCC 14 / the target's GCC 14 under qemu-user", cross, emulated, "")


def _prepare(bench: Bench, cache: Path) -> Compilers:
    from bench import TARGET, context

    from xtool.archive import unpack
    from xtool.catalog import Catalog
    from xtool.fetch import fetch
    from xtool.fetch.locks import resolve
    from xtool.setup import Request, ensure_kit
    from xtool.targets import current_host

    ctx = context(cache)
    shipped = Catalog()
    kit = ensure_kit(ctx, Request(target=shipped.target(TARGET)))
    declared = bench.folder / "toolchains"
    shutil.copytree(shipped.root, declared, ignore=shutil.ignore_patterns("locks"))
    (declared / "locks").mkdir()
    (declared / "components.toml").write_text(_COMPONENTS)
    catalog = Catalog(declared)
    host = current_host()
    target = catalog.target(TARGET)
    catalog.lock_path(host, target).write_text(resolve(ctx, catalog, host, target))
    lock = catalog.lock(host, target)
    roots = {}
    for component in ("host-cc1", "target-cc1"):
        roots[component] = bench.folder / component
        files = fetch(
            ctx,
            catalog,
            lock.artifacts(component),
            evidence=lock.evidence,
            downloads=cache / "v1" / "downloads",
        )
        for file in files.values():
            unpack(file, roots[component], absolute_links="rewrite")
    (native,) = roots["host-cc1"].glob("usr/libexec/gcc/*/14/cc1")
    (own,) = roots["target-cc1"].glob("usr/libexec/gcc/*/14/cc1")
    (cross,) = kit.toolchain.path.glob(f"libexec/gcc-cross/{target.triplet}/14/cc1")
    libraries = roots["host-cc1"] / "usr" / "lib" / host.triplet
    loader = libraries / host.dynamic_linker
    (internal,) = kit.toolchain.path.glob(f"lib/gcc-cross/{target.triplet}/14/include")
    (host_internal,) = roots["host-cc1"].glob("usr/lib/gcc/*/14/include")
    theirs = kit.sysroot.path / "usr" / "include"
    ours = roots["host-cc1"] / "usr" / "include"
    target_libraries = f"/usr/lib/{target.triplet}"
    root = roots["target-cc1"]
    loader_link = root / target.dynamic_linker.lstrip("/")
    if not os.path.lexists(loader_link):
        loader_link.parent.mkdir(parents=True, exist_ok=True)
        found = next(iter(sorted(root.glob(f"usr/lib/{target.triplet}/{loader_link.name}"))))
        loader_link.symlink_to(os.path.relpath(found, loader_link.parent))
    return Compilers(
        cross=[str(cross)],
        host=[str(loader), "--library-path", str(libraries), str(native)],
        emulated=[
            *(str(kit.emulator.executable), "-L", str(root)),
            *("-E", f"LD_LIBRARY_PATH={target_libraries}", str(own)),
        ],
        target_headers=_searched(internal, theirs),
        host_headers=_searched(host_internal, ours, ours / host.triplet),
    )


def _searched(*folders: Path) -> list[str]:
    return [word for folder in folders for word in ("-isystem", str(folder))]
