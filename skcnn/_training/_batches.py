"""Rows as batches for Keras: in an order that seed and epoch decide, read when needed, never all in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from skcnn._keras import import_keras
from skcnn._timing import same_recorder, timed_batch

#: From row numbers, and a generator of random numbers, to inputs, targets and weights: arrays, or trees of arrays.
Read = Callable[[np.ndarray, np.random.Generator], tuple[Any, Any, np.ndarray]]


class Sampler(Protocol):
    """Decides which rows make up the batches of an epoch; ``len`` is the number of batches, in every epoch the same."""

    def __len__(self) -> int: ...

    def __call__(self, generator: np.random.Generator) -> Sequence[np.ndarray]:
        """Return the row numbers of each batch of one epoch."""


class shuffled:  # noqa: N801  (read as a function)
    """Every row once per epoch, in a new order each time.

    Parameters
    ----------
    rows : ndarray of shape (n_rows,), int
        Row numbers.
    batch_size : int
        Rows per batch; the last one may be smaller.
    """

    def __init__(self, rows: np.ndarray, batch_size: int):
        self.rows, self.batch_size = rows, batch_size

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __call__(self, generator: np.random.Generator) -> list[np.ndarray]:
        """Return the row numbers of each batch of one epoch."""
        return self._cut(self.rows[generator.permutation(len(self.rows))])

    def _cut(self, rows: np.ndarray) -> list[np.ndarray]:
        return [rows[start : start + self.batch_size] for start in range(0, len(rows), self.batch_size)]


class in_order(shuffled):  # noqa: N801
    """Every row once per epoch, in the order given: for rows that are not trained on."""

    def __call__(self, generator: np.random.Generator) -> list[np.ndarray]:
        """Return the row numbers of each batch."""
        return self._cut(self.rows)


class classes_by_images:  # noqa: N801
    """Some images each of some classes per batch, for losses that compare the images of a batch with each other.

    Classes take turns, and so do the images of a class: over epochs each class is in as many batches as any other.

    Parameters
    ----------
    rows : ndarray of shape (n_rows,), int
        Row numbers.
    codes : ndarray of shape (n_rows,), int
        Their classes.
    n_classes : int
        Classes per batch; all of them where there are fewer.
    n_images : int
        Images per class and batch; all of a class where it has fewer.
    """

    def __init__(self, rows: np.ndarray, codes: np.ndarray, n_classes: int, n_images: int):
        self.members = [rows[codes == code] for code in np.unique(codes)]
        self.n_classes, self.n_images = min(n_classes, len(self.members)), n_images
        per_batch = self.n_classes * np.mean([min(n_images, len(rows)) for rows in self.members])
        self._n_batches = max(1, round(len(rows) / per_batch))

    def __len__(self) -> int:
        return self._n_batches

    def __call__(self, generator: np.random.Generator) -> list[np.ndarray]:
        """Return the row numbers of each batch of one epoch."""
        classes = _Turns(np.arange(len(self.members)), generator)
        images = [_Turns(rows, generator) for rows in self.members]
        return [
            np.concatenate([images[code].take(self.n_images) for code in classes.take(self.n_classes)])
            for _ in range(self._n_batches)
        ]


class _Turns:
    """Items in random order, again and again; none comes twice in what is taken at once."""

    def __init__(self, items: np.ndarray, generator: np.random.Generator):
        self._items, self._generator = items, generator
        self._waiting: list[int] = []

    def take(self, count: int) -> list[int]:
        taken: list[int] = []
        count = min(count, len(self._items))
        while len(taken) < count:
            if not (free := [item for item in self._waiting if item not in taken]):
                self._waiting += self._generator.permutation(self._items).tolist()
                continue
            taken.append(free[0])
            self._waiting.remove(free[0])
        return taken


@lru_cache(maxsize=1)
def _batches_class() -> Any:
    keras = import_keras()

    class Batches(keras.utils.PyDataset):  # type: ignore[name-defined]
        """Batches of (inputs, targets, sample weights)."""

        def __init__(self, read: Read, sampler: Sampler, seed: tuple[int, ...]):
            super().__init__()
            self.read, self.sampler, self.seed = read, sampler, seed
            self.error: BaseException | None = None
            self.recorded = same_recorder()
            self.start_epoch(0)

        def start_epoch(self, epoch: int) -> None:
            self.epoch = epoch
            self.rows = self.sampler(np.random.default_rng((*self.seed, epoch)))

        def __len__(self) -> int:
            return len(self.sampler)

        def __getitem__(self, index: int) -> tuple[Any, Any, np.ndarray]:
            self.recorded()  # some backends read in a thread of their own
            try:
                with timed_batch(len(self.rows[index])):
                    return self.read(self.rows[index], np.random.default_rng((*self.seed, self.epoch, index)))
            except BaseException as error:
                self.error = error  # on its way through Keras it would lose its type
                raise

    return Batches


def make_batches(read: Read, sampler: Sampler, seed: tuple[int, ...]) -> Any:
    """Return a ``keras.utils.PyDataset`` of batches.

    Parameters
    ----------
    read : callable
        Reads the rows of a batch.
    sampler : Sampler
        Decides which rows these are.
    seed : tuple of int
        With the number of the epoch it decides the order; with that of the batch, what ``read`` draws.
    """
    return _batches_class()(read, sampler, seed)
