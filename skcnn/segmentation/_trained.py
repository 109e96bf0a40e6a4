"""The network that a fitted segmenter has learned, taken apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sklearn.utils.validation import check_is_fitted

from skcnn.backbones import Backbone

if TYPE_CHECKING:
    from skcnn.segmentation._segmenter import CNNSegmenter


class TrainedMaps(NamedTuple):
    """A network from scaled pixels to feature maps, and the head on them.

    Parameters
    ----------
    backbone : Backbone
        What the network is.
    network : keras.Model
        The backbone's layers with the weights learned, in float32.
    maps : list of KerasTensor of shape (n, rows, columns, channels)
        What the head takes: tensors of ``network``.
    head : keras.Model
        From the maps to logits (n, height, width, n_classes).
    image_size : tuple of (height, width)
        What the network takes, in pixels.
    """

    backbone: Backbone
    network: Any
    maps: list[Any]
    head: Any
    image_size: tuple[int, int]


def trained_maps(segmenter: CNNSegmenter) -> TrainedMaps:
    """Build the network of a fitted segmenter, in float32. Each call returns a new one.

    Parameters
    ----------
    segmenter : CNNSegmenter
        Fitted.

    Returns
    -------
    TrainedMaps
        With the weights learned.

    Raises
    ------
    NotFittedError
        If the segmenter is not fitted.
    ValueError
        If a parameter that decides the form of the network was changed after ``fit``.
    """
    check_is_fitted(segmenter)
    design, parts = segmenter._trained_parts()
    return TrainedMaps(design.backbone, parts.network, parts.maps, parts.head, design.image_size)
