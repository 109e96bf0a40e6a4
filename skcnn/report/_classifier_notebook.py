"""A classifier's report as a notebook shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skcnn.metrics.parts import singled_out
from skcnn.report._classifier_page import confusion_images, curve_image, weakest_of
from skcnn.report._report_page import render_for_notebook, scope_of

if TYPE_CHECKING:
    import pandas as pd

    from skcnn.report._classifier_displays import ClassifierDisplays
    from skcnn.report._classifier_findings import ClassifierFindings

_PAIRS_SHOWN = 5


def render_classifier_for_notebook(
    findings: ClassifierFindings, displays: ClassifierDisplays, frame: pd.DataFrame
) -> str:
    """Return a report as HTML for the output of a cell; ``frame`` has its metrics with their intervals."""
    scope = scope_of(findings)
    curves = displays.curve_displays()
    table = findings.classification_frame
    shown = weakest_of(table)
    return render_for_notebook(
        findings,
        frame,
        "classifier_notebook.html",
        counts="Samples" if findings.sample_weight is None else "Weight",
        images=[
            {**confusion_images(findings, displays, scope=scope)[-1], "title": "Confusion matrix"},
            *(curve_image(*pair, scope=scope) for pair in zip(curves, singled_out(curves), strict=True)),
        ],
        rows=list(shown.itertuples()),
        classes_heading="Class by class"
        if len(shown) == len(table)
        else f"Lowest recall, {len(shown)} of {len(table):,} classes",
        pairs=list(findings.most_confused(_PAIRS_SHOWN).itertuples(index=False)),
    )
