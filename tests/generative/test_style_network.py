"""Which maps there are, what their cells see, and tiles in which they are the same as in the whole image."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from style_toy import build_style_toy
from toy import TOY

from skcnn.backbones import as_backbone, get_backbone
from skcnn.generative._style_network import Reach, default_layers, open_network, reaches_of, weights_of_layers
from skcnn.generative._style_objective import MapNetwork
from skcnn.generative._style_tiles import step_of

NAMES = ("fine", "pool", "middle", "coarse")


@pytest.fixture(scope="module")
def toy():
    return build_style_toy()


@pytest.fixture(scope="module")
def maps(toy):
    return MapNetwork(open_network(as_backbone(toy), toy, NAMES, "max"), [1.0] * 4)


def test_maps_of_any_size_are_those_of_the_network(toy, maps):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    expected = [keras.Model(toy.inputs[0], toy.get_layer(name).output)(pixels[None]) for name in NAMES]
    for found, own in zip(maps.maps(pixels), expected, strict=True):
        np.testing.assert_allclose(found, own, atol=1e-6)
    sizes = [one.shape[1:3] for one in maps.maps(np.zeros((20, 44, 3)))]
    assert sizes == [(20, 44), (10, 22), (8, 20), (4, 10)] == maps.map_sizes((20, 44))


def test_average_pooling_takes_the_place_of_maximum_pooling(toy):
    maps = MapNetwork(open_network(as_backbone(toy), toy, ("fine", "pool"), "avg"), [1.0, 2.0])
    fine, pooled = maps.maps(np.random.default_rng(0).uniform(0, 255, (8, 12, 3)))
    np.testing.assert_allclose(2 * pooled, fine.reshape(1, 4, 2, 6, 2, 4).mean(axis=(2, 4)), atol=1e-6)
    assert "MaxPooling2D" in {type(layer).__name__ for layer in toy.layers}  # which is not changed


def test_what_cells_see(maps):
    # A cell of the last map: 1 before; 1 + 1 + 2 * 2 + 2 * 2 after its own pixel.
    assert maps.reaches == [Reach(1, 1, 1), Reach(2, 1, 2), Reach(2, 1, 6), Reach(4, 1, 10)]
    assert step_of(maps.reaches) == 4


def test_what_the_cells_of_a_network_in_a_network_see(toy):
    pixels = keras.Input((28, 28, 3))
    outer = keras.Model(pixels, keras.layers.Conv2D(2, 3)(toy(keras.layers.ZeroPadding2D(2)(pixels))))
    assert reaches_of(outer) == [Reach(4, 3, 18)]


def test_cells_see_no_further(maps):
    generator = np.random.default_rng(0)
    pixels = generator.uniform(0, 255, (64, 64, 3))
    changed = pixels.copy()
    changed[:, 40] = 255 - changed[:, 40]
    for before, after, reach in zip(maps.maps(pixels), maps.maps(changed), maps.reaches, strict=True):
        cells = np.flatnonzero((before != after).any(axis=(0, 1, 3)))
        assert cells.min() * reach.stride >= 40 - reach.after
        assert cells.max() * reach.stride <= 40 + reach.before


@given(st.integers(4, 10), st.integers(4, 10), st.integers(8, 40))
@settings(max_examples=8, deadline=None)
def test_each_cell_belongs_to_one_tile_and_is_that_of_the_whole_image(maps, height, width, tile_size):
    size = (4 * height, 4 * width)
    pixels = np.random.default_rng(height).uniform(0, 255, (*size, 3))
    whole = maps.maps(pixels)
    found = [np.zeros_like(one) for one in whole]
    counts = [np.zeros(one.shape[1:3], int) for one in whole]
    for tile in maps.tiles(size, tile_size):
        seen = maps.maps(pixels[tile.rows, tile.columns])
        for number, (one, mask, reach) in enumerate(zip(seen, tile.masks, maps.reaches, strict=True)):
            for row, column in np.argwhere(mask[0, :, :, 0] > 0):
                place = row + tile.rows.start // reach.stride, column + tile.columns.start // reach.stride
                found[number][0][place] = one[0, row, column]
                counts[number][place] += 1
    for one, other, count in zip(whole, found, counts, strict=True):
        assert (count == 1).all()
        np.testing.assert_allclose(other, one, atol=1e-5)


def test_gram_matrices_of_tiles_are_those_of_the_whole_image(maps):
    pixels = np.random.default_rng(0).uniform(0, 255, (48, 36, 3))
    for whole, found, one in zip(
        maps.gram_matrices(pixels, None), maps.gram_matrices(pixels, 16), maps.maps(pixels), strict=True
    ):
        np.testing.assert_allclose(found, whole, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(whole, np.einsum("nhwi,nhwj->ij", one, one) / one[0, ..., 0].size, rtol=1e-4)


def test_default_layers():
    vgg = get_backbone("VGG19")
    assert default_layers(vgg, None) == (("block4_conv2",), tuple(f"block{n}_conv1" for n in range(1, 6)))
    assert default_layers(TOY, TOY.build(weights="toy")) == (("parts",), ("edges", "norm", "parts"))


def test_layers_without_a_name_of_their_own_are_known_by_their_position():
    pixels = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, 2, padding="same")(pixels)
    network = keras.Model(pixels, keras.layers.Conv2D(4, 3, 4, padding="same")(x) + 1.0)
    backbone = as_backbone(network)
    content, style = default_layers(backbone, network)
    assert content == ("operation[3]",)
    assert style == ("operation[1]", "operation[2]", "operation[3]")
    assert open_network(backbone, network, style, "avg").compute_output_shape((1, 24, 32, 3))[0] == (1, 12, 16, 4)


def test_weights_of_layers(toy):
    backbone = as_backbone(toy)
    assert weights_of_layers("fine", backbone, "style_layers") == {"fine": 1.0}
    assert weights_of_layers(["fine", 3], backbone, "style_layers") == {"fine": 0.5, "layer[3]": 0.5}
    assert weights_of_layers({"fine": 3, "pool": 0}, backbone, "style_layers") == {"fine": 3.0, "pool": 0.0}
    for wrong in ([], {"fine": -1}, {"fine": np.nan}, {"fine": "much"}, 2.5):
        with pytest.raises(ValueError, match="style_layers"):
            weights_of_layers(wrong, backbone, "style_layers")


def test_networks_that_do_not_fit():
    pixels = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(2, 3, name="map")(pixels)
    network = keras.Model(pixels, keras.layers.Dense(3, name="classes")(keras.layers.Flatten(name="flat")(x)))
    backbone = as_backbone(network)
    with pytest.raises(ValueError, match=r"'classes' of .* gives a vector; expected one that gives a feature map"):
        open_network(backbone, network, ("map", "classes"), "avg")
    with pytest.raises(ValueError, match="has no layer 'nose'"):
        open_network(backbone, network, ("nose",), "avg")
    spread = keras.layers.Reshape((4, 4, 1), name="spread")(keras.layers.Dense(16)(keras.layers.Flatten()(pixels)))
    network = keras.Model(pixels, spread)
    with pytest.raises(ValueError, match="do not take images of any size"):
        open_network(as_backbone(network), network, ("spread",), "avg")
    network = keras.Model(pixels, keras.layers.Conv2D(2, 8, name="cell")(pixels))
    with pytest.raises(ValueError, match="has no feature maps"):
        default_layers(as_backbone(network), network)


def test_images_that_are_too_small(maps):
    with pytest.raises(ValueError, match="Images of 4 x 4 pixels are too small"):
        maps.map_sizes((4, 4))
