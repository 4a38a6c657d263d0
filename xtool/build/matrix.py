"""The product of targets and Pythons: what is shared is made once, failures stay apart."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from xtool.build import logs, pythons
from xtool.build import source as sources
from xtool.build.deliver import temporary_folder, usable
from xtool.build.frontend import read_build_system
from xtool.build.kept import Sharing
from xtool.build.pipeline import BuildRequest, Cell, Clock, Product
from xtool.build.report import BuildReport, Outcome, Quiet, Watcher
from xtool.build.runner import Run
from xtool.build.schedule import State
from xtool.context import Context
from xtool.crossenv.adapters import adapter_for
from xtool.errors import XtoolError
from xtool.kit import Kit
from xtool.python.versions import parse_python
from xtool.setup import Request, ensure_kits
from xtool.store import Store


def build(ctx: Context, request: BuildRequest, watcher: Watcher | None = None) -> BuildReport:
    """Build a wheel for each target and Python.

    What goes wrong in one cell does not keep the others from their wheels, unless `fail_fast` says so.

    Raises:
        UsageError: there is no such Python, the project excludes one that was asked for, no such source, ...
        StoreError: the output folder or the folder for logs cannot be written.
        NetworkError: the source cannot be fetched.
    """
    started = time.monotonic()
    pythons.check_asked(ctx, request.setups)
    with ExitStack() as stack:
        stack.enter_context(usable(request.outdir, hint="choose another folder with `--outdir`"))
        save = request.pgo.save if request.pgo else None
        if save is not None:
            stack.enter_context(usable(save.parent, hint="name a file in another folder after `--pgo-save`"))
        work = stack.enter_context(temporary_folder())
        asked = [version for setup in request.setups for version in setup.versions]
        clock = Clock()
        with clock("source"):
            lowest = min(asked, key=parse_python)
            source = sources.obtain(ctx, request.source, work / "source", python=lowest)
        # What cannot be built for any target is found before one is set up.
        adapter_for(read_build_system(source.path), what=source.label)
        setups = _with_pythons(ctx, request.setups, source)
        with clock("setup"):
            setups, kits = _set_up(ctx, request.setups, setups)
        for kit in kits:
            if isinstance(kit, Kit):
                stack.enter_context(Store(ctx).using(kit.folders))
        product = Product(request, setups, source, Sharing(), clock.seconds)
        cells, failed = _cells(ctx, setups, kits, product)
        log_dir = stack.enter_context(logs.folder(ctx, request.log_dir))
        run = Run(ctx, product, cells, work, log_dir, watcher or Quiet())
        alone = len(cells) == 1 and not failed
        outcomes = run.alone() if alone else run.together(failed=bool(failed)) if cells else []
        place = {(s.target.name, v): (i, j) for i, s in enumerate(setups) for j, v in enumerate(s.versions)}
        every = sorted([*failed, *outcomes], key=lambda cell: place[cell.target, cell.python])
    report = BuildReport(tuple(every), round(time.monotonic() - started, 3))
    if save is not None:
        _save(ctx, save, report)
    return report


def _save(ctx: Context, path: Path, report: BuildReport) -> None:
    """Keep the profiles that wheels were built with.

    Raises:
        StoreError: the file cannot be written.
    """
    profiles = [wheel.pgo.profile for wheel in report.wheels if wheel.pgo is not None]
    if not profiles:
        return
    from xtool.pgo import archive

    archive.write(path, profiles)
    ctx.log.info(f"saved the profile{'s' if len(profiles) > 1 else ''} in {path}")


def _with_pythons(ctx: Context, setups: Sequence[Request], source: sources.Source) -> tuple[Request, ...]:
    """The set-ups with the Pythons that the project is built for."""
    found = [
        replace(setup, pythons=pythons.choose(ctx, setup, source.requires_python, source.label))
        for setup in setups
    ]
    chosen: dict[tuple[str, ...], list[str]] = {}
    for before, after in zip(setups, found, strict=True):
        if not before.pythons and len(after.pythons) > 1:
            chosen.setdefault(after.pythons, []).append(after.target.name)
    for versions, targets in chosen.items():
        where = f" on {', '.join(targets)}" if len(chosen) > 1 else ""
        ctx.log.info(
            f"{source.label} is built for Python {', '.join(versions)}{where}, "
            f"by its requires-python `{source.requires_python}`; `--python` chooses"
        )
    return tuple(found)


def _set_up(
    ctx: Context, asked: Sequence[Request], setups: Sequence[Request]
) -> tuple[tuple[Request, ...], tuple[Kit | XtoolError, ...]]:
    """Set every target up. Nobody has asked for a Python that cannot be fetched, unless by its name."""
    kits = list(ensure_kits(ctx, setups))
    settled = list(setups)
    for i, kit in enumerate(kits):
        if isinstance(kit, Kit) or asked[i].pythons or settled[i].python_source != "auto":
            continue
        left = pythons.without_portable(ctx, settled[i])
        dropped = [version for version in settled[i].pythons if version not in left]
        if left and dropped:
            ctx.log.warning(
                f"no Python {', '.join(dropped)} for {settled[i].target.name}: {kit.message}",
                hint="`--python` says which are needed",
            )
            settled[i] = replace(settled[i], pythons=left)
            (kits[i],) = ensure_kits(ctx, [settled[i]])
    return tuple(settled), tuple(kits)


def _cells(
    ctx: Context, setups: Sequence[Request], kits: Sequence[Kit | XtoolError], product: Product
) -> tuple[list[Cell], list[Outcome]]:
    """The cells that can be built, and what has become of those that cannot."""
    cells, failed = [], []
    allowed = product.source.requires_python
    named = {setup.target.name for setup in product.request.setups if setup.pythons}
    for setup, kit in zip(setups, kits, strict=True):
        if not isinstance(kit, Kit):
            failed += [
                Outcome(setup.target.name, version, State.FAILED, error=kit, step="setup")
                for version in setup.versions
            ]
            continue
        exact = {v: kit.pythons[v].full_version for v in setup.versions}
        # Only now is it known which patch release it is.
        excluded = [v for v in setup.versions if allowed and not allowed.contains(exact[v], prereleases=True)]
        error = pythons.excludes(product.source.label, excluded, setup.versions, allowed)
        for version in setup.versions:
            if version not in excluded:
                cells.append(Cell(kit, version))
            elif kit.target.name in named or len(excluded) == len(setup.versions):
                failed.append(Outcome(setup.target.name, version, State.FAILED, error=error, step="setup"))
            else:
                ctx.log.warning(f"{error.message} ({exact[version]}) on {setup.target.name}")
    return cells, failed
