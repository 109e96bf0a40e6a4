"""Losses of boxes and of their scores, on tensors of any backend of Keras."""

from __future__ import annotations

from typing import Any

from skcnn._keras import import_keras

BOX_LOSSES = ("iou", "giou", "diou", "ciou")
SCORE_LOSSES = ("binary_crossentropy", "focal", "quality_focal")

_EPSILON = 1e-7


def box_similarity(kind: str, a: Any, b: Any) -> tuple[Any, Any]:
    """Return the intersection over union of boxes, and what a loss of this kind maximises.

    Parameters
    ----------
    kind : {"iou", "giou", "diou", "ciou"}
        ``"iou"`` is flat where boxes do not meet. ``"giou"`` [1]_ subtracts the empty fraction of the box around both,
        ``"diou"`` [2]_ the squared distance of their centres, ``"ciou"`` [2]_ that and the difference of their aspect
        ratios.
    a, b : tensors of shape (..., 4)
        ``xmin, ymin, xmax, ymax`` in any unit.

    Returns
    -------
    iou, similarity : tensors of shape (...)
        At most 1.

    References
    ----------
    .. [1] H. Rezatofighi, N. Tsoi, J. Gwak, A. Sadeghian, I. Reid and S. Savarese, "Generalized Intersection over
       Union", CVPR 2019, section 3.
    .. [2] Z. Zheng, P. Wang, W. Liu, J. Li, R. Ye and D. Ren, "Distance-IoU Loss: Faster and Better Learning for
       Bounding Box Regression", AAAI 2020, section 3.
    """
    ops = import_keras().ops
    size_a, size_b = a[..., 2:] - a[..., :2], b[..., 2:] - b[..., :2]
    shared = ops.maximum(ops.minimum(a[..., 2:], b[..., 2:]) - ops.maximum(a[..., :2], b[..., :2]), 0.0)
    intersection = shared[..., 0] * shared[..., 1]
    union = size_a[..., 0] * size_a[..., 1] + size_b[..., 0] * size_b[..., 1] - intersection
    iou = intersection / (union + _EPSILON)
    if kind == "iou":
        return iou, iou
    around = ops.maximum(a[..., 2:], b[..., 2:]) - ops.minimum(a[..., :2], b[..., :2])
    if kind == "giou":
        area = around[..., 0] * around[..., 1]
        return iou, iou - (area - union) / (area + _EPSILON)
    apart = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2
    distance = ops.sum(ops.square(apart), axis=-1) / (ops.sum(ops.square(around), axis=-1) + _EPSILON)
    if kind == "diou":
        return iou, iou - distance
    angle = ops.arctan2(size_a[..., 0], size_a[..., 1] + _EPSILON) - ops.arctan2(
        size_b[..., 0], size_b[..., 1] + _EPSILON
    )
    aspect = ops.square(angle) * (4 / 3.141592653589793**2)
    weight = ops.stop_gradient(aspect / (1 - iou + aspect + _EPSILON))
    return iou, iou - distance - weight * aspect


def score_loss(kind: str, targets: Any, logits: Any) -> Any:
    """Return the loss of scores, which are the sigmoids of ``logits``, element by element.

    Parameters
    ----------
    kind : {"binary_crossentropy", "focal", "quality_focal"}
        ``"focal"`` [1]_ weights the cross-entropy by how wrong a score is, and by 1/4 for an object, 3/4 for none.
        ``"quality_focal"`` [2]_ is the same for targets that say how good a box is.
    targets : tensor
        In [0, 1]; for ``"focal"`` 0 or 1.
    logits : tensor
        Of the same shape.

    Returns
    -------
    tensor

    References
    ----------
    .. [1] T.-Y. Lin, P. Goyal, R. Girshick, K. He and P. Dollár, "Focal Loss for Dense Object Detection", ICCV 2017,
       section 3.
    .. [2] X. Li, W. Wang, L. Wu, S. Chen, X. Hu, J. Li, J. Tang and J. Yang, "Generalized Focal Loss: Learning
       Qualified and Distributed Bounding Boxes for Dense Object Detection", NeurIPS 2020, section 3.1.
    """
    ops = import_keras().ops
    entropy = ops.softplus(logits) - targets * logits
    if kind == "binary_crossentropy":
        return entropy
    wrong = ops.square(ops.abs(targets - ops.sigmoid(logits)))
    if kind == "focal":
        return entropy * wrong * (0.75 - 0.5 * targets)
    return entropy * wrong
