"""The content of the HTML page of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skcnn._text import counted, metric_text, percent_text
from skcnn.metrics.parts import (
    CONFIDENCE_LEVEL,
    MAX_LABELLED,
    METRIC_LABELS,
    N_RESAMPLES,
    operating_point_of,
    singled_out,
    threshold_table_of,
)
from skcnn.report._page import render
from skcnn.report._report_text import summary_of
from skcnn.report._svg import WIDTH, inline_svg

if TYPE_CHECKING:
    from skcnn.metrics import OneVsRestPrecisionRecallDisplay, OneVsRestRocDisplay
    from skcnn.report._displays import ReportDisplays
    from skcnn.report._findings import Findings

_TABLE_FOLDED_ABOVE = 20
_WEAKEST_SHOWN = 10
_DEMANDS = (
    ("recall \u2265", "min_recall", 0.95),
    ("FPR \u2264", "max_fpr", 0.01),
    ("precision \u2265", "min_precision", 0.95),
)
_CURVES_OF_THRESHOLDS = ("tpr", "fpr", "ppv", "f1")


def render_report(findings: Findings, displays: ReportDisplays, frame: pd.DataFrame, *, n_images: int) -> str:
    """Return the HTML of a report; ``frame`` has its metrics with their intervals."""
    curves = displays.curve_displays()
    table = findings.classification_frame
    weakest = table.sort_values("f1", kind="stable").head(_WEAKEST_SHOWN)
    content: dict[str, Any] = {
        "headline": [(findings.headline_labels[row.Index], row) for row in frame.itertuples()],
        "level": percent_text(CONFIDENCE_LEVEL),
        "n_resamples": N_RESAMPLES,
        "notes": findings.notes_on(frame),
        "counts": "Samples" if findings.sample_weight is None else "Weight",
        "confusions": _confusion_images(findings, displays),
        "pairs": list(findings.most_confused().itertuples(index=False)),
        "galleries": _galleries(displays, n_images) if n_images else [],
        "curves": [_curve_image(*pair) for pair in zip(curves, singled_out(curves), strict=True)],
        **_probabilities(findings, displays),
        "thresholds": _thresholds(findings, displays),
        "weakest": list(weakest.itertuples()) if len(table) > _TABLE_FOLDED_ABOVE else [],
        "every_class": list(table.itertuples()),
    }
    sections = {
        "mistakes": "Confusion matrix",
        "images": "Images" if content["galleries"] else "",
        "curves": "Curves" if content["curves"] else "",
        "probabilities": "Probabilities" if content["reliability"] else "Scores" if content["top_k"] else "",
        "thresholds": "Thresholds" if content["thresholds"] else "",
        "classes": "Class by class",
        "made": "Provenance",
    }
    sections = {anchor: heading for anchor, heading in sections.items() if heading}
    return render(
        "report.html",
        classes=findings.classes,
        report=findings,
        summary=summary_of(findings),
        sections=sections,
        **content,
    )


def _curve_image(display: OneVsRestRocDisplay | OneVsRestPrecisionRecallDisplay, chosen: list[Any]) -> dict[str, Any]:
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
        "svg": inline_svg(lambda ax: display.plot(ax, classes=chosen, legend=False), (WIDTH, WIDTH), title),
        "caption": f"Each class against the rest; numbers are {measure}.{in_colour}",
        "legend": legend,
    }


def _probabilities(findings: Findings, displays: ReportDisplays) -> dict[str, Any]:
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


def _thresholds(findings: Findings, displays: ReportDisplays) -> dict[str, Any] | None:
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
    legend = [
        {"color": f"series-{number}", "label": METRIC_LABELS[metric], "value": None}
        for number, metric in enumerate(_CURVES_OF_THRESHOLDS)
    ]
    return {
        "positive": findings.classes[1],
        "points": points,
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


def _even_thresholds(findings: Findings) -> np.ndarray:
    """Return 19 thresholds from low to high: of probabilities every 0.05, of other scores every twentieth quantile."""
    steps = np.arange(1, 20) / 20
    assert findings.predictions.score is not None  # Else there was no Display.
    return steps if findings.predictions.is_probability else np.quantile(findings.predictions.score[:, 1], steps)


def _confusion_images(findings: Findings, displays: ReportDisplays) -> list[dict[str, Any]]:
    display = displays.confusion_display()
    n_classes = len(display.confusion)
    if n_classes < len(findings.classes):
        part = {
            "title": f"The {n_classes} most confused of {counted(len(findings.classes), 'class')}",
            "caption": "Rows are true classes, columns predicted ones; colours are fractions of all samples of a row's "
            "class.",
            "svg": inline_svg(display.plot, (WIDTH, WIDTH), "Confusion matrix of the most confused classes"),
            "legend": [],
        }
        return [part]
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
        "title": f"The {len(chosen)} most confused classes",
        "caption": "Colours are fractions of all samples of a row's class.",
        "svg": inline_svg(
            lambda ax: display.plot(ax, classes=chosen), (WIDTH, WIDTH), "Confusion matrix of the most confused classes"
        ),
        "legend": [],
    }
    return [whole, part]


def _galleries(displays: ReportDisplays, n_images: int) -> list[dict[str, Any]]:
    headings = {
        "worst_errors": ("Worst errors", "Wrong predictions, those with the largest lead over the true class first."),
        "confident_right": ("Most confident correct predictions", "The highest score first."),
    }
    galleries = []
    for display in displays.image_displays(n_images):
        title, hint = headings[display.kind]
        images = list(display.thumbnails().itertuples(index=False))
        if images:
            galleries.append({"title": title, "hint": hint, "images": images})
    return galleries
