"""The layers behind a pretrained network: of a detector, and of a localizer."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np

from skcnn._keras import import_keras
from skcnn.detection._grid import Grid

#: How classes are scored, as in the first three versions of YOLO.
CLASS_SCORES = ("cell", "anchor", "sigmoid")

#: Values of a slot before those of the classes: the box and whether there is an object.
N_BOX = 5

#: First score of each slot: most slots find nothing, and training should not begin with unlearning that they do.
_FIRST_SCORE = 0.01

_MOMENTUM = 0.95


@dataclass(frozen=True)
class DetectorHead:
    """Maps are joined from the coarsest to the finest, and looked at by the same convolutions.

    Parameters
    ----------
    grid : Grid
        The slots.
    n_classes : int
        Classes of objects.
    class_scores : {"cell", "anchor", "sigmoid"}
        Classes of a cell or of a slot, of which one is right, or each on its own.
    n_channels : int
        Channels of the convolutions.
    n_convolutions : int
        Convolutions of three by three cells.
    """

    grid: Grid
    n_classes: int
    class_scores: str
    n_channels: int
    n_convolutions: int

    def __call__(self, maps: dict[int, Any]) -> tuple[Any, list[Any]]:
        """Return logits (n, n_slots, 5 + n_classes) for maps by stride, and the layers."""
        keras = import_keras()
        make = _Layers()
        joined: dict[int, Any] = {}
        coarser = None
        for stride in sorted(maps, reverse=True):
            x = make.convolution(maps[stride], self.n_channels, 1, f"lateral_{stride}")
            if coarser is not None:
                x = keras.layers.Add()([x, _enlarged(coarser, x.shape[1:3])])
            coarser = joined[stride] = x
        levels = [joined[stride] for stride in self.grid.strides]
        for number in range(1, self.n_convolutions + 1):
            levels = make.shared(levels, self.n_channels, 3, f"look_{number}")
        outputs = [
            self._slots(x, n_priors, make, stride)
            for x, n_priors, stride in zip(levels, self.grid.n_priors, self.grid.strides, strict=True)
        ]
        output = outputs[0] if len(outputs) == 1 else keras.layers.Concatenate(axis=1)(outputs)
        return output, make.layers

    def _slots(self, x: Any, n_priors: int, make: _Layers, stride: int) -> Any:
        """Return the logits of the slots of a level, (n, n_slots, 5 + n_classes)."""
        keras = import_keras()
        rows, columns = x.shape[1:3]
        first = np.zeros(N_BOX)
        first[-1] = log(_FIRST_SCORE / (1 - _FIRST_SCORE))
        if self.class_scores != "cell":
            bias = np.tile(np.concatenate([first, np.zeros(self.n_classes)]), n_priors)
            out = make.last(x, bias, f"slots_{stride}")
            return keras.layers.Reshape((rows * columns * n_priors, N_BOX + self.n_classes))(out)
        boxes = make.last(x, np.tile(first, n_priors), f"slots_{stride}")
        boxes = keras.layers.Reshape((rows * columns, n_priors, N_BOX))(boxes)
        classes = make.last(x, np.zeros(self.n_classes), f"classes_{stride}")
        classes = keras.layers.Reshape((rows * columns, 1, self.n_classes))(classes)
        if n_priors > 1:
            classes = keras.layers.Concatenate(axis=2)([classes] * n_priors)
        both = keras.layers.Concatenate()([boxes, classes])
        return keras.layers.Reshape((rows * columns * n_priors, N_BOX + self.n_classes))(both)


@dataclass(frozen=True)
class LocalizerHead:
    """Each cell guesses the box, and the guesses are averaged with weights that are learned: attention.

    Parameters
    ----------
    n_classes : int
        Classes, that of images without an object included.
    n_channels : int
        Channels of the convolutions.
    """

    n_classes: int
    n_channels: int

    def __call__(self, maps: dict[int, Any]) -> tuple[Any, list[Any]]:
        """Return (n, 4 + n_classes): centre and square root of width and height in [0, 1], and logits of classes."""
        keras = import_keras()
        ops, make = keras.ops, _Layers()
        coarser = None
        for stride in sorted(maps, reverse=True):
            x = make.convolution(maps[stride], self.n_channels, 1, f"lateral_{stride}")
            if coarser is not None:
                x = keras.layers.Add()([x, _enlarged(coarser, x.shape[1:3])])
            coarser = x
        x = make.convolution(x, self.n_channels, 3, "look")
        rows, columns = x.shape[1:3]
        flat = keras.layers.Reshape((rows * columns, self.n_channels))(x)
        attention = make.dense(flat, 1, "attention")
        attention = keras.layers.Softmax(axis=1)(attention)
        centres = np.stack(np.meshgrid((np.arange(columns) + 0.5) / columns, (np.arange(rows) + 0.5) / rows), axis=-1)
        places = np.concatenate([centres.reshape(-1, 2), np.full((rows * columns, 2), 0.6)], axis=1)
        guesses = make.dense(flat, 4, "box") + ops.convert_to_tensor(places[None], "float32")
        box = ops.sum(attention * guesses, axis=1)
        seen = keras.layers.Concatenate()([ops.sum(attention * flat, axis=1), ops.mean(flat, axis=1)])
        return keras.layers.Concatenate()([box, make.dense(seen, self.n_classes, "classes")]), make.layers


class _Layers:
    """Makes layers, and lists those that have weights."""

    def __init__(self) -> None:
        self.layers: list[Any] = []

    def convolution(self, x: Any, n_channels: int, size: int, name: str) -> Any:
        """Return a convolution of x, normalised over the batch, and with a SiLU behind it."""
        return self.shared([x], n_channels, size, name)[0]

    def shared(self, maps: list[Any], n_channels: int, size: int, name: str) -> list[Any]:
        """Return the same convolution of several maps; each has a normalisation of its own."""
        layers = import_keras().layers
        convolve = self._keep(layers.Conv2D(n_channels, size, padding="same", use_bias=False, name=f"head_{name}"))
        outputs = []
        for number, x in enumerate(maps):
            norm = self._keep(layers.BatchNormalization(momentum=_MOMENTUM, name=f"head_{name}_norm_{number}"))
            outputs.append(layers.Activation("silu")(norm(convolve(x))))
        return outputs

    def last(self, x: Any, bias: np.ndarray, name: str) -> Any:
        """Return a convolution of single cells whose first values are close to ``bias``."""
        keras = import_keras()
        initial = keras.initializers.RandomNormal(stddev=0.01)
        # No Constant with an array: a configuration of the model could not be written down.
        layer = self._keep(keras.layers.Conv2D(len(bias), 1, kernel_initializer=initial, name=f"head_{name}"))
        out = layer(x)
        layer.bias.assign(bias.astype("float32"))
        return out

    def dense(self, x: Any, units: int, name: str) -> Any:
        keras = import_keras()
        initial = keras.initializers.RandomNormal(stddev=0.01)
        return self._keep(keras.layers.Dense(units, kernel_initializer=initial, name=f"head_{name}"))(x)

    def _keep(self, layer: Any) -> Any:
        self.layers.append(layer)
        return layer


def _enlarged(x: Any, size: tuple[int, int]) -> Any:
    """Return a map of twice the height and width, or one less where that was rounded up."""
    layers = import_keras().layers
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    extra = x.shape[1] - size[0], x.shape[2] - size[1]
    return x if extra == (0, 0) else layers.Cropping2D(((0, extra[0]), (0, extra[1])))(x)
