"""What a portable Python of the target runs on: the C library of a distribution's sysroot, not Debian's.

A portable CPython needs nothing newer than glibc 2.17, so it can be started on the floor itself: a wheel that
is tested there runs on that glibc, and does not merely name its symbols. The few libraries beyond the C
library that the manylinux policies allow to stay outside a wheel come from Debian's packages, lowered to the
floor (`xtool.toolchain.lower`).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xtool.artifacts import Artifact
from xtool.log import Log
from xtool.recipes import Assembly, Recipe
from xtool.targets import Glibc, Target, format_glibc

_OWN = frozenset({"libc6", "libc-gconv-modules-extra", "libcrypt1"})
"""Debian packages of the lock's `ground` that a distribution has itself: its C library, of that time."""


@dataclass(frozen=True, slots=True)
class Ground:
    """A sysroot whose own C library a portable Python runs on.

    Args:
        kind: what `--sysroot` calls it: `centos7`.
        title: what a user reads: `CentOS 7`.
        glibc: its glibc.
        recipe: the sysroot.
    """

    kind: str
    title: str
    glibc: Glibc
    recipe: Recipe

    def __str__(self) -> str:
        return f"{self.title}'s glibc {format_glibc(self.glibc)}"

    def packages(self, artifacts: Sequence[Artifact]) -> tuple[Artifact, ...]:
        """Those of the packages for portable builds that are still needed on this ground."""
        return tuple(artifact for artifact in artifacts if artifact.name not in _OWN)


def lay(assembly: Assembly, ground: Ground, target: Target) -> None:
    """Put the distribution's C library into a root, and make the libraries that are there fit for it.

    Distributions keep libraries in `lib64`, Debian in a multiarch folder: here both are `usr/lib`.

    Args:
        assembly: its staging folder holds the unpacked packages, with `lib64` leading to `usr/lib64`.
        ground: the sysroot.
        target: the target.

    Raises:
        ArchiveError: a library is malformed.
    """
    from xtool.toolchain import compat, distribution

    root = assembly.staging
    flatten(root, target)
    sysroot = assembly.needs[ground.recipe.name]
    own = (*distribution.run_time_files(sysroot), compat.COMPAT_SONAME)
    libraries = root / "usr" / "lib"
    for name in own:
        if (libraries / name).is_symlink():
            (libraries / name).unlink()
        shutil.copy(sysroot / "usr" / "lib" / name, libraries / name, follow_symlinks=False)
    # Conversions for iconv(3) belong to the C library that loads them.
    shutil.rmtree(libraries / "gconv", ignore_errors=True)
    if (sysroot / "usr" / "lib" / "gconv").is_dir():
        shutil.copytree(sysroot / "usr" / "lib" / "gconv", libraries / "gconv", symlinks=True)
    etc = root / "etc" / "nsswitch.conf"
    if not etc.exists():
        etc.parent.mkdir(exist_ok=True)
        shutil.copyfile(sysroot / "etc" / "nsswitch.conf", etc)
    fit_libraries(libraries, sysroot, target, frozenset(own), assembly.ctx.log)


def flatten(root: Path, target: Target) -> None:
    """Make `usr/lib` the one library folder of a root, under all the names that loaders look for it."""
    from xtool.toolchain.distribution import merge_folders

    usr = root / "usr"
    packaged = usr / "lib" / target.multiarch
    if packaged.is_dir():
        merge_folders(packaged, usr / "lib")
    packaged.symlink_to(".")
    shutil.rmtree(usr / "lib64")
    (usr / "lib64").symlink_to("lib")


def fit_libraries(folder: Path, sysroot: Path, target: Target, own: frozenset[str], log: Log) -> None:
    """Lower the libraries of a folder to the floor of a sysroot; its own ones are what they are."""
    from xtool.toolchain import compat, runtimes
    from xtool.toolchain import sysroot as derived

    exports: Mapping[str, Sequence[str]] = json.loads(
        (sysroot / "share" / "xtool" / "exports.json").read_text(encoding="ascii")
    )
    # The table tells what of libgcc_s may be linked; here it is there, and newer.
    exports = {soname: names for soname, names in exports.items() if soname != derived.LIBGCC}
    offered = runtimes.compat_names(folder / compat.COMPAT_SONAME)
    for path in sorted(folder.glob("lib*.so*")):
        if path.name not in own and not path.is_symlink() and _is_elf(path):
            outcome = runtimes.fit(path, target, exports, offered)
            if outcome.missing:
                log.detail(f"{path.name} still asks for {', '.join(outcome.missing)}")


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"
