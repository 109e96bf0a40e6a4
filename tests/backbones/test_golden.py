"""Features against ``keras.applications``, one network a family.

The reference is Keras's own network, pooling and ``preprocess_input``, with seeded random weights. Fresh networks give
features of 1e-11, which pass any comparison: so BatchNorm's statistics are set from one batch, and scales are drawn.
Real networks take seconds each to build: all but the quickest belong to the slow set.
"""

from __future__ import annotations

import importlib
import os
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from sklearn.datasets import load_sample_images

from skcnn._keras import building
from skcnn.backbones import get_backbone, scale_pixels
from skcnn.backbones._resnet20 import build_resnet20

# Keras's save_weights with TensorFlow's variables and NumPy 2; not of this package's making.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TOLERANCE = 1e-4
#: The smallest network of every family. All run at their own size: in a small image the last maps have few pixels,
#: whose statistics make BatchNorm blow up rounding errors.
FAMILIES = (
    "ConvNeXtTiny",
    "DenseNet121",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Small",
    "NASNetMobile",
    "ResNet50",
    "ResNet50V2",
    "VGG16",
    "Xception",
    "ResNet20",
)
#: For each preprocessing the one that is mistaken for it most easily.
WRONG = {"none": "tf", "tf": "torch", "torch": "tf", "caffe": "none"}


def images(size: int) -> np.ndarray:
    """Three cuts of scikit-learn's two images: uint8 (3, size, size, 3)."""
    china, flower = load_sample_images().images
    step = 427 // size
    cuts = (china[:, :427], flower[:, :427], china[:, -427:])
    return np.stack([cut[: step * size : step, : step * size : step] for cut in cuts])


def reference_network(name: str, size: int) -> tuple[keras.Model, object]:
    """Keras's network without top and with average pooling, and the preprocessing that goes with it."""
    if name == "ResNet20":
        whole = build_resnet20()
        return keras.Model(whole.input, whole.get_layer("avg_pool").output), lambda x: x / 127.5 - 1
    builder = getattr(keras.applications, name)
    network = builder(include_top=False, weights=None, pooling="avg", input_shape=(size, size, 3))
    return network, importlib.import_module(builder.__module__).preprocess_input


def draw_weights(network: keras.Model, x: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    for weight in network.weights:
        if weight.name == "gamma":
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif weight.name in ("beta", "bias"):
            weight.assign(rng.normal(0, 0.2, weight.shape))
    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.get_weights():
            layer.set_weights([np.array([0.5, 0.4, 0.3]), np.array([0.05, 0.06, 0.07]), np.array(1)])
            layer.finalize_state()
    normalised = [layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization)]
    for layer in normalised:
        layer.momentum = 0.0
    if normalised:
        network(x, training=True)


LARGE = pytest.mark.skipif(
    "SKCNN_ALL_BACKBONES" not in os.environ, reason="takes half a minute to build: set SKCNN_ALL_BACKBONES"
)


#: One of keras.applications and the shipped network: seconds together.
QUICK = ("MobileNet", "ResNet20")


def by_size(name: str):
    if name in ("InceptionResNetV2", "NASNetMobile"):
        return pytest.param(name, marks=LARGE)
    return pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)


@pytest.fixture(scope="module", params=[by_size(name) for name in FAMILIES])
def case(request, tmp_path_factory):
    backbone = get_backbone(request.param)
    size = backbone.image_size[0]
    x = images(size)
    with building(0):
        reference, preprocess_input = reference_network(backbone.name, size)
    scaled = preprocess_input(x.astype(np.float32))
    draw_weights(reference, scaled)
    path = tmp_path_factory.mktemp("weights") / "network.weights.h5"
    reference.save_weights(path)
    expected = np.asarray(reference(scaled, training=False))
    network = backbone.build(weights=path)
    output = backbone.pooled_output(network, backbone.layers[-1].name, "avg")

    def features(mode: str) -> np.ndarray:
        pixels = keras.Input(x.shape[1:], dtype="uint8")
        model = keras.Model(pixels, keras.Model(network.input, output)(scale_pixels(pixels, mode)))
        return np.asarray(model(x, training=False))

    return SimpleNamespace(
        backbone=backbone, network=network, reference=reference, expected=expected, features=features
    )


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.max(np.abs(a - b)) / np.max(np.abs(b)))


def test_features_are_those_of_keras(case):
    features = case.features(case.backbone.preprocessing)
    assert features.dtype == np.float32
    assert features.shape == case.expected.shape == (3, case.backbone.n_features)
    assert distance(features, case.expected) <= TOLERANCE


def test_features_tell_images_apart(case):
    one, two, three = case.expected
    assert min(distance(one, two), distance(two, three), distance(three, one)) > 100 * TOLERANCE


def test_wrong_preprocessing_is_noticed(case):
    features = case.features(WRONG[case.backbone.preprocessing])
    assert distance(features, case.expected) > 10 * TOLERANCE


def test_table_tells_the_truth(case):
    backbone = case.backbone
    assert backbone.n_parameters == case.reference.count_params() == case.network.count_params()
    outputs = [backbone.layer_output(case.network, layer.name) for layer in backbone.layers]
    assert [output.shape[-1] for output in outputs] == [layer.n_features for layer in backbone.layers]
    heights = [output.shape[1] for output in outputs]
    assert heights == sorted(heights, reverse=True)
    assert len(set(heights)) == len(heights)
    assert 3 <= len(outputs) <= 5
    assert outputs[-1] is case.network.output
