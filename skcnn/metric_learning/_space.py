"""The space in which identities are compared: vectors are centred, whitened and brought to length 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh
from sklearn.covariance import ledoit_wolf
from sklearn.decomposition import PCA

METRICS = ("cosine", "euclidean")
WHITENINGS = ("lda", "pca")


@dataclass(frozen=True)
class Space:
    """What was learned of vectors.

    Parameters
    ----------
    metric : {"cosine", "euclidean"}
        How vectors are compared.
    center : ndarray of shape (n_dimensions,), float64
        Subtracted from vectors; zeros where nothing is.
    whitening : ndarray of shape (n_dimensions, n_components), float64, or None
        Centred vectors are multiplied by it.
    """

    metric: str
    center: np.ndarray
    whitening: np.ndarray | None

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """Return vectors (n, n_dimensions) in this space, (n, n_components); of length 1 if the metric is cosine."""
        if vectors.shape[1] != len(self.center):
            raise ValueError(
                f"embedding gives {vectors.shape[1]} dimensions, and gave {len(self.center)} in fit; expected the same "
                "embedding."
            )
        moved = vectors - self.center
        if self.whitening is not None:
            moved = moved @ self.whitening
        return unit(moved) if self.metric == "cosine" else moved

    def distances(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the distance of each projected vector to the one beside it, (n,)."""
        if self.metric == "cosine":
            return np.asarray(1 - np.einsum("ij,ij->i", first, second))
        return np.asarray(np.linalg.norm(first - second, axis=1))

    def all_distances(self, first: np.ndarray, second: np.ndarray, squared: np.ndarray | None = None) -> np.ndarray:
        """Return the distance of each projected vector of ``first`` to each of ``second``, (n_first, n_second).

        ``squared`` has the squared lengths of the second ones, (n_second,), where they are known.
        """
        product = first @ second.T
        if self.metric == "cosine":
            return np.subtract(1, product, out=product)
        if squared is None:
            squared = np.einsum("ij,ij->i", second, second)
        product *= -2
        product += squared
        product += np.einsum("ij,ij->i", first, first)[:, None]
        return np.sqrt(np.maximum(product, 0, out=product), out=product)


def learn_space(
    vectors: np.ndarray,
    codes: np.ndarray,
    *,
    metric: str,
    center: bool,
    whiten: str | None,
    n_components: int | float | None,
) -> Space:
    """Learn a space of the vectors of known identities.

    Parameters
    ----------
    vectors : ndarray of shape (n, n_dimensions), float64
        What an embedding gives.
    codes : ndarray of shape (n,), int
        Identities.
    metric, center, whiten, n_components
        Parameters of :class:`FaceVerifier`.

    Returns
    -------
    Space

    Raises
    ------
    ValueError
        If there are too few vectors to whiten.
    """
    if whiten is None:
        mean = vectors.mean(axis=0) if center else np.zeros(vectors.shape[1])
        return Space(metric, mean, None)
    mean = vectors.mean(axis=0)
    if whiten == "pca":
        pca = PCA(n_components, whiten=True, svd_solver="full").fit(vectors)
        kept = pca.explained_variance_ > np.finfo(np.float32).eps * pca.explained_variance_[0]
        return Space(metric, mean, pca.components_[kept].T / np.sqrt(pca.explained_variance_[kept]))
    return Space(metric, mean, _between_by_within(vectors - mean, codes, n_components))


def unit(vectors: np.ndarray) -> np.ndarray:
    """Return vectors of length 1; a vector of zeros stays: it is at a right angle to all others."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)


def _between_by_within(centred: np.ndarray, codes: np.ndarray, n_components: int | float | None) -> np.ndarray:
    """Return the directions in which identities differ most, by how much images of one differ: all, or some of them.

    The covariance within identities becomes the identity matrix. It is shrunk [1]_, as there are fewer images than
    dimensions as a rule.

    References
    ----------
    .. [1] O. Ledoit and M. Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", Journal of
       Multivariate Analysis 88, 2004.
    """
    n_identities = codes.max() + 1
    sums = np.zeros((n_identities, centred.shape[1]))
    np.add.at(sums, codes, centred)
    residuals = centred - (sums / np.bincount(codes)[:, None])[codes]
    if len(centred) == n_identities or not residuals.any():
        raise ValueError(
            "whiten='lda' needs several images of at least some identities, which differ; expected them in X, or "
            "whiten='pca' or None."
        )
    within, _ = ledoit_wolf(residuals, assume_centered=True)
    within *= len(centred) / (len(centred) - n_identities)
    # Of the total covariance: its directions are those of the covariance between identities, and where this is zero
    # all further ones. So None keeps as many as there are.
    if n_components is None:
        values, directions = eigh(within)
        return np.asarray(directions / np.sqrt(values))
    _, directions = eigh(centred.T @ centred / len(centred), within)
    return np.asarray(directions[:, ::-1][:, : int(n_components)])
