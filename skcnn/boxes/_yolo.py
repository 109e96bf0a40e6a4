"""Boxes in the text files of YOLO, one file per image and one line per box, in fractions of the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from skcnn._text import values_text
from skcnn.boxes._arrays import box_table
from skcnn.boxes._checks import check_boxes
from skcnn.boxes._forms import box_arrays


def boxes_from_yolo(
    text: str, size: tuple[int, int], classes: Sequence[Any] | Mapping[int, Any] | None = None
) -> pd.DataFrame:
    """Return the boxes of one image from a text file of YOLO.

    Parameters
    ----------
    text : str
        Lines ``class x y width height`` (centre and size, as fractions of the image's), or with a sixth number, the
        score, or ``class x1 y1 x2 y2 x3 y3 ...``, the corners of a polygon, whose bounding box is taken. An
        empty text stands for no objects.
    size : tuple of (height, width)
        Of the upright image, in pixels.
    classes : sequence or mapping or None, default=None
        Labels by number, such as ``names`` of a ``data.yaml``. None takes the numbers as labels.

    Returns
    -------
    DataFrame of shape (n_boxes, 5 or 6)
        ``label, xmin, ymin, xmax, ymax`` in pixels and, where all lines have one, ``score``. Boxes are not checked yet.

    Raises
    ------
    ValueError
        If a line has another form, or the number of a class is not known.

    See Also
    --------
    skcnn.datasets.load_yolo : Reads all files of a folder, checks the boxes and finds the images.

    Examples
    --------
    >>> from skcnn.boxes import boxes_from_yolo
    >>> boxes_from_yolo("1 0.5 0.5 0.5 1", (100, 200), ["cat", "dog"])
      label  xmin  ymin   xmax   ymax
    0   dog  50.0   0.0  150.0  100.0
    """
    labels, boxes, scores = [], [], []
    known = None if classes is None else dict(classes) if isinstance(classes, Mapping) else dict(enumerate(classes))
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            values = [float(part) for part in line.split()]
            label = int(values[0])
            if label != values[0]:
                raise ValueError
        except (ValueError, OverflowError):
            raise ValueError(f"line {number} is {line[:60]!r}; expected class x y width height") from None
        if len(values) in (5, 6):
            x, y, width, height = values[1:5]
            boxes.append([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
        elif len(values) >= 7 and len(values) % 2:
            corners = np.array(values[1:]).reshape(-1, 2)
            boxes.append([*corners.min(axis=0), *corners.max(axis=0)])
        else:
            raise ValueError(f"line {number} has {len(values)} numbers; expected class x y width height")
        if known is not None and label not in known:
            raise ValueError(f"line {number} has the class {label}; known are {values_text(list(known))}")
        labels.append(label if known is None else known[label])
        scores += values[5:] if len(values) == 6 else []
    xyxy = np.array(boxes, dtype=float).reshape(-1, 4) * np.array([size[1], size[0]] * 2)
    named = np.array([*labels, None], dtype=object)[:-1]
    return box_table(named, xyxy, np.array(scores) if scores and len(scores) == len(labels) else None)


def boxes_to_yolo(boxes: pd.DataFrame, size: tuple[int, int], classes: Sequence[Any]) -> str:
    r"""Return the boxes of one image as a text file of YOLO.

    Parameters
    ----------
    boxes : DataFrame of shape (n_boxes, 5 or 6)
        One table of y; scores become a sixth number.
    size : tuple of (height, width)
        Of the upright image, in pixels.
    classes : sequence
        Labels in the order of their numbers, which begin with 0.

    Returns
    -------
    str
        One line per box, with six decimals.

    Raises
    ------
    ValueError
        If a box is invalid, or its label is not in ``classes``.

    Examples
    --------
    >>> from skcnn.boxes import as_boxes, boxes_to_yolo
    >>> (boxes,) = as_boxes([[[50, 0, 150, 100]]])
    >>> boxes_to_yolo(boxes, (100, 200), ["object"])
    '0 0.500000 0.500000 0.500000 1.000000\n'
    """
    arrays = check_boxes(box_arrays([boxes]), classes=classes)
    number_of = {label: number for number, label in enumerate(classes)}
    centre, side = (arrays.xyxy[:, 2:] + arrays.xyxy[:, :2]) / 2, arrays.xyxy[:, 2:] - arrays.xyxy[:, :2]
    numbers = np.concatenate([centre, side], axis=1) / np.array([size[1], size[0]] * 2)
    if arrays.score is not None:
        numbers = np.column_stack([numbers, arrays.score])
    return "".join(
        f"{number_of[label]} {' '.join(f'{value:.6f}' for value in row)}\n"
        for label, row in zip(arrays.label, numbers, strict=True)
    )
