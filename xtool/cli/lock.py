"""`xtool lock`: which exact files a target is made of; and making that list anew."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xtool.cli.base import Result, Session, unique, verb

if TYPE_CHECKING:
    from xtool.catalog import Catalog
    from xtool.errors import XtoolError
    from xtool.targets import Host, Target


def _lock(session: Session, targets: tuple[str, ...], update: bool, check: bool) -> Result:
    from xtool.catalog import Catalog
    from xtool.errors import ProblemsFound
    from xtool.targets import current_host

    catalog = Catalog(session.ctx.settings.toolchains_dir)
    host = current_host()
    names = unique(targets) or unique(session.value("target", ()))
    chosen = [catalog.target(name) for name in names] or [
        target for target in catalog.targets.values() if catalog.lock_path(host, target).is_file()
    ]
    changed = []
    if update or check:
        changed = [target.name for target in chosen if _make(session, catalog, host, target, write=update)]
    locks = [_describe(catalog, host, target) for target in chosen]
    for lock in locks:
        lock["changed"] = lock["target"] in changed
    errors: tuple[XtoolError, ...] = ()
    if check and not update and changed:
        hint = "run `xtool lock --update`"
        errors = (ProblemsFound(f"there are newer files for {', '.join(changed)}", hint=hint),)
    return Result({"locks": locks}, text="\n\n".join(map(_text, locks)), errors=errors)


def _make(session: Session, catalog: Catalog, host: Host, target: Target, *, write: bool) -> bool:
    """Resolve a lock through the signed chain; whether it differs from the one that is there."""
    from xtool.fetch.locks import resolve

    path = catalog.lock_path(host, target)
    text = resolve(session.ctx, catalog, host, target)
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
        path.parent.mkdir(exist_ok=True)
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


def _text(lock: dict[str, Any]) -> str:
    from xtool.text import format_bytes, table

    rows = [[one["name"], str(one["files"]), format_bytes(one["size"])] for one in lock["components"]]
    suites = [
        f"{suite['suite']}: index of {suite['date']}, signed by {suite['fingerprint']}"
        for suite in lock["suites"]
    ]
    stale = ["older than what is declared; `xtool lock --update` makes it anew"] if lock["outdated"] else []
    head = [f"{lock['target']} on {lock['host']}: {lock['path']}", *suites, *stale]
    return "\n".join([*head, table(rows, ["COMPONENT", "FILES", "SIZE"])])


command = verb(
    _lock,
    name="lock",
    help=(
        "Show which files TARGETs are made of, or make that list anew from the archives' signed indexes.\n\n"
        "A lock is made anew from what `components.toml` declares; XTOOL_TOOLCHAINS_DIR names another folder."
    ),
    example="xtool lock ppc64le\nxtool lock ppc64le --check\nxtool lock --update",
    params=[
        click.Argument(["targets"], nargs=-1, metavar="[TARGET]..."),
        click.Option(["--update"], is_flag=True, help="Make the locks anew and write them."),
        click.Option(["--check"], is_flag=True, help="Exit with 6 if a lock made anew would differ."),
    ],
)
