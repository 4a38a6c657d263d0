"""Runs the cells of a matrix: each in a thread of its own, which mostly waits for processes.

The caller's thread starts cells, takes what they made, and alone writes to the output folder.
"""

from __future__ import annotations

import queue
import shutil
import sysconfig
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from xtool import proc
from xtool.build import logs, places, pythons, stated
from xtool.build.celllog import CellLog
from xtool.build.deliver import Delivery, clash
from xtool.build.pipeline import Asked, BuiltWheel, Cell, Product, build_wheel
from xtool.build.report import Outcome, Watcher
from xtool.build.schedule import ENDED, Schedule, Slot, State
from xtool.context import Context
from xtool.crossenv import compilercache
from xtool.errors import Interrupted, StoreError, XtoolError
from xtool.kit import Kit
from xtool.python.versions import PythonVersion, parse_python
from xtool.setup import ensure_kit
from xtool.store import Store
from xtool.text import format_seconds
from xtool.wheel.wheelfile import WheelName

_PATIENCE = 8.0
"""Seconds that stopped cells have to end. What they started is killed before that."""


class Run:
    """One run of some cells.

    Args:
        ctx: settings, log, environment.
        product: what is built.
        cells: the cells, in the order that the user gave.
        work: a folder for all that is made on the way.
        log_dir: the folder for logs.
        watcher: told how it gets on.
    """

    def __init__(
        self,
        ctx: Context,
        product: Product,
        cells: Sequence[Cell],
        work: Path,
        log_dir: Path,
        watcher: Watcher,
    ) -> None:
        self._ctx = ctx
        self._product = product
        self._cells = tuple(cells)
        self._work = work
        self._log_dir = log_dir
        self._watcher = watcher
        slots = [Slot(cell.target, parse_python(cell.version)) for cell in cells]
        self._schedule = Schedule(slots, stated.hints(product.source.path))
        self._commands = [proc.Commands() for _ in cells]
        self._steps = [""] * len(cells)
        self._outcomes: dict[int, Outcome] = {}
        self._told: dict[int, State] = {}
        self._delivery = Delivery(product.request.outdir)
        self._finished: queue.Queue[int] = queue.Queue()
        self._watched = False
        self._threads: dict[int, threading.Thread] = {}
        """The cells that run."""

    def alone(self) -> list[Outcome]:
        """Run the only cell in this thread, as loud as the user wants it."""
        self._schedule.start(0, 1)
        self._outcomes[0] = self._run(
            0, self._product.request.jobs, CellLog(self._log(0), plain=self._ctx.log)
        )
        self._take(0)
        return [self._final(0)]

    def together(self, *, failed: bool) -> list[Outcome]:
        """Run all cells, as many at once as there are jobs.

        Args:
            failed: whether something has failed already.
        """
        # Two threads that are the first to ask for these get half of them (Python 3.10 to 3.13).
        sysconfig.get_config_vars()
        self._watched = True
        self._watcher.begin(self._product.source.label, self._cells, self._product.request.jobs)
        try:
            if failed:
                self._has_failed()
            self._start_ready()
            while self._threads:
                cell = self._finished.get()
                self._threads.pop(cell).join()
                self._take(cell)
                self._tell()
                self._start_ready()
        finally:
            # Nothing runs any more, unless this thread was interrupted.
            self._stop_all()
            self._watcher.end()
        return [self._final(cell) for cell in range(len(self._cells))]

    def _start_ready(self) -> None:
        jobs = self._product.request.jobs
        while len(self._threads) < jobs and (ready := self._schedule.ready):
            cell = ready[0]
            share = self._schedule.start(cell, jobs)
            log = CellLog(self._log(cell), voice=_CellVoice(self._watcher, self._cells[cell]))
            self._watcher.started(self._cells[cell])
            thread = threading.Thread(target=self._in_thread, args=(cell, share, log), daemon=True)
            self._threads[cell] = thread
            thread.start()

    def _in_thread(self, cell: int, jobs: int, log: CellLog) -> None:
        try:
            self._outcomes[cell] = self._run(cell, jobs, log)
        except BaseException as error:  # noqa: BLE001 - one cell's bug must not take the others' wheels
            self._outcomes[cell] = self._outcome(cell, error=_unexpected(error), log=log.path)
        finally:
            self._finished.put(cell)

    def _run(self, cell: int, jobs: int, log: CellLog) -> Outcome:
        """Build and test one wheel; whatever comes of it stands in its log as well."""
        started = time.monotonic()
        ctx = replace(self._ctx, log=log)
        last = "interrupted"
        wheel: BuiltWheel | None = None
        error: XtoolError | None = None
        try:
            with self._commands[cell].current(), ExitStack() as stack:
                place = stack.enter_context(self._place(cell))
                asked = self._asked(cell, ctx, stack)
                made = build_wheel(ctx, self._cells[cell], self._product, place, jobs=jobs, asked=asked)
                wheel = replace(made, path=self._keep(made.path, cell))
            last = f"made {wheel.path.name} in {format_seconds(time.monotonic() - started)}"
        except XtoolError as problem:
            error = problem
            last = _told(problem)
        except Exception:
            last = traceback.format_exc()
            raise
        finally:
            path = log.close(last=last)
        seconds = round(time.monotonic() - started, 3)
        return replace(self._outcome(cell, wheel=wheel, error=error, log=path), seconds=seconds)

    def _outcome(
        self, cell: int, *, wheel: BuiltWheel | None = None, error: XtoolError | None = None, log: Path | None
    ) -> Outcome:
        one = self._cells[cell]
        state = State.FAILED if error else State.MADE
        if wheel is not None:
            wheel = replace(wheel, log=log)
        return Outcome(one.target, one.version, state, wheel, error, self._steps[cell], log)

    def _place(self, cell: int) -> AbstractContextManager[Path]:
        """The folder that a cell is built in."""
        one, source = self._cells[cell], self._product.source
        spare = self._work / f"{one.target}-{one.version}"
        if compilercache.find(self._ctx) is None:
            return places.own(spare)
        what = str(Path(source.spec).absolute()) if source.kind == "folder" else source.path.name
        return places.lasting([source.kind, what, one.target, one.version], spare)

    def _keep(self, wheel: Path, cell: int) -> Path:
        """Take a finished wheel out of its cell's folder, which goes."""
        folder = self._work / "made" / str(cell)
        folder.mkdir(parents=True)
        # The folder of a cell may lie on another disk.
        return Path(shutil.move(wheel, folder / wheel.name))

    def _log(self, cell: int) -> Path:
        source, one = self._product.source, self._cells[cell]
        name = source.name or Path(source.spec).name or "project"
        return self._log_dir / logs.file_name(name, one.target, one.version)

    def _asked(self, cell: int, ctx: Context, stack: ExitStack) -> Asked:
        def step(name: str) -> None:
            self._commands[cell].check()
            self._steps[cell] = name
            if self._watched:
                self._watcher.step(self._cells[cell], name)

        def tested_on(name: WheelName) -> list[str]:
            if not self._product.request.test:
                return [self._cells[cell].version]
            found = self._schedule.tested_on(cell, name, asked=self._to_test_on(cell, ctx, name))
            return [str(python) for python in found]

        return Asked(step, tested_on, partial(self._kit_with, cell, ctx, stack))

    def _to_test_on(self, cell: int, ctx: Context, name: WheelName) -> Iterator[PythonVersion]:
        """The Pythons that were asked for; where neither user nor project names any, those that there are."""
        target = self._cells[cell].target
        named = any(s.pythons for s in self._product.request.setups if s.target.name == target)
        setup = next(s for s in self._product.setups if s.target.name == target)
        versions = setup.versions
        if not named and self._product.source.requires_python is None and not name.pure:
            versions = pythons.final_releases(ctx, setup)
        yield from map(parse_python, versions)

    def _kit_with(self, cell: int, ctx: Context, stack: ExitStack, version: str) -> Kit:
        """The cell's kit, or one of the same target with another Python to test on."""
        kit = self._cells[cell].kit
        if version in kit.pythons:
            return kit
        setup = next(s for s in self._product.setups if s.target.name == kit.target.name)
        with ctx.log.step(f"setting up Python {version} for {kit.target.name} to test on"):
            other = ensure_kit(ctx, replace(setup, pythons=(version,)))
        stack.enter_context(Store(ctx).using(other.folders))
        return other

    def _take(self, cell: int) -> None:
        """Note what a cell has come to, and deliver what can be delivered now."""
        outcome = self._outcomes[cell]
        if self._schedule.states[cell] is State.SERVED:
            pass
        elif outcome.wheel is not None:
            self._deliver(self._schedule.made(cell, WheelName.parse(outcome.wheel.path.name)))
        elif isinstance(outcome.error, Interrupted):
            self._deliver(self._schedule.failed(cell, State.STOPPED))
        else:
            self._deliver(self._schedule.failed(cell))
            self._has_failed()
        for other in self._threads:
            if self._schedule.states[other] is State.SERVED:
                # Its wheel would be thrown away.
                self._commands[other].end()

    def _has_failed(self) -> None:
        if self._product.request.fail_fast:
            self._deliver(self._schedule.abandon())
            for other in self._threads:
                self._commands[other].end()

    def _deliver(self, cells: Sequence[int]) -> None:
        for cell in cells:
            wheel = self._outcomes[cell].wheel
            if wheel is None:
                continue
            try:
                self._deliver_one(cell, wheel)
            except XtoolError as error:
                self._fail(cell, error)

    def _deliver_one(self, cell: int, wheel: BuiltWheel) -> None:
        """Deliver a wheel; of two that are the same, the one of the earlier cell stays."""
        name = wheel.path.name
        other = self._delivery.earlier(name)
        same = other is None or self._delivery.same(wheel.path)
        if other is None or cell < other:
            final = self._delivery.deliver(cell, wheel.path)
            self._outcomes[cell] = replace(self._outcomes[cell], wheel=replace(wheel, path=final))
        if other is None:
            return
        first, second = min(cell, other), max(cell, other)
        if same:
            self._schedule.serve(second, by=first)
        else:
            self._fail(second, clash(name, self._cells[first].label, self._cells[second].label))

    def _fail(self, cell: int, error: XtoolError) -> None:
        """A finished wheel could not be delivered."""
        self._outcomes[cell] = replace(
            self._outcomes[cell], state=State.FAILED, wheel=None, error=error, step="deliver"
        )
        self._deliver(self._schedule.failed(cell))
        self._has_failed()

    def _tell(self) -> None:
        """Tell the watcher of every cell that has come to something new."""
        news = sorted(enumerate(self._schedule.states), key=lambda item: item[1] is State.SERVED)
        for cell, state in news:
            done = state in ENDED or (state is State.MADE and cell not in self._threads)
            if done and self._told.get(cell) is not state:
                self._told[cell] = state
                self._watcher.ended(self._cells[cell], self._final(cell))

    def _final(self, cell: int) -> Outcome:
        """What has become of a cell, as far as it is known now."""
        state = self._schedule.states[cell]
        one = self._cells[cell]
        outcome = self._outcomes.get(cell) or Outcome(one.target, one.version, state)
        outcome = replace(outcome, state=state)
        if state is State.SERVED:
            by = self._final(self._server(cell))
            return replace(outcome, wheel=by.wheel, error=None, step="", log=by.log)
        if state is State.BUILT and outcome.wheel is not None:
            served = [i for i in self._schedule.served_by if self._server(i) == cell]
            serves = [{"target": self._cells[i].target, "python": self._cells[i].version} for i in served]
            return replace(outcome, wheel=replace(outcome.wheel, serves=tuple(serves)))
        return replace(outcome, wheel=None) if state is not State.MADE else outcome

    def _server(self, cell: int) -> int:
        """The cell whose wheel one is served by in the end."""
        while cell in self._schedule.served_by:
            cell = self._schedule.served_by[cell]
        return cell

    def _stop_all(self) -> None:
        for cell in self._threads:
            self._commands[cell].end()
        until = time.monotonic() + _PATIENCE
        for thread in self._threads.values():
            thread.join(max(0.0, until - time.monotonic()))


class _CellVoice:
    """What one cell says beside its log."""

    def __init__(self, watcher: Watcher, cell: Cell) -> None:
        self._watcher = watcher
        self._cell = cell

    def warning(self, message: str, *, hint: str | None = None) -> None:
        """Something is not as asked, and the work goes on."""
        self._watcher.warning(self._cell, message, hint=hint)

    def line(self, text: str) -> None:
        """A line that a user sees who has asked for commands and their output."""
        self._watcher.line(self._cell, text)


def _told(error: XtoolError) -> str:
    """An error as it stands at the end of a log, without what the log has anyway."""
    hint = [f"hint: {error.hint}"] if error.hint else []
    facts = [f"  {line}" for fact in error.facts[:20] for line in fact.splitlines()]
    return "\n".join([f"error: {error.message}", *facts, *hint])


def _unexpected(error: BaseException) -> XtoolError:
    """Say what was not raised on purpose."""
    told: XtoolError
    if isinstance(error, OSError):
        facts = [str(error.filename)] if error.filename else []
        hint = "make room for it there, or give yourself the permission"
        told = StoreError((error.strerror or str(error)).lower(), facts=facts, hint=hint, code="disk")
    else:
        told = XtoolError(
            f"unexpected {type(error).__name__}: {error}",
            facts=["this is a bug in xtool"],
            hint="its log has the traceback; report it",
            code="internal",
        )
    told.__cause__ = error
    return told
