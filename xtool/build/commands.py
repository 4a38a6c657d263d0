"""Commands of users, which are shell text with placeholders for folders and files."""

from __future__ import annotations

import shlex
from pathlib import Path

from xtool.errors import UsageError

PROJECT_WORDS = ("project", "package")
"""Placeholders that stand for the project's folder."""


def fill(command: str, wheel: Path, project: Path | None, *, what: str = "test") -> str:
    """A command with its placeholders filled in: `{wheel}`, `{project}` and, the same, `{package}`.

    Args:
        command: the command.
        wheel: the wheel that it is run for.
        project: the project's folder, or None where there is none.
        what: what the command is for, for the message.

    Raises:
        UsageError: it names the project, and there is no folder of one.
    """
    values = {"wheel": wheel.absolute()}
    if project is not None:
        values |= {name: project.absolute() for name in PROJECT_WORDS}
    for name in PROJECT_WORDS:
        if f"{{{name}}}" in command and project is None:
            raise UsageError(
                f"the {what} command uses {{{name}}}, but there is no project folder",
                facts=[command],
                hint="build from a folder, or leave the placeholder out",
            )
    for name, path in values.items():
        command = command.replace(f"{{{name}}}", shlex.quote(str(path)))
    return command


def names_project(commands: str) -> bool:
    """Whether commands speak of the project's folder."""
    return any(f"{{{name}}}" in commands for name in PROJECT_WORDS)
