"""How far images lie from those that a model was trained on: drift, before there are labels to see it by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

#: Levels of the quantiles that are kept.
LEVELS = np.linspace(0, 1, 101)

_SHOWN = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
_FLOOR = 0.01
_N_FOLDS = 10


@dataclass(frozen=True, eq=False)
class TrainingFeatures:
    r"""The features of a training set: their means and scales, and quantiles of the distances of its samples.

    The distance of a sample is the root mean square of its standardised features,

    .. math:: d(x) = \sqrt{\frac{1}{p} \sum_{j=1}^{p} \frac{(x_j - \mu_j)^2}{s_j^2}},

    so that it is about 1 for a sample of the training set. With it, a saved model knows how far new images lie from
    those that it was trained on, without any of these.

    Parameters
    ----------
    mean : ndarray of shape (n_features,), float64
        Means of the features.
    scale : ndarray of shape (n_features,), float64
        Their scales, > 0.
    quantiles : ndarray of shape (101,), float64
        Quantiles 0, 0.01, ... 1 of the distances of training samples.

    See Also
    --------
    distance_frame : Quantiles of new images beside those of the training set.
    skcnn.save : Stores it with a model, as ``training_features``.

    Notes
    -----
    A training sample lies nearer to the means of its own set than a new one does: of 400 images, 8.5 % of new ones of
    the same kind lay beyond the 95 % quantile of the training samples' own distances, and of 100 images 18.5 %.
    Therefore the distance of each training sample is taken to means and scales of samples in other folds (10 folds);
    beyond the quantile of these lay 5.5 % and 2 %.

    The scale of a feature is its standard deviation, to whose square 1 % of the features' mean variance is added:
    otherwise a feature that is almost constant in the training set would decide alone.

    A network that was fine-tuned on images knows these better than new ones, which no folds of features make up for:
    take features of images that were held out.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.metrics import TrainingFeatures
    >>> features = np.random.default_rng(0).normal(size=(500, 20))
    >>> training_features = TrainingFeatures.of(features)
    >>> training_features.distances(features[:2] + 3).round(1)
    array([3. , 3.2])
    >>> training_features.farther_than(training_features.distances(features[:2] + 3))
    array([1., 1.])
    """

    mean: np.ndarray
    scale: np.ndarray
    quantiles: np.ndarray

    @classmethod
    def of(cls, features: ArrayLike) -> TrainingFeatures:
        """Return what is kept of the features of a training set.

        Parameters
        ----------
        features : array-like of shape (n_samples, n_features)
            In any order. Rows of NaN (images that could not be read) are left out.

        Returns
        -------
        TrainingFeatures

        Raises
        ------
        ValueError
            If they are not a table, or fewer than 20 rows.
        """
        rows = _checked(features)
        rows = rows[np.isfinite(rows).all(axis=1)]
        if len(rows) < 2 * _N_FOLDS:
            raise ValueError(f"Got features of {len(rows)} images; expected at least {2 * _N_FOLDS}.")
        # By lot: sets come sorted by class.
        fold = np.random.default_rng(0).permutation(len(rows)) % _N_FOLDS
        distances = np.empty(len(rows))
        for number in range(_N_FOLDS):
            distances[fold == number] = _distances(rows[fold == number], *_moments(rows[fold != number]))
        return cls(*_moments(rows), np.quantile(distances, LEVELS))

    def distances(self, features: ArrayLike) -> np.ndarray:
        """Return the distance of each sample.

        Parameters
        ----------
        features : array-like of shape (n_samples, n_features)
            Of new images, from the same network.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            Not negative; NaN for rows of NaN.

        Raises
        ------
        ValueError
            If they have another number of features.
        """
        rows = _checked(features)
        if rows.shape[1] != len(self.mean):
            raise ValueError(f"Got {rows.shape[1]:,} features; expected {len(self.mean):,}, as in training.")
        return _distances(rows, self.mean, self.scale)

    def farther_than(self, distances: ArrayLike) -> np.ndarray:
        """Return which fraction of the training samples is nearer, for each distance.

        Parameters
        ----------
        distances : array-like of shape (n_samples,)
            From :meth:`distances`.

        Returns
        -------
        ndarray of shape (n_samples,), float64
            In [0, 1]. Of images like those of the training set, all values are equally frequent.
        """
        return np.interp(np.asarray(distances, float), self.quantiles, LEVELS)


def distance_frame(training_features: TrainingFeatures, features: ArrayLike) -> pd.DataFrame:
    """Compare the distances of new images with those of the training set, by quantiles.

    Parameters
    ----------
    training_features : TrainingFeatures
        Of the training set.
    features : array-like of shape (n_samples, n_features)
        Of new images. Rows of NaN are left out.

    Returns
    -------
    DataFrame of shape (6, 3)
        Index "quantile": 0.05 to 0.99. Columns:

        ========== ================================================================================================
        training   quantile of the training samples' distances, each to means of others
        new        the same of the new images
        fraction   fraction of the new images that lie farther than the training set's quantile; of images like
                   those of the training set, it is about 1 - quantile
        ========== ================================================================================================

    Raises
    ------
    ValueError
        If the number of features is another, or there is no image.

    See Also
    --------
    TrainingFeatures : What is kept of the training set.

    Notes
    -----
    The fraction at 0.95 is the one number to watch: 0.05 is expected. What lies far is not always predicted wrongly,
    and what lies near is not always right: a class that was not in the training set can be near.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.metrics import TrainingFeatures, distance_frame
    >>> features = np.random.default_rng(0).normal(size=(500, 20))
    >>> frame = distance_frame(TrainingFeatures.of(features[:250]), features[250:])
    >>> frame.loc[0.95].round(2).to_dict()
    {'training': 1.3, 'new': 1.29, 'fraction': 0.05}
    """
    distances = training_features.distances(features)
    distances = distances[np.isfinite(distances)]
    if len(distances) == 0:
        raise ValueError("Got features of no image; expected at least one row without NaN.")
    training = np.interp(_SHOWN, LEVELS, training_features.quantiles)
    return pd.DataFrame(
        {
            "training": training,
            "new": np.quantile(distances, _SHOWN),
            "fraction": (distances[:, np.newaxis] > training).mean(axis=0),
        },
        index=pd.Index(_SHOWN, name="quantile"),
    )


def _checked(features: ArrayLike) -> np.ndarray:
    rows = np.asarray(features, np.float64)
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ValueError(f"Got features of shape {rows.shape}; expected (n_samples, n_features).")
    return rows


def _moments(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    variances = rows.var(axis=0)
    return rows.mean(axis=0), np.sqrt(variances + max(_FLOOR * variances.mean(), np.finfo(np.float32).tiny))


def _distances(rows: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.sqrt((((rows - mean) / scale) ** 2).mean(axis=1))
