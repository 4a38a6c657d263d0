"""What the catalog can make, what of it is installed, what is missing, and what nobody asks for any more."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from xtool.artifacts import Artifact
from xtool.catalog import Catalog, Lock
from xtool.errors import CatalogError, StoreError
from xtool.recipes import Recipe
from xtool.store import Entry, Store, folder_size, is_cache, remove_tree
from xtool.sysroots import DERIVED
from xtool.targets import Glibc, Host, Target, current_host, parse_glibc

if TYPE_CHECKING:
    from xtool.context import Context
    from xtool.python.offers import Offered

_PARTIAL_AGE = 24 * 3600.0
"""Seconds after which a partial download that nobody went on with is stale."""


@dataclass(frozen=True)
class Offer:
    """What this xtool can set up for one target on this host.

    Args:
        host: the machine xtool runs on.
        target: the target.
        lock: its lock, with replacements of this cache applied.
        catalog: what there is beside the lock.
        portable: versions that there are portable builds of, each with whether it is a pre-release.
    """

    host: Host
    target: Target
    lock: Lock
    catalog: Catalog = field(default_factory=Catalog)
    portable: Mapping[str, bool] = field(default_factory=dict)

    @cached_property
    def offered(self) -> Mapping[str, Offered]:
        """The target's Pythons with their sources, lowest first."""
        from xtool.python import offers

        return offers.combined(offers.debian(self.lock), self.portable)

    @property
    def pythons(self) -> tuple[str, ...]:
        """Versions of the target's Python, lowest first."""
        return tuple(self.offered)

    @property
    def highest_glibc(self) -> Glibc:
        """The glibc that floors are derived from: the highest floor there is."""
        versions = [a.version for a in self.lock.artifacts("glibc") if a.name == "libc6"]
        if not versions:
            raise CatalogError(f"the lock for {self.target.name} has no libc6 in component `glibc`")
        return parse_glibc(versions[0].partition("-")[0])

    @property
    def floors(self) -> tuple[Glibc, ...]:
        """Every glibc floor that can be asked for."""
        lowest, highest = self.target.lowest_glibc, self.highest_glibc
        return tuple((lowest[0], minor) for minor in range(lowest[1], highest[1] + 1))

    @property
    def sysroots(self) -> Mapping[str, tuple[Glibc, Glibc]]:
        """What `--sysroot` may name: kind -> lowest and highest floor."""
        from xtool import choose

        return choose.available(self.catalog, self.target, self.lock)

    @cached_property
    def recipes(self) -> Mapping[str, Recipe]:
        """Every component that can be made of the lock, by its folder's name."""
        found: dict[str, Recipe] = {}
        for recipe in self._all_recipes():
            _add(recipe, found)
        return found

    def _all_recipes(self) -> Iterator[Recipe]:
        from xtool import emulator
        from xtool.python import build, target
        from xtool.toolchain import gcc, sysroot

        yield emulator.qemu_recipe(self.host, self.target, self.lock)
        for fortran in (False, True) if "gfortran" in self.lock.components else (False,):
            compiler = gcc.gcc_recipe(self.host, self.target, self.lock, fortran=fortran)
            yield compiler
            for floor in self.floors:
                yield sysroot.derived_recipe(self.target, self.lock, floor, compiler)
            yield from self._on_distributions(compiler)
        for version, source in self._python_sources():
            yield target.target_python_recipe(self.target, self.lock, version, source=source)
            if source == "portable" or f"build-python{version}" in self.lock.components:
                yield build.build_python_recipe(self.host, self.lock, version, source=source)
        for name in self.lock.components:
            if name.startswith("desktop-"):
                yield from self._desktop(name.removeprefix("desktop-"))

    def _python_sources(self) -> Iterator[tuple[str, str]]:
        for version, one in self.offered.items():
            for source in one.sources:
                yield version, source

    def _on_distributions(self, compiler: Recipe) -> Iterator[Recipe]:
        """Sysroots that are a distribution's own C library, and portable Pythons that run on them."""
        from xtool import choose
        from xtool.python import target
        from xtool.setup import Request, ground

        for kind in self.sysroots.keys() - {DERIVED}:
            request = Request(self.target, sysroot=kind)
            choice = choose.choose(None, self.catalog, request, self.lock, compiler)
            taken, _ = choice.first({})
            yield taken.recipe
            on = ground(taken, choice.floor)
            for version in self.portable if on is not None else ():
                yield target.target_python_recipe(
                    self.target, self.lock, version, source="portable", ground=on
                )

    def _desktop(self, suite: str) -> Iterator[Recipe]:
        from xtool.python import target

        for version, source in self._python_sources():
            artifacts = self.lock.artifacts(target.component_of(version, source))
            libc = next((a for a in artifacts if a.name == "libc6"), None)
            if libc is not None and libc.suite == suite:
                yield target.desktop_recipe(self.target, self.lock, version, source)


def offers(ctx: Context) -> list[Offer]:
    """What can be set up on this host: one offer for each target that has a lock for it."""
    catalog = Catalog(ctx.settings.toolchains_dir)
    host = current_host()
    targets = (t for t in catalog.targets.values() if catalog.lock_path(host, t).is_file())
    return [_offer(ctx, catalog, host, target) for target in targets]


def offer(ctx: Context, target: Target) -> Offer:
    """What can be set up for one target.

    Raises:
        CatalogError: there is no lock for it on this host.
    """
    return _offer(ctx, Catalog(ctx.settings.toolchains_dir), current_host(), target)


def _offer(ctx: Context, catalog: Catalog, host: Host, target: Target) -> Offer:
    from xtool.python import portable, uvtable
    from xtool.setup import current_lock

    builds = uvtable.versions(ctx, portable.machine(target))
    return Offer(host, target, current_lock(ctx, target), catalog, builds)


def _add(recipe: Recipe, into: dict[str, Recipe]) -> None:
    for need in recipe.needs:
        _add(need, into)
    into.setdefault(recipe.folder, recipe)


def missing(ctx: Context, recipes: Sequence[Recipe]) -> tuple[list[Recipe], list[Artifact]]:
    """Which components are not installed, and which files would have to be downloaded for them."""
    from xtool.fetch.fetcher import cached

    store = Store(ctx)
    absent = [recipe for recipe in recipes if store.find(recipe) is None]
    files = {a.sha256: a for recipe in absent for a in recipe.artifacts}
    return absent, [a for a in files.values() if not cached(store.downloads, a).is_file()]


@dataclass(frozen=True, slots=True)
class Leftover:
    """Something in the cache that nobody asks for any more.

    Args:
        kind: `component`, `download`, `partial`, `build environment` or `log`.
        name: its name, for people.
        path: where it lies.
        size: bytes.
    """

    kind: str
    name: str
    path: Path
    size: int


def sysroots_with_packages(store: Store, offered: Offer) -> list[Entry]:
    """Installed sysroots with packages beside the C library, whose own sysroot is still offered."""
    from xtool.toolchain.packages import is_current

    digests = {recipe.digest for recipe in offered.recipes.values()}
    return [entry for entry in store.entries() if entry.manifest and is_current(entry.manifest, digests)]


def leftovers(ctx: Context) -> list[Leftover]:
    """What nobody asks for any more.

    Components and downloads that no current lock makes or names, partial downloads a day old, build
    environments that have not been used for long, and logs of builds that are as old.
    """
    from xtool.build import kept, logs

    store = Store(ctx)
    every = offers(ctx)
    wanted = {folder for one in every for folder in one.recipes}
    with_packages = [entry for one in every for entry in sysroots_with_packages(store, one)]
    wanted |= {entry.folder for entry in with_packages}
    files = {a.sha256 for one in every for items in one.lock.components.values() for a in items}
    files |= {a.sha256 for one in every for recipe in one.recipes.values() for a in recipe.artifacts}
    files |= {
        sha256 for entry in with_packages if entry.manifest for sha256 in entry.manifest.inputs["artifacts"]
    }
    found = [
        Leftover("component", _title(entry), entry.path, entry_size(entry))
        for entry in store.entries()
        if entry.folder not in wanted
    ]
    found += [
        Leftover("download", path.name[:16], path, _size(path))
        for path in sorted(store.downloads.glob("??/*"))
        if path.name not in files
    ]
    now = time.time()
    found += [
        Leftover("partial", path.name[:16], path, _size(path))
        for path in sorted((store.root / "partial").glob("*"))
        if path.name.partition(".")[0] not in files or now - _mtime(path) > _PARTIAL_AGE
    ]
    found += [
        Leftover("build environment", name[:16], path, folder_size(path))
        for name in kept.names(ctx)
        if kept.unused_since(ctx, name) > kept.UNUSED_AFTER and (path := kept.path(ctx, name))
    ]
    found += [
        Leftover("log", run.name, run, folder_size(run))
        for run in logs.runs(ctx)
        if logs.age(run) > logs.KEPT_FOR
    ]
    return found


def remove(ctx: Context, leftover: Leftover) -> bool:
    """Remove a leftover; False where it is in use and stays.

    Raises:
        StoreError: it cannot be removed.
    """
    from xtool.build import kept
    from xtool.diskerrors import reported
    from xtool.locking import LockTimeout

    store = Store(ctx)
    try:
        if leftover.kind == "component":
            store.remove(leftover.path.name)
            return True
        if leftover.kind == "build environment":
            kept.remove(ctx, leftover.path.name)
            return True
        if leftover.kind == "log":
            with reported(leftover.path, f"cannot remove {leftover.path}"):
                remove_tree(leftover.path)
            return True
        with store.alone(), reported(leftover.path, f"cannot remove {leftover.path.name}"):
            leftover.path.unlink(missing_ok=True)
    except LockTimeout:
        message = f"{leftover.kind} {leftover.name} is in use and stays"
        ctx.log.warning(message, hint="run the command again later")
        return False
    return True


def entry_size(entry: Entry) -> int:
    """Bytes of a component; counted where its manifest does not say."""
    return entry.manifest.size if entry.manifest is not None else folder_size(entry.path)


def repair(ctx: Context, entries: Sequence[Entry]) -> frozenset[str]:
    """Remove components that are not as they were made, and make them anew where the locks still can.

    Returns:
        The folders of those that were made anew.

    Raises:
        StoreError: one of them is in use.
    """
    from xtool import installer
    from xtool.toolchain.packages import PINS, recipe_of

    store = Store(ctx)
    every = offers(ctx)
    # A record that is damaged itself says nothing about what the component was.
    telling = [e for e in entries if not any(problem.startswith(PINS) for problem in store.verify(e))]
    again: list[list[Recipe]] = []
    for one in every:
        known = [one.recipes[entry.folder] for entry in entries if entry.folder in one.recipes]
        told = (recipe_of(entry.path, one.target, one.recipes.values()) for entry in telling)
        again.append([*known, *(recipe for recipe in told if recipe is not None)])
    for folder in sorted({entry.folder for entry in entries}):
        store.remove(folder)
    catalog = Catalog(ctx.settings.toolchains_dir)
    for one, recipes in zip(every, again, strict=True):
        if recipes:
            installer.ensure(ctx, catalog, one.lock, recipes)
    return frozenset(recipe.folder for recipes in again for recipe in recipes)


def cache_sizes(ctx: Context) -> dict[str, int]:
    """Bytes of the cache by what they are: components, downloads, partial, other."""
    store = Store(ctx)
    sizes = {
        "components": folder_size(store.components),
        "downloads": folder_size(store.downloads),
        "partial": folder_size(store.root / "partial"),
    }
    return {**sizes, "other": folder_size(store.cache) - sum(sizes.values())}


def clean(ctx: Context, *, only_downloads: bool = False) -> tuple[int, list[Path]]:
    """Empty the cache; returns the bytes freed, and what is in use and stays.

    Raises:
        StoreError: the folder is not a cache of xtool's, or something cannot be removed.
    """
    from xtool.build import kept
    from xtool.diskerrors import reported

    store = Store(ctx)
    if not store.cache.exists():
        return 0, []
    if not is_cache(store.cache):
        raise StoreError(
            f"{store.cache} is not a cache of xtool",
            facts=["it has no CACHEDIR.TAG of xtool's"],
            hint="mend XTOOL_CACHE_DIR or `--cache-dir`; xtool removes nothing that it did not make",
            code="not-a-cache",
        )
    with store.alone(), reported(store.cache, f"cannot clean {store.cache}"):
        before = folder_size(store.cache)
        store.sweep()
        entries = [] if only_downloads else store.entries()
        removals = [Leftover("component", _title(entry), entry.path, 0) for entry in entries]
        environments = [] if only_downloads else kept.names(ctx)
        removals += [Leftover("build environment", n[:16], kept.path(ctx, n), 0) for n in environments]
        left = [removal.path for removal in removals if not remove(ctx, removal)]
        for name in ("downloads", "partial"):
            remove_tree(store.root / name)
        if not only_downloads:
            _remove_state(store.root / "state", left)
        return before - folder_size(store.cache), left


def _remove_state(state: Path, left: Sequence[Path]) -> None:
    """Remove the state folder, except for what is in use."""
    if not any(path.is_relative_to(state) for path in left):
        remove_tree(state)
        return
    for path in sorted(state.iterdir()):
        if any(one.is_relative_to(path) for one in left):
            continue
        remove_tree(path) if path.is_dir() else path.unlink()


def _title(entry: Entry) -> str:
    return entry.manifest.title if entry.manifest is not None else f"{entry.folder} (damaged)"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
