"""Trying inputs on parsers, and deciding what is a finding.

An input may be taken or refused with one of the errors that its target names. Everything else is a finding:
another exception, more than five seconds, 512 MiB of memory, a file or process outside of the input's own
folder, an interpreter that dies. Inputs are tried in processes of their own, so that even the last costs one
input only; each follows from target, seed and number alone.
"""

from __future__ import annotations

import json
import mmap
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from support.fuzztarget import Broken, Target, digest
from support.fuzztargets import targets

TIME_LIMIT = 5.0
"""Seconds that an input may take."""

MEMORY_LIMIT = 512 << 20
"""Bytes by which an input may make the process grow."""

_GIVE_UP = 30.0
"""Seconds after which a process that does not answer to its own alarm is killed."""

_REACH = 4 << 30
"""Bytes of address space that a parser may ask for beyond what is there: the machine stays usable."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PATH_EVENTS = {
    **dict.fromkeys(
        ("os.mkdir", "os.remove", "os.rmdir", "os.chmod", "os.chown", "os.utime", "os.truncate"), (0,)
    ),
    "os.symlink": (1,),
    "os.link": (0, 1),
    "os.rename": (0, 1),
}
_NEVER = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty"} | {
    *("socket.connect", "socket.getaddrinfo", "socket.bind", "socket.sendto"),
}


class Hung(BaseException):
    """An input takes too long."""


class Escaped(BaseException):
    """A parser reaches out of its folder."""


@dataclass(frozen=True)
class Finding:
    """Something that must not happen.

    Args:
        target: which parser.
        kind: the exception's name, `hang`, `memory`, `death`.
        place: innermost line of xtool that it comes from, `module:function`.
        message: what it says.
        trace: the traceback.
    """

    target: str
    kind: str
    place: str
    message: str
    trace: str = ""

    @property
    def signature(self) -> str:
        """Findings of one signature are taken for one."""
        return f"{self.target} {self.kind} {self.place}"


@dataclass
class Tally:
    """What came of some inputs of one target."""

    inputs: int = 0
    taken: int = 0
    seconds: float = 0.0
    refused: Counter[str] = field(default_factory=Counter)
    findings: dict[str, tuple[Finding, bytes, str]] = field(default_factory=dict)

    def note(self, result: str | Finding, data: bytes, origin: str) -> None:
        """Count one input."""
        self.inputs += 1
        if isinstance(result, Finding):
            known = self.findings.get(result.signature)
            if known is None or len(known[1]) > len(data):
                self.findings[result.signature] = (result, data, origin)
        elif result:
            self.refused[result] += 1
        else:
            self.taken += 1

    def add(self, other: Tally) -> None:
        """Take over another's figures."""
        self.inputs += other.inputs
        self.taken += other.taken
        self.seconds += other.seconds
        self.refused += other.refused
        for signature, found in other.findings.items():
            if signature not in self.findings or len(self.findings[signature][1]) > len(found[1]):
                self.findings[signature] = found


class Sandbox:
    """A folder for inputs, limits on the process, and an eye on what it opens."""

    _guarded: str | None = None
    _hooked = False

    def __init__(self) -> None:
        self._home = Path(tempfile.mkdtemp(prefix="xtool-fuzz-", dir=memory()))
        self._folder = self._home / "input"
        (self._home / "cwd").mkdir()
        self._base = _peak()
        # Nothing here outlives the process, so that nothing need reach the disk.
        os.fsync = lambda _: None

    def close(self) -> None:
        """Remove the folder."""
        _wipe(self._home)

    def confine(self) -> None:
        """Limit memory, and watch what is opened from now on; for a process that does nothing else."""
        sys.dont_write_bytecode = True
        os.chdir(self._home / "cwd")
        soft = int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE + _REACH
        resource.setrlimit(resource.RLIMIT_AS, (soft, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if not Sandbox._hooked:
            sys.addaudithook(_watch)
            Sandbox._hooked = True

    @property
    def swollen(self) -> bool:
        """Whether the process has grown beyond the limit; it cannot be measured any more then."""
        return (_peak() - self._base) << 10 > MEMORY_LIMIT

    def attempt(self, target: Target, data: bytes) -> str | Finding:
        """Try one input: empty if it is taken, the error's name if it is refused, or a finding."""
        result = self._attempt(target, data)
        if isinstance(result, Finding) and result.kind == "hang":
            # Once more: another process may have had the processor.
            result = self._attempt(target, data)
        return result

    def _attempt(self, target: Target, data: bytes) -> str | Finding:
        self._folder.mkdir()
        Sandbox._guarded = str(self._folder)
        try:
            with _alarm(TIME_LIMIT):
                target.run(data, self._folder)
            result: str | Finding = ""
        except target.errors as error:
            result = type(error).__name__
        except Hung as error:
            result = _finding(target, "hang", error)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            result = _finding(target, type(error).__name__, error)
        finally:
            Sandbox._guarded = None
        if self.swollen:
            result = Finding(target.name, "memory", "-", f"more than {MEMORY_LIMIT >> 20} MiB")
        if any((self._home / "cwd").iterdir()):
            result = Finding(target.name, "Escaped", "-", "something new in the working folder")
            _wipe(self._home / "cwd", keep=True)
        _wipe(self._folder)
        return result


def _peak() -> int:
    """KiB of memory that this process has had at most (proc(5), VmHWM).

    Not getrusage's `ru_maxrss`: that also knows what the process was before `exec`, a large test run say.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0])


def memory() -> str | None:
    """Where folders come and go fastest: in memory, unless TMPDIR says otherwise."""
    there = "TMPDIR" not in os.environ and os.access("/dev/shm", os.W_OK)
    return "/dev/shm" if there else None


def _watch(event: str, args: tuple[Any, ...]) -> None:
    """Audit hook: nothing is written outside of the folder, no process started, no connection made."""
    root = Sandbox._guarded
    if root is None:
        return
    if event == "open":
        if isinstance(args[2], int) and args[2] & _WRITING:
            _confined(event, args[0], root)
    elif event in _PATH_EVENTS:
        for position in _PATH_EVENTS[event]:
            _confined(event, args[position], root)
    elif event in _NEVER:
        raise Escaped(f"{event} {args!r}"[:300])


def _confined(event: str, path: object, root: str) -> None:
    if isinstance(path, int):
        return
    text = os.fsdecode(path)  # type: ignore[arg-type]
    if text.startswith("/"):
        parent = os.path.realpath(os.path.dirname(text))  # noqa: PTH120
        if f"{parent}/".startswith(f"{root}/") or text == root:
            return
    elif "/" not in text and text not in ("", ".", ".."):
        # Relative to a descriptor; relative to the working folder is noticed there.
        return
    raise Escaped(f"{event} {text}"[:300])


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(number: int, frame: FrameType | None) -> None:
        raise Hung(f"more than {seconds:.0f} s")

    previous = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _finding(target: Target, kind: str, error: BaseException) -> Finding:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/xtool/" in frame.filename]
    place = f"{Path(own[-1].filename).stem}:{own[-1].name}" if own and kind != "Broken" else str(error)[:40]
    if isinstance(error, Broken):
        place = str(error).partition(":")[0][:60]
    trace = "".join(traceback.format_exception(error, limit=-12))
    return Finding(target.name, kind, place, str(error)[:500], trace[-6000:])


def _wipe(folder: Path, *, keep: bool = False) -> None:
    for path, _, _ in os.walk(folder):
        with suppress(OSError):
            Path(path).chmod(0o700)
    shutil.rmtree(folder)
    if keep:
        folder.mkdir()


def make_input(target: Target, seeds: Sequence[bytes], seed: int, number: int) -> bytes:
    """The input of a number: it depends on nothing else, save for the versions of compressors."""
    if number < len(seeds):
        return seeds[number]
    rng = random.Random(f"{target.name} {seed} {number}")
    return target.mutate(rng, rng.choice(seeds), seeds)


# Processes


def try_range(
    name: str, seed: int, start: int, *, stop: int | None = None, seconds: float | None = None
) -> tuple[Tally, int]:
    """Try inputs in other processes, from a number on, until a number or a time is reached.

    Returns:
        What came of them, and the number of the next one.
    """
    tally = Tally()
    deadline = None if seconds is None else time.monotonic() + seconds
    while (stop is None or start < stop) and (deadline is None or time.monotonic() < deadline):
        part, after = _one_process(name, seed, start, stop, deadline)
        tally.add(part)
        start = after
    return tally, start


def _one_process(
    name: str, seed: int, start: int, stop: int | None, deadline: float | None
) -> tuple[Tally, int]:
    """Try inputs until the end, or until the process is no longer of use."""
    # Forked from a process that has no threads.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["support.fuzztargets"])
    place = context.RawArray("d", (start, time.monotonic()))
    inbox, outbox = context.Pipe(duplex=False)
    child = context.Process(target=_work, args=(name, seed, start, stop, deadline, place, outbox))
    begun = time.monotonic()
    child.start()
    outbox.close()
    while not inbox.poll(0.5):
        if not child.is_alive() and not inbox.poll(0):
            break
        if time.monotonic() - place[1] > _GIVE_UP:
            child.kill()
            break
    try:
        ended: tuple[Tally, int] | None = inbox.recv()
    except EOFError:
        ended = None
    child.join()
    if ended is not None:
        return ended
    if child.exitcode == 1:
        raise RuntimeError(f"the harness itself failed on {name}, seed {seed}, number {int(place[0])}")
    number = int(place[0])
    # The inputs before it were tried, but nobody can say any more what came of them: only the number counts.
    tally = Tally(inputs=number - start, seconds=time.monotonic() - begun)
    target = targets()[name]
    data = make_input(target, target.seeds(), seed, number)
    code = child.exitcode or 0
    kind = "hang" if code == -signal.SIGKILL else "death"
    tally.note(
        Finding(name, kind, "-", f"the process ended with {code}"), data, f"seed {seed} number {number}"
    )
    return tally, number + 1


def _work(
    name: str, seed: int, start: int, stop: int | None, deadline: float | None, place: Any, outbox: Any
) -> None:
    target = targets()[name]
    seeds = target.seeds()
    sandbox = Sandbox()
    tally = Tally()
    number = start
    try:
        # The first input imports what the parser needs, which would look like its own doing.
        sandbox.attempt(target, seeds[0])
        sandbox.confine()
        begun = time.monotonic()
        while (stop is None or number < stop) and not sandbox.swollen:
            now = time.monotonic()
            if deadline is not None and now > deadline:
                break
            place[:] = (number, now)
            data = make_input(target, seeds, seed, number)
            tally.note(sandbox.attempt(target, data), data, f"seed {seed} number {number}")
            number += 1
        tally.seconds = time.monotonic() - begun
    finally:
        sandbox.close()
    outbox.send((tally, number))
    outbox.close()


# What is kept


class Ledger:
    """A folder with the figures of all runs so far, and a file for every finding.

    Args:
        folder: where; made when something is to be kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "figures.json"
        self.figures: dict[str, dict[str, Any]] = {}
        if self._file.exists():
            self.figures = json.loads(self._file.read_text())

    def add(self, engine: str, name: str, tally: Tally, following: int | None = None) -> list[Path]:
        """Add what came of a run; gives the files of new findings."""
        entry = self.figures.setdefault(
            f"{engine} {name}", {"inputs": 0, "taken": 0, "seconds": 0.0, "next": 0}
        )
        entry["inputs"] += tally.inputs
        entry["taken"] += tally.taken
        entry["seconds"] += tally.seconds
        if following is not None:
            entry["next"] = following
        self.folder.mkdir(parents=True, exist_ok=True)
        scratch = self._file.with_suffix(".new")
        scratch.write_text(json.dumps(self.figures, indent=1) + "\n")
        scratch.replace(self._file)
        return self.keep(tally)

    def keep(self, tally: Tally) -> list[Path]:
        """Keep findings alone; gives the files of those that are new or shorter than before."""
        return [path for found in tally.findings.values() if (path := self._keep(*found)) is not None]

    def _keep(self, found: Finding, data: bytes, origin: str) -> Path | None:
        path = self.folder / "findings" / f"{found.target}-{digest(found.signature.encode())}"
        if path.exists() and path.stat().st_size <= len(data):
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.with_name(f"{path.name}.json").write_text(
            json.dumps({**asdict(found), "origin": origin}, indent=1) + "\n"
        )
        return path

    def findings(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """Every finding ever kept: its input, and what it was."""
        for note in sorted(self.folder.glob("findings/*.json")):
            yield note.with_name(note.name.removesuffix(".json")), json.loads(note.read_text())
