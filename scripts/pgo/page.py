"""Tables and plots of docs/pgo.md, made of what the parts of `pgo_evidence.py` have kept."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from target_facts import replace_part

from pgo import counters
from pgo.builds import PACKAGES

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGE = DOCS / "pgo.md"

Found = dict[str, Any]
"""What a part has found, by package."""


def write(folder: Path, page: Path = PAGE, plots: bool = True) -> None:
    """Write all parts of the page whose results are there.

    Args:
        folder: where results are kept.
        page: the page.
        plots: whether to draw as well.
    """
    for part, table in TABLES.items():
        found = results(folder, part)
        if found:
            replace_part(page, part, table(found))
    if plots:
        from pgo import plots as drawing

        drawing.draw(folder, page.parent)


def results(folder: Path, part: str) -> Found:
    """What a part has found, the packages in their usual order; nothing where it was not run."""
    path = folder / f"{part}.json"
    found = json.loads(path.read_bytes()) if path.is_file() else {}
    order = [name for name in PACKAGES if name in found]
    return {name: found[name] for name in [*order, *(other for other in found if other not in order)]}


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def percent(share: float, digits: int = 1) -> str:
    """A share of 1 in percent; no minus before nothing."""
    text = f"{100 * share:.{digits}f}"
    return (text.lstrip("-") if float(text) == 0 else text) + " %"


def all_targets(found: Found) -> list[str]:
    """The targets that any package has something about."""
    return list(dict.fromkeys(target for by_target in found.values() for target in by_target))


def builds(found: Found) -> str:
    """Wheels built with a profile: the floor in their tag, their test, whether they still count."""
    targets = all_targets(found)
    rows = []
    for package, by_target in found.items():
        cells = []
        for target in targets:
            one = by_target.get(target)
            if one is None:
                cells.append("-")
                continue
            floor = "_".join(one["tag"].rpartition("manylinux_")[2].split("_")[:2])
            right = one["smoke"] == "passed" and not one["gcov"]
            counting = f", counts: {', '.join(one['gcov'])}" if one["gcov"] else ""
            text = f"{floor}, {one['smoke']}{counting}"
            cells.append(text if right else f"**{text}**")
        rows.append([package, *cells])
    return table(["package", *targets], rows)


def same_target(found: Found) -> str:
    """Counters of one target, compared one by one."""

    def cell(one: Found) -> str:
        differing = one["differing"]
        kinds = ", ".join(f"{number} `{kind}`" for kind, number in sorted(differing.items()))
        graphs = f", {one['graphs']} other graphs" if one["graphs"] else ""
        return (kinds or "none") + graphs

    def modules(one: Found) -> str:
        return "same bytes" if one["same_modules"] else "other bytes"

    rows = [
        [
            package,
            kinds["qemu"]["functions"],
            counters.total(kinds["qemu"]["counters"]),
            kinds["qemu"]["counters"].get("arcs", 0),
            cell(kinds["native-again"]),
            cell(kinds["qemu"]),
            cell(kinds["still"]),
            *(modules(kinds[kind]) for kind in ("native-again", "qemu", "still")),
        ]
        for package, kinds in found.items()
    ]
    heads = ["package", "functions", "counters", "of them arcs", "differ: native, native again"]
    heads += ["differ: native, emulated", "differ: native twice, same addresses"]
    heads += ["wheels: native twice", "native, emulated", "native twice, same addresses"]
    return table(heads, rows)


def across_targets(found: Found) -> str:
    """Functions of each target against x86_64: what is alike, and what came of the comparisons."""
    targets = all_targets(found)

    def cell(one: Found | None) -> str:
        if one is None:
            return "-"
        return f"{percent(one['weight'].get('equal', 0), 0)}, {percent(one['overlap'])}"

    alike = [
        [package, *(cell(by_target.get(target)) for target in targets)]
        for package, by_target in found.items()
    ]
    sums = {target: Counter[str]() for target in targets}
    arcs = {target: [0, 0] for target in targets}
    for by_target in found.values():
        for target, one in by_target.items():
            sums[target].update(one["functions"])
            for index, number in enumerate(one["arcs"]):
                arcs[target][index] += number
    verdicts = [name for name in counters.WORDS if name != "neither"]
    counted = [
        [target, *(sums[target][name] for name in verdicts), f"{arcs[target][1]} of {arcs[target][0]}"]
        for target in targets
    ]
    heads = [
        "target",
        *(counters.WORDS[name] for name in verdicts),
        "arcs that differ where graphs are the same",
    ]
    return table(["package", *targets], alike) + "\n\n" + table(heads, counted)


def worth(found: Found) -> str:
    """Speed of x86_64 wheels."""

    def gain(one: Found) -> str:
        low, high = one["bounds"] or (one["speed_up"], one["speed_up"])
        return f"{percent(one['speed_up'])} ({100 * low:.1f} to {100 * high:.1f})"

    rows = []
    for package, one in found.items():
        summary = one["summaries"]
        share = summary["qemu"]["share"]
        shares = "-"
        if share:
            low, high = share["bounds"] or (share["share"], share["share"])
            shares = f"{percent(share['share'], 0)} ({100 * low:.0f} to {100 * high:.0f})"
        same = "same" if one["same_modules"]["qemu"] else "other"
        sizes = one["sizes"]
        others = [gain(summary[kind]["compared"]) for kind in summary if kind != "qemu"]
        rows.append(
            [
                package,
                gain(summary["qemu"]["trained"]),
                gain(summary["qemu"]["compared"]),
                shares,
                same,
                *others,
                f"{percent(sizes['qemu'] / sizes['plain'] - 1, 0)}",
            ]
        )
    kinds = [kind for kind in next(iter(found.values()))["summaries"] if kind != "qemu"]
    names = {
        "native-again": "natively trained again",
        "qemu-baseline": "trained on qemu's baseline CPU",
        "from-s390x": "s390x's profile",
    }
    heads = ["package", "natively trained", "trained under qemu-user", "share of the native gain"]
    return table([*heads, "modules' bytes", *(names[kind] for kind in kinds), "size of modules"], rows)


def instruction_counts(found: Found) -> str:
    """Instructions of ppc64le wheels."""
    rows = []
    for package, one in found.items():
        (own, every), again = one["plain"]
        (own_pgo, every_pgo), again_pgo = one["qemu"]
        repeat = [own, every] == again and [own_pgo, every_pgo] == again_pgo
        cells = [package]
        for before, after in ((own, own_pgo), (every, every_pgo)):
            cells += [f"{before / 1e6:.3f}", f"{after / 1e6:.3f}", percent(after / before - 1)]
        rows.append(
            [*cells, "yes" if repeat else f"{percent(max(_apart(one, kind) for kind in TWO), 4)} apart"]
        )
    heads = ["package", "the wheel's own, plain (millions)", "with profile", "change"]
    return table([*heads, "all, plain (millions)", "with profile", "change", "second count equal"], rows)


TWO = ("plain", "qemu")


def _apart(one: Found, kind: str) -> float:
    first, second = one[kind]
    return max(abs(a / b - 1) for a, b in zip(first, second, strict=True))


def costs(found: Found) -> str:
    """Training and building, as ratios."""
    rows = []
    for package, one in found.items():
        plain, native, qemu = (one[f"x86_64-{kind}"] for kind in ("plain", "native", "qemu"))
        other_plain, other = one["ppc64le-plain"], one["ppc64le-qemu"]
        rows.append(
            [
                package,
                f"{native['training']:.2f} s",
                f"{qemu['training']:.2f} s",
                f"{qemu['training'] / native['training']:.1f}",
                f"{plain['build']:.1f} s",
                f"{native['build'] / plain['build']:.1f}",
                f"{qemu['build'] / plain['build']:.1f}",
                f"{other['training']:.2f} s",
                f"{other['build'] / other_plain['build']:.1f}",
            ]
        )
    heads = ["package", "training, native", "training, emulated", "ratio", "plain build, x86_64"]
    heads += ["natively trained build / plain", "emulated / plain"]
    return table([*heads, "training, ppc64le", "ppc64le: emulated / plain"], rows)


def graph_counts(found: Found) -> str:
    """Graphs of one file."""
    ((source, by_target),) = found.items()
    rows = [[target, f"{one[1]} of {one[0]}", f"{one[2]} of {one[0]}"] for target, one in by_target.items()]
    option = "`--param logical-op-non-short-circuit=0`"
    return table([f"graphs of `{Path(source).name}`", "as on x86_64", f"as on x86_64 with {option}"], rows)


TABLES: dict[str, Callable[[Found], str]] = {
    "builds": builds,
    "counters": same_target,
    "targets": across_targets,
    "worth": worth,
    "instructions": instruction_counts,
    "costs": costs,
    "graphs": graph_counts,
}
"""By part of the page, its table."""
