"""The content of the HTML page of a segmenter's report, and of what a notebook shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from skcnn.metrics.parts import said_of_mask
from skcnn.report._report_page import Said, Shown, render_for_notebook, render_report, scope_of
from skcnn.report._svg import WIDTH, inline_svg

if TYPE_CHECKING:
    import pandas as pd

    from skcnn.report._segmentation_displays import SegmentationDisplays
    from skcnn.report._segmentation_findings import SegmentationFindings

_ROWS_SHOWN = 10

_GALLERIES = (
    ("Lowest IoU: predicted masks", "Tinted: predicted classes but the first. White: edges of the true regions."),
    ("Lowest IoU: errors", "Yellow: predicted as the first class, and another one. Red: other errors."),
)
"""Title and hint of the Displays of images."""


class ClassRow(NamedTuple):
    """A class in the tables of a page."""

    label: Any
    support: int
    n_images: int
    metrics: tuple[float, ...]
    """IoU, Dice, precision, recall and F1 of edges."""


def render_segmentation_report(
    findings: SegmentationFindings, displays: SegmentationDisplays, frame: pd.DataFrame, *, n_images: int
) -> str:
    """Return the HTML of a report; ``frame`` has its metrics with their intervals."""
    galleries = _galleries(displays, n_images) if n_images else []
    images = _images(findings, displays)
    return render_report(
        findings,
        frame,
        "segmentation.html",
        {
            "classes": "Class by class",
            "images": "Images" if galleries else "",
            "confusion": "Confusion matrix" if images else "",
        },
        classes=findings.predictions.classes,
        images=images,
        galleries=galleries,
        rows=_rows(findings),
    )


def render_segmentation_for_notebook(
    findings: SegmentationFindings, displays: SegmentationDisplays, frame: pd.DataFrame
) -> str:
    """Return a report as HTML for the output of a cell; ``frame`` has its metrics with their intervals."""
    rows = sorted(_rows(findings), key=lambda row: (row.metrics[0] != row.metrics[0], row.metrics[0]))
    return render_for_notebook(
        findings,
        frame,
        "segmentation_notebook.html",
        images=_images(findings, displays, scope=scope_of(findings)),
        rows=rows[:_ROWS_SHOWN],
        heading="Classes" if len(rows) <= _ROWS_SHOWN else f"Lowest IoU, {_ROWS_SHOWN} of {len(rows):,} classes",
    )


def _rows(findings: SegmentationFindings) -> list[ClassRow]:
    names = ["iou", "dice", "precision", "recall", "boundary_f1"]
    return [
        ClassRow(label, int(row["support"]), int(row["n_images"]), tuple(row[names]))
        for label, row in findings.class_frame.iterrows()
    ]


def _images(findings: SegmentationFindings, displays: SegmentationDisplays, *, scope: str = "") -> list[dict[str, Any]]:
    if not findings.predictions.classes:
        return []
    caption = "Fractions of the pixels of the true class."
    svg = inline_svg(displays.confusion_display().plot, (WIDTH, WIDTH), "Confusion matrix of pixels", scope=scope)
    return [{"title": "Pixels", "svg": svg, "caption": caption, "legend": []}]


def _galleries(displays: SegmentationDisplays, n_images: int) -> list[dict[str, Any]]:
    galleries = []
    for display, (title, hint) in zip(displays.image_displays(n_images), _GALLERIES, strict=False):
        shown = []
        for image in display.thumbnails().to_dict("records"):
            said = said_of_mask(image)
            shown.append(Shown(image, ", ".join(said), [Said(text) for text in said]))
        if shown:
            galleries.append({"title": title, "hint": hint, "images": shown})
    return galleries
