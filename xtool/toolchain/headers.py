"""Headers that answer for the floor: a newer glibc's, made to declare and do what an older one's did.

Three things are changed. The version they state. Conditions by which newer headers send calls to newer
symbols. And declarations of functions that the floor does not have are taken out: a project that finds no
`gettid` defines its own, `static`, and a declaration in the way would be an error that the old system does
not have.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from xtool.errors import ArchiveError
from xtool.targets import Glibc, parse_glibc

OLD_HEADERS = Path(__file__).parent / "compat" / "include"
"""Headers that glibc has given up since, in a folder named for the first glibc without them."""


@dataclass(frozen=True, slots=True)
class _Edit:
    """One change to one header for floors below a version.

    Args:
        file: path below the include folder.
        below: the first glibc whose headers are as they stand.
        pattern: what must be found in it, at least once.
        replacement: what stands there instead.
    """

    file: str
    below: Glibc
    pattern: str
    replacement: str


_NARROW = r"__MATHCALL_NARROW \(__MATHCALL_NAME \((?:{})\),[^;]*;"

_EDITS = (
    # 0b prefixes: strtol and scanf become __isoc23_strtol and __isoc23_scanf (2.38).
    _Edit("features.h", (2, 38), r"(define __GLIBC_USE_C23_STRTOL) 1", r"\1 0"),
    # SIGSTKSZ and PTHREAD_STACK_MIN become sysconf calls that an older library answers with -1 (2.34).
    _Edit("features.h", (2, 34), r"# define __USE_DYNAMIC_STACK_SIZE\s+1\n", ""),
    # 64-bit times on 32-bit machines: _TIME_BITS is not looked at.
    _Edit("features-time64.h", (2, 34), r"#if defined _TIME_BITS\n", "#if 0 /* glibc 2.34 */\n"),
    # fcntl becomes fcntl64 under _FILE_OFFSET_BITS=64 (2.28); before, one function served both.
    _Edit(
        "fcntl.h", (2, 28), r"__REDIRECT \(fcntl, (\(int __fd, int __cmd, \.\.\.\)), fcntl64\)", r"fcntl \1"
    ),
    _Edit("fcntl.h", (2, 28), r"#\s*define fcntl fcntl64\n", "\n"),
    # The macros of TS 18661-1 (2.25), over new symbols; two of its functions came with 2.24.
    _Edit("bits/libc-header-start.h", (2, 24), r"(define __GLIBC_USE_IEC_60559_BFP_EXT(?:_C23)?) 1", r"\1 0"),
    # Arithmetic that rounds to a narrower type: declared by macros that make names (2.28, 2.35).
    _Edit("bits/mathcalls-narrow.h", (2, 28), _NARROW.format("add|div|mul|sub"), ""),
    _Edit("bits/mathcalls-narrow.h", (2, 35), _NARROW.format("fma|sqrt"), ""),
    # The functions of _Float128 (2.26) and of the other _FloatN types (2.27).
    _Edit("bits/floatn.h", (2, 26), r"(define __HAVE_FLOAT128) [01]", r"\1 0"),
    _Edit("bits/floatn.h", (2, 27), r"(define __HAVE_FLOAT64X) \w+", r"\1 0"),
    _Edit("bits/floatn-common.h", (2, 27), r"(define __HAVE_FLOAT(?:32|64|32X)) 1", r"\1 0"),
)

_ADDED: tuple[tuple[str, Glibc], ...] = (
    ("sys/random.h", (2, 25)),
    ("threads.h", (2, 28)),
    ("sys/single_threaded.h", (2, 32)),
    ("sys/rseq.h", (2, 35)),
    ("sys/pidfd.h", (2, 36)),
    ("stdbit.h", (2, 39)),
)
"""Headers by the glibc that brought them (its NEWS file): `__has_include` must not find them before."""


def header_since(name: str) -> Glibc | None:
    """The glibc that brought a header, for the few that came after the lowest floor."""
    return dict(_ADDED).get(name)


_WORD = re.compile(r"[A-Za-z_]\w*")
_NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.DOTALL)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
_WRAPPED = re.compile(r"(?:__NTH\w*|__REDIRECT\w*)\s*\(\s*$|__MATH\w+\s*\((?:[^,()]+,)?\s*$")
_VECTOR = re.compile(r"(#[ \t]*define __DECL_SIMD_(\w+)) __DECL_SIMD_\w+")
_BUILTIN = re.compile(r"!GCC\$ builtin \((\w+)\) attributes simd")
_START = re.compile(r"[;{}\x01]|__(?:BEGIN|END)_DECLS\b")


def answer_for(
    include: Path, floor: Glibc, absent: Collection[str], *, glibc_files: Collection[Path]
) -> None:
    """Change headers in place.

    Args:
        include: the include folder, multiarch headers merged in.
        floor: what they shall answer for.
        absent: names that no library of the floor exports, and a later one does.
        glibc_files: the headers that are glibc's (not the kernel's).

    Raises:
        ArchiveError: a header is not as this module knows it.
    """
    _edit(include / "features.h", r"(define\s+__GLIBC_MINOR__\s+)\d+", rf"\g<1>{floor[1]}")
    for edit in _EDITS:
        if floor < edit.below:
            _edit(include / edit.file, edit.pattern, edit.replacement)
    for name, since in _ADDED:
        if floor < since:
            (include / name).unlink(missing_ok=True)
    for folder in sorted(OLD_HEADERS.iterdir()):
        if floor < parse_glibc(folder.name):
            shutil.copytree(folder, include, dirs_exist_ok=True, copy_function=shutil.copyfile)
    names = frozenset(absent)
    call_no_vectors(include, names)
    for path in sorted(glibc_files):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            if not names.isdisjoint(_WORD.findall(text)):
                path.write_text(without_declarations(text, names), encoding="utf-8")


def call_no_vectors(include: Path, absent: Collection[str]) -> None:
    """Offer the compiler no vector version of a mathematical function (libmvec) that the floor lacks.

    With `-ffast-math` it calls those that these headers promise, by names that no source spells (the vector
    function ABI of each machine: `_ZGVbN2v_sin`).

    Args:
        include: the include folder, changed in place.
        absent: names that no library of the floor exports, and a later one does.
    """
    lacking = {name.rpartition("_")[2] for name in absent if name.startswith("_ZGV")}
    header = include / "bits" / "math-vector.h"
    if header.is_file():
        text = header.read_text(encoding="utf-8")
        header.write_text(
            _VECTOR.sub(lambda found: found[1] if found[2] in lacking else found[0], text), encoding="utf-8"
        )
    for path in include.glob("finclude/*/math-vector-fortran.h"):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        left = [line for line in lines if (match := _BUILTIN.match(line)) is None or match[1] not in lacking]
        if any(map(_BUILTIN.match, left)):
            path.write_text("".join(left), encoding="utf-8")
        else:
            # gfortran cannot be told of it below a folder with a space in its name.
            path.unlink()


def without_declarations(text: str, names: Collection[str]) -> str:
    """A header's text without the declarations and inline definitions of some functions.

    They are blanked, so that line numbers stay. Directives within are kept.

    Args:
        text: the header.
        names: functions to take out.
    """
    # Same length throughout: comments, strings and directives become what cannot be mistaken for code.
    code = _NOISE.sub(lambda match: '"' * len(match[0]) if match[0][0] == '"' else _blank(match[0]), text)
    code = _DIRECTIVE.sub(lambda match: "\x01" + _blank(match[0])[1:], code)
    for start, end in _declarations(code, names):
        kept = code[start:end]
        blanked = "".join(
            new if code_char in "\x01\n" or code_char.isspace() else " "
            for new, code_char in zip(text[start:end], kept, strict=True)
        )
        text = text[:start] + blanked + text[end:]
    return text


def _declarations(code: str, names: Collection[str]) -> Iterator[tuple[int, int]]:
    """Spans of the declarations of these names."""
    for match in _WORD.finditer(code):
        if match[0] not in names:
            continue
        following = code[match.end() : match.end() + 80].lstrip("\x01 \t\n")[:1]
        start = 0
        for boundary in _START.finditer(code, 0, match.start()):
            start = boundary.end()
        before = code[start : match.start()]
        wrapped = _WRAPPED.search(before) is not None
        if (following == "(" and (wrapped or before.count("(") == before.count(")"))) or (
            following == "," and wrapped
        ):
            yield start, _end_of_declaration(code, match.end(), before.count("(") - before.count(")"))


def _end_of_declaration(code: str, position: int, depth: int) -> int:
    """Where a declaration ends: behind its `;`, or behind its body."""
    braces = 0
    while position < len(code):
        character = code[position]
        position += 1
        if character in "()":
            depth += 1 if character == "(" else -1
        elif character in "{}":
            braces += 1 if character == "{" else -1
            if braces == 0:
                break
        elif character == ";" and depth <= 0 and braces == 0:
            break
    return position


def _blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def _edit(path: Path, pattern: str, replacement: str) -> None:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ArchiveError(f"cannot read the header {path.name}: {error.strerror}") from error
    changed, count = re.subn(pattern, replacement, text)
    if count == 0:
        raise ArchiveError(
            f"the header {path.name} is not as xtool knows it", facts=[f"nothing in it matches {pattern}"]
        )
    path.write_text(changed, encoding="utf-8")
