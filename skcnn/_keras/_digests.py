"""What a model computes, as a digest: its layers, their wiring, its weights and the functions in it."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator
from types import CodeType, MethodType, ModuleType
from typing import Any

from skcnn._keras._models import lambda_layers

#: Their functions are known by name and version.
_LIBRARIES = ("keras", "tensorflow", "jax", "torch", "numpy", "scipy")


def model_digest(model: Any) -> str:
    """Return a digest (SHA-256) of what a model computes: its layers, how they are wired, and its weights.

    Raises
    ------
    TypeError
        If it holds something that Keras cannot describe.
    """
    digest = hashlib.sha256()
    try:
        given = model.get_config()
    except (TypeError, NotImplementedError) as error:
        raise TypeError(
            f"Keras cannot describe the model {model.name!r}: {error} Layers of your own need get_config, and Lambda "
            "layers a function (def or lambda); or use a layer of Keras in their place, such as keras.layers.Rescaling."
        ) from error
    config = json.loads(json.dumps(given, default=str))
    digest.update(json.dumps(_with_canonical_names(config, {}), sort_keys=True).encode())
    for weight in model.get_weights():
        digest.update(str((weight.shape, weight.dtype.str)).encode())
        digest.update(weight.tobytes())
    for layer in lambda_layers(model):
        # The configuration may tell no more of a function than its name, which the next version of it has as well.
        digest.update(json.dumps(_content_of(layer.function, set()), default=repr).encode())
    return digest.hexdigest()


def _content_of(value: Any, seen: set[int]) -> Any:
    """Return what a function computes, as far as it is visible: its code, and the values and functions that it uses."""
    if isinstance(value, functools.partial):
        return [_content_of(part, seen) for part in (value.func, value.args, value.keywords)]
    if isinstance(value, MethodType):
        return [_content_of(value.__func__, seen), _content_of(value.__self__, seen)]
    if isinstance(value, ModuleType):
        return value.__name__
    code = getattr(value, "__code__", None)
    name = f"{getattr(value, '__module__', None)}.{getattr(value, '__qualname__', None)}"
    if isinstance(code, CodeType):
        if name.partition(".")[0] in _LIBRARIES or id(value) in seen:
            return name
        seen.add(id(value))
        names = sorted({used for part in _codes(code) for used in part.co_names} & set(value.__globals__))
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        used = [value.__defaults__, value.__kwdefaults__, *cells, *(value.__globals__[name] for name in names)]
        parts = [
            [part.co_code.hex(), [c for c in part.co_consts if not isinstance(c, CodeType)], part.co_names]
            for part in _codes(code)
        ]
        return [parts, [_content_of(one, seen) for one in used]]
    if callable(value) and hasattr(value, "__qualname__"):  # a class, or written in C
        return name
    from joblib import hash as hash_of

    try:
        return hash_of(value)
    except Exception:  # what cannot be pickled
        return repr(value)


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield a function's code, and that of the functions in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _with_canonical_names(config: Any, names: dict[str, str]) -> Any:
    # Keras numbers automatic names per process (conv2d, conv2d_1, ...): a name counts by its first occurrence.
    if isinstance(config, dict):
        if isinstance(config.get("name"), str):
            names.setdefault(config["name"], f"name{len(names)}")
        return {key: _with_canonical_names(value, names) for key, value in config.items()}
    if isinstance(config, list):
        return [_with_canonical_names(value, names) for value in config]
    return names.get(config, config) if isinstance(config, str) else config
