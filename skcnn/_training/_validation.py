"""The rows that a training is validated on."""

from __future__ import annotations

import numpy as np
from sklearn.model_selection import train_test_split


def validation_split(
    rows: np.ndarray,
    fraction: float,
    seed: int,
    *,
    stratify: np.ndarray | None = None,
    otherwise: str = "early_stopping=False",
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the training set and of the validation set, in their order.

    Parameters
    ----------
    rows : ndarray of shape (n_rows,), int
        Row numbers.
    fraction : float
        Size of the validation set.
    seed : int
        Decides which rows.
    stratify : ndarray of shape (n_rows,), int, or None, default=None
        Indices of their classes; None does not stratify.
    otherwise : str, default="early_stopping=False"
        The parameter that needs no validation set, for the message.

    Returns
    -------
    kept : ndarray of shape (n_kept,), int
        Rows of the training set.
    held_out : ndarray of shape (n_held_out,), int
        Rows of the validation set.

    Raises
    ------
    ValueError
        If there are too few rows for both.
    """
    places = np.arange(len(rows))
    try:
        kept, held_out = train_test_split(places, test_size=fraction, stratify=stratify, random_state=seed)
    except ValueError as error:
        by_class = "" if stratify is None else ", stratified by class,"
        raise ValueError(
            f"validation_fraction={fraction} of {len(rows)} rows{by_class} is not possible: {error} "
            f"Use another fraction, or {otherwise}."
        ) from None
    return rows[np.sort(kept)], rows[np.sort(held_out)]
