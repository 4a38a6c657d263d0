"""Choosing a sysroot: what `--sysroot` asks for, which of it gives the floor, what comes after a failure.

`--sysroot` is `auto`, a name, or several in the order in which they are to be tried. `auto` stands for the
order that `toolchains/sysroots.toml` declares for the target and the floor (`docs/decisions/0013`). What
cannot give the floor is passed over; what is out of reach gives way to the next; what proves false never
does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xtool.artifacts import Artifact
from xtool.errors import NetworkError, UsageError
from xtool.recipes import Recipe
from xtool.sysroots import AUTO, DEBIAN, DERIVED, Distribution, declaration_digest
from xtool.targets import Glibc, Target, format_glibc

if TYPE_CHECKING:
    from xtool.catalog import Catalog, Lock
    from xtool.context import Context
    from xtool.setup import Request
    from xtool.sysroots import SysrootLock


@dataclass(frozen=True, slots=True)
class Candidate:
    """A sysroot that gives the floor that was asked for.

    Args:
        kind: what `--sysroot` calls it.
        title: what a user reads: `derived`, `CentOS 7`.
        recipe: how it is made.
        packages: the files that only this sysroot needs; when they are out of reach, it is.
        own_libc: whether its C library can be run, and is not the one of the target's own lock.
    """

    kind: str
    title: str
    recipe: Recipe
    packages: tuple[Artifact, ...]
    own_libc: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """The sysroots to try, and why in this order.

    Args:
        floor: the glibc floor that all of them give.
        candidates: what to try, at least one.
        why: the reason for the first of them.
    """

    floor: Glibc
    candidates: tuple[Candidate, ...]
    why: str

    def first(self, unreachable: Mapping[str, str]) -> tuple[Candidate, str]:
        """The candidate to take, and why.

        Args:
            unreachable: by kind, why it could not be had.
        """
        left = [one for one in self.candidates if one.kind not in unreachable]
        reasons = [
            f"{one.title}: {unreachable[one.kind]}" for one in self.candidates if one.kind in unreachable
        ]
        return left[0], "; ".join(reasons) or self.why

    def after(self, kind: str) -> Candidate | None:
        """The candidate that is tried when this one is out of reach."""
        kinds = [one.kind for one in self.candidates]
        following = self.candidates[kinds.index(kind) + 1 :]
        return following[0] if following else None


def names(catalog: Catalog, asked: str) -> tuple[str, ...]:
    """The kinds that `--sysroot` names, in their order.

    Raises:
        UsageError: one of them does not exist, or `auto` is one of several.
    """
    words = tuple(dict.fromkeys(word.strip() for word in asked.split(",") if word.strip())) or (AUTO,)
    known = catalog.sysroots.names
    for word in words:
        if word not in known:
            raise UsageError(
                f"there is no sysroot `{word}`",
                hint=f"choose from {', '.join(known)}; several, separated by commas, are tried in order",
                code="unknown-sysroot",
            )
    if AUTO in words and len(words) > 1:
        raise UsageError(
            "`auto` is an order by itself",
            hint="pass `--sysroot auto`, or a list without it",
            code="bad-sysroot",
        )
    return words


def floor_of(catalog: Catalog, request: Request, lock: Lock) -> Glibc:
    """The floor that a request comes to: what it says, or else the glibc of the first sysroot it names."""
    if request.glibc is not None:
        return request.glibc
    for name in names(catalog, request.sysroot):
        if name == DEBIAN:
            from xtool.toolchain.sysroot import newest_floor

            return newest_floor(lock)
        distribution = _distribution(catalog, name, request.target)
        if distribution is not None:
            return distribution.glibc
        if name in (AUTO, DERIVED):
            break
    return request.target.lowest_glibc


def choose(ctx: Context | None, catalog: Catalog, request: Request, lock: Lock, gcc: Recipe) -> Choice:
    """The sysroots that a request may be given.

    Args:
        ctx: its log is told of locks that are out of date; None where that does not matter.
        catalog: what there is.
        request: what was asked for.
        lock: the target's own lock.
        gcc: recipe of the toolchain.

    Raises:
        UsageError: there is no such sysroot, none that gives the floor, or a lock that is out of date.
    """
    asked = names(catalog, request.sysroot)
    floor = floor_of(catalog, request, lock)
    why = "`--sysroot` names it"
    order = asked
    if asked == (AUTO,):
        rule = catalog.sysroots.rule(request.target.name, floor)
        order, why = (rule.sysroots, rule.why) if rule else ((DERIVED,), "no order is declared")
    found: list[Candidate] = []
    unable: dict[str, str] = {}
    for name in order:
        made = _candidate(ctx, catalog, name, request, floor, lock, gcc)
        if isinstance(made, Candidate):
            found.append(made)
        else:
            unable[name] = made
    if not found:
        raise _no_floor(catalog, request.target, floor, lock, unable)
    if len(asked) > 1:
        passed = [f"{name}: {unable[name]}" for name in order[: order.index(found[0].kind)]]
        why = "; ".join([f"first of `--sysroot {','.join(asked)}`", *passed])
    return Choice(floor, tuple(found), why)


def available(catalog: Catalog, target: Target, lock: Lock) -> dict[str, tuple[Glibc, Glibc]]:
    """What `--sysroot` may name for a target: kind -> lowest and highest floor, `derived` first."""
    from xtool.toolchain.sysroot import lowest_floor, newest_floor

    newest = newest_floor(lock)
    found = {DERIVED: (lowest_floor(target), newest), DEBIAN: (newest, newest)}
    for name in catalog.sysroots.distributions:
        distribution = _distribution(catalog, name, target)
        if distribution is not None and catalog.sysroot_lock_path(distribution).is_file():
            found[name] = (distribution.glibc, distribution.glibc)
    return found


def unreachable(
    ctx: Context, catalog: Catalog, lock: Lock, candidate: Candidate, error: Exception
) -> NetworkError | None:
    """Why a sysroot cannot be had, where that is what made a set-up fail; None where it was something else.

    A set-up downloads many things at once, and its first failure ends it. So what the sysroot alone needs is
    asked for once more: only a sysroot that cannot be had gives way to another one.

    Raises:
        IntegrityError: a file of it is not what the lock says.
    """
    from xtool.fetch import Vanished, cached, fetch
    from xtool.store import Store

    if isinstance(error, Vanished):
        return error if set(error.artifacts) & set(candidate.packages) else None
    if not isinstance(error, NetworkError):
        return None
    downloads = Store(ctx).downloads
    missing = [artifact for artifact in candidate.packages if not cached(downloads, artifact).is_file()]
    if not missing:
        return None
    try:
        fetch(ctx, catalog, missing, evidence=lock.evidence, downloads=downloads)
    except NetworkError as reason:
        return reason
    return None


def _candidate(
    ctx: Context | None, catalog: Catalog, name: str, request: Request, floor: Glibc, lock: Lock, gcc: Recipe
) -> Candidate | str:
    """A sysroot for a target at a floor; or, where there is none, what there is instead."""
    from xtool.toolchain import distribution as assembled
    from xtool.toolchain.sysroot import derived_recipe

    target = request.target
    floors = available(catalog, target, lock).get(name)
    distribution = _distribution(catalog, name, target)
    if floors is None and (distribution is None or request.sysroot == AUTO):
        return f"not for {target.name}"
    if floors is not None and not floors[0] <= floor <= floors[1]:
        return _floors(*floors)
    if distribution is not None:
        packages = _packages(ctx, catalog, distribution, request)
        recipe = assembled.distribution_recipe(distribution, packages, target, lock, gcc)
        return Candidate(name, distribution.title, recipe, packages, own_libc=True)
    if name == DEBIAN:
        recipe = assembled.debian_recipe(target, lock, gcc)
        return Candidate(name, "Debian", recipe, recipe.artifacts, own_libc=False)
    recipe = derived_recipe(target, lock, floor, gcc)
    return Candidate(name, name, recipe, recipe.artifacts, own_libc=False)


def _packages(
    ctx: Context | None, catalog: Catalog, distribution: Distribution, request: Request
) -> tuple[Artifact, ...]:
    """The packages that a distribution's lock names; whether it is out of date is looked into."""
    lock: SysrootLock = catalog.sysroot_lock(distribution)
    if ctx is not None and not request.frozen and lock.declaration != declaration_digest(distribution):
        path = catalog.sysroot_lock_path(distribution)
        update = f"xtool lock --update --sysroot {distribution.name} {distribution.target}"
        message = f"{path} is older than what `sysroots.toml` declares"
        if request.locked:
            raise UsageError(
                message, hint=f"run `{update}`, or use it as it is with `--frozen`", code="lock-outdated"
            )
        ctx.log.warning(message, hint=f"run `{update}`")
    return lock.artifacts


def _distribution(catalog: Catalog, name: str, target: Target) -> Distribution | None:
    return catalog.sysroots.distributions.get(name, {}).get(target.name)


def _no_floor(
    catalog: Catalog, target: Target, floor: Glibc, lock: Lock, unable: Mapping[str, str]
) -> UsageError:
    """What is said when nothing that was asked for gives the floor: what would."""
    floors = available(catalog, target, lock)
    others = [f"{name}: {_floors(low, high)}" for name, (low, high) in floors.items() if name not in unable]
    lowest, newest = floors[DERIVED]
    if not lowest <= floor <= newest:
        hint = f"use `--glibc {format_glibc(min(max(floor, lowest), newest))}`"
    elif DERIVED in unable:
        hint = "`xtool list --available` shows which sysroot gives which floors"
    else:
        hint = "use `--sysroot derived`, which has it, or another `--glibc`"
    kinds = "" if DERIVED in unable else f" from {' or '.join(unable)}"
    return UsageError(
        f"there is no glibc {format_glibc(floor)} sysroot for {target.name}{kinds}",
        facts=[*(f"{name}: {reason}" for name, reason in unable.items()), *others],
        hint=hint,
        code="no-such-floor",
    )


def _floors(lowest: Glibc, highest: Glibc) -> str:
    if lowest == highest:
        return f"floor {format_glibc(lowest)}"
    return f"floors from {format_glibc(lowest)} to {format_glibc(highest)}"
