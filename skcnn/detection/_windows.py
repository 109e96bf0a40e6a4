"""Windows of an image: where they are at each scale, and their pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image


class Level(NamedTuple):
    """An image at one scale of the pyramid, and the windows on it.

    Attributes
    ----------
    pixels : ndarray of shape (height, width, 3), uint8
        The image, resized, with its edges repeated so that windows cover all of it.
    boxes : ndarray of shape (rows * columns, 4), float64
        Windows in pixels of the original image, row by row.
    n_windows : tuple of (rows, columns)
    """

    pixels: np.ndarray
    boxes: np.ndarray
    n_windows: tuple[int, int]


def pyramid(
    image: np.ndarray, window: tuple[int, int], stride: tuple[int, int], scales: tuple[float, ...]
) -> list[Level]:
    """Return an image at all scales at which a window has room in it.

    Parameters
    ----------
    image : ndarray of shape (height, width, 3), uint8
    window, stride : tuple of (height, width)
        In pixels of the resized image.
    scales : tuple of float
        Size of a window in the original image, as a multiple of ``window``. One for which the image is too small is
        left out, unless it is the smallest.

    Returns
    -------
    list of Level
    """
    smallest = min(scales)
    return [
        _level(image, window, stride, scale)
        for scale in scales
        if scale == smallest or (window[0] * scale <= image.shape[0] and window[1] * scale <= image.shape[1])
    ]


def windows_of(level: Level, window: tuple[int, int], stride: tuple[int, int]) -> np.ndarray:
    """Return the pixels of all windows, a view (rows * columns, height, width, 3) where NumPy allows it."""
    views = np.lib.stride_tricks.sliding_window_view(level.pixels, window, axis=(0, 1))
    views = views[:: stride[0], :: stride[1]]
    return np.moveaxis(views, 2, -1).reshape(-1, *window, level.pixels.shape[2])


def crop(image: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the pixels of a box, resized; what lies outside of the image repeats its edge."""
    height, width = image.shape[:2]
    left, top, right, bottom = box
    before = max(0, int(np.ceil(-top))), max(0, int(np.ceil(-left)))
    after = max(0, int(np.ceil(bottom - height))), max(0, int(np.ceil(right - width)))
    if any((*before, *after)):
        image = np.pad(image, (*zip(before, after, strict=True), (0, 0)), mode="edge")
    place = left + before[1], top + before[0], right + before[1], bottom + before[0]
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR, box=place))


def as_window_box(box: np.ndarray, window: tuple[int, int]) -> np.ndarray:
    """Return the smallest box of a window's aspect ratio around a box, with the same centre."""
    width, height = box[2] - box[0], box[3] - box[1]
    scale = max(height / window[0], width / window[1])
    half = np.array([window[1], window[0]]) * scale / 2
    centre = np.array([box[0] + box[2], box[1] + box[3]]) / 2
    return np.concatenate([centre - half, centre + half])


def _level(image: np.ndarray, window: tuple[int, int], stride: tuple[int, int], scale: float) -> Level:
    height, width = (max(1, round(side / scale)) for side in image.shape[:2])
    resized = image
    if (height, width) != image.shape[:2]:
        resized = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    rows, columns = (
        1 + max(0, -(-(side - size) // step)) for side, size, step in zip((height, width), window, stride, strict=True)
    )
    # Whole strides: the last windows reach the edges, or beyond.
    full = (rows - 1) * stride[0] + window[0], (columns - 1) * stride[1] + window[1]
    missing = full[0] - height, full[1] - width
    if any(missing):
        resized = np.pad(resized, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
    tops, lefts = np.meshgrid(np.arange(rows) * stride[0], np.arange(columns) * stride[1], indexing="ij")
    corners = np.stack([lefts, tops, lefts + window[1], tops + window[0]], axis=-1).reshape(-1, 4).astype(float)
    # Pixels of the resized image, by the sides as they were rounded.
    ratio = np.array([image.shape[1] / width, image.shape[0] / height] * 2)
    return Level(resized, corners * ratio, (rows, columns))
