"""What a profile-guided build has to say: what the training covered, what is hot, what stage 2 used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from xtool.pgo.profile import Function, ObjectProfile, Profile
from xtool.pgo.usage import ObjectUse
from xtool.wheel.findings import Finding, warning

_HOTTEST = 20
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class FileCoverage:
    """What the training covered of one source file.

    Args:
        file: its name (`src/a.c`, `/xtool/toolchain/.../vector`).
        functions: how many functions it has in the wheel.
        functions_covered: how many of them were called.
        arcs: how many arcs they have.
        arcs_covered: how many of them were taken.
        weight: sum of how often their blocks were run.
    """

    file: str
    functions: int
    functions_covered: int
    arcs: int
    arcs_covered: int
    weight: int


@dataclass(frozen=True, slots=True)
class HotFunction:
    """A function that much of the training was spent in.

    Args:
        name: its name, for people.
        file: its source.
        line: the line that it starts in.
        entered: how often it was called.
        share: its part of all blocks that were run, 0 to 1.
    """

    name: str
    file: str
    line: int
    entered: int
    share: float


@dataclass(frozen=True, slots=True)
class Training:
    """How the training went.

    Args:
        commands: the commands, as given.
        seconds: wall time of all of them.
        each: wall time of each.
        where: `qemu-user` or `native`.
        lost: processes that ended without writing their counters.
    """

    commands: tuple[str, ...]
    seconds: float
    each: tuple[float, ...]
    where: str
    lost: int = 0


@dataclass(frozen=True, slots=True)
class PgoReport:
    """The report of one wheel.

    Args:
        profile: the profile that was used.
        origin: `trained`, or the file that it was loaded from.
        training: how it went, where there was one.
        files: the project's own files, then others; each with the most work first.
        hottest: the functions with the most work.
        uses: what stage 2 made of each object's profile.
        unused: objects of the profile that stage 2 did not compile.
        findings: what is not as it should be.
    """

    profile: Profile
    origin: str
    training: Training | None
    files: tuple[FileCoverage, ...]
    hottest: tuple[HotFunction, ...]
    uses: tuple[ObjectUse, ...]
    unused: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def functions_used(self) -> int:
        """How many functions stage 2 had counters for."""
        used = {use.key: use for use in self.uses}
        return sum(
            1
            for each in self.profile.objects
            if each.key in used and used[each.key].found
            for function in each.functions
            if function.counters and _plain_name(function) not in used[each.key].mismatched
        )

    def as_data(self) -> dict[str, Any]:
        """The report as plain data for JSON output."""
        return {
            "origin": self.origin,
            "profile": {
                "project": self.profile.project,
                "target": self.profile.target,
                "python": self.profile.python,
                "compiler": self.profile.compiler,
                "trained": self.profile.trained,
            },
            "training": asdict(self.training) if self.training else None,
            "files": [asdict(each) for each in self.files],
            "hottest": [asdict(each) for each in self.hottest],
            "used": {
                "objects": sum(use.found for use in self.uses),
                "functions": self.functions_used,
                "objects_without_profile": [use.key for use in self.uses if not use.found],
                "unused": list(self.unused),
                "each": [asdict(use) for use in self.uses],
            },
            "findings": [asdict(finding) for finding in self.findings],
        }


def make(
    profile: Profile,
    uses: Sequence[ObjectUse],
    *,
    origin: str,
    training: Training | None,
    show: Callable[[str], str] = str,
    demangle: Callable[[Sequence[str]], Sequence[str]],
) -> PgoReport:
    """Put a report together.

    Args:
        profile: the profile that was used.
        uses: what stage 2 made of it.
        origin: `trained`, or the file that it was loaded from.
        training: how it went, where there was one.
        show: gives the name of a file for people.
        demangle: gives the names of functions as people write them.
    """
    uses = [replace(use, source=show(use.source)) for use in uses]
    compiled = {use.key for use in uses}
    unused = tuple(each.key for each in profile.objects if each.key not in compiled)
    return PgoReport(
        profile=profile,
        origin=origin,
        training=training,
        files=tuple(replace(each, file=show(each.file)) for each in _files(profile.objects)),
        hottest=tuple(replace(each, file=show(each.file)) for each in _hottest(profile.objects, demangle)),
        uses=tuple(uses),
        unused=unused,
        findings=tuple(_findings(profile, uses, unused, training, show)),
    )


def _own(objects: Iterable[ObjectProfile]) -> Iterable[Function]:
    """Functions with what was counted in them, each where it was counted."""
    for each in objects:
        for function in each.functions:
            if function.coverage is not None and not function.lent and not function.artificial:
                yield function


def _files(objects: Iterable[ObjectProfile]) -> Iterable[FileCoverage]:
    """By file; a function that several objects have copies of is one function."""
    by_file: dict[str, dict[tuple[str, int], list[Function]]] = defaultdict(lambda: defaultdict(list))
    for function in _own(objects):
        by_file[function.file][function.name, function.line].append(function)
    found = [_file(file, functions) for file, functions in by_file.items()]
    return sorted(found, key=lambda each: (each.file.startswith("/"), -each.weight, each.file))


def _file(file: str, functions: Mapping[tuple[str, int], Sequence[Function]]) -> FileCoverage:
    best = [
        max((f.coverage for f in copies if f.coverage), key=lambda c: (c.covered, c.arcs))
        for copies in functions.values()
    ]
    return FileCoverage(
        file=file,
        functions=len(best),
        functions_covered=sum(each.entered > 0 or each.covered > 0 for each in best),
        arcs=sum(each.arcs for each in best),
        arcs_covered=sum(each.covered for each in best),
        weight=sum(f.coverage.weight for copies in functions.values() for f in copies if f.coverage),
    )


def _hottest(
    objects: Iterable[ObjectProfile], demangle: Callable[[Sequence[str]], Sequence[str]]
) -> Iterable[HotFunction]:
    functions = list(_own(objects))
    total = sum(f.coverage.weight for f in functions if f.coverage)
    ordered = sorted(functions, key=lambda f: (-(f.coverage.weight if f.coverage else 0), f.name))
    hot = [f for f in ordered[:_HOTTEST] if f.coverage and f.coverage.weight > 0]
    names = demangle([f.name for f in hot])
    for function, name in zip(hot, names, strict=True):
        shape = function.coverage
        if shape is not None:
            share = round(shape.weight / total, 4)
            yield HotFunction(name, function.file, function.line, shape.entered, share)


def _plain_name(function: Function) -> str:
    return function.name.partition(".")[0]


def _findings(
    profile: Profile,
    uses: Sequence[ObjectUse],
    unused: Sequence[str],
    training: Training | None,
    show: Callable[[str], str],
) -> Iterable[Finding]:
    if training is not None and training.lost:
        count = training.lost
        what = "1 process" if count == 1 else f"{count} processes"
        yield warning(
            "lost-profile",
            f"{what} of the training ended without writing what was counted",
            file="",
            cure="let it end by itself: what SIGKILL or a crash ends writes nothing",
        )
    for each in profile.objects:
        if not each.counted or not any(function.counters for function in each.functions):
            yield _not_run(show(each.source), "was not run by the training")
        elif not any(f.coverage and f.coverage.covered for f in each.functions):
            yield _not_run(show(each.source), "was loaded by the training, but no function of it was called")
    known = {each.key for each in profile.objects if each.counted}
    for use in uses:
        yield from _of_use(use, known)
    for key in unused:
        yield warning(
            "unused-profile",
            "is in the profile, and this build has no such object",
            file=show(key),
            cure="is the profile of another version or configuration? train again",
        )


def _not_run(source: str, what: str) -> Finding:
    return warning(
        "not-covered",
        f"{what}: it is compiled without a profile",
        file=source,
        cure="train what it does, if users do it often",
    )


def _of_use(use: ObjectUse, known: set[str]) -> Iterable[Finding]:
    if not use.found and use.key not in known:
        yield warning(
            "missing-profile",
            "has no profile: it was no part of the instrumented wheel",
            file=use.source,
            cure="does the build choose its sources by chance or by what it finds? train again",
        )
    elif not use.found:
        yield warning("missing-profile", "its profile was not found by the compiler", file=use.source)
    if use.mismatched:
        names = ", ".join(f"`{name}`" for name in use.mismatched[:_SHOWN])
        more = len(use.mismatched) - _SHOWN
        yield warning(
            "coverage-mismatch",
            f"the profile does not fit {names}{f' and {more} more' if more > 0 else ''}",
            file=use.source,
            cure="train again for this target, Python and source",
        )
    if use.flags:
        yield warning(
            "profile-flags",
            f"is compiled with other options than when it was trained: {use.flags}",
            file=use.source,
            cure="train with the options that the wheel is built with",
        )
