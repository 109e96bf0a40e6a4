"""The engine that every installation has: Keras, on whichever backend it is configured for."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from skcnn._keras import has_gpu, import_keras, pinned
from skcnn.engines._engine import Engine
from skcnn.engines._plan import Plan
from skcnn.engines._record import build_record_model

if TYPE_CHECKING:
    import keras
    import tensorflow

LARGEST_BATCH = 1024


class KerasEngine(Engine):
    """The record model of a plan, compiled by Keras's backend.

    Parameters
    ----------
    plan : Plan

    Attributes
    ----------
    build_seconds : float
        What building and compiling took.
    """

    name = "keras"

    def __init__(self, plan: Plan):
        begin = perf_counter()
        with pinned():
            model, self.output_shapes = build_record_model(plan)
            self._start = compile_model(model)
        self.run(np.zeros((1, *plan.image_size, 3), np.uint8))
        self.build_seconds = perf_counter() - begin
        if has_gpu():
            self.batch_size = fastest_batch_size(self.run, plan.image_size)

    def start(self, pixels: np.ndarray) -> Callable[[], np.ndarray]:
        """Begin to run a batch; see :meth:`Engine.start`."""
        with pinned():  # layers look at Keras's settings when they are called, too
            return self._start(pixels)


def compile_model(model: Any) -> Callable[[np.ndarray], Callable[[], np.ndarray]]:
    """Compile a Keras model for inference on whatever backend Keras runs on.

    Parameters
    ----------
    model : keras.Model
        Takes uint8 pixels (n, height, width, 3).

    Returns
    -------
    callable
        From uint8 pixels (n, height, width, 3), any n, to a callable that waits for the float32 (n, n_values).
    """
    keras = import_keras()
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        frozen = frozen_function(model)

        def start_tensorflow(pixels: np.ndarray) -> Callable[[], np.ndarray]:
            record = frozen(tf.constant(pixels))[0]
            return record.numpy

        return start_tensorflow

    if backend == "jax":
        import jax

        trainable = [variable.value for variable in model.trainable_variables]
        fixed = [variable.value for variable in model.non_trainable_variables]
        forward = jax.jit(lambda a, b, pixels: model.stateless_call(a, b, pixels, training=False)[0])

        def start_jax(pixels: np.ndarray) -> Callable[[], np.ndarray]:
            # Padded to a power of two, so that odd batch sizes cost at most a few compilations, not one each.
            n_padded = 1 << (len(pixels) - 1).bit_length()
            padded = np.concatenate([pixels, np.zeros((n_padded - len(pixels), *pixels.shape[1:]), np.uint8)])
            record = forward(trainable, fixed, padded)
            return lambda: np.asarray(record, np.float32)[: len(pixels)]

        return start_jax

    if backend == "torch":
        import torch

        def start_torch(pixels: np.ndarray) -> Callable[[], np.ndarray]:
            with torch.inference_mode():
                record = model(keras.ops.convert_to_tensor(pixels), training=False)
            return lambda: record.float().cpu().numpy()

        return start_torch

    def start_eager(pixels: np.ndarray) -> Callable[[], np.ndarray]:
        record = np.asarray(keras.ops.convert_to_numpy(model(pixels, training=False)), np.float32)
        return lambda: record

    return start_eager


def frozen_function(model: keras.Model, dtype: str = "uint8") -> tensorflow.types.experimental.ConcreteFunction:
    """Return a Keras model on TensorFlow as a function with the weights as constants, around which it is rewritten.

    Parameters
    ----------
    model : keras.Model
        Takes pixels (n, height, width, 3), or anything else.
    dtype : str, default="uint8"
        Of what the function takes.

    Returns
    -------
    tensorflow.types.experimental.ConcreteFunction
        From pixels to a list of one float32 tensor.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    # Not jit_compile: XLA on a CPU is some ten times slower than TensorFlow's own kernels here.
    function = tf.function(
        lambda pixels: tf.cast(model(pixels, training=False), tf.float32),
        input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), dtype)],
        autograph=False,
    ).get_concrete_function()
    return convert_variables_to_constants_v2(function)


def fastest_batch_size(run: Callable[[np.ndarray], Any], image_size: tuple[int, int]) -> int:
    """Return the batch size that a GPU runs fastest: doubled for as long as that brings 5 % and memory is there."""
    best, rate = 32, 0.0
    size = best
    while size <= LARGEST_BATCH:
        pixels = np.zeros((size, *image_size, 3), np.uint8)
        try:
            run(pixels)  # compiles, or finds the fastest kernels
            begin = perf_counter()
            run(pixels)
            now = size / (perf_counter() - begin)
        except Exception:
            # Out of memory, under another name on every backend; whatever else it is, the last size ran.
            if size == best:
                raise
            break
        if now < 1.05 * rate:
            break
        best, rate, size = size, now, 2 * size
    return best
