"""What classifiers of images answer: the most probable classes, and an error where there is no image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd

from skcnn.images import BadImageError


@contextmanager
def a_class_for_each_row() -> Iterator[None]:
    """Say of rows without an image, within the block, that there is no class for them."""
    try:
        yield
    except BadImageError as error:
        advice = (
            "Repair or drop these rows: there is no class for them. predict_proba gives rows of NaN with "
            "on_error='nan', which the other methods of prediction ignore."
        )
        raise BadImageError(error.bad_rows, error.n_rows, advice) from None


def check_k(k: Any) -> None:
    """See that k is a number of classes."""
    if not isinstance(k, (int, np.integer)) or k < 1:
        raise ValueError(f"k={k!r}; expected an int >= 1.")


def top_k(X: Any, probabilities: np.ndarray, k: int, columns: dict[str, np.ndarray]) -> pd.DataFrame:
    """Return the k most probable classes of each row, the most probable first.

    Parameters
    ----------
    X : array-like of n_samples images
        Its index is used where it is a frame or a Series.
    probabilities : ndarray of shape (n_samples, n_classes)
    k : int
        All classes if there are fewer.
    columns : dict of str to ndarray of shape (n_classes,)
        What is said of a class, by name of the column.

    Returns
    -------
    DataFrame of shape (n_samples * k, len(columns) + 1)
        The columns, then ``probability``; the index has the levels ``row`` and ``rank`` (from 1).
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    labels = X.index if isinstance(X, (pd.DataFrame, pd.Series)) else pd.RangeIndex(len(probabilities))
    index = pd.MultiIndex.from_product([labels, range(1, order.shape[1] + 1)], names=["row", "rank"])
    values = {name: column[order].ravel() for name, column in columns.items()}
    return pd.DataFrame(
        {**values, "probability": np.take_along_axis(probabilities, order, axis=1).ravel()}, index=index
    )
