"""A kit with everything that running target code needs, and nothing else: no compiler, no sysroot."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from xtool import emulator, installer
from xtool.catalog import Catalog
from xtool.config import Settings
from xtool.context import Context
from xtool.kit import Kit
from xtool.log import SilentLog
from xtool.python import target as target_room
from xtool.targets import current_host

VERSIONS = ("3.13", "3.11")


def make_target_kit(cache: Path, versions: tuple[str, ...] = VERSIONS) -> tuple[Context, Kit]:
    """Set up the emulator and target Pythons in a cache; a context and the kit."""
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    jobs = len(os.sched_getaffinity(0))
    ctx = Context(Settings(cache_dir=cache, jobs=jobs), SilentLog(), environ)
    catalog, host = Catalog(), current_host()
    target = catalog.target("ppc64le")
    lock = catalog.lock(host, target)
    qemu = emulator.qemu_recipe(host, target, lock)
    recipes = {v: target_room.target_python_recipe(target, lock, v) for v in versions}
    found = installer.ensure(ctx, catalog, lock, [qemu, *recipes.values()])
    nothing: Any = None
    return ctx, Kit(
        host=host,
        target=target,
        toolchain=nothing,
        sysroot=nothing,
        emulator=emulator.emulator(found[qemu.name], target),
        pythons={v: target_room.target_python(found[r.name], target, v) for v, r in recipes.items()},
        build_pythons={},
        lock_digest=lock.digest,
    )
