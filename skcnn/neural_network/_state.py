"""What of a classifier goes into a file, where no code may: networks and weight files as members, objects as JSON."""

from __future__ import annotations

import json
from typing import Any

from skcnn._keras import building, import_keras
from skcnn.feature_extraction import BottleneckFeatures

_OBJECTS = ("optimizer", "loss", "augmentation")


def pack(parameters: dict[str, Any], members: dict[str, bytes]) -> dict[str, Any]:
    """Return those parameters that a file stores otherwise; networks and weights go into ``members``."""
    if parameters["callbacks"]:
        raise TypeError(
            "callbacks cannot be saved without their code; expected callbacks=None. Save a copy with "
            "classifier.set_params(callbacks=None)."
        )
    stored = _shared_features(parameters).__skcnn_pack__(members)
    for name in _OBJECTS:
        value = parameters[name]
        if not isinstance(value, (str, type(None))):
            config = json.dumps(import_keras().saving.serialize_keras_object(value))
            _check_plain(json.loads(config), name)
            stored[name] = {"keras": config}
    return stored


def unpack(parameters: dict[str, Any], members: dict[str, bytes]) -> dict[str, Any]:
    """Return the parameters that :func:`pack` returned as they were."""
    given = _shared_features(parameters).__skcnn_unpack__(members)
    for name in _OBJECTS:
        value = parameters[name]
        if isinstance(value, dict):
            config = json.loads(value["keras"])
            _check_plain(config, name)
            with building():  # there may be layers among them
                given[name] = import_keras().saving.deserialize_keras_object(config, safe_mode=True)
    return given


def _shared_features(parameters: dict[str, Any]) -> BottleneckFeatures:
    """Return a transformer with the parameters that are stored as its own are."""
    return BottleneckFeatures(parameters["backbone"], weights=parameters["weights"], cache=parameters["cache"])


def _check_plain(config: Any, name: str) -> None:
    """See that a serialized object is made of Keras's own classes: others would be imported, which is code."""
    if isinstance(config, dict):
        if "class_name" in config and "module" in config:
            module = config["module"]
            is_own = module is None or module == "builtins" or module == "keras" or str(module).startswith("keras.")
            if not is_own or config["class_name"] in ("Lambda", "function", "__lambda__"):
                raise TypeError(
                    f"{name} holds {config['class_name']!r} of {module!r}, which cannot be saved without its code: "
                    "only Keras's own classes can."
                )
        for value in config.values():
            _check_plain(value, name)
    elif isinstance(config, list):
        for value in config:
            _check_plain(value, name)
