"""The Keras model behind an engine: 8-bit pixels in, a record out, rewritten to run fast."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from skcnn._keras import copy_model, import_keras, pinned, set_weights
from skcnn.backbones import scale_pixels
from skcnn.engines._plan import Plan

Shapes = tuple[tuple[int, ...], ...]


def build_record_model(plan: Plan) -> tuple[Any, Shapes]:
    """Build the model of a plan, from pixels (n, height, width, 3) uint8 to records (n, n_values) float32.

    Everything between the two is in the model: the scaling of pixels, the network, and the pooling of each layer.

    Parameters
    ----------
    plan : Plan

    Returns
    -------
    model : keras.Model
    shapes : tuple of tuple of int
        Of each output of the plan, without the batch; a record is all of them, flat, one after the other.
    """
    keras = import_keras()
    with pinned():
        network = plan.backbone.build(image_size=plan.image_size, weights=plan.weights, random_state=plan.random_state)
        outputs = [plan.backbone.pooled_output(network, output.layer, output.pooling) for output in plan.outputs]
        features = fold_batch_norm(keras.Model(network.inputs[0], outputs))
        if plan.precision != "float32":
            features = with_precision(features, plan.precision)
        pixels = keras.Input((*plan.image_size, 3), dtype="uint8", name="pixels")
        values = features(scale_pixels(pixels, plan.backbone.preprocessing))
        shapes = tuple(tuple(value.shape[1:]) for value in values)
        flat = [keras.layers.Flatten()(value) if len(value.shape) > 2 else value for value in values]
        record = keras.layers.Concatenate(dtype="float32")(flat) if len(flat) > 1 else flat[0]
        return keras.Model(pixels, record), shapes


def fold_batch_norm(model: Any) -> Any:
    """Return a copy of a model without the BatchNormalization layers that follow a convolution.

    In inference such a layer multiplies each channel and adds to it, which the convolution can do by itself: its
    kernel is multiplied and its bias moved, so that the copy computes the same in fewer passes over the memory. A
    convolution whose plain output is used elsewhere too, or is an output of the model, is left as it is.

    Parameters
    ----------
    model : keras.Model
        Functional. It is not changed.

    Returns
    -------
    keras.Model
        On float32 weights of its own.

    References
    ----------
    B. Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference",
    CVPR 2018, section 3.2 (equation 14).
    """
    folded = {convolution.name: norm for convolution, norm in _foldable(model)}
    norms = {norm.name for norm in folded.values()}

    def with_bias(operation: Any) -> dict[str, Any]:
        return {"use_bias": True} if operation.name in folded else {}

    def call(operation: Any, *arguments: Any, **options: Any) -> Any:
        return arguments[0] if operation.name in norms else operation(*arguments, **options)

    copy = copy_model(model, changed=with_bias, call=call, copy_weights=False)
    for layer in model.layers:
        if layer.weights and layer.name not in norms:
            norm = folded.get(layer.name)
            weights = layer.get_weights() if norm is None else _folded_weights(layer, norm)
            set_weights(copy.get_layer(layer.name), weights)
    return copy


def _foldable(model: Any) -> Iterator[tuple[Any, Any]]:
    """Yield convolutions whose output goes to nothing but a BatchNormalization, and that layer."""
    layers = import_keras().layers
    convolutions = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)
    # The wiring is read from the configuration, which is public, and holds the calls of this model alone.
    config = model.get_config()
    users: dict[str, list[str]] = {}
    for entry in config["layers"]:
        for source in _sources(entry["inbound_nodes"]):
            users.setdefault(source, []).append(entry["name"])
    for source in _sources(config["output_layers"]):
        users.setdefault(source, []).append("")
    by_name = {layer.name: layer for layer in model.layers}
    calls = {entry["name"]: entry["inbound_nodes"] for entry in config["layers"]}
    for name, using in users.items():
        convolution: Any = by_name.get(name)
        norm: Any = by_name.get(using[0])
        if (
            type(convolution) in convolutions
            and type(norm) is layers.BatchNormalization
            and len(using) == len(calls[name]) == len(calls[norm.name]) == 1
            and not calls[norm.name][0]["kwargs"].get("training")  # one that normalises by its batch, always
            and convolution.activation.__name__ == "linear"
            and norm.axis in (-1, 3)
        ):
            yield convolution, norm


def _sources(structure: Any) -> Iterator[str]:
    """Yield the names of the layers that a part of a functional configuration takes its tensors from."""
    if isinstance(structure, dict):
        if "keras_history" in structure:
            yield structure["keras_history"][0]
        else:
            for value in structure.values():
                yield from _sources(value)
    elif isinstance(structure, (list, tuple)):
        if len(structure) == 3 and [type(part) for part in structure] == [str, int, int]:  # an output
            yield structure[0]
        else:
            for value in structure:
                yield from _sources(value)


def _folded_weights(convolution: Any, norm: Any) -> list[np.ndarray]:
    values = {weight.name: value for weight, value in zip(norm.weights, norm.get_weights(), strict=True)}
    scale = values.get("gamma", 1.0) / np.sqrt(values["moving_variance"].astype(np.float64) + norm.epsilon)
    kernels = list(convolution.get_weights())
    bias = kernels.pop() if convolution.use_bias else 0.0
    bias = (bias - values["moving_mean"]) * scale + values.get("beta", 0.0)
    kernel = kernels[-1]  # of a separable convolution the second, pointwise one
    if isinstance(convolution, import_keras().layers.DepthwiseConv2D):
        scale = scale.reshape(kernel.shape[2:])  # its channels are the last two axes
    return [*kernels[:-1], (kernel * scale).astype(np.float32), bias.astype(np.float32)]


def with_precision(model: Any, precision: str) -> Any:
    """Return a copy of a Keras model whose layers compute in ``precision`` on float32 weights.

    Pooling over the whole image stays in float32: a mean in bfloat16 would lose precision.
    """
    keras = import_keras()
    pools = (keras.layers.GlobalAveragePooling2D, keras.layers.GlobalMaxPooling2D)

    def with_policy(operation: Any) -> dict[str, Any]:
        # Plain operations compute in what they are given.
        is_changed = isinstance(operation, keras.layers.Layer) and not isinstance(operation, pools)
        return {"dtype": f"mixed_{precision}"} if is_changed else {}

    return copy_model(model, changed=with_policy)
