"""`xtool show`: every fact of a target, what of it is installed, what a set-up would download."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import click

from xtool.cli.base import Result, Session, kit_options, verb
from xtool.cli.list import describe_pythons, describe_sysroots


def _show(session: Session, target: str) -> Result:
    from xtool.errors import OfflineError
    from xtool.housekeeping import missing, offer, sysroots_with_packages
    from xtool.setup import plan
    from xtool.store import Store
    from xtool.targets import format_glibc
    from xtool.text import format_sizes, table
    from xtool.toolchain.packages import planned_packages

    request = session.request(target)
    what = offer(session.ctx, request.target)
    # Nothing is asked of the network here, so a Python that is not installed counts as Debian's.
    unasked = replace(session.ctx, settings=replace(session.ctx.settings, offline=True))
    try:
        planned = plan(unasked, request)
    except OfflineError:
        # Which packages a sysroot gets must be looked up once.
        planned = plan(session.ctx, request)
    packages = planned_packages(planned.sysroot.recipe)
    absent, files = missing(session.ctx, planned.recipes)
    store = Store(session.ctx)
    installed = [entry for entry in store.entries() if entry.folder in what.recipes]
    installed += sysroots_with_packages(store, what)
    facts: dict[str, Any] = asdict(request.target)
    facts["lowest_glibc"] = format_glibc(request.target.lowest_glibc)
    size = sum(artifact.size for artifact in files)
    titles = [entry.manifest.title if entry.manifest else entry.folder for entry in installed]
    data = {
        "target": facts,
        "host": what.host.name,
        "pythons": list(what.pythons),
        "python_sources": {one.version: list(one.sources) for one in what.offered.values()},
        "python_prereleases": [one.version for one in what.offered.values() if one.prerelease],
        "glibc": {"lowest": format_glibc(what.floors[0]), "highest": format_glibc(what.floors[-1])},
        "sysroots": {
            kind: {"lowest": format_glibc(low), "highest": format_glibc(high)}
            for kind, (low, high) in what.sysroots.items()
        },
        "lock": {
            "digest": what.lock.digest,
            "suites": [asdict(evidence) for evidence in what.lock.evidence.values()],
        },
        "installed": [
            {"title": title, "path": entry.path} for title, entry in zip(titles, installed, strict=True)
        ],
        "setup": {
            "python": list(request.versions),
            "glibc": format_glibc(planned.request.floor),
            "sysroot": {"kind": planned.sysroot.kind, "why": planned.why, "packages": packages},
            "components": [
                {"title": recipe.title, "installed": recipe not in absent} for recipe in planned.recipes
            ],
            "download_files": len(files),
            "download_bytes": size,
            "download_files_of_unknown_size": sum(not artifact.size for artifact in files),
        },
    }
    elf, limits = facts.pop("elf"), facts.pop("limits")
    rows = [[name.replace("_", " "), _cell(value)] for name, value in facts.items()]
    rows.append(["elf", ", ".join(f"{name} {_cell(value)}" for name, value in elf.items())])
    rows.append(["pythons", describe_pythons(what.offered)])
    rows.append(["glibc floors", f"{format_glibc(what.floors[0])} to {format_glibc(what.floors[-1])}"])
    rows.append(["sysroots", ", ".join(describe_sysroots(what.sysroots))])
    rows.append(["sysroot taken", f"{planned.sysroot.kind}: {planned.why}"])
    if packages:
        rows.append(["sysroot packages", ", ".join(f"{one['name']} {one['version']}" for one in packages)])
    facts |= {"elf": elf, "limits": limits}
    parts = [
        table(rows),
        *(["limits:\n" + "\n".join(f"  {limit}" for limit in limits)] if limits else []),
        "installed:\n" + "\n".join(f"  {title}" for title in titles or ["nothing"]),
    ]
    if absent:
        sizes = format_sizes([artifact.size for artifact in files])
        parts.append(
            f"`xtool setup {request.target.name}` would make {_count(len(absent), 'component')} and download "
            + (f"{_count(len(files), 'file')} ({sizes})" if files else "nothing")
        )
    return Result(data, text="\n\n".join(parts))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _cell(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


command = verb(
    _show,
    name="show",
    help=(
        "Show everything known about TARGET: the names it goes by, its ABI, what of it is installed, and "
        "what a set-up with these options would download."
    ),
    example="xtool show ppc64le\nxtool show ppc64le --python 3.11 --glibc 2.28",
    params=[click.Argument(["target"]), *kit_options()],
)
