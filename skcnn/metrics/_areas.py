"""The areas under the ROC and precision-recall curves of each class, as functions of the weights of the samples.

Weights change neither the order of the scores nor who is right, so that both are worked out once; what is left are sums
of weights. Areas of one weighting are scikit-learn's ``roc_auc_score`` and ``average_precision_score``.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_array

from skcnn.metrics._predictions import Predictions

_FEW = 16
"""Samples of a class up to which comparing each with all others is quicker than to sort: with thousands of classes,
most have no more."""

_ROWS = 256
"""Samples of such classes that are compared at a time."""


class Areas:
    """The areas of the classes that have samples.

    Parameters
    ----------
    predictions : Predictions
        With scores.

    Attributes
    ----------
    n_classes : int
        How many have samples.
    """

    def __init__(self, predictions: Predictions) -> None:
        assert predictions.score is not None
        self._true, self._score, self._whole = predictions.true, predictions.score, predictions.sample_weight is None
        size = np.bincount(self._true, minlength=predictions.n_classes)
        self.n_classes = int((size > 0).sum())
        few = np.flatnonzero((size > 0) & (size <= _FEW))
        ends = np.cumsum(size[few])
        self._few = list(np.split(few, np.searchsorted(ends, np.arange(_ROWS, len(self._true), _ROWS))))
        self._rankings = [
            (number, _Ranking(self._true == number, self._score[:, number])) for number in np.flatnonzero(size > _FEW)
        ]

    def __call__(self, weights: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield numbers of some classes and their areas for each column of weights.

        Parameters
        ----------
        weights : ndarray of shape (n_samples, n_weightings)
            Weights.

        Yields
        ------
        tuple of (ndarray of shape (n,), ndarray of shape (n, n_weightings), ndarray of shape (n, n_weightings))
            Numbers of classes, areas under their ROC curves, and their average precisions. NaN where undefined.
        """
        for number, ranking in self._rankings:
            auc, precision = ranking.areas(weights)
            yield np.array([number]), auc[None], precision[None]
        total = weights.sum(axis=0)
        # Sums of whole numbers that are not too large are exact in single precision, too, at twice the speed.
        is_exact = self._whole and total.max(initial=0) < 2**24
        factors = weights.astype(np.float32) if is_exact else weights
        for numbers in self._few:
            if len(numbers):
                yield numbers, *self._areas_of(numbers, weights, factors, total)

    def _areas_of(
        self, numbers: np.ndarray, weights: np.ndarray, factors: np.ndarray, total: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the areas of classes with few samples: a row below is a score that samples of a class have."""
        column = np.searchsorted(numbers, self._true)
        column[column == len(numbers)] = 0
        members = np.flatnonzero(numbers[column] == self._true)
        column = column[members]
        own = self._score[members, self._true[members]]
        order = np.lexsort((-own, column))
        members, column, own = members[order], column[order], own[order]
        begins = np.ones(len(members), bool)
        begins[1:] = (np.diff(column) != 0) | (np.diff(own) != 0)
        row_of = np.cumsum(begins) - 1
        column, own = column[begins], own[begins]
        n_rows = len(own)

        scores = np.ascontiguousarray(self._score[:, numbers].T)[column]
        above, tied = scores > own[:, None], scores == own[:, None]
        # The samples of a row's own class are left out of both.
        first = np.searchsorted(column, np.arange(len(numbers)))
        of_column = column[row_of]
        for place in range(int(np.bincount(column).max())):
            row = first[of_column] + place
            inside = (row < n_rows) & (column[np.minimum(row, n_rows - 1)] == of_column)
            above[row[inside], members[inside]] = tied[row[inside], members[inside]] = False

        of_class = csr_array((np.ones(len(members)), (row_of, members)), shape=(n_rows, len(weights))) @ weights
        rest_above = (above.astype(factors.dtype) @ factors).astype(float)
        rest_tied = csr_array(tied) @ weights if tied.any() else np.zeros_like(rest_above)
        class_to_here = of_class.copy()
        places = np.arange(n_rows) - first[column]
        for step in range(1, places.max() + 1):
            rows = np.flatnonzero(places == step)
            class_to_here[rows] += class_to_here[rows - 1]
        n_class = np.add.reduceat(of_class, first)
        n_rest = total - n_class if len(members) < len(weights) or len(numbers) > 1 else np.zeros_like(n_class)
        with np.errstate(invalid="ignore"):
            right = of_class * (n_rest[column] - rest_above - rest_tied / 2)
            auc = np.add.reduceat(right, first) / (n_class * n_rest)
            precision = class_to_here / (class_to_here + rest_above + rest_tied)
            # A row of which nothing was drawn adds nothing, also where nothing was drawn above it.
            found = np.where(of_class > 0, of_class * precision, 0)
            return auc, np.add.reduceat(found, first) / n_class


class _Ranking:
    """How the samples of a class stand among all, by score: what the areas under its two curves are made of.

    The samples of the class fall into groups of equal scores. The areas depend on three sums of weights for each group:
    of the class's samples in it, of the other samples in it, and of the other samples between it and the group above.
    """

    def __init__(self, is_class: np.ndarray, score: np.ndarray) -> None:
        groups = np.unique(score[is_class])[::-1]
        self._n_groups = n_groups = len(groups)
        place = np.searchsorted(-groups, -score)  # how many groups are above a sample
        is_tied = groups[np.minimum(place, n_groups - 1)] == score
        row = np.where(is_class, place, np.where(is_tied, n_groups + place, 2 * n_groups + place))
        self._sums = sums_by(row, 3 * n_groups + 1)

    def areas(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the area under the ROC curve and the average precision of each column of weights."""
        sums = self._sums @ weights
        of_class, tied, between = np.split(sums, [self._n_groups, 2 * self._n_groups])
        n_class, n_rest = of_class.sum(axis=0), tied.sum(axis=0) + between.sum(axis=0)
        rest_to_here = np.cumsum(between[:-1] + tied, axis=0)
        class_to_here = np.cumsum(of_class, axis=0)
        with np.errstate(invalid="ignore"):
            # The fraction of pairs in which the sample of the class has the higher score; equal scores count half.
            auc = (of_class * (n_rest - rest_to_here + tied / 2)).sum(axis=0) / (n_class * n_rest)
            precision = class_to_here / (class_to_here + rest_to_here)
        # A group of which nothing was drawn adds nothing, also where nothing was drawn above it.
        return auc, np.where(of_class > 0, of_class * precision, 0).sum(axis=0) / n_class


def areas_of(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Return the area under the ROC curve and the average precision of each class; NaN where one is not defined.

    Parameters
    ----------
    predictions : Predictions
        With scores.

    Returns
    -------
    tuple of (ndarray of shape (n_classes,), ndarray of shape (n_classes,))
        The areas.
    """
    auc, precision = (np.full(predictions.n_classes, np.nan) for _ in range(2))
    for numbers, aucs, precisions in Areas(predictions)(predictions.weights[:, None]):
        auc[numbers], precision[numbers] = aucs[:, 0], precisions[:, 0]
    counts = np.bincount(predictions.true, predictions.weights > 0, minlength=predictions.n_classes)
    auc[(counts == 0) | (counts == counts.sum())] = np.nan
    precision[counts == 0] = np.nan
    return auc, precision


def sums_by(group: np.ndarray, n_groups: int) -> csr_array:
    """Return the matrix whose product with weights, (n_samples, n_weightings), is their sums by group."""
    ends = np.append(0, np.cumsum(np.bincount(group, minlength=n_groups)))
    members = np.argsort(group, kind="stable")
    # As small as can be: there is a matrix for each class.
    parts = (np.ones(len(group), dtype=np.int8), members.astype(np.int32), ends.astype(np.int32))
    return csr_array(parts, shape=(n_groups, len(group)))
