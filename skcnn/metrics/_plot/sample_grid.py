"""A grid of samples: a row of a table for each, its thumbnail with something drawn on it, and words below."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from skcnn._plot.image_grid import Cell, Group, Line, draw_grid
from skcnn._plot.thumbnails import data_uri
from skcnn.images import BadRow, Images, map_ahead

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Takes the position of an image in X and its thumbnail (height, width, 3) uint8; returns the thumbnail with something
#: drawn on it.
Overlay = Callable[[int, np.ndarray], np.ndarray]


class SampleGridDisplay(ABC):
    """What Displays of a grid of samples share; each chooses the samples, and says what stands below them.

    Parameters
    ----------
    rows : DataFrame of shape (n_images, n_columns)
        One row per image, with the columns "row", "path" and "reason".
    images : list of (ndarray of shape (height, width, 3), uint8) or None
        The image of each row; None where there is none.
    name : str or None, default=None
        Title of the figure.
    """

    def __init__(self, rows: pd.DataFrame, images: list[np.ndarray | None], *, name: str | None = None) -> None:
        self.rows = rows
        self.images = images
        self.name = name

    def thumbnails(self, *, quality: int = 80) -> pd.DataFrame:
        """Return the images as data URIs, for a web page.

        Parameters
        ----------
        quality : int, default=80
            Of the JPEG files, 1 to 95.

        Returns
        -------
        DataFrame of shape (n_images, n_columns + 3)
            :meth:`frame`, and the columns "data_uri" ("data:image/jpeg;base64,...", None where there is no image),
            "width" and "height" (in pixels; 0 where there is no image).
        """
        sizes = [(0, 0) if image is None else image.shape[:2] for image in self.images]
        uris = [None if image is None else data_uri(image, quality=quality) for image in self.images]
        return self.rows.assign(
            data_uri=pd.Series(uris, index=self.rows.index, dtype=object),
            width=[width for _, width in sizes],
            height=[height for height, _ in sizes],
        )

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the images in a grid, each with what is said of it below.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Where to draw. None makes a new figure by pyplot, as scikit-learn's Displays do.

        Returns
        -------
        Display
            Itself, with the attributes ``ax_`` and ``figure_``.
        """
        cells = [
            Cell(image, row["reason"], self._lines(row))
            for image, row in zip(self.images, self.rows.to_dict("records"), strict=True)
        ]
        self.ax_ = draw_grid(self._groups(cells), nothing=self._nothing(), name=self.name, ax=ax)
        self.figure_ = self.ax_.figure
        return self

    @abstractmethod
    def _lines(self, row: Mapping[Any, Any]) -> list[Line]:
        """Return what stands below the image of a row."""

    def _groups(self, cells: Sequence[Cell]) -> list[Group]:
        """Return which images stand together: each by itself."""
        return [Group([cell]) for cell in cells]

    def _nothing(self) -> str:
        """Return what is written where there are no images."""
        return "There are no images."


def check_sizes(n_images: Any, size: Any) -> None:
    """Raise an error unless the number of images and the size of their thumbnails are ints >= 1."""
    for what, value in (("n_images", n_images), ("size", size)):
        if not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{what}={value!r}; expected an int >= 1.")


def check_length(images: Images, n_expected: int, what: str) -> None:
    """Raise an error unless there are as many images as there are labels, or masks, or whatever y holds."""
    if len(images) != n_expected:
        raise ValueError(f"X has {len(images)} images; expected {n_expected}, the number of {what}.")


def checked_rows(rows: Sequence[int], n_samples: int, n_images: int) -> np.ndarray:
    """Return the first of the rows that are asked for; raise an error where X has no such image."""
    if outside := [row for row in rows if not 0 <= row < n_samples]:
        raise ValueError(f"rows has {outside[0]}; expected positions in X, which has {n_samples} images.")
    return np.array(rows[:n_images], int)


def checked_or_lowest_rows(rows: Sequence[int] | None, metric: np.ndarray, n_images: int) -> np.ndarray:
    """Return the first of the rows that are asked for; if none are, those of the lowest metric, NaN last."""
    if rows is None:
        return np.argsort(metric, kind="stable")[:n_images]
    return checked_rows(rows, len(metric), n_images)


def with_thumbnails(
    frame: pd.DataFrame, images: Images, *, size: int, max_pixels: int | None, overlay: Overlay | None = None
) -> tuple[pd.DataFrame, list[np.ndarray | None]]:
    """Read the images of a table, and add why some cannot be read.

    Parameters
    ----------
    frame : DataFrame
        With a column "row": positions in X.
    images : Images
        X. Only the images of the table are read.
    size : int
        Pixels of the longer side of a thumbnail.
    max_pixels : int or None
        Larger images are not decoded.
    overlay : callable or None, default=None
        What is drawn on the thumbnails.

    Returns
    -------
    frame : DataFrame
        With the columns "path" and "reason".
    thumbnails : list of (ndarray of shape (height, width, 3), uint8) or None
        None where the image cannot be read.
    """
    rows = frame["row"].tolist()
    read = [
        image for _, image in map_ahead(lambda row: images.thumbnail(row, size, max_pixels=max_pixels), rows, ahead=64)
    ]
    frame = frame.copy()
    frame.insert(1, "path", pd.Series([images.path(row) for row in rows], dtype=object))
    frame["reason"] = pd.Series([p.reason if isinstance(p, BadRow) else None for p in read], dtype=object)
    thumbnails = [None if isinstance(p, BadRow) else p for p in read]
    if overlay is not None:
        thumbnails = [None if t is None else overlay(row, t) for row, t in zip(rows, thumbnails, strict=True)]
    return frame, thumbnails
