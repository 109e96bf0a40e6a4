"""All boxes of all images in a few arrays, and the tables that are made of them."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from skcnn.boxes._iou import COORDINATES


class BoxArrays(NamedTuple):
    """All boxes of y, one after the other: what is fast to check, to match and to count.

    Attributes
    ----------
    image : ndarray of shape (n_boxes,), int
        Position in y of the image that a box belongs to, in order.
    label : ndarray of shape (n_boxes,), object
        Labels.
    xyxy : ndarray of shape (n_boxes, 4), float64
        ``xmin, ymin, xmax, ymax`` in pixels.
    score : ndarray of shape (n_boxes,), float64, or None
        Scores; NaN for the boxes of images that have none. None where no image has scores.
    n_images : int
        Length of y, images without objects included.
    mask : ndarray of shape (n_boxes,), object, or None, default=None
        Masks, where they were asked for: see :func:`instance_arrays`.
    """

    image: np.ndarray
    label: np.ndarray
    xyxy: np.ndarray
    score: np.ndarray | None
    n_images: int
    mask: np.ndarray | None = None

    @property
    def masks(self) -> np.ndarray:
        """The masks of boxes that have them: ``mask``, which is not None."""
        if self.mask is None:
            raise ValueError("These boxes have no masks; expected those of instance_arrays.")
        return self.mask

    def take(self, rows: np.ndarray) -> BoxArrays:
        """Return the boxes at ``rows`` (indices or a mask), of the same images."""
        score = None if self.score is None else self.score[rows]
        mask = None if self.mask is None else self.mask[rows]
        return self._replace(
            image=self.image[rows], label=self.label[rows], xyxy=self.xyxy[rows], score=score, mask=mask
        )

    def tables(self) -> np.ndarray:
        """Return the canonical form: a 1-D object array with one DataFrame per image."""
        y = np.empty(self.n_images, object)
        order = np.argsort(self.image, kind="stable")
        ends = np.searchsorted(self.image[order], np.arange(self.n_images), side="right").tolist()
        # Cut from one table, which is several times as fast as to make each of them.
        whole = box_table(self.label[order], self.xyxy[order], None if self.score is None else self.score[order])
        if self.mask is not None:
            whole["mask"] = pd.Series(self.mask[order], dtype=object)
        for row, (start, end) in enumerate(pairwise([0, *ends])):
            y[row] = whole.iloc[start:end].reset_index(drop=True)
        return y


def box_table(label: np.ndarray, xyxy: np.ndarray, score: np.ndarray | None = None) -> pd.DataFrame:
    """Return the table of one image; labels are of dtype object, so that tables with and without boxes are alike."""
    columns = {"label": pd.Series(label, dtype=object)}
    columns.update({name: xyxy[:, place] for place, name in enumerate(COORDINATES)})
    if score is not None:
        columns["score"] = score
    return pd.DataFrame(columns)


def sorted_labels(label: np.ndarray) -> list:
    """Return the labels that occur, each once: numbers by size, and then text by its letters."""
    return sorted(set(label.tolist()), key=lambda value: (isinstance(value, str), value))
