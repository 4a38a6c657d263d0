"""Which Pythons a project is built for: those that were asked for, or those that it supports and that exist.

Free-threaded builds and pre-releases are built for when they are named, and never otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from packaging.specifiers import SpecifierSet

from xtool.context import Context
from xtool.errors import UsageError, XtoolError
from xtool.python import offers, portable
from xtool.python.versions import parse_python
from xtool.setup import DEFAULT_PYTHON, Request, current_lock
from xtool.targets import current_host

_PATCH_RELEASES = 50
"""More patch releases than any minor version has had."""


def supports(allowed: SpecifierSet | None, version: str) -> bool:
    """Whether a project's `requires-python` admits any patch release of a minor version."""
    release = parse_python(version).release
    return allowed is None or any(
        allowed.contains(f"{release}.{patch}", prereleases=True) for patch in range(_PATCH_RELEASES)
    )


def check_asked(ctx: Context, requests: Sequence[Request]) -> None:
    """Hold the Pythons that were asked for by name against what there is, before anything is done.

    Raises:
        UsageError: a target has no such Python, or not from the source that was asked for.
    """
    for request in requests:
        if request.pythons:
            choice = offers.Choice(ctx, request.python_source, current_lock(ctx, request.target))
            for version in request.pythons:
                choice.check(request.target, version)


def choose(ctx: Context, request: Request, allowed: SpecifierSet | None, what: str) -> tuple[str, ...]:
    """The Pythons that a project is built for.

    Args:
        ctx: settings, log, environment.
        request: the set-up; its Pythons are taken where it has any.
        allowed: the project's `requires-python`, or None where it states none: the default Python alone then.
        what: the project, for messages.

    Raises:
        UsageError: the project excludes a Python that was asked for, or every Python there is.
    """
    if request.pythons:
        excluded = [version for version in request.pythons if not supports(allowed, version)]
        if excluded:
            raise excludes(what, excluded, request.pythons, allowed)
        return request.pythons
    if allowed is None:
        return request.versions
    final = final_releases(ctx, request)
    supported = [version for version in final if supports(allowed, version)]
    if not supported:
        raise UsageError(
            f"{what} supports none of the Pythons that there are for {request.target.name}",
            facts=[f"its requires-python is `{allowed}`", f"there are {', '.join(final) or 'none'}"],
            hint="`--python` takes a pre-release too; `xtool list --available` shows them all",
            code="requires-python",
        )
    return tuple(supported)


def excludes(
    what: str, excluded: Sequence[str], versions: Iterable[str], allowed: SpecifierSet | None
) -> UsageError:
    """The error for Pythons that were asked for and that a project does not support."""
    left = [version for version in versions if version not in excluded]
    return UsageError(
        f"{what} does not support Python {' and '.join(excluded)}",
        facts=[f"its requires-python is `{allowed}`"],
        hint="build with " + " ".join(f"`--python {version}`" for version in left)
        if left
        else "`xtool list --available` shows which other Pythons there are for `--python`",
        code="requires-python",
    )


def final_releases(ctx: Context, request: Request) -> tuple[str, ...]:
    """The Pythons with a GIL that a target can have now and that are no pre-releases, lowest first.

    Offline these are the ones that need no download.
    """
    found = offers.offered(ctx, current_host(), request.target)
    final = {
        version: one.sources
        for version, one in found.items()
        if not one.prerelease and not parse_python(version).free_threaded
    }
    wanted = request.python_source
    from_debian = [v for v, sources in final.items() if "debian" in sources and wanted != "portable"]
    elsewhere = [
        v
        for v, sources in final.items()
        if "portable" in sources and wanted != "debian" and v not in from_debian
    ]
    if ctx.settings.offline:
        at_hand = [version for version in final if _at_hand(ctx, request, version)]
        return tuple(at_hand) or (DEFAULT_PYTHON,)
    if elsewhere and not portable.reachable(ctx):
        elsewhere = []
    return tuple(version for version in final if version in {*from_debian, *elsewhere})


def without_portable(ctx: Context, request: Request) -> tuple[str, ...]:
    """The Pythons of a request that need no portable build."""
    found = offers.offered(ctx, current_host(), request.target)
    return tuple(version for version in request.pythons if "debian" in found[version].sources)


def _at_hand(ctx: Context, request: Request, version: str) -> bool:
    """Whether a Python can be set up without the network."""
    from xtool import housekeeping
    from xtool.setup import plan

    try:
        planned = plan(ctx, replace(request, pythons=(version,)))
        absent, files = housekeeping.missing(ctx, planned.recipes)
    except XtoolError:
        return False
    # uv fetches portable builds, and what it would fetch is no file of the lock.
    return not files and not any(recipe.parameters.get("source") == "portable" for recipe in absent)
