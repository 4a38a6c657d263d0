"""The smoke test of a finished wheel: installed for the target and run under the emulator.

Without commands of the user's, every extension module and every top-level package of the wheel is imported,
in one emulated process. What is being imported is written down before each import, so that a crash can be
blamed on a module.
"""

from __future__ import annotations

import ast
import re
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from xtool import proc
from xtool.build.commands import fill
from xtool.context import Context
from xtool.errors import CommandFailed, NetworkError
from xtool.kit import Kit
from xtool.targetenv import TargetEnv

DEFAULT_TIMEOUT = 3600.0
"""Seconds that one test command may take; test suites are slow under emulation."""

IMPORT_COMMAND = "import"
"""What stands as the command of a smoke test that only imports."""

_PROJECT_OF = {"_cffi_backend": "cffi"}
"""Modules that go by another name than the project that brings them."""

_GIL_CAME_BACK = re.compile(r"\(GIL\) has been enabled to load module '([^']+)'")
"""What CPython without the GIL warns of (`Python/import.c`), once a process: with the GIL on, nobody asks."""

_SIGNAL = re.compile(r"uncaught target signal (\d+) \(([^)]*)\)")

_IMPORTER = """\
import sys, faulthandler
faulthandler.enable()
names, journal = sys.argv[1].split(","), open(sys.argv[2], "a", encoding="ascii")
del sys.argv[1:]
def say(**entry):
    print(ascii(entry), file=journal, flush=True)
for name in names:
    say(event="start", name=name)
    try:
        __import__(name)
    except BaseException as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        say(event="failed", name=name, error=f"{type(error).__name__}: {error}",
            missing=None if missing is None else str(missing))
        import traceback
        traceback.print_exc()
    else:
        say(event="done", name=name)
say(event="end")
"""
"""It imports nothing needless: `json`, `traceback` and what these need take 0.1 s under the emulator."""


@dataclass(frozen=True, slots=True)
class SmokeResult:
    """What came of a smoke test.

    Args:
        status: `passed`, `failed` or `skipped`.
        command: the commands that ran, joined by ` && `; `import NAMES` for the import test.
        seconds: wall time, installation included.
        output: what the commands printed.
        imported: names of the modules that were imported, in order; empty where the user gave commands.
        problem: what went wrong, in one line; empty when nothing did.
        hint: what can be done about it.
        gil: modules of a wheel for Python without the GIL that switched it on.
    """

    status: str
    command: str
    seconds: float
    output: str = ""
    imported: tuple[str, ...] = ()
    problem: str = ""
    hint: str | None = None
    gil: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is no failure, and the user should know."""
        return tuple(f"`{module}` switches the GIL on for the whole process" for module in self.gil)

    def raise_for_failure(self, wheel: Path) -> None:
        """Raise what a failed test is to the user.

        Raises:
            CommandFailed: the status is `failed`.
        """
        if self.status == "failed":
            raise CommandFailed(
                f"the smoke test of {wheel.name} failed: {self.problem}",
                facts=[f"command: {self.command}", *self.output.splitlines()[-60:]],
                hint=self.hint,
                code="smoke-test",
            )


@dataclass(frozen=True, slots=True)
class Contents:
    """The importable modules of a wheel.

    Args:
        packages: top-level packages and modules.
        extensions: extension modules, as dotted names.
    """

    packages: tuple[str, ...]
    extensions: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, each once, packages first."""
        return tuple(dict.fromkeys((*self.packages, *self.extensions)))


def smoke_test(
    ctx: Context,
    kit: Kit,
    version: str,
    wheel: Path,
    *,
    test_command: Sequence[str] = (),
    test_requires: Sequence[str] = (),
    project: Path | None = None,
    wheel_dirs: Sequence[Path] = (),
    desktop: Callable[[], Path] | None = None,
    timeout: float = DEFAULT_TIMEOUT,
) -> SmokeResult:
    """Install a wheel for the target in a fresh environment and test it there.

    Args:
        ctx: settings, log, environment.
        kit: what is installed for the target.
        version: which of its Pythons, `3.13`.
        wheel: the wheel.
        test_command: shell commands to run one after another; `{project}`, `{wheel}` and `{package}` (the
            same as `{project}`) are replaced by quoted paths. Without any, the wheel's modules are imported.
        test_requires: requirements of the tests.
        project: the project's folder, for `{project}`.
        wheel_dirs: folders of wheels that may satisfy requirements.
        desktop: makes sure that the desktop libraries are there and gives their folder.
        timeout: seconds that one command may take.

    Raises:
        CommandFailed: a requirement cannot be installed.
        UsageError: a command has a placeholder that cannot be filled.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="xtool-smoke-", ignore_cleanup_errors=True) as folder:
        place = Path(folder).resolve()
        env = TargetEnv.create(
            ctx,
            kit,
            version,
            place / "env",
            desktop=desktop,
            wheel_dirs=(wheel.parent, *wheel_dirs),
        )
        commands = [fill(command, wheel, project) for command in test_command]
        env.install([wheel], test_requires)
        cwd = place / "cwd"
        cwd.mkdir()
        if commands:
            result = _run_commands(env, commands, cwd, timeout)
        else:
            result = _import_all(env, wheel, cwd, timeout)
    gil = tuple(dict.fromkeys(_GIL_CAME_BACK.findall(result.output)))
    result = replace(result, seconds=round(time.monotonic() - started, 3), gil=gil)
    for warning in result.warnings:
        ctx.log.warning(
            warning,
            hint="it does not say that it is safe without (`Py_mod_gil`, `PyUnstable_Module_SetGIL`); newer "
            "Cython and pybind11 can say so; `PYTHON_GIL=0` keeps the GIL off all the same",
        )
    return result


def contents(wheel: Path, ext_suffix: str) -> Contents:
    """Which modules a wheel brings, from its list of files.

    Left out are tests, `__main__`, private pure-Python modules beside public ones, and shared libraries that
    are no modules (without a `PyInit_` function).

    Args:
        wheel: the wheel.
        ext_suffix: the target Python's suffix of extension modules.
    """
    with zipfile.ZipFile(wheel) as archive:
        files = [_importable_path(name) for name in archive.namelist()]
        extensions = [
            module
            for name, path in zip(archive.namelist(), files, strict=True)
            if path is not None
            and (module := _extension_name(path, ext_suffix)) is not None
            and _is_module(
                archive.read(name), module, named=".cpython-" in path.name or ".abi3." in path.name
            )
        ]
    found = {name for path in files if path is not None and (name := _top_level(path)) is not None}
    public = sorted(name for name in found if not name.startswith("_"))
    return Contents(tuple(public or sorted(found)), tuple(sorted(extensions)))


_SKIPPED_TOP_LEVELS = frozenset(
    {"__main__", "conftest", "docs", "examples", "setup", "test", "tests", "testing"}
)


def _importable_path(name: str) -> PurePosixPath | None:
    """A wheel member's path as seen from site-packages; None for what is not installed there (PEP 427)."""
    path = PurePosixPath(name)
    first = path.parts[0] if path.parts else ""
    if first.endswith(".data"):
        if len(path.parts) < 3 or path.parts[1] not in ("purelib", "platlib"):
            return None
        path = PurePosixPath(*path.parts[2:])
    parents = path.parts[:-1]
    return path if all(part.isidentifier() for part in parents) else None


def _top_level(path: PurePosixPath) -> str | None:
    """The top-level package or pure module that a file makes importable."""
    if len(path.parts) == 2 and path.name == "__init__.py":
        name = path.parts[0]
    elif len(path.parts) == 1 and path.suffix == ".py":
        name = path.stem
    else:
        return None
    return name if name.isidentifier() and name not in _SKIPPED_TOP_LEVELS else None


def _extension_name(path: PurePosixPath, ext_suffix: str) -> str | None:
    """`pkg._speedups` for `pkg/_speedups.cpython-313-powerpc64le-linux-gnu.so`."""
    if not path.name.endswith(".so"):
        return None
    stem = path.name.removesuffix(ext_suffix).partition(".")[0]
    if not stem.isidentifier():
        return None
    parts = path.parts[:-1] if stem == "__init__" else (*path.parts[:-1], stem)
    return ".".join(parts) or None


def _is_module(data: bytes, module: str, *, named: bool) -> bool:
    """Whether a `.so` is an extension module (PEP 489: it exports `PyInit_NAME` or `PyInitU_NAME`).

    Projects that load their code with ctypes or cffi let setuptools name it like a module all the same: what
    is `named` like one and has the init function of another is taken for a module, and fails as one.
    """
    if named:
        return b"PyInit" in data or b"PyModExport_" in data
    stem = module.rpartition(".")[2]
    return b"PyInit_" + stem.encode() in data or b"PyInitU_" in data


def _run_commands(env: TargetEnv, commands: Sequence[str], cwd: Path, timeout: float) -> SmokeResult:
    """Run the user's commands through the shell, as cibuildwheel does, with the environment's `bin` first."""
    variables = env.environment()
    joined = " && ".join(commands)
    output = []
    for command in commands:
        done = _run(env, ["/bin/sh", "-c", command], variables, cwd, timeout)
        output.append(done.stdout)
        if done.returncode != 0:
            problem, hint = _explain(env, done, None)
            return SmokeResult("failed", joined, 0.0, "".join(output), (), f"`{command}` {problem}", hint)
    return SmokeResult("passed", joined, 0.0, "".join(output))


def _import_all(
    env: TargetEnv, wheel: Path, cwd: Path, timeout: float, *, extras: bool = True
) -> SmokeResult:
    """Import what the wheel brings; what lacks a package that one of its extras names gets that package.

    Args:
        env: the environment, with the wheel installed.
        wheel: the wheel.
        cwd: an empty folder to run in.
        timeout: seconds.
        extras: whether the wheel's extras may still be drawn on.
    """
    found = contents(wheel, env.python.ext_suffix)
    if not found.names:
        return SmokeResult("skipped", IMPORT_COMMAND, 0.0, problem="the wheel brings no module to import")
    command = f"{IMPORT_COMMAND} {', '.join(found.names)}"
    journal = cwd.parent / "journal"
    argv, variables = env.command(
        ["python", "-I", "-B", "-c", _IMPORTER, ",".join(found.names), str(journal)]
    )
    done = _run(env, argv, variables, cwd, timeout)
    entries = [ast.literal_eval(line) for line in _lines(journal)]
    imported = tuple(entry["name"] for entry in entries if entry["event"] == "done")
    ended = any(entry["event"] == "end" for entry in entries)
    offered = _offered_by_extras(env, wheel, entries, found)
    if offered and extras and _install_extras(env, list(offered.values())):
        journal.unlink()
        return _import_all(env, wheel, cwd, timeout, extras=False)
    failed = []
    for entry in entries:
        if entry["event"] == "done":
            env.ctx.log.detail(f"imported {entry['name']}")
        elif entry["event"] == "failed" and (_is_optional(entry, found) or _foreign(entry, found) in offered):
            env.ctx.log.detail(
                f"not imported: {entry['name']} needs {entry['missing']}, which is no requirement"
            )
        elif entry["event"] == "failed":
            failed.append(entry)
    if failed:
        problem = f"importing `{failed[0]['name']}` raised {failed[0]['error']}"
        hint = _import_hint(failed[0], found)
        return SmokeResult("failed", command, 0.0, done.stdout, imported, problem, hint)
    if ended and done.returncode == 0:
        return SmokeResult("passed", command, 0.0, done.stdout, imported)
    started = [entry["name"] for entry in entries if entry["event"] == "start"]
    current = started[-1] if started and not ended else None
    problem, advice = _explain(env, done, current)
    return SmokeResult(
        "failed", command, 0.0, done.stdout, imported, f"the target's Python {problem}", advice
    )


def _run(
    env: TargetEnv, argv: Sequence[str], variables: dict[str, str], cwd: Path, timeout: float
) -> proc.Completed:
    return proc.run(
        argv,
        log=env.ctx.log,
        env=variables,
        cwd=cwd,
        check=False,
        timeout=timeout,
        what="the smoke test",
        hint="`--test-command` gives a quicker test, `--no-test` leaves it out",
    )


def _lines(journal: Path) -> Iterable[str]:
    return journal.read_text(encoding="ascii").splitlines() if journal.is_file() else ()


def _explain(env: TargetEnv, done: proc.Completed, module: str | None) -> tuple[str, str | None]:
    """Say how a process of the target ended, and what can be done about it.

    qemu-user ends itself by the signal that the target's program got, and says so; a shell in between turns
    that into 128 + the number.
    """
    while_importing = f" while importing `{module}`" if module else ""
    crash = _SIGNAL.search(done.stdout)
    number = int(crash[1]) if crash else _signal_of(done.returncode)
    if number is None:
        return f"{proc.describe_exit(done.returncode)}{while_importing}", None
    hint = f"`xtool run --target {env.target.name} --with WHEEL` starts the same Python by hand"
    if number == 4:
        hint = (
            f"the emulated CPU is {env.emulator.cpu}, the baseline of {env.target.name}: "
            "build without `-mcpu` flags above it, or choose code at run time"
        )
    return f"{proc.describe_exit(-number)}{while_importing}", hint


def _signal_of(returncode: int) -> int | None:
    if returncode < 0:
        return -returncode
    return returncode - 128 if 128 < returncode < 160 else None


def _is_optional(entry: Mapping[str, Any], found: Contents) -> bool:
    """Whether a failed import is none of the wheel's making.

    An extension module below a subpackage (`greenlet.tests._test_extension`) may need a package that the
    wheel does not require (psutil). What lies directly in a top-level package must always work.
    """
    return entry["name"].count(".") > 1 and _foreign(entry, found) is not None


def _foreign(entry: Mapping[str, Any], found: Contents) -> str | None:
    """The top-level name that an import lacked, where the wheel itself does not bring it."""
    top = str(entry.get("missing") or "").partition(".")[0]
    return top if top and top not in {name.partition(".")[0] for name in found.names} else None


def _offered_by_extras(
    env: TargetEnv, wheel: Path, entries: Sequence[Mapping[str, Any]], found: Contents
) -> dict[str, str]:
    """By the module that failed imports lacked, the requirement of an extra of the wheel that brings it."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    from xtool import targetinstall

    missing = {name for entry in entries if (name := _foreign(entry, found))}
    if not missing:
        return {}
    projects = {
        canonicalize_name(Requirement(text).name): text for text in targetinstall.optional(env, wheel)
    }
    named = {name: canonicalize_name(_PROJECT_OF.get(name, name)) for name in missing}
    return {name: projects[project] for name, project in named.items() if project in projects}


def _install_extras(env: TargetEnv, requirements: list[str]) -> bool:
    """Install what an extra names; whether the target has it."""
    try:
        env.install([], requirements)
    except (CommandFailed, NetworkError) as error:
        env.ctx.log.warning(f"not all modules could be tested: {error.message}")
        return False
    return True


def _import_hint(entry: Mapping[str, Any], found: Contents) -> str:
    foreign = _foreign(entry, found)
    if foreign:
        return f"`{foreign}` is not among the wheel's requirements: add it there, or to `--test-requires`"
    return "`--test-command` gives another test, `--no-test` leaves it out"
