"""Feature maps of a network, by how coarse they are."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2
from typing import TYPE_CHECKING

from skcnn._text import listing
from skcnn._wiring import calls_behind, tensors_by_position

if TYPE_CHECKING:
    import keras

#: A map was widened if the one before it has at most one in so many of its channels.
NARROWER = 4


def feature_maps(
    network: keras.Model, image_size: tuple[int, int], strides: Sequence[int] | None = None, *, widened: bool = False
) -> dict[int, keras.KerasTensor]:
    """Return the last feature map of each resolution: what a head for boxes or masks stands on.

    Some networks widen a map by a convolution of single cells before they halve it (MobileNet, EfficientNet), or before
    they pool it. What it says is in the narrower map before, which has a quarter of the values or less. A detector of
    blood cells learned more of these, a localizer of heads more of the wide ones.

    Parameters
    ----------
    network : keras.Model
        Of :meth:`Backbone.build`, for images of ``image_size``.
    image_size : tuple of (height, width)
        In pixels.
    strides : sequence of int or None, default=None
        Pixels per cell of the maps that are wanted, powers of 2. None takes all that there are.
    widened : bool, default=False
        Whether to return maps that are widened so, or those before.

    Returns
    -------
    dict of int to keras.KerasTensor
        From the stride to a map (n, ceil(height / stride), ceil(width / stride), channels), in increasing order.

    Raises
    ------
    ValueError
        If the network has no map of a stride.

    References
    ----------
    T.-Y. Lin, P. Dollár, R. Girshick, K. He, B. Hariharan and S. Belongie, "Feature Pyramid Networks for Object
    Detection", CVPR 2017, section 3: the last layer of a stage should have the strongest features.

    Examples
    --------
    >>> from skcnn.backbones import feature_maps, get_backbone
    >>> network = get_backbone("ResNet20").build(weights=None)
    >>> {stride: tensor.shape[1:] for stride, tensor in feature_maps(network, (32, 32)).items()}
    {1: (32, 32, 16), 2: (16, 16, 32), 4: (8, 8, 64)}
    """
    found: dict[int, keras.KerasTensor] = {}
    inputs = {id(tensor) for tensor in network.inputs}
    for tensor in tensors_by_position(network).values():
        shape = tensor.shape[1:-1]
        if len(tensor.shape) != 4 or None in shape or id(tensor) in inputs or shape == (1, 1):
            continue
        stride = 2 ** max(0, round(log2(image_size[0] / shape[0])))
        if tuple(-(-side // stride) for side in image_size) == tuple(shape):
            found[stride] = tensor
    if not widened:
        found = {stride: _before_widening(tensor) for stride, tensor in found.items()}
    if strides is None:
        return dict(sorted(found.items()))
    if missing := [stride for stride in strides if stride not in found]:
        raise ValueError(
            f"The network {network.name!r} has no feature map of stride {missing[0]} for images of {image_size[0]} x "
            f"{image_size[1]} pixels; it has those of {listing(map(str, sorted(found)))}. Give one of these, or an "
            f"image_size that is a multiple of {missing[0]}."
        )
    return {stride: found[stride] for stride in sorted(strides)}


def _before_widening(tensor: keras.KerasTensor) -> keras.KerasTensor:
    """Return the map that was widened to this one, or this one if it was not."""
    widened = tensor
    while len(inputs := calls_behind([tensor])[-1].inputs) == 1 and inputs[0].shape[:-1] == tensor.shape[:-1]:
        kernels = [
            weight.shape for weight in getattr(tensor._keras_history.operation, "weights", ()) if len(weight.shape) > 1
        ]
        if any(kernel[:2] != (1, 1) for kernel in kernels):
            break
        tensor = inputs[0]
        if kernels:
            return tensor if NARROWER * tensor.shape[-1] <= widened.shape[-1] else widened
    return widened
