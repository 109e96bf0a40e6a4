"""The parameter ``unfreeze``: which layers of a network are trained."""

from __future__ import annotations

import difflib
from fnmatch import fnmatchcase
from numbers import Integral
from typing import Any

import numpy as np

from skcnn._keras import import_keras
from skcnn.backbones import Backbone

_GLOB = frozenset("*?[")


def check_unfreeze(unfreeze: Any) -> Any:
    """Return ``unfreeze`` in its canonical form, or raise an error."""
    if unfreeze is None or (isinstance(unfreeze, str) and unfreeze):
        return unfreeze
    if isinstance(unfreeze, Integral) and not isinstance(unfreeze, bool):
        return "all" if unfreeze == 0 else int(unfreeze)
    if isinstance(unfreeze, (float, np.floating)) and 0 < unfreeze <= 1:
        return "all" if unfreeze == 1 else float(unfreeze)
    raise ValueError(
        f"unfreeze={unfreeze!r}; expected None, 'all', the name of the first layer to open, its index (-20: the last "
        "20 layers), the fraction of the layers to open, a float in (0, 1], or a pattern of names, such as 'dense*'"
    )


def open_layers(backbone: Backbone, network: Any, unfreeze: Any) -> list[bool]:
    """Return for each layer of a backbone's network whether ``unfreeze`` opens it.

    Raises
    ------
    ValueError
        If the network has no such layer.
    """
    names = [layer.name for layer in network.layers]
    if isinstance(unfreeze, str) and unfreeze not in names and _GLOB & set(unfreeze):
        if not any(matching := [fnmatchcase(name, unfreeze) for name in names]):
            raise ValueError(f"unfreeze={unfreeze!r}; no layer of {backbone.name} has a name of this form.")
        return matching
    first = _first_open_layer(backbone, network, names, unfreeze)
    return [index >= first for index in range(len(names))]


def _first_open_layer(backbone: Backbone, network: Any, names: list[str], unfreeze: Any) -> int:
    """Return the index of the first layer that ``unfreeze`` opens; the number of layers if there is none."""
    n_layers = len(names)
    if unfreeze is None:
        return n_layers
    if unfreeze == "all":
        return 0
    if isinstance(unfreeze, float):
        return min(round(n_layers * (1 - unfreeze)), n_layers - 1)
    if isinstance(unfreeze, int):
        if not -n_layers <= unfreeze < n_layers:
            raise ValueError(f"unfreeze={unfreeze}; expected an index of the {n_layers} layers of {backbone.name}.")
        return int(unfreeze) % n_layers
    if unfreeze in names:
        return names.index(unfreeze)
    for layer in backbone.layers:
        if layer.name == unfreeze:
            operation = backbone.layer_output(network, unfreeze)._keras_history.operation
            operations = getattr(network, "operations", network.layers)  # a Sequential has layers alone
            later = operations[operations.index(operation) :]
            return next((names.index(o.name) for o in later if o.name in names), n_layers)
    close = difflib.get_close_matches(unfreeze, names, n=3)
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    raise ValueError(f"unfreeze={unfreeze!r}; expected a layer of {backbone.name}.{hint}")


def freeze_batch_norm(network: Any) -> None:
    """Freeze BatchNorm layers: only frozen ones stay in inference mode while a model is trained."""
    for layer in network.layers:
        if isinstance(layer, import_keras().layers.BatchNormalization):
            layer.trainable = False
        elif hasattr(layer, "layers"):
            freeze_batch_norm(layer)
