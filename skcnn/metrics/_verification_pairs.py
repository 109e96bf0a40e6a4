"""Pairs of samples of one identity or of two: their scores, checked and sorted, and weights by people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from skcnn._labels import as_labels
from skcnn._text import values_text
from skcnn.metrics._resampling import seeds_of_resamples

if TYPE_CHECKING:
    from numpy.random import RandomState
    from numpy.typing import ArrayLike

#: Weights worked on at a time: 16 MB.
_CHUNK = 2**21


@dataclass(frozen=True)
class Pairs:
    """Scores of pairs, checked and sorted from the most similar pair on. Made by :meth:`from_arrays`.

    Parameters
    ----------
    is_same : ndarray of shape (n_pairs,), bool
        Whether both are of one identity.
    score : ndarray of shape (n_pairs,), float64
        Greater is more similar; descending.
    people : ndarray of shape (n_pairs, 2), int, or None
        Codes of the identities.
    n_people : int
        Number of identities.
    order : ndarray of shape (n_pairs,), int
        Where a pair was in the arrays that were given.
    """

    is_same: np.ndarray
    score: np.ndarray
    people: np.ndarray | None
    n_people: int
    order: np.ndarray

    @classmethod
    def from_arrays(cls, y_true: ArrayLike, y_score: ArrayLike, people: ArrayLike | None = None) -> Pairs:
        """Check labels, scores and identities of pairs."""
        true, score = np.asarray(y_true), np.asarray(y_score, dtype=float)
        if true.ndim != 1 or score.shape != true.shape:
            raise ValueError(
                f"y_true has shape {true.shape} and y_score {score.shape}; expected (n_pairs,) of both, one value per "
                "pair."
            )
        if not len(true):
            raise ValueError("Got 0 pairs; expected at least one.")
        if true.dtype.kind not in "biuf" or not np.isin(true, (0, 1)).all():
            raise ValueError(
                f"y_true has the values {values_text(pd.unique(true)[:5])}; expected 1 for pairs of one identity and 0 "
                "for pairs of two."
            )
        if not np.isfinite(score).all():
            place = int(np.flatnonzero(~np.isfinite(score))[0])
            raise ValueError(f"y_score[{place}] is {score[place]}; expected finite scores.")
        order = np.argsort(-score, kind="stable")
        is_same = true.astype(bool)
        if people is None:
            return cls(is_same[order], score[order], None, 0, order)
        codes, n_people = _coded(people, is_same)
        return cls(is_same[order], score[order], codes[order], n_people, order)

    @property
    def ends(self) -> np.ndarray:
        """The last pair of each run of equal scores: a threshold accepts all of a run, or none."""
        return np.append(np.flatnonzero(np.diff(self.score)), len(self.score) - 1)

    def by_people(self) -> tuple[np.ndarray, np.ndarray]:
        """Return which pairs are of the same two people.

        Returns
        -------
        rows : ndarray of shape (n_pairs,), int
            Number of the two people of each pair.
        first : ndarray of shape (n_twos,), int
            A pair of each two people.
        """
        if self.people is None:
            return np.zeros(len(self.score), int), np.zeros(1, int)
        low, high = np.sort(self.people, axis=1).T
        _, first, rows = np.unique(low * self.n_people + high, return_index=True, return_inverse=True)
        return rows, first

    def weights_of_resamples(
        self, n_resamples: int, random_state: int | RandomState | None, rows: np.ndarray | slice = slice(None)
    ) -> Iterator[np.ndarray]:
        """Yield the weights of the pairs at ``rows`` in resamples of people, (n_rows, n_at_once), some at a time.

        A pair of two people counts as often as both were drawn, the product; a pair of one as often as that one was.
        """
        assert self.people is not None
        seeds = seeds_of_resamples(n_resamples, random_state)
        (first, second), is_same = self.people[rows].T, self.is_same[rows, None]
        n_at_once = int(np.clip(_CHUNK // len(first), 1, 64))
        for start in range(0, n_resamples, n_at_once):
            part = seeds[start : start + n_at_once]
            drawn = np.empty((self.n_people, len(part)))
            for column, seed in enumerate(part):
                people = np.random.default_rng(seed).integers(self.n_people, size=self.n_people)
                drawn[:, column] = np.bincount(people, minlength=self.n_people)
            yield np.where(is_same, drawn[first], drawn[first] * drawn[second])


def _coded(people: ArrayLike, is_same: np.ndarray) -> tuple[np.ndarray, int]:
    given = as_labels(people)
    if given.shape != (len(is_same), 2):
        raise ValueError(
            f"people has shape {given.shape}; expected ({len(is_same)}, 2), the identities of both samples per pair."
        )
    codes, names = pd.factorize(given.ravel())
    codes = codes.reshape(-1, 2)
    wrong = np.flatnonzero((codes[:, 0] == codes[:, 1]) != is_same)
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(
            f"y_true[{row}] is {int(is_same[row])}, but people[{row}] is {values_text(given[row])}; expected 1 exactly "
            "where both identities are the same."
        )
    return codes, len(names)


def identity_pairs(y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Make all pairs of samples, and whether both samples of a pair have the same identity.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Identities.

    Returns
    -------
    pairs : ndarray of shape (n_pairs, 2), int64
        Positions of both samples, the first one smaller: n_samples * (n_samples - 1) / 2 pairs.
    is_same : ndarray of shape (n_pairs,), bool
        Whether the identities are equal.

    Raises
    ------
    ValueError
        If y has another shape.

    Examples
    --------
    >>> from skcnn.metrics import identity_pairs
    >>> pairs, is_same = identity_pairs(["Ada", "Ada", "Eve"])
    >>> pairs.tolist(), is_same.tolist()
    ([[0, 1], [0, 2], [1, 2]], [True, False, False])
    """
    labels = as_labels(y)
    if labels.ndim != 1:
        raise ValueError(f"y has shape {labels.shape}; expected (n_samples,), one identity per sample.")
    codes = pd.factorize(labels)[0]
    first, second = np.triu_indices(len(codes), 1)
    return np.stack([first, second], axis=1), codes[first] == codes[second]
