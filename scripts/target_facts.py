#!/usr/bin/env python3
"""Write what `toolchains/targets/` says of each target into docs/targets.md.

scripts/target_facts.py             write it
scripts/target_facts.py --check     say whether it would change; exit 1 if so
"""

from __future__ import annotations

import argparse
import re
import sys
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

_HEADS = (
    "target",
    "triplet",
    "ABI",
    "baseline",
    "emulated CPU",
    "oldest floor",
    "`long double`",
    "plain `char`",
    "8-byte numbers in structs",
)


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
    """The table of all targets and, below it, what is known not to work or to differ."""
    targets = Catalog().targets.values()
    lines = [f"| {' | '.join(_HEADS)} |", f"|{' --- |' * len(_HEADS)}"]
    lines += [f"| {' | '.join(_cells(target))} |" for target in targets]
    limits = [f"- **{target.name}**: {limit}" for target in targets for limit in target.limits]
    return "\n".join([*lines, "", *limits])


def _cells(target: Target) -> tuple[str, ...]:
    form, _, _ = target.long_double.rpartition("_")
    order = "little-endian" if target.elf.little_endian else "big-endian"
    return (
        target.name,
        f"`{target.triplet}`",
        f"{target.elf.bits} bits, {order}",
        f"`{' '.join(target.cflags)}`",
        f"`{target.qemu_cpu}`",
        f"glibc {format_glibc(target.lowest_glibc)}",
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
