"""Which Pythons there are for a target, from which sources, and which source one is taken from.

Debian's packages are what a lock says; portable builds are what uv's table says. Neither is a matter of code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from xtool.catalog import Catalog, Lock
from xtool.context import Context
from xtool.errors import NetworkError, OfflineError, UsageError
from xtool.python import portable, uvtable
from xtool.python.versions import sort_key
from xtool.recipes import Recipe
from xtool.store import Store
from xtool.targets import Host, Target

_DEBIAN_PRERELEASE = re.compile(r"[0-9]+(?:\.[0-9]+)*~")
"""Debian writes 3.15.0rc1 as `3.15.0~rc1-1`, which sorts before `3.15.0-1`."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A Python that a target can have.

    Args:
        version: `3.13`, or `3.13t` for the build without the GIL.
        sources: where it can come from, of `portable` and `debian`.
        prerelease: a source has nothing newer than an alpha, beta or release candidate of it: it is taken
            when it is asked for by name, never because no version was named.
    """

    version: str
    sources: tuple[str, ...]
    prerelease: bool = False


def offered(ctx: Context, host: Host, target: Target) -> Mapping[str, Offered]:
    """The Pythons of a target by version, lowest first.

    Args:
        ctx: settings, log, environment.
        host: the machine xtool runs on.
        target: the target.

    Raises:
        CatalogError: there is no lock for the target on this host.
        NetworkError: the table of portable builds that the user names cannot be read.
    """
    lock = Catalog(ctx.settings.toolchains_dir).lock(host, target)
    return combined(debian(lock), uvtable.versions(ctx, portable.machine(target)))


def combined(from_debian: Mapping[str, bool], from_uv: Mapping[str, bool]) -> dict[str, Offered]:
    """What two sources have, as one table; each says of its versions whether they are pre-releases."""
    sources = {"portable": from_uv, "debian": from_debian}
    return {
        version: Offered(
            version,
            tuple(name for name, has in sources.items() if version in has),
            any(has.get(version, False) for has in sources.values()),
        )
        for version in sorted({*from_debian, *from_uv}, key=sort_key)
    }


def debian(lock: Lock, prefix: str = "python") -> dict[str, bool]:
    """The Pythons that a lock has, each with whether it is a pre-release.

    Args:
        lock: the lock.
        prefix: `python` for the target's, `build-python` for the host's.
    """
    found = {}
    for component, artifacts in lock.components.items():
        if component.startswith(prefix):
            version = component.removeprefix(prefix)
            full = next((a.version for a in artifacts if a.name == f"python{version}"), "")
            found[version] = _DEBIAN_PRERELEASE.match(full) is not None
    return found


@dataclass(frozen=True)
class Choice:
    """Decides for one set-up which source each Python comes from.

    What is installed already is taken without asking anybody; uv and the mirror of portable builds are asked
    at most once, and only where their answer matters.

    Args:
        ctx: settings, log, environment.
        wanted: `auto`, `portable` or `debian`.
        lock: what Debian has.
        reach: whether a Python that is not installed and that no source in reach has is an error.
    """

    ctx: Context
    wanted: str
    lock: Lock
    reach: bool = True

    def __post_init__(self) -> None:
        if self.wanted not in portable.SOURCES:
            raise UsageError(
                f"there is no Python source `{self.wanted}`",
                hint=f"choose one of {', '.join(portable.SOURCES)}",
            )

    def check(self, target: Target, version: str) -> None:
        """Whether there is such a Python of the target at all, out of reach or not.

        Raises:
            UsageError: no source that may be taken has this version.
            NetworkError: the table of portable builds that the user names cannot be read.
        """
        self._check(version, self._of_target(target))

    def unasked(self, version: str) -> str:
        """The source of a Python where neither what is installed nor what is in reach may matter."""
        if self.wanted != "auto":
            return self.wanted
        return "debian" if version in debian(self.lock) else "portable"

    def of_target(self, target: Target, version: str, recipe: Callable[..., Recipe]) -> Recipe:
        """The recipe of the target's Python, from the source that it is taken from.

        Args:
            target: the target.
            version: `3.13`.
            recipe: makes it; called with `source`.

        Raises:
            UsageError: no source that may be taken has this version.
            NetworkError: the only source that has it is out of reach.
        """
        return self._pick(version, recipe, self._of_target(target))

    def of_host(self, host: Host, version: str, recipe: Callable[..., Recipe]) -> Recipe:
        """The recipe of the build Python, likewise; arguments and errors as for `of_target`."""
        return self._pick(version, recipe, self._of_host(host))

    def _of_target(self, target: Target) -> _Place:
        return _Place(target.name, portable.machine(target), debian(self.lock))

    def _of_host(self, host: Host) -> _Place:
        has = debian(self.lock, "build-python")
        return _Place("this host", portable.machine_of_host(host), has, "install it on this machine, or ")

    def _pick(self, version: str, recipe: Callable[..., Recipe], place: _Place) -> Recipe:
        self._check(version, place)
        store = Store(self.ctx)
        for source in ("portable", "debian"):
            if self.wanted in ("auto", source) and (source == "portable" or version in place.debian):
                made = recipe(source=source)
                if store.find(made) is not None:
                    return made
        if self.wanted != "auto":
            return recipe(source=self.wanted)
        if version in place.debian:
            return recipe(source="portable" if self._better(version, place) else "debian")
        if self.reach and not self._reachable:
            raise _out_of_reach(version, place, offline=self.ctx.settings.offline)
        return recipe(source="portable")

    def _better(self, version: str, place: _Place) -> bool:
        """Whether a portable build can be had where Debian has the version too."""
        if not self._reachable:
            return False
        try:
            return version in uvtable.versions(self.ctx, place.machine)
        except NetworkError as error:
            self.ctx.log.warning(f"{error.message}; Debian's is taken", hint=error.hint)
            return False

    def _check(self, version: str, place: _Place) -> None:
        if self.wanted != "portable" and version in place.debian:
            return
        from_uv = uvtable.versions(self.ctx, place.machine)
        if self.wanted != "debian" and version in from_uv:
            return
        hint = f"{place.more}choose another one with `--python`; `xtool list --available` shows them all"
        if version in from_uv:
            hint = f"there is a portable build of {version}, which `--python-source {self.wanted}` excludes"
        elif version in place.debian:
            hint = f"Debian has {version}, which `--python-source {self.wanted}` excludes"
        raise UsageError(
            f"there is no Python {version} for {place.name}",
            facts=[f"debian: {_listed(place.debian)}", f"portable: {_listed(from_uv)}"],
            hint=hint,
            code="unknown-python",
        )

    @cached_property
    def _reachable(self) -> bool:
        return portable.reachable(self.ctx)


@dataclass(frozen=True, slots=True)
class _Place:
    """What a Python is to run on: its name for messages, uv's name for it, and what Debian has for it."""

    name: str
    machine: str
    debian: Mapping[str, bool]
    more: str = ""


def _out_of_reach(version: str, place: _Place, *, offline: bool) -> NetworkError:
    """What is wrong where only the portable source has a version, and may not be asked or does not answer."""
    if offline:
        return OfflineError(
            f"Python {version} for {place.name} is a portable build, and `--offline` forbids fetching it",
            facts=[f"Debian's packages have {_listed(place.debian)}"],
            hint=f"run once without `--offline`, {place.more}or choose another `--python`",
            code="portable-unreachable",
        )
    return NetworkError(
        f"Python {version} for {place.name} is a portable build, and these are out of reach",
        facts=[f"what can be had now: {_listed(place.debian)}"],
        hint=f"check the network, {place.more}name a mirror of python-build-standalone with "
        "XTOOL_PYTHON_MIRROR, or choose another `--python`",
        code="portable-unreachable",
    )


def _listed(versions: Iterable[str]) -> str:
    return ", ".join(sorted(versions, key=sort_key)) or "none"
