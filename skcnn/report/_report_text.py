"""A report as text: its summary and its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skcnn._text import count_text, counted, label_text, metric_text, percent_text
from skcnn.metrics.parts import CONFIDENCE_LEVEL, N_RESAMPLES

if TYPE_CHECKING:
    from skcnn.report._findings import Findings

_ROWS_PRINTED = 20


def summary_of(findings: Findings) -> str:
    """Return the summary of a report: accuracy, lowest recall, most confused classes, images that were trained on."""
    said = _errors_of(findings)
    if findings.n_trained_on:
        of_all = f"{findings.n_trained_on:,} of {counted(findings.n_samples, 'image')}"
        said += f" {of_all} were in the training set, so these metrics are too optimistic for new images."
    return said


def _errors_of(findings: Findings) -> str:
    accuracy = findings.headline["accuracy"]
    weighted = "accuracy" if findings.sample_weight is None else "weighted accuracy"
    shown = f"{weighted} {metric_text(accuracy)}"
    first = f"{findings.is_right.sum():,} of {counted(findings.n_samples, 'sample')} classified correctly ({shown})."
    pair = next(findings.most_confused(1).itertuples(index=False), None)
    if pair is None:  # No mistake, or none that has a weight.
        return first
    support = findings.classification_frame["support"].to_numpy()
    recall = findings.classification_frame["recall"].to_numpy()
    weakest = int(np.nanargmin(recall))
    of_class = count_text(support[list(findings.classes).index(pair.true)])
    return (
        f"{first} Lowest recall: {quoted(findings.classes[weakest])} ({metric_text(recall[weakest])}). Most confused: "
        f"{quoted(pair.true)} predicted as {quoted(pair.predicted)} ({count_text(pair[2])} of {of_class})."
    )


def text_of(findings: Findings, kind: str, frame: pd.DataFrame | None = None) -> str:
    """Return a report of this kind as lines for a terminal; ``frame``, that of the report, adds intervals."""
    n_classes = len(findings.classes)
    lines = [f"{kind}: {label_text(findings.name)}"]
    lines += [summary_of(findings), ""]
    width = max(map(len, findings.shown_metrics.values()))
    for metric, label in findings.shown_metrics.items():
        line = f"{label:<{width}}  {metric_text(findings.headline[metric]):>6}"
        if frame is not None and not np.isnan(frame.loc[metric, "low"]):
            line += f"  ({metric_text(frame.loc[metric, 'low'])} to {metric_text(frame.loc[metric, 'high'])})"
        lines.append(line)
    if frame is not None:
        level = percent_text(CONFIDENCE_LEVEL)
        lines.append(f"(in brackets: {level} intervals, from {counted(N_RESAMPLES, 'bootstrap resample')})")
    table = findings.classification_frame
    if n_classes > _ROWS_PRINTED:
        table = table.sort_values("recall", kind="stable").head(_ROWS_PRINTED)
        lines += ["", f"Lowest recall, {_ROWS_PRINTED} of {n_classes:,} classes (classification_frame has all):"]
    lines += ["", _printed(table)]
    pairs = findings.most_confused(5)
    if not pairs.empty:
        lines += ["", "Most confused classes:"]
        lines += [
            f"  {quoted(pair.true)} predicted as {quoted(pair.predicted)}: {count_text(pair[2])} ({pair.fraction:.1%})"
            for pair in pairs.itertuples(index=False)
        ]
    if findings.notes:
        lines += ["", "Notes:", *(f"  {note}" for note in findings.notes)]
    return "\n".join(lines)


def quoted(label: Any) -> str:
    """Return a label in quotation marks, as one line of printable text."""
    return f"\u201c{label_text(label)}\u201d"


def _printed(table: pd.DataFrame) -> str:
    written = table.map(metric_text)
    written["support"] = table["support"].map(count_text)
    written.index = pd.Index([label_text(label, 32) for label in table.index], name="class")
    return written.reset_index().to_string(index=False, justify="right")
