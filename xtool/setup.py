"""Setting a target up: from what was asked for to installed components, and from those to a `Kit`.

The plan is a list of recipes; `xtool.installer` makes what is missing of it. Nothing here downloads or
unpacks.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from xtool import choose, replaced
from xtool.catalog import Catalog, Lock, merge_evidence
from xtool.choose import Candidate, Choice
from xtool.context import Context
from xtool.errors import IntegrityError, Interrupted, NetworkError, StoreError, UsageError, XtoolError
from xtool.kit import BuildPython, Kit, Sysroot
from xtool.recipes import Recipe
from xtool.targets import Glibc, Host, Target, current_host, format_glibc

if TYPE_CHECKING:
    from xtool.python.ground import Ground

DEFAULT_PYTHON = "3.13"
"""The target Python that is set up when none is asked for."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a user wants set up for one target.

    Args:
        target: the target.
        pythons: Python versions as `X.Y`; empty for the default one.
        glibc: the floor, or None for that of the first sysroot named, or else the target's lowest.
        sysroot: `auto`, a kind of sysroot, or several separated by commas, in the order to try them in.
        python_source: `portable` (uv's builds), `debian`, or `auto` for what is installed or else in reach.
        fortran: whether gfortran is wanted too.
        sysroot_packages: packages of the sysroot's distribution that it gets beside the C library.
        sysroot_lock: the file that records which exact packages these are, or None for the cache's own.
        locked: fail if the lock is older than what is declared.
        frozen: use the lock as it is, even where it is older than what is declared.
    """

    target: Target
    pythons: tuple[str, ...] = ()
    glibc: Glibc | None = None
    sysroot: str = "auto"
    python_source: str = "auto"
    fortran: bool = False
    sysroot_packages: tuple[str, ...] = ()
    sysroot_lock: Path | None = None
    locked: bool = False
    frozen: bool = False

    @property
    def floor(self) -> Glibc:
        """The glibc floor, as far as it does not depend on the sysroot; `Plan.request` has the real one."""
        return self.glibc or self.target.lowest_glibc

    @property
    def versions(self) -> tuple[str, ...]:
        """The Python versions, defaulted."""
        return self.pythons or (DEFAULT_PYTHON,)


@dataclass(frozen=True, slots=True)
class Plan:
    """The recipes that a request comes to.

    Args:
        request: what was asked for, with the floor that it comes to.
        host: the machine xtool runs on.
        lock: the lock, with recorded replacements applied.
        gcc: recipe of the toolchain.
        choice: the sysroots that may be taken.
        sysroot: the one that is.
        why: why it is.
        emulator: recipe of the emulator.
        pythons: by `X.Y`, recipe of the target's Python.
        found_pythons: by `X.Y`, build Pythons that are there already.
        build_pythons: by `X.Y`, recipes of build Pythons for those that are not.
    """

    request: Request
    host: Host
    lock: Lock
    gcc: Recipe
    choice: Choice
    sysroot: Candidate
    why: str
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
        add(self.sysroot.recipe)
        return tuple(ordered.values())


def plan(ctx: Context, request: Request, unreachable: MutableMapping[str, str] | None = None) -> Plan:
    """Work out which components a request needs.

    Args:
        ctx: settings, log, environment.
        request: what was asked for.
        unreachable: kinds of sysroot that could not be had, and why; those whose packages cannot be looked
            up are added, and the next one is taken. None to take the first whatever comes.

    Raises:
        UsageError: a version, floor or sysroot that does not exist, or a lock that is out of date.
        NetworkError: packages of a sysroot must be looked up and cannot.
    """
    from xtool import emulator
    from xtool.python import build, offers, target
    from xtool.toolchain import gcc

    catalog = Catalog(ctx.settings.toolchains_dir)
    host = current_host()
    choose.names(catalog, request.sysroot)
    lock = _load_lock(ctx, catalog, host, request)
    pick = offers.Choice(ctx, request.python_source, lock, reach=unreachable is not None)
    for version in request.versions:
        pick.check(request.target, version)
    gcc_recipe = gcc.gcc_recipe(host, request.target, lock, fortran=request.fortran)
    choice = choose.choose(ctx, catalog, request, lock, gcc_recipe)
    taken, sysroot, why = _with_packages(ctx, catalog, request, lock, choice, unreachable)
    found = {v: p for v in request.versions if (p := build.find_build_python(ctx, v)) is not None}
    root = partial(target.target_python_recipe, request.target, lock, ground=ground(taken, choice.floor))
    return Plan(
        request=replace(request, glibc=choice.floor),
        host=host,
        lock=lock,
        gcc=gcc_recipe,
        choice=choice,
        sysroot=sysroot,
        why=why,
        emulator=emulator.qemu_recipe(host, request.target, lock),
        pythons={v: pick.of_target(request.target, v, partial(root, v)) for v in request.versions},
        found_pythons=found,
        build_pythons={
            v: pick.of_host(host, v, partial(build.build_python_recipe, host, lock, v))
            for v in request.versions
            if v not in found
        },
    )


def _with_packages(
    ctx: Context,
    catalog: Catalog,
    request: Request,
    lock: Lock,
    choice: Choice,
    unreachable: MutableMapping[str, str] | None,
) -> tuple[Candidate, Candidate, str]:
    """The sysroot to take, without and with the packages that were asked for; and why it is."""
    from xtool.toolchain import packages

    while True:
        taken, why = choice.first(unreachable or {})
        try:
            return taken, packages.add(ctx, catalog, request, lock, taken), why
        except NetworkError as error:
            following = choice.after(taken.kind)
            if unreachable is None or following is None:
                raise
            _tell_of_next(ctx, taken, following, error)
            unreachable[taken.kind] = error.message


def ensure_kit(ctx: Context, request: Request) -> Kit:
    """Install what a request needs and is missing; hand out the kit.

    Where locked files have left every mirror and the snapshot archive, the suite's current versions are taken
    through the signed chain, said so, and recorded in the cache; `--frozen` forbids it. A sysroot that is out
    of reach gives way to the next one that the request allows.
    """
    from xtool import installer

    asked, renewed = request, False
    unreachable: dict[str, str] = {}
    first: XtoolError | None = None
    while True:
        planned = plan(ctx, asked, unreachable)
        catalog = Catalog(ctx.settings.toolchains_dir)
        try:
            return _kit(planned, installer.ensure(ctx, catalog, planned.lock, planned.recipes))
        except XtoolError as error:
            lost = replaced.replaceable(catalog, error)
            if lost and not asked.frozen and not renewed:
                shipped = catalog.lock(planned.host, planned.request.target)
                replaced.take(ctx, catalog, shipped, planned.lock, lost)
                renewed = True
            elif reason := _next_sysroot(ctx, catalog, planned, error):
                unreachable[planned.sysroot.kind] = reason
                first = first or error
            elif _portable_failed(asked, planned, error):
                ctx.log.warning(
                    f"no portable Python: {error.message}; Debian's is taken",
                    hint="`--python-source` chooses one of them for good",
                )
                asked = replace(asked, python_source="debian")
            elif first is not None and isinstance(error, NetworkError):
                # Where every sysroot is out of reach, what became of the one that comes first says most.
                raise first from error
            else:
                raise


def ensure_kits(ctx: Context, requests: Sequence[Request]) -> tuple[Kit | XtoolError, ...]:
    """Install what several requests need and are missing, side by side; what they share is made once.

    What goes wrong for one request does not keep the others from their kits.

    Returns:
        For each request, in their order, its kit, or why there is none.
    """
    together = _together(ctx, requests) if len(requests) > 1 else {}
    return tuple(
        together[index] if index in together else _outcome(ctx, request)
        for index, request in enumerate(requests)
    )


def _together(ctx: Context, requests: Sequence[Request]) -> dict[int, Kit]:
    """Kits made in one go, by the place of their requests; none where anything went wrong.

    Each request's own set-up then says what, and knows what else can be done.
    """
    from xtool import installer

    plans = {index: made for index, request in enumerate(requests) if (made := _planned(ctx, request))}
    if not plans:
        return {}
    catalog = Catalog(ctx.settings.toolchains_dir)
    every = [made.lock for made in plans.values()]
    lock = replace(every[0], evidence=merge_evidence(one.evidence for one in every))
    try:
        found = installer.ensure_all(ctx, catalog, lock, [made.recipes for made in plans.values()])
        return {
            index: _kit(made, {recipe.name: found[recipe.folder] for recipe in made.recipes})
            for index, made in plans.items()
        }
    except Interrupted:
        raise
    except XtoolError as error:
        ctx.log.detail(f"not all at once: {error.message}")
        return {}


def _planned(ctx: Context, request: Request) -> Plan | None:
    try:
        return plan(ctx, request, {})
    except Interrupted:
        raise
    except XtoolError:
        return None


def _outcome(ctx: Context, request: Request) -> Kit | XtoolError:
    try:
        return ensure_kit(ctx, request)
    except Interrupted:
        raise
    except XtoolError as error:
        return error


def _next_sysroot(ctx: Context, catalog: Catalog, planned: Plan, error: XtoolError) -> str:
    """Why the next sysroot is to be taken; empty where none is left, or the error came of something else."""
    lost, following = planned.sysroot, planned.choice.after(planned.sysroot.kind)
    if following is None or _needs_its_archive(ctx, planned):
        return ""
    reason = choose.unreachable(ctx, catalog, planned.lock, lost, error)
    if reason is None:
        return ""
    _tell_of_next(ctx, lost, following, reason)
    return reason.message


def _tell_of_next(ctx: Context, lost: Candidate, following: Candidate, reason: XtoolError) -> None:
    ctx.log.warning(
        f"the {lost.title} sysroot is out of reach: {reason.message}; the {following.title} one is taken",
        hint=f"`--sysroot {following.kind}` takes it without asking, `--sysroot {lost.kind}` nothing else",
    )


def _needs_its_archive(ctx: Context, planned: Plan) -> bool:
    """Whether the archive of the sysroot's packages is needed for more: no other sysroot helps then."""
    from xtool.fetch import cached
    from xtool.store import Store

    store, lost = Store(ctx), planned.sysroot
    archives = {artifact.archive for artifact in lost.packages}
    others = {
        artifact
        for recipe in planned.recipes
        if recipe is not lost.recipe and store.find(recipe) is None
        for artifact in recipe.artifacts
        if artifact.archive in archives
    }
    return any(not cached(store.downloads, artifact).is_file() for artifact in others - set(lost.packages))


def ground(sysroot: Candidate, floor: Glibc) -> Ground | None:
    """What portable Pythons of the target run on, where a sysroot has a C library that can be run."""
    from xtool.python.ground import Ground

    return Ground(sysroot.kind, sysroot.title, floor, sysroot.recipe) if sysroot.own_libc else None


def _portable_failed(asked: Request, planned: Plan, error: XtoolError) -> bool:
    """Whether a set-up may go on without portable Pythons.

    They were xtool's choice, did not prove false, and Debian has those versions too. Falling back costs
    little when something else has failed: what is made stays, and the error comes again.
    """
    recipes = {
        **{f"python{version}": recipe for version, recipe in planned.pythons.items()},
        **{f"build-python{version}": recipe for version, recipe in planned.build_pythons.items()},
    }
    portable = {name for name, made in recipes.items() if made.parameters.get("source") == "portable"}
    excusable = not isinstance(error, (IntegrityError, StoreError, Interrupted))
    replaceable = bool(portable) and portable <= planned.lock.components.keys()
    return replaceable and excusable and asked.python_source == "auto"


def ensure_desktop(ctx: Context, kit: Kit, version: str) -> Path:
    """Install glib, X11 and OpenGL libraries beside a kit's Python; give the folder to load them from.

    Raises:
        CatalogError: the lock has none for this Python.
    """
    from xtool import installer
    from xtool.python import target as pythons

    lock = current_lock(ctx, kit.target)
    recipe = pythons.desktop_recipe(kit.target, lock, version, kit.pythons[version].source)
    catalog = Catalog(ctx.settings.toolchains_dir)
    return pythons.desktop_libraries(installer.ensure(ctx, catalog, lock, [recipe])[recipe.name], kit.target)


def shipped_recipes(ctx: Context, request: Request) -> tuple[Recipe, ...]:
    """The recipes that a request comes to on a machine that has nothing yet, desktop libraries included.

    Neither what is installed nor what is in reach changes them.

    Raises:
        UsageError: a version or floor that does not exist.
    """
    from xtool import emulator
    from xtool.python import build, offers, target
    from xtool.toolchain import gcc

    catalog = Catalog(ctx.settings.toolchains_dir)
    host = current_host()
    lock = catalog.lock(host, request.target)
    pythons = offers.Choice(ctx, request.python_source, lock)
    compiler = gcc.gcc_recipe(host, request.target, lock, fortran=request.fortran)
    choice = choose.choose(None, catalog, request, lock, compiler)
    taken, _ = choice.first({})
    recipes = [compiler, taken.recipe, emulator.qemu_recipe(host, request.target, lock)]
    on = ground(taken, choice.floor)
    for version in request.versions:
        pythons.check(request.target, version)
        source = pythons.unasked(version)
        recipes += [
            target.target_python_recipe(request.target, lock, version, source=source, ground=on),
            build.build_python_recipe(host, lock, version, source=source),
        ]
        if any(name.startswith("desktop-") for name in lock.components):
            recipes.append(target.desktop_recipe(request.target, lock, version, source))
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
    from xtool.toolchain import gcc

    request = planned.request
    build_pythons = dict(planned.found_pythons)
    for version, recipe in planned.build_pythons.items():
        build_pythons[version] = build.from_store(installed[recipe.name], version)
    return Kit(
        host=planned.host,
        target=request.target,
        toolchain=gcc.toolchain(installed[planned.gcc.name], request.target),
        sysroot=Sysroot(
            installed[planned.sysroot.recipe.name], request.floor, planned.sysroot.kind, planned.why
        ),
        emulator=emulator.emulator(installed[planned.emulator.name], request.target),
        pythons={
            version: target.target_python(installed[recipe.name], request.target, version)
            for version, recipe in planned.pythons.items()
        },
        build_pythons=build_pythons,
        lock_digest=planned.lock.digest,
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
    return lock if request.frozen else replaced.applied(ctx, lock)


def available_targets(ctx: Context) -> tuple[str, ...]:
    """Names of the targets that this host has locks for."""
    catalog, host = Catalog(ctx.settings.toolchains_dir), current_host()
    return tuple(
        name for name, target in catalog.targets.items() if catalog.lock_path(host, target).is_file()
    )


def describe_floor(target: Target, floor: Glibc) -> str:
    """The platform tag that a floor stands for, for example `manylinux_2_17_ppc64le`."""
    return f"manylinux_{format_glibc(floor).replace('.', '_')}_{target.name}"
