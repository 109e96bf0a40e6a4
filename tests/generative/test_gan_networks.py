"""Generators and discriminators: images of any size, weights to start from, minibatch discrimination."""

import keras
import numpy as np
import pytest

from skcnn._keras import building
from skcnn.generative._networks import (
    LOSSES,
    Design,
    build_discriminator,
    build_generator,
    check_given,
    plain_discriminator,
    plain_generator,
)


@pytest.mark.parametrize("size", [(8, 8), (7, 5), (1, 1), (32, 33)])
@pytest.mark.parametrize(
    ("loss", "is_dense", "n_classes"), [("dcgan", False, 3), ("wgan-gp", True, 0), ("began", False, 0)]
)
def test_images_of_any_size(size, loss, is_dense, n_classes):
    design = Design(loss, size, 3, 4, (2, 3), is_dense, n_classes, n_embedding=n_classes and 2)
    with building():
        generator, discriminator = build_generator(design), build_discriminator(design)
    assert generator.output_shape == (None, *size, 3)
    assert discriminator.output_shape == (None, 1)
    weights = {"generator": generator.get_weights(), "discriminator": discriminator.get_weights()}
    design.check_weights(weights)
    design.check_weights(design.initial_weights(0))
    with pytest.raises(ValueError, match="expected"):
        design.check_weights({**weights, "generator": weights["generator"][:-1]})


@pytest.mark.parametrize("loss", LOSSES)
def test_batch_normalisation_is_where_it_was_published(loss):
    with building():
        networks = [
            build(Design(loss, (8, 8), 1, 4, (2, 3), False)) for build in (build_generator, build_discriminator)
        ]
    found = [any(isinstance(layer, keras.layers.BatchNormalization) for layer in one.layers) for one in networks]
    assert found == [loss in ("dcgan", "wgan")] * 2


def test_initial_weights_are_those_of_glorots_rule():
    design = Design("dcgan", (16, 16), 3, 32, (32, 64), False)
    kernel = design.initial_weights(0)["discriminator"][0]
    limit = np.sqrt(6 / (np.prod(kernel.shape[:2]) * sum(kernel.shape[2:])))
    assert 0.95 * limit < np.abs(kernel).max() <= limit
    with building():
        names = [variable.path for variable in build_generator(design).weights]
    for name, value in zip(names, design.initial_weights(0)["generator"], strict=True):
        if value.ndim == 1:
            assert (value == float(name.endswith(("gamma", "moving_variance")))).all()
    again, other = (design.initial_weights(seed)["generator"] for seed in (0, 1))
    np.testing.assert_array_equal(again[0], design.initial_weights(0)["generator"][0])
    assert np.abs(again[0] - other[0]).max() > 0.01


def test_minibatch_discrimination_is_that_of_loops():
    design = Design("gan", (2, 2), 1, 2, (5,), True, n_kernels=3)
    with building():
        network = build_discriminator(design)
    middle = keras.Model(network.input, [network.get_layer("active_1").output, network.get_layer("compared").output])
    pixels = np.random.default_rng(0).normal(size=(4, 2, 2, 1)).astype("float32")
    features, found = (np.asarray(part) for part in middle(pixels))
    M = (features @ network.get_layer("projected").get_weights()[0]).reshape(4, 3, 8)
    expected = [
        [sum(np.exp(-np.abs(M[i, b] - M[j, b]).sum()) for j in range(4) if j != i) for b in range(3)] for i in range(4)
    ]
    np.testing.assert_allclose(found[:, 5:], expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found[:, :5], features)


def test_plain_networks_take_and_give_levels():
    design = Design("wgan-gp", (4, 4), 1, 2, (3,), True, 2)
    weights = design.initial_weights(0)
    with building():
        generator, discriminator = build_generator(design), build_discriminator(design)
    generator.set_weights(weights["generator"])
    discriminator.set_weights(weights["discriminator"])
    codes, labels = (
        np.random.default_rng(0).normal(size=(3, 2)).astype("float32"),
        np.eye(2, dtype="float32")[[0, 1, 1]],
    )
    made = np.asarray(generator([codes, labels]))
    levels = np.asarray(plain_generator(design, weights)([codes, labels]))
    np.testing.assert_allclose(levels, (made + 1) * 127.5, rtol=1e-4, atol=1e-3)
    scores = plain_discriminator(design, weights)([levels, labels])
    np.testing.assert_allclose(scores, discriminator([made, labels]), rtol=1e-4, atol=1e-5)


def test_a_network_that_does_not_fit_is_refused():
    with building():
        network = build_generator(Design("gan", (4, 4), 1, 2, (3,), True))
    check_given(network, "generator", (2,), 0, (4, 4, 1))
    with pytest.raises(ValueError, match=r"expected inputs of the shapes \[\(None, 2\), \(None, 3\)\]"):
        check_given(network, "generator", (2,), 3, (4, 4, 1))
    with pytest.raises(ValueError, match=r"one output of the shape \(None, 4, 4, 3\)"):
        check_given(network, "generator", (2,), 0, (4, 4, 3))


def test_a_layer_that_is_too_large_is_refused():
    with pytest.raises(ValueError, match="Use fewer filters, or a smaller image_size"):
        Design("gan", (4096, 4096), 3, 2, (1024,), False)
