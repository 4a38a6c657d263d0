"""What is known of profiles, in words for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from xtool.pgo.compare import FunctionChange, KindCounts, ProfileComparison
from xtool.pgo.demangle import brief
from xtool.pgo.inspection import FileComparison, ProfileReport
from xtool.pgo.names import is_own
from xtool.pgo.report import FileCoverage, HotFunction, PgoReport, Training
from xtool.text import format_seconds
from xtool.wheel.words import Paint, clean, labelled, shortened, wrapped

_HOTTEST = 5
_FILES = 12
"""Files that are shown without being asked for all of them."""
_CHANGES = 8
_NAME = 60
"""Columns that a function's name may take in a list; templates of C++ have names of hundreds."""

WHERE = {"qemu-user": "under qemu-user", "native": "on this machine"}
"""Where a training ran."""

REASONS = {
    "counters": "other counters",
    "graph": "another graph",
    "only-a": "only in a",
    "only-b": "only in b",
}
"""How a function differs."""


def report_lines(report: PgoReport, width: int, *, details: bool) -> Iterator[str]:
    """What a build with a profile came to.

    Args:
        report: the report of the wheel.
        width: columns to keep to.
        details: a row for each file and each hot function too.
    """
    yield from labelled(list(_report_rows(report, details=details)), width, indent=2)
    if details:
        yield from coverage_table(report.files, width)
        yield from hot_table(report.hottest, width)


def _report_rows(report: PgoReport, *, details: bool) -> Iterator[tuple[str, str]]:
    yield "profile", origin(report)
    yield from _covered(report.files)
    yield "used", used(report)
    if report.hottest and not details:
        yield "hottest", _hot_words(report.hottest)


def report_line(report: PgoReport) -> str:
    """The same in one line, for a wheel of many."""
    own, _ = totals(report.files)
    hottest = report.hottest[:1]
    words = [origin(report), _coverage(own), f"used {used(report)}"]
    words += [f"hottest {_hot_words(hottest)}"] if hottest else []
    return clean(f"{report.profile.label}: {'; '.join(words)}")


def origin(report: PgoReport) -> str:
    """`trained in 0.6 s under qemu-user`, or the file and what it is a profile of."""
    if report.training is not None:
        return training_words(report.training)
    profile = report.profile
    trained = WHERE.get(profile.trained, profile.trained)
    return f"{report.origin}, of {profile.project} for {profile.label}, trained {trained}"


def training_words(training: Training) -> str:
    """`trained in 0.6 s under qemu-user, 2 commands`."""
    count = len(training.commands)
    commands = f", {count} commands" if count > 1 else ""
    lost = f", {_count(training.lost, 'process', 'processes')} lost" if training.lost else ""
    where = WHERE.get(training.where, training.where)
    return f"trained in {format_seconds(training.seconds)} {where}{commands}{lost}"


def used(report: PgoReport) -> str:
    """What the second stage used: `188 functions in 14 objects`."""
    found = sum(use.found for use in report.uses)
    none = len(report.uses) - found
    words = f"{_count(report.functions_used, 'function')} in {_count(found, 'object')}"
    if none:
        words += f"; {_count(none, 'object')} without a profile"
    if report.unused:
        words += f"; {_count(len(report.unused), 'object')} of the profile not compiled"
    return words


def totals(files: Iterable[FileCoverage]) -> tuple[FileCoverage, FileCoverage | None]:
    """What was covered of the project's own files, and of others, where there are such.

    Args:
        files: what was covered of each.

    Returns:
        Sums, whose `file` says of how many files: `17 files`.
    """
    own: list[FileCoverage] = []
    other: list[FileCoverage] = []
    for each in files:
        (own if is_own(each.file) else other).append(each)
    return _total(own), _total(other) if other else None


def _total(files: Sequence[FileCoverage]) -> FileCoverage:
    return FileCoverage(
        file=_count(len(files), "file"),
        functions=sum(each.functions for each in files),
        functions_covered=sum(each.functions_covered for each in files),
        arcs=sum(each.arcs for each in files),
        arcs_covered=sum(each.arcs_covered for each in files),
        weight=sum(each.weight for each in files),
    )


def _covered(files: Sequence[FileCoverage]) -> Iterator[tuple[str, str]]:
    own, other = totals(files)
    yield "covered", f"{_coverage(own)} in {own.file} of the project"
    if other is not None:
        yield "", f"{_coverage(other)} in {other.file} of others"


def _coverage(each: FileCoverage) -> str:
    functions = f"{each.functions_covered} of {_count(each.functions, 'function')}"
    arcs = f"{each.arcs_covered} of {_count(each.arcs, 'arc')}"
    return f"{functions}, {arcs} ({percent(each.arcs_covered, each.arcs)})"


def _hot_words(hottest: Sequence[HotFunction]) -> str:
    return ", ".join(f"{_name(each.name)} {share(each.share)}" for each in hottest[:_HOTTEST])


def _name(name: str) -> str:
    return shortened(clean(brief(name)), _NAME)


def coverage_table(files: Sequence[FileCoverage], width: int, limit: int | None = None) -> Iterator[str]:
    """A row for each file.

    Args:
        files: what was covered of each, in their order.
        width: columns to keep to.
        limit: how many of the project's own to show, those of others in one row; None for all of all.
    """
    shown, rest = list(files), ""
    other: FileCoverage | None = None
    if limit is not None:
        own = [each for each in files if is_own(each.file)]
        other = totals(files)[1]
        shown = own[:limit]
        rest = f"and {_count(len(own) - limit, 'more file')}; `-v` shows each" if len(own) > limit else ""
    if not files:
        return
    total = sum(each.weight for each in files)
    rows = [_row(each, each.file, total) for each in shown]
    if other is not None:
        rows.append(_row(other, f"({other.file} of others)", total))
    yield ""
    yield from _table([("file", "functions", "arcs", "", "work"), *rows], width)
    if rest:
        yield f"  {rest}"


def _row(each: FileCoverage, name: str, total: int) -> tuple[str, ...]:
    return (
        name,
        f"{each.functions_covered} of {each.functions}",
        f"{each.arcs_covered} of {each.arcs}",
        percent(each.arcs_covered, each.arcs),
        percent(each.weight, total),
    )


def hot_table(hottest: Sequence[HotFunction], width: int) -> Iterator[str]:
    """A row for each hot function."""
    if hottest:
        rows = [
            (brief(each.name), share(each.share), f"{each.entered}", f"{each.file}:{each.line}")
            for each in hottest
        ]
        yield ""
        yield from _table([("function", "work", "calls", "where"), *rows], width, left=3)


def _table(rows: Sequence[Sequence[str]], width: int, left: int = 0) -> Iterator[str]:
    """Columns of figures; the first one is a name and is cut in its middle where it is too long.

    Args:
        rows: the title first.
        width: columns to keep to.
        left: another column that is not of figures, or 0.
    """
    cells = [[clean(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    names = [0, left] if left else [0]
    room = width - 2 - 2 * (len(widths) - 1) - sum(w for i, w in enumerate(widths) if i not in names)
    for i in names:
        widths[i] = min(widths[i], max(room // len(names), 24))
    for row in cells:
        texts = [
            shortened(cell, widths[i]).ljust(widths[i]) if i in names else cell.rjust(widths[i])
            for i, cell in enumerate(row)
        ]
        yield f"  {'  '.join(texts)}".rstrip()


def profile_lines(report: ProfileReport, width: int, *, color: bool, details: bool) -> Iterator[str]:
    """One profile of a file.

    Args:
        report: the profile.
        width: columns to keep to.
        color: whether to use ANSI colours.
        details: every file, object and option, however many there are.
    """
    profile = report.profile
    yield Paint(color=color)(clean(report.path.name), "1")
    # A saved profile need not be of this machine.
    trained = "natively" if profile.trained == "native" else WHERE.get(profile.trained, profile.trained)
    rows = [
        ("project", profile.project),
        ("target", profile.label),
        ("compiler", f"GCC {profile.compiler}, and no other"),
        ("trained", trained),
        *(("", f"`{command}`") for command in profile.commands),
        *_covered(report.files),
    ]
    counted = sum(each.counted for each in report.objects)
    modules = {module for each in report.objects for module in each.modules}
    objects = f"{counted} of {_count(len(report.objects), 'object')} ran"
    rows.append(("objects", f"{objects}, in {_count(len(modules), 'file')} of the wheel"))
    if report.hottest and not details:
        rows.append(("hottest", _hot_words(report.hottest)))
    yield from labelled(rows, width, indent=2)
    yield from coverage_table(report.files, width, None if details else _FILES)
    if details:
        yield from hot_table(report.hottest, width)
        for each in report.objects:
            yield ""
            yield "  " + Paint(color=color)(clean(each.object), "1")
            functions = f"{each.functions_counted} of {_count(each.functions, 'function')}"
            facts = [
                ("source", each.source),
                ("options", " ".join(each.flags) or "none"),
                ("counted", f"{functions}, by {_count(each.runs, 'process', 'processes')}"),
                ("modules", ", ".join(each.modules)),
            ]
            yield from labelled(facts, width, indent=4)


def comparison_lines(found: FileComparison, width: int, *, color: bool, details: bool) -> Iterator[str]:
    """Two files of profiles side by side.

    Args:
        found: the comparison.
        width: columns to keep to.
        color: whether to use ANSI colours.
        details: every function that differs, and every counter.
    """
    paint = Paint(color=color)
    yield f"{paint('a', '31;1')}  {clean(str(found.a))}"
    yield f"{paint('b', '32;1')}  {clean(str(found.b))}"
    for pair in found.pairs:
        yield ""
        yield from _pair(pair, width, paint, details=details)
    for side, labels in (("a", found.only_a), ("b", found.only_b)):
        if labels:
            yield ""
            yield from wrapped(clean(f"profiles only in {side}: {'; '.join(labels)}"), width, "")


def _pair(pair: ProfileComparison, width: int, paint: Paint, *, details: bool) -> Iterator[str]:
    labels = dict.fromkeys((pair.a.label, pair.b.label))
    yield paint(clean(" and ".join(labels)), "1")
    rows = [("functions", function_words(pair)), *(("", words) for words in _only(pair))]
    rows += [(each.kind, kind_words(each)) for each in pair.kinds]
    if pair.sources:
        rows.append(("other sources", ", ".join(pair.sources)))
    yield from labelled(rows, width, indent=2)
    shown = pair.functions if details else sorted(pair.functions, key=lambda each: not each.run)[:_CHANGES]
    if shown:
        yield ""
    for change in shown:
        yield from wrapped(clean(change_words(change)), width, "  ")
        for counter in change.counters if details else ():
            words = f"{counter.kind} {counter.index}: {counter.a} -> {counter.b}"
            yield f"    {words}"
    if len(shown) < len(pair.functions):
        yield f"  and {_count(len(pair.functions) - len(shown), 'more function')}; `-v` shows each"


def function_words(pair: ProfileComparison) -> str:
    """`184 the same, 1 with other counters, 3 with another graph`."""
    words = [f"{pair.functions_same} the same"]
    for reason, text in REASONS.items():
        count = sum(change.reason == reason for change in pair.functions)
        if count:
            words.append(f"{count} {'with ' if reason in ('counters', 'graph') else ''}{text}")
    return ", ".join(words)


def _only(pair: ProfileComparison) -> Iterator[str]:
    for side, objects in (("a", pair.only_a), ("b", pair.only_b)):
        if objects:
            yield f"{_count(len(objects), 'object')} only in {side}: {', '.join(objects[:_CHANGES])}"


def kind_words(each: KindCounts) -> str:
    """`1897 equal, 1722 of them 0; 2 differ`."""
    words = f"{each.equal} equal, {each.zero} of them 0"
    return f"{words}; {each.differing} differ" if each.differing else words


def change_words(change: FunctionChange) -> str:
    """`encode (src/a.c:665): 2 of 33 arcs differ; called 10 and 12 times`."""
    what = f"{differing(change)} differ" if change.reason == "counters" else REASONS[change.reason]
    entered = dict.fromkeys((change.entered_a, change.entered_b))
    calls = [str(count) for count in entered if count is not None]
    times = "time" if calls == ["1"] else "times"
    called = f"; called {' and '.join(calls)} {times}" if change.run else "; never called" if calls else ""
    return f"{_name(change.name)} ({change.file}:{change.line}): {what}{called}"


def differing(change: FunctionChange) -> str:
    """`2 of 33 arcs, 1 of 4 topn`: of each kind of counter, how many differ."""
    kinds = (each for each in change.kinds if each.differing)
    return ", ".join(f"{each.differing} of {each.equal + each.differing} {each.kind}" for each in kinds)


def percent(part: int, whole: int) -> str:
    """A part as `9 %`; what is little is not said to be nothing, nor what is nearly all to be all."""
    if not whole or not part:
        return "0 %"
    rounded = round(100 * part / whole)
    if not rounded:
        return "<1 %"
    return ">99 %" if rounded == 100 and part < whole else f"{rounded} %"


def share(part: float) -> str:
    """A share of all work as `19.5 %`."""
    return f"{100 * part:.1f} %"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or f'{one}s'}"
