"""A classifier of windows as a network for whole images: dense layers become convolutions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from skcnn._keras import import_keras

if TYPE_CHECKING:
    import keras

_GLOBAL = {"GlobalAveragePooling2D": "AveragePooling2D", "GlobalMaxPooling2D": "MaxPooling2D"}
#: Strides that are looked for are smaller, in pixels.
_MOST = 4097

#: Layers that treat each number by itself: a vector or a map, they do the same.
_OF_EACH_NUMBER = (
    "Activation",
    "ReLU",
    "LeakyReLU",
    "ELU",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "Cast",
)
#: Layers that treat each vector of channels by itself.
_OF_EACH_POSITION = (*_OF_EACH_NUMBER, "BatchNormalization", "LayerNormalization", "Softmax", "Rescaling")


def to_fully_convolutional(model: keras.Model) -> keras.Model:
    """Return a network that gives for a whole image what a classifier gives for each of its windows.

    Dense layers become convolutions: the first one after a flattened map of 7 x 7 positions a convolution of 7 x 7, the
    later ones of 1 x 1. A global pooling becomes a pooling of the size that the map has for a window. What windows have
    in common is computed once.

    Parameters
    ----------
    model : keras.Model
        Sequential or functional, from pixels of a fixed size (height, width, channels) to a vector. It is not changed.

    Returns
    -------
    keras.Model
        From images (n_images, any height, any width, channels), at least as large as a window, to a map
        (n_images, rows, columns, n_outputs). The windows of neighbouring positions are a stride of the network apart,
        the product of the strides of its layers.

    Raises
    ------
    TypeError
        If ``model`` is neither a Sequential nor a functional Keras model.
    ValueError
        If the input has no fixed size, a layer has no convolutional form, or the output is not a vector.

    Notes
    -----
    Outputs are equal to those of the windows if no layer pads (``padding="valid"``). A network that pads sees black at
    the edges of a window, and in a whole image what lies there: outputs are then others, the more the deeper it is. Of
    the published MobileNetV2 one window of five gets another class (``benchmarks/sliding_windows.py``).

    References
    ----------
    .. [1] P. Sermanet, D. Eigen, X. Zhang, M. Mathieu, R. Fergus and Y. LeCun, "OverFeat: integrated recognition,
       localization and detection using convolutional networks", ICLR 2014, section 3.5.
    .. [2] J. Long, E. Shelhamer and T. Darrell, "Fully convolutional networks for semantic segmentation", CVPR 2015,
       section 3.1.

    Examples
    --------
    >>> import keras
    >>> from skcnn.detection import to_fully_convolutional
    >>> layers = keras.layers
    >>> model = keras.Sequential(
    ...     [keras.Input((14, 14, 3)), layers.Conv2D(16, 5), layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(4)]
    ... )
    >>> to_fully_convolutional(model).compute_output_shape((1, 28, 28, 3))
    (1, 8, 8, 4)
    """
    keras = import_keras()
    if not _is_graph(model):
        raise TypeError(f"model is a {type(model).__name__}; expected a Sequential or functional keras.Model.")
    shape = model.input_shape
    if len(shape) != 4 or None in shape[1:]:
        raise ValueError(f"model takes inputs of shape {shape}; expected (None, height, width, channels), all fixed.")
    if len(model.output_shape) != 2:
        raise ValueError(f"model gives outputs of shape {model.output_shape}; expected a vector (None, n_outputs).")
    pixels = keras.Input((None, None, shape[-1]), name="pixels")
    network = keras.Model(pixels, _Conversion().through(model, pixels), name=f"{model.name}_fully_convolutional")
    if network.output_shape[-1] != model.output_shape[-1]:
        raise ValueError(
            f"model gives {model.output_shape[-1]} outputs, which are a flattened map of {network.output_shape[-1]} "
            "channels; expected a dense layer or a global pooling behind it."
        )
    return network


def pads(model: Any) -> bool:
    """Tell whether a layer of the network adds something at the edges of what it gets."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            if pads(layer):
                return True
        elif type(layer).__name__.startswith("ZeroPadding"):
            return True
        elif getattr(layer, "padding", "valid") != "valid":
            size = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None) or (2,)
            if max(size) > 1:
                return True
    return False


def stride_of(network: Any, window: tuple[int, int]) -> tuple[int, int]:
    """Return how far apart, in pixels, the windows of neighbouring outputs of a fully convolutional network are."""
    channels = network.input_shape[-1]

    def n_positions(axis: int, more: int) -> int:
        size = [*window]
        size[axis] += more
        return network.compute_output_shape((1, *size, channels))[1 + axis]

    # From the second position to the third: a window may be larger than what one output sees, and then its second
    # position comes early.
    def stride(axis: int) -> int:
        first = next(more for more in range(1, _MOST) if n_positions(axis, more) == 2)
        return next(more for more in range(1, _MOST) if n_positions(axis, first + more) == 3)

    return stride(0), stride(1)


class _Conversion:
    """Rebuilds layers on maps; knows of which flattened maps the vectors are."""

    def __init__(self) -> None:
        # By the identity of a new tensor: the (height, width) of the map that the vector in the model was made of. The
        # tensors themselves are kept as well, lest an identity be given twice.
        self._spans: dict[int, tuple[tuple[int, int], Any]] = {}

    def through(self, model: Any, tensor: Any) -> Any:
        keras = import_keras()
        if isinstance(model, keras.Sequential):
            for layer in model.layers:
                tensor = self._call(layer, tensor)
            return tensor
        # Only walks the graph: what stands at each place is decided by _call.
        clone = keras.models.clone_model(
            model,
            input_tensors=_like(model.input, tensor),
            clone_function=lambda layer: layer,
            call_function=self._call,
        )
        return clone.output

    def _call(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        keras = import_keras()
        kind = type(layer).__name__
        if kind == "InputLayer":
            return args[0]
        span = self._span_of(args)
        if _is_graph(layer):
            return self._nested(layer, args[0], span)
        if kind == "Flatten" and span is None:
            return self._spanning(keras.layers.Identity(name=layer.name)(args[0]), _map_size(layer))
        if kind in _GLOBAL and span is None and not layer.keepdims:
            pooling = getattr(keras.layers, _GLOBAL[kind])(_map_size(layer), strides=1, name=layer.name)
            return self._spanning(pooling(args[0]), (1, 1))
        if kind in _GLOBAL:
            raise ValueError(_no_form(layer, "it looks at the whole window in the middle of the network"))
        if span is None:
            return _rebuilt(layer, args, kwargs)
        if kind == "Dense":
            return self._spanning(_convolution(layer, span)(args[0]), (1, 1))
        allowed = _OF_EACH_POSITION if span == (1, 1) else _OF_EACH_NUMBER
        if kind in allowed or (isinstance(layer, keras.Layer) and kind == "Flatten"):
            return self._spanning(args[0] if kind == "Flatten" else _rebuilt(layer, args, kwargs), span)
        raise ValueError(_no_form(layer, "after the map was flattened, dense layers and activations have one"))

    def _nested(self, model: Any, tensor: Any, span: tuple[int, int] | None) -> Any:
        keras = import_keras()
        inputs = keras.Input(tensor.shape[1:])
        outputs = self.through(model, inputs if span is None else self._spanning(inputs, span))
        span_of_outputs = self._span_of((outputs,))
        found = keras.Model(inputs, outputs, name=model.name)(tensor)
        return found if span_of_outputs is None else self._spanning(found, span_of_outputs)

    def _span_of(self, args: tuple[Any, ...]) -> tuple[int, int] | None:
        spans = [self._spans[id(arg)][0] for arg in args if id(arg) in self._spans]
        return spans[0] if spans else None

    def _spanning(self, tensor: Any, span: tuple[int, int]) -> Any:
        self._spans[id(tensor)] = (span, tensor)
        return tensor


def _is_graph(layer: Any) -> bool:
    """Tell whether this is a model whose layers are known: a Sequential or a functional one."""
    keras = import_keras()
    if isinstance(layer, keras.Sequential):
        return bool(layer.built)
    return isinstance(layer, keras.Model) and hasattr(layer, "operations") and hasattr(layer, "inputs")


def _like(inputs: Any, tensor: Any) -> Any:
    return type(inputs)([tensor]) if isinstance(inputs, (list, tuple)) else tensor


def _map_size(layer: Any) -> tuple[int, int]:
    shape = tuple(layer.input.shape)
    if len(shape) != 4 or None in shape[1:3]:
        raise ValueError(_no_form(layer, f"its input has the shape {shape}, not that of a map of fixed size"))
    return shape[1], shape[2]


def _rebuilt(layer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a copy of the layer, with its weights; an operation has none."""
    if not hasattr(layer, "get_config") or not hasattr(layer, "get_weights"):
        return layer(*args, **kwargs)
    copy = type(layer).from_config(layer.get_config())
    output = copy(*args, **kwargs)
    copy.set_weights(layer.get_weights())
    return output


def _convolution(dense: Any, span: tuple[int, int]) -> Any:
    """Return the convolution that a dense layer is on a map of which ``span`` positions were flattened for it."""
    keras = import_keras()
    weights = dense.get_weights()
    channels = weights[0].shape[0] // math.prod(span)
    convolution = keras.layers.Conv2D(
        dense.units,
        span,
        activation=dense.activation,
        use_bias=dense.use_bias,
        dtype=dense.dtype_policy,
        name=dense.name,
    )
    convolution.build((None, None, None, channels))
    convolution.set_weights([weights[0].reshape(*span, channels, dense.units), *weights[1:]])
    return convolution


def _no_form(layer: Any, why: str) -> str:
    return f"layer {layer.name!r} ({type(layer).__name__}) has no convolutional form: {why}."
