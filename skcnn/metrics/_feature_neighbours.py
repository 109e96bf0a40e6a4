"""Real and generated images as neighbours: what is realistic, what is covered, and what is a copy."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral, Real
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import pairwise_distances_chunked
from sklearn.neighbors import NearestNeighbors

from skcnn.metrics._feature_distances import as_feature_pair, as_features

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

#: Neighbours whose distance is the radius of an image.
N_NEIGHBORS = 5


class Neighbours(NamedTuple):
    """What neighbours say of each image.

    Parameters
    ----------
    precise : ndarray of shape (n_generated,), bool
        Whether a generated image is among the real ones.
    recalled : ndarray of shape (n_real,), bool
        Whether a real image is among the generated ones.
    covered : ndarray of shape (n_real,), bool
        Whether a generated image is near a real one.
    """

    precise: np.ndarray
    recalled: np.ndarray
    covered: np.ndarray


def feature_precision_recall(
    X_real: ArrayLike, X_generated: ArrayLike, *, n_neighbors: int = N_NEIGHBORS
) -> dict[str, float]:
    """Return how many generated images are like real ones, and how many real ones the generated ones are like.

    Around each image of a set is a ball that reaches to its ``n_neighbors``-th neighbour in the same set.

    Parameters
    ----------
    X_real : array-like of shape (n_real, n_features)
        Features of real images, more than ``n_neighbors``.
    X_generated : array-like of shape (n_generated, n_features)
        Features of generated images, more than ``n_neighbors``.
    n_neighbors : int, default=5
        The number of [2]_; [1]_ uses 3.

    Returns
    -------
    dict of str to float
        Fractions in [0, 1], of which 1 is best. ``"precision"``: generated images in the ball of a real one [1]_.
        ``"recall"``: real images in the ball of a generated one [1]_. ``"coverage"``: real images whose ball has a
        generated image in it [2]_, which a few outlying generated images do not raise. All of them depend on the
        numbers of images.

    Raises
    ------
    ValueError
        If shapes do not fit, a value is not finite, or ``n_neighbors`` is not an int below the number of images.

    References
    ----------
    .. [1] T. Kynkaanniemi, T. Karras, S. Laine, J. Lehtinen and T. Aila, "Improved precision and recall metric for
       assessing generative models", NeurIPS 2019, section 2.
    .. [2] M. F. Naeem, S. J. Oh, Y. Uh, Y. Choi and J. Yoo, "Reliable fidelity and diversity metrics for generative
       models", ICML 2020, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.metrics import feature_precision_recall
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> found = feature_precision_recall(X, X[X[:, 0] > 0])  # what is generated is real, and one half is missing
    >>> {name: round(value, 1) for name, value in found.items()}
    {'precision': 1.0, 'recall': 0.6, 'coverage': 0.5}
    """
    real, generated = as_feature_pair(X_real, X_generated)
    found = neighbours_of(real, generated, n_neighbors)
    return {
        "precision": float(found.precise.mean()),
        "recall": float(found.recalled.mean()),
        "coverage": float(found.covered.mean()),
    }


def neighbours_of(real: np.ndarray, generated: np.ndarray, n_neighbors: int) -> Neighbours:
    """Return what neighbours say of features, float64 (n, n_features) each."""
    fewest = min(len(real), len(generated))
    if not isinstance(n_neighbors, Integral) or not 0 < n_neighbors < fewest:
        raise ValueError(
            f"n_neighbors={n_neighbors!r}; expected an int in [1, {fewest - 1}], below the number of images ({fewest})."
        )
    around_real, around_generated = (_radii(features, int(n_neighbors)) for features in (real, generated))
    precise = np.zeros(len(generated), bool)
    recalled, covered = np.empty(len(real), bool), np.empty(len(real), bool)
    for rows, distances in _distance_rows(real, generated):
        near = distances <= around_real[rows, None]
        precise |= near.any(axis=0)
        covered[rows] = near.any(axis=1)
        recalled[rows] = (distances <= around_generated).any(axis=1)
    return Neighbours(precise, recalled, covered)


def _radii(features: np.ndarray, n_neighbors: int) -> np.ndarray:
    """Return the distance of each row to its n-th neighbour, itself not counted."""
    farthest = np.empty(len(features))
    for rows, distances in _distance_rows(features, features):
        farthest[rows] = np.partition(distances, n_neighbors, axis=1)[:, n_neighbors]
    return farthest


def _distance_rows(first: np.ndarray, second: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    start = 0
    # Computed without the expansion of the square: equal images have a distance of 0.
    for distances in pairwise_distances_chunked(first, second, metric="sqeuclidean"):
        yield slice(start, start + len(distances)), distances
        start += len(distances)


def training_copies(
    X_training: ArrayLike, X_generated: ArrayLike, X_held_out: ArrayLike, *, fraction: float = 0.01
) -> pd.DataFrame:
    """Find generated images that are nearer to an image of the training set than new real images are.

    Parameters
    ----------
    X_training : array-like of shape (n_training, n_features)
        Features of the images that the model was fitted on.
    X_generated : array-like of shape (n_generated, n_features)
        Features of generated images.
    X_held_out : array-like of shape (n_held_out, n_features)
        Features of real images that the model was not fitted on, and that are no duplicates of the training set:
        :func:`skcnn.model_selection.find_duplicates` finds those.
    fraction : float in (0, 1), default=0.01
        Fraction of the held-out images that are as near to the training set by chance. As large a fraction of the
        generated images is called a copy where the model remembers nothing.

    Returns
    -------
    DataFrame of shape (n_generated, 4)
        One row per generated image, nearest ones first. "generated" and "training" are the positions of the image and
        of its nearest neighbour, "distance" is the Euclidean distance between their features, and "is_copy" says
        whether it is below the ``fraction`` quantile of the held-out images' distances.

    Raises
    ------
    ValueError
        If shapes do not fit, a value is not finite, or ``fraction`` is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.metrics import training_copies
    >>> generator = np.random.default_rng(0)
    >>> training, held_out, generated = (generator.normal(size=(200, 8)) for _ in range(3))
    >>> generated[7] = training[3]
    >>> training_copies(training, generated, held_out).head(1).round(3)
       generated  training  distance  is_copy
    0          7         3       0.0     True
    """
    if not isinstance(fraction, Real) or not 0 < fraction < 1:
        raise ValueError(f"fraction={fraction!r}; expected a number between 0 and 1, such as 0.01.")
    names = ("X_training", "X_generated")
    training, generated = as_feature_pair(X_training, X_generated, names=names, at_least=1)
    held_out = as_features(X_held_out, "X_held_out", at_least=1)
    as_feature_pair(training, held_out, names=("X_training", "X_held_out"), at_least=1)
    index = NearestNeighbors(n_neighbors=1).fit(training)
    distance, place = (part[:, 0] for part in index.kneighbors(generated))
    threshold = np.quantile(index.kneighbors(held_out)[0][:, 0], fraction)
    columns = {"generated": np.arange(len(generated)), "training": place, "distance": distance}
    frame = pd.DataFrame({**columns, "is_copy": distance < threshold})
    return frame.sort_values("distance", kind="stable", ignore_index=True)
