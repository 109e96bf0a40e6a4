"""Costs and their gradients equal to those of NumPy, formula by formula."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skcnn.generative._style_losses import (
    content_cost,
    gram_matrix,
    style_cost,
    style_sensitivity,
    total_variation,
)


def test_the_gram_matrix_of_known_maps():
    maps = np.array([[[[1.0, 2.0], [3.0, 4.0]], [[0.0, 1.0], [1.0, 0.0]]]], np.float32)
    np.testing.assert_array_equal(gram_matrix(maps), [[11, 14], [14, 21]])


@given(arrays(np.float32, (1, 3, 5, 4), elements=st.floats(-8, 8, width=32)))
@settings(max_examples=25, deadline=None)
def test_a_gram_matrix_is_einsum_and_forgets_where_things_are(maps):
    found = np.asarray(gram_matrix(maps))
    np.testing.assert_allclose(found, np.einsum("nhwi,nhwj->ij", maps, maps), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(gram_matrix(maps[:, ::-1, ::-1]), found, rtol=1e-4, atol=1e-3)


def test_costs_are_those_of_the_paper():
    generator = np.random.default_rng(0)
    height, width, channels = 3, 5, 4
    a, b = generator.normal(size=(2, 1, height, width, channels))
    content = float(content_cost(((a - b) ** 2).sum(), a.size))
    assert content == pytest.approx(((a - b) ** 2).sum() / (4 * height * width * channels))
    grams = [np.einsum("nhwi,nhwj->ij", maps, maps) for maps in (a, b)]
    expected = ((grams[0] - grams[1]) ** 2).sum() / (4 * channels**2 * (height * width) ** 2)
    assert float(style_cost(grams[0], grams[1] / 15, 15)) == pytest.approx(expected)


def test_a_style_of_another_size_has_the_same_cost():
    maps = np.random.default_rng(0).normal(size=(1, 4, 4, 3))
    twice = np.concatenate([maps, maps], axis=1)
    grams = [np.einsum("nhwi,nhwj->ij", one, one) for one in (maps, twice)]
    assert float(style_cost(grams[0], grams[1] / 32, 16)) == pytest.approx(0, abs=1e-12)


def test_the_sensitivity_is_the_gradient_of_the_style_cost():
    generator = np.random.default_rng(1)
    gram, target, change = generator.normal(size=(3, 4, 4))
    steps = [float(style_cost(gram + sign * 0.5 * change, target, 7)) for sign in (1, -1)]  # quadratic: exact
    assert (style_sensitivity(gram, target, 7) * change).sum() == pytest.approx(steps[0] - steps[1], rel=1e-5)


def test_total_variation_of_known_pixels():
    pixels = np.zeros((2, 2, 1))
    pixels[0, 0] = 255
    assert total_variation(pixels)[0] == pytest.approx(2 / 4)
    assert total_variation(np.full((5, 4, 3), 7.0))[0] == 0


def test_the_gradient_of_total_variation():
    generator = np.random.default_rng(2)
    pixels, change = generator.uniform(0, 255, (2, 5, 4, 3))
    steps = [total_variation(pixels + sign * 0.5 * change)[0] for sign in (1, -1)]  # quadratic: exact
    assert (total_variation(pixels)[1] * change).sum() == pytest.approx(steps[0] - steps[1])
