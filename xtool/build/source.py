"""What is built: a project folder, an sdist file or a requirement, as a private unpacked copy.

The user's folder is never written to, and what an earlier native build left in it does not come along.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import shutil
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from xtool import index, proc
from xtool.artifacts import Artifact, VerifiedFile
from xtool.errors import CommandFailed, IntegrityError, NetworkError, StoreError, UsageError, XtoolError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from xtool.context import Context

SDIST_SUFFIXES = (".tar.gz", ".tgz", ".tar.xz", ".tar.zst", ".tar.bz2", ".tar", ".zip")

_UNPACKED_LIMIT = 4 << 30
"""Bytes that an sdist may unpack to; the largest on the index are below 1 GB."""

_CHUNK = 1 << 20

_LEFT_OUT = (
    "__pycache__",
    "*.py[co]",
    "*.egg-info",
    ".eggs",
    ".tox",
    ".nox",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".hypothesis",
    "*.cpython-*.so",
    "*.abi3.so",
    "*.pypy*.so",
)
"""What tools leave in a project folder and no source is named like."""


@dataclass(frozen=True, slots=True)
class Source:
    """A project, unpacked.

    Args:
        kind: `folder`, `sdist` or `requirement`.
        spec: what the user wrote.
        path: the project's folder; ours to write to.
        name: the project's name, normalised, where it is known before the build.
        version: its version, where it is known before the build.
        sdist: the sdist file, for the kinds that have one.
    """

    kind: str
    spec: str
    path: Path
    name: str | None
    version: str | None
    sdist: Path | None = None

    @property
    def label(self) -> str:
        """`ujson 5.11.0`, or as much of it as is known."""
        return " ".join(part for part in (self.name or Path(self.spec).name, self.version) if part)


def obtain(ctx: Context, spec: str, folder: Path, *, python: str | None = None) -> Source:
    """Get a source and unpack it.

    A folder or file of that name wins over a requirement.

    Args:
        ctx: settings, log, environment.
        spec: a project folder, an sdist file, or a requirement (`ujson`, `ujson==5.11.0`).
        folder: where the private copy goes; made.
        python: Python version that a requirement is resolved for, `3.13`.

    Raises:
        UsageError: it is none of these, or not a Python project.
        NetworkError: the index or the file cannot be reached, or the index has no such project.
        ArchiveError: the sdist is malformed or hostile.
    """
    path = Path(spec).expanduser()
    if path.is_dir():
        return _from_folder(path.resolve(), spec, folder)
    if path.is_file():
        return _from_sdist(_own_file(path.resolve()), "sdist", spec, folder)
    if (os.sep in spec and "@" not in spec) or spec.startswith(("~", ".")) or spec.endswith(SDIST_SUFFIXES):
        raise UsageError(
            f"there is no file or folder `{spec}`",
            hint="SRC is a project folder, an sdist file, or a requirement such as `ujson==5.11.0`",
            code="no-source",
        )
    requirement = _parse(spec)
    return _from_sdist(_fetch_sdist(ctx, requirement, python), "requirement", spec, folder)


def _parse(spec: str) -> Requirement:
    try:
        requirement = Requirement(spec)
    except InvalidRequirement as error:
        raise UsageError(
            f"`{spec}` is neither a file nor a folder nor a requirement",
            facts=str(error).splitlines(),
            hint="SRC is a project folder, an sdist file, or a requirement such as `ujson==5.11.0`",
            code="no-source",
        ) from error
    if requirement.url is not None:
        raise UsageError(
            f"cannot build from a URL: `{spec}`",
            hint="download the sdist or clone the project, and name its path",
        )
    if requirement.marker is not None:
        raise UsageError(
            f"a requirement to build has no marker: `{spec}`",
            hint=f"write `{spec.partition(';')[0].strip()}`",
        )
    if requirement.extras:
        raise UsageError(
            f"extras do not change what is built: `{spec}`",
            hint=f"write `{requirement.name}{requirement.specifier}`; name the extra's packages with "
            "`--test-requires`",
        )
    return requirement


# Folders -------------------------------------------------------------------------------------------------


def _from_folder(path: Path, spec: str, folder: Path) -> Source:
    _check_project(path, spec)
    target = folder / (canonicalize_name(path.name) or "project")
    try:
        _copy_tree(path, target, path, top=True)
    except OSError as error:
        raise StoreError(
            f"cannot copy {path}: {error.strerror or error}",
            facts=[str(error.filename)] if error.filename else [],
            hint="free some space, or point TMPDIR to a larger disk",
        ) from error
    name, version = _project_table(target)
    return Source("folder", spec, target, name, version)


def _check_project(path: Path, spec: str) -> None:
    if not any((path / name).is_file() for name in ("pyproject.toml", "setup.py", "setup.cfg")):
        raise UsageError(
            f"`{spec}` is not a Python project",
            facts=[f"{path} has neither pyproject.toml nor setup.py"],
            hint="name the project's folder, an sdist file, or a requirement such as `ujson==5.11.0`",
            code="no-project",
        )


def _copy_tree(source: Path, target: Path, root: Path, *, top: bool = False) -> None:
    """Copy what belongs to a project: links inside it stay links, others become what they point at."""
    target.mkdir(parents=True, exist_ok=True)
    with os.scandir(source) as entries:
        for entry in sorted(entries, key=lambda item: item.name):
            path, copy = Path(entry.path), target / entry.name
            if _is_left_out(entry, top=top):
                continue
            if entry.is_symlink():
                if not path.exists() or path.resolve().is_relative_to(root):
                    copy.symlink_to(_inner_link(path, root))
                    continue
                if path.resolve() in root.parents:
                    continue
            if entry.is_dir():
                _copy_tree(path, copy, root)
            elif stat.S_ISREG(entry.stat().st_mode):
                shutil.copy2(path, copy)


def _inner_link(path: Path, root: Path) -> Path:
    """Where a link points, for its copy: absolute links into the project lead to the copy as well."""
    link = path.readlink()
    if link.is_absolute() and link.is_relative_to(root):
        return Path(os.path.relpath(link, path.parent))
    return link


def _is_left_out(entry: os.DirEntry[str], *, top: bool) -> bool:
    name = entry.name
    if any(fnmatch.fnmatchcase(name, pattern) for pattern in _LEFT_OUT):
        return True
    if not entry.is_dir():
        return False
    path = Path(entry.path)
    if (path / "pyvenv.cfg").is_file():
        return True
    if top and name == "build":
        # distutils' own; a `build` folder with anything else in it is the project's.
        made = ("lib", "lib.*", "temp.*", "bdist.*", "scripts-*", "__editable__.*")
        return all(
            any(fnmatch.fnmatchcase(item.name, pattern) for pattern in made) for item in path.iterdir()
        )
    return top and name in ("dist", "wheelhouse") and _only_products(path)


def _only_products(path: Path) -> bool:
    return all(item.name.endswith((".whl", *SDIST_SUFFIXES)) for item in path.iterdir())


def _project_table(path: Path) -> tuple[str | None, str | None]:
    """Name and version as `pyproject.toml` states them; the build will say them all the same."""
    try:
        project = tomllib.loads((path / "pyproject.toml").read_text(encoding="utf-8")).get("project", {})
    except (OSError, ValueError):
        return None, None
    name, version = project.get("name"), project.get("version")
    return canonicalize_name(name) if isinstance(name, str) else None, version if isinstance(
        version, str
    ) else None


# Sdists --------------------------------------------------------------------------------------------------


def _own_file(path: Path) -> VerifiedFile:
    """A file that the user named: it is what it is, so its own size and hash are the ones to hold."""
    if path.suffix == ".whl":
        raise UsageError(
            f"`{path.name}` is a wheel; there is nothing to build",
            hint="`xtool inspect` shows what is in it, `xtool run --with` runs it",
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


def _from_sdist(file: VerifiedFile, kind: str, spec: str, folder: Path) -> Source:
    from xtool import archive

    archive.unpack(file, folder)
    tops = sorted(folder.iterdir())
    if len(tops) != 1 or not tops[0].is_dir():
        raise UsageError(
            f"`{file.artifact.filename}` is not an sdist",
            facts=[
                f"an sdist holds one folder; this holds {', '.join(p.name for p in tops[:5]) or 'nothing'}"
            ],
        )
    _check_project(tops[0], file.artifact.filename)
    name, version = _metadata(tops[0])
    return Source(kind, spec, tops[0], name, version, file.path)


def _metadata(path: Path) -> tuple[str | None, str | None]:
    """Name and version as `PKG-INFO` says them (core metadata specification)."""
    try:
        message = HeaderParser().parsestr((path / "PKG-INFO").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return _project_table(path)
    name = message["Name"]
    return canonicalize_name(name) if name else None, message["Version"]


# Requirements --------------------------------------------------------------------------------------------


def _fetch_sdist(ctx: Context, requirement: Requirement, python: str | None) -> VerifiedFile:
    """Let uv find the version and the sdist, and download it with our own eyes on size and hash.

    `uv pip compile` reads the index only; unlike `pip download --no-binary` it does not run the project.
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
        file = _own_file(Path(text))
        expected = sdist.get("hashes", {}).get("sha256")
        if expected not in (None, file.artifact.sha256):
            raise IntegrityError(
                f"checksum mismatch for {file.path}",
                facts=[f"expected sha256 {expected}, got {file.artifact.sha256}"],
                hint="the index that names this file is out of date",
            )
        return file
    return _download(ctx, label, sdist)


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
    version = python or f"{sys.version_info[0]}.{sys.version_info[1]}"
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


def _download(ctx: Context, label: str, sdist: dict[str, Any]) -> VerifiedFile:
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
    size = sdist.get("size") or _remote_size(ctx, url)
    artifact = _artifact(filename, "", size, sha256)
    # The path keeps what the URL has after the file's name (a token, say); its kind is told by its name.
    place = Mirror(base + slash, "the package index")
    downloads = ctx.settings.cache_dir / "v1" / "downloads"
    hint = "run it again to go on where it stopped; XTOOL_INDEX_URL names another index"
    try:
        located = Artifact(**{**_fields(artifact), "path": path})
        files = fetch_from(ctx, [located], lambda _: [place], downloads=downloads)
    except Vanished as error:
        raise NetworkError(
            f"the sdist of {label} is gone from the index", facts=error.facts, hint=hint
        ) from error
    except IntegrityError as error:
        raise IntegrityError(error.message, facts=error.facts, hint=hint, code=error.code) from error
    return VerifiedFile(artifact, files[sha256].path)


def _fields(artifact: Artifact) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(artifact)


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
