"""A report as text: name, summary, metrics with their intervals, what a task has to add, and notes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from skcnn._text import counted, label_text, percent_text
from skcnn.metrics.parts import CONFIDENCE_LEVEL, N_RESAMPLES

if TYPE_CHECKING:
    import pandas as pd

    from skcnn.report._findings import Findings


class Tile(NamedTuple):
    """A metric at the top of a report, as text."""

    label: str
    value: str
    interval: str
    """ "0.969 to 0.991", or "" where there is none."""


def tiles_of(findings: Findings, frame: pd.DataFrame | None = None) -> list[Tile]:
    """Return the metrics that are defined; ``frame``, that of the report, adds intervals."""
    tiles = []
    for metric, label in findings.shown_metrics.items():
        interval = ""
        if frame is not None and not np.isnan(frame.loc[metric, "low"]):
            interval = " to ".join(findings.written(metric, frame.loc[metric, end]) for end in ("low", "high"))
        tiles.append(Tile(label, findings.written(metric, findings.headline[metric]), interval))
    return tiles


def text_of(findings: Findings, kind: str, tables: Sequence[str], frame: pd.DataFrame | None = None) -> str:
    """Return a report of this kind as lines for a terminal.

    Parameters
    ----------
    findings : Findings
        What was found.
    kind : str
        Name of the report's class.
    tables : sequence of str
        What the task adds between metrics and notes: lines.
    frame : DataFrame or None, default=None
        The metrics with their intervals, which are left out without it.
    """
    lines = [f"{kind}: {label_text(findings.name)}", findings.summary, ""]
    tiles = tiles_of(findings, frame)
    width = max((len(tile.label) for tile in tiles), default=0)
    for tile in tiles:
        line = f"{tile.label:<{width}}  {tile.value:>6}"
        lines.append(f"{line}  ({tile.interval})" if tile.interval else line)
    if frame is not None:
        level = percent_text(CONFIDENCE_LEVEL)
        lines.append(f"(in brackets: {level} intervals, from {counted(N_RESAMPLES, 'bootstrap resample')})")
    lines += tables
    if findings.notes:
        lines += ["", "Notes:", *(f"  {note}" for note in findings.notes)]
    return "\n".join(lines)
