"""Python versions as users write them: `3.13`, or `3.13t` for the build without the GIL (PEP 703)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from xtool.errors import UsageError

_VERSION = re.compile(r"([0-9]{1,2})\.([0-9]{1,3})(t?)")
_MEANT = re.compile(r"(?:cpython|python|cp|py)?-?@?([23])\.?([0-9]{1,2})(?:\.[0-9a-z]+)?(t|\+freethreaded)?")
"""What others call a version: `3.13.5`, `cp313`, `python3.13t`, `cpython@3.13`."""


@dataclass(frozen=True, slots=True, order=True)
class PythonVersion:
    """A minor version of CPython, with or without the GIL.

    Args:
        major: 3.
        minor: 13.
        free_threaded: built without the GIL: another ABI, with a `t` in its tags (PEP 703).
    """

    major: int
    minor: int
    free_threaded: bool = False

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}{'t' if self.free_threaded else ''}"

    @property
    def release(self) -> str:
        """Without the letter: `3.13`, as the interpreter's own files are named after it."""
        return f"{self.major}.{self.minor}"

    @property
    def interpreter_tag(self) -> str:
        """The Python part of a wheel's name: `cp313`."""
        return f"cp{self.major}{self.minor}"

    @property
    def abi_tag(self) -> str:
        """The ABI part of a wheel's name: `cp313` or `cp313t`."""
        return f"{self.interpreter_tag}{'t' if self.free_threaded else ''}"


def parse_python(text: str) -> PythonVersion:
    """Read `3.13` or `3.13t`.

    Raises:
        UsageError: it is neither.
    """
    found = _VERSION.fullmatch(text.strip())
    if found is None:
        hint = "write it as `--python 3.13`, or `--python 3.13t` for the build without the GIL"
        if meant := _MEANT.fullmatch(text.strip().lower()):
            likely = PythonVersion(int(meant[1]), int(meant[2]), bool(meant[3]))
            hint = f"write it as `--python {likely}`; which patch release that is, the source decides"
        raise UsageError(f"`{text}` is not a Python version", hint=hint, code="bad-python")
    return PythonVersion(int(found[1]), int(found[2]), bool(found[3]))


def sort_key(text: str) -> PythonVersion:
    """What puts versions in order: 3.9, 3.13, 3.13t, 3.14."""
    return parse_python(text)
