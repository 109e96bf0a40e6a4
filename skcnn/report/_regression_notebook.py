"""A regressor's report as a notebook shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skcnn.report._regression_page import compared_with_mean, regression_images
from skcnn.report._report_page import render_for_notebook, scope_of

if TYPE_CHECKING:
    import pandas as pd

    from skcnn.report._regression_displays import RegressionDisplays
    from skcnn.report._regression_findings import RegressionFindings

_ROWS_SHOWN = 10


def render_regression_for_notebook(
    findings: RegressionFindings, displays: RegressionDisplays, frame: pd.DataFrame
) -> str:
    """Return a report as HTML for the output of a cell; ``frame`` has its metrics with their intervals."""
    table = findings.target_frame
    shown = table if len(table) <= _ROWS_SHOWN else table.sort_values("r2", kind="stable").head(_ROWS_SHOWN)
    return render_for_notebook(
        findings,
        frame,
        "regression_notebook.html",
        images=regression_images(findings, displays, scope=scope_of(findings)),
        compared=compared_with_mean(findings),
        rows=list(shown.itertuples()) if len(table) > 1 else [],
        targets_heading="Target by target"
        if len(shown) == len(table)
        else f"Lowest R2, {len(shown)} of {len(table):,} targets",
    )
