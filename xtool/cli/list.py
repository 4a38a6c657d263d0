"""`xtool list`: what is installed, or what can be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from xtool.cli.base import Result, Session, verb

if TYPE_CHECKING:
    from xtool.targets import Glibc


def _list(session: Session, available: bool) -> Result:
    return _available(session) if available else _installed(session)


def _installed(session: Session) -> Result:
    from xtool.housekeeping import entry_size
    from xtool.store import Store
    from xtool.text import format_bytes, table

    components: list[dict[str, Any]] = []
    for entry in Store(session.ctx).entries():
        record = entry.manifest
        components.append(
            {
                "name": record.name if record else entry.folder,
                "title": record.title if record else f"{entry.folder} (damaged)",
                "folder": entry.folder,
                "path": entry.path,
                "size": entry_size(entry),
                "files": record.count if record else None,
                "digest": record.digest if record else None,
                "whole": record is not None,
            }
        )
    total = sum(component["size"] for component in components)
    data = {"components": components, "size": total}
    if not components:
        session.console.info("nothing is installed; `xtool setup TARGET` does it")
        return Result(data)
    rows = [[c["title"], format_bytes(c["size"]), c["folder"]] for c in components]
    rows.append(["total", format_bytes(total)])
    return Result(data, text=table(rows, ["COMPONENT", "SIZE", "FOLDER"]))


def _available(session: Session) -> Result:
    from xtool.catalog import Catalog
    from xtool.housekeeping import offers
    from xtool.targets import format_glibc
    from xtool.text import table

    catalog = Catalog(session.ctx.settings.toolchains_dir)
    targets: list[dict[str, Any]] = []
    rows = []
    for offer in offers(session.ctx):
        declared = catalog.declarations(offer.host, offer.target)
        lowest, highest = format_glibc(offer.floors[0]), format_glibc(offer.floors[-1])
        pythons = [{"version": version, "sources": ["debian"]} for version in offer.pythons]
        targets.append(
            {
                "target": offer.target.name,
                "triplet": offer.target.triplet,
                "host": offer.host.name,
                "gcc": declared["gcc"].version,
                "fortran": "gfortran" in offer.lock.components,
                "pythons": pythons,
                "glibc": {"lowest": lowest, "highest": highest},
                "sysroots": {
                    kind: {"lowest": format_glibc(low), "highest": format_glibc(high)}
                    for kind, (low, high) in offer.sysroots.items()
                },
            }
        )
        versions = ", ".join(offer.pythons)
        rows.append(
            [
                offer.target.name,
                offer.target.triplet,
                declared["gcc"].version,
                versions,
                f"{lowest} to {highest}",
                ", ".join(describe_sysroots(offer.sysroots)),
            ]
        )
    header = ["TARGET", "TRIPLET", "GCC", "PYTHON", "GLIBC", "SYSROOTS"]
    return Result({"targets": targets}, text=table(rows, header))


def describe_sysroots(sysroots: Mapping[str, tuple[Glibc, Glibc]]) -> list[str]:
    """Names of sysroots; of one that has a single floor, that floor with it: `centos7 2.17`."""
    from xtool.targets import format_glibc

    return [name if low != high else f"{name} {format_glibc(low)}" for name, (low, high) in sysroots.items()]


command = verb(
    _list,
    name="list",
    help="List the installed components with their sizes, or what can be set up.",
    example="xtool list\nxtool list --available",
    params=[
        click.Option(
            ["--available"], is_flag=True, help="List targets, Pythons and glibc floors that there are."
        )
    ],
)
