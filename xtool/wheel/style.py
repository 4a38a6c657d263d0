"""The style sheet of the pages that `xtool inspect --html` and `xtool build --html` write.

Colours have a contrast of at least 4.5 to 1 for text on their backgrounds (WCAG 2.2, 1.4.3) in both schemes.
"""

CSS = """\
:root {
  color-scheme: light dark;
  --back: #ffffff; --text: #1c2128; --soft: #57606a; --line: #d0d7de; --band: #f3f5f8;
  --good: #116329; --good-back: #dafbe1; --bad: #a40e26; --bad-back: #ffebe9;
  --warn: #7d4e00; --warn-back: #fff3c4;
  --glibc: #0550ae; --glibcxx: #953800; --cxxabi: #8250df; --gcc: #116329; --reach: #a8c4e8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #14171c; --text: #e3e8ee; --soft: #9aa5b1; --line: #363d47; --band: #1d2229;
    --good: #6fdd8b; --good-back: #12361e; --bad: #ff9a94; --bad-back: #4a1618;
    --warn: #f2cc60; --warn-back: #3b2e07;
    --glibc: #6cb6ff; --glibcxx: #f69d50; --cxxabi: #d2a8ff; --gcc: #6fdd8b; --reach: #2b4a6f;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 76rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.25rem; line-height: 1.3; overflow-wrap: anywhere; margin: 0 0 .5rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1rem 0 .3rem; overflow-wrap: anywhere; }
section + section { margin-top: 3rem; border-top: 3px solid var(--line); padding-top: 2rem; }
code, td, dd { overflow-wrap: anywhere; }
code, svg text.row, td:first-child {
  font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
code { font-size: .92em; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: .5rem 0; }
dt { color: var(--soft); }
dd { margin: 0; min-width: 0; }
a { color: var(--glibc); }
nav { margin-bottom: 2rem; }
nav ul { padding-left: 1rem; }
nav li { overflow-wrap: anywhere; margin: .3rem 0; }
p.cure { margin: .4rem 0 .2rem; padding: .3rem .6rem; border-left: 3px solid var(--good);
  background: var(--band); }
p.cure::before { content: "Cure: "; color: var(--good); font-weight: 600; }
ol.ladder, ul.findings { list-style: none; padding: 0; }
ul.findings > li { margin: .7rem 0; overflow-wrap: anywhere; }
ol.ladder > li { border-left: 2px solid var(--line); padding-left: 1rem; margin: 0 0 1rem; }
.badge { display: inline-block; border-radius: 1rem; padding: 0 .6rem; font-size: .85rem; font-weight: 600;
  background: var(--band); color: var(--soft); }
.badge.good { background: var(--good-back); color: var(--good); }
.badge.bad { background: var(--bad-back); color: var(--bad); }
.badge.warn { background: var(--warn-back); color: var(--warn); }
.a { color: var(--bad); }
.b { color: var(--good); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; }
th { text-align: left; color: var(--soft); font-weight: 600; }
th, td { padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top;
  min-width: 4.5rem; }
td:first-child { min-width: 9rem; font-size: .92em; }
td:nth-child(2) { white-space: nowrap; }
.changes td:nth-child(2) { white-space: normal; }
.changes td:first-child { min-width: 6rem; }
.changes td:last-child { white-space: nowrap; }
td.figure { white-space: nowrap; }
td details { margin: 0; }
.meter { display: inline-block; width: 7rem; height: .6rem; margin-right: .5rem; overflow: hidden;
  border: 1px solid var(--line); border-radius: .3rem; background: var(--band); vertical-align: -1px; }
.meter i { display: block; height: 100%; background: var(--glibc); print-color-adjust: exact; }
.meter.work i { background: var(--glibcxx); }
details { margin: .35rem 0; }
summary { cursor: pointer; overflow-wrap: anywhere; }
figure { margin: 0; }
figcaption { color: var(--soft); font-size: .88rem; margin-top: .5rem; max-width: 60rem; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; list-style: none; padding: 0; margin: .4rem 0; }
.legend svg { vertical-align: -2px; }
.scroll svg { display: block; }
svg text { fill: var(--text); font-size: 12px; }
svg text.row { text-anchor: end; }
svg text.axis { text-anchor: middle; fill: var(--soft); font-size: 12px; }
svg text.axis.bad { fill: var(--bad); }
svg text.limit { text-anchor: end; font-size: 11px; font-weight: 600; fill: var(--good); }
svg text.limit.claimed { fill: var(--soft); }
svg text.limit.claimed.bad { fill: var(--bad); }
.band { fill: none; }
.band.odd { fill: var(--band); }
.rule { stroke: var(--line); stroke-width: .5; }
.reach { stroke: var(--reach); stroke-width: 5; stroke-linecap: round; }
path.limit { stroke: var(--good); stroke-width: 2; }
path.limit.claimed { stroke: var(--soft); stroke-dasharray: 5 4; }
path.limit.claimed.bad { stroke: var(--bad); }
.cross { stroke: var(--bad); stroke-width: 2.5; fill: none; }
.mark { stroke: var(--back); stroke-width: 1.2; }
.glibc { fill: var(--glibc); }
.glibcxx { fill: var(--glibcxx); }
.cxxabi { fill: var(--cxxabi); }
.gcc { fill: var(--gcc); }
footer { margin-top: 3rem; color: var(--soft); font-size: .85rem; }
@media (max-width: 40rem) {
  dl { grid-template-columns: 1fr; gap: 0; }
  dt { margin-top: .4rem; font-size: .85rem; }
  main { padding: 1rem .7rem 2rem; }
  .meter { width: 2.5rem; }
}
@media print { details > * { display: block; } .scroll { overflow: visible; } }
"""
"""Everything that the page looks like; nothing in it is fetched."""
