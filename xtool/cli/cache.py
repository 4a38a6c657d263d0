"""`xtool cache`: where the cache is, how large, its key; moving and cleaning it."""

from __future__ import annotations

from pathlib import Path

import click

from xtool.cli.base import CONTEXT_SETTINGS, Group, Result, Session, common_options, kit_options, unique, verb


def _dir(session: Session) -> Result:
    path = session.ctx.settings.cache_dir
    return Result({"path": path, "exists": path.is_dir()}, text=str(path))


def _size(session: Session) -> Result:
    from xtool.housekeeping import cache_sizes
    from xtool.text import format_bytes, table

    sizes = cache_sizes(session.ctx)
    total = sum(sizes.values())
    rows = [[name, format_bytes(size)] for name, size in (*sizes.items(), ("total", total))]
    return Result({"path": session.ctx.settings.cache_dir, **sizes, "total": total}, text=table(rows))


def _key(session: Session, targets: tuple[str, ...]) -> Result:
    from xtool.cachefile import cache_key
    from xtool.catalog import Catalog

    catalog = Catalog(session.ctx.settings.toolchains_dir)
    names = unique(targets) or unique(session.value("target", ())) or tuple(catalog.targets)
    key = cache_key(session.ctx, [session.request(name) for name in names])
    return Result({"key": key}, text=key)


def _export(session: Session, file: str) -> Result:
    from xtool.cachefile import export_cache
    from xtool.errors import UsageError
    from xtool.text import format_bytes

    path = _file(session, file)
    if path is not None and not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}", hint="make it, or name another file to write")
    done = export_cache(session.ctx, path)
    where = path or "standard output"
    session.console.info(f"wrote {len(done.components)} components to {where} ({format_bytes(done.size)})")
    return Result({"path": path, "size": done.size, "components": list(done.components)})


def _import(session: Session, file: str) -> Result:
    from xtool.cachefile import import_cache
    from xtool.errors import UsageError

    path = _file(session, file)
    if path is not None and not path.exists():
        raise UsageError(f"there is no file {path}", hint="name a file that `xtool cache export` wrote")
    done = import_cache(session.ctx, path)
    folder = session.ctx.settings.cache_dir
    already = f", {len(done.present)} were there already" if done.present else ""
    session.console.info(f"installed {len(done.installed)} components in {folder}{already}")
    return Result({"path": folder, "installed": list(done.installed), "present": list(done.present)})


def _file(session: Session, name: str) -> Path | None:
    """The file of an export or import; None for `-`, which is standard output or input.

    Raises:
        UsageError: standard output is to hold the JSON document already.
    """
    if name != "-":
        return Path(name).absolute()
    if session.json:
        from xtool.errors import UsageError

        raise UsageError("`-` and `--output json` both want standard output", hint="name a file")
    return None


def _clean(session: Session, downloads: bool) -> Result:
    from xtool import housekeeping
    from xtool.text import format_bytes

    freed, kept = housekeeping.clean(session.ctx, only_downloads=downloads)
    session.console.info(f"freed {format_bytes(freed)}")
    return Result({"freed": freed, "kept_in_use": kept})


command = Group(
    "cache",
    help="Show, move or clean the cache.",
    params=common_options(),
    context_settings=CONTEXT_SETTINGS,
    commands=[
        verb(_dir, name="dir", help="Print the cache's folder.", example="xtool cache dir"),
        verb(_size, name="size", help="Print how large the cache is.", example="xtool cache size"),
        verb(
            _key,
            name="key",
            help=(
                "Print a key for a CI service's cache: it changes exactly when what a set-up "
                "with these options makes changes (host, targets, Pythons, floor, locks, store format)."
            ),
            example="xtool cache key ppc64le\nxtool cache key ppc64le --python 3.11 --glibc 2.28",
            params=[click.Argument(["targets"], nargs=-1, metavar="[TARGET]..."), *kit_options()],
        ),
        verb(
            _export,
            name="export",
            help="Write what is installed into one file (`-` for stdout); equal content gives equal bytes.",
            example="xtool cache export xtool-cache.tar.zst",
            params=[click.Argument(["file"], metavar="FILE")],
        ),
        verb(
            _import,
            name="import",
            help="Install what `xtool cache export` wrote (`-` for stdin); the cache may lie elsewhere now.",
            example="xtool cache import xtool-cache.tar.zst",
            params=[click.Argument(["file"], metavar="FILE")],
        ),
        verb(
            _clean,
            name="clean",
            help="Empty the cache. What is in use stays.",
            example="xtool cache clean\nxtool cache clean --downloads",
            params=[
                click.Option(
                    ["--downloads"], is_flag=True, help="Remove downloads only, keep what is installed."
                )
            ],
        ),
    ],
)
