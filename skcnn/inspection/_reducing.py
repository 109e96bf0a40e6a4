"""From features to two coordinates per image."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import clone

from skcnn._text import counted, percent_text

#: t-SNE starts from so many principal components, as its authors advise: distances lose noise, and computing them time.
_COMPONENTS_BEFORE_TSNE = 50
#: scikit-learn's default; it has to be below the number of images.
_PERPLEXITY = 30.0

REDUCERS = ("pca", "tsne")


def reduced(features: np.ndarray, reducer: Any, random_state: int | None) -> tuple[np.ndarray, str]:
    """Return two coordinates per image, and in words what they are.

    Parameters
    ----------
    features : ndarray of shape (n_images, n_features)
        Finite.
    reducer : {"pca", "tsne"} or transformer
        A transformer is cloned.
    random_state : int or None
        Seed of "pca" and "tsne".

    Returns
    -------
    coordinates : ndarray of shape (n_images, 2), float64
    description : str

    Raises
    ------
    ValueError
        If the reducer is unknown or gives another number of coordinates, or there are fewer than 3 images.
    """
    if len(features) < 3:
        raise ValueError(f"A map needs at least 3 images. Got {len(features)} with features.")
    of_features = f"of {counted(features.shape[1], 'feature')}"
    if isinstance(reducer, str):
        if reducer not in REDUCERS:
            raise ValueError(f"reducer={reducer!r}; expected 'pca', 'tsne' or a transformer with two outputs.")
        if features.shape[1] < 2:
            raise ValueError(f"A map needs at least 2 features. Got {features.shape[1]}.")
        return (_by_pca if reducer == "pca" else _by_tsne)(features, of_features, random_state)
    if not hasattr(reducer, "fit_transform"):
        raise TypeError(
            f"reducer is of type {type(reducer).__name__}; expected 'pca', 'tsne' or a transformer with fit_transform."
        )
    coordinates = np.asarray(clone(reducer).fit_transform(features), dtype=float)
    if coordinates.shape != (len(features), 2):
        raise ValueError(
            f"The reducer {type(reducer).__name__} returned an array of shape {coordinates.shape}; expected "
            f"{(len(features), 2)}: set its number of outputs to 2."
        )
    return coordinates, f"{type(reducer).__name__} {of_features}"


def _by_pca(features: np.ndarray, of_features: str, random_state: int | None) -> tuple[np.ndarray, str]:
    from sklearn.decomposition import PCA

    centred = features - features.mean(axis=0)
    if not centred.any():  # There is no variance to have a fraction of.
        return np.zeros((len(features), 2)), f"PCA {of_features}"
    pca = PCA(2, random_state=random_state).set_output(transform="default")
    coordinates = pca.fit_transform(centred)
    kept = round(100 * pca.explained_variance_ratio_.sum()) / 100
    return coordinates.astype(float), f"PCA {of_features}, {percent_text(kept)} of the variance"


def _by_tsne(features: np.ndarray, of_features: str, random_state: int | None) -> tuple[np.ndarray, str]:
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if min(features.shape) > _COMPONENTS_BEFORE_TSNE:
        pca = PCA(_COMPONENTS_BEFORE_TSNE, random_state=random_state).set_output(transform="default")
        features = pca.fit_transform(features)
    perplexity = min(_PERPLEXITY, (len(features) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, random_state=random_state).set_output(transform="default")
    return tsne.fit_transform(features).astype(float), f"t-SNE {of_features}"
