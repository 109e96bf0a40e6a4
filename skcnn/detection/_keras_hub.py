"""A detector of KerasHub as it is, for scores and reports."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from numbers import Integral, Real
from threading import RLock
from typing import Any, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval

from skcnn._hub import HubImages, HubPresetMixin, loading, preset_of
from skcnn._image_input import ImageInputMixin
from skcnn._keras import import_keras
from skcnn.boxes import box_arrays, box_table, check_boxes
from skcnn.images import BadImageError, BadRow, Geometry, Images, as_image_size, check_images, map_ahead
from skcnn.metrics import average_precision

#: Images that are decoded ahead, in batches.
_AHEAD = 2

_lock = RLock()


class KerasHubDetector(HubPresetMixin, ImageInputMixin, BaseEstimator):
    """Detector from a preset of KerasHub on local disk, such as a RetinaNet trained on COCO.

    It needs no ``fit``: the network is used as it is, so that it can be scored, reported on and compared with others by
    the same metrics. Needs KerasHub: ``pip install 'skcnn[hub]'``.

    Parameters
    ----------
    preset : path-like
        Folder that ``save_to_preset`` of a ``keras_hub.models.ObjectDetector`` wrote, or that was downloaded from
        Kaggle. Names of presets are not taken: nothing is downloaded. Only load folders that you trust; KerasHub builds
        what their files describe.
    classes : sequence or mapping from int or None, default=None
        Labels by the numbers of the network's outputs, from 0; boxes of numbers that a mapping lacks are left out. None
        takes the numbers: presets do not say what they stand for.
    image_size : int, (height, width) or None, default=None
        Size in pixels that images are resized to. None is the size of the preset.
    score_threshold : float, default=0.05
        Least score of a box, in [0, 1]. KerasHub's own default of 0.5 leaves out what average precision counts.
    iou_threshold : float, default=0.5
        Of boxes that overlap by more than this intersection over union, of whatever class, the best one stays, in
        [0, 1].
    max_detections : int, default=100
        Number of boxes per image, at most, >= 1. COCO's metrics look at no more.
    batch_size : int, default=4
        Images that go through the network together, >= 1. At 800 x 800 pixels each takes some hundred MB.
    root : path-like or None, default=None
        Folder (or URL) that relative paths in X start from.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), object
        Labels of boxes, by the numbers of the network's outputs. Read from the preset at each access.

    See Also
    --------
    CNNDetector : A detector of classes of your own.
    skcnn.report.DetectionReport : What a detector finds and misses.

    Notes
    -----
    Images are decoded and resized as everywhere in skcnn, in the way that the preset asks for (stretched, cut or
    padded); its scaling of pixels, anchors and suppression are KerasHub's. The network is kept in the process once per
    preset. :func:`skcnn.save` does not take this detector: the preset is the saved model.

    References
    ----------
    .. [1] T.-Y. Lin, P. Goyal, R. Girshick, K. He and P. Dollár, "Focal loss for dense object detection", ICCV 2017.

    Examples
    --------
    >>> from skcnn.detection import KerasHubDetector
    >>> detector = KerasHubDetector("retinanet_resnet50_fpn_coco/", score_threshold=0.3)
    >>> found = detector.predict(["street.jpg"])  # doctest: +SKIP
    """

    _parameter_constraints = {  # noqa: RUF012  (scikit-learn's own form)
        "preset": [str, os.PathLike],
        "classes": "no_validation",  # checked against the preset
        "image_size": "no_validation",  # checked by as_image_size
        "score_threshold": [Interval(Real, 0, 1, closed="both")],
        "iou_threshold": [Interval(Real, 0, 1, closed="both")],
        "max_detections": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "root": "no_validation",
    }

    def __init__(
        self,
        preset: str | os.PathLike[str],
        *,
        classes: Sequence[Any] | Mapping[int, Any] | None = None,
        image_size: int | tuple[int, int] | None = None,
        score_threshold: float = 0.05,
        iou_threshold: float = 0.5,
        max_detections: int = 100,
        batch_size: int = 4,
        root: str | os.PathLike[str] | None = None,
    ) -> None:
        self.preset = preset
        self.classes = classes
        self.image_size = image_size
        self.score_threshold = score_threshold
        self.iou_threshold = iou_threshold
        self.max_detections = max_detections
        self.batch_size = batch_size
        self.root = root

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check X and y; nothing is learned.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : array-like of length n_samples or None, default=None
            Boxes: see :func:`skcnn.boxes.as_boxes`.

        Returns
        -------
        KerasHubDetector
            Itself.

        Raises
        ------
        ImportError
            If KerasHub is not installed; it comes with the extra ``hub``.
        FileNotFoundError
            If there is no such folder.
        ValueError
            If a parameter or a box is invalid, or the folder has no detector.
        """
        images = self._check_input(X, reset=True)
        if y is not None:
            check_boxes(box_arrays(y), images)
        self._labels(self._loaded())
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
            If rows have no image.
        ImportError
            If KerasHub is not installed; it comes with the extra ``hub``.
        FileNotFoundError
            If there is no such folder.
        ValueError
            If a parameter is invalid, or the folder has no detector.
        """
        images = self._check_input(X, reset=False)
        loaded = self._loaded()
        labels = self._labels(loaded)
        size = self._size(loaded)
        found = np.empty(len(images), object)
        for rows, pixels in self._batches(images, size, loaded.images.resize):
            for row, (boxes, codes, scores) in zip(rows, self._decoded(loaded, pixels), strict=True):
                height, width = images.size(row)
                boxes = Geometry.of_resize((height, width), size, loaded.images.resize).back(boxes)
                boxes = np.clip(boxes, 0, [width, height, width, height])
                # Not beside the image, where it was padded, and of a class that has a label.
                kept = (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & np.isin(codes, list(labels))
                order = np.flatnonzero(kept)[np.argsort(-scores[kept], kind="stable")]
                names = np.array([*(labels[code] for code in codes[order].tolist()), None], dtype=object)[:-1]
                found[row] = box_table(names, boxes[order].astype(float), scores[order].astype(float))
        return found

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
            If ``faster-coco-eval`` is not installed, which comes with the extra ``detection``, or KerasHub.
        BadImageError
            If rows have no image.
        """
        return average_precision(y, self.predict(X))

    @property
    def classes_(self) -> np.ndarray:
        """Labels of boxes, by the numbers of the network's outputs."""
        self._validate_params()
        return np.array([*self._labels(self._loaded()).values(), None], dtype=object)[:-1]

    def _loaded(self) -> _Loaded:
        folder, stamp = preset_of(self.preset)
        with _lock:
            return _load(folder, stamp)

    def _labels(self, loaded: _Loaded) -> dict[int, Any]:
        if self.classes is None:
            return {number: number for number in range(loaded.n_classes)}
        labels = dict(self.classes) if isinstance(self.classes, Mapping) else dict(enumerate(self.classes))
        if not isinstance(self.classes, Mapping) and len(labels) != loaded.n_classes:
            raise ValueError(
                f"classes has {len(labels)} labels; expected {loaded.n_classes}, the number of outputs of the preset. "
                "To name some of them, give a dict from number to label."
            )
        outside = [number for number in labels if number not in range(loaded.n_classes)]
        if outside:
            raise ValueError(f"classes has the number {outside[0]!r}; expected 0 to {loaded.n_classes - 1}.")
        return labels

    def _size(self, loaded: _Loaded) -> tuple[int, int]:
        if self.image_size is not None:
            return as_image_size(self.image_size)
        if loaded.images.size is None:
            raise ValueError("image_size=None, and the preset has no size of its own; expected (height, width).")
        return loaded.images.size

    def _batches(self, images: Images, size: tuple[int, int], resize: str) -> Iterator[tuple[list[int], np.ndarray]]:
        """Yield rows and their pixels (n, height, width, 3), uint8."""
        rows: list[int] = []
        pixels: list[np.ndarray] = []
        ahead = _AHEAD * int(self.batch_size)
        for row, image in map_ahead(lambda row: images.decode(row, size, resize=resize), range(len(images)), ahead):
            if isinstance(image, BadRow):
                raise BadImageError(check_images(images), len(images))
            rows.append(row)
            pixels.append(image)
            if len(rows) == self.batch_size or row == len(images) - 1:
                yield rows, np.stack(pixels)
                rows, pixels = [], []

    def _decoded(self, loaded: _Loaded, pixels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield boxes (k, 4) in pixels of the resized image, numbers of classes (k,) and scores (k,) of each image."""
        keras = import_keras()
        detector = loaded.detector
        wanted = {
            "iou_threshold": float(self.iou_threshold),
            "confidence_threshold": float(self.score_threshold),
            "max_detections": int(self.max_detections),
        }
        with _lock:
            decoder = detector.prediction_decoder
            if any(getattr(decoder, name) != value for name, value in wanted.items()):
                detector.prediction_decoder = type(decoder).from_config({**decoder.get_config(), **wanted})
            inputs = keras.ops.convert_to_tensor(loaded.images.converted(pixels))
            outputs = detector.decode_predictions(detector(inputs, training=False), inputs)
        boxes = keras.utils.bounding_boxes.convert_format(
            outputs["boxes"],
            source=detector.bounding_box_format,
            target="xyxy",
            height=pixels.shape[1],
            width=pixels.shape[2],
        )
        arrays = [keras.ops.convert_to_numpy(array) for array in (boxes, outputs["labels"], outputs["confidence"])]
        for place, n in enumerate(keras.ops.convert_to_numpy(outputs["num_detections"]).tolist()):
            yield arrays[0][place, :n], arrays[1][place, :n], arrays[2][place, :n]


class _Loaded(NamedTuple):
    """A detector of KerasHub, and how it wants its images."""

    detector: Any
    n_classes: int
    images: HubImages


@lru_cache(maxsize=1)
def _load(folder: str, stamp: int) -> _Loaded:
    """Return the detector of a folder; the last one stays in memory until its files change."""
    with loading(
        folder,
        needed_by="KerasHubDetector",
        instead="CNNDetector",
        meant="a detector",
        expected="keras_hub.models.ObjectDetector, such as a RetinaNet or D-FINE",
    ) as keras_hub:
        detector = keras_hub.models.ObjectDetector.from_preset(folder)
        images = HubImages.of_converter(detector.preprocessor.image_converter)
    return _Loaded(detector, int(detector.num_classes), images)
