"""The options of `xtool build` that are about profiles, and what is said of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING

import click

from xtool.cli.base import Result, Session, setting

if TYPE_CHECKING:
    from xtool.build.pipeline import BuildRequest
    from xtool.build.report import BuildReport
    from xtool.pgo.build import PgoRequest

_WAYS = ("pgo-load", "pgo-save", "pgo-instrument", "pgo-collect")
"""Each does without the others, but what was trained elsewhere can be saved."""


def options() -> list[click.Parameter]:
    """The options."""
    return [
        setting(
            "--pgo",
            help="Optimise with a profile: build with counters, train with CMD under the emulator, "
            "build again. {project} and {wheel} are filled in. Can be repeated: commands run side by side.",
            metavar="CMD",
            multiple=True,
        ),
        setting(
            "--pgo-requires", help="What the training needs. Can be repeated.", metavar="REQ", multiple=True
        ),
        setting("--pgo-native", help="Train on this machine itself, where it is the target's kind."),
        setting(
            "--pgo-timeout", help="Seconds that a training command may take (default: 3600).", metavar="N"
        ),
        setting("--pgo-save", help="Keep the profiles in FILE.", metavar="FILE"),
        setting("--pgo-load", help="Optimise with the profiles of FILE, without a training.", metavar="FILE"),
        setting("--pgo-stale", help="Use what still fits of a profile of other sources."),
        setting("--no-pgo", help="Build without a profile, whatever the project says."),
        click.Option(["--html"], metavar="FILE", help="Also write a page about the profile."),
        setting(
            "--pgo-instrument",
            help="Build wheels that count, to be trained on another machine, and keep them in DIR.",
            metavar="DIR",
        ),
        setting("--pgo-collect", help="Optimise with what was counted for the wheels in DIR.", metavar="DIR"),
    ]


def wanted(session: Session, html: str | None) -> PgoRequest | None:
    """What is wanted of profiles.

    Raises:
        UsageError: options that contradict each other, or a profile that cannot be read.
    """
    from xtool.errors import UsageError

    commands: tuple[str, ...] = session.value("pgo", ())
    loaded: Path | None = session.value("pgo-load")
    save: Path | None = session.value("pgo-save")
    folder: Path | None = session.value("pgo-collect")
    _check(session)
    without = session.value("no-pgo", False)
    if without or not (commands or loaded or folder):
        # What a project has set for its profiles waits for a build that has one.
        if html is not None or (save is not None and not without):
            raise UsageError(
                f"`{'--pgo-save' if html is None else '--html'}` is about a profile, and there is none",
                hint="`--pgo CMD` trains one, `--pgo-load FILE` and `--pgo-collect DIR` use one",
                code="no-profile",
            )
        return None
    if html is not None and Path(html).is_dir():
        raise UsageError(
            f"`--html {html}` names a folder", hint="name a file for the page: `--html report.html`"
        )
    from xtool.pgo.build import PgoRequest

    request = PgoRequest(
        commands=() if loaded or folder else commands,
        requires=session.value("pgo-requires", ()),
        native=session.value("pgo-native", False),
        save=save,
        collect=folder,
        stale=session.value("pgo-stale", False),
    )
    timeout: float | None = session.value("pgo-timeout")
    if timeout is not None:
        request = replace(request, timeout=timeout)
    if loaded is None:
        return request
    from xtool.pgo import archive

    return replace(
        request,
        profiles=archive.read(loaded),
        loaded=loaded,
    )


def _check(session: Session) -> None:
    """Refuse options that contradict each other."""
    from xtool.errors import UsageError

    given = [name for name in _WAYS if session.value(name) is not None]
    if set(given) == {"pgo-save", "pgo-collect"}:
        return
    if len(given) > 1:
        first, second = (f"`--{name}`" for name in given[:2])
        raise UsageError(
            f"{first} and {second} contradict each other", hint="leave one of them out", code="contradiction"
        )


def instrument(session: Session, request: BuildRequest, folder: Path) -> Result:
    """Build instrumented wheels for a training elsewhere."""
    from xtool.build import matrix

    made = matrix.instrument(session.ctx, request, folder)
    session.console.info(
        "install a wheel where it is to be trained, and train with `GCOV_PREFIX` set to a folder; copy that "
        f"folder into `counters` beside the wheel's folder, and build with `--pgo-collect {folder}`"
    )
    return Result({"instrumented": [str(path) for path in made]}, text="\n".join(str(path) for path in made))


def tell(session: Session, report: BuildReport, *, short: bool) -> None:
    """What came of the wheels' profiles, in full unless it is told in the table of a matrix."""
    details = session.console.verbosity >= 1
    for wheel in report.wheels:
        if wheel.pgo is not None and (details or not short):
            from xtool.pgo import words

            width = get_terminal_size((100, 24)).columns
            if short:
                session.console.info(f"\n{wheel.pgo.profile.label}:")
            for line in words.report_lines(wheel.pgo, width, details=details):
                session.console.info(line)


def lines(report: BuildReport) -> list[str]:
    """A line for each wheel that was built with a profile."""
    reports = [wheel.pgo for wheel in report.wheels if wheel.pgo is not None]
    if not reports:
        return []
    from xtool.pgo import words

    return ["profiles:", *(f"  {words.report_line(each)}" for each in reports)]


def write_page(session: Session, report: BuildReport, html: str | None) -> str | None:
    """Write the page of the wheels' profiles."""
    reports = [wheel.pgo for wheel in report.wheels if wheel.pgo is not None]
    if html is None or not reports:
        return None
    from xtool.pgo import page

    written = page.write_page(Path(html), reports)
    session.console.info(f"wrote {html}")
    return str(written)
