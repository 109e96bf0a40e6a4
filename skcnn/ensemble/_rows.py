"""What ``fit`` and ``partial_fit`` ask of rows: their weights, their labels, how many a bag draws."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.validation import validate_data


def checked(estimator: BaseEstimator, X: Any, y: Any = "no_validation", *, reset: bool) -> Any:
    """Return X, or X and y, as :func:`~sklearn.utils.validation.validate_data` does, X as finite floats.

    Rows of NaN throughout are images that could not be read; the error says what to do about them.
    """
    try:
        return validate_data(estimator, X, y, dtype=[np.float64, np.float32], reset=reset)
    except ValueError:
        if n_rows := _count_rows_of_nan(X):
            raise ValueError(
                f"Input X contains NaN in all features of {n_rows:,} of {len(X):,} rows, which is what "
                "BottleneckFeatures(on_error='nan') gives for images that cannot be read. Leave these rows out before "
                "the pipeline: X, y = skcnn.images.drop_bad_images(X, y)."
            ) from None
        raise


def _count_rows_of_nan(X: Any) -> int:
    values = np.asarray(X)
    if values.ndim != 2 or values.dtype.kind != "f" or not values.shape[1]:
        return 0
    return int(np.isnan(values).all(axis=1).sum())


def drop_weightless(
    X: np.ndarray, y: np.ndarray, sample_weight: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows and labels whose weight is not zero, and the weights scaled to a mean of 1."""
    if sample_weight is None:
        return X, y, np.ones(len(X))
    weight = check_array(sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight")
    if weight.ndim != 1:
        raise ValueError(f"sample_weight must be 1-D, one weight per row; got shape {weight.shape}.")
    check_consistent_length(X, weight)
    if (weight < 0).any() or not weight.any():
        raise ValueError("sample_weight must hold no negative weights, and not be zero for every row.")
    rows = weight > 0
    return X[rows], y[rows], weight[rows] / weight[rows].mean()


def check_classes(classes: ArrayLike | None, known: np.ndarray | None) -> np.ndarray:
    """Return the sorted labels that ``partial_fit`` works with; ``known`` are those of earlier calls."""
    if classes is None:
        if known is None:
            raise ValueError("classes must contain all labels that may occur, on the first call of partial_fit.")
        return known
    given = np.unique(np.asarray(classes))
    if known is None and len(given) < 2:
        raise ValueError(f"classes must name at least two classes, got {given.tolist()}.")
    if known is not None and not np.array_equal(given, known):
        raise ValueError(f"classes={given.tolist()} are not those of the first call, {known.tolist()}.")
    return given


def check_streamable(class_weight: Any, max_samples: Any) -> None:
    """Refuse parameters that ask about rows that ``partial_fit`` has not seen yet."""
    if class_weight == "balanced":
        raise ValueError(
            "class_weight='balanced' cannot be used with partial_fit, which does not know later rows. Give a "
            "dict: sklearn.utils.class_weight.compute_class_weight('balanced', classes=..., y=...) on a large enough "
            "sample of y computes the weights."
        )
    if isinstance(max_samples, Integral):
        raise ValueError(
            f"max_samples={max_samples} is a count, but partial_fit does not know how many rows will come. Give the "
            "fraction of the rows that each bag sees, such as 0.5."
        )


def encode(y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the position of each label in ``classes``."""
    unknown = np.setdiff1d(y, classes)
    if len(unknown):
        raise ValueError(
            f"y holds labels that are not among the classes: {unknown.tolist()}. The classes are {classes.tolist()}; "
            "they are fixed by the first call."
        )
    return np.searchsorted(classes, y)


def count_of(fraction: Any, total: int, *, name: str, of: str, at_most_all: bool) -> int:
    """Return how many of ``total`` a parameter asks for: it is a fraction of them, or a count."""
    if not isinstance(fraction, Integral):
        return max(1, int(fraction * total))
    count = int(fraction)
    if at_most_all and count > total:
        raise ValueError(f"{name}={count} is more than the {total} {of}. Lower it, or give a fraction such as 0.5.")
    return count
