"""The tables of a regressor's report as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from skcnn._text import label_text

if TYPE_CHECKING:
    from skcnn.report._regression_findings import RegressionFindings

_ROWS_PRINTED = 20
_OF_THE_MEAN = ("mean_absolute_error", "root_mean_squared_error")


def regression_tables_of(findings: RegressionFindings) -> list[str]:
    """Return the errors of the mean, the metrics of each of several targets, and what stands out: lines."""
    baseline, labels = findings.headline_frame["baseline"], findings.headline_labels
    errors = [f"{labels[metric]} {findings.written(metric, baseline[metric])}" for metric in _OF_THE_MEAN]
    lines = ["", f"Always predicting the mean: {', '.join(errors)}"]
    table = findings.target_frame
    if len(table) > 1:
        if len(table) > _ROWS_PRINTED:
            lines += ["", f"Lowest R2, {_ROWS_PRINTED} of {len(table):,} targets (target_frame has all):"]
            table = table.sort_values("r2", kind="stable").head(_ROWS_PRINTED)
        lines += ["", _printed(findings, table)]
    if findings.patterns:
        lines += ["", "Findings:", *(f"  {sentence}" for sentence in findings.patterns)]
    return lines


def _printed(findings: RegressionFindings, table: pd.DataFrame) -> str:
    written = pd.DataFrame(
        {
            label: [findings.written(metric, value) for value in table[metric]]
            for metric, label in findings.headline_labels.items()
        }
    )
    written.index = pd.Index([label_text(label, 32) for label in table.index], name="target")
    return written.reset_index().to_string(index=False, justify="right")
