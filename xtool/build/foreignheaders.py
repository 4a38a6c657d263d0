"""Headers that were made for another machine, and say so: `#define NPY_SIZEOF_LONG 8` for a target with 4.

A configuration header is made once, for one machine, and then compiled into everything. Three kinds come into
a cross build unasked: those of a build requirement that was installed for this machine (NumPy's: its issue
18209), those that a project's `setup.py` writes from what it found out here, and those that an earlier build
left in its folder. Nothing complains about them; the wheel is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xtool import proc
from xtool.errors import WheelRejected

if TYPE_CHECKING:
    from xtool.context import Context
    from xtool.crossenv.trace import BuildTrace
    from xtool.kit import Kit

_SIZES = {
    "__SIZEOF_SHORT__": "SHORT",
    "__SIZEOF_INT__": "INT",
    "__SIZEOF_LONG__": "LONG",
    "__SIZEOF_LONG_LONG__": "LONG_LONG LONGLONG PY_LONG_LONG",
    "__SIZEOF_POINTER__": "VOID_P VOIDP VOID_PTR POINTER CHAR_P UINTPTR_T INTPTR_T PY_INTPTR_T INTP UINTP",
    "__SIZEOF_SIZE_T__": "SIZE_T SSIZE_T",
    "__SIZEOF_PTRDIFF_T__": "PTRDIFF_T",
    "__SIZEOF_WCHAR_T__": "WCHAR_T",
    "__SIZEOF_FLOAT__": "FLOAT",
    "__SIZEOF_DOUBLE__": "DOUBLE",
    "__SIZEOF_LONG_DOUBLE__": "LONG_DOUBLE LONGDOUBLE",
}
"""What GCC calls the size of a type ("Common Predefined Macros" of its preprocessor's manual), and what
configure scripts and NumPy call it behind `SIZEOF_`."""

_COMPILERS = {name: macro for macro, names in _SIZES.items() for name in names.split()}
_SIZE = re.compile(r"(?:\w+_)?SIZEOF_(\w+)")
_DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)(?:[ \t]+(.*?))?[ \t]*$", re.MULTILINE)
_UNDEFINED = re.compile(r"^/\* #[ \t]*undef WORDS_BIGENDIAN \*/", re.MULTILINE)
_NOT_ALONE = re.compile(r"^[ \t]*#[ \t]*(?:include|include_next|import|error|pragma)\b.*$", re.MULTILINE)
_SOURCES = frozenset({".c", ".cc", ".cpp", ".cxx", ".c++", ".m", ".mm", ".s", ".S", ".f", ".f90", ".F90"})
_WORTH_READING = re.compile(rb"SIZEOF_|WORDS_BIGENDIAN|\bBYTEORDER\b")
_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Claim:
    """Something that a header says of the machine, and that is not so.

    Args:
        path: the header.
        line: where in it.
        said: what it says: `NPY_SIZEOF_LONG is 8`.
        true: what the compiler says: `4`.
    """

    path: str
    line: int
    said: str
    true: str


def check(ctx: Context, kit: Kit, trace: BuildTrace, *, pristine: Path, project: Path, what: str) -> None:
    """Refuse a build that compiled with a header of another machine.

    A header that the project ships as it is may depend on macros that only its own compiler commands define,
    so that alone it says something else than in its place: of those there are warnings. What was made during
    the build, what a build requirement brought, and any `pyconfig.h` but the target's own is refused.

    Args:
        ctx: settings, log, environment.
        kit: the kit that built.
        trace: what the compilers opened.
        pristine: the project as it was before the build.
        project: the copy that was built.
        what: what was built, for the message.

    Raises:
        WheelRejected: names the headers, what they say and what is so.
    """
    refused, brought = [], False
    for path in sorted(trace.headers):
        origin = trace.origin(path)
        if origin not in ("environment", "source", "temporary", "user"):
            continue
        claims = sorted(_claims(ctx, kit, Path(path)), key=lambda claim: claim.line)
        if not claims:
            continue
        shown = _shown(path, trace)
        texts = [
            f"{shown}:{claim.line}: {claim.said}; for {kit.target.name} it is {claim.true}"
            for claim in claims
        ]
        if origin == "user" or (origin == "source" and _is_shipped(Path(path), pristine, project)):
            for text in texts[:_SHOWN]:
                ctx.log.warning(f"a header seems to be made for another machine: {text}")
        else:
            refused += texts
            brought = brought or origin == "environment"
    if not refused:
        return
    more = [f"... and {len(refused) - _SHOWN} more"] if len(refused) > _SHOWN else []
    raise WheelRejected(
        f"the build of {what} compiled with headers that were made for another machine",
        facts=[*refused[:_SHOWN], *more],
        hint=_hint(kit, brought=brought),
        code="foreign-header",
    )


def _hint(kit: Kit, *, brought: bool) -> str:
    if brought:
        return (
            f"a build requirement was installed for this machine; name a folder with its headers for "
            f"{kit.target.name} in XTOOL_CFLAGS_{kit.target.name.upper()} (-I), which is looked at first"
        )
    return (
        'let the project take such values from `sysconfig.get_config_var("SIZEOF_LONG")` and its like, or '
        "from the compiler (`__SIZEOF_LONG__`, `__BYTE_ORDER__`)"
    )


def _claims(ctx: Context, kit: Kit, path: Path) -> Iterator[Claim]:
    """What a header says wrongly."""
    if path.suffix in _SOURCES:
        return
    try:
        data = path.read_bytes()
    except OSError:
        return
    if path.name == "pyconfig.h":
        yield Claim(str(path), 1, "it stands in for Python's own", "another file")
    if not _WORTH_READING.search(data):
        return
    text = data.decode("utf-8", "replace")
    if not any(_is_claim(name) for name, _ in _DEFINE.findall(text)) and not _UNDEFINED.search(text):
        return
    macros = _macros(ctx, kit, text)
    for name, said, true in _wrong(macros, undefined=_UNDEFINED.search(text) is not None):
        yield Claim(str(path), _line(text, name), said, true)


def _is_claim(name: str) -> bool:
    size = _SIZE.fullmatch(name)
    return name in ("WORDS_BIGENDIAN", "BYTEORDER") or (size is not None and size[1] in _COMPILERS)


def _wrong(macros: Mapping[str, str], *, undefined: bool) -> Iterator[tuple[str, str, str]]:
    """Macro, what it says, what is so; for those that the compiler's own macros contradict."""
    for name, value in sorted(macros.items()):
        size = _SIZE.fullmatch(name)
        true = macros.get(_COMPILERS.get(size[1], "")) if size and not name.startswith("__") else None
        if true is not None and value.strip("() ").isdecimal() and value.strip("() ") != true:
            yield name, f"{name} is {value}", true
    big = macros.get("__BYTE_ORDER__") == "__ORDER_BIG_ENDIAN__"
    said = macros.get("WORDS_BIGENDIAN")
    if said is not None and (said != "0") != big:
        yield (
            "WORDS_BIGENDIAN",
            f"WORDS_BIGENDIAN is {said or 'defined'}",
            "big-endian" if big else "little-endian",
        )
    elif said is None and undefined and big:
        yield "WORDS_BIGENDIAN", "WORDS_BIGENDIAN is not defined", "big-endian"
    if macros.get("BYTEORDER") in ("1234", "4321") and macros["BYTEORDER"] != ("4321" if big else "1234"):
        yield "BYTEORDER", f"BYTEORDER is {macros['BYTEORDER']}", "4321" if big else "1234"


def _macros(ctx: Context, kit: Kit, text: str) -> dict[str, str]:
    """Every macro at the end of a header, the compiler's own among them; the header stands alone.

    What it includes is left out, for it may need what only the project's compiler commands say.
    """
    done = proc.run(
        [kit.toolchain.tool("gcc"), *kit.target.cflags, "-E", "-dM", "-w", "-x", "c", "-"],
        log=ctx.log,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        stdin=_NOT_ALONE.sub("", text),
        merge=False,
        check=False,
    )
    return dict(_DEFINE.findall(done.stdout))


def _line(text: str, name: str) -> int:
    """The last line that defines a macro, or says that it is not defined."""
    places = [match.start() for match in _DEFINE.finditer(text) if match[1] == name]
    if not places:
        places = [match.start() for match in _UNDEFINED.finditer(text)]
    return text.count("\n", 0, places[-1]) + 1 if places else 1


def _is_shipped(path: Path, pristine: Path, project: Path) -> bool:
    """Whether a file of the built copy is one that the project came with, unchanged."""
    try:
        return (pristine / path.relative_to(project.resolve())).read_bytes() == path.read_bytes()
    except (OSError, ValueError):
        return False


def _shown(path: str, trace: BuildTrace) -> str:
    """A path as users know it: below the project, or below the folder that packages are installed in."""
    for folder in trace.roots.get("source", ()):
        path = path.removeprefix(f"{folder}/")
    return path.partition("/site-packages/")[2] or path
