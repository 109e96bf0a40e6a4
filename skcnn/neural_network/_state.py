"""The state of a classifier in a file without code: networks and weight files as members, objects as JSON."""

from __future__ import annotations

import json
from typing import Any

from skcnn._keras import import_keras
from skcnn._members import current_members
from skcnn.feature_extraction import BottleneckFeatures

_OBJECTS = ("optimizer", "loss", "augmentation")


def pack(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state of a classifier to store."""
    if current_members() is None:
        return state
    state = dict(state)
    if state["callbacks"]:
        raise TypeError(
            "callbacks cannot be saved without their code; expected callbacks=None. Save a copy with "
            "classifier.set_params(callbacks=None)."
        )
    state |= _through_features(state, "__getstate__")
    for name in _OBJECTS:
        if not isinstance(state[name], (str, type(None))):
            config = json.dumps(import_keras().saving.serialize_keras_object(state[name]))
            _check_plain(json.loads(config), name)
            state[name] = {"keras": config}
    return state


def unpack(state: dict[str, Any]) -> dict[str, Any]:
    """Return the state that :func:`pack` was given."""
    state = dict(state)
    if isinstance(state["backbone"], dict) or isinstance(state["weights"], dict):
        state |= _through_features(state, "__setstate__")
    for name in _OBJECTS:
        if isinstance(state[name], dict):
            config = json.loads(state[name]["keras"])
            _check_plain(config, name)
            state[name] = import_keras().saving.deserialize_keras_object(config, safe_mode=True)
    return state


def _through_features(state: dict[str, Any], direction: str) -> dict[str, Any]:
    """Let BottleneckFeatures put the common parameters into members, or take them from there."""
    features = BottleneckFeatures()
    given = {name: state[name] for name in ("backbone", "weights", "cache")}
    if direction == "__getstate__":
        stored = features.set_params(**given).__getstate__()
        return {name: stored[name] for name in given}
    features.__setstate__({**features.get_params(deep=False), **given})
    return {name: getattr(features, name) for name in given}


def _check_plain(config: Any, name: str) -> None:
    """Check that a serialized object contains only Keras's own classes: others would be imported, which is code."""
    if isinstance(config, dict):
        if "class_name" in config and "module" in config:
            module = config["module"]
            is_own = module is None or module == "builtins" or module == "keras" or str(module).startswith("keras.")
            if not is_own or config["class_name"] in ("Lambda", "function", "__lambda__"):
                raise TypeError(
                    f"{name} contains {config['class_name']!r} of {module!r}, which cannot be saved without its code; "
                    "expected only Keras's own classes."
                )
        for value in config.values():
            _check_plain(value, name)
    elif isinstance(config, list):
        for value in config:
            _check_plain(value, name)
