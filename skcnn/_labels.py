"""The one door for labels: whatever form y has, every estimator, report, split and command sees the same array."""

from __future__ import annotations

import unicodedata
import warnings
from typing import Any

import numpy as np
import pandas as pd

from skcnn._text import valid_label, valid_labels


def as_labels(y: Any) -> np.ndarray:
    """Return labels as a NumPy array whose values compare as people expect.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, 1)
        A list, array, Series of pandas or polars. pandas' nullable types become NumPy's where nothing is missing,
        categories their values, and float16 becomes float32.

    Returns
    -------
    ndarray of the same shape
        Text in Unicode's composed form (NFC): macOS writes "é" in two characters, which look the same and differ.
        Bytes of a name that are not UTF-8 are written as escapes.

    Warns
    -----
    UserWarning
        If labels that differ become the same text: they are one class.
    """
    labels = _as_array(y)
    if labels.dtype == np.float16:
        labels = labels.astype(np.float32)
    return valid_labels(_composed(labels))


def as_label(label: Any) -> Any:
    """Return one label, such as a ``pos_label`` or a key of ``class_weight``, as :func:`as_labels` returns it."""
    return valid_label(unicodedata.normalize("NFC", label)) if isinstance(label, str) else label


def as_class_weight(class_weight: Any) -> Any:
    """Return a ``class_weight`` whose keys are as :func:`as_labels` returns them; anything but a dict as it is."""
    if not isinstance(class_weight, dict):
        return class_weight
    return {as_label(label): weight for label, weight in class_weight.items()}


def accuracy(y: Any, predicted: np.ndarray, sample_weight: Any = None) -> float:
    """Return the fraction of samples whose label, in whatever form y has it, was predicted."""
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(as_labels(y), predicted, sample_weight=sample_weight))


def _as_array(y: Any) -> np.ndarray:
    dtype = getattr(y, "dtype", None)
    if isinstance(dtype, pd.CategoricalDtype):
        return _as_array(y.astype(dtype.categories.dtype)) if not pd.isna(y).any() else np.asarray(y, dtype=object)
    if isinstance(dtype, pd.api.extensions.ExtensionDtype) and not isinstance(dtype, pd.StringDtype):
        numpy_dtype = getattr(dtype, "numpy_dtype", None)
        if isinstance(numpy_dtype, np.dtype) and not pd.isna(y).any():
            return np.asarray(y.to_numpy(dtype=numpy_dtype))
    return np.asarray(y)


def _composed(labels: np.ndarray) -> np.ndarray:
    if labels.dtype.kind not in "OU":
        return labels
    given = {label for label in labels.ravel().tolist() if isinstance(label, str)}
    changed = {
        label: composed
        for label in given
        if not label.isascii() and (composed := unicodedata.normalize("NFC", label)) != label
    }
    if not changed:
        return labels
    merged = sorted(composed for label, composed in changed.items() if composed in given)
    if merged:
        warnings.warn(
            f"Labels that look the same but are written with different characters (Unicode forms) are one class: "
            f"{', '.join(map(repr, merged))}.",
            stacklevel=3,
        )
    result = labels.astype(object)
    for place, label in enumerate(labels.ravel().tolist()):
        result.flat[place] = changed.get(label, label) if isinstance(label, str) else label
    return result.astype(labels.dtype.kind if labels.dtype.kind == "O" else str)
