"""Which compiler made the files of a wheel, for targets that are the host's own machine.

There an ELF header does not tell what the host's compiler made from what xtool's made. `.comment`, which GCC
fills and `strip` keeps, does (GCC internals, "Default ASM_IDENT": `GCC: (PKGVERSION) VERSION`).
"""

from __future__ import annotations

from collections.abc import Iterator

from xtool.wheel.contents import Contents
from xtool.wheel.findings import Finding, warning

_GCC = "GCC: ("


def check_compilers(contents: Contents, version: str) -> Iterator[Finding]:
    """Name files that another GCC made alone.

    It is a warning, since a project may well ship a library that it did not compile: what such a file needs
    of the C library is judged like everything else, but neither its baseline nor its headers are known.

    Args:
        contents: the wheel's machine code.
        version: the toolchain's, `14.2.0`.
    """
    for member, facts in contents.files.items():
        made = [text for text in facts.compilers if text.startswith(_GCC)]
        if made and not any(text.endswith(f") {version}") for text in made):
            yield warning(
                "other-compiler",
                f"was made by {', '.join(text.removeprefix('GCC: ') for text in made)}, not by xtool's "
                f"GCC {version}",
                file=member,
                cure="if the build compiled it: name the compiler by `CC` or plainly (`gcc`), not by a path",
            )
