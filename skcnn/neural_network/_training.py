"""A training run: phases of epochs, the state between them, and early stopping."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from skcnn._keras import import_keras
from skcnn.neural_network._bar import bars_of_phase
from skcnn.neural_network._data import make_batches
from skcnn.neural_network._graph import Graph
from skcnn.neural_network._schedule import best_index, is_over, rate_at
from skcnn.neural_network._scikeras import drive


class Phase(NamedTuple):
    """Epochs with the same trainable layers and the same initial learning rate."""

    name: str
    epochs: int
    learning_rate: float
    unfreeze: Any


class Source(NamedTuple):
    """The inputs of a phase, and its graph.

    ``graph()`` is a context that yields the graph with its lock held; ``first_base`` returns the backbone's initial
    weights if the graph has a backbone; ``plain`` makes a model of standard layers of the weights of base and head.
    """

    read: Callable[[np.ndarray], np.ndarray]
    graph: Callable[[], AbstractContextManager[Graph]]
    first_base: Callable[[], list[np.ndarray]] | None
    plain: Callable[[list[np.ndarray], list[np.ndarray]], Any]


class Rows(NamedTuple):
    """Rows of the training or validation set: numbers, class indices, targets, weights."""

    numbers: np.ndarray
    codes: np.ndarray
    targets: np.ndarray
    weights: np.ndarray

    def take(self, places: np.ndarray) -> Rows:
        """Return some of the rows."""
        return Rows(*(part[places] for part in self))


@dataclass(frozen=True)
class Settings:
    """The settings of all phases of a run."""

    optimizer: Callable[[], Any]
    loss: Any
    schedule: str
    patience: int
    dropout: float
    batch_size: int
    seed: int
    verbose: int | str
    callbacks: tuple[Callable[[], Any], ...]


@dataclass
class Progress:
    """The state of a run, from which it can be resumed.

    ``base`` is empty as long as the backbone has its initial weights. ``phase`` and ``epoch`` count completed ones.
    """

    base: list[np.ndarray] = field(default_factory=list)
    head: list[np.ndarray] = field(default_factory=list)
    optimizer: list[np.ndarray] = field(default_factory=list)
    best_base: list[np.ndarray] = field(default_factory=list)
    best_head: list[np.ndarray] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    phase: int = 0
    epoch: int = 0
    finished: bool = False

    @property
    def best_epoch(self) -> int:
        """The number of the epoch with the smallest validation loss; the last one without a validation set."""
        if self.history and "val_loss" in self.history[-1]:
            return best_index([row["val_loss"] for row in self.history]) + 1
        return len(self.history)


def run(
    progress: Progress,
    phases: list[Phase],
    source: Callable[[Phase], Source],
    rows: Rows,
    validation: Rows | None,
    settings: Settings,
    save: Callable[[Progress], None] | None = None,
) -> None:
    """Train from the state ``progress`` to the end, and update it.

    Parameters
    ----------
    progress : Progress
        Changed in place.
    phases : list of Phase
        In order.
    source : callable
        From a phase to its source of inputs.
    rows, validation : Rows
        With a validation set, phases may end early, and the weights of the best epoch are restored.
    settings : Settings
        Settings of all phases.
    save : callable or None
        Called with ``progress`` after every epoch.
    """
    for number in range(progress.phase, len(phases)):
        if progress.epoch < phases[number].epochs and not _phase_is_over(progress, phases[number], settings):
            _run_phase(progress, number, phases[number], source(phases[number]), rows, validation, settings, save)
        if validation is not None and progress.history:
            progress.base, progress.head = progress.best_base, progress.best_head
        progress.phase, progress.epoch, progress.optimizer = number + 1, 0, []
    progress.best_base, progress.best_head, progress.finished = [], [], True
    if save is not None:
        save(progress)


def run_epoch(
    progress: Progress, phase: Phase, source: Source, rows: Rows, settings: Settings, optimizer: list[np.ndarray]
) -> list[np.ndarray]:
    """Train one more epoch on rows; takes and returns the optimizer's state."""
    progress.epoch, progress.optimizer = 0, optimizer
    number = len(progress.history)  # another order and other augmentation each time
    _run_phase(progress, number, phase, source, rows, None, settings, None, keep_optimizer=True)
    return progress.optimizer


def _phase_is_over(progress: Progress, phase: Phase, settings: Settings) -> bool:
    losses = [row["val_loss"] for row in _rows_of(progress, phase) if "val_loss" in row]
    return bool(losses) and is_over(losses, settings.patience)


def _rows_of(progress: Progress, phase: Phase) -> list[dict[str, Any]]:
    return [row for row in progress.history if row["phase"] == phase.name]


def _run_phase(
    progress: Progress,
    number: int,
    phase: Phase,
    source: Source,
    rows: Rows,
    validation: Rows | None,
    settings: Settings,
    save: Callable[[Progress], None] | None,
    keep_optimizer: bool = False,
) -> None:
    batches = make_batches(
        source.read, rows.numbers, rows.targets, rows.weights, settings.batch_size, (settings.seed, number)
    )
    held_out = None
    if validation is not None:
        held_out = make_batches(
            source.read, validation.numbers, validation.targets, validation.weights, settings.batch_size, None
        )
    with source.graph() as graph:

        def train(model: Any) -> dict[str, list[Any]]:
            base = progress.base
            if not base and source.first_base is not None:
                base = source.first_base()
            graph.put(base, progress.head)
            graph.reset_optimizer(progress.optimizer or None)
            graph.set_dropout(settings.dropout)
            keeper = _keeper_class()(graph, progress, number, phase, batches, settings, save, keep_optimizer)
            model.plain = lambda: source.plain(*graph.take())
            bars = bars_of_phase(
                settings.verbose, phase.name, len(rows.codes), settings.batch_size, phase.epochs - progress.epoch
            )
            try:
                graph.learns = True
                history = model.fit(
                    batches,
                    epochs=phase.epochs,
                    initial_epoch=progress.epoch,
                    validation_data=held_out,
                    shuffle=False,
                    verbose=0 if settings.verbose == "auto" else min(int(settings.verbose), 2),
                    callbacks=[*map(_made, settings.callbacks), keeper, *bars],
                )
            except Exception:
                for dataset in (batches, held_out):
                    if dataset is not None and dataset.error is not None:
                        raise dataset.error from None
                raise
            finally:
                graph.holds, graph.learns, model.plain = None, False, None
            return dict(history.history)

        drive(
            graph.trainer, len(rows.codes), rows.codes, optimizer=settings.optimizer(), loss=settings.loss, train=train
        )


@lru_cache(maxsize=1)
def _keeper_class() -> Any:
    keras = import_keras()

    class Keeper(keras.callbacks.Callback):  # type: ignore[name-defined]
        """Sets rates and seeds before every epoch, and stores the weights after it."""

        def __init__(
            self,
            graph: Graph,
            progress: Progress,
            number: int,
            phase: Phase,
            batches: Any,
            settings: Settings,
            save: Callable[[Progress], None] | None,
            keep_optimizer: bool,
        ):
            super().__init__()
            self.graph, self.progress, self.number, self.phase = graph, progress, number, phase
            self.batches, self.settings, self.save, self.keep_optimizer = batches, settings, save, keep_optimizer
            self.epoch = progress.epoch

        def _set_rate(self, step: int) -> None:
            n_steps = self.phase.epochs * len(self.batches)
            losses = [row.get("val_loss", row["loss"]) for row in _rows_of(self.progress, self.phase)]
            self.rate = rate_at(
                self.settings.schedule, self.phase.learning_rate, step / n_steps, losses, _plateau(self.settings)
            )
            self.graph.trainer.optimizer.learning_rate = self.rate

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch = epoch
            self.batches.start_epoch(epoch)
            self.graph.seed(self.settings.seed, self.number, epoch)
            self._set_rate(epoch * len(self.batches))

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if self.settings.schedule == "cosine" and batch:
                self._set_rate(self.epoch * len(self.batches) + batch)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            progress, logs = self.progress, {key: float(value) for key, value in (logs or {}).items()}
            row = {"phase": self.phase.name, "epoch": len(progress.history) + 1, **logs, "learning_rate": self.rate}
            if not math.isfinite(row["loss"]):
                raise ValueError(
                    f"The loss is {row['loss']} after epoch {row['epoch']} (phase {self.phase.name!r}): training "
                    f"diverged. Use a smaller learning rate than {self.phase.learning_rate}."
                )
            progress.history.append(row)
            progress.epoch = epoch + 1
            is_best = "val_loss" in row and progress.best_epoch == len(progress.history)
            losses = [row["val_loss"] for row in _rows_of(progress, self.phase) if "val_loss" in row]
            stops = bool(losses) and is_over(losses, self.settings.patience)
            if is_best or self.save is not None:
                self._take()
            if is_best:
                progress.best_base, progress.best_head = progress.base, progress.head
            if self.save is not None or self.keep_optimizer:
                progress.optimizer = self.graph.optimizer_state()
            if stops:
                self.model.stop_training = True
            if self.save is not None and not self.model.stop_training and progress.epoch < self.phase.epochs:
                self.save(progress)

        def on_train_end(self, logs: Any = None) -> None:
            # Not before: callbacks and averaging optimizers may replace the weights after the last epoch.
            if "val_loss" not in self.progress.history[-1]:
                self._take()
            self.progress.epoch = self.phase.epochs  # it is over, also where a callback ended it
            if self.save is not None:
                self.save(self.progress)

        def _take(self) -> None:
            base, self.progress.head = self.graph.take()
            self.progress.base = base if self.phase.unfreeze is not None else self.progress.base

    return Keeper


def _made(make: Callable[[], Any]) -> Any:
    """Return the callback that a factory makes."""
    callbacks = import_keras().callbacks
    callback = make()
    if not isinstance(callback, callbacks.Callback):
        raise TypeError(f"callbacks contains {make!r}, which returned {callback!r}; expected a Keras callback")
    if isinstance(callback, (callbacks.LearningRateScheduler, callbacks.ReduceLROnPlateau)):
        raise ValueError(
            f"{type(callback).__name__} among the callbacks would have no effect; use learning_rate and "
            "learning_rate_schedule ('cosine', 'plateau') instead."
        )
    return callback


def _plateau(settings: Settings) -> int:
    # Half as long as stopping takes, so that a smaller rate is tried before the end.
    return max(1, settings.patience // 2)
