"""Files taken instead of locked ones that have left every mirror and the snapshot archive.

A Debian suite's current version is taken through the signed chain, said so, and recorded in the cache, so
that the next run takes the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from xtool.artifacts import Artifact
from xtool.catalog import Catalog, Lock
from xtool.context import Context
from xtool.errors import StoreError


def replaceable(catalog: Catalog, error: Exception) -> tuple[Artifact, ...]:
    """The files that no source has any more, where that is what an error says and suites may have newer ones.

    Repositories of RPMs that sysroots come from are those of releases that are over: nothing replaces a file.
    """
    from xtool.fetch import Vanished

    lost = tuple(error.artifacts) if isinstance(error, Vanished) else ()
    return lost if all(catalog.archives[artifact.archive].kind == "debian" for artifact in lost) else ()


def take(ctx: Context, catalog: Catalog, shipped: Lock, lock: Lock, lost: Sequence[Artifact]) -> None:
    """Find what replaced vanished files, and record it for this cache.

    Args:
        ctx: settings, log, environment.
        catalog: where suites and keys are.
        shipped: the lock as it is shipped; the record names its files.
        lock: the lock that was tried, with earlier replacements.
        lost: files of `lock` that are gone.

    Raises:
        NetworkError, IntegrityError: a suite's index could not be had, or is not signed.
        StoreError: the record cannot be written.
    """
    from xtool.fetch import debian

    for artifact in lost:
        ctx.log.info(f"{artifact.filename} has left every mirror; looking for what replaced it")
    found = debian.replacements(ctx, catalog, lock, lost)
    for artifact in lost:
        new = found[artifact.sha256]
        ctx.log.warning(
            f"{artifact.name} {artifact.version} has left every mirror; "
            f"{artifact.suite}'s current {new.version} is taken, its signature chain checked",
            hint="`--frozen` refuses this; a newer xtool may have a newer lock",
        )
    # The recorded replacements name what the shipped lock says, not what an earlier replacement put there.
    recorded = _read(ctx, shipped)
    origin = {new.sha256: old for old, new in recorded.items()}
    for old, new in found.items():
        recorded[origin.get(old, old)] = new
    _write(ctx, shipped, recorded)


def _path(ctx: Context, lock: Lock) -> Path:
    return ctx.settings.cache_dir / "v1" / "state" / f"replaced-{lock.digest[:16]}.json"


def _read(ctx: Context, lock: Lock) -> dict[str, Artifact]:
    """Artifacts taken instead of locked ones that have left every mirror, by the locked one's sha256."""
    path = _path(ctx, lock)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {old: Artifact(**new) for old, new in document.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        ctx.log.detail(f"ignoring {path}: {error}")
        return {}


def _write(ctx: Context, lock: Lock, recorded: Mapping[str, Artifact]) -> None:
    path = _path(ctx, lock)
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


def applied(ctx: Context, lock: Lock) -> Lock:
    """A lock with the replacements that this cache has recorded."""
    replaced = _read(ctx, lock)
    if not replaced:
        return lock

    def swap(artifact: Artifact) -> Artifact:
        return replaced.get(artifact.sha256, artifact)

    components = {name: tuple(map(swap, items)) for name, items in lock.components.items()}
    return replace(lock, components=components)
