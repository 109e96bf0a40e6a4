"""Groups of images that are the same, for splits and folds that keep them together."""

from __future__ import annotations

import os
from typing import Any, Literal

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from skcnn.images import as_images
from skcnn.model_selection._duplicates import find_duplicates


def duplicate_groups(
    X: Any,
    *,
    min_similarity: float = 0.75,
    on_error: Literal["raise", "skip"] = "skip",
    root: str | os.PathLike[str] | None = None,
    max_pixels: int | None = None,
    verbose: int | str = "auto",
) -> np.ndarray:
    """Return a number for each image; duplicates, and duplicates of duplicates, have the same one.

    Of two images that are nearly the same, one in the training set and one in the test set make metrics too optimistic.
    As ``groups`` of :func:`train_dev_test_split`, of ``StratifiedGroupKFold`` or of ``cross_val_score``, the numbers
    keep such images in one part.

    Parameters
    ----------
    X : array-like of shape (n_samples,)
        Images in any form that :func:`skcnn.images.as_images` takes.
    min_similarity : float in (0, 1], default=0.75
        Minimum similarity of duplicates: see :func:`find_duplicates`.
    on_error : {"skip", "raise"}, default="skip"
        How to handle rows without an image. ``"skip"``: warn, and give each a group of its own. ``"raise"``: raise a
        :class:`~skcnn.images.BadImageError` that names them all.
    root : path-like or None, default=None
        Folder or URL that relative paths start from.
    max_pixels : int or None, default=None
        Images with more pixels are bad rows; None is Pillow's limit.
    verbose : int or "auto", default="auto"
        Whether to show a progress bar. "auto" shows one in a terminal or a notebook where the job takes longer than 5
        seconds, 1 from the first image on, 0 never.

    Returns
    -------
    ndarray of shape (n_samples,), int64
        Numbers from 0, in the order in which groups first occur.

    Raises
    ------
    BadImageError
        If a row has no image and ``on_error="raise"``.
    ValueError
        If ``min_similarity`` is out of range.

    See Also
    --------
    find_duplicates : The pairs, with their similarity.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.datasets import load_digit_images
    >>> from skcnn.model_selection import duplicate_groups
    >>> X = load_digit_images().data[:4]
    >>> duplicate_groups(np.concatenate([X, X[[1], :, ::-1]]))  # row 4 is row 1 mirrored
    array([0, 1, 2, 3, 1])
    """
    images = as_images(X, root=root)
    pairs = find_duplicates(
        images, min_similarity=min_similarity, on_error=on_error, max_pixels=max_pixels, verbose=verbose
    )
    ends = pairs["row_a"].to_numpy(np.int64), pairs["row_b"].to_numpy(np.int64)
    graph = coo_array((np.ones(len(pairs), np.int8), ends), shape=(len(images), len(images)))
    numbers = connected_components(graph, directed=False)[1]
    return _in_order(numbers)


def _in_order(numbers: np.ndarray) -> np.ndarray:
    """Return group numbers renamed in the order in which they first occur."""
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first, kind="stable"))[inverse].astype(np.int64)
