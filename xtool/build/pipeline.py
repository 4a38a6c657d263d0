"""From a source to one tested wheel: the steps of a cell of the matrix, in order, each timed.

A wheel leaves its cell only when it was judged, repaired and has passed its smoke tests.
"""

from __future__ import annotations

import importlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xtool.build.commands import names_project
from xtool.build.kept import Sharing
from xtool.build.source import Source
from xtool.context import Context
from xtool.errors import Interrupted, XtoolError
from xtool.kit import Kit
from xtool.setup import Request, ensure_desktop
from xtool.targets import format_glibc, same_machine
from xtool.wheel.wheelfile import WheelName

if TYPE_CHECKING:
    from xtool.build.frontend import RawWheel
    from xtool.build.smoke import SmokeResult
    from xtool.crossenv.profiling import Profiling
    from xtool.pgo.build import PgoRequest
    from xtool.pgo.report import PgoReport
    from xtool.wheel.findings import Finding

_WARNINGS_SHOWN = 3
"""How many findings of one kind are spelt out."""


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What a user wants built.

    Args:
        source: a folder, an sdist file or a requirement.
        setups: for each target its set-up; without Pythons, the project decides which.
        outdir: where finished wheels go.
        test_commands: commands that test the wheel in its target environment; empty for the import test.
        test_requires: requirements of the tests.
        test: whether to smoke-test at all.
        jobs: how much may run at once.
        config_settings: PEP 517 config settings for the back end.
        fail_fast: whether the first failure ends everything.
        log_dir: folder for the logs, or None for one in the cache.
        pgo: what is wanted of profiles, or None for a build without.
    """

    source: str
    setups: tuple[Request, ...]
    outdir: Path
    test_commands: tuple[str, ...] = ()
    test_requires: tuple[str, ...] = ()
    test: bool = True
    jobs: int = 1
    config_settings: Mapping[str, str | list[str]] = field(default_factory=dict)
    fail_fast: bool = False
    log_dir: Path | None = None
    pgo: PgoRequest | None = None


@dataclass(frozen=True, slots=True)
class BuiltWheel:
    """One finished wheel.

    Args:
        path: the wheel.
        target: target name.
        python: `X.Y`.
        platform_tag: the platform part of its name, as earned.
        glibc_required: the glibc that its symbols need, or None for a wheel without machine code.
        smoke: status, command and seconds of its smoke test, and the glibc that it ran on.
        timings: seconds per step.
        warnings: what was found and is no error.
        tested: for each Python that it was tested on, the same as in `smoke`, with `python`.
        serves: the other cells that it is for, as `target` and `python`.
        log: its log, or None where none could be written.
        pgo: the report of its profile, or None where it has none.
    """

    path: Path
    target: str
    python: str
    platform_tag: str
    glibc_required: str | None
    smoke: Mapping[str, Any]
    timings: Mapping[str, float]
    warnings: tuple[str, ...] = ()
    tested: tuple[Mapping[str, Any], ...] = ()
    serves: tuple[Mapping[str, str], ...] = ()
    log: Path | None = None
    pgo: PgoReport | None = None

    def as_data(self) -> dict[str, Any]:
        """The wheel as plain data for JSON output."""
        return {
            **{field.name: getattr(self, field.name) for field in fields(self)},
            "pgo": None if self.pgo is None else self.pgo.as_data(),
            "path": str(self.path),
            "warnings": list(self.warnings),
            "tested": list(self.tested),
            "serves": list(self.serves),
            "log": None if self.log is None else str(self.log),
        }


@dataclass(frozen=True, slots=True)
class Product:
    """What the cells of one run have in common.

    Args:
        request: what the user wants.
        setups: for each target its set-up, with the Pythons that the project is built for.
        source: the project, unpacked once.
        sharing: what builds ask of uv.
        seconds: what set-up and source took.
    """

    request: BuildRequest
    setups: tuple[Request, ...]
    source: Source
    sharing: Sharing
    seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Cell:
    """One target with one Python.

    Args:
        kit: the target's kit.
        version: the Python, `3.13`.
    """

    kit: Kit
    version: str

    @property
    def target(self) -> str:
        """The target's name."""
        return self.kit.target.name

    @property
    def label(self) -> str:
        """`ppc64le, Python 3.13`."""
        return f"{self.target}, Python {self.version}"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a cell asks of whoever runs it.

    Args:
        step: told the step that begins: `requirements`, `instrument`, `train`, `compile`, `judge`, `smoke`.
        tested_on: by the wheel's name, the Pythons to test it on.
        kit_with: a kit of the cell's target that has a Python to test on.
    """

    step: Callable[[str], None]
    tested_on: Callable[[WheelName], Sequence[str]]
    kit_with: Callable[[str], Kit]


class Clock:
    """Seconds per step, in the order in which the steps ran."""

    def __init__(self, before: Mapping[str, float] | None = None) -> None:
        self.seconds: dict[str, float] = dict(before or {})

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Add the seconds of the block to a step."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[step] = round(self.seconds.get(step, 0.0) + time.monotonic() - started, 3)


def build_wheel(
    ctx: Context, cell: Cell, product: Product, place: Path, *, jobs: int, asked: Asked
) -> BuiltWheel:
    """Build, judge, repair and test the wheel of one cell; it lies in the cell's folder.

    Args:
        ctx: settings, environment, and the log of this wheel.
        cell: target and Python.
        product: what is built.
        place: an empty folder.
        jobs: how many compilers may run at once.
        asked: what is asked on the way.

    Raises:
        CommandFailed: the build or a test failed.
        WheelRejected: the wheel is not what was asked for.
    """
    threading.Thread(target=_import_ahead, daemon=True).start()
    kit, version = cell.kit, cell.version
    clock = Clock(product.seconds)
    raw, profiled = _raw(ctx, cell, product, place, jobs=jobs, asked=asked, clock=clock)
    from xtool.toolchain.runtimes import offer_libraries
    from xtool.wheel.judge import judge
    from xtool.wheel.repair import repair

    asked.step("judge")
    libraries = (offer_libraries(kit.sysroot, place / "libraries"),)
    with clock("judge"):
        judged = partial(
            judge,
            target=kit.target,
            python=version,
            glibc=kit.sysroot.glibc,
            sysroot_exports=kit.sysroot.exports,
            compiler=kit.toolchain.version if same_machine(kit.host, kit.target) else "",
        )
        judged(raw.path, trace=raw.trace, library_dirs=libraries).require()
        wheel = repair(
            ctx,
            raw.path,
            target=kit.target,
            glibc=kit.sysroot.glibc,
            library_dirs=libraries,
            outdir=place / "repaired",
            strip=kit.toolchain.tool("strip"),
        )
        verdict = judged(wheel, trace=raw.trace)
        verdict.require()
    findings = [*verdict.warnings, *(profiled.findings if profiled else ())]
    _warn(ctx, findings)
    asked.step("smoke")
    with clock("smoke"):
        said: list[str] = []
        tested = tuple(_tests(ctx, cell, product, wheel, place, asked, said))
    return BuiltWheel(
        path=wheel,
        target=cell.target,
        python=version,
        platform_tag=wheel.stem.split("-")[-1],
        glibc_required=format_glibc(verdict.glibc_required) if verdict.glibc_required else None,
        smoke={name: value for name, value in tested[0].items() if name != "python"},
        timings=clock.seconds,
        warnings=(*map(str, findings), *said),
        tested=tested,
        pgo=profiled,
    )


def _raw(
    ctx: Context, cell: Cell, product: Product, place: Path, *, jobs: int, asked: Asked, clock: Clock
) -> tuple[RawWheel, PgoReport | None]:
    """The wheel as the back end makes it, with a profile where one is asked for."""
    from xtool.build import frontend

    def build(workdir: Path, profiling: Profiling | None = None) -> RawWheel:
        counts = profiling is not None and profiling.stage == "generate"
        return frontend.build_wheel(
            ctx,
            cell.kit,
            cell.version,
            product.source,
            workdir=workdir,
            jobs=jobs,
            config_settings=product.request.config_settings,
            sharing=product.sharing,
            on_step=lambda step: asked.step("instrument" if counts and step == "compile" else step),
            profiling=profiling,
        )

    if product.request.pgo is None:
        with ctx.log.step(f"building {product.source.label} for {cell.label}"), clock("build"):
            return build(place), None
    from xtool.pgo import build as profiled

    work = profiled.Work(
        ctx=ctx,
        kit=cell.kit,
        version=cell.version,
        source=product.source,
        request=product.request.pgo,
        place=place,
        jobs=jobs,
        build=build,
        step=asked.step,
        clock=clock,
        wheel_dirs=_wheel_dirs(product),
    )
    return profiled.build(work)


def _wheel_dirs(product: Product) -> tuple[Path, ...]:
    """Folders of wheels that may satisfy what tests and training need."""
    return (product.request.outdir,) if product.request.outdir.is_dir() else ()


def _warn(ctx: Context, findings: Sequence[Finding]) -> None:
    """Say what was found; a mistake that every file of a wheel has is not said of each."""
    by_code: dict[str, list[Finding]] = {}
    for finding in findings:
        by_code.setdefault(finding.code, []).append(finding)
    for alike in by_code.values():
        for finding in alike[:_WARNINGS_SHOWN]:
            ctx.log.warning(str(finding), hint=finding.cure)
        if len(alike) > _WARNINGS_SHOWN:
            ctx.log.warning(f"{len(alike) - _WARNINGS_SHOWN} more files are like that")


def _import_ahead() -> None:
    """Import what comes after the build while the back end works, which this process waits for anyway.

    What cannot be imported is reported where it is needed.
    """
    with suppress(Exception):
        for name in ("xtool.wheel.judge", "xtool.wheel.repair", "xtool.build.smoke", "xtool.targetinstall"):
            importlib.import_module(name)
        for name in ("elftools.elf.elffile", "auditwheel.policy", "packaging.tags", "installer"):
            importlib.import_module(name)


def _tests(
    ctx: Context, cell: Cell, product: Product, wheel: Path, place: Path, asked: Asked, said: list[str]
) -> Iterator[Mapping[str, Any]]:
    """Test a wheel on each Python that it is to be tested on, its own first; `said` gets what they warned of.

    Raises:
        CommandFailed: a test failed.
    """
    from xtool.build.smoke import SmokeResult

    project = _own_project(product, place)
    for version in asked.tested_on(WheelName.parse(wheel.name)):
        kit, result = cell.kit, SmokeResult("skipped", "", 0.0)
        if product.request.test:
            try:
                kit = asked.kit_with(version)
            except Interrupted:
                raise
            except XtoolError as error:
                # Its own Python is in the cell's kit: this is one to test on besides.
                ctx.log.warning(f"{wheel.name} is not tested on Python {version}: {error.message}")
                continue
            result = _smoke(ctx, kit, product, version, wheel, project)
        said += [warning for warning in result.warnings if warning not in said]
        glibc = kit.pythons[version].glibc if version in kit.pythons else None
        yield {
            "python": version,
            "status": result.status,
            "command": result.command,
            "seconds": result.seconds,
            "glibc": format_glibc(glibc) if glibc else None,
        }


def _own_project(product: Product, place: Path) -> Path:
    """The project for tests, which may write into it: a copy of this cell's own where commands name it."""
    commands = " ".join(product.request.test_commands)
    if not product.request.test or not names_project(commands):
        return product.source.path
    copy = place / "tested" / product.source.path.name
    shutil.copytree(product.source.path, copy, symlinks=True)
    return copy


def _smoke(ctx: Context, kit: Kit, product: Product, version: str, wheel: Path, project: Path) -> SmokeResult:
    from xtool.build.smoke import smoke_test

    request = product.request
    on = f"{kit.emulator.executable.name}, glibc {format_glibc(kit.pythons[version].glibc)}"
    with ctx.log.step(f"testing {wheel.name} under {on}"):
        result = smoke_test(
            ctx,
            kit,
            version,
            wheel,
            test_command=request.test_commands,
            test_requires=request.test_requires,
            project=project,
            wheel_dirs=_wheel_dirs(product),
            desktop=partial(ensure_desktop, ctx, kit, version),
        )
        result.raise_for_failure(wheel)
    return result
