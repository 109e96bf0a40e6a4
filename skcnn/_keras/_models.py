"""Models of Keras: copies, weights that take effect, archives."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from skcnn._files import temporary_folder
from skcnn._keras._settings import building
from skcnn._keras._starting import import_keras


def is_keras_model(value: object) -> bool:
    """Tell whether ``value`` is a Keras model, without importing Keras where nobody else has."""
    return any(base.__module__.startswith("keras.") and base.__name__ == "Model" for base in type(value).__mro__)


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
        if is_keras_model(operation) and any(lambda_layers(operation)):
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
    for layer in lambda_layers(model):
        raise TypeError(
            f"The Keras model {model.name!r} cannot be saved without its code: it has the Lambda layer {layer.name!r}. "
            "Use a layer of Keras in its place, such as keras.layers.Rescaling(1 / 127.5, offset=-1)."
        )
    with temporary_folder(tempfile.gettempdir(), "skcnn-model-") as folder:
        path = folder / "model.keras"
        model.save(path, include_optimizer=False)
        return path.read_bytes()


def lambda_layers(model: Any) -> Iterator[Any]:
    """Yield the Lambda layers of a model, and of the models in it."""
    for layer in getattr(model, "layers", ()):
        if isinstance(layer, import_keras().layers.Lambda):
            yield layer
        yield from lambda_layers(layer)
