"""Feature maps by their resolution."""

import keras
import pytest
from toy import build_toy

from skcnn.backbones import feature_maps, get_backbone


def test_last_map_of_each_resolution():
    maps = feature_maps(build_toy(input_shape=(32, 48, 3)), (32, 48))
    assert {stride: tensor.shape[1:] for stride, tensor in maps.items()} == {2: (16, 24, 6), 4: (8, 12, 8)}
    assert maps[2]._keras_history.operation.name == "norm"
    chosen = feature_maps(get_backbone("ResNet20").build(weights=None), (32, 32), [4, 1])
    assert list(chosen) == [1, 4]
    assert chosen[1]._keras_history.operation.name == "stage1_unit3"


def test_sizes_that_do_not_divide_evenly_are_rounded_up():
    maps = feature_maps(build_toy(input_shape=(30, 30, 3)), (30, 30))
    assert [tensor.shape[1:3] for tensor in maps.values()] == [(15, 15), (8, 8)]


def test_a_missing_map_is_named():
    with pytest.raises(ValueError, match="'toy' has no feature map of stride 8 for images of 32 x 32 pixels; it has"):
        feature_maps(build_toy(input_shape=(32, 32, 3)), (32, 32), [4, 8])
    pixels = keras.Input((32, 32, 3))
    unpadded = keras.Model(pixels, keras.layers.Conv2D(3, 3, 2)(pixels), name="unpadded")
    assert feature_maps(unpadded, (32, 32)) == {}


def test_the_map_before_it_was_widened_is_returned():
    layers = keras.layers
    pixels = keras.Input((32, 32, 3))
    narrow = layers.Conv2D(4, 3, 2, padding="same", name="narrow")(pixels)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(layers.Conv2D(16, 1, name="wide")(narrow)))
    x = layers.Conv2D(4, 3, 2, padding="same")(x)
    x = layers.ReLU(name="last")(layers.Conv2D(8, 1)(x))  # twice as wide: it may say more
    network = keras.Model(pixels, x)
    maps = feature_maps(network, (32, 32))
    assert {stride: tensor._keras_history.operation.name for stride, tensor in maps.items()} == {2: "narrow", 4: "last"}
    assert feature_maps(network, (32, 32), [2], widened=True)[2].shape[-1] == 16
