"""Which portable CPython builds there are: uv's own table, asked once and remembered in the cache.

uv carries a table of builds, or reads another one that UV_PYTHON_DOWNLOADS_JSON_URL names. Asking costs a
process start (0.2 s), so the answer is kept for as long as uv and the table stay the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xtool import proc
from xtool.catalog import Catalog
from xtool.errors import NetworkError, OfflineError, XtoolError
from xtool.log import SilentLog
from xtool.python.versions import PythonVersion, parse_python

if TYPE_CHECKING:
    from xtool.context import Context

TABLE_VARIABLE = "UV_PYTHON_DOWNLOADS_JSON_URL"
"""uv's variable that names another table; xtool passes it on."""

_SCHEMA = 1
_FLAVOURS = {"default": False, "freethreaded": True}
_PRERELEASE = re.compile(r"\d+\.\d+\.\d+(?:a|b|rc)\d+")

Builds = Mapping[str, Mapping[str, bool]]
"""By machine and C library as uv names them (`powerpc64le-gnu`): version -> whether it is a pre-release."""


def builds(ctx: Context) -> Builds:
    """The portable builds for Linux, by what they run on.

    Args:
        ctx: settings, log, environment.

    Raises:
        NetworkError: the table that UV_PYTHON_DOWNLOADS_JSON_URL names cannot be read.
    """
    url = ctx.environ.get(TABLE_VARIABLE, "")
    path = ctx.settings.cache_dir / "v1" / "state" / "portable-pythons.json"
    key = {"schema": _SCHEMA, "uv": _uv_version(), "url": url}
    remembered = _read(path, key)
    # uv's own table changes with uv alone; another one may have changed since.
    if remembered is not None and (not url or ctx.settings.offline):
        return remembered
    try:
        found = _ask(ctx, url)
    except NetworkError as error:
        if remembered is None:
            raise
        ctx.log.detail(f"{error.message}; taken as it was before")
        return remembered
    if found != remembered:
        _write(path, key, found)
    return found


def versions(ctx: Context, machine: str) -> dict[str, bool]:
    """The portable builds for one machine that are offered: version -> whether it is a pre-release.

    Args:
        ctx: settings, log, environment.
        machine: the machine and C library as uv names them: `powerpc64le-gnu`.

    Raises:
        NetworkError: the table cannot be read.
    """
    oldest = parse_python(Catalog(ctx.settings.toolchains_dir).portable_python_oldest)
    every = builds(ctx).get(machine, {})
    return {version: early for version, early in every.items() if parse_python(version) >= oldest}


def http_variables(ctx: Context, timeout: float) -> dict[str, str]:
    """xtool's settings for transfers as uv's variables; the time-out is in seconds without a byte."""
    return {
        "UV_HTTP_TIMEOUT": f"{max(1, round(timeout))}",
        "UV_HTTP_RETRIES": str(ctx.settings.retries),
    }


def _uv_version() -> str:
    from importlib.metadata import version

    return version("uv")


def _ask(ctx: Context, url: str) -> dict[str, dict[str, bool]]:
    from uv import find_uv_bin

    argv = [find_uv_bin(), "python", "list", "--all-versions", "--all-platforms", "--all-arches"]
    argv += ["--only-downloads", "--output-format", "json", "--no-config", "--no-cache", "--color", "never"]
    if ctx.settings.offline or not url:
        argv.append("--offline")
    environ = {name: value for name, value in ctx.environ.items() if not name.startswith(("UV_", "PYTHON"))}
    if url:
        environ |= {TABLE_VARIABLE: url, **http_variables(ctx, ctx.settings.connect_timeout)}
    try:
        done = proc.run(argv, log=SilentLog(), env=environ, merge=False, what="asking uv for its Pythons")
        return _digested(json.loads(done.stdout))
    except (XtoolError, ValueError, KeyError, TypeError, AttributeError) as error:
        kind = OfflineError if ctx.settings.offline else NetworkError
        said = list(error.facts) if isinstance(error, XtoolError) else [repr(error)]
        said = [fact for fact in said if not fact.startswith("command: ")]
        raise kind(
            "uv cannot say which portable Pythons there are",
            facts=[*([f"{TABLE_VARIABLE} is {url}"] if url else []), *said],
            hint=f"mend or unset {TABLE_VARIABLE}, or choose `--python-source debian`"
            if url
            else "choose `--python-source debian`",
            code="portable-table",
        ) from error


def _digested(entries: list[dict[str, Any]]) -> dict[str, dict[str, bool]]:
    """Of every minor version and flavour, whether all its builds are alphas, betas or release candidates."""
    found: dict[str, dict[PythonVersion, bool]] = {}
    for entry in entries:
        threaded = _FLAVOURS.get(entry["variant"])
        if entry["os"] != "linux" or entry["implementation"] != "cpython" or threaded is None:
            continue
        parts = entry["version_parts"]
        version = PythonVersion(int(parts["major"]), int(parts["minor"]), threaded)
        every = found.setdefault(f"{entry['arch']}-{entry['libc']}", {})
        early = _PRERELEASE.match(entry["version"]) is not None
        every[version] = every.get(version, True) and early
    return {
        machine: {str(version): every[version] for version in sorted(every)}
        for machine, every in sorted(found.items())
    }


def _read(path: Path, key: Mapping[str, object]) -> dict[str, dict[str, bool]] | None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["key"] != key:
            return None
        return {
            str(machine): {str(parse_python(version)): bool(early) for version, early in every.items()}
            for machine, every in document["builds"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, XtoolError):
        return None


def _write(path: Path, key: Mapping[str, object], found: Builds) -> None:
    """Remember a table; not at any price, as all that is lost is the time to ask again.

    A cache that does not exist yet is not made for it.
    """
    if path.parent.parent.is_dir():
        with suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            temporary = path.with_suffix(".new")
            temporary.write_text(json.dumps({"key": key, "builds": found}) + "\n", encoding="utf-8")
            temporary.replace(path)
