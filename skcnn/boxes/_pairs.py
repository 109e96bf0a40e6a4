"""Pairs of boxes that overlap, and the best one-to-one choice among them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from skcnn.boxes._iou import paired_iou, pairwise_iou

#: Candidates for pairs that are looked at together: some arrays of 8 MB.
_MOST_ENTRIES = 1_000_000

#: Entries up to which the Hungarian method takes the whole table: less work than to look for parts of it.
_FEW_ENTRIES = 10_000


class Pairs(NamedTuple):
    """Pairs of rows of one thing with rows of another one, each with a score.

    Attributes
    ----------
    first, second : ndarray of shape (n_pairs,), int64
        Rows of either.
    score : ndarray of shape (n_pairs,), float64
        How well they fit.
    """

    first: np.ndarray
    second: np.ndarray
    score: np.ndarray

    def only(self, which: np.ndarray) -> Pairs:
        """Return some of the pairs.

        Parameters
        ----------
        which : ndarray of shape (n_pairs,), bool, or of ints
            Which ones, as an index of arrays.

        Returns
        -------
        Pairs
        """
        return Pairs(self.first[which], self.second[which], self.score[which])


def joined(pairs: Iterable[Pairs]) -> Pairs:
    """Return all pairs of several in one, in their order; of none, no pairs.

    Parameters
    ----------
    pairs : iterable of Pairs
        The pairs to join.

    Returns
    -------
    Pairs

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.boxes import Pairs, joined
    >>> joined([Pairs(np.array([0]), np.array([1]), np.array([0.5]))] * 2).first.tolist()
    [0, 0]
    """
    nothing = Pairs(np.empty(0, int), np.empty(0, int), np.empty(0))
    return Pairs(*map(np.concatenate, zip(nothing, *pairs, strict=True)))


def overlapping_pairs(first: np.ndarray, second: np.ndarray, *, at_least: float = 0.0) -> Pairs:
    """Return the pairs of boxes that overlap.

    Time and memory follow the number of boxes that lie above each other, not that of all combinations.

    Parameters
    ----------
    first : ndarray of shape (n, 4)
        Boxes as xmin, ymin, xmax, ymax.
    second : ndarray of shape (k, 4)
        Other boxes.
    at_least : float, default=0.0
        Smallest intersection over union of a pair, in [0, 1]. With 0 a pair has any overlap above 0.

    Returns
    -------
    Pairs
        With the intersection over union as score, ordered by ``first``, then ``second``.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.boxes import overlapping_pairs
    >>> first = np.array([[0, 0, 10, 10], [20, 0, 30, 10]])
    >>> overlapping_pairs(first, np.array([[5, 0, 15, 10]])).score.round(3).tolist()
    [0.333]
    """
    if len(first) * len(second) <= _FEW_ENTRIES:
        iou = pairwise_iou(first, second)
        row, column = np.nonzero((iou > 0) & (iou >= at_least))
        return Pairs(row, column, iou[row, column])
    # Of the boxes ordered by where they begin, those that can meet a box follow each other.
    order = np.argsort(second[:, 0], kind="stable")
    begins = second[order, 0]
    widest = (second[:, 2] - second[:, 0]).max()
    start, end = np.searchsorted(begins, first[:, 0] - widest), np.searchsorted(begins, first[:, 2])
    n_candidates = np.maximum(end - start, 0)
    found = []
    part = np.cumsum(n_candidates) // _MOST_ENTRIES
    for rows in np.split(np.arange(len(first)), np.flatnonzero(np.diff(part)) + 1):
        counts = n_candidates[rows]
        row = np.repeat(rows, counts)
        place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(start[rows], counts)
        column = order[place]
        iou = paired_iou(first[row], second[column])
        kept = np.flatnonzero((iou > 0) & (iou >= at_least))
        kept = kept[np.lexsort([column[kept], row[kept]])]
        found.append(Pairs(row[kept], column[kept], iou[kept]))
    return joined(found)


def best_pairs(pairs: Pairs, gains: np.ndarray | None = None) -> Pairs:
    """Choose pairs with the largest sum of scores such that no row is in two of them.

    Parameters
    ----------
    pairs : Pairs
        Those to choose from.
    gains : ndarray of shape (n_pairs,) or None, default=None
        What is summed instead of the scores. Scores or gains are finite and > 0.

    Returns
    -------
    Pairs
        The chosen ones, in their order.

    Notes
    -----
    By the Hungarian method [1]_, in each part of the pairs that is connected for itself: ten thousand boxes of a frame
    that hardly overlap take as little time as a thousand frames with ten.

    References
    ----------
    .. [1] H. W. Kuhn, "The Hungarian method for the assignment problem", Naval Research Logistics Quarterly 2, 1955,
       pages 83-97.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.boxes import Pairs, best_pairs
    >>> pairs = Pairs(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0.9, 0.5, 0.8]))
    >>> best_pairs(pairs).second.tolist()
    [1, 0]
    """
    if len(pairs.first) < 2:
        return pairs
    gains = pairs.score if gains is None else gains
    n_first, n_second = int(pairs.first.max()) + 1, int(pairs.second.max()) + 1
    if n_first * n_second <= _FEW_ENTRIES:
        chosen = _best(pairs.first, pairs.second, gains)
    else:
        parts = [
            members if len(members) == 1 else members[_best_of_part(pairs, gains, members)]
            for members in _connected(pairs, n_first, n_second)
        ]
        chosen = np.concatenate(parts)
    chosen.sort()
    return pairs.only(chosen)


def _connected(pairs: Pairs, n_first: int, n_second: int) -> list[np.ndarray]:
    """Return the positions of the pairs of each connected part."""
    size = n_first + n_second
    graph = coo_array((np.ones(len(pairs.first)), (pairs.first, pairs.second + n_first)), shape=(size, size))
    part = connected_components(graph, directed=False)[1][pairs.first]
    order = np.argsort(part, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(part[order])) + 1)


def _best_of_part(pairs: Pairs, gains: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Return which of the pairs at the positions ``members`` are the best ones."""
    row = np.unique(pairs.first[members], return_inverse=True)[1]
    column = np.unique(pairs.second[members], return_inverse=True)[1]
    return _best(row, column, gains[members])


def _best(row: np.ndarray, column: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Return the positions of the best pairs by the Hungarian method; what is not a pair gains nothing."""
    shape = (row.max() + 1, column.max() + 1)
    gains, position = np.zeros(shape), np.full(shape, -1)
    gains[row, column] = gain
    position[row, column] = np.arange(len(row))
    taken = position[linear_sum_assignment(gains, maximize=True)]
    return taken[taken >= 0]
