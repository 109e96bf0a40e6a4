"""Heads: scores have the size of the image, and begin as the papers say."""

import keras
import numpy as np
import pytest
from numpy.testing import assert_allclose

from skcnn._keras import building
from skcnn.segmentation._heads import FCNHead, UNetHead, bilinear_kernel


def maps_of(size, strides):
    return {
        stride: keras.Input((-(-size[0] // stride), -(-size[1] // stride), 4 * stride), name=f"map_{stride}")
        for stride in strides
    }


def network_of(head, size, strides):
    maps = maps_of(size, strides)
    with building(0):
        output, layers = head(maps)
        return keras.Model(list(maps.values()), output), layers


@pytest.mark.parametrize("size", [(64, 96), (50, 70)])
@pytest.mark.parametrize("make", [lambda size: FCNHead(size, 3, 8), lambda size: UNetHead(size, 3, 8, 2)])
def test_scores_have_the_size_of_the_image(make, size):
    network, layers = network_of(make(size), size, (8, 16, 32))
    assert network.output_shape == (None, *size, 3)
    assert all(layer.name.startswith("head_") for layer in layers)
    assert sum(len(layer.weights) for layer in layers) == len(network.weights)
    assert make(size) == make(size)


def test_unet_has_fewer_channels_where_maps_are_large():
    head = UNetHead((64, 64), 3, 64, 1)
    assert [head.channels(stride) for stride in (1, 2, 4, 32)] == [16, 32, 64, 64]


@pytest.mark.parametrize("factor", [2, 3, 8])
def test_transposed_convolutions_interpolate_at_first(factor):
    kernel = bilinear_kernel(2 * factor - factor % 2, 2)
    layer = keras.layers.Conv2DTranspose(2, len(kernel), strides=factor, padding="same", use_bias=False)
    x = np.random.default_rng(0).normal(size=(1, 6, 7, 2)).astype("float32")
    layer.build(x.shape)
    layer.kernel.assign(kernel)
    found = keras.ops.convert_to_numpy(layer(x))
    expected = keras.ops.convert_to_numpy(keras.layers.UpSampling2D(factor, interpolation="bilinear")(x))
    edge = factor  # where a transposed convolution sees zeros
    assert_allclose(found[:, edge:-edge, edge:-edge], expected[:, edge:-edge, edge:-edge], atol=1e-5)


def test_skips_of_an_fcn_begin_at_zero():
    _, layers = network_of(FCNHead((64, 64), 3, 8), (64, 64), (8, 16, 32))
    kernels = {layer.name: np.abs(layer.get_weights()[0]).max() for layer in layers}
    assert kernels["head_score_16"] == kernels["head_score_8"] == 0
    assert kernels["head_score_32"] > 0
    assert [name for name in kernels if "up" in name] == ["head_up_32", "head_up_16", "head_up_8"]
