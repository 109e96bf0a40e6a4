"""DetectionReport: the tables and images of one detector on one test set, as one object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import pandas as pd

from skcnn.metrics.parts import BoxPredictions, detection_intervals_of
from skcnn.report._detection_displays import DetectionDisplays
from skcnn.report._detection_findings import DetectionFindings
from skcnn.report._detection_text import detection_tables_of
from skcnn.report._origin import images_of, name_of


class DetectionReport(DetectionDisplays):
    """The evaluation of a detector on a test set.

    What :class:`ClassifierReport` is for classes. Make it with :meth:`from_estimator` or :meth:`from_predictions`;
    ``print`` it, show it in a notebook, take its tables, draw it, or write it as one HTML page. Average precision is
    COCO's; intervals are over images.

    Parameters
    ----------
    predictions : BoxPredictions
        Checked boxes, as the two constructors make them.
    name : str
        What the report calls the detector.
    estimator : estimator or None, default=None
        What made the predictions, if that is known.
    X : array-like of length n_images or None, default=None
        The images, if they are known.

    Attributes
    ----------
    name : str
        What the report calls the detector.
    classes : list
        Labels, in the order of the tables.
    n_samples : int
        Number of images.
    sample_weight : None
        Average precision has no weights.
    headline : Series of shape (12,)
        The metrics of :func:`skcnn.metrics.detection_frame`.
    headline_labels : dict of str to str
        What those that are shown are called in print.
    class_frame : DataFrame of shape (n_classes, 6)
        Average precision and recall of each class: see :func:`skcnn.metrics.class_detection_frame`.
    errors : DataFrame of shape (n_boxes, 10)
        What each predicted box is, at the score of the highest F1: see :func:`skcnn.metrics.detection_errors`.
    error_frame : DataFrame of shape (n_classes, 6)
        How many boxes of each class are right, wrong and missed.
    score_threshold : float
        The score of the highest F1, at which errors are counted.
    notes : list of str
        Why metrics are NaN, and what else one has to know about them.
    summary : str
        The report in a few sentences.
    provenance : dict of str to str
        How the report was made: time, samples, estimator, digests of the data, versions.
    parameters : dict of str to str
        All parameters of the estimator, by name; empty where it is not known.

    See Also
    --------
    ClassifierReport : The same for classes.

    Examples
    --------
    >>> from skcnn.report import DetectionReport
    >>> y = [[[0, 0, 10, 10, 1], [20, 20, 40, 40, 2]], []]
    >>> found = {"boxes": [[0, 0, 10, 9], [20, 20, 40, 40]], "labels": [1, 2], "scores": [0.9, 0.8]}
    >>> report = DetectionReport.from_predictions(y, [found, []])
    >>> report.headline.head(2).round(2).to_dict()
    {'average_precision': 0.95, 'average_precision_50': 1.0}
    >>> report.error_frame[["right", "missed"]].to_numpy().tolist()
    [[1, 0], [1, 0]]
    """

    def __init__(self, predictions: BoxPredictions, *, name: str, estimator: Any = None, X: Any = None) -> None:
        super().__init__()
        self._findings = DetectionFindings.about(predictions, name=name, estimator=estimator, X=X)

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, classes: Sequence[Any] | None = None, name: str | None = None
    ) -> Self:
        """Make the report of a fitted detector on test data.

        Parameters
        ----------
        estimator : estimator
            A fitted detector: its ``predict`` returns boxes with scores.
        X : array-like of length n_images
            Images: see :func:`skcnn.images.as_images`. The page shows those with the most errors.
        y : array-like of length n_images
            True boxes: see :func:`skcnn.boxes.as_boxes`.
        classes : sequence or None, default=None
            Labels that are known; another label raises. None takes those that occur.
        name : str or None, default=None
            What the report calls the detector. None takes the name of its class, or of the steps of a pipeline.

        Returns
        -------
        DetectionReport
            The report.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it has no ``predict``.
        ValueError
            If boxes are invalid, or have no scores.
        """
        predictions = BoxPredictions.from_estimator(estimator, X, y, classes=classes)
        return cls(predictions, name=name or name_of(estimator), estimator=estimator, X=X)

    @classmethod
    def from_predictions(
        cls, y_true: Any, y_pred: Any, *, classes: Sequence[Any] | None = None, X: Any = None, name: str | None = None
    ) -> Self:
        """Make the report from what a detector returned.

        Parameters
        ----------
        y_true : array-like of length n_images
            True boxes: see :func:`skcnn.boxes.as_boxes`.
        y_pred : array-like of length n_images
            Predicted boxes with scores.
        classes : sequence or None, default=None
            Labels that are known; another label raises. None takes those that occur.
        X : array-like of length n_images or None, default=None
            The images in the same order, of which the page then shows those with the most errors.
        name : str or None, default=None
            What the report calls the detector. None says "Detector".

        Returns
        -------
        DetectionReport
            The report.

        Raises
        ------
        ValueError
            If boxes are invalid or have no scores, or lengths do not fit.
        """
        predictions = BoxPredictions.from_arrays(y_true, y_pred, classes=classes)
        return cls(predictions, name=name or "Detector", X=images_of(X, predictions.n_images))

    @property
    def classes(self) -> list[Any]:
        """Labels, in the order of the tables."""
        return list(self._findings.predictions.classes)

    @property
    def class_frame(self) -> pd.DataFrame:
        """Average precision and recall of each class."""
        return self._findings.class_frame.copy()

    @property
    def errors(self) -> pd.DataFrame:
        """What each predicted box is, and which true boxes are missed."""
        return self._findings.errors.copy()

    @property
    def error_frame(self) -> pd.DataFrame:
        """How many boxes of each class are right, wrong and missed."""
        return self._findings.error_frame.copy()

    @property
    def score_threshold(self) -> float:
        """The score of the highest F1, at which errors are counted."""
        return self._findings.score_threshold

    def _intervals(
        self, *, confidence_level: float, n_resamples: int, random_state: int | None, n_jobs: int | None
    ) -> pd.DataFrame:
        return detection_intervals_of(
            self._findings.predictions,
            self._findings.headline_frame,
            confidence_level=confidence_level,
            n_resamples=n_resamples,
            random_state=random_state,
            n_jobs=n_jobs,
        )

    def _tables(self) -> list[str]:
        return detection_tables_of(self._findings)

    def _page(self, frame: pd.DataFrame, n_images: int) -> str:
        from skcnn.report._detection_page import render_detection_report

        return render_detection_report(self._findings, self, frame, n_images=n_images)

    def _part(self, frame: pd.DataFrame) -> str:
        from skcnn.report._detection_page import render_detection_for_notebook

        return render_detection_for_notebook(self._findings, self, frame)
