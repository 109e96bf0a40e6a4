"""The layers behind a pretrained network that give each pixel a score per class: FCN and U-Net."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from skcnn._keras import import_keras

#: Number of maps that the scores of a fully convolutional network are made of, by its name.
FCN_MAPS = {"fcn32": 1, "fcn16": 2, "fcn8": 3}

#: Of running statistics: a training may have a few dozen steps only.
_MOMENTUM = 0.9


@dataclass(frozen=True)
class FCNHead:
    """Scores on maps, enlarged by transposed convolutions and added: a fully convolutional network [1]_.

    Parameters
    ----------
    image_size : tuple of (height, width)
        Of the scores, in pixels.
    n_classes : int
        Classes of pixels.
    n_channels : int
        Channels of the convolution on the coarsest map, which stands for the "fc" layers of the paper.

    References
    ----------
    .. [1] J. Long, E. Shelhamer and T. Darrell, "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015,
       section 4: bilinear first kernels, and skips whose scores begin at zero.
    """

    image_size: tuple[int, int]
    n_classes: int
    n_channels: int

    def __call__(self, maps: dict[int, Any]) -> tuple[Any, list[Any]]:
        """Return logits (n, height, width, n_classes) for maps by stride, and the layers."""
        keras = import_keras()
        make = _Layers()
        coarsest, *skips = sorted(maps, reverse=True)
        x = make.convolution(maps[coarsest], self.n_channels, 3, f"look_{coarsest}")
        x = make.scores(x, self.n_classes, f"score_{coarsest}")
        stride = coarsest
        for finer in skips:
            skip = maps[finer]
            x = make.enlarged(x, stride // finer, skip.shape[1:3], f"up_{stride}")
            x = keras.layers.Add()([x, make.scores(skip, self.n_classes, f"score_{finer}", initial="zeros")])
            stride = finer
        return make.enlarged(x, stride, self.image_size, f"up_{stride}"), make.layers


@dataclass(frozen=True)
class UNetHead:
    """The maps joined from the coarsest to the finest by convolutions: the expansive path of a U-Net [1]_.

    Parameters
    ----------
    image_size : tuple of (height, width)
        Of the scores, in pixels.
    n_classes : int
        Classes of pixels.
    n_channels : int
        Channels of the convolutions at strides of 4 and more; finer ones have fewer.
    n_convolutions : int
        Convolutions of three by three cells at each stride.

    References
    ----------
    .. [1] O. Ronneberger, P. Fischer and T. Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation",
       MICCAI 2015, section 2.
    """

    image_size: tuple[int, int]
    n_classes: int
    n_channels: int
    n_convolutions: int

    def __call__(self, maps: dict[int, Any]) -> tuple[Any, list[Any]]:
        """Return logits (n, height, width, n_classes) for maps by stride, and the layers."""
        keras = import_keras()
        make = _Layers()
        x = None
        for stride in sorted(maps, reverse=True):
            skip, width = maps[stride], self.channels(stride)
            if x is None:
                x = make.convolution(skip, width, 1, f"join_{stride}")
            else:
                # A skip is as wide as what it is joined with at most: early maps of some networks have many channels.
                if skip.shape[-1] > width:
                    skip = make.convolution(skip, width, 1, f"skip_{stride}")
                x = keras.layers.Concatenate()([_resized(x, skip.shape[1:3]), skip])
            for number in range(1, self.n_convolutions + 1):
                x = make.convolution(x, width, 3, f"look_{stride}_{number}")
        return _resized(make.scores(x, self.n_classes, "score"), self.image_size), make.layers

    def channels(self, stride: int) -> int:
        """Return the number of channels at a stride: half as many at 2, a quarter at 1."""
        return max(8, self.n_channels * min(stride, 4) // 4)


class _Layers:
    """Makes layers, and lists those that have weights."""

    def __init__(self) -> None:
        self.layers: list[Any] = []

    def convolution(self, x: Any, n_channels: int, size: int, name: str) -> Any:
        """Return a convolution of x, normalised over the batch, and with a ReLU behind it."""
        layers = import_keras().layers
        x = self._keep(layers.Conv2D(n_channels, size, padding="same", use_bias=False, name=f"head_{name}"))(x)
        x = self._keep(layers.BatchNormalization(momentum=_MOMENTUM, name=f"head_{name}_norm"))(x)
        return layers.Activation("relu")(x)

    def scores(self, x: Any, n_classes: int, name: str, *, initial: str | None = None) -> Any:
        """Return a score per class of each cell; small ones at first."""
        keras = import_keras()
        kernel = keras.initializers.RandomNormal(stddev=0.01) if initial is None else initial
        return self._keep(keras.layers.Conv2D(n_classes, 1, kernel_initializer=kernel, name=f"head_{name}"))(x)

    def enlarged(self, x: Any, factor: int, size: tuple[int, int], name: str) -> Any:
        """Return a map enlarged by a transposed convolution, which interpolates at first, and cut to a size."""
        if factor == 1:
            return x
        layers = import_keras().layers
        n_channels, side = x.shape[-1], 2 * factor - factor % 2
        layer = self._keep(
            layers.Conv2DTranspose(
                n_channels, side, strides=factor, padding="same", use_bias=False, name=f"head_{name}"
            )
        )
        x = layer(x)
        layer.kernel.assign(bilinear_kernel(side, n_channels))
        return _cut(x, size)

    def _keep(self, layer: Any) -> Any:
        self.layers.append(layer)
        return layer


def bilinear_kernel(side: int, n_channels: int) -> np.ndarray:
    """Return the kernel by which a transposed convolution interpolates bilinearly, each channel by itself.

    Parameters
    ----------
    side : int
        Height and width; the factor of the enlargement is ``(side + 1) // 2``.
    n_channels : int
        Channels of input and output.

    Returns
    -------
    ndarray of shape (side, side, n_channels, n_channels), float32
    """
    factor = (side + 1) // 2
    middle = factor - 1 if side % 2 else factor - 0.5
    line = 1 - np.abs(np.arange(side) - middle) / factor
    return (np.outer(line, line)[..., None, None] * np.eye(n_channels)).astype(np.float32)


def _resized(x: Any, size: tuple[int, int]) -> Any:
    """Return a map enlarged bilinearly to a size, by a whole number, and cut to it."""
    factor = -(-size[0] // x.shape[1])
    if factor > 1:
        x = import_keras().layers.UpSampling2D(factor, interpolation="bilinear")(x)
    return _cut(x, size)


def _cut(x: Any, size: tuple[int, int]) -> Any:
    extra = x.shape[1] - size[0], x.shape[2] - size[1]
    if extra == (0, 0):
        return x
    return import_keras().layers.Cropping2D(((0, extra[0]), (0, extra[1])))(x)
