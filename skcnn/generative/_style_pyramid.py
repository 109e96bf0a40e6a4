"""An image by another one's style, from coarse to fine: each level begins with the result of the one before [1]_.

References
----------
.. [1] L. A. Gatys, A. S. Ecker, M. Bethge, A. Hertzmann and E. Shechtman, "Controlling Perceptual Factors in Neural
   Style Transfer", CVPR 2017, section 6.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skcnn.generative._pixel_optimizers import Evaluate, Report
from skcnn.generative._style_objective import Losses
from skcnn.generative._style_sizes import as_image, level_sizes, padded, resized

#: From pixels and a report to the best pixels, and whether all losses were finite.
Minimize = Callable[[Evaluate, np.ndarray, Report], tuple[np.ndarray, bool]]


class Level(NamedTuple):
    """A level of the pyramid: its number, from 1; how many there are; and its (height, width)."""

    number: int
    n_levels: int
    size: tuple[int, int]


def made_by_levels(
    content: np.ndarray,
    start: np.ndarray | None,
    *,
    n_levels: int | None,
    step: int,
    objective_of: Callable[[np.ndarray], Evaluate],
    minimize: Minimize,
    report: Callable[[Level, int, np.ndarray, Losses], None],
) -> np.ndarray:
    """Return the image of a content.

    Parameters
    ----------
    content : ndarray of shape (height, width, 3), uint8
    start : ndarray of shape (height, width, 3), uint8, or None
        What the coarsest level begins with, resized. None is the content.
    n_levels : int or None
        See :func:`level_sizes`.
    step : int
        What sides that the network sees are multiples of.
    objective_of : callable
        From the content of a level, its sides multiples of ``step``, to the losses and the gradient of pixels.
    minimize : callable
    report : callable
        Called after each iteration with the level, the iteration, pixels and losses.

    Returns
    -------
    ndarray of shape (height, width, 3), uint8
    """
    sizes = level_sizes(content.shape[:2], n_levels)
    image = content if start is None else start
    for number, size in enumerate(sizes, 1):
        begin = padded(resized(image, size), step).astype(np.float64)
        level = Level(number, len(sizes), size)
        evaluate = objective_of(padded(resized(content, size), step))
        pixels, is_finite = minimize(evaluate, begin, partial(report, level))
        image = as_image(pixels, size)
        if not is_finite:
            warnings.warn(
                f"The loss or its gradient is not finite at {size[0]} x {size[1]} pixels: the best image so far is "
                "kept. Use smaller weights, another network, or with optimizer='adam' a smaller learning_rate.",
                ConvergenceWarning,
                stacklevel=3,
            )
    return image
