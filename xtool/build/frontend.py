"""The PEP 517 front end: the back end's hooks, called in the cross environment.

Build requirements are installed natively, the hooks run in the build Python, and what their compilers opened
is looked at before the wheel is handed on. The wheel itself is judged in `xtool.wheel`.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xtool import proc
from xtool.build import environment as environments
from xtool.build import foreignheaders, hints, kept
from xtool.build.source import Source
from xtool.context import Context
from xtool.crossenv.adapters import BuildSystem, ConfigSettings, adapter_for
from xtool.crossenv.environment import CrossEnv, target_python
from xtool.crossenv.profiling import Profiling
from xtool.crossenv.trace import BuildTrace
from xtool.errors import CommandFailed, UsageError, XtoolError
from xtool.kit import BuildPython, Kit

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LEGACY = BuildSystem("setuptools.build_meta:__legacy__", ("setuptools>=40.8.0",))
"""What PEP 517 and PEP 518 say of a project without `[build-system]`."""


@dataclass(frozen=True, slots=True)
class RawWheel:
    """A wheel as the back end made it: not judged, not repaired.

    Args:
        path: the wheel.
        trace: what compilers and linkers opened; free of leaks.
        timings: seconds per step: `requirements`, `compile`.
        cross: the environment that it was built in.
    """

    path: Path
    trace: BuildTrace
    timings: Mapping[str, float]
    cross: CrossEnv


def build_wheel(
    ctx: Context,
    kit: Kit,
    version: str,
    source: Source,
    *,
    workdir: Path,
    jobs: int = 1,
    config_settings: ConfigSettings | None = None,
    sharing: kept.Sharing | None = None,
    on_step: Callable[[str], None] | None = None,
    profiling: Profiling | None = None,
) -> RawWheel:
    """Build one wheel.

    Args:
        ctx: settings, log, environment.
        kit: the target's kit.
        version: Python version, `3.13`.
        source: the project; copied, so that it can be built again for another version.
        workdir: an empty folder for all that the build makes.
        jobs: how many compilers may run at once.
        config_settings: PEP 517 config settings for the back end.
        sharing: what the builds of this run have in common.
        on_step: told the step that begins: `requirements`, `compile`.
        profiling: the stage of a profile-guided build (its project is `project_folder(workdir)`), or None.

    Raises:
        CommandFailed: a hook failed, or the build requirements cannot be installed.
        UsageError: the project's `pyproject.toml` is wrong, or its back end is not supported.
        WheelRejected: the build used files of this machine.
    """
    timings: dict[str, float] = {}
    # Links resolved: compilers are told of these folders by name and report what they opened resolved.
    workdir = workdir.resolve()
    target_python(kit, version)
    project = project_folder(workdir)
    shutil.copytree(source.path, project, symlinks=True, copy_function=_copy)
    system = read_build_system(project)
    adapter = adapter_for(system, what=source.label)
    python = build_python(kit, version)
    # The user's own project may have uv settings; those of a stranger's sdist are not ours to follow.
    settings_from = project if source.kind == "folder" else None
    outdir = workdir / "wheel"
    outdir.mkdir()
    sources = {"source": (project,)}
    if profiling is not None and profiling.training:
        sources["training"] = (profiling.training[0].parent,)

    def prepare(requires: Sequence[str], again: str = "") -> tuple[environments.BuildEnvironment, CrossEnv]:
        env = stack.enter_context(
            kept.environment(
                ctx,
                python,
                requires,
                folder=workdir / f"env{again}",
                project=settings_from,
                sharing=sharing,
            )
        )
        stack.callback(kept.forget_bytecode, env, workdir)
        cross = CrossEnv.create(
            ctx,
            kit,
            version,
            workdir / f"cross{again}",
            sources=sources | {"environment": (env.path,)},
            path=(env.bindir,),
            jobs=jobs,
            profiling=profiling,
        )
        if profiling is not None and profiling.before is not None:
            profiling.before(cross)
        return env, cross

    def hooks() -> _Hooks:
        environ = {**cross.environ, **adapter.environment(cross, jobs)}
        if env.bytecode is not None:
            environ["PYTHONPYCACHEPREFIX"] = str(env.bytecode)
        return _Hooks(ctx, source, project, system, env, environ, cross)

    with ExitStack() as stack:
        with _timed(timings, "requirements", on_step):
            env, cross = prepare(system.requires)
            settings = dict(adapter.config_settings(cross, config_settings or {}))
            wanted = _strings(hooks().call("get_requires_for_build_wheel", settings))
            if not set(wanted) <= set(system.requires):
                if env.bytecode is None:
                    env.install(ctx, wanted, project=settings_from)
                else:
                    # What others use as well is not added to: this build moves to another environment.
                    cross.read_trace().check(source.label)
                    env, cross = prepare([*system.requires, *wanted], "-2")
                    settings = dict(adapter.config_settings(cross, config_settings or {}))
        with _timed(timings, "compile", on_step):
            name = hooks().call("build_wheel", settings, outdir)
        wheel = outdir / str(name)
        if Path(str(name)).name != name or not wheel.is_file():
            raise CommandFailed(
                f"the build of {source.label} says it made {name!r}, but there is no such wheel"
            )
        trace = cross.read_trace()
    trace.check(source.label)
    foreignheaders.check(ctx, kit, trace, pristine=source.path, project=project, what=source.label)
    for word in trace.skipped:
        ctx.log.detail(f"left out of compiler commands, because it is this machine's: {word}")
    _tell_answers(ctx, trace, kit)
    return RawWheel(wheel, trace, timings, cross)


def project_folder(workdir: Path) -> Path:
    """Where `build_wheel` copies the project to, links resolved."""
    return workdir.resolve() / "source"


def _tell_answers(ctx: Context, trace: BuildTrace, kit: Kit) -> None:
    """Say what the project asked of word size and byte order, and whose answer it got."""
    for question in trace.asked:
        if question.answered:
            ctx.log.detail(f"{question.place} asked for {question.what}: answered for {kit.target.name}")
        else:
            ctx.log.warning(
                f"{question.place} asked for {question.what}, and was answered for this machine, "
                f"not for {kit.target.name}",
                hint='`struct.calcsize("l")` and `sysconfig.get_config_var("SIZEOF_LONG")` are the target\'s',
            )


def build_python(kit: Kit, version: str) -> BuildPython:
    """The kit's build Python of a version.

    Raises:
        UsageError: the kit has none.
    """
    try:
        return kit.build_pythons[version]
    except KeyError:
        raise UsageError(
            f"there is no Python {version} on this machine to run build back ends",
            hint=f"run `xtool setup {kit.target.name} --python {version}`",
        ) from None


def read_build_system(project: Path) -> BuildSystem:
    """The `[build-system]` table of a project, with the defaults of PEP 517 and PEP 518.

    Raises:
        UsageError: the file or the table is malformed.
    """
    path = project / "pyproject.toml"
    if not path.is_file():
        return LEGACY
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8")).get("build-system")
    # Beside errors of TOML and of UTF-8, a ValueError is a number of thousands of digits.
    except (ValueError, RecursionError) as error:
        raise UsageError(f"pyproject.toml is not valid TOML: {error}", code="bad-pyproject") from error
    if table is None:
        return LEGACY
    requires = table.get("requires") if isinstance(table, dict) else None
    if not isinstance(requires, list) or not all(isinstance(item, str) for item in requires):
        raise UsageError(
            "pyproject.toml has a [build-system] without a list `requires` (PEP 518)", code="bad-pyproject"
        )
    backend = table.get("build-backend", LEGACY.backend)
    backend_path = table.get("backend-path", [])
    if not isinstance(backend, str) or not isinstance(backend_path, list):
        raise UsageError("pyproject.toml has a malformed [build-system] (PEP 517)", code="bad-pyproject")
    if "build-backend" not in table and not requires:
        requires = list(LEGACY.requires)
    return BuildSystem(backend, tuple(requires), tuple(map(str, backend_path)))


_GIT_OBJECTS = f"{os.sep}.git{os.sep}objects{os.sep}"


def _copy(source: str, target: str) -> str:
    """Copy a file; git's objects, which never change, are linked, as `git clone` of a folder does it."""
    if _GIT_OBJECTS in source:
        with suppress(OSError):
            os.link(source, target)
            return target
    return shutil.copy2(source, target)


_warnings = threading.Lock()
"""Python keeps its warnings filter for all threads in common."""


class _Hooks:
    """Calls the back end's hooks in its environment; keeps what they print for when they fail."""

    def __init__(
        self,
        ctx: Context,
        source: Source,
        project: Path,
        system: BuildSystem,
        build_env: environments.BuildEnvironment,
        environ: Mapping[str, str],
        cross: CrossEnv,
    ) -> None:
        from pyproject_hooks import BuildBackendHookCaller

        self._ctx = ctx
        self._label = source.label
        self._environ = environ
        self._cross = cross
        self._system = system
        self._said: list[warnings.WarningMessage] = []
        self._after = ExitStack()
        try:
            self._caller = BuildBackendHookCaller(
                str(project),
                system.backend,
                list(system.backend_path) or None,
                runner=self._run,
                python_executable=str(build_env.python),
            )
        except ValueError as error:
            raise UsageError(
                f"the `backend-path` of {source.label} is not usable: {error}", code="bad-pyproject"
            ) from error

    def call(self, hook: str, settings: ConfigSettings, wheels: Path | None = None) -> Any:
        """Call a hook; `build_wheel` takes the folder that the wheel goes to.

        Raises:
            CommandFailed: the back end cannot be loaded, or the hook failed.
        """
        from pyproject_hooks import BackendUnavailable, HookMissing

        try:
            with self._after:
                if wheels is not None:
                    answer = self._caller.build_wheel(str(wheels), config_settings=settings)
                else:
                    answer = getattr(self._caller, hook)(config_settings=settings)
        except BackendUnavailable as error:
            raise CommandFailed(
                f"the build back end of {self._label} cannot be loaded: `{self._system.backend}`",
                facts=[line for line in (error.traceback or str(error)).splitlines() if line][-12:],
                hint="is the package that it lies in named in `[build-system] requires`?",
                code="no-backend",
            ) from error
        except HookMissing as error:
            raise CommandFailed(
                f"the build back end of {self._label} has no hook `{error.hook_name}`",
                facts=[f"build-backend: {self._system.backend}"],
                code="no-backend",
            ) from error
        for warning in self._said:
            self._ctx.log.detail(f"{self._label}: {warning.message}")
        return answer

    def _run(
        self, cmd: Sequence[str], cwd: str | None = None, extra_environ: Mapping[str, str] | None = None
    ) -> None:
        done = proc.run(
            cmd,
            log=self._ctx.log,
            env={**self._environ, **(extra_environ or {})},
            cwd=Path(cwd) if cwd is not None else None,
            what=f"the build of {self._label}",
            check=False,
        )
        if done.returncode != 0:
            raise self._failure(done)
        # pyproject_hooks says again, once this returns, what the back end has warned of there.
        self._after.enter_context(_warnings)
        self._said = self._after.enter_context(warnings.catch_warnings(record=True))

    def _failure(self, done: proc.Completed) -> XtoolError:
        trace = self._cross.read_trace()
        hint = hints.find(done.stdout, self._cross.kit, trace)
        facts = hints.excerpt(done.stdout)
        target = self._cross.kit.target.name
        dropped = [f"left out of compiler commands: {word}" for word in trace.skipped[:5]]
        dropped += [
            f"{question.place} asked for {question.what}: answered for "
            + (target if question.answered else "this machine")
            for question in trace.asked[:5]
        ]
        return CommandFailed(
            f"the build of {self._label} {proc.describe_exit(done.returncode)}",
            facts=[*facts, *dropped],
            hint=hint,
            code="build-failed",
        )


def _strings(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []


@contextmanager
def _timed(timings: dict[str, float], step: str, on_step: Callable[[str], None] | None) -> Iterator[None]:
    if on_step is not None:
        on_step(step)
    started = time.monotonic()
    try:
        yield
    finally:
        timings[step] = round(time.monotonic() - started, 3)
