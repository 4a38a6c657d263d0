"""What is in a file of profiles (`--pgo-save`), for people who look into it."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from xtool.errors import UsageError
from xtool.pgo import archive
from xtool.pgo.compare import ProfileComparison, compare
from xtool.pgo.names import shown
from xtool.pgo.profile import ObjectProfile, Profile
from xtool.pgo.report import FileCoverage, HotFunction, coverage, hottest


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of the project that an object was made from.

    Args:
        file: its name, from the project's folder.
        sha256: its digest.
    """

    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class ObjectFacts:
    """One object of a profile.

    Args:
        object: what tells it from others (`ObjectProfile.key`).
        source: its source, from the project's folder.
        modules: the files of the wheel that it is in.
        flags: the options that decide what code comes out.
        counted: whether the training wrote counters of it.
        runs: how many processes counted.
        functions: how many functions it has.
        functions_counted: how many of them have counters, their own or lent ones.
        sources: the files of the project that it was made from.
    """

    object: str
    source: str
    modules: tuple[str, ...]
    flags: tuple[str, ...]
    counted: bool
    runs: int
    functions: int
    functions_counted: int
    sources: tuple[SourceFile, ...]


@dataclass(frozen=True, slots=True)
class ProfileReport:
    """One profile of a file.

    Args:
        path: the file.
        profile: the profile.
        files: what was covered of each file, the project's own first.
        hottest: the functions with the most work.
        objects: what it was made of.
    """

    path: Path
    profile: Profile
    files: tuple[FileCoverage, ...]
    hottest: tuple[HotFunction, ...]
    objects: tuple[ObjectFacts, ...]

    def as_data(self) -> dict[str, Any]:
        """The profile as plain data for JSON output."""
        return {
            "path": str(self.path),
            **self.profile.header(),
            "files": [asdict(each) for each in self.files],
            "hottest": [asdict(each) for each in self.hottest],
            "objects": [asdict(each) for each in self.objects],
        }


def is_profile(path: Path) -> bool:
    """Whether a file is one of profiles, or was: a zip archive that is no wheel and has an index."""
    try:
        with path.open("rb") as file:
            start = file.read(2)
        if start != b"PK" or path.suffix == ".whl":
            return False
        with zipfile.ZipFile(path) as package:
            package.getinfo(archive.INDEX)
    except zipfile.BadZipFile:
        # The reader of profiles knows best what to say of it.
        return True
    except (OSError, KeyError):
        return False
    return True


def inspect(
    path: Path, demangle: Callable[[Sequence[str]], Sequence[str]] = lambda names: names
) -> tuple[ProfileReport, ...]:
    """Look into a file of profiles.

    Args:
        path: the file.
        demangle: gives the names of functions as people write them.

    Raises:
        UsageError: there is no such file, or it was written by a later xtool.
        ArchiveError: it is malformed.
    """
    return tuple(
        ProfileReport(
            path=path,
            profile=each,
            files=coverage(each.objects),
            hottest=hottest(each.objects, demangle),
            objects=tuple(map(_facts, each.objects)),
        )
        for each in archive.read(path)
    )


def _facts(each: ObjectProfile) -> ObjectFacts:
    return ObjectFacts(
        object=each.key,
        source=shown(each.source, each.place),
        modules=each.modules,
        flags=each.flags,
        counted=each.counted,
        runs=each.runs,
        functions=len(each.functions),
        functions_counted=sum(bool(function.counters) for function in each.functions),
        sources=tuple(SourceFile(name, digest) for name, digest in sorted(each.sources.items())),
    )


@dataclass(frozen=True, slots=True)
class FileComparison:
    """Two files of profiles side by side.

    Args:
        a: the first file.
        b: the second file.
        pairs: profiles of one target and Python, compared; where each file has one alone, these two.
        only_a: what the first alone is for (`ppc64le, Python 3.13`).
        only_b: what the second alone is for.
    """

    a: Path
    b: Path
    pairs: tuple[ProfileComparison, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]

    def as_data(self) -> dict[str, Any]:
        """The comparison as plain data for JSON output."""
        return {
            "a": str(self.a),
            "b": str(self.b),
            "pairs": [each.as_data() for each in self.pairs],
            "only_a": list(self.only_a),
            "only_b": list(self.only_b),
        }


def compare_files(a: Path, b: Path) -> FileComparison:
    """Compare two files of profiles.

    Raises:
        UsageError: they have no target and Python in common.
        ArchiveError: one is malformed.
    """
    ours, theirs = ({each.label: each for each in archive.read(path)} for path in (a, b))
    if len(ours) == len(theirs) == 1:
        pairs = (compare(*ours.values(), *theirs.values()),)
        return FileComparison(a, b, pairs, (), ())
    common = [label for label in ours if label in theirs]
    if not common:
        raise UsageError(
            f"{a} and {b} have no target and Python in common",
            facts=[f"{path}: {'; '.join(found) or 'nothing'}" for path, found in ((a, ours), (b, theirs))],
            hint="save one wheel's profile in each, with `--target` and `--python`, to compare any two",
        )
    return FileComparison(
        a=a,
        b=b,
        pairs=tuple(compare(ours[label], theirs[label]) for label in common),
        only_a=tuple(label for label in ours if label not in theirs),
        only_b=tuple(label for label in theirs if label not in ours),
    )


def named(found: FileComparison, demangle: Callable[[Sequence[str]], Sequence[str]]) -> FileComparison:
    """A comparison with the names of functions as people write them.

    Args:
        found: the comparison.
        demangle: gives them.
    """
    pairs = []
    for pair in found.pairs:
        names = demangle([change.name for change in pair.functions])
        changes = (replace(change, name=name) for change, name in zip(pair.functions, names, strict=True))
        pairs.append(replace(pair, functions=tuple(changes)))
    return replace(found, pairs=tuple(pairs))
