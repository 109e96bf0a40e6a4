"""Calibration of probabilities: expected calibration error and Brier score."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from skcnn.metrics._predictions import Predictions, blocks, check_count

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

ALL_CLASSES = "all classes"
"""What the first row of the tables is called."""
N_BINS = 15


def calibration_frame(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    classes: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    n_bins: int = N_BINS,
) -> pd.DataFrame:
    """Measure the calibration of probabilities, for all classes together and for each class.

    Parameters
    ----------
    y_true, classes, sample_weight
        True labels, labels of the classes and weights of the samples: see :meth:`ClassifierReport.from_predictions`.
    y_score : array-like of shape (n_samples, n_classes) or (n_samples,)
        Probabilities, a column per class, or of the second of two classes.
    n_bins : int, default=15
        Number of bins of equal width between 0 and 1, each with its upper edge, for the calibration error. 15 is the
        number of [1]_, with which published errors are computed; another gives other errors.

    Returns
    -------
    DataFrame of shape (1 + n_classes, 5)
        Index "class": first "all classes", then the labels. Columns:

        ================ ==================================================================================
        support          number of samples of the class (first row: of all), or sum of their weights
        probability      mean probability of the class; first row: of each sample's most probable class
        fraction         fraction of samples of the class; first row: of those predicted correctly
        ece              expected calibration error [1]_: the mean over the samples of ``|probability - fraction|`` of
                         their bin, in [0, 1]
        brier            mean squared error of the probabilities, as :func:`sklearn.metrics.brier_score_loss`
        ================ ==================================================================================

        ``probability`` above ``fraction`` is overconfidence. The first row's ``ece`` is the "top-label" error, the one
        usually published: only the highest probability of each sample is looked at. The error of a class is about its
        column, the class against the rest; in tasks of many classes it is small for all of them, because most
        probabilities are near 0. The first row's ``brier`` is summed over the classes: in [0, 2] with three classes or
        more, and in [0, 1] with two. With one class, ``ece`` and ``brier`` are NaN.

    Raises
    ------
    ValueError
        If the scores are not probabilities, ``n_bins`` is less than 1, or predictions are refused as in
        :func:`headline_frame`.

    See Also
    --------
    sklearn.calibration.calibration_curve : Of two classes, bin by bin: its ``prob_pred`` is the probability, its
        ``prob_true`` the fraction.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On Calibration of Modern Neural Networks", ICML 2017,
       section 2.

    Examples
    --------
    >>> from skcnn.metrics import calibration_frame
    >>> calibration_frame(["cat", "dog", "dog", "dog"], [0.1, 0.9, 0.9, 0.3]).round(2)  # doctest: +NORMALIZE_WHITESPACE
                 support  probability  fraction   ece  brier
    class
    all classes        4         0.85      0.75  0.25   0.13
    cat                1         0.45      0.25  0.25   0.13
    dog                3         0.55      0.75  0.25   0.13
    """
    return calibration_of(
        Predictions.from_arrays(y_true, y_score, classes=classes, sample_weight=sample_weight), n_bins
    )


def calibration_of(predictions: Predictions, n_bins: int = N_BINS, bins: pd.DataFrame | None = None) -> pd.DataFrame:
    """Make the table of :func:`calibration_frame`; ``bins`` are those of :func:`bins_of`, where they are known."""
    bins = bins_of(predictions, n_bins) if bins is None else bins
    weights = predictions.weights
    error = np.abs(bins["probability"] - bins["fraction"]) * bins["count"]
    ece = error.groupby(bins["column"]).sum() / weights.sum()
    means = [
        np.average([probability, happened, (probability - happened) ** 2], axis=1, weights=weights)
        for probability, happened in _columns(predictions)
    ]
    probabilities, fractions, squared = np.concatenate(means, axis=1)
    squared = squared[1:]
    # With two classes both columns have the same errors: scikit-learn counts one of them.
    together = squared.sum() / (2 if predictions.n_classes == 2 else 1)
    support = np.append(weights.sum(), np.bincount(predictions.true, weights, minlength=predictions.n_classes))
    if predictions.sample_weight is None:
        support = support.astype(int)
    frame = pd.DataFrame(
        {
            "support": support,
            "probability": probabilities,
            "fraction": fractions,
            "ece": ece.to_numpy(),
            "brier": np.append(together, squared),
        },
        index=pd.Index([ALL_CLASSES, *predictions.classes], name="class"),
    )
    if predictions.n_classes == 1:
        frame[["ece", "brier"]] = np.nan
    return frame


def bins_of(predictions: Predictions, n_bins: int = N_BINS) -> pd.DataFrame:
    """Return a row for each bin that holds a sample: what :class:`ReliabilityDisplay` draws, by number of column.

    Returns
    -------
    DataFrame of shape (n_points, 6)
        Columns "column" (0 for all classes together, then those of the classes), "low", "high", "count",
        "probability" and "fraction".
    """
    if not predictions.is_probability:
        raise ValueError(
            f"Calibration needs probabilities, and there are none: {predictions.score_note}. Give those of "
            "predict_proba, or make some with sklearn.calibration.CalibratedClassifierCV."
        )
    check_count(n_bins, "n_bins", N_BINS)
    edges = np.linspace(0, 1, n_bins + 1)
    sums = []
    for probability, happened in _columns(predictions):
        n_columns = probability.shape[1]
        cell = np.searchsorted(edges[1:-1], probability) + n_bins * np.arange(n_columns)
        weights = np.broadcast_to(predictions.weights[:, None], cell.shape)
        sums.append(
            [
                np.bincount(cell.ravel(), (weights * values).ravel(), minlength=n_bins * n_columns)
                for values in (np.ones(1), probability, happened)
            ]
        )
    counts, probabilities, fractions = np.concatenate(sums, axis=1)
    used = np.flatnonzero(counts)
    return pd.DataFrame(
        {
            "column": used // n_bins,
            "low": edges[used % n_bins],
            "high": edges[used % n_bins + 1],
            "count": counts[used] if predictions.sample_weight is not None else counts[used].astype(int),
            "probability": probabilities[used] / counts[used],
            "fraction": fractions[used] / counts[used],
        }
    )


def _columns(predictions: Predictions) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield probabilities and what happened, (n_samples, n): of the most probable class, then of each, some at once."""
    score = predictions.score
    assert score is not None
    is_right = score.argmax(axis=1) == predictions.true
    yield np.clip(score.max(axis=1).astype(float), 0, 1)[:, None], is_right[:, None].astype(float)
    for columns in blocks(predictions.n_classes, predictions.n_samples):
        happened = predictions.true[:, None] == np.arange(predictions.n_classes)[columns]
        yield np.clip(score[:, columns].astype(float), 0, 1), happened.astype(float)
