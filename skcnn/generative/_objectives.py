"""What generator and discriminator minimise, as functions of scores: one pair of losses per member of the family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from skcnn._keras import import_keras, inner_gradient


@dataclass(frozen=True)
class Objective:
    """The losses of a member of the family, and their constants.

    Parameters
    ----------
    loss : str
        "gan" and "dcgan" (cross-entropy; the generator maximises the logarithm of the probability of being real),
        "wgan" and "wgan-gp" (Wasserstein's distance), "began" (errors of reconstruction in balance).
    label_smoothing : float
        The target of real images is 1 - label_smoothing.
    clip : float
        Largest absolute weight of the critic of "wgan".
    gradient_penalty : float
        Weight of the penalty of "wgan-gp".
    diversity_ratio : float
        For "began": the error of generated images relative to that of real ones; gamma in the paper.
    """

    loss: str
    label_smoothing: float = 0.0
    clip: float = 0.01
    gradient_penalty: float = 10.0
    diversity_ratio: float = 0.5

    @property
    def is_wasserstein(self) -> bool:
        """Whether scores estimate Wasserstein's distance."""
        return self.loss in ("wgan", "wgan-gp")


def of_generator(objective: Objective, generated: Any) -> Any:
    """Return the generator's loss, a scalar, of the scores of generated images (n, 1)."""
    ops = import_keras().ops
    if objective.is_wasserstein:
        return -ops.mean(generated)
    if objective.loss == "began":
        return ops.mean(generated)
    return ops.mean(ops.softplus(-generated))


def of_discriminator(objective: Objective, real: Any, generated: Any, balance: Any = 0.0) -> Any:
    """Return the discriminator's loss without penalty, a scalar, of the scores of both kinds of images (n, 1).

    ``balance`` is the weight of generated images of "began"; k in the paper.
    """
    ops = import_keras().ops
    if objective.is_wasserstein:
        return ops.mean(generated) - ops.mean(real)
    if objective.loss == "began":
        return ops.mean(real) - balance * ops.mean(generated)
    smooth = objective.label_smoothing
    of_real = (1 - smooth) * ops.softplus(-real) + smooth * ops.softplus(real)
    return ops.mean(of_real) + ops.mean(ops.softplus(generated))


def gradient_penalty(score: Any, real: Any, generated: Any, mix: Any) -> Any:
    """Return the mean of (norm of the gradient - 1) ** 2 between real and generated images.

    Parameters
    ----------
    score : callable
        From images to their scores.
    real, generated : tensors of shape (n, height, width, n_channels)
        Pixels.
    mix : tensor of shape (n, 1, 1, 1)
        Fraction of the real image, in [0, 1].
    """
    ops = import_keras().ops
    gradient = inner_gradient(score, mix * real + (1 - mix) * generated)
    # The smallest normal number: the norm has a gradient at 0.
    norm = ops.sqrt(ops.sum(ops.square(gradient), axis=(1, 2, 3)) + 1e-12)
    return ops.mean(ops.square(norm - 1))


def new_balance(objective: Objective, balance: Any, real: Any, generated: Any, rate: float = 1e-3) -> tuple[Any, Any]:
    """Return the next balance of "began", in [0, 1], and its measure of convergence, of two mean errors."""
    ops = import_keras().ops
    gap = objective.diversity_ratio * real - generated
    return ops.clip(balance + rate * gap, 0.0, 1.0), real + ops.abs(gap)
