"""What `xtool inspect --diff` found, in words for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from xtool.text import format_bytes
from xtool.wheel.compare import Change, Comparison, FileChange, Names, VersionChange
from xtool.wheel.words import Paint, clean, wrapped

_SHOWN = 6
_SHOWN_SYMBOLS = 3
_BYTES = frozenset({"size", "unpacked_size", "text", "data", "bss"})
_LABELS = {
    "earned_tag": "earns",
    "glibc_required": "needs glibc",
    "claimed_tags": "claims",
    "pythons": "installs on",
    "unpacked_size": "unpacked",
    "size": "size",
    "fits": "fits",
    "debug": "debug information",
    "symbol_table": "symbol table",
    "executable_stack": "executable stack",
    "text_relocations": "text relocations",
    "relro": "RELRO",
}


def render(comparison: Comparison, width: int, *, color: bool, details: bool) -> Iterator[str]:
    """A comparison, line by line."""
    paint = Paint(color=color)
    shown = 10**9 if details else _SHOWN
    yield f"{paint('a', '31;1')}  {clean(comparison.a.path.name)}"
    yield f"{paint('b', '32;1')}  {clean(comparison.b.path.name)}"
    if comparison.changes:
        yield ""
        yield from _changes(comparison.changes, width, "  ")
    for file in comparison.files:
        yield from _file(file, width, paint, shown)
    alike = sum(file.same for file in comparison.files)
    yield ""
    files = len(comparison.files)
    yield from wrapped(
        f"{files} file{'' if files == 1 else 's'} of machine code in both, {alike} alike", width, "  "
    )
    for names, what in ((comparison.only, "machine code"), (comparison.members, "files")):
        yield from _names(names, f"{what} only in", width, "  ", paint, shown, plain=True)
    if comparison.changed:
        text = f"other files that differ: {_some(comparison.changed, shown)}"
        yield from wrapped(clean(text), width, "  ")


def _file(file: FileChange, width: int, paint: Paint, shown: int) -> Iterator[str]:
    if file.same:
        return
    yield ""
    yield "  " + paint(clean(file.name), "1")
    if file.a != file.b:
        yield from wrapped(f"a: {clean(file.a)}", width, "    ")
        yield from wrapped(f"b: {clean(file.b)}", width, "    ")
    yield from _changes(file.changes, width, "    ")
    yield from _names(file.needed, "needs", width, "    ", paint, shown)
    for change in file.versions:
        symbols = shown if shown > _SHOWN else _SHOWN_SYMBOLS
        yield from wrapped(clean(version_words(change, symbols)), width, "    ")
    yield from _names(file.exports, "exports", width, "    ", paint, shown)
    yield from _names(file.runtime_exports, "of these, libstdc++'s and libgcc's", width, "    ", paint, 3)
    yield from _names(file.imports, "imports", width, "    ", paint, shown)


def version_words(change: VersionChange, shown: int = _SHOWN_SYMBOLS) -> str:
    """`GLIBC of libc.so.6: 2.28 (statx) -> 2.17 (memcpy)`."""
    sides = [
        f"{version} ({_some(symbols, shown)})" if version and symbols else version or "none"
        for version, symbols in ((change.a, change.symbols_a), (change.b, change.symbols_b))
    ]
    return f"{change.kind} of {change.library}: {sides[0]} -> {sides[1]}"


def change_label(change: Change) -> str:
    """What a fact is called."""
    return _LABELS.get(change.name, change.name)


def change_value(change: Change, value: str | int | None) -> str:
    """One side of a fact."""
    if value is None:
        return "none"
    return format_bytes(value) if change.name in _BYTES and isinstance(value, int) else str(value)


def difference(change: Change) -> str:
    """How much bigger or smaller the second is, for sizes: `-12 %`; otherwise empty."""
    if change.name not in _BYTES or not isinstance(change.a, int) or not isinstance(change.b, int):
        return ""
    return f"{round(100 * (change.b - change.a) / change.a):+d} %" if change.a else ""


def _changes(changes: Sequence[Change], width: int, indent: str) -> Iterator[str]:
    column = max((len(change_label(change)) for change in changes), default=0) + 2
    for change in changes:
        label = indent + change_label(change).ljust(column)
        one, other = (clean(change_value(change, value)) for value in (change.a, change.b))
        percent = difference(change)
        line = f"{label}{one} -> {other}{f'  ({percent})' if percent else ''}"
        if len(line) <= width:
            yield line
            continue
        inner = " " * len(label)
        for lead, side in ((label, f"a: {one}"), (inner, f"b: {other}")):
            yield from textwrap.wrap(
                side,
                max(width, len(label) + 20),
                initial_indent=lead,
                subsequent_indent=inner + "   ",
                break_long_words=False,
                break_on_hyphens=False,
            )


def _names(
    names: Names, what: str, width: int, indent: str, paint: Paint, shown: int, *, plain: bool = False
) -> Iterator[str]:
    sides = ((names.removed, "a", "31"), (names.added, "b", "32"))
    for found, side, code in sides:
        if found:
            start = f"{what} {side}" if plain else f"{what}, only {side}"
            lines = wrapped(f"{start}, {len(found)}: {clean(_some(found, shown))}", width, indent)
            yield from (paint(line, code) for line in lines)


def _some(names: Sequence[str], shown: int) -> str:
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")
