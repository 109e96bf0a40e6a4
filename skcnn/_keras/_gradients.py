"""Gradients, which Keras has none of that all its backends share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from skcnn._keras._settings import pinned
from skcnn._keras._starting import import_keras


def gradient_of(function: Callable[..., Any], *, compiled: bool = False) -> Callable[..., Any]:
    """Return the function that gives the gradient of another one, on whichever backend Keras runs.

    Keras itself has no gradients that all its backends share.

    Parameters
    ----------
    function : callable
        From tensors to a scalar tensor and a tuple of further ones, made of ``keras.ops`` and Keras models.
    compiled : bool, default=False
        Whether TensorFlow compiles it for each new form of arrays, as JAX always does: a second that is worth it where
        the same form comes many times.

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

        if compiled:
            differentiated = tf.function(differentiated, autograph=False)

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
        raise RuntimeError(_no_gradients(backend))

    def on_arrays(*arrays: Any) -> list[Any]:
        with pinned():
            gradient, more = differentiated(*map(keras.ops.convert_to_tensor, arrays))
            return [keras.ops.convert_to_numpy(tensor) for tensor in (gradient, *more)]

    return on_arrays


def inner_gradient(function: Callable[[Any], Any], tensor: Any) -> Any:
    """Return the gradient of a sum of outputs with respect to an input, inside a loss that is itself differentiated.

    For penalties on gradients. It is to be called where a training step computes its loss.

    Parameters
    ----------
    function : callable
        From a tensor to another one, made of ``keras.ops`` and Keras models. Layers in it draw nothing at random.
    tensor : tensor
        Where the gradient is taken; nothing is differentiated through it.

    Returns
    -------
    tensor
        Of the shape of ``tensor``.

    Raises
    ------
    RuntimeError
        If the backend has no gradients.
    """
    keras = import_keras()
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(tensor)
            total = keras.ops.sum(function(tensor))
        return tape.gradient(total, tensor)
    if backend == "jax":
        import jax

        return jax.grad(lambda inputs: keras.ops.sum(function(inputs)))(tensor)
    if backend == "torch":
        import torch

        tensor = tensor.detach().requires_grad_(True)
        return torch.autograd.grad(keras.ops.sum(function(tensor)), tensor, create_graph=True)[0]
    raise RuntimeError(_no_gradients(backend))


def _no_gradients(backend: str) -> str:
    return (
        f"Keras runs on the {backend!r} backend, which has no gradients: set the environment variable KERAS_BACKEND to "
        "'tensorflow', 'jax' or 'torch' before Python starts."
    )
