"""Boxes with masks: the pixels of each object of an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from skcnn._text import printable_text
from skcnn.boxes._arrays import BoxArrays
from skcnn.boxes._checks import check_boxes
from skcnn.boxes._forms import as_plain, box_arrays
from skcnn.images import as_images, image_sizes, segment_mask

ACCEPTED = (
    "Accepted, in a column 'mask' (or 'masks' of a dict, 'mask' of a supervision.Detections): per object a 2-D array "
    "of True and False, or 1 and 0, of the size of the image or of the pixels of the box; or polygons or run lengths "
    "of COCO"
)


class PlacedMask(NamedTuple):
    """The pixels of an object, and where they are in the image.

    Attributes
    ----------
    top, left : int
        Of the first pixel.
    pixels : ndarray of shape (height, width), bool
        All other pixels of the image are not the object's.
    is_whole : bool
        Whether they are those of the whole image.
    """

    top: int
    left: int
    pixels: np.ndarray
    is_whole: bool

    @property
    def bottom(self) -> int:
        """Row below the last pixel."""
        return self.top + self.pixels.shape[0]

    @property
    def right(self) -> int:
        """Column behind the last pixel."""
        return self.left + self.pixels.shape[1]

    def window(self, top: int, left: int, bottom: int, right: int) -> np.ndarray:
        """Return the pixels of a window of the image, (bottom - top, right - left) bool; False outside of the mask."""
        found = np.zeros((bottom - top, right - left), bool)
        rows = slice(max(top, self.top), min(bottom, self.bottom))
        columns = slice(max(left, self.left), min(right, self.right))
        if rows.start < rows.stop and columns.start < columns.stop:
            found[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = self.pixels[
                rows.start - self.top : rows.stop - self.top, columns.start - self.left : columns.stop - self.left
            ]
        return found


def pixels_of_box(xyxy: np.ndarray) -> tuple[int, int, int, int]:
    """Return top, left, bottom and right of the pixels that a box has a part of; the last two are behind them.

    Parameters
    ----------
    xyxy : ndarray of shape (4,), float
        ``xmin, ymin, xmax, ymax``.

    Returns
    -------
    tuple of four int

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.boxes import pixels_of_box
    >>> pixels_of_box(np.array([0.5, 2.0, 9.0, 10.1]))
    (2, 0, 11, 9)
    """
    low, high = np.floor(xyxy[:2]), np.ceil(xyxy[2:])
    return int(low[1]), int(low[0]), int(high[1]), int(high[0])


def as_instances(y: Any, X: Any = None, invalid: Literal["raise", "clip", "drop"] = "raise") -> np.ndarray:
    """Return boxes with masks, in whichever form y has them, as one table per image.

    Parameters
    ----------
    y : array-like of length n_images
        One item per image: a DataFrame with the columns ``label, xmin, ymin, xmax, ymax, mask`` and perhaps ``score``,
        a dict of torchvision with "boxes", "labels", "masks" and perhaps "scores", or a ``supervision.Detections``.
        Coordinates are those of :func:`as_boxes`. A mask is

        - an array (height, width) of the image, True (or 1) where the object is;
        - an array of the pixels that the box has a part of: rows ``floor(ymin)`` to ``ceil(ymax)``, columns
          ``floor(xmin)`` to ``ceil(xmax)``;
        - run lengths of COCO, ``{"size", "counts"}``, of the image; or polygons of COCO, ``[[x, y, x, y, ...], ...]``,
          of which counts what lies in the box. Both need the extra ``detection``.

        An image without objects has an empty table.
    X : array-like of length n_images or None, default=None
        The images (see :func:`skcnn.images.as_images`), of which the sizes alone are read. None if boxes and masks need
        not fit them.
    invalid : {"raise", "clip", "drop"}, default="raise"
        How to handle boxes that cannot be right: see :func:`as_boxes`. A mask that cannot be read always raises.

    Returns
    -------
    ndarray of shape (n_images,), object
        DataFrames with the columns ``label`` (object), ``xmin, ymin, xmax, ymax`` (float64), where y has scores
        ``score`` (float64), and ``mask`` (object): 2-D bool arrays, of the pixels of the box where nothing of the
        object lies outside, else of the whole image.

    Raises
    ------
    ImportError
        If segments of COCO are given and ``faster-coco-eval`` is not installed.
    TypeError
        If an item of y is of another form.
    ValueError
        If an item has no masks, a mask has another size, or a box is invalid. The message names the image and the
        object.

    See Also
    --------
    whole_masks : Masks of the size of the image.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from skcnn.boxes import as_instances
    >>> mask = np.zeros((24, 32), bool)
    >>> mask[4:10, 8:20] = True
    >>> table = pd.DataFrame([["cat", 8, 4, 20, 10]], columns=["label", "xmin", "ymin", "xmax", "ymax"])
    >>> table["mask"] = [mask]
    >>> y = as_instances([table], X=np.zeros((1, 24, 32, 3), np.uint8))
    >>> y[0]["mask"][0].shape
    (6, 12)
    """
    return compact_masks(instance_arrays(y, X, invalid)).tables()


def instance_arrays(
    y: Any, X: Any = None, invalid: Literal["raise", "clip", "drop"] = "raise", *, name: str = "y"
) -> BoxArrays:
    """Return boxes in arrays, checked, with masks and where these are.

    Parameters
    ----------
    y, X, invalid
        See :func:`as_instances`.
    name : str, default="y"
        What messages call y.

    Returns
    -------
    BoxArrays
        Whose ``mask`` has a :class:`PlacedMask` per box.

    Raises
    ------
    ImportError
        If segments of COCO are given and ``faster-coco-eval`` is not installed.
    TypeError
        If an item of y is of another form.
    ValueError
        If an item has no masks, a mask has another size, or a box is invalid.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.boxes import instance_arrays
    >>> item = {"boxes": [[8, 4, 20, 10]], "labels": [1], "masks": np.ones((1, 6, 12), bool)}
    >>> mask = instance_arrays([item]).mask[0]
    >>> mask.top, mask.left, mask.pixels.shape
    (4, 8, (6, 12))
    """
    arrays = box_arrays(y)
    if arrays.mask is None:
        mask = np.empty(len(arrays.image), object)
        mask[:] = [*_masks_of(y, arrays, name), None][:-1]
        arrays = arrays._replace(mask=mask)
    sizes = None
    if X is not None:
        images = as_images(X)
        # Of another length, the check of boxes has the message.
        sizes = image_sizes(images) if len(images) == arrays.n_images else None
    first = np.searchsorted(arrays.image, arrays.image)
    placed = np.empty(len(arrays.image), object)
    for place, (image, xyxy) in enumerate(zip(arrays.image.tolist(), arrays.xyxy, strict=True)):
        # What is wrong with the box is said below.
        if not np.isfinite(xyxy).all() or (xyxy[2:] <= xyxy[:2]).any():
            continue
        size = None if sizes is None else (int(sizes[image][0]), int(sizes[image][1]))
        try:
            placed[place] = _placed(arrays.masks[place], xyxy, size)
        except (TypeError, ValueError) as error:
            label = printable_text(str(arrays.label[place]))
            raise ValueError(
                f"Image {image} of {name}, object {place - first[place]} ({label!r}): {error}. {ACCEPTED}."
            ) from None
    return check_boxes(arrays._replace(mask=placed), X, invalid, name=name)


def compact_masks(arrays: BoxArrays) -> BoxArrays:
    """Return boxes whose masks are 2-D bool arrays: of the pixels of the box where nothing lies outside.

    Parameters
    ----------
    arrays : BoxArrays
        From :func:`instance_arrays`.

    Returns
    -------
    BoxArrays

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.boxes import compact_masks, instance_arrays
    >>> item = {"boxes": [[1, 0, 3, 2]], "labels": [1], "masks": np.ones((1, 4, 4), bool)}
    >>> compact_masks(instance_arrays([item])).mask[0].shape
    (4, 4)
    """
    mask = np.empty(len(arrays.masks), object)
    for place, (one, xyxy) in enumerate(zip(arrays.masks, arrays.xyxy, strict=True)):
        inside = one.window(*pixels_of_box(xyxy))
        mask[place] = inside if not one.is_whole or inside.sum() == one.pixels.sum() else one.pixels
    return arrays._replace(mask=mask)


def whole_masks(table: pd.DataFrame | Mapping[str, object], size: tuple[int, int]) -> np.ndarray:
    """Return the masks of an image, each of its size.

    Parameters
    ----------
    table : DataFrame or dict
        The objects of the image, an item of y: see :func:`as_instances`.
    size : tuple of (height, width)
        Of the image, in pixels.

    Returns
    -------
    ndarray of shape (n_objects, height, width), bool

    Raises
    ------
    ValueError
        If a mask or a box does not fit.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.boxes import whole_masks
    >>> item = {"boxes": [[1, 0, 3, 2]], "labels": [1], "masks": np.ones((1, 2, 2), bool)}
    >>> whole_masks(item, (2, 4)).astype(int)
    array([[[0, 1, 1, 0],
            [0, 1, 1, 0]]])
    """
    arrays = instance_arrays([table], name="table")
    height, width = (int(side) for side in size)
    found = np.empty((len(arrays.image), height, width), bool)
    for place, one in enumerate(arrays.masks):
        if one.bottom > height or one.right > width or (one.is_whole and one.pixels.shape != (height, width)):
            raise ValueError(
                f"The mask of object {place} reaches row {one.bottom} and column {one.right}, but size={size}; "
                "expected the height and width of its image."
            )
        found[place] = one.window(0, 0, height, width)
    return found


def pairwise_mask_iou(a: Sequence[PlacedMask] | np.ndarray, b: Sequence[PlacedMask] | np.ndarray) -> np.ndarray:
    """Return the intersection over union of each mask with each of others in the same image.

    Parameters
    ----------
    a, b : sequence of PlacedMask, of length n_a and n_b
        From :func:`instance_arrays`.

    Returns
    -------
    ndarray of shape (n_a, n_b), float64
        In [0, 1]; 0 for two masks without pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.boxes import PlacedMask, pairwise_mask_iou
    >>> square = PlacedMask(0, 0, np.ones((2, 2), bool), False)
    >>> pairwise_mask_iou([square], [square, square._replace(left=1), square._replace(left=9)])
    array([[1.        , 0.33333333, 0.        ]])
    """
    area_a, area_b = (np.array([mask.pixels.sum() for mask in masks], float) for masks in (a, b))
    shared = np.zeros((len(a), len(b)))
    for place, one in enumerate(a):
        for other_place, other in enumerate(b):
            top, left = max(one.top, other.top), max(one.left, other.left)
            bottom, right = min(one.bottom, other.bottom), min(one.right, other.right)
            if top < bottom and left < right:
                window = top, left, bottom, right
                shared[place, other_place] = (one.window(*window) & other.window(*window)).sum()
    return shared / np.maximum(area_a[:, None] + area_b - shared, 1)


def _masks_of(y: Any, arrays: BoxArrays, name: str) -> list[Any]:
    """Return the masks of all boxes, as they are given."""
    if isinstance(y, (BoxArrays, pd.DataFrame)) or (isinstance(y, np.ndarray) and y.ndim > 1):
        raise ValueError(f"{name} has boxes without masks; expected one table with masks per image. {ACCEPTED}.")
    counts = np.bincount(arrays.image, minlength=arrays.n_images)
    found: list[Any] = []
    for row, (item, count) in enumerate(zip(y, counts.tolist(), strict=True)):
        if count:
            found += _of_item(item, count, f"image {row} of {name}")
    return found


def _of_item(item: Any, count: int, where: str) -> list[Any]:
    item = item.to_pandas() if hasattr(item, "to_pandas") else item
    if isinstance(item, pd.DataFrame):
        masks = item["mask"].tolist() if "mask" in item.columns else None
    elif isinstance(item, Mapping):
        masks = as_plain(item.get("masks"))
    else:
        masks = getattr(item, "mask", None)
    if masks is None:
        raise ValueError(f"{where[0].upper()}{where[1:]} has boxes without masks. {ACCEPTED}.")
    if len(masks) != count:
        raise ValueError(f"{where[0].upper()}{where[1:]} has {count} boxes and {len(masks)} masks; expected one each.")
    return list(masks)


def _placed(mask: Any, xyxy: np.ndarray, size: tuple[int, int] | None) -> PlacedMask:
    """Return a mask, however it is given, as one that is placed."""
    if isinstance(mask, PlacedMask):
        return mask
    if isinstance(mask, Mapping):
        height, width = (int(side) for side in mask.get("size", (0, 0)))
        _check_size((height, width), size)
        return PlacedMask(0, 0, segment_mask(mask, (height, width)), is_whole=True)
    top, left, bottom, right = pixels_of_box(xyxy)
    if isinstance(mask, Sequence) and not isinstance(mask, str) and _are_polygons(mask):
        top, left = max(top, 0), max(left, 0)
        # A box may be of any size, and pixels that no polygon reaches need no memory.
        bottom = min(bottom, max(int(np.ceil(max(part[1::2]))) for part in mask))
        right = min(right, max(int(np.ceil(max(part[::2]))) for part in mask))
        if bottom <= top or right <= left:
            return PlacedMask(top, left, np.zeros((0, 0), bool), is_whole=False)
        return PlacedMask(top, left, segment_mask(mask, (bottom, right))[top:, left:], is_whole=False)
    pixels = np.asarray(as_plain(mask))
    if pixels.ndim == 3 and pixels.shape[0] == 1:  # of torchvision's Mask R-CNN
        pixels = pixels[0]
    if pixels.ndim != 2 or pixels.dtype.kind not in "biu" or (pixels.size and int(pixels.max()) > 1):
        what = f"an array of shape {pixels.shape} and dtype {pixels.dtype}" if pixels.ndim else f"{mask!r}"
        raise ValueError(f"{what} is not the mask of one object")
    if pixels.shape == (bottom - top, right - left):
        return PlacedMask(top, left, pixels.astype(bool), is_whole=False)
    if size is None and (pixels.shape[0] < bottom or pixels.shape[1] < right):
        raise ValueError(
            f"a mask of {pixels.shape[0]} x {pixels.shape[1]} pixels; expected {bottom - top} x {right - left}, those "
            "of the box, or those of the image"
        )
    _check_size(pixels.shape, size)
    return PlacedMask(0, 0, pixels.astype(bool), is_whole=True)


def _check_size(given: tuple[int, ...], size: tuple[int, int] | None) -> None:
    if size is not None and given != size:
        raise ValueError(f"a mask of {given[0]} x {given[1]} pixels, but the image has {size[0]} x {size[1]}")


def _are_polygons(mask: Sequence[Any]) -> bool:
    """Whether a list has polygons: lists of x and y, at least three of each; and is not rows of a mask."""
    return all(isinstance(part, (list, tuple)) and len(part) >= 6 and len(part) % 2 == 0 for part in mask) and any(
        value not in (0, 1) for part in mask for value in part
    )
