"""xtool on another host: in a root of its own, and without a network.

A host of this machine's kind gets a cache that was exported here. One of another kind gets the packages, and
makes everything of them itself.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uv
from support import hostroots, standalone
from support.commandline import xtool

from xtool import emulator, installer
from xtool.catalog import Catalog
from xtool.context import Context
from xtool.fetch import fetch
from xtool.recipes import Recipe
from xtool.store import BUCKET, TAG
from xtool.targets import HOSTS, Host, current_host
from xtool.toolchain import gcc

TARGET = "ppc64le"
PYTHON = standalone.VERSION
CHOSEN = ("--target", TARGET, "--python", PYTHON)
PROJECTS = standalone.ROOT / "tests" / "projects"
ROOTS: dict[str, Callable[[Context, Path], None]] = {
    "glibc 2.31": hostroots.glibc_231,
    "musl": hostroots.musl,
    "aarch64": hostroots.aarch64,
}
"""By name, what fills the root of a kind of host."""

_ENVIRON = {"XTOOL_CACHE_DIR": "/home/cache", "UV_CACHE_DIR": "/home/uv", "XTOOL_OFFLINE": "1"}


@dataclass(frozen=True)
class OtherHost:
    """A root with xtool, a cache and projects in it.

    Args:
        name: which of `ROOTS`.
        root: its folder.
        alone: xtool in it.
        emulator: what runs its programs, where this machine cannot.
    """

    name: str
    root: Path
    alone: standalone.Standalone
    emulator: Path | None

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the root."""
        return hostroots.run(self.root, *words, environ=_ENVIRON, emulator=self.emulator)

    def xtool(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run xtool in the root."""
        return self.run(*self.alone.command(*words))

    def data(self, *words: str) -> Any:
        """What a verb of xtool says, as data; it must succeed."""
        done = self.xtool(*words, "--output", "json")
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)["data"]

    def wheel(self, project: str) -> Path:
        """Build and test a wheel of a project below /home."""
        (wheel,) = self.data("build", f"/home/{project}", *CHOSEN, "--outdir", "/home/out")["wheels"]
        assert wheel["smoke"]["status"] == "passed"
        return self.root / wheel["path"].lstrip("/")


def furnish(name: str, root: Path, cache: Path, projects: Iterable[str], supplies: Path) -> OtherHost:
    """Make a root, put xtool, a cache and projects into it.

    Args:
        name: which of `ROOTS`.
        root: an empty folder.
        cache: this machine's cache, with ppc64le set up.
        projects: folders of `tests/projects/`.
        supplies: a folder for what several roots have in common.
    """
    ctx = standalone.context(cache)
    ROOTS[name](ctx, root)
    machine, runner = current_host(), None
    if name in HOSTS and HOSTS[name] != machine:
        machine, runner = HOSTS[name], emulator_of(cache, name)
    alone = standalone.make(
        cache,
        root / "opt" / "xtool",
        stands_at=Path("/opt/xtool"),
        host=machine,
        runner=(runner,) if runner else (),
        libc="musl" if name == "musl" else "gnu",
    )
    for project in projects:
        shutil.copytree(PROJECTS / project, root / "home" / project)
    # What a build asks of the index, where it can be asked.
    command = [uv.find_uv_bin(), "pip", "install", "--quiet", "--no-config", "--python-version", PYTHON]
    command += ["--python-platform", f"{machine.name}-manylinux_2_28", "--target", str(root / "fetched")]
    environ = {**os.environ, "UV_CACHE_DIR": str(root / "home" / "uv")}
    subprocess.run([*command, "setuptools", "cython"], env=environ, check=True)
    shutil.rmtree(root / "fetched")
    host = OtherHost(name, root, alone, runner)
    if runner is not None:
        _provide(ctx, machine, root / "home" / "cache")
        return host
    file = supplies / "cache.tar.zst"
    if not file.exists():
        _export(cache, file)
    shutil.copyfile(file, root / "home" / file.name)
    host.data("cache", "import", f"/home/{file.name}")
    return host


def emulator_of(cache: Path, name: str) -> Path:
    """The emulator of a machine, on this one."""
    catalog, host = Catalog(), current_host()
    target = catalog.target(name)
    lock = catalog.lock(host, target)
    recipe = emulator.qemu_recipe(host, target, lock)
    made = installer.ensure(standalone.context(cache), catalog, lock, [recipe])
    return emulator.emulator(made[recipe.name], target).executable


def toolchain_recipe(machine: Host, runner: Path | None) -> Recipe:
    """The compiler for ppc64le that runs on a machine."""
    catalog = Catalog()
    target = catalog.target(TARGET)
    words = (runner,) if runner else ()
    return gcc.gcc_recipe(machine, target, catalog.lock(machine, target), runner=words)


def _provide(ctx: Context, machine: Host, cache: Path) -> None:
    """Put the packages that a machine makes its components of into a cache."""
    catalog = Catalog()
    lock = catalog.lock(machine, catalog.target(TARGET))
    parts = ("gcc", "glibc", "qemu", f"python{PYTHON}")
    artifacts = {artifact.sha256: artifact for part in parts for artifact in lock.artifacts(part)}
    downloads = cache / BUCKET / "downloads"
    downloads.mkdir(parents=True)
    shutil.copyfile(ctx.settings.cache_dir / TAG, cache / TAG)
    fetch(ctx, catalog, list(artifacts.values()), evidence=lock.evidence, downloads=downloads)


def _export(cache: Path, file: Path) -> None:
    """Write what builds for ppc64le need, and no more than that, into one file."""
    done = xtool(cache, "setup", TARGET, "--python", PYTHON, "--output", "json")
    assert done.returncode == 0, done.stderr
    (kit,) = json.loads(done.stdout)["data"]["kits"]
    part = file.with_suffix(".cache")
    store = cache / BUCKET / "store"
    for component in (kit["toolchain"], kit["sysroot"], kit["emulator"], kit["pythons"][0]):
        name = Path(component["path"]).relative_to(store).parts[0]
        shutil.copytree(store / name, part / BUCKET / "store" / name, symlinks=True)
    shutil.copyfile(cache / TAG, part / TAG)
    done = xtool(part, "cache", "export", str(file))
    assert done.returncode == 0, done.stderr
    clear(part)


def clear(folder: Path) -> None:
    """Remove a folder with read-only components in it."""
    subprocess.run(["chmod", "-R", "u+w", str(folder)], check=True)
    shutil.rmtree(folder)
