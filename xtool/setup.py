"""Setting a target up: from what was asked for to installed components, and from those to a `Kit`.

The plan is a list of recipes; `xtool.installer` makes what is missing of it. Nothing here downloads or
unpacks.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from xtool.artifacts import Artifact
from xtool.catalog import Catalog, Lock
from xtool.context import Context
from xtool.errors import IntegrityError, Interrupted, StoreError, UsageError, XtoolError
from xtool.kit import BuildPython, Kit
from xtool.recipes import Recipe
from xtool.targets import Glibc, Host, Target, current_host, format_glibc

DEFAULT_PYTHON = "3.13"
"""The target Python that is set up when none is asked for."""

SYSROOTS = ("auto", "derived")
"""Kinds of sysroot that can be asked for."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a user wants set up for one target.

    Args:
        target: the target.
        pythons: Python versions as `X.Y`; empty for the default one.
        glibc: the floor, or None for the target's lowest.
        sysroot: `auto` or `derived`.
        python_source: `portable` (uv's builds), `debian`, or `auto` for what is installed or else in reach.
        fortran: whether gfortran is wanted too.
        locked: fail if the lock is older than what is declared.
        frozen: use the lock as it is, even where it is older than what is declared.
    """

    target: Target
    pythons: tuple[str, ...] = ()
    glibc: Glibc | None = None
    sysroot: str = "auto"
    python_source: str = "auto"
    fortran: bool = False
    locked: bool = False
    frozen: bool = False

    @property
    def floor(self) -> Glibc:
        """The glibc floor, defaulted."""
        return self.glibc or self.target.lowest_glibc

    @property
    def versions(self) -> tuple[str, ...]:
        """The Python versions, defaulted."""
        return self.pythons or (DEFAULT_PYTHON,)


@dataclass(frozen=True, slots=True)
class Plan:
    """The recipes that a request comes to.

    Args:
        request: what was asked for.
        host: the machine xtool runs on.
        lock: the lock, with recorded replacements applied.
        gcc: recipe of the toolchain.
        sysroot: recipe of the sysroot.
        emulator: recipe of the emulator.
        pythons: by `X.Y`, recipe of the target's Python.
        found_pythons: by `X.Y`, build Pythons that are there already.
        build_pythons: by `X.Y`, recipes of build Pythons for those that are not.
    """

    request: Request
    host: Host
    lock: Lock
    gcc: Recipe
    sysroot: Recipe
    emulator: Recipe
    pythons: Mapping[str, Recipe]
    found_pythons: Mapping[str, BuildPython]
    build_pythons: Mapping[str, Recipe]

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """Every recipe, needs first."""
        ordered: dict[str, Recipe] = {}

        def add(recipe: Recipe) -> None:
            for need in recipe.needs:
                add(need)
            ordered.setdefault(recipe.folder, recipe)

        for recipe in (self.gcc, self.emulator, *self.build_pythons.values(), *self.pythons.values()):
            add(recipe)
        add(self.sysroot)
        return tuple(ordered.values())


def plan(ctx: Context, request: Request) -> Plan:
    """Work out which components a request needs.

    Raises:
        UsageError: a version, floor or sysroot that does not exist, or a lock that is out of date.
    """
    from xtool import emulator
    from xtool.python import build, target
    from xtool.toolchain import gcc, sysroot

    catalog = Catalog(ctx.settings.toolchains_dir)
    host = current_host()
    lock = _load_lock(ctx, catalog, host, request)
    if request.sysroot not in SYSROOTS:
        raise UsageError(
            f"there is no sysroot `{request.sysroot}`", hint=f"choose one of {', '.join(SYSROOTS)}"
        )
    _check_pythons(lock, request)
    gcc_recipe = gcc.gcc_recipe(host, request.target, lock, fortran=request.fortran)
    found = {v: p for v in request.versions if (p := build.find_build_python(ctx, v)) is not None}
    choose = partial(_choose, ctx, request.python_source)
    return Plan(
        request=request,
        host=host,
        lock=lock,
        gcc=gcc_recipe,
        sysroot=sysroot.derived_recipe(request.target, lock, request.floor, gcc_recipe),
        emulator=emulator.qemu_recipe(host, request.target, lock),
        pythons={
            v: choose(partial(target.target_python_recipe, request.target, lock, v)) for v in request.versions
        },
        found_pythons=found,
        build_pythons={
            v: choose(partial(build.build_python_recipe, host, request.target, lock, v))
            for v in request.versions
            if v not in found
        },
    )


def ensure_kit(ctx: Context, request: Request) -> Kit:
    """Install what a request needs and is missing; hand out the kit.

    Where locked files have left every mirror and the snapshot archive, the suite's current versions are taken
    through the signed chain, said so, and recorded in the cache; `--frozen` forbids it.
    """
    from xtool import installer

    asked, replaced = request, False
    while True:
        planned = plan(ctx, asked)
        try:
            catalog = Catalog(ctx.settings.toolchains_dir)
            return _kit(planned, installer.ensure(ctx, catalog, planned.lock, planned.recipes))
        except XtoolError as error:
            vanished = _vanished(error)
            if vanished is not None and not asked.frozen and not replaced:
                _take_replacements(ctx, planned, vanished)
                replaced = True
            elif _portable_failed(asked, planned, error):
                ctx.log.warning(
                    f"no portable Python: {error.message}; Debian's is taken",
                    hint="`--python-source` chooses one of them for good",
                )
                asked = replace(asked, python_source="debian")
            else:
                raise


def _portable_failed(asked: Request, planned: Plan, error: XtoolError) -> bool:
    """Whether a set-up may go on without portable Pythons: they were xtool's choice, and did not prove false.

    Falling back costs little when something else has failed: what is made stays, and the error comes again.
    """
    portable = any(recipe.parameters.get("source") == "portable" for recipe in planned.recipes)
    excusable = not isinstance(error, (IntegrityError, StoreError, Interrupted))
    return portable and excusable and asked.python_source == "auto"


def ensure_desktop(ctx: Context, target: Target, version: str) -> Path:
    """Install glib, X11 and OpenGL libraries beside a target Python; give the folder to load them from.

    Raises:
        CatalogError: the lock has none for this Python.
    """
    from xtool import installer
    from xtool.python import target as pythons

    lock = current_lock(ctx, target)
    recipe = pythons.desktop_recipe(target, lock, version)
    catalog = Catalog(ctx.settings.toolchains_dir)
    return pythons.desktop_libraries(installer.ensure(ctx, catalog, lock, [recipe])[recipe.name], target)


def _choose(ctx: Context, wanted: str, recipe: Callable[..., Recipe]) -> Recipe:
    """The recipe of a Python from the source that is installed, or else from the one that was asked for."""
    from xtool.python import portable
    from xtool.store import Store

    store = Store(ctx)
    source = portable.choose_source(
        ctx, wanted, installed=lambda source: store.find(recipe(source=source)) is not None
    )
    return recipe(source=source)


def shipped_recipes(catalog: Catalog, request: Request) -> tuple[Recipe, ...]:
    """The recipes that a request comes to on a machine that has nothing yet, desktop libraries included.

    Neither what is installed nor what is in reach changes them.

    Raises:
        UsageError: a version or floor that does not exist.
    """
    from xtool import emulator
    from xtool.python import build, target
    from xtool.toolchain import gcc, sysroot

    host = current_host()
    lock = catalog.lock(host, request.target)
    _check_pythons(lock, request)
    source = "debian" if request.python_source == "auto" else request.python_source
    compiler = gcc.gcc_recipe(host, request.target, lock, fortran=request.fortran)
    recipes = [compiler, sysroot.derived_recipe(request.target, lock, request.floor, compiler)]
    recipes.append(emulator.qemu_recipe(host, request.target, lock))
    for version in request.versions:
        recipes += [
            target.target_python_recipe(request.target, lock, version, source=source),
            build.build_python_recipe(host, request.target, lock, version, source=source),
        ]
        if any(name.startswith("desktop-") for name in lock.components):
            recipes.append(target.desktop_recipe(request.target, lock, version))
    return tuple(recipes)


def current_lock(ctx: Context, target: Target) -> Lock:
    """The lock of a target on this host, with the replacements that this cache has recorded.

    Raises:
        CatalogError: there is none.
    """
    return _load_lock(ctx, Catalog(ctx.settings.toolchains_dir), current_host(), Request(target))


def _kit(planned: Plan, installed: Mapping[str, Path]) -> Kit:
    from xtool import emulator
    from xtool.python import build, target
    from xtool.toolchain import gcc, sysroot

    request = planned.request
    build_pythons = dict(planned.found_pythons)
    for version, recipe in planned.build_pythons.items():
        build_pythons[version] = build.from_store(installed[recipe.name], version)
    return Kit(
        host=planned.host,
        target=request.target,
        toolchain=gcc.toolchain(installed[planned.gcc.name], request.target),
        sysroot=sysroot.sysroot(installed[planned.sysroot.name], request.floor),
        emulator=emulator.emulator(installed[planned.emulator.name], request.target),
        pythons={
            version: target.target_python(installed[recipe.name], request.target, version)
            for version, recipe in planned.pythons.items()
        },
        build_pythons=build_pythons,
        lock_digest=planned.lock.digest,
    )


def _check_pythons(lock: Lock, request: Request) -> None:
    available = sorted(
        (name.removeprefix("python") for name in lock.components if name.startswith("python")),
        key=lambda version: tuple(int(part) for part in version.split(".")),
    )
    for version in request.versions:
        if version not in available:
            raise UsageError(
                f"there is no Python {version} for {request.target.name}",
                facts=[f"available: {', '.join(available)}"],
                hint="`xtool list --available` shows which Pythons each target has",
                code="unknown-python",
            )


def _load_lock(ctx: Context, catalog: Catalog, host: Host, request: Request) -> Lock:
    lock = catalog.lock(host, request.target)
    if not request.frozen and lock.declaration != catalog.declaration_digest(host, request.target):
        path = catalog.lock_path(host, request.target)
        if request.locked:
            raise UsageError(
                f"{path} is older than what `components.toml` declares",
                hint="run `xtool lock --update`, or use it as it is with `--frozen`",
                code="lock-outdated",
            )
        ctx.log.warning(
            f"{path} is older than what `components.toml` declares", hint="run `xtool lock --update`"
        )
    return lock if request.frozen else _apply(lock, _read_replacements(ctx, lock))


def _vanished(error: Exception) -> tuple[Artifact, ...] | None:
    """The artifacts that no source has any more, if that is what an error says."""
    from xtool.fetch import Vanished

    return tuple(error.artifacts) if isinstance(error, Vanished) else None


def _take_replacements(ctx: Context, planned: Plan, vanished: Iterable[Artifact]) -> None:
    from xtool.fetch import debian

    lost = tuple(vanished)
    catalog = Catalog(ctx.settings.toolchains_dir)
    for artifact in lost:
        ctx.log.info(f"{artifact.filename} has left every mirror; looking for what replaced it")
    found = debian.replacements(ctx, catalog, planned.lock, lost)
    for artifact in lost:
        new = found[artifact.sha256]
        ctx.log.warning(
            f"{artifact.name} {artifact.version} has left every mirror; "
            f"{artifact.suite}'s current {new.version} is taken, its signature chain checked",
            hint="`--frozen` refuses this; a newer xtool may have a newer lock",
        )
    # The recorded replacements name what the shipped lock says, not what an earlier replacement put there.
    shipped = catalog.lock(planned.host, planned.request.target)
    recorded = _read_replacements(ctx, shipped)
    origin = {new.sha256: old for old, new in recorded.items()}
    for old, new in found.items():
        recorded[origin.get(old, old)] = new
    _write_replacements(ctx, shipped, recorded)


def _replacements_path(ctx: Context, lock: Lock) -> Path:
    return ctx.settings.cache_dir / "v1" / "state" / f"replaced-{lock.digest[:16]}.json"


def _read_replacements(ctx: Context, lock: Lock) -> dict[str, Artifact]:
    """Artifacts taken instead of locked ones that have left every mirror, by the locked one's sha256."""
    path = _replacements_path(ctx, lock)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {old: Artifact(**new) for old, new in document.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        ctx.log.detail(f"ignoring {path}: {error}")
        return {}


def _write_replacements(ctx: Context, lock: Lock, recorded: Mapping[str, Artifact]) -> None:
    path = _replacements_path(ctx, lock)
    text = json.dumps({old: asdict(new) for old, new in sorted(recorded.items())}, indent=1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".new")
        temporary.write_text(text + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror}", hint="point XTOOL_CACHE_DIR to a folder you can write"
        ) from error


def _apply(lock: Lock, replaced: Mapping[str, Artifact]) -> Lock:
    if not replaced:
        return lock

    def swap(artifact: Artifact) -> Artifact:
        return replaced.get(artifact.sha256, artifact)

    components = {name: tuple(map(swap, items)) for name, items in lock.components.items()}
    return replace(lock, components=components)


def describe_floor(target: Target, floor: Glibc) -> str:
    """The platform tag that a floor stands for, for example `manylinux_2_17_ppc64le`."""
    return f"manylinux_{format_glibc(floor).replace('.', '_')}_{target.name}"
