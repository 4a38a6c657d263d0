"""What stage 2 made of a profile: the files that GCC reads, and what it said of them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xtool.pgo import collect
from xtool.pgo.compiles import Compile, data_file
from xtool.pgo.names import Names
from xtool.pgo.notes import Counts, Data, write_data
from xtool.pgo.profile import Function, ObjectProfile, Profile

_NO_FILE = re.compile(r"profile count data file not found \[-Wmissing-profile\]")
_NOT_FOUND = re.compile(r"profile for function '([^']*)' not found in profile data \[-Wmissing-profile\]")
_MISMATCH = re.compile(
    r"(?:the control flow of|number of counters in profile data for|source locations for) function '([^']*)'"
    r".*\[-Wcoverage-mismatch\]"
)


@dataclass(frozen=True, slots=True)
class ObjectUse:
    """What the compiler made of the profile of one object.

    Args:
        key: the object (`ObjectProfile.key`).
        source: its source.
        found: whether there was a file for it.
        missing: functions that the profile does not have.
        mismatched: functions that are not what they were when it was made.
        changed: files of the project that are not what they were then.
        flags: the options of code that are not what they were then, as `-O2 -> -O3`; empty where they are.
    """

    key: str
    source: str
    found: bool
    missing: tuple[str, ...] = ()
    mismatched: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    flags: str = ""


def prepare(profile: Profile, folder: Path, names: Names) -> None:
    """Write the profile where the compilers of this build look for it.

    Args:
        profile: the profile.
        folder: the folder that the compilers are told.
        names: what its names stand for in this build.
    """
    moved: dict[int, int] = {}
    ready = [
        (each, [_moved(function, each, names, moved) for function in each.functions if function.counters])
        for each in profile.objects
    ]
    for each, functions in ready:
        if not functions:
            continue
        counts = [
            Counts(f.ident, f.lineno_checksum, f.cfg_checksum, f.counters)
            for f in (collect.renumbered(function, moved) for function in functions)
        ]
        path = data_file(folder, names.concrete(each.place), names.concrete(each.aux))
        path.parent.mkdir(parents=True, exist_ok=True)
        write_data(path, Data(profile.format, each.runs, each.highest, tuple(counts)))


def _moved(function: Function, each: ObjectProfile, names: Names, moved: dict[int, int]) -> Function:
    file, aux = names.concrete(function.file), names.concrete(each.aux)
    made = collect.numbers(function.scope, file, function.line, function.name, aux)
    if made is None:
        return function
    moved[function.ident] = made[0]
    return replace(function, ident=made[0], lineno_checksum=made[1])


def used(
    profile: Profile, compiles: Iterable[Compile], linked: frozenset[str], names: Names, project: Path
) -> tuple[ObjectUse, ...]:
    """What became of the profile.

    Args:
        profile: the profile.
        compiles: the compiles of stage 2.
        linked: what its linkers read, absolute paths.
        names: what its names stand for.
        project: the project's folder.

    Returns:
        An entry for each object that was compiled and is in the profile, or was linked and is not.
    """
    known = {each.key: each for each in profile.objects}
    last: dict[str, list[Compile]] = defaultdict(list)
    for each in sorted(compiles, key=lambda one: one.order):
        last[names.abstract_key(each.place, each.aux)].append(each)
    found = []
    for key, candidates in sorted(last.items()):
        one = candidates[-1]
        if key in known:
            found.append(_use(key, one, known[key], names, project))
        # An object without functions has no profile, and its compiler asks for none.
        elif str(one.cwd / one.aux) in linked and _NO_FILE.search(one.said):
            found.append(ObjectUse(key, names.abstract(one.source), found=False))
    return tuple(found)


def linked_stems(libraries: Iterable[str]) -> frozenset[str]:
    """Paths of objects without their suffix, as compiles name them."""
    return frozenset(path.rpartition(".")[0] for path in libraries)


def _use(key: str, one: Compile, profile: ObjectProfile, names: Names, project: Path) -> ObjectUse:
    flags = tuple(names.abstract(flag) for flag in one.flags)
    now = collect.digests(one.headers, project, names)
    return ObjectUse(
        key=key,
        source=profile.source,
        found=not _NO_FILE.search(one.said),
        missing=tuple(dict.fromkeys(_NOT_FOUND.findall(one.said))),
        mismatched=tuple(dict.fromkeys(_MISMATCH.findall(one.said))),
        changed=changed(profile.sources, now),
        flags=_difference(profile.flags, flags),
    )


def changed(then: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """Names of files that are not what they were, or that are there only now or only then."""
    return tuple(sorted(name for name in {*then, *now} if then.get(name) != now.get(name)))


def _difference(then: Sequence[str], now: Sequence[str]) -> str:
    gone = [flag for flag in then if flag not in now]
    new = [flag for flag in now if flag not in then]
    if not gone and not new:
        return ""
    return f"{' '.join(gone) or 'nothing'} -> {' '.join(new) or 'nothing'}"
