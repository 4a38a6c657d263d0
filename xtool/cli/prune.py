"""`xtool prune`: remove what no current lock makes or names."""

from __future__ import annotations

import click

from xtool.cli.base import Result, Session, verb


def _prune(session: Session, dry_run: bool) -> Result:
    from xtool import housekeeping
    from xtool.store import Store
    from xtool.text import format_bytes

    found = housekeeping.leftovers(session.ctx)
    if not dry_run:
        Store(session.ctx).sweep()
    removed = []
    for leftover in found:
        if dry_run or housekeeping.remove(session.ctx, leftover):
            removed.append(leftover)
            did = "would remove" if dry_run else "removed"
            session.console.info(f"{did} {leftover.kind} {leftover.name} ({format_bytes(leftover.size)})")
    size = sum(leftover.size for leftover in removed)
    if dry_run:
        session.console.info(f"{format_bytes(size)} would be freed")
    else:
        session.console.info(f"freed {format_bytes(size)}" if removed else "nothing to remove")
    data = {
        "dry_run": dry_run,
        "removed": [
            {"kind": one.kind, "name": one.name, "path": one.path, "size": one.size} for one in removed
        ],
        "kept_in_use": [one.path for one in found if one not in removed],
        "size": size,
    }
    return Result(data)


command = verb(
    _prune,
    name="prune",
    help=(
        "Remove components and downloads that no current lock asks for, and stale partial downloads.\n\n"
        "What is in use stays."
    ),
    example="xtool prune --dry-run\nxtool prune",
    params=[click.Option(["--dry-run"], is_flag=True, help="Only say what would be removed.")],
)
