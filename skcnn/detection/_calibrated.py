"""Scores of boxes that are probabilities."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Real
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import BaseCrossValidator, cross_val_predict
from sklearn.utils import Tags
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skcnn.boxes import BoxArrays, as_boxes, box_arrays
from skcnn.metrics import average_precision
from skcnn.metrics.parts import BoxPredictions, right_boxes_of


class CalibratedDetector(BaseEstimator):
    """Detector whose scores are the probability that a box is right.

    A detector ranks boxes by its scores, and a score of 0.8 may be right in nine of ten cases, or in five. Here the
    boxes of images that a detector was not trained on are matched with the true ones, and how often those of a score
    were right is learned, class by class.

    Parameters
    ----------
    detector : estimator
        Its ``predict`` returns boxes with scores. Give it a low ``score_threshold``: boxes that it leaves out are not
        calibrated, and do not come back.
    method : {"isotonic", "sigmoid"}, default="isotonic"
        ``"isotonic"`` learns any increasing curve, for which some hundred boxes per class are needed; ``"sigmoid"``
        a logistic one, for fewer.
    iou : float, default=0.5
        Intersection over union from which on a box of the right label is right, in (0, 1].
    cv : int or splitter, default=5
        How ``fit`` splits the images; the boxes of each part come from a detector that was trained on the others.

    Attributes
    ----------
    detector_ : estimator
        The detector, fitted on all images.
    calibrators_ : dict of label to IsotonicRegression, LogisticRegression or float
        What maps the scores of a class; the share of right boxes where all or none were right.

    Notes
    -----
    Average precision ranks boxes, so an increasing map of the scores of a class hardly changes it. What changes is what
    a threshold means, and how boxes of different classes compare.

    References
    ----------
    .. [1] F. Küppers, J. Kronenberger, A. Shantia and A. Haselhoff, "Multivariate confidence calibration for object
       detection", CVPR Workshops 2020.

    Examples
    --------
    >>> from skcnn.detection import CalibratedDetector, SlidingWindowDetector
    >>> from sklearn.dummy import DummyClassifier
    >>> detector = SlidingWindowDetector(DummyClassifier(), score_threshold=0.0)
    >>> CalibratedDetector(detector, method="sigmoid", cv=3).get_params()["cv"]
    3
    """

    _parameter_constraints = {  # noqa: RUF012  (scikit-learn's own form)
        "detector": [HasMethods(["fit", "predict"])],
        "method": [StrOptions({"isotonic", "sigmoid"})],
        "iou": [Interval(Real, 0, 1, closed="right")],
        "cv": ["cv_object"],
    }

    def __init__(
        self,
        detector: BaseEstimator,
        *,
        method: str = "isotonic",
        iou: float = 0.5,
        cv: int | BaseCrossValidator | Iterable[tuple[np.ndarray, np.ndarray]] = 5,
    ) -> None:
        self.detector = detector
        self.method = method
        self.iou = iou
        self.cv = cv

    def fit(self, X: Any, y: Any) -> Self:
        """Fit the detector, and learn how often boxes of a score are right.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : array-like of length n_samples
            Boxes: see :func:`skcnn.boxes.as_boxes`.

        Returns
        -------
        CalibratedDetector
            Itself.

        Raises
        ------
        BadImageError
            If a row has no image.
        ValueError
            If a parameter or a box is invalid, or the detector found no box in any image that it was not trained on.
        """
        self._validate_params()
        y = as_boxes(y)
        found = box_arrays(cross_val_predict(self.detector, X, y, cv=self.cv))
        if found.score is None or not len(found.score):
            raise ValueError(
                "The detector found no boxes in the images that it was not trained on; expected some to calibrate. "
                "Lower its score_threshold."
            )
        is_right = right_boxes_of(BoxPredictions.from_arrays(y, found), self.iou)
        self.calibrators_ = {
            label: _calibrator(self.method, found.score[rows], is_right[rows])
            for label in dict.fromkeys(found.label.tolist())
            for rows in (np.flatnonzero(found.label == label),)
        }
        self.detector_ = clone(self.detector).fit(X, y)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return boxes whose scores are probabilities.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.

        Returns
        -------
        ndarray of shape (n_samples,), object
            DataFrames with the columns ``label, xmin, ymin, xmax, ymax, score``, the best first. Scores of a label that
            was never found in ``fit`` stay what they are.

        Raises
        ------
        BadImageError
            If a row has no image.
        """
        check_is_fitted(self)
        found = box_arrays(self.detector_.predict(X))
        if found.score is None:
            return found.tables()
        score = found.score.copy()
        for label, calibrator in self.calibrators_.items():
            rows = np.flatnonzero(found.label == label)
            score[rows] = _calibrated(calibrator, score[rows])
        # Stable, so that boxes that became equal stay in the detector's order.
        order = np.lexsort((-score, found.image))
        return BoxArrays(found.image, found.label, found.xyxy, score, found.n_images).take(order).tables()

    def score(self, X: Any, y: Any) -> float:
        """Return COCO's average precision of the boxes: see :func:`skcnn.metrics.average_precision`.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : array-like of length n_samples
            True boxes.

        Returns
        -------
        float
            In [0, 1]; NaN if there is no true box.

        Raises
        ------
        ImportError
            If ``faster-coco-eval`` is not installed; it comes with the extra ``detection``.
        """
        return average_precision(y, self.predict(X))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags = self.detector.__sklearn_tags__().input_tags
        tags.target_tags.required = True
        return tags


def _calibrator(method: str, score: np.ndarray, is_right: np.ndarray) -> Any:
    if is_right.all() or not is_right.any():
        return float(is_right.mean())
    if method == "isotonic":
        return IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(score, is_right)
    return LogisticRegression(C=np.inf).fit(score[:, None], is_right)


def _calibrated(calibrator: Any, score: np.ndarray) -> np.ndarray:
    if isinstance(calibrator, float):
        return np.full(len(score), calibrator)
    if not len(score):
        return score
    if isinstance(calibrator, IsotonicRegression):
        return calibrator.predict(score)
    return calibrator.predict_proba(score[:, None])[:, 1]
