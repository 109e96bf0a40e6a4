"""The scaling of pixels that each network was trained with, as Keras layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from skcnn._keras import import_keras, pinned

if TYPE_CHECKING:
    import keras
    from numpy.typing import ArrayLike

Preprocessing = Literal["none", "tf", "torch", "caffe"]
PREPROCESSING: tuple[str, ...] = get_args(Preprocessing)

# Red, green, blue; pixels in [0, 1] for these two, in [0, 255] for the third.
_TORCH_MEAN = (0.485, 0.456, 0.406)
_TORCH_STD = (0.229, 0.224, 0.225)
_CAFFE_MEAN = (123.68, 116.779, 103.939)


def scale_pixels(x: keras.KerasTensor | ArrayLike, mode: Preprocessing) -> keras.KerasTensor:
    """Scale RGB pixels to the range that a network was trained with.

    Gives the same values as ``keras.applications.imagenet_utils.preprocess_input``, but by Keras layers (``Rescaling``
    and a flip of the channels), so that they become part of a model that any backend runs and exports, and may start
    from uint8.

    Parameters
    ----------
    x : keras.KerasTensor, tensor or ndarray of shape (n, height, width, 3)
        Pixels in [0, 255], RGB, channels last, uint8 or float.
    mode : {"none", "tf", "torch", "caffe"}
        ``"none"``: pixels as they are (the network scales them itself); ``"tf"``: to [-1, 1]; ``"torch"``: to [0, 1],
        then less the mean and over the standard deviation of ImageNet's channels; ``"caffe"``: BGR, less the mean.

    Returns
    -------
    keras.KerasTensor or tensor of shape (n, height, width, 3)
        In float32, whatever Keras's dtype policy is. Symbolic where ``x`` is.

    Raises
    ------
    ValueError
        If ``mode`` is none of these.

    Examples
    --------
    >>> import numpy as np
    >>> from skcnn.backbones import scale_pixels
    >>> pixels = np.array([[[[0, 127.5, 255]]]])
    >>> np.asarray(scale_pixels(pixels, "tf")).tolist()
    [[[[-1.0, 0.0, 1.0]]]]
    """
    if mode not in PREPROCESSING:
        raise ValueError(f"mode={mode!r}; expected {', '.join(map(repr, PREPROCESSING))}")
    keras = import_keras()
    with pinned():
        if mode == "none":
            return keras.ops.cast(x, "float32")
        if mode == "tf":
            return keras.layers.Rescaling(1 / 127.5, offset=-1.0, dtype="float32")(x)
        if mode == "torch":
            scale = [1 / (255 * std) for std in _TORCH_STD]
            offset = [-mean / std for mean, std in zip(_TORCH_MEAN, _TORCH_STD, strict=True)]
            return keras.layers.Rescaling(scale, offset=offset, dtype="float32")(x)
        centred = keras.layers.Rescaling(1.0, offset=[-mean for mean in _CAFFE_MEAN], dtype="float32")(x)
        return keras.ops.flip(centred, axis=-1)
