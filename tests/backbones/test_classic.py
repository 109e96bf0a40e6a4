"""The classic networks: their numbers of parameters are those of the papers, or of other libraries."""

import math

import keras
import numpy as np
import pytest

from skcnn.backbones import get_backbone
from skcnn.backbones._classic import alexnet, lenet5, resnet34
from skcnn.neural_network import CNNClassifier


@pytest.mark.parametrize(
    ("build", "n_parameters"),
    [
        (lenet5, 61_706 + 2 * 6 * 25),  # of the paper's network on digits, which have one channel
        (alexnet, 62_378_344),  # without the paper's two groups
        (resnet34, 21_797_672),  # as torchvision counts
    ],
)
def test_number_of_parameters(build, n_parameters):
    assert sum(math.prod(v.shape) for v in build().trainable_variables) == n_parameters


@pytest.mark.parametrize("name", ["LeNet5", "AlexNet", "ResNet34"])
def test_the_table(name):
    backbone = get_backbone(name)
    network = backbone.build(weights=None)
    assert network.count_params() == backbone.n_parameters
    outputs = [backbone.layer_output(network, layer.name) for layer in backbone.layers]
    assert [output.shape[-1] for output in outputs] == [layer.n_features for layer in backbone.layers]
    assert outputs[-1] is network.output
    with pytest.raises(ValueError, match=r"has no weights 'pretrained'; expected the path .*None for random"):
        backbone.build()


def test_skips_of_resnet34_are_identities_or_strided():
    network = get_backbone("ResNet34").build(weights=None, image_size=64)
    skips = [layer for layer in network.layers if layer.name.endswith("_skip_conv")]
    assert [layer.name[:12] for layer in skips] == [f"stage{stage}_unit1" for stage in (2, 3, 4)]
    assert all(layer.strides == (2, 2) and layer.kernel_size == (1, 1) for layer in skips)
    # With nothing on the other way, a unit gives what it is given.
    network.get_layer("stage1_unit1_2_bn").set_weights([np.zeros(64), np.zeros(64), np.zeros(64), np.ones(64)])
    before, after = keras.Model(
        network.input, [network.get_layer("stem_pool").output, network.get_layer("stage1_unit1").output]
    )(np.random.default_rng(0).normal(size=(1, 64, 64, 3)))
    np.testing.assert_array_equal(np.asarray(before), np.asarray(after))


@pytest.mark.slow
def test_lenet5_learns_digits():
    from skcnn.datasets import load_digit_images

    X, y = load_digit_images(return_X_y=True)
    classifier = CNNClassifier(
        "LeNet5", weights=None, pooling=None, hidden_layer_sizes=(84,), head_epochs=0, epochs=8, unfreeze="all",
        learning_rate=0.003, random_state=0,
    )  # fmt: skip
    assert classifier.fit(X[:600], y[:600]).score(X[600:900], y[600:900]) > 0.8
