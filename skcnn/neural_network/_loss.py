"""Losses as parameters: the targets and the head that they need, and their identity."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from skcnn._keras import import_keras
from skcnn._training import as_json

_OF_OTHER_TASKS = {
    "ctc": "sequences of labels",
    "dice": "masks",
    "tversky": "masks",
    "circle": "embeddings of identities",
}


class Objective(NamedTuple):
    """A loss, and the targets and the head that it needs.

    Parameters
    ----------
    loss : str, keras.losses.Loss or callable
        A loss for ``Model.compile``.
    targets : {"index", "one_hot", "binary", "indicator", "numbers"}
        Form of the targets: of one class per image (the first three), of several, or numbers.
    n_outputs : int
        Units of the head.
    activation : {"softmax", "sigmoid", "linear", "exponential"}
        Activation of the head.
    identity : str
        Identifies the loss.
    """

    loss: Any
    targets: str
    n_outputs: int
    activation: str
    identity: str

    @property
    def metric(self) -> str:
        """The metric that is shown beside the loss, as Keras calls it."""
        return {"indicator": "binary_accuracy", "numbers": "r2_score"}.get(self.targets, "accuracy")

    @property
    def meta(self) -> tuple[tuple[str, Any], ...]:
        """What SciKeras tells a builder of the task."""
        if self.targets == "numbers":
            kind = "continuous" if self.n_outputs == 1 else "continuous-multioutput"
            return ("target_type_", kind), ("n_outputs_", self.n_outputs), ("n_outputs_expected_", self.n_outputs)
        n_classes = 2 if self.targets == "binary" else self.n_outputs
        one = self.targets != "indicator"
        return (
            ("n_classes_", n_classes),
            ("classes_", tuple(range(n_classes))),
            ("target_type_", ("binary" if n_classes == 2 else "multiclass") if one else "multilabel-indicator"),
            ("n_outputs_", 1 if one else n_classes),
            ("n_outputs_expected_", 1 if one else n_classes),
        )

    def encode(self, y: np.ndarray) -> np.ndarray:
        """Return the targets (n,) or (n, n_outputs) for class indices (n,), indicators or numbers (n, n_outputs)."""
        if self.targets == "one_hot":
            return np.eye(self.n_outputs, dtype="float32")[y]
        if self.targets == "index":
            return y.astype("int32")
        return y.astype("float32").reshape(len(y), -1)

    def decode(self, outputs: np.ndarray) -> np.ndarray:
        """Return what the head's output says: float64 probabilities, which sum to 1 for one class, or numbers."""
        outputs = outputs.astype("float64")
        if self.targets == "binary":
            return np.hstack([1 - outputs, outputs])
        if self.activation == "softmax":
            return np.asarray(outputs / outputs.sum(axis=1, keepdims=True))
        return outputs


def classifying(loss: Any, n_classes: int, *, several: bool = False) -> Objective:
    """Return the objective of the parameter ``loss`` for a number of classes, of which an image has one, or several.

    Raises
    ------
    TypeError
        If it is neither a name nor a loss.
    ValueError
        If the loss is unknown, or does not fit the number of classes.
    """
    if isinstance(loss, str) and loss == "auto":
        loss = "binary_crossentropy" if several else "sparse_categorical_crossentropy"
    name, stem, identity = _named(loss, "'categorical_focal_crossentropy'")
    if several:
        if not stem.startswith("binary"):
            raise ValueError(
                f"loss={name!r} is for one class per image, but y has an indicator column per class; expected a binary "
                "loss, such as 'binary_crossentropy' or 'binary_focal_crossentropy', or 'auto'."
            )
        return Objective(loss, "indicator", n_classes, "sigmoid", identity)
    if stem.startswith("binary"):
        if n_classes != 2:
            raise ValueError(f"loss={name!r} is for 2 classes, but y has {n_classes}; use 'auto' for more classes.")
        return Objective(loss, "binary", 1, "sigmoid", identity)
    # One loss of class indices is not called sparse.
    is_sparse = stem.startswith("sparse") or stem == "categoricalgeneralizedcrossentropy"
    targets = "index" if is_sparse else "one_hot"
    return Objective(loss, targets, n_classes, "softmax", identity)


def regressing(loss: Any, n_outputs: int) -> Objective:
    """Return the objective of the parameter ``loss`` for a number of targets.

    Raises
    ------
    TypeError
        If it is neither a name nor a loss.
    ValueError
        If the loss is unknown, or one of classes.
    """
    if isinstance(loss, str) and loss == "auto":
        loss = "mean_squared_error"
    name, stem, identity = _named(loss, "'mean_squared_error', 'mean_absolute_error', 'huber' or 'poisson'")
    if "crossentropy" in stem or "hinge" in stem:
        raise ValueError(f"loss={name!r} is for classes; expected one of numbers, such as 'mean_squared_error'.")
    activation = "exponential" if stem == "poisson" else "linear"
    return Objective(loss, "numbers", n_outputs, activation, identity)


def _named(loss: Any, examples: str) -> tuple[str, str, str]:
    """Return the name of a loss, the same in one form, and its identity; or raise an error."""
    losses = import_keras().losses
    expected = f"'auto', the name of a loss of keras.losses, such as {examples}, or a loss object"
    if isinstance(loss, str):
        try:
            losses.get(loss)
        except ValueError:
            raise ValueError(f"loss={loss!r}; expected {expected}") from None
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
    if stem in _OF_OTHER_TASKS:
        raise ValueError(f"loss={name!r} is for {_OF_OTHER_TASKS[stem]}; expected {expected}")
    return name, stem, identity
