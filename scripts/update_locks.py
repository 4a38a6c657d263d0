#!/usr/bin/env python3
"""Make locks again from what `toolchains/` declares, through the archives' signed indexes.

    scripts/update_locks.py                     every lock that exists
    scripts/update_locks.py x86_64 ppc64le      the lock for one host and target, new or not
    scripts/update_locks.py --sysroots          every sysroot's lock that is made of RPM packages
    scripts/update_locks.py --check             say whether a lock would change; exit 1 if one would
    scripts/update_locks.py --as-of 2026-11-01 ...      from a mirror where a suite stands still: its index
                                                must have been valid on that day, if it is older than
                                                that; every signature is checked all the same
    scripts/update_locks.py --keep trixie ...   with what the present locks say of a suite's packages
    scripts/update_locks.py --like x86_64 aarch64 ppc64le       with what the lock of another host, or of this
                                                one, says of the target's own packages

Packages come from XTOOL_DEBIAN_MIRROR, else from the host's apt sources, else from the snapshot archive; each
is downloaded once into the cache (XTOOL_CACHE_DIR) and measured. RPM packages come from XTOOL_CENTOS_MIRROR
and its like, else from the archive's own hosts; each one's signature is checked.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from xtool.catalog import Catalog
from xtool.config import RPM_ARCHIVES, Settings
from xtool.context import Context
from xtool.errors import XtoolError
from xtool.fetch.locks import resolve
from xtool.fetch.mirrors import mirror_variable
from xtool.fetch.sysrootlocks import resolve_sysroot
from xtool.log import SilentLog
from xtool.paths import default_cache_dir
from xtool.targets import HOSTS, Host, Target


def main() -> int:
    parser = argparse.ArgumentParser(description="make locks again from what components.toml declares")
    parser.add_argument("host", nargs="?", choices=sorted(HOSTS))
    parser.add_argument("target", nargs="?")
    parser.add_argument("--sysroots", action="store_true", help="the locks of sysroots instead of targets")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a lock would change")
    parser.add_argument("--as-of", type=_day, help="when older indexes must have been valid")
    parser.add_argument("--keep", action="append", default=[], metavar="SUITE", help="a suite not to ask")
    parser.add_argument(
        "--like", choices=sorted(HOSTS), help="a host whose lock the target's own files are of"
    )
    arguments = parser.parse_args()
    if (arguments.host is None) != (arguments.target is None):
        parser.error("give a host and a target, or neither")
    if arguments.sysroots and arguments.host:
        parser.error("sysroots are the same for every host: `xtool lock --update --sysroot NAME` makes one")
    environ = dict(os.environ)
    settings = Settings(
        cache_dir=Path(environ.get("XTOOL_CACHE_DIR") or default_cache_dir()),
        debian_mirror=environ.get("XTOOL_DEBIAN_MIRROR"),
        snapshot_mirror=environ.get("XTOOL_SNAPSHOT_MIRROR"),
        jobs=os.cpu_count() or 1,
        rpm_mirrors={name: url for name in RPM_ARCHIVES if (url := environ.get(mirror_variable(name)))},
    )
    catalog = Catalog()
    ctx = Context(settings, SilentLog(), environ)
    changed = 0
    for path, text in _sysroots(ctx, catalog) if arguments.sysroots else _targets(ctx, catalog, arguments):
        same = path.is_file() and path.read_text(encoding="utf-8") == text
        if not arguments.check:
            path.write_text(text, encoding="utf-8")
        changed += not same
        print(f"{path.name}: {'unchanged' if same else 'changed'}")
    return 1 if arguments.check and changed else 0


def _day(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=timezone.utc)


def _targets(ctx: Context, catalog: Catalog, arguments: argparse.Namespace) -> Iterator[tuple[Path, str]]:
    for host, target in _pairs(catalog, arguments):
        like = HOSTS[arguments.like] if arguments.like else None
        text = resolve(ctx, catalog, host, target, as_of=arguments.as_of, keep=arguments.keep, like=like)
        yield catalog.lock_path(host, target), text


def _sysroots(ctx: Context, catalog: Catalog) -> Iterator[tuple[Path, str]]:
    for targets in catalog.sysroots.distributions.values():
        for distribution in targets.values():
            if catalog.archives[distribution.archive].kind == "rpm":
                yield catalog.sysroot_lock_path(distribution), resolve_sysroot(ctx, catalog, distribution)


def _pairs(catalog: Catalog, arguments: argparse.Namespace) -> list[tuple[Host, Target]]:
    if arguments.host:
        return [(HOSTS[arguments.host], catalog.target(arguments.target))]
    pairs = ((host, target) for host in HOSTS.values() for target in catalog.targets.values())
    return [(host, target) for host, target in pairs if catalog.lock_path(host, target).is_file()]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except XtoolError as error:
        print(f"error: {error.message}", *(f"  {fact}" for fact in error.facts), sep="\n", file=sys.stderr)
        print(f"hint: {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)
