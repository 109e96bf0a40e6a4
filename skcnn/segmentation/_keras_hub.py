"""KerasHub's Segment Anything without further training: the mask of the object in each box."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from numbers import Integral
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from PIL import Image
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval

from skcnn._hub import HubImages, HubPresetMixin, loading, preset_of
from skcnn._image_input import ImageInputMixin
from skcnn._keras import import_keras
from skcnn.boxes import box_arrays, check_boxes, instance_arrays, pixels_of_box
from skcnn.images import BadImageError, BadRow, Geometry, bad_rows_frame, map_ahead

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

#: Boxes of an image whose masks are computed together.
_AT_ONCE = 32

#: Images that are decoded ahead.
_AHEAD = 2

_lock = RLock()


class KerasHubSAM(HubPresetMixin, ImageInputMixin, BaseEstimator):
    """Segment Anything from a KerasHub preset on the local disk: the mask of the object in each box.

    It needs no ``fit``: the network is not trained further, and finds objects of any class. Boxes come from a person,
    or from a detector: ``InstanceSegmenter(detector, KerasHubSAM(preset))``. An image goes through its encoder once,
    however many boxes it has. Needs KerasHub: ``pip install 'skcnn[hub]'``.

    Parameters
    ----------
    preset : path-like
        Folder that ``save_to_preset`` of a ``keras_hub.models.SAMImageSegmenter`` wrote, or that was downloaded from
        Kaggle. Names of presets are not accepted, because nothing is downloaded. Only load folders that you trust;
        KerasHub builds what their files describe.
    root : path-like or None, default=None
        Folder (or URL) that relative paths in X start from.
    max_pixels : int or None, default=None
        Images with more pixels are refused; None is Pillow's limit.

    See Also
    --------
    InstanceSegmenter : Finds boxes with a detector, and masks in them.

    Notes
    -----
    The network returns several masks per prompt; the first one is used, which was trained for unambiguous prompts such
    as boxes. No mask extends beyond its box. As in the publication, the longer side of an image is resized to that of
    the network, and the rest is padded. The process keeps one network per preset. :func:`skcnn.save` does not accept
    this estimator: the preset is the saved model.

    References
    ----------
    .. [1] A. Kirillov et al., "Segment Anything", ICCV 2023.

    Examples
    --------
    >>> from skcnn.segmentation import KerasHubSAM
    >>> sam = KerasHubSAM("sam_base_sa1b/")
    >>> found = sam.predict_masks(["street.jpg"], [[[40, 30, 120, 90]]])  # doctest: +SKIP
    """

    _parameter_constraints = {  # noqa: RUF012  (scikit-learn's own form)
        "preset": [str, os.PathLike],
        "root": "no_validation",
        "max_pixels": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(
        self,
        preset: str | os.PathLike[str],
        *,
        root: str | os.PathLike[str] | None = None,
        max_pixels: int | None = None,
    ) -> None:
        self.preset = preset
        self.root = root
        self.max_pixels = max_pixels

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check X and y; nothing is learned.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : array-like of length n_samples or None, default=None
            Boxes with masks: see :func:`skcnn.boxes.as_instances`.

        Returns
        -------
        KerasHubSAM
            Itself.

        Raises
        ------
        ImportError
            If KerasHub is not installed; it comes with the extra ``hub``.
        FileNotFoundError
            If there is no such folder.
        ValueError
            If a parameter, a box or a mask is invalid, or the folder has no Segment Anything.
        """
        images = self._check_input(X, reset=True)
        if y is not None:
            instance_arrays(y, images)
        self._loaded()
        return self

    def predict_masks(self, X: Any, boxes: Sequence[Any] | np.ndarray | pd.DataFrame) -> np.ndarray:
        """Return the masks of the objects in boxes.

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
            2-D bool arrays of the pixels of the box (see :func:`skcnn.boxes.as_instances`).

        Raises
        ------
        BadImageError
            If rows have no image. Those without boxes are not read.
        ImportError
            If KerasHub is not installed; it comes with the extra ``hub``.
        FileNotFoundError
            If there is no such folder.
        ValueError
            If a parameter or a box is invalid, or the folder has no Segment Anything.
        """
        images = self._check_input(X, reset=False)
        arrays = check_boxes(box_arrays(boxes), images, name="boxes")
        loaded = self._loaded()
        found = np.empty(len(arrays.image), object)

        def decoded(row: int) -> np.ndarray:
            return images.decode(row, loaded.resized(images.size(row)), max_pixels=self.max_pixels)

        bad: list[BadRow] = []
        for row, pixels in map_ahead(decoded, np.unique(arrays.image).tolist(), _AHEAD):
            if isinstance(pixels, BadRow):
                bad.append(pixels._replace(path=images.path(row)))
            if bad:
                continue
            places = np.flatnonzero(arrays.image == row)
            geometry = Geometry.of_resize(images.size(row), pixels.shape[:2])
            logits = loaded.logits(pixels, geometry.forth(arrays.xyxy[places]))
            for place, values in zip(places.tolist(), logits, strict=True):
                found[place] = _mask_of(values, arrays.xyxy[place], geometry, loaded.size)
        if bad:
            raise BadImageError(bad_rows_frame(bad), len(images))
        return arrays._replace(mask=found).tables()

    def _loaded(self) -> _Loaded:
        with _lock:
            return _load(*preset_of(self.preset))


class _Loaded(NamedTuple):
    """Segment Anything of KerasHub, and how it wants its images."""

    backbone: Any
    images: HubImages

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of its images: it has no other."""
        height, width = self.backbone.image_encoder.input_shape[1:3]
        return int(height), int(width)

    def resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the height and width that an image of a size has in that of the network."""
        scale = min(new / side for new, side in zip(self.size, size, strict=True))
        height, width = (max(1, round(side * scale)) for side in size)
        return height, width

    def logits(self, pixels: np.ndarray, xyxy: np.ndarray) -> Iterator[np.ndarray]:
        """Yield for each box (n_boxes, 4), in pixels of the resized image, values that are positive in the object."""
        ops, backbone = import_keras().ops, self.backbone
        missing = [new - side for new, side in zip(self.size, pixels.shape[:2], strict=True)]
        scaled = np.pad(self.images.converted(pixels), ((0, missing[0]), (0, missing[1]), (0, 0)))
        with _lock:
            embedding = backbone.image_encoder(ops.convert_to_tensor(scaled[None]), training=False)
        for start in range(0, len(xyxy), _AT_ONCE):
            corners = xyxy[start : start + _AT_ONCE].reshape(-1, 1, 2, 2).astype(np.float32)
            with _lock:
                prompts = backbone.prompt_encoder(boxes=ops.convert_to_tensor(corners))
                masks = backbone.mask_decoder(image_embeddings=embedding, **prompts)["masks"]
            yield from np.asarray(ops.convert_to_numpy(ops.cast(masks[:, 0], "float32")))


def _mask_of(logits: np.ndarray, xyxy: np.ndarray, geometry: Geometry, size: tuple[int, int]) -> np.ndarray:
    """Return the pixels of a box, bool, that lie in the object; of a map of the network's image, which has a size."""
    top, left, bottom, right = pixels_of_box(xyxy)
    scale = np.tile(np.array(logits.shape[::-1]) / size[::-1], 2)
    place = np.clip(geometry.forth([[left, top, right, bottom]])[0] * scale, 0, np.tile(logits.shape[::-1], 2))
    values = Image.fromarray(logits).resize(
        (right - left, bottom - top), Image.Resampling.BILINEAR, box=tuple(place.tolist())
    )
    return np.asarray(values) > 0


@lru_cache(maxsize=1)
def _load(folder: str, stamp: int) -> _Loaded:
    """Return what is in a folder; the last one stays in memory until its files change."""
    with loading(
        folder,
        needed_by="KerasHubSAM",
        instead="CNNSegmenter",
        meant="Segment Anything",
        expected="keras_hub.models.SAMImageSegmenter",
    ) as keras_hub:
        model = keras_hub.models.SAMImageSegmenter.from_preset(folder)
        images = HubImages.of_converter(model.preprocessor.image_converter)
    return _Loaded(model.backbone, images)
