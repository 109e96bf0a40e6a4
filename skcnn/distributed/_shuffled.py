"""Features of parts in random order: blocks drawn from everywhere, and their rows mixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np


class Block(NamedTuple):
    """Rows of a part that can be read alone: name of the part, number of the group in it, and rows of X."""

    name: str
    group: int
    start: int
    stop: int


#: Reads groups of a part: the features of each, and their labels.
Read = Callable[[str, list[int]], list[tuple[np.ndarray, np.ndarray | None]]]


class ShuffledFeatures:
    """Batches of features in random order; made by :meth:`FeatureParts.shuffled`, which describes them.

    Parameters
    ----------
    read : callable
        Takes the name of a part and numbers of groups of rows in it; returns features and labels of each.
    blocks : sequence of Block
        All groups of all parts.
    mask : ndarray of shape (n_samples,), dtype bool, or None
        Which rows to take.
    n_blocks : int
        Blocks in memory at a time.
    random_state : int or None
        Seed.
    """

    def __init__(
        self,
        read: Read,
        blocks: Sequence[Block],
        *,
        mask: np.ndarray | None,
        n_blocks: int,
        random_state: int | None,
    ):
        self._read, self._blocks, self._mask = read, blocks, mask
        self._n_blocks = n_blocks
        self._rng = np.random.default_rng(random_state)

    def __len__(self) -> int:
        """Return the number of rows."""
        n_rows = sum(block.stop - block.start for block in self._blocks)
        return n_rows if self._mask is None else int(self._mask.sum())

    def __repr__(self) -> str:
        return f"<ShuffledFeatures of {len(self):,} rows>"

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        rng = self._rng.spawn(1)[0]
        blocks = [block for block in self._blocks if len(self._wanted(block))]
        order = rng.permutation(len(blocks))
        n_batches = -(-len(order) // self._n_blocks)
        for chosen in np.array_split(order, max(1, n_batches)):
            if len(chosen):
                yield self._batch(sorted(blocks[number] for number in chosen), rng)

    def _batch(self, blocks: list[Block], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the rows of blocks that are wanted, mixed."""
        wanted = [self._wanted(block) for block in blocks]
        starts = np.cumsum([0, *map(len, wanted)])
        place, X = rng.permutation(starts[-1]), np.empty((0, 0), np.float32)
        labels: list[np.ndarray] = []
        position = 0
        for name, members in groupby(blocks, key=lambda block: block.name):
            for features, y in self._read(name, [block.group for block in members]):
                rows = wanted[position]
                if position == 0:
                    X = np.empty((starts[-1], features.shape[1]), np.float32)
                # Each row is copied once, to where it is to be.
                X[place[starts[position] : starts[position + 1]]] = features[rows]
                if y is not None:
                    labels.append(y[rows])
                position += 1
        if not labels:
            return X, None
        mixed = np.concatenate(labels)
        y = np.empty_like(mixed)
        y[place] = mixed
        return X, y

    def _wanted(self, block: Block) -> np.ndarray:
        """Return which rows of a block are taken."""
        if self._mask is None:
            return np.arange(block.stop - block.start)
        return np.flatnonzero(self._mask[block.start : block.stop])


def mask_of(rows: object, n_samples: int) -> np.ndarray | None:
    """Return rows, given as a mask or by numbers, as a mask; None for all rows."""
    if rows is None:
        return None
    given = np.asarray(rows)
    if given.dtype == bool and given.shape == (n_samples,):
        return given
    are_numbers = given.dtype.kind in "iu" and given.ndim == 1 and len(given) > 0
    if are_numbers and given.min() >= 0 and given.max() < n_samples:
        mask = np.zeros(n_samples, bool)
        mask[given] = True
        return mask
    raise ValueError(
        f"rows is an array of shape {given.shape} and dtype {given.dtype}; expected a mask of shape ({n_samples},), or "
        f"row numbers from 0 to {n_samples - 1:,}."
    )
