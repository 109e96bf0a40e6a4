"""How far apart real and generated images are, as distances between two sets of features."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from skcnn._text import values_text

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

#: Values of a kernel computed at a time: 32 MB.
_CHUNK = 2**22


def kernel_distance(X_real: ArrayLike, X_generated: ArrayLike) -> float:
    """Return the kernel distance between features of real and of generated images: the published KID.

    It is the unbiased estimate of the squared maximum mean discrepancy with the kernel
    ``(x @ y / n_features + 1) ** 3`` [1]_: 0 on average where both are draws of one distribution, also of few images,
    so that it may be less than 0.

    Parameters
    ----------
    X_real : array-like of shape (n_real, n_features)
        Features of real images, at least 2, such as those of
        :class:`~skcnn.feature_extraction.BottleneckFeatures`. The kernel mixes features of all orders best where their
        squares are 1 on average: divide by a scale, the same for both.
    X_generated : array-like of shape (n_generated, n_features)
        Features of generated images, at least 2.

    Returns
    -------
    float
        Less is better.

    Raises
    ------
    ValueError
        If shapes do not fit, or a value is not finite.

    References
    ----------
    .. [1] M. Binkowski, D. J. Sutherland, M. Arbel and A. Gretton, "Demystifying MMD GANs", ICLR 2018, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.metrics import kernel_distance
    >>> generator = np.random.default_rng(0)
    >>> X = generator.normal(size=(500, 8))
    >>> round(kernel_distance(X, generator.normal(size=(500, 8))), 2)
    0.0
    >>> round(kernel_distance(X, generator.normal(1, 1, size=(500, 8))), 1)
    8.6
    """
    real, generated = as_feature_pair(X_real, X_generated)
    return float(kernel_distances_of(real, generated, np.ones((len(real), 1)), np.ones((len(generated), 1)))[0])


def frechet_feature_distance(X_real: ArrayLike, X_generated: ArrayLike) -> float:
    """Return the Frechet distance between normal distributions with the means and covariances of two sets of features.

    With the features of one published network, and tens of thousands of images, it is known as FID [1]_. Of other
    features it is another number: state which ones. It is too large for few images, by an amount that depends on their
    number: compare it with the distance between two sets of real images as large.

    Parameters
    ----------
    X_real : array-like of shape (n_real, n_features)
        Features of real images, at least 2.
    X_generated : array-like of shape (n_generated, n_features)
        Features of generated images, at least 2.

    Returns
    -------
    float
        The squared distance, at least 0: less is better.

    Raises
    ------
    ValueError
        If shapes do not fit, or a value is not finite.

    References
    ----------
    .. [1] M. Heusel, H. Ramsauer, T. Unterthiner, B. Nessler and S. Hochreiter, "GANs trained by a two time-scale
       update rule converge to a local Nash equilibrium", NIPS 2017, equation 6.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.metrics import frechet_feature_distance
    >>> X = np.random.default_rng(0).normal(size=(500, 8))
    >>> round(frechet_feature_distance(X, X + 1), 6)
    8.0
    """
    real, generated = as_feature_pair(X_real, X_generated)
    return frechet_distance_of(real, generated)


def as_features(X: ArrayLike, name: str, *, at_least: int = 2) -> np.ndarray:
    """Return features as float64, once they are known to be a finite table with enough rows."""
    features = np.asarray(X, dtype=np.float64)
    if features.ndim != 2 or not features.shape[1]:
        raise ValueError(
            f"{name} has shape {features.shape}; expected features of shape (n_images, n_features). Images themselves "
            "are made features of by BottleneckFeatures, or any other transformer."
        )
    if len(features) < at_least:
        raise ValueError(f"{name} has {len(features)} rows; expected at least {at_least}, one per image.")
    if not np.isfinite(features).all():
        rows = np.flatnonzero(~np.isfinite(features).all(axis=1))
        raise ValueError(f"{name} is not finite in the rows {values_text(rows)}; expected finite features.")
    return features


def as_feature_pair(
    X_real: ArrayLike, X_generated: ArrayLike, *, names: tuple[str, str] = ("X_real", "X_generated"), at_least: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Return both as float64, once they are known to be finite and of the same features."""
    real, generated = (
        as_features(X, name, at_least=at_least) for X, name in zip((X_real, X_generated), names, strict=True)
    )
    if real.shape[1] != generated.shape[1]:
        raise ValueError(
            f"{names[0]} has {real.shape[1]} features and {names[1]} {generated.shape[1]}; expected the same features "
            "of both."
        )
    return real, generated


def kernel_distances_of(
    real: np.ndarray, generated: np.ndarray, of_real: np.ndarray, of_generated: np.ndarray
) -> np.ndarray:
    """Return kernel distances, (n_weightings,), of images that count as often as weights say.

    An image is never compared with itself, however often it counts: that keeps the estimate unbiased.

    Parameters
    ----------
    real, generated : ndarray of shape (n_real, n_features), and (n_generated, n_features)
        Features, float64.
    of_real, of_generated : ndarray of shape (n_real, n_weightings), and (n_generated, n_weightings)
        Weights.
    """
    within = [_within(features, weights) for features, weights in ((real, of_real), (generated, of_generated))]
    across = np.zeros(of_real.shape[1])
    for rows, kernel in _kernel_rows(real, generated):
        across += (of_real[rows] * (kernel @ of_generated)).sum(axis=0)
    return within[0] + within[1] - 2 * across / (of_real.sum(axis=0) * of_generated.sum(axis=0))


def _within(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    total = np.zeros(weights.shape[1])
    for rows, kernel in _kernel_rows(features, features):
        kernel[np.arange(len(kernel)), np.arange(rows.start, rows.start + len(kernel))] = 0
        total += (weights[rows] * (kernel @ weights)).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):  # one image alone in a resample
        return total / (weights.sum(axis=0) ** 2 - (weights**2).sum(axis=0))


def _kernel_rows(first: np.ndarray, second: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield the cubic kernel of some rows of the first features with all of the second ones."""
    at_once = max(1, _CHUNK // len(second))
    for start in range(0, len(first), at_once):
        rows = slice(start, start + at_once)
        yield rows, (first[rows] @ second.T / first.shape[1] + 1) ** 3


def frechet_distance_of(
    real: np.ndarray,
    generated: np.ndarray,
    of_real: np.ndarray | None = None,
    of_generated: np.ndarray | None = None,
) -> float:
    """Return the squared Frechet distance of features, float64, that count as often as weights, (n,), say."""
    (mean, centred), (other_mean, other) = _moments(real, of_real), _moments(generated, of_generated)
    # The trace of the root of the product of two covariances A.T @ A and B.T @ B: the singular values of A @ B.T, or
    # where features are fewer than images the roots of the eigenvalues of the product.
    if real.shape[1] <= min(len(real), len(generated)):
        values, vectors = np.linalg.eigh(centred.T @ centred)
        half = vectors * np.sqrt(np.maximum(values, 0))
        product = np.linalg.eigvalsh(half.T @ (other.T @ other) @ half)
        root = np.sqrt(np.maximum(product, 0)).sum()
    else:
        root = np.linalg.svd(centred @ other.T, compute_uv=False).sum()
    spread = (centred**2).sum() + (other**2).sum() - 2 * root
    return max(0.0, float(((mean - other_mean) ** 2).sum() + spread))


def _moments(features: np.ndarray, weights: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean, and rows whose products with themselves are the covariance."""
    if weights is None:
        mean = features.mean(axis=0)
        return mean, (features - mean) / np.sqrt(len(features) - 1)
    total = weights.sum()
    mean = weights @ features / total
    return mean, (features - mean) * np.sqrt(weights / (total - 1))[:, None]
