"""`xtool inspect`: what a wheel or ELF file is, needs and earns."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xtool.cli.base import Result, Session, verb

if TYPE_CHECKING:
    from xtool.errors import XtoolError


def _inspect(session: Session, files: tuple[str, ...]) -> Result:
    from xtool.errors import UsageError, XtoolError
    from xtool.wheel import report

    for name in files:
        path = Path(name)
        if not path.is_file():
            problem = f"{name} is a folder" if path.is_dir() else f"there is no file {name}"
            raise UsageError(problem, hint="name a wheel or an ELF file")
    found: list[dict[str, Any]] = []
    texts: list[str] = []
    errors: list[XtoolError] = []
    for name in files:
        try:
            result = report.inspect(Path(name))
        except XtoolError as error:
            if len(files) == 1:
                raise
            errors.append(error)
            continue
        found.append(result.as_data())
        texts.append(result.as_text(color=session.color))
    return Result(
        {"files": found}, text="\n\n".join(texts), errors=tuple(errors), partial=bool(found and errors)
    )


command = verb(
    _inspect,
    name="inspect",
    help=(
        "Show what wheels or ELF files are: machine, needed libraries, symbol versions, the tag they earn "
        "and why.\n\n"
        "Works for files of every target, whoever built them."
    ),
    example="xtool inspect wheelhouse/*.whl\nxtool inspect --output json build/libfoo.so",
    params=[click.Argument(["files"], nargs=-1, required=True, metavar="FILE...")],
)
