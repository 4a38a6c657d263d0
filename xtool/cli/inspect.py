"""`xtool inspect`: what a wheel or ELF file is, needs and earns; why; and how two of them differ."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xtool.cli.base import Result, Session, verb

if TYPE_CHECKING:
    from xtool.errors import XtoolError
    from xtool.wheel.report import Report


def _inspect(session: Session, files: tuple[str, ...], diff: bool, html: str | None) -> Result:
    paths = _checked(files, diff=diff, html=html)
    details = session.console.verbosity >= 1
    if diff:
        return _compare(session, paths[0], paths[1], html, details=details)
    from xtool.errors import XtoolError
    from xtool.wheel import report

    found: list[Report] = []
    errors: list[XtoolError] = []
    for path in paths:
        try:
            found.append(report.inspect(path))
        except XtoolError as error:  # noqa: PERF203 - one broken wheel must not hide the others
            if len(paths) == 1:
                raise
            errors.append(error)
    data: dict[str, Any] = {"files": [each.as_data() for each in found]}
    if html is not None and found:
        from xtool.wheel.page import write_page

        data["html"] = str(write_page(Path(html), found))
        session.console.info(f"wrote {html}")
    text = "\n\n".join(each.as_text(color=session.color, details=details) for each in found)
    return Result(data, text=text, errors=tuple(errors), partial=bool(found and errors))


def _checked(files: tuple[str, ...], *, diff: bool, html: str | None) -> list[Path]:
    """The files, if there is such a thing."""
    from xtool.errors import UsageError

    if diff and len(files) != 2:
        raise UsageError(
            f"`--diff` compares two files, not {len(files)}",
            hint="pass two wheels or two ELF files: `xtool inspect --diff OURS.whl THEIRS.whl`",
        )
    for name in files:
        path = Path(name)
        if not path.is_file():
            problem = f"{name} is a folder" if path.is_dir() else f"there is no file {name}"
            raise UsageError(problem, hint="name a wheel or an ELF file")
    if html is not None and any(Path(html).exists() and Path(html).samefile(name) for name in files):
        raise UsageError(
            f"`--html` would overwrite {html}, which is to be inspected",
            hint="name a file for the page: `--html report.html`",
        )
    return [Path(name) for name in files]


def _compare(session: Session, first: Path, second: Path, html: str | None, *, details: bool) -> Result:
    from xtool.wheel import compare, report

    comparison = compare.compare(report.inspect(first), report.inspect(second))
    data: dict[str, Any] = {"diff": comparison.as_data()}
    if html is not None:
        from xtool.wheel.page import write_comparison

        data["html"] = str(write_comparison(Path(html), comparison))
        session.console.info(f"wrote {html}")
    return Result(data, text=comparison.as_text(color=session.color, details=details))


command = verb(
    _inspect,
    name="inspect",
    help=(
        "Show what wheels or ELF files are: machine, needed libraries, symbol versions, the tag they earn, "
        "what stands in the way of each older tag, and what would take it away.\n\n"
        "Works for files of every target, whoever built them. -v describes every file of a large wheel. "
        "With --diff, shows how two wheels differ: tags, metadata, libraries, symbols, sizes; files are "
        "matched whatever hash or ABI stands in their names, and a difference is no error."
    ),
    example=(
        "xtool inspect wheelhouse/*.whl\n"
        "xtool inspect --output json build/libfoo.so\n"
        "xtool inspect --diff wheelhouse/foo-1.0-*.whl official/foo-1.0-*.whl\n"
        "xtool inspect --html report.html wheelhouse/*.whl"
    ),
    params=[
        click.Argument(["files"], nargs=-1, required=True, metavar="FILE..."),
        click.Option(["--diff"], is_flag=True, help="Compare two files instead."),
        click.Option(["--html"], metavar="FILE", help="Also write a page with tables and a picture."),
    ],
)
