"""Tables of what a classifier got right and wrong, as pandas frames. The metrics are scikit-learn's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_fscore_support

from skcnn._text import counted, label_text, listing
from skcnn.metrics._areas import areas_of
from skcnn.metrics._predictions import Predictions, blocks, check_count

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

CLASS_METRICS = ("precision", "recall", "f1", "roc_auc", "average_precision")
HEADLINE_METRICS = (
    "accuracy",
    "balanced_accuracy",
    "log_loss",
    "top_k_accuracy",
    "f1_macro",
    "roc_auc_ovr",
    "average_precision_macro",
)


def headline_frame(
    y_true: ArrayLike,
    y_score: ArrayLike | None = None,
    *,
    y_pred: ArrayLike | None = None,
    classes: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    top_k: int = 5,
) -> pd.DataFrame:
    """Compute metrics over all classes.

    Parameters
    ----------
    y_true, y_score, y_pred, classes, sample_weight
        True labels, scores, predicted labels, labels of the classes and weights of the samples: see
        :meth:`ClassifierReport.from_predictions`.
    top_k : int, default=5
        A sample counts for ``top_k_accuracy`` if its true class is among the ``top_k`` highest scores. With no more
        classes than that the metric would always be 1: it is then of one less than the number of classes, and NaN
        with two classes. The note says so.

    Returns
    -------
    DataFrame of shape (7, 2)
        Index "metric", named as scikit-learn's scorers are; columns "value" (float) and "note" (str): the reason where
        the value is NaN, or a remark, or empty.

        ============================ =======================================================================
        accuracy                     fraction of samples predicted correctly
        balanced_accuracy            mean recall over the classes that have a sample
        log_loss                     of probabilities; NaN where scores are not
        top_k_accuracy               see ``top_k``
        f1_macro                     mean F1 over the classes where it is defined
        roc_auc_ovr                  mean area under the ROC curve, each class against the rest
        average_precision_macro      mean average precision, each class against the rest
        ============================ =======================================================================

    Raises
    ------
    ValueError
        If labels are missing or not among the classes, scores are not finite, shapes do not fit, or ``top_k`` is less
        than 1.

    Examples
    --------
    >>> from skcnn.metrics import headline_frame
    >>> frame = headline_frame(["cat", "dog", "dog", "cat"], [0.1, 0.8, 0.6, 0.7])
    >>> frame["value"].round(3)
    metric
    accuracy                   0.750
    balanced_accuracy          0.750
    log_loss                   0.511
    top_k_accuracy               NaN
    f1_macro                   0.733
    roc_auc_ovr                0.750
    average_precision_macro    0.833
    Name: value, dtype: float64
    >>> frame.loc["top_k_accuracy", "note"]
    'of 2 classes, top-1 is the accuracy and top-2 always 1'
    """
    predictions = Predictions.from_arrays(y_true, y_score, y_pred=y_pred, classes=classes, sample_weight=sample_weight)
    return headline_of(predictions, class_metrics_of(predictions), top_k)


def classification_frame(
    y_true: ArrayLike,
    y_score: ArrayLike | None = None,
    *,
    y_pred: ArrayLike | None = None,
    classes: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> pd.DataFrame:
    """Compute metrics of each class against the rest.

    Parameters
    ----------
    y_true, y_score, y_pred, classes, sample_weight
        True labels, scores, predicted labels, labels of the classes and weights of the samples: see
        :meth:`ClassifierReport.from_predictions`.

    Returns
    -------
    DataFrame of shape (n_classes, 6)
        Index "class"; columns "support" (number of samples, or sum of their weights), "precision", "recall", "f1",
        "roc_auc" and "average_precision". NaN where a metric is not defined:

        - precision of a class that is never predicted;
        - recall and average precision of a class that has no sample;
        - F1 of a class that has no sample and is never predicted;
        - ROC AUC of a class that has no sample, or has them all;
        - ROC AUC and average precision of all classes where there are no scores.

    Raises
    ------
    ValueError
        If predictions are refused as in :func:`headline_frame`.

    Examples
    --------
    >>> from skcnn.metrics import classification_frame
    >>> y_score = [[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.5, 0.4, 0.1], [0.6, 0.3, 0.1]]
    >>> frame = classification_frame(["a", "b", "b", "a"], y_score, classes=["a", "b", "c"])
    >>> frame.round(2)  # doctest: +NORMALIZE_WHITESPACE
           support  precision  recall    f1  roc_auc  average_precision
    class
    a            2       0.67     1.0  0.80      1.0                1.0
    b            2       1.00     0.5  0.67      1.0                1.0
    c            0        NaN     NaN   NaN      NaN                NaN
    """
    return class_metrics_of(
        Predictions.from_arrays(y_true, y_score, y_pred=y_pred, classes=classes, sample_weight=sample_weight)
    )


def top_k_frame(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    classes: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    max_k: int = 10,
) -> pd.DataFrame:
    """Count how often the true class is among the k highest scores, for each k.

    Parameters
    ----------
    y_true, y_score, classes, sample_weight
        True labels, scores, labels of the classes and weights of the samples: see
        :meth:`ClassifierReport.from_predictions`.
    max_k : int, default=10
        The last k, or one less than the number of classes where there are no more: with all of them every sample
        counts. A list of ten is about as long as people read.

    Returns
    -------
    DataFrame of shape (n_k, 2)
        Index "k" from 1; columns "count" (samples found, or sum of their weights) and "top_k_accuracy" (their
        fraction). Among equal scores the later class comes first, as in :func:`sklearn.metrics.top_k_accuracy_score`
        (with two classes the first one), so that the first row may differ from the accuracy by samples with equal
        scores. Empty if there is one class.

    Raises
    ------
    ValueError
        If ``max_k`` is less than 1, or predictions are refused as in :func:`headline_frame`.

    Examples
    --------
    >>> from skcnn.metrics import top_k_frame
    >>> y_score = [[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.1, 0.8, 0.1], [0.5, 0.4, 0.1]]
    >>> top_k_frame(["a", "b", "b", "c"], y_score)  # doctest: +NORMALIZE_WHITESPACE
       count  top_k_accuracy
    k
    1      2            0.50
    2      3            0.75
    """
    predictions = Predictions.from_arrays(y_true, y_score, classes=classes, sample_weight=sample_weight)
    return top_k_frame_of(predictions, max_k)


def class_metrics_of(predictions: Predictions) -> pd.DataFrame:
    """Make the table of :func:`classification_frame`."""
    labels = np.arange(predictions.n_classes)
    precision, recall, f1, support = precision_recall_fscore_support(
        predictions.true,
        predictions.predicted,
        labels=labels,
        sample_weight=predictions.sample_weight,
        zero_division=np.nan,
    )
    auc = average_precision = np.full(predictions.n_classes, np.nan)
    if predictions.score is not None:
        auc, average_precision = areas_of(predictions)
    columns = (precision, recall, f1, auc, average_precision)
    return pd.DataFrame(
        {"support": support, **dict(zip(CLASS_METRICS, columns, strict=True))},
        index=pd.Index(predictions.classes, name="class"),
    )


def sides_of(predictions: Predictions, number: int) -> tuple[bool, bool]:
    """Tell whether a class has a sample that counts, and whether the rest has one."""
    counts = predictions.weights > 0
    is_class = predictions.true == number
    return bool((is_class & counts).any()), bool((~is_class & counts).any())


def headline_of(predictions: Predictions, class_metrics: pd.DataFrame, top_k: int) -> pd.DataFrame:
    """Make the table of :func:`headline_frame`."""
    accuracy = float(np.average(predictions.true == predictions.predicted, weights=predictions.sample_weight))
    rows = {
        "accuracy": (accuracy, ""),
        "balanced_accuracy": _mean_over_classes(class_metrics["recall"]),
        "log_loss": _log_loss(predictions),
        "top_k_accuracy": _top_k_accuracy(predictions, top_k),
        "f1_macro": _mean_over_classes(class_metrics["f1"]),
        "roc_auc_ovr": _mean_over_classes(class_metrics["roc_auc"]),
        "average_precision_macro": _mean_over_classes(class_metrics["average_precision"]),
    }
    if predictions.score is None:
        for metric in ("log_loss", "top_k_accuracy", "roc_auc_ovr", "average_precision_macro"):
            rows[metric] = (np.nan, f"no scores: {predictions.score_note}")
    return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "note"]).rename_axis("metric")


def top_k_of(predictions: Predictions, top_k: int) -> int:
    """Return the number of highest scores that ``top_k_accuracy`` looks at."""
    check_count(top_k, "top_k", 5)
    return max(1, min(top_k, predictions.n_classes - 1))


def _mean_over_classes(metrics: pd.Series) -> tuple[float, str]:
    defined = int(metrics.notna().sum())
    if defined == 0:
        return np.nan, "defined for no class"
    note = "" if defined == len(metrics) else f"mean over {defined:,} of {counted(len(metrics), 'class')}"
    return float(metrics.mean()), note


def _log_loss(predictions: Predictions) -> tuple[float, str]:
    if predictions.score is None or not predictions.is_probability:
        return np.nan, f"no probabilities: {predictions.score_note}"
    if predictions.n_classes == 1:
        return np.nan, "not defined with one class"
    own = predictions.score[np.arange(predictions.n_samples), predictions.true].astype(float)
    step = np.finfo(predictions.score.dtype).eps
    value = np.average(-np.log(np.clip(own, step, 1 - step)), weights=predictions.sample_weight)
    impossible = int((own <= 0).sum())
    note = f"{counted(impossible, 'sample')} had probability 0 for the true class, read as the smallest step above 0"
    return float(value), note if impossible else ""


def _top_k_accuracy(predictions: Predictions, top_k: int) -> tuple[float, str]:
    k, n_classes = top_k_of(predictions, top_k), predictions.n_classes
    if n_classes == 1:
        return np.nan, "not defined with one class"
    if n_classes == 2:
        return np.nan, "of 2 classes, top-1 is the accuracy and top-2 always 1"
    if predictions.score is None:
        return np.nan, ""
    value = np.average(place_of_true(predictions) < k, weights=predictions.sample_weight)
    return float(value), "" if k == top_k else f"in place of top-{top_k}, which with {n_classes} classes is always 1"


def place_of_true(predictions: Predictions) -> np.ndarray:
    """Return how many classes stand before the true one by score, by the rule for equal scores of scikit-learn."""
    assert predictions.score is not None
    columns = np.arange(predictions.n_classes)
    places = np.empty(predictions.n_samples, int)
    for rows in blocks(predictions.n_samples, predictions.n_classes):
        number, score = predictions.true[rows, None], predictions.score[rows]
        own = np.take_along_axis(score, number, axis=1)
        before = columns > number if predictions.n_classes > 2 else columns < number
        places[rows] = ((score > own) | ((score == own) & before)).sum(axis=1)
    return places


def top_k_frame_of(predictions: Predictions, max_k: int = 10) -> pd.DataFrame:
    """Make the table of :func:`top_k_frame`."""
    check_count(max_k, "max_k", 10)
    n_k = min(max_k, predictions.n_classes - 1)
    at = np.bincount(place_of_true(predictions), weights=predictions.sample_weight, minlength=predictions.n_classes)
    counts = np.cumsum(at)[:n_k]
    index = pd.RangeIndex(1, n_k + 1, name="k")
    return pd.DataFrame({"count": counts, "top_k_accuracy": counts / at.sum()}, index=index)


def undefined_notes(class_metrics: pd.DataFrame, predictions: Predictions) -> list[str]:
    """Say, in a sentence for each reason, which metrics of which classes are NaN."""
    has_sample = class_metrics["support"] > 0
    undefined = class_metrics.isna()
    cases = [
        (~has_sample & undefined["f1"], "Recall, F1, ROC AUC and average precision", "no sample of the class"),
        (~has_sample & ~undefined["f1"], "Recall, ROC AUC and average precision", "no sample of the class"),
        (undefined["precision"], "Precision", "the class is never predicted"),
    ]
    if predictions.score is None:
        cases[0] = (cases[0][0], "Recall and F1", cases[0][2])
        cases[1] = (cases[1][0], "Recall", cases[1][2])
        everywhere = pd.Series(True, index=class_metrics.index)
        cases.append((everywhere, "ROC AUC and average precision", f"no scores: {predictions.score_note}"))
    else:
        cases.append((has_sample & undefined["roc_auc"], "ROC AUC", "every sample is of the class"))
    notes = []
    for where, metrics, reason in cases:
        labels = [label_text(label) for label in class_metrics.index[where]]
        of = "all classes" if len(labels) == len(class_metrics) else listing(labels)
        notes += [f"{metrics} not defined for {of}: {reason}."] if labels else []
    return notes
