"""A network run over batches of pixels: the network and what is wanted of it go in, a function comes out.

Everything between the pixels and the features happens in one graph: scaling, the network itself, and the pooling of
each bottleneck layer. There is one compiled graph per process and configuration, whoever asks for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from skcnn._keras import import_keras, set_weights
from skcnn.backbones import Backbone, scale_pixels
from skcnn.images import BadRow, Images, read_batches

ENGINES = ("auto", "keras")
PRECISIONS = ("float32", "bfloat16")


class Output(NamedTuple):
    """One part of a record: a bottleneck layer and how it is pooled ("avg", "max" or None)."""

    layer: str
    pooling: str | None


@dataclass(frozen=True)
class Plan:
    """All that decides what comes out for an image; two equal fingerprints give equal records.

    Parameters
    ----------
    backbone : Backbone
        The network.
    weights : str or None
        As :meth:`skcnn.backbones.Backbone.build` takes them.
    weights_id : str
        What identifies these weights.
    random_state : int
        Seed of ``weights=None``.
    image_size : tuple of (height, width)
        In pixels.
    resize : {"stretch", "crop", "pad"}
        How pictures are brought to that size.
    precision : {"float32", "bfloat16"}
        What the network computes in.
    outputs : tuple of Output
        The parts of a record, in order.
    """

    backbone: Backbone
    weights: Any
    weights_id: str
    random_state: int
    image_size: tuple[int, int]
    resize: str
    precision: str
    outputs: tuple[Output, ...]

    @property
    def network(self) -> str:
        """What identifies the compiled graph."""
        return repr((self.backbone.name, self.weights_id, self.image_size, self.precision, self.outputs))

    @property
    def fingerprint(self) -> str:
        """What identifies a record's meaning, beside the image's content."""
        return repr(("v1", self.network, self.resize))


class Engine(NamedTuple):
    """A compiled network: ``run(pixels)`` and the length of each output in the record that it returns."""

    run: Callable[[np.ndarray], np.ndarray]
    output_shapes: tuple[tuple[int, ...], ...]


_engines: dict[str, Engine] = {}
_locks: dict[str, threading.RLock] = {}
_registry_lock = threading.Lock()


def network_lock(plan: Plan) -> threading.RLock:
    """Return the lock of a plan's network: who holds it may compile and run it, so that no image is run twice."""
    with _registry_lock:
        return _locks.setdefault(plan.network, threading.RLock())


def get_engine(plan: Plan) -> Engine:
    """Return the compiled network of a plan: built at the first call in this process, shared ever after."""
    with network_lock(plan):
        engine = _engines.get(plan.network)
        if engine is None:
            engine = _engines[plan.network] = _build(plan)
        return engine


def clear_engines() -> None:
    """Forget all compiled networks of this process. Those in use elsewhere live on until their users are done."""
    with _registry_lock:
        _engines.clear()


def extract_records(
    images: Images,
    rows: Sequence[int],
    plan: Plan,
    batch_size: int,
    max_pixels: int | None,
    stop_at_error: bool,
    *,
    skip: bool = False,
) -> Iterator[tuple[list[int], np.ndarray, list[BadRow]]]:
    """Run rows through the network of a plan, decoding ahead of it.

    With ``stop_at_error`` the first row without a picture ends the running (with ``skip`` it never starts), but all
    rows are still decoded, so that every bad one can be named at once.

    Yields
    ------
    rows : list of int
    records : ndarray of shape (len(rows), n_values), float32
    bad : list of BadRow
    """
    batches = read_batches(
        images, rows, plan.image_size, batch_size=batch_size, resize=plan.resize, max_pixels=max_pixels
    )
    for batch in batches:
        skip = skip or (stop_at_error and bool(batch.bad))
        if skip or not batch.rows:
            yield [], np.empty((0, 0), np.float32), batch.bad
        else:
            yield batch.rows, get_engine(plan).run(batch.pixels), batch.bad


def extract_chunk(images: Images, *options: Any, skip: bool) -> list[tuple[list[int], np.ndarray, list[BadRow]]]:
    """Do all of :func:`extract_records` on a piece of X, as a job for another process."""
    return list(extract_records(images, range(len(images)), *options, skip=skip))


def _build(plan: Plan) -> Engine:
    keras = import_keras()
    network = plan.backbone.build(image_size=plan.image_size, weights=plan.weights, random_state=plan.random_state)
    if plan.precision != "float32":
        network = with_precision(network, plan.precision)
    outputs = [plan.backbone.pooled_output(network, output.layer, output.pooling) for output in plan.outputs]
    pixels = keras.Input((*plan.image_size, 3), dtype="uint8", name="pixels")
    values = keras.Model(network.inputs, outputs)(scale_pixels(pixels, plan.backbone.preprocessing))
    shapes = tuple(tuple(value.shape[1:]) for value in values)
    flat = [keras.layers.Flatten()(value) if len(value.shape) > 2 else value for value in values]
    record = keras.layers.Concatenate(dtype="float32")(flat) if len(flat) > 1 else flat[0]
    return Engine(compile_keras(keras.Model(pixels, record)), shapes)


def with_precision(model: Any, precision: str) -> Any:
    """Return a copy of a Keras model whose layers compute in ``precision`` on float32 weights."""
    keras = import_keras()

    def with_policy(operation: Any) -> Any:
        config = operation.get_config()
        if isinstance(operation, keras.layers.Layer):  # plain operations compute in what they are given
            config["dtype"] = f"mixed_{precision}"
        return type(operation).from_config(config)

    copy = keras.models.clone_model(model, clone_function=with_policy)
    set_weights(copy, model.get_weights())
    return copy


def compile_keras(model: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Compile a Keras model for inference on whatever backend Keras runs on.

    Parameters
    ----------
    model : keras.Model
        Takes uint8 pixels (n, height, width, 3).

    Returns
    -------
    callable
        From uint8 pixels (n, height, width, 3), any n, to float32 (n, n_values).
    """
    keras = import_keras()
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf
        from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

        # Not jit_compile: XLA on a CPU is some ten times slower than TensorFlow's own kernels here.
        function = tf.function(
            lambda pixels: tf.cast(model(pixels, training=False), tf.float32),
            input_signature=[tf.TensorSpec((None, *model.input_shape[1:]), tf.uint8)],
            autograph=False,
        ).get_concrete_function()
        # With the weights as constants TensorFlow folds BatchNorm and the scaling of pixels into the convolutions.
        frozen = convert_variables_to_constants_v2(function)
        return lambda pixels: frozen(tf.constant(pixels))[0].numpy()

    if backend == "jax":
        import jax

        trainable = [variable.value for variable in model.trainable_variables]
        fixed = [variable.value for variable in model.non_trainable_variables]
        forward = jax.jit(lambda a, b, pixels: model.stateless_call(a, b, pixels, training=False)[0])

        def run_jax(pixels: np.ndarray) -> np.ndarray:
            # Padded to a power of two, so that odd batch sizes cost at most a few compilations, not one each.
            n_padded = 1 << (len(pixels) - 1).bit_length()
            padded = np.concatenate([pixels, np.zeros((n_padded - len(pixels), *pixels.shape[1:]), np.uint8)])
            return np.asarray(forward(trainable, fixed, padded), np.float32)[: len(pixels)]

        return run_jax

    if backend == "torch":
        import torch

        def run_torch(pixels: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                record = model(keras.ops.convert_to_tensor(pixels), training=False)
            return record.float().cpu().numpy()

        return run_torch

    def run_eager(pixels: np.ndarray) -> np.ndarray:
        return np.asarray(keras.ops.convert_to_numpy(model(pixels, training=False)), np.float32)

    return run_eager
