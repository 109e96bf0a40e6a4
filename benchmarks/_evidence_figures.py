"""The figures of docs/evidence.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

Interval = tuple[float, float, float]

INK, MUTED, RULE = "#1b1f24", "#59636e", "#dfe3e8"
COLORS = ("#0b66c3", "#c7422b", "#15803d", "#8344b8", "#a86a06", "#0b8494")
STYLE = {
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": RULE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}


def _bars(axes: Any, found: Sequence[tuple[float, Interval]], color: str, label: str, marker: str = "o") -> None:
    """Draw points with intervals at heights."""
    heights = [height for height, _ in found]
    means, lows, highs = (np.array([one[part] for _, one in found]) for part in range(3))
    # What ran in one fold has no interval, and is a point.
    errors = np.nan_to_num([means - lows, highs - means])
    axes.errorbar(means, heights, xerr=errors, fmt=marker, ms=4, lw=1.1, color=color, label=label)


def draw_pairs(found: Mapping[tuple[str, str, str, str], Interval], path: Path) -> None:
    """Draw differences of the default head from its rivals, by (data, network, rival, metric)."""
    rows = sorted({(data, network) for data, network, *_ in found}, key=lambda one: (one[0].lower(), one[1]))
    heights = {row: -float(number) for number, row in enumerate(rows)}
    rivals = {"classic": "less the classic recipe", "frozen": "less the retrained head"}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 1.2 + 0.3 * len(rows)), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        for axes, metric in zip(panels, ("accuracy", "log_loss"), strict=True):
            axes.axvline(0, color=MUTED, lw=1)
            for number, (rival, label) in enumerate(rivals.items()):
                points = [
                    (heights[data, network] + 0.14 - 0.28 * number, one)
                    for (data, network, against, of), one in found.items()
                    if (against, of) == (rival, metric)
                ]
                if points:
                    _bars(axes, points, COLORS[number], label, "os"[number])
            better = "right: better" if metric == "accuracy" else "left: better"
            axes.set_xlabel(f"difference in {metric.replace('_', '-')} ({better})")
        panels[0].set_yticks(list(heights.values()), [f"{data}, {network}" for data, network in rows])
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=2)
        figure.savefig(path, dpi=120)


def draw_accuracy(found: Mapping[tuple[str, str, str], Mapping[str, Interval]], path: Path) -> None:
    """Draw accuracy and log-loss of every cell, a panel per data set, by (data, network, method)."""
    order = list(dict.fromkeys(data for data, *_ in found))
    networks = list(dict.fromkeys(network for _, network, _ in found))
    methods = list(dict.fromkeys(method for *_, method in found))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 2.0 * len(order)), layout="constrained")
        grid = figure.subplots(len(order), 2, squeeze=False, sharey=True)
        for row, data in zip(grid, order, strict=True):
            for axes, metric in zip(row, ("accuracy", "log_loss"), strict=True):
                for number, network in enumerate(networks):
                    points = [
                        (-methods.index(method) + 0.13 * ((len(networks) - 1) / 2 - number), one[metric])
                        for (of, name, method), one in found.items()
                        if (of, name) == (data, network)
                    ]
                    if points:
                        _bars(axes, points, COLORS[number], network)
                axes.set_xlabel(metric.replace("_", "-"))
            row[0].set_yticks([-float(number) for number in range(len(methods))], methods)
            row[0].set_title(data, loc="left", fontsize=9, color=INK)
        handles = {}
        for axes in grid.ravel():
            handles |= dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
        figure.legend(list(handles.values()), list(handles), loc="outside upper center", ncols=len(handles))
        figure.savefig(path, dpi=110)


def draw_costs(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw processor seconds and peaks of memory over the number of images, and seconds over classes."""
    kinds = {"images": "images", "classes": "classes"}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 5.6), layout="constrained")
        panels = figure.subplots(2, 2)
        for column, (kind, label) in enumerate(kinds.items()):
            for line, (key, unit) in enumerate({"cpu_s": "processor s", "peak_mb": "peak of memory, MB"}.items()):
                axes = panels[line][column]
                curves = list(dict.fromkeys(row["curve"] for row in rows if row["curve"].endswith(f", {kind}")))
                for number, curve in enumerate(curves):
                    points = sorted((row["n"], row[key]) for row in rows if row["curve"] == curve)
                    axes.plot(*zip(*points, strict=True), "o-", ms=3.5, lw=1.2, color=COLORS[number], label=curve)
                axes.set(xscale="log", yscale="log" if line == 0 else "linear", xlabel=label, ylabel=unit)
                if line == 0 and curves:
                    axes.legend(fontsize=7.5)
        figure.savefig(path, dpi=120)
