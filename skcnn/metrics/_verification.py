"""How well scores of pairs separate pairs of one identity from pairs of two: EER, TAR at FAR, intervals over people."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from skcnn._labels import as_labels
from skcnn.metrics._intervals import percentiles_of_defined
from skcnn.metrics._resampling import CONFIDENCE_LEVEL, N_RESAMPLES
from skcnn.metrics._verification_pairs import Pairs

if TYPE_CHECKING:
    from numpy.random import RandomState
    from numpy.typing import ArrayLike

#: False accept rates at which the true accept rate is reported.
FARS = (0.1, 0.01, 0.001)

#: Sums of weights that are equal but for rounding are equal.
_ROUNDING = 1e-12


def equal_error_rate(y_true: ArrayLike, y_score: ArrayLike) -> float:
    """Return the error rate where as large a fraction of impostor pairs is accepted as of genuine pairs is rejected.

    Parameters
    ----------
    y_true : array-like of shape (n_pairs,)
        1 for a genuine pair, of one identity, and 0 for an impostor pair, of two.
    y_score : array-like of shape (n_pairs,)
        Similarities, such as ``decision_function`` returns: greater for pairs of one identity.

    Returns
    -------
    float
        In [0, 1]; between two thresholds both rates are interpolated linearly. NaN without pairs of both kinds.

    Raises
    ------
    ValueError
        If shapes differ, ``y_true`` has other values, or a score is not finite.

    Examples
    --------
    >>> from skcnn.metrics import equal_error_rate
    >>> equal_error_rate([1, 1, 1, 1, 0, 0, 0, 0], [9, 8, 7, 3, 6, 2, 1, 0])
    0.25
    """
    pairs = Pairs.from_arrays(y_true, y_score)
    return float(eer_of(*rates_of(pairs, np.ones((len(pairs.score), 1))))[0])


def tar_at_far(y_true: ArrayLike, y_score: ArrayLike, *, far: float = 0.01) -> float:
    """Return the fraction of genuine pairs accepted where at most a fraction ``far`` of the impostor pairs is.

    Parameters
    ----------
    y_true, y_score
        Pairs and their similarities: see :func:`equal_error_rate`.
    far : float, default=0.01
        False accept rate, in [0, 1].

    Returns
    -------
    float
        The true accept rate, in [0, 1]; NaN without pairs of both kinds.

    Raises
    ------
    ValueError
        If pairs are refused as in :func:`equal_error_rate`, or ``far`` is out of range.

    Examples
    --------
    >>> from skcnn.metrics import tar_at_far
    >>> tar_at_far([1, 1, 1, 1, 0, 0, 0, 0], [9, 8, 7, 3, 6, 2, 1, 0], far=0.1)
    0.75
    """
    check_far(far)
    pairs = Pairs.from_arrays(y_true, y_score)
    return float(tars_of(*rates_of(pairs, np.ones((len(pairs.score), 1))), far)[0])


def threshold_at_far(y_true: ArrayLike, y_score: ArrayLike, *, far: float = 0.01) -> float:
    """Return the lowest score that, as a threshold, accepts at most a fraction ``far`` of the impostor pairs.

    Parameters
    ----------
    y_true, y_score
        Pairs and their similarities: see :func:`equal_error_rate`.
    far : float, default=0.01
        False accept rate, in [0, 1].

    Returns
    -------
    float
        Pairs with at least this score are accepted; infinity where the most similar pairs are impostors, and too many.

    Raises
    ------
    ValueError
        If pairs are refused as in :func:`equal_error_rate`, there is no impostor pair, or ``far`` is out of range.

    Notes
    -----
    Of pairs whose people, or whose distances, a model was fitted on, the threshold is too low: on other people many
    times ``far`` are accepted. :class:`~skcnn.metric_learning.FaceVerifier` takes pairs of people whom it was not
    fitted on.

    Examples
    --------
    >>> from skcnn.metrics import threshold_at_far
    >>> threshold_at_far([1, 1, 1, 1, 0, 0, 0, 0], [9, 8, 7, 3, 6, 2, 1, 0], far=0.25)
    3.0
    """
    check_far(far)
    pairs = Pairs.from_arrays(y_true, y_score)
    if pairs.is_same.all():
        raise ValueError("There is no impostor pair in y_true; expected at least one, of which a fraction is accepted.")
    _, false = rates_of(pairs, np.ones((len(pairs.score), 1)))
    n_accepted = int((false[:, 0] <= far + _ROUNDING).sum())
    return float(pairs.score[pairs.ends[n_accepted - 2]]) if n_accepted > 1 else float(np.inf)


def verification_frame(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    people: ArrayLike | None = None,
    far: Sequence[float] = FARS,
    confidence_level: float = CONFIDENCE_LEVEL,
    n_resamples: int = N_RESAMPLES,
    random_state: int | RandomState | None = None,
) -> pd.DataFrame:
    """Tabulate how well scores separate genuine from impostor pairs, with intervals over people.

    Parameters
    ----------
    y_true : array-like of shape (n_pairs,)
        1 for a genuine pair, of one identity, and 0 for an impostor pair, of two.
    y_score : array-like of shape (n_pairs,)
        Similarities: greater for pairs of one identity.
    people : array-like of shape (n_pairs, 2) or None, default=None
        Identities of both samples of each pair. Without them there are no intervals: pairs of the same people are not
        independent, and intervals over pairs would be far too narrow.
    far : sequence of float, default=(0.1, 0.01, 0.001)
        False accept rates at which the true accept rate is computed, each in [0, 1].
    confidence_level : float, default=0.95
        Fraction of the resamples whose metric lies in the interval, in (0, 1).
    n_resamples : int, default=1000
        Number of resamples of people.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws.

    Returns
    -------
    DataFrame of shape (2 + n_far, 5)
        Index "metric": "eer", "roc_auc" and "tar@far=..." of each rate. Columns "value", "low", "high", "threshold"
        (the score from which on pairs are accepted, at the rates) and "note": why a value or an interval is
        unreliable, for instance that there are fewer than 1 / far impostor pairs.

    Raises
    ------
    ValueError
        If shapes differ, ``y_true`` has other values or does not agree with ``people``, or a parameter is out of range.

    Notes
    -----
    A resample draws people with replacement [1]_. A pair of two people counts as often as the product of how often both
    were drawn, a pair of one person as often as that one was. So the interval reflects that other people would have
    been measured; single pairs of people who look alike decide the true accept rate at low false accept rates, which
    the width of the interval shows.

    References
    ----------
    .. [1] R. M. Bolle, N. K. Ratha and S. Pankanti, "Error analysis of pattern recognition systems: the subsets
       bootstrap", Computer Vision and Image Understanding 93, 2004, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.metrics import identity_pairs, verification_frame
    >>> y = np.repeat(np.arange(10), 4)
    >>> codes = np.random.default_rng(0).normal(size=(40, 3)) + 3 * np.random.default_rng(1).normal(size=(10, 3))[y]
    >>> pairs, is_same = identity_pairs(y)
    >>> score = -np.linalg.norm(codes[pairs[:, 0]] - codes[pairs[:, 1]], axis=1)
    >>> frame = verification_frame(is_same, score, people=y[pairs], far=[0.1], random_state=0)
    >>> frame[["value", "low", "high"]].round(2).loc["eer"].to_dict()
    {'value': 0.2, 'low': 0.08, 'high': 0.3}
    """
    fars = [check_far(rate) for rate in np.atleast_1d(np.asarray(far, dtype=object))]
    pairs = Pairs.from_arrays(y_true, y_score, people)

    def metrics(weights: np.ndarray) -> np.ndarray:
        true, false = rates_of(pairs, weights)
        return np.stack([eer_of(true, false), _auc_of(true, false), *(tars_of(true, false, rate) for rate in fars)])

    n_impostors = int((~pairs.is_same).sum())
    index = pd.Index(["eer", "roc_auc", *(f"tar@far={rate:g}" for rate in fars)], name="metric")
    values = metrics(np.ones((len(pairs.score), 1)))[:, 0]
    frame = pd.DataFrame({"value": values, "low": np.nan, "high": np.nan, "threshold": np.nan, "note": ""}, index=index)
    if pairs.people is not None:
        resampled = [metrics(weights) for weights in pairs.weights_of_resamples(n_resamples, random_state)]
        frame["low"], frame["high"] = percentiles_of_defined(np.concatenate(resampled, axis=1), confidence_level)
    else:
        frame["note"] = "no interval: people= gives the identities of each pair"
    if not 0 < n_impostors < len(pairs.score):
        missing = "impostor" if not n_impostors else "genuine"
        frame["note"] = f"not defined: there are no {missing} pairs"
        return frame
    for rate, name in zip(fars, index[2:], strict=True):
        frame.loc[name, "threshold"] = threshold_at_far(pairs.is_same, pairs.score, far=rate)
        if rate * n_impostors < 1:
            few = f"{n_impostors:,} impostor pairs are fewer than 1 / far"
            frame.loc[name, "note"] = f"{frame.loc[name, 'note']}; {few}".lstrip("; ")
    return frame


def verification_rates(
    y_true: ArrayLike,
    y_score: ArrayLike,
    threshold: float,
    *,
    group: ArrayLike | None = None,
    people: ArrayLike | None = None,
    confidence_level: float = CONFIDENCE_LEVEL,
    n_resamples: int = N_RESAMPLES,
    random_state: int | RandomState | None = None,
) -> pd.DataFrame:
    """Tabulate the error rates at a threshold, of all pairs and of each group.

    Parameters
    ----------
    y_true : array-like of shape (n_pairs,)
        1 for a genuine pair, of one identity, and 0 for an impostor pair, of two.
    y_score : array-like of shape (n_pairs,)
        Similarities: greater for pairs of one identity.
    threshold : float
        Pairs with at least this score are accepted.
    group : array-like of shape (n_pairs,) or None, default=None
        To which group of people a pair belongs, such as an age group or a sex. Put impostor pairs of two groups into
        one of their own, such as "mixed": those within a group are the harder ones.
    people : array-like of shape (n_pairs, 2) or None, default=None
        Identities of both samples of each pair, for intervals over people: see :func:`verification_frame`.
    confidence_level, n_resamples, random_state
        Intervals: see :func:`verification_frame`.

    Returns
    -------
    DataFrame of shape (1 + n_groups, 8)
        Index "group": "all", then the groups, sorted. Columns "far" (fraction of the impostor pairs that are accepted)
        with "far_low" and "far_high", "frr" (fraction of the genuine pairs that are rejected) with "frr_low" and
        "frr_high", and "n_impostor" and "n_genuine" pairs. NaN where there are none.

    Raises
    ------
    ValueError
        If shapes differ, ``y_true`` has other values or does not agree with ``people``, or a parameter is out of range.

    References
    ----------
    .. [1] P. Grother, M. Ngan and K. Hanaoka, "Face Recognition Vendor Test (FRVT) part 3: demographic effects", NISTIR
       8280, 2019.

    Examples
    --------
    >>> from skcnn.metrics import verification_rates
    >>> y_true, y_score = [1, 1, 0, 0, 1, 1, 0, 0], [9, 8, 3, 2, 9, 4, 6, 2]
    >>> frame = verification_rates(y_true, y_score, 5, group=["young"] * 4 + ["old"] * 4)
    >>> frame[["far", "frr", "n_impostor"]].to_dict("index")["old"]
    {'far': 0.5, 'frr': 0.5, 'n_impostor': 2}
    """
    pairs = Pairs.from_arrays(y_true, y_score, people)
    names, masks = ["all"], [np.ones(len(pairs.score), bool)]
    if group is not None:
        groups = as_labels(group)
        if groups.shape != pairs.score.shape:
            raise ValueError(f"group has shape {groups.shape}; expected ({len(pairs.score)},), one per pair.")
        codes, found = pd.factorize(groups[pairs.order], sort=True)
        names += list(found)
        masks += [codes == code for code in range(len(found))]
    is_accepted = pairs.score >= threshold
    impostors = [mask & ~pairs.is_same for mask in masks]
    genuine = [mask & pairs.is_same for mask in masks]
    # Pairs of the same two people have the same weight in a resample, so that their numbers are enough.
    rows, first_row = pairs.by_people()
    counts = np.array([np.bincount(rows, kind, len(first_row)) for kind in [*impostors, *genuine]])
    wrong = [kind & is_accepted for kind in impostors] + [kind & ~is_accepted for kind in genuine]
    wrong_counts = np.array([np.bincount(rows, kind, len(first_row)) for kind in wrong])

    def rates(weights: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return np.asarray((wrong_counts @ weights) / (counts @ weights))

    n = len(masks)
    values = rates(np.ones((len(first_row), 1)))[:, 0]
    low = high = np.full(2 * n, np.nan)
    if pairs.people is not None:
        resampled = [rates(w) for w in pairs.weights_of_resamples(n_resamples, random_state, first_row)]
        low, high = percentiles_of_defined(np.concatenate(resampled, axis=1), confidence_level)
    return pd.DataFrame(
        {
            "far": values[:n],
            "far_low": low[:n],
            "far_high": high[:n],
            "frr": values[n:],
            "frr_low": low[n:],
            "frr_high": high[n:],
            "n_impostor": [int(kind.sum()) for kind in impostors],
            "n_genuine": [int(kind.sum()) for kind in genuine],
        },
        index=pd.Index(names, name="group", dtype=object),
    )


def rates_of(pairs: Pairs, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the true and the false accept rate at each threshold, from infinity down to the lowest score.

    Parameters
    ----------
    pairs : Pairs
        Sorted.
    weights : ndarray of shape (n_pairs, n_weightings)
        Of the pairs.

    Returns
    -------
    tuple of ndarray, each of shape (1 + n_distinct, n_weightings)
        Both begin with 0. NaN where a weighting has no pairs of a kind.
    """

    def rate(of: np.ndarray) -> np.ndarray:
        sums = np.cumsum(np.where(of[:, None], weights, 0), axis=0)[pairs.ends]
        with np.errstate(invalid="ignore", divide="ignore"):
            fractions = sums / sums[-1]
        fractions[:, sums[-1] == 0] = np.nan
        return np.concatenate([np.zeros((1, weights.shape[1])), fractions])

    return rate(pairs.is_same), rate(~pairs.is_same)


def eer_of(true: np.ndarray, false: np.ndarray) -> np.ndarray:
    """Return the equal error rates, (n_weightings,), of rates of :func:`rates_of`."""
    difference = false - (1 - true)  # from -1 to 1, never falling
    after = np.clip((difference >= 0).argmax(axis=0), 1, None)
    columns = np.arange(true.shape[1])
    step = difference[after, columns] - difference[after - 1, columns]
    part = np.divide(-difference[after - 1, columns], step, out=np.zeros(len(columns)), where=step > 0)
    found = false[after - 1, columns] + part * (false[after, columns] - false[after - 1, columns])
    return np.where(np.isnan(difference[-1]), np.nan, found)


def tars_of(true: np.ndarray, false: np.ndarray, far: float) -> np.ndarray:
    """Return the true accept rates, (n_weightings,), where the false accept rate is at most ``far``."""
    last = (false <= far + _ROUNDING).sum(axis=0) - 1
    found = true[last, np.arange(true.shape[1])]
    return np.where(np.isnan(true[-1]) | np.isnan(false[-1]), np.nan, found)


def check_far(far: object) -> float:
    """Return a false accept rate as a float, or raise a ValueError."""
    if not isinstance(far, Real) or isinstance(far, bool) or not 0 <= float(far) <= 1:
        raise ValueError(f"far is {far!r}; expected a false accept rate in [0, 1], such as 0.01.")
    return float(far)


def _auc_of(true: np.ndarray, false: np.ndarray) -> np.ndarray:
    return np.asarray((np.diff(false, axis=0) * (true[1:] + true[:-1]) / 2).sum(axis=0))
