"""The pages of profiles: `xtool build --html`, and `xtool inspect --html` of a file of profiles.

Whatever comes from a project or a profile is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from xtool.pgo import words
from xtool.pgo.compare import FunctionChange, ProfileComparison
from xtool.pgo.demangle import brief
from xtool.pgo.inspection import FileComparison, ProfileReport
from xtool.pgo.names import is_own
from xtool.pgo.profile import Profile
from xtool.pgo.report import FileCoverage, HotFunction, PgoReport, Training
from xtool.pgo.usage import ObjectUse
from xtool.text import format_seconds
from xtool.wheel.page import escaped, findings_list, write_document

_SHOWN = 400
"""Functions that a page of a comparison names; JSON has all of them."""


def write_page(path: Path, reports: Sequence[PgoReport]) -> Path:
    """Write the page of some wheels' profiles.

    Raises:
        StoreError: it cannot be written.
    """
    body = list(_contents([(each.profile, _badge(each)) for each in reports]))
    for number, report in enumerate(reports):
        body += _report(report, f"r{number}")
    return write_document(path, _title([each.profile for each in reports]), body, verb="build")


def write_profiles(path: Path, reports: Sequence[ProfileReport]) -> Path:
    """Write the page of what is in files of profiles.

    Raises:
        StoreError: it cannot be written.
    """
    body = list(_contents([(each.profile, "") for each in reports]))
    for number, report in enumerate(reports):
        body += _profile(report, f"r{number}")
    return write_document(path, _title([each.profile for each in reports]), body)


def write_comparison(path: Path, found: FileComparison) -> Path:
    """Write the page of a comparison of two files of profiles.

    Raises:
        StoreError: it cannot be written.
    """
    return write_document(path, f"{found.a.name} and {found.b.name}", _comparison(found))


def _title(profiles: Sequence[Profile]) -> str:
    if len(profiles) == 1:
        return f"Profile of {_name(profiles[0])}"
    return f"{len(profiles)} profiles"


def _name(profile: Profile) -> str:
    return f"{profile.project} for {profile.label}"


def _contents(entries: Sequence[tuple[Profile, str]]) -> Iterator[str]:
    """Links to the sections, where there are several."""
    if len(entries) > 1:
        items = (
            f'<li><a href="#r{number}">{escaped(_name(profile))}</a> {badge}</li>'
            for number, (profile, badge) in enumerate(entries)
        )
        yield f"<nav><ul>{''.join(items)}</ul></nav>"


def _badge(report: PgoReport) -> str:
    count = len(report.findings)
    if not count:
        return '<span class="badge good">all of it fits</span>'
    return f'<span class="badge warn">{count} warning{"" if count == 1 else "s"}</span>'


def _report(report: PgoReport, anchor: str) -> Iterator[str]:
    yield f'<section id="{anchor}"><h1>{escaped(_name(report.profile))}</h1><p>{_badge(report)}</p>'
    yield from _facts(
        [
            ("profile", words.origin(report)),
            ("compiler", f"GCC {report.profile.compiler}"),
            *_covered(report.files),
            ("used", words.used(report)),
        ]
    )
    if report.training is not None:
        yield from _training(report.training)
    else:
        yield from _commands(report.profile)
    yield from _hottest(report.hottest)
    yield from _files(report.files)
    yield from _uses(report)
    yield from findings_list(report.findings)
    yield "</section>"


def _profile(report: ProfileReport, anchor: str) -> Iterator[str]:
    profile = report.profile
    yield f'<section id="{anchor}"><h1>{escaped(_name(profile))}</h1>'
    yield from _facts(
        [
            ("file", report.path.name),
            ("compiler", f"GCC {profile.compiler}"),
            ("trained", words.WHERE.get(profile.trained, profile.trained)),
            *_covered(report.files),
        ]
    )
    yield from _commands(profile)
    yield from _hottest(report.hottest)
    yield from _files(report.files)
    rows = [
        (
            escaped(each.source),
            f"{each.functions_counted} of {each.functions}",
            f"{each.runs}" if each.counted else "not run",
            escaped(", ".join(each.modules)),
            escaped(" ".join(each.flags)),
        )
        for each in report.objects
    ]
    yield from _table("Objects", ("source", "functions counted", "processes", "in", "options"), rows)
    yield "</section>"


def _facts(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    yield "<dl>"
    for label, value in rows:
        yield f"<dt>{escaped(label)}</dt><dd>{escaped(value)}</dd>"
    yield "</dl>"


def _covered(files: Sequence[FileCoverage]) -> Iterator[tuple[str, str]]:
    own, other = words.totals(files)
    yield "functions called", f"{own.functions_covered} of {own.functions} in {own.file} of the project"
    arcs = words.percent(own.arcs_covered, own.arcs)
    yield "arcs taken", f"{own.arcs_covered} of {own.arcs} ({arcs})"
    if other is not None:
        yield "of others", f"{other.functions_covered} of {other.functions} functions called in {other.file}"


def _training(training: Training) -> Iterator[str]:
    rows = [
        (f"<code>{escaped(command)}</code>", escaped(format_seconds(seconds)))
        for command, seconds in zip(training.commands, training.each, strict=False)
    ]
    yield from _table("Training", ("command", "time"), rows)
    lost = training.lost
    if lost:
        what = "1 process" if lost == 1 else f"{lost} processes"
        yield f"<p>{what} ended without writing what was counted.</p>"


def _commands(profile: Profile) -> Iterator[str]:
    yield from _table(
        "Training", ("command",), [(f"<code>{escaped(each)}</code>",) for each in profile.commands]
    )


def _hottest(hottest: Sequence[HotFunction]) -> Iterator[str]:
    rows = [
        (
            _function(each.name),
            _meter(each.share, words.share(each.share), "work"),
            f"{each.entered:,}",
            escaped(f"{each.file}:{each.line}"),
        )
        for each in hottest
    ]
    yield from _table("Hottest functions", ("function", "work", "calls", "where"), rows)


def _function(name: str) -> str:
    """A name of C++ in short, and all of it where it is asked for."""
    short = brief(name)
    if short == name:
        return escaped(name)
    return f"<details><summary>{escaped(short)}</summary>{escaped(name)}</details>"


def _files(files: Sequence[FileCoverage]) -> Iterator[str]:
    """A row for each file; those of others are folded away."""
    total = sum(each.weight for each in files)
    own = [each for each in files if is_own(each.file)]
    other = [each for each in files if not is_own(each.file)]
    titles = ("file", "functions called", "arcs taken", "work")
    yield from _table("Coverage", titles, [_file(each, total) for each in own])
    if other:
        rows = list(_table("", titles, [_file(each, total) for each in other]))
        count = "1 file" if len(other) == 1 else f"{len(other)} files"
        yield f"<details><summary>{count} of others</summary>"
        yield from rows
        yield "</details>"


def _file(each: FileCoverage, total: int) -> tuple[str, ...]:
    return (
        escaped(each.file),
        _part(each.functions_covered, each.functions),
        _part(each.arcs_covered, each.arcs),
        _meter(each.weight / total if total else 0, words.percent(each.weight, total), "work"),
    )


def _part(covered: int, whole: int) -> str:
    return _meter(covered / whole if whole else 0, f"{covered} of {whole}")


def _meter(share: float, text: str, kind: str = "") -> str:
    """A bar, and what it shows in figures beside it."""
    style = f"meter {kind}".strip()
    width = min(max(share, 0), 1) * 100
    return (
        f'<span class="{style}" aria-hidden="true"><i style="width:{width:.1f}%"></i></span>{escaped(text)}'
    )


def _uses(report: PgoReport) -> Iterator[str]:
    counted = {
        each.key: sum(bool(function.counters) for function in each.functions)
        for each in report.profile.objects
    }
    rows = [
        (escaped(each.source), _state(each), str(counted.get(each.key, 0)), _misfits(each))
        for each in report.uses
    ]
    badge = '<span class="badge warn">not compiled</span>'
    rows += [(escaped(key), badge, str(counted.get(key, 0)), "") for key in report.unused]
    titles = ("object of", "profile", "functions counted", "what does not fit")
    yield from _table("What the second stage used", titles, rows)


def _state(each: ObjectUse) -> str:
    if not each.found:
        return '<span class="badge neutral">none</span>'
    fits = not (each.mismatched or each.missing or each.changed or each.flags)
    return f'<span class="badge {"good" if fits else "warn"}">used</span>'


def _misfits(each: ObjectUse) -> str:
    notes = [
        ("other functions", each.mismatched),
        ("not in the profile", each.missing),
        ("changed files", each.changed),
        ("other options", (each.flags,) if each.flags else ()),
    ]
    return "<br>".join(
        f"{label}: {', '.join(f'<code>{escaped(name)}</code>' for name in names)}"
        for label, names in notes
        if names
    )


def _table(title: str, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A table; the cells are HTML."""
    if not rows:
        return
    if title:
        yield f"<h2>{title}</h2>"
    heads = "".join(f"<th>{each}</th>" for each in titles)
    yield f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>'
    for row in rows:
        yield "<tr>" + "".join(f"<td{_style(cell)}>{cell}</td>" for cell in row) + "</tr>"
    yield "</tbody></table></div>"


def _style(cell: str) -> str:
    return ' class="figure"' if 'class="meter' in cell else ""


def _comparison(found: FileComparison) -> Iterator[str]:
    yield "<section><h1>Two profiles side by side</h1><dl>"
    for side, path in (("a", found.a), ("b", found.b)):
        yield f'<dt class="{side}">{side}</dt><dd>{escaped(path.name)}</dd>'
    yield "</dl>"
    for pair in found.pairs:
        yield from _pair(pair)
    for side, labels in (("a", found.only_a), ("b", found.only_b)):
        if labels:
            yield f'<p><span class="{side}">only in {side}:</span> {escaped("; ".join(labels))}</p>'
    yield "</section>"


def _pair(pair: ProfileComparison) -> Iterator[str]:
    labels = " and ".join(dict.fromkeys((pair.a.label, pair.b.label)))
    yield f"<h2>{escaped(labels)}</h2>"
    yield f"<p>Functions: {escaped(words.function_words(pair))}.</p>"
    for side, objects in (("a", pair.only_a), ("b", pair.only_b)):
        if objects:
            names = ", ".join(f"<code>{escaped(key)}</code>" for key in objects)
            yield f'<p><span class="{side}">objects only in {side}:</span> {names}</p>'
    kinds = [
        (escaped(k.kind), _part(k.equal, k.equal + k.differing), str(k.zero), str(k.differing))
        for k in pair.kinds
    ]
    yield from _table("", ("counters", "equal", "of them 0", "differ"), kinds)
    rows = [_change(change) for change in pair.functions[:_SHOWN]]
    yield from _table("Functions that differ", ("function", "calls", "where", "how"), rows)
    if len(pair.functions) > _SHOWN:
        yield f"<p>and {len(pair.functions) - _SHOWN} more.</p>"


def _change(change: FunctionChange) -> tuple[str, ...]:
    calls = ["-" if count is None else f"{count:,}" for count in (change.entered_a, change.entered_b)]
    how = words.differing(change) or words.REASONS[change.reason]
    return (
        _function(change.name),
        f"{calls[0]} / {calls[1]}",
        escaped(f"{change.file}:{change.line}"),
        escaped(how),
    )
