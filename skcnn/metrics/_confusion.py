"""Confusion matrices and most confused classes, as pandas frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from skcnn.metrics._predictions import Predictions

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def confusion_frame(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    classes: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    normalize: Literal["true", "pred", "all"] | None = None,
) -> pd.DataFrame:
    """Count how often samples of each class are predicted as each class.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,)
        True and predicted labels.
    classes : array-like of shape (n_classes,) or None, default=None
        Labels of the rows and columns, in order. None takes the sorted labels of ``y_true`` and ``y_pred``.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Weights. With weights the cells are sums of weights.
    normalize : {"true", "pred", "all"} or None, default=None
        Divide by the total of the row, of the column or of the table. What would be divided by zero is NaN
        (scikit-learn's ``confusion_matrix`` gives 0).

    Returns
    -------
    DataFrame of shape (n_classes, n_classes)
        Rows (index "true") are true classes, columns ("predicted") predicted ones.

    Raises
    ------
    ValueError
        If labels are missing or not among ``classes``, shapes do not fit, or ``normalize`` is none of these.

    See Also
    --------
    sklearn.metrics.confusion_matrix : The counts as an array. Its ``labels`` choose among the samples; ``classes`` name
        all that there are, and any other label is an error.

    Examples
    --------
    >>> from skcnn.metrics import confusion_frame
    >>> confusion_frame(["a", "b", "b", "b"], ["a", "a", "b", "b"])  # doctest: +NORMALIZE_WHITESPACE
    predicted  a  b
    true
    a          1  0
    b          1  2
    """
    counts = confusion_of(Predictions.from_arrays(y_true, y_pred=y_pred, classes=classes, sample_weight=sample_weight))
    return counts if normalize is None else normalized(counts, normalize)


def most_confused(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    classes: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    k: int = 10,
) -> pd.DataFrame:
    """List the most confused pairs of classes.

    Parameters
    ----------
    y_true, y_pred, classes, sample_weight
        True labels, predicted labels, labels of the classes and weights of the samples: see :func:`confusion_frame`.
    k : int, default=10
        How many pairs of classes at most.

    Returns
    -------
    DataFrame of shape (n_pairs, 4), n_pairs <= k
        Columns "true", "predicted", "count" (samples, or sum of their weights) and "fraction" (of the samples of the
        true class), the largest count first, the largest fraction first among equal counts.

    Raises
    ------
    ValueError
        If ``k`` is less than 1, or labels are refused as in :func:`confusion_frame`.

    Examples
    --------
    >>> from skcnn.metrics import most_confused
    >>> most_confused(["a", "b", "b", "b"], ["a", "a", "b", "b"]).round(2)
      true predicted  count  fraction
    0    b         a      1      0.33
    """
    predictions = Predictions.from_arrays(y_true, y_pred=y_pred, classes=classes, sample_weight=sample_weight)
    return most_confused_of(predictions, k)


def confusion_of(predictions: Predictions) -> pd.DataFrame:
    """Make the table of :func:`confusion_frame`, of counts."""
    # scikit-learn's confusion_matrix warns where there is one class, for no reason that holds here.
    n_classes = predictions.n_classes
    cells = predictions.true * n_classes + predictions.predicted
    counts = np.bincount(cells, weights=predictions.sample_weight, minlength=n_classes**2)
    return pd.DataFrame(
        counts.reshape(n_classes, n_classes),
        index=pd.Index(predictions.classes, name="true"),
        columns=pd.Index(predictions.classes, name="predicted"),
    )


def normalized(counts: pd.DataFrame, by: str) -> pd.DataFrame:
    """Divide a table of counts by its rows ("true"), its columns ("pred") or its total ("all")."""
    values = counts.to_numpy(dtype=float)
    totals = {"true": values.sum(axis=1, keepdims=True), "pred": values.sum(axis=0, keepdims=True), "all": values.sum()}
    if by not in totals:
        raise ValueError(f"normalize={by!r}; expected 'true', 'pred', 'all' or None.")
    with np.errstate(invalid="ignore"):
        return pd.DataFrame(values / totals[by], index=counts.index, columns=counts.columns)


def most_confused_of(predictions: Predictions, k: int) -> pd.DataFrame:
    """Make the table of :func:`most_confused`. Takes memory for the mistakes, not for all pairs of classes."""
    if k < 1:
        raise ValueError(f"k={k}; expected an int >= 1.")
    n_classes, weights = predictions.n_classes, predictions.sample_weight
    support = np.bincount(predictions.true, weights, minlength=n_classes)
    is_wrong = predictions.true != predictions.predicted
    cells = predictions.true[is_wrong].astype(np.int64) * n_classes + predictions.predicted[is_wrong]
    cells, place = np.unique(cells, return_inverse=True)
    counts = np.bincount(place, None if weights is None else weights[is_wrong], minlength=len(cells))
    true, predicted = np.divmod(cells, n_classes)
    return _ranked(predictions.classes, true, predicted, counts, support, k)


def most_confused_in(counts: pd.DataFrame, k: int) -> pd.DataFrame:
    """Make the table of :func:`most_confused` from one of counts."""
    values = counts.to_numpy()
    true, predicted = np.nonzero(values)
    is_wrong = true != predicted
    true, predicted = true[is_wrong], predicted[is_wrong]
    return _ranked(counts.index, true, predicted, values[true, predicted], values.sum(axis=1), k)


def _ranked(
    classes: Any, true: np.ndarray, predicted: np.ndarray, counts: np.ndarray, support: np.ndarray, k: int
) -> pd.DataFrame:
    counted = counts > 0  # samples without a weight are none
    true, predicted, counts = true[counted], predicted[counted], counts[counted]
    fractions = counts / support[true]
    order = np.lexsort((-fractions, -counts))[:k]
    return pd.DataFrame(
        {
            "true": classes[true[order]],
            "predicted": classes[predicted[order]],
            "count": counts[order],
            "fraction": fractions[order],
        }
    )
