"""Whether one model is better than another on the same samples, or was only luckier."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from skcnn._text import counted, values_text
from skcnn.metrics._intervals import percentiles
from skcnn.metrics._predictions import Predictions
from skcnn.metrics._resampling import CONFIDENCE_LEVEL, N_RESAMPLES, resampled_headlines
from skcnn.metrics._tables import class_metrics_of, headline_of

if TYPE_CHECKING:
    from numpy.random import RandomState
    from numpy.typing import ArrayLike


def compare_predictions(
    y_true: ArrayLike,
    y_score_a: ArrayLike | None = None,
    y_score_b: ArrayLike | None = None,
    *,
    y_pred_a: ArrayLike | None = None,
    y_pred_b: ArrayLike | None = None,
    classes: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    top_k: int = 5,
    confidence_level: float = CONFIDENCE_LEVEL,
    n_resamples: int = N_RESAMPLES,
    random_state: int | RandomState | None = None,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Compare the headline metrics of two models on the same samples.

    Both models are resampled together: a resample that is hard for one is hard for the other, which cancels in the
    difference. Two intervals of :func:`bootstrap_intervals` may overlap widely where the difference is significant.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_score_a, y_score_b : array-like of shape (n_samples, n_classes) or (n_samples,) or None, default=None
        Scores of the two models for the same samples in the same order, as ``y_score`` in
        :meth:`ClassifierReport.from_predictions`.
    y_pred_a, y_pred_b : array-like of shape (n_samples,) or None, default=None
        Predicted labels. None takes the class of the highest score.
    classes, sample_weight, top_k
        Labels of the classes, weights of the samples and k of the top-k accuracy: see :func:`headline_frame`; for both
        models.
    confidence_level, n_resamples, random_state, n_jobs
        Level of the intervals, number of resamples, seed of the draws and number of threads: see
        :func:`bootstrap_intervals`.

    Returns
    -------
    DataFrame of shape (7, 7)
        Index "metric" as in :func:`headline_frame`, and the columns

        =============================== ============================================================================
        a, b                            the metrics of the two models
        difference                      b minus a: above 0, b is better (for ``log_loss``, worse)
        difference_low, difference_high percentile interval of the difference [1]_; the difference is
                                        significant if it excludes 0
        p_value                         of McNemar's exact test [2]_, for ``accuracy`` only, NaN for the others
        note                            why a metric is NaN, and what else one has to know about it
        =============================== ============================================================================

    Raises
    ------
    ValueError
        If predictions are refused as in :func:`headline_frame`, or a parameter as in :func:`bootstrap_intervals`, or if
        the two are not of the same samples.

    Notes
    -----
    McNemar's test looks at the samples that one model has right and the other wrong. If the models are equally good,
    each is the right one with probability 1/2: the p-value is the probability of a split at least as uneven. It is 1
    where there is no such sample. With sample weights it is NaN, since the test counts samples.

    References
    ----------
    .. [1] B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall, 1993, section 13.3.
    .. [2] Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
       Psychometrika 12, 1947. T. G. Dietterich, "Approximate statistical tests for comparing supervised classification
       learning algorithms", Neural Computation 10, 1998, section 3.1, finds it the one to use for models that were
       trained once.

    Examples
    --------
    >>> from skcnn.metrics import compare_predictions
    >>> y_true = ["cat"] * 50 + ["dog"] * 50
    >>> y_pred_a, y_pred_b = ["cat"] * 40 + ["dog"] * 60, ["cat"] * 48 + ["dog"] * 52
    >>> frame = compare_predictions(y_true, y_pred_a=y_pred_a, y_pred_b=y_pred_b, random_state=0)
    >>> frame.loc["accuracy", ["a", "b", "difference", "p_value"]].astype(float).round(4).to_dict()
    {'a': 0.9, 'b': 0.98, 'difference': 0.08, 'p_value': 0.0078}
    >>> frame.loc["accuracy", "note"]
    'only a is right on 0 samples, only b on 8'
    """
    a, b = (
        Predictions.from_arrays(y_true, score, y_pred=predicted, classes=classes, sample_weight=sample_weight)
        for score, predicted in ((y_score_a, y_pred_a), (y_score_b, y_pred_b))
    )
    return comparison_of(
        a,
        b,
        top_k=top_k,
        confidence_level=confidence_level,
        n_resamples=n_resamples,
        random_state=random_state,
        n_jobs=n_jobs,
    )


def comparison_of(
    a: Predictions,
    b: Predictions,
    *,
    top_k: int = 5,
    confidence_level: float = CONFIDENCE_LEVEL,
    n_resamples: int = N_RESAMPLES,
    random_state: int | RandomState | None = None,
    n_jobs: int | None = None,
) -> pd.DataFrame:
    """Make the table of :func:`compare_predictions`. Classes may differ in order or number."""
    check_same_samples(a, b)
    headline_a, headline_b = (headline_of(model, class_metrics_of(model), top_k) for model in (a, b))
    resampled_a, resampled_b = resampled_headlines(
        [a, b], top_k=top_k, n_resamples=n_resamples, random_state=random_state, n_jobs=n_jobs
    )
    frame = pd.DataFrame({"a": headline_a["value"], "b": headline_b["value"]})
    frame["difference"] = frame["b"] - frame["a"]
    ends = percentiles(resampled_b - resampled_a, confidence_level)
    frame["difference_low"], frame["difference_high"] = ends
    frame["p_value"] = np.nan
    frame["note"] = [_one_note(*notes) for notes in zip(headline_a["note"], headline_b["note"], strict=True)]
    frame.loc["accuracy", ["p_value", "note"]] = mcnemar_of(a, b)
    return frame


def _one_note(note_a: str, note_b: str) -> str:
    if note_a == note_b:
        return note_a
    return "; ".join(f"{model}: {note}" for model, note in (("a", note_a), ("b", note_b)) if note)


def mcnemar_of(a: Predictions, b: Predictions) -> tuple[float, str]:
    """Return the p-value of McNemar's exact test, NaN where samples have weights, and a note on what it is made of."""
    if a.sample_weight is not None:
        return np.nan, "no p-value: samples have weights"
    right_a, right_b = a.true == a.predicted, b.true == b.predicted
    only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
    p_value = binomtest(only_b, only_a + only_b, 0.5).pvalue if only_a + only_b else 1.0
    return float(p_value), f"only a is right on {counted(only_a, 'sample')}, only b on {only_b:,}"


def check_same_samples(a: Predictions, b: Predictions) -> None:
    """Refuse predictions whose true labels or weights show that they are not of the same samples in the same order."""
    if a.n_samples != b.n_samples:
        raise ValueError(
            f"The models were run on {a.n_samples:,} and {b.n_samples:,} samples; a paired comparison needs the same "
            "ones, in the same order."
        )
    true_a, true_b = a.classes[a.true], b.classes[b.true]
    different = np.flatnonzero(true_a != true_b)
    if len(different):
        first = different[:1]
        raise ValueError(
            f"The true labels differ in {counted(len(different), 'row')}, first in row {first[0]}: "
            f"{values_text(true_a[first])} and {values_text(true_b[first])}. A paired comparison needs the same "
            "samples in the same order."
        )
    if not np.array_equal(a.weights, b.weights):
        raise ValueError("The sample weights of the two models differ; give both the same, or none.")
