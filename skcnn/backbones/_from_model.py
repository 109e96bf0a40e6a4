"""Networks of the user's own, a Keras model or a function that builds one, as backbones."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skcnn._archives import DAMAGE
from skcnn._files import check_regular
from skcnn._keras import building, is_keras_model, model_digest
from skcnn._network_files import network_from_archive
from skcnn.backbones._backbone import N_CLASSES, Backbone
from skcnn.backbones._layers import BottleneckLayer, has_automatic_name
from skcnn.backbones._registry import get_backbone
from skcnn.backbones._weights import PartialWeights

if TYPE_CHECKING:
    import keras

#: The size of networks that leave it open.
OPEN_SIZE = (224, 224)

_LEGACY = (".h5", ".hdf5")


def as_backbone(
    backbone: str | os.PathLike[str] | Backbone | keras.Model | Callable[..., keras.Model],
    *,
    image_size: tuple[int, int] | None = None,
) -> Backbone:
    """Return the backbone that a ``backbone`` parameter refers to.

    Parameters
    ----------
    backbone : str, Backbone, keras.Model, path or callable
        A name of :func:`list_backbones`; a backbone; a Keras model, or the path of one (``.keras``); or a callable
        ``build(input_shape=(height, width, 3))`` that returns a Keras model. Models take pixels in [0, 255] and do
        their own preprocessing.
    image_size : tuple of (height, width) or None, default=None
        Size in pixels for a callable, and for a model whose size is not fixed. None is (224, 224).

    Returns
    -------
    Backbone

    Raises
    ------
    TypeError
        If it is none of these.
    ValueError
        If the model has other inputs or outputs; or if its file is damaged, or would run code, as Lambda layers and the
        legacy format (``.h5``) do.
    OSError
        If it is a path that does not exist.

    Examples
    --------
    >>> from skcnn.backbones import as_backbone
    >>> as_backbone("ResNet20").n_features
    64
    """
    if isinstance(backbone, Backbone):
        return backbone
    if isinstance(backbone, os.PathLike) or (isinstance(backbone, str) and backbone.endswith((".keras", *_LEGACY))):
        return backbone_from_model(_load_model(Path(backbone).expanduser()), image_size=image_size)
    if isinstance(backbone, str):
        return get_backbone(backbone)
    if is_keras_model(backbone):
        return backbone_from_model(backbone, image_size=image_size)
    if callable(backbone):
        return _backbone_from_callable(backbone, tuple(image_size or OPEN_SIZE))
    raise TypeError(
        f"backbone={backbone!r}; expected a name of skcnn.backbones.list_backbones(), a Keras model, the path of one "
        "(.keras), or a callable build(input_shape=(height, width, 3)) that returns one"
    )


def backbone_from_model(model: keras.Model, *, image_size: tuple[int, int] | None = None) -> Backbone:
    """Make a backbone of a Keras model.

    Parameters
    ----------
    model : keras.Model
        Functional or Sequential and built; from pixels (n, height, width, 3) in [0, 255], uint8 or float, to a feature
        map (n, height, width, channels) or features (n, n_features). Its own weights are used.
    image_size : tuple of (height, width) or None, default=None
        Size in pixels for a model whose size is not fixed. None is (224, 224).

    Returns
    -------
    Backbone
        With the model as ``network``. Its one bottleneck layer, ``"output"``, is the model's output; ``layer_name``
        takes any other layer by its own name or its index.

    Raises
    ------
    TypeError
        If it is not a Keras model, or one without a graph (subclassed, or not built).
    ValueError
        If it takes or gives something else.

    Examples
    --------
    >>> import keras
    >>> from skcnn.backbones import backbone_from_model
    >>> pixels = keras.Input((32, 32, 3))
    >>> scaled = keras.layers.Rescaling(1 / 255)(pixels)
    >>> model = keras.Model(pixels, keras.layers.Conv2D(8, 3, name="edges")(scaled))
    >>> backbone = backbone_from_model(model)
    >>> backbone.image_size, backbone.n_features
    ((32, 32), 8)
    """
    return ModelBackbone(**_describe(model, image_size))


@dataclass(frozen=True)
class ModelBackbone(Backbone):
    """A backbone that is a Keras model of the user's (its ``builder``): graph and weights are there already."""

    @property
    def identity(self) -> str:
        """Its name: the digest of :meth:`weights_id` says the rest."""
        return self.name

    @property
    def network(self) -> Any:
        """The Keras model."""
        return self.builder

    def layer_name(self, layer: str | int) -> str:
        """Return the name of a layer; one that Keras made up becomes an index: copies of a model bear others."""
        if isinstance(layer, str) and layer != self.layers[-1].name:
            for index, candidate in enumerate(self.network.layers):
                if candidate.name == layer and has_automatic_name(candidate):
                    return f"layer[{index}]"
        return super().layer_name(layer)

    def weights_id(self, weights: Any = "pretrained", random_state: int = 0) -> str:
        """Return the digest of the model: its layers and its weights."""
        if isinstance(weights, PartialWeights):
            return super().weights_id(weights, random_state)
        self._resolve_weights(weights)
        return f"sha256:{model_digest(self.network)}"

    def with_classifier(self) -> Backbone:
        """Return the model itself, once it is known to give a number for each class of ImageNet."""
        if self.network.output_shape != (None, N_CLASSES):
            raise ValueError(
                f"The Keras model {self.name!r} gives {self.network.output_shape}; expected (None, {N_CLASSES}), the "
                "probabilities of the classes of ImageNet."
            )
        return self

    def _build_published(self, name: str, size: tuple[int, int]) -> Any:
        for asked, own in zip(size, self.network.input_shape[1:3], strict=True):
            if own not in (None, asked):
                raise ValueError(
                    f"The Keras model {self.name!r} takes images of {self.image_size[0]} x {self.image_size[1]} "
                    f"pixels, and not of {size[0]} x {size[1]}: leave image_size=None, or give a model of that size."
                )
        return self.network

    def choose_weights(self, weights: Any) -> Any:
        """Return the network's own weights where a dict has none for it, as it brings them along."""
        return weights.get(self.name, "pretrained") if isinstance(weights, Mapping) else weights

    def _resolve_weights(self, weights: Any) -> str:
        return _own_weights(self.choose_weights(weights))


@dataclass(frozen=True)
class CallableBackbone(Backbone):
    """A backbone that a callable of the user's (its ``builder``) builds, at any size."""

    @property
    def identity(self) -> str:
        """Its name: the digest of :meth:`weights_id` says the rest."""
        return self.name

    def weights_id(self, weights: Any = "pretrained", random_state: int = 0) -> str:
        """Return the digest of what the callable builds with this seed: it builds the network to find out."""
        if isinstance(weights, PartialWeights):
            return super().weights_id(weights, random_state)
        self._resolve_weights(weights)
        return f"sha256:{_built_digest(self.builder, self.image_size, random_state)}"

    def _build_published(self, name: str, size: tuple[int, int]) -> Any:
        return _call(self.builder, size)

    def choose_weights(self, weights: Any) -> Any:
        """Return the network's own weights where a dict has none for it, as it brings them along."""
        return weights.get(self.name, "pretrained") if isinstance(weights, Mapping) else weights

    def _resolve_weights(self, weights: Any) -> str:
        return _own_weights(self.choose_weights(weights))


def _own_weights(weights: Any) -> str:
    if weights != "pretrained":
        raise ValueError(
            f"weights={weights!r}, but the backbone is a network of your own, which has its own weights: leave "
            "weights='pretrained', and load others into the model itself (keras.Model.load_weights)."
        )
    return "pretrained"


# Remembered, as building takes seconds and transformers ask every time.
@lru_cache(maxsize=32)
def _backbone_from_callable(build: Callable[..., Any], image_size: tuple[int, int]) -> Backbone:
    with building(0):
        fields = _describe(_call(build, image_size), image_size)
    name = getattr(build, "__name__", type(build).__name__)
    return CallableBackbone(**{**fields, "name": name, "builder": build})


@lru_cache(maxsize=32)
def _built_digest(build: Callable[..., Any], image_size: tuple[int, int], random_state: int) -> str:
    with building(random_state):
        return model_digest(_call(build, image_size))


def _call(build: Any, size: tuple[int, int]) -> Any:
    model = build(input_shape=(*size, 3))
    if not is_keras_model(model):
        raise TypeError(
            f"{build!r} was called as a backbone and returned {type(model).__name__}; expected a Keras model"
        )
    return model


def _load_model(path: Path) -> Any:
    check_regular(path, "a Keras model")
    if not path.is_file():
        raise FileNotFoundError(f"There is no Keras model {str(path)!r} (current folder: {Path.cwd()}).")
    if path.suffix in _LEGACY:
        raise ValueError(
            f"{str(path)!r} is in Keras's legacy format, which runs code when it is loaded. If you trust its "
            "source, load it with keras.saving.load_model(path, compile=False) and give the model as backbone=. A "
            "file of weights alone is given as weights=, beside the name of its network."
        )
    status = path.stat()
    try:
        return _loaded_model(str(path.resolve()), status.st_size, status.st_mtime_ns)
    except (TypeError, *DAMAGE) as error:
        raise ValueError(
            f"{str(path)!r} cannot be loaded as a Keras model (.keras) without running code: {error}. If you trust "
            "its source, load it with keras.saving.load_model(path, compile=False, safe_mode=False) and give the "
            "model as backbone=."
        ) from error


@lru_cache(maxsize=4)
def _loaded_model(path: str, size: int, mtime_ns: int) -> Any:
    return network_from_archive(Path(path))


def _describe(model: Any, image_size: tuple[int, int] | None) -> dict[str, Any]:
    """Return the fields of a backbone for a Keras model, once it is known to be one."""
    if not is_keras_model(model):
        raise TypeError(f"{type(model).__name__} is not a Keras model")
    try:
        inputs, outputs = list(model.inputs or []), list(model.outputs or [])
    except AttributeError:
        inputs = outputs = []
    if not inputs:
        raise TypeError(
            f"The Keras model {model.name!r} has no graph of layers to take features from: it must be a Functional "
            "model, or a Sequential one that is built (begin it with keras.Input)."
        )
    taken, given = [tuple(x.shape) for x in inputs], [tuple(x.shape) for x in outputs]
    if len(taken) != 1 or len(taken[0]) != 4 or taken[0][-1] != 3:
        raise ValueError(f"The Keras model {model.name!r} takes {taken}; expected one input (n, height, width, 3)")
    if len(given) != 1 or len(given[0]) not in (2, 4) or given[0][-1] is None:
        raise ValueError(
            f"The Keras model {model.name!r} gives {given}; expected one output, a feature map (n, height, width, "
            "channels) or features (n, n_features)"
        )
    height, width = image_size or OPEN_SIZE
    return {
        # A made-up name differs from copy to copy: what is left is the kind of model.
        "name": re.sub(r"_\d+$", "", model.name) if has_automatic_name(model) else model.name,
        "image_size": (taken[0][1] or height, taken[0][2] or width),
        "preprocessing": "none",
        "layers": (BottleneckLayer("output", -1, given[0][-1]),),
        "n_parameters": model.count_params(),
        "weights": ("pretrained",),
        "builder": model,
    }
