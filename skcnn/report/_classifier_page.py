"""The content of the HTML page of a classifier's report."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skcnn._text import counted, label_text, metric_text
from skcnn.metrics.parts import (
    MAX_LABELLED,
    METRIC_LABELS,
    operating_point_of,
    singled_out,
    threshold_table_of,
)
from skcnn.report._report_page import Said, Shown, render_report
from skcnn.report._svg import WIDTH, inline_svg

if TYPE_CHECKING:
    from skcnn.metrics import OneVsRestPrecisionRecallDisplay, OneVsRestRocDisplay
    from skcnn.report._classifier_displays import ClassifierDisplays
    from skcnn.report._classifier_findings import ClassifierFindings

_TABLE_FOLDED_ABOVE = 20
_WEAKEST_SHOWN = 10
_DEMANDS = (
    *(("recall \u2265", "min_recall", value) for value in (0.5, 0.8, 0.9, 0.95, 0.99)),
    ("FPR \u2264", "max_fpr", 0.01),
    ("precision \u2265", "min_precision", 0.95),
)
_CURVES_OF_THRESHOLDS = ("tpr", "fpr", "ppv", "f1")
_MAX_CHOICES = 500
"""Thresholds that can be chosen on the page: a slider on a telephone has fewer places, and they take 20 kB."""


def render_classifier_report(
    findings: ClassifierFindings, displays: ClassifierDisplays, frame: pd.DataFrame, *, n_images: int
) -> str:
    """Return the HTML of a report; ``frame`` has its metrics with their intervals."""
    curves = displays.curve_displays()
    table = findings.classification_frame
    weakest = weakest_of(table)
    content: dict[str, Any] = {
        "counts": "Samples" if findings.sample_weight is None else "Weight",
        "confusions": confusion_images(findings, displays),
        "pairs": list(findings.most_confused().itertuples(index=False)),
        "galleries": _galleries(displays, n_images) if n_images else [],
        "curves": [curve_image(*pair) for pair in zip(curves, singled_out(curves), strict=True)],
        **_probabilities(findings, displays),
        "thresholds": _thresholds(findings, displays),
        "distances": _distances(findings),
        "weakest": list(weakest.itertuples()) if len(weakest) < len(table) else [],
        "every_class": list(table.itertuples()),
    }
    sections = {
        "mistakes": "Confusion matrix",
        "images": "Images" if content["galleries"] else "",
        "curves": "Curves" if content["curves"] else "",
        "probabilities": "Probabilities" if content["reliability"] else "Scores" if content["top_k"] else "",
        "thresholds": "Thresholds" if content["thresholds"] else "",
        "distances": "Distance to the training set" if content["distances"] else "",
        "classes": "Class by class",
    }
    return render_report(findings, frame, "classifier.html", sections, classes=findings.classes.tolist(), **content)


def weakest_of(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table of the classes, or the part of lowest recall of one that is too long to read at once."""
    if len(table) <= _TABLE_FOLDED_ABOVE:
        return table
    return table.sort_values("recall", kind="stable").head(_WEAKEST_SHOWN)


def curve_image(
    display: OneVsRestRocDisplay | OneVsRestPrecisionRecallDisplay, chosen: list[Any], *, scope: str = ""
) -> dict[str, Any]:
    """Return the content of the image of a curve; ``scope`` is that of :func:`inline_svg`."""
    is_roc = display.areas.name == "roc_auc"
    title = "ROC curves" if is_roc else "Precision-recall curves"
    n_defined = int(display.areas.count())
    n_rest = n_defined - len(chosen) if display.has_all_curves else 0
    weakest = f"the {len(chosen)} classes of lowest average precision"
    in_colour = f" In colour: {weakest}." if n_rest else ""
    if not display.has_all_curves:
        in_colour = f" Drawn are {weakest}, of {n_defined:,} classes."
    measure = "ROC AUC" if is_roc else "average precision"
    legend: list[dict[str, Any]] = []
    if n_defined > 2 and display.has_all_curves:
        legend.append({"color": "ink", "label": "macro average", "value": display.areas.mean()})
        legend.append({"color": "ink", "label": "micro average", "value": display.micro_area, "line": "dotted"})
    for number, label in enumerate(chosen):
        legend.append({"color": f"series-{number}", "label": label, "value": display.areas[label]})
    if n_rest:
        legend.append({"color": "rest", "label": f"other {counted(n_rest, 'class')}", "value": None})
    return {
        "title": title,
        "svg": inline_svg(
            lambda ax: display.plot(ax, classes=chosen, legend=False), (WIDTH, WIDTH), title, scope=scope
        ),
        "caption": f"Each class against the rest; numbers are {measure}.{in_colour}",
        "legend": legend,
    }


def _probabilities(findings: ClassifierFindings, displays: ClassifierDisplays) -> dict[str, Any]:
    """Return the content of the section on probabilities or scores."""
    content: dict[str, Any] = {"reliability": None, "calibration": [], "top_k": []}
    if findings.top_k_frame is not None and len(findings.classes) > 2:
        content["top_k"] = list(findings.top_k_frame.itertuples())
    display = displays.reliability_display()
    if display is not None:
        together = display.calibration.iloc[0]
        content["reliability"] = {
            "title": "Reliability",
            "svg": inline_svg(lambda ax: display.plot(ax, legend=False), (WIDTH, WIDTH), "Reliability diagram"),
            "caption": "Predicted probabilities match observed frequencies on the dashed line; below it, the "
            "classifier is overconfident. Expected calibration error "
            f"{metric_text(together['ece'])}, Brier score {metric_text(together['brier'])}.",
            "legend": [],
        }
        content["calibration"] = list(display.calibration.iloc[1:].itertuples())
    return content


def _distances(findings: ClassifierFindings) -> dict[str, Any] | None:
    """Return the content of the section on the distances to the training set."""
    distances = findings.distances
    if distances is None:
        return None
    return {
        "rows": list(distances.frame.itertuples()),
        "sentence": distances.sentence,
        "image": {
            "title": "Distances of these images",
            "svg": inline_svg(distances.plot, (WIDTH, 3.4), "Distances to the training set"),
            "caption": "Root mean square of the standardised features of an image. The line is what images like those "
            "of the training set would give.",
            "legend": [
                {"color": "series-0", "label": "these images", "value": None},
                {"color": "series-1", "label": "training set", "value": None},
            ],
        },
    }


def _thresholds(findings: ClassifierFindings, displays: ClassifierDisplays) -> dict[str, Any] | None:
    """Return the content of the section on thresholds, for two classes: operating points, and a table of thresholds."""
    display = displays.threshold_display()
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
    choices = _choices(table, [point["threshold"] for _, point in points if point is not None])
    usual = 0.5 if findings.predictions.is_probability else 0.0
    legend = [
        {"color": f"series-{number}", "label": METRIC_LABELS[metric], "value": None}
        for number, metric in enumerate(_CURVES_OF_THRESHOLDS)
    ]
    return {
        "positive": findings.classes[1],
        "negative": findings.classes[0],
        "points": points,
        "choices": {
            "points": json.dumps(choices[["threshold", "tp", "fp"]].to_numpy().tolist()),
            "positives": float(table["tp"].iloc[-1]),
            "negatives": float(table["fp"].iloc[-1]),
            "last": len(choices) - 1,
            # The lowest threshold at which the same samples are predicted positive as usual.
            "start": min(int((choices["threshold"] < usual).sum()), len(choices) - 1),
        },
        "rows": list(threshold_table_of(findings.predictions, 1, _even_thresholds(findings)).itertuples()),
        "image": {
            "title": "Metrics by threshold",
            "svg": inline_svg(
                lambda ax: display.plot(ax, metrics=_CURVES_OF_THRESHOLDS, legend=False),
                (WIDTH, 3.4),
                "Threshold curves",
            ),
            "caption": "Precision is undefined at thresholds above the highest score.",
            "legend": legend,
        },
    }


def _choices(table: pd.DataFrame, wanted: list[float]) -> pd.DataFrame:
    """Return the finite thresholds of a table from low to high, thinned evenly where there are many to choose from."""
    rows = table[np.isfinite(table["threshold"])].sort_values("threshold", kind="stable")
    if len(rows) <= _MAX_CHOICES:
        return rows
    even = np.linspace(0, len(rows) - 1, _MAX_CHOICES - len(wanted)).round().astype(int)
    kept = np.union1d(even, np.flatnonzero(rows["threshold"].isin(wanted)))
    return rows.iloc[kept]


def _even_thresholds(findings: ClassifierFindings) -> np.ndarray:
    """Return 19 thresholds from low to high: of probabilities every 0.05, of other scores every twentieth quantile."""
    steps = np.arange(1, 20) / 20
    assert findings.predictions.score is not None  # Else there was no Display.
    return steps if findings.predictions.is_probability else np.quantile(findings.predictions.score[:, 1], steps)


def confusion_images(
    findings: ClassifierFindings, displays: ClassifierDisplays, *, scope: str = ""
) -> list[dict[str, Any]]:
    """Return the content of the images of the confusion matrix: of all classes, of the most confused ones, or both.

    ``scope`` is that of :func:`inline_svg`.
    """
    display = displays.confusion_display()
    n_classes = len(display.confusion)
    if n_classes < len(findings.classes):
        part = {
            "title": f"The {n_classes} most confused of {counted(len(findings.classes), 'class')}",
            "caption": "Rows are true classes, columns predicted ones; colours are fractions of all samples of a row's "
            "class.",
            "svg": inline_svg(
                display.plot, (WIDTH, WIDTH), "Confusion matrix of the most confused classes", scope=scope
            ),
            "legend": [],
        }
        return [part]
    whole = {
        "title": f"All {counted(n_classes, 'class')}",
        "caption": "Rows are true classes, columns predicted ones, in the order of the table below.",
        "svg": inline_svg(display.plot, (WIDTH, WIDTH), "Confusion matrix of all classes", scope=scope),
        "legend": [],
    }
    chosen = display.most_confused_classes() if n_classes > MAX_LABELLED else []
    if not chosen:
        return [whole]
    part = {
        "title": f"The {len(chosen)} most confused classes",
        "caption": "Colours are fractions of all samples of a row's class.",
        "svg": inline_svg(
            lambda ax: display.plot(ax, classes=chosen),
            (WIDTH, WIDTH),
            "Confusion matrix of the most confused classes",
            scope=scope,
        ),
        "legend": [],
    }
    return [whole, part]


def _galleries(displays: ClassifierDisplays, n_images: int) -> list[dict[str, Any]]:
    headings = {
        "worst_errors": ("Worst errors", "Wrong predictions, those with the largest lead over the true class first."),
        "confident_right": ("Most confident correct predictions", "The highest score first."),
    }
    galleries = []
    for display in displays.image_displays(n_images):
        title, hint = headings[display.kind]
        images = [shown_image(image) for image in display.thumbnails().itertuples(index=False)]
        if images:
            galleries.append({"title": title, "hint": hint, "images": images})
    return galleries


def shown_image(image: Any) -> Shown:
    """Return an image of a page with its predicted and, where that is wrong, its true class."""
    is_right = image.true == image.predicted
    numbers = ["" if np.isnan(score) else metric_text(score) for score in (image.predicted_score, image.true_score)]
    lines = [Said(image.predicted, number=numbers[0], look="right" if is_right else "wrong")]
    alt = label_text(image.predicted)
    if not is_right:
        lines.append(Said(image.true, before="true: ", number=numbers[1]))
        alt += f", true class {label_text(image.true)}"
    return Shown(image, alt, lines, classes=(image.true, image.predicted))
