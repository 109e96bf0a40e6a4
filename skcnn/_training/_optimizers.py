"""Optimizers as parameters, and their identity."""

from __future__ import annotations

import json
from typing import Any

from skcnn._keras import import_keras


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
                "The optimizer has a learning rate schedule; expected none. Use the classifier's parameters "
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
