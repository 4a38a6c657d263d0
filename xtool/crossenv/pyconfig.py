"""The headers of a target's Python, where they and the compiler disagree about `time_t`.

On 32-bit machines the size of `time_t` is no property of the processor: glibc 2.34 gave it 64 bits for those
who ask, and Debian's Pythons since 13 ask on armv7l. Their `pyconfig.h` says 8, but at an older floor the
compiler has but 4. A build is told what its own compiler does, as the interpreters of manylinux images do.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path

from xtool import proc
from xtool.context import Context
from xtool.crossenv import variables
from xtool.kit import Kit, TargetPython

_NAME = "SIZEOF_TIME_T"
_LINE = re.compile(rf"^(#\s*define\s+{_NAME}\s+)\d+", re.MULTILINE)


def fit(ctx: Context, kit: Kit, python: TargetPython, folder: Path) -> TargetPython:
    """A Python whose headers and variables say what the kit's compiler does.

    Args:
        ctx: settings, log, environment.
        kit: the kit.
        python: one of its Pythons.
        folder: where a header that differs may be written, with links to all others beside it.

    Returns:
        The Python as it was, where nothing disagrees.

    Raises:
        CommandFailed: the compiler cannot say.
    """
    if kit.target.elf.bits != 32:
        return python
    size = _size_of_time(ctx, kit)
    if python.sysconfig.get(_NAME) == size:
        return python
    own = python.includes[-1]
    include = folder / "include"
    include.mkdir(parents=True, exist_ok=True)
    for entry in own.iterdir():
        if entry.name != "pyconfig.h":
            _link(include / entry.name, entry)
    text = (own / "pyconfig.h").read_text(encoding="utf-8")
    new = include / ".pyconfig.h"
    new.write_text(_LINE.sub(rf"\g<1>{size}", text), encoding="utf-8")
    new.replace(include / "pyconfig.h")
    return replace(
        python, includes=(*python.includes[:-1], include), sysconfig={**python.sysconfig, _NAME: size}
    )


def _link(link: Path, to: Path) -> None:
    """Make a link, unless a lasting environment has it already."""
    if not link.is_symlink():
        link.symlink_to(to)


def _size_of_time(ctx: Context, kit: Kit) -> int:
    """Bytes of the compiler's `time_t`: features.h, since glibc 2.34, says whether 64 bits were asked for."""
    words: list[str | Path] = [kit.toolchain.tool("gcc"), f"--sysroot={kit.sysroot.path}", *kit.target.cflags]
    for name in ("CPPFLAGS", "CFLAGS"):
        words += shlex.split(variables.target_flags(ctx.environ, name, kit.target.name))
    done = proc.run(
        [*words, "-E", "-dM", "-x", "c", "-"],
        log=ctx.log,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        stdin="#include <features.h>\n",
        what=f"asking the compiler for {kit.target.name} about time_t",
    )
    return 8 if re.search(r"^#define __USE_TIME_BITS64 ", done.stdout, re.MULTILINE) else 4
