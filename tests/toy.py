"""Networks of a few layers with weights of their own, for tests to which it does not matter what a network knows."""

from contextlib import nullcontext

import keras
import numpy as np

from skcnn._keras import building
from skcnn.backbones import Backbone, BottleneckLayer


def build_toy(*, include_top=False, weights=None, input_shape=(16, 16, 3)):
    """Build it; ``weights="toy"`` are always the same ones; the statistics in BatchNorm are not the fresh ones."""
    assert not include_top
    norm = keras.layers.BatchNormalization(name="norm")
    with building(0):
        pixels = keras.Input(input_shape)
        edges = keras.layers.Conv2D(6, 3, 2, padding="same", activation="relu", name="edges")(pixels)
        parts = keras.layers.Conv2D(8, 3, 2, padding="same", activation="relu", name="parts")(norm(edges))
        network = keras.Model(pixels, parts, name="toy")
    if weights == "toy":
        norm.set_weights([np.full(6, value, "float32") for value in (1.1, 0.1, 0.2, 0.5)])
    return network


class Toy(Backbone):
    """A backbone whose representation is short, and the same in every process: ids of tests hold it."""

    def __repr__(self):
        return "TOY"


#: Given as ``backbone=``: 8 features, made for images of 16 x 16.
TOY = Toy(
    name="Toy",
    image_size=(16, 16),
    preprocessing="tf",
    layers=(BottleneckLayer("first", "edges", 6), BottleneckLayer("parts", "parts", 8)),
    n_parameters=6 * 27 + 6 + 4 * 6 + 8 * 54 + 8,
    weights=("toy",),
    builder=build_toy,
)


def build_toy_imagenet(*, include_top=False, weights=None, input_shape=(16, 16, 3), classes=1000):
    """Build it, with a classifier if asked to; ``weights="imagenet"`` are always the same ones."""
    with building(1) if weights == "imagenet" else nullcontext():
        pixels = keras.Input(input_shape)
        x = keras.layers.Conv2D(8, 3, 2, activation="relu", name="parts")(pixels)
        if include_top:
            x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
            wide = keras.initializers.RandomNormal(stddev=8, seed=2)
            x = keras.layers.Dense(classes, "softmax", kernel_initializer=wide, name="predictions")(x)
        return keras.Model(pixels, x, name="toy_imagenet")


#: Given as ``backbone=`` of ImageNetClassifier.
TOY_IMAGENET = Toy(
    name="ToyImageNet",
    image_size=(16, 16),
    preprocessing="tf",
    layers=(BottleneckLayer("parts", "parts", 8),),
    n_parameters=8 * 27 + 8,
    weights=("imagenet",),
    builder=build_toy_imagenet,
)

#: Parameters of autoencoders of images of 8 x 8: one form of each, so that its graphs are compiled once.
TINY = {"filters": (4,), "image_size": 8, "epochs": 1, "random_state": 0}
