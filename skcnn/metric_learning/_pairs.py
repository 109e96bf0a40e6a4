"""Pairs of images: as a table of two columns, and made of identities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from skcnn.metrics import identity_pairs

#: Pairs of one set of people that are looked at; of more, some are drawn.
MAX_PAIRS = 2_000_000


def is_table_of_pairs(X: Any) -> bool:
    """Return whether X has two columns of images."""
    if hasattr(X, "columns"):
        return len(X.columns) == 2
    if isinstance(X, np.ndarray):
        return X.dtype.kind in "OU" and X.ndim == 2 and X.shape[1] == 2
    return isinstance(X, (list, tuple)) and bool(len(X)) and all(type(row) is tuple and len(row) == 2 for row in X)


def columns_of(X: Any) -> tuple[list[Any], list[Any]]:
    """Return the images of both columns of pairs.

    Raises
    ------
    ValueError
        If X is something else.
    """
    if not is_table_of_pairs(X):
        shape = getattr(X, "shape", None)
        raise ValueError(
            f"X is a {type(X).__name__}{'' if shape is None else f' of shape {shape}'}; expected pairs of images: a "
            "DataFrame with two columns, an object array of shape (n_pairs, 2), or a list of tuples."
        )
    if hasattr(X, "columns"):
        return tuple(list(X[name]) for name in X.columns)  # type: ignore[return-value]
    return [row[0] for row in X], [row[1] for row in X]


def distinct(images: list[Any]) -> tuple[list[Any], np.ndarray]:
    """Return images without repetitions, as far as they are paths, and the place of each image among them."""
    places: dict[Any, int] = {}
    found: list[Any] = []
    numbers = np.empty(len(images), int)
    for row, image in enumerate(images):
        key = image if isinstance(image, str) else (row,)
        if key not in places:
            places[key] = len(found)
            found.append(image)
        numbers[row] = places[key]
    return found, numbers


def pairs_of(codes: np.ndarray, generator: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Return all pairs of samples, and whether they are of one identity; of very many, some that are drawn.

    Parameters
    ----------
    codes : ndarray of shape (n_samples,), int
        Identities.
    generator : RandomState
        Draws, where there are more than two million pairs.

    Returns
    -------
    pairs : ndarray of shape (n_pairs, 2), int
        Positions of samples.
    is_same : ndarray of shape (n_pairs,), bool
        Whether both are of one identity.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.metric_learning import pairs_of
    >>> pairs, is_same = pairs_of(np.array([0, 0, 1]), np.random.RandomState(0))
    >>> pairs.tolist(), is_same.tolist()
    ([[0, 1], [0, 2], [1, 2]], [True, False, False])
    """
    n = len(codes)
    if n * (n - 1) // 2 <= MAX_PAIRS:
        return identity_pairs(codes)
    within = [np.flatnonzero(codes == code) for code in pd.unique(codes)]
    # Pairs of images of one person are alike, so that a few of each person are enough.
    per_person = max(1, MAX_PAIRS // (2 * len(within)))
    genuine = []
    for rows in within:
        first, second = np.triu_indices(len(rows), 1)
        if len(first) > per_person:
            kept = generator.choice(len(first), per_person, replace=False)
            first, second = first[kept], second[kept]
        genuine.append(np.stack([rows[first], rows[second]], axis=1))
    drawn = generator.randint(n, size=(MAX_PAIRS // 2, 2))
    impostors = drawn[codes[drawn[:, 0]] != codes[drawn[:, 1]]]
    pairs = np.concatenate([*genuine, impostors])
    return pairs, np.arange(len(pairs)) < len(pairs) - len(impostors)
