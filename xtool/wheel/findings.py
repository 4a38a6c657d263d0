"""What judging a wheel finds: one finding per file and thing, each with its cure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from xtool.elf import ElfFacts
from xtool.errors import WheelRejected
from xtool.targets import Glibc, format_glibc

ERROR, WARNING = "error", "warning"

_SHOWN = 12
"""How many errors a rejection spells out; a wheel built against the wrong system has one per symbol."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or may be.

    Args:
        severity: `error` or `warning`.
        code: machine-readable name of the mistake (`machine`, `extension-suffix`, `symbol`, ...).
        message: what is wrong, without the file's name.
        file: member of the wheel, or None for the wheel as a whole.
        symbol: `symbol@version`, or None.
        cure: what to do about it, or None.
    """

    severity: str
    code: str
    message: str
    file: str | None = None
    symbol: str | None = None
    cure: str | None = None

    def as_data(self) -> dict[str, Any]:
        """The finding as plain data."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.file}: {self.message}" if self.file else self.message


def error(code: str, message: str, **details: str | None) -> Finding:
    """A finding that makes the wheel unusable or untrue."""
    return Finding(ERROR, code, message, **details)


def warning(code: str, message: str, **details: str | None) -> Finding:
    """A finding that a wheel may live with."""
    return Finding(WARNING, code, message, **details)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a wheel does not earn an older tag.

    Args:
        tag: the next older tag.
        file: member that stands in its way.
        message: what it asks for.
    """

    tag: str
    file: str
    message: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found out about a wheel.

    Args:
        wheel: its file name.
        findings: errors first.
        earned_tag: the oldest platform tag that its contents fit (`manylinux_2_17_ppc64le`, `linux_ppc64le`,
            `any`).
        glibc_required: the newest glibc that any symbol version in it asks for, or None.
        files: facts of each ELF file by member name.
        reasons: what stands in the way of the next older tag.
    """

    wheel: str
    findings: tuple[Finding, ...]
    earned_tag: str
    glibc_required: Glibc | None
    files: Mapping[str, ElfFacts]
    reasons: tuple[Reason, ...] = field(default=())

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that reject the wheel."""
        return tuple(f for f in self.findings if f.severity == ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The others."""
        return tuple(f for f in self.findings if f.severity != ERROR)

    def require(self) -> None:
        """Pass, or reject.

        Raises:
            WheelRejected: there are errors; facts name file, symbol and cause, the hint is the first cure.
        """
        if self.errors:
            raise rejection(self.wheel, self.errors)

    def as_data(self) -> dict[str, Any]:
        """The verdict as plain data, without the files' symbol tables."""
        return {
            "wheel": self.wheel,
            "earned_tag": self.earned_tag,
            "glibc_required": format_glibc(self.glibc_required) if self.glibc_required else None,
            "findings": [f.as_data() for f in self.findings],
            "reasons": [asdict(r) for r in self.reasons],
        }


def rejection(wheel: str, errors: Sequence[Finding]) -> WheelRejected:
    """The error for a wheel with errors."""
    facts = [str(f) for f in errors[:_SHOWN]]
    if len(errors) > _SHOWN:
        facts.append(f"... and {len(errors) - _SHOWN} more")
    cures = list(dict.fromkeys(f.cure for f in errors if f.cure))
    return WheelRejected(
        f"{wheel} is not what was asked for",
        facts=facts,
        hint="; ".join(cures[:3]) or None,
        code=errors[0].code,
    )


def ordered(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Errors before warnings, without repetitions, otherwise as found."""
    unique = dict.fromkeys(findings)
    return tuple(sorted(unique, key=lambda f: f.severity != ERROR))
