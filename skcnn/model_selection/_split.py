"""Splits into training, development and test sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils import _safe_indexing, check_consistent_length, check_random_state, column_or_1d
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import _num_samples

from skcnn._labels import as_labels
from skcnn.model_selection._allotment import allot_groups, allot_rows

LARGE = 100_000
"""From this many rows on, 1 % are 1,000 rows, which tell an error rate of 10 % to within 2 points."""


@dataclass(frozen=True)
class TrainDevTestSplit:
    """The rows of each part, as positions in X; made by :func:`train_dev_test_split`.

    Positions, because a table, its features, its groups and its weights are all cut by the same rows. ``parts`` cuts
    them. ``cv=[(split.train, split.dev)]`` makes a search of scikit-learn train on the one and choose by the other.

    Attributes
    ----------
    train, dev, test : ndarray of shape (n_rows_of_the_part,), int64
        Positions, shuffled.
    train_dev : ndarray or None
        Rows like those of train that are not used for training; None unless requested.
    left_out : ndarray
        Rows in no part: those of training data whose group is in dev or test. Mostly empty.
    """

    train: np.ndarray
    dev: np.ndarray
    test: np.ndarray
    train_dev: np.ndarray | None
    left_out: np.ndarray

    def rows(self) -> dict[str, np.ndarray]:
        """Return the parts by name, in the order "train", "train_dev" (where there is one), "dev", "test"."""
        train_dev = {} if self.train_dev is None else {"train_dev": self.train_dev}
        return {"train": self.train, **train_dev, "dev": self.dev, "test": self.test}

    def parts(self, *arrays: Sequence[Any] | np.ndarray | pd.DataFrame | pd.Series) -> list[Any]:
        """Cut arrays into their parts.

        Parameters
        ----------
        *arrays : sequence of indexables
            Lists, arrays, frames or sparse matrices with a row for each row of X.

        Returns
        -------
        list
            The parts of the first array, then those of the next, as ``sklearn.model_selection.train_test_split``
            returns them: ``X_train, X_dev, X_test, y_train, y_dev, y_test = split.parts(X, y)``; with a train-dev
            part ``X_train, X_train_dev, X_dev, X_test, ...``.

        Raises
        ------
        ValueError
            If the number of rows of an array is not that of X.
        """
        n_rows = sum(len(rows) for rows in self.rows().values()) + len(self.left_out)
        for array in arrays:
            if _num_samples(array) != n_rows:
                raise ValueError(f"The split is of {n_rows:,} rows; got an array of {_num_samples(array):,}.")
        return [_safe_indexing(array, rows) for array in arrays for rows in self.rows().values()]

    def frame(self, y: ArrayLike | None = None) -> pd.DataFrame:
        """Return how large the parts are, and how many rows of each class they hold.

        Parameters
        ----------
        y : array-like of shape (n_samples,) or None, default=None
            Labels; None gives no columns of classes.

        Returns
        -------
        DataFrame
            A row for each part: ``rows``, ``fraction`` (of the rows in all parts), and a column for each class.
        """
        sizes = pd.Series({part: len(rows) for part, rows in self.rows().items()}, name="rows")
        frame = pd.DataFrame({"rows": sizes, "fraction": sizes / sizes.sum()})
        if y is not None:
            labels = pd.Series(as_labels(y))
            counts = {part: labels.iloc[rows].value_counts() for part, rows in self.rows().items()}
            frame = frame.join(pd.DataFrame(counts).fillna(0).astype("int64").sort_index().T)
        return frame.rename_axis(index="part")

    def __str__(self) -> str:
        return ", ".join(f"{part} {row.rows:,.0f} ({row.fraction:.1%})" for part, row in self.frame().iterrows())


def train_dev_test_split(
    X: Any,
    y: ArrayLike | None = None,
    *,
    groups: ArrayLike | None = None,
    from_target: ArrayLike | None = None,
    dev_size: float | int | None = None,
    test_size: float | int | None = None,
    train_dev_size: float | int | None = None,
    stratify: bool | ArrayLike = True,
    random_state: int | np.random.RandomState | None = None,
) -> TrainDevTestSplit:
    """Split rows into training, development and test sets.

    Parameters
    ----------
    X : indexable of length n_samples
        Only its length is read.
    y : array-like of shape (n_samples,) or None, default=None
        Labels.
    groups : array-like of shape (n_samples,) or None, default=None
        Rows of one group (a patient, a place, a burst of images) all go into one part. Sizes and fractions of classes
        are then reached approximately: the groups are placed one by one, the largest first, each where it brings the
        counts of its classes closest to their targets. Groups of a few rows land within a row or two; a group larger
        than a part makes that part larger.
    from_target : array-like of bool of shape (n_samples,) or None, default=None
        Where rows come from two sources: True for those like the images that the model will meet. dev and test are
        taken from these only, and all other rows are for training. A train-dev part is then split off as well, so that
        :func:`diagnose_fit` can distinguish variance from data mismatch. None means one source.
    dev_size, test_size : float or int or None, default=None
        A fraction of the rows (of those with ``from_target``, where it is given), in (0, 1), or a number of rows;
        ``dev_size=0`` makes no development set, for cross-validation on the training set instead. None is 0.2 each
        below 100,000 rows and 0.01 from there on: 1 % of 100,000 rows are enough to distinguish models that differ by
        two points, and the others are better used for training.
    train_dev_size : float or int or None, default=None
        A fraction of the rows left for training, or a number of rows; drawn at random from these. None is 0 without
        ``from_target``, and with it as many as dev, but no more than a fifth of the rows for training.
    stratify : bool or array-like of shape (n_samples,), default=True
        Whether each part has the classes of ``y`` in the same proportions. An array is used in place of ``y``.
    random_state : int, RandomState or None, default=None
        Seed of the shuffling; an int gives the same split each time.

    Returns
    -------
    TrainDevTestSplit
        Positions of rows: ``split.train``, ``split.dev``, ``split.test``, ``split.train_dev``. ``split.parts(X, y)``
        cuts arrays.

    Raises
    ------
    ValueError
        If a class has too few rows (or groups) for every part to get one, no row is left for training, lengths
        differ, or ``y`` is continuous while ``stratify=True``.

    See Also
    --------
    diagnose_fit : What the errors on the parts say.
    find_duplicates : Images that are in two parts.
    sklearn.model_selection.train_test_split : Two parts.
    sklearn.model_selection.StratifiedGroupKFold : Folds that keep groups whole.

    References
    ----------
    .. [1] A. Ng, "Machine Learning Yearning", 2018: chapters 5 to 7 (dev and test sets, their sizes), 36 to 40
       (training on another distribution; the training dev set).

    Examples
    --------
    >>> from skcnn.datasets import load_digit_images
    >>> from skcnn.model_selection import train_dev_test_split
    >>> X, y = load_digit_images(return_X_y=True)
    >>> split = train_dev_test_split(X, y, random_state=0)
    >>> print(split)
    train 1,079 (60.0%), dev 359 (20.0%), test 359 (20.0%)
    >>> X_train, X_dev, X_test, y_train, y_dev, y_test = split.parts(X, y)
    """
    n_rows = _num_samples(X)
    random = check_random_state(random_state)
    labels = _labels(y, stratify, n_rows)
    groups = None if groups is None else _numbered(groups)
    target = np.ones(n_rows, bool) if from_target is None else _mask(from_target)
    check_consistent_length(X, target, groups, y)

    rows = np.flatnonzero(target)
    default = 0.01 if len(rows) >= LARGE else 0.2
    sizes = {
        name: _count(default if size is None else size, len(rows), f"{name}_size")
        for name, size in (("dev", dev_size), ("test", test_size))
        if name == "test" or not _is_zero(size)
    }
    train, *dev_and_test = _allotted(rows, sizes, labels, groups, random)
    dev, test = dev_and_test if "dev" in sizes else (np.empty(0, np.int64), *dev_and_test)
    left_out = np.empty(0, np.int64)
    if from_target is not None:
        others = np.flatnonzero(~target)
        if groups is not None:
            held_out = np.isin(groups[others], groups[np.concatenate([dev, test])])
            others, left_out = others[~held_out], others[held_out]
        train = random.permutation(np.concatenate([train, others]))

    if train_dev_size is None:
        n_train_dev = 0 if from_target is None else min(len(dev), len(train) // 5)
    else:
        n_train_dev = _count(train_dev_size, len(train), "train_dev_size")
    train_dev = None
    if n_train_dev:
        train, train_dev = _allotted(train, {"train_dev": n_train_dev}, labels, groups, random)
    return TrainDevTestSplit(train, dev, test, train_dev, left_out)


def _allotted(
    rows: np.ndarray,
    sizes: Mapping[str, int],
    labels: np.ndarray | None,
    groups: np.ndarray | None,
    random: np.random.RandomState,
) -> list[np.ndarray]:
    """Return ``rows`` in parts: what is left, then one of each of ``sizes``."""
    left = len(rows) - sum(sizes.values())
    if left < 1:
        wanted = " and ".join(f"{name}_size={size:,}" for name, size in sizes.items())
        raise ValueError(f"{wanted} rows leave none of {len(rows):,} for training. Give smaller sizes.")
    counts = {"train": left, **sizes}
    codes = np.zeros(len(rows), np.int64) if labels is None else np.unique(labels[rows], return_inverse=True)[1]
    names = None if labels is None else np.unique(labels[rows])
    if groups is None:
        part = allot_rows(codes, counts, names, random)
    else:
        part = allot_groups(codes, counts, names, np.unique(groups[rows], return_inverse=True)[1], random)
    return [random.permutation(rows[part == number]) for number in range(len(counts))]


def _labels(y: ArrayLike | None, stratify: bool | ArrayLike, n_rows: int) -> np.ndarray | None:
    if isinstance(stratify, (bool, np.bool_)):
        if not stratify or y is None:
            return None
        _refuse_missing(y, "y")
        if type_of_target(y, input_name="y") not in ("binary", "multiclass"):
            raise ValueError(
                f"y is {type_of_target(y)}, which has no classes to stratify by: stratify=False, or "
                "stratify=labels (such as pandas.qcut(y, 5, labels=False))."
            )
        given = y
    else:
        given = stratify
    if np.ndim(given) == 0:
        raise ValueError(f"stratify={given!r}; expected True, False, or labels to stratify by, one for each row.")
    labels = column_or_1d(as_labels(given))
    _refuse_missing(labels, "stratify")
    if len(labels) != n_rows:
        raise ValueError(f"X has {n_rows:,} rows, and the labels to stratify by {len(labels):,}.")
    return labels


def _refuse_missing(values: ArrayLike, name: str) -> None:
    missing = np.flatnonzero(pd.isna(np.asarray(values)))
    if len(missing):
        raise ValueError(f"{name} has missing values, first in row {missing[0]:,}; fill them in, or drop these rows.")


def _numbered(groups: ArrayLike) -> np.ndarray:
    """Return the groups by number, whatever their types."""
    groups = column_or_1d(groups)
    # A row of an unknown group could be in a part that its group is not in.
    _refuse_missing(groups, "groups")
    return pd.factorize(groups, sort=True)[0]


def _mask(from_target: ArrayLike) -> np.ndarray:
    mask = column_or_1d(np.asarray(from_target))
    if mask.dtype != bool:
        raise ValueError(f"from_target has dtype {mask.dtype}; expected booleans, such as source == 'phone'.")
    if mask.all() or not mask.any():
        raise ValueError(f"from_target is {bool(mask[0])} in every row: without a second source leave it out.")
    return mask


def _is_zero(size: float | int | None) -> bool:
    return isinstance(size, Integral) and not isinstance(size, bool) and size == 0


def _count(size: float | int, n_rows: int, name: str) -> int:
    if isinstance(size, Integral) and not isinstance(size, bool) and size > 0:
        return int(size)
    if isinstance(size, Real) and not isinstance(size, (Integral, bool)) and 0 < size < 1:
        return max(1, round(size * n_rows))
    raise ValueError(f"{name}={size!r}; expected a fraction in (0, 1), a positive number of rows, or None.")
