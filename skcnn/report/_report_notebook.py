"""A report as a notebook shows it: a part of a page that is not ours, and changes nothing of the rest of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skcnn._page.page import render_part
from skcnn._text import percent_text
from skcnn.metrics.parts import CONFIDENCE_LEVEL, N_RESAMPLES, singled_out
from skcnn.report._provenance import digest_of_predictions
from skcnn.report._report_page import confusion_images, curve_image, weakest_of
from skcnn.report._report_text import summary_of

if TYPE_CHECKING:
    import pandas as pd

    from skcnn.report._displays import ReportDisplays
    from skcnn.report._findings import Findings

_PAIRS_SHOWN = 5


def render_for_notebook(findings: Findings, displays: ReportDisplays, frame: pd.DataFrame) -> str:
    """Return a report as HTML for the output of a cell: no script, no headings, a style for its own element alone.

    ``frame`` has its metrics with their intervals. Images are left out: notebooks are passed on.
    """
    # Names in a page are unique, also where several reports are shown.
    scope = f"skcnn-{digest_of_predictions(findings.predictions)[:12]}-"
    curves = displays.curve_displays()
    table = findings.classification_frame
    shown = weakest_of(table)
    return render_part(
        "skcnn.report",
        "notebook.html",
        report=findings,
        summary=summary_of(findings),
        headline=[(label, frame.loc[metric]) for metric, label in findings.shown_metrics.items()],
        level=percent_text(CONFIDENCE_LEVEL),
        n_resamples=N_RESAMPLES,
        notes=findings.notes_on(frame),
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
