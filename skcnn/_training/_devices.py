"""Devices that share the batches of a training: equal parts of each, and the loss of the whole.

The devices of a batch get the same number of rows. A smaller last batch is padded with rows of weight 0, and the
weights of the others are raised by as much as Keras's mean over rows is lowered.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from skcnn._keras import import_keras, start_keras
from skcnn._training._batches import Read
from skcnn.devices import chosen_devices


@dataclass(frozen=True)
class Devices:
    """Two or more devices that share batches.

    Parameters
    ----------
    names : tuple of str
        As the backend calls them.
    scope : callable
        Returns the context in which a graph is built, compiled and trained.
    rank, n_ranks : int
        Number of this process, and how many there are.
    scaling : int, default=1
        By what batch sizes and learning rates are multiplied.
    """

    names: tuple[str, ...]
    scope: Callable[[], AbstractContextManager[Any]]
    rank: int = 0
    n_ranks: int = 1
    scaling: int = 1

    def check_equal(self, seed: int, n_rows: int) -> None:
        """See that all processes draw the same batches."""
        if self.n_ranks == 1:
            return
        from jax.experimental import multihost_utils

        own = np.array([seed, n_rows], np.int32)
        found = np.unique(np.asarray(multihost_utils.process_allgather(own)).reshape(self.n_ranks, 2), axis=0)
        if len(found) > 1:
            raise ValueError(
                f"The {self.n_ranks} processes have other seeds or numbers of images to train on (process {self.rank}: "
                f"seed {seed}, {n_rows:,} images); expected the same data and the same integer random_state in all."
            )

    def padded(self, n_rows: int) -> int:
        """Return the number of rows that a batch is padded to."""
        return -(-n_rows // len(self.names)) * len(self.names)

    def sharing(self, read: Read) -> Read:
        """Return the function that reads this process's part of a batch, padded."""

        def read_part(rows: np.ndarray, generator: np.random.Generator) -> tuple[Any, Any, np.ndarray]:
            n_rows, n_padded = len(rows), self.padded(len(rows))
            n_own = n_padded // self.n_ranks
            start = self.rank * n_own
            own = rows[start : start + n_own] if start < n_rows else rows[-1:]
            inputs, targets, weights = read(own, generator)
            weights = weights * (n_padded / n_rows) if start < n_rows else np.zeros(1)
            weights = np.pad(weights, (0, n_own - len(own)))

            def repeated(values: np.ndarray) -> np.ndarray:
                return np.concatenate([values, np.repeat(values[-1:], n_own - len(own), axis=0)])

            inputs, targets = import_keras().tree.map_structure(repeated, (inputs, targets))
            return inputs, targets, weights.astype(np.float32)

        return read_part


def shared_devices() -> Devices | None:
    """Return the devices that a training is to be shared by; None for one device, and outside of ``on_devices``.

    Raises
    ------
    ValueError
        If there are fewer devices than asked for.
    RuntimeError
        If the backend cannot train on them.
    """
    choice = chosen_devices()
    if choice is None or choice.devices == 1:
        return None
    start_keras()
    backend = import_keras().backend.backend()
    if backend == "tensorflow":
        _check_one_host()
    names = _names(backend)
    n_devices = len(names) if choice.devices == "auto" else int(choice.devices)
    if n_devices > len(names):
        raise ValueError(
            f"devices={n_devices}, but Keras's backend {backend!r} finds {len(names)} ({', '.join(names)}); expected "
            "at most as many, or 'auto'."
        )
    if n_devices == 1:
        return None
    scaling = n_devices if choice.linear_scaling else 1
    if backend == "tensorflow":
        return Devices(names[:n_devices], _mirrored(names[:n_devices]).scope, scaling=scaling)
    return replace(_jax_devices(names, n_devices), scaling=scaling)


def scaling_of_runs() -> int:
    """Return by what batch sizes and learning rates are multiplied: see ``linear_scaling`` of ``on_devices``."""
    choice = chosen_devices()
    devices = shared_devices() if choice is not None and choice.linear_scaling else None
    return 1 if devices is None else devices.scaling


_training_on: ContextVar[Devices | None] = ContextVar("skcnn_training_on", default=None)


@contextmanager
def training_on(devices: Devices | None) -> Iterator[None]:
    """Have graphs that are asked for in the block built for devices, and trained by them."""
    if devices is None:
        yield
        return
    token = _training_on.set(devices)
    try:
        with devices.scope():
            yield
    finally:
        _training_on.reset(token)


def devices_in_training() -> Devices | None:
    """Return the devices of the innermost block of :func:`training_on`."""
    return _training_on.get()


def _names(backend: str) -> tuple[str, ...]:
    """Return the GPUs that the backend finds; CPUs where there are none."""
    if backend == "tensorflow":
        import tensorflow as tf

        found = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tuple(device.name for device in found)
    if backend == "jax":
        return tuple(import_keras().distribution.list_devices())
    if backend == "torch":
        import torch

        return tuple(f"cuda:{number}" for number in range(torch.cuda.device_count())) or ("cpu",)
    return ("cpu",)


def _check_one_host() -> None:
    """Refuse several hosts on TensorFlow."""
    try:
        cluster = json.loads(os.environ.get("TF_CONFIG", "") or "{}").get("cluster", {})
        hosts = [host for job in ("chief", "worker") for host in cluster.get(job, [])]
    except (ValueError, AttributeError, TypeError):
        return  # TensorFlow's own errors are about what it reads
    if len(hosts) > 1:
        raise RuntimeError(
            f"TF_CONFIG names {len(hosts)} hosts ({', '.join(hosts)}); expected one. Keras 3 cannot train on several "
            "hosts with TensorFlow: model.fit fails under MultiWorkerMirroredStrategy (keras-team/keras#20585). Use "
            "JAX (KERAS_BACKEND=jax and keras.distribution.initialize), or unset TF_CONFIG to train on this host "
            "alone."
        )


@lru_cache(maxsize=4)
def _mirrored(names: tuple[str, ...]) -> Any:
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(list(names))


@lru_cache(maxsize=4)
def _data_parallel(names: tuple[str, ...]) -> Any:
    return import_keras().distribution.DataParallel(devices=list(names), auto_shard_dataset=False)


def _jax_devices(names: tuple[str, ...], n_devices: int) -> Devices:
    backend = import_keras().backend.backend()
    if backend != "jax":
        raise RuntimeError(
            f"Keras runs on the {backend!r} backend, on which skcnn trains on one device; expected 'tensorflow' or "
            "'jax' in the environment variable KERAS_BACKEND before Python starts, or devices=1."
        )
    import jax

    n_ranks = jax.process_count()
    if n_ranks > 1 and n_devices != len(names):
        raise ValueError(
            f"devices={n_devices} of the {len(names)} devices of {n_ranks} processes; expected 'auto': each process "
            "trains on all of its devices."
        )
    if n_devices % n_ranks:
        raise ValueError(f"{n_ranks} processes have {n_devices} devices; expected as many of each process.")
    return Devices(names[:n_devices], _data_parallel(names[:n_devices]).scope, jax.process_index(), n_ranks)


def true_losses(devices: Devices, batches: Any, held_out: Any | None) -> Any:
    """Return a callback that corrects the losses of an epoch, in which Keras counts padded rows.

    Parameters
    ----------
    devices : Devices
        By which batches are shared.
    batches, held_out : PyDataset
        Batches of the training set, and of the validation set. Only the last one of each may be padded.
    """
    sizes = ([] if each is None else [len(rows) for rows in each.rows] for each in (batches, held_out))
    return _true_losses_class()(devices, *sizes)


@lru_cache(maxsize=1)
def _true_losses_class() -> Any:
    keras = import_keras()

    class TrueLosses(keras.callbacks.Callback):  # type: ignore[name-defined]
        """Notes the mean before the last batch, and gives that one its true weight in the mean of all."""

        def __init__(self, devices: Devices, n_rows: Sequence[int], n_held_out: Sequence[int]):
            super().__init__()
            self.devices = devices
            self.n_rows = {"loss": list(n_rows), "val_loss": list(n_held_out)}
            self.before = {"loss": 0.0, "val_loss": 0.0}

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            self._note("loss", batch)

        def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
            self._note("val_loss", batch)

        def _note(self, name: str, batch: int) -> None:
            if batch and batch == len(self.n_rows[name]) - 1:
                self.before[name] = float(self.model.get_metrics_result()["loss"])

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            for name in self.n_rows.keys() & (logs or {}).keys():
                *first, last = self.n_rows[name]
                n_before, n_padded = sum(first), self.devices.padded(last)
                sum_before = self.before[name] * n_before
                of_last = (float(logs[name]) * (n_before + n_padded) - sum_before) / n_padded
                logs[name] = (sum_before + of_last * last) / (n_before + last)

    return TrueLosses
