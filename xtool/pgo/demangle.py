"""Names of functions as people write them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from xtool import proc
from xtool.context import Context
from xtool.errors import CommandFailed
from xtool.log import SilentLog
from xtool.store import Store

_MANGLED = re.compile(r"_Z[\w$]+")
"""A name of the Itanium C++ ABI."""


def demangle(ctx: Context, program: Path | None, names: Sequence[str]) -> Sequence[str]:
    """Names as people write them, without the suffixes that the compiler adds (`.constprop.0`).

    Args:
        ctx: settings, log, environment.
        program: a `c++filt`; None leaves C++'s names as they are.
        names: assembler names.
    """
    plain = [name.partition(".")[0] or name for name in names]
    mangled = list(dict.fromkeys(name for name in plain if _MANGLED.fullmatch(name)))
    if program is None or not mangled:
        return plain
    try:
        # Thousands of names are no command's output that anybody wants to see under `-v`.
        done = proc.run([program], log=SilentLog(), stdin="".join(f"{name}\n" for name in mangled))
    except CommandFailed as error:
        # Of a toolchain that was moved, say. Names are no reason to fail.
        ctx.log.detail(error.message)
        return plain
    told = dict(zip(mangled, done.stdout.splitlines(), strict=False))
    return [told.get(name, name) for name in plain]


def find_program(ctx: Context) -> Path | None:
    """A `c++filt` of a toolchain that is set up, else the host's, else None.

    Args:
        ctx: settings (cache folder), log, environment.
    """
    for entry in Store(ctx).entries():
        if entry.manifest is not None and entry.folder.startswith("gcc-"):
            for program in sorted(entry.path.glob("bin/*-c++filt")):
                return program
    found = shutil.which("c++filt", path=ctx.environ.get("PATH"))
    return Path(found) if found else None


_OPERATOR = re.compile(
    r"""\boperator\ *(\(\)|\[\]|""\ *\w+|<=>|->\*|->|[-+*/%^&|<>=!~]=|<<=|>>=|<<|>>|[^\w\s(]+|\b)""",
    re.VERBOSE,
)


def brief(name: str) -> str:
    """A name of C++ without template arguments, parameters and what it returns.

    `void std::vector<int>::push_back(int const&)` is `std::vector<>::push_back`. What is no such name stays.

    Args:
        name: the name, as people write it.
    """
    if "(" not in name:
        return name
    text = name.replace("(anonymous namespace)", "{anonymous}")
    out, operator = "", -1
    depth = at = 0
    while at < len(text):
        found = _OPERATOR.match(text, at) if depth == 0 else None
        if found is not None:
            operator = len(out)
            out += found[0]
            at = found.end()
            continue
        char = text[at]
        opens, closes = char in "<(", char == ")" or (char == ">" and text[at - 1] != "-")
        depth -= closes
        if depth == 0 and char not in "()":
            out += char
        depth += opens
        at += 1
    # What the function returns stands before its name, and an operator's name may have blanks.
    head = out[:operator] if operator >= 0 else out.removesuffix(" const")
    tail = out[len(head) :].removesuffix(" const")
    return (head.rpartition(" ")[2] + tail if depth == 0 else "") or name
