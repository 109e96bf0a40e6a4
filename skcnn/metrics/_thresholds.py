"""What every threshold on a score would mean, and which one to take."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from skcnn._labels import as_label
from skcnn._text import values_text
from skcnn.metrics._predictions import Predictions, as_numbers, checked_labels

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

_ROUNDING = 1e-12
"""Sums of weights are rounded: a recall of 0.95 by a hair less is 0.95."""


def threshold_table(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    pos_label: Any = None,
    sample_weight: ArrayLike | None = None,
    thresholds: ArrayLike | None = None,
) -> pd.DataFrame:
    """Count true and false positives and negatives at each threshold, and the metrics made of them.

    A sample is called positive where its score is at or above the threshold.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels. All but ``pos_label`` are negative, so that a task of many classes can be looked at one class
        against the rest.
    y_score : array-like of shape (n_samples,)
        Scores of the positive class: higher means more likely positive. Probabilities or values of a decision function,
        such as ``predict_proba(X)[:, 1]``.
    pos_label : label or None, default=None
        The positive class. None takes 1 (or True) where the labels are 0 and 1, or -1 and 1, as scikit-learn does; it
        is required for other labels.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Weights >= 0. With weights the counts are sums of weights.
    thresholds : array-like of shape (n_thresholds,) or None, default=None
        The thresholds to look at, in any order. None takes infinity (nothing is called positive) and every distinct
        score of a sample that has a weight, from the highest down: all thresholds that make a difference.

    Returns
    -------
    DataFrame of shape (n_thresholds, 11)
        Columns, where a ratio that would be divided by zero is NaN:

        ============== ============================================ ==========================================
        threshold      as given, or from infinity down
        tp, fp, tn, fn true and false positives, true and false
                       negatives
        tpr            tp / (tp + fn): recall, sensitivity          NaN without a positive sample
        fpr            fp / (fp + tn): 1 - specificity              NaN without a negative sample
        ppv            tp / (tp + fp): precision                    NaN where nothing is called positive
        npv            tn / (tn + fn)                               NaN where nothing is called negative
        f1             2 tp / (2 tp + fp + fn)                      NaN where no sample is, or is called, positive
        accuracy       (tp + tn) / (tp + fp + tn + fn)
        ============== ============================================ ==========================================

    Raises
    ------
    ValueError
        If ``pos_label`` is needed or not among the labels, thresholds are NaN, or shapes do not fit.

    See Also
    --------
    operating_point : One row of it.
    classification_frame : Metrics at the predicted labels; there tpr is called recall and ppv precision, as in
        scikit-learn. Here ratios are named as in ROC analysis.
    sklearn.metrics.roc_curve : Two of the columns.
    sklearn.metrics.confusion_matrix_at_thresholds : Four of them, at every distinct score.

    Examples
    --------
    Of 100 images 2 show a defect. Calling none of them a defect gives an accuracy of 0.98, and no precision:

    >>> from skcnn.metrics import threshold_table
    >>> y_true, y_score = [0] * 98 + [1] * 2, [0.1] * 97 + [0.3, 0.2, 0.4]
    >>> threshold_table(y_true, y_score, thresholds=[0.5, 0.2]).round(2)
       threshold  tp  fp  tn  fn  tpr   fpr   ppv   npv   f1  accuracy
    0        0.5   0   0  98   2  0.0  0.00   NaN  0.98  0.0      0.98
    1        0.2   2   1  97   0  1.0  0.01  0.67  1.00  0.8      0.99
    """
    return threshold_table_of(*checked_binary(y_true, y_score, pos_label, sample_weight), thresholds)


def operating_point(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    pos_label: Any = None,
    sample_weight: ArrayLike | None = None,
    min_recall: float | None = None,
    max_fpr: float | None = None,
    min_precision: float | None = None,
    costs: ArrayLike | None = None,
) -> pd.Series:
    """Find the threshold that meets a requirement at the lowest cost.

    Give one requirement; in the columns of the table recall is ``tpr``, and precision is ``ppv``. Choose on a
    development set: on the samples that a threshold was chosen on, its metrics are too optimistic.

    Parameters
    ----------
    y_true, y_score, pos_label, sample_weight
        True labels, scores, the positive class and weights of the samples: see :func:`threshold_table`.
    min_recall : float in [0, 1] or None, default=None
        Find at least this fraction of the positive samples, with as few false positives as possible.
    max_fpr : float in [0, 1] or None, default=None
        Call at most this fraction of the negative samples positive, and find as many positive ones as possible.
    min_precision : float in [0, 1] or None, default=None
        Minimum fraction of true positives among the predicted positives, with the highest recall possible.
    costs : array-like of shape (2, 2) or None, default=None
        What a sample costs: ``[[c_tn, c_fp], [c_fn, c_tp]]``, in the places of
        :func:`sklearn.metrics.confusion_matrix`. The sum over all samples is minimised. Negative costs are gains.

    Returns
    -------
    Series of shape (11,)
        The row of :func:`threshold_table` at every distinct score. Among thresholds that do equally well it is the one
        with the fewest false positives, then the one with the most true positives, then the highest. A threshold of
        infinity means that predicting no sample as positive is best.

    Raises
    ------
    ValueError
        If not exactly one requirement is given, one is out of range, or no threshold meets it; the message says what is
        possible.

    See Also
    --------
    sklearn.model_selection.TunedThresholdClassifierCV : Chooses within cross-validation, for a metric to be maximised.

    Examples
    --------
    >>> from skcnn.metrics import operating_point
    >>> y_true, y_score = [0, 0, 0, 1, 1, 1], [0.1, 0.3, 0.6, 0.5, 0.7, 0.9]
    >>> operating_point(y_true, y_score, min_recall=0.95)[["threshold", "tpr", "fpr"]].round(2).to_dict()
    {'threshold': 0.5, 'tpr': 1.0, 'fpr': 0.33}
    >>> operating_point(y_true, y_score, max_fpr=0.01)[["threshold", "tpr", "fpr"]].round(2).to_dict()
    {'threshold': 0.7, 'tpr': 0.67, 'fpr': 0.0}

    A missed one costs ten times as much as a false alarm:

    >>> float(operating_point(y_true, y_score, costs=[[0, 1], [10, 0]])["threshold"])
    0.5
    """
    table = threshold_table_of(*checked_binary(y_true, y_score, pos_label, sample_weight))
    return operating_point_of(table, min_recall=min_recall, max_fpr=max_fpr, min_precision=min_precision, costs=costs)


def threshold_table_of(predictions: Predictions, number: int, thresholds: ArrayLike | None = None) -> pd.DataFrame:
    """Make the table of :func:`threshold_table` of a class, by its number, against the rest."""
    if predictions.score is None:
        raise ValueError(f"A threshold needs scores, and there are none: {predictions.score_note}.")
    counts = predictions.weights > 0
    score = predictions.score[counts, number]
    positive = (predictions.true == number)[counts]
    order = np.argsort(score)[::-1]
    score = score[order].astype(float)
    # How many of the highest scores are at or above each threshold.
    if thresholds is None:
        ends = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
        above = np.append(0, ends + 1)
        at = np.append(np.inf, score[ends])
    else:
        at = _thresholds(thresholds)
        above = np.searchsorted(-score, -at, side="right")
    is_positive = positive[order]
    if predictions.sample_weight is None:
        weights = np.ones(len(score), dtype=int)
    else:
        weights = predictions.sample_weight[counts][order]
    true_positives = np.append(0, np.cumsum(weights * is_positive))
    false_positives = np.append(0, np.cumsum(weights * ~is_positive))
    tp, fp = true_positives[above], false_positives[above]
    fn, tn = true_positives[-1] - tp, false_positives[-1] - fp
    with np.errstate(invalid="ignore"):
        return pd.DataFrame(
            {
                "threshold": at,
                "tp": tp,
                "fp": fp,
                "tn": tn,
                "fn": fn,
                "tpr": tp / (tp + fn),
                "fpr": fp / (fp + tn),
                "ppv": tp / (tp + fp),
                "npv": tn / (tn + fn),
                "f1": 2 * tp / (2 * tp + fp + fn),
                "accuracy": (tp + tn) / (tp + fp + tn + fn),
            }
        )


def operating_point_of(
    table: pd.DataFrame,
    *,
    min_recall: float | None = None,
    max_fpr: float | None = None,
    min_precision: float | None = None,
    costs: ArrayLike | None = None,
) -> pd.Series:
    """Choose the row of a table of :func:`threshold_table` as :func:`operating_point` does."""
    demands = {"min_recall": min_recall, "max_fpr": max_fpr, "min_precision": min_precision, "costs": costs}
    given = [name for name, value in demands.items() if value is not None]
    if len(given) != 1:
        raise ValueError(
            f"{' and '.join(given) or 'No requirement'} {'were' if given else 'was'} given; exactly one of "
            f"{', '.join(demands)} is accepted. For several, choose from the rows of threshold_table."
        )
    if costs is not None:
        total = _total_cost(table, costs)
        least = total.min()
        rows = table[total <= least + _ROUNDING * np.abs(total).max()]
    elif min_recall is not None:
        rows = table[table["tpr"] >= _fraction(min_recall, "min_recall") - _ROUNDING]
    elif max_fpr is not None:
        rows = table[table["fpr"] <= _fraction(max_fpr, "max_fpr") + _ROUNDING]
        rows = rows[rows["tp"] == rows["tp"].max()]
    else:
        assert min_precision is not None  # One requirement was given.
        rows = table[table["ppv"] >= _fraction(min_precision, "min_precision") - _ROUNDING]
        rows = rows[rows["tp"] == rows["tp"].max()]
    if rows.empty:
        raise ValueError(f"No threshold has {given[0]}={demands[given[0]]}: {_reachable(table, given[0])}.")
    chosen = rows.sort_values(["fp", "tp", "threshold"], ascending=[True, False, False], kind="stable").index[0]
    return table.loc[chosen].rename("operating point")


def checked_binary(y_true: Any, y_score: Any, pos_label: Any, sample_weight: Any) -> tuple[Predictions, int]:
    """Check labels and the scores of the positive class; return predictions of two classes and 1, its number."""
    labels = checked_labels(y_true, "y_true")
    shape = np.shape(y_score)
    if len(shape) != 1:
        raise ValueError(
            f"y_score has shape {shape}; (n_samples,) is accepted: the scores of the positive class, such as "
            "predict_proba(X)[:, 1]."
        )
    positive = positive_label(labels, pos_label)
    is_positive = labels == positive
    # Where all samples are of one class, it may be the negative one.
    if not is_positive.any() and len(known := pd.unique(labels)) > 1:
        raise ValueError(
            f"pos_label is {positive!r}, which is not among the labels {values_text(known)}; give one of them."
        )
    return Predictions.from_arrays(is_positive, y_score, classes=[False, True], sample_weight=sample_weight), 1


def positive_label(labels: np.ndarray, pos_label: Any) -> Any:
    """Return the positive label: the one given, or 1 where that goes without saying."""
    if pos_label is not None:
        if np.ndim(pos_label):
            raise ValueError(f"Got pos_label={pos_label!r}; expected one of the labels.")
        return as_label(pos_label)
    known = pd.unique(labels)
    if labels.dtype.kind in "biuf" and any(set(known) <= usual for usual in ({0, 1}, {-1, 1})):
        return 1
    raise ValueError(
        f"Got the labels {values_text(known)}; expected 0 and 1 or -1 and 1, or pos_label, the positive one of them."
    )


def _thresholds(thresholds: Any) -> np.ndarray:
    at = as_numbers(thresholds, "thresholds", "numbers of shape (n_thresholds,) are accepted")
    if at.ndim != 1 or np.isnan(at).any():
        what = f"has shape {at.shape}" if at.ndim != 1 else "has NaN"
        raise ValueError(f"thresholds {what}; numbers of shape (n_thresholds,) are accepted, infinity among them.")
    return at


def _fraction(value: float, name: str) -> float:
    if not isinstance(value, Real) or not 0 <= value <= 1:
        raise ValueError(f"{name} is {value!r}; expected a fraction in [0, 1].")
    return value


def _total_cost(table: pd.DataFrame, costs: Any) -> np.ndarray:
    accepted = "finite numbers [[c_tn, c_fp], [c_fn, c_tp]] are accepted"
    costs = as_numbers(costs, "costs", accepted)
    if costs.shape != (2, 2) or not np.isfinite(costs).all():
        raise ValueError(f"costs is {costs.tolist()}; {accepted}.")
    return table[["tn", "fp", "fn", "tp"]].to_numpy(dtype=float) @ costs.ravel()


def _reachable(table: pd.DataFrame, demand: str) -> str:
    if demand == "min_recall":
        return "there is no positive sample, so that recall is not defined"
    if demand == "max_fpr":
        return "there is no negative sample, so that the false positive rate is not defined"
    best = table.loc[table["ppv"].idxmax()]
    return (
        f"the highest precision is {best['ppv']:.4g}, at threshold {best['threshold']:.6g} with a recall of "
        f"{best['tpr']:.4g}"
    )
