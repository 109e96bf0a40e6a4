"""Losses of a batch of unit vectors with identities, and how far the vectors are spread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skcnn._keras import import_keras

MININGS = ("semi-hard", "hard")
LOSSES = ("triplet", "contrastive")

#: Farther than any two unit vectors, whose squared distance is at most 4.
_FAR = 1e3

#: Below this squared distance the square root has no useful gradient.
_NEAR = 1e-12


def make_loss(loss: str, mining: str, margin: float) -> Callable[[Any, Any], Any]:
    """Return a loss by the contract of Keras: from identities (n,) and unit vectors (n, d) to (n,), whose mean counts.

    Parameters
    ----------
    loss : {"triplet", "contrastive"}
        Kind.
    mining : {"semi-hard", "hard"}
        Which triplets of the batch count.
    margin : float
        Of squared distances with ``"triplet"``, of distances with ``"contrastive"``.
    """

    def batch_loss(y_true: Any, y_pred: Any) -> Any:
        ops = import_keras().ops
        labels = ops.reshape(y_true, (-1, 1))
        same = ops.equal(labels, ops.transpose(labels))
        itself = ops.cast(ops.eye(ops.shape(labels)[0]), "bool")
        positive, negative = ops.logical_and(same, ops.logical_not(itself)), ops.logical_not(same)
        squared = ops.maximum(2 - 2 * ops.matmul(y_pred, ops.transpose(y_pred)), 0.0)
        if loss == "contrastive":
            return _contrastive(squared, positive, negative, margin)
        if mining == "hard":
            return _hardest(squared, positive, negative, margin)
        return _semi_hard(squared, positive, negative, margin)

    return batch_loss


def spread(y_true: Any, y_pred: Any) -> Any:
    """Return the variance of a batch of unit vectors, in [0, 1], once per vector: 0 where all are the same."""
    ops = import_keras().ops
    variance = 1 - ops.sum(ops.square(ops.mean(y_pred, axis=0)))
    return variance * ops.ones_like(y_pred[:, 0])


def _semi_hard(squared: Any, positive: Any, negative: Any, margin: float) -> Any:
    """Return the triplet loss, with the nearest negative that is farther than the positive, else with the farthest."""
    ops = import_keras().ops
    to_positive, to_negative = ops.expand_dims(squared, 2), ops.expand_dims(squared, 1)
    is_outside = ops.logical_and(ops.expand_dims(negative, 1), ops.greater(to_negative, to_positive))
    outside = ops.min(ops.where(is_outside, to_negative, _FAR), axis=2)
    inside = ops.max(ops.where(negative, squared, -1.0), axis=1, keepdims=True)
    chosen = ops.where(ops.less(outside, _FAR), outside, inside)
    counts = ops.logical_and(positive, ops.any(negative, axis=1, keepdims=True))
    return _mean_per_anchor(ops.relu(margin + squared - chosen), counts)


def _hardest(squared: Any, positive: Any, negative: Any, margin: float) -> Any:
    """Return the triplet loss of the farthest positive and the nearest negative of each anchor."""
    ops = import_keras().ops
    farthest = ops.max(ops.where(positive, squared, -1.0), axis=1, keepdims=True)
    nearest = ops.min(ops.where(negative, squared, _FAR), axis=1, keepdims=True)
    counts = ops.logical_and(ops.any(positive, axis=1, keepdims=True), ops.any(negative, axis=1, keepdims=True))
    return _mean_per_anchor(ops.relu(margin + farthest - nearest), counts)


def _contrastive(squared: Any, positive: Any, negative: Any, margin: float) -> Any:
    """Return the squared distance of positive pairs, and how far negative pairs are within the margin, squared."""
    ops = import_keras().ops
    within = ops.square(ops.relu(margin - ops.sqrt(ops.maximum(squared, _NEAR))))
    return _mean_per_anchor(squared, positive) + _mean_per_anchor(within, negative)


def _mean_per_anchor(values: Any, counts: Any) -> Any:
    """Return a number per anchor, (n,), whose mean is the mean of the values that count; 0 where none does."""
    ops = import_keras().ops
    counts = ops.cast(counts, values.dtype)
    n_anchors = ops.cast(ops.shape(values)[0], values.dtype)
    return ops.sum(values * counts, axis=1) * n_anchors / ops.maximum(ops.sum(counts), 1.0)
