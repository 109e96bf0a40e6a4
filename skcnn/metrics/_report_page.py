"""What the HTML page of a report shows, and in which words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skcnn.metrics._confusion import MAX_LABELLED
from skcnn.metrics._curves import singled_out
from skcnn.metrics._page import render
from skcnn.metrics._svg import inline_svg
from skcnn.metrics._text import counted, figure_text

if TYPE_CHECKING:
    from skcnn.metrics._curves import OneVsRestPrecisionRecallDisplay, OneVsRestRocDisplay
    from skcnn.metrics._report import ClassifierReport

_TABLE_FOLDED_ABOVE = 20
_WEAKEST_SHOWN = 10
_WIDE = 4.3
"""Width of a picture in inches: its letters of 9 points are read on a telephone 390 pixels wide as they are."""


def render_report(report: ClassifierReport, *, n_pictures: int) -> str:
    """Return the HTML of a report."""
    displays = report.curve_displays()
    table = report.classification_frame
    weakest = table.sort_values("f1", kind="stable").head(_WEAKEST_SHOWN)
    frame = report.frame()
    content: dict[str, Any] = {
        "headline": [(report.headline_labels[row.Index], row) for row in frame.itertuples()],
        "notes": report._notes_on(frame),
        "counts": "Samples" if report.sample_weight is None else "Weight",
        "confusions": _confusion_pictures(report),
        "pairs": list(report.most_confused().itertuples(index=False)),
        "galleries": _galleries(report, n_pictures) if n_pictures else [],
        "curves": [_curve_picture(*pair) for pair in zip(displays, singled_out(displays), strict=True)],
        **_probabilities(report),
        "weakest": list(weakest.itertuples()) if len(table) > _TABLE_FOLDED_ABOVE else [],
        "every_class": list(table.itertuples()),
    }
    sections = {
        "mistakes": "What is taken for what",
        "pictures": "Pictures" if content["galleries"] else "",
        "curves": "Curves" if content["curves"] else "",
        "probabilities": "Probabilities" if content["reliability"] else "Scores" if content["top_k"] else "",
        "classes": "Class by class",
        "made": "How it was made",
    }
    sections = {anchor: heading for anchor, heading in sections.items() if heading}
    return render("report.html", classes=report.classes, report=report, sections=sections, **content)


def _curve_picture(display: OneVsRestRocDisplay | OneVsRestPrecisionRecallDisplay, chosen: list[Any]) -> dict[str, Any]:
    is_roc = display.areas.name == "roc_auc"
    title = "ROC curves" if is_roc else "Precision-recall curves"
    n_defined = int(display.areas.count())
    n_rest = n_defined - len(chosen)
    in_colour = f" In colour: the {len(chosen)} classes of lowest average precision." if n_rest else ""
    measure = "ROC AUC" if is_roc else "average precision"
    legend = [{"color": "ink", "label": "mean of classes", "value": display.areas.mean()}] if n_defined > 2 else []
    for number, label in enumerate(chosen):
        legend.append({"color": f"series-{number}", "label": label, "value": display.areas[label]})
    if n_rest:
        legend.append({"color": "rest", "label": f"other {counted(n_rest, 'class')}", "value": None})
    return {
        "title": title,
        "svg": inline_svg(lambda ax: display.plot(ax, classes=chosen, legend=False), (_WIDE, _WIDE), title),
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
            "svg": inline_svg(lambda ax: display.plot(ax, legend=False), (_WIDE, _WIDE), "Reliability diagram"),
            "caption": "On the dashed line, what is given a probability happens that often; below it, less often. A "
            "dot is a bin of probabilities, its area the share of the samples in it. Expected calibration error "
            f"{figure_text(together['ece'])}, Brier score {figure_text(together['brier'])}.",
            "legend": [],
        }
        content["calibration"] = list(display.calibration.iloc[1:].itertuples())
    return content


def _confusion_pictures(report: ClassifierReport) -> list[dict[str, Any]]:
    display = report.confusion_display()
    n_classes = len(report.classes)
    whole = {
        "title": f"All {counted(n_classes, 'class')}",
        "caption": "Rows are true classes, columns predicted ones, in the order of the table below.",
        "svg": inline_svg(display.plot, (_WIDE, _WIDE), "Confusion matrix of all classes"),
        "legend": [],
    }
    chosen = display.most_confused_classes() if n_classes > MAX_LABELLED else []
    if not chosen:
        return [whole]
    part = {
        "title": f"The {len(chosen)} most confused",
        "caption": "The classes of the commonest mistakes; colours are shares of all samples of a row's class.",
        "svg": inline_svg(
            lambda ax: display.plot(ax, classes=chosen), (_WIDE, _WIDE), "Confusion matrix of the most confused classes"
        ),
        "legend": [],
    }
    return [whole, part]


def _galleries(report: ClassifierReport, n_pictures: int) -> list[dict[str, Any]]:
    headings = {
        "worst_errors": ("The worst errors", "Predicted wrong, with the largest lead over the true class first."),
        "confident_right": ("Right, and surest of it", "Predicted right, the highest score first."),
    }
    galleries = []
    for display in report.picture_displays(n_pictures):
        title, hint = headings[display.kind]
        pictures = list(display.thumbnails().itertuples(index=False))
        if pictures:
            galleries.append({"title": title, "hint": hint, "pictures": pictures})
    return galleries
