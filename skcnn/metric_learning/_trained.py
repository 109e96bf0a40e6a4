"""The network that a fitted embedding has learned, taken apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skcnn._keras import set_weights
from skcnn.backbones import Backbone

if TYPE_CHECKING:
    from skcnn.metric_learning._triplet_embedding import TripletEmbedding


class TrainedEmbedding(NamedTuple):
    """A network from scaled pixels to features, and the head that makes vectors of them.

    Parameters
    ----------
    backbone : Backbone
        What the network is.
    network : keras.Model
        The backbone's layers with the weights learned, in float32.
    features : KerasTensor of shape (n, n_features)
        What the head takes: a tensor of ``network``.
    head : list of ndarray
        Weights (n_features, n_components) and biases (n_components,). What they give is then scaled to length 1.
    image_size : tuple of (height, width)
        What the network takes, in pixels.
    """

    backbone: Backbone
    network: Any
    features: Any
    head: list[np.ndarray]
    image_size: tuple[int, int]


def trained_embedding(embedding: TripletEmbedding) -> TrainedEmbedding:
    """Build the network of a fitted embedding, in float32. Each call returns a new one.

    Parameters
    ----------
    embedding : TripletEmbedding
        Fitted.

    Returns
    -------
    TrainedEmbedding
        With the weights learned.

    Raises
    ------
    NotFittedError
        If the embedding is not fitted.
    """
    check_is_fitted(embedding)
    design, weights = embedding._design(), embedding._weights
    base = design.build_base(with_weights="base" not in weights)
    if "base" in weights:
        set_weights(base.model, weights["base"])
    return TrainedEmbedding(design.backbone, base.network, base.features, weights["head"], design.image_size)
