"""`xtool list`: what is installed, or what can be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from xtool.cli.base import Result, Session, verb

if TYPE_CHECKING:
    from xtool.python.offers import Offered
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
    pythons: dict[str, Mapping[str, Offered]] = {}
    rows = []
    for offer in offers(session.ctx):
        declared = catalog.declarations(offer.host, offer.target)
        lowest, highest = format_glibc(offer.floors[0]), format_glibc(offer.floors[-1])
        targets.append(
            {
                "target": offer.target.name,
                "triplet": offer.target.triplet,
                "host": offer.host.name,
                "gcc": declared["gcc"].version,
                "fortran": "gfortran" in offer.lock.components,
                "pythons": [_python_data(one) for one in offer.offered.values()],
                "glibc": {"lowest": lowest, "highest": highest},
                "sysroots": {
                    kind: {"lowest": format_glibc(low), "highest": format_glibc(high)}
                    for kind, (low, high) in offer.sysroots.items()
                },
            }
        )
        pythons[offer.target.name] = offer.offered
        rows.append(
            [
                offer.target.name,
                offer.target.triplet,
                declared["gcc"].version,
                f"{lowest} to {highest}",
                ", ".join(describe_sysroots(offer.sysroots)),
            ]
        )
    header = ["TARGET", "TRIPLET", "GCC", "GLIBC", "SYSROOTS"]
    return Result({"targets": targets}, text=f"{table(rows, header)}\n\n{_python_table(pythons)}")


def _python_data(one: Offered) -> dict[str, Any]:
    return {"version": one.version, "sources": list(one.sources), "prerelease": one.prerelease}


def _python_table(pythons: Mapping[str, Mapping[str, Offered]]) -> str:
    """Targets against versions; each cell says by letters which sources have it."""
    from xtool.python.versions import sort_key
    from xtool.text import table

    versions = sorted({version for offered in pythons.values() for version in offered}, key=sort_key)
    rows = [[name, *(_cell(offered.get(v)) for v in versions)] for name, offered in pythons.items()]
    legend = "d: Debian's packages, p: portable builds through uv, *: a pre-release, t: without the GIL"
    return f"{table(rows, ['PYTHON', *versions])}\n{legend}"


def _cell(one: Offered | None) -> str:
    if one is None:
        return "-"
    return "".join(sorted(source[0] for source in one.sources)) + ("*" if one.prerelease else "")


def describe_pythons(offered: Mapping[str, Offered]) -> str:
    """Versions with their sources, in one line: `3.12 (portable), 3.13 (portable, debian)`."""
    return ", ".join(
        f"{one.version} ({', '.join((*one.sources, *(['pre-release'] if one.prerelease else [])))})"
        for one in offered.values()
    )


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
            ["--available"], is_flag=True, help="List targets, glibc floors, and Pythons with their sources."
        )
    ],
)
