"""Training on another machine: stage 1 is kept in a folder, and what was counted is brought back to it.

The folder of a wheel holds the instrumented wheel, all that stage 1 has left behind, and `counters`, which
takes what libgcov wrote elsewhere (`GCOV_PREFIX`), below any folders of its own.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xtool.crossenv.profiling import Profiling
from xtool.errors import CommandFailed, StoreError, UsageError
from xtool.pgo import collect
from xtool.pgo.compiles import read_compiles
from xtool.pgo.names import Names

if TYPE_CHECKING:
    from xtool.pgo.build import Work
    from xtool.pgo.profile import ObjectProfile

_NOTE = "stage.json"


def folder_of(folder: Path, target: str, version: str) -> Path:
    """The folder of one wheel.

    Args:
        folder: the folder that the user has named.
        target: its target.
        version: its Python, `3.13`.
    """
    return folder.resolve() / f"{target}-{version}"


def instrument(work: Work, folder: Path) -> Path:
    """Build an instrumented wheel to train with elsewhere.

    Args:
        work: the wheel.
        folder: its folder; must not exist.

    Returns:
        The wheel.

    Raises:
        CommandFailed: the build failed, or there is nothing to profile.
        StoreError: the folder is there, or cannot be made.
    """
    from xtool.build.frontend import project_folder
    from xtool.pgo.build import names_of, nothing_to_profile, trace_of

    stage, counters = folder / "stage", folder / "counters"
    try:
        stage.mkdir(parents=True)
        counters.mkdir()
    except OSError as error:
        raise StoreError(
            f"cannot make {folder}: {error.strerror}", hint="name a new folder after `--pgo-instrument`"
        ) from error
    project = project_folder(stage)
    with work.ctx.log.step(f"building {work.label}, with counters"):
        # Without what trainings here are linked with: it lies at a path of this machine.
        raw = work.build(stage, Profiling("generate", counters, project))
        modules = collect.embedded(raw.path, counters)
    if not modules:
        raise nothing_to_profile(work, raw.path)
    names = names_of(raw.cross, work.kit)
    note = {
        "folder": str(folder),
        "wheel": str(raw.path.relative_to(folder)),
        "trace": str(trace_of(raw.cross).relative_to(folder)),
        "compiler": work.kit.toolchain.version,
        "folders": [[str(path), name] for path, name in names.folders],
        "words": [names.platform, names.python, names.triplet],
    }
    (folder / _NOTE).write_text(json.dumps(note, indent=1), encoding="utf-8")
    return raw.path


def collected(work: Work, folder: Path) -> tuple[Path, tuple[ObjectProfile, ...]]:
    """Read what was counted elsewhere.

    Args:
        work: the wheel.
        folder: its folder.

    Returns:
        A file of counters, and the objects of the profile.

    Raises:
        UsageError: there is no such folder, it was moved, or it is of another compiler.
        CommandFailed: nothing was counted.
    """
    note = _note(work, folder)
    stage, counters = folder / "stage", folder / "counters"
    modules = collect.embedded(folder / note["wheel"], counters)
    place = work.place.resolve() / "counted"
    parts = _parts(counters, modules, place)
    merged = collect.merge(work.ctx, work.kit.toolchain, parts, place / "merged")
    written = sorted(merged.rglob("*.gcda"))
    if not written:
        raise CommandFailed(
            f"nothing was counted: there is no counter of {folder.name} below {counters}",
            hint=f"train with {folder / note['wheel']} and `GCOV_PREFIX` set, and bring that folder here",
            code="no-profile",
        )
    platform, python, triplet = note["words"]
    names = Names(tuple((Path(path), name) for path, name in note["folders"]), platform, python, triplet)
    compiles = read_compiles(folder / note["trace"], work.kit.target.cflags)
    found = collect.objects(merged, modules, compiles, names, counters=counters, project=stage / "source")
    return written[0], found


def _note(work: Work, folder: Path) -> dict[str, Any]:
    try:
        note: dict[str, Any] = json.loads((folder / _NOTE).read_text(encoding="utf-8"))
        moved = note["folder"] != str(folder)
        compiler = note["compiler"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{folder} holds no instrumented build of {work.label}",
            hint=f"`xtool build --pgo-instrument {folder.parent}` makes one",
            code="no-profile",
        ) from error
    if moved:
        raise UsageError(
            f"{folder} was made as {note['folder']}",
            facts=["what stage 1 noted has that path in it"],
            hint="move it back there",
            code="moved",
        )
    own = work.kit.toolchain.version
    if compiler != own:
        raise UsageError(
            f"{folder} was made with GCC {compiler}, and {work.kit.target.name} has GCC {own}",
            hint="instrument and train again",
            code="profile-compiler",
        )
    return note


def _parts(counters: Path, modules: Iterable[str], place: Path) -> list[Path]:
    """Copies of the counters of a wheel, apart for each folder that they lie in; one may lie in another."""
    found: dict[str, Path] = {}
    for file in sorted(counters.rglob("*.gcda")):
        for path in modules:
            root = os.fspath(file).removesuffix(f"/{path}")
            if root != os.fspath(file):
                part = found.setdefault(root, place / f"part-{len(found)}")
                (part / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, part / path)
    return list(found.values())
