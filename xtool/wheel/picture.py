"""The picture of `xtool inspect --html`: files against floors, as SVG that needs nothing else.

Rows are files, columns are the machine's manylinux policies. A mark stands in the column of the oldest policy
that allows the newest version which a file asks of a library; what is right of the line cannot be promised.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from xtool.wheel.report import FileReport, Report, VersionNeed
from xtool.wheel.words import clean, display_names, shortened

_ROW, _COLUMN, _TOP = 22, 58, 46
_CHARACTER = 7.3
"""Pixels of a character at 12 pixels, fixed width; a little more than any usual font needs."""
_LONGEST = 38
_REPEAT_AXIS = 25
"""Rows from which on the columns are named at the bottom, too."""

KINDS = ("GLIBC", "GLIBCXX", "CXXABI", "GCC")
"""Symbol versions that policies limit, each with its own mark."""


def draw(report: Report) -> str:
    """The picture as an SVG element, or nothing where there are no files or no policies for them."""
    if not report.files or not report.policies:
        return ""
    return _Picture(report).svg()


class _Picture:
    def __init__(self, report: Report) -> None:
        self.report = report
        self.columns = self._columns()
        order = {tag: number for number, tag in enumerate(report.policies)}
        self.files = sorted(report.files, key=lambda f: (-order.get(f.fits or "", len(order)), f.name))
        names = display_names(self.files)
        self.names = [shortened(clean(names[file.name]), _LONGEST) for file in self.files]
        self.left = round(max(len(name) for name in self.names) * _CHARACTER) + 20
        self.none = any(file.fits is None for file in self.files)
        self.width = self.left + _COLUMN * (len(self.columns) + self.none) + 8
        self.bottom = _TOP + _ROW * len(self.files)

    def _columns(self) -> tuple[str, ...]:
        """Policies from the oldest to the newest that matters, and one more to see what comes next."""
        every = self.report.policies
        wanted = {self.report.earned_tag, *self.report.claimed_tags}
        for file in self.report.files:
            wanted |= {file.fits or "", *(need.tag or "" for need in file.versions)}
        last = max((every.index(tag) for tag in wanted if tag in every), default=len(every) - 1)
        return every[: last + 2]

    def center(self, tag: str | None) -> float | None:
        """Where a policy's column is; behind the last one for what fits none."""
        if tag in self.columns:
            return self.left + _COLUMN * (self.columns.index(tag or "") + 0.5)
        return self.left + _COLUMN * (len(self.columns) + 0.5) if tag is None and self.none else None

    def svg(self) -> str:
        long = len(self.files) >= _REPEAT_AXIS
        height = self.bottom + (30 if long else 10)
        label = f"The oldest policy that each of {len(self.files)} files fits, by library"
        box = f'viewBox="0 0 {self.width} {height}" width="{self.width}" height="{height}"'
        parts = [f'<svg role="img" aria-label="{escape(label)}" {box}>']
        parts += self._bands()
        parts += self._axis(_TOP - 10)
        for number, file in enumerate(self.files):
            parts += self._row(file, self.names[number], _TOP + _ROW * number)
        if long:
            parts += self._axis(self.bottom + 18)
        parts += self._line()
        return "\n".join([*parts, "</svg>"])

    def _bands(self) -> Iterator[str]:
        for number in range(len(self.columns) + self.none):
            x = self.left + _COLUMN * number
            kind = "band odd" if number % 2 else "band"
            size = f'width="{_COLUMN}" height="{self.bottom - _TOP}"'
            yield f'<rect class="{kind}" x="{x}" y="{_TOP}" {size}/>'

    def _axis(self, y: int) -> Iterator[str]:
        for tag in self.columns:
            name = tag.removeprefix("manylinux_").removesuffix(f"_{self.report.machine}").replace("_", ".")
            yield (
                f'<text class="axis" x="{self.center(tag)}" y="{y}"><title>{escape(tag)}</title>'
                f"{escape(name)}</text>"
            )
        if self.none:
            yield f'<text class="axis bad" x="{self.center(None)}" y="{y}">none</text>'

    def _row(self, file: FileReport, name: str, top: int) -> Iterator[str]:
        middle = top + _ROW / 2
        title = f"<title>{escape(clean(file.name))}</title>"
        yield f'<text class="row" x="{self.left - 10}" y="{middle + 4}">{title}{escape(name)}</text>'
        yield f'<path class="rule" d="M{self.left} {top + _ROW}H{self.width - 8}"/>'
        end = self.center(file.fits)
        if end is not None:
            yield f'<path class="reach" d="M{self.left} {middle}H{end}"/>'
        if file.fits is None and end is not None:
            reason = f"<title>{escape(clean(file.decided_by or 'fits no policy'))}</title>"
            cross = f"M{end - 5} {middle - 5}l10 10m0 -10l-10 10"
            yield f'<path class="cross" d="{cross}">{reason}</path>'
        cells: dict[float, list[VersionNeed]] = {}
        for need in file.versions:
            place = self.center(need.tag) if need.tag else None
            if need.kind in KINDS and place is not None:
                cells.setdefault(place, []).append(need)
        for place, needs in cells.items():
            for number, need in enumerate(sorted(needs, key=lambda n: KINDS.index(n.kind))):
                yield _mark(need, place + 12 * (number - (len(needs) - 1) / 2), middle)

    def _line(self) -> Iterator[str]:
        """The earned tag's line: everything left of it is promised; and the claimed one's, if it is older."""
        earned = self.center(self.report.earned_tag) if self.report.earned_tag in self.columns else None
        claimed = self.report.claim.tag
        other = (
            self.center(claimed) if claimed in self.columns and claimed != self.report.earned_tag else None
        )
        if earned is not None:
            yield from self._limit(earned + _COLUMN / 2, "earned", "earned")
        if other is not None:
            bad = " bad" if self.report.claim.relation == "older" else ""
            yield from self._limit(other + _COLUMN / 2, f"claimed{bad}", "claimed")

    def _limit(self, x: float, style: str, text: str) -> Iterator[str]:
        yield f'<path class="limit {style}" d="M{x} {_TOP - 26}V{self.bottom}"/>'
        yield f'<text class="limit {style}" x="{x - 3}" y="{_TOP - 30}">{text}</text>'


def _mark(need: VersionNeed, x: float, y: float) -> str:
    symbols = ", ".join(need.symbols[:5]) + (", ..." if len(need.symbols) > 5 else "")
    words = f"{need.kind} {need.version} of {need.library}" + (f": {symbols}" if symbols else "")
    return f"<g><title>{escape(clean(words))}</title>{shape(need.kind, x, y)}</g>"


def shape(kind: str, x: float, y: float) -> str:
    """The mark of a kind: its form tells as much as its colour."""
    forms = {
        "GLIBC": f"M{x - 5} {y}a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z",
        "GLIBCXX": f"M{x - 4.5} {y - 4.5}h9v9h-9z",
        "CXXABI": f"M{x} {y - 5.5}l5.5 9.5h-11z",
        "GCC": f"M{x} {y - 6}l6 6l-6 6l-6 -6z",
    }
    return f'<path class="mark {kind.lower()}" d="{forms[kind]}"/>'


def legend(kinds: Sequence[str]) -> str:
    """What the marks mean, as HTML; only those that occur."""
    items = [
        f'<li><svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true">{shape(kind, 7, 7)}</svg> '
        f"{escape(kind)}</li>"
        for kind in KINDS
        if kind in kinds
    ]
    return f'<ul class="legend">{"".join(items)}</ul>'
