"""Rows as batches for Keras: shuffled by seed and epoch, decoded when needed, never all in memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from skcnn._keras import import_keras
from skcnn.images import BadImageError, Images, bad_rows_frame, read_batches


def image_reader(
    images: Images, size: tuple[int, int], resize: str, max_pixels: int | None
) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from row numbers to their pixels, uint8 (n, height, width, 3)."""
    items = images.items
    if isinstance(items, np.ndarray) and items.dtype == np.uint8 and items.shape[1:] == (*size, 3):
        return lambda rows: items[rows]  # nothing to decode

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


def undecodable(images: Images, resize: str, max_pixels: int | None) -> list[Any]:
    """Return the rows without an image: every row is decoded once, in threads."""
    if isinstance(images.items, np.ndarray):
        return []
    batches = read_batches(images, range(len(images)), (8, 8), resize=resize, max_pixels=max_pixels)
    return [bad for batch in batches for bad in batch.bad]


@lru_cache(maxsize=1)
def _batches_class() -> Any:
    keras = import_keras()

    class Batches(keras.utils.PyDataset):  # type: ignore[name-defined]
        """Batches of (inputs, targets, sample weights); the order is a function of the seed and the epoch alone."""

        def __init__(
            self,
            read: Callable[[np.ndarray], np.ndarray],
            rows: np.ndarray,
            targets: np.ndarray,
            weights: np.ndarray,
            batch_size: int,
            seed: tuple[int, ...] | None,
        ):
            super().__init__()
            self.read, self.rows, self.targets, self.weights = read, rows, targets, weights
            self.batch_size, self.seed = batch_size, seed
            self.error: BaseException | None = None
            self.start_epoch(0)

        def start_epoch(self, epoch: int) -> None:
            n = len(self.rows)
            # Without a seed the rows come in order: they are not used for training.
            self.order = (
                np.arange(n) if self.seed is None else np.random.default_rng((*self.seed, epoch)).permutation(n)
            )

        def __len__(self) -> int:
            return -(-len(self.rows) // self.batch_size)

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            places = self.order[index * self.batch_size : (index + 1) * self.batch_size]
            try:
                inputs = self.read(self.rows[places])
            except BaseException as error:
                self.error = error  # on its way through Keras it would lose its type
                raise
            return inputs, self.targets[places], self.weights[places]

    return Batches


def make_batches(
    read: Callable[[np.ndarray], np.ndarray],
    rows: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    batch_size: int,
    seed: tuple[int, ...] | None,
) -> Any:
    """Return a ``keras.utils.PyDataset`` of batches.

    Parameters
    ----------
    read : callable
        From row numbers to inputs.
    rows, targets, weights : ndarray of shape (n_rows, ...)
        Row numbers, and their targets and weights.
    batch_size : int
        Rows per batch; the last one may be smaller.
    seed : tuple of int or None
        Seed of the order, which differs between epochs. None keeps the order.
    """
    return _batches_class()(read, rows, targets, weights, batch_size, seed)
