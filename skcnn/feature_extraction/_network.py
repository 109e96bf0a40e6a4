"""The network behind BottleneckFeatures, as a Keras model with its outputs."""

from __future__ import annotations

from typing import Any, NamedTuple

from skcnn._keras import building, copy_model, import_keras
from skcnn.backbones import Backbone
from skcnn.feature_extraction._bottleneck_features import BottleneckFeatures
from skcnn.images import as_image_size


class FeatureNetwork(NamedTuple):
    """A network from scaled pixels to the features of a :class:`BottleneckFeatures`.

    Parameters
    ----------
    backbone : Backbone
        What the network is.
    network : keras.Model
        The network with its weights, in float32.
    features : KerasTensor of shape (n, n_features)
        The features, in the order of ``get_feature_names_out``: a tensor of ``network``.
    image_size : tuple of (height, width)
        What the network takes, in pixels.
    shapes : tuple of tuple of int
        Of each layer's part of the features, before they are flattened.
    """

    backbone: Backbone
    network: Any
    features: Any
    image_size: tuple[int, int]
    shapes: tuple[tuple[int, ...], ...]


def feature_network(features: BottleneckFeatures) -> FeatureNetwork:
    """Build the network of a transformer, in float32. Each call returns a new one.

    Parameters
    ----------
    features : BottleneckFeatures
        Says which network, weights, layers, pooling and size.

    Returns
    -------
    FeatureNetwork
        The network, and its features as a tensor.
    """
    layers = import_keras().layers
    backbone = features._backbone()
    outputs = features._outputs(backbone)
    size = backbone.image_size if features.image_size is None else as_image_size(features.image_size)
    with building():
        network = backbone.build(image_size=size, weights=features.weights, random_state=features.random_state)
        if backbone.network is not None:
            network = copy_model(network)  # the user's own, whose layers would bear the marks of what is built on them
        tensors = [backbone.pooled_output(network, output.layer, output.pooling) for output in outputs]
        flat = [layers.Flatten()(tensor) if len(tensor.shape) > 2 else tensor for tensor in tensors]
        joined = layers.Concatenate()(flat) if len(flat) > 1 else flat[0]
    return FeatureNetwork(backbone, network, joined, size, tuple(tuple(tensor.shape[1:]) for tensor in tensors))
