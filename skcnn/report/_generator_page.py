"""The content of the HTML page of a generator's report, and of what a notebook shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skcnn._plot.thumbnails import data_uri
from skcnn.report._report_page import Said, Shown, render_for_notebook, render_report, scope_of
from skcnn.report._svg import WIDTH, inline_svg

if TYPE_CHECKING:
    import pandas as pd

    from skcnn.metrics import ClassCoverageDisplay
    from skcnn.report._generator_findings import GeneratorFindings

#: Pixels of the shorter side, at least: smaller images are enlarged without smoothing.
_SIDE = 96


class MetricRow(NamedTuple):
    """A metric of generated images, and of real ones in their place."""

    label: str
    value: float
    real: float


def render_generator_report(
    findings: GeneratorFindings, display: ClassCoverageDisplay | None, frame: pd.DataFrame, *, n_images: int
) -> str:
    """Return the HTML of a report; ``frame`` has its metrics with their intervals."""
    galleries = _galleries(findings, n_images) if n_images else []
    classes = findings.class_frame
    return render_report(
        findings,
        frame,
        "generator.html",
        {
            "compared": "Beside real images",
            "images": "Images" if galleries else "",
            "classes": "Classes" if classes is not None else "",
        },
        classes=() if classes is None else classes.index.tolist(),
        images=_images(display),
        galleries=galleries,
        rows=_rows(findings),
        table=[] if classes is None else list(classes.itertuples()),
    )


def render_generator_for_notebook(
    findings: GeneratorFindings, display: ClassCoverageDisplay | None, frame: pd.DataFrame
) -> str:
    """Return a report as HTML for the output of a cell; ``frame`` has its metrics with their intervals."""
    return render_for_notebook(
        findings,
        frame,
        "generator_notebook.html",
        images=_images(display, scope=scope_of(findings)),
        rows=_rows(findings),
    )


def _rows(findings: GeneratorFindings) -> list[MetricRow]:
    table, labels = findings.headline_frame, findings.headline_labels
    return [MetricRow(labels[metric], row["value"], row["real"]) for metric, row in table.iterrows()]


def _images(display: ClassCoverageDisplay | None, *, scope: str = "") -> list[dict[str, Any]]:
    if display is None:
        return []
    svg = inline_svg(display.plot, (WIDTH, WIDTH), "Fractions of classes", scope=scope)
    caption = "Bars: generated images, with intervals. Lines: real ones."
    return [{"title": "Classes", "svg": svg, "caption": caption, "legend": []}]


def _galleries(findings: GeneratorFindings, n_images: int) -> list[dict[str, Any]]:
    images = findings.predictions.images
    if images is None:
        return []
    found = findings.predictions
    given = found.y_generated if found.y_asked is None else found.y_asked
    labels = None if given is None else np.asarray(given)

    def classes_of(row: int) -> list[Any]:
        return [] if labels is None else [labels[row]]

    first = [
        _shown(images[row], row, [Said(label) for label in classes_of(row)], classes_of(row))
        for row in range(min(n_images, len(images)))
    ]
    galleries = [{"title": "Generated", "hint": "The first ones: they are not selected.", "images": first}]
    if findings.copies is not None:
        nearest = findings.copies.head(n_images)
        shown = []
        for row, distance, is_copy in zip(nearest["generated"], nearest["distance"], nearest["is_copy"], strict=True):
            said = Said("copy?" if is_copy else "distance", number=f"{distance:.3g}")
            shown.append(_shown(images[row], row, [said], classes_of(row)))
        hint = "The distance to the nearest image of the training set, in features."
        galleries.append({"title": "Nearest to the training set", "hint": hint, "images": shown})
    return galleries


def _shown(image: np.ndarray, row: int, lines: list[Said], classes: list[Any]) -> Shown:
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=-1)
    times = -(-_SIDE // min(image.shape[:2]))
    pixels = image.repeat(times, axis=0).repeat(times, axis=1)
    height, width = pixels.shape[:2]
    thumbnail = {"row": row, "path": None, "reason": None, "width": width, "height": height}
    return Shown({**thumbnail, "data_uri": data_uri(pixels)}, "A generated image", lines, classes)
