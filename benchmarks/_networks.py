"""The networks that are measured: their weights, Keras's own model of them, and what they compute."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from skcnn._keras import import_keras
from skcnn.backbones import as_backbone, get_backbone, scale_pixels
from skcnn.engines import Output, Plan


def random_weights(name: str, pixels: np.ndarray, path: Path) -> str:
    """Write random weights of a network, as a training would leave them: normalisation fits the images.

    Fresh BatchNormalization layers pass everything on as it is, and an engine that left them out would go unnoticed.

    Parameters
    ----------
    name : str
        Of the backbone.
    pixels : ndarray of shape (n, height, width, 3), uint8
        What the means and variances are taken from.
    path : Path
        Ends in ``.weights.h5``.
    """
    keras = import_keras()
    backbone = get_backbone(name)
    network = backbone.build(weights=None)
    norms = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0  # the statistics of one batch, and nothing of those before
    network(scale_pixels(keras.ops.convert_to_tensor(pixels.astype(np.float32)), backbone.preprocessing), training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.save_weights(path)
    return str(path)


def keras_model(name: str, weights: str) -> tuple[Any, int]:
    """Return the model that one writes with Keras alone, from pixels to features, and its FLOPs for an image."""
    keras = import_keras()
    backbone = get_backbone(name)
    network = backbone.build(weights=weights)
    inputs = keras.Input((*backbone.image_size, 3))
    last = backbone.pooled_output(network, backbone.layers[-1].name, "avg")
    features = keras.Model(network.inputs, last)
    return keras.Model(inputs, features(scale_pixels(inputs, backbone.preprocessing))), count_flops(network)


def count_flops(network: Any) -> int:
    """Return the floating-point operations of a network for an image: twice the multiplications by its kernels.

    Every number of a kernel, of a convolution or a dense layer of any kind, is multiplied once at each place of the
    layer's output. Additions of biases, activations, normalisation and pooling, a few per cent, are not counted.
    """
    flops = 0
    for layer in network.layers:
        if hasattr(layer, "layers"):
            flops += count_flops(layer)
            continue
        kernels = [weight for weight in layer.weights if len(weight.shape) > 1]
        if kernels:
            places = int(np.prod(layer.output.shape[1:-1]))
            flops += sum(2 * places * int(np.prod(kernel.shape)) for kernel in kernels)
    return flops


def plan_of(name: str, weights: str | None, precision: str = "float32", *, cached: bool = False) -> Plan:
    """Return what ``BottleneckFeatures(name, weights=weights, precision=precision)`` runs; a file is named by its path.

    With a cache that is every layer of the table, pooled in both ways, in one pass; without, the last one.
    """
    backbone = as_backbone(name)
    outputs = tuple(Output(layer.name, pooling) for layer in backbone.layers for pooling in ("avg", "max"))
    if not cached:
        outputs = (Output(backbone.layers[-1].name, "avg"),)
    weights_id = backbone.weights_id(weights)
    return Plan(backbone, weights, weights_id, 0, backbone.image_size, "stretch", precision, outputs)
