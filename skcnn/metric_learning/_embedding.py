"""An embedding, which is any transformer, and the vectors that it gives for images, as they are and mirrored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import get_tags

from skcnn.images import Images, as_images

#: No image is larger: thumbnails of this size are the images themselves.
_ANY_SIZE = 2**30


class Mirrored(Images):
    """Images seen in a mirror: left and right are exchanged.

    Parameters
    ----------
    images : Images
        All rows.
    """

    def __init__(self, images: Images):
        self._images = images
        super().__init__(list(range(len(images))))

    def take(self, rows: Sequence[int]) -> Mirrored:
        """Return the images at ``rows``, mirrored."""
        return Mirrored(self._images.take([self.items[row] for row in rows]))

    def path(self, row: int) -> str | None:
        """Return None: caches know files by their paths, and a mirrored image lies nowhere."""
        return None

    def digest(self, row: int) -> bytes:
        """Return by what a mirrored image is known: see :meth:`skcnn.images.Images.digest`."""
        return Images([self.read(row)]).digest(0)

    def read(self, row: int) -> np.ndarray:
        """Return the pixels, uint8 (height, width, 3)."""
        return np.ascontiguousarray(self._images.thumbnail(row, _ANY_SIZE)[:, ::-1])


def learns(embedding: Any) -> bool:
    """Return whether an embedding is fitted with the images: it is not stateless, and not frozen."""
    return not isinstance(embedding, FrozenEstimator) and get_tags(embedding).requires_fit


def fitted(embedding: Any, X: Any, y: np.ndarray) -> Any:
    """Return a fitted clone of an embedding that learns, and any other as it is."""
    return clone(embedding).fit(X, y) if learns(embedding) else embedding


def vectors_of(embedding: Any, X: Any, *, mirror: bool) -> np.ndarray:
    """Return the vectors of images; with ``mirror`` the mean of those of an image and of its mirror image.

    Parameters
    ----------
    embedding : transformer
        Fitted, or stateless.
    X : array-like of n_samples images
        In a form that the embedding takes.
    mirror : bool
        Whether to embed mirror images as well.

    Returns
    -------
    ndarray of shape (n_samples, n_dimensions), float64

    Raises
    ------
    ValueError
        If the embedding gives something else than finite numbers, a row per image.
    """
    vectors = _vectors(embedding, X)
    return (vectors + _vectors(embedding, _mirrored(X, getattr(embedding, "root", None)))) / 2 if mirror else vectors


def _vectors(embedding: Any, X: Any) -> np.ndarray:
    given = embedding.transform(X)
    vectors = np.asarray(given.toarray() if hasattr(given, "toarray") else given)
    if vectors.ndim != 2 or vectors.shape[0] != len(X) or vectors.dtype.kind not in "uifb":
        raise ValueError(
            f"embedding gave an array of shape {vectors.shape} and dtype {vectors.dtype} for {len(X)} images; expected "
            f"numbers of shape ({len(X)}, n_dimensions)."
        )
    if not vectors.shape[1]:
        raise ValueError(
            f"embedding gave 0 feature(s) (shape={vectors.shape}) while a minimum of 1 is required; expected numbers."
        )
    vectors = vectors.astype(np.float64)
    if len(bad := np.flatnonzero(~np.isfinite(vectors).all(axis=1))):
        rows = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
        raise ValueError(
            f"embedding gave NaN or infinity for {len(bad)} of {len(X)} images (rows {rows}); expected finite numbers. "
            "Leave out rows without an image: skcnn.images.drop_bad_images."
        )
    return vectors


def _mirrored(X: Any, root: Any) -> Any:
    """Return mirrored images: an array of pixels as one, which any transformer takes, and other forms as Images."""
    if isinstance(X, np.ndarray) and X.dtype.kind in "uif" and X.ndim in (3, 4):
        return X[:, :, ::-1]
    return Mirrored(as_images(X, root=root))
