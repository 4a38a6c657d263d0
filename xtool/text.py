"""Words for figures: sizes, times and tables as a user reads them."""

from __future__ import annotations

import re
from collections.abc import Sequence

_UNITS = ("B", "kB", "MB", "GB", "TB")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def format_bytes(count: float) -> str:
    """Write a number of bytes in decimal units: `16.9 MB`."""
    size = float(count)
    for unit in _UNITS:
        # 999.95 would be rounded to 1000.0 of a unit that has a bigger one.
        if abs(size) < 999.95 or unit == _UNITS[-1]:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("the last unit takes everything")


def format_sizes(sizes: Sequence[int]) -> str:
    """Write what files come to; a size of 0 is one that is not known: `2.8 MB and 7 of unknown size`."""
    unknown = sum(not size for size in sizes)
    if sizes and unknown == len(sizes):
        return "size unknown"
    return format_bytes(sum(sizes)) + (f" and {unknown} of unknown size" if unknown else "")


def format_seconds(seconds: float) -> str:
    """Write a time: `0.3 s`, `42 s`, `3 min 5 s`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


def table(rows: Sequence[Sequence[str]], header: Sequence[str] = ()) -> str:
    """Rows of cells as left-aligned columns, two spaces apart, without trailing blanks."""
    every = [list(header), *map(list, rows)] if header else [list(row) for row in rows]
    if not every:
        return ""
    count = max(map(len, every))
    widths = [max((len(row[i]) for row in every if i < len(row)), default=0) for i in range(count)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) for row in every)
    return "\n".join(line.rstrip() for line in lines)


def plain(text: str) -> str:
    """Make control characters visible, so that a file name or a server's words cannot drive the terminal."""
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
