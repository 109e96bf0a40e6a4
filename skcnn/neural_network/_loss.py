"""Losses and optimizers as parameters: the targets and the head that they need, and their identity."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np

from skcnn._keras import import_keras


class Objective(NamedTuple):
    """A loss, and the targets and the head that it needs.

    Parameters
    ----------
    loss : str, keras.losses.Loss or callable
        A loss for ``Model.compile``.
    labels : {"index", "one_hot", "binary"}
        Form of the targets.
    n_outputs : int
        Units of the head.
    activation : {"softmax", "sigmoid"}
        Activation of the head.
    identity : str
        Identifies the loss.
    """

    loss: Any
    labels: str
    n_outputs: int
    activation: str
    identity: str

    def encode(self, codes: np.ndarray) -> np.ndarray:
        """Return the targets (n,) or (n, n_outputs) for class indices (n,)."""
        if self.labels == "one_hot":
            return np.eye(self.n_outputs, dtype="float32")[codes]
        return codes.astype("float32")[:, None] if self.labels == "binary" else codes.astype("int32")

    def probabilities(self, outputs: np.ndarray) -> np.ndarray:
        """Return float64 probabilities (n, n_classes) that sum to 1, from the head's output."""
        outputs = outputs.astype("float64")
        if self.labels == "binary":
            return np.hstack([1 - outputs, outputs])
        return np.asarray(outputs / outputs.sum(axis=1, keepdims=True))


def as_objective(loss: Any, n_classes: int) -> Objective:
    """Return the objective of the parameter ``loss`` for a number of classes.

    Raises
    ------
    TypeError
        If it is neither a name nor a loss.
    ValueError
        If the loss is unknown, or does not fit the number of classes.
    """
    losses = import_keras().losses
    if isinstance(loss, str) and loss == "auto":
        loss = "sparse_categorical_crossentropy"
    if isinstance(loss, str):
        try:
            losses.get(loss)
        except ValueError:
            raise ValueError(
                f"loss={loss!r}; expected 'auto', the name of a loss of keras.losses, such as "
                "'categorical_focal_crossentropy', or a loss object"
            ) from None
        name, identity = loss, loss
    elif isinstance(loss, losses.Loss):
        if loss.get_config().get("from_logits"):
            raise ValueError("The loss has from_logits=True; expected False, since the network returns probabilities.")
        name, identity = type(loss).__name__, as_json(losses.serialize(loss))
    elif callable(loss) and not isinstance(loss, type):
        name = getattr(loss, "__name__", type(loss).__name__)
        identity = f"{name} at {id(loss)}"
    else:
        raise TypeError(f"loss={loss!r}; expected 'auto', the name of a Keras loss, or a loss object")
    stem = name.replace("_", "").lower()
    if stem.startswith("binary"):
        if n_classes != 2:
            raise ValueError(f"loss={name!r} is for 2 classes, but y has {n_classes}; use 'auto' for more classes.")
        return Objective(loss, "binary", 1, "sigmoid", identity)
    # One loss of class indices is not called sparse.
    is_sparse = stem.startswith("sparse") or stem == "categoricalgeneralizedcrossentropy"
    labels = "index" if is_sparse else "one_hot"
    return Objective(loss, labels, n_classes, "softmax", identity)


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
