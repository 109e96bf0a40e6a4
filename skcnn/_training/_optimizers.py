"""Optimizers as parameters, their identity, and objects of Keras as plain data."""

from __future__ import annotations

import json
from typing import Any

from skcnn._keras import building, import_keras
from skcnn._network_files import check_plain, without_state


def as_optimizer(optimizer: Any) -> tuple[Any, str]:
    """Return a new optimizer for the parameter ``optimizer``, and its identity (without the learning rate).

    Raises
    ------
    TypeError
        If it is neither a name nor an optimizer.
    ValueError
        If the name is unknown, or the optimizer has a learning rate schedule.
    """
    optimizers = import_keras().optimizers
    if isinstance(optimizer, str):
        try:
            new = optimizers.get(optimizer)
        except ValueError:
            raise ValueError(
                f"optimizer={optimizer!r}; expected the name of an optimizer of keras.optimizers, such as 'adam' or "
                "'sgd', or an optimizer object"
            ) from None
    elif isinstance(optimizer, optimizers.Optimizer):
        config = optimizer.get_config()
        if isinstance(config.get("learning_rate"), dict):
            raise ValueError(
                "The optimizer has a learning rate schedule; expected none. Use the estimator's parameters "
                "learning_rate and learning_rate_schedule instead."
            )
        new = type(optimizer).from_config(config)
    else:
        raise TypeError(f"optimizer={optimizer!r}; expected the name of a Keras optimizer, or an optimizer object")
    config = {key: value for key, value in new.get_config().items() if key not in ("learning_rate", "name")}
    if getattr(new, "weight_decay", None):
        # Decay is for kernels, not for normalisation layers and biases.
        new.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    return new, as_json([type(new).__module__, type(new).__name__, config])


def as_json(config: Any) -> str:
    """Return a configuration as text, equal for equal configurations."""
    return json.dumps(config, sort_keys=True, default=str)


def keras_as_data(value: Any, name: str) -> Any:
    """Return the value of a parameter as a file stores it: an object of Keras as JSON, in a dict.

    Parameters
    ----------
    value : str, Keras object, list of Keras objects or None
        Names and None stay as they are.
    name : str
        Of the parameter, for errors.

    Raises
    ------
    TypeError
        If it cannot be described without its code.
    """
    if isinstance(value, (str, type(None))):
        return value
    data = json.dumps(without_state(import_keras().saving.serialize_keras_object(value)))
    check_plain(json.loads(data), name)
    return {"keras": data}


def keras_from_data(value: Any, name: str) -> Any:
    """Return the value that :func:`keras_as_data` was given; no code of a file is run."""
    if not isinstance(value, dict):
        return value
    config = without_state(json.loads(value["keras"]))
    check_plain(config, name)
    with building():  # there may be layers among them
        return import_keras().saving.deserialize_keras_object(config, safe_mode=True)
