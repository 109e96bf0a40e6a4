"""A network with a score that can be differentiated, and a feature map in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from skcnn._keras import building, gradient_of, import_keras
from skcnn.backbones import Backbone, scale_pixels
from skcnn.images import Images


class Wanted(NamedTuple):
    """What is explained in each image.

    Parameters
    ----------
    names : ndarray of shape (n,)
        What it is called.
    numbers : ndarray of shape (n, n_numbers), float32
        What :meth:`ScoredNetwork.scores` takes.
    """

    names: np.ndarray
    numbers: np.ndarray


@dataclass(frozen=True)
class ScoredNetwork(ABC):
    """A network from scaled pixels to features, and a score of them.

    A subclass says what the score is of: a class, the pixels of a class, a similarity.
    """

    backbone: Backbone
    """What the network is."""
    network: Any
    """Its Keras model, in inference mode and float32."""
    features: Any
    """KerasTensor, or a list of several, the last of which is the deepest: what the scores are made of."""
    reader: Any
    """The part of the estimator that says how images are read: resize, root, max_pixels."""
    image_size: tuple[int, int]
    """Height and width that the network takes."""

    @abstractmethod
    def wanted(self, estimator: Any, X: Any, images: Images, *, target: Any, reference: Any) -> Wanted:
        """Return what is explained in each image, of what the caller asks for.

        Parameters
        ----------
        estimator : estimator
            The fitted one that was given.
        X : array-like of n images
            As it was given, and ``images`` as rows.
        target, reference
            See :meth:`GradCAMDisplay.from_estimator`.
        """

    @abstractmethod
    def scores(self, features: Any, wanted: Any) -> Any:
        """Return the scores (n,), a tensor, of features and of the numbers of :class:`Wanted`, tensors."""


class FeatureMap:
    """A feature map in a scored network, and the gradient of a score with respect to it.

    Parameters
    ----------
    scored : ScoredNetwork
    layer : str, int or None
        The layer: see :meth:`GradCAMDisplay.from_estimator`.

    Attributes
    ----------
    name : str
        Of the layer.
    """

    def __init__(self, scored: ScoredNetwork, layer: str | int | None):
        keras = import_keras()
        self._scored = scored
        with building():
            pixels = scored.network.inputs[0]
            features, base = scored.features, keras.Model(pixels, scored.features)
            if isinstance(features, list):  # an output of a model cannot be one of its inputs
                features = [keras.layers.Identity()(tensor) for tensor in features]
            for self.name, feature_map in _candidates(scored, base, layer):
                try:
                    # The pixels too: there may be ways around the map.
                    rest = keras.Model([feature_map, pixels], features)
                    break
                except ValueError:  # a layer that is used several times
                    continue
            else:
                asked = "no feature map larger than 1 x 1" if layer is None else f"no single use of {layer!r}"
                raise ValueError(f"{scored.backbone.name} has {asked} on the way to the features of this estimator.")
            self._shape = tuple(feature_map.shape[1:])
            forward = keras.Model(pixels, feature_map)

        def selected_score(shift: Any, pixels: Any, wanted: Any) -> Any:
            maps = forward(pixels, training=False)
            scores = scored.scores(rest([maps + shift, pixels], training=False), wanted)
            # A row's score depends on that row alone, so that the gradient of the sum has that of each.
            return keras.ops.sum(scores), (maps, scores)

        self._gradient_of_score = gradient_of(selected_score)

    def look(self, pixels: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return feature maps, gradients of the scores with respect to them, and these scores.

        Parameters
        ----------
        pixels : ndarray of shape (n, height, width, 3), uint8
        wanted : ndarray of shape (n, n_numbers), float32
            Numbers of :class:`Wanted`.

        Returns
        -------
        maps, gradients : ndarray of shape (n, rows, columns, channels), float32
        scores : ndarray of shape (n,), float32
        """
        scaled = import_keras().ops.convert_to_numpy(scale_pixels(pixels, self._scored.backbone.preprocessing))
        # The gradient with respect to something added to the maps is the one with respect to the maps.
        shift = np.zeros((len(pixels), *self._shape), np.float32)
        gradients, maps, scores = self._gradient_of_score(shift, scaled, wanted)
        return maps, gradients, scores


def _candidates(scored: ScoredNetwork, base: Any, layer: str | int | None) -> Iterator[tuple[str, Any]]:
    """Yield names of layers and their outputs, KerasTensors (n, rows, columns, channels), the best ones first."""
    backbone = scored.backbone
    name = None if layer is None else backbone.layer_name(layer)
    # Of a normalisation behind the pooling, what there is to see is the map before it: the last one.
    if name is not None and not any(listed.name == name and listed.pool_first for listed in backbone.layers):
        output = backbone.layer_output(scored.network, name)
        if len(output.shape) != 4:
            raise ValueError(
                f"Layer {name!r} of {backbone.name} gives a vector; expected one that gives a feature map."
            )
        if output._keras_history.operation not in base.operations:
            raise ValueError(
                f"layer={layer!r} is not on the way to the features of this estimator: give an earlier one."
            )
        yield name, output
        return
    # Where Keras made a name up, it differs from build to build, and the table's own does not.
    known = {
        backbone.layer_output(scored.network, listed.name)._keras_history.operation: listed.name
        for listed in backbone.layers
    }
    # Of several maps, the deepest one: the order of operations would not say which that is.
    deepest = base if len(base.outputs) == 1 else import_keras().Model(base.inputs, base.outputs[-1])
    for operation in reversed(deepest.operations):
        shape = getattr(operation.output, "shape", ())
        if len(shape) == 4 and tuple(shape[1:3]) != (1, 1):
            yield name or known.get(operation, operation.name), operation.output
