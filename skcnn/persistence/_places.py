"""Places on a machine, such as a cache directory: no part of a model that others load, and nothing a file may choose.

A file that names a folder would have it written to, and what lies there read: joblib unpickles what it finds in the
``memory`` of a pipeline.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

#: Parameters that name places, and what they are in a file and after load.
RESET = {"cache": "memory", "checkpoint": None, "memory": None, "root": None, "store": None}

_PLAIN = (bool, int, float, type(None))


def without_places(value: Any) -> Any:
    """Return an object, or a dict of parameters, without the places that it names; what it holds is left as it is."""
    if isinstance(value, dict):
        named = {key: key.rpartition("__")[2] for key in value if isinstance(key, str)}
        changed = {key: _reset(name, value[key]) for key, name in named.items() if name in RESET}
    elif not isinstance(value, type) and hasattr(type(value), "get_params") and hasattr(value, "__dict__"):
        changed = {name: _reset(name, vars(value)[name]) for name in RESET if name in vars(value)}
    else:
        return value
    given = value if isinstance(value, dict) else vars(value)
    changed = {key: new for key, new in changed.items() if new is not given[key]}
    if not changed:
        return value
    if isinstance(value, dict):
        copied = copy.copy(value)  # of its own type, such as Bunch
        dict.update(copied, changed)
        return copied
    copied = object.__new__(type(value))
    copied.__dict__.update({**given, **changed})
    return copied


def _reset(name: str, value: Any) -> Any:
    """Return a parameter without the place that it names; what names none (None, True) and ``"memory"`` stay."""
    if isinstance(value, _PLAIN) or (isinstance(value, str) and value == RESET[name]):
        return value
    if isinstance(value, (list, tuple)):  # candidates of a search
        items = [_reset(name, item) for item in value]
        return value if all(a is b for a, b in zip(items, value, strict=True)) else type(value)(items)
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "OUS":
            return value
        new = np.array(value, dtype=object, copy=True)
        for place, item in enumerate(value.flat):
            new.flat[place] = _reset(name, item)
        return new
    return RESET[name]
