"""The layers of a network that features are taken from: what they are, and where they are in a model of Keras."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from skcnn._keras import import_keras
from skcnn._wiring import operations_of, tensors_by_position


@dataclass(frozen=True)
class BottleneckLayer:
    """A layer of a network that features are taken from.

    Parameters
    ----------
    name : str
        Name in ``layers=`` and in the names of features: Keras's own, unless that is an automatic one.
    keras_name : str or int
        The layer's name in the Keras network without a classifier; or, where Keras gives it an automatic name (these
        change from build to build), its position in ``model.operations``, which counts operations that are not layers
        too. -1 is the network's output.
    n_features : int
        Number of channels.
    pool_first : bool, default=False
        True for a normalisation at the end of a network that belongs after the pooling.
    """

    name: str
    keras_name: str | int
    n_features: int
    pool_first: bool = False


def layers_hint(layers: Sequence[BottleneckLayer]) -> str:
    """Return which layers there are, for messages."""
    names = ", ".join(repr(layer.name) for layer in layers)
    return f"{names}; or the name or the index of any layer of the Keras network"


def located(model: Any, name: str, layers: Sequence[BottleneckLayer], network: str) -> tuple[Any, Any]:
    """Return the operation behind a layer's name, and its output.

    Parameters
    ----------
    model : keras.Model
        The network.
    name : str
        As :meth:`Backbone.layer_name` gives it.
    layers : sequence of BottleneckLayer
        Those of the backbone.
    network : str
        Its name, for messages.

    Returns
    -------
    operation : keras.Operation
        A layer, or what has none.
    output : keras.KerasTensor of shape (n, height, width, n_features) or (n, n_features)
        For an operation by its position of any shape.

    Raises
    ------
    ValueError
        If the network has no such layer, if its output is not features, or if this version of Keras orders layers
        differently.
    """
    if position := re.fullmatch(r"operation\[(\d+)\]", name):
        return _located_operation(model, int(position[1]), network)
    listed = next((layer for layer in layers if layer.name == name), None)
    keras_name = name if listed is None else listed.keras_name
    index = re.fullmatch(r"layer\[(-?\d+)\]", name)
    try:
        if keras_name == -1:
            operation, output = model.layers[-1], model.outputs[0]
        elif isinstance(keras_name, int):
            operation = model.operations[keras_name]
            output = operation.output
        else:
            operation = model.layers[int(index[1])] if index else model.get_layer(keras_name)
            output = operation.output
    except (ValueError, IndexError):
        raise ValueError(f"{network} has no layer {name!r}; there are {layers_hint(layers)}.") from None
    if listed is None and not index and has_automatic_name(operation):
        raise ValueError(
            f"{name!r} is an automatic name, which Keras may give to another layer the next time. Give the layer's "
            f"index instead: {model.layers.index(operation)}."
        )
    if listed is None:
        try:
            import_keras().Model(model.inputs, output)
        except ValueError:
            raise ValueError(
                f"Layer {name!r} of {network} is itself a network, or is part of another one: its output is not "
                "computed from the images here. Give a layer that uses it, or that network itself as backbone=."
            ) from None
    if len(getattr(output, "shape", ())) not in (2, 4):
        raise ValueError(
            f"Layer {name!r} of {network} does not give features: its output is {output!r}; expected a map "
            "(n, height, width, channels) or a vector (n, features)."
        )
    if listed is not None and output.shape[-1] != listed.n_features:
        raise ValueError(
            f"Layer {name!r} of {network} has {output.shape[-1]} channels in this version of Keras "
            f"({import_keras().__version__}), and not {listed.n_features}: its layers are in another order. Give a "
            "layer by its Keras name or index instead."
        )
    return operation, output


def _located_operation(model: Any, position: int, network: str) -> tuple[Any, Any]:
    """Return an operation by its position, and its output, of any shape."""
    operations, outputs = operations_of(model), tensors_by_position(model)
    if position >= len(operations):
        raise ValueError(f"{network} has no operation {position}; it has {len(operations)}, and the first one is 0.")
    if position not in outputs:
        raise ValueError(
            f"Operation {position} of {network}, {operations[position].name!r}, is called more than once or "
            "gives several outputs; expected one with a single output."
        )
    return operations[position], outputs[position]


def has_automatic_name(layer: Any) -> bool:
    """Tell whether Keras made up the name of a layer or a model, by its class and a count."""
    stem = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)  # as keras.src.utils.naming does
    stem = re.sub("([a-z])([A-Z])", r"\1_\2", stem).lower()
    return re.fullmatch(rf"{re.escape(stem)}(_\d+)?", layer.name) is not None
