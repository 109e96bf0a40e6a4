"""Tables about generated images: distances and neighbours with intervals, and how often each class is generated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from sklearn.utils import check_random_state

from skcnn._labels import as_labels
from skcnn.metrics._feature_distances import as_feature_pair, frechet_distance_of, kernel_distances_of
from skcnn.metrics._feature_neighbours import N_NEIGHBORS, neighbours_of
from skcnn.metrics._intervals import percentiles_of_defined
from skcnn.metrics._resampling import CONFIDENCE_LEVEL, draws, seeds_of_resamples

if TYPE_CHECKING:
    from numpy.random import RandomState
    from numpy.typing import ArrayLike

GENERATION_METRICS = ("kernel_distance", "frechet_feature_distance", "precision", "recall", "coverage")

#: Resamples of all images: enough for the first two digits of an interval.
N_GENERATION_RESAMPLES = 200

#: Resamples of the Frechet distance, each of which takes milliseconds.
_MAX_FRECHET = 200

#: Fractions that are equal but for rounding are equal.
_ROUNDING = 1e-12

#: More features take minutes per interval of the Frechet distance.
_MAX_FEATURES = 512


def generation_frame(
    X_real: ArrayLike,
    X_generated: ArrayLike,
    *,
    X_other: ArrayLike | None = None,
    n_neighbors: int = N_NEIGHBORS,
    confidence_level: float = CONFIDENCE_LEVEL,
    n_resamples: int = N_GENERATION_RESAMPLES,
    random_state: int | RandomState | None = None,
) -> pd.DataFrame:
    """Tabulate how good generated images are, beside what real images would get.

    Parameters
    ----------
    X_real : array-like of shape (n_real, n_features)
        Features of real images that the model was not fitted on.
    X_generated : array-like of shape (n_generated, n_features)
        Features of generated images.
    X_other : array-like of shape (n_other, n_features) or None, default=None
        Features of other real images, for the column "real": best as many as are generated, such as those of the
        training set. None splits ``X_real`` at random into two halves, which makes all but the kernel distance worse
        than it is of more images.
    n_neighbors : int, default=5
        See :func:`feature_precision_recall`.
    confidence_level : float, default=0.95
        Fraction of the resamples whose metric lies in the interval, in (0, 1).
    n_resamples : int, default=200
        Number of resamples; of the Frechet distance at most 200.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws, and of the halves.

    Returns
    -------
    DataFrame of shape (5, 7)
        Index "metric": "kernel_distance" and "frechet_feature_distance" (less is better); "precision", "recall" and
        "coverage" (more is better; see :func:`feature_precision_recall`). Columns "value", "low", "high", "real" (the
        value of real images in place of generated ones: no model should get a better one), "n_real", "n_generated",
        and "note": why there is no interval.

    Raises
    ------
    ValueError
        If features are refused as in :func:`kernel_distance`, or a parameter is out of range.

    Notes
    -----
    A resample draws as many real and as many generated images as there are, with replacement. In the kernel distance no
    image is compared with itself. The Frechet distance of resamples is greater on average, because images repeat: its
    interval is moved back by the difference. Precision, recall and coverage are resampled with the balls around images
    as they are. So intervals are about other images of the same model, not about another fit of it.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.metrics import generation_frame
    >>> generator = np.random.default_rng(0)
    >>> X = generator.normal(size=(300, 4))
    >>> frame = generation_frame(X, 0.5 * generator.normal(size=(300, 4)), random_state=0)
    >>> frame.loc[["kernel_distance", "recall"], ["value", "low", "high", "real"]].round(2)
                     value   low  high  real
    metric
    kernel_distance   0.35  0.28  0.45  0.02
    recall            0.60  0.54  0.65  0.95
    """
    real, generated = as_feature_pair(X_real, X_generated)
    generator = check_random_state(random_state)
    if X_other is None:
        places = generator.permutation(len(real))
        halves = real[places[::2]], real[places[1::2]]
        if len(real) < 4:
            raise ValueError(f"X_real has {len(real)} rows; expected at least 4 to split it, or X_other.")
    else:
        halves = as_feature_pair(real, X_other, names=("X_real", "X_other"))
    seeds = np.stack([seeds_of_resamples(n_resamples, generator) for _ in range(2)])
    values, resampled = _metrics_of(real, generated, n_neighbors, seeds)
    frame = pd.DataFrame({"value": values}, index=pd.Index(GENERATION_METRICS, name="metric"))
    frame["low"], frame["high"] = percentiles_of_defined(resampled, confidence_level)
    n_fewest = min(map(len, halves))
    frame["real"] = _metrics_of(*halves, min(n_neighbors, n_fewest - 1), np.empty((2, 0), int))[0]
    frame["n_real"], frame["n_generated"] = len(real), len(generated)
    frame["note"] = ""
    missing = frame["low"].isna()
    frame.loc[missing, "note"] = f"no interval: computed for up to {_MAX_FEATURES} features, which takes seconds"
    return frame


def _metrics_of(
    real: np.ndarray, generated: np.ndarray, n_neighbors: int, seeds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the metrics, (n_metrics,), and those of resamples, (n_metrics, n_resamples), by seeds (2, n_resamples)."""
    sizes, n_resamples = (len(real), len(generated)), seeds.shape[1]
    of_real, of_generated = (
        np.hstack([np.ones((n, 1)), draws(np.zeros(n, int), None, part)]) for n, part in zip(sizes, seeds, strict=True)
    )
    kernel = kernel_distances_of(real, generated, of_real, of_generated)
    frechet = np.full(n_resamples + 1, np.nan)
    n_frechet = 0 if real.shape[1] > _MAX_FEATURES else min(n_resamples, _MAX_FRECHET)
    for column in range(n_frechet + 1):
        frechet[column] = frechet_distance_of(real, generated, of_real[:, column], of_generated[:, column])
    if n_frechet:
        frechet[1:] -= np.nanmean(frechet[1:]) - frechet[0]
    found = neighbours_of(real, generated, n_neighbors)
    rows = np.stack(
        [
            kernel,
            frechet,
            found.precise @ of_generated / sizes[1],
            found.recalled @ of_real / sizes[0],
            found.covered @ of_real / sizes[0],
        ]
    )
    return rows[:, 0], rows[:, 1:]


def class_coverage_frame(
    y_real: ArrayLike,
    y_generated: ArrayLike,
    *,
    min_ratio: float = 0.1,
    confidence_level: float = CONFIDENCE_LEVEL,
) -> pd.DataFrame:
    """Tabulate how often each class is among generated images, beside how often it is among real ones.

    Parameters
    ----------
    y_real : array-like of shape (n_real,)
        Labels of real images.
    y_generated : array-like of shape (n_generated,)
        Labels that a classifier predicts for generated images.
    min_ratio : float in [0, 1], default=0.1
        A class counts as covered if its fraction among generated images is at least this ratio of its fraction among
        real ones.
    confidence_level : float, default=0.95
        Of the intervals, in (0, 1).

    Returns
    -------
    DataFrame of shape (n_classes, 7)
        Index "class": the labels, sorted. Columns "support" and "count": real and generated images; "real_fraction";
        "generated_fraction" with its exact binomial interval "low" and "high"; and "is_covered".

    Raises
    ------
    ValueError
        If there are no labels, or a parameter is out of range.

    Notes
    -----
    Whether images that were asked for by class are recognised as that class is
    :func:`sklearn.metrics.accuracy_score` of both.

    Examples
    --------
    >>> from skcnn.metrics import class_coverage_frame
    >>> frame = class_coverage_frame(["cat", "dog"] * 50, ["cat"] * 30)
    >>> frame[["support", "count", "generated_fraction", "high", "is_covered"]].round(2)
           support  count  generated_fraction  high  is_covered
    class
    cat         50     30                 1.0  1.00        True
    dog         50      0                 0.0  0.12       False
    """
    if not 0 <= min_ratio <= 1:
        raise ValueError(f"min_ratio={min_ratio!r}; expected a ratio in [0, 1], such as 0.1.")
    if not 0 < confidence_level < 1:
        raise ValueError(
            f"confidence_level is {confidence_level!r}; expected a fraction between 0 and 1, such as 0.95."
        )
    real, generated = as_labels(y_real), as_labels(y_generated)
    for labels, name in ((real, "y_real"), (generated, "y_generated")):
        if labels.ndim != 1 or not len(labels):
            raise ValueError(f"{name} has shape {labels.shape}; expected (n_images,), one label per image.")
    classes = np.unique(np.concatenate([real, generated]))
    support, count = ([int((labels == label).sum()) for label in classes] for labels in (real, generated))
    frame = pd.DataFrame({"support": support, "count": count}, index=pd.Index(classes, name="class"))
    frame["real_fraction"] = frame["support"] / len(real)
    frame["generated_fraction"] = frame["count"] / len(generated)
    ends = [binomtest(number, len(generated)).proportion_ci(confidence_level) for number in count]
    frame["low"], frame["high"] = [end.low for end in ends], [end.high for end in ends]
    enough = frame["generated_fraction"] >= min_ratio * frame["real_fraction"] - _ROUNDING
    frame["is_covered"] = (frame["count"] > 0) & enough
    return frame
