"""The networks of an autoencoder: an encoder from pixels to codes, and its mirror image, a decoder.

Each convolution halves height and width, rounded up; each transposed convolution doubles them, and what was rounded up
is cut off again. So images may have any size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

from skcnn._keras import building, import_keras, set_weights
from skcnn._training import Graph, Weights, check_maps, get_graph, trainer_class

_KERNEL = 3
#: Of red, green and blue in the grey level that people see (ITU-R BT.601), as in Pillow.
LUMINANCE = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Design:
    """Everything that determines the architecture of an autoencoder.

    Parameters
    ----------
    image_size : tuple of (height, width)
        In pixels.
    n_channels : {1, 3}
        Grey, or red, green and blue.
    filters : tuple of int
        Channels of the encoder's convolutions; the decoder's are the same, in reverse.
    n_components : int
        Length of a code.
    is_variational : bool
        Whether the encoder also gives the logarithm of the variance of each component.

    Raises
    ------
    ValueError
        If a layer would give too many values.
    """

    image_size: tuple[int, int]
    n_channels: int
    filters: tuple[int, ...]
    n_components: int
    is_variational: bool

    def __post_init__(self) -> None:
        check_maps(self.maps, self.filters, self.image_size)

    @property
    def maps(self) -> list[tuple[int, int, int]]:
        """Shapes (height, width, channels) of the image, and of the output of each convolution of the encoder."""
        height, width = self.image_size
        shapes = [(height, width, self.n_channels)]
        for channels in self.filters:
            height, width = -(-height // 2), -(-width // 2)
            shapes.append((height, width, channels))
        return shapes

    @property
    def shapes(self) -> dict[str, list[tuple[int, ...]]]:
        """Shapes of the weights of encoder and decoder, kernel and bias of each layer in turn."""
        maps, n = self.maps, self.n_components
        n_values = prod(maps[-1])
        encoder: list[tuple[int, ...]] = []
        for (_, _, before), (_, _, after) in pairwise(maps):
            encoder += [(_KERNEL, _KERNEL, before, after), (after,)]
        encoder += [(n_values, n), (n,)] * (2 if self.is_variational else 1)
        decoder: list[tuple[int, ...]] = [(n, n_values), (n_values,)]
        for (_, _, after), (_, _, before) in reversed(list(pairwise(maps))):
            decoder += [(_KERNEL, _KERNEL, after, before), (after,)]
        return {"encoder": encoder, "decoder": decoder}

    def initial_weights(self, seed: int) -> Weights:
        """Return weights to start from: kernels by Glorot's rule, biases zero."""
        generator = np.random.default_rng((seed, 0x636F6465))
        return {
            part: [_initial(shape, generator) if len(shape) > 1 else np.zeros(shape, "float32") for shape in shapes]
            for part, shapes in self.shapes.items()
        }

    def check_weights(self, weights: Weights) -> None:
        """See that weights are those of this architecture; raise ValueError if not."""
        found = {name: [np.shape(value) for value in values] for name, values in weights.items()}
        if found != self.shapes:
            raise ValueError(f"The weights have the shapes {found}; expected {self.shapes}.")


def _initial(shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    limit = np.sqrt(6 / (prod(shape[:-2]) * (shape[-2] + shape[-1])))
    return generator.uniform(-limit, limit, shape).astype("float32")


def targets_of(pixels: np.ndarray, n_channels: int) -> np.ndarray:
    """Return what is to be reconstructed of pixels, uint8 (n, height, width, 3): float32 in [0, 1], their channels."""
    scaled = pixels.astype(np.float32) / np.float32(255)
    if n_channels == 3:
        return scaled
    return (scaled @ np.array(LUMINANCE, np.float32))[..., np.newaxis]


def build_encoder(design: Design, *, codes_only: bool = False) -> Any:
    """Return a Keras model from pixels (n, height, width, 3) in [0, 255] to codes, with arbitrary weights.

    Where it is variational, it gives the mean and the logarithm of the variance of each component; with ``codes_only``
    the mean alone.
    """
    keras = import_keras()
    layers = keras.layers
    pixels = keras.Input((*design.image_size, 3), name="pixels")
    if design.n_channels == 3:
        x = layers.Rescaling(1 / 255, name="scaled")(pixels)
    else:
        x = layers.Rescaling([part / 255 for part in LUMINANCE], name="weighted")(pixels)
        x = keras.ops.sum(x, axis=-1, keepdims=True)
    for number, channels in enumerate(design.filters, start=1):
        x = layers.Conv2D(
            channels, _KERNEL, strides=2, padding="same", activation="silu", name=f"down_{number}"
        )(x)  # fmt: skip
    x = layers.Flatten(name="flat")(x)
    codes = layers.Dense(design.n_components, name="codes")(x)
    if design.is_variational and not codes_only:
        return keras.Model(pixels, [codes, layers.Dense(design.n_components, name="log_variance")(x)], name="encoder")
    return keras.Model(pixels, codes, name="encoder")


def build_decoder(design: Design, *, to_pixels: bool = False) -> Any:
    """Return a Keras model from codes to logits of pixels in [0, 1], (n, height, width, n_channels).

    With ``to_pixels`` it gives the pixels themselves, in [0, 255].
    """
    keras = import_keras()
    layers = keras.layers
    maps = design.maps
    codes = keras.Input((design.n_components,), name="codes")
    x = layers.Dense(prod(maps[-1]), activation="silu", name="unfolded")(codes)
    x = layers.Reshape(maps[-1], name="map")(x)
    for number in range(len(design.filters), 0, -1):
        (height, width, channels), (low, narrow, _) = maps[number - 1], maps[number]
        activation = "silu" if number > 1 else None
        x = layers.Conv2DTranspose(
            channels, _KERNEL, strides=2, padding="same", activation=activation, name=f"up_{number}"
        )(x)  # fmt: skip
        if (2 * low, 2 * narrow) != (height, width):
            x = layers.Cropping2D(((0, 2 * low - height), (0, 2 * narrow - width)), name=f"cut_{number}")(x)
    if to_pixels:
        x = layers.Activation("sigmoid", name="levels")(x)
        x = layers.Rescaling(255.0, name="pixels")(x)
    return keras.Model(codes, x, name="decoder")


def plain_encoder(design: Design, weights: Weights) -> Any:
    """Return the encoder with its weights, from pixels in [0, 255] to codes: standard layers alone."""
    with building():
        encoder = build_encoder(design, codes_only=True)
    set_weights(encoder, weights["encoder"][: len(encoder.weights)])
    return encoder


def plain_decoder(design: Design, weights: Weights) -> Any:
    """Return the decoder with its weights, from codes to pixels in [0, 255]: standard layers alone."""
    with building():
        decoder = build_decoder(design, to_pixels=True)
    set_weights(decoder, weights["decoder"])
    return decoder


def plain_autoencoder(design: Design, weights: Weights) -> Any:
    """Return a model from pixels to their reconstruction, both in [0, 255]."""
    encoder, decoder = plain_encoder(design, weights), plain_decoder(design, weights)
    with building():
        return import_keras().Model(encoder.inputs[0], decoder(encoder.outputs[0]), name="autoencoder")


@lru_cache(maxsize=1)
def posterior_class() -> Any:
    """Return the layer that draws codes, and adds the divergence to the loss."""
    keras = import_keras()
    ops = keras.ops

    @keras.saving.register_keras_serializable("skcnn")
    class Posterior(keras.layers.Layer):  # type: ignore[name-defined]
        """Draws codes from normal distributions; adds beta times their divergence from the standard normal one."""

        def __init__(self, name: str | None = None, trainable: bool = True, dtype: Any = "float32") -> None:
            super().__init__(name=name, trainable=trainable, dtype=dtype)
            self.seed_generator = keras.random.SeedGenerator(0)

        def build(self, *input_shape: Any) -> None:
            # A variable, so that candidates of a search share a compiled graph.
            self.beta = self.add_weight(shape=(), initializer="ones", trainable=False, name="beta")

        def call(self, mean: Any, log_variance: Any) -> Any:
            divergence = ops.sum(ops.square(mean) + ops.exp(log_variance) - 1 - log_variance, axis=-1) / 2
            self.add_loss(self.beta * ops.mean(divergence))
            drawn = keras.random.normal(ops.shape(mean), seed=self.seed_generator)
            return mean + ops.exp(log_variance / 2) * drawn

    return Posterior


def training_graph(design: Design, compiled: tuple[Any, ...]) -> AbstractContextManager[Graph]:
    """Return a context that yields the graph that is trained: from pixels, uint8, to logits of their reconstruction.

    Parameters
    ----------
    design : Design
        The networks.
    compiled : tuple
        Identifies loss and optimizer, which are compiled into the graph.
    """

    def build() -> Graph:
        keras = import_keras()
        encoder, decoder = build_encoder(design), build_decoder(design)
        pixels = keras.Input((*design.image_size, 3), dtype="uint8", name="pixels")
        codes = encoder(keras.ops.cast(pixels, "float32"))
        groups = {"encoder": [encoder], "decoder": [decoder]}
        if design.is_variational:
            posterior = posterior_class()(name="posterior")
            codes = posterior(*codes)
            groups["beta"] = [posterior]
        return Graph(trainer_class()(pixels, decoder(codes)), groups)

    return get_graph(("train", "autoencoder", design, *compiled), build)


def encoding_graph(design: Design) -> AbstractContextManager[Graph]:
    """Return a context that yields the graph from pixels, uint8, to what the encoder gives."""

    def build() -> Graph:
        keras = import_keras()
        encoder = build_encoder(design)
        pixels = keras.Input((*design.image_size, 3), dtype="uint8", name="pixels")
        return Graph(keras.Model(pixels, encoder(keras.ops.cast(pixels, "float32"))), {"encoder": [encoder]})

    return get_graph(("predict", "encoder", design), build)


def decoding_graph(design: Design) -> AbstractContextManager[Graph]:
    """Return a context that yields the graph from codes to logits of pixels."""

    def build() -> Graph:
        decoder = build_decoder(design)
        return Graph(decoder, {"decoder": [decoder]})

    return get_graph(("predict", "decoder", design), build)


def squared_error(targets: Any, logits: Any) -> Any:
    """Return the mean squared error of each image, (n,), of pixels in [0, 1]."""
    ops = import_keras().ops
    return ops.mean(ops.square(ops.sigmoid(logits) - targets), axis=(1, 2, 3))


def binary_crossentropy(targets: Any, logits: Any) -> Any:
    """Return the mean cross-entropy of each image, (n,), where a pixel in [0, 1] is the probability of being 1."""
    ops = import_keras().ops
    return ops.mean(ops.softplus(logits) - targets * logits, axis=(1, 2, 3))


def cross_entropy(targets: Any, logits: Any) -> Any:
    """Return the cross-entropy of each image, (n,), in nats: the sum over its values."""
    ops = import_keras().ops
    return ops.sum(ops.softplus(logits) - targets * logits, axis=(1, 2, 3))


#: Losses by the names that Keras has for them.
LOSSES: dict[str, Callable[[Any, Any], Any]] = {"mse": squared_error, "binary_crossentropy": binary_crossentropy}


def in_parts(array: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Yield the rows of an array, at most ``size`` at a time."""
    for start in range(0, len(array), size):
        yield array[start : start + size]
