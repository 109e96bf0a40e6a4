"""The one seam to Keras: everything else in skcnn reaches Keras through here, and only when it needs it."""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
import os
import random
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import CodeType, MethodType, ModuleType
from typing import Any

from skcnn._files import temporary_folder

_started_in: list[int] = []
#: TensorFlow, where it was imported here without its notices and has not looked for devices yet.
_not_started: list[str] = []
_starting = threading.RLock()
#: What TensorFlow writes about what it found: instructions of the processor, libraries and devices; not fatal errors.
_NOTICE = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog|To enable the following instructions: "
    rb"|[IWE]\d{4} [\d:.]+ +\d+ \S+:\d+\]|\d{4}-\d\d-\d\d [\d:.]+: [IWE] "
)
_building = threading.RLock()

#: Their functions are known by name and version.
_LIBRARIES = ("keras", "tensorflow", "jax", "torch", "numpy", "scipy")

#: Settings of the process that decide what a layer, a loss, a metric or an optimizer computes, with Keras's defaults.
_SETTINGS = {"floatx": "float32", "image_data_format": "channels_last", "epsilon": 1e-7}


def import_keras() -> Any:
    """Import Keras late, with the backend that ``KERAS_BACKEND`` (or Keras's own configuration) names.

    TensorFlow's notices on which instructions and devices it found are not shown, unless the user asks for them
    (``TF_CPP_MIN_LOG_LEVEL`` is 0 or 1) or has imported TensorFlow already.

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
        keras = _import_quietly()
    except ModuleNotFoundError as error:
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
        raise ImportError(
            f"Keras could not be imported with the {backend!r} backend: {error}. Install that backend "
            "(`pip install tensorflow`, `jax` or `torch`), or set the environment variable KERAS_BACKEND to one that "
            "is installed before Python starts."
        ) from error
    note_start()
    return keras


def start_keras() -> None:
    """Import Keras and start its backend, as :func:`import_keras` does and the first computation."""
    import_keras()
    _start_quietly()


def _import_quietly() -> Any:
    if sys.modules.keys() & {"keras", "tensorflow"}:
        return importlib.import_module("keras")
    with _starting, _without_notices() as is_quiet:
        keras = importlib.import_module("keras")
        if is_quiet and "tensorflow" in sys.modules:
            _not_started.append("tensorflow")
    return keras


def _start_quietly() -> None:
    """Let TensorFlow look for devices, as it does at the first computation, without its notices."""
    if not _not_started:
        return
    with _starting:
        if _not_started:
            _not_started.clear()
            with _without_notices():
                importlib.import_module("keras").ops.zeros(1)


@contextmanager
def _without_notices() -> Iterator[bool]:
    """Hold back TensorFlow's notices in the block; show all that was written in it if it raises.

    TensorFlow writes to the process's standard error, some of it before any logging level counts, so that is where it
    is caught. What others write there is shown at the end of the block. Yields whether notices are held back.
    """
    terminal = None
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") not in ("0", "1"):
        with suppress(OSError):  # it may be closed
            terminal = os.dup(2)
    if terminal is None:
        yield False
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    _flush_stderr()
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        hidden = None
        try:
            yield True
            hidden = _NOTICE
        finally:
            _flush_stderr()
            os.dup2(terminal, 2)
            written.seek(0)
            for line in written:
                if hidden is None or not hidden.match(line):
                    os.write(terminal, line)
            os.close(terminal)


def _flush_stderr() -> None:
    with suppress(AttributeError, ValueError, OSError):  # there may be none, or a closed one
        sys.stderr.flush()


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
    start_keras()
    backend = import_keras().backend.backend()
    if backend == "torch":
        return bool(importlib.import_module("torch").cuda.is_available())
    if backend == "jax":
        return importlib.import_module("jax").default_backend() == "gpu"
    if backend == "tensorflow":
        return bool(importlib.import_module("tensorflow").config.list_physical_devices("GPU"))
    return False


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


def is_keras_model(value: object) -> bool:
    """Tell whether ``value`` is a Keras model, without importing Keras where nobody else has."""
    return any(base.__module__.startswith("keras.") and base.__name__ == "Model" for base in type(value).__mro__)


class _Defaults:
    """Keras's settings of the process at their defaults, for as long as any thread is in the block.

    The first one in sets them, and the last one out puts back what was set before: threads want the same values.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._before: dict[str, Any] = {}

    def __enter__(self) -> None:
        start_keras()
        config = import_keras().config
        with self._lock:
            if not self._n_inside:
                self._before = {name: getattr(config, name)() for name in _SETTINGS}
                self._set(_SETTINGS)
            self._n_inside += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._n_inside -= 1
            if not self._n_inside:
                self._set(self._before)

    @staticmethod
    def _set(values: dict[str, Any]) -> None:
        for name, value in values.items():
            getattr(import_keras().config, f"set_{name}")(value)


_defaults = _Defaults()


@contextmanager
def pinned() -> Iterator[None]:
    """Have Keras build and run what is in the block in float32 with channels last, whatever the user has set it to.

    What a layer, a loss, a metric or an optimizer computes is decided by settings of the process (``floatx``, the
    format of images, the fuzz factor) and of the thread (the dtype policy), some of them only when it is first run. So
    all graphs are built and run in such blocks. Blocks may be nested, in any number of threads.
    """
    config = import_keras().config
    policy = config.dtype_policy()
    with _defaults:
        config.set_dtype_policy("float32")
        try:
            yield
        finally:
            config.set_dtype_policy(policy)


@contextmanager
def building(seed: int = 0) -> Iterator[None]:
    """Make the random state of layers made inside the block a function of ``seed`` alone, in every thread.

    Keras draws the seeds of initializers, dropout and augmentation from Python's global generator. So there is one
    lock for all that make layers, lest a thread draw from the seed of another one; and the state of the generator is
    put back afterwards. Keras's settings are :func:`pinned`. Blocks may be nested.
    """
    with _building, pinned():
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
    inputs: Any = None,
    copy_weights: bool = True,
    seed: int = 0,
) -> Any:
    """Return a copy of a Keras model, which shares nothing with it.

    Parameters
    ----------
    model : keras.Model
        Functional or Sequential. It is not changed. The functions of its Lambda layers are used as they are.
    changed : callable
        From a layer or operation of the model to the entries of its configuration that are others in the copy.
    call : callable or None, default=None
        Functional models only: ``call(operation, *inputs, **options)`` gives the outputs of an operation of the copy,
        whose name is that in the model. None calls the operation.
    inputs : keras.KerasTensor or None, default=None
        Functional models with one input only: what the copy begins with, such as an input of another size.
    copy_weights : bool, default=True
        Whether the copy gets the weights of the model, or is left with its first ones: for copies whose weights
        differ in shape, or are to be drawn again.
    seed : int, default=0
        Of the first weights.

    Returns
    -------
    keras.Model
    """
    keras = import_keras()

    def clone(operation: Any) -> Any:
        config = {**operation.get_config(), **changed(operation)}
        if isinstance(operation, keras.layers.Lambda):
            # From its configuration Keras would rebuild a function: it refuses to, or does it without its globals.
            given = {name: getattr(operation, name) for name in ("function", "mask", "arguments")}
            if isinstance(config.get("output_shape"), dict):  # a function as well
                given["output_shape"] = operation.compute_output_shape
            return type(operation)(**{**config, **given})
        if is_keras_model(operation) and any(_lambdas(operation)):
            return copy_model(operation, changed=changed, copy_weights=False)
        return type(operation).from_config(config)

    options: dict[str, Any] = {} if call is None else {"call_function": call}
    if inputs is not None:
        options["input_tensors"] = inputs
    with building(seed):
        copy = keras.models.clone_model(model, clone_function=clone, **options)
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
    """Return the ``.keras`` archive of a model: its configuration and its weights, without the optimizer.

    Raises
    ------
    TypeError
        If it has a Lambda layer, whose function is code.
    """
    for layer in _lambdas(model):
        raise TypeError(
            f"The Keras model {model.name!r} cannot be saved without its code: it has the Lambda layer {layer.name!r}. "
            "Use a layer of Keras in its place, such as keras.layers.Rescaling(1 / 127.5, offset=-1)."
        )
    with temporary_folder(tempfile.gettempdir(), "skcnn-model-") as folder:
        path = folder / "model.keras"
        model.save(path, include_optimizer=False)
        return path.read_bytes()


def model_digest(model: Any) -> str:
    """Return a digest (SHA-256) of what a model computes: its layers, how they are wired, and its weights.

    Raises
    ------
    TypeError
        If it holds something that Keras cannot describe.
    """
    digest = hashlib.sha256()
    try:
        given = model.get_config()
    except (TypeError, NotImplementedError) as error:
        raise TypeError(
            f"Keras cannot describe the model {model.name!r}: {error} Layers of your own need get_config, and Lambda "
            "layers a function (def or lambda); or use a layer of Keras in their place, such as keras.layers.Rescaling."
        ) from error
    config = json.loads(json.dumps(given, default=str))
    digest.update(json.dumps(_with_canonical_names(config, {}), sort_keys=True).encode())
    for weight in model.get_weights():
        digest.update(str((weight.shape, weight.dtype.str)).encode())
        digest.update(weight.tobytes())
    for layer in _lambdas(model):
        # The configuration may tell no more of a function than its name, which the next version of it has as well.
        digest.update(json.dumps(_content_of(layer.function, set()), default=repr).encode())
    return digest.hexdigest()


def _lambdas(model: Any) -> Iterator[Any]:
    """Yield the Lambda layers of a model, and of the models in it."""
    for layer in getattr(model, "layers", ()):
        if isinstance(layer, import_keras().layers.Lambda):
            yield layer
        yield from _lambdas(layer)


def _content_of(value: Any, seen: set[int]) -> Any:
    """Return what a function computes, as far as it is visible: its code, and the values and functions that it uses."""
    if isinstance(value, functools.partial):
        return [_content_of(part, seen) for part in (value.func, value.args, value.keywords)]
    if isinstance(value, MethodType):
        return [_content_of(value.__func__, seen), _content_of(value.__self__, seen)]
    if isinstance(value, ModuleType):
        return value.__name__
    code = getattr(value, "__code__", None)
    name = f"{getattr(value, '__module__', None)}.{getattr(value, '__qualname__', None)}"
    if isinstance(code, CodeType):
        if name.partition(".")[0] in _LIBRARIES or id(value) in seen:
            return name
        seen.add(id(value))
        names = sorted({used for part in _codes(code) for used in part.co_names} & set(value.__globals__))
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        used = [value.__defaults__, value.__kwdefaults__, *cells, *(value.__globals__[name] for name in names)]
        parts = [
            [part.co_code.hex(), [c for c in part.co_consts if not isinstance(c, CodeType)], part.co_names]
            for part in _codes(code)
        ]
        return [parts, [_content_of(one, seen) for one in used]]
    if callable(value) and hasattr(value, "__qualname__"):  # a class, or written in C
        return name
    from joblib import hash as hash_of

    try:
        return hash_of(value)
    except Exception:  # what cannot be pickled
        return repr(value)


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield a function's code, and that of the functions in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _with_canonical_names(config: Any, names: dict[str, str]) -> Any:
    # Keras numbers automatic names per process (conv2d, conv2d_1, ...): a name counts by its first occurrence.
    if isinstance(config, dict):
        if isinstance(config.get("name"), str):
            names.setdefault(config["name"], f"name{len(names)}")
        return {key: _with_canonical_names(value, names) for key, value in config.items()}
    if isinstance(config, list):
        return [_with_canonical_names(value, names) for value in config]
    return names.get(config, config) if isinstance(config, str) else config
