"""The plots of docs/pgo.md, as SVG that is readable on light and on dark pages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib import pyplot as plt

from pgo.page import results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK = "#808080"
COLOURS = {
    "native": "#3b8ad8",
    "native-again": "#7d5fb2",
    "qemu": "#e08b2c",
    "qemu-baseline": "#c0392b",
    "from-s390x": "#2e9d78",
}
LABELS = {
    "native": "natively trained",
    "native-again": "natively trained again",
    "qemu": "trained under qemu-user",
    "qemu-baseline": "under qemu-user, baseline CPU",
    "from-s390x": "profile of s390x",
}

mpl.use("svg")
mpl.rcParams.update(
    {
        "svg.fonttype": "none",
        # The same ids in the file each time.
        "svg.hashsalt": "pgo",
        "font.size": 9,
        "font.family": "sans-serif",
        "axes.spines.top": False,
        "axes.spines.right": False,
        **dict.fromkeys(
            ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
        ),
    }
)


def draw(folder: Path, docs: Path) -> None:
    """Draw all plots whose results are there.

    Args:
        folder: where results are kept.
        docs: where plots are written.
    """
    for name, plot in (("worth", worth), ("targets", targets), ("costs", costs)):
        found = results(folder, name)
        if not found:
            continue
        figure = plot(found)
        figure.savefig(
            docs / f"pgo-{name}.svg", transparent=True, bbox_inches="tight", metadata={"Date": None}
        )
        plt.close(figure)


def worth(found: dict[str, Any]) -> Any:
    """Speed-ups with what 95 % of the resampled sessions span."""
    figure, axes = plt.subplots(figsize=(7.2, 0.75 * len(found) + 1))
    packages = list(reversed(found))
    for row, package in enumerate(packages):
        summaries = found[package]["summaries"]
        gains = {"native": summaries["qemu"]["trained"]}
        gains |= {kind: one["compared"] for kind, one in summaries.items()}
        for place, (kind, gain) in enumerate(gains.items()):
            value = 100 * gain["speed_up"]
            low, high = (100 * bound for bound in gain["bounds"] or [gain["speed_up"]] * 2)
            at = row + 0.3 - 0.14 * place
            axes.plot([low, high], [at, at], color=COLOURS[kind], linewidth=2, alpha=0.6)
            axes.plot(
                value, at, "o", color=COLOURS[kind], markersize=5, label=LABELS[kind] if row == 0 else None
            )
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(packages)), packages)
    axes.set_xlabel("faster than the plain wheel, in percent")
    axes.legend(loc="lower right", frameon=False, labelcolor=INK)
    return figure


def targets(found: dict[str, Any]) -> Any:
    """What the profiles of targets have in common with that of x86_64."""
    packages = list(found)
    names = list(dict.fromkeys(name for by_target in found.values() for name in by_target))
    missing = {"overlap": float("nan")}
    shares = [[100 * found[package].get(name, missing)["overlap"] for name in names] for package in packages]
    lowest = min(share for row in shares for share in row if share == share)
    figure, axes = plt.subplots(figsize=(7.2, 0.45 * len(packages) + 1))
    axes.imshow(shares, cmap="YlGnBu", vmin=min(lowest, 90), vmax=102, aspect="auto")
    for row, line in enumerate(shares):
        for column, share in enumerate(line):
            if share != share:
                continue
            dark = share > (lowest + 102) / 2
            axes.text(
                column, row, f"{share:.1f}", ha="center", va="center", color="#eeeeee" if dark else "#222222"
            )
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(packages)), packages)
    axes.set_title("overlap with the natively trained profile of x86_64, in percent", fontsize=9)
    return figure


def costs(found: dict[str, Any]) -> Any:
    """Whole builds, as multiples of a plain one."""
    figure, axes = plt.subplots(figsize=(7.2, 0.5 * len(found) + 1))
    packages = list(reversed(found))
    for row, package in enumerate(packages):
        one = found[package]
        for place, kind in enumerate(("native", "qemu")):
            ratio = one[f"x86_64-{kind}"]["build"] / one["x86_64-plain"]["build"]
            _bar(axes, row + 0.18 - 0.36 * place, ratio, kind, first=row == 0)
    axes.axvline(1, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(packages)), packages)
    axes.set_xlabel("processor time of the whole build / plain build, x86_64")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False, labelcolor=INK)
    return figure


def _bar(axes: Axes, at: float, value: float, kind: str, *, first: bool) -> None:
    axes.barh(at, value, height=0.32, color=COLOURS[kind], label=LABELS[kind] if first else None)
    axes.text(value, at, f" {value:.1f}", va="center")
