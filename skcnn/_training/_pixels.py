"""Images as inputs of a network that is trained: decoded when a batch needs them, or once and for all."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import numpy as np

from skcnn.images import (
    BadImageError,
    BadImageWarning,
    BadRow,
    Images,
    bad_rows_frame,
    read_batches,
)


def image_reader(
    images: Images, size: tuple[int, int], resize: str, max_pixels: int | None
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from row numbers to their pixels, uint8 (n, height, width, 3)."""
    if (known := _known_pixels(images, size)) is not None:
        return lambda rows: known[rows]

    def read(rows: np.ndarray) -> np.ndarray:
        numbers = [int(row) for row in rows]
        pixels = np.empty((len(rows), *size, 3), np.uint8)
        start = 0
        for batch in read_batches(images, numbers, size, batch_size=len(numbers), resize=resize, max_pixels=max_pixels):
            if batch.bad:
                raise BadImageError(bad_rows_frame(batch.bad), len(images))
            pixels[start : start + len(batch.rows)] = batch.pixels
            start += len(batch.rows)
        return pixels

    return read


def _known_pixels(images: Images, size: tuple[int, int]) -> np.ndarray | None:
    """Return the pixels of images that have nothing to decode; None where they have."""
    items = images.items
    is_known = isinstance(items, np.ndarray) and items.dtype == np.uint8 and items.shape[1:] == (*size, 3)
    return items if is_known else None  # type: ignore[return-value]


def undecodable(images: Images, resize: str, max_pixels: int | None) -> list[BadRow]:
    """Return the rows without an image: every row is decoded once, in threads."""
    if isinstance(images.items, np.ndarray):
        return []
    batches = read_batches(images, range(len(images)), (8, 8), resize=resize, max_pixels=max_pixels)
    return [bad for batch in batches for bad in batch.bad]


def decoded_images(
    images: Images, size: tuple[int, int], resize: str, max_pixels: int | None
) -> tuple[np.ndarray, list[BadRow]]:
    """Return the pixels of all rows, uint8 (n, height, width, 3), and the rows without an image, whose pixels are 0.

    They are the caller's to read, and not to write to: they may be the array that was given.
    """
    if (known := _known_pixels(images, size)) is not None:
        return known, []
    pixels = np.zeros((len(images), *size, 3), np.uint8)
    bad: list[BadRow] = []
    for batch in read_batches(images, range(len(images)), size, resize=resize, max_pixels=max_pixels):
        pixels[batch.rows] = batch.pixels
        bad += batch.bad
    return pixels, bad


def batches_of_images(
    images: Images, size: tuple[int, int], batch_size: int, resize: str, max_pixels: int | None, on_error: str
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Yield row numbers and their pixels, uint8 (n, height, width, 3); then report the rows without an image, if any.

    With ``on_error="raise"`` nothing more is yielded after such a row: all of them are reported at once.
    """
    bad: list[BadRow] = []
    for batch in read_batches(
        images, range(len(images)), size, batch_size=batch_size, resize=resize, max_pixels=max_pixels
    ):
        bad += batch.bad
        if batch.rows and not (bad and on_error == "raise"):
            yield batch.rows, batch.pixels
    if bad:
        report_bad_rows(bad, len(images), on_error)


def report_bad_rows(bad: list[BadRow], n_rows: int, on_error: str) -> None:
    """Raise an error or warn about the rows without an image."""
    frame = bad_rows_frame(bad)
    if on_error == "raise":
        raise BadImageError(frame, n_rows)
    warnings.warn(BadImageWarning(frame, n_rows), stacklevel=4)
