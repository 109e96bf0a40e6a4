"""The tables of a segmenter's report as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from skcnn._text import label_text, metric_text

if TYPE_CHECKING:
    from skcnn.report._segmentation_findings import SegmentationFindings

_ROWS_PRINTED = 20


def segmentation_tables_of(findings: SegmentationFindings) -> list[str]:
    """Return the metrics of each class: lines."""
    table, lines = findings.class_frame, []
    if len(table) > _ROWS_PRINTED:
        lines += ["", f"Lowest IoU, {_ROWS_PRINTED} of {len(table):,} classes (class_frame has all):"]
        table = table.sort_values("iou", kind="stable").head(_ROWS_PRINTED)
    written = pd.DataFrame(
        {
            "IoU": table["iou"].map(metric_text),
            "Dice": table["dice"].map(metric_text),
            "precision": table["precision"].map(metric_text),
            "recall": table["recall"].map(metric_text),
            "edges": table["boundary_f1"].map(metric_text),
            "pixels": table["support"].map("{:,}".format),
            "images": table["n_images"].map("{:,}".format),
        }
    )
    written.index = pd.Index([label_text(label, 32) for label in table.index], name="class")
    if len(written):
        lines += ["", written.reset_index().to_string(index=False, justify="right")]
    return lines
