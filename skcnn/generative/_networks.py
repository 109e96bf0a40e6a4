"""The networks of a GAN: a generator from codes to images, and a discriminator from images to a score.

Each strided convolution of the discriminator halves height and width, rounded up; each transposed convolution of the
generator doubles them, and the rows and columns that were added by rounding are cut off again. So images may have any
size. Pixels are in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from skcnn._keras import building, copy_model, import_keras, set_weights
from skcnn._training import Weights, check_maps

#: The members of the family, by the loss that makes them one.
LOSSES = ("gan", "dcgan", "wgan", "wgan-gp", "began")

_KERNEL = 4  # twice the stride: every pixel is made of as many values
_SLOPE = 0.2
_DIMENSIONS = 8  # of what minibatch discrimination compares


@dataclass(frozen=True)
class Design:
    """Everything that determines the architecture of generator and discriminator.

    Parameters
    ----------
    loss : str
        One of :data:`LOSSES`. The discriminator of "began" is an autoencoder; networks of "dcgan" and "wgan" are batch
        normalised.
    image_size : tuple of (height, width)
        In pixels.
    n_channels : {1, 3}
        Grey, or red, green and blue.
    n_components : int
        Length of a code.
    filters : tuple of int
        Channels of convolutions, or units of dense layers, of the discriminator from pixels on; the generator's are
        the same in reverse.
    is_dense : bool
        Whether layers are dense.
    n_classes : int
        0 where nothing is asked for by class.
    n_embedding : int
        Length of what a class becomes; 0 is one number per class.
    n_kernels : int
        Features of minibatch discrimination; 0 is none.
    digests : tuple of (str or None, str or None)
        Identify a generator and a discriminator that the user gave.
    given : tuple
        These.
    """

    loss: str
    image_size: tuple[int, int]
    n_channels: int
    n_components: int
    filters: tuple[int, ...]
    is_dense: bool
    n_classes: int = 0
    n_embedding: int = 0
    n_kernels: int = 0
    digests: tuple[str | None, str | None] = (None, None)
    given: tuple[Any, Any] = field(default=(None, None), compare=False, repr=False)

    def __post_init__(self) -> None:
        check_maps(self.maps, self.filters, self.image_size)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an image."""
        return (*self.image_size, self.n_channels)

    @property
    def maps(self) -> list[tuple[int, int, int]]:
        """Shapes (height, width, channels) of the image, and of the output of each strided convolution."""
        shapes = [self.image_shape]
        for channels in self.filters:
            height, width, _ = shapes[-1]
            shapes.append((-(-height // 2), -(-width // 2), channels))
        return shapes

    @property
    def is_normalised(self) -> bool:
        """Whether networks have batch normalisation."""
        return self.loss in ("dcgan", "wgan") and not self.is_dense

    def initial_weights(self, seed: int) -> Weights:
        """Return weights to start from: kernels by Glorot's rule, but for networks that were given."""
        weights = {}
        for number, (name, build) in enumerate(
            (("generator", build_generator), ("discriminator", build_discriminator))
        ):
            if self.given[number] is not None:
                weights[name] = copy_model(self.given[number], copy_weights=False, seed=seed + number).get_weights()
                continue
            with building():
                network = build(self)
            generator = np.random.default_rng((seed, number, 0x67616E))
            weights[name] = [_initial(variable, generator) for variable in network.weights]
        return weights

    def check_weights(self, weights: Weights) -> None:
        """See that weights are those of this architecture; raise ValueError if not."""
        for name, build in _BUILDERS.items():
            with building():
                expected = [tuple(variable.shape) for variable in build(self).weights]
            found = [np.shape(value) for value in weights.get(name, ())]
            if found != expected:
                raise ValueError(f"The weights of the {name} have the shapes {found}; expected {expected}.")


def _initial(variable: Any, generator: np.random.Generator) -> np.ndarray:
    shape = tuple(variable.shape)
    if len(shape) > 1:
        limit = np.sqrt(6 / (prod(shape[:-2]) * (shape[-2] + shape[-1])))
        return generator.uniform(-limit, limit, shape).astype("float32")
    return np.full(shape, float(variable.name in ("gamma", "moving_variance")), "float32")


def build_generator(design: Design) -> Any:
    """Return a Keras model from codes, and where there are classes their indicators, to pixels in [-1, 1]."""
    if design.given[0] is not None:
        return copy_model(design.given[0], copy_weights=False)
    keras = import_keras()
    layers = keras.layers
    codes = keras.Input((design.n_components,), name="codes")
    inputs, x = [codes], codes
    if design.n_classes:
        labels = keras.Input((design.n_classes,), name="labels")
        inputs.append(labels)
        x = layers.Concatenate(name="asked")([codes, _embedded(design, labels)])
    pixels = _decoded(design, x, use_bias=True)
    return keras.Model(_as_given(inputs), layers.Activation("tanh", name="pixels")(pixels), name="generator")


def build_discriminator(design: Design) -> Any:
    """Return a Keras model from pixels, and where there are classes their indicators, to a score (n, 1).

    The score is a logit of being real, or Wasserstein's critic; of "began" it is the error of a reconstruction, less
    for real images.
    """
    if design.given[1] is not None:
        return copy_model(design.given[1], copy_weights=False)
    keras = import_keras()
    layers, ops = keras.layers, keras.ops
    pixels = keras.Input(design.image_shape, name="pixels")
    inputs, x = [pixels], pixels
    if design.n_classes:
        labels = keras.Input((design.n_classes,), name="labels")
        inputs.append(labels)
        x = _with_labels(design, pixels, _embedded(design, labels))
    x = _encoded(design, x)
    if design.loss == "began":
        codes = layers.Dense(design.n_components, name="codes")(x)
        found = _decoded(design, codes, use_bias=True)
        error = ops.mean(ops.abs(pixels - found), axis=(1, 2, 3))
        return keras.Model(_as_given(inputs), ops.expand_dims(error, -1), name="discriminator")
    if design.n_kernels:
        x = layers.Concatenate(name="compared")([x, _compared(design.n_kernels, x)])
    return keras.Model(_as_given(inputs), layers.Dense(1, name="score")(x), name="discriminator")


def _embedded(design: Design, labels: Any) -> Any:
    if not design.n_embedding:
        return labels
    return import_keras().layers.Dense(design.n_embedding, use_bias=False, name="embedding")(labels)


def _with_labels(design: Design, pixels: Any, labels: Any) -> Any:
    """Return pixels with what is said of the class: more values, or more channels that are the same everywhere."""
    layers = import_keras().layers
    if design.is_dense:
        return layers.Concatenate(name="labelled")([layers.Flatten(name="flat")(pixels), labels])
    height, width = design.image_size
    planes = layers.RepeatVector(height * width, name="repeated")(labels)
    planes = layers.Reshape((height, width, labels.shape[-1]), name="planes")(planes)
    return layers.Concatenate(name="labelled")([pixels, planes])


def _encoded(design: Design, x: Any) -> Any:
    """Return features of what a discriminator sees, (n, n_features)."""
    layers = import_keras().layers
    if design.is_dense:
        if len(x.shape) > 2:
            x = layers.Flatten(name="flat")(x)
        for number, units in enumerate(design.filters, start=1):
            x = layers.Dense(units, name=f"dense_{number}")(x)
            x = layers.LeakyReLU(_SLOPE, name=f"active_{number}")(x)
        return x
    for number, channels in enumerate(design.filters, start=1):
        x = layers.Conv2D(channels, _KERNEL, strides=2, padding="same", name=f"down_{number}")(x)
        if design.is_normalised and number > 1:  # not the first layer, as published
            x = layers.BatchNormalization(momentum=0.9, name=f"down_norm_{number}")(x)
        x = layers.LeakyReLU(_SLOPE, name=f"active_{number}")(x)
    return layers.Flatten(name="features")(x)


def _decoded(design: Design, x: Any, *, use_bias: bool) -> Any:
    """Return values of pixels, (n, height, width, n_channels), of codes."""
    layers = import_keras().layers
    if design.is_dense:
        for number, units in enumerate(reversed(design.filters), start=1):
            x = layers.Dense(units, activation="relu", name=f"wide_{number}")(x)
        x = layers.Dense(prod(design.image_shape), name="values")(x)
        return layers.Reshape(design.image_shape, name="image")(x)
    maps = design.maps
    x = layers.Dense(prod(maps[-1]), name="unfolded")(x)
    x = layers.Reshape(maps[-1], name="map")(x)
    for number in range(len(design.filters), 0, -1):
        (height, width, channels), (low, narrow, _) = maps[number - 1], maps[number]
        if design.is_normalised:
            x = layers.BatchNormalization(momentum=0.9, name=f"up_norm_{number}")(x)
        x = layers.Activation("relu", name=f"up_active_{number}")(x)
        x = layers.Conv2DTranspose(channels, _KERNEL, strides=2, padding="same", name=f"up_{number}")(x)
        if (2 * low, 2 * narrow) != (height, width):
            x = layers.Cropping2D(((0, 2 * low - height), (0, 2 * narrow - width)), name=f"cut_{number}")(x)
    return x


def _compared(n_kernels: int, x: Any) -> Any:
    """Return how near each sample is to the others of its batch, (n, n_kernels): minibatch discrimination."""
    keras = import_keras()
    ops = keras.ops
    x = keras.layers.Dense(n_kernels * _DIMENSIONS, use_bias=False, name="projected")(x)
    x = keras.layers.Reshape((n_kernels, _DIMENSIONS), name="kernels")(x)
    distances = ops.sum(ops.abs(ops.expand_dims(x, 1) - ops.expand_dims(x, 0)), axis=3)
    return ops.sum(ops.exp(-distances), axis=1) - 1  # without itself


_BUILDERS = {"generator": build_generator, "discriminator": build_discriminator}


def plain_generator(design: Design, weights: Weights) -> Any:
    """Return the generator with its weights, from codes (and indicators of classes) to pixels in [0, 255]."""
    with building():
        generator = build_generator(design)
        set_weights(generator, weights["generator"])
        rescaled = import_keras().layers.Rescaling(127.5, offset=127.5, name="levels")(generator.outputs[0])
        return import_keras().Model(_as_given(generator.inputs), rescaled, name="generator")


def plain_discriminator(design: Design, weights: Weights) -> Any:
    """Return the discriminator with its weights, from pixels in [0, 255] (and indicators of classes) to the score."""
    keras = import_keras()
    with building():
        discriminator = build_discriminator(design)
        set_weights(discriminator, weights["discriminator"])
        pixels = keras.Input(design.image_shape, name="pixels")
        scaled = keras.layers.Rescaling(1 / 127.5, offset=-1, name="scaled")(pixels)
        if not design.n_classes:
            return keras.Model(pixels, discriminator(scaled), name="discriminator")
        labels = keras.Input((design.n_classes,), name="labels")
        return keras.Model([pixels, labels], discriminator([scaled, labels]), name="discriminator")


def _as_given(inputs: list[Any]) -> Any:
    """Return the inputs of a model as it is called with them: one alone is not a list."""
    return inputs if len(inputs) > 1 else inputs[0]


def inputs_of(first: Any, labels: Any | None) -> Any:
    """Return what a network is called with."""
    return first if labels is None else [first, labels]


def check_given(network: Any, name: str, first: tuple[int, ...], n_classes: int, output: Sequence[int]) -> None:
    """See that a network that the user gave has the inputs and the output of a generator, or of a discriminator."""
    expected = [(None, *first), *([(None, n_classes)] if n_classes else [])]
    found = [tuple(tensor.shape) for tensor in network.inputs]
    outputs = [tuple(tensor.shape) for tensor in network.outputs]
    if found != expected or outputs != [(None, *output)]:
        raise ValueError(
            f"{name} is a Keras model from inputs of the shapes {found} to outputs of the shapes {outputs}; expected "
            f"inputs of the shapes {expected} and one output of the shape {(None, *output)}."
        )
