"""The two stages of a profile-guided build, and what lies between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from xtool.context import Context
from xtool.crossenv.profiling import Profiling
from xtool.crossenv.wrappers import prefix_maps
from xtool.errors import CommandFailed, UsageError
from xtool.kit import Kit
from xtool.pgo import collect, elsewhere, report, usage
from xtool.pgo.compiles import read_compiles
from xtool.pgo.demangle import demangle
from xtool.pgo.names import Names
from xtool.pgo.notes import read_data
from xtool.pgo.profile import ObjectProfile, Profile
from xtool.pgo.runner import native
from xtool.pgo.training import Job, Runtime, Trained, train
from xtool.pgo.translate import translate
from xtool.python.versions import parse_python
from xtool.setup import ensure_desktop

if TYPE_CHECKING:
    from xtool.build.frontend import RawWheel
    from xtool.build.source import Source
    from xtool.crossenv.environment import CrossEnv

_SHOWN = 8


@dataclass(frozen=True, slots=True)
class PgoRequest:
    """What a user wants of profiles.

    Args:
        commands: training commands; none where a profile is loaded.
        requires: what they need beside the wheel.
        native: run them on this machine itself, not under the emulator.
        timeout: seconds that one may take.
        profiles: profiles that were loaded.
        loaded: the file that they were loaded from.
        collect: the folder of an instrumented build that was trained elsewhere, or None.
        stale: use what still fits of a profile of other sources.
        save: the file to keep profiles in, or None.
    """

    commands: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    native: bool = False
    timeout: float = 3600.0
    profiles: tuple[Profile, ...] = ()
    loaded: Path | None = None
    collect: Path | None = None
    stale: bool = False
    save: Path | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """One wheel that is built with a profile.

    Args:
        ctx: settings, log, environment.
        kit: the target's kit.
        version: its Python, `3.13`.
        source: the project.
        request: what is wanted of profiles.
        place: the folder that the wheel is built in.
        jobs: how much may run at once.
        build: builds the wheel in a folder, for a stage.
        step: told the step that begins: `train`.
        clock: adds the seconds of a block to a step.
        wheel_dirs: folders of wheels that may satisfy requirements.
    """

    ctx: Context
    kit: Kit
    version: str
    source: Source
    request: PgoRequest
    place: Path
    jobs: int
    build: Callable[[Path, Profiling], RawWheel]
    step: Callable[[str], None]
    clock: Callable[[str], AbstractContextManager[None]]
    wheel_dirs: Sequence[Path] = ()

    @property
    def label(self) -> str:
        """`ujson 5.11.0 for ppc64le, Python 3.13`."""
        return f"{self.source.label} for {self.kit.target.name}, Python {self.version}"


def build(work: Work) -> tuple[RawWheel, report.PgoReport]:
    """Build a wheel with a profile: a loaded one, or one that is trained for it.

    Raises:
        CommandFailed: a stage or the training failed, or the training wrote no profile.
        UsageError: the profile is of another compiler or source.
    """
    training: report.Training | None = None
    different: Mapping[str, tuple[str, ...]] = {}
    if work.request.profiles:
        profile = choose(work)
        origin = str(work.request.loaded)
        if not _is_own(work, profile):
            profile, different = translate(profile, _graphs(work))
    elif work.request.collect is not None:
        folder = elsewhere.folder_of(work.request.collect, work.kit.target.name, work.version)
        profile = _profile(work, *elsewhere.collected(work, folder), "elsewhere")
        _check_sources(work, profile)
        origin = str(folder)
    else:
        profile, training = _train(work)
        origin = "trained"
    return _optimise(work, profile, origin, training, different)


def choose(work: Work) -> Profile:
    """The profile of a file to use for a wheel: of this target and Python, else of the nearest.

    Raises:
        UsageError: there is none of this compiler, or it is of other sources.
    """
    target, version, gcc = work.kit.target.name, work.version, work.kit.toolchain.version
    fitting = [each for each in work.request.profiles if each.compiler == gcc]
    if not fitting:
        found = ", ".join(sorted({each.compiler for each in work.request.profiles}))
        raise UsageError(
            f"the profile {work.request.loaded} is of another compiler",
            facts=[
                f"it was made with GCC {found}, and {target} is built with GCC {gcc}",
                "a profile fits the compiler that it was made with, and no other",
            ],
            hint="train again: `--pgo CMD --pgo-save FILE`",
            code="profile-compiler",
        )
    best = max(fitting, key=lambda p: (p.target == target, p.python == version))
    if not _is_own(work, best):
        work.ctx.log.warning(
            f"{work.label}: there is no profile of this target and Python; that of {best.label} is used",
            hint="what is optimised by halves may be slower than without a profile: train for the target",
        )
    _check_sources(work, best)
    return best


def _is_own(work: Work, profile: Profile) -> bool:
    """Whether a profile was made for the target and Python of a wheel."""
    return (profile.target, profile.python) == (work.kit.target.name, work.version)


def _graphs(work: Work) -> tuple[ObjectProfile, ...]:
    """The objects of a wheel with the graphs of their functions: stage 1, without a training."""
    from xtool.build.frontend import project_folder

    folder = work.place.resolve() / "graphs"
    stage, counters = folder / "stage", folder / "counters"
    stage.mkdir(parents=True)
    project = project_folder(stage)
    with work.ctx.log.step(f"building {work.label}, for its graphs"), work.clock("instrument"):
        raw = work.build(stage, Profiling("generate", counters, project))
        found = collect.objects(
            folder / "none",
            collect.embedded(raw.path, counters),
            read_compiles(trace_of(raw.cross), work.kit.target.cflags),
            names_of(raw.cross, work.kit),
            counters=counters,
            project=project,
        )
    collect.take_away(folder)
    return found


def _check_sources(work: Work, profile: Profile) -> None:
    """Refuse a profile of other sources before anything is compiled."""
    then: dict[str, str] = {}
    for each in profile.objects:
        then |= each.sources
    paths = [str(work.source.path / name) for name in then]
    now = collect.digests(paths, work.source.path, Names(()))
    # What the build generates is not there yet; it is looked at afterwards.
    differing = [name for name, digest in now.items() if digest != then[name]]
    if not now and then:
        differing = list(then)
    if differing:
        _refuse(work, differing, len(then))


def _refuse(work: Work, differing: Sequence[str], of: int) -> None:
    """Say that sources have changed since a profile was made; raise where that is not wanted."""
    of_file = f" {work.request.loaded}" if work.request.loaded else ""
    message = f"the profile{of_file} is of other sources of {work.source.label}"
    more = [f"... and {len(differing) - _SHOWN} more"] if len(differing) > _SHOWN else []
    facts = [f"{len(differing)} of {of} files differ:", *sorted(differing)[:_SHOWN], *more]
    if work.request.stale:
        work.ctx.log.warning(f"{message}: {', '.join(sorted(differing)[:_SHOWN])}")
        return
    raise UsageError(
        message,
        facts=facts,
        hint="train again (`--pgo CMD`), or use what still fits of it with `--pgo-stale`",
        code="profile-source",
    )


def _train(work: Work) -> tuple[Profile, report.Training]:
    """Stage 1 and the training."""
    from xtool.build.frontend import project_folder
    from xtool.toolchain.runtimes import offer_libraries

    ctx, kit, request = work.ctx, work.kit, work.request
    folder = work.place.resolve() / "training"
    # Code that is chosen at run time is trained as it is chosen on processors of today.
    best = replace(kit.emulator, cpu=kit.target.qemu_best_cpu)
    runner = native(kit, folder / "native") if request.native else replace(kit, emulator=best)
    workdir, counters = folder / "stage", folder / "counters"
    with ctx.log.step(f"building {work.label}, with counters"), work.clock("instrument"):
        runtime = Runtime.make(ctx, kit, work.version, folder / "runtime")
        workdir.mkdir(parents=True)
        counters.mkdir()
        project = project_folder(workdir)
        raw = work.build(workdir, Profiling("generate", counters, project, (runtime.part, runtime.library)))
        modules = collect.embedded(raw.path, counters)
    if not modules:
        raise nothing_to_profile(work, raw.path)
    work.step("train")
    where = "on this machine" if request.native else f"under {kit.emulator.executable.name}"
    with ctx.log.step(f"training {raw.path.name} {where}"), work.clock("train"):
        job = Job(
            wheel=raw.path,
            commands=request.commands,
            requires=request.requires,
            wheel_dirs=work.wheel_dirs,
            project=project,
            counters=counters,
            timeout=request.timeout,
            jobs=work.jobs,
            desktop=partial(ensure_desktop, ctx, kit, work.version),
            library_dirs=(offer_libraries(kit.sysroot, folder / "libraries"),),
        )
        trained = train(ctx, runner, work.version, runtime, job, folder / "run")
        profile = _collect(work, raw, trained, modules, folder)
    collect.take_away(folder)
    told = report.Training(
        commands=request.commands,
        seconds=trained.seconds,
        each=trained.each,
        where=profile.trained,
        lost=trained.lost,
    )
    return profile, told


def nothing_to_profile(work: Work, wheel: Path) -> CommandFailed:
    """The error for a wheel of stage 1 without counters."""
    return CommandFailed(
        f"{work.source.label} has nothing that a profile could be made of",
        facts=[f"no file of {wheel.name} was compiled with counters by xtool's compilers"],
        hint="leave `--pgo` out for a project without C, C++ or Fortran; others must use `CC`",
        code="nothing-to-profile",
    )


def _collect(
    work: Work,
    raw: RawWheel,
    trained: Trained,
    modules: Mapping[str, tuple[str, ...]],
    folder: Path,
) -> Profile:
    """Make a profile of what the training counted.

    Raises:
        CommandFailed: it counted nothing.
    """
    for problem in trained.problems[:_SHOWN]:
        work.ctx.log.warning(f"the training could not write a profile: {problem}")
    counters = folder / "counters"
    merged = collect.merge(work.ctx, work.kit.toolchain, trained.parts, folder / "merged")
    written = sorted(merged.rglob("*.gcda"))
    if not written:
        instrumented = sorted({member for members in modules.values() for member in members})
        raise CommandFailed(
            "the training wrote no profile",
            facts=[
                f"instrumented: {', '.join(instrumented[:_SHOWN])}",
                *(f"command: {command}" for command in work.request.commands),
                *trained.problems[:_SHOWN],
            ],
            hint="does a training command import the project, and end by itself?",
            code="no-profile",
        )
    found = collect.objects(
        merged,
        modules,
        read_compiles(trace_of(raw.cross), work.kit.target.cflags),
        names_of(raw.cross, work.kit),
        counters=counters,
        project=folder / "stage" / "source",
    )
    return _profile(work, written[0], found, "native" if work.request.native else "qemu-user")


def _profile(work: Work, written: Path, found: tuple[ObjectProfile, ...], where: str) -> Profile:
    """The profile of a wheel.

    Raises:
        CommandFailed: no function was called.
    """
    if not any(f.coverage and f.coverage.covered for each in found for f in each.functions):
        raise CommandFailed(
            "the training covered nothing: no function of the project was called",
            facts=[f"command: {command}" for command in work.request.commands],
            hint="let a training command do what users do with the project",
            code="empty-profile",
        )
    return Profile(
        project=work.source.label,
        target=work.kit.target.name,
        python=work.version,
        compiler=work.kit.toolchain.version,
        format=read_data(written).version,
        trained=where,
        commands=work.request.commands,
        objects=found,
    )


def _optimise(
    work: Work,
    profile: Profile,
    origin: str,
    training: report.Training | None,
    different: Mapping[str, tuple[str, ...]],
) -> tuple[RawWheel, report.PgoReport]:
    """Stage 2, and what it made of the profile; `different` are functions with another graph than in it."""
    from xtool.build.frontend import project_folder

    folder = work.place.resolve() / "profiles"
    project = project_folder(work.place)
    kit = work.kit

    def ready(cross: CrossEnv) -> None:
        usage.prepare(profile, folder, names_of(cross, kit))

    with work.ctx.log.step(f"building {work.label}, with its profile"), work.clock("build"):
        raw = work.build(work.place, Profiling("use", folder, project, before=ready))
    names = names_of(raw.cross, kit)
    uses = usage.used(
        profile,
        read_compiles(trace_of(raw.cross), kit.target.cflags),
        usage.linked_stems(raw.trace.libraries),
        names,
        project,
    )
    tell = partial(demangle, work.ctx, kit.toolchain.tool("c++filt"))
    uses = tuple(
        replace(use, mismatched=(*use.mismatched, *tell(different.get(use.key, ())))) for use in uses
    )
    # What is in the source itself was looked at before.
    generated = {name for use in uses for name in use.changed if not (work.source.path / name).exists()}
    changed = sorted(name for name in generated if training is None)
    if changed:
        _refuse(work, changed, len({name for each in profile.objects for name in each.sources}))
    if not any(use.found for use in uses):
        raise CommandFailed(
            "the second stage used nothing of the profile",
            facts=[f"in the profile: {each.key}" for each in profile.objects[:_SHOWN]],
            hint="is it the profile of this project? does the build name folders of objects by chance?",
            code="profile-unused",
        )
    made = report.make(
        profile,
        uses,
        origin=origin,
        training=training,
        show=names.shown,
        demangle=tell,
    )
    return raw, made


def trace_of(cross: CrossEnv) -> Path:
    """Where the compilers of a build have left their notes."""
    if cross.trace is None:
        raise ValueError("a build without notes cannot be profiled")
    return cross.trace


def names_of(cross: CrossEnv, kit: Kit) -> Names:
    """What is called otherwise in another build than one in a cross environment."""
    return Names(
        folders=prefix_maps(cross.roots),
        platform=cross.environ["_PYTHON_HOST_PLATFORM"],
        python=f"cpython-{parse_python(cross.version).release.replace('.', '')}",
        triplet=kit.target.triplet,
    )
