"""How the pixels of an image are optimised: SciPy's L-BFGS-B, or Adam [1]_.

References
----------
.. [1] D. P. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize

from skcnn.generative._style_objective import Losses

#: From pixels (height, width, 3) to the losses and the gradient.
Evaluate = Callable[[np.ndarray], tuple[Losses, np.ndarray]]
#: What is called after each iteration, with its number, pixels and losses.
Report = Callable[[int, np.ndarray, Losses], None]

#: Iterations over which the loss has to fall.
_WINDOW = 10

#: Past gradients that L-BFGS keeps: each takes 48 bytes per pixel.
_N_KEPT = 6


class _NotFiniteError(ArithmeticError):
    pass


class _Steps:
    """Reports iterations, keeps the best one, and knows when to stop."""

    def __init__(self, tol: float, report: Report):
        self._tol, self._report, self._losses = tol, report, list[float]()
        self.best: np.ndarray | None = None

    def add(self, pixels: np.ndarray, losses: Losses) -> bool:
        """Note an iteration; return whether the loss still falls."""
        if not self._losses or losses.loss <= min(self._losses):
            self.best = pixels.copy()
        self._losses.append(losses.loss)
        self._report(len(self._losses) - 1, pixels, losses)
        if len(self._losses) <= _WINDOW:
            return losses.loss > 0
        before = self._losses[-1 - _WINDOW]
        return losses.loss > 0 and before - losses.loss > self._tol * before


def _finite(losses: Losses, gradient: np.ndarray) -> None:
    if not np.isfinite(losses.loss) or not np.isfinite(gradient).all():
        raise _NotFiniteError


def minimize_by_lbfgs(
    evaluate: Evaluate, pixels: np.ndarray, report: Report, *, max_iter: int, tol: float
) -> tuple[np.ndarray, bool]:
    """Minimise by L-BFGS-B, within [0, 255]: see :class:`Optimizer`. The loss falls from iteration to iteration."""
    # A first step of length 1 then changes pixels by 1 on average, whatever the number of pixels.
    unit, shape = np.sqrt(pixels.size), pixels.shape
    steps, seen = _Steps(tol, report), dict[float, Losses]()
    begin = [evaluate(pixels)]

    def function(x: np.ndarray) -> tuple[float, np.ndarray]:
        # SciPy begins with the pixels that were evaluated already.
        losses, gradient = begin.pop() if begin else evaluate(x.reshape(shape) * unit)
        _finite(losses, gradient)
        seen[losses.loss] = losses
        return losses.loss, gradient.ravel() * unit

    def after_iteration(intermediate_result: Any) -> None:
        losses = seen[float(intermediate_result.fun)]
        seen.clear()
        if not steps.add(intermediate_result.x.reshape(shape) * unit, losses):
            raise StopIteration

    try:
        _finite(*begin[0])
        if not steps.add(pixels, begin[0][0]):
            return pixels, True
        minimize(
            function,
            pixels.ravel() / unit,
            jac=True,
            method="L-BFGS-B",
            bounds=[(0, 255 / unit)] * pixels.size,
            callback=after_iteration,
            options={"maxiter": max_iter, "maxfun": 4 * max_iter + 20, "maxcor": _N_KEPT, "ftol": 0, "gtol": 0},
        )
    except _NotFiniteError:
        return pixels if steps.best is None else steps.best, False
    assert steps.best is not None
    return steps.best, True


def minimize_by_adam(
    evaluate: Evaluate,
    pixels: np.ndarray,
    report: Report,
    *,
    max_iter: int,
    tol: float,
    learning_rate: float = 4.0,
    beta_1: float = 0.9,
    beta_2: float = 0.99,
) -> tuple[np.ndarray, bool]:
    """Minimise by Adam, within [0, 255]: see :class:`Optimizer`. A step changes a pixel by about the learning rate."""
    steps, x = _Steps(tol, report), pixels
    mean, square = np.zeros_like(pixels), np.zeros_like(pixels)
    try:
        for step in range(max_iter + 1):
            losses, gradient = evaluate(x)
            _finite(losses, gradient)
            if not steps.add(x, losses) or step == max_iter:
                break
            mean += (1 - beta_1) * (gradient - mean)
            square += (1 - beta_2) * (gradient**2 - square)
            slope = mean / (1 - beta_1 ** (step + 1))
            norm = np.sqrt(square / (1 - beta_2 ** (step + 1)))
            x = np.clip(x - learning_rate * slope / (norm + 1e-12 * norm.max(initial=0) + 1e-30), 0, 255)
    except _NotFiniteError:
        return pixels if steps.best is None else steps.best, False
    assert steps.best is not None
    return steps.best, True
