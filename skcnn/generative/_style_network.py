"""The maps of a network for images of any size, and what of an image each of their cells sees."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from skcnn._keras import copy_model, import_keras
from skcnn._wiring import calls_behind, operations_of, tensors_by_position
from skcnn.backbones import Backbone, scale_pixels

#: Layers, or how much each of them counts.
Layers = str | int | Sequence[str | int] | Mapping[str | int, float]

#: The layers of L. A. Gatys, A. S. Ecker and M. Bethge, section 2.
_OF_VGG = (("block4_conv2",), tuple(f"block{number}_conv1" for number in range(1, 6)))

#: Cells of maps whose details a result keeps are so many pixels apart; coarser ones than the second have no style.
_CONTENT_STRIDE, _MAX_STRIDE = 8, 16


@dataclass(frozen=True)
class Reach:
    """What the cells of a map see.

    Attributes
    ----------
    stride : int
        Pixels from cell to cell.
    before, after : int
        Pixels that the first cell sees before the first pixel of the image, and after it.
    """

    stride: int = 1
    before: int = 0
    after: int = 0


def weights_of_layers(layers: Layers, backbone: Backbone, parameter: str) -> dict[str, float]:
    """Return the weight of each layer, by its name: as it is given, or alike and 1 in all.

    Raises
    ------
    TypeError, ValueError
        If ``layers`` is neither a layer, nor a sequence of layers, nor a mapping of layers to weights.
    """
    if isinstance(layers, (str, Integral)):
        layers = [layers]
    if not isinstance(layers, (Sequence, Mapping)) or not len(layers):
        raise ValueError(
            f"{parameter}={layers!r}; expected a layer, a sequence of layers, or a dict from layers to weights"
        )
    given = layers if isinstance(layers, Mapping) else dict.fromkeys(layers, 1 / len(layers))
    for layer, weight in given.items():
        if not isinstance(weight, Real) or not 0 <= weight < math.inf:
            raise ValueError(f"{parameter} gives {layer!r} the weight {weight!r}; expected a finite number >= 0")
    return {backbone.layer_name(layer): float(weight) for layer, weight in given.items()}


def default_layers(backbone: Backbone, network: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of layers for content and style.

    Those of the paper for VGG16 and VGG19; of others the map before the last one of a resolution of eight pixels per
    cell, or of what is next to it; and the first and the last map of each resolution.
    """
    if backbone.name in ("VGG16", "VGG19"):
        return _OF_VGG
    height = network.input_shape[1]
    by_height: dict[int, list[int]] = {}
    tensors = tensors_by_position(network)
    inputs = {id(tensor) for tensor in network.inputs}
    for position, tensor in tensors.items():
        shape = tensor.shape
        is_map = len(shape) == 4 and None not in shape[1:] and min(shape[1:3]) > 1 and shape[3] > 3
        if is_map and id(tensor) not in inputs and height <= _MAX_STRIDE * (shape[1] + 1):
            by_height.setdefault(shape[1], []).append(position)
    if not by_height:
        raise ValueError(
            f"{backbone.name} has no feature maps of at most {_MAX_STRIDE} pixels per cell. Give content_layers and "
            "style_layers, or another network."
        )
    nearest = min(by_height, key=lambda rows: abs(height / rows - _CONTENT_STRIDE))
    ends = sorted({position for positions in by_height.values() for position in (positions[0], positions[-1])})
    names = {position: _name_of(backbone, network, position) for position in [*ends, by_height[nearest][-1]]}
    return (names[by_height[nearest][-1]],), tuple(names[position] for position in ends)


def _name_of(backbone: Backbone, network: Any, position: int) -> str:
    """Return a name of what an operation gives that is the same whenever the network is built."""
    name = operations_of(network)[position].name
    try:
        backbone.layer_output(network, name)
    except ValueError:  # no layer, or one whose name Keras made up
        return f"operation[{position}]"
    return name


def open_network(backbone: Backbone, network: Any, names: Sequence[str], pooling: str) -> Any:
    """Return a model from pixels (1, height, width, 3) in [0, 255] of any size to the maps of layers.

    Parameters
    ----------
    backbone : Backbone
    network : keras.Model
        Of ``backbone.build``; it is not changed.
    names : sequence of str
        Of layers, as ``backbone.layer_name`` gives them.
    pooling : {"avg", "max"}
        ``"avg"`` puts average pooling in the place of maximum pooling.

    Raises
    ------
    ValueError
        If a layer gives no map, or the network takes images of one size only.
    """
    keras = import_keras()
    tensors = [backbone.layer_output(network, name) for name in names]
    for name, tensor in zip(names, tensors, strict=True):
        if len(tensor.shape) != 4:
            raise ValueError(
                f"Layer {name!r} of {backbone.name} gives a vector; expected one that gives a feature map."
            )

    def call(operation: Any, *inputs: Any, **options: Any) -> Any:
        if pooling == "avg" and isinstance(operation, keras.layers.MaxPooling2D):
            operation = keras.layers.AveragePooling2D(
                operation.pool_size, operation.strides, operation.padding, name=operation.name
            )
        return operation(*inputs, **options)

    pixels, scaled = keras.Input((None, None, 3)), keras.Input((None, None, 3))
    try:
        copy = copy_model(keras.Model(network.inputs[0], tensors), call=call, inputs=scaled)
        return keras.Model(pixels, copy(scale_pixels(pixels, backbone.preprocessing)))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The layers of {backbone.name} up to {names[-1]!r} do not take images of any size: {error} Give earlier "
            "layers, or another network."
        ) from error


def reaches_of(model: Any) -> list[Reach]:
    """Return what the cells of each output of a model see."""
    return _reaches(model.outputs)


def _reaches(tensors: Sequence[Any]) -> list[Reach]:
    found: dict[int, Reach] = {}
    for call in calls_behind(list(tensors)):
        given = [found[id(tensor)] for tensor in call.inputs]
        so_far = Reach(*(max(values) for values in zip(*map(_as_tuple, given), strict=True))) if given else Reach()
        for number, tensor in enumerate(call.outputs):
            found[id(tensor)] = _after(call.operation, so_far, number) if given else so_far
    return [found[id(tensor)] for tensor in tensors]


def _as_tuple(reach: Reach) -> tuple[int, int, int]:
    return reach.stride, reach.before, reach.after


def _after(operation: Any, given: Reach, number: int) -> Reach:
    """Return what the cells of an output of an operation see."""
    if hasattr(operation, "layers"):  # a network in the network
        inner = _reaches(operation.outputs)[number]
        return _then(given, inner.stride, inner.before, inner.after)
    padding: Any = getattr(operation, "padding", None)
    kernel = getattr(operation, "kernel_size", None) or getattr(operation, "pool_size", None)
    if kernel is None:
        if type(operation).__name__ == "ZeroPadding2D":
            return _then(given, 1, max(side[0] for side in padding), 0)
        return given
    dilation = getattr(operation, "dilation_rate", 1)
    stride = max(_pair(getattr(operation, "strides", 1)))
    size = max((k - 1) * d + 1 for k, d in zip(_pair(kernel), _pair(dilation), strict=True))
    before = max(size - stride, 0) // 2 if padding == "same" else 0
    return _then(given, stride, before, size - 1 - before)


def _then(given: Reach, stride: int, before: int, after: int) -> Reach:
    return Reach(given.stride * stride, given.before + given.stride * before, given.after + given.stride * after)


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)
