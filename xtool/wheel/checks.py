"""What must hold for each ELF file of a wheel, symbols apart."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass

from xtool.elf import ElfFacts, ElfHeader
from xtool.wheel.contents import Contents, installed
from xtool.wheel.findings import Finding, error, warning
from xtool.wheel.machines import Machine, mismatch, of_header
from xtool.wheel.wheelfile import WheelName

_CPYTHON = re.compile(r"\.cpython-(?P<version>\d{2,})(?P<flags>[a-z]*)(?:-(?P<triplet>.+))?\.so")
_ABI3 = re.compile(r"\.abi3(?:-(?P<triplet>.+))?\.so")
_LIBPYTHON = re.compile(r"libpython\d+(\.\d+)?[a-z]*\.so(\.\d+)*")


@dataclass(frozen=True, slots=True)
class Expected:
    """What the files of a wheel are held against.

    Args:
        machine: the machine they must be for.
        python: `3.13`, or None where any will do.
        name: the wheel's name.
        final: the wheel is finished; otherwise `repair` follows, and what it mends is no error.
    """

    machine: Machine
    python: str | None
    name: WheelName
    final: bool


def check_header(header: ElfHeader, member: str, machine: Machine) -> Iterator[Finding]:
    """The machine of a file; nothing else about it matters when that is wrong."""
    problem = mismatch(header, machine.elf)
    if problem is None or (
        header.kind == "ET_REL" and header.flags == 0 and problem.startswith("its e_flags")
    ):
        return
    other = of_header(header)
    what = f"is built for {other.name}, not for {machine.name}" if other else f"is not for {machine.name}"
    yield error(
        "machine",
        f"{what}: {problem}",
        file=member,
        cure=(
            "the build used another compiler than the one in `CC`, or packed a file that was there before; "
            "`xtool build -v` shows each command"
        ),
    )


def check_file(contents: Contents, member: str, expected: Expected) -> Iterator[Finding]:
    """Interpreter, extension name, library paths and what the linker left behind."""
    facts = contents.files[member]
    yield from _check_interpreter(facts, member, expected)
    yield from _check_extension(facts, member, expected)
    yield from _check_paths(facts, member, final=expected.final)
    yield from _check_linking(facts, member, final=expected.final)


def _check_interpreter(facts: ElfFacts, member: str, expected: Expected) -> Iterator[Finding]:
    wanted = expected.machine.dynamic_linker
    if facts.interpreter and wanted and facts.interpreter != wanted:
        yield error(
            "interpreter",
            f"is a program that starts with {facts.interpreter}; {expected.machine.name} has {wanted}",
            file=member,
            cure="link it with xtool's compiler and sysroot",
        )


def _check_extension(facts: ElfFacts, member: str, expected: Expected) -> Iterator[Finding]:
    name = posixpath.basename(installed(member))
    module, dot, rest = name.partition(".")
    suffix = dot + rest
    if not suffix.endswith(".so"):
        return
    yield from _check_suffix(member, suffix, expected)
    if suffix == ".so" and not facts.init_functions:
        return
    if module == "__init__":
        module = posixpath.basename(posixpath.dirname(installed(member)))
    wanted = _entry_points(module)
    if facts.init_functions and not wanted & set(facts.init_functions):
        yield error(
            "init-name",
            f"exports {', '.join(facts.init_functions[:3])}, but the import system looks for {min(wanted)}",
            file=member,
            symbol=min(wanted),
            cure=f"name the extension after its init function, or the function `PyInit_{module}`",
        )
    elif not facts.init_functions and (_CPYTHON.fullmatch(suffix) or suffix.startswith(".abi3")):
        yield warning(
            "init-missing",
            f"is named as an extension module but has no init function `{min(wanted)}`",
            file=member,
            symbol=min(wanted),
        )


def _entry_points(module: str) -> set[str]:
    """Names of the function that starts a module (PEP 489 beyond ASCII, PEP 793 for `PyModExport`)."""
    if module.isascii():
        return {f"PyInit_{module}", f"PyModExport_{module}"}
    encoded = module.encode("punycode").replace(b"-", b"_").decode("ascii")
    return {f"PyInitU_{encoded}", f"PyModExportU_{encoded}"}


def _check_suffix(member: str, suffix: str, expected: Expected) -> Iterator[Finding]:
    """Whether the import system of the target's Python looks for files that end so."""
    match = _CPYTHON.fullmatch(suffix)
    limited = any(abi.startswith("abi3") for abi in expected.name.abis)
    if _ABI3.fullmatch(suffix):
        yield from _check_abi3(member, suffix, expected)
    if match is None or not any(python.startswith(("cp", "py")) for python in expected.name.pythons):
        return
    triplet = match["triplet"]
    cure = (
        "the build took the suffix of the Python that ran it; set `_PYTHON_SYSCONFIGDATA_NAME` as xtool does"
    )
    if triplet and triplet != expected.machine.triplet:
        yield error(
            "extension-suffix",
            f"ends in `{suffix}`: no Python of {expected.machine.name} imports it",
            file=member,
            cure=cure,
        )
        return
    flavours = {abi.endswith("t") for abi in expected.name.abis if abi.startswith("cp")}
    found = f"{match['version'][0]}.{match['version'][1:]}{'t' if 't' in match['flags'] else ''}"
    if limited:
        yield error(
            "extension-suffix",
            f"ends in `{suffix}`, which Python {found} alone imports, in a wheel for the stable ABI",
            file=member,
            cure="build the extension with `py_limited_api=True`, or drop the abi3 tag",
        )
    elif expected.python and found != expected.python:
        yield error(
            "extension-suffix",
            f"ends in `{suffix}`: Python {found} imports it, {expected.python} does not",
            file=member,
            cure=cure,
        )
    elif flavours and ("t" in match["flags"]) not in flavours:
        yield error(
            "extension-suffix",
            f"ends in `{suffix}`, in a wheel for ABI {'.'.join(expected.name.abis)}",
            file=member,
            cure=cure,
        )


def _check_abi3(member: str, suffix: str, expected: Expected) -> Iterator[Finding]:
    """Without the GIL, Python looks for no file of the stable ABI that has it (`Python/dynload_shlib.c`)."""
    abis = [abi for abi in expected.name.abis if abi.startswith("cp")]
    if abis and all(abi.endswith("t") for abi in abis):
        yield error(
            "extension-suffix",
            f"ends in `{suffix}`, which Pythons without the GIL do not import, in a wheel for ABI "
            f"{'.'.join(abis)}",
            file=member,
            cure="build the extension without `py_limited_api=True` for this Python",
        )


def _check_paths(facts: ElfFacts, member: str, *, final: bool) -> Iterator[Finding]:
    here = installed(member)
    for entry in (*facts.rpath, *facts.runpath):
        if keeps(entry, here):
            continue
        make = error if final else warning
        yield make(
            "rpath",
            f"looks for libraries in `{entry}`, outside of what the wheel installs",
            file=member,
            cure="link without this `-rpath`",
        )


def keeps(entry: str, member: str) -> bool:
    """Whether an entry of RPATH stays below site-packages and may remain.

    Args:
        entry: one folder of DT_RPATH or DT_RUNPATH.
        member: where the file is installed, relative to site-packages.
    """
    place = entry.replace("${ORIGIN}", "$ORIGIN")
    if place != "$ORIGIN" and not place.startswith("$ORIGIN/"):
        return False
    folder = posixpath.normpath(
        posixpath.join(posixpath.dirname(member), place[len("$ORIGIN") :].lstrip("/"))
    )
    return not (folder == ".." or folder.startswith("../"))


def _check_linking(facts: ElfFacts, member: str, *, final: bool) -> Iterator[Finding]:
    for library in facts.needed:
        if _LIBPYTHON.fullmatch(library):
            make = error if final else warning
            yield make(
                "libpython",
                f"needs {library}, which many Pythons do not have; the interpreter is in the process already",
                file=member,
                cure="link the extension without `-lpython`",
            )
    if facts.executable_stack:
        yield error(
            "executable-stack",
            "asks for an executable stack, which glibc 2.41 and newer refuse to load into a process",
            file=member,
            cure="add `.section .note.GNU-stack` to the assembly, or link with `-Wl,-z,noexecstack`",
        )
    if facts.text_relocations:
        yield warning(
            "text-relocations",
            "has relocations in its code, which hardened systems refuse",
            file=member,
            cure="compile every source with `-fPIC`",
        )
    if facts.instrumented:
        yield error(
            "instrumented",
            "is instrumented: it writes profile or coverage files wherever it runs",
            file=member,
            cure="build without `-fprofile-generate`, `-fprofile-arcs` and `--coverage`",
        )


def is_libpython(library: str) -> bool:
    """Whether a SONAME is libpython's."""
    return _LIBPYTHON.fullmatch(library) is not None
