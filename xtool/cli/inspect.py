"""`xtool inspect`: what a wheel, ELF file or profile is, needs and earns; why; and how two of them differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Any

import click

from xtool.cli.base import Result, Session, verb

if TYPE_CHECKING:
    from xtool.errors import XtoolError
    from xtool.pgo.inspection import ProfileReport
    from xtool.wheel.report import Report


def _inspect(session: Session, files: tuple[str, ...], diff: bool, html: str | None) -> Result:
    paths = _checked(files, diff=diff, html=html)
    details = session.console.verbosity >= 1
    if diff:
        return _compare(session, paths[0], paths[1], html, details=details)
    from xtool.errors import XtoolError
    from xtool.pgo.inspection import is_profile
    from xtool.wheel import report

    found: list[Report] = []
    profiles: list[ProfileReport] = []
    errors: list[XtoolError] = []
    for path in paths:
        try:
            if is_profile(path):
                profiles += _profiles(session, path)
            else:
                found.append(report.inspect(path))
        except XtoolError as error:  # noqa: PERF203 - one broken file must not hide the others
            if len(paths) == 1:
                raise
            errors.append(error)
    data: dict[str, Any] = {"files": [each.as_data() for each in found]}
    texts = [each.as_text(color=session.color, details=details) for each in found]
    if profiles:
        data["profiles"] = [each.as_data() for each in profiles]
        texts += [_profile_text(session, each, details=details) for each in profiles]
    if html is not None and (found or profiles):
        data["html"] = _write_page(session, Path(html), found, profiles)
    return Result(
        data, text="\n\n".join(texts), errors=tuple(errors), partial=bool((found or profiles) and errors)
    )


def _profiles(session: Session, path: Path) -> tuple[ProfileReport, ...]:
    from xtool.pgo import inspection

    return inspection.inspect(path, _demangler(session))


def _demangler(session: Session) -> Callable[[Sequence[str]], Sequence[str]]:
    """What gives names of functions as people write them, with what there is for it."""
    from functools import partial

    from xtool.pgo import demangle

    return partial(demangle.demangle, session.ctx, demangle.find_program(session.ctx))


def _profile_text(session: Session, found: ProfileReport, *, details: bool) -> str:
    from xtool.pgo.words import profile_lines

    width = get_terminal_size((100, 24)).columns
    return "\n".join(profile_lines(found, width, color=session.color, details=details))


def _write_page(session: Session, path: Path, found: list[Report], profiles: list[ProfileReport]) -> str:
    """Write the page of what was inspected.

    Raises:
        UsageError: it is both wheels and profiles.
        StoreError: it cannot be written.
    """
    from xtool.errors import UsageError

    if found and profiles:
        raise UsageError(
            "one page is either about wheels or about profiles",
            hint="run `xtool inspect --html FILE` for each kind",
        )
    if profiles:
        from xtool.pgo.page import write_profiles

        written = write_profiles(path, profiles)
    else:
        from xtool.wheel.page import write_page

        written = write_page(path, found)
    session.console.info(f"wrote {path}")
    return str(written)


def _checked(files: tuple[str, ...], *, diff: bool, html: str | None) -> list[Path]:
    """The files, if there is such a thing."""
    from xtool.errors import UsageError

    if diff and len(files) != 2:
        raise UsageError(
            f"`--diff` compares two files, not {len(files)}",
            hint="pass two wheels, two ELF files or two profiles: `xtool inspect --diff OURS.whl THEIRS.whl`",
        )
    for name in files:
        path = Path(name)
        if not path.is_file():
            problem = f"{name} is a folder" if path.is_dir() else f"there is no file {name}"
            raise UsageError(problem, hint="name a wheel, an ELF file or a profile")
    if html is not None and any(Path(html).exists() and Path(html).samefile(name) for name in files):
        raise UsageError(
            f"`--html` would overwrite {html}, which is to be inspected",
            hint="name a file for the page: `--html report.html`",
        )
    return [Path(name) for name in files]


def _compare(session: Session, first: Path, second: Path, html: str | None, *, details: bool) -> Result:
    from xtool.errors import UsageError
    from xtool.pgo.inspection import is_profile
    from xtool.wheel import compare, report

    kinds = {is_profile(first), is_profile(second)}
    if kinds == {True}:
        return _compare_profiles(session, first, second, html, details=details)
    if kinds == {True, False}:
        raise UsageError(
            f"{first if is_profile(first) else second} is a profile, and the other file is none",
            hint="pass two wheels, two ELF files or two profiles",
        )

    comparison = compare.compare(report.inspect(first), report.inspect(second))
    data: dict[str, Any] = {"diff": comparison.as_data()}
    if html is not None:
        from xtool.wheel.page import write_comparison

        data["html"] = str(write_comparison(Path(html), comparison))
        session.console.info(f"wrote {html}")
    return Result(data, text=comparison.as_text(color=session.color, details=details))


def _compare_profiles(
    session: Session, first: Path, second: Path, html: str | None, *, details: bool
) -> Result:
    from xtool.pgo.inspection import compare_files, named
    from xtool.pgo.words import comparison_lines

    found = compare_files(first, second)
    data: dict[str, Any] = {"profile_diff": found.as_data()}
    found = named(found, _demangler(session))
    if html is not None:
        from xtool.pgo.page import write_comparison

        data["html"] = str(write_comparison(Path(html), found))
        session.console.info(f"wrote {html}")
    width = get_terminal_size((100, 24)).columns
    return Result(data, text="\n".join(comparison_lines(found, width, color=session.color, details=details)))


command = verb(
    _inspect,
    name="inspect",
    help=(
        "Show what wheels, ELF files or profiles are: machine, needed libraries, symbol versions, the tag "
        "they earn, what stands in the way of each older tag, and what would take it away.\n\n"
        "Works for files of every target, whoever built them. -v describes every file of a large wheel. "
        "With --diff, shows how two wheels differ: tags, metadata, libraries, symbols, sizes; files are "
        "matched whatever hash or ABI stands in their names, and a difference is no error.\n\n"
        "Of profiles that `xtool build --pgo-save` has written, shows what the training covered and what "
        "is hot; with --diff, which counters differ."
    ),
    example=(
        "xtool inspect wheelhouse/*.whl\n"
        "xtool inspect --output json build/libfoo.so\n"
        "xtool inspect --diff wheelhouse/foo-1.0-*.whl official/foo-1.0-*.whl\n"
        "xtool inspect --html report.html wheelhouse/*.whl\n"
        "xtool inspect profile.zip"
    ),
    params=[
        click.Argument(["files"], nargs=-1, required=True, metavar="FILE..."),
        click.Option(["--diff"], is_flag=True, help="Compare two files instead."),
        click.Option(["--html"], metavar="FILE", help="Also write a page with tables and a picture."),
    ],
)
