"""Softmax regression with an elastic net, trained by mini-batch SGD: one bag of the ensemble.

References
----------
S. Ma and M. Belkin, "Diving into the shallows: a computational perspective on large-scale shallow learning", NeurIPS
2017, section 4 (EigenPro): SGD in a metric that evens out the leading directions.

S. Ma, R. Bassily and M. Belkin, "The power of interpolation: understanding the effectiveness of SGD in modern
over-parametrized learning", ICML 2018, section 3: the step that a batch size allows.

S. Becker and J. Fadili, "A quasi-Newton proximal splitting method", NeurIPS 2012, section 3: the proximal step in a
metric that is the identity plus a rank-one part.
"""

from __future__ import annotations

import numpy as np

MOMENTUM = 0.9

#: Epochs in a row that may fail to lower the objective before training ends; each of them halves the step.
MAX_STALLS = 4

#: Beyond this, what is left across the mean direction is rounding in float32.
MAX_STIFFNESS = 1000.0


def log_softmax(scores: np.ndarray) -> np.ndarray:
    """Return the log-probabilities of classes, (n_samples, n_classes).

    One column of scores stands for two classes: it is the score of the second, that of the first being 0.
    """
    if scores.shape[1] == 1:
        scores = np.hstack([np.zeros_like(scores), scores])
    scores = scores - scores.max(axis=1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


class SoftmaxSGD:
    r"""The coefficients of one bag and the way that they are trained.

    The objective is

    .. math:: \frac1n \sum_i w_i \, \ell_i(W) + \frac{l_2}{2} \|W\|_2^2 + l_1 \|W\|_1

    with the log-loss of row i as :math:`\ell_i`. Batches follow each other in random order, with Nesterov momentum; the
    L1 part is a proximal step.

    Parameters
    ----------
    coef : ndarray of shape (n_features + fit_intercept, n_outputs), dtype float32
        Where to start; the last row is the intercept, if there is one. Two classes have one output, more have one each.
    l1, l2 : float
        Strengths of the penalties, which spare the intercept.
    batch_size : int
        Rows per step.
    fit_intercept : bool
        Whether there is an intercept.
    velocity : ndarray of the shape of coef or None, default=None
        Momentum to go on with. None is at rest.
    """

    def __init__(
        self,
        coef: np.ndarray,
        *,
        l1: float,
        l2: float,
        batch_size: int,
        fit_intercept: bool,
        velocity: np.ndarray | None = None,
    ):
        self.coef = coef
        self.velocity = np.zeros_like(coef) if velocity is None else velocity
        self.l1 = l1
        self.l2 = l2
        self.batch_size = batch_size
        self.fit_intercept = fit_intercept
        self.direction = np.zeros(len(coef), dtype=np.float32)
        self.stiffness = 0.0

    def fit(
        self,
        X: np.ndarray,
        targets: np.ndarray,
        weight: np.ndarray,
        *,
        max_iter: int,
        tol: float | None,
        rng: np.random.Generator,
    ) -> tuple[int, bool]:
        """Train until the objective falls no more; return the number of epochs and whether that point was reached.

        X is (n_samples, n_features), targets (n_samples, n_classes) one-hot, weight (n_samples,); all float32. The step
        is halved after each epoch that does not lower the objective by ``tol``; the fourth of them in a row is the
        last epoch.
        """
        X = self._design(X)
        step = self._precondition(X, weight, weight @ targets / weight.sum())
        last, n_stalls = np.inf, 0
        for n_iter in range(1, max_iter + 1):
            objective = self._run_epoch(X, targets, weight, step, rng) + self.penalty() / float(weight.mean())
            if objective < last - (tol or 0.0):
                n_stalls = 0
            else:
                step /= 2
                n_stalls += 1
                if n_stalls == MAX_STALLS and tol is not None:
                    return n_iter, True
            last = objective
        return max_iter, tol is None

    def partial_fit(
        self,
        X: np.ndarray,
        targets: np.ndarray,
        weight: np.ndarray,
        *,
        class_fraction: np.ndarray,
        rng: np.random.Generator,
        damping: float = 1.0,
    ) -> float:
        """Train for one epoch, with ``damping`` times the step; return the mean loss of the rows on the way.

        ``class_fraction`` (n_classes,) is about all rows so far, not these alone.
        """
        X = self._design(X)
        return self._run_epoch(X, targets, weight, damping * self._precondition(X, weight, class_fraction), rng)

    def _design(self, X: np.ndarray) -> np.ndarray:
        return np.hstack([X, np.ones((len(X), 1), X.dtype)]) if self.fit_intercept else X

    def _precondition(self, X: np.ndarray, weight: np.ndarray, class_fraction: np.ndarray) -> float:
        """Choose the metric I + stiffness * direction direction' for these rows, and return the step in it.

        Pooled features are not negative, so that without an intercept the curvature along their mean exceeds all other
        by far and would dictate the step. The metric evens it out (Ma and Belkin 2017). The step is the inverse of the
        largest curvature that a mini-batch is expected to have: the softmax's, times the largest second moment plus
        their trace over the batch size (Ma, Bassily and Belkin 2018), the latter amplified by momentum. No scale of X
        or of the weights has to be known for it.
        """
        fraction = weight / weight.sum()
        mean = fraction @ X
        self.direction = mean / max(float(np.linalg.norm(mean)), np.finfo(np.float32).tiny)
        along = X @ self.direction
        across = np.einsum("ij,ij->i", X, X) - along**2
        second_moment, trace = float(fraction @ along**2), float(fraction @ across)
        # Power iteration among the other directions.
        vector, rest = X[across.argmax()], 0.0
        for _ in range(8):
            vector = vector - self.direction * (self.direction @ vector)
            rest = float(np.linalg.norm(vector))
            if rest == 0:
                break
            vector = X.T @ (fraction * (X @ (vector / rest)))
        largest = max(rest, second_moment / (1 + MAX_STIFFNESS))
        if largest == 0:
            return 0.0
        self.stiffness = max(second_moment / largest - 1, 0.0)
        # One output: p (1 - p) <= 1/4. More: diag(p) - p p' <= max p, at the fractions of the classes.
        softmax_curvature = 0.25 if self.coef.shape[1] == 1 else float(class_fraction.max())
        noise = (trace + largest) / (min(self.batch_size, len(X)) * (1 - MOMENTUM))
        curvature = softmax_curvature * float(weight.mean()) * (largest + noise) + self.l2
        return 1 / curvature

    def _run_epoch(
        self, X: np.ndarray, targets: np.ndarray, weight: np.ndarray, step: float, rng: np.random.Generator
    ) -> float:
        """Go through the rows once and return their mean loss on the way."""
        n_batches = -(-len(X) // self.batch_size)
        order = rng.permutation(len(X))
        n_penalised = X.shape[1] - self.fit_intercept
        loss = 0.0
        for start in range(n_batches):
            rows = order[start::n_batches]
            batch, target, row_weight = X[rows], targets[rows], weight[rows, np.newaxis]
            ahead = self.coef + MOMENTUM * self.velocity
            log_proba = log_softmax(batch @ ahead)
            loss -= float((row_weight * log_proba * target).sum())
            residual = (np.exp(log_proba) - target) * (row_weight / len(rows))
            gradient = batch.T @ residual[:, -self.coef.shape[1] :]
            gradient[:n_penalised] += self.l2 * ahead[:n_penalised]
            pull = self.stiffness / (1 + self.stiffness) * (self.direction @ gradient)
            coef = ahead - step * (gradient - np.outer(self.direction, pull))
            if self.l1 > 0:
                coef = self._shrink(coef, step * self.l1)
            self.velocity = coef - self.coef
            self.coef = coef
        return loss / float(weight.sum())

    def penalty(self) -> float:
        """Return the penalties of the objective."""
        penalised = self.coef[: len(self.coef) - self.fit_intercept]
        return float(self.l1 * np.abs(penalised).sum() + self.l2 / 2 * (penalised**2).sum())

    def _shrink(self, coef: np.ndarray, threshold: float) -> np.ndarray:
        """Return the proximal step of the L1 penalty in the metric, by Newton's method (Becker and Fadili 2012)."""
        thresholds = np.full((len(coef), 1), threshold, dtype=coef.dtype)
        if self.fit_intercept:
            thresholds[-1] = 0
        if self.stiffness == 0:
            return coef - np.clip(coef, -thresholds, thresholds)
        lever = self.stiffness * self.direction
        along = np.zeros(coef.shape[1], dtype=coef.dtype)
        for _ in range(3):
            moved = coef - np.outer(lever, along)
            moved -= np.clip(moved, -thresholds, thresholds)
            slope = 1 + (lever * self.direction) @ (moved != 0)
            along -= (along - self.direction @ (moved - coef)) / slope
        return moved
