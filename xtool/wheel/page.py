"""The page of `xtool inspect --html`: one file that needs no network, for light and dark screens, for print.

Whatever comes from an inspected file is escaped, and a policy in the page forbids scripts and anything
from elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from html import escape
from pathlib import Path

from xtool import __version__
from xtool.errors import StoreError
from xtool.wheel.compare import Change, Comparison, FileChange, Names
from xtool.wheel.comparewords import change_label, change_value, difference, version_words
from xtool.wheel.explain import Step
from xtool.wheel.findings import Finding
from xtool.wheel.picture import draw, legend
from xtool.wheel.report import FileReport, Report
from xtool.wheel.style import CSS
from xtool.wheel.words import by_cure, clean, file_floor, obstacle_words, size, step_title

_SHOWN = 40
"""Names shown of a list; JSON has all of them."""

_BADGES = {
    "equal": ("good", "tag earned"),
    "newer": ("good", "tag earned"),
    "older": ("bad", "tag not earned"),
    "unproved": ("neutral", "tag cannot be proved"),
    "none": ("neutral", "no tag claimed"),
}


def write_page(path: Path, reports: Sequence[Report]) -> Path:
    """Write the page of some wheels or ELF files.

    Raises:
        StoreError: it cannot be written.
    """
    title = reports[0].path.name if len(reports) == 1 else f"{len(reports)} files"
    body: list[str] = []
    if len(reports) > 1:
        items = (
            f'<li><a href="#r{number}">{_text(report.path.name)}</a> {_badge(report)}</li>'
            for number, report in enumerate(reports)
        )
        body.append(f"<nav><ul>{''.join(items)}</ul></nav>")
    for number, report in enumerate(reports):
        body += _report(report, f"r{number}")
    return _write(path, _document(title, body))


def write_comparison(path: Path, comparison: Comparison) -> Path:
    """Write the page of a comparison.

    Raises:
        StoreError: it cannot be written.
    """
    title = f"{comparison.a.path.name} and {comparison.b.path.name}"
    return _write(path, _document(title, list(_comparison(comparison))))


def write_document(path: Path, title: str, body: Iterable[str], *, verb: str = "inspect") -> Path:
    """Write a page of one's own in the same style.

    Args:
        path: the file.
        title: its title.
        body: lines of HTML, everything in them escaped.
        verb: the verb that writes it.

    Raises:
        StoreError: it cannot be written.
    """
    return _write(path, _document(title, body, verb=verb))


def _write(path: Path, text: str) -> Path:
    """Put the page there whole or not at all."""
    place = path.resolve()
    partial = place.with_name(f".{place.name}.{os.getpid()}.partial")
    try:
        if place.exists() and not place.is_file():
            raise StoreError(
                f"cannot write {path}: it is no ordinary file",
                hint="name a file for the page: `--html report.html`",
                code="not-writable",
            )
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")
        partial.replace(place)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise StoreError(
            f"cannot write {path}: {error.strerror}",
            hint="name a file in a folder that is there and has room, and that you may write to: "
            "`--html report.html`",
            code="not-writable",
        ) from error
    return path


def _document(title: str, body: Iterable[str], *, verb: str = "inspect") -> str:
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    head = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta name="generator" content="xtool {escape(__version__)}">',
        f"<title>{_text(title)}</title>\n<style>\n{CSS}</style>\n</head>\n<body>\n<main>",
    ]
    foot = f"<footer>xtool {escape(__version__)}, <code>xtool {verb} --html</code></footer>"
    return "\n".join([*head, *body, foot, "</main>\n</body>\n</html>\n"])


def _report(report: Report, anchor: str) -> Iterator[str]:
    yield f'<section id="{anchor}"><h1>{_text(report.path.name)}</h1><p>{_badge(report)}</p>'
    yield "<dl>"
    for label, value in _summary(report):
        yield f"<dt>{_text(label)}</dt><dd>{_text(value)}</dd>"
    yield "</dl>"
    picture = draw(report)
    if picture:
        kinds = {need.kind for file in report.files for need in file.versions}
        yield "<h2>Files against floors</h2><figure>"
        yield f'<div class="scroll">{picture}</div>'
        caption = (
            "Columns are manylinux policies by their glibc. A mark stands at the oldest policy that allows "
            "the newest version a file asks for; the bar ends at the oldest policy that the file fits."
        )
        yield f"<figcaption>{caption}{legend(sorted(kinds))}</figcaption></figure>"
    yield from _ladder(report)
    yield from _findings(report.findings)
    yield from _files(report)
    yield "</section>"


def _summary(report: Report) -> Iterator[tuple[str, str]]:
    yield "machine", f"{report.machine or 'none'}{f', {report.libc}' if report.libc else ''}"
    if report.pythons:
        yield "installs on", report.pythons
    if report.claimed_tags:
        yield "claims", ", ".join(report.claimed_tags)
    yield "earns", report.earned_tag
    if report.files:
        yield "the claim is", report.claim.words
    if report.libc == "glibc":
        yield "needs glibc", report.glibc_required or "none"


def _badge(report: Report) -> str:
    style, words = _BADGES[report.claim.relation]
    if report.errors:
        count = len(report.errors)
        style, words = "bad", f"{count} error{'' if count == 1 else 's'}"
    return f'<span class="badge {style}">{words}</span>'


def _ladder(report: Report) -> Iterator[str]:
    if not report.ladder:
        return
    yield "<h2>What older tags would take</h2>"
    blocked = [step for step in report.ladder if step.status == "blocked"]
    if not blocked:
        oldest = f"{report.earned_tag} is the oldest tag there is for {report.machine}"
        yield f"<p>{_text(oldest)}.</p>"
        return
    yield '<ol class="ladder">'
    for number, step in enumerate(blocked):
        yield from _step(step, first=not number)
    yield "</ol>"


def _step(step: Step, *, first: bool) -> Iterator[str]:
    yield f"<li><h3>{_code(step_title(step, first=first))}</h3>"
    for cure, obstacles in by_cure(step.obstacles):
        shown = "".join(f"<li>{_code(obstacle_words(o))}</li>" for o in obstacles[:_SHOWN])
        more = len(obstacles) - _SHOWN
        shown += f"<li>and {more} more</li>" if more > 0 else ""
        yield f'<p class="cure">{_code(cure)}</p>'
        if len(obstacles) > 4:
            yield f"<details><summary>{len(obstacles)} things</summary><ul>{shown}</ul></details>"
        else:
            yield f"<ul>{shown}</ul>"
    yield "</li>"


def _findings(findings: Sequence[Finding]) -> Iterator[str]:
    if not findings:
        return
    yield '<h2>Findings</h2><ul class="findings">'
    for finding in findings:
        style = "bad" if finding.severity == "error" else "warn"
        cure = f'<p class="cure">{_code(finding.cure)}</p>' if finding.cure else ""
        badge = f'<span class="badge {style}">{escape(finding.severity)}</span>'
        yield f"<li>{badge} {_code(str(finding))}{cure}</li>"
    yield "</ul>"


def _files(report: Report) -> Iterator[str]:
    if not report.files:
        return
    titles = ("file", "size", "newest versions", "fits", "decided by")
    yield '<h2>Files</h2><div class="scroll"><table><thead><tr>'
    yield "".join(f"<th>{title}</th>" for title in titles) + "</tr></thead><tbody>"
    for file in report.files:
        versions = ", ".join(f"{need.kind} {need.version}" for need in file.versions)
        cells = (file.name, size(file.size), versions, file_floor(file, report), file.decided_by)
        yield "<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in cells) + "</tr>"
    yield "</tbody></table></div>"
    for file in report.files:
        rows = "".join(f"<dt>{_text(key)}</dt><dd>{_text(value)}</dd>" for key, value in _details(file))
        yield f"<details><summary><code>{_text(file.name)}</code></summary><dl>{rows}</dl></details>"


def _details(file: FileReport) -> Iterator[tuple[str, str]]:
    yield "kind", f"{file.kind}, {file.machine}, {file.bits} bit, {file.endianness} endian"
    yield "size", f"{size(file.size)}: text {size(file.text)}, data {size(file.data)}, bss {size(file.bss)}"
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
        more = len(need.symbols) - _SHOWN
        symbols = ", ".join(need.symbols[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
        yield f"{need.kind} {need.version}", symbols or f"asked of {need.library}"
    yield "exports", "1 symbol" if file.exports == 1 else f"{file.exports} symbols"
    yield "hardening", f"RELRO {file.relro}" + (", executable stack" if file.executable_stack else "")
    if file.compilers:
        yield "compiler", ", ".join(file.compilers)
    yield "debug", "stripped of debug information" if file.stripped else "has debug information"


def _comparison(comparison: Comparison) -> Iterator[str]:
    yield "<section><h1>Two side by side</h1><dl>"
    for side, report in (("a", comparison.a), ("b", comparison.b)):
        yield f'<dt class="{side}">{side}</dt><dd>{_text(report.path.name)}</dd>'
    yield "</dl>"
    yield from _changes(comparison.changes)
    yield "<h2>Machine code</h2>"
    for file in comparison.files:
        yield from _file_change(file)
    for names, what in ((comparison.only, "machine code"), (comparison.members, "other files")):
        yield from _names(names, what)
    if comparison.changed:
        yield f"<h2>Other files that differ</h2><p>{_code_list(comparison.changed)}</p>"
    yield "</section>"


def _file_change(file: FileChange) -> Iterator[str]:
    if file.same:
        yield f"<p><code>{_text(file.name)}</code>: no difference that counts</p>"
        return
    yield f"<h3><code>{_text(file.name)}</code></h3>"
    yield from _changes(file.changes)
    if file.versions:
        yield "<ul>" + "".join(f"<li>{_text(version_words(v))}</li>" for v in file.versions) + "</ul>"
    yield from _names(file.needed, "needed libraries")
    yield from _names(file.exports, "exported symbols")
    yield from _names(file.runtime_exports, "of these, libstdc++'s and libgcc's")
    yield from _names(file.imports, "imported symbols")


def _changes(changes: Sequence[Change]) -> Iterator[str]:
    if not changes:
        return
    yield '<div class="scroll"><table class="changes"><thead><tr><th></th><th>a</th><th>b</th><th></th></tr>'
    yield "</thead><tbody>"
    for change in changes:
        cells = [change_label(change), *(change_value(change, v) for v in (change.a, change.b))]
        cells.append(difference(change))
        yield "<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in cells) + "</tr>"
    yield "</tbody></table></div>"


def _names(names: Names, what: str) -> Iterator[str]:
    for side, found in (("a", names.removed), ("b", names.added)):
        if found:
            yield (
                f'<p><span class="{side}">{_text(what)} of {side} alone, {len(found)}:</span> '
                f"{_code_list(found)}</p>"
            )


def _code_list(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    shown = ", ".join(f"<code>{_text(name)}</code>" for name in names[:_SHOWN])
    return shown + (f" and {more} more" if more > 0 else "")


def _text(text: str) -> str:
    return escape(clean(text))


def _code(text: str) -> str:
    """Text with what stands in backticks set as code."""
    parts = _text(text).split("`")
    return "".join(f"<code>{part}</code>" if number % 2 else part for number, part in enumerate(parts))
