"""SegmentationReport: the tables and images of one segmenter on one test set, as one object."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import pandas as pd

from skcnn.metrics.parts import MaskPredictions, segmentation_intervals_of
from skcnn.report._origin import images_of, name_of
from skcnn.report._segmentation_displays import SegmentationDisplays
from skcnn.report._segmentation_findings import SegmentationFindings
from skcnn.report._segmentation_text import segmentation_tables_of


class SegmentationReport(SegmentationDisplays):
    """The evaluation of a segmenter on a test set.

    What :class:`ClassifierReport` is for classes. Make it with :meth:`from_estimator` or :meth:`from_predictions`;
    ``print`` it, show it in a notebook, take its tables, draw it, or write it as one HTML page. Intervals are over
    images.

    Parameters
    ----------
    predictions : MaskPredictions
        Counted pixels, as the two constructors make them.
    name : str
        What the report calls the segmenter.
    estimator : estimator or None, default=None
        What made the predictions, if that is known.
    X : array-like of length n_images or None, default=None
        The images, if they are known.

    Attributes
    ----------
    name : str
        What the report calls the segmenter.
    classes : list
        Names of the classes, or labels.
    n_samples : int
        Number of images.
    sample_weight : None
        Pixels have no weights.
    headline : Series of shape (7,)
        The metrics of :func:`skcnn.metrics.segmentation_frame`.
    headline_labels : dict of str to str
        What they are called in print.
    class_frame : DataFrame of shape (n_classes, 8)
        The metrics of each class: see :func:`skcnn.metrics.class_segmentation_frame`.
    confusion : DataFrame of shape (n_classes, n_classes)
        The confusion matrix of pixels: see :func:`skcnn.metrics.pixel_confusion_frame`.
    image_frame : DataFrame of shape (n_images, 2)
        ``row`` and ``mean_iou`` of each image, the lowest first.
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
    skcnn.metrics.SegmentationDisplay : Predicted masks and errors on images.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.report import SegmentationReport
    >>> y = np.zeros((2, 8, 8), np.uint8)
    >>> y[:, 2:6, 2:6] = 1
    >>> report = SegmentationReport.from_predictions(y, np.roll(y, 1, axis=1), classes=["floor", "box"])
    >>> report.headline.head(2).round(2).to_dict()
    {'mean_iou': 0.72, 'mean_dice': 0.83}
    >>> report.class_frame["iou"].round(2).to_dict()
    {'floor': 0.85, 'box': 0.6}
    """

    def __init__(self, predictions: MaskPredictions, *, name: str, estimator: Any = None, X: Any = None) -> None:
        super().__init__()
        self._findings = SegmentationFindings.about(predictions, name=name, estimator=estimator, X=X)

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, y: Any, *, classes: Sequence[Any] | None = None, name: str | None = None
    ) -> Self:
        """Make the report of a fitted segmenter on test data.

        Parameters
        ----------
        estimator : estimator
            A fitted segmenter: its ``predict`` returns masks.
        X : array-like of length n_images
            Images: see :func:`skcnn.images.as_images`. The page shows those of the lowest mean IoU.
        y : array-like of length n_images
            True masks: see :func:`skcnn.images.as_masks`. Pixels labelled 255 do not count.
        classes : sequence or None, default=None
            Names of the classes, by their labels from 0 on; another label raises. None takes the labels that occur.
        name : str or None, default=None
            What the report calls the segmenter. None takes the name of its class, or of the steps of a pipeline.

        Returns
        -------
        SegmentationReport
            The report.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If it has no ``predict``.
        ValueError
            If masks are invalid.
        """
        predictions = MaskPredictions.from_estimator(estimator, X, y, classes=classes)
        return cls(predictions, name=name or name_of(estimator), estimator=estimator, X=X)

    @classmethod
    def from_predictions(
        cls, y_true: Any, y_pred: Any, *, classes: Sequence[Any] | None = None, X: Any = None, name: str | None = None
    ) -> Self:
        """Make the report from what a segmenter returned.

        Parameters
        ----------
        y_true, y_pred : array-like of length n_images
            True and predicted masks: see :func:`skcnn.images.as_masks`.
        classes : sequence or None, default=None
            Names of the classes, by their labels from 0 on; another label raises. None takes the labels that occur.
        X : array-like of length n_images or None, default=None
            The images in the same order, of which the page then shows those of the lowest mean IoU.
        name : str or None, default=None
            What the report calls the segmenter. None says "Segmenter".

        Returns
        -------
        SegmentationReport
            The report.

        Raises
        ------
        ValueError
            If masks are invalid, or lengths do not fit.
        """
        predictions = MaskPredictions.from_arrays(y_true, y_pred, classes=classes)
        return cls(predictions, name=name or "Segmenter", X=images_of(X, predictions.n_images))

    @property
    def classes(self) -> list[Any]:
        """Names of the classes, or labels."""
        return list(self._findings.predictions.classes)

    @property
    def class_frame(self) -> pd.DataFrame:
        """The metrics of each class."""
        return self._findings.class_frame.copy()

    @property
    def confusion(self) -> pd.DataFrame:
        """The confusion matrix of pixels."""
        return self._findings.confusion.copy()

    @property
    def image_frame(self) -> pd.DataFrame:
        """Mean IoU of each image, the lowest first."""
        iou = pd.Series(self._findings.image_iou, name="mean_iou").rename_axis("row")
        return iou.sort_values(kind="stable").reset_index()

    def _intervals(
        self, *, confidence_level: float, n_resamples: int, random_state: int | None, n_jobs: int | None
    ) -> pd.DataFrame:
        return segmentation_intervals_of(
            self._findings.predictions,
            self._findings.headline_frame,
            confidence_level=confidence_level,
            n_resamples=n_resamples,
            random_state=random_state,
        )

    def _tables(self) -> list[str]:
        return segmentation_tables_of(self._findings)

    def _page(self, frame: pd.DataFrame, n_images: int) -> str:
        from skcnn.report._segmentation_page import render_segmentation_report

        return render_segmentation_report(self._findings, self, frame, n_images=n_images)

    def _part(self, frame: pd.DataFrame) -> str:
        from skcnn.report._segmentation_page import render_segmentation_for_notebook

        return render_segmentation_for_notebook(self._findings, self, frame)
