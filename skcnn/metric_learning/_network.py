"""The network of an embedding: a backbone up to a layer, and a head that gives unit vectors."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from skcnn._keras import building, copy_model, import_keras, set_weights
from skcnn._training import Cut, Graph, get_graph, in_inference_mode, open_layers, split_network, trainer_class
from skcnn.backbones import Backbone, scale_pixels


class Base(NamedTuple):
    """A backbone up to a layer: its network, its features, and a model between both."""

    network: Any
    features: Any
    model: Any


@dataclass(frozen=True)
class Design:
    """Everything that determines a network and its initial weights.

    Parameters
    ----------
    backbone : Backbone
        The convolutional network.
    weights : str, path-like, WeightsFile or None
        Its weights: see :meth:`skcnn.backbones.Backbone.build`.
    layer : str
        The last layer that is used.
    image_size : tuple of (height, width)
        In pixels.
    pooling : {"avg", "max"} or None
        Pooling of the layer's map; None flattens it.
    n_components : int
        Length of the vectors.
    seed : int
        Of weights that are drawn at random.
    """

    backbone: Backbone
    weights: Any
    layer: str
    image_size: tuple[int, int]
    pooling: str | None
    n_components: int
    seed: int

    @property
    def identity(self) -> tuple[Any, ...]:
        """Key of the design's graphs."""
        given = self.backbone if self.backbone.network is None else "a model"
        # Layers that normalise compute with copies of their weights: networks with others have graphs of their own.
        weights = self.backbone.weights_id(self.weights, self.seed)
        return given, weights, self.layer, self.image_size, self.pooling, self.n_components

    def build_base(self, *, with_weights: bool = True) -> Base:
        """Build the backbone, with its initial weights or with arbitrary ones."""
        keras, backbone = import_keras(), self.backbone
        weights = self.weights if with_weights or backbone.weights == ("pretrained",) else None
        with building():
            network = backbone.build(image_size=self.image_size, weights=weights, random_state=self.seed)
            if backbone.network is not None:
                network = copy_model(network)
            features = backbone.pooled_output(network, self.layer, self.pooling)
            if len(features.shape) > 2:
                features = keras.layers.Flatten(dtype="float32")(features)
            return Base(network, features, keras.Model(network.inputs[0], features, name="base"))

    def cut(self, base: Base, unfreeze: Any) -> Cut | None:
        """Return where the network is cut if layers are opened; None where all of it has to run in training."""
        if unfreeze == "all":
            return None
        cut = split_network(base.network, self._open(base, unfreeze), base.features, image_size=self.image_size)
        return cut if cut.positions and not cut.is_input and not cut.is_output else None

    def opens(self, base: Base, unfreeze: Any) -> bool:
        """Return whether any layer that is used has weights and is opened."""
        used = {layer.name for layer in base.model.layers if layer.weights}
        return bool(used & set(self._open(base, unfreeze)))

    def _open(self, base: Base, unfreeze: Any) -> list[str]:
        is_open = open_layers(self.backbone, base.network, unfreeze)
        return [layer.name for layer, opened in zip(base.network.layers, is_open, strict=True) if opened]

    def head_graph(self, n_features: int, compiled: tuple[Any, ...]) -> AbstractContextManager[Graph]:
        """Return a context that yields the graph that trains the head, on features (n, n_features)."""

        def build() -> Graph:
            features = import_keras().Input((n_features,), name="features")
            head = head_layer(self.n_components)
            return Graph(trainer_class()(features, unit_vectors(head(features))), {"head": [head]})

        return get_graph(("train", "embedding-head", n_features, self.n_components, *compiled), build)

    def open_graph(self, unfreeze: Any, compiled: tuple[Any, ...], *, on_pixels: bool) -> AbstractContextManager[Graph]:
        """Return a context that yields the graph that trains open layers, on pixels or on what is before the cut."""

        def build() -> Graph:
            keras = import_keras()
            base = self.build_base(with_weights=False)
            opened = set(self._open(base, unfreeze))
            for layer in base.network.layers:
                layer.trainable = layer.name in opened
            if on_pixels:
                inputs = keras.Input((*self.image_size, 3), dtype="uint8", name="pixels")
                inner, scaled = base.model, scale_pixels(inputs, self.backbone.preprocessing)
            else:
                cut = split_network(base.network, list(opened), base.features, image_size=self.image_size)
                inner = cut.suffix()
                inputs = scaled = keras.Input(inner.input_shape[1:], name="activations")
            head = head_layer(self.n_components)
            # Statistics of batches of a few people are worse than those that the network was trained with.
            features = keras.ops.cast(in_inference_mode()(inner)(scaled), "float32")
            vectors = unit_vectors(head(features))
            return Graph(trainer_class()(inputs, vectors), {"base": [base.model], "head": [head]})

        return get_graph(("train", "embedding", self.identity, unfreeze, on_pixels, *compiled), build)

    def plain(self, base_weights: list[np.ndarray] | None, head: list[np.ndarray]) -> Any:
        """Return a Keras model of standard layers from pixels (n, height, width, 3) in [0, 255] to unit vectors."""
        keras = import_keras()
        base = self.build_base(with_weights=base_weights is None)
        with building(self.seed):
            pixels = keras.Input((*self.image_size, 3), name="pixels")
            layer = head_layer(self.n_components)
            features = base.model(scale_pixels(pixels, self.backbone.preprocessing))
            model = keras.Model(pixels, unit_vectors(layer(features)), name="embedding")
        if base_weights is not None:
            set_weights(base.model, base_weights)
        layer.set_weights(head)
        return model


def head_layer(n_components: int) -> Any:
    """Return the layer from features to vectors, not built yet."""
    return import_keras().layers.Dense(n_components, dtype="float32", name="head")


def unit_vectors(vectors: Any) -> Any:
    """Return vectors of length 1."""
    return import_keras().layers.UnitNormalization(dtype="float32", name="unit")(vectors)


def initial_head(features: np.ndarray, n_components: int, seed: int) -> list[np.ndarray]:
    """Return the first weights of a head: centred features on their principal axes, so that training begins well.

    Parameters
    ----------
    features : ndarray of shape (n, n_features)
        Of the training images.
    n_components : int
        Axes; those beyond the rank of the features are small random ones.
    seed : int
        Of these.

    Returns
    -------
    list of ndarray
        Kernel (n_features, n_components) and bias (n_components,), float32.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    _, sizes, axes = np.linalg.svd(features - mean, full_matrices=False)
    axes = axes[sizes > 1e-6 * max(sizes[0], 1e-12)][:n_components]
    generator = np.random.default_rng((seed, 0x68656164))
    more = generator.normal(0, 0.1 / np.sqrt(features.shape[1]), (n_components - len(axes), features.shape[1]))
    kernel = np.concatenate([axes, more]).T
    return [kernel.astype(np.float32), (-mean @ kernel).astype(np.float32)]


def apply_head(features: np.ndarray, head: list[np.ndarray]) -> np.ndarray:
    """Return the unit vectors of features, (n, n_components) float32, as the network computes them."""
    vectors = features @ head[0] + head[1]
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-7), np.float32)
