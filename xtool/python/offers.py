"""Which Pythons there are for a target, and from which sources."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from xtool.catalog import Catalog, Lock
from xtool.context import Context
from xtool.python.versions import sort_key
from xtool.targets import Host, Target

_DEBIAN_PRERELEASE = re.compile(r"\d+(?:\.\d+)*~")
"""Debian writes 3.15.0rc1 as `3.15.0~rc1-1`, which sorts before `3.15.0-1`."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A Python that a target can have.

    Args:
        version: `3.13`, or `3.13t` for the build without the GIL.
        sources: where it can come from, of `portable` and `debian`.
        prerelease: a source has nothing newer than an alpha, beta or release candidate of it: it is built for
            when it is asked for by name, never because no version was named.
    """

    version: str
    sources: tuple[str, ...]
    prerelease: bool = False


def offered(ctx: Context, host: Host, target: Target) -> Mapping[str, Offered]:
    """The Pythons of a target by version, lowest first.

    Raises:
        CatalogError: there is no lock for the target on this host.
    """
    lock = Catalog(ctx.settings.toolchains_dir).lock(host, target)
    found = debian(lock)
    return {version: Offered(version, ("debian",), found[version]) for version in sorted(found, key=sort_key)}


def debian(lock: Lock) -> dict[str, bool]:
    """The Pythons that a lock has, each with whether it is a pre-release."""
    found = {}
    for name, artifacts in lock.components.items():
        if name.startswith("python"):
            full = next((a.version for a in artifacts if a.name == name), "")
            found[name.removeprefix("python")] = _DEBIAN_PRERELEASE.match(full) is not None
    return found
