"""How well one of many identities is found, where probes may be of none of them: DIR at FAR."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from skcnn._labels import as_labels
from skcnn.metrics._intervals import percentiles_of_defined
from skcnn.metrics._resampling import CONFIDENCE_LEVEL, N_RESAMPLES, seeds_of_resamples
from skcnn.metrics._verification import check_far

if TYPE_CHECKING:
    from numpy.random import RandomState
    from numpy.typing import ArrayLike

_ROUNDING = 1e-12


def identification_frame(
    y_true: ArrayLike,
    y_score: ArrayLike,
    *,
    classes: ArrayLike,
    far: Sequence[float] = (0.1, 0.01),
    confidence_level: float = CONFIDENCE_LEVEL,
    n_resamples: int = N_RESAMPLES,
    random_state: int | RandomState | None = None,
) -> pd.DataFrame:
    """Tabulate how many probes of enrolled identities are found, while few of unknown people are accepted.

    Parameters
    ----------
    y_true : array-like of shape (n_probes,)
        Identities of the probes. Those that are not among ``classes`` are unknown people.
    y_score : array-like of shape (n_probes, n_identities)
        Similarity of each probe to each enrolled identity: greater is more similar.
    classes : array-like of shape (n_identities,)
        The enrolled identities, in the order of the columns.
    far : sequence of float, default=(0.1, 0.01)
        False accept rates: fractions of the probes of unknown people whose greatest similarity is accepted.
    confidence_level : float, default=0.95
        Fraction of the resamples whose metric lies in the interval, in (0, 1).
    n_resamples : int, default=1000
        Number of resamples: enrolled people and unknown people are drawn with replacement, with all of their probes.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws.

    Returns
    -------
    DataFrame of shape (1 + n_far, 5)
        Index "metric": "rank1" (fraction of the known probes whose most similar identity is right, whatever the
        similarity) and "dir@far=..." (fraction that is found and accepted as well). Columns "value", "low", "high",
        "threshold" and "note": why a value is unreliable, for instance that there are fewer than 1 / far probes of
        unknown people.

    Raises
    ------
    ValueError
        If shapes do not fit, a score is not finite, or a parameter is out of range.

    References
    ----------
    .. [1] P. J. Phillips, P. Grother and R. Micheals, "Evaluation methods in face recognition", in: Handbook of Face
       Recognition, Springer, 2011, section 21.3.

    Examples
    --------
    >>> from skcnn.metrics import identification_frame
    >>> y_score = [[0.9, 0.1], [0.2, 0.3], [0.8, 0.6], [0.5, 0.1], [0.2, 0.1]]
    >>> frame = identification_frame(["a", "b", "b", "x", "x"], y_score, classes=["a", "b"], far=[0.5], random_state=0)
    >>> frame["value"].round(2).to_dict()
    {'rank1': 0.67, 'dir@far=0.5': 0.67}
    """
    fars = [check_far(rate) for rate in np.atleast_1d(np.asarray(far, dtype=object))]
    true, names, score = as_labels(y_true), as_labels(classes), np.asarray(y_score, dtype=float)
    if score.shape != (len(true), len(names)) or not score.size:
        raise ValueError(
            f"y_score has shape {score.shape}; expected ({len(true)}, {len(names)}), a row per probe and a column per "
            "enrolled identity, at least one of each."
        )
    if not np.isfinite(score).all():
        raise ValueError(f"y_score[{np.flatnonzero(~np.isfinite(score).all(axis=1))[0]}] is not finite.")
    people = pd.factorize(true)[0]
    place = pd.Index(names).get_indexer(true)
    is_known, best = place >= 0, score.max(axis=1)
    is_right = is_known & (score.argmax(axis=1) == place)
    known_right = best[is_right]

    def metrics(weight: np.ndarray) -> list[float]:
        known = weight[is_known].sum()
        with np.errstate(invalid="ignore", divide="ignore"):
            found = [weight[is_right].sum() / known]
            for rate in fars:
                accepted = known_right > _limit(best[~is_known], weight[~is_known], rate)
                found.append(weight[is_right][accepted].sum() / known)
        return found

    resampled = np.empty((1 + len(fars), n_resamples))
    groups = [np.unique(people[is_known]), np.unique(people[~is_known])]
    for column, seed in enumerate(seeds_of_resamples(n_resamples, random_state)):
        generator = np.random.default_rng(seed)
        drawn = np.zeros(people.max() + 1)
        for group in groups:
            if len(group):
                drawn += np.bincount(generator.choice(group, len(group)), minlength=len(drawn))
        resampled[:, column] = metrics(drawn[people])
    low, high = percentiles_of_defined(resampled, confidence_level)
    index = pd.Index(["rank1", *(f"dir@far={rate:g}" for rate in fars)], name="metric")
    frame = pd.DataFrame({"value": metrics(np.ones(len(true))), "low": low, "high": high}, index=index)
    frame["threshold"], frame["note"] = np.nan, ""
    n_unknown = int((~is_known).sum())
    for rate, name in zip(fars, index[1:], strict=True):
        # Similarities above the limit are accepted, and of them the smallest is a threshold.
        above = best[best > _limit(best[~is_known], np.ones(n_unknown), rate)]
        frame.loc[name, "threshold"] = above.min() if len(above) else np.inf
        if rate * n_unknown < 1:
            frame.loc[name, "note"] = f"{n_unknown:,} probes of unknown people are fewer than 1 / far"
    return frame


def _limit(score: np.ndarray, weight: np.ndarray, far: float) -> float:
    """Return the score above which at most a fraction ``far`` of the weight lies; minus infinity without one."""
    total = weight.sum()
    if not total:
        return float(-np.inf)
    values, places = np.unique(-score, return_inverse=True)  # the greatest score first
    fraction = np.cumsum(np.bincount(places, weight, len(values))) / total
    too_many = np.flatnonzero(fraction > far + _ROUNDING)
    return float(-values[too_many[0]]) if len(too_many) else float(-np.inf)
