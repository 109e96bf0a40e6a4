"""Which images are in a set, without the images."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from skcnn.images._bad_rows import BadRow
from skcnn.images._input import Images, as_images
from skcnn.images._reading import map_images

_N_BYTES = 8


@dataclass(frozen=True, eq=False)
class ImageDigests:
    """The contents of a set of images, as truncated digests: enough to recognise an image, and no more.

    With them, a saved model knows which images it was trained on. They hold no path and no pixel; but anyone who has an
    image can test whether it is in the set. Two files with the same pixels in another encoding are two contents.

    Parameters
    ----------
    digests : ndarray of shape (n_contents,), uint64
        The first 8 bytes of :meth:`skcnn.images.Images.digest`, sorted, each once. Two of a million images agree by
        accident with a probability of 3e-8.

    See Also
    --------
    skcnn.save : Stores them with a model, as ``training_images``.
    skcnn.model_selection.find_duplicates : Finds images that are nearly the same, too.

    Examples
    --------
    >>> from skcnn.datasets import load_digit_images
    >>> from skcnn.images import ImageDigests
    >>> X = load_digit_images().data
    >>> training_images = ImageDigests.of(X[:100])
    >>> len(training_images), training_images.contain(X[99:101]).tolist()
    (100, [True, False])
    """

    digests: np.ndarray

    @classmethod
    def of(cls, X: Any, *, root: str | os.PathLike[str] | None = None) -> ImageDigests:
        """Return the digests of images. Rows that cannot be read are left out.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`as_images`. Files are read, and URLs are fetched.
        root : path-like or None, default=None
            Folder or URL that relative paths start from.

        Returns
        -------
        ImageDigests
        """
        digests = [number for number in _numbers(as_images(X, root=root)) if number is not None]
        return cls(np.unique(np.array(digests, np.uint64)))

    def contain(self, X: Any, *, root: str | os.PathLike[str] | None = None) -> np.ndarray:
        """Return whether each image is in the set.

        Parameters
        ----------
        X : array-like of n_samples images
            See :func:`as_images`.
        root : path-like or None, default=None
            Folder or URL that relative paths start from.

        Returns
        -------
        ndarray of shape (n_samples,), bool
            False where a row cannot be read.
        """
        numbers = _numbers(as_images(X, root=root))
        known = set(np.asarray(self.digests).ravel().tolist())
        return np.array([number in known for number in numbers], bool)

    def __len__(self) -> int:
        return len(self.digests)


def _numbers(images: Images) -> list[int | None]:
    """Return the truncated digest of each row, None where it cannot be read."""
    found = map_images(Images.digest, images, range(len(images)), ahead=64)
    return [None if isinstance(digest, BadRow) else int.from_bytes(digest[:_N_BYTES], "little") for _, digest in found]
