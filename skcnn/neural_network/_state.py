"""What of a classifier goes into a file, where no code may: networks and weight files as members, objects as JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

from skcnn._training import MAX_UNITS, pack_parameters, unpack_parameters

_OBJECTS = ("optimizer", "loss", "augmentation")


def pack(parameters: dict[str, Any], members: dict[str, bytes], *, is_fine_tuned: bool) -> dict[str, Any]:
    """Return those parameters that a file stores otherwise; networks and weights go into ``members``.

    Weights that a fine-tuned network began with are left out: only another fit would need them.
    """
    if parameters["callbacks"]:
        raise TypeError(
            "callbacks cannot be saved without their code; expected callbacks=None. Save a copy with "
            "classifier.set_params(callbacks=None)."
        )
    return pack_parameters(parameters, members, _OBJECTS, is_fine_tuned=is_fine_tuned)


def unpack(parameters: dict[str, Any], members: dict[str, bytes]) -> dict[str, Any]:
    """Return the parameters that :func:`pack` returned as they were."""
    return unpack_parameters(parameters, members, _OBJECTS)


def check_sizes(hidden_layer_sizes: Any, head: list[np.ndarray]) -> None:
    """See that a file's head is as large as its weights; raise ValueError if not."""
    sizes = list(hidden_layer_sizes)
    if not all(isinstance(size, int) and 0 < size <= MAX_UNITS for size in sizes):
        raise ValueError(f"hidden_layer_sizes={hidden_layer_sizes!r}; expected at most {MAX_UNITS:,} units per layer")
    if head and [kernel.shape[-1] for kernel in head[:-2:2]] != sizes:
        raise ValueError(f"hidden_layer_sizes={hidden_layer_sizes!r} are not those of its weights")
