"""`xtool build`: from a source to tested wheels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xtool.cli.base import Result, Session, kit_options, setting, target_option, verb

if TYPE_CHECKING:
    from xtool.build.pipeline import BuiltWheel
    from xtool.errors import XtoolError


def _build(session: Session, source: str) -> Result:
    from xtool.build.pipeline import BuildRequest, build
    from xtool.errors import XtoolError

    outdir: Path = session.value("outdir") or Path.cwd() / "wheelhouse"
    settings = _config_settings(session.value("config-setting", ()))
    requests = [
        BuildRequest(
            source=source,
            setup=request,
            outdir=outdir,
            test_commands=session.value("test-command", ()),
            test_requires=session.value("test-requires", ()),
            test=not session.value("no-test", False),
            jobs=session.ctx.settings.jobs,
            config_settings=settings,
        )
        for request in session.requests()
    ]
    wheels: list[BuiltWheel] = []
    errors: list[XtoolError] = []
    for request in requests:
        try:
            report = build(session.ctx, request)
        except XtoolError as error:
            if len(requests) == 1:
                raise
            errors.append(error)
            continue
        for wheel in report.wheels:
            session.console.info(_line(wheel))
        wheels.extend(report.wheels)
        errors.extend(report.errors)
    return Result(
        {"wheels": [wheel.as_data() for wheel in wheels]},
        text="\n".join(str(wheel.path) for wheel in wheels),
        errors=tuple(errors),
        partial=bool(wheels and errors),
    )


def _line(wheel: BuiltWheel) -> str:
    from xtool.text import format_bytes, format_seconds

    smoke = wheel.smoke.get("status", "not run")
    size = format_bytes(wheel.path.stat().st_size)
    return (
        f"built {wheel.path.name} ({size}, smoke test {smoke}, {format_seconds(sum(wheel.timings.values()))})"
    )


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
        "Build wheels of SRC for a target, check what is in them, and smoke-test them under the emulator.\n\n"
        "SRC is a project folder (default: this one), an sdist file, or a requirement from the package "
        "index. What the target lacks is set up first. The paths of the wheels go to stdout."
    ),
    example=(
        "xtool build --target ppc64le\n"
        "xtool build ujson==5.11.0 --target ppc64le --outdir dist\n"
        "xtool build . --target ppc64le --test-requires pytest --test-command 'pytest {project}/tests'"
    ),
    params=[
        click.Argument(["source"], metavar="[SRC]", required=False, default="."),
        target_option(multiple=True),
        *kit_options(),
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
        setting("--jobs", "-j", help="How much may run at once (default: the CPUs).", metavar="N"),
    ],
)
