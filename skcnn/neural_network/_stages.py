"""What the phases of an estimator train on: features that are known, or pixels; and the graphs that they train."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from skcnn._keras import import_keras
from skcnn._training import (
    Graph,
    Read,
    Stage,
    Weights,
    as_augmentation,
    get_graph,
    split_network,
    trainer_class,
    variable_dropout,
)
from skcnn.neural_network._network import (
    Design,
    Parts,
    apply_base,
    apply_head,
    build_parts,
    head_layers,
    initial_base,
    learning_base,
    open_names,
    open_network,
    plain_model,
)


@dataclass(frozen=True)
class Trained:
    """What decides the training graphs of an estimator, beside what is open.

    Parameters
    ----------
    design : Design
        The network.
    augmentation : keras layers or None
        Parameter of the estimator.
    dropout : float
        Of the plain model.
    compiled : tuple
        Identifies loss and optimizer, which are compiled into the graph.
    scaling : tuple of (scale, offset) or None
        What the plain model does with the head's output.
    """

    design: Design
    augmentation: Any
    dropout: float
    compiled: tuple[Any, ...]
    scaling: tuple[np.ndarray, np.ndarray] | None

    def on_features(self, n_features: int, inputs: Inputs, examples: Examples) -> Stage:
        """Return the stage that trains the head on the features of rows."""
        key = ("train", "head", n_features, *self._head_key, *self.compiled)

        def build() -> Graph:
            inputs = import_keras().Input((n_features,), name="features")
            dense = head_layers(self.design)
            return Graph(trainer_class()(inputs, apply_head(inputs, dense, _dropout)), {"head": dense})

        read, read_held_out = examples.read(inputs), examples.read_unchanged(inputs)
        return Stage(lambda: get_graph(key, build), read, dict, ["head"], self.plain, read_held_out)

    def on_pixels(self, inputs: Inputs, unfreeze: Any, examples: Examples) -> Stage:
        """Return the stage that trains open layers and head on the pixels of rows."""
        layers, identity = as_augmentation(self.augmentation)
        design = self.design
        key = ("train", "pixels", design.identity, unfreeze, identity, *self.compiled)

        def build() -> Graph:
            parts = build_parts(design)
            open_network(design, parts.network, unfreeze)
            pixels = import_keras().Input((*design.image_size, 3), dtype="uint8", name="pixels")
            features = apply_base(pixels, design, learning_base(design, parts.base, unfreeze), layers)
            outputs = apply_head(features, parts.dense, _dropout)
            return Graph(trainer_class()(pixels, outputs), {"base": [parts.base], "head": parts.dense})

        return Stage(
            lambda: get_graph(key, build),
            examples.read(inputs),
            lambda: {"base": initial_base(design).weights},
            ["head"] if unfreeze is None else ["base", "head"],
            self.plain,
        )

    def on_activations(self, inputs: Inputs, unfreeze: Any, examples: Examples) -> Stage:
        """Return the stage that trains open layers and head on what the frozen layers before them give for rows."""
        design = self.design
        key = ("train", "suffix", design.identity, unfreeze, *self.compiled)

        def build() -> Graph:
            parts = build_parts(design)
            open_network(design, parts.network, unfreeze)
            suffix = _suffix(design, parts, unfreeze)
            values = import_keras().Input(suffix.input_shape[1:], name="activations")
            outputs = apply_head(learning_base(design, suffix, unfreeze)(values), parts.dense, _dropout)
            return Graph(trainer_class()(values, outputs), {"base": [parts.base], "head": parts.dense})

        return Stage(
            lambda: get_graph(key, build),
            examples.read(inputs),
            lambda: {"base": initial_base(design).weights},
            ["base", "head"],
            self.plain,
            examples.read_unchanged(inputs),
        )

    @property
    def _head_key(self) -> tuple[Any, ...]:
        return self.design.hidden_layer_sizes, self.design.n_outputs, self.design.activation

    def plain(self, weights: Weights) -> Any:
        """Return a Keras model of standard layers, from pixels to the head's output, with these weights."""
        base = weights.get("base") or initial_base(self.design).weights
        return plain_model(self.design, self.dropout, base, weights["head"], scaling=self.scaling)


@dataclass(frozen=True)
class Inputs:
    """What a network is trained on.

    Parameters
    ----------
    read : callable
        From row numbers to what these rows are.
    read_views : callable or None, default=None
        From numbers of views (``row * n_views + view``) to what they are: see :class:`skcnn._training.Views`.
    n_views : int, default=1
        Of each row.
    """

    read: Callable[[np.ndarray], np.ndarray]
    read_views: Callable[[np.ndarray], np.ndarray] | None = None
    n_views: int = 1


@dataclass(frozen=True)
class Examples:
    """Targets and weights of all rows: arrays of shape (n_rows, ...) and (n_rows,)."""

    targets: np.ndarray
    weights: np.ndarray

    def read(self, inputs: Inputs) -> Read:
        """Return the function that reads the rows of a batch of the training set: one view of each, drawn at random."""
        if inputs.read_views is None:
            return self.read_unchanged(inputs)
        read_views, n_views = inputs.read_views, inputs.n_views

        def read(rows: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            views = rows * n_views + generator.integers(n_views, size=len(rows))
            return read_views(views), self.targets[rows], self.weights[rows]

        return read

    def read_unchanged(self, inputs: Inputs) -> Read:
        """Return the function that reads the rows of a batch without views."""
        return lambda rows, generator: (inputs.read(rows), self.targets[rows], self.weights[rows])


def head_graph(design: Design, n_features: int) -> AbstractContextManager[Graph]:
    """Return a context that yields the graph that predicts from features (n, n_features)."""
    key = ("predict", "head", n_features, design.hidden_layer_sizes, design.n_outputs, design.activation)

    def build() -> Graph:
        keras = import_keras()
        inputs = keras.Input((n_features,), name="features")
        dense = head_layers(design)
        return Graph(keras.Model(inputs, apply_head(inputs, dense, None)), {"head": dense})

    return get_graph(key, build)


def network_graph(design: Design) -> AbstractContextManager[Graph]:
    """Return a context that yields the graph that predicts from pixels (n, height, width, 3)."""

    def build() -> Graph:
        keras = import_keras()
        parts = build_parts(design)
        pixels = keras.Input((*design.image_size, 3), dtype="uint8", name="pixels")
        outputs = apply_head(apply_base(pixels, design, parts.base, []), parts.dense, None)
        return Graph(keras.Model(pixels, outputs), {"base": [parts.base], "head": parts.dense})

    return get_graph(("predict", "network", design.identity), build)


def suffix_graph(design: Design, unfreeze: Any) -> AbstractContextManager[Graph]:
    """Return a context that yields the graph that predicts from what the layers before the open ones give."""

    def build() -> Graph:
        keras = import_keras()
        parts = build_parts(design)
        suffix = _suffix(design, parts, unfreeze)
        values = keras.Input(suffix.input_shape[1:], name="activations")
        outputs = apply_head(suffix(values), parts.dense, None)
        return Graph(keras.Model(values, outputs), {"base": [parts.base], "head": parts.dense})

    return get_graph(("predict", "suffix", design.identity, unfreeze), build)


def _suffix(design: Design, parts: Parts, unfreeze: Any) -> Any:
    """Return the model from the values at the cut to features, which shares the layers of the network."""
    names = open_names(design, parts.network, unfreeze)
    output = parts.base.outputs[0]
    return split_network(parts.network, names, output, image_size=design.image_size).suffix()


def base_graph(design: Design) -> AbstractContextManager[Graph]:
    """Return a context that yields the graph from pixels (n, height, width, 3) to the input of the head."""

    def build() -> Graph:
        keras = import_keras()
        parts = build_parts(design)
        pixels = keras.Input((*design.image_size, 3), dtype="uint8", name="pixels")
        return Graph(keras.Model(pixels, apply_base(pixels, design, parts.base, [])), {"base": [parts.base]})

    return get_graph(("predict", "base", design.identity), build)


def _dropout(number: int) -> Any:
    return variable_dropout()()
