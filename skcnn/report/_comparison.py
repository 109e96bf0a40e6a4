"""Reports of several classifiers on the same samples, side by side."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import pandas as pd

from skcnn._text import listing
from skcnn.metrics.parts import CONFIDENCE_LEVEL, N_RESAMPLES
from skcnn.report._classifier_report import ClassifierReport
from skcnn.report._compared import ComparedFindings
from skcnn.report._differences import draw_differences

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from skcnn.metrics import ImageGridDisplay


def compare_reports(
    reports: Sequence[ClassifierReport],
    *,
    confidence_level: float = CONFIDENCE_LEVEL,
    n_resamples: int = N_RESAMPLES,
    random_state: int | None = 0,
    n_jobs: int | None = None,
) -> ReportComparison:
    """Compare classifiers on the same samples.

    Parameters
    ----------
    reports : sequence of ClassifierReport
        Two or more, of the same samples in the same order. The others are compared with the first.
    confidence_level, n_resamples, random_state, n_jobs
        Level of the intervals, number of resamples, seed of the draws and number of threads: see
        :meth:`ClassifierReport.frame`.

    Returns
    -------
    ReportComparison
        Has a ``frame()``, a ``plot()`` and a ``to_html(path)`` of its own; ``print`` it.

    Raises
    ------
    TypeError
        If one of ``reports`` is not a report.
    ValueError
        If there are fewer than two reports, if they are not of the same samples (the true labels, the weights or, where
        both were made from files, the names of the files differ), or if their ``top_k`` differ.

    Examples
    --------
    >>> from skcnn.report import ClassifierReport, compare_reports
    >>> y_true = ["cat", "cat", "dog", "dog"]
    >>> first = ClassifierReport.from_predictions(y_true, y_pred=["cat", "dog", "dog", "cat"], name="first")
    >>> second = ClassifierReport.from_predictions(y_true, y_pred=["cat", "cat", "dog", "cat"], name="second")
    >>> compare_reports([first, second]).agreement_frame[["both_right", "only_first", "only_this", "both_wrong"]]
            both_right  only_first  only_this  both_wrong
    report
    second           2           0          1           1
    """
    return ReportComparison(
        reports,
        confidence_level=confidence_level,
        n_resamples=n_resamples,
        random_state=random_state,
        n_jobs=n_jobs,
    )


class ReportComparison:
    """Comparison of classifiers on the same samples.

    Made by :func:`compare_reports`. Every report is compared with the first one. Differences are paired:
    resamples of the bootstrap draw the same samples of both, so that samples which are hard for all do not count.

    Parameters
    ----------
    reports : sequence of ClassifierReport
        Two or more, of the same samples in the same order.
    confidence_level, n_resamples, random_state, n_jobs
        Level of the intervals, number of resamples, seed of the draws and number of threads: see
        :func:`compare_reports`.

    Attributes
    ----------
    reports : list of ClassifierReport
        The reports, in order.
    names : list of str
        Their names; one that occurs a second time is numbered.
    agreement_frame : DataFrame of shape (n_reports - 1, 5)
        On how many samples the first report and each other one are right and wrong. Index "report"; columns
        "both_right", "only_first", "only_this", "both_wrong" (samples, also where they have weights) and "p_value" (of
        McNemar's exact test; NaN where samples have weights).
    summary : str
        Whether the accuracy of each report differs from that of the first, and which other metrics do.

    Examples
    --------
    >>> from skcnn.report import ClassifierReport, compare_reports
    >>> y_true = ["cat"] * 50 + ["dog"] * 50
    >>> first = ClassifierReport.from_predictions(y_true, y_pred=["cat"] * 40 + ["dog"] * 60, name="first")
    >>> second = ClassifierReport.from_predictions(y_true, y_pred=["cat"] * 48 + ["dog"] * 52, name="second")
    >>> comparison = compare_reports([first, second])
    >>> comparison.frame().loc[("accuracy", "second"), ["value", "difference", "p_value"]].round(3).to_dict()
    {'value': 0.98, 'difference': 0.08, 'p_value': 0.008}
    >>> comparison.agreement_frame  # doctest: +NORMALIZE_WHITESPACE
            both_right  only_first  only_this  both_wrong  p_value
    report
    second          90           0          8           2  0.007812
    """

    def __init__(
        self,
        reports: Sequence[ClassifierReport],
        *,
        confidence_level: float = CONFIDENCE_LEVEL,
        n_resamples: int = N_RESAMPLES,
        random_state: int | None = 0,
        n_jobs: int | None = None,
    ) -> None:
        self.reports = list(reports) if isinstance(reports, Iterable) else [reports]
        strange = [type(report).__name__ for report in self.reports if not isinstance(report, ClassifierReport)]
        if strange:
            raise TypeError(f"Got {listing(strange)}; expected a list of ClassifierReports.")
        self._compared = ComparedFindings.of(
            [report._findings for report in self.reports],
            confidence_level=confidence_level,
            n_resamples=n_resamples,
            random_state=random_state,
            n_jobs=n_jobs,
        )
        self.confidence_level = confidence_level
        self.names = self._compared.names

    def frame(self) -> pd.DataFrame:
        """Return the headline metrics of all reports, and their differences from those of the first.

        Returns
        -------
        DataFrame of shape (7 * n_reports, 7)
            Index "metric" (as in :func:`headline_frame`) and "report". Columns "value", "low" and "high" (the metric
            and its interval, as in :func:`bootstrap_intervals`); "difference" (from the first report: above 0 is
            better, but for ``log_loss``), "difference_low" and "difference_high" (its paired interval: the difference
            is significant if it excludes 0; no correction is made for several comparisons) and "p_value" (of
            McNemar's exact test, for ``accuracy`` only). The last four are NaN for the first report. See
            :func:`compare_predictions`.
        """
        return self._compared.frame.copy()

    @property
    def agreement_frame(self) -> pd.DataFrame:
        """On how many samples the first report and each other one are right and wrong."""
        return self._compared.agreement_frame

    def class_frame(
        self, metric: Literal["precision", "recall", "f1", "roc_auc", "average_precision"] = "f1"
    ) -> pd.DataFrame:
        """Return a metric of each class, one column per report.

        Parameters
        ----------
        metric : {"precision", "recall", "f1", "roc_auc", "average_precision"}, default="f1"
            A column of :func:`classification_frame`. F1 falls with both kinds of errors.

        Returns
        -------
        DataFrame of shape (n_classes, n_reports)
            Index "class", in the order of the first report; NaN where a report does not know a class.

        Raises
        ------
        ValueError
            If ``metric`` is none of these.
        """
        return self._compared.class_frame(metric)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the differences from the first report with their intervals.

        A dot is filled where the interval does not hold 0. To the right is better, for log-loss too: its difference is
        drawn with the opposite sign.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure by pyplot, as scikit-learn's Displays do.

        Returns
        -------
        ReportComparison
            Itself, with the attributes ``ax_`` and ``figure_``.
        """
        self.ax_ = draw_differences(self._compared, ax)
        self.figure_ = self.ax_.figure
        return self

    def image_displays(self, n_images: int = 12) -> list[ImageGridDisplay]:
        """Return the Displays of the images that one alone of the first report and another one has right.

        Parameters
        ----------
        n_images : int, default=12
            How many of each at most: those that the other one is furthest off.

        Returns
        -------
        list of ImageGridDisplay
            Two for each report after the first, less those without an image: their ``name`` says which one is right,
            and they show what the other one predicted. Empty where no report has images.
        """
        return self._compared.image_displays(n_images)

    def to_html(self, path: str | os.PathLike[str], *, n_images: int = 12) -> Path:
        """Write the comparison as one HTML page that loads nothing from elsewhere.

        Parameters
        ----------
        path : str or path-like
            The file, as in :meth:`ClassifierReport.to_html`.
        n_images : int, default=12
            Number of images of each kind: see :meth:`image_displays`; 0 leaves images out.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        FileNotFoundError
            If the folder does not exist.
        """
        from skcnn._page.page import write_page
        from skcnn.report._comparison_page import render_comparison

        return write_page(path, render_comparison(self._compared, n_images=n_images))

    @property
    def summary(self) -> str:
        """Whether the accuracy of each report differs from that of the first, and which other metrics do."""
        return self._compared.summary

    def __repr__(self) -> str:
        return self._compared.to_text(type(self).__name__)
