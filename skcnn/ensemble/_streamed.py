"""Rows that come in batches, several times: what a first pass measures, and which rows each bag draws.

References
----------
T. F. Chan, G. H. Golub and R. J. LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances",
COMPSTAT 1982: moments of batches joined.

D. Lemire and O. Kaser, "Strongly universal string hashing is fast", The Computer Journal 57, 2014, section 2: the
multilinear hash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import pdtr
from sklearn.utils import gen_batches

from skcnn.ensemble._variance import BLOCK, weighted_moments


@dataclass
class Moments:
    """What is known of rows after a pass over them.

    Parameters
    ----------
    classes : ndarray of shape (n_classes,)
        Their labels, sorted.
    class_count : ndarray of shape (n_classes,), float64
        Rows of each class.
    mean, variance : ndarray of shape (n_features,), float64
        Of each feature; the variance of a constant one is exactly 0.
    dtype : dtype
        Of the rows.
    """

    classes: np.ndarray
    class_count: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    dtype: np.dtype


def several_times(batches: Any) -> Callable[[], Iterator[Any]]:
    """Return a function that begins a pass over batches; raise where there can be only one pass."""
    if not isinstance(batches, Iterable) or iter(batches) is batches:
        raise TypeError(
            f"batches is a {type(batches).__name__}; expected batches (X, y) that can be iterated over several times, "
            "such as a list or load_features(folder).shuffled(). An iterator ends after one pass."
        )
    return lambda: iter(batches)


def first_pass(batches: Iterator[tuple[np.ndarray, np.ndarray]]) -> Moments:
    """Go through all rows once, and return their moments; raise if there are none."""
    n_rows, counts, labels = 0, np.zeros(0), np.zeros(0)
    mean = variance = low = high = np.zeros(0)
    dtype = np.dtype(np.float32)
    for X, y in batches:
        of_batch, n_of_each = np.unique(y, return_counts=True)
        of_mean, of_variance = weighted_moments(X, np.ones(len(X)))
        if n_rows == 0:
            labels, counts = of_batch, np.zeros(len(of_batch))
            mean, variance, low, high, dtype = of_mean, of_variance, X.min(axis=0), X.max(axis=0), X.dtype
        else:
            joined = np.union1d(labels, of_batch)
            counts, before = np.zeros(len(joined)), counts
            counts[np.searchsorted(joined, labels)] = before
            labels = joined
            fraction, shift = len(X) / (n_rows + len(X)), of_mean - mean
            variance = (1 - fraction) * variance + fraction * of_variance + fraction * (1 - fraction) * shift**2
            mean = mean + fraction * shift
            low, high = np.minimum(low, X.min(axis=0)), np.maximum(high, X.max(axis=0))
        counts[np.searchsorted(labels, of_batch)] += n_of_each
        n_rows += len(X)
    if n_rows == 0:
        raise ValueError("batches is empty; expected at least one batch (X, y).")
    variance[low == high] = 0.0
    return Moments(labels, counts, mean, variance, dtype)


class Draws:
    """How often bags draw rows: Poisson numbers that depend on a row and the seed, and on nothing else.

    A bag draws the same rows in every pass, in whatever order and batches they come, as a fit in memory does: what it
    minimises is then the same in every epoch. Rows that are equal are drawn equally often.

    Parameters
    ----------
    n_features : int
        Number of features of rows.
    rate : float
        How often a row is drawn on average; without ``bootstrap`` its probability.
    bootstrap : bool
        Whether a row may be drawn several times.
    seed : int
        Seed of all draws.
    """

    def __init__(self, n_features: int, *, rate: float, bootstrap: bool, seed: int):
        rng = np.random.default_rng([seed, n_features])
        self._factors = rng.integers(2**64, size=n_features, dtype=np.uint64)
        self._seed = seed
        limit = int(rate + 12 * np.sqrt(rate) + 20)
        self._cumulated = pdtr(np.arange(limit), rate) if bootstrap else np.array([1 - rate])

    def hashes(self, X: np.ndarray) -> np.ndarray:
        """Return a number per row, (n_samples,) uint64."""
        found = np.empty(len(X), np.uint64)
        for rows in gen_batches(len(X), BLOCK):
            bits = np.ascontiguousarray(X[rows], np.float32).view(np.uint32)
            found[rows] = (bits * self._factors).sum(axis=1)
        return found

    def of_bag(self, bag: int, hashes: np.ndarray) -> np.ndarray:
        """Return how often a bag draws the rows of these hashes, (n_samples,) int."""
        shift = np.random.default_rng([self._seed, bag]).integers(2**64, dtype=np.uint64)
        uniform = (_mixed((hashes >> np.uint64(32)) + shift) >> np.uint64(11)) / 2.0**53
        return np.searchsorted(self._cumulated, uniform, side="right")


def _mixed(numbers: np.ndarray) -> np.ndarray:
    """Return numbers whose bits all depend on all of theirs (the finalizer of SplitMix64)."""
    numbers = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    numbers = (numbers ^ (numbers >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return numbers ^ (numbers >> np.uint64(31))


class Stalls:
    """When the bags end, and how much their steps are reduced: halved after each epoch that did not help.

    Parameters
    ----------
    n_bags : int
        Number of bags.
    tol : float or None
        By how much an epoch is to lower what a bag minimises; None ends no bag.
    most : int
        Epochs in a row without success after which a bag ends.
    """

    def __init__(self, n_bags: int, tol: float | None, most: int):
        self.damping = np.ones(n_bags)
        self.open = np.ones(n_bags, bool)
        self._last, self._n_stalls = np.full(n_bags, np.inf), np.zeros(n_bags, int)
        self._tol, self._most = tol, most

    def note(self, bag: int, objective: float) -> None:
        """Take in what a bag minimised in an epoch."""
        if objective < self._last[bag] - (self._tol or 0.0):
            self._n_stalls[bag] = 0
        else:
            self.damping[bag] /= 2
            self._n_stalls[bag] += 1
            self.open[bag] = self._tol is None or self._n_stalls[bag] < self._most
        self._last[bag] = objective
