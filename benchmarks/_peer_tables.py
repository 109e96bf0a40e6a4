"""The tables of peers.py."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _rounds import table

BEGIN, END = "<!-- tables of benchmarks/peers.py -->\n", "<!-- end of the tables -->\n"

#: Functions of a tool's script that only try what goes wrong.
PROBES = ("refit", "search")

#: What is tried, and how the column is called.
TROUBLES = {
    "truncated": "half a JPEG file",
    "no image": "HTML called .jpg",
    "turned": "an image turned by EXIF",
    "twice": "two fits, same seed",
    "again": "`fit` again, other labels",
    "saved": "saved, new process",
    "search": "`GridSearchCV`, 6 + 1 fits",
}

NORMAL_95 = 1.96


def lines_of_code(source: str) -> int:
    """Return how many lines of a tool's script its user writes: neither blank, comment nor docstring.

    ``refit`` and ``search`` are not counted: they only try what goes wrong.
    """
    left_out: set[int] = set()
    tree = ast.parse(source)
    for node in ast.walk(tree):
        is_probe = isinstance(node, ast.FunctionDef) and node.name in PROBES
        is_text = (
            isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        )
        if is_probe or is_text:
            left_out.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(source.splitlines(), 1)
    return sum(bool(line.strip()) and line.strip()[0] != "#" and number not in left_out for number, line in lines)


def wilson(right: float, n: int) -> tuple[float, float]:
    """Return the 95 % interval of a fraction of n images."""
    square = NORMAL_95**2 / n
    centre = (right + square / 2) / (1 + square)
    half = np.sqrt(right * (1 - right) * square + square**2 / 4) / (1 + square)
    return centre - half, centre + half


def paired(ours: Sequence[int], theirs: Sequence[int], n: int) -> tuple[float, float, float]:
    """Return by how much the first is more accurate on the same n images, with the 95 % interval of the difference."""
    both = np.zeros(n)
    both[list(theirs)] += 1
    both[list(ours)] -= 1
    half = NORMAL_95 * both.std(ddof=1) / np.sqrt(n)
    return float(both.mean()), float(both.mean() - half), float(both.mean() + half)


def runs_of(report: dict[str, Any], task: str, peer: str) -> list[dict[str, Any]]:
    """Return the runs of a tool on a task, by their seed."""
    found = [row for row in report["runs"] if row["task"] == task and row["peer"] == peer]
    return sorted(found, key=lambda row: row["seed"])


def spread(values: Sequence[float]) -> str:
    """Return the median, and from three rounds on the range."""
    middle = f"{np.median(values):.0f}"
    return middle if len(values) < 3 else f"{middle} ({min(values):.0f} to {max(values):.0f})"


def times_of(reference: Sequence[dict[str, Any]], runs: Sequence[dict[str, Any]]) -> str:
    """Return how many times the processor seconds of the reference, in the same rounds: the median, and the range."""
    ours = {run["seed"]: run["processors"] for run in reference}
    ratios = [run["processors"] / ours[run["seed"]] for run in runs if run["seed"] in ours]
    if not ratios:
        return ""
    middle = f"{np.median(ratios):.1f}"
    return middle if len(ratios) < 3 else f"{middle} ({min(ratios):.1f} to {max(ratios):.1f})"


def costs_of(reference: Sequence[dict[str, Any]], runs: Sequence[dict[str, Any]]) -> list[str]:
    """Return processor seconds, their ratio to those of the reference, and the peak of memory."""
    seconds, memory = (spread([run[name] for run in runs]) for name in ("processors", "peak_mb"))
    return [seconds, times_of(reference, runs), memory]


def first_of(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the first run, so that accuracies are paired; with how far those of all rounds go."""
    found = [run["accuracy"] for run in runs if "accuracy" in run]
    return {**runs[0], "range": f"{min(found):.3f} to {max(found):.3f}" if len(found) > 1 else ""}


def classification_rows(report: dict[str, Any], task: str) -> list[list[object]]:
    """Return a row per tool: accuracies of the first seed, so that they are paired; medians of the costs."""
    n = report["tasks"][task]["test"]
    reference = runs_of(report, task, "skcnn_bagged")
    rows: list[list[object]] = []
    for peer, about in report["peers"].items():
        runs = runs_of(report, task, peer)
        if not runs:
            continue
        first, costs = first_of(runs), costs_of(reference, runs)
        if "failed" in first:
            rows.append([about["title"], about["lines"], first["failed"], "", "", "", *costs, len(runs)])
            continue
        low, high = wilson(first["accuracy"], n)
        accuracy = f"{first['accuracy']:.3f} ({low:.3f} to {high:.3f})"
        loss = f"{first['log_loss']:.3f} ± {NORMAL_95 * first['log_loss_error']:.3f}"
        difference = ""
        if reference and peer != "skcnn_bagged":
            value, low, high = paired(reference[0]["wrong"], first["wrong"], n)
            difference = f"{value:+.3f} ({low:+.3f} to {high:+.3f})"
        rows.append([about["title"], about["lines"], accuracy, first["range"], difference, loss, *costs, len(runs)])
    return rows


#: Of the tasks that are not classification: the metrics of a run and their titles.
METRICS = {"pets370": {"mean_iou": "mean IoU"}, "bccd": {"ap50": "AP50", "ap": "AP"}}


def other_rows(report: dict[str, Any], task: str) -> list[list[object]]:
    """Return a row per tool of detection or segmentation."""
    reference = runs_of(report, task, "detect_skcnn" if task == "bccd" else "segment_skcnn")
    rows: list[list[object]] = []
    for peer, about in report["peers"].items():
        runs = runs_of(report, task, peer)
        if runs:
            costs = costs_of(reference, runs)
            found = [f"{runs[0][name]:.3f}" if name in runs[0] else runs[0]["failed"] for name in METRICS[task]]
            rows.append([about["title"], about["lines"], *found, *costs, len(runs)])
    return rows


def trouble_rows(report: dict[str, Any]) -> list[list[object]]:
    """Return a row per tool of what went wrong."""
    titles = {peer: about["title"] for peer, about in report["peers"].items()}
    return [[titles[peer], *(found.get(name, "") for name in TROUBLES)] for peer, found in report["troubles"].items()]


def as_markdown(report: dict[str, Any]) -> str:
    """Return all tables."""
    costs = ["processors (s)", "times skcnn's", "peak of memory (MB)", "rounds"]
    parts = []
    for task, sizes in report["tasks"].items():
        parts.append(
            f"**{task}**: {sizes['train']} images to train on, {sizes['test']} to test; split `{sizes['digest']}`."
        )
        if task in METRICS:
            parts.append(table(["tool", "lines", *METRICS[task].values(), *costs], other_rows(report, task)))
        else:
            header = [
                "tool",
                "lines",
                "accuracy",
                "of all rounds",
                "the default pipeline is better by",
                "log-loss",
                *costs,
            ]
            parts.append(table(header, classification_rows(report, task)))
    parts.append("**What goes wrong**")
    parts.append(table(["tool", *TROUBLES.values()], trouble_rows(report)))
    parts.append("**Versions**")
    versions = {
        peer: ", ".join(f"{name} {number}" for name, number in about["versions"].items())
        for peer, about in report["peers"].items()
    }
    parts.append(
        table(
            ["tool", "script", "versions"],
            [
                [report["peers"][peer]["title"], f"`{peer.removesuffix('_again')}.py`", text]
                for peer, text in versions.items()
            ],
        )
    )
    return "\n\n".join(parts) + "\n"


def show(report: dict[str, Any], page: Path | None) -> None:
    """Print the tables, and put them into the page."""
    text = as_markdown(report)
    print(text)
    if page is not None:
        old = page.read_text()
        page.write_text(re.sub(f"(?s){re.escape(BEGIN)}.*{re.escape(END)}", lambda _: f"{BEGIN}\n{text}\n{END}", old))
