"""The tables of a classifier's report as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from skcnn._text import count_text, label_text, metric_text, quoted

if TYPE_CHECKING:
    from skcnn.report._classifier_findings import ClassifierFindings

_ROWS_PRINTED = 20


def tables_of(findings: ClassifierFindings) -> list[str]:
    """Return the metrics of each class, or of those of lowest recall, and the most confused classes: lines."""
    n_classes = len(findings.classes)
    lines = []
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
    return lines


def _printed(table: pd.DataFrame) -> str:
    written = table.map(metric_text)
    written["support"] = table["support"].map(count_text)
    written.index = pd.Index([label_text(label, 32) for label in table.index], name="class")
    return written.reset_index().to_string(index=False, justify="right")
