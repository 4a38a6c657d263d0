"""Build environments that are kept: made once for a set of pinned requirements, used by every build of it.

A back end spends most of its time compiling itself to bytecode where its environment is new. What is kept is
named by all that goes into it; a seal, written last, says that it is whole, and each use compares the files
with the seal. Where none can be kept, a throw-away environment in the build's own folder takes its place.
`docs/decisions/0008-kept-build-environments.md` says what was weighed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path

from xtool import index, locking, proc
from xtool.build.environment import BuildEnvironment, constraint_words, create, shim_text
from xtool.context import Context
from xtool.errors import StoreError, XtoolError
from xtool.kit import BuildPython
from xtool.store import Store, remove_tree

_LAYOUT = 1
_SEAL = "seal"

_PLAIN = re.compile(r"[A-Za-z0-9][^@/\\\n]*")
"""A requirement that names a project; not a file, a URL or an option."""

_PINNED = re.compile(r"[A-Za-z0-9][\w.\-]*(\[[^\]]*\])?==\S+( --hash=sha256:[0-9a-f]{64})+")

UNUSED_AFTER = 14 * 24 * 3600.0
"""Seconds without use after which `xtool prune` removes an environment."""


class Sharing:
    """What the builds of one run share: uv is asked once, and nobody makes what another is making."""

    def __init__(self) -> None:
        self._locks: dict[object, threading.Lock] = defaultdict(threading.Lock)
        self._known: dict[object, str | None] = {}
        self._own = threading.Lock()

    @contextmanager
    def alone(self, key: object) -> Iterator[None]:
        """Let one build at a time do something."""
        with self._own:
            lock = self._locks[key]
        with lock:
            yield

    def once(self, key: object, ask: Callable[[], str | None]) -> str | None:
        """An answer that does not change during a run; whoever asks first gets it for all."""
        with self.alone(key):
            if key not in self._known:
                self._known[key] = ask()
            return self._known[key]


@contextmanager
def environment(
    ctx: Context,
    python: BuildPython,
    requirements: Sequence[str],
    *,
    folder: Path,
    project: Path | None,
    sharing: Sharing | None = None,
) -> Iterator[BuildEnvironment]:
    """An environment with build requirements in it, which stays as it is while the block runs.

    Args:
        ctx: settings, log, environment.
        python: the interpreter that runs the back end.
        requirements: PEP 508 requirements.
        folder: where a throw-away environment goes; must not exist.
        project: folder whose uv settings hold, where the user's own project is built.
        sharing: what the builds of this run have in common.

    Raises:
        NetworkError: the requirements cannot be fetched.
        CommandFailed: they cannot be installed, or uv cannot make an environment.
    """
    shared = sharing or Sharing()
    with ExitStack() as stack:
        found: BuildEnvironment | None = None
        pins = shared.once(
            (python.executable, tuple(requirements), project is not None),
            lambda: _pins(ctx, python, requirements, folder.parent, project),
        )
        if pins is not None:
            try:
                found = stack.enter_context(_kept(ctx, python, pins, shared))
            except (OSError, StoreError) as error:
                ctx.log.detail(f"the build environment is not kept: {error}")
        if found is None:
            found = create(ctx, python, folder)
            found.install(ctx, requirements, project=project)
        yield found


def names(ctx: Context) -> list[str]:
    """The environments that are kept, whole or not."""
    with suppress(OSError):
        return sorted(path.name for path in _folder(ctx).iterdir())
    return []


def path(ctx: Context, name: str) -> Path:
    """Where a kept environment lies."""
    return _folder(ctx) / name


def unused_since(ctx: Context, name: str) -> float:
    """Seconds since an environment was last used; of one that is not whole, since it was begun."""
    place = path(ctx, name)
    for file in (place / _SEAL, place):
        with suppress(OSError):
            return time.time() - file.stat().st_mtime
    return 0.0


def remove(ctx: Context, name: str) -> None:
    """Remove a kept environment.

    Raises:
        LockTimeout: a build is using it.
        StoreError: it cannot be removed.
    """
    from xtool.diskerrors import reported

    place = path(ctx, name)
    lock = _lock(ctx, name)
    with (
        locking.locked(lock, log=ctx.log, timeout=0.0, what="a build environment", wait=False),
        reported(place, f"cannot remove {place}"),
    ):
        remove_tree(place)
        lock.unlink(missing_ok=True)


def _folder(ctx: Context) -> Path:
    return Store(ctx).root / "state" / "build-envs"


def _lock(ctx: Context, name: str) -> Path:
    return Store(ctx).locks / f"build-env-{name}"


def _pins(
    ctx: Context, python: BuildPython, requirements: Sequence[str], cwd: Path, project: Path | None
) -> str | None:
    """Requirements resolved to versions and hashes, one a line; None where they are not that kind."""
    if project is not None and _has_uv_settings(project):
        return None
    if not all(_PLAIN.fullmatch(requirement) for requirement in requirements):
        return None
    if not requirements:
        return ""
    argv = [
        *index.uv_command(ctx),
        *("pip", "compile", "--quiet", "--python", str(python.executable), "--no-header", "--no-annotate"),
        *("--generate-hashes", *constraint_words(ctx), "-"),
    ]
    done = proc.run(
        argv,
        log=ctx.log,
        env=index.uv_environment(ctx),
        cwd=project or cwd,
        stdin="\n".join(requirements) + "\n",
        check=False,
        merge=False,
    )
    lines = sorted(
        line.strip() for line in re.sub(r" \\\n\s*", " ", done.stdout).splitlines() if line.strip()
    )
    # What is wrong is said by the installation, which says it better.
    return "\n".join(lines) if done.returncode == 0 and all(map(_PINNED.fullmatch, lines)) else None


def _has_uv_settings(project: Path) -> bool:
    with suppress(OSError):
        text = (project / "pyproject.toml").read_text(encoding="utf-8", errors="replace")
        return "[tool.uv" in text or (project / "uv.toml").exists()
    return (project / "uv.toml").exists()


def _name(ctx: Context, python: BuildPython, pins: str) -> str:
    """A name made of everything that decides what an environment holds."""
    environ = index.uv_environment(ctx)
    inputs = [
        _LAYOUT,
        str(python.executable),
        _identity(python.executable),
        _identity(Path(index.uv_command(ctx)[0])),
        shim_text(),
        sorted(item for item in environ.items() if item[0].startswith("UV_")),
        index.configuration(environ),
        pins,
    ]
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:32]


def _identity(program: Path) -> list[str | int]:
    real = program.resolve()
    status = real.stat()
    return [str(real), status.st_size, status.st_mtime_ns]


@contextmanager
def _kept(
    ctx: Context, python: BuildPython, pins: str, sharing: Sharing
) -> Iterator[BuildEnvironment | None]:
    """The environment of some pins, made where it is not there; None where somebody is in the way."""
    name = _name(ctx, python, pins)
    for _ in range(3):
        with _in_use(ctx, name):
            found = _whole(ctx, name)
            if found is not None:
                with suppress(OSError):
                    os.utime(path(ctx, name) / _SEAL)
                yield found
                return
        with sharing.alone(name):
            made = _make(ctx, python, pins, name)
        if not made:
            break
    yield None


def _locked(
    ctx: Context, name: str, *, shared: bool = False, wait: bool = True
) -> AbstractContextManager[None]:
    return locking.locked(
        _lock(ctx, name),
        log=ctx.log,
        timeout=ctx.settings.lock_timeout,
        what="a build environment",
        shared=shared,
        wait=wait,
    )


@contextmanager
def _in_use(ctx: Context, name: str) -> Iterator[None]:
    """Hold the shared lock. What cannot be written is used without, since nobody can remove it either."""
    with ExitStack() as stack:
        try:
            stack.enter_context(_locked(ctx, name, shared=True))
        except locking.LockTimeout:
            raise
        except StoreError:
            if os.access(path(ctx, name), os.W_OK):
                raise
        yield


def _whole(ctx: Context, name: str) -> BuildEnvironment | None:
    """A kept environment whose files are those that were sealed."""
    place = path(ctx, name).resolve()
    try:
        sealed = (place / _SEAL).read_text(encoding="ascii")
    except (OSError, ValueError):
        return None
    if sealed != _seal(place / "env"):
        ctx.log.detail("a kept build environment was altered and is made anew")
        return None
    return BuildEnvironment(place / "env", place / "env" / "bin" / "python", place / "bytecode")


def _make(ctx: Context, python: BuildPython, pins: str, name: str) -> bool:
    """Make a kept environment; False where that is not possible now."""
    Store(ctx).prepare()
    place = path(ctx, name)
    # One that was altered may be in use by the build that did it, which is not worth waiting for.
    wait = not (place / _SEAL).exists()
    with ExitStack() as stack:
        try:
            stack.enter_context(_locked(ctx, name, wait=wait))
        except locking.LockTimeout:
            return False
        if _whole(ctx, name) is not None:
            return True
        remove_tree(place)
        place.mkdir(parents=True)
        place = place.resolve()
        try:
            env = create(ctx, python, place / "env")
            _install(ctx, env, pins, place)
        except XtoolError as error:
            # The throw-away environment that takes its place tells the user what is wrong.
            ctx.log.detail(f"the build environment is not kept: {error}")
            remove_tree(place)
            return False
        locking.checkpoint(ctx, "pre-seal")
        temporary = place / f"{_SEAL}.new"
        temporary.write_text(_seal(place / "env"), encoding="ascii")
        temporary.replace(place / _SEAL)
    return True


def _install(ctx: Context, env: BuildEnvironment, pins: str, place: Path) -> None:
    listing = place / "pins.txt"
    listing.write_text(pins + "\n", encoding="utf-8")
    if not pins:
        return
    argv = [
        *index.uv_command(ctx),
        *("pip", "install", "--quiet", "--python", str(env.python), "--no-deps", "--require-hashes"),
        # Linked files would be those of uv's cache, and change their ctime with every other link.
        *("--link-mode", "copy", "--requirements", str(listing)),
    ]
    proc.run(argv, log=ctx.log, env=index.uv_environment(ctx), cwd=place, what="uv")


def _seal(tree: Path) -> str:
    """Digest of the names, modes, sizes and times of change of all files.

    The time of change (ctime) cannot be set back. Bytecode beside its source is left out: Python compares it
    with the source, which is sealed.
    """
    digest = hashlib.sha256()
    for name, status in _files(tree):
        fields = (name, status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        digest.update(repr(fields).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _files(tree: Path) -> Iterable[tuple[str, os.stat_result]]:
    found = []
    waiting = [str(tree)]
    while waiting:
        folder = waiting.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name != "__pycache__":
                        waiting.append(entry.path)
                else:
                    found.append((entry.path, entry.stat(follow_symlinks=False)))
    return sorted(found)


def forget_bytecode(env: BuildEnvironment, workdir: Path) -> None:
    """Remove the bytecode of what lay in a build's own folder, which will not be seen again."""
    if env.bytecode is not None:
        shutil.rmtree(env.bytecode / str(workdir).lstrip("/"), ignore_errors=True)
