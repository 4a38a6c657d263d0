"""Portable CPython builds (python-build-standalone), fetched by uv, which verifies and unpacks them.

uv carries the table of builds with their hashes; `XTOOL_PYTHON_MIRROR` names another place that has the same
files. An unpacked build is relocatable: `bin/python3.13`, `lib/python3.13`, `include/python3.13`.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from xtool import proc
from xtool.catalog import Catalog
from xtool.context import Context
from xtool.errors import CommandFailed, IntegrityError, NetworkError, OfflineError, UsageError
from xtool.targets import Host, Target

Source = Literal["portable", "debian"]

SOURCES = ("auto", "portable", "debian")
"""What can be asked for as the source of Pythons."""

_PROBE_TIMEOUT = 3.0
_PASSED_ON = ("UV_PYTHON_DOWNLOADS_JSON_URL",)


def target_key(target: Target, version: str) -> str:
    """uv's name of the newest portable build of a minor version for a target."""
    return f"cpython-{version}-linux-{target.uv}-{_libc(target.triplet)}"


def host_key(host: Host, version: str) -> str:
    """uv's name of the newest portable build of a minor version for the host."""
    return f"cpython-{version}-linux-{host.name}-gnu"


def fingerprint(key: str) -> dict[str, str]:
    """What decides which build uv takes, for a recipe's parameters: its name, and uv's table of builds."""
    from importlib.metadata import version as installed

    return {"key": key, "uv": installed("uv")}


def choose_source(ctx: Context, wanted: str, *, installed: Callable[[str], bool]) -> Source:
    """Decide where a Python comes from.

    What is installed already is taken without asking anybody; only then is the mirror of portable builds
    probed.

    Args:
        ctx: settings, log, environment.
        wanted: `auto`, `portable` or `debian`.
        installed: whether the Python of a source is in the store.

    Raises:
        UsageError: `wanted` is none of these.
    """
    if wanted not in SOURCES:
        raise UsageError(f"there is no Python source `{wanted}`", hint=f"choose one of {', '.join(SOURCES)}")
    if wanted != "auto":
        return "portable" if wanted == "portable" else "debian"
    sources: tuple[Source, ...] = ("portable", "debian")
    for source in sources:
        if installed(source):
            return source
    return "portable" if reachable(ctx) else "debian"


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


def install(ctx: Context, key: str, dest: Path) -> Path:
    """Fetch and unpack a portable build.

    Args:
        ctx: settings, log, environment.
        key: uv's name of the build (`cpython-3.13-linux-powerpc64le-gnu`).
        dest: where its `bin`, `lib` and `include` shall lie; must not exist.

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
            hint="run once without `--offline`, or choose `--python-source debian`",
        )
    place = dest.with_name(dest.name + ".uv")
    try:
        _run_uv(ctx, key, place)
        found = [path for path in sorted(place.glob("cpython-*")) if path.is_dir() and not path.is_symlink()]
        if len(found) != 1:
            raise CommandFailed(f"uv installed no Python for {key}", facts=[str(path) for path in found])
        forget_place(found[0])
        found[0].rename(dest)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    return dest


def _run_uv(ctx: Context, key: str, place: Path) -> None:
    argv: list[str | Path] = [_uv(), "python", "install", key, "--install-dir", place, "--no-bin"]
    argv += ["--no-progress", "--color", "never", "--no-config", "--cache-dir", place / "cache"]
    if ctx.settings.python_mirror:
        argv += ["--mirror", ctx.settings.python_mirror.rstrip("/")]
    kept = {
        name: value
        for name, value in ctx.environ.items()
        if name in _PASSED_ON or not name.startswith(("UV_", "PYTHON", "VIRTUAL_ENV"))
    }
    timeout = f"{max(1, round(ctx.settings.stall_timeout))}"
    done = proc.run(argv, log=ctx.log, env={**kept, "UV_HTTP_TIMEOUT": timeout}, check=False)
    if done.returncode != 0:
        raise _explain(key, done)


def forget_place(build: Path) -> None:
    """Undo uv's patching of a fresh build's own path into its sysconfig and pkg-config files.

    A component must not know where it was made: `/usr` stands there instead, as the emulator shows it.
    """
    patterns = ("lib/python*/_sysconfigdata_*.py", "lib/pkgconfig/*.pc", "lib/python*/build-details.json")
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


def _libc(triplet: str) -> str:
    """The C library part of uv's keys: `gnueabihf` for arm-linux-gnueabihf, `gnu` elsewhere."""
    return triplet.rpartition("-")[2]


def _uv() -> str:
    from uv import find_uv_bin

    return os.fspath(find_uv_bin())


def _explain(key: str, done: proc.Completed) -> Exception:
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
            hint="choose `--python-source debian`, or a newer uv",
        )
    if re.search(r"[Ff]ailed to (?:download|fetch)|error sending request|HTTP status", done.stdout):
        return NetworkError(
            f"the portable Python {key} could not be fetched",
            facts=facts,
            hint="check the network and XTOOL_PYTHON_MIRROR, or choose `--python-source debian`",
        )
    return CommandFailed(
        f"uv could not install the portable Python {key}", facts=facts, hint="choose `--python-source debian`"
    )
