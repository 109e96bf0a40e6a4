"""The loss of an image and its gradient: closed forms for a linear network, and the same in tiles as at once."""

import keras
import numpy as np
import pytest
from style_toy import build_style_toy, patterns

from skcnn.backbones import as_backbone
from skcnn.generative._style_losses import total_variation
from skcnn.generative._style_network import open_network
from skcnn.generative._style_objective import MapNetwork, Objective, StyleWeights

NAMES = ("middle", "fine", "pool", "coarse")
COSTS = StyleWeights(1.0, 20.0, 3.0, {0: 1.0}, {1: 0.5, 2: 0.25, 3: 0.25})


@pytest.fixture(scope="module")
def maps():
    toy = build_style_toy()
    return MapNetwork(open_network(as_backbone(toy), toy, NAMES, "avg"), [0.5, 1.0, 1.0, 0.25])


@pytest.fixture(scope="module")
def linear():
    """A network of one map, the product of the pixels and a matrix; and that matrix."""
    pixels = keras.Input((8, 8, 3))
    network = keras.Model(pixels, keras.layers.Conv2D(5, 1, use_bias=False, name="map")(pixels))
    matrix = np.random.default_rng(3).normal(size=(3, 5)) / 100
    network.set_weights([matrix[None, None].astype(np.float32)])
    return MapNetwork(open_network(as_backbone(network), network, ("map",), "avg"), [1.0]), matrix


def test_loss_and_gradient_of_a_linear_network_are_the_closed_form(linear):
    maps, matrix = linear
    generator = np.random.default_rng(0)
    x, content, style = generator.uniform(0, 255, (3, 6, 8, 3))
    costs = StyleWeights(2.0, 30.0, 4.0, {0: 1.0}, {0: 1.0})
    losses, gradient = Objective(maps, content, maps.gram_matrices(style, None), costs, None)(x)

    # Equations 1 to 6 of the paper, with the constants of the costs here.
    F, P, S = (pixels.reshape(-1, 3) @ matrix for pixels in (x, content, style))
    n, c = F.shape
    gram, target = F.T @ F, S.T @ S
    assert losses.content == pytest.approx(((F - P) ** 2).sum() / (4 * n * c), rel=1e-4)
    assert losses.style == pytest.approx(((gram - target) ** 2).sum() / (4 * c**2 * n**2), rel=1e-4)
    smooth, slope = total_variation(x)
    assert losses.total_variation == smooth
    assert losses.loss == pytest.approx(2 * losses.content + 30 * losses.style + 4 * smooth)
    by_maps = 2 * (F - P) / (2 * n * c) + 30 * F @ (gram - target) / (c**2 * n**2)
    expected = (by_maps @ matrix.T).reshape(x.shape) + 4 * slope
    np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-3 * abs(expected).max())


@pytest.mark.parametrize("tile_size", [None, 16])
def test_the_gradient_says_how_the_loss_changes(maps, tile_size):
    content, style = patterns((40, 48))
    objective = Objective(maps, content, maps.gram_matrices(style, None), COSTS, tile_size)
    generator = np.random.default_rng(0)
    x = content + generator.uniform(0, 40, content.shape)
    gradient = objective(x)[1]
    change = gradient / np.linalg.norm(gradient)
    difference = objective(x + change)[0].loss - objective(x - change)[0].loss
    assert difference == pytest.approx(2 * (gradient * change).sum(), rel=0.02)


@pytest.mark.parametrize("tile_size", [12, 24])
def test_losses_and_gradients_of_tiles_are_those_of_the_whole_image(maps, tile_size):
    content, style = patterns((40, 48))
    x = content.astype(float) + np.random.default_rng(1).uniform(0, 40, content.shape)
    grams = maps.gram_matrices(style, None)
    whole, gradient = Objective(maps, content, grams, COSTS, None)(x)
    found, in_tiles = Objective(maps, content, grams, COSTS, tile_size)(x)
    np.testing.assert_allclose(found, whole, rtol=1e-5)
    np.testing.assert_allclose(in_tiles, gradient, atol=1e-5 * abs(gradient).max())


def test_the_content_itself_has_no_content_cost_and_the_style_itself_no_style_cost(maps):
    content, style = patterns((24, 24))
    losses, _ = Objective(maps, content, maps.gram_matrices(style, None), COSTS, None)(content.astype(float))
    assert losses.content == pytest.approx(0, abs=1e-9)
    assert losses.style > 1e-4
    losses, _ = Objective(maps, content, maps.gram_matrices(style, None), COSTS, None)(style.astype(float))
    assert losses.style == pytest.approx(0, abs=1e-9)
    assert losses.content > 1e-4
