"""A sysroot with more than the C library: the base sysroot, and of each package what builds read.

Package files keep the paths that their pkg-config files name (`/usr/lib/powerpc64le-linux-gnu`), which GCC
and the linker search as well. Nothing of a package takes the place of a file of the base sysroot, and shared
libraries are lowered to its floor (`xtool.toolchain.lower`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from xtool.catalog import Catalog, SuiteEvidence
from xtool.errors import CatalogError, UsageError
from xtool.fetch.packagelock import Pins, Wanted, read_all, read_pins, render, resolve, write_pins
from xtool.manifest import OWN, Manifest
from xtool.recipes import Assembly, Recipe
from xtool.records import digest_of
from xtool.sysrootrules import Rules, read_rules
from xtool.text import format_bytes

if TYPE_CHECKING:
    from xtool.catalog import Lock
    from xtool.choose import Candidate
    from xtool.context import Context
    from xtool.setup import Request
    from xtool.targets import Target

REVISION = 2
RECORD = "share/xtool/packages.json"
"""What packages a sysroot has, in its component."""

PINS = "share/xtool/packages.toml"
"""The record that a component was made from."""

_SCHEMA = 1
_WITH = "-with-"
_SHARED = re.compile(r"lib[^/]*\.so(\.[0-9A-Za-z.]+)?")
_ROOTS = ("usr/lib/", "usr/lib64/", "lib/", "lib64/")
_LINKABLE = (".a", ".o", ".pc", ".h", ".hpp", ".cmake", ".mod")
_ELF = b"\x7fELF"
# Neither a version nor an architecture; RPM's capabilities may be named: `pkgconfig(libffi)`, `perl(X::Y)`.
_NAME = re.compile(r"[A-Za-z0-9_/][^\s=<>|,;:()]*(\(\S*\))*")


def add(ctx: Context, catalog: Catalog, request: Request, lock: Lock, sysroot: Candidate) -> Candidate:
    """A sysroot with the packages that a request names; the sysroot itself where it names none.

    Args:
        ctx: settings, log, environment.
        catalog: the archives, and the keys that may sign.
        request: what was asked for.
        lock: the target's own lock.
        sysroot: the sysroot that was chosen.

    Raises:
        UsageError: a package does not exist, two exclude each other, or a new record is forbidden.
        IntegrityError: a signature or a hash does not hold.
        NetworkError: something cannot be fetched.
    """
    from xtool.fetch import Vanished

    if not request.sysroot_packages:
        return sysroot
    for name in request.sysroot_packages:
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"`{name}` is no name of a package",
                hint="`--sysroot-package` takes one name without version or architecture; it can be repeated",
                code="bad-sysroot-package",
            )
    wanted, seen = _wanted(catalog, request, lock, sysroot)
    given = [name for name in request.sysroot_packages if read_rules(catalog.root).is_given(name)]
    if given:
        ctx.log.info(
            f"{', '.join(given)}: left out; sysroot, toolchain or Python give it, or no build needs it"
        )
    if not wanted.names:
        return sysroot
    pins = _pin(ctx, catalog, request, wanted, seen, sysroot.recipe)
    recipe = packages_recipe(request.target, pins, sysroot.recipe)
    try:
        _fetch(ctx, catalog, pins, recipe)
    except Vanished:
        if request.sysroot_lock is not None or request.frozen or request.locked:
            raise
        ctx.log.warning(
            f"packages for {', '.join(wanted.names)} have left every mirror; {wanted.suite}'s current ones "
            "are taken, their signature chain checked",
            hint="`--sysroot-lock FILE` keeps a record of which they are",
        )
        _state(ctx, wanted, read_rules(catalog.root)).unlink(missing_ok=True)
        pins = _pin(ctx, catalog, request, wanted, seen, sysroot.recipe)
        recipe = packages_recipe(request.target, pins, sysroot.recipe)
    return replace(sysroot, recipe=recipe)


def _wanted(
    catalog: Catalog, request: Request, lock: Lock, sysroot: Candidate
) -> tuple[Wanted, SuiteEvidence | None]:
    """The request in the one form in which it is recorded, and the state of the suite that the lock knows."""
    distribution = catalog.sysroots.distributions.get(sysroot.kind, {}).get(request.target.name)
    rules = read_rules(catalog.root)
    names = tuple(sorted({name for name in request.sysroot_packages if not rules.is_given(name)}))
    if distribution is not None and catalog.archives[distribution.archive].kind == "rpm":
        one = distribution
        return Wanted(one.target, one.archive, one.name, one.arch, names), None
    libc = next(artifact for artifact in lock.artifacts("glibc") if artifact.name == "libc6")
    wanted = Wanted(request.target.name, libc.archive, libc.suite, libc.arch, names)
    return wanted, lock.evidence.get(libc.suite)


def _pin(
    ctx: Context,
    catalog: Catalog,
    request: Request,
    wanted: Wanted,
    seen: SuiteEvidence | None,
    base: Recipe,
) -> Pins:
    """The exact packages that a request comes to: those that are recorded, or else resolved and recorded."""
    rules = read_rules(catalog.root)
    path = request.sysroot_lock or _state(ctx, wanted, rules)
    found = read_pins(path, wanted)
    if found is None and request.sysroot_lock is None:
        found = _installed_pins(ctx, request, wanted, base)
    if found is not None:
        return found
    if request.locked or request.frozen:
        option = "--locked" if request.locked else "--frozen"
        here = f"{path} does not hold" if request.sysroot_lock else "nothing records"
        raise UsageError(
            f"{here} which packages {', '.join(wanted.names)} come to for {wanted.target} and "
            f"{wanted.suite}, and `{option}` forbids to look",
            hint=f"run it once without `{option}`"
            + ("" if request.sysroot_lock else " and with `--sysroot-lock FILE`, and keep that file"),
            code="sysroot-lock",
        )
    made = resolve(ctx, catalog, wanted, rules, seen)
    write_pins(path, made)
    size = format_bytes(sum(artifact.size for artifact in made.artifacts))
    ctx.log.info(f"{', '.join(wanted.names)}: {len(made.artifacts)} packages ({size}), recorded in {path}")
    return made


def _installed_pins(ctx: Context, request: Request, wanted: Wanted, base: Recipe) -> Pins | None:
    """What a component that is there was made from; a cache that was imported has no other record."""
    from xtool.store import Store

    store = Store(ctx)
    for entry in store.entries():
        if entry.manifest is not None and entry.manifest.name.startswith(f"{base.name}{_WITH}"):
            pins = read_pins(entry.path / PINS, wanted)
            if pins is not None and store.find(packages_recipe(request.target, pins, base)) is not None:
                return pins
    return None


def _fetch(ctx: Context, catalog: Catalog, pins: Pins, recipe: Recipe) -> None:
    """Download what is missing, while the record's own state of the archive is at hand to look for it."""
    from xtool.fetch import cached, fetch
    from xtool.store import Store

    store = Store(ctx)
    if store.find(recipe) is not None:
        return
    missing = [artifact for artifact in pins.artifacts if not cached(store.downloads, artifact).is_file()]
    if missing:
        evidence = {pins.wanted.suite: pins.evidence}
        with ctx.log.progress(f"Downloading {len(missing)} packages", sum(a.size for a in missing)) as bar:
            fetch(ctx, catalog, missing, evidence=evidence, downloads=store.downloads, progress=bar)


def packages_recipe(target: Target, pins: Pins, base: Recipe) -> Recipe:
    """The recipe of a sysroot with packages.

    Args:
        target: the target.
        pins: the packages.
        base: the sysroot that they are added to.
    """
    return Recipe(
        name=f"{base.name}{_WITH}{pins.digest[:8]}",
        title=f"{base.title} with {', '.join(pins.wanted.names)}",
        revision=REVISION,
        artifacts=pins.artifacts,
        assemble=partial(_assemble, target=target, pins=pins, base=base.name),
        parameters={
            "target": target.name,
            "names": " ".join(pins.wanted.names),
            "suite": pins.wanted.suite,
            "needed_by": digest_of(dict(pins.needed_by)),
        },
        needs=(base,),
    )


def recipe_of(component: Path, target: Target, bases: Iterable[Recipe]) -> Recipe | None:
    """The recipe that an installed sysroot with packages was made by, from the record in it.

    Args:
        component: its folder; the record, `PINS`, is as it was made.
        target: the target.
        bases: recipes of the sysroots that it may stand on.
    """
    try:
        records = read_all(component / PINS)
    except CatalogError:
        return None
    for base in bases:
        for pins in records if component.name.startswith(f"{base.name}{_WITH}") else ():
            recipe = packages_recipe(target, pins, base)
            if recipe.folder == component.name:
                return recipe
    return None


def planned_packages(recipe: Recipe) -> list[dict[str, str]]:
    """The packages that a sysroot's recipe adds to the C library."""
    if _WITH not in recipe.name:
        return []
    return [{"name": a.name, "version": a.version, "arch": a.arch} for a in recipe.artifacts]


def is_current(manifest: Manifest, bases: Collection[str]) -> bool:
    """Whether a component is a sysroot with packages whose base is still one that is made.

    Args:
        manifest: the component's record.
        bases: digests of the recipes that are.
    """
    return _WITH in manifest.name and set(manifest.inputs["needs"]) <= set(bases)


def listed(sysroot: Path) -> list[dict[str, str]]:
    """The packages of a sysroot without their files, for results."""
    shown = ("name", "version", "arch", "needed_by")
    return [{key: package[key] for key in shown} for package in installed_packages(sysroot)]


def installed_packages(sysroot: Path) -> list[dict[str, Any]]:
    """What a sysroot has beside the C library: for each package its name, version, files and so on.

    Args:
        sysroot: the sysroot's folder, of any kind.
    """
    try:
        document = json.loads((sysroot / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    packages: list[dict[str, Any]] = document["packages"]
    return packages


def _state(ctx: Context, wanted: Wanted, rules: Rules) -> Path:
    key = [wanted.target, wanted.archive, wanted.suite, wanted.arch, list(wanted.names), rules.digest]
    return ctx.settings.cache_dir / "v1" / "state" / f"packages-{digest_of(key)[:16]}.toml"


def _assemble(job: Assembly, *, target: Target, pins: Pins, base: str) -> None:
    from xtool.archive import unpack

    raw = job.scratch / "raw"
    raw.mkdir()
    brought = {
        name: unpack(file, raw, only=wanted_member, absolute_links="rewrite")
        for name, file in job.files.items()
    }
    root = job.needs[base]
    own = _copy_base(root, job.staging)
    kept_out = _merge(raw, job.staging, own, target.multiarch)
    lowered = _fit(job.staging, root, target)
    records = [
        {
            "name": artifact.name,
            "version": artifact.version,
            "arch": artifact.arch,
            "needed_by": pins.needed_by.get(artifact.name, ""),
            "files": sorted(name for name in brought[artifact.name] if name not in kept_out),
            "lowered": {n: lowered[n] for n in brought[artifact.name] if n in lowered},
        }
        for artifact in pins.artifacts
    ]
    document = {
        "schema": _SCHEMA,
        "suite": pins.wanted.suite,
        "requested": list(pins.wanted.names),
        "packages": records,
        "left_to_the_base": sorted(kept_out),
    }
    (job.staging / PINS).write_text(render([pins]), encoding="utf-8")
    (job.staging / RECORD).write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def wanted_member(name: str) -> bool:
    """Whether builds read a member of a package: headers, libraries, pkg-config and CMake files.

    Plugins (`ossl-modules/legacy.so`) are not linked against; programs and data are not the sysroot's.
    """
    if name.startswith("usr/include/"):
        return True
    path = PurePosixPath(name)
    if name.startswith("usr/share/"):
        return path.suffix == ".pc" or "cmake" in path.parts[2:-1]
    if not name.startswith(_ROOTS) or name.startswith("usr/lib/debug/"):
        return False
    return bool(_SHARED.fullmatch(path.name)) or path.suffix in _LINKABLE


def _copy_base(root: Path, staging: Path) -> frozenset[str]:
    """Copy the base sysroot, of which only the store's own records are left out; give its files' names."""
    names = set()
    for folder, subfolders, files in os.walk(root):
        here = Path(folder)
        below = here.relative_to(root)
        for name in sorted(subfolders):
            place = staging / below / name
            if (here / name).is_symlink():
                place.symlink_to(os.readlink(here / name))  # noqa: PTH115 - as it is spelt
            else:
                place.mkdir()
        for name in sorted(files):
            member = (below / name).as_posix()
            if member in OWN:
                continue
            names.add(member)
            shutil.copyfile(here / name, staging / below / name, follow_symlinks=False)
    return frozenset(names)


def _merge(raw: Path, staging: Path, own: frozenset[str], multiarch: str) -> set[str]:
    """Move the packages' files into place; give the names of those that the base sysroot has already."""
    kept_out = set()
    links = []
    taken = {_plain(name, multiarch) for name in own}
    for path in sorted(raw.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        name = path.relative_to(raw).as_posix()
        if _plain(name, multiarch) in taken:
            kept_out.add(name)
            continue
        place = staging / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():
            links.append(place)
            place.symlink_to(os.readlink(path))  # noqa: PTH115 - as it is spelt
        else:
            shutil.move(path, place)
    # What leads nowhere is made by programs that ran at installation (alternatives), or was not wanted.
    for place in links:
        if not place.exists():
            place.unlink()
    return kept_out


def _plain(name: str, multiarch: str) -> str:
    """A file's name without what tells Debian's multiarch folders, and `lib64` and `/lib`, from `usr/lib`."""
    name = name.replace(f"/{multiarch}/", "/", 1)
    return re.sub(r"^(usr/)?lib(64)?/", "usr/lib/", name)


def _fit(staging: Path, root: Path, target: Target) -> dict[str, dict[str, Any]]:
    """Lower every shared library that is not the base's; by its name, what that came to."""
    from xtool.toolchain.compat import COMPAT_SONAME
    from xtool.toolchain.runtimes import compat_names, fit

    exports: Mapping[str, Sequence[str]] = json.loads(
        (root / "share" / "xtool" / "exports.json").read_text(encoding="ascii")
    )
    library = next((path for path in root.glob(f"usr/lib*/{COMPAT_SONAME}")), None)
    compat = compat_names(library) if library is not None else frozenset()
    found = {}
    folders = [path for path in staging.glob("usr/lib*") if not path.is_symlink()]
    for path in sorted(path for folder in folders for path in folder.rglob("lib*.so*")):
        name = path.relative_to(staging).as_posix()
        if path.is_symlink() or (root / name).exists() or not _is_elf(path):
            continue
        outcome = fit(path, target, exports, compat)
        if outcome.changed or outcome.missing:
            found[name] = {"replaced": dict(sorted(outcome.replaced.items())), "missing": outcome.missing}
    return found


def _is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == _ELF
