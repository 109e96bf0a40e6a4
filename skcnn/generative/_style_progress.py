"""What a callback sees of an image that is being made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class StyleProgress:
    """What :meth:`StyleTransfer.transform` gives to a callback after each iteration.

    Parameters
    ----------
    row : int
        Row of X.
    level : int
        Level of the pyramid, from 1, the coarsest.
    n_levels : int
        Number of levels.
    iteration : int
        Iteration of the level; 0 is the image that the level starts with.
    loss : float
        The weighted sum of the costs.
    content, style, total_variation : float
        The costs.
    preview : callable
        Returns the image so far, uint8 of shape (height, width, 3): smaller than the result, except in the last level.
    """

    row: int
    level: int
    n_levels: int
    iteration: int
    loss: float
    content: float
    style: float
    total_variation: float
    preview: Callable[[], np.ndarray]
