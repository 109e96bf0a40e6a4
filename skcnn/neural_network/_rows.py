"""Training rows: labels, numbers and weights checked, a validation set split off."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    _check_sample_weight,
    assert_all_finite,
    check_consistent_length,
    column_or_1d,
)

from skcnn._labels import as_class_weight, as_labels
from skcnn._text import listing


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


def check_weights(y: np.ndarray, classes: np.ndarray, sample_weight: Any, class_weight: Any) -> np.ndarray:
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
    try:
        kept, held_out = train_test_split(
            np.arange(len(rows)), test_size=fraction, stratify=codes, random_state=seed % 2**32
        )
    except ValueError as error:
        by_class = "" if codes is None else ", stratified by class,"
        raise ValueError(
            f"validation_fraction={fraction} of {len(rows)} rows{by_class} is not possible: {error} "
            "Use another fraction, or early_stopping=False."
        ) from None
    return rows[np.sort(kept)], rows[np.sort(held_out)]
