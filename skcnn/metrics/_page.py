"""The HTML page of a report: one file that loads nothing and runs nothing."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skcnn.metrics._confusion import MAX_LABELLED
from skcnn.metrics._curves import singled_out
from skcnn.metrics._svg import inline_svg
from skcnn.metrics._text import count_text, counted, figure_text, label_text

if TYPE_CHECKING:
    from skcnn.metrics._curves import OneVsRestPrecisionRecallDisplay, OneVsRestRocDisplay
    from skcnn.metrics._report import ClassifierReport

_TABLE_FOLDED_ABOVE = 20
_WEAKEST_SHOWN = 10
_WIDE = 4.3
"""Width of a picture in inches: its letters of 9 points are read on a telephone 390 pixels wide as they are."""


def render_page(report: ClassifierReport) -> str:
    """Return the HTML of a report."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("skcnn.metrics", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(figure=figure_text, count=count_text, label=label_text, counted=counted)
    displays = report.curve_displays()
    table = report.classification_frame
    weakest = table.sort_values("f1", kind="stable").head(_WEAKEST_SHOWN)
    return environment.get_template("report.html").render(
        report=report,
        counts="Samples" if report.sample_weight is None else "Weight",
        curves=[_curve_picture(*pair) for pair in zip(displays, singled_out(displays), strict=True)],
        confusions=_confusion_pictures(report),
        pairs=list(report.most_confused().itertuples(index=False)),
        weakest=list(weakest.itertuples()) if len(table) > _TABLE_FOLDED_ABOVE else [],
        every_class=list(table.itertuples()),
    )


def write_page(path: str | os.PathLike[str], page: str) -> Path:
    """Write a page so that the file is, at any moment, the old one or the whole new one."""
    target = Path(os.path.realpath(path))  # A link is written through, not replaced.
    if not target.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {str(target.parent)!r} for {target.name!r}; make it first.")
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with open(beside, "x", encoding="utf-8", newline="\n") as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)
    return Path(path)


def _curve_picture(display: OneVsRestRocDisplay | OneVsRestPrecisionRecallDisplay, chosen: list[Any]) -> dict[str, Any]:
    is_roc = display.areas.name == "roc_auc"
    title = "ROC curves" if is_roc else "Precision-recall curves"
    n_defined = int(display.areas.count())
    n_rest = n_defined - len(chosen)
    in_colour = f" In colour: the {len(chosen)} classes of lowest average precision." if n_rest else ""
    measure = "ROC AUC" if is_roc else "average precision"
    return {
        "title": title,
        "svg": inline_svg(lambda ax: display.plot(ax, classes=chosen, legend=False), (_WIDE, _WIDE), title),
        "caption": f"Each class against the rest; numbers are {measure}.{in_colour}",
        "legend": [(label, display.areas[label]) for label in chosen],
        "mean": display.areas.mean() if n_defined > 2 else None,
        "n_rest": n_rest,
    }


def _confusion_pictures(report: ClassifierReport) -> list[dict[str, Any]]:
    display = report.confusion_display()
    n_classes = len(report.classes)
    whole = {
        "title": f"All {counted(n_classes, 'class')}",
        "caption": "Rows are true classes, columns predicted ones, in the order of the table below.",
        "svg": inline_svg(display.plot, (_WIDE, _WIDE), "Confusion matrix of all classes"),
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
    }
    return [whole, part]
