"""Encoder and decoder: shapes that mirror each other at every size, losses by other means."""

import keras
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm
from sklearn.metrics import log_loss

from skcnn._keras import building
from skcnn.decomposition._network import (
    Design,
    binary_crossentropy,
    build_decoder,
    build_encoder,
    cross_entropy,
    posterior_class,
    squared_error,
    targets_of,
)


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (1, 1), (32, 33), (100, 2)])
@pytest.mark.parametrize(("n_channels", "filters", "is_variational"), [(1, (2,), True), (3, (2, 3, 4), False)])
def test_images_of_any_size_come_back_in_it(size, n_channels, filters, is_variational):
    design = Design(size, n_channels, filters, 2, is_variational)
    with building():
        encoder, decoder = build_encoder(design), build_decoder(design)
    assert decoder.output_shape == (None, *size, n_channels)
    found = {"encoder": encoder.get_weights(), "decoder": decoder.get_weights()}
    assert {part: [value.shape for value in values] for part, values in found.items()} == design.shapes
    design.check_weights(found)
    design.check_weights(design.initial_weights(0))
    assert [value.shape for value in build_encoder(design, codes_only=True).get_weights()] == (
        design.shapes["encoder"][: -2 if is_variational else None]
    )
    with pytest.raises(ValueError, match="expected"):
        design.check_weights({**found, "decoder": found["decoder"][:-1]})


def test_initial_weights_are_those_of_glorots_rule():
    kernels = Design((32, 32), 3, (32, 64), 16, False).initial_weights(0)["encoder"]
    for kernel in kernels[::2]:
        limit = np.sqrt(6 / (np.prod(kernel.shape[:-2]) * sum(kernel.shape[-2:])))
        assert 0.95 * limit < np.abs(kernel).max() <= limit
    assert not any(bias.any() for bias in kernels[1::2])


def test_losses_are_those_of_others():
    generator = np.random.default_rng(0)
    targets, logits = generator.random((3, 4, 5, 2)).astype("float32"), generator.normal(0, 3, (3, 4, 5, 2))
    logits = logits.astype("float32")
    flat, levels = targets.reshape(3, -1), expit(logits).reshape(3, -1)
    np.testing.assert_allclose(squared_error(targets, logits), ((flat - levels) ** 2).mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(
        binary_crossentropy(targets, logits), keras.losses.binary_crossentropy(flat, levels), rtol=1e-4
    )
    # A value in [0, 1] counts as both labels, weighted by it.
    by_image = [
        log_loss([1] * 40 + [0] * 40, np.tile(row, 2), sample_weight=np.r_[x, 1 - x], normalize=False)
        for x, row in zip(flat, levels, strict=True)
    ]
    np.testing.assert_allclose(cross_entropy(targets, logits), by_image, rtol=1e-4)


def test_the_divergence_is_the_integral_that_defines_it():
    mean, log_variance = np.array([[0.5, -1.0]], "float32"), np.array([[-1.0, 0.3]], "float32")

    def divergence(m, s):
        return quad(lambda z: norm.pdf(z, m, s) * (norm.logpdf(z, m, s) - norm.logpdf(z)), -12, 12)[0]

    expected = sum(divergence(m, np.exp(v / 2)) for m, v in zip(mean[0], log_variance[0], strict=True))
    layer = posterior_class()()
    layer.build((1, 2), (1, 2))
    layer.set_weights([np.array(3.0)])
    layer(mean, log_variance)
    assert float(layer.losses[0]) == pytest.approx(3 * expected, rel=1e-5)


def test_codes_are_drawn_from_the_distribution():
    mean, log_variance = np.full((4000, 1), 2.0, "float32"), np.full((4000, 1), np.log(0.25), "float32")
    drawn = np.asarray(posterior_class()()(mean, log_variance))
    assert drawn.mean() == pytest.approx(2, abs=0.04)
    assert drawn.std() == pytest.approx(0.5, abs=0.03)


def test_targets():
    pixels = np.array([[[[255, 0, 0], [10, 10, 10]]]], np.uint8)
    np.testing.assert_allclose(targets_of(pixels, 1)[..., 0], [[[0.299, 10 / 255]]], rtol=1e-6)
    np.testing.assert_array_equal(targets_of(pixels, 3), pixels / np.float32(255))
