"""Keras models of the user's, their files, and functions that build them, as backbones."""

from __future__ import annotations

import copy
import pickle

import keras
import numpy as np
import pytest

from skcnn._keras import building
from skcnn.backbones import as_backbone, backbone_from_model, get_backbone, scale_pixels

# Keras's save with TensorFlow's variables and NumPy 2; not of this package's making.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def build(input_shape=(24, 20, 3), *, name=None, dtype="float32", vector=False, seed=0):
    with building(seed):
        x = inputs = keras.Input(input_shape, dtype=dtype)
        x = keras.layers.Rescaling(1 / 255)(x)
        x = keras.layers.Conv2D(4, 3, name="edges")(x)
        x = keras.layers.Conv2D(6, 3)(x)
        if vector:
            x = keras.layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, x, name=name)


def images(height=24, width=20):
    return np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)


def run(backbone, x, name="output", pooling="avg", **options):
    """As a caller runs any backbone."""
    network = backbone.build(**options)
    pixels = keras.Input(x.shape[1:], dtype="uint8")
    tapped = keras.Model(network.inputs, backbone.pooled_output(network, name, pooling))
    return np.asarray(keras.Model(pixels, tapped(scale_pixels(pixels, backbone.preprocessing)))(x))


@pytest.mark.parametrize("vector", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_model(vector, dtype):
    model = build(dtype=dtype, vector=vector, name="mine")
    backbone = as_backbone(model)
    assert (backbone.name, backbone.image_size, backbone.n_features) == ("mine", (24, 20), 6)
    assert backbone.preprocessing == "none"
    assert backbone.n_parameters == model.count_params()
    assert backbone.network is backbone.build() is model
    expected = np.asarray(model(images()))
    features = run(backbone, images())
    np.testing.assert_allclose(features, expected if vector else expected.mean(axis=(1, 2)), rtol=1e-5)


def test_sequential_model():
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, name="edges"), keras.layers.ReLU()])
    backbone = as_backbone(model)
    expected = np.asarray(model(images(8, 8).astype(np.float32))).mean(axis=(1, 2))
    np.testing.assert_allclose(run(backbone, images(8, 8)), expected, rtol=1e-5)
    assert run(backbone, images(8, 8), backbone.layer_name("edges"), None).shape == (2, 6, 6, 4)
    assert run(backbone, images(8, 8), backbone.layer_name(0), "max").shape == (2, 4)


def test_size_that_a_model_leaves_open():
    model = build((None, None, 3))
    assert as_backbone(model).image_size == (224, 224)
    backbone = as_backbone(model, image_size=(30, 40))
    assert backbone.image_size == (30, 40)
    assert run(backbone, images(30, 40)).shape == (2, 6)
    assert backbone.build(image_size=(64, 32)) is model


def test_size_that_a_model_has():
    backbone = as_backbone(build(), image_size=(96, 96))
    assert backbone.image_size == (24, 20)
    with pytest.raises(ValueError, match="takes images of 24 x 20 pixels, and not of 96 x 96: leave image_size=None"):
        backbone.build(image_size=(96, 96))


def test_layers_of_a_model():
    model = build()
    backbone = as_backbone(model)
    edges = np.asarray(keras.Model(model.input, model.get_layer("edges").output)(images())).max(axis=(1, 2))
    for layer in ("edges", 2):
        np.testing.assert_allclose(run(backbone, images(), backbone.layer_name(layer), "max"), edges, rtol=1e-5)
    assert backbone.layer_name("output") == "output"
    assert backbone.layer_name("edges") == "edges"
    with pytest.raises(ValueError, match=r"has no layer 'none'; there are 'output'; or the name or the index"):
        backbone.layer_output(model, "none")


def test_names_do_not_depend_on_what_keras_made_up():
    # Each model's automatic names go on where those of the last one ended: features would be named, and kept, anew.
    one, other = (as_backbone(build()) for _ in range(2))
    assert one.network.layers[-1].name != other.network.layers[-1].name
    assert one.name == other.name == "functional"
    names = [backbone.layer_name(backbone.network.layers[-1].name) for backbone in (one, other)]
    assert names == ["layer[3]", "layer[3]"]
    assert one.weights_id("pretrained") == other.weights_id("pretrained")


def test_weights_of_a_model_are_known_by_their_digest():
    model = build()
    backbone = as_backbone(model)
    identity = backbone.weights_id("pretrained")
    assert identity.startswith("sha256:")
    assert as_backbone(copy.deepcopy(model)).weights_id("pretrained") == identity
    assert as_backbone(build(seed=1)).weights_id("pretrained") != identity
    model.set_weights([weight + 1 for weight in model.get_weights()])
    assert backbone.weights_id("pretrained") != identity


@pytest.mark.parametrize("weights", [None, "imagenet", "some.h5"])
@pytest.mark.parametrize("given", [build, None], ids=["callable", "model"])
def test_weights_beside_a_network_of_ones_own(weights, given):
    backbone = as_backbone(given or build())
    for act in (lambda: backbone.build(weights=weights), lambda: backbone.weights_id(weights)):
        with pytest.raises(ValueError, match="has its own weights: leave weights='pretrained'"):
            act()


def test_pickle():
    backbone = as_backbone(build())
    again = pickle.loads(pickle.dumps(backbone))
    assert again.weights_id("pretrained") == backbone.weights_id("pretrained")
    np.testing.assert_array_equal(run(again, images()), run(backbone, images()))


def test_path_of_a_model(tmp_path):
    model = build()
    model.save(tmp_path / "mine.keras")
    for path in (tmp_path / "mine.keras", str(tmp_path / "mine.keras")):
        np.testing.assert_allclose(run(as_backbone(path), images()), run(as_backbone(model), images()), rtol=1e-5)
    assert as_backbone(path).network is as_backbone(path).network
    build(seed=1, vector=True).save(tmp_path / "mine.keras")
    assert as_backbone(path).network.output_shape == (None, 6)
    with pytest.raises(FileNotFoundError, match=r"no Keras model '.*other\.keras'"):
        as_backbone(tmp_path / "other.keras")


@pytest.mark.filterwarnings("ignore")
def test_code_in_a_file_is_not_run(tmp_path):
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.layers.Lambda(lambda x: x)(inputs))
    model.save(tmp_path / "code.keras")
    with pytest.raises(ValueError, match=r"[Ll]ambda"):
        as_backbone(tmp_path / "code.keras")


def test_callable():
    calls = []

    def small(input_shape):
        calls.append(input_shape)
        x = inputs = keras.Input(input_shape)
        return keras.Model(inputs, keras.layers.Conv2D(5, 3, name="edges")(x))

    backbone = as_backbone(small, image_size=(16, 12))
    assert (backbone.name, backbone.image_size, backbone.n_features) == ("small", (16, 12), 5)
    assert backbone.network is None
    assert as_backbone(small, image_size=(16, 12)) is backbone
    assert calls == [(16, 12, 3)]
    assert run(backbone, images(32, 24), image_size=(32, 24)).shape == (2, 5)
    assert calls[-1] == (32, 24, 3)
    same, again, other = (backbone.build(random_state=seed).get_weights()[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(same, again)
    assert not np.array_equal(same, other)
    assert backbone.weights_id("pretrained", 0) == backbone.weights_id("pretrained", 0)
    assert backbone.weights_id("pretrained", 0) != backbone.weights_id("pretrained", 1)


def test_callable_without_a_size():
    backbone = as_backbone(build)
    assert backbone.image_size == (224, 224)
    assert backbone.n_features == 6


def test_names_and_backbones():
    assert as_backbone("ResNet20") is get_backbone("ResNet20") is as_backbone(get_backbone("ResNet20"))
    with pytest.raises(ValueError, match=r"no backbone 'ResNet21'\. Did you mean"):
        as_backbone("ResNet21")


def two_inputs():
    one, other = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    return keras.Model([one, other], keras.layers.Add()([one, other]))


def of(shape, layer):
    inputs = keras.Input(shape)
    return keras.Model(inputs, layer(inputs))


class Subclassed(keras.Model):
    def call(self, x):
        return x


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (lambda: 3, TypeError, r"backbone=3; expected a name"),
        (lambda: lambda input_shape: "no model", TypeError, "returned str; expected a Keras model"),
        (two_inputs, ValueError, r"expected one input \(n, height, width, 3\)"),
        (lambda: of((8, 8, 1), keras.layers.ReLU()), ValueError, "expected one input"),
        (lambda: of((8,), keras.layers.ReLU()), ValueError, "expected one input"),
        (lambda: of((8, 8, 3), keras.layers.Reshape((64, 3))), ValueError, "expected one output, a feature map"),
        (Subclassed, TypeError, "has no graph of layers"),
        (lambda: keras.Sequential([keras.layers.ReLU()]), TypeError, "begin it with keras.Input"),
    ],
)
def test_what_is_no_backbone(given, error, message):
    with pytest.raises(error, match=message):
        as_backbone(given())


def test_only_models_are_models():
    with pytest.raises(TypeError, match="str is not a Keras model"):
        backbone_from_model("ResNet20")


def test_layer_that_gives_no_features():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Reshape((64, 3), name="tokens")(inputs)
    model = keras.Model(inputs, keras.layers.Flatten()(x))
    backbone = as_backbone(model)
    with pytest.raises(ValueError, match="Layer 'tokens' of functional does not give features"):
        backbone.layer_output(model, "tokens")


def test_network_within_a_network():
    inner = build((8, 8, 3), name="inner")
    model = keras.Sequential([keras.Input((8, 8, 3)), inner, keras.layers.ReLU(name="after")])
    backbone = as_backbone(model)
    expected = np.maximum(np.asarray(inner(images(8, 8))), 0).mean(axis=(1, 2))
    for name in ("output", "after"):
        np.testing.assert_allclose(run(backbone, images(8, 8), name), expected, rtol=1e-5)
    if tuple(map(int, keras.__version__.split(".")[:2])) < (3, 13):
        return  # it joins what it cannot run
    with pytest.raises(ValueError, match="Layer 'inner' of sequential is itself a network"):
        backbone.layer_output(model, "inner")
