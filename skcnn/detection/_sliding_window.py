"""A classifier of images as a detector: every window of an image is classified."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from skcnn._image_input import ImageInputMixin
from skcnn.boxes import BoxArrays, box_arrays, box_table, check_boxes, non_max_suppression, pairwise_iou, sorted_labels
from skcnn.detection._one_pass import OnePass, one_pass_of
from skcnn.detection._windows import Level, as_window_box, crop, pyramid, windows_of
from skcnn.images import BadImageError, BadRow, Images, check_images, map_ahead
from skcnn.metrics import average_precision

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

#: Windows that overlap no object by more than this are background.
BACKGROUND_IOU = 0.3

#: Windows that are classified at once: 4,096 of 64 x 64 pixels have 50 MB.
_AT_ONCE = 4096

#: Images that are decoded ahead.
_AHEAD = 4


class SlidingWindowDetector(ImageInputMixin, BaseEstimator):
    """Detector that classifies every window of an image, with any classifier of images.

    In ``fit`` the classifier learns crops: those of the boxes, and windows that show none of them, as a class of their
    own. In ``predict`` it classifies windows at all places and scales; of those that find the same object the best one
    stays.

    Where the classifier is a convolutional network that does not pad, whole images go through it at once (see
    :func:`to_fully_convolutional`), and what windows have in common is computed once.

    Parameters
    ----------
    estimator : estimator
        Classifier with ``predict_proba``, whose X is an array (n_images, height, width, 3) of uint8: a pipeline that
        begins with :class:`~skcnn.feature_extraction.BottleneckFeatures`, a
        :class:`~skcnn.neural_network.CNNClassifier`, or one of scikit-learn behind a step that makes rows of images.
        A fitted one in a :class:`sklearn.frozen.FrozenEstimator` stays as it is; then ``background`` may be among its
        classes, or not.
    window : int or (height, width), default=64
        Size in pixels that crops are resized to, and its aspect ratio: that of the boxes that are found.
    stride : int, (int, int) or None, default=None
        How far apart windows are, in pixels of the resized image. None is a quarter of the window, so that an object
        is at most an eighth of the window off.
    scales : "auto" or sequence of float, default="auto"
        Sizes of windows in the original image, as multiples of ``window``. ``"auto"`` takes five, evenly on a
        logarithmic scale, between the 5 % and 95 % quantiles of the sizes of boxes in ``fit``.
    crops_per_box : int, default=4
        Crops of each box, >= 1: one of the box itself, the others moved by up to half a stride and scaled by up to
        10 %, as windows in ``predict`` are.
    background_per_image : int, default=16
        Crops without an object of each image, >= 1.
    background : str or int, default="background"
        The label of windows that show no object.
    one_pass : "auto" or bool, default="auto"
        Whether whole images go through the network at once. ``"auto"`` does so where outputs are equal to those of
        windows: a :class:`~skcnn.neural_network.CNNClassifier` whose ``image_size`` is ``window``, whose network does
        not pad, and whose stride ``stride`` is a multiple of. True also does so for a network that pads, which gives
        other outputs. False classifies windows.
    score_threshold : float, default=0.5
        Least probability of a box, in [0, 1].
    iou_threshold : float, default=0.3
        Of boxes of a class that overlap by more than this intersection over union the best one stays, in [0, 1].
    max_detections : int, default=100
        Number of boxes per image, at most, >= 1.
    root : path or None, default=None
        Folder that relative paths in X start from.
    random_state : int, RandomState instance or None, default=None
        Choice of crops.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), object
        Labels of boxes.
    estimator_ : estimator
        The fitted classifier.
    scales_ : tuple of float
        Scales that are used.
    n_features_in_ : int
        1, if X has columns.

    See Also
    --------
    CalibratedDetector : Scores that are probabilities of being right.

    References
    ----------
    .. [1] P. Viola and M. Jones, "Rapid object detection using a boosted cascade of simple features", CVPR 2001.
    .. [2] P. Sermanet, D. Eigen, X. Zhang, M. Mathieu, R. Fergus and Y. LeCun, "OverFeat: integrated recognition,
       localization and detection using convolutional networks", ICLR 2014.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import FunctionTransformer
    >>> from skcnn.detection import SlidingWindowDetector
    >>> X = np.zeros((8, 48, 48, 3), np.uint8)
    >>> corners = np.random.default_rng(0).integers(0, 33, (8, 2))
    >>> for image, (x, y) in zip(X, corners):
    ...     image[y : y + 16, x : x + 16] = 255
    >>> boxes = [pd.DataFrame([["square", x, y, x + 16, y + 16]], columns=["label", "xmin", "ymin", "xmax", "ymax"])
    ...          for x, y in corners]
    >>> as_rows = FunctionTransformer(lambda X: X.reshape(len(X), -1) / 255)
    >>> detector = SlidingWindowDetector(make_pipeline(as_rows, LogisticRegression()), window=16, random_state=0)
    >>> detector.fit(X, boxes).score(X, boxes) > 0.5
    True
    """

    _parameter_constraints = {  # noqa: RUF012  (scikit-learn's own form)
        "estimator": [HasMethods(["fit", "predict"])],
        "window": [Interval(Integral, 1, None, closed="left"), tuple, list],
        "stride": [Interval(Integral, 1, None, closed="left"), tuple, list, None],
        "scales": [StrOptions({"auto"}), tuple, list, np.ndarray],
        "crops_per_box": [Interval(Integral, 1, None, closed="left")],
        "background_per_image": [Interval(Integral, 1, None, closed="left")],
        "background": [str, Integral],
        "one_pass": [StrOptions({"auto"}), "boolean"],
        "score_threshold": [Interval(Real, 0, 1, closed="both")],
        "iou_threshold": [Interval(Real, 0, 1, closed="both")],
        "max_detections": [Interval(Integral, 1, None, closed="left")],
        "root": "no_validation",
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: BaseEstimator,
        *,
        window: int | tuple[int, int] = 64,
        stride: int | tuple[int, int] | None = None,
        scales: str | Sequence[float] = "auto",
        crops_per_box: int = 4,
        background_per_image: int = 16,
        background: str | int = "background",
        one_pass: str | bool = "auto",
        score_threshold: float = 0.5,
        iou_threshold: float = 0.3,
        max_detections: int = 100,
        root: str | os.PathLike[str] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.estimator = estimator
        self.window = window
        self.stride = stride
        self.scales = scales
        self.crops_per_box = crops_per_box
        self.background_per_image = background_per_image
        self.background = background
        self.one_pass = one_pass
        self.score_threshold = score_threshold
        self.iou_threshold = iou_threshold
        self.max_detections = max_detections
        self.root = root
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> Self:
        """Train the classifier on crops of the boxes and of the background.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : array-like of length n_samples
            Boxes: see :func:`skcnn.boxes.as_boxes`. Images without objects give background.

        Returns
        -------
        SlidingWindowDetector
            Itself.

        Raises
        ------
        BadImageError
            If a row has no image.
        TypeError
            If ``estimator`` has no ``predict_proba``.
        ValueError
            If a parameter or a box is invalid, a label is that of the background, or there is no box at all.
        """
        images = self._check_input(X, reset=True)
        boxes = check_boxes(box_arrays(y), images)
        labels = sorted_labels(boxes.label)
        if not labels:
            raise ValueError("y has no boxes; expected at least one to train on.")
        if self.background in labels:
            raise ValueError(
                f"y has boxes with the label {self.background!r}, which stands for windows without an object; give "
                "them another label, or another background=."
            )
        self.scales_ = self._fitted_scales(boxes)
        self.classes_ = np.array(labels, dtype=object)
        # Labels of text and numbers do not mix in scikit-learn: the classifier sees numbers, the background first.
        self._is_frozen = _is_frozen(self.estimator)
        if self._is_frozen:
            self.estimator_ = self.estimator
            unknown = [label for label in labels if label not in set(self.estimator.classes_.tolist())]
            if unknown:
                raise ValueError(
                    f"y has boxes with labels that the fitted estimator does not know: {unknown}. Its classes are "
                    f"{self.estimator.classes_.tolist()}."
                )
        else:
            crops, codes = self._crops(images, boxes)
            self.estimator_ = clone(self.estimator).fit(crops, codes)
        if not hasattr(self.estimator_, "predict_proba"):
            raise TypeError(
                f"estimator is a {type(self.estimator_).__name__}, which has no predict_proba; expected a classifier "
                "that gives probabilities, such as sklearn.calibration.CalibratedClassifierCV of it."
            )
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the boxes of objects.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.

        Returns
        -------
        ndarray of shape (n_samples,), object
            DataFrames with the columns ``label, xmin, ymin, xmax, ymax, score``, the best first; pixels of the upright
            image.

        Raises
        ------
        BadImageError
            If a row has no image.
        ValueError
            If a parameter is invalid.
        """
        check_is_fitted(self)
        images = self._check_input(X, reset=False)
        found = np.empty(len(images), object)
        classify = self._classifier()
        for row, image in _decoded(images):
            boxes, probabilities = [], []
            for level in self._pyramid(image, classify):
                boxes.append(level.boxes)
                probabilities.append(classify.probabilities(level))
            found[row] = self._best(image, np.concatenate(boxes), np.concatenate(probabilities))
        return found

    def score_maps(self, image: Any) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return how probable each class is at each place of an image.

        Parameters
        ----------
        image : image
            One image, in any form that :func:`skcnn.images.as_images` takes.

        Returns
        -------
        list of (ndarray of shape (rows, columns, 4), ndarray of shape (rows, columns, n_classes))
            Per scale that the image has room for: the windows, ``xmin, ymin, xmax, ymax`` in pixels of the upright
            image, and the probabilities of ``classes_`` in them.

        Raises
        ------
        BadImageError
            If it cannot be read.
        """
        check_is_fitted(self)
        images = self._check_input([image], reset=False)
        classify = self._classifier()
        ((_, pixels),) = _decoded(images)
        return [
            (level.boxes.reshape(*level.n_windows, 4), classify.probabilities(level).reshape(*level.n_windows, -1))
            for level in self._pyramid(pixels, classify)
        ]

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
        BadImageError
            If a row has no image.
        """
        return average_precision(y, self.predict(X))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags

    def _fitted_scales(self, boxes: BoxArrays) -> tuple[float, ...]:
        if isinstance(self.scales, str):
            height, width = _pair(self.window, "window")
            sides = boxes.xyxy[:, 2:] - boxes.xyxy[:, :2]
            low, high = np.quantile(np.maximum(sides[:, 0] / width, sides[:, 1] / height), [0.05, 0.95])
            return tuple(dict.fromkeys(np.geomspace(low, high, 5).tolist()))
        scales = np.asarray(self.scales, dtype=float)
        if scales.ndim != 1 or not len(scales) or not (np.isfinite(scales) & (scales > 0)).all():
            raise ValueError(f"scales={self.scales!r}; expected 'auto' or some numbers greater than 0.")
        return tuple(scales.tolist())

    def _steps(self) -> tuple[tuple[int, int], tuple[int, int]]:
        window = _pair(self.window, "window")
        stride = tuple(max(1, side // 4) for side in window) if self.stride is None else _pair(self.stride, "stride")
        return window, stride  # type: ignore[return-value]

    def _pyramid(self, image: np.ndarray, classify: _Windows) -> list[Level]:
        return pyramid(image, classify.window, classify.stride, self.scales_)

    def _crops(self, images: Images, boxes: BoxArrays) -> tuple[np.ndarray, np.ndarray]:
        """Return crops (n, height, width, 3) and their labels: 0 for background, then the places in ``classes_``."""
        random = check_random_state(self.random_state)
        window, stride = self._steps()
        number_of = {label: number for number, label in enumerate(self.classes_, start=1)}
        crops, codes = [], []
        for row, image in _decoded(images):
            here = boxes.image == row
            for label, box in zip(boxes.label[here], boxes.xyxy[here], strict=True):
                exact = as_window_box(box, window)
                for number in range(self.crops_per_box):
                    crops.append(crop(image, _moved(exact, window, stride, random) if number else exact, window))
                    codes.append(number_of[label])
            for place in self._background_of(image, boxes.xyxy[here], random):
                crops.append(crop(image, place, window))
                codes.append(0)
        return np.stack(crops), np.array(codes)

    def _background_of(self, image: np.ndarray, objects: np.ndarray, random: np.random.RandomState) -> np.ndarray:
        """Return windows that show no object, chosen with all scales alike."""
        window, stride = self._steps()
        chosen = []
        for level in pyramid(image, window, stride, self.scales_):
            free = level.boxes
            if len(objects):
                free = free[pairwise_iou(free, objects).max(axis=1) < BACKGROUND_IOU]
            chosen.append(free[random.permutation(len(free))[: self.background_per_image]])
        places = np.concatenate(chosen)
        return places[random.permutation(len(places))[: self.background_per_image]]

    def _classifier(self) -> _Windows:
        window, stride = self._steps()
        return _Windows(self.estimator_, window, stride, self._columns(), self.one_pass)

    def _columns(self) -> np.ndarray:
        """Return the columns of the classifier's probabilities that ``classes_`` are."""
        known = self.estimator_.classes_.tolist()
        wanted = self.classes_.tolist() if self._is_frozen else range(1, 1 + len(self.classes_))
        return np.array([known.index(label) for label in wanted])

    def _best(self, image: np.ndarray, boxes: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
        places = probabilities.argmax(axis=1)
        scores = probabilities[np.arange(len(places)), places]
        rows = np.flatnonzero(scores >= self.score_threshold)
        height, width = image.shape[:2]
        inside = np.clip(boxes[rows], 0, [width, height, width, height])
        kept, kept_scores = non_max_suppression(
            inside, scores[rows], places[rows], iou_threshold=self.iou_threshold, max_detections=self.max_detections
        )
        return box_table(self.classes_[places[rows[kept]]], inside[kept], kept_scores)


class _Windows:
    """Classifies the windows of a level: in one pass of the network, or one by one."""

    def __init__(
        self,
        estimator: Any,
        window: tuple[int, int],
        stride: tuple[int, int],
        columns: np.ndarray,
        one_pass: str | bool,
    ):
        self.window, self.stride = window, stride
        self._estimator, self._columns = estimator, columns
        self._one_pass: OnePass | None = None
        if one_pass is not False:
            network_of = estimator.estimator if _is_frozen(estimator) else estimator
            self._one_pass = one_pass_of(network_of, window, stride, wanted=one_pass is True)

    def probabilities(self, level: Level) -> np.ndarray:
        """Return the probabilities of the classes (rows * columns, n_classes)."""
        if self._one_pass is not None:
            found = self._one_pass.probabilities(level.pixels)
            return found.reshape(-1, found.shape[-1])[:, self._columns].astype(float)
        pixels = windows_of(level, self.window, self.stride)
        parts = [
            self._estimator.predict_proba(pixels[start : start + _AT_ONCE]) for start in range(0, len(pixels), _AT_ONCE)
        ]
        return np.concatenate(parts)[:, self._columns]


def _is_frozen(estimator: Any) -> bool:
    return isinstance(estimator, FrozenEstimator)


def _decoded(images: Images) -> Iterator[tuple[int, np.ndarray]]:
    """Yield each image with its row, upright and at its own size."""
    for row, image in map_ahead(lambda row: images.decode(row, images.size(row)), range(len(images)), _AHEAD):
        if isinstance(image, BadRow):
            raise BadImageError(check_images(images), len(images))
        yield row, image


def _moved(
    box: np.ndarray, window: tuple[int, int], stride: tuple[int, int], random: np.random.RandomState
) -> np.ndarray:
    """Return a window as it may lie in ``predict``: off by up to half a stride, larger or smaller by up to a tenth."""
    sides = box[2:] - box[:2]
    shift = random.uniform(-0.5, 0.5, 2) * np.array([stride[1] / window[1], stride[0] / window[0]]) * sides
    half = sides * np.exp(random.uniform(-np.log(1.1), np.log(1.1))) / 2
    centre = (box[:2] + box[2:]) / 2 + shift
    return np.concatenate([centre - half, centre + half])


def _pair(size: ArrayLike, name: str) -> tuple[int, int]:
    values = np.atleast_1d(np.asarray(size))
    if values.size not in (1, 2) or values.dtype.kind not in "iu" or (values < 1).any():
        raise ValueError(f"{name}={size!r}; expected a number of pixels, or (height, width).")
    return int(values[0]), int(values[-1])
