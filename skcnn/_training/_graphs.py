"""Compiled graphs, one per process and configuration: the estimator owns the weights, the process owns the graph.

Keras on TensorFlow never frees the memory of a compiled and fitted model. So there is one per configuration: the holder
of its lock puts weights, optimizer state, rates and seeds in, trains or predicts, and takes the weights out.
"""

from __future__ import annotations

import multiprocessing
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np

from skcnn._keras import building, check_not_forked, has_gpu, import_keras, pinned, set_weights
from skcnn._timing import timed
from skcnn._training._devices import devices_in_training
from skcnn._training._layers import variable_dropout

#: Weights by group, such as "base" and "head"; the arrays of a group in the order of its layers.
Weights = dict[str, list[np.ndarray]]

#: Graphs that a process keeps. A search over networks may need many, one after the other. The arrays of one that is let
#: go are freed; what TensorFlow compiled for it stays, some MB each.
MAX_GRAPHS = 24


class Graph:
    """A model whose weights are put in and taken out.

    Parameters
    ----------
    model : keras.Model
        To train, or to predict with. One that is trained is compiled at its first training.
    groups : mapping of str to sequence of layers or models
        Whose weights these are.
    """

    def __init__(self, model: Any, groups: Mapping[str, Sequence[Any]]):
        self.model, self.groups = model, dict(groups)
        self.lock = threading.RLock()
        self.n_users = 0
        self.holds: str | None = None
        self.learns = False
        self._initial_optimizer: list[np.ndarray] = []

    def put(self, weights: Weights, token: str | None = None) -> None:
        """Put the weights of all groups in; ``token`` identifies them, so that the same are not put in again."""
        if token is not None and token == self.holds:
            return
        self.holds = None
        for name, layers in self.groups.items():
            values, start = weights[name], 0
            for layer in layers:
                end = start + len(layer.weights)
                set_weights(layer, values[start:end])
                start = end
        self.holds = token

    def take(self, groups: Iterable[str]) -> Weights:
        """Return copies of the weights of these groups."""
        return {name: [value for layer in self.groups[name] for value in layer.get_weights()] for name in groups}

    def predict(self, values: np.ndarray) -> np.ndarray:
        """Return what the model gives for a batch."""
        with timed("model", len(values)):
            return np.asarray(self.model.predict_on_batch(values))

    def reset_optimizer(self, values: list[np.ndarray] | None = None) -> None:
        """Reset the optimizer's state to its initial values, or to ``values``."""
        optimizer = self.model.optimizer
        if not optimizer.built:
            optimizer.build(self.model.trainable_variables)
            self._initial_optimizer = self.optimizer_state()
        for variable, value in zip(
            optimizer.variables, self._initial_optimizer if values is None else values, strict=True
        ):
            variable.assign(value)

    def optimizer_state(self) -> list[np.ndarray]:
        """Return a copy of the optimizer's state."""
        to_numpy = import_keras().ops.convert_to_numpy
        return [np.array(to_numpy(variable)) for variable in self.model.optimizer.variables]

    def set_dropout(self, rate: float) -> None:
        """Set the rate of all dropout layers whose rate is a variable."""
        for layer in self.model.layers:
            if isinstance(layer, variable_dropout()):
                layer.rate.assign(rate)

    def seed(self, *numbers: int) -> None:
        """Seed all random layers with these numbers."""
        generator = np.random.default_rng(numbers)
        for variable in self.model.variables:
            if variable.name == "seed_generator_state":
                variable.assign(generator.integers(0, 2**31 - 1, variable.shape).astype("uint32"))


_graphs: OrderedDict[tuple[Any, ...], Graph] = OrderedDict()


@contextmanager
def get_graph(key: tuple[Any, ...], build: Callable[[], Graph]) -> Iterator[Graph]:
    """Yield the graph of this process for a key, with its lock held; ``build`` makes it where there is none.

    Parameters
    ----------
    key : tuple
        All that decides the form of the graph. What is put in (weights, rates, seeds) is not part of it.
    build : callable
        Makes the graph, in a block of :func:`~skcnn._keras.building`.

    Raises
    ------
    RuntimeError
        In a process that was forked from one in which a network ran; and in a callback of the graph's own training.
    """
    check_not_forked()
    devices = devices_in_training()
    if devices is not None:
        key = (*key, devices.names)
    with building():
        graph = _graphs.get(key)
        if graph is None:
            _warn_of_shared_gpu()
            with timed("start"):
                graph = _graphs[key] = build()
        graph.n_users += 1
        _graphs.move_to_end(key)
        for other in [name for name, kept in _graphs.items() if not kept.n_users][: max(0, len(_graphs) - MAX_GRAPHS)]:
            del _graphs[other]
    try:
        with graph.lock, pinned():
            if graph.learns:  # the lock keeps other threads out, and not a callback
                raise RuntimeError(
                    "A callback used an estimator that shares the model being trained, which would replace its "
                    "weights. Call the estimator after fit, or in another process."
                )
            yield graph
    finally:
        with building():
            graph.n_users -= 1


def clear_graphs() -> None:
    """Remove all compiled graphs of this process. Estimators keep their weights, and rebuild graphs when needed."""
    if _graphs:
        with building():
            _graphs.clear()


def n_graphs() -> int:
    """Return how many compiled graphs this process holds."""
    return len(_graphs)


def trainer_class() -> Any:
    """Return the class of models that are trained, which callbacks may save."""
    return _trainer_class() if devices_in_training() is None else _sharing_class()


@lru_cache(maxsize=1)
def _trainer_class() -> Any:
    keras = import_keras()

    @keras.saving.register_keras_serializable("skcnn")
    class Trainer(keras.Model):  # type: ignore[name-defined]
        """The model that callbacks see. ``plain``, set in training, makes the network of standard layers of it."""

        plain: Any = None

        def save(self, filepath: Any, overwrite: bool = True, zipped: bool | None = None) -> None:
            """Save the plain network, from pixels to what it predicts, which loads without this package."""
            save = super().save if self.plain is None else self.plain().save
            save(filepath, overwrite=overwrite, zipped=zipped)

    return Trainer


@lru_cache(maxsize=1)
def _sharing_class() -> Any:
    keras = import_keras()
    ops = keras.ops

    @keras.saving.register_keras_serializable("skcnn")
    class SharingTrainer(_trainer_class()):  # type: ignore[misc]
        """A model whose batches devices share: some of their rows may be padded, those of weight 0."""

        def compile(self, *args: Any, **options: Any) -> None:
            """Compile the model; metrics do not see padded rows."""
            options["weighted_metrics"] = options.pop("metrics", None)
            super().compile(*args, **options)

        def get_compile_config(self) -> None:
            """Return None: the caller that makes a copy compiles it."""

        def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> dict[str, Any]:
            """Update the metrics; all rows count alike, except padded ones."""
            if sample_weight is not None:
                sample_weight = keras.tree.map_structure(
                    lambda weights: ops.cast(ops.not_equal(weights, 0), "float32"), sample_weight
                )
            return super().compute_metrics(x, y, y_pred, sample_weight)

    return SharingTrainer


def _warn_of_shared_gpu() -> None:
    if multiprocessing.current_process().name == "MainProcess" or _graphs:
        return
    if has_gpu():
        warnings.warn(
            "A worker process puts a network on a GPU that other workers use too; they may run out of GPU memory. Use "
            "n_jobs=1, which is as fast on a GPU.",
            stacklevel=2,
        )
