"""Compiled graphs, one per process and configuration: the estimator owns the weights, the process owns the graph.

Keras on TensorFlow never frees the memory of a compiled and fitted model. So there is one per configuration: the holder
of its lock puts weights, optimizer state, rates and seeds in, trains or predicts, and takes the weights out.
"""

from __future__ import annotations

import multiprocessing
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from skcnn._keras import building, check_not_forked, has_gpu, import_keras, pinned, set_weights
from skcnn.neural_network._network import (
    Design,
    Parts,
    apply_base,
    apply_head,
    build_parts,
    head_layers,
    learning_base,
    open_layers,
    variable_dropout,
)


class Graph:
    """A network for training and prediction whose weights are put in and taken out.

    Parameters
    ----------
    trainer : keras.Model
        From inputs to the head's output, augmentation included. Compiled at its first training.
    network : keras.Model
        The same without augmentation.
    embedder : keras.Model or None
        From inputs to features, where there is a backbone.
    parts : Parts
        Its layers; ``base`` is None for a head alone.
    dropouts : list
        Layers whose rate is a variable.
    """

    def __init__(self, trainer: Any, network: Any, embedder: Any, parts: Parts, dropouts: list[Any]):
        self.trainer, self.network, self.embedder, self.parts, self.dropouts = (
            trainer, network, embedder, parts, dropouts,
        )  # fmt: skip
        self.lock = threading.RLock()
        self.holds: str | None = None
        self.learns = False
        self._initial_optimizer: list[np.ndarray] = []

    def put(self, base: list[np.ndarray], head: list[np.ndarray], token: str | None = None) -> None:
        """Put weights in; ``token`` identifies them, so that the same ones are not put in again."""
        if token is not None and token == self.holds:
            return
        self.holds = None
        if self.parts.base is not None:
            set_weights(self.parts.base, base)
        for layer, start in zip(self.parts.dense, range(0, len(head), 2), strict=True):
            layer.set_weights(head[start : start + 2])
        self.holds = token

    def take(self) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Return copies of the weights of base and head."""
        base = [] if self.parts.base is None else self.parts.base.get_weights()
        return base, [value for layer in self.parts.dense for value in layer.get_weights()]

    def reset_optimizer(self, values: list[np.ndarray] | None = None) -> None:
        """Reset the optimizer's state to its initial values, or to ``values``."""
        optimizer = self.trainer.optimizer
        if not optimizer.built:
            optimizer.build(self.trainer.trainable_variables)
            self._initial_optimizer = self.optimizer_state()
        for variable, value in zip(
            optimizer.variables, self._initial_optimizer if values is None else values, strict=True
        ):
            variable.assign(value)

    def optimizer_state(self) -> list[np.ndarray]:
        """Return a copy of the optimizer's state."""
        to_numpy = import_keras().ops.convert_to_numpy
        return [np.array(to_numpy(variable)) for variable in self.trainer.optimizer.variables]

    def set_dropout(self, rate: float) -> None:
        """Set the rate of all dropout layers of the head."""
        for layer in self.dropouts:
            layer.rate.assign(rate)

    def seed(self, *numbers: int) -> None:
        """Seed all random layers with these numbers."""
        generator = np.random.default_rng(numbers)
        for variable in self.trainer.variables:
            if variable.name == "seed_generator_state":
                variable.assign(generator.integers(0, 2**31 - 1, variable.shape).astype("uint32"))


_graphs: dict[tuple[Any, ...], Graph] = {}


@contextmanager
def head_graph(design: Design, n_features: int, key: tuple[Any, ...]) -> Iterator[Graph]:
    """Yield the graph of a head alone, from features to its output, with its lock held."""
    key = ("head", n_features, design.hidden_layer_sizes, design.n_outputs, design.activation, *key)

    def build() -> Graph:
        keras = import_keras()
        features = keras.Input((n_features,), name="features")
        dense = head_layers(design)
        dropouts: list[Any] = []
        trainer = _trainer_class()(features, apply_head(features, dense, _remembering(dropouts)))
        network = keras.Model(features, apply_head(features, dense, None))
        return Graph(trainer, network, None, Parts(None, None, dense), dropouts)

    with _locked(key, build) as graph:
        yield graph


@contextmanager
def joined_graph(
    design: Design, unfreeze: Any, augmentation: tuple[list[Any], str], key: tuple[Any, ...]
) -> Iterator[Graph]:
    """Yield the graph of backbone and head, from pixels to the head's output, with its lock held."""
    key = ("joined", design.identity, unfreeze, augmentation[1], *key)

    def build() -> Graph:
        keras = import_keras()
        parts = build_parts(design)
        open_layers(design, parts.network, unfreeze)
        pixels = keras.Input((*design.image_size, 3), dtype="uint8", name="pixels")
        dropouts: list[Any] = []
        learned = apply_base(pixels, design, learning_base(design, parts.base, unfreeze), augmentation[0])
        features = apply_base(pixels, design, parts.base, [])
        trainer = _trainer_class()(pixels, apply_head(learned, parts.dense, _remembering(dropouts)))
        network = keras.Model(pixels, apply_head(features, parts.dense, None))
        return Graph(trainer, network, keras.Model(pixels, features), parts, dropouts)

    with _locked(key, build) as graph:
        yield graph


def clear_graphs() -> None:
    """Remove all compiled graphs of this process. Estimators keep their weights, and rebuild graphs when needed."""
    if _graphs:
        with building():
            _graphs.clear()


def n_graphs() -> int:
    """Return how many compiled graphs this process holds."""
    return len(_graphs)


@contextmanager
def _locked(key: tuple[Any, ...], build: Any) -> Iterator[Graph]:
    check_not_forked()
    with building():
        graph = _graphs.get(key)
        if graph is None:
            _warn_of_shared_gpu()
            graph = _graphs[key] = build()
    with graph.lock, pinned():
        if graph.learns:  # the lock keeps other threads out, and not a callback
            raise RuntimeError(
                "A callback used an estimator that shares the model being trained, which would replace its weights. "
                "Call the estimator after fit, or in another process."
            )
        yield graph


@lru_cache(maxsize=1)
def _trainer_class() -> Any:
    keras = import_keras()

    @keras.saving.register_keras_serializable("skcnn")
    class Trainer(keras.Model):  # type: ignore[name-defined]
        """The model that callbacks see. ``plain``, set in training, makes the network of standard layers of it."""

        plain: Any = None

        def save(self, filepath: Any, overwrite: bool = True, zipped: bool | None = None) -> None:
            """Save the plain network, from pixels to probabilities, which loads without this package."""
            save = super().save if self.plain is None else self.plain().save
            save(filepath, overwrite=overwrite, zipped=zipped)

    return Trainer


def _remembering(dropouts: list[Any]) -> Any:
    def make(number: int) -> Any:
        dropouts.append(variable_dropout()())
        return dropouts[-1]

    return make


def _warn_of_shared_gpu() -> None:
    if multiprocessing.current_process().name == "MainProcess" or _graphs:
        return
    if has_gpu():
        warnings.warn(
            "A worker process puts a network on a GPU that other workers use too; they may run out of GPU memory. Use "
            "n_jobs=1, which is as fast on a GPU.",
            stacklevel=2,
        )
