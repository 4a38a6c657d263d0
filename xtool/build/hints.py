"""What the output of a failed build says, and what can be done about it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from xtool.catalog import default_root
from xtool.sysrootrules import Library, Rules, read_rules
from xtool.targets import format_glibc
from xtool.toolchain.packages import installed_packages

if TYPE_CHECKING:
    from xtool.crossenv.trace import BuildTrace
    from xtool.kit import Kit

_TAIL = 40
_BEFORE_ERROR = 2
_AFTER_ERROR = 4
_ERRORS_SHOWN = 4

_ERROR_LINE = re.compile(
    r"(?:^|: )(?:fatal )?error:|undefined reference|cannot find -l|^\w*(?:Error|Exception)\b.*:"
    r"|No such file or directory|command not found",
    re.IGNORECASE,
)


def excerpt(output: str) -> list[str]:
    """The lines of a failed build's output that are worth showing: the first errors, and the end."""
    lines = output.splitlines()
    if len(lines) <= _TAIL:
        return lines
    start = len(lines) - _TAIL
    shown: list[str] = []
    last = -1
    found = 0
    for number, line in enumerate(lines[:start]):
        if found == _ERRORS_SHOWN:
            break
        if _ERROR_LINE.search(line) and number > last:
            first = max(last + 1, number - _BEFORE_ERROR)
            last = min(number + _AFTER_ERROR, start - 1)
            shown += ["...", *lines[first : last + 1]]
            found += 1
    return [*shown, f"... {start} lines before the end; `-v` shows all", *lines[start:]]


def find(output: str, kit: Kit, trace: BuildTrace) -> str | None:
    """The first hint whose pattern the output of a failed build has."""
    for refused in trace.refused:
        return f"the project links this machine's {refused}; give it the target's with XTOOL_LDFLAGS"
    for pattern, say in _HINTS:
        for match in re.finditer(pattern, output, re.MULTILINE):
            hint = say(match, kit)
            if hint is not None:
                return hint
    return None


def _python_h(match: re.Match[str], kit: Kit) -> str:
    del match
    return (
        "the project looks for Python's headers by itself; it should take them from "
        f'`sysconfig.get_path("include")`, which names those of {kit.target.name}'
    )


def _missing_header(match: re.Match[str], kit: Kit) -> str:
    from xtool.toolchain.headers import header_since

    since = header_since(match[1])
    if since is not None:
        return _too_new(f"the header `{match[1]}`", format_glibc(since), kit)
    return _package(f"`{match[1]}`", _rules().library_of_header(match[1]), kit) or (
        f"`{match[1]}` is not in the {kit.target.name} sysroot, which has {_content(kit)}: name the package "
        "that has it with `--sysroot-package`, point to a build of that library for the target with "
        "XTOOL_CFLAGS=-I... and XTOOL_LDFLAGS=-L..., or let the project use its bundled copy"
    )


def _missing_library(match: re.Match[str], kit: Kit) -> str:
    return _package(f"`-l{match[1]}`", _rules().library_of_link(match[1]), kit) or (
        f"there is no library `{match[1]}` in the {kit.target.name} sysroot, which has {_content(kit)}: name "
        "the package that has it with `--sysroot-package`, point to a build of it for the target with "
        "XTOOL_LDFLAGS=-L..., or let the project use its bundled copy"
    )


def _missing_fortran(match: re.Match[str], kit: Kit) -> str | None:
    del match
    return None if "fortran" in kit.toolchain.languages else "`--fortran` sets the Fortran compiler up too"


def _missing_module(match: re.Match[str], kit: Kit) -> str | None:
    return _package(f"the pkg-config file `{match[1]}.pc`", _rules().library_of_module(match[1]), kit) or (
        f"there is no `{match[1]}.pc` in the {kit.target.name} sysroot, which has {_content(kit)}: name the "
        "package that has it with `--sysroot-package`"
    )


def _asked_tool(match: re.Match[str], kit: Kit) -> str | None:
    return _package(f"what `{match[1]}` tells of", _rules().library_of_tool(match[1]), kit)


def _package(what: str, library: Library | None, kit: Kit) -> str | None:
    """The cure for something that a known package brings, unless the sysroot has that package already."""
    if library is None:
        return None
    name = library.package(kit.sysroot.kind)
    if name in {package["name"] for package in installed_packages(kit.sysroot.path)}:
        return None
    return (
        f"{what} is not in the {kit.target.name} sysroot: `--sysroot-package {name}` brings it, or set "
        f'`sysroot-package = ["{name}"]` in `[tool.xtool]`'
    )


def _content(kit: Kit) -> str:
    packages = installed_packages(kit.sysroot.path)
    asked = [package["name"] for package in packages if not package["needed_by"]]
    return f"the C library and {', '.join(asked)}" if asked else "the C library only"


def _rules() -> Rules:
    return read_rules(default_root())


def _bad_option(match: re.Match[str], kit: Kit) -> str:
    return (
        f"`{match[1]}` is not an option of the compiler for {kit.target.name}: the project decides by "
        "something else than `platform.machine()` which processor it builds for; look for a variable of its "
        "own that turns this off"
    )


def _foreign_binary(match: re.Match[str], kit: Kit) -> str:
    del match
    return (
        f"the build tried to run a program that it had compiled for {kit.target.name}; such a helper must be "
        "compiled with CC_FOR_BUILD"
    )


def _scm(match: re.Match[str], kit: Kit) -> str:
    del match, kit
    return "the version comes from the version control system; set SETUPTOOLS_SCM_PRETEND_VERSION"


def _module(match: re.Match[str], kit: Kit) -> str:
    del kit
    return (
        f"`{match[1]}` is imported by the build but not named in `[build-system] requires` of pyproject.toml"
    )


def _too_new(what: str, since: str, kit: Kit) -> str:
    return (
        f"{what} came with glibc {since}, and the floor is {format_glibc(kit.sysroot.glibc)}: build with "
        f"`--glibc {since}`, or keep the project from using it"
    )


def _since(name: str, kit: Kit) -> str | None:
    """The glibc that brought a function which the floor lacks."""
    try:
        since: str | None = json.loads(kit.sysroot.later.read_text(encoding="ascii")).get(name)
    except (OSError, ValueError):
        return None
    return since


def _undeclared(match: re.Match[str], kit: Kit) -> str | None:
    since = _since(match[1], kit)
    return _too_new(f"`{match[1]}`", since, kit) if since else None


def _new_symbol(match: re.Match[str], kit: Kit) -> str:
    since = _since(match[1], kit)
    if since:
        return _too_new(f"`{match[1]}`", since, kit)
    floor = format_glibc(kit.sysroot.glibc)
    return (
        f"`{match[1]}` does not exist at the floor, glibc {floor}, unless it is the project's own; "
        "`--glibc` takes a higher one"
    )


_QUOTE = "[`'\"\u2018\u2019]"
"""GCC's quotes, whatever the locale."""

_HINTS: tuple[tuple[str, Callable[[re.Match[str], Kit], str | None]], ...] = (
    (r"fatal error: (?:Python|pyconfig)\.h: No such file", _python_h),
    (r"fatal error: ([^:\s]+): No such file or directory", _missing_header),
    (r"xtool: error: (\S+) was asked, but \S+ is not in the sysroot", _asked_tool),
    (r"cannot find -l(?:gfortran|quadmath)\b", _missing_fortran),
    (r"cannot find -l:?([^\s:]+)", _missing_library),
    (r"'\S*gfortran' failed: No such file|gfortran: (?:command )?not found", _missing_fortran),
    (r"No CMAKE_Fortran_COMPILER could be found|Unknown compiler\(s\): \[\['?\S*gfortran", _missing_fortran),
    (r"Package '?([\w.+-]+)'?(?:, required by '[^']+',)? (?:was )?not found", _missing_module),
    (r"No package '([\w.+-]+)' found", _missing_module),
    (r"Dependency \"?([\w.+-]+)\"? not found", _missing_module),
    (rf"unrecognized (?:command[- ]line )?option {_QUOTE}?(-[\w=+.-]+)", _bad_option),
    (rf"(?:bad value .* for|argument to) {_QUOTE}?(-m[\w=+.-]+)", _bad_option),
    (r"Exec format error|cannot execute binary file", _foreign_binary),
    (r"setuptools-scm was unable to detect version|LookupError: .*setuptools.scm", _scm),
    (r"^ModuleNotFoundError: No module named '([^']+)'", _module),
    (rf"implicit declaration of function {_QUOTE}(\w+)", _undeclared),
    (rf"error: {_QUOTE}(\w+){_QUOTE}(?: was not declared| undeclared| is not a member)", _undeclared),
    (rf"undefined reference to {_QUOTE}([^`'\u2019]+)", _new_symbol),
)
