"""Wheels for the stable ABI (`abi3`): whether they use nothing else of the interpreter.

Such a wheel promises to run on every Python from the one in its tag on. The promise rests on what its modules
import: `Py_LIMITED_API` makes the compiler keep it, and a project may set the tag without it. The names, and
the Pythons they came with, are those of CPython's `Misc/stable_abi.toml`, as abi3info gives them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache

from xtool.wheel.contents import Contents
from xtool.wheel.findings import Finding, error, warning
from xtool.wheel.symbols import PYTHON_API
from xtool.wheel.wheelfile import WheelName

Minor = tuple[int, int]
"""A Python: `(3, 11)`."""

_CPYTHON = re.compile(r"cp(\d)(\d+)")


def check_stable_abi(contents: Contents, member: str, name: WheelName) -> Iterator[Finding]:
    """What a file of a wheel for the stable ABI imports from the interpreter.

    Args:
        contents: the wheel's machine code.
        member: the file.
        name: the wheel's name; nothing is found where it does not promise the stable ABI.
    """
    since = oldest(name)
    if since is None:
        return
    known = _added()
    newest = max(known.values())
    shown = f"{since[0]}.{since[1]}"
    define = f"Py_LIMITED_API=0x{since[0]:02X}{since[1]:02X}0000"
    for symbol in contents.files[member].imports:
        if symbol.weak or symbol.version is not None or not PYTHON_API.fullmatch(symbol.name):
            continue
        if any(symbol.name in other.export_names for other in contents.files.values()):
            continue
        added = known.get(symbol.name)
        if added is None:
            # Of Pythons that are newer than the table not every name is known.
            make = error if since <= newest else warning
            yield make(
                "stable-abi",
                f"uses `{symbol.name}`, which is not in the stable ABI that its tag promises",
                file=member,
                symbol=symbol.name,
                cure=f"compile with `{define}`, with which the compiler refuses it, or drop the abi3 tag",
            )
        elif added > since:
            yield error(
                "stable-abi",
                f"uses `{symbol.name}`, which came into the stable ABI with Python {added[0]}.{added[1]}; "
                f"its tag promises {shown}",
                file=member,
                symbol=symbol.name,
                cure=f"compile with `{define}`, or tag it `cp{added[0]}{added[1]}-abi3`",
            )


def oldest(name: WheelName) -> Minor | None:
    """The oldest Python that a wheel for the stable ABI is for (`cp311-abi3`); None for another wheel."""
    if not any(abi.startswith("abi3") for abi in name.abis):
        return None
    found = [_CPYTHON.fullmatch(tag) for tag in name.pythons]
    return min(((int(tag[1]), int(tag[2])) for tag in found if tag), default=None)


@cache
def _added() -> Mapping[str, Minor]:
    """By name of what the stable ABI has, the Python that it came with."""
    from abi3info import DATAS, FUNCTIONS

    return {
        entry.symbol.name: (entry.added.major, entry.added.minor)
        for entry in (*FUNCTIONS.values(), *DATAS.values())
    }
