"""The one seam to Keras: everything else in skcnn reaches Keras through here, and only when it needs it."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import random
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from skcnn._files import temporary_folder

_started_in: list[int] = []
_building = threading.RLock()


def import_keras() -> Any:
    """Import Keras late, with the backend that ``KERAS_BACKEND`` (or Keras's own configuration) names.

    Returns
    -------
    module
        The ``keras`` package.

    Raises
    ------
    ImportError
        If Keras or its backend is not installed; the message says what to install.
    RuntimeError
        In a process that was forked from one in which Keras was at work: its threads are gone, and it would hang.
    """
    check_not_forked()
    try:
        keras = importlib.import_module("keras")
    except ModuleNotFoundError as error:
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
        raise ImportError(
            f"Keras could not be imported with the {backend!r} backend: {error}. Install that backend "
            "(`pip install tensorflow`, `jax` or `torch`), or set the environment variable KERAS_BACKEND to one that "
            "is installed before Python starts."
        ) from error
    note_start()
    return keras


def note_start() -> None:
    """Note that networks run in this process, by Keras or by another engine."""
    _started_in[:] = [os.getpid()]


def check_not_forked() -> None:
    """Refuse to run a network in a process that was forked from one in which networks ran.

    Raises
    ------
    RuntimeError
        In such a process: the threads of Keras or OpenVINO are gone, and it would hang.
    """
    if _started_in and _started_in[0] != os.getpid():
        raise RuntimeError(
            "This process was forked from one in which a network ran, and would hang. joblib's backend "
            "'multiprocessing' does that, and multiprocessing on Linux; joblib's default, 'loky', and "
            "multiprocessing.get_context('spawn') do not."
        )


def has_gpu() -> bool:
    """Tell whether Keras's backend sees a GPU."""
    backend = import_keras().backend.backend()
    if backend == "torch":
        return bool(importlib.import_module("torch").cuda.is_available())
    if backend == "jax":
        return importlib.import_module("jax").default_backend() == "gpu"
    if backend == "tensorflow":
        return bool(importlib.import_module("tensorflow").config.list_physical_devices("GPU"))
    return False


def gradient_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that gives the gradient of another one, on whichever backend Keras runs.

    Keras itself has no gradients that all its backends share.

    Parameters
    ----------
    function : callable
        From tensors to a scalar tensor and a tuple of further ones, made of ``keras.ops`` and Keras models.

    Returns
    -------
    callable
        From float32 arrays to a list of ndarrays: the gradient of the scalar with respect to the first array, of its
        shape, and the further tensors.

    Raises
    ------
    RuntimeError
        If the backend has no gradients.
    """
    keras = import_keras()
    backend = keras.backend.backend()
    differentiated: Callable[..., Any]
    if backend == "tensorflow":
        import tensorflow as tf

        def differentiated(first: Any, *others: Any) -> Any:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(first)
                value, more = function(first, *others)
            return tape.gradient(value, first), more

    elif backend == "jax":
        import jax

        differentiated = jax.jit(jax.grad(function, has_aux=True))
    elif backend == "torch":
        import torch

        def differentiated(first: Any, *others: Any) -> Any:
            first = first.detach().requires_grad_(True)
            value, more = function(first, *others)
            return torch.autograd.grad(value, first)[0], more

    else:
        raise RuntimeError(
            f"Keras runs on the {backend!r} backend, which has no gradients: set the environment variable "
            "KERAS_BACKEND to 'tensorflow', 'jax' or 'torch' before Python starts."
        )

    def on_arrays(*arrays: Any) -> list[Any]:
        gradient, more = differentiated(*map(keras.ops.convert_to_tensor, arrays))
        return [keras.ops.convert_to_numpy(tensor) for tensor in (gradient, *more)]

    return on_arrays


def is_keras_model(value: object) -> bool:
    """Tell whether ``value`` is a Keras model, without importing Keras where nobody else has."""
    return any(base.__module__.startswith("keras.") and base.__name__ == "Model" for base in type(value).__mro__)


@contextmanager
def building(seed: int = 0) -> Iterator[None]:
    """Make the random state of layers made inside the block a function of ``seed`` alone, in every thread.

    Keras draws the seeds of initializers, dropout and augmentation from Python's global generator. So there is one
    lock for all that make layers, lest a thread draw from the seed of another one; and the state of the generator is
    put back afterwards. Blocks may be nested.
    """
    with _building:
        state = random.getstate()
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(state)


def copy_model(
    model: Any,
    *,
    changed: Callable[[Any], dict[str, Any]] = lambda operation: {},
    call: Callable[..., Any] | None = None,
    copy_weights: bool = True,
) -> Any:
    """Return a copy of a Keras model, which shares nothing with it.

    Parameters
    ----------
    model : keras.Model
        Functional or Sequential. It is not changed.
    changed : callable
        From a layer or operation of the model to the entries of its configuration that are others in the copy.
    call : callable or None, default=None
        Functional models only: ``call(operation, *inputs, **options)`` gives the outputs of an operation of the copy,
        whose name is that in the model. None calls the operation.
    copy_weights : bool, default=True
        Whether the copy gets the weights of the model, or is left with its first ones: for copies whose weights
        differ in shape.

    Returns
    -------
    keras.Model
    """

    def clone(operation: Any) -> Any:
        return type(operation).from_config({**operation.get_config(), **changed(operation)})

    options = {} if call is None else {"call_function": call}
    with building():
        copy = import_keras().models.clone_model(model, clone_function=clone, **options)
    if copy_weights:
        set_weights(copy, model.get_weights())
    return copy


def set_weights(model: Any, values: list[Any]) -> None:
    """Set the weights of a network, or of a layer, so that they all take effect."""
    model.set_weights(values)
    for layer in getattr(model, "layers", [model]):
        # Normalization computes with copies of its weights, which Keras's set_weights leaves as they were.
        if hasattr(layer, "finalize_state"):
            layer.finalize_state()


def model_to_bytes(model: Any) -> bytes:
    """Return the ``.keras`` archive of a model: its configuration and its weights, without the optimizer."""
    with temporary_folder(tempfile.gettempdir(), "skcnn-model-") as folder:
        path = folder / "model.keras"
        model.save(path, include_optimizer=False)
        return path.read_bytes()


def model_from_bytes(archive: bytes) -> Any:
    """Return the model of a ``.keras`` archive. Safe mode is on: no code of the archive is run."""
    keras = import_keras()
    with temporary_folder(tempfile.gettempdir(), "skcnn-model-") as folder:
        path = folder / "model.keras"
        path.write_bytes(archive)
        with building():
            return keras.saving.load_model(path, compile=False, safe_mode=True)


def model_digest(model: Any) -> str:
    """Return a digest (SHA-256) of what a model computes: its layers, how they are wired, and its weights."""
    digest = hashlib.sha256()
    config = json.loads(json.dumps(model.get_config(), default=str))
    digest.update(json.dumps(_with_canonical_names(config, {}), sort_keys=True).encode())
    for weight in model.get_weights():
        digest.update(str((weight.shape, weight.dtype.str)).encode())
        digest.update(weight.tobytes())
    return digest.hexdigest()


def _with_canonical_names(config: Any, names: dict[str, str]) -> Any:
    # Keras numbers automatic names per process (conv2d, conv2d_1, ...): a name counts by its first occurrence.
    if isinstance(config, dict):
        if isinstance(config.get("name"), str):
            names.setdefault(config["name"], f"name{len(names)}")
        return {key: _with_canonical_names(value, names) for key, value in config.items()}
    if isinstance(config, list):
        return [_with_canonical_names(value, names) for value in config]
    return names.get(config, config) if isinstance(config, str) else config
