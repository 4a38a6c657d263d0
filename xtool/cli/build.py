"""`xtool build`: from a source to tested wheels."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xtool.cli import profiles
from xtool.cli.base import Result, Session, kit_options, setting, target_option, verb

if TYPE_CHECKING:
    from xtool.build.report import BuildReport, Outcome
    from xtool.errors import XtoolError

_TOLD_IN_FULL = 3
"""How many failures of a matrix show all that is known of them; the others name their logs."""


def _build(session: Session, source: str, html: str | None) -> Result:
    from xtool.build import matrix
    from xtool.build.deliver import usable
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
        pgo=profiles.wanted(session, html),
    )
    folder: Path | None = session.value("pgo-instrument")
    if folder is not None:
        return profiles.instrument(session, request, folder)
    with ExitStack() as stack:
        if html is not None:
            hint = "name a file in another folder after `--html`"
            stack.enter_context(usable(Path(html).parent, hint=hint))
        report = matrix.build(session.ctx, request, MatrixView(session.console))
        page = profiles.write_page(session, report, html)
    several = len(report.cells) > 1
    if not several:
        for wheel in report.wheels:
            session.console.info(describe(wheel))
    profiles.tell(session, report, short=several)
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
        summary="\n".join(["", summary(report), *profiles.lines(report)]) if several else "",
    )


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
        *profiles.options(),
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
