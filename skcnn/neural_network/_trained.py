"""The network that a fitted classifier has learned, taken apart."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from sklearn.utils.validation import check_is_fitted

from skcnn._keras import building, set_weights
from skcnn.backbones import Backbone
from skcnn.neural_network._network import build_parts, initial_base

if TYPE_CHECKING:
    import numpy as np

    from skcnn.neural_network._classifier import CNNClassifier


class TrainedNetwork(NamedTuple):
    """A network from scaled pixels to features, and the head on it.

    Parameters
    ----------
    backbone : Backbone
        What the network is.
    network : keras.Model
        The backbone's layers with the weights learned, in float32.
    features : KerasTensor of shape (n, n_features)
        What the head takes: a tensor of ``network``, pooled or flattened.
    head : list of ndarray
        Weights and biases of the dense layers, in turn, with a ReLU between two layers.
    image_size : tuple of (height, width)
        What the network takes, in pixels.
    """

    backbone: Backbone
    network: Any
    features: Any
    head: list[np.ndarray]
    image_size: tuple[int, int]


def trained_network(classifier: CNNClassifier) -> TrainedNetwork:
    """Build the network of a fitted classifier, in float32. Each call returns a new one.

    Parameters
    ----------
    classifier : CNNClassifier
        Fitted.

    Returns
    -------
    TrainedNetwork
        With the weights learned.

    Raises
    ------
    NotFittedError
        If the classifier is not fitted.
    ValueError
        If a parameter that decides the form of the network was changed after ``fit``.
    """
    check_is_fitted(classifier)
    design = replace(classifier._design(), precision="float32")
    with building(design.seed):
        parts = build_parts(design)
    set_weights(parts.base, classifier._weights.get("base") or initial_base(design).weights)
    return TrainedNetwork(
        design.backbone, parts.network, parts.base.outputs[0], classifier._weights["head"], design.image_size
    )
