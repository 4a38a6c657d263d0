"""What is left over in a cache, and what of it goes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from xtool import housekeeping
from xtool.catalog import Catalog
from xtool.context import Context
from xtool.errors import CatalogError
from xtool.housekeeping import leftovers, missing, offer, offers, remove
from xtool.python.build import build_python_recipe
from xtool.python.target import desktop_recipe, target_python_recipe
from xtool.recipes import Assembly, Recipe
from xtool.store import Store
from xtool.targets import current_host


def made(ctx: Context, name: str) -> Recipe:
    """A component that no lock makes, installed."""

    def assemble(work: Assembly) -> None:
        raise AssertionError

    recipe = Recipe(name=name, title=f"Old {name}", revision=1, artifacts=(), assemble=assemble)
    Store(ctx).install(recipe, lambda staging, scratch: (staging / "file").write_text("x" * 5000) and None)
    return recipe


def test_what_no_lock_makes_is_left_over(ctx: Context) -> None:
    recipe = made(ctx, "gcc-ppc64le")
    (found,) = leftovers(ctx)
    assert (found.kind, found.name, found.path) == ("component", "Old gcc-ppc64le", Store(ctx).path(recipe))
    assert found.size >= 5000
    assert remove(ctx, found)
    assert leftovers(ctx) == []
    assert Store(ctx).entries() == []


def test_what_is_in_use_stays(ctx: Context) -> None:
    recipe = made(ctx, "gcc-ppc64le")
    store = Store(ctx)
    (found,) = leftovers(ctx)
    with store.using([store.path(recipe)]):
        assert not remove(ctx, found)
        freed, kept = housekeeping.clean(ctx)
    assert kept == [store.path(recipe)]
    assert store.find(recipe) == store.path(recipe)
    assert freed < 5000
    freed, kept = housekeeping.clean(ctx)
    assert kept == []
    assert freed >= 5000


def test_downloads_and_partial_ones_that_locks_name_stay(ctx: Context) -> None:
    catalog = Catalog()
    lock = offers(ctx)[0].lock
    (first, second, *_) = lock.artifacts("gcc")
    store = Store(ctx)
    store.prepare()
    partial = store.root / "partial"
    partial.mkdir()
    for path in (
        store.downloads / first.sha256[:2] / first.sha256,
        store.downloads / "ab" / ("ab" * 32),
        partial / second.sha256,
        partial / f"{second.sha256}.json",
        partial / ("cd" * 32),
    ):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"data")
    assert {(one.kind, one.path.name) for one in leftovers(ctx)} == {
        ("download", "ab" * 32),
        ("partial", "cd" * 32),
    }
    yesterday = time.time() - 2 * 24 * 3600
    os.utime(partial / second.sha256, (yesterday, yesterday))
    assert ("partial", second.sha256) in {(one.kind, one.path.name) for one in leftovers(ctx)}
    assert catalog.targets


def test_every_recipe_of_an_offer_has_a_folder_of_its_own(ctx: Context) -> None:
    (one,) = [offer(ctx, target) for target in Catalog().targets.values() if target.name == "ppc64le"]
    names = {recipe.name for recipe in one.recipes.values()}
    assert {"gcc-ppc64le", "gcc-fortran-ppc64le", "qemu-ppc64le", "python3.13-ppc64le"} <= names
    assert {f"sysroot-ppc64le-glibc2.{minor}" for minor in range(17, 42)} <= names
    assert all(folder == recipe.folder for folder, recipe in one.recipes.items())


def test_missing_counts_each_file_once(ctx: Context) -> None:
    (one, *_) = offers(ctx)
    recipes = [recipe for recipe in one.recipes.values() if recipe.name.startswith(("gcc", "qemu"))]
    absent, files = missing(ctx, recipes)
    assert absent == recipes
    assert len({artifact.sha256 for artifact in files}) == len(files)
    there = Store(ctx).downloads / files[0].sha256[:2] / files[0].sha256
    there.parent.mkdir(parents=True)
    there.write_bytes(b"")
    assert len(missing(ctx, recipes)[1]) == len(files) - 1


@pytest.mark.parametrize("only_downloads", [True, False])
def test_clean_takes_downloads_and_on_request_only_those(
    make_context: Callable[..., Context], tmp_path: Path, only_downloads: bool
) -> None:
    ctx = make_context(cache_dir=tmp_path / "cache")
    recipe = made(ctx, "gcc-ppc64le")
    store = Store(ctx)
    download = store.downloads / "ab" / ("ab" * 32)
    download.parent.mkdir(parents=True)
    download.write_bytes(bytes(100))
    housekeeping.clean(ctx, only_downloads=only_downloads)
    assert not download.exists()
    assert (store.find(recipe) is not None) == only_downloads
    assert store.sweep() == 0


@pytest.mark.parametrize("source", ["debian", "portable"])
@pytest.mark.parametrize("version", ["3.13", "3.12", "3.14t"])
def test_pythons_of_either_source_are_asked_for(ctx: Context, source: str, version: str) -> None:
    """Or pruning would remove the one that every set-up takes."""
    catalog, host = Catalog(), current_host()
    target = catalog.target("ppc64le")
    lock = catalog.lock(host, target)
    if source == "debian" and version != "3.13":
        with pytest.raises(CatalogError):
            target_python_recipe(target, lock, version, source=source)
        return
    recipe = target_python_recipe(target, lock, version, source=source)
    builder = build_python_recipe(host, lock, version, source=source)
    desktop = desktop_recipe(target, lock, version, source)
    assert {recipe.folder, builder.folder, desktop.folder} <= set(offer(ctx, target).recipes)


@pytest.mark.parametrize(
    ("target", "version", "source", "suite"),
    [
        ("ppc64le", "3.11", "debian", "bookworm"),
        ("ppc64le", "3.11", "portable", "trixie"),
        ("ppc64le", "3.13t", "portable", "trixie"),
        ("ppc64le", "3.14", "debian", "forky"),
        ("loongarch64", "3.13", "debian", "forky"),
    ],
)
def test_desktop_libraries_are_of_the_roots_own_time(
    target: str, version: str, source: str, suite: str
) -> None:
    """Newer ones would ask for a newer C library than the root has."""
    catalog = Catalog()
    lock = catalog.lock(current_host(), catalog.target(target))
    recipe = desktop_recipe(catalog.target(target), lock, version, source)
    assert recipe.name == f"desktop-{suite}-{target}"
    assert {artifact.suite for artifact in recipe.artifacts} == {suite}


def test_a_portable_python_needs_none_of_debians(ctx: Context) -> None:
    catalog = Catalog()
    target = catalog.target("ppc64le")
    lock = catalog.lock(current_host(), target)
    names = {a.name for a in target_python_recipe(target, lock, "3.12", source="portable").artifacts}
    assert {"libc6", "libstdc++6", "zlib1g", "libexpat1", "libatomic1", "libgcc-s1"} <= names
    assert not any("python" in name or "ssl" in name for name in names)
