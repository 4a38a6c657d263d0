"""What `xtool inspect` tells about a wheel or an ELF file, foreign or not: data first, words second."""

from __future__ import annotations

import posixpath
import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xtool.errors import UsageError
from xtool.targets import format_glibc
from xtool.wheel.checks import Expected, check_file
from xtool.wheel.contents import Contents, installed, scan
from xtool.wheel.elf import ElfFacts, is_elf, read_elf
from xtool.wheel.findings import Finding, Reason, Verdict, ordered
from xtool.wheel.judge import check_wheel, earned, examine, verdict
from xtool.wheel.machines import Machine, of_header, of_tag
from xtool.wheel.policy import Policies, policies
from xtool.wheel.symbols import Floor
from xtool.wheel.wheelfile import Wheel, WheelName, open_wheel

_ZIP_MAGIC = b"PK"
_SHOWN_SYMBOLS = 3


@dataclass(frozen=True, slots=True)
class VersionNeed:
    """The newest version of one kind that a file asks for.

    Args:
        kind: `GLIBC`, `GLIBCXX`, `CXXABI`, `GCC`, ...
        version: the version's number (`2.17`).
        library: who must have it.
        symbols: symbols that ask for exactly this version.
    """

    kind: str
    version: str
    library: str
    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FileReport:
    """One ELF file.

    Args:
        name: member of the wheel, or the file's path.
        machine: as wheels name it, or `e_machine` where they have no name.
        bits: 32 or 64.
        endianness: `little` or `big`.
        kind: `extension`, `library`, `program`, or the ELF type.
        module: name of the Python module, or None.
        suffix: what follows the module's name, or None.
        soname: its SONAME, or None.
        interpreter: its program interpreter, or None.
        needed: libraries that it needs.
        rpath: folders of RPATH and RUNPATH.
        versions: the newest version of each kind that it asks for.
        compilers: what compiled it, as far as it says.
        stripped: whether it has no debug information.
        size: bytes.
    """

    name: str
    machine: str
    bits: int
    endianness: str
    kind: str
    module: str | None
    suffix: str | None
    soname: str | None
    interpreter: str | None
    needed: tuple[str, ...]
    rpath: tuple[str, ...]
    versions: tuple[VersionNeed, ...]
    compilers: tuple[str, ...]
    stripped: bool
    size: int


@dataclass(frozen=True, slots=True)
class Report:
    """All about one wheel or ELF file.

    Args:
        path: the file.
        kind: `wheel` or `elf`.
        files: its ELF files.
        machine: the machine it is for, or None for pure Python and unknown ones.
        claimed_tags: platform tags of the wheel's name; empty for an ELF file.
        earned_tag: the oldest platform tag that the contents fit; `none` for code that is not ELF.
        reasons: what stands in the way of the next older tag.
        glibc_required: `2.17`, or None.
        findings: what is wrong.
    """

    path: Path
    kind: str
    files: tuple[FileReport, ...]
    machine: str | None
    claimed_tags: tuple[str, ...]
    earned_tag: str
    reasons: tuple[Reason, ...]
    glibc_required: str | None
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that are errors."""
        return tuple(f for f in self.findings if f.severity == "error")

    def as_data(self) -> dict[str, Any]:
        """The report as plain data for JSON."""
        return {
            "path": str(self.path),
            "kind": self.kind,
            "machine": self.machine,
            "claimed_tags": list(self.claimed_tags),
            "earned_tag": self.earned_tag,
            "glibc_required": self.glibc_required,
            "reasons": [asdict(reason) for reason in self.reasons],
            "files": [_listed(asdict(file)) for file in self.files],
            "findings": [finding.as_data() for finding in self.findings],
        }

    def as_text(self, width: int | None = None, *, color: bool = False) -> str:
        """The report for a reader.

        Args:
            width: columns to keep to; the terminal's by default.
            color: whether to use ANSI colours.
        """
        return "\n".join(_render(self, width or shutil.get_terminal_size((100, 24)).columns, color=color))


def inspect(path: Path) -> Report:
    """Look into a wheel or an ELF file.

    Raises:
        UsageError: the file is absent, unreadable, or neither a wheel nor an ELF file.
        ArchiveError: it is one of these, but malformed.
    """
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except IsADirectoryError:
        raise UsageError(f"{path} is a folder", hint="name a wheel or an ELF file in it") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if is_elf(start):
        return _inspect_elf(path)
    if path.suffix == ".whl":
        return _inspect_wheel(path)
    raise UsageError(
        f"{path} is neither a wheel nor an ELF file",
        facts=["it is a zip archive, but not named as a wheel"] if start.startswith(_ZIP_MAGIC) else (),
        hint="`xtool inspect` takes wheels (*.whl), extension modules, libraries and programs",
    )


def _inspect_wheel(path: Path) -> Report:
    with open_wheel(path) as wheel:
        contents = scan(wheel)
        machine = _machine(wheel.name, contents)
        findings: list[Finding] = []
        expected = None
        if machine is not None:
            expected = Expected(machine, _python(wheel.name), wheel.name, final=True)
            findings += examine(contents, expected, _claimed_floor(wheel.name, policies(machine.name)))
        findings = [*check_wheel(wheel, contents, expected), *findings]
        result = verdict(wheel, contents, machine, findings)
        return _report(path, "wheel", result, machine, wheel)


def _inspect_elf(path: Path) -> Report:
    facts = read_elf(path)
    contents = Contents({path.name: facts}, {})
    machine = of_header(facts.header)
    known = policies(machine.name) if machine else Policies("", ())
    tag, reasons = earned(contents, machine, known)
    findings: list[Finding] = []
    if machine is not None:
        name = WheelName("", "", "", (), (), (f"linux_{machine.name}",))
        findings += check_file(contents, path.name, Expected(machine, None, name, final=True))
    required = known.glibc_required([facts])
    return _report(
        path,
        "elf",
        Verdict(path.name, ordered(findings), tag, required, contents.files, reasons),
        machine,
        None,
    )


def _report(path: Path, kind: str, result: Verdict, machine: Machine | None, wheel: Wheel | None) -> Report:
    required = result.glibc_required
    return Report(
        path=path,
        kind=kind,
        files=tuple(_file(name, facts) for name, facts in result.files.items()),
        machine=machine.name if machine else None,
        claimed_tags=wheel.name.platforms if wheel else (),
        earned_tag=result.earned_tag,
        reasons=result.reasons,
        glibc_required=format_glibc(required) if required else None,
        findings=result.findings,
    )


def _machine(name: WheelName, contents: Contents) -> Machine | None:
    """The machine a wheel claims to be for; where it claims none, the one its code is for."""
    for platform in name.platforms:
        machine = of_tag(platform)
        if machine is not None:
            return machine
    for facts in contents.files.values():
        return of_header(facts.header)
    return None


def _python(name: WheelName) -> str | None:
    """The one Python version that a wheel is for: `cp313-cp313` -> `3.13`."""
    if len(name.pythons) == 1 and name.pythons[0].startswith("cp3") and name.abis[0].startswith("cp"):
        digits = name.pythons[0][2:]
        return f"{digits[0]}.{digits[1:]}"
    return None


def _claimed_floor(name: WheelName, known: Policies) -> Floor | None:
    """The oldest floor that the wheel's tags promise."""
    promised = [policy for policy in map(known.named, name.platforms) if policy is not None]
    oldest = min(promised, key=lambda policy: policy.glibc, default=None)
    return Floor(oldest.glibc, known, {}) if oldest else None


def _file(name: str, facts: ElfFacts) -> FileReport:
    header = facts.header
    machine = of_header(header)
    module, dot, rest = posixpath.basename(installed(name)).partition(".")
    extension = bool(facts.init_functions)
    return FileReport(
        name=name,
        machine=machine.name if machine else header.machine,
        bits=header.bits,
        endianness="little" if header.little_endian else "big",
        kind=_kind(facts),
        module=module if extension else None,
        suffix=dot + rest if extension else None,
        soname=facts.soname,
        interpreter=facts.interpreter,
        needed=facts.needed,
        rpath=(*facts.rpath, *facts.runpath),
        versions=tuple(_newest(facts)),
        compilers=facts.compilers,
        stripped=not facts.debug_sections,
        size=facts.size,
    )


def _kind(facts: ElfFacts) -> str:
    if facts.init_functions:
        return "extension"
    if facts.interpreter or facts.header.kind == "ET_EXEC":
        return "program"
    return {"ET_DYN": "library", "ET_REL": "object"}.get(facts.header.kind, facts.header.kind)


def _newest(facts: ElfFacts) -> Iterator[VersionNeed]:
    newest: dict[str, tuple[tuple[int, ...], str, str]] = {}
    for library, version in facts.version_needs:
        kind, _, number = version.rpartition("_")
        digits = tuple(int(part) if part.isdigit() else -1 for part in number.split("."))
        if kind and (kind not in newest or digits > newest[kind][0]):
            newest[kind] = (digits, number, library)
    for kind, (_, number, library) in sorted(newest.items()):
        version = f"{kind}_{number}"
        symbols = tuple(sorted({i.name for i in facts.imports if i.version == version}))
        yield VersionNeed(kind, number, library, symbols)


def _listed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _listed(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_listed(item) for item in value]
    return value


# Words


class _Paint:
    """ANSI colours, or none."""

    def __init__(self, *, color: bool) -> None:
        self.color = color

    def __call__(self, text: str, code: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self.color else text


def _no_machine(report: Report) -> str:
    if report.earned_tag == "none":
        return "of another system: its code is not ELF"
    return "pure Python" if report.kind == "wheel" else "unknown"


def _render(report: Report, width: int, *, color: bool) -> Iterator[str]:
    paint = _Paint(color=color)
    yield paint(_clean(report.path.name), "1")
    rows = [("machine", report.machine or _no_machine(report))]
    if report.claimed_tags:
        rows.append(("claims", ", ".join(report.claimed_tags)))
    rows.append(("earns", report.earned_tag))
    rows.append(("needs glibc", report.glibc_required or "none"))
    yield from _table(rows, width, indent=2)
    if report.reasons:
        yield ""
        yield f"  not {report.reasons[0].tag}, because"
        for reason in report.reasons:
            yield from _wrapped(f"{_clean(reason.file)} {_clean(reason.message)}", width, "    ")
    for file in report.files:
        yield ""
        yield "  " + paint(_clean(file.name), "1")
        yield from _table(list(_file_rows(file)), width, indent=4)
    if report.findings:
        yield ""
    for finding in report.findings:
        label = paint(f"{finding.severity}:", "31;1" if finding.severity == "error" else "33;1")
        lines = list(_wrapped(_clean(str(finding)), max(width - len(finding.severity) - 2, 20), "  "))
        yield f"{label} {lines[0].strip()}"
        yield from lines[1:]
        if finding.cure:
            yield from _wrapped(f"cure: {_clean(finding.cure)}", width, "  ")


def _file_rows(file: FileReport) -> Iterator[tuple[str, str]]:
    yield file.kind, f"{file.machine}, {file.bits} bit, {file.endianness} endian, {_size(file.size)}"
    if file.module:
        yield "module", f"{file.module}, suffix {file.suffix}"
    if file.interpreter:
        yield "interpreter", file.interpreter
    if file.soname:
        yield "soname", file.soname
    yield "needed", ", ".join(file.needed) or "nothing"
    if file.rpath:
        yield "rpath", ":".join(file.rpath)
    for need in file.versions:
        shown = ", ".join(need.symbols[:_SHOWN_SYMBOLS])
        more = len(need.symbols) - _SHOWN_SYMBOLS
        yield need.kind, f"{need.version}  {shown}{f' and {more} more' if more > 0 else ''}".rstrip()
    if file.compilers:
        yield "compiler", ", ".join(file.compilers)
    if not file.stripped:
        yield "debug", "has debug information"


def _table(rows: Sequence[tuple[str, str]], width: int, *, indent: int) -> Iterator[str]:
    column = max((len(label) for label, _ in rows), default=0) + 2
    for label, text in rows:
        first = " " * indent + label.ljust(column)
        yield from textwrap.wrap(
            _clean(text),
            max(width, indent + column + 20),
            initial_indent=first,
            subsequent_indent=" " * (indent + column),
            break_long_words=False,
            break_on_hyphens=False,
        ) or [first.rstrip()]


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        max(width, 40),
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _clean(text: str) -> str:
    """Text from a file, harmless to a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"


__all__ = ["FileReport", "Report", "VersionNeed", "inspect"]
