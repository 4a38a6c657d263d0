"""From a source to tested wheels: the steps of `xtool build`, in order, each timed.

A wheel reaches the output folder only when it was judged, repaired and has passed its smoke test; what failed
leaves nothing there.
"""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xtool.context import Context
from xtool.errors import StoreError, UsageError, XtoolError
from xtool.kit import Kit
from xtool.setup import Request, ensure_desktop, ensure_kit
from xtool.store import Store
from xtool.targets import format_glibc, same_machine

if TYPE_CHECKING:
    from xtool.build.smoke import SmokeResult
    from xtool.build.source import Source
    from xtool.wheel.findings import Finding

_WARNINGS_SHOWN = 3
"""How many findings of one kind are spelt out."""


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """What a user wants built.

    Args:
        source: a folder, an sdist file or a requirement.
        setup: target, Pythons, floor.
        outdir: where finished wheels go.
        test_commands: commands that test the wheel in its target environment; empty for the import test.
        test_requires: requirements of the tests.
        test: whether to smoke-test at all.
        jobs: how many compilers may run at once.
        config_settings: PEP 517 config settings for the back end.
    """

    source: str
    setup: Request
    outdir: Path
    test_commands: tuple[str, ...] = ()
    test_requires: tuple[str, ...] = ()
    test: bool = True
    jobs: int = 1
    config_settings: Mapping[str, str | list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BuiltWheel:
    """One finished wheel.

    Args:
        path: the wheel.
        target: target name.
        python: `X.Y`.
        platform_tag: the platform part of its name, as earned.
        glibc_required: the glibc that its symbols need, or None for a wheel without machine code.
        smoke: status, command and seconds of its smoke test.
        timings: seconds per step.
        warnings: what was found and is no error.
    """

    path: Path
    target: str
    python: str
    platform_tag: str
    glibc_required: str | None
    smoke: Mapping[str, Any]
    timings: Mapping[str, float]
    warnings: tuple[str, ...] = ()

    def as_data(self) -> dict[str, Any]:
        """The wheel as plain data for JSON output."""
        return {**asdict(self), "path": str(self.path), "warnings": list(self.warnings)}


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What came of one build.

    Args:
        wheels: the finished wheels.
        errors: why there is none for the other Pythons; none is made up for.
    """

    wheels: tuple[BuiltWheel, ...]
    errors: tuple[XtoolError, ...] = ()


class _Clock:
    """Seconds per step, in the order in which the steps ran."""

    def __init__(self, before: Mapping[str, float] | None = None) -> None:
        self.seconds: dict[str, float] = dict(before or {})

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self.seconds[step] = round(self.seconds.get(step, 0.0) + time.monotonic() - started, 3)


def build(ctx: Context, request: BuildRequest) -> BuildReport:
    """Build, judge, repair and test a wheel for each Python that was asked for.

    What goes wrong for one of several Pythons does not keep the others from theirs.

    Raises:
        UsageError: the project excludes a Python that was asked for.
        CommandFailed: the build or a test failed, and only one Python was asked for.
        WheelRejected: the wheel is not what was asked for; likewise.
    """
    from xtool.build import source as sources

    clock = _Clock()
    with clock("setup"):
        kit = ensure_kit(ctx, request.setup)
    with (
        Store(ctx).using(kit.folders),
        tempfile.TemporaryDirectory(prefix="xtool-build-", ignore_cleanup_errors=True) as folder,
    ):
        work = Path(folder)
        with clock("source"):
            source = sources.obtain(ctx, request.source, work / "source", python=request.setup.versions[0])
        _check_pythons(kit, source, request.setup.versions)
        wheels: list[BuiltWheel] = []
        errors: list[XtoolError] = []
        for version in request.setup.versions:
            place = work / version
            place.mkdir()
            try:
                wheels.append(_build_one(ctx, kit, request, source, version, place, clock.seconds))
            except XtoolError as error:
                if len(request.setup.versions) == 1:
                    raise
                errors.append(error)
    return BuildReport(tuple(wheels), tuple(errors))


def _check_pythons(kit: Kit, source: Source, versions: Sequence[str]) -> None:
    """Hold the Pythons that were asked for against the project's `requires-python`.

    Raises:
        UsageError: it excludes one.
    """
    allowed = source.requires_python
    excluded = [v for v in versions if allowed and not allowed.contains(kit.pythons[v].full_version, True)]
    if not excluded:
        return
    left = [version for version in versions if version not in excluded]
    raise UsageError(
        f"{source.label} does not support Python {' and '.join(excluded)}",
        facts=[f"its requires-python is `{allowed}`"],
        hint="build with " + " ".join(f"`--python {version}`" for version in left)
        if left
        else "`xtool list --available` shows which other Pythons there are for `--python`",
        code="requires-python",
    )


def _build_one(
    ctx: Context,
    kit: Kit,
    request: BuildRequest,
    source: Source,
    version: str,
    place: Path,
    shared: Mapping[str, float],
) -> BuiltWheel:
    from xtool.build import frontend

    threading.Thread(target=_import_ahead, daemon=True).start()
    clock = _Clock(shared)
    label = f"{source.label} for {kit.target.name}, Python {version}"
    with ctx.log.step(f"building {label}"), clock("build"):
        raw = frontend.build_wheel(
            ctx,
            kit,
            version,
            source,
            workdir=place,
            jobs=request.jobs,
            config_settings=request.config_settings,
        )
    from xtool.toolchain.runtimes import offer_libraries
    from xtool.wheel.judge import judge
    from xtool.wheel.repair import repair

    libraries = (offer_libraries(kit.sysroot, place / "libraries"),)
    with clock("judge"):
        asked = partial(
            judge,
            target=kit.target,
            python=version,
            glibc=kit.sysroot.glibc,
            sysroot_exports=kit.sysroot.exports,
            compiler=kit.toolchain.version if same_machine(kit.host, kit.target) else "",
        )
        asked(raw.path, trace=raw.trace, library_dirs=libraries).require()
        wheel = repair(
            ctx,
            raw.path,
            target=kit.target,
            glibc=kit.sysroot.glibc,
            library_dirs=libraries,
            outdir=place / "repaired",
            strip=kit.toolchain.tool("strip"),
        )
        verdict = asked(wheel)
        verdict.require()
    _warn(ctx, verdict.warnings)
    with clock("smoke"):
        smoke = _smoke(ctx, kit, request, source, version, wheel)
    return BuiltWheel(
        path=_deliver(wheel, request.outdir),
        target=kit.target.name,
        python=version,
        platform_tag=wheel.stem.split("-")[-1],
        glibc_required=format_glibc(verdict.glibc_required) if verdict.glibc_required else None,
        smoke={
            "status": smoke.status,
            "command": smoke.command,
            "seconds": smoke.seconds,
            "glibc": format_glibc(kit.pythons[version].glibc),
        },
        timings=clock.seconds,
        warnings=(*(str(finding) for finding in verdict.warnings), *smoke.warnings),
    )


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


def _smoke(
    ctx: Context, kit: Kit, request: BuildRequest, source: Source, version: str, wheel: Path
) -> SmokeResult:
    """Test the wheel for the target.

    Raises:
        CommandFailed: the test failed.
    """
    from xtool.build.smoke import SmokeResult, smoke_test

    if not request.test:
        return SmokeResult("skipped", "", 0.0)
    on = f"{kit.emulator.executable.name}, glibc {format_glibc(kit.pythons[version].glibc)}"
    with ctx.log.step(f"testing {wheel.name} under {on}"):
        result = smoke_test(
            ctx,
            kit,
            version,
            wheel,
            test_command=request.test_commands,
            test_requires=request.test_requires,
            project=source.path,
            wheel_dirs=(request.outdir,) if request.outdir.is_dir() else (),
            desktop=partial(ensure_desktop, ctx, kit, version),
        )
        result.raise_for_failure(wheel)
    return result


def _deliver(wheel: Path, outdir: Path) -> Path:
    """Put a finished wheel into the output folder, whole or not at all."""
    final = outdir / wheel.name
    try:
        outdir.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".xtool-", dir=outdir)
        os.close(handle)
        shutil.copyfile(wheel, temporary)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(final)
    except OSError as error:
        raise StoreError(
            f"cannot write {final}: {error.strerror}", hint="choose another folder with `--outdir`"
        ) from error
    return final
