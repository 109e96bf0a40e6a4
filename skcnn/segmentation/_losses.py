"""Losses of scores per pixel, on tensors of any backend of Keras; pixels labelled 255 are ignored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from skcnn._keras import import_keras
from skcnn.images import IGNORED

#: What the parameter ``loss`` of a segmenter may be made of.
LOSSES = ("cross_entropy", "dice", "focal", "tversky")

#: Added above and below in overlaps, in pixels: a class that is neither there nor predicted has an overlap of 1.
SMOOTH = 1.0


def mask_loss(
    names: Sequence[str], n_classes: int, *, class_weight: Sequence[float], gamma: float, beta: float
) -> Callable[[Any, Any], Any]:
    r"""Return a loss: the sum of those named.

    With probabilities :math:`p_c` (softmax of the logits), true classes :math:`g_c \in \{0, 1\}` and weights of classes
    :math:`w_c`, over the pixels of an image that are not ignored:

    - "cross_entropy": the mean of :math:`-\sum_c w_c g_c \log p_c`.
    - "focal" [1]_: the mean of :math:`-\sum_c w_c g_c (1 - p_c)^\gamma \log p_c`.
    - "dice" [2]_: :math:`1 - (2 \sum p_c g_c + 1) / (\sum p_c + \sum g_c + 1)`, the mean over classes weighted by
      :math:`w_c`.
    - "tversky" [3]_: the same of :math:`1 - (\sum p_c g_c + 1) / (\sum p_c g_c + (1 - \beta) \sum p_c (1 - g_c) +
      \beta \sum (1 - p_c) g_c + 1)`.

    Parameters
    ----------
    names : sequence of {"cross_entropy", "dice", "focal", "tversky"}
        Without repetition.
    n_classes : int
        Number of classes.
    class_weight : sequence of float
        One per class.
    gamma : float
        How much less easy pixels count, in the focal loss.
    beta : float
        Weight of what is missed, in the Tversky loss; what is found wrongly has ``1 - beta``.

    Returns
    -------
    callable
        From labels (n, height, width) and logits (n, height, width, n_classes) to the loss of each image, (n,).

    References
    ----------
    .. [1] T.-Y. Lin, P. Goyal, R. Girshick, K. He and P. Dollár, "Focal Loss for Dense Object Detection", ICCV 2017,
       section 3.
    .. [2] F. Milletari, N. Navab and S.-A. Ahmadi, "V-Net: Fully Convolutional Neural Networks for Volumetric Medical
       Image Segmentation", 3DV 2016, section 3; without squares.
    .. [3] S. S. M. Salehi, D. Erdogmus and A. Gholipour, "Tversky loss function for image segmentation using 3D fully
       convolutional deep networks", MLMI 2017, section 2.
    """
    keras = import_keras()
    ops = keras.ops

    def loss(labels: Any, logits: Any) -> Any:
        labels = ops.cast(labels, "int32")
        counts = ops.cast(labels != IGNORED, "float32")
        true = ops.one_hot(ops.where(labels == IGNORED, 0, labels), n_classes, dtype="float32") * counts[..., None]
        weights = ops.convert_to_tensor(class_weight, "float32")
        logits = ops.cast(logits, "float32")
        log_p = ops.log_softmax(logits, axis=-1)
        p = ops.softmax(logits, axis=-1) * counts[..., None]
        n_pixels = ops.maximum(ops.sum(counts, axis=(1, 2)), 1.0)
        total = 0.0
        for name in names:
            if name in ("cross_entropy", "focal"):
                entropy = -true * log_p * weights
                if name == "focal":
                    entropy = entropy * (1 - p) ** gamma
                total += ops.sum(entropy, axis=(1, 2, 3)) / n_pixels
            else:
                both, wrong, missed = (ops.sum(part, axis=(1, 2)) for part in (p * true, p - p * true, true - p * true))
                of_missed = 0.5 if name == "dice" else beta
                above = SMOOTH / 2 if name == "dice" else SMOOTH
                overlap = (both + above) / (both + (1 - of_missed) * wrong + of_missed * missed + above)
                total += 1 - ops.sum(overlap * weights, axis=-1) / ops.sum(weights)
        return total

    loss.__name__ = "+".join(names)
    return loss
