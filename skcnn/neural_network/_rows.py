"""Training rows: labels, numbers and weights checked, a validation set split off."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import (
    _check_sample_weight,
    assert_all_finite,
    check_array,
    check_consistent_length,
    column_or_1d,
)

from skcnn._labels import as_class_weight, as_labels
from skcnn._text import listing
from skcnn._training import validation_split


class Labels(NamedTuple):
    """The classes, and the index of each row's class (n_rows,), or indicators (n_rows, n_classes)."""

    classes: np.ndarray
    codes: np.ndarray

    @property
    def several(self) -> bool:
        """Whether an image can have several classes."""
        return self.codes.ndim == 2

    def among(self, classes: np.ndarray) -> Labels:
        """Return the same labels as some of these classes, or raise an error where they are none."""
        if self.several:
            if len(classes) != len(self.classes):
                names = listing(map(repr, classes.tolist()))
                raise ValueError(f"y has {len(self.classes)} columns; expected one per class, {names}.")
            return Labels(classes, self.codes)
        if unknown := sorted(set(self.classes.tolist()) - set(classes.tolist()), key=str):
            raise ValueError(
                f"y contains classes that are not among those of the first call: Got {listing(map(repr, unknown))}; "
                f"expected {listing(map(repr, classes.tolist()))}."
            )
        return Labels(classes, np.searchsorted(classes, self.classes)[self.codes])


def check_indicators(y: Any, n_rows: int) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the classes and the indicators of y, if it is an indicator matrix; else None.

    Parameters
    ----------
    y : array-like, sparse matrix or DataFrame of shape (n_rows, n_classes)
        1 where an image has a class, 0 where it does not.
    n_rows : int
        Rows of X.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        The names of the columns of a frame; else their numbers, as in scikit-learn's own classifiers.
    indicators : ndarray of shape (n_rows, n_classes), int64
    """
    is_table = len(getattr(y, "shape", ())) == 2 or (isinstance(y, list) and len(y) and np.ndim(y[0]) == 1)
    if not is_table or type_of_target(y, input_name="y") != "multilabel-indicator":
        return None
    indicators = y.toarray() if hasattr(y, "toarray") else np.asarray(y)
    if len(indicators) != n_rows:
        check_consistent_length(np.empty(n_rows), indicators)
    columns = y.columns if isinstance(y, pd.DataFrame) else range(indicators.shape[1])
    return as_labels(list(columns)), indicators.astype(np.int64)


def check_numbers(y: Any, n_rows: int) -> np.ndarray:
    """Check that y has numbers, and return them as float64 of shape (n_rows,) or (n_rows, n_targets)."""
    if y is None:
        raise ValueError("The regressor requires y to be passed, but the target y is None")
    numbers = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
    check_consistent_length(np.empty(n_rows), numbers)
    return np.asarray(numbers)


def check_labels(y: Any, n_rows: int) -> np.ndarray:
    """Check that y has classes, and return it as a 1-D array."""
    if y is None:
        raise ValueError("The classifier requires y to be passed, but the target y is None")
    y = column_or_1d(as_labels(y), warn=True)
    if len(y) != n_rows:
        check_consistent_length(np.empty(n_rows), y)
    if y.dtype.kind == "f":
        assert_all_finite(y, input_name="y")
    elif y.dtype == object and pd.isna(y).any():
        raise ValueError(f"y has missing values, the first in row {int(pd.isna(y).argmax())}: drop these rows.")
    check_classification_targets(y)
    return y


def check_weights(sample_weight: Any, n_rows: int) -> np.ndarray:
    """Return float32 weights (n_rows,); the caller's array is not changed."""
    weights = _check_sample_weight(sample_weight, np.empty((n_rows, 1)), dtype=np.float64, ensure_non_negative=True)
    if not weights.any():
        raise ValueError("All weights are 0; expected at least one weight > 0.")
    return np.asarray(weights, np.float32)


def check_class_weights(y: np.ndarray, classes: np.ndarray, sample_weight: Any, class_weight: Any) -> np.ndarray:
    """Return float32 weights (n_rows,), those of the classes included; the caller's array is not changed."""
    weights = _check_sample_weight(sample_weight, np.empty((len(y), 1)), dtype=np.float64, ensure_non_negative=True)
    if isinstance(class_weight, dict):
        # Of all classes, as y of partial_fit may lack some.
        by_class = compute_class_weight(as_class_weight(class_weight), classes=classes, y=y)
        if not (np.isfinite(by_class) & (by_class >= 0)).all():
            raise ValueError(f"class_weight={class_weight!r}; expected finite weights >= 0.")
        weights = weights * by_class[np.searchsorted(classes, y)]
    elif class_weight is not None:
        weights = weights * compute_sample_weight(class_weight, y)
    if not weights.any():
        raise ValueError("All weights are 0; expected at least one weight > 0.")
    return np.asarray(weights, np.float32)


def split_validation(
    rows: np.ndarray, codes: np.ndarray | None, classes: np.ndarray, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the training set and of the validation set, a fraction, stratified where there are classes.

    Parameters
    ----------
    rows : ndarray of shape (n_rows,), int
        Row numbers.
    codes : ndarray of shape (n_rows,), int, or None
        Indices of their classes; None does not stratify.
    classes : ndarray
        The classes.
    fraction : float
        Size of the validation set.
    seed : int
        Decides which rows.
    """
    if codes is not None:
        single = classes[np.bincount(codes, minlength=len(classes)) == 1]
        if len(single):
            raise ValueError(
                f"early_stopping=True splits off a validation set, stratified by class; expected two images or more "
                f"per class. Got one image of {listing(map(repr, single.tolist()))}. Add images, drop these rows, or "
                "use early_stopping=False."
            )
    return validation_split(rows, fraction, seed % 2**32, stratify=codes)
