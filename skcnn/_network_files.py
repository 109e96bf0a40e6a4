"""Networks and other objects of Keras from files of unknown origin: no code of a file is run, and sizes are bounded.

Keras's safe mode alone refuses lambdas. Left to it are layers that load files which their configuration names, classes
and functions of all of Keras, and whatever sizes are asked for.
"""

from __future__ import annotations

import io
import json
import math
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from skcnn._archives import MAX_RATIO, SLACK, open_archive, read_member
from skcnn._files import temporary_folder
from skcnn._keras import building, import_keras

#: Bounds of a network: bytes of its configuration, objects in it, values of a layer's output per image.
MAX_CONFIG = 16 * 2**20
MAX_OBJECTS = 100_000
MAX_OUTPUT = 2**28

_NOT_STORED = 2**20  # numbers that layers hold beside their weights, such as the states of their random generators
_MAX_DEPTH = 200
_MAX_MEMBERS = 1_000

#: What runs code of its own, or reads files and tables that its configuration names, or computes when it is made.
_REFUSED = frozenset(
    {
        "FeatureSpace",
        "FlaxLayer",
        "HashedCrossing",
        "Hashing",
        "IntegerLookup",
        "JaxLayer",
        "Lambda",
        "MelSpectrogram",
        "STFTSpectrogram",
        "StringLookup",
        "TFSMLayer",
        "TextVectorization",
        "TorchModuleWrapper",
        "__lambda__",
        "__typespec__",
    }
)
#: Where in ``keras`` and ``keras.src`` there are classes that a configuration may name.
_PACKAGES = frozenset(
    {
        "activations",
        "constraints",
        "dtype_policies",
        "initializers",
        "layers",
        "losses",
        "metrics",
        "models",
        "ops",
        "optimizers",
        "quantizers",
        "random",
        "regularizers",
    }
)
_BARE = frozenset({"DTypePolicy", "FloatDTypePolicy", "Functional", "Model", "Sequential", "Variable"})


def check_plain(config: Any, name: str) -> None:
    """See that a configuration of Keras's is made of Keras's own harmless classes, and of those of this process.

    Parameters
    ----------
    config : dict, list or plain value
        As ``keras.saving.serialize_keras_object`` returns it.
    name : str
        What it belongs to, for the error.

    Raises
    ------
    TypeError
        If it names anything else: that would be imported, which is code.
    ValueError
        If it is too large or nested too deep.
    """
    n_objects, waiting = 0, [(config, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > _MAX_DEPTH:
            raise ValueError(f"{name} is nested more than {_MAX_DEPTH} levels deep")
        if isinstance(value, dict):
            if "class_name" in value:
                n_objects += 1
                if n_objects > MAX_OBJECTS:
                    raise ValueError(f"{name} has more than {MAX_OBJECTS:,} objects")
                _check_object(value, name)
            waiting += ((part, depth + 1) for part in value.values())
        elif isinstance(value, list):
            waiting += ((part, depth + 1) for part in value)


def _check_object(config: dict[str, Any], name: str) -> None:
    class_name, module = config["class_name"], config.get("module")
    if class_name == "Lambda":
        raise TypeError(
            f"{name} holds a Lambda layer, which cannot be saved without its code: use a layer of Keras's own instead, "
            "such as Rescaling."
        )
    if isinstance(class_name, str) and class_name not in _REFUSED:
        registered = config.get("registered_name")
        if isinstance(registered, str) and import_keras().saving.get_registered_object(registered) is not None:
            return  # by the user, in this process
        if class_name == "function" and module == "builtins":
            return  # found by its name among activations, losses, ...
        if module is None or _is_own(module, class_name):
            return
    raise TypeError(
        f"{name} holds {class_name!r} of {module!r}, which cannot be saved without its code: only Keras's own classes "
        "can, and those registered by keras.saving.register_keras_serializable."
    )


def _is_own(module: Any, class_name: str) -> bool:
    if module == "builtins":
        return class_name.startswith("__")
    if not isinstance(module, str):
        return False
    top, *path = module.split(".")
    if top != "keras":
        return False
    if path[:1] == ["src"]:
        path = path[1:]
    if path[:1] == ["backend"] and path[2:3] == ["optimizers"]:  # PyTorch's are called by where they are
        return True
    return path[0] in _PACKAGES if path else class_name in _BARE


def without_state(config: Any) -> Any:
    """Return a configuration without what would build or compile the objects in it as they are made."""
    if isinstance(config, dict):
        return {k: without_state(v) for k, v in config.items() if k not in ("build_config", "compile_config")}
    return [without_state(value) for value in config] if isinstance(config, list) else config


def network_from_archive(archive: bytes | Path) -> Any:
    """Return the model of a ``.keras`` archive.

    Parameters
    ----------
    archive : bytes or Path
        The archive, or where it lies.

    Returns
    -------
    keras.Model
        Not compiled.

    Raises
    ------
    TypeError
        If it holds layers that would run code.
    ValueError
        If it is not such an archive, is damaged, or asks for more than it holds.
    OSError
        If it cannot be read.
    """
    config, weights = _read(archive)
    n_stored = check_hdf5(weights)
    # Keras keeps the variables that it has yet to fill per thread: what is refused goes with the thread.
    with building(), ThreadPoolExecutor(1) as thread:
        return thread.submit(_build, config, weights, n_stored).result()


def check_archive(archive: bytes) -> None:
    """See that :func:`network_from_archive` takes the layers of an archive; raises as it does."""
    _read(archive)


def _read(archive: bytes | Path) -> tuple[Any, bytes]:
    source = archive if isinstance(archive, Path) else io.BytesIO(archive)
    with open_archive(source, max_members=_MAX_MEMBERS) as parts:
        if not {"config.json", "model.weights.h5"} <= set(parts.namelist()):
            raise ValueError("it is not a .keras archive of Keras 3")
        config = json.loads(read_member(parts, "config.json", MAX_CONFIG))
        weights = read_member(parts, "model.weights.h5")
    check_plain(config, "the network")
    if isinstance(config, dict):
        config.pop("compile_config", None)
    return config, weights


def _build(config: Any, weights: bytes, n_stored: int) -> Any:
    keras = import_keras()
    with keras.StatelessScope(initialize_variables=False):
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
        if not isinstance(model, keras.Model):
            raise ValueError(f"it holds {type(model).__name__}, which is not a Keras model")
        n_asked = sum(math.prod(variable.shape) for variable in model.variables)
        if n_asked > n_stored + _NOT_STORED:
            raise ValueError(f"its network asks for {n_asked:,} weights, and {n_stored:,} are stored")
        _check_outputs(model)
    with keras.StatelessScope():  # the variables get their place as it ends
        pass
    with temporary_folder(tempfile.gettempdir(), "skcnn-model-") as folder:
        path = folder / "model.weights.h5"
        path.write_bytes(weights)
        model.load_weights(path)
    return model


def _check_outputs(model: Any) -> None:
    """See that no layer's output is too large to be computed."""
    for layer in (model, *model.layers):
        try:
            outputs = import_keras().tree.flatten([layer.input, layer.output])
        except (AttributeError, ValueError):  # it has none, or several
            outputs = []
        for output in outputs:
            if math.prod(side for side in output.shape[1:] if side is not None) > MAX_OUTPUT:
                raise ValueError(
                    f"its layer {layer.name!r} takes or gives {tuple(output.shape)}; expected at most {MAX_OUTPUT:,} "
                    "values per image"
                )
        if layer is not model and hasattr(layer, "layers"):
            _check_outputs(layer)


def check_hdf5(content: bytes) -> int:
    """See that an HDF5 file holds what it declares, itself, and return how many numbers that is.

    Parameters
    ----------
    content : bytes
        The file.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        If it takes from other files, or declares more than it holds.
    OSError
        If it is not an HDF5 file.
    """
    import h5py

    n_numbers = n_bytes = 0
    with h5py.File(io.BytesIO(content), "r") as file:
        seen, waiting = set(), [file]
        while waiting:
            group = waiting.pop()
            for name in group:
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    raise ValueError(f"its weights {name!r} are a link to elsewhere")
                part = group[name]
                if isinstance(part, h5py.Group):
                    # A group may be in itself.
                    if (address := h5py.h5o.get_info(part.id).addr) not in seen:
                        seen.add(address)
                        waiting.append(part)
                elif isinstance(part, h5py.Dataset):
                    if part.external or part.is_virtual:
                        raise ValueError(f"its weights {name!r} lie in another file")
                    n_numbers += part.size or 0
                    n_bytes += part.nbytes
                else:
                    raise ValueError(f"its weights {name!r} are not an array")
    if n_bytes > (accepted := MAX_RATIO * len(content) + SLACK):
        raise ValueError(f"its weights declare {n_bytes:,} bytes; expected at most {accepted:,}")
    return n_numbers
