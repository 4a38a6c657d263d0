"""Every error that xtool raises on purpose: one root class, one exit code a family.

An error is a message (what happened), facts (what is known about it) and a hint (what to do next, naming
a command, an option or a variable). The command line renders them; nothing else prints them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class XtoolError(Exception):
    """Root of all deliberate errors.

    Args:
        message: one line, lower case, no trailing period.
        facts: further lines, shown indented below the message.
        hint: what the user can do next, or None where nothing helps.
        code: machine-readable name of the mistake for JSON output; defaults to the family's name.
    """

    exit_code: ClassVar[int] = 1
    family: ClassVar[str] = "error"

    def __init__(
        self,
        message: str,
        *,
        facts: Sequence[str] = (),
        hint: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.facts = tuple(facts)
        self.hint = hint
        self.code = code or self.family

    def retold(self, message: str, facts: Sequence[str]) -> XtoolError:
        """The same error in other words, for one of several things that were done."""
        told = type(self).__new__(type(self), message)
        told.__dict__.update(self.__dict__)
        told.message = message
        told.facts = tuple(facts)
        told.__cause__ = self.__cause__
        return told


class CommandFailed(XtoolError):
    """A build, a test or a command that xtool ran has failed (exit code 1)."""

    exit_code = 1
    family = "failed"


class WheelRejected(XtoolError):
    """A wheel was built, but is not what was asked for (exit code 1)."""

    exit_code = 1
    family = "wheel-rejected"


class UsageError(XtoolError):
    """The command line, the configuration or a file of `toolchains/` is wrong (exit code 2)."""

    exit_code = 2
    family = "usage"


class CatalogError(UsageError):
    """A file of `toolchains/` does not hold what it must."""

    family = "catalog"


class NetworkError(XtoolError):
    """Something could not be fetched (exit code 3)."""

    exit_code = 3
    family = "network"


class OfflineError(NetworkError):
    """Something is not in the cache and `--offline` forbids fetching it (exit code 3)."""

    family = "offline"


class IntegrityError(XtoolError):
    """A hash, a size or a signature does not hold (exit code 4)."""

    exit_code = 4
    family = "integrity"


class ArchiveError(IntegrityError):
    """An archive is malformed, hostile or larger than declared (exit code 4)."""

    family = "archive"


class StoreError(XtoolError):
    """The cache cannot be used: permission, disk space, lock, layout (exit code 5)."""

    exit_code = 5
    family = "store"


class ProblemsFound(XtoolError):
    """`doctor` or `verify` found something wrong (exit code 6)."""

    exit_code = 6
    family = "problems"


class Interrupted(XtoolError):
    """Ctrl-C or SIGTERM (exit code 130)."""

    exit_code = 130
    family = "interrupted"
