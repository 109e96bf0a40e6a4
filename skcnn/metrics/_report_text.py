"""What a report says in words: its summary, and its tables as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skcnn._text import counted
from skcnn.metrics._resampling import CONFIDENCE_LEVEL, N_RESAMPLES
from skcnn.metrics._text import count_text, figure_text, label_text, percent_text

if TYPE_CHECKING:
    from skcnn.metrics._report import ClassifierReport

_ROWS_PRINTED = 20


def summary_of(report: ClassifierReport, n_right: int) -> str:
    """Return the report in two sentences."""
    accuracy = report.headline["accuracy"]
    weighted = "accuracy" if report.sample_weight is None else "weighted accuracy"
    share = f"{weighted} {figure_text(accuracy)}"
    first = f"{n_right:,} of {counted(report.n_samples, 'sample')} classified correctly ({share})."
    pair = next(report.most_confused(1).itertuples(index=False), None)
    if pair is None:  # No mistake, or none that has a weight.
        return first
    support = report.classification_frame["support"].to_numpy()
    recall = report.classification_frame["recall"].to_numpy()
    weakest = int(np.nanargmin(recall))
    of_class = count_text(support[list(report.classes).index(pair.true)])
    return (
        f"{first} The class found least often is {quoted(report.classes[weakest])} (recall "
        f"{figure_text(recall[weakest])}); the commonest mistake is {quoted(pair.true)} taken for "
        f"{quoted(pair.predicted)} ({count_text(pair[2])} of {of_class})."
    )


def text_of(report: ClassifierReport, frame: pd.DataFrame | None = None) -> str:
    """Return the report as lines for a terminal; ``frame``, that of the report, adds intervals."""
    n_classes = len(report.classes)
    lines = [f"{type(report).__name__}: {label_text(report.name)}"]
    lines += [report.summary, ""]
    width = max(map(len, report.headline_labels.values()))
    for figure, label in report.headline_labels.items():
        line = f"{label:<{width}}  {figure_text(report.headline[figure]):>6}"
        if frame is not None and not np.isnan(frame.loc[figure, "low"]):
            line += f"  ({figure_text(frame.loc[figure, 'low'])} to {figure_text(frame.loc[figure, 'high'])})"
        lines.append(line)
    if frame is not None:
        level = percent_text(CONFIDENCE_LEVEL)
        lines.append(f"(in brackets: {level} intervals, from {counted(N_RESAMPLES, 'bootstrap resample')})")
    table = report.classification_frame
    if n_classes > _ROWS_PRINTED:
        table = table.sort_values("f1", kind="stable").head(_ROWS_PRINTED)
        lines += ["", f"The {_ROWS_PRINTED} classes of lowest F1 (classification_frame has all {n_classes:,}):"]
    lines += ["", _printed(table)]
    pairs = report.most_confused(5)
    if not pairs.empty:
        lines += ["", "Most confused:"]
        lines += [
            f"  {quoted(pair.true)} taken for {quoted(pair.predicted)}: {count_text(pair[2])} ({pair.share:.1%})"
            for pair in pairs.itertuples(index=False)
        ]
    if report.notes:
        lines += ["", "Notes:", *(f"  {note}" for note in report.notes)]
    return "\n".join(lines)


def quoted(label: Any) -> str:
    """Return a label in quotation marks, as one line of printable text."""
    return f"\u201c{label_text(label)}\u201d"


def _printed(table: pd.DataFrame) -> str:
    written = table.map(figure_text)
    written["support"] = table["support"].map(count_text)
    written.index = pd.Index([label_text(label, 32) for label in table.index], name="class")
    return written.reset_index().to_string(index=False, justify="right")
