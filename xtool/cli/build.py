"""`xtool build`: from a source to tested wheels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xtool.cli.base import Result, Session, kit_options, setting, target_option, verb

if TYPE_CHECKING:
    from xtool.build.report import BuildReport, Outcome
    from xtool.errors import XtoolError
    from xtool.pgo.build import PgoRequest

_TOLD_IN_FULL = 3
"""How many failures of a matrix show all that is known of them; the others name their logs."""


def _build(session: Session, source: str, html: str | None) -> Result:
    from xtool.build import matrix
    from xtool.build.pipeline import BuildRequest
    from xtool.cli.watch import MatrixView, describe, summary

    request = BuildRequest(
        source=source,
        setups=tuple(session.requests()),
        outdir=session.value("outdir") or Path.cwd() / "wheelhouse",
        test_commands=session.value("test-command", ()),
        test_requires=session.value("test-requires", ()),
        test=not session.value("no-test", False),
        jobs=session.ctx.settings.jobs,
        config_settings=_config_settings(session.value("config-setting", ())),
        fail_fast=session.value("fail-fast", False),
        log_dir=session.value("log-dir"),
        pgo=_pgo(session, html),
    )
    report = matrix.build(session.ctx, request, MatrixView(session.console))
    several = len(report.cells) > 1
    if not several:
        for wheel in report.wheels:
            session.console.info(describe(wheel))
    page = _write_page(session, report, html)
    errors = _errors(report, labelled=several)
    return Result(
        {
            "wheels": [wheel.as_data() for wheel in report.wheels],
            "failed": [_failed_data(cell) for cell in report.failures],
            "not_run": [
                {"target": cell.target, "python": cell.python, "state": cell.state.value}
                for cell in report.left_out
            ],
            **({"html": page} if page else {}),
        },
        text="\n".join(str(wheel.path) for wheel in report.wheels),
        errors=tuple(errors),
        partial=bool(report.wheels and errors),
        summary=f"\n{summary(report)}" if several else "",
    )


def _pgo(session: Session, html: str | None) -> PgoRequest | None:
    """What is wanted of profiles.

    Raises:
        UsageError: options that contradict each other, or a profile that cannot be read.
    """
    from xtool.errors import UsageError

    commands: tuple[str, ...] = session.value("pgo", ())
    loaded: Path | None = session.value("pgo-load")
    save: Path | None = session.value("pgo-save")
    if session.value("no-pgo", False) or not (commands or loaded):
        if html is not None or save is not None:
            raise UsageError(
                f"`{'--pgo-save' if html is None else '--html'}` is about a profile, and there is none",
                hint="`--pgo CMD` trains one, `--pgo-load FILE` uses one",
                code="no-profile",
            )
        return None
    if loaded and save:
        raise UsageError(
            "`--pgo-save` keeps what a training has counted, and `--pgo-load` does without one",
            hint="leave one of them out",
            code="contradiction",
        )
    from xtool.pgo.build import PgoRequest

    request = PgoRequest(
        commands=() if loaded else commands,
        requires=session.value("pgo-requires", ()),
        native=session.value("pgo-native", False),
        save=save,
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
        stale=session.value("pgo-stale", False),
    )


def _write_page(session: Session, report: BuildReport, html: str | None) -> str | None:
    """Write the page of the wheels' profiles."""
    reports = [wheel.pgo for wheel in report.wheels if wheel.pgo is not None]
    if html is None or not reports:
        return None
    from xtool.pgo.page import write_page

    session.console.info(f"wrote {html}")
    return str(write_page(Path(html), reports))


def _failed_data(cell: Outcome) -> dict[str, Any]:
    return {
        "target": cell.target,
        "python": cell.python,
        "step": cell.step,
        "code": cell.error.code if cell.error else None,
        "message": cell.error.message if cell.error else None,
        "log": cell.log,
    }


def _errors(report: BuildReport, *, labelled: bool) -> list[XtoolError]:
    """The errors in the order of the matrix, each with its cell and log; what cells share comes once."""
    found: list[XtoolError] = []
    seen: set[int] = set()
    for cell in report.failures:
        error = cell.error
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        label = f"{cell.label}: " if labelled and cell.step != "setup" else ""
        facts = error.facts if len(found) < _TOLD_IN_FULL else ()
        log = (f"log: {cell.log}",) if cell.log else ()
        found.append(error.retold(label + error.message, (*facts, *log)))
    return found


def _config_settings(pairs: tuple[str, ...]) -> dict[str, str | list[str]]:
    """PEP 517 config settings; a key that comes again makes a list, as pip and build do it."""
    settings: dict[str, Any] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        if key not in settings:
            settings[key] = value
        elif isinstance(settings[key], list):
            settings[key].append(value)
        else:
            settings[key] = [settings[key], value]
    return settings


command = verb(
    _build,
    name="build",
    help=(
        "Build wheels of SRC for targets, check what is in them, and smoke-test them under the emulator.\n\n"
        "SRC is a project folder (default: this one), an sdist file, or a requirement from the package "
        "index. What a target lacks is set up first. Without `--python`, wheels are built for every Python "
        "that the project supports; several targets and Pythons are built side by side. The paths of the "
        "wheels go to stdout."
    ),
    example=(
        "xtool build --target ppc64le\n"
        "xtool build ujson==5.11.0 --target ppc64le --outdir dist\n"
        "xtool build . --target ppc64le --target s390x --python 3.11 --python 3.13 -j 4\n"
        "xtool build . --target ppc64le --test-requires pytest --test-command 'pytest {project}/tests'"
    ),
    params=[
        click.Argument(["source"], metavar="[SRC]", required=False, default="."),
        target_option(multiple=True),
        *kit_options(pythons="all that the project supports, or 3.13"),
        setting("--outdir", "-o", help="Folder for finished wheels (default: wheelhouse).", metavar="DIR"),
        setting(
            "--test-command",
            help="Test the wheel with CMD instead of importing it; {project} and {wheel} are filled in. "
            "Can be repeated.",
            metavar="CMD",
            multiple=True,
        ),
        setting(
            "--test-requires", help="What the tests need. Can be repeated.", metavar="REQ", multiple=True
        ),
        setting("--no-test", help="Do not test the wheel."),
        setting(
            "--config-setting",
            "-C",
            help="Setting for the build back end. Can be repeated.",
            metavar="KEY=VALUE",
            multiple=True,
        ),
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
        setting("--jobs", "-j", help="How much may run at once (default: the CPUs).", metavar="N"),
        setting(
            "--compiler-cache", help="Compile through a compiler cache (default: one that is installed)."
        ),
        setting("--fail-fast", help="End everything when one wheel fails."),
        setting(
            "--log-dir",
            help="Folder for the wheels' logs (default: one in the cache, named when a wheel fails).",
            metavar="DIR",
        ),
    ],
)
