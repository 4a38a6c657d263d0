"""What is built: a project folder, an sdist file or a requirement, as a private unpacked copy.

The user's folder is never written to, and what an earlier native build left in it does not come along.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from xtool.artifacts import VerifiedFile
from xtool.build import stated
from xtool.build.sdist import OLD_SUFFIXES, SDIST_SUFFIXES, fetch_sdist, own_file
from xtool.errors import ArchiveError, StoreError, UsageError

if TYPE_CHECKING:
    from xtool.context import Context

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
        requires_python: the Pythons that it is for, where that is known before the build.
    """

    kind: str
    spec: str
    path: Path
    name: str | None
    version: str | None
    sdist: Path | None = None
    requires_python: SpecifierSet | None = None

    @property
    def label(self) -> str:
        """`ujson 5.11.0`, or as much of it as is known."""
        return " ".join(part for part in (self.name or self.path.name, self.version) if part)


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
    if spec and path.is_dir():
        return _from_folder(path.resolve(), spec, folder)
    if path.is_file():
        return _from_sdist(own_file(path.resolve()), "sdist", spec, folder)
    if "://" in spec:
        raise UsageError(
            f"cannot build from a URL: `{spec}`",
            hint="download the sdist or clone the project, and name its path",
            code="no-source",
        )
    if os.sep in spec or spec.startswith(("~", ".")) or spec.endswith((*SDIST_SUFFIXES, *OLD_SUFFIXES)):
        raise UsageError(
            f"there is no file or folder `{spec}`",
            hint="SRC is a project folder, an sdist file, or a requirement such as `ujson==5.11.0`",
            code="no-source",
        )
    requirement = _parse(spec)
    file = fetch_sdist(ctx, requirement, python, folder.with_name(f"{folder.name}.fetched"))
    return _from_sdist(file, "requirement", spec, folder)


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
    said = stated.of_folder(target)
    return Source("folder", spec, target, said.name, said.version, requires_python=said.requires_python)


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
    return all(item.name.endswith((".whl", *SDIST_SUFFIXES, *OLD_SUFFIXES)) for item in path.iterdir())


def _from_sdist(file: VerifiedFile, kind: str, spec: str, folder: Path) -> Source:
    from xtool import archive

    try:
        archive.unpack(file, folder)
    except ArchiveError as error:
        raise ArchiveError(
            f"`{file.path.name}` cannot be unpacked" if kind == "sdist" else error.message,
            facts=[error.message, *error.facts] if kind == "sdist" else error.facts,
            hint=error.hint or "download it again, or unpack it yourself and name the folder",
        ) from error
    tops = sorted(folder.iterdir())
    if len(tops) != 1 or not tops[0].is_dir():
        raise UsageError(
            f"`{file.artifact.filename}` is not an sdist",
            facts=[
                f"an sdist holds one folder; this holds {', '.join(p.name for p in tops[:5]) or 'nothing'}"
            ],
        )
    _check_project(tops[0], file.artifact.filename)
    said = stated.of_sdist(tops[0])
    return Source(kind, spec, tops[0], said.name, said.version, file.path, said.requires_python)
