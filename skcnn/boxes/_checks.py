"""Whether boxes can be: inside the image, with an area, of numbers and of a known label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from skcnn._labels import as_label
from skcnn._text import counted, printable_text, values_text
from skcnn.boxes._arrays import BoxArrays
from skcnn.boxes._forms import box_arrays
from skcnn.images import as_images, image_sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Boxes may leave an image by this much, in pixels: fractions of a side written with six digits do.
_TOLERANCE = 1e-2

#: What the parameter ``invalid`` may be: what is done with boxes that cannot be right.
INVALID = ("raise", "clip", "drop")


def as_boxes(
    y: Any,
    X: Any = None,
    invalid: Literal["raise", "clip", "drop"] = "raise",
    *,
    classes: Sequence[Any] | None = None,
) -> np.ndarray:
    """Return boxes, in whichever form y has them, as one table per image.

    Parameters
    ----------
    y : array-like of length n_images
        One item per image: a DataFrame with the columns ``label, xmin, ymin, xmax, ymax`` and perhaps ``score`` (other
        columns are left out), an array (k, 4) or (k, 5) whose fifth column is the label, a dict of torchvision with
        "boxes", "labels" and perhaps "scores", or a ``supervision.Detections``. Or one box per image: a DataFrame of
        these columns or an object array (n_images, 5 or 6), where a box of four NaN stands for no object.

        Coordinates are pixels of the upright image (EXIF orientation applied), measured at the edges: a box that covers
        the whole image is ``0, 0, width, height``, and its width is ``xmax - xmin``.
    X : array-like of length n_images or None, default=None
        The images (see :func:`skcnn.images.as_images`), of which the sizes alone are read. None if boxes need not
        lie inside.
    invalid : {"raise", "clip", "drop"}, default="raise"
        How to handle boxes that cannot be right. ``"raise"`` names the first of them. ``"clip"`` cuts boxes at the
        edges of their image and drops boxes for which that does not help. ``"drop"`` leaves all of them out. The image
        stays, whether it has a box left or not.
    classes : sequence or None, default=None
        Labels that are known; boxes of another label are invalid. None takes all labels but missing ones.

    Returns
    -------
    ndarray of shape (n_images,), object
        DataFrames with the columns ``label`` (object), ``xmin, ymin, xmax, ymax`` (float64) and, where y has scores,
        ``score`` (float64). An image without objects has an empty table.

    Raises
    ------
    TypeError
        If an item of y is of another form; the message names the image and lists the forms.
    ValueError
        If an item has another shape or lacks a column, y and X differ in length, the size of an image cannot be read,
        or, with ``invalid="raise"``, a box has a coordinate or score that is not finite, no label or an unknown one,
        no area, or leaves its image. The message names the image and the box.

    Notes
    -----
    A box may leave its image by a hundredth of a pixel, as rounded fractions of a side do; it is then cut off.

    Examples
    --------
    >>> from skcnn.boxes import as_boxes
    >>> y = as_boxes([[[10, 20, 50, 60]], []])
    >>> y[0]
        label  xmin  ymin  xmax  ymax
    0  object  10.0  20.0  50.0  60.0
    >>> len(y[1])
    0
    >>> as_boxes([[[10, 20, 50, 20]]])
    Traceback (most recent call last):
    ...
    ValueError: 1 box of y is invalid. Image 0, box 0 ('object', 10, 20, 50, 20): ymax must be greater than ymin. \
Correct it, or give invalid='drop' to leave it out ('clip' cuts boxes at the edges of the image).
    """
    return check_boxes(box_arrays(y), X, invalid, classes=classes).tables()


def check_boxes(
    boxes: BoxArrays,
    X: Any = None,
    invalid: str = "raise",
    *,
    classes: Sequence[Any] | None = None,
    sources: Sequence[str] | None = None,
    name: str = "y",
) -> BoxArrays:
    """Return boxes in arrays, checked as :func:`as_boxes` checks y.

    Parameters
    ----------
    boxes : BoxArrays
        From :func:`box_arrays`.
    X, invalid, classes
        See :func:`as_boxes`.
    sources : sequence of str or None, default=None
        The file that describes the boxes of each image, for the message. None names the images of X.
    name : str, default="y"
        What the message calls y.

    Returns
    -------
    BoxArrays

    Raises
    ------
    ValueError
        If ``invalid`` is unknown, y and X differ in length, the size of an image cannot be read, or a box is invalid.
    """
    if invalid not in INVALID:
        raise ValueError(f"invalid={invalid!r}; expected {', '.join(map(repr, INVALID))}.")
    sizes = None
    if X is not None:
        images = as_images(X)
        if len(images) != boxes.n_images:
            raise ValueError(
                f"{name} has boxes of {counted(boxes.n_images, 'image')} and X has {counted(len(images), 'image')}; "
                "expected one table per image."
            )
        sizes = image_sizes(images)
        boxes = boxes._replace(xyxy=_cut_off(boxes, sizes, np.inf if invalid == "clip" else _TOLERANCE))
        sources = [images.path(row) or "" for row in range(len(images))] if sources is None else sources
    reasons = _faults(boxes, sizes, classes)
    good = np.array([reason is None for reason in reasons], dtype=bool)
    if good.all():
        return boxes
    if invalid == "raise":
        raise ValueError(_message(boxes, np.flatnonzero(~good), reasons, sources, name))
    return boxes.take(good)


def _cut_off(boxes: BoxArrays, sizes: np.ndarray, most: float) -> np.ndarray:
    """Return coordinates moved to the edges of their image where they are at most so far outside."""
    edges = sizes[boxes.image][:, [1, 0, 1, 0]].astype(float)
    inside = np.clip(boxes.xyxy, 0, edges)
    return np.where(np.abs(inside - boxes.xyxy) <= most, inside, boxes.xyxy)


def _faults(boxes: BoxArrays, sizes: np.ndarray | None, classes: Sequence[Any] | None) -> list[str | None]:
    """Return for each box why it cannot be right, or None."""
    xyxy = boxes.xyxy
    reasons: list[str | None] = [None] * len(xyxy)

    def note(bad: np.ndarray, reason: str) -> None:
        for row in np.flatnonzero(bad):
            reasons[row] = reasons[row] or reason

    note(~np.isfinite(xyxy).all(axis=1), "coordinates must be finite numbers")
    note(xyxy[:, 2] <= xyxy[:, 0], "xmax must be greater than xmin")
    note(xyxy[:, 3] <= xyxy[:, 1], "ymax must be greater than ymin")
    if sizes is not None:
        edges = sizes[boxes.image][:, [1, 0]]
        outside = (xyxy[:, :2] < 0).any(axis=1) | (xyxy[:, 2:] > edges).any(axis=1)
        for row in np.flatnonzero(outside):
            width, height = edges[row]
            reasons[row] = reasons[row] or f"it leaves the image, which is {width} wide and {height} high"
    note(np.array([label is None for label in boxes.label], dtype=bool), "the label is missing")
    if classes is not None:
        known = {as_label(label) for label in classes}
        unknown = np.array([label not in known for label in boxes.label], dtype=bool)
        note(unknown, f"the label is unknown; known are {values_text(list(classes))}")
    if boxes.score is not None:
        note(~np.isfinite(boxes.score), "the score must be a finite number")
    return reasons


def _message(
    boxes: BoxArrays,
    rows: np.ndarray,
    reasons: list[str | None],
    sources: Sequence[str] | None,
    name: str,
    shown: int = 3,
) -> str:
    lines = []
    for row in rows[:shown]:
        image = boxes.image[row]
        place = row - np.searchsorted(boxes.image, image)
        source = f" ({printable_text(sources[image])!r})" if sources is not None and sources[image] else ""
        box = ", ".join(f"{value:g}" for value in boxes.xyxy[row])
        lines.append(f"Image {image}{source}, box {place} ({boxes.label[row]!r}, {box}): {reasons[row]}.")
    more = f" And {len(rows) - shown:,} more." if len(rows) > shown else ""
    one = len(rows) == 1
    return (
        f"{counted(len(rows), 'box')} of {name} {'is' if one else 'are'} invalid. {' '.join(lines)}{more} Correct "
        f"{'it' if one else 'them'}, or give invalid='drop' to leave {'it' if one else 'them'} out ('clip' cuts boxes "
        "at the edges of the image)."
    )
