"""Is this machine ready, is the cache sound, do the installed tools run; and what to do where not.

Each check is a small function that gives findings; none of them changes anything, except that `fix` makes
modified components anew.
"""

from __future__ import annotations

import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from xtool.errors import XtoolError

if TYPE_CHECKING:
    from xtool.catalog import SuiteEvidence
    from xtool.context import Context
    from xtool.housekeeping import Offer
    from xtool.store import Entry

Status = Literal["ok", "warn", "fail"]

_LITTLE_SPACE = 2_000_000_000
"""Bytes: a set-up of one target with two Pythons takes about half of it, large builds the rest."""

_ANSWER_TIMEOUT = 60.0
"""Seconds that a program has to say its version."""


@dataclass(frozen=True, slots=True)
class Check:
    """One finding.

    Args:
        name: what was checked.
        status: `ok`, `warn` (works, but) or `fail`.
        message: what was found.
        hint: what to do; empty where nothing is to be done.
    """

    name: str
    status: Status
    message: str
    hint: str = ""


def examine(ctx: Context, *, fix: bool = False) -> list[Check]:
    """Run every check.

    Args:
        ctx: settings, log, environment.
        fix: make modified components anew, sweep what dead processes left.
    """
    checks: list[Check] = []
    for name, function in _CHECKS.items():
        checks += _guarded(ctx, name, function)
    checks += _guarded(ctx, "components", lambda ctx: _components(ctx, fix=fix))
    checks += _guarded(ctx, "tools", _tools_of_targets)
    return checks


def _guarded(ctx: Context, name: str, function: Callable[[Context], Iterator[Check]]) -> Iterator[Check]:
    """A check that fails by an error has found something."""
    try:
        yield from function(ctx)
    except XtoolError as error:
        yield Check(name, "fail", "; ".join((error.message, *error.facts)), error.hint or "")
    except OSError as error:
        yield Check(name, "fail", f"{error.strerror or error}: {error.filename or name}")


def _host(ctx: Context) -> Iterator[Check]:
    del ctx
    from xtool.targets import current_host

    host = current_host()
    yield Check("host", "ok", f"{host.name}, {platform.system()} {platform.release()}")


def _python(ctx: Context) -> Iterator[Check]:
    del ctx
    yield Check("python", "ok", f"{platform.python_version()} at {sys.executable}")


def _cache(ctx: Context) -> Iterator[Check]:
    from xtool.diskerrors import free_bytes
    from xtool.store import Store
    from xtool.text import format_bytes

    store = Store(ctx)
    store.prepare()
    with tempfile.TemporaryDirectory(dir=store.staging, prefix="doctor-") as folder:
        yield _filesystem(ctx, Path(folder))
    free = free_bytes(store.cache)
    if free is not None and free < _LITTLE_SPACE:
        hint = "`xtool prune` and `xtool cache clean` make room; XTOOL_CACHE_DIR names another folder"
        yield Check("disk space", "warn", f"{format_bytes(free)} free at {store.cache}", hint)
    elif free is not None:
        yield Check("disk space", "ok", f"{format_bytes(free)} free at {store.cache}")


def _filesystem(ctx: Context, folder: Path) -> Check:
    """Whether the filesystem of the cache does what toolchains and locks need."""
    from xtool import locking, proc

    problems = []
    with locking.locked(folder / "lock", log=ctx.log, timeout=1.0, what="the check of locks"):
        pass
    if (folder / "LOCK").exists():
        problems.append("it does not tell upper from lower case, and toolchains hold files that need it")
    program = folder / "program"
    program.write_text("#!/bin/sh\nexit 0\n", encoding="ascii")
    program.chmod(0o755)
    try:
        proc.run([program], log=ctx.log, timeout=_ANSWER_TIMEOUT)
    except XtoolError:
        problems.append("programs in it cannot be run (mounted with `noexec`?)")
    cache = ctx.settings.cache_dir
    if problems:
        hint = "point XTOOL_CACHE_DIR to a folder on another filesystem"
        return Check("cache", "fail", f"{cache}: {'; '.join(problems)}", hint)
    return Check("cache", "ok", f"{cache} can be written and locked")


def _helpers(ctx: Context) -> Iterator[Check]:
    """The programs that come with xtool's own dependencies, found as builds find them."""
    from xtool import index, proc
    from xtool.wheel import repair

    helpers: tuple[tuple[str, str, Callable[[], str | Path]], ...] = (
        ("uv", "installs build requirements", lambda: index.uv_command(ctx)[0]),
        ("patchelf", "mends wheels", lambda: repair.patchelf(ctx)),
    )
    for name, purpose, find in helpers:
        try:
            found = find()
        except XtoolError:
            yield Check(name, "fail", f"not found; it {purpose}", f"reinstall xtool, or `pip install {name}`")
            continue
        done = proc.run([found, "--version"], log=ctx.log, timeout=_ANSWER_TIMEOUT)
        yield Check(name, "ok", f"{done.stdout.strip()} at {found}")


def _network(ctx: Context) -> Iterator[Check]:
    if ctx.settings.offline:
        yield Check("network", "ok", "not checked: offline")
        return
    from xtool.catalog import Catalog
    from xtool.fetch.mirrors import mirrors

    catalog = Catalog(ctx.settings.toolchains_dir)
    asked: dict[str, tuple[bool, str]] = {}
    for suite, evidence in _suites(ctx).items():
        archive = next(one for one in catalog.archives.values() if suite in one.suites)
        places = mirrors(ctx, archive, evidence)
        for place in places:
            if place.base not in asked:
                asked[place.base] = _answer(ctx, place.url(f"dists/{suite}/InRelease"))
        reached = any(asked[place.base][0] for place in places)
        for place in places:
            answers, message = asked[place.base]
            # A set-up goes on to the next place: one that answers is enough.
            status: Status = "ok" if answers else "warn" if reached else "fail"
            hint = "" if answers else "set XTOOL_DEBIAN_MIRROR to a mirror that this machine can reach"
            yield Check(f"mirror for {suite}", status, f"{place.shown}: {message}", hint)


def _suites(ctx: Context) -> dict[str, SuiteEvidence]:
    from xtool.housekeeping import offers

    return {suite: evidence for one in offers(ctx) for suite, evidence in one.lock.evidence.items()}


def _answer(ctx: Context, url: str) -> tuple[bool, str]:
    """Whether a URL can be opened, and what came of it."""
    from xtool.fetch.session import AttemptError, Client

    client = Client(ctx)
    try:
        with client.get(url):
            return True, "answers"
    except AttemptError as error:
        return False, error.reason
    finally:
        client.close()


def _build_pythons(ctx: Context) -> Iterator[Check]:
    from xtool.housekeeping import offers
    from xtool.python.build import find_build_python

    # Looking for each costs time; of those that Debian lacks there are many, and few use one.
    every = (one for offer in offers(ctx) for one in offer.offered.values())
    versions = dict.fromkeys(one.version for one in every if "debian" in one.sources)
    for version in versions:
        python = find_build_python(ctx, version)
        if python is not None:
            yield Check(f"build Python {version}", "ok", f"{python.executable} ({python.source})")
        else:
            yield Check(f"build Python {version}", "ok", "not on this machine; `xtool setup` brings one")


def _components(ctx: Context, *, fix: bool) -> Iterator[Check]:
    from xtool import housekeeping
    from xtool.store import Store

    store = Store(ctx)
    if fix:
        store.sweep()
    entries = store.entries()
    if not entries:
        yield Check("components", "ok", "nothing is installed; `xtool setup TARGET` does it")
        return
    bad: list[Entry] = []
    for entry in entries:
        problems = store.verify(entry)
        if problems:
            bad.append(entry)
            if not fix:
                more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
                yield Check(
                    "component", "fail", f"{entry.folder}: {problems[0]}{more}", "`xtool doctor --fix`"
                )
    if bad and fix:
        anew = housekeeping.repair(ctx, bad)
        for entry in bad:
            if entry.folder in anew:
                yield Check("component", "ok", f"{entry.folder}: was modified, made anew")
            else:
                removed = f"{entry.folder}: was modified, removed; no lock says how to make it anew"
                yield Check("component", "warn", removed, "the next set-up that needs it makes it")
    whole = len(entries) - len(bad)
    if whole:
        yield Check("components", "ok", f"{whole} are as they were made")


def _tools_of_targets(ctx: Context) -> Iterator[Check]:
    from xtool.housekeeping import offers

    for offer in offers(ctx):
        yield from _tools(ctx, offer)


def _tools(ctx: Context, offer: Offer) -> Iterator[Check]:
    """Run what is installed for one target: its compilers, its emulator, its Pythons."""
    from xtool import emulator
    from xtool.python import target
    from xtool.store import Store
    from xtool.toolchain import gcc

    store = Store(ctx)
    installed = {r.name: (r, path) for r in offer.recipes.values() if (path := store.find(r)) is not None}
    for recipe, path in installed.values():
        if recipe.name.startswith("gcc-"):
            compiler = gcc.toolchain(path, offer.target).tool("gcc")
            yield _runs(ctx, recipe.title, [compiler, "--version"])
    qemu = installed.get(f"qemu-{offer.target.name}")
    if qemu is None:
        return
    runner = emulator.emulator(qemu[1], offer.target)
    yield _runs(ctx, qemu[0].title, [runner.executable, "--version"])
    for version in offer.pythons:
        root = installed.get(f"python{version}-{offer.target.name}")
        if root is not None:
            python = target.target_python(root[1], offer.target, version)
            emulated: list[str | Path] = [runner.executable, "-cpu", runner.cpu, "-L", python.root]
            code = "import sys, ssl, ctypes, sqlite3; print(sys.version)"
            yield _runs(ctx, root[0].title, [*emulated, python.executable, "-I", "-c", code])


def _runs(ctx: Context, title: str, argv: Sequence[str | Path]) -> Check:
    from xtool import proc

    try:
        done = proc.run(argv, log=ctx.log, timeout=_ANSWER_TIMEOUT)
    except XtoolError as error:
        return Check(title, "fail", error.message, "`xtool doctor --fix` makes modified components anew")
    return Check(title, "ok", (done.stdout.splitlines() or ["runs"])[0])


_CHECKS: dict[str, Callable[[Context], Iterator[Check]]] = {
    "host": _host,
    "python": _python,
    "cache": _cache,
    "helpers": _helpers,
    "network": _network,
    "build Pythons": _build_pythons,
}
