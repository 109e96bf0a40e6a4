"""FaceCrop: the face in each image, cut out."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Iterator
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from PIL import Image
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from skcnn._image_input import ImageInputMixin
from skcnn.boxes import BoxArrays, box_arrays, box_table
from skcnn.images import BadImageError, BadRow, Images, as_image_size, bad_rows_frame, map_ahead, resize_image
from skcnn.metric_learning._mtcnn import mtcnn_faces

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: No image is larger: thumbnails of this size are the images themselves.
_ANY_SIZE = 2**30

#: Images that a detector gets at once, and that are decoded ahead of it.
_AT_ONCE = 8

#: Images whose faces by mtcnn are remembered: some 10 MB.
_REMEMBERED = 2**16

_known: OrderedDict[bytes, np.ndarray] = OrderedDict()


class FaceCrop(ImageInputMixin, TransformerMixin, BaseEstimator):
    """Cut the face out of each image as a square, as networks that were trained on faces expect.

    The first step of an embedding: ``make_pipeline(FaceCrop(), BottleneckFeatures("faces.keras"))``. If an image has
    several faces, the largest one is used. Nothing is learned.

    Parameters
    ----------
    detector : estimator or None, default=None
        Finds faces: its ``predict`` takes a list of images and returns boxes with scores, see
        :func:`skcnn.boxes.as_boxes`. Put a fitted detector into a :class:`sklearn.frozen.FrozenEstimator`, so that
        clones remain fitted. None is MTCNN [1]_, whose networks come with the package mtcnn:
        ``pip install 'skcnn[faces]'``.
    min_score : float, default=0.9
        Minimum score of a face, in [0, 1].
    margin : float, default=0.25
        What is added to the longer side of the box, as a fraction of it, half on each side, >= 0. The default leaves
        hair and chin in the image, as FaceNet's crops of 160 pixels do. Parts of a crop beyond the edges of the image
        are black.
    image_size : int, (height, width) or None, default=None
        Size in pixels of the crops. None does not resize them.
    missing : {"raise", "image"}, default="raise"
        What to do with an image without a face: raise an error that names all such images, or use the whole image.
    detect_size : int, default=640
        Larger images are shrunk so that their longer side has this number of pixels, before faces are detected; crops
        are cut from the original image. MTCNN finds faces of at least 20 pixels at this size; smaller sizes are faster.
    root : path-like or None, default=None
        Folder (or URL) that relative paths in X start from.
    max_pixels : int or None, default=None
        Images with more pixels are refused; None is Pillow's limit.

    Attributes
    ----------
    n_features_in_ : int
        1, after ``fit`` on a one-column frame or an (n, 1) array. Not set otherwise.
    feature_names_in_ : ndarray of shape (1,), dtype object
        The name of the column, after ``fit`` on a frame.

    See Also
    --------
    FaceVerifier : Decides whether two faces are of the same person.

    Notes
    -----
    The faces that MTCNN finds are cached in the process by the content of the image, so that a cross-validation detects
    them once for all folds.

    References
    ----------
    .. [1] K. Zhang, Z. Zhang, Z. Li and Y. Qiao, "Joint face detection and alignment using multitask cascaded
       convolutional networks", IEEE Signal Processing Letters 23, 2016.

    Examples
    --------
    A detector for which the bright part of an image is the face:

    >>> import numpy as np
    >>> from skcnn.metric_learning import FaceCrop
    >>> class BrightDetector:
    ...     def predict(self, X):
    ...         places = [np.nonzero(image.max(axis=2) > 128) for image in X]
    ...         boxes = [[[x.min(), y.min(), x.max() + 1, y.max() + 1]] for y, x in places]
    ...         return [{"boxes": box, "labels": ["face"], "scores": [1.0]} for box in boxes]
    >>> X = np.zeros((2, 64, 64, 3), np.uint8)
    >>> X[:, 20:40, 30:50] = 255
    >>> FaceCrop(BrightDetector(), image_size=32).transform(X).shape
    (2, 32, 32, 3)
    """

    _parameter_constraints = {  # noqa: RUF012  (scikit-learn's own form)
        "detector": [HasMethods(["predict"]), None],
        "min_score": [Interval(Real, 0, 1, closed="both")],
        "margin": [Interval(Real, 0, None, closed="left")],
        "image_size": "no_validation",  # checked by as_image_size
        "missing": [StrOptions({"raise", "image"})],
        "detect_size": [Interval(Integral, 1, None, closed="left")],
        "root": "no_validation",
        "max_pixels": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(
        self,
        detector: BaseEstimator | None = None,
        *,
        min_score: float = 0.9,
        margin: float = 0.25,
        image_size: int | tuple[int, int] | None = None,
        missing: str = "raise",
        detect_size: int = 640,
        root: str | os.PathLike[str] | None = None,
        max_pixels: int | None = None,
    ) -> None:
        self.detector = detector
        self.min_score = min_score
        self.margin = margin
        self.image_size = image_size
        self.missing = missing
        self.detect_size = detect_size
        self.root = root
        self.max_pixels = max_pixels

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check parameters and X; nothing is learned.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.
        y : object or None, default=None
            Ignored.

        Returns
        -------
        FaceCrop
            Itself.

        Raises
        ------
        ValueError
            If a parameter is invalid, or X is not images.
        """
        self._check_input(X, reset=True)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the face of each image.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`skcnn.images.as_images`.

        Returns
        -------
        ndarray of shape (n_samples,), object; or (n_samples, height, width, 3), uint8, with ``image_size``
            Images (height, width, 3), uint8.

        Raises
        ------
        BadImageError
            If rows have no image, or, with ``missing="raise"``, no face.
        ImportError
            If there is no ``detector``, and mtcnn is not installed; it comes with the extra ``faces``.
        ValueError
            If a parameter is invalid.
        """
        images = self._check_input(X, reset=False)
        size = None if self.image_size is None else as_image_size(self.image_size)
        found = np.empty(len(images), object) if size is None else np.empty((len(images), *size, 3), np.uint8)
        bad: list[BadRow] = []
        faceless: list[int] = []
        for part in self._decoded(images, bad):
            faces = self._faces([small for _, _, small in part])
            for (row, whole, small), face in zip(part, faces, strict=True):
                if face is None and self.missing == "raise":
                    faceless.append(row)
                elif not bad and not faceless:  # all of these are reported at once
                    pixels = whole if face is None else self._crop(whole, face * _scale(whole, small))
                    found[row] = pixels if size is None else np.asarray(resize_image(Image.fromarray(pixels), size))
        if bad:
            raise BadImageError(bad_rows_frame(bad), len(images))
        if faceless:
            reason = f"no face with a score of {self.min_score:g} or more"
            raise BadImageError(
                bad_rows_frame([BadRow(row, images.path(row), reason) for row in faceless]),
                len(images),
                "Leave out these rows, use missing='image' to take the whole image, or a lower min_score.",
            )
        return found

    def __sklearn_is_fitted__(self) -> bool:
        """Tell scikit-learn that nothing needs a ``fit``."""
        return True

    def __sklearn_tags__(self) -> Tags:
        """Return the tags that tell scikit-learn that it needs no ``fit``."""
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return tags

    def _decoded(self, images: Images, bad: list[BadRow]) -> Iterator[list[tuple[int, np.ndarray, np.ndarray]]]:
        """Yield rows, their pixels and those that faces are looked for in; add rows without an image to ``bad``."""

        def read(row: int) -> tuple[np.ndarray, np.ndarray]:
            whole = images.thumbnail(row, _ANY_SIZE, max_pixels=self.max_pixels)
            return whole, _shrunk(whole, int(self.detect_size))

        part: list[tuple[int, np.ndarray, np.ndarray]] = []
        for row, pixels in map_ahead(read, range(len(images)), _AT_ONCE):
            if isinstance(pixels, BadRow):
                bad.append(pixels._replace(path=images.path(row)))
            else:
                part.append((row, *pixels))
            if part and (len(part) == _AT_ONCE or row == len(images) - 1):
                yield part
                part = []

    def _faces(self, images: list[np.ndarray]) -> list[NDArray[np.float64] | None]:
        """Return the box of the largest face of each image, ``xmin, ymin, xmax, ymax``; None where there is none."""
        if self.detector is None:
            boxes = box_arrays([box_table(_names(faces), faces[:, :4], faces[:, 4]) for faces in _remembered(images)])
        else:
            boxes = box_arrays(self.detector.predict(images))
        if boxes.n_images != len(images):
            raise ValueError(
                f"detector returned boxes of {boxes.n_images} images for {len(images)}; expected a table per image."
            )
        if boxes.score is None and len(boxes.image):
            raise ValueError("detector returned boxes without scores; expected the column 'score'.")
        return [self._largest(boxes, number) for number in range(len(images))]

    def _largest(self, boxes: BoxArrays, number: int) -> NDArray[np.float64] | None:
        rows = np.flatnonzero(boxes.image == number)
        if boxes.score is not None:
            rows = rows[boxes.score[rows] >= self.min_score]
        area = (boxes.xyxy[rows, 2:] - boxes.xyxy[rows, :2]).clip(min=0).prod(axis=1)
        return boxes.xyxy[rows[area.argmax()]].astype(float) if len(rows) and area.max() > 0 else None

    def _crop(self, image: np.ndarray, box: np.ndarray) -> np.ndarray:
        """Return a square around a box; what lies beside the image is black."""
        side = max(1, round(float((box[2:] - box[:2]).max()) * (1 + self.margin)))
        left, top = (round(float(middle) - side / 2) for middle in (box[:2] + box[2:]) / 2)
        crop = np.zeros((side, side, 3), np.uint8)
        height, width = image.shape[:2]
        rows, columns = slice(max(top, 0), min(top + side, height)), slice(max(left, 0), min(left + side, width))
        if rows.start < rows.stop and columns.start < columns.stop:
            part = image[rows, columns]
            crop[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = part
        return crop


def _scale(whole: np.ndarray, small: np.ndarray) -> np.ndarray:
    """Return what boxes in the small image are multiplied by."""
    height, width = (large / little for large, little in zip(whole.shape[:2], small.shape[:2], strict=True))
    return np.array([width, height, width, height])


def _names(faces: np.ndarray) -> np.ndarray:
    return np.full(len(faces), "face", dtype=object)


def _shrunk(image: np.ndarray, size: int) -> np.ndarray:
    height, width = image.shape[:2]
    scale = size / max(height, width)
    if scale >= 1:
        return image
    shape = max(1, round(height * scale)), max(1, round(width * scale))
    return np.asarray(resize_image(Image.fromarray(image), shape))


def _remembered(images: list[np.ndarray]) -> list[np.ndarray]:
    """Return what MTCNN finds in images, and looks for once."""
    keys = [hashlib.blake2b(f"{image.shape}".encode() + image.tobytes(), digest_size=32).digest() for image in images]
    new = {key: image for key, image in zip(keys, images, strict=True) if key not in _known}
    found = dict(zip(new, mtcnn_faces(list(new.values())), strict=True)) if new else {}
    faces = [found[key] if key in found else _known[key] for key in keys]
    _known.update(found)
    while len(_known) > _REMEMBERED:
        _known.popitem(last=False)
    return faces
