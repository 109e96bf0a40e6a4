"""The differences between classifiers, drawn with their intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from skcnn._plot.theme import MUTED, SERIES, new_axes
from skcnn._text import label_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from skcnn.report._compared import ComparedFindings


def draw_differences(compared: ComparedFindings, ax: Axes | None) -> Axes:
    """Draw the differences from the first classifier, and return the axes; None makes a new figure by pyplot."""
    others = compared.names[1:]
    frame = compared.frame.dropna(subset=["difference"])
    metrics = [metric for metric in compared.findings[0].headline.index if metric in frame.index.get_level_values(0)]
    if ax is None:
        height = 1.2 + len(metrics) * (0.25 + 0.2 * len(others))
        ax = new_axes(6, height)
        ax.set_title(f"Difference from {label_text(compared.names[0], 40)}", parse_math=False)
    step = 0.7 / len(others)
    lines = {}
    for (kind, name), row in frame.iterrows():
        number = others.index(name)
        y = metrics.index(kind) + step * (number - (len(others) - 1) / 2)
        color, sign = SERIES[number % len(SERIES)], -1 if kind == "log_loss" else 1
        ends = np.sort([sign * row["difference_low"], sign * row["difference_high"]])
        filled = color if ends[0] > 0 or ends[1] < 0 else "none"
        (lines[name],) = ax.plot(ends, [y, y], color=color, linewidth=1.6, zorder=3, solid_capstyle="round")
        ax.scatter([sign * row["difference"]], [y], s=34, facecolor=filled, edgecolor=color, zorder=4)
    ax.axvline(0, color=MUTED, linewidth=1, zorder=2)
    labels = compared.findings[0].headline_labels
    ticks = [f"{labels[metric]}{' (reversed)' if metric == 'log_loss' else ''}" for metric in metrics]
    ax.set_yticks(range(len(metrics)), ticks)
    ax.set(ylim=(len(metrics) - 0.5, -0.5), xlabel="Difference (to the right is better)")
    ax.grid(False, axis="y")
    ax.tick_params(axis="y", length=0)
    ax.locator_params(axis="x", nbins=5)
    if len(others) > 1:
        box = ax.legend(list(lines.values()), ["-"] * len(lines), loc="best")
        for written, name in zip(box.get_texts(), lines, strict=True):
            written.set_parse_math(False)
            written.set_text(label_text(name, 30))
    return ax
