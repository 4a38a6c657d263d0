"""Sdist files: the user's own, and those that the package index has for a requirement."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from xtool import index, proc
from xtool.artifacts import Artifact, VerifiedFile
from xtool.errors import CommandFailed, IntegrityError, NetworkError, UsageError, XtoolError
from xtool.python.versions import parse_python

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from xtool.context import Context

SDIST_SUFFIXES = (".tar.gz", ".tgz", ".tar.xz", ".tar.zst", ".tar")
OLD_SUFFIXES = (".zip", ".tar.bz2", ".tar.Z")
"""Kinds of sdist from before PEP 517, which allows `.tar.gz` only."""

_UNPACKED_LIMIT = 4 << 30
"""Bytes that an sdist may unpack to; the largest on the index are below 1 GB."""

_CHUNK = 1 << 20


def own_file(path: Path) -> VerifiedFile:
    """A file that the user named: it is what it is, so its own size and hash are the ones to hold."""
    if path.suffix == ".whl":
        raise UsageError(
            f"`{path.name}` is a wheel; there is nothing to build",
            hint="`xtool inspect` shows what is in it, `xtool run --with` runs it",
        )
    if path.name.endswith(OLD_SUFFIXES):
        raise UsageError(
            f"`{path.name}` is an sdist of an old kind, which xtool does not unpack",
            hint="unpack it and name the folder",
        )
    if not path.name.endswith(SDIST_SUFFIXES):
        raise UsageError(
            f"`{path.name}` is not an sdist",
            hint=f"an sdist ends with {', '.join(SDIST_SUFFIXES[:2])}; for a project name its folder",
        )
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        size = path.stat().st_size
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    return VerifiedFile(_artifact(path.name, "", size, digest.hexdigest()), path)


def _artifact(filename: str, version: str, size: int, sha256: str) -> Artifact:
    if filename.endswith(".tgz"):
        filename = filename.removesuffix(".tgz") + ".tar.gz"
    return Artifact(
        name=filename,
        version=version,
        arch="source",
        archive="index",
        suite="",
        path=filename,
        size=size,
        sha256=sha256,
        unpacked_size=_UNPACKED_LIMIT,
    )


def fetch_sdist(ctx: Context, requirement: Requirement, python: str | None, spare: Path) -> VerifiedFile:
    """Let uv find the version and the sdist, and download it with our own eyes on size and hash.

    `uv pip compile` reads the index only; unlike `pip download --no-binary` it does not run the project.

    Args:
        ctx: settings, log, environment.
        requirement: what to find.
        python: Python version that it is resolved for, `3.13`.
        spare: folder for the download where the cache cannot be written; made.
    """
    package = _resolve(ctx, requirement, python)
    label = f"{package['name']} {package.get('version', '')}".strip()
    sdist = package.get("sdist")
    if not isinstance(sdist, dict):
        raise UsageError(
            f"{label} has no sdist on the index, so there is nothing to build from",
            facts=["it has wheels only"] if package.get("wheels") else [],
            hint="clone the project and name its folder, or ask for another version",
            code="no-sdist",
        )
    if "path" in sdist or str(sdist.get("url", "")).startswith("file:"):
        text = sdist.get("path") or unquote(urlsplit(sdist["url"]).path)
        file = own_file(Path(text))
        expected = sdist.get("hashes", {}).get("sha256")
        if expected not in (None, file.artifact.sha256):
            raise IntegrityError(
                f"checksum mismatch for {file.path}",
                facts=[f"expected sha256 {expected}, got {file.artifact.sha256}"],
                hint="the index that names this file is out of date",
            )
        return file
    return _download(ctx, label, sdist, spare)


def _resolve(ctx: Context, requirement: Requirement, python: str | None) -> dict[str, Any]:
    """The index's entry for a requirement, in the form of pylock.toml (PEP 751).

    Where several indexes have the version, uv looks at one of them; if that one has wheels only, the default
    index is asked for the same version.
    """
    environ = index.uv_environment(ctx)
    package = _ask_uv(ctx, requirement, python, environ)
    extra = {name for name in ("UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS") if environ.pop(name, None)}
    if not extra or package.get("sdist"):
        return package
    same = Requirement(f"{requirement.name}=={package['version']}") if "version" in package else requirement
    try:
        return _ask_uv(ctx, same, python, environ)
    except XtoolError:
        return package


def _ask_uv(
    ctx: Context, requirement: Requirement, python: str | None, environ: Mapping[str, str]
) -> dict[str, Any]:
    version = parse_python(python).release if python else f"{sys.version_info[0]}.{sys.version_info[1]}"
    argv = [
        *index.uv_command(ctx),
        *("pip", "compile", "-", "--format", "pylock.toml", "--no-deps", "--no-header", "--quiet"),
        *("--python", sys.executable, "--python-version", version),
    ]
    done = proc.run(
        argv,
        log=ctx.log,
        env=environ,
        cwd=Path("/"),
        stdin=f"{requirement}\n",
        check=False,
        merge=False,
    )
    if done.returncode != 0:
        raise _no_resolution(ctx, requirement, done.stderr)
    try:
        packages = tomllib.loads(done.stdout)["packages"]
        wanted = canonicalize_name(requirement.name)
        return next(entry for entry in packages if canonicalize_name(entry["name"]) == wanted)
    except (tomllib.TOMLDecodeError, KeyError, StopIteration) as error:
        raise CommandFailed(
            f"cannot read what uv says of {requirement}", facts=done.stdout.splitlines()[-20:]
        ) from error


def _no_resolution(ctx: Context, requirement: Requirement, said: str) -> XtoolError:
    lines = [line for line in said.splitlines() if line.strip()]
    if ctx.settings.offline:
        return NetworkError(
            f"{requirement} is not in uv's cache, and `--offline` forbids asking the index",
            facts=lines,
            hint="run once without `--offline`, or name an sdist file",
            code="offline",
        )
    if "not found in the package registry" in said or "No solution found" in said or "no version" in said:
        return UsageError(
            f"the index has nothing that matches `{requirement}`",
            facts=lines,
            hint="look at name and version; XTOOL_INDEX_URL names another index",
            code="no-such-package",
        )
    return NetworkError(
        f"cannot ask the index for {requirement}",
        facts=lines,
        hint="look at the network and at proxy variables; XTOOL_INDEX_URL names another index",
    )


def _download(ctx: Context, label: str, sdist: dict[str, Any], spare: Path) -> VerifiedFile:
    from xtool.fetch.fetcher import Vanished, fetch_from
    from xtool.fetch.mirrors import Mirror

    url = sdist["url"]
    sha256 = sdist.get("hashes", {}).get("sha256")
    if not isinstance(sha256, str):
        raise IntegrityError(
            f"the index gives no sha256 for the sdist of {label}, so it cannot be checked",
            facts=[url],
            hint="download it yourself and name the file",
        )
    base, slash, path = url.rpartition("/")
    filename = unquote(urlsplit(url).path.rpartition("/")[2])
    if filename.endswith(OLD_SUFFIXES):
        raise UsageError(
            f"the sdist of {label} is of an old kind, which xtool does not unpack: {filename}",
            hint="download and unpack it, and name the folder",
        )
    size = sdist.get("size") or _cached_size(ctx, sha256) or _remote_size(ctx, url)
    artifact = _artifact(filename, "", size, sha256)
    # The path keeps what the URL has after the file's name (a token, say); its kind is told by its name.
    place = Mirror(base + slash, "the package index")
    downloads = _downloads(ctx, sha256, spare)
    hint = "run it again to go on where it stopped; XTOOL_INDEX_URL names another index"
    try:
        located = replace(artifact, path=path)
        files = fetch_from(ctx, [located], lambda _: [place], downloads=downloads)
    except Vanished as error:
        raise NetworkError(
            f"the sdist of {label} is gone from the index", facts=error.facts, hint=hint
        ) from error
    except IntegrityError as error:
        raise IntegrityError(error.message, facts=error.facts, hint=hint, code=error.code) from error
    return VerifiedFile(artifact, files[sha256].path)


def _downloads(ctx: Context, sha256: str, spare: Path) -> Path:
    """The cache's folder of downloads, unless it would have to be written and cannot be."""
    own = ctx.settings.cache_dir / "v1" / "downloads"
    place = next(path for path in (own.with_name("partial"), *own.parents) if path.exists())
    needed = not (own / sha256[:2] / sha256).is_file()
    return spare / "downloads" if needed and not os.access(place, os.W_OK) else own


def _cached_size(ctx: Context, sha256: str) -> int | None:
    """The size of an earlier download; whether it is still what it should be is checked with the hash."""
    path = ctx.settings.cache_dir / "v1" / "downloads" / sha256[:2] / sha256
    return path.stat().st_size if path.is_file() else None


def _remote_size(ctx: Context, url: str) -> int:
    """The size that the server announces, where the index does not tell it."""
    from xtool.fetch.session import AttemptError, Client, redact

    client = Client(ctx)
    try:
        with client.get(url, {"Accept-Encoding": "identity"}) as response:
            length = response.headers.get("Content-Length", "")
    except AttemptError as error:
        raise NetworkError(f"cannot download {redact(url)}: {error.reason}", hint=error.hint) from error
    finally:
        client.close()
    if not length.isdigit():
        raise NetworkError(
            f"neither the index nor the server tells the size of {redact(url)}",
            hint="download it yourself and name the file",
        )
    return int(length)
