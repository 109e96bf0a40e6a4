"""RegressionReport: the tables and images of one regressor on one test set, as one object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from skcnn.metrics.parts import NumberPredictions, regression_intervals_of
from skcnn.report._origin import images_of, name_of
from skcnn.report._regression_displays import RegressionDisplays
from skcnn.report._regression_findings import RegressionFindings
from skcnn.report._regression_text import regression_tables_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class RegressionReport(RegressionDisplays):
    """The evaluation of a regressor on a test set.

    What :class:`ClassifierReport` is for classes. Make it with :meth:`from_estimator` or :meth:`from_predictions`;
    ``print`` it, show it in a notebook, take its tables, draw it, or write it as one HTML page. Works with any
    scikit-learn regressor, of one target or several. Every metric is scikit-learn's; one that is not defined is NaN,
    and ``notes`` says why.

    Parameters
    ----------
    predictions : NumberPredictions
        Checked predictions, as the two constructors make them.
    name : str
        Name of the regressor in the report.
    estimator : estimator or None, default=None
        The estimator that made the predictions, if it is known.
    X : array-like of shape (n_samples, ...) or None, default=None
        The input that they were made from, if it is known.

    Attributes
    ----------
    name : str
        Name of the regressor in the report.
    target_names : list of str
        Names of the targets, in the order of the tables.
    n_samples : int
        Number of samples.
    sample_weight : ndarray of shape (n_samples,) or None
        Weights, where they were given.
    headline : Series of shape (5,)
        The metrics about all targets together, means over targets as scikit-learn takes them: "r2",
        "mean_absolute_error", "root_mean_squared_error", "median_absolute_error", and "bias", the mean of predicted
        minus true: above 0, predictions are too high. All but the first are in the unit of the target.
    headline_labels : dict of str to str
        What the metrics of ``headline`` are called in print.
    target_frame : DataFrame of shape (n_targets, 5)
        The metrics of each target: index "target", a column for each metric.
    findings : list of str
        What stands out in the errors, a sentence each: predictions that are no better than the mean, too high or too
        low on average, too close to the mean or too far from it; errors that grow with the predicted number; a few
        samples that make half of the squared error. Of more than four targets, those of lowest R2 are looked at. But
        for the first, patterns are looked for in 20 samples or more.
    notes : list of str
        Why metrics are NaN, and other remarks: a sentence each.
    summary : str
        R2, and the error beside that of always predicting the mean.
    provenance : dict of str to str
        How the report was made: time, samples, estimator, digests of the data, versions.
    parameters : dict of str to str
        All parameters of the estimator, by name; empty where it is not known.

    See Also
    --------
    ClassifierReport : The same for classes.
    sklearn.metrics.PredictionErrorDisplay : Draws predicted numbers against true ones, or against residuals.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.model_selection import train_test_split
    >>> from skcnn.report import RegressionReport
    >>> X, y = load_diabetes(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    >>> report = RegressionReport.from_estimator(Ridge(0.1).fit(X_train, y_train), X_test, y_test)
    >>> print(report.summary)
    R2 0.369 on 111 samples. The MAE is 44.6; that of always predicting the mean is 58.4.
    >>> report.frame().loc["r2", ["value", "low", "high"]].astype(float).round(2).to_dict()
    {'value': 0.37, 'low': 0.19, 'high': 0.5}
    """

    def __init__(self, predictions: NumberPredictions, *, name: str, estimator: Any = None, X: Any = None) -> None:
        super().__init__()
        self._findings = RegressionFindings.about(predictions, name=name, estimator=estimator, X=X)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        target_names: Sequence[str] | None = None,
        sample_weight: ArrayLike | None = None,
        name: str | None = None,
    ) -> Self:
        """Make the report of a fitted regressor on test data.

        Parameters
        ----------
        estimator : estimator
            A fitted regressor, pipeline or search: something with ``predict`` that is not a classifier.
        X : array-like of shape (n_samples, ...)
            Whatever the estimator predicts from. The report refers to it: where it holds images (see
            :func:`skcnn.images.as_images`), the page shows the worst errors.
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            True numbers.
        target_names : sequence of str or None, default=None
            Names of the targets. None takes the columns of a DataFrame or the name of a Series, else "target", or
            "target 0" and so on.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights >= 0, for every metric and for the histogram.
        name : str or None, default=None
            Name of the regressor in the report. None takes the name of its class, or of the steps of a pipeline.

        Returns
        -------
        RegressionReport
            The report.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it is a classifier, or has no ``predict``.
        ValueError
            If ``y`` or what is predicted does not hold finite numbers, or shapes do not fit.
        """
        predictions = NumberPredictions.from_estimator(
            estimator, X, y, target_names=target_names, sample_weight=sample_weight
        )
        return cls(predictions, name=name or name_of(estimator), estimator=estimator, X=X)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        *,
        target_names: Sequence[str] | None = None,
        sample_weight: ArrayLike | None = None,
        X: Any = None,
        name: str | None = None,
    ) -> Self:
        """Make the report from what a regressor returned.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,) or (n_samples, n_targets)
            True numbers.
        y_pred : array-like of the same shape
            Predicted numbers.
        target_names : sequence of str or None, default=None
            Names of the targets: see :meth:`from_estimator`.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights >= 0, for every metric and for the histogram.
        X : array-like of n_samples images or None, default=None
            The images in the same order, of which the page then shows the worst errors: see
            :func:`skcnn.images.as_images`.
        name : str or None, default=None
            Name of the regressor in the report. None says "Regressor".

        Returns
        -------
        RegressionReport
            The report.

        Raises
        ------
        ValueError
            If arrays do not hold finite numbers, or shapes do not fit.
        """
        predictions = NumberPredictions.from_arrays(
            y_true, y_pred, target_names=target_names, sample_weight=sample_weight
        )
        return cls(predictions, name=name or "Regressor", X=images_of(X, predictions.n_samples))

    @property
    def target_names(self) -> list[str]:
        """Names of the targets, in the order of the tables."""
        return list(self._findings.predictions.target_names)

    @property
    def target_frame(self) -> pd.DataFrame:
        """The metrics of each target."""
        return self._findings.target_frame.copy()

    @property
    def findings(self) -> list[str]:
        """What stands out in the errors: a sentence each."""
        return list(self._findings.patterns)

    def _intervals(
        self, *, confidence_level: float, n_resamples: int, random_state: int | None, n_jobs: int | None
    ) -> pd.DataFrame:
        return regression_intervals_of(
            self._findings.predictions,
            self._findings.headline_frame,
            confidence_level=confidence_level,
            n_resamples=n_resamples,
            random_state=random_state,
            n_jobs=n_jobs,
        )

    def _tables(self) -> list[str]:
        return regression_tables_of(self._findings)

    def _page(self, frame: pd.DataFrame, n_images: int) -> str:
        from skcnn.report._regression_page import render_regression_report

        return render_regression_report(self._findings, self, frame, n_images=n_images)

    def _part(self, frame: pd.DataFrame) -> str:
        from skcnn.report._regression_notebook import render_regression_for_notebook

        return render_regression_for_notebook(self._findings, self, frame)
