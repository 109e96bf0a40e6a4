"""The Displays of a regressor's report, each of them and all in one figure."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from skcnn._plot.theme import MUTED, SERIES
from skcnn._text import label_text
from skcnn.metrics.parts import RESIDUAL_LABEL, error_grid_display_of, residual_histogram_display_of
from skcnn.report._displays import drawn_together
from skcnn.report._regression_findings import RegressionFindings
from skcnn.report._report import Report

if TYPE_CHECKING:
    from sklearn.metrics import PredictionErrorDisplay

    from skcnn.metrics import ErrorGridDisplay, ResidualHistogramDisplay

MOST_DOTS = 1000
"""More dots hide each other, and make a page slow."""


class RegressionDisplays(Report):
    """What of a :class:`RegressionReport` is drawn. Its base class, and of use to nothing else."""

    _findings: RegressionFindings

    def plot(self) -> Self:
        """Draw predicted against true numbers, the residuals and their distribution in one figure.

        Of several targets, predicted against true numbers are drawn for each; with more than four, for those of lowest
        R2.

        Returns
        -------
        RegressionReport
            Itself, with the attributes ``axes_`` (an array: these are several) and ``figure_``.
        """
        names = self._findings.shown_targets
        displays = [self.prediction_error_display(name) for name in names]
        draw: list[Callable[..., Any]] = [
            partial(draw_dots, display, kind="actual_vs_predicted", title=name if len(names) > 1 else "")
            for name, display in zip(names, displays, strict=True)
        ]
        if len(names) == 1:
            draw.append(partial(draw_dots, displays[0], kind="residual_vs_predicted"))
            draw.append(self.residual_display(names[0]).plot)
        self.figure_, self.axes_ = drawn_together(draw, self._findings.name)
        return self

    def prediction_error_display(self, target: str | None = None) -> PredictionErrorDisplay:
        """Return scikit-learn's Display of predicted numbers against true ones, or against residuals.

        Parameters
        ----------
        target : str or None, default=None
            Name of the target. None takes the one that there is, or the one of lowest R2.

        Returns
        -------
        sklearn.metrics.PredictionErrorDisplay
            Not drawn yet; of more than 1,000 samples, that many drawn at random, always the same ones.

        Raises
        ------
        ValueError
            If there is no such target.
        """
        from sklearn.metrics import PredictionErrorDisplay

        one = self._findings.predictions.target(self._name_of(target))
        rows = np.arange(one.n_samples)
        if len(rows) > MOST_DOTS:
            rows = np.sort(np.random.default_rng(0).permutation(rows)[:MOST_DOTS])
        return PredictionErrorDisplay(y_true=one.true[rows, 0], y_pred=one.predicted[rows, 0])

    def residual_display(self, target: str | None = None) -> ResidualHistogramDisplay:
        """Return the histogram of the residuals.

        Parameters
        ----------
        target : str or None, default=None
            Name of the target. None takes the one that there is, or the one of lowest R2.

        Returns
        -------
        ResidualHistogramDisplay
            Not drawn yet.

        Raises
        ------
        ValueError
            If there is no such target.
        """
        return residual_histogram_display_of(self._findings.predictions.target(self._name_of(target)))

    def image_displays(self, n_images: int = 12) -> list[ErrorGridDisplay]:
        """Return the Display of the worst errors.

        Parameters
        ----------
        n_images : int, default=12
            How many images at most.

        Returns
        -------
        list of ErrorGridDisplay
            One; empty where the report has no images.
        """
        images = self._findings.images
        if images is None:
            return []
        return [error_grid_display_of(self._findings.predictions, images, n_images=n_images)]

    def _name_of(self, target: str | None) -> str:
        if target is not None:
            return target
        r2 = self._findings.target_frame["r2"]
        return str(r2.sort_values(kind="stable").index[0])


def draw_dots(
    display: PredictionErrorDisplay,
    ax: Any,
    *,
    kind: Literal["actual_vs_predicted", "residual_vs_predicted"],
    title: str = "",
) -> None:
    """Draw a dot per sample in the colours and words of skcnn, with ticks at round numbers."""
    from matplotlib.ticker import MaxNLocator

    display.plot(
        ax,
        kind=kind,
        scatter_kwargs={"color": SERIES[0], "alpha": 0.5, "s": 14, "linewidths": 0, "zorder": 3},
        line_kwargs={"color": MUTED, "alpha": 1, "linewidth": 0.9, "zorder": 2},
    )
    ax.set(xlabel="Predicted", ylabel="True" if kind == "actual_vs_predicted" else RESIDUAL_LABEL)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(5))
    if title:
        ax.set_title(label_text(title, 40), parse_math=False)
