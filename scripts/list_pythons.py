#!/usr/bin/env python3
"""Print which Python each source has for each target and for builds on each host, as Markdown.

    scripts/list_pythons.py

Reads the locks in `toolchains/` and the table of portable builds that the installed uv carries. Nothing is
fetched.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import version as installed
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from xtool.catalog import Catalog, Lock  # noqa: E402
from xtool.config import Settings  # noqa: E402
from xtool.context import Context  # noqa: E402
from xtool.log import SilentLog  # noqa: E402
from xtool.paths import default_cache_dir  # noqa: E402
from xtool.python import offers, portable, uvtable  # noqa: E402
from xtool.python.offers import Offered  # noqa: E402
from xtool.python.versions import sort_key  # noqa: E402
from xtool.targets import HOSTS, current_host  # noqa: E402


def main() -> int:
    environ = {name: value for name, value in os.environ.items() if name != uvtable.TABLE_VARIABLE}
    cache = Path(environ.get("XTOOL_CACHE_DIR") or default_cache_dir())
    ctx = Context(Settings(cache_dir=cache), SilentLog(), environ)
    catalog = Catalog()
    print(
        f"From the locks, and the table of uv {installed('uv')}: d is Debian, p a portable build through uv,"
    )
    print("an asterisk a pre-release.\n")
    locks = [
        catalog.lock(host, target)
        for host in HOSTS.values()
        for target in catalog.targets.values()
        if catalog.lock_path(host, target).is_file()
    ]
    rows: dict[str, Mapping[str, Offered]] = {}
    for lock in locks:
        if lock.host == current_host().name:
            builds = uvtable.versions(ctx, portable.machine(catalog.target(lock.target)))
            rows[lock.target] = offers.combined(offers.debian(lock), builds)
    for lock in locks:
        builds = uvtable.versions(ctx, portable.machine_of_host(HOSTS[lock.host]))
        rows[f"builds on {lock.host}"] = offers.combined(offers.debian(lock, "build-python"), builds)
    print(matrix(rows))
    print("\n| Debian's suite | Pythons |\n| --- | --- |")
    for suite, pythons in sorted(releases(locks).items()):
        print(f"| {suite} | {', '.join(sorted(pythons, key=lambda text: sort_key(minor(text))))} |")
    return 0


def matrix(rows: Mapping[str, Mapping[str, Offered]]) -> str:
    """A table of versions, a letter for each source that has one."""
    versions = sorted({version for offered in rows.values() for version in offered}, key=sort_key)
    lines = [table_row(["", *versions]), table_row(["---"] * (len(versions) + 1))]
    for name, offered in rows.items():
        lines.append(table_row([name, *(cell(offered.get(version)) for version in versions)]))
    return "\n".join(lines)


def cell(one: Offered | None) -> str:
    """`d p`, with an asterisk for a pre-release."""
    if one is None:
        return ""
    return " ".join(sorted(source[0] for source in one.sources)) + (" *" if one.prerelease else "")


def releases(locks: Iterable[Lock]) -> dict[str, set[str]]:
    """By suite, the upstream releases of the Pythons that locks have."""
    found: dict[str, set[str]] = {}
    for lock in locks:
        for name, artifacts in lock.components.items():
            for artifact in artifacts if name.startswith(("python", "build-python")) else ():
                if artifact.name == name.removeprefix("build-"):
                    found.setdefault(artifact.suite, set()).add(re.split(r"[-+~]", artifact.version)[0])
    return found


def minor(release: str) -> str:
    """`3.13` for `3.13.5`."""
    return ".".join(release.split(".")[:2])


def table_row(cells: Iterable[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
