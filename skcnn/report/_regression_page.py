"""The content of the HTML page of a regressor's report."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from skcnn._text import label_text, number_text, signed_number_text
from skcnn.report._regression_displays import MOST_DOTS, draw_dots
from skcnn.report._report_page import Said, Shown, render_report
from skcnn.report._svg import WIDTH, inline_svg

if TYPE_CHECKING:
    import pandas as pd

    from skcnn.report._regression_displays import RegressionDisplays
    from skcnn.report._regression_findings import RegressionFindings


_DOTS: tuple[tuple[str, Literal["actual_vs_predicted", "residual_vs_predicted"], str], ...] = (
    ("Predicted against true", "actual_vs_predicted", "on the dashed line, predictions are exact"),
    ("Residuals", "residual_vs_predicted", "below the dashed line, predictions are too high"),
)
"""Title, kind and caption of the images that have a dot per sample."""


class Compared(NamedTuple):
    """An error of the model beside that of the mean."""

    label: str
    value: float
    baseline: float


def render_regression_report(
    findings: RegressionFindings, displays: RegressionDisplays, frame: pd.DataFrame, *, n_images: int
) -> str:
    """Return the HTML of a report; ``frame`` has its metrics with their intervals."""
    galleries = _galleries(findings, displays, n_images) if n_images else []
    sections = {
        "predictions": "Predictions",
        "images": "Images" if galleries else "",
        "targets": "Target by target" if findings.predictions.n_targets > 1 else "",
    }
    return render_report(
        findings,
        frame,
        "regression.html",
        sections,
        images=regression_images(findings, displays),
        n_drawn=len(findings.shown_targets),
        n_left_out=findings.predictions.n_targets - len(findings.shown_targets),
        compared=compared_with_mean(findings),
        galleries=galleries,
        every_target=list(findings.target_frame.itertuples()),
    )


def compared_with_mean(findings: RegressionFindings) -> list[Compared]:
    """Return the errors beside those of predictions that are always the mean."""
    table, labels = findings.headline_frame, findings.headline_labels
    errors = [metric for metric in labels if metric not in ("r2", "bias")]
    return [Compared(labels[metric], *table.loc[metric, ["value", "baseline"]]) for metric in errors]


def regression_images(
    findings: RegressionFindings, displays: RegressionDisplays, *, scope: str = ""
) -> list[dict[str, Any]]:
    """Return the content of the images of the targets that are drawn; ``scope`` is that of :func:`inline_svg`.

    Of one target: predicted against true numbers, the residuals and their distribution; of several: the first two of
    each.
    """
    names = findings.shown_targets
    images = []
    for name in names:
        before = f"{label_text(name, 40)}: " if findings.predictions.n_targets > 1 else ""
        display = displays.prediction_error_display(name)
        for title, kind, caption in _DOTS:
            images.append(
                {
                    "title": before + (title.lower() if before else title),
                    "svg": inline_svg(
                        partial(draw_dots, display, kind=kind),
                        (WIDTH, WIDTH),
                        f"{title}, {label_text(name)}",
                        scope=scope,
                    ),
                    "caption": f"{_dots(findings)}; {caption}.",
                    "legend": [],
                }
            )
    if len(names) == 1:
        images.append(
            {
                "title": "Distribution of the residuals",
                "svg": inline_svg(
                    displays.residual_display(names[0]).plot,
                    (WIDTH, 3.4),
                    f"Distribution of the residuals, {label_text(names[0])}",
                    scope=scope,
                ),
                "caption": "Bars far outside are few samples with large errors.",
                "legend": [],
            }
        )
    return images


def _dots(findings: RegressionFindings) -> str:
    n_samples = findings.n_samples
    return "A dot per sample" if n_samples <= MOST_DOTS else f"{MOST_DOTS:,} of {n_samples:,} samples, drawn at random"


def _galleries(findings: RegressionFindings, displays: RegressionDisplays, n_images: int) -> list[dict[str, Any]]:
    several = findings.predictions.n_targets > 1
    hint = "The largest errors first. The number at the right is predicted minus true."
    if several:
        hint = "The largest errors first, in standard deviations of the target. " + hint.partition(". ")[2]
    galleries = []
    for display in displays.image_displays(n_images):
        images = [_shown(image, several) for image in display.thumbnails().itertuples(index=False)]
        if images:
            galleries.append({"title": "Worst errors", "hint": hint, "images": images})
    return galleries


def _shown(image: Any, several: bool) -> Shown:
    predicted, true = number_text(image.predicted), number_text(image.true)
    lines = [Said(image.target)] if several else []
    lines.append(Said(predicted, number=signed_number_text(image.error), look="wrong"))
    lines.append(Said(true, before="true: "))
    return Shown(image, f"{label_text(image.target)}: predicted {predicted}, true {true}", lines)
