"""A pretrained network on whose feature maps new layers are trained."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from skcnn._keras import building, copy_model, import_keras, set_weights
from skcnn._training._augmentation import augmented
from skcnn._training._graphs import MAX_GRAPHS, Graph, Weights, get_graph, trainer_class
from skcnn._training._prefix import Cut, split_network
from skcnn._training._unfreeze import freeze_batch_norm, open_layers
from skcnn.backbones import Backbone, feature_maps, scale_pixels

#: From feature maps, by stride, to the output, and the layers in between that have weights.
Head = Callable[[dict[int, Any]], tuple[Any, list[Any]]]


@dataclass(frozen=True)
class MapDesign:
    """A pretrained network and a head on some of its feature maps: all that decides their form and first weights.

    Parameters
    ----------
    backbone : Backbone
        The pretrained network.
    weights : str, path-like, WeightsFile or None
        Its weights: see :meth:`skcnn.backbones.Backbone.build`.
    seed : int
        Seed of weights that are drawn at random.
    image_size : tuple of (height, width)
        In pixels.
    strides : tuple of int
        Of the maps that the head takes: see :func:`skcnn.backbones.feature_maps`.
    head : callable
        From the maps to the output and the head's layers, whose names begin with ``"head_"``. Equal heads build the
        same layers: a frozen dataclass.
    widened : bool, default=False
        Whether maps are taken as they were widened: see :func:`skcnn.backbones.feature_maps`.
    constants : str, default=""
        What :meth:`initial_constants` returned.
    """

    backbone: Backbone
    weights: Any
    seed: int
    image_size: tuple[int, int]
    strides: tuple[int, ...]
    head: Head
    widened: bool = False
    constants: str = ""

    @property
    def identity(self) -> tuple[Any, ...]:
        """Key of the design's graphs: the architecture without the weights, which are put in."""
        given = self.backbone if self.backbone.network is None else self.backbone.weights_id("pretrained")
        return given, self.image_size, self.strides, self.head, self.widened, self.constants

    def initial_constants(self) -> str:
        """Return the digest of the weights that graphs hold as constants, of layers that compute with copies."""
        return self._initial.constants

    def initial_base(self) -> list[np.ndarray]:
        """Return the weights that the network begins with."""
        return list(self._initial.network.get_weights())

    def initial_head(self) -> list[np.ndarray]:
        """Return the weights that the head begins with, which the seed decides."""
        keras = import_keras()
        maps = feature_maps(self._initial.network, self.image_size, self.strides, widened=self.widened)
        with building(self.seed):
            inputs = {stride: keras.Input(tensor.shape[1:]) for stride, tensor in maps.items()}
            layers = self.head(inputs)[1]
        return [np.array(value) for layer in layers for value in layer.get_weights()]

    def open_names(self, network: Any, unfreeze: Any) -> list[str]:
        """Return the names of the network's layers that ``unfreeze`` opens."""
        opened = open_layers(self.backbone, network, unfreeze)
        return [layer.name for layer, is_open in zip(network.layers, opened, strict=True) if is_open]

    def frozen_prefix(self, unfreeze: Any) -> Cut | None:
        """Return where the network is cut if layers are opened; None where all of it has to run in training."""
        key = (self.identity, unfreeze)
        with building():
            if key not in _cuts:  # each head that is built on a network stays in the memory of its layers
                _cuts[key] = self._cut(_joined(self, self._initial.network), unfreeze)
                while len(_cuts) > MAX_GRAPHS:
                    _cuts.popitem(last=False)
            cut = _cuts[key]
        return None if cut.is_input or not cut.positions else cut

    def suffix_graph(self, unfreeze: Any, compiled: tuple[Any, ...] | None) -> Any:
        """Return a context that yields the graph from what the layers before the open ones give to the output.

        Parameters
        ----------
        unfreeze : None, str, int or float
            Which layers are open: see :func:`skcnn._training.open_layers`.
        compiled : tuple or None
            Identifies loss and optimizer of a graph that is trained; None is one that predicts.
        """

        def build() -> Graph:
            joined = self._built(unfreeze)
            suffix = self._cut(joined, unfreeze).suffix()
            values = import_keras().Input(suffix.input_shape[1:], name="activations")
            return Graph(_model(compiled)(values, suffix(values)), joined.groups)

        return get_graph(("suffix", self.identity, unfreeze, compiled), build)

    def pixel_graph(self, unfreeze: Any, compiled: tuple[Any, ...] | None) -> Any:
        """Return a context that yields the graph from pixels (n, height, width, 3) to the output."""

        def build() -> Graph:
            joined = self._built(unfreeze)
            pixels = import_keras().Input((*self.image_size, 3), dtype="uint8", name="pixels")
            outputs = joined.model(scale_pixels(augmented(pixels, []), self.backbone.preprocessing))
            return Graph(_model(compiled)(pixels, outputs), joined.groups)

        return get_graph(("pixels", self.identity, unfreeze, compiled), build)

    def plain_model(self, weights: Weights) -> Any:
        """Return a Keras model of standard layers from pixels (n, height, width, 3) in [0, 255] to the output."""
        keras = import_keras()
        with building(self.seed):
            joined = self._built(None)
            pixels = keras.Input((*self.image_size, 3), name="pixels")
            outputs = joined.model(scale_pixels(pixels, self.backbone.preprocessing))
            model = keras.Model(pixels, outputs)
        self._set_weights(joined.network, joined.layers, weights)
        return model

    def trained_parts(self, weights: Weights) -> MapParts:
        """Return network and head with trained weights, each as a model of its own, in inference mode and float32."""
        keras = import_keras()
        with building(self.seed):
            network = self._built(None).network
            maps = feature_maps(network, self.image_size, self.strides, widened=self.widened)
            inputs = {stride: keras.Input(tensor.shape[1:]) for stride, tensor in maps.items()}
            output, layers = self.head(inputs)
            head = keras.Model(list(inputs.values()), output, name="head")
        self._set_weights(network, layers, weights)
        return MapParts(network, list(maps.values()), head)

    def _set_weights(self, network: Any, layers: list[Any], weights: Weights) -> None:
        set_weights(network, weights.get("base") or self.initial_base())
        start = 0
        for layer in layers:
            layer.set_weights(weights["head"][start : start + len(layer.weights)])
            start += len(layer.weights)

    @property
    def _initial(self) -> _Initial:
        return _initial(self.backbone, self.weights, self.seed, self.image_size)

    def _built(self, unfreeze: Any) -> _Joined:
        """Build network and head with arbitrary weights; the layers that are not open are frozen."""
        with building():
            # Weights are put in later: published ones need not be available to use a fitted network.
            weights = self.weights if self.backbone.weights == ("pretrained",) else None
            network = _build_network(self.backbone, weights, self.seed, self.image_size)
            joined = _joined(self, network)
            names = set(self.open_names(network, unfreeze))
            for layer in network.layers:
                layer.trainable = layer.name in names
            # Statistics of a few batches of other images are worse than those that the network was trained with.
            freeze_batch_norm(network)
            return joined

    def _cut(self, joined: _Joined, unfreeze: Any) -> Cut:
        names = [*self.open_names(joined.network, unfreeze), *(layer.name for layer in joined.layers)]
        return split_network(joined.network, names, joined.model.outputs[0], image_size=self.image_size)


class MapParts(NamedTuple):
    """A trained network and the head on its maps, apart.

    Parameters
    ----------
    network : keras.Model
        From scaled pixels.
    maps : list of KerasTensor of shape (n, rows, columns, channels)
        Maps of the network, the inputs of the head.
    head : keras.Model
        From the maps to the output.
    """

    network: Any
    maps: list[Any]
    head: Any


class _Joined(NamedTuple):
    """A network, the head on it, and the model of both, from scaled pixels to the output."""

    network: Any
    layers: list[Any]
    model: Any

    @property
    def groups(self) -> dict[str, list[Any]]:
        return {"base": [self.network], "head": self.layers}


class _Initial(NamedTuple):
    """A network with its first weights, which is not changed; and the digest of what its graphs hold as constants."""

    network: Any
    constants: str


_kept: OrderedDict[tuple[Any, ...], _Initial] = OrderedDict()
_cuts: OrderedDict[tuple[Any, ...], Cut] = OrderedDict()


def map_strides(backbone: Backbone, weights: Any, seed: int, image_size: tuple[int, int]) -> tuple[int, ...]:
    """Return the strides of all maps of a network, in increasing order; parameters as in :class:`MapDesign`."""
    return tuple(feature_maps(_initial(backbone, weights, seed, image_size).network, image_size))


def _initial(backbone: Backbone, weights: Any, seed: int, image_size: tuple[int, int]) -> _Initial:
    """Return a network with its first weights. The last three are kept."""
    layers = import_keras().layers
    given = backbone if backbone.network is None else "a model"
    key = (given, backbone.weights_id(weights, seed), image_size)
    with building():
        if key not in _kept:
            network = _build_network(backbone, weights, seed, image_size)
            digest = hashlib.sha256()
            for layer in network.layers:
                if isinstance(layer, layers.Normalization):  # computes with copies of its weights
                    for value in layer.get_weights():
                        digest.update(value.tobytes())
            _kept[key] = _Initial(network, digest.hexdigest())
            while len(_kept) > 3:
                _kept.popitem(last=False)
        _kept.move_to_end(key)
        return _kept[key]


def _build_network(backbone: Backbone, weights: Any, seed: int, image_size: tuple[int, int]) -> Any:
    """Build a network: never the user's own model itself, which would be changed."""
    with building():
        network = backbone.build(image_size=image_size, weights=weights, random_state=seed)
        return network if backbone.network is None else copy_model(network)


def _joined(design: MapDesign, network: Any) -> _Joined:
    with building():
        maps = feature_maps(network, design.image_size, design.strides, widened=design.widened)
        output, layers = design.head(maps)
        return _Joined(network, layers, import_keras().Model(network.inputs, output))


def _model(compiled: tuple[Any, ...] | None) -> Any:
    return import_keras().Model if compiled is None else trainer_class()
