"""`xtool lock`: which exact files targets and sysroots are made of; and making those lists anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xtool.cli.base import Result, Session, setting, unique, verb

if TYPE_CHECKING:
    from xtool.catalog import Catalog
    from xtool.errors import XtoolError
    from xtool.sysroots import Distribution
    from xtool.targets import Host, Target


def _lock(
    session: Session,
    targets: tuple[str, ...],
    sysroots: tuple[str, ...],
    keys: tuple[Path, ...],
    update: bool,
    check: bool,
) -> Result:
    from xtool.catalog import Catalog, default_root
    from xtool.errors import ProblemsFound, UsageError
    from xtool.targets import current_host

    if keys and not (sysroots and (update or check)):
        raise UsageError(
            "`--key` names who may sign when a sysroot's lock is made anew",
            hint="add `--sysroot NAME` and `--update` or `--check`",
        )
    if keys and update and session.ctx.settings.toolchains_dir is None:
        # What comes with xtool is everybody's; and set-ups take its locks for checked by the pinned keys.
        raise UsageError(
            "a lock that keys of your own sign does not take the place of the one that comes with xtool",
            hint=f"copy {default_root()} and point XTOOL_TOOLCHAINS_DIR to the copy",
            code="no-toolchains-dir",
        )
    catalog = Catalog(session.ctx.settings.toolchains_dir)
    names = unique(targets) or unique(session.value("target", ()))
    locks = []
    if sysroots:
        for distribution in _distributions(catalog, unique(sysroots), names):
            changed = (update or check) and _make_sysroot(session, catalog, distribution, keys, write=update)
            locks.append({**_describe_sysroot(catalog, distribution), "changed": changed})
    else:
        host = current_host()
        chosen = [catalog.target(name) for name in names] or [
            target for target in catalog.targets.values() if catalog.lock_path(host, target).is_file()
        ]
        for target in chosen:
            changed = (update or check) and _make(session, catalog, host, target, write=update)
            locks.append({**_describe(catalog, host, target), "changed": changed})
    differ = [_name(lock) for lock in locks if lock["changed"]]
    errors: tuple[XtoolError, ...] = ()
    if check and not update and differ:
        hint = f"run `xtool lock --update{f' --sysroot {sysroots[0]}' if sysroots else ''}`"
        errors = (ProblemsFound(f"there are newer files for {', '.join(differ)}", hint=hint),)
    return Result({"locks": locks}, text="\n\n".join(map(_text, locks)), errors=errors)


def _distributions(
    catalog: Catalog, sysroots: tuple[str, ...], targets: tuple[str, ...]
) -> Iterator[Distribution]:
    """The distributions that are named, for the targets that are named or for all that they have."""
    from xtool.errors import UsageError

    found = catalog.sysroots.distributions
    for name in sysroots:
        if name not in found:
            raise UsageError(
                f"there is no sysroot `{name}` that has a lock of its own",
                facts=[f"there are {', '.join(sorted(found))}"],
                hint="`derived` and `auto` are made from what the target's lock holds",
                code="unknown-sysroot",
            )
        # A target that the catalog does not have may still be one of the distribution's.
        known = [target if target in found[name] else catalog.target(target).name for target in targets]
        missing = [target for target in known if target not in found[name]]
        if missing:
            raise UsageError(
                f"sysroot {name} is not declared for target {missing[0]}",
                facts=[f"it is for {', '.join(sorted(found[name]))}"],
                hint="`sysroots.toml` declares which targets a sysroot has",
                code="unknown-sysroot",
            )
        for target in known or sorted(found[name]):
            if known or catalog.sysroot_lock_path(found[name][target]).is_file():
                yield found[name][target]


def _make(session: Session, catalog: Catalog, host: Host, target: Target, *, write: bool) -> bool:
    """Resolve a lock through the signed chain; whether it differs from the one that is there."""
    from xtool.fetch.locks import resolve

    return _store(
        session, catalog.lock_path(host, target), resolve(session.ctx, catalog, host, target), write
    )


def _make_sysroot(
    session: Session, catalog: Catalog, distribution: Distribution, keys: tuple[Path, ...], *, write: bool
) -> bool:
    """The same for a sysroot's lock."""
    from xtool.fetch.sysrootlocks import resolve_sysroot

    text = resolve_sysroot(session.ctx, catalog, distribution, keys=keys)
    return _store(session, catalog.sysroot_lock_path(distribution), text, write)


def _store(session: Session, path: Path, text: str, write: bool) -> bool:
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        session.console.info(f"{path.name} is up to date")
        return False
    if write:
        _write(path, text)
        session.console.info(f"wrote {path}")
    return True


def _write(path: Path, text: str) -> None:
    from xtool.errors import StoreError

    new = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror}",
            hint="copy the folder of declarations and point XTOOL_TOOLCHAINS_DIR to the copy",
        ) from error


def _describe(catalog: Catalog, host: Host, target: Target) -> dict[str, Any]:
    lock = catalog.lock(host, target)
    return {
        "target": target.name,
        "host": host.name,
        "path": catalog.lock_path(host, target),
        "digest": lock.digest,
        "outdated": lock.declaration != catalog.declaration_digest(host, target),
        "suites": [asdict(evidence) for evidence in lock.evidence.values()],
        "components": [
            {"name": name, "files": len(items), "size": sum(item.size for item in items)}
            for name, items in lock.components.items()
        ],
    }


def _describe_sysroot(catalog: Catalog, distribution: Distribution) -> dict[str, Any]:
    from xtool.sysroots import declaration_digest

    lock = catalog.sysroot_lock(distribution)
    return {
        "sysroot": distribution.name,
        "title": distribution.title,
        "target": distribution.target,
        "path": catalog.sysroot_lock_path(distribution),
        "digest": lock.digest,
        "outdated": lock.declaration != declaration_digest(distribution),
        "repositories": [asdict(evidence) for evidence in lock.evidence],
        "packages": [
            {"name": item.name, "version": item.version, "size": item.size, "sha256": item.sha256}
            for item in lock.artifacts
        ],
    }


def _name(lock: dict[str, Any]) -> str:
    return f"{lock['sysroot']} of {lock['target']}" if "sysroot" in lock else str(lock["target"])


def _text(lock: dict[str, Any]) -> str:
    from xtool.text import format_bytes, table

    stale = ["older than what is declared; `xtool lock --update` makes it anew"] if lock["outdated"] else []
    if "sysroot" in lock:
        head = [f"{lock['title']} for {lock['target']}: {lock['path']}", *map(_origin, lock["repositories"])]
        if not lock["repositories"]:
            head.append("pinned by hash; `xtool lock --update` checks signatures and learns sizes")
        rows = [
            [one["name"], one["version"], format_bytes(one["size"]) if one["size"] else "unknown"]
            for one in lock["packages"]
        ]
        return "\n".join([*head, *stale, table(rows, ["PACKAGE", "VERSION", "SIZE"])])
    rows = [[one["name"], str(one["files"]), format_bytes(one["size"])] for one in lock["components"]]
    suites = [
        f"{suite['suite']}: index of {suite['date']}, signed by {suite['fingerprint']}"
        for suite in lock["suites"]
    ]
    head = [f"{lock['target']} on {lock['host']}: {lock['path']}", *suites, *stale]
    return "\n".join([*head, table(rows, ["COMPONENT", "FILES", "SIZE"])])


def _origin(repository: dict[str, str]) -> str:
    """One line about a repository that a lock was made from."""
    signed = repository["fingerprint"]
    metadata = f"metadata signed by {signed}" if signed else "metadata not signed"
    signers = repository["packages_fingerprint"]
    packages = f", packages by {signers.replace(',', ' and ')}" if signers else ""
    return f"{repository['repository']}: of {repository['date'] or 'no date'}, {metadata}{packages}"


command = verb(
    _lock,
    name="lock",
    help=(
        "Show which files TARGETs or their sysroots are made of, or make that list anew from the archives' "
        "signed indexes.\n\n"
        "A lock is made anew from what `components.toml` or `sysroots.toml` declares; XTOOL_TOOLCHAINS_DIR "
        "names another folder. With a vault of your own: copy the folder, name the copy with "
        "XTOOL_TOOLCHAINS_DIR and the vault with XTOOL_CENTOS_MIRROR or its like, and make the lock with "
        "`--key`; the set-ups need the two variables too."
    ),
    example=(
        "xtool lock ppc64le\nxtool lock ppc64le --check\nxtool lock --update\n"
        "xtool lock --update --sysroot centos7 ppc64le\n"
        "xtool lock --update --sysroot centos7 ppc64le --key vault.asc"
    ),
    params=[
        click.Argument(["targets"], nargs=-1, metavar="[TARGET]..."),
        setting("--target", help="The same as TARGET.", metavar="TARGET", multiple=True),
        click.Option(
            ["--sysroot", "sysroots"],
            multiple=True,
            metavar="NAME",
            help="Work on the lock of this sysroot (centos7, almalinux9, ...). Can be repeated.",
        ),
        click.Option(["--update"], is_flag=True, help="Make the locks anew and write them."),
        click.Option(["--check"], is_flag=True, help="Exit with 6 if a lock made anew would differ."),
        click.Option(
            ["--key", "keys"],
            multiple=True,
            metavar="FILE",
            type=click.Path(path_type=Path),
            help="OpenPGP certificates that may sign instead of the pinned ones. Can be repeated.",
        ),
    ],
)
