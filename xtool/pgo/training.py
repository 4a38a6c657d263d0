"""The training: the instrumented wheel, installed for the target, does what users would do with it.

Each command writes its counters into a folder of its own, so that several can run side by side; the processes
of one command add theirs up under libgcov's lock on each file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from xtool import proc
from xtool.build.commands import fill
from xtool.context import Context
from xtool.errors import CommandFailed, Interrupted, XtoolError
from xtool.kit import Kit
from xtool.targetenv import TargetEnv

_RUNTIME = Path(__file__).parent / "runtime"
_SHOWN_LINES = 30

_FLAGS = ("-O1", "-g0", "-fPIC", "-fvisibility=default", "-Wall", "-Wextra", "-Werror")


@dataclass(frozen=True, slots=True)
class Runtime:
    """What stage 1 is linked with.

    Args:
        folder: where it lies.
        part: object file for every module and program.
        library: shared library, one a process.
        module: the same for Python.
        alive: folder with a file for each process whose counters are not written.
    """

    folder: Path
    part: Path
    library: Path
    module: Path
    alive: Path

    @classmethod
    def make(cls, ctx: Context, kit: Kit, version: str, folder: Path) -> Runtime:
        """Compile it for a target and one of its Pythons."""
        alive = folder / "alive"
        alive.mkdir(parents=True)
        library, module = folder / "libxtool-training.so", folder / "_xtool_training.so"
        runtime = cls(folder, folder / "part.o", library, module, alive)
        gcc: list[str | Path] = [kit.toolchain.tool("gcc"), f"--sysroot={kit.sysroot.path}"]
        gcc += [*kit.target.cflags, *_FLAGS]
        proc.run([*gcc, "-c", _RUNTIME / "part.c", "-o", runtime.part], log=ctx.log)
        # Without a soname the path itself is what modules need, wherever they are loaded from.
        gcc += ["-shared", *kit.target.ldflags]
        own: list[str | Path] = [
            f'-DXTOOL_PLACE="{alive}"',
            _RUNTIME / "training.c",
            "-o",
            library,
            "-lpthread",
        ]
        proc.run([*gcc, *own], log=ctx.log)
        includes = [f"-I{path}" for path in kit.pythons[version].includes]
        proc.run([*gcc, *includes, _RUNTIME / "module.c", "-o", module, library, "-lrt"], log=ctx.log)
        return runtime


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be trained with.

    Args:
        wheel: the instrumented wheel.
        commands: shell commands, run side by side.
        requires: requirements of the commands.
        wheel_dirs: folders of wheels that may satisfy requirements.
        project: the project's folder, for `{project}`.
        counters: the folder that the compilers were told to have counters written to.
        timeout: seconds that a command may take.
        jobs: how many commands may run at once.
        desktop: makes sure that the desktop libraries are there and gives their folder.
        library_dirs: further folders of target libraries.
    """

    wheel: Path
    commands: Sequence[str]
    requires: Sequence[str]
    wheel_dirs: Sequence[Path]
    project: Path
    counters: Path
    timeout: float
    jobs: int
    desktop: Callable[[], Path]
    library_dirs: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class Trained:
    """A training that went well.

    Args:
        parts: folders of counters, one a command, and one for what ran without its environment.
        seconds: wall time of all commands.
        each: wall time of each command.
        lost: how many processes ended without writing their counters.
        problems: what libgcov complained of.
    """

    parts: tuple[Path, ...]
    seconds: float
    each: tuple[float, ...]
    lost: int
    problems: tuple[str, ...]


def train(ctx: Context, kit: Kit, version: str, runtime: Runtime, job: Job, folder: Path) -> Trained:
    """Run the training commands.

    Args:
        ctx: settings, log, environment.
        kit: the kit of the target.
        version: its Python, `3.13`.
        runtime: what the wheel was linked with.
        job: what to run.
        folder: a new folder for the environment and the counters.

    Raises:
        CommandFailed: a command failed or ran out of time.
    """
    env = TargetEnv.create(
        ctx,
        kit,
        version,
        folder / "env",
        desktop=job.desktop,
        wheel_dirs=tuple(job.wheel_dirs),
        library_dirs=tuple(job.library_dirs),
    )
    commands = [fill(command, job.wheel, job.project, what="training") for command in job.commands]
    env.install([job.wheel], job.requires)
    _install_hook(env, runtime)
    # What ran while the wheel was built and installed is no training.
    for left in (*job.counters.rglob("*.gcda"), *runtime.alive.iterdir()):
        left.unlink()
    started = time.monotonic()
    each = _run_all(env, commands, job, folder)
    parts = [folder / f"part-{number}" for number in range(len(commands))]
    problems = [line for part in parts for line in _lines(part / "errors")]
    return Trained(
        parts=(*(part / str(job.counters).lstrip("/") for part in parts), job.counters),
        seconds=round(time.monotonic() - started, 3),
        each=tuple(each),
        lost=sum(1 for _ in runtime.alive.iterdir()),
        problems=tuple(dict.fromkeys(problems)),
    )


def _run_all(env: TargetEnv, commands: Sequence[str], job: Job, folder: Path) -> list[float]:
    """Run commands side by side, and end the others when one fails; the seconds of each."""
    group = proc.Commands.part()

    def run(command: str, part: Path) -> float:
        with group.current():
            try:
                return _run(env, command, part, job)
            except XtoolError:
                group.end()
                raise

    # What runs in other threads is this thread's work all the same.
    with ThreadPoolExecutor(max_workers=max(1, min(job.jobs, len(commands)))) as pool:
        running = [pool.submit(run, command, folder / f"part-{i}") for i, command in enumerate(commands)]
        try:
            errors = [future.exception() for future in running]
        except BaseException:
            group.end()
            raise
    failed = [error for error in errors if error is not None]
    for error in (*(e for e in failed if not isinstance(e, Interrupted)), *failed):
        raise error
    return [future.result() for future in running]


def _run(env: TargetEnv, command: str, part: Path, job: Job) -> float:
    cwd = part / "cwd"
    cwd.mkdir(parents=True)
    variables = {
        "PYTHONHASHSEED": "0",
        **env.environment(),
        "GCOV_PREFIX": str(part),
        "GCOV_ERROR_FILE": str(part / "errors"),
    }
    variables.pop("GCOV_PREFIX_STRIP", None)
    variables.pop("GCOV_EXIT_AT_ERROR", None)
    done = proc.run(
        ["/bin/sh", "-c", command],
        log=env.ctx.log,
        env=variables,
        cwd=cwd,
        check=False,
        timeout=job.timeout,
        what="the training command",
        hint="train with less: a profile needs what is typical, not a long run; `--pgo-timeout` gives more "
        "time",
    )
    if done.returncode != 0:
        raise CommandFailed(
            f"the training command {proc.describe_exit(_of_shell(done.returncode))}",
            facts=[f"command: {command}", *done.stdout.splitlines()[-_SHOWN_LINES:]],
            hint=f"`xtool run --target {env.target.name} --with WHEEL -- sh -c CMD` runs it by hand; "
            "`--pgo-requires` names what it needs",
            code="training-failed",
        )
    return round(done.seconds, 3)


def _of_shell(returncode: int) -> int:
    """The exit code of what a shell ran, minus the signal that ended it."""
    return 128 - returncode if 128 < returncode < 160 else returncode


def _install_hook(env: TargetEnv, runtime: Runtime) -> None:
    """Have every Python of the environment load `xtool_training` when it starts."""
    text = (_RUNTIME / "xtool_training.py").read_text(encoding="utf-8")
    module = env.site_packages / "xtool_training.py"
    module.write_text(text.replace('"@MODULE@"', repr(str(runtime.module))), encoding="utf-8")
    (env.site_packages / "xtool_training.pth").write_text("import xtool_training\n", encoding="utf-8")


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8", "replace").splitlines() if path.is_file() else []
