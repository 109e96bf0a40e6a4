"""What the HTML page of a report shows, and in which words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skcnn._text import counted
from skcnn.metrics._confusion_display import MAX_LABELLED
from skcnn.metrics._curves import singled_out
from skcnn.metrics._page import render
from skcnn.metrics._resampling import CONFIDENCE_LEVEL, N_RESAMPLES
from skcnn.metrics._svg import WIDTH, inline_svg
from skcnn.metrics._text import figure_text, percent_text
from skcnn.metrics._threshold_display import METRIC_LABELS
from skcnn.metrics._thresholds import operating_point_of, threshold_table_of

if TYPE_CHECKING:
    from skcnn.metrics._curves import OneVsRestPrecisionRecallDisplay, OneVsRestRocDisplay
    from skcnn.metrics._report import ClassifierReport

_TABLE_FOLDED_ABOVE = 20
_WEAKEST_SHOWN = 10
_DEMANDS = (
    ("recall \u2265", "min_recall", 0.95),
    ("FPR \u2264", "max_fpr", 0.01),
    ("precision \u2265", "min_precision", 0.95),
)
_CURVES_OF_THRESHOLDS = ("tpr", "fpr", "ppv", "f1")


def render_report(report: ClassifierReport, *, n_images: int) -> str:
    """Return the HTML of a report."""
    displays = report.curve_displays()
    table = report.classification_frame
    weakest = table.sort_values("f1", kind="stable").head(_WEAKEST_SHOWN)
    frame = report.frame()
    content: dict[str, Any] = {
        "headline": [(report.headline_labels[row.Index], row) for row in frame.itertuples()],
        "level": percent_text(CONFIDENCE_LEVEL),
        "n_resamples": N_RESAMPLES,
        "notes": report._notes_on(frame),
        "counts": "Samples" if report.sample_weight is None else "Weight",
        "confusions": _confusion_images(report),
        "pairs": list(report.most_confused().itertuples(index=False)),
        "galleries": _galleries(report, n_images) if n_images else [],
        "curves": [_curve_image(*pair) for pair in zip(displays, singled_out(displays), strict=True)],
        **_probabilities(report),
        "thresholds": _thresholds(report),
        "weakest": list(weakest.itertuples()) if len(table) > _TABLE_FOLDED_ABOVE else [],
        "every_class": list(table.itertuples()),
    }
    sections = {
        "mistakes": "What is taken for what",
        "images": "Images" if content["galleries"] else "",
        "curves": "Curves" if content["curves"] else "",
        "probabilities": "Probabilities" if content["reliability"] else "Scores" if content["top_k"] else "",
        "thresholds": "Thresholds" if content["thresholds"] else "",
        "classes": "Class by class",
        "made": "How it was made",
    }
    sections = {anchor: heading for anchor, heading in sections.items() if heading}
    return render("report.html", classes=report.classes, report=report, sections=sections, **content)


def _curve_image(display: OneVsRestRocDisplay | OneVsRestPrecisionRecallDisplay, chosen: list[Any]) -> dict[str, Any]:
    is_roc = display.areas.name == "roc_auc"
    title = "ROC curves" if is_roc else "Precision-recall curves"
    n_defined = int(display.areas.count())
    n_rest = n_defined - len(chosen)
    in_colour = f" In colour: the {len(chosen)} classes of lowest average precision." if n_rest else ""
    measure = "ROC AUC" if is_roc else "average precision"
    legend: list[dict[str, Any]] = []
    if n_defined > 2:
        legend.append({"color": "ink", "label": "macro average", "value": display.areas.mean()})
        legend.append({"color": "ink", "label": "micro average", "value": display.micro_area, "line": "dotted"})
    for number, label in enumerate(chosen):
        legend.append({"color": f"series-{number}", "label": label, "value": display.areas[label]})
    if n_rest:
        legend.append({"color": "rest", "label": f"other {counted(n_rest, 'class')}", "value": None})
    return {
        "title": title,
        "svg": inline_svg(lambda ax: display.plot(ax, classes=chosen, legend=False), (WIDTH, WIDTH), title),
        "caption": f"Each class against the rest; numbers are {measure}.{in_colour}",
        "legend": legend,
    }


def _probabilities(report: ClassifierReport) -> dict[str, Any]:
    """Return what the page shows of the scores as such."""
    content: dict[str, Any] = {"reliability": None, "calibration": [], "top_k": []}
    if report.top_k_frame is not None and len(report.classes) > 2:
        content["top_k"] = list(report.top_k_frame.itertuples())
    display = report.reliability_display()
    if display is not None:
        together = display.calibration.iloc[0]
        content["reliability"] = {
            "title": "Reliability",
            "svg": inline_svg(lambda ax: display.plot(ax, legend=False), (WIDTH, WIDTH), "Reliability diagram"),
            "caption": "On the dashed line, what is given a probability happens that often; below it, less often: "
            "the classifier is too sure. Expected calibration error "
            f"{figure_text(together['ece'])}, Brier score {figure_text(together['brier'])}.",
            "legend": [],
        }
        content["calibration"] = list(display.calibration.iloc[1:].itertuples())
    return content


def _thresholds(report: ClassifierReport) -> dict[str, Any] | None:
    """Return what the page shows of a task of two classes: a threshold for each demand, and what others would bring."""
    display = report.threshold_display()
    if display is None:
        return None
    table = display.frame()
    points = []
    for figure, parameter, value in _DEMANDS:
        demand = f"{figure} {value}"
        try:
            points.append((demand, operating_point_of(table, **{parameter: value})))
        except ValueError:  # No threshold meets it.
            points.append((demand, None))
    legend = [
        {"color": f"series-{number}", "label": METRIC_LABELS[metric], "value": None}
        for number, metric in enumerate(_CURVES_OF_THRESHOLDS)
    ]
    return {
        "positive": report.classes[1],
        "points": points,
        "rows": list(threshold_table_of(report._predictions, 1, _even_thresholds(report)).itertuples()),
        "image": {
            "title": "What a threshold brings",
            "svg": inline_svg(
                lambda ax: display.plot(ax, metrics=_CURVES_OF_THRESHOLDS, legend=False),
                (WIDTH, 3.4),
                "Threshold curves",
            ),
            "caption": "Where no sample has a score at or above a threshold, precision is not defined.",
            "legend": legend,
        },
    }


def _even_thresholds(report: ClassifierReport) -> np.ndarray:
    """Return 19 thresholds from low to high: of probabilities every 0.05, of other scores every twentieth quantile."""
    steps = np.arange(1, 20) / 20
    assert report._predictions.score is not None  # Else there was no Display.
    return steps if report._predictions.is_probability else np.quantile(report._predictions.score[:, 1], steps)


def _confusion_images(report: ClassifierReport) -> list[dict[str, Any]]:
    display = report.confusion_display()
    n_classes = len(report.classes)
    whole = {
        "title": f"All {counted(n_classes, 'class')}",
        "caption": "Rows are true classes, columns predicted ones, in the order of the table below.",
        "svg": inline_svg(display.plot, (WIDTH, WIDTH), "Confusion matrix of all classes"),
        "legend": [],
    }
    chosen = display.most_confused_classes() if n_classes > MAX_LABELLED else []
    if not chosen:
        return [whole]
    part = {
        "title": f"The {len(chosen)} most confused",
        "caption": "The classes of the commonest mistakes; colours are shares of all samples of a row's class.",
        "svg": inline_svg(
            lambda ax: display.plot(ax, classes=chosen), (WIDTH, WIDTH), "Confusion matrix of the most confused classes"
        ),
        "legend": [],
    }
    return [whole, part]


def _galleries(report: ClassifierReport, n_images: int) -> list[dict[str, Any]]:
    headings = {
        "worst_errors": ("The worst errors", "Predicted wrong, with the largest lead over the true class first."),
        "confident_right": ("Right, and surest of it", "Predicted right, the highest score first."),
    }
    galleries = []
    for display in report.image_displays(n_images):
        title, hint = headings[display.kind]
        images = list(display.thumbnails().itertuples(index=False))
        if images:
            galleries.append({"title": title, "hint": hint, "images": images})
    return galleries
