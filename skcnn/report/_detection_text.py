"""The tables of a detector's report as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from skcnn._text import label_text, metric_text

if TYPE_CHECKING:
    from skcnn.report._detection_findings import DetectionFindings

_ROWS_PRINTED = 20


def detection_tables_of(findings: DetectionFindings) -> list[str]:
    """Return the metrics and the kinds of error of each class: lines."""
    table = findings.class_frame
    lines = []
    if len(table) > _ROWS_PRINTED:
        lines += ["", f"Lowest AP, {_ROWS_PRINTED} of {len(table):,} classes (class_frame has all):"]
        table = table.sort_values("average_precision", kind="stable").head(_ROWS_PRINTED)
    written = pd.DataFrame(
        {
            "AP": table["average_precision"].map(metric_text),
            "AP50": table["average_precision_50"].map(metric_text),
            "AR": table["average_recall"].map(metric_text),
            "boxes": table["support"].map("{:,}".format),
            **{kind: findings.error_frame.loc[table.index, kind].map("{:,}".format) for kind in findings.error_frame},
        }
    )
    written.index = pd.Index([label_text(label, 32) for label in table.index], name="class")
    if len(written):
        lines += ["", written.reset_index().to_string(index=False, justify="right")]
        threshold = f"{findings.score_threshold:.3g}"
        lines.append(f"(right, wrong and missed boxes: at a score of {threshold} or more and an IoU of .5)")
    return lines
