"""What of an estimator's parameters goes into a file, where no code may: networks as members, objects as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from skcnn._training._optimizers import keras_as_data, keras_from_data
from skcnn.backbones import UnsavedWeights, as_backbone, as_weights_file
from skcnn.feature_extraction import BottleneckFeatures

_SHARED = ("weights", "image_size", "cache")


def pack_parameters(
    parameters: dict[str, Any], members: dict[str, bytes], objects: Sequence[str], *, is_fine_tuned: bool
) -> dict[str, Any]:
    """Return those parameters that a file stores otherwise; networks and weights go into ``members``.

    Weights that a fine-tuned network began with are left out: only another fit would need them. ``objects`` are names
    of parameters that are objects of Keras.
    """
    unsaved = _unsaved(parameters) if is_fine_tuned else None
    if unsaved is not None:
        parameters = {**parameters, "weights": None}
    stored = shared_features(parameters).__skcnn_pack__(members)
    if unsaved is not None:
        stored["weights"] = {"unsaved": unsaved.sha256}
    data = {name: keras_as_data(parameters[name], name) for name in objects}
    return stored | {name: value for name, value in data.items() if value is not parameters[name]}


def unpack_parameters(parameters: dict[str, Any], members: dict[str, bytes], objects: Sequence[str]) -> dict[str, Any]:
    """Return the parameters that :func:`pack_parameters` returned as they were."""
    weights = parameters["weights"]
    unsaved = UnsavedWeights(str(weights["unsaved"])) if isinstance(weights, dict) and "unsaved" in weights else None
    if unsaved is not None:
        parameters = {**parameters, "weights": None}
    given = shared_features(parameters).__skcnn_unpack__(members)
    if unsaved is not None:
        given["weights"] = unsaved
    data = {name: keras_from_data(parameters[name], name) for name in objects}
    return given | {name: value for name, value in data.items() if value is not parameters[name]}


def _unsaved(parameters: dict[str, Any]) -> UnsavedWeights | None:
    """Return what stands for the weights if they are a file's, and None if they have a name."""
    weights = parameters["weights"]
    if isinstance(weights, Mapping):
        weights = as_backbone(parameters["backbone"]).choose_weights(weights)
    if isinstance(weights, UnsavedWeights):
        return weights
    file = None if weights is None else as_weights_file(weights)
    return None if file is None else UnsavedWeights(file.sha256)


def shared_features(parameters: dict[str, Any]) -> BottleneckFeatures:
    """Return a transformer with the parameters that are stored as its own are."""
    return BottleneckFeatures(parameters["backbone"], **{name: parameters[name] for name in _SHARED})
