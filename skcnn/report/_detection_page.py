"""The content of the HTML page of a detector's report, and of what a notebook shows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from skcnn.metrics.parts import KINDS, said_of
from skcnn.report._report_page import Said, Shown, render_for_notebook, render_report, scope_of
from skcnn.report._svg import WIDTH, inline_svg

if TYPE_CHECKING:
    import pandas as pd

    from skcnn.report._detection_displays import DetectionDisplays
    from skcnn.report._detection_findings import DetectionFindings

_ROWS_SHOWN = 10

_CURVES: tuple[tuple[Literal["iou", "label"], str, str], ...] = (
    ("iou", "By IoU", "How well boxes must lie to be right; mean over classes. In brackets: average precision."),
    ("label", "By class", "At an IoU of .5; of many classes those of lowest average precision."),
)
"""What a curve stands for, title and caption of the images."""


class ClassRow(NamedTuple):
    """A class in the tables of a page."""

    label: Any
    support: int
    metrics: tuple[float, ...]
    """AP, AP50, AP75 and AR."""
    kinds: tuple[int, ...]
    """Numbers of boxes in the order of ``KINDS``."""


def render_detection_report(
    findings: DetectionFindings, displays: DetectionDisplays, frame: pd.DataFrame, *, n_images: int
) -> str:
    """Return the HTML of a report; ``frame`` has its metrics with their intervals."""
    galleries = _galleries(displays, n_images) if n_images else []
    return render_report(
        findings,
        frame,
        "detection.html",
        {
            "classes": "Class by class",
            "images": "Images" if galleries else "",
            "curves": "Precision and recall",
        },
        classes=findings.predictions.classes,
        images=_images(findings, displays),
        galleries=galleries,
        rows=_rows(findings),
        kinds=KINDS,
        threshold=f"{findings.score_threshold:.3g}",
    )


def render_detection_for_notebook(findings: DetectionFindings, displays: DetectionDisplays, frame: pd.DataFrame) -> str:
    """Return a report as HTML for the output of a cell; ``frame`` has its metrics with their intervals."""
    rows = sorted(_rows(findings), key=lambda row: (row.metrics[0] != row.metrics[0], row.metrics[0]))
    return render_for_notebook(
        findings,
        frame,
        "detection_notebook.html",
        images=_images(findings, displays, scope=scope_of(findings)),
        rows=rows[:_ROWS_SHOWN],
        heading="Classes" if len(rows) <= _ROWS_SHOWN else f"Lowest AP, {_ROWS_SHOWN} of {len(rows):,} classes",
        kinds=KINDS,
    )


def _rows(findings: DetectionFindings) -> list[ClassRow]:
    table, kinds = findings.class_frame, findings.error_frame
    names = ["average_precision", "average_precision_50", "average_precision_75", "average_recall"]
    return [
        ClassRow(label, int(table["support"].iloc[place]), tuple(table[names].iloc[place]), tuple(kinds.iloc[place]))
        for place, label in enumerate(table.index)
    ]


def _images(findings: DetectionFindings, displays: DetectionDisplays, *, scope: str = "") -> list[dict[str, Any]]:
    display = displays.precision_recall_display()
    images = []
    for by, title, caption in _CURVES:
        if by == "label" and len(findings.predictions.classes) < 2:
            continue
        draw = partial(display.plot, by=by)
        svg = inline_svg(draw, (WIDTH, WIDTH), f"Precision and recall, {title.lower()}", scope=scope)
        images.append({"title": title, "svg": svg, "caption": caption, "legend": []})
    return images


def _galleries(displays: DetectionDisplays, n_images: int) -> list[dict[str, Any]]:
    hint = "Blue: right. Red: wrong. Yellow: missed. Those with the most errors first."
    looks = ("right", "wrong", "")
    galleries = []
    for display in displays.image_displays(n_images):
        shown = []
        for image in display.thumbnails().to_dict("records"):
            said = [text for text, _ in said_of(image)]
            lines = [Said(text, look=looks[0 if "right" in text else 2 if "missed" in text else 1]) for text in said]
            shown.append(Shown(image, ", ".join(said), lines))
        if shown:
            galleries.append({"title": "Most errors", "hint": hint, "images": shown})
    return galleries
