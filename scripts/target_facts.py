#!/usr/bin/env python3
"""Write what `toolchains/targets/` says of each target into docs/targets.md.

scripts/target_facts.py             write it
scripts/target_facts.py --check     say whether it would change; exit 1 if so
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from xtool.catalog import Catalog
from xtool.targets import Target, format_glibc

PAGE = Path(__file__).parent.parent / "docs" / "targets.md"

_LONG_DOUBLE = {
    "IEEE_DOUBLE": "as `double`",
    "IEEE_QUAD": "IEEE binary128",
    "IBM_DOUBLE_DOUBLE": "IBM's pair of doubles",
    "INTEL_EXTENDED_12_BYTES": "x87's 80 bits in 12 bytes",
    "INTEL_EXTENDED_16_BYTES": "x87's 80 bits in 16 bytes",
}
"""Meson's spelling without the order of bytes, in words."""

_MACHINE = ("target", "triplet", "baseline", "compiled with", "emulated CPU", "oldest floor")
_ABI = ("target", "ABI", "floats", "`long double`", "plain `char`", "8-byte numbers in structs")


def main() -> int:
    parser = argparse.ArgumentParser(description="write the facts of all targets into docs/targets.md")
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if something would change"
    )
    check: bool = parser.parse_args().check
    changed = replace_part(PAGE, "facts", facts(), write=not check)
    print(f"{PAGE.name}: {'changed' if changed else 'unchanged'}")
    return 1 if check and changed else 0


def facts() -> str:
    """Tables of all targets: the machine, its ABI; and what is known not to work or to differ."""
    targets = Catalog().targets.values()
    limits = [f"- **{target.name}**: {limit}" for target in targets for limit in target.limits]
    return "\n\n".join(
        [_table(_MACHINE, map(_machine, targets)), _table(_ABI, map(_abi, targets)), "\n".join(limits)]
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _machine(target: Target) -> tuple[str, ...]:
    return (
        target.name,
        f"`{target.triplet}`",
        target.baseline,
        f"`{' '.join(target.cflags)}`",
        f"`{target.qemu_cpu}`",
        f"glibc {format_glibc(target.lowest_glibc)}",
    )


def _abi(target: Target) -> tuple[str, ...]:
    form, _, _ = target.long_double.rpartition("_")
    return (
        target.name,
        f"{target.elf.bits} bits, {'little-endian' if target.elf.little_endian else 'big-endian'}",
        target.float_abi,
        _LONG_DOUBLE.get(form, target.long_double),
        "signed" if target.char_signed else "unsigned",
        f"aligned to {target.double_alignment}",
    )


def replace_part(page: Path, name: str, text: str, *, write: bool = True) -> bool:
    """Replace the part of a page between the comments `NAME:` and `end of NAME`; whether it changes.

    Raises:
        ValueError: the page has no such part.
    """
    old = page.read_text(encoding="utf-8")
    part = re.compile(rf"(<!-- {name}: [^\n]*-->\n).*?(\n<!-- end of {name} -->)", re.DOTALL)
    if len(part.findall(old)) != 1:
        raise ValueError(f"{page} has not one part `{name}`")
    new = part.sub(lambda found: f"{found[1]}\n{text}\n{found[2]}", old)
    if write and new != old:
        page.write_text(new, encoding="utf-8")
    return new != old


if __name__ == "__main__":
    sys.exit(main())
