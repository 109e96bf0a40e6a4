"""A mask for each object of an image: a detector finds boxes, and a segmenter the mask in each box."""

from __future__ import annotations

import os
from functools import partial
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils import Tags
from sklearn.utils._param_validation import HasMethods, Interval
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skcnn._image_input import ImageInputMixin
from skcnn.boxes import (
    BoxArrays,
    PlacedMask,
    box_arrays,
    check_boxes,
    compact_masks,
    instance_arrays,
    pixels_of_box,
    sorted_labels,
)
from skcnn.images import IGNORED, BadImageError, BadRow, Images, bad_rows_frame, fetched_once, image_sizes
from skcnn.metrics import mask_average_precision
from skcnn.segmentation._crops import Crops, window_around

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pandas as pd

#: Windows that the segmenter gets at once: their masks are kept until they are cut to their boxes.
_AT_ONCE = 256


def _has_detector(segmenter: InstanceSegmenter) -> bool:
    if segmenter.detector is None:
        raise AttributeError("detector=None finds no boxes; give them to predict_masks, or give a detector.")
    return True


def _takes_boxes(segmenter: Any) -> bool:
    """Whether a segmenter takes boxes of whole images, and not the images in the boxes."""
    return hasattr(segmenter, "predict_masks")


class InstanceSegmenter(ImageInputMixin, BaseEstimator):
    """Segmenter of objects: a detector finds boxes, and a segmenter predicts the mask in each box.

    It does the same task as Mask R-CNN [1]_ with two estimators, each of which can be fitted, searched and validated
    separately. The segmenter is trained on the crops of the boxes, enlarged by a margin, to find the pixels of the
    object.

    Parameters
    ----------
    detector : estimator or None
        Its ``predict`` returns boxes with scores, such as :class:`~skcnn.detection.CNNDetector`; ``fit`` fits a clone
        of it. Put a fitted detector into a :class:`sklearn.frozen.FrozenEstimator` to keep it unchanged. With None,
        give boxes to :meth:`predict_masks`; there is no ``predict``.
    segmenter : estimator
        Its ``predict`` returns masks, such as :class:`CNNSegmenter`; ``fit`` fits a clone of it on the crop around each
        true box, with two classes: 0 for the background and other objects, 1 for the object. If it is a fitted
        segmenter in a :class:`~sklearn.frozen.FrozenEstimator`, all its classes except 0 are the object. A segmenter
        with the method ``predict_masks(X, boxes)``, such as :class:`KerasHubSAM`, gets whole images and boxes, and is
        fitted on X and y themselves.
    margin : float, default=0.1
        What is added to each side of a box for the segmenter, as a fraction of the height and width of the box. So the
        segmenter sees the surroundings, and learns that boxes are not exact. Masks still do not extend beyond their
        boxes. Not used for segmenters that get whole images.
    root : path-like or None, default=None
        Folder (or URL) that relative paths in X start from, for both estimators.
    max_pixels : int or None, default=None
        Images with more pixels are refused; None is Pillow's limit.

    Attributes
    ----------
    detector_ : estimator
        The fitted detector; not set if ``detector`` is None.
    segmenter_ : estimator
        The fitted segmenter.
    classes_ : list
        Labels of the objects in y.
    n_features_in_ : int
        1, after ``fit`` on a one-column frame or an (n, 1) array. Not set otherwise.
    feature_names_in_ : ndarray of shape (1,), dtype object
        The name of the column, after ``fit`` on a frame.

    See Also
    --------
    skcnn.boxes.as_instances : Accepted forms of boxes with masks.
    skcnn.boxes.whole_masks : Masks of the size of the image.
    skcnn.metrics.InstanceDisplay : Masks of objects on images.
    skcnn.datasets.load_coco : Boxes with masks from COCO's JSON.

    Notes
    -----
    One segmenter is used for the objects of all classes, and finds the pixels of the object in a box. Two objects that
    cover each other have nearly the same box, and therefore get nearly the same mask. The masks of an image may
    overlap, as with Mask R-CNN. The score is that of the box.

    References
    ----------
    .. [1] K. He, G. Gkioxari, P. Dollár and R. Girshick, "Mask R-CNN", ICCV 2017.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skcnn.segmentation import CNNSegmenter, InstanceSegmenter
    >>> X, y = np.zeros((12, 32, 32, 3), np.uint8), []
    >>> for image, (top, left) in zip(X, np.random.default_rng(0).integers(0, 13, (12, 2))):
    ...     triangle = np.tri(20, dtype=bool)
    ...     image[top : top + 20, left : left + 20][triangle] = 255
    ...     table = pd.DataFrame({"label": ["sail"], "xmin": left, "ymin": top, "xmax": left + 20, "ymax": top + 20})
    ...     y.append(table.assign(mask=[triangle]))
    >>> segmenter = CNNSegmenter("ResNet20", n_channels=16, batch_size=2, random_state=0)
    >>> instances = InstanceSegmenter(None, segmenter).fit(X, y)
    >>> found = instances.predict_masks(X[:1], y[:1])
    >>> found[0]["mask"][0].shape
    (20, 20)
    """

    _parameter_constraints = {  # noqa: RUF012  (scikit-learn's own form)
        "detector": [HasMethods(["fit", "predict"]), None],
        "segmenter": [HasMethods(["fit", "predict"]), HasMethods(["fit", "predict_masks"])],
        "margin": [Interval(Real, 0, None, closed="left")],
        "root": "no_validation",
        "max_pixels": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(
        self,
        detector: BaseEstimator | None,
        segmenter: BaseEstimator,
        *,
        margin: float = 0.1,
        root: str | os.PathLike[str] | None = None,
        max_pixels: int | None = None,
    ) -> None:
        self.detector = detector
        self.segmenter = segmenter
        self.margin = margin
        self.root = root
        self.max_pixels = max_pixels

    def fit(self, X: Any, y: Any) -> Self:
        """Fit the detector on the boxes, and the segmenter on the crops of the boxes.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : array-like of length n_samples
            Boxes with masks: see :func:`skcnn.boxes.as_instances`.

        Returns
        -------
        InstanceSegmenter
            Itself.

        Raises
        ------
        BadImageError
            If rows have no image.
        ImportError
            If masks are segments of COCO and ``faster-coco-eval`` is not installed; it comes with the extra
            ``detection``.
        ValueError
            If a parameter, a box or a mask is invalid, or y has no objects.
        """
        with fetched_once(self._check_input(X, reset=True)) as images:
            arrays = instance_arrays(y, images)
            if not len(arrays.image):
                raise ValueError("y has no objects; expected boxes with masks.")
            for name in ("detector_", "segmenter_"):  # a fit that fails leaves nothing to predict with
                self.__dict__.pop(name, None)
            detector, segmenter = clone(self.detector, safe=False), clone(self.segmenter)
            if detector is not None:
                detector.fit(self._given(X, images), arrays._replace(mask=None).tables())
            if _takes_boxes(segmenter):
                segmenter.fit(self._given(X, images), compact_masks(arrays).tables())
            else:
                crops = self._crops(images, arrays)
                masks = [
                    mask.window(*window).astype(np.uint8)
                    for mask, (_, window) in zip(arrays.masks, crops.items, strict=True)
                ]
                self._of_crops(partial(segmenter.fit, crops, masks), crops, images)
            self.classes_ = sorted_labels(arrays.label)
            self.segmenter_ = segmenter
            if detector is not None:
                self.detector_ = detector
        return self

    @available_if(_has_detector)
    def predict(self, X: Any) -> np.ndarray:
        """Return the objects of images.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.

        Returns
        -------
        ndarray of shape (n_samples,), object
            DataFrames with the columns ``label, xmin, ymin, xmax, ymax, score, mask``, in the detector's order. A mask
            is a 2-D bool array of the pixels of the box: see :func:`skcnn.boxes.as_instances`. An image without objects
            has an empty table.

        Raises
        ------
        BadImageError
            If rows have no image.
        ValueError
            If a parameter is invalid.
        """
        check_is_fitted(self, "segmenter_")
        with fetched_once(self._check_input(X, reset=False)) as images:
            boxes = check_boxes(box_arrays(self.detector_.predict(self._given(X, images))), images, "clip")
            return self._with_masks(X, images, boxes)

    def predict_masks(self, X: Any, boxes: Sequence[Any] | np.ndarray | pd.DataFrame) -> np.ndarray:
        """Return the masks of objects whose boxes are known, for instance because a person drew them.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        boxes : sequence of length n_samples
            See :func:`skcnn.boxes.as_boxes`; masks in them are ignored.

        Returns
        -------
        ndarray of shape (n_samples,), object
            DataFrames with the columns ``label, xmin, ymin, xmax, ymax``, ``score`` if the boxes have it, and ``mask``:
            see :meth:`predict`.

        Raises
        ------
        BadImageError
            If rows have no image.
        ValueError
            If a parameter or a box is invalid.
        """
        check_is_fitted(self, "segmenter_")
        with fetched_once(self._check_input(X, reset=False)) as images:
            return self._with_masks(X, images, check_boxes(box_arrays(boxes), images, name="boxes"))

    @available_if(_has_detector)
    def score(self, X: Any, y: Any) -> float:
        """Return COCO's average precision of the masks: see :func:`skcnn.metrics.mask_average_precision`.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : array-like of length n_samples
            True boxes with masks.

        Returns
        -------
        float
            In [0, 1]; NaN if there is no true object.

        Raises
        ------
        BadImageError
            If rows have no image.
        ImportError
            If ``faster-coco-eval`` is not installed; it comes with the extra ``detection``.
        ValueError
            If a parameter, a box or a mask is invalid.
        """
        return mask_average_precision(y, self.predict(X))

    def _given(self, X: Any, images: Images) -> Any:
        """Return X for estimators that see all of it: as it was given where nothing of it is known but here."""
        return X if self.root is None and type(images) is Images else images

    def _crops(self, images: Images, arrays: BoxArrays) -> Crops:
        """Return what the segmenter sees of each box."""
        sizes = image_sizes(images).tolist()
        numbers = arrays.image.tolist()
        windows = [
            window_around(xyxy, tuple(sizes[number]), float(self.margin))
            for number, xyxy in zip(numbers, arrays.xyxy, strict=True)
        ]
        return Crops(images, numbers, windows, max_pixels=self.max_pixels)

    def _with_masks(self, X: Any, images: Images, arrays: BoxArrays) -> np.ndarray:
        """Return the tables of boxes, with a mask for each."""
        if _takes_boxes(self.segmenter_):
            return self.segmenter_.predict_masks(self._given(X, images), arrays.tables())
        crops = self._crops(images, arrays)
        found = np.empty(len(crops), object)
        for start in range(0, len(crops), _AT_ONCE):
            some = crops.take(range(start, min(start + _AT_ONCE, len(crops))))
            masks = self._of_crops(partial(self.segmenter_.predict, some), some, images)
            for place, (mask, (_, window)) in enumerate(zip(masks, some.items, strict=True), start):
                labels = np.asarray(mask)
                inside = (labels != 0) & (labels != IGNORED)
                placed = PlacedMask(window[0], window[1], inside, is_whole=False)
                found[place] = placed.window(*pixels_of_box(arrays.xyxy[place]))
        return arrays._replace(mask=found).tables()

    def _of_crops(self, compute: Callable[[], Any], crops: Crops, images: Images) -> Any:
        """Return what the segmenter does; of images that cannot be read say which, and not of which window."""
        try:
            return compute()
        except BadImageError as error:
            reasons = {
                crops.number(int(row)): str(reason)
                for row, reason in zip(error.bad_rows["row"], error.bad_rows["reason"], strict=True)
            }
            bad = [BadRow(number, images.path(number), reason) for number, reason in sorted(reasons.items())]
            raise BadImageError(bad_rows_frame(bad), len(images)) from None

    def __sklearn_tags__(self) -> Tags:
        """Return scikit-learn's tags of the estimator."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        return tags
