"""A network of four layers whose maps are quick to compute, and images with patterns, for tests of style transfer."""

import keras
import numpy as np

from skcnn._keras import building


def build_style_toy(input_shape=(32, 32, 3)):
    """Build it: a pooling, and convolutions with padding and without; weights are always the same ones."""
    layers = keras.layers
    with building(0):
        pixels = keras.Input(input_shape)
        x = layers.Rescaling(1 / 128, offset=-1, name="scaled")(pixels)
        x = layers.Conv2D(4, 3, padding="same", activation="relu", name="fine")(x)
        x = layers.MaxPooling2D(2, name="pool")(x)
        x = layers.Conv2D(6, 3, activation="relu", name="middle")(x)
        x = layers.Conv2D(5, 3, 2, padding="same", activation="relu", name="coarse")(x)
        return keras.Model(pixels, x, name="style_toy")


#: Where costs are computed, by name: quick, and with maps of three resolutions.
LAYERS = {"content_layers": "middle", "style_layers": ["fine", "pool", "coarse"]}


def patterns(size=(40, 48)):
    """Return a content, a bright disc on a dark ground, and a style, stripes in colours; uint8."""
    rows, columns = np.indices(size)
    content = np.full((*size, 3), 40, np.uint8)
    content[(rows - size[0] / 2) ** 2 + (columns - size[1] / 2) ** 2 < (min(size) / 3) ** 2] = (200, 180, 160)
    style = np.where(((rows + columns) // 3 % 2)[..., None] == 0, (230, 60, 20), (20, 60, 200)).astype(np.uint8)
    return content, style
