"""What `xtool inspect` found, in words for a terminal: tables that keep to its width, ladder, findings."""

from __future__ import annotations

import posixpath
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

from xtool.text import format_bytes
from xtool.wheel.explain import Obstacle, Step, plain_library
from xtool.wheel.report import FileReport, Report

_SHOWN_SYMBOLS = 3
_SHOWN_FILES = 4
_DESCRIBED = 3
"""Most files that are described one by one without being asked for."""


class Paint:
    """ANSI colours, or none."""

    def __init__(self, *, color: bool) -> None:
        self.color = color

    def __call__(self, text: str, code: str) -> str:
        """The text in a colour (`31`: red, `1`: bold, ...)."""
        return f"\033[{code}m{text}\033[0m" if self.color else text


def render(report: Report, width: int, *, color: bool, details: bool) -> Iterator[str]:
    """A report, line by line."""
    paint = Paint(color=color)
    yield paint(clean(report.path.name), "1")
    yield from labelled(list(_summary(report)), width, indent=2)
    yield from _ladder(report, width, paint)
    if len(report.files) > 1:
        yield ""
        yield from _overview(report, width, paint)
    if details or len(report.files) <= _DESCRIBED:
        for file in report.files:
            yield ""
            yield "  " + paint(clean(file.name), "1")
            yield from labelled(list(_file_rows(file)), width, indent=4)
    else:
        yield from wrapped("`-v` describes each file", width, "  ")
    if report.findings:
        yield ""
    for finding in report.findings:
        label = paint(f"{finding.severity}:", "31;1" if finding.severity == "error" else "33;1")
        lines = wrapped(clean(str(finding)), max(width - len(finding.severity) - 2, 20), "  ")
        yield f"{label} {lines[0].strip()}"
        yield from lines[1:]
        if finding.cure:
            yield from wrapped(f"cure: {clean(finding.cure)}", width, "  ")


def _summary(report: Report) -> Iterator[tuple[str, str]]:
    libc = ", musl" if report.libc == "musl" else ""
    yield "machine", (report.machine or _no_machine(report)) + libc
    if report.pythons:
        yield "installs on", report.pythons
    if report.claimed_tags:
        yield "claims", ", ".join(report.claimed_tags)
    yield "earns", report.earned_tag
    if report.claimed_tags and report.files:
        yield "the claim is", report.claim.words
    if report.libc != "musl":
        yield "needs glibc", report.glibc_required or "none"


def _no_machine(report: Report) -> str:
    if report.earned_tag == "none":
        return "of another system: its code is not ELF"
    return "pure Python" if report.kind == "wheel" else "unknown"


def _ladder(report: Report, width: int, paint: Paint) -> Iterator[str]:
    """What stands in the way, policy by policy; those that nothing more blocks go with the one before."""
    blocked = [step for step in report.ladder if step.status == "blocked"]
    if not blocked:
        if report.ladder:
            yield ""
            yield f"  {report.earned_tag} is the oldest tag there is for {report.machine}"
        return
    for number, step in enumerate(blocked):
        yield ""
        yield from wrapped(step_title(step, first=not number), width, "  ", paint, "1")
        for cure, obstacles in by_cure(step.obstacles):
            for obstacle in obstacles[:_SHOWN_FILES]:
                yield from wrapped(clean(obstacle_words(obstacle)), width, "    ")
            if len(obstacles) > _SHOWN_FILES:
                files = len({obstacle.file for obstacle in obstacles})
                count = f"{len(obstacles) - _SHOWN_FILES} more of this kind"
                yield f"    and {count}, in {_files(files)} in all"
            yield from wrapped(f"cure: {clean(cure)}", width, "      ")


def step_title(step: Step, *, first: bool) -> str:
    """What a step is about: `not manylinux_2_17_ppc64le, because of 2 things in 1 file`, or
    `drop `getrandom@GLIBC_2.25` from foo.so, and it earns manylinux_2_17_ppc64le`."""
    count = len(step.obstacles)
    only = step.obstacles[0]
    if count == 1 and only.kind == "version" and len(only.symbols) == 1:
        begin = "drop" if first else "then drop"
        symbol = f"`{only.symbols[0]}@{only.item}`"
        return f"{begin} {symbol} from {short_name(only.file)}, and it earns {step.reaches}"
    files = len({obstacle.file for obstacle in step.obstacles})
    things = "one thing" if count == 1 else f"{count} things"
    older = f"; without {'it' if count == 1 else 'them'}, {step.reaches}" if step.reaches != step.tag else ""
    if first:
        return f"not {step.tag}, because of {things} in {_files(files)}{older}"
    return f"then {step.tag}, but for {things} more in {_files(files)}{older}"


def obstacle_words(obstacle: Obstacle) -> str:
    """`foo.so imports getrandom@GLIBC_2.25 of libc.so.6`."""
    if obstacle.kind == "library":
        return f"{obstacle.file} needs {obstacle.library}"
    if obstacle.kind == "forbidden":
        return f"{obstacle.file} imports `{obstacle.item}` of {obstacle.library}, which the tag forbids"
    names = ", ".join(f"`{name}@{obstacle.item}`" for name in obstacle.symbols[:_SHOWN_SYMBOLS])
    more = len(obstacle.symbols) - _SHOWN_SYMBOLS
    and_more = f" and {more} more" if more > 0 else ""
    if not names:
        return f"{obstacle.file} asks for {obstacle.item} of {obstacle.library}"
    return f"{obstacle.file} imports {names}{and_more} of {obstacle.library}"


def by_cure(obstacles: Sequence[Obstacle]) -> list[tuple[str, list[Obstacle]]]:
    """Obstacles that one cure takes away, together; in the order of their first files."""
    found: dict[str, list[Obstacle]] = {}
    for obstacle in obstacles:
        found.setdefault(obstacle.cure, []).append(obstacle)
    return list(found.items())


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _overview(report: Report, width: int, paint: Paint) -> Iterator[str]:
    """One line a file: size, newest versions, and what decides its floor; deciders first."""
    rows = []
    names = display_names(report.files)
    order = {tag: number for number, tag in enumerate(report.policies)}
    ranked = sorted(report.files, key=lambda f: (-order.get(f.fits or "", len(order)), f.name))
    for file in ranked:
        versions = {need.kind: need.version for need in file.versions}
        floor = file_floor(file, report)
        rows.append(
            (
                clean(names[file.name]),
                size(file.size),
                versions.get("GLIBC", "-"),
                floor,
                clean(file.decided_by),
            )
        )
    titles = (
        ("file", "size", "GLIBC", "fits", "decided by") if report.policies else ("file", "size", "", "", "")
    )
    if not report.policies:
        rows = [(*row[:2], "", "", "") for row in rows]
    name = min(max(len(row[0]) for row in rows), max(width // 2 - 8, 24))
    middle = [max(len(row[i]) for row in [titles, *rows]) for i in (1, 2, 3)]
    rest = max(width - 2 - name - sum(middle) - 2 * 4, 12)
    for number, row in enumerate([titles, *rows]):
        cells = [shortened(row[0], name).ljust(name)]
        cells += [row[1].rjust(middle[0]), row[2].ljust(middle[1]), row[3].ljust(middle[2])]
        cells.append(shortened(row[4], rest))
        line = "  " + "  ".join(cells).rstrip()
        yield paint(line, "2") if not number else line


def file_floor(file: FileReport, report: Report) -> str:
    """The policy that a file fits, without the machine: `2_17`; `-` where none is known."""
    if file.fits is None:
        return "none" if report.policies else "-"
    return file.fits.removeprefix("manylinux_").removesuffix(f"_{report.machine}").replace("_", ".")


def shortened(text: str, width: int) -> str:
    """A text cut in its middle to a number of columns: both ends of a path tell something."""
    if len(text) <= width:
        return text
    keep = max(width - 3, 2)
    return f"{text[: keep // 2]}...{text[len(text) - (keep - keep // 2) :]}"


def _file_rows(file: FileReport) -> Iterator[tuple[str, str]]:
    yield file.kind, f"{file.machine}, {file.bits} bit, {file.endianness} endian, {size(file.size)}"
    if file.module:
        yield "module", f"{file.module}, suffix {file.suffix}"
    if file.interpreter:
        yield "interpreter", file.interpreter
    if file.soname:
        yield "soname", file.soname
    yield "needed", ", ".join(file.needed) or "nothing"
    if file.rpath:
        yield "rpath", ":".join(file.rpath)
    for need in file.versions:
        shown = ", ".join(need.symbols[:_SHOWN_SYMBOLS])
        more = len(need.symbols) - _SHOWN_SYMBOLS
        yield need.kind, f"{need.version}  {shown}{f' and {more} more' if more > 0 else ''}".rstrip()
    if file.compilers:
        yield "compiler", ", ".join(file.compilers)
    if not file.stripped:
        yield "debug", "has debug information"


def labelled(rows: Sequence[tuple[str, str]], width: int, *, indent: int) -> Iterator[str]:
    """Rows of a label and a text, the texts wrapped in a column of their own."""
    column = max((len(label) for label, _ in rows), default=0) + 2
    for label, text in rows:
        first = " " * indent + label.ljust(column)
        yield from textwrap.wrap(
            clean(text),
            max(width, indent + column + 20),
            initial_indent=first,
            subsequent_indent=" " * (indent + column),
            break_long_words=False,
            break_on_hyphens=False,
        ) or [first.rstrip()]


def wrapped(text: str, width: int, indent: str, paint: Paint | None = None, code: str = "") -> list[str]:
    """A text in lines of a width, those after the first further in."""
    lines = textwrap.wrap(
        text,
        max(width, 40),
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [paint(line, code) for line in lines] if paint else lines


def clean(text: str) -> str:
    """Text from a file, harmless to a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def size(count: int) -> str:
    """A number of bytes with its unit."""
    return format_bytes(count)


def display_names(files: Sequence[FileReport]) -> dict[str, str]:
    """Members by what a table calls them: without ABI suffix and hash wherever they stay distinct."""
    short = {}
    for file in files:
        ending = len(file.suffix or "")
        short[file.name] = file.name[:-ending] if ending else plain_library(file.name)
    counts = Counter(short.values())
    return {name: text if counts[text] == 1 else name for name, text in short.items()}


def short_name(member: str) -> str:
    """A file's name without folders and without a repair's hash."""
    return plain_library(posixpath.basename(member))
