"""A training run: phases of epochs, the state between them, and early stopping."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np

from skcnn._keras import import_keras
from skcnn._timing import count_images, timed
from skcnn._training._bar import bars_of_phase
from skcnn._training._batches import Read, Sampler, in_order, make_batches, shuffled
from skcnn._training._devices import Devices, shared_devices, training_on, true_losses
from skcnn._training._graphs import Graph, Weights
from skcnn._training._schedules import BY_BATCH, best_index, is_over, rate_at

#: Called with a model and a function: compiles the model, unless it is compiled, and calls the function with it, which
#: trains it and returns Keras's history.
Driver = Callable[[Any, Callable[[Any], dict[str, Any]]], None]


class Phase(NamedTuple):
    """Epochs with the same trainable layers and the same initial learning rate."""

    name: str
    epochs: int
    learning_rate: float
    unfreeze: Any = None


class Stage(NamedTuple):
    """What a phase trains, and on what.

    Parameters
    ----------
    graph : callable
        Returns a context that yields the graph, with its lock held.
    read : callable
        Reads the rows of a batch: see :data:`Read`.
    initial : callable
        Returns the weights of groups that have not learned yet.
    learning : sequence of str
        The groups that learn in this phase.
    plain : callable
        From weights to a model of standard layers.
    read_held_out : callable or None, default=None
        Reads the rows of a batch of the validation set, where that is done otherwise.
    """

    graph: Callable[[], AbstractContextManager[Graph]]
    read: Read
    initial: Callable[[], Weights]
    learning: Sequence[str]
    plain: Callable[[Weights], Any]
    read_held_out: Read | None = None


@dataclass(frozen=True)
class Monitor:
    """The metric by which early stopping and the best epoch are decided, and which values are better."""

    name: str = "val_loss"
    mode: Literal["min", "max"] = "min"

    def values(self, rows: Sequence[dict[str, Any]]) -> list[float]:
        """Return its value in each row of a history that has it; less is better."""
        sign = 1 if self.mode == "min" else -1
        return [sign * row[self.name] for row in rows if self.name in row]


@dataclass(frozen=True)
class Settings:
    """The settings of all phases of a run."""

    driver: Driver
    schedule: str
    patience: int
    batch_size: int
    seed: int
    verbose: int | str = 0
    callbacks: tuple[Callable[[], Any], ...] = ()
    dropout: float = 0.0
    monitor: Monitor = Monitor()


@dataclass
class Progress:
    """The state of a run, from which it can be resumed.

    ``weights`` holds the groups that have learned; others have their initial weights. ``phase`` and ``epoch`` count
    completed ones.
    """

    weights: Weights = field(default_factory=dict)
    best: Weights = field(default_factory=dict)
    optimizer: list[np.ndarray] = field(default_factory=list)
    history: list[dict[str, Any]] = field(default_factory=list)
    phase: int = 0
    epoch: int = 0
    finished: bool = False

    def best_epoch(self, monitor: Monitor) -> int:
        """Return the number of the best epoch; the last one where nothing is monitored."""
        values = monitor.values(self.history)
        return best_index(values) + 1 if values else len(self.history)


@dataclass(frozen=True)
class Run:
    """A run that is to be made.

    Parameters
    ----------
    stage : callable
        From a phase to its stage.
    rows : ndarray of int
        Rows that are trained on.
    validation : ndarray of int or None
        Rows of the validation set. With one, phases may end early, and the weights of the best epoch are restored.
    settings : Settings
        Settings of all phases.
    save : callable or None, default=None
        Called with the progress after every epoch.
    keep_optimizer : bool, default=False
        Whether the progress holds the state of the optimizer at the end.
    sampler : callable, default=shuffled
        From rows and batch size to what decides which rows make up the batches of an epoch.
    is_shareable : bool, default=False
        Whether devices may share batches: the loss is a mean over rows, and no layer looks at several rows.
    devices : Devices or None, default=None
        Those that share them; found out when the run begins.
    """

    stage: Callable[[Phase], Stage]
    rows: np.ndarray
    validation: np.ndarray | None
    settings: Settings
    save: Callable[[Progress], None] | None = None
    keep_optimizer: bool = False
    sampler: Callable[[np.ndarray, int], Sampler] = shuffled
    is_shareable: bool = False
    devices: Devices | None = None


def train(run: Run, progress: Progress, phases: Sequence[Phase]) -> None:
    """Train from the state ``progress`` to the end of all phases, and update it in place."""
    run = _on_devices(run)
    for number in range(progress.phase, len(phases)):
        phase = phases[number]
        if progress.epoch < phase.epochs and not _is_over(progress, phase, run.settings):
            _train_phase(run, progress, phase, number)
        if run.validation is not None and progress.history:
            progress.weights = progress.best
        progress.phase, progress.epoch, progress.optimizer = number + 1, 0, []
    progress.best, progress.finished = {}, True
    if run.save is not None:
        run.save(progress)


def train_epoch(run: Run, progress: Progress, phase: Phase) -> None:
    """Train one more epoch, from the optimizer's state of ``progress`` on, and update both."""
    progress.epoch = 0
    run = _on_devices(run)
    _train_phase(run, progress, phase, len(progress.history))  # another order and other augmentation each time


def _on_devices(run: Run) -> Run:
    """Return the run as it is made by the devices that are chosen for it."""
    devices = shared_devices() if run.is_shareable else None
    if devices is None:
        return run
    settings, save = run.settings, run.save
    n_devices, batch_size = len(devices.names), settings.batch_size * devices.scaling
    if batch_size % n_devices:
        raise ValueError(
            f"batch_size={batch_size} on {n_devices} devices; expected a multiple of {n_devices}, of which each device "
            "gets an equal part."
        )
    devices.check_equal(settings.seed, len(run.rows))
    settings = replace(settings, batch_size=batch_size)
    if devices.rank:  # the first process shows progress, and saves
        settings = replace(settings, verbose=0)
        save = None if save is None else _save_nothing
    return replace(run, settings=settings, save=save, devices=devices)


def _save_nothing(progress: Progress) -> None:
    """Leave saving to another process."""


def _is_over(progress: Progress, phase: Phase, settings: Settings) -> bool:
    values = settings.monitor.values(_rows_of(progress, phase))
    return bool(values) and is_over(values, settings.patience)


def _rows_of(progress: Progress, phase: Phase) -> list[dict[str, Any]]:
    return [row for row in progress.history if row["phase"] == phase.name]


def _train_phase(run: Run, progress: Progress, phase: Phase, number: int) -> None:
    stage, settings, devices = run.stage(phase), run.settings, run.devices
    sharing: Callable[[Read], Read] = (lambda read: read) if devices is None else devices.sharing
    if devices is not None:
        phase = phase._replace(learning_rate=phase.learning_rate * devices.scaling)
    batches = make_batches(sharing(stage.read), run.sampler(run.rows, settings.batch_size), (settings.seed, number))
    held_out = None
    if run.validation is not None:
        read = stage.read if stage.read_held_out is None else stage.read_held_out
        held_out = make_batches(sharing(read), in_order(run.validation, settings.batch_size), (settings.seed, number))
    first = [] if devices is None else [true_losses(devices, batches, held_out)]
    with training_on(devices), stage.graph() as graph:

        def fit(model: Any) -> dict[str, list[Any]]:
            graph.put({**stage.initial(), **progress.weights})
            graph.reset_optimizer(progress.optimizer or None)
            graph.set_dropout(settings.dropout)
            model.plain = lambda: stage.plain({**stage.initial(), **progress.weights, **graph.take(stage.learning)})
            keeper = _keeper_class()(run, progress, phase, number, stage, graph, batches)
            bars = bars_of_phase(
                settings.verbose, phase.name, len(run.rows), settings.batch_size, phase.epochs - progress.epoch
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
                    callbacks=[*first, *map(_made, settings.callbacks), keeper, *bars],
                )
            except Exception:
                for dataset in (batches, held_out):
                    if dataset is not None and dataset.error is not None:
                        raise dataset.error from None
                raise
            finally:
                graph.holds, graph.learns, model.plain = None, False, None
            return dict(history.history)

        with timed("model"):
            settings.driver(graph.model, fit)


@lru_cache(maxsize=1)
def _keeper_class() -> Any:
    keras = import_keras()

    class Keeper(keras.callbacks.Callback):  # type: ignore[name-defined]
        """Sets rates and seeds before every epoch, and stores the weights after it."""

        def __init__(
            self, run: Run, progress: Progress, phase: Phase, number: int, stage: Stage, graph: Graph, batches: Any
        ):
            super().__init__()
            self.run, self.settings, self.progress = run, run.settings, progress
            self.phase, self.number, self.stage = phase, number, stage
            self.graph, self.batches = graph, batches
            self.epoch = progress.epoch

        def _set_rate(self, step: int) -> None:
            n_steps = self.phase.epochs * len(self.batches)
            rows = _rows_of(self.progress, self.phase)
            losses = [row.get("val_loss", row["loss"]) for row in rows]
            patience = max(1, self.settings.patience // 2)  # a smaller rate is tried before the phase ends
            self.rate = rate_at(self.settings.schedule, self.phase.learning_rate, step / n_steps, losses, patience)
            # Not of the graph: on JAX, what is set between batches counts only where the callback asks for its model.
            self.model.optimizer.learning_rate = self.rate

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch = epoch
            self.batches.start_epoch(epoch)
            self.graph.seed(self.settings.seed, self.number, epoch)
            self._set_rate(epoch * len(self.batches))

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if self.settings.schedule in BY_BATCH and batch:
                self._set_rate(self.epoch * len(self.batches) + batch)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            progress, settings = self.progress, self.settings
            logs = {key: float(value) for key, value in (logs or {}).items()}
            row = {"phase": self.phase.name, "epoch": len(progress.history) + 1, **logs, "learning_rate": self.rate}
            if not math.isfinite(row["loss"]):
                raise ValueError(
                    f"The loss is {row['loss']} after epoch {row['epoch']} (phase {self.phase.name!r}): training "
                    f"diverged. Use a smaller learning rate than {self.phase.learning_rate}."
                )
            progress.history.append(row)
            count_images("model", len(self.run.rows))
            progress.epoch = epoch + 1
            is_monitored = settings.monitor.name in row
            is_best = is_monitored and progress.best_epoch(settings.monitor) == len(progress.history)
            if is_best or self.run.save is not None:
                self._take()
            if is_best:
                progress.best = progress.weights
            if self.run.save is not None or self.run.keep_optimizer:
                progress.optimizer = self.graph.optimizer_state()
            if is_monitored and _is_over(progress, self.phase, settings):
                self.model.stop_training = True
            if self.run.save is not None and not self.model.stop_training and progress.epoch < self.phase.epochs:
                self.run.save(progress)

        def on_train_end(self, logs: Any = None) -> None:
            # Not before: callbacks and averaging optimizers may replace the weights after the last epoch.
            if self.settings.monitor.name not in self.progress.history[-1]:
                self._take()
            self.progress.epoch = self.phase.epochs  # it is over, also where a callback ended it
            if self.run.save is not None:
                self.run.save(self.progress)

        def _take(self) -> None:
            self.progress.weights = {**self.progress.weights, **self.graph.take(self.stage.learning)}

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
