"""Rows without an image are left out of X and y, before anything is fitted to them."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

from skcnn.images._bad_rows import BadImageError, BadImageWarning
from skcnn.images._input import Images, as_images
from skcnn.images._reading import check_images

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def drop_bad_images(
    X: Any,
    y: ArrayLike | None = None,
    *,
    root: str | os.PathLike[str] | None = None,
    max_pixels: int | None = None,
    verbose: int | str = "auto",
) -> tuple[Any, Any]:
    """Return X and y without the rows that have no image.

    A step of a scikit-learn :class:`~sklearn.pipeline.Pipeline` cannot remove rows, since y would keep them. So they
    are removed before the pipeline, once, and folds and candidates of a search never see them.

    Parameters
    ----------
    X : array-like of n_samples images
        See :func:`skcnn.images.as_images`.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs), or None, default=None
        Labels, or whatever else belongs to the rows.
    root : path-like or None, default=None
        Folder or URL that relative paths start from; None is the current folder.
    max_pixels : int or None, default=None
        Larger images are bad rows; None stands for Pillow's warning limit.
    verbose : int or "auto", default="auto"
        Whether to show a progress bar. "auto" shows one in a terminal or a notebook where the job takes longer than 5
        seconds, 1 from the first image on, 0 never.

    Returns
    -------
    X : array-like of n_good images
        The rows that give an image, in their order and of the type of X: an array, a list, a Series or a DataFrame
        (pandas or polars). Those of pandas keep their index. X itself if every row gives an image.
    y : array-like of shape (n_good,) or (n_good, n_outputs), or None
        The same rows of y, of its type.

    Raises
    ------
    BadImageError
        If no row gives an image.
    TypeError
        If X is of a type that holds no images.
    ValueError
        If X has a form that holds no images, or y is not of its length.

    Warns
    -----
    BadImageWarning
        If rows were left out: their number, and row, path and reason of each in ``bad_rows``.

    See Also
    --------
    check_images : The table of rows without an image.

    Notes
    -----
    Every image is decoded, in threads; JPEG files at an eighth of their size, which costs a fraction of what a network
    needs for them. URLs are fetched for it.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> from PIL import Image
    >>> from skcnn.images import drop_bad_images
    >>> X, y = [Image.new("RGB", (8, 8)), b"not an image", Image.new("L", (8, 8))], np.array(["a", "b", "c"])
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     X, y = drop_bad_images(X, y)
    >>> len(X), y
    (2, array(['a', 'c'], dtype='<U1'))
    >>> print(caught[0].message)
    1 of 3 images cannot be used:
      row 1: not an image of a known format such as JPEG, PNG, WebP, GIF, BMP or TIFF
    This row was left out.
    """
    images = as_images(X, root=root)
    n_samples = len(images)
    if y is not None and len(y) != n_samples:  # type: ignore[arg-type]
        raise ValueError(f"y has {len(y)} rows and X {n_samples}; expected the same number.")  # type: ignore[arg-type]
    bad = check_images(images, max_pixels=max_pixels, verbose=verbose)
    if bad.empty:
        return X, y
    if len(bad) == n_samples:
        raise BadImageError(bad, n_samples, advice="No row is left.")
    outcome = f"{'This row was' if len(bad) == 1 else 'These rows were'} left out."
    warnings.warn(BadImageWarning(bad, n_samples, outcome), stacklevel=2)
    without = set(bad["row"])
    good = [row for row in range(n_samples) if row not in without]
    return _take(X, good), None if y is None else _take(y, good)


def _take(data: Any, rows: list[int]) -> Any:
    """Return rows of data as its own type."""
    if isinstance(data, Images):
        return data.take(rows)
    if hasattr(data, "iloc"):
        return data.iloc[rows]
    if hasattr(data, "shape"):  # arrays, tensors, frames and columns of polars
        return data[rows]
    chosen = [data[row] for row in rows]
    return tuple(chosen) if isinstance(data, tuple) else chosen
