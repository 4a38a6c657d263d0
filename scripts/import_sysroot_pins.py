#!/usr/bin/env python3
"""Make sysroot locks from a table of pins: packages whose URL and sha256 are known, and nothing else.

    scripts/import_sysroot_pins.py pins.tsv                  into the declarations beside this script's folder
    scripts/import_sysroot_pins.py pins.tsv --into FOLDER    into a copy of them

The table has a line for each package, its columns separated by tabs, with a first line that names them:
sysroot, arch, package, url, sha256. What `toolchains/sysroots.toml` declares is looked up in it; a package
that it lacks is an error, one that nobody declares is passed over. The locks say size 0 (unknown) and a cap
instead of the exact unpacked size; `xtool lock --update --sysroot NAME` replaces them by measured ones.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from xtool.artifacts import Artifact
from xtool.catalog import Catalog
from xtool.errors import CatalogError, XtoolError
from xtool.fetch.lockfile import render_sysroot
from xtool.sysroots import Distribution

UNPACKED_CAP = 128 << 20
LARGEST_CAP = 256 << 20
"""Bytes that a package may unpack to; the larger cap is for glibc-common, which holds every locale on EL7."""

HEADER = """\
# Made by scripts/import_sysroot_pins.py from pins by URL and sha256. size = 0 means that only the hash is
# known: the size is learnt when the file is fetched. unpacked_size is a cap that was set, not measured.
"""

# The folder of a release has several names on the vault; a lock has the one that sysroots.toml declares.
SAME_FOLDER = {"centos/7.9.2009/": "7.9.2009/", "altarch/7/": "altarch/7.9.2009/"}

_FILE = re.compile(r"(?P<name>.+)-(?P<version>[^-]+-[^-]+)\.(?P<arch>[^.]+)\.rpm")


def main() -> int:
    parser = argparse.ArgumentParser(description="make sysroot locks from a table of pins")
    parser.add_argument("table", type=Path)
    parser.add_argument("--into", type=Path, help="folder of declarations (default: toolchains/)")
    arguments = parser.parse_args()
    with arguments.table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    catalog = Catalog(arguments.into)
    for targets in catalog.sysroots.distributions.values():
        for distribution in targets.values():
            archive = catalog.archives[distribution.archive]
            if archive.kind != "rpm":
                continue
            pins = _pins(rows, archive.bases, distribution)
            missing = sorted(set(distribution.packages) - set(pins))
            if missing:
                raise CatalogError(
                    f"{distribution.name} for {distribution.target}: the table lacks {', '.join(missing)}",
                    hint="add them to the table, or take them out of sysroots.toml",
                )
            path = catalog.sysroot_lock_path(distribution)
            path.parent.mkdir(exist_ok=True)
            artifacts = [pins[name] for name in distribution.packages]
            path.write_text(render_sysroot(distribution, [], artifacts, header=HEADER), encoding="utf-8")
            print(f"{path.name}: {len(artifacts)} packages")
    return 0


def _pins(
    rows: list[dict[str, str]], bases: tuple[str, ...], distribution: Distribution
) -> dict[str, Artifact]:
    """The rows that lie in the distribution's repositories, by package name."""
    found: dict[str, Artifact] = {}
    for row in rows:
        path = _below(row["url"], bases)
        if path is None or not path.startswith(tuple(one.path for one in distribution.repositories)):
            continue
        match = _FILE.fullmatch(path.rpartition("/")[2])
        if match is None or match["name"] != row["package"]:
            raise CatalogError(f"the file name does not fit the package: {row['url']}", hint="mend the table")
        if match["arch"] not in (distribution.arch, "noarch") or row["package"] in found:
            raise CatalogError(f"another architecture, or a second {row['package']}: {row['url']}")
        found[row["package"]] = Artifact(
            name=row["package"],
            version=match["version"],
            arch=match["arch"],
            archive=distribution.archive,
            suite="",
            path=path,
            size=0,
            sha256=row["sha256"],
            unpacked_size=LARGEST_CAP if row["package"] == "glibc-common" else UNPACKED_CAP,
        )
    return found


def _below(url: str, bases: tuple[str, ...]) -> str | None:
    """The path below one of the bases; the scheme does not matter, for the hash decides."""
    parts = urlsplit(url)
    place = parts.netloc + unquote(parts.path)
    for base in bases:
        prefix = urlsplit(base).netloc + urlsplit(base).path
        if place.startswith(prefix):
            path = place.removeprefix(prefix)
            for alias, folder in SAME_FOLDER.items():
                if path.startswith(alias):
                    return folder + path.removeprefix(alias)
            return path
    return None


if __name__ == "__main__":
    try:
        sys.exit(main())
    except XtoolError as error:
        print(f"error: {error.message}", *(f"  {fact}" for fact in error.facts), sep="\n", file=sys.stderr)
        sys.exit(error.exit_code)
