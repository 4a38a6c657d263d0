"""What `xtool inspect` tells about a wheel or an ELF file, foreign or not: the data.

`xtool.wheel.words` puts it into words, `xtool.wheel.page` on a page; its JSON is described by
`docs/inspect.schema.json`.
"""

from __future__ import annotations

import posixpath
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from xtool.elf import ElfFacts, is_elf, read_elf
from xtool.errors import UsageError
from xtool.targets import format_glibc
from xtool.wheel.checks import Expected, check_file
from xtool.wheel.contents import Contents, installed, scan
from xtool.wheel.explain import (
    Claim,
    Files,
    Step,
    claim,
    floor_of,
    installs_on,
    is_musl,
    ladder,
    musl_tag,
)
from xtool.wheel.findings import Finding, Reason, Verdict, error, ordered
from xtool.wheel.judge import check_wheel, earned, examine, verdict
from xtool.wheel.machines import Machine, of_header, of_tag
from xtool.wheel.policy import Policies, policies
from xtool.wheel.symbols import Floor
from xtool.wheel.wheelfile import Wheel, WheelName, open_wheel

_ZIP_MAGIC = b"PK"


@dataclass(frozen=True, slots=True)
class VersionNeed:
    """The newest version of one kind that a file asks for.

    Args:
        kind: `GLIBC`, `GLIBCXX`, `CXXABI`, `GCC`, ...
        version: the version's number (`2.17`).
        library: who must have it.
        symbols: symbols that ask for exactly this version.
        tag: the oldest policy that allows it, or None where none does, none is known, or the
            library is in the wheel.
    """

    kind: str
    version: str
    library: str
    symbols: tuple[str, ...]
    tag: str | None


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
        text: bytes of code and constants in memory.
        data: bytes of variables in memory.
        bss: bytes of zeros in memory.
        relro: `full`, `partial` or `none`.
        executable_stack: whether it asks for an executable stack.
        exports: how many symbols it exports.
        fits: the oldest policy that this file alone fits, or None.
        decided_by: the symbol or library that keeps it from an older one; empty where nothing does.
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
    text: int
    data: int
    bss: int
    relro: str
    executable_stack: bool
    exports: int
    fits: str | None
    decided_by: str


@dataclass(frozen=True, slots=True)
class WheelFacts:
    """What a wheel says of itself and holds.

    Args:
        name: its file name, taken apart.
        info: fields of `WHEEL`.
        metadata: fields of `METADATA`.
        members: size in bytes and RECORD's hash of each file, by path.
        dist_info: name of its metadata folder.
        size: bytes of the file.
    """

    name: WheelName
    info: Mapping[str, list[str]]
    metadata: Mapping[str, list[str]]
    members: Mapping[str, tuple[int, str]]
    dist_info: str
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
        libc: `glibc`, `musl`, or None where there is no machine code.
        pythons: which Pythons install it, in words; empty for an ELF file.
        claim: the claimed tags against the earned one.
        ladder: every policy from the earned one to the oldest, with what stands in the way.
        policies: tags of every policy of the machine, oldest first.
        facts: all that is known of each ELF file; not in the data.
        wheel: name, metadata and members, or None for an ELF file; not in the data.
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
    libc: str | None
    pythons: str
    claim: Claim
    ladder: tuple[Step, ...]
    policies: tuple[str, ...]
    facts: Mapping[str, ElfFacts] = field(repr=False)
    wheel: WheelFacts | None = field(repr=False)

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
            "libc": self.libc,
            "pythons": self.pythons,
            "claimed_tags": list(self.claimed_tags),
            "earned_tag": self.earned_tag,
            "glibc_required": self.glibc_required,
            "claim": asdict(self.claim),
            "ladder": [_listed(asdict(step)) for step in self.ladder],
            "reasons": [asdict(reason) for reason in self.reasons],
            "files": [_listed(asdict(file)) for file in self.files],
            "findings": [finding.as_data() for finding in self.findings],
        }

    def as_text(self, width: int | None = None, *, color: bool = False, details: bool = False) -> str:
        """The report for a reader.

        Args:
            width: columns to keep to; the terminal's by default.
            color: whether to use ANSI colours.
            details: whether to describe each file, however many there are.
        """
        from xtool.wheel.words import render

        columns = width or shutil.get_terminal_size((100, 24)).columns
        return "\n".join(render(self, columns, color=color, details=details))


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
        if machine is not None and is_musl(wheel.name.platforms, contents.files):
            # CPython's PLATFORM_TRIPLET ends in -musl there, and so do the suffixes of extensions.
            machine = replace(machine, triplet=machine.triplet.replace("-gnu", "-musl"))
        findings: list[Finding] = []
        expected = None
        if machine is not None:
            expected = Expected(machine, _python(wheel.name), wheel.name, final=True)
            findings += examine(contents, expected, _claimed_floor(wheel.name, policies(machine.name)))
        findings = [*check_wheel(wheel, contents, expected), *findings]
        result = verdict(wheel, contents, machine, findings)
        return _report(path, "wheel", result, machine, contents, _wheel_facts(wheel))


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
    result = Verdict(path.name, ordered(findings), tag, required, contents.files, reasons)
    return _report(path, "elf", result, machine, contents, None)


def _wheel_facts(wheel: Wheel) -> WheelFacts:
    members = {name: (wheel.size(name), wheel.record.get(name, ("", ""))[0]) for name in wheel.names}
    size = wheel.path.stat().st_size
    return WheelFacts(wheel.name, wheel.wheel_info, wheel.metadata, members, wheel.dist_info, size)


def _report(
    path: Path,
    kind: str,
    result: Verdict,
    machine: Machine | None,
    contents: Contents,
    wheel: WheelFacts | None,
) -> Report:
    known = policies(machine.name) if machine else Policies("", ())
    platforms = wheel.name.platforms if wheel else ()
    # Code for another machine than the name says fits no policy of the name's machine.
    whole = not any(finding.code == "machine" for finding in result.findings)
    files = {name: (facts, contents.inside(name)) for name, facts in contents.files.items()}
    musl = bool(files) and is_musl(platforms, contents.files)
    if musl and machine is not None and whole:
        result = _musl_result(result, platforms, files, machine)
    compared = claim(platforms, result.earned_tag, known, files, musl=musl)
    known = Policies(known.machine, ()) if musl or not whole else known
    required = result.glibc_required
    return Report(
        path=path,
        kind=kind,
        files=tuple(_file(name, facts, inside, known) for name, (facts, inside) in files.items()),
        machine=machine.name if machine else None,
        claimed_tags=platforms,
        earned_tag=result.earned_tag,
        reasons=result.reasons,
        glibc_required=format_glibc(required) if required else None,
        findings=result.findings,
        libc="musl" if musl else "glibc" if files else None,
        pythons=installs_on(wheel.name.pythons, wheel.name.abis) if wheel else "",
        claim=compared,
        ladder=ladder(files, known) if files else (),
        policies=tuple(policy.tag for policy in known),
        facts=contents.files,
        wheel=wheel,
    )


def _musl_result(result: Verdict, platforms: tuple[str, ...], files: Files, machine: Machine) -> Verdict:
    """The verdict on code for musl, which glibc's policies have nothing to say about."""
    tag, outside = musl_tag(platforms, files, machine.name)
    if any(t.startswith("musllinux_") for t in platforms):
        missing = [
            error(
                "library",
                f"needs {library}, which musl's systems need not have",
                file=next(name for name, (facts, _) in files.items() if library in facts.needed),
                cure=f"link {library} statically, or put it into the wheel: `auditwheel repair` does",
            )
            for library in outside
        ]
        findings = [*result.findings, *missing]
    else:
        # The policies of glibc say of musl's libc what they say of any library: bring it along. Nobody can.
        findings = [f for f in result.findings if not (f.code == "library" and "musl-" in f.message)]
        if platforms and not all(t.startswith("linux_") for t in platforms):
            findings.append(
                error(
                    "libc",
                    f"is built for musl, but {platforms[0]} is for glibc",
                    file=next(iter(files)),
                    cure="build it with a compiler and a Python for glibc, or tag it `musllinux_*`",
                )
            )
    return replace(result, earned_tag=tag, reasons=(), findings=ordered(findings), glibc_required=None)


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
    """The one Python version that a wheel is for: `cp313-cp313` -> `3.13`, `cp313-cp313t` -> `3.13t`."""
    if len(name.pythons) == 1 and name.pythons[0].startswith("cp3") and name.abis[0].startswith("cp"):
        digits = name.pythons[0][2:]
        return f"{digits[0]}.{digits[1:]}{'t' if name.abis[0].endswith('t') else ''}"
    return None


def _claimed_floor(name: WheelName, known: Policies) -> Floor | None:
    """The oldest floor that the wheel's tags promise."""
    promised = [policy for policy in map(known.promised, name.platforms) if policy is not None]
    oldest = min(promised, key=lambda policy: policy.glibc, default=None)
    if oldest is None:
        return None
    unnamed = () if oldest in known.all else (oldest,)
    return Floor(oldest.glibc, Policies(known.machine, (*known.all, *unnamed)), {})


def _file(name: str, facts: ElfFacts, inside: frozenset[str], known: Policies) -> FileReport:
    header = facts.header
    machine = of_header(header)
    module, dot, rest = posixpath.basename(installed(name)).partition(".")
    extension = bool(facts.init_functions)
    fits, decided_by = floor_of(facts, inside, known)
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
        versions=tuple(_newest(facts, inside, known)),
        compilers=facts.compilers,
        stripped=not facts.debug_sections,
        size=facts.size,
        text=facts.extent.text,
        data=facts.extent.data,
        bss=facts.extent.bss,
        relro=relro(facts),
        executable_stack=bool(facts.executable_stack),
        exports=len(facts.exports),
        fits=fits,
        decided_by=decided_by,
    )


def relro(facts: ElfFacts) -> str:
    """How much of what the loader relocates becomes read-only: `full`, `partial` or `none`."""
    if not facts.hardening.relro:
        return "none"
    return "full" if facts.hardening.bind_now else "partial"


def _kind(facts: ElfFacts) -> str:
    if facts.init_functions:
        return "extension"
    if facts.interpreter or facts.header.kind == "ET_EXEC":
        return "program"
    return {"ET_DYN": "library", "ET_REL": "object"}.get(facts.header.kind, facts.header.kind)


def _newest(facts: ElfFacts, inside: frozenset[str], known: Policies) -> Iterator[VersionNeed]:
    newest: dict[str, tuple[tuple[int, ...], str, str]] = {}
    for library, version in facts.version_needs:
        kind, _, number = version.rpartition("_")
        digits = tuple(int(part) if part.isdigit() else -1 for part in number.split("."))
        if kind and (kind not in newest or digits > newest[kind][0]):
            newest[kind] = (digits, number, library)
    for kind, (_, number, library) in sorted(newest.items()):
        version = f"{kind}_{number}"
        symbols = tuple(sorted({i.name for i in facts.imports if i.version == version}))
        allowing = (policy.tag for policy in known if policy.allows_version(version, library))
        tag = None if library in inside else next(allowing, None)
        yield VersionNeed(kind, number, library, symbols, tag)


def _listed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _listed(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_listed(item) for item in value]
    return value


__all__ = ["FileReport", "Report", "VersionNeed", "WheelFacts", "inspect", "relro"]
