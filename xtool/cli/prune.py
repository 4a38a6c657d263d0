"""`xtool prune`: remove what no current lock makes or names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from xtool.cli.base import Result, Session, verb

if TYPE_CHECKING:
    from xtool.housekeeping import Leftover

_NAMED = 20
"""How many things of one kind are named one by one."""


def _prune(session: Session, dry_run: bool) -> Result:
    from xtool import housekeeping
    from xtool.store import Store
    from xtool.text import format_bytes

    found = housekeeping.leftovers(session.ctx)
    if not dry_run:
        Store(session.ctx).sweep()
    removed = [one for one in found if dry_run or housekeeping.remove(session.ctx, one)]
    _tell(session, removed, "would remove" if dry_run else "removed")
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


def _tell(session: Session, removed: Sequence[Leftover], did: str) -> None:
    """Name what goes; of a kind that there are many of only how many, and each with `-v`."""
    from xtool.text import format_bytes

    for kind in dict.fromkeys(one.kind for one in removed):
        its = [one for one in removed if one.kind == kind]
        many = len(its) > _NAMED
        if many:
            size = format_bytes(sum(one.size for one in its))
            session.console.info(f"{did} {len(its)} of kind {kind} ({size}); `-v` names them")
        say = session.console.detail if many else session.console.info
        for one in its:
            say(f"{did} {kind} {one.name} ({format_bytes(one.size)})")


command = verb(
    _prune,
    name="prune",
    help=(
        "Remove components and downloads that no current lock asks for, stale partial downloads, and build "
        "environments and logs that have not been used for two weeks.\n\n"
        "What is in use stays."
    ),
    example="xtool prune --dry-run\nxtool prune",
    params=[click.Option(["--dry-run"], is_flag=True, help="Only say what would be removed.")],
)
