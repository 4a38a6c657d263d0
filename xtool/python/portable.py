"""Portable CPython builds (python-build-standalone), fetched by uv, which verifies and unpacks them.

uv carries the table of builds with their hashes; `XTOOL_PYTHON_MIRROR` names another place that has the same
files. An unpacked build is relocatable: `bin/python3.13`, `lib/python3.13`, `include/python3.13`; without the
GIL these are `python3.13t`.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from xtool import proc
from xtool.catalog import Catalog, Lock
from xtool.context import Context
from xtool.errors import CommandFailed, IntegrityError, NetworkError, OfflineError
from xtool.python.uvtable import TABLE_VARIABLE, http_variables
from xtool.python.versions import sort_key
from xtool.targets import Host, Target

SOURCES = ("auto", "portable", "debian")
"""What can be asked for as the source of Pythons."""

DEBIANS = "choose `--python-source debian`"
"""What helps where a portable build cannot be had and Debian has that version."""

_PROBE_TIMEOUT = 3.0
_PASSED_ON = (TABLE_VARIABLE,)


def machine(target: Target) -> str:
    """A target's machine and C library as uv names them: `powerpc64le-gnu`, `armv7-gnueabihf`."""
    return f"{target.uv}-{target.triplet.rpartition('-')[2]}"


def machine_of_host(host: Host) -> str:
    """The host's, likewise: `x86_64-gnu`."""
    return f"{host.name}-gnu"


def key(version: str, machine: str) -> str:
    """uv's name of the newest portable build of a version: `cpython-3.13t-linux-powerpc64le-gnu`."""
    return f"cpython-{version}-linux-{machine}"


def instead_of(version: str, lock: Lock, prefix: str = "python") -> str:
    """What a user can do where a portable build cannot be had, as the end of a hint.

    Args:
        version: the version that was asked for.
        lock: what Debian has.
        prefix: `python` for the target's Pythons, `build-python` for the host's.
    """
    has = [name.removeprefix(prefix) for name in lock.components if name.startswith(prefix)]
    if version in has:
        return DEBIANS
    return f"choose a `--python` that Debian has: {', '.join(sorted(has, key=sort_key))}"


def fingerprint(key: str) -> dict[str, str]:
    """What decides which build uv takes, for a recipe's parameters: its name and uv's own table."""
    from importlib.metadata import version as installed

    return {"key": key, "uv": installed("uv")}


def reachable(ctx: Context) -> bool:
    """Whether the mirror of portable builds answers: one request, no retries, a few seconds at most.

    It is a GET whose body is not read, as not every file server knows HEAD.
    """
    if ctx.settings.offline:
        return False
    import requests

    base = ctx.settings.python_mirror or Catalog(ctx.settings.toolchains_dir).portable_python_mirror
    if base.startswith("file://"):
        return Path(base.removeprefix("file://")).is_dir()
    timeout = min(_PROBE_TIMEOUT, ctx.settings.connect_timeout)
    try:
        with requests.get(base, timeout=timeout, stream=True) as answer:
            status = answer.status_code
    except (requests.RequestException, ValueError) as error:
        ctx.log.detail(f"portable Python builds are out of reach: {error}")
        return False
    # A folder that cannot be listed answers 403 or 404 and still serves files; a proxy that refuses says 407.
    return status < 500 and status != 407


def install(ctx: Context, key: str, dest: Path, *, otherwise: str = DEBIANS) -> Path:
    """Fetch and unpack a portable build.

    Args:
        ctx: settings, log, environment.
        key: uv's name of the build (`cpython-3.13-linux-powerpc64le-gnu`).
        dest: where its `bin`, `lib` and `include` shall lie; must not exist.
        otherwise: what the user can do where it cannot be had.

    Returns:
        `dest`.

    Raises:
        OfflineError: `--offline` forbids fetching it.
        NetworkError: it could not be fetched.
        IntegrityError: what was fetched is not what uv's table says.
        CommandFailed: uv knows no such build, or failed otherwise.
    """
    if ctx.settings.offline:
        raise OfflineError(
            f"the portable Python {key} is not in the cache and `--offline` forbids fetching it",
            hint=f"run once without `--offline`, or {otherwise}",
        )
    place = dest.with_name(dest.name + ".uv")
    try:
        _run_uv(ctx, key, place, otherwise)
        found = [path for path in sorted(place.glob("cpython-*")) if path.is_dir() and not path.is_symlink()]
        if len(found) != 1:
            raise CommandFailed(f"uv installed no Python for {key}", facts=[str(path) for path in found])
        forget_place(found[0])
        found[0].rename(dest)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return dest


def _run_uv(ctx: Context, key: str, place: Path, otherwise: str) -> None:
    argv: list[str | Path] = [_uv(), "python", "install", key, "--install-dir", place, "--no-bin"]
    argv += ["--no-progress", "--color", "never", "--no-config", "--cache-dir", place / "cache"]
    if ctx.settings.python_mirror:
        argv += ["--mirror", ctx.settings.python_mirror.rstrip("/")]
    kept = {
        name: value
        for name, value in ctx.environ.items()
        if name in _PASSED_ON or not name.startswith(("UV_", "PYTHON", "VIRTUAL_ENV"))
    }
    environ = {**kept, **http_variables(ctx, ctx.settings.stall_timeout)}
    done = proc.run(argv, log=ctx.log, env=environ, check=False)
    if done.returncode != 0:
        raise _explain(key, done, otherwise)


def forget_place(build: Path) -> None:
    """Undo uv's patching of a fresh build's own path into its sysconfig and pkg-config files.

    A component must not know where it was made: `/usr` stands there instead, as the emulator shows it.
    """
    stdlib = ("_sysconfigdata_*.py", "_sysconfig_vars_*.json", "build-details.json")
    patterns = ("lib/pkgconfig/*.pc", *(f"lib/python*/{name}" for name in stdlib))
    places = {os.fsencode(build), os.fsencode(build.resolve())}
    for path in (path for pattern in patterns for path in build.glob(pattern)):
        old = new = path.read_bytes()
        for place in places:
            new = new.replace(place, b"/usr")
        if new != old:
            path.write_bytes(new)


def graft(build: Path, usr: Path, version: str) -> None:
    """Move a portable build's interpreter, library, headers and standard library into a target root's `usr`.

    Raises:
        CommandFailed: the build is not laid out as expected.
    """
    name = f"python{version}"
    wanted = [Path("bin") / name, Path("lib") / name, Path("include") / name]
    missing = [str(path) for path in wanted if not (build / path).exists()]
    if missing:
        raise CommandFailed("the portable Python is not laid out as expected", facts=[f"missing: {missing}"])
    libraries = [path.relative_to(build) for path in sorted(build.glob("lib/libpython*.so*"))]
    for path in (*wanted, *libraries):
        place = usr / path
        place.parent.mkdir(parents=True, exist_ok=True)
        (build / path).rename(place)
    stdlib = usr / "lib" / name
    for folder in (stdlib / "test", stdlib / "idlelib", stdlib / "turtledemo", *stdlib.glob("config-*")):
        shutil.rmtree(folder, ignore_errors=True)
    for cache in sorted(stdlib.rglob("__pycache__")):
        shutil.rmtree(cache)
    (stdlib / "EXTERNALLY-MANAGED").unlink(missing_ok=True)


def _uv() -> str:
    from uv import find_uv_bin

    return os.fspath(find_uv_bin())


def _explain(key: str, done: proc.Completed, otherwise: str) -> Exception:
    facts = [line for line in done.stdout.splitlines() if line.strip()][-15:]
    if re.search(r"[Hh]ash mismatch", done.stdout):
        return IntegrityError(
            f"the portable Python {key} is not the file that uv's table names",
            facts=facts,
            hint="the mirror may be broken; set XTOOL_PYTHON_MIRROR to another one",
        )
    if re.search(r"No download found|[Ii]nvalid (?:version|.*request)|No .*available", done.stdout):
        return CommandFailed(
            f"uv knows no portable Python {key}",
            facts=facts,
            hint=f"a newer uv may; else {otherwise}",
        )
    if re.search(r"[Ff]ailed to (?:download|fetch)|error sending request|HTTP status", done.stdout):
        return NetworkError(
            f"the portable Python {key} could not be fetched",
            facts=facts,
            hint=f"check the network and XTOOL_PYTHON_MIRROR, or {otherwise}",
        )
    return CommandFailed(f"uv could not install the portable Python {key}", facts=facts, hint=otherwise)
