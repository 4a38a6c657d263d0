"""The judgement of a wheel: is it what was asked for, and which platform tag has it earned?

A wheel is not trusted because a build succeeded. Back ends happily put a target's code under a host's name, a
host's code under a target's tag, and code for a new glibc under an old tag; each of these has a finding here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from xtool.elf import ElfHeader
from xtool.python.versions import parse_python
from xtool.targets import Glibc, Target, format_glibc
from xtool.wheel.checks import Expected, check_file, check_header, is_libpython
from xtool.wheel.compilers import check_compilers
from xtool.wheel.contents import Contents, find_library, scan
from xtool.wheel.findings import Finding, Reason, Verdict, error, ordered, warning
from xtool.wheel.machines import Machine, of_tag, of_target
from xtool.wheel.policy import Policies, policies
from xtool.wheel.stableabi import check_stable_abi
from xtool.wheel.symbols import Floor, check_symbols, unwanted
from xtool.wheel.wheelfile import Wheel, open_wheel

_RECORD_SHOWN = 5
_PATCH_RELEASES = 50

_HAS_EXTENSIONS = "tell the back end that the project has extensions (setuptools: `ext_modules`)"


class Trace(Protocol):
    """What the compilers and linkers of a build opened (`xtool.crossenv.trace.BuildTrace`)."""

    @property
    def python_headers(self) -> tuple[str, ...]:
        """Which `Python.h` and `pyconfig.h` were read."""

    @property
    def libraries(self) -> frozenset[str]:
        """What was read while linking."""

    @property
    def leaks(self) -> tuple[str, ...]:
        """Files that are neither the target's nor the project's."""

    @property
    def roots(self) -> Mapping[str, tuple[str, ...]]:
        """By what they are, the folders that files may come from."""

    def origin(self, path: str) -> str | None:
        """What a file belongs to: `python`, `sysroot`, `toolchain`, ...; None for the host."""


def judge(
    wheel: Path,
    *,
    target: Target,
    python: str,
    glibc: Glibc,
    sysroot_exports: Path | None = None,
    trace: Trace | None = None,
    library_dirs: Sequence[Path] | None = None,
    compiler: str = "",
) -> Verdict:
    """Judge a wheel that was built for a target.

    Args:
        wheel: the file.
        target: what it must be for.
        python: `X.Y` that must be able to install and import it.
        glibc: the floor that was asked for.
        sysroot_exports: JSON file of what the floor's libraries export (`Sysroot.exports`), or None.
        trace: what the compilers opened, or None.
        library_dirs: for a wheel that `repair` will still mend, the folders it takes libraries from;
            None for a finished one.
        compiler: version of the GCC that must have made the files, where no ELF header would tell.

    Raises:
        UsageError: the file is absent or not named as a wheel, or no policy covers the floor.
        ArchiveError: the wheel is malformed.
    """
    machine = of_target(target)
    with open_wheel(wheel) as opened:
        contents = scan(opened)
        expected = Expected(machine, python, opened.name, library_dirs is None)
        findings = list(check_wheel(opened, contents, expected))
        grafted: frozenset[str] = frozenset()
        if contents.files:
            floor = Floor.load(glibc, policies(machine.name), sysroot_exports)
            grafted = graftable(contents, machine, library_dirs or ())
            findings += examine(contents, expected, floor, grafted=grafted)
            if expected.final:
                findings += _check_floor(floor)
        if compiler:
            findings += check_compilers(contents, compiler)
        if trace is not None:
            findings += check_trace(trace)
            if expected.final:
                findings += check_places(opened, trace)
        return verdict(opened, contents, machine, findings, grafted=grafted)


def verdict(
    wheel: Wheel,
    contents: Contents,
    machine: Machine | None,
    findings: Sequence[Finding],
    *,
    grafted: frozenset[str] = frozenset(),
) -> Verdict:
    """Sum up: the findings, the earned tag and what it rests on."""
    known = policies(machine.name) if machine else Policies("", ())
    tag, reasons = earned(contents, machine, known, grafted)
    return Verdict(
        wheel=wheel.path.name,
        findings=ordered(findings),
        earned_tag=tag,
        glibc_required=known.glibc_required(contents.files.values()),
        files=contents.files,
        reasons=reasons,
    )


def earned(
    contents: Contents, machine: Machine | None, known: Policies, grafted: frozenset[str] = frozenset()
) -> tuple[str, tuple[Reason, ...]]:
    """The oldest tag that all files fit, and what stands in the way of the next older one."""
    if not contents.files and not contents.objects:
        return ("none" if contents.foreign else "any"), ()
    if machine is None:
        return "linux", ()
    linux = f"linux_{machine.name}"
    if any(True for header in _headers(contents) for _ in check_header(header, "", machine)):
        return linux, ()
    files = {name: (facts, contents.inside(name) | grafted) for name, facts in contents.files.items()}
    best = known.best(files.values())
    if best is None:
        older = known.all[-1] if known.all else None
    else:
        position = known.all.index(best)
        older = known.all[position - 1] if position else None
    reasons: list[Reason] = []
    if older is not None:
        for name, (facts, inside) in files.items():
            reasons += [Reason(older.tag, name, text) for text in unwanted(facts, older, inside)]
    return best.tag if best else linux, tuple(reasons)


def _check_floor(floor: Floor) -> Iterator[Finding]:
    """Whether installers take the wheel on the floor itself, or only on the systems of the next policy.

    PEP 600 has a tag for any glibc. The tag is that of a policy none the less: auditwheel knows no other, and
    would call the wheel by this one.
    """
    tagged, asked = format_glibc(floor.policy.glibc), format_glibc(floor.glibc)
    if tagged != asked:
        older = [policy.glibc for policy in floor.policies if policy.glibc < floor.glibc]
        yield warning(
            "floor-unnamed",
            f"was built for glibc {asked}, which has no manylinux policy: its tag is {floor.policy.tag}, and "
            f"installers take it from glibc {tagged} on",
            cure=f"`--glibc {format_glibc(older[-1])}` makes one that runs on glibc {asked} too"
            if older
            else f"`--glibc {tagged}` says what it comes to",
        )


def _headers(contents: Contents) -> Iterator[ElfHeader]:
    yield from (facts.header for facts in contents.files.values())
    for headers in contents.objects.values():
        yield from headers


def graftable(contents: Contents, machine: Machine, library_dirs: Sequence[Path]) -> frozenset[str]:
    """Names of needed libraries that `repair` finds outside, or drops because the process has them."""
    needed = {library for facts in contents.files.values() for library in facts.needed}
    return frozenset(
        name
        for name in needed
        if find_library(name, machine, library_dirs) or (library_dirs and is_libpython(name))
    )


def examine(
    contents: Contents, expected: Expected, floor: Floor | None, *, grafted: frozenset[str] = frozenset()
) -> Iterator[Finding]:
    """Check every piece of machine code in a wheel."""
    for member, headers in contents.objects.items():
        for header in headers:
            yield from check_header(header, member, expected.machine)
    for member, facts in contents.files.items():
        wrong = list(check_header(facts.header, member, expected.machine))
        yield from wrong
        if wrong:
            # Symbols of another machine's file say nothing; its name still does.
            continue
        yield from check_file(contents, member, expected)
        yield from check_stable_abi(contents, member, expected.name)
        if floor is not None:
            yield from check_symbols(contents, member, floor, grafted=grafted)


def check_wheel(wheel: Wheel, contents: Contents, expected: Expected | None) -> Iterator[Finding]:
    """Check name, tags and metadata against each other and against the contents.

    Args:
        wheel: the wheel.
        contents: its machine code.
        expected: what it must be for, or None where nothing is known.
    """
    yield from _check_metadata(wheel)
    yield from _check_record(wheel, contents)
    name = wheel.name
    code = [*contents.files, *contents.objects]
    written = wheel.wheel_info.get("Tag", [])
    if set(name.tags) != {tag for line in written for tag in _expanded(line)}:
        yield error(
            "tag-lines",
            f"its name says {', '.join(name.tags)}; `WHEEL` says {', '.join(written) or 'nothing'}",
            cure="do not rename wheels; build them again",
        )
    if "any" in name.platforms and code:
        yield error(
            "tag-any",
            f"its tag says that it runs on any platform, but {code[0]} is machine code",
            file=code[0],
            cure=_HAS_EXTENSIONS,
        )
    elif code:
        yield from _check_purelib(wheel, code)
    elif not name.pure and not contents.foreign:
        yield warning(
            "no-binaries",
            f"is tagged for {'.'.join(name.platforms)}, but has no machine code: was an extension left out?",
            cure="`xtool build -v` shows what the compiler said",
        )
    if expected is not None:
        yield from _check_tags(wheel, expected)
        yield from _check_requires_python(wheel, expected.python)


def _expanded(line: str) -> Iterator[str]:
    parts = [part.split(".") for part in line.split("-")]
    if len(parts) == 3:
        yield from (f"{p}-{a}-{m}" for p in parts[0] for a in parts[1] for m in parts[2])


def _check_metadata(wheel: Wheel) -> Iterator[Finding]:
    from packaging.utils import canonicalize_name
    from packaging.version import InvalidVersion, Version

    name = wheel.metadata.get("Name", [""])[0]
    version = wheel.metadata.get("Version", [""])[0]
    try:
        same = Version(version) == Version(wheel.name.version.replace("_", "+", 1))
    except InvalidVersion:
        same = version == wheel.name.version
    if canonicalize_name(name) != canonicalize_name(wheel.name.distribution) or not same:
        yield error(
            "metadata",
            f"its name says {wheel.name.distribution} {wheel.name.version}, `METADATA` says {name} {version}",
            cure="do not rename wheels; build them again",
        )


def _check_requires_python(wheel: Wheel, python: str | None) -> Iterator[Finding]:
    """Whether installers take the wheel for the Python that it was built for, in any patch release."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    stated = wheel.metadata.get("Requires-Python", [""])[0]
    try:
        allowed = SpecifierSet(stated)
    except InvalidSpecifier:
        yield error("metadata", f"`METADATA` has no valid Requires-Python: `{stated}`")
        return
    release = parse_python(python).release if python is not None else ""
    if release and not any(f"{release}.{patch}" in allowed for patch in range(_PATCH_RELEASES)):
        yield error(
            "requires-python",
            f"was built for Python {python}, which its own Requires-Python `{stated}` excludes",
            cure="build for another `--python`, or correct the project's requires-python",
        )


def _check_record(wheel: Wheel, contents: Contents) -> Iterator[Finding]:
    problems = dict(contents.record_problems)
    present = set(wheel.names)
    problems |= {name: "is in RECORD but not in the wheel" for name in wheel.record if name not in present}
    for member, problem in list(problems.items())[:_RECORD_SHOWN]:
        yield error(
            "record", problem, file=member, cure="the wheel was changed after it was made; build it again"
        )
    if len(problems) > _RECORD_SHOWN:
        yield error("record", f"RECORD disagrees with {len(problems) - _RECORD_SHOWN} more files")


def _check_purelib(wheel: Wheel, code: Sequence[str]) -> Iterator[Finding]:
    misplaced = [member for member in code if member.partition("/")[2].startswith("purelib/")]
    misplaced = [m for m in misplaced if m.partition("/")[0].endswith(".data")]
    if wheel.purelib:
        misplaced = [m for m in code if not m.partition("/")[0].endswith(".data")]
    for member in misplaced[:1]:
        yield error(
            "purelib",
            "is machine code in the part of the wheel that is for pure Python (`Root-Is-Purelib`)",
            file=member,
            cure=_HAS_EXTENSIONS,
        )


def _check_tags(wheel: Wheel, expected: Expected) -> Iterator[Finding]:
    from packaging.tags import compatible_tags, cpython_tags

    name = wheel.name
    for platform in name.platforms:
        machine = of_tag(platform)
        if platform != "any" and (machine is None or machine.name != expected.machine.name):
            yield error(
                "tag-machine",
                f"its tag `{platform}` is not for {expected.machine.name}",
                cure="the build took the platform of the Python that ran it, not `_PYTHON_HOST_PLATFORM`",
            )
    if expected.python is None:
        return
    python = parse_python(expected.python)
    version = (python.major, python.minor)
    accepted = {
        str(tag)
        for tags in (
            cpython_tags(version, [python.abi_tag], name.platforms),
            compatible_tags(version, python.interpreter_tag, name.platforms),
        )
        for tag in tags
    }
    if not accepted & set(name.tags):
        yield error(
            "tag-python",
            f"Python {expected.python} does not install it: its tags are {', '.join(name.tags)}",
            cure=f"build it with a build Python of {expected.python}",
        )
    suffix = f".{python.abi_tag.replace('cp', 'cpython-')}"
    versioned = [m for m in wheel.names if m.endswith(".so") and m.partition(suffix)[2][:1] in ("-", ".")]
    if name.abis == ("none",) and versioned and not name.pure:
        yield warning(
            "tag-wide",
            f"is an extension for Python {expected.python} alone, in a wheel whose tag admits others",
            file=versioned[0],
            cure="let the back end choose the tag",
        )


def check_places(wheel: Wheel, trace: Trace) -> Iterator[Finding]:
    """Whether a wheel names folders that its build happened to use: another build will use others.

    Compilers are told to write other names; what a project writes into its files is beyond their reach.
    """
    folders = sorted({folder for group in trace.roots.values() for folder in group if len(folder) > 1})
    for member in wheel.members():
        found = next((folder for folder in folders if os.fsencode(folder) in member.data), None)
        if found is not None:
            yield warning(
                "build-folder",
                f"names `{found}`, a folder of this build, so it comes out differently each time",
                file=member.name,
                cure="the project writes the path into the file; it must be kept out, or be relative",
            )


def check_trace(trace: Trace) -> Iterator[Finding]:
    """Whether a build took headers or libraries of the machine that it ran on."""
    for header in trace.python_headers:
        if trace.origin(header) not in {"python", "source"}:
            yield error(
                "python-headers",
                f"was compiled against `{header}`, which is not the target's Python",
                cure="the project names an include folder of its own; it must ask `sysconfig.get_paths()`",
            )
    for leak in trace.leaks:
        if leak in trace.libraries:
            yield error(
                "host-libraries",
                f"was linked with `{leak}`, a file of this machine",
                cure="remove fixed paths from the link options, or build the library for the target",
            )
        elif leak not in trace.python_headers:
            yield error(
                "host-headers",
                f"was compiled with `{leak}`, a file of this machine",
                cure="remove fixed paths from the include options, or build the library for the target",
            )
