"""The table of backbones and its registry."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import keras
import numpy as np
import pytest

from skcnn.backbones import Backbone, BottleneckLayer, get_backbone, list_backbones, register_backbone
from skcnn.backbones._registry import _registered
from skcnn.backbones._table import TABLE

CLASSIC = ("LeNet5", "AlexNet", "ResNet34")
APPLICATIONS = [name for name in dir(keras.applications) if name[0].isupper()]


@pytest.fixture
def registry():
    """What a test registers is gone after it."""
    before = dict(_registered)
    yield
    _registered.clear()
    _registered.update(before)


def test_every_classifier_of_keras_is_listed():
    assert set(TABLE) == {*APPLICATIONS, "ResNet20", *CLASSIC}
    assert list_backbones()["name"].tolist()[: len(TABLE)] == list(TABLE)


def test_columns():
    table = list_backbones()
    assert table.columns.tolist() == [
        "name",
        "image_size",
        "n_features",
        "n_parameters",
        "preprocessing",
        "layers",
        "weights",
    ]
    row = table.set_index("name").loc["NASNetLarge"]
    assert row["image_size"] == (331, 331)
    assert row["n_features"] == 4032
    assert row["layers"][-1] == "output"
    assert row["weights"] == ("imagenet",)


@pytest.mark.parametrize("backbone", TABLE.values(), ids=TABLE)
def test_entry(backbone):
    assert 3 <= len(backbone.layers) <= 5
    assert all(layer.n_features > 0 for layer in backbone.layers)
    assert backbone.n_parameters > 50_000
    assert len(backbone.weights) == (backbone.name not in CLASSIC)
    assert backbone.network is None
    assert pickle.loads(pickle.dumps(backbone)) == backbone


def test_listing_takes_no_keras():
    code = (
        "import sys, skcnn.backbones as b; b.list_backbones(); n = b.get_backbone('VGG16');"
        "n.weights_id('pretrained'); n.weights_id(None); sys.exit('keras' in sys.modules)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


@pytest.mark.parametrize(
    ("name", "close"), [("mobilenetv2", "'MobileNetV2'"), ("Resnet-50", "'ResNet50'"), ("EficientNetB3", "B3'")]
)
def test_unknown_name_gives_close_ones(name, close):
    with pytest.raises(ValueError, match=f"no backbone '{name}'. Did you mean .*{close}.*list_backbones"):
        get_backbone(name)


def test_unknown_name_with_nothing_close():
    with pytest.raises(ValueError, match=r"no backbone 'zzz'\. skcnn\.backbones\.list_backbones\(\)"):
        get_backbone("zzz")


def test_register(registry):
    mine = replace(get_backbone("ResNet20"), name="Mine", image_size=(64, 48))
    register_backbone(mine)
    assert get_backbone("Mine") is mine
    assert list_backbones()["name"].tolist()[-1] == "Mine"
    for taken in ("Mine", "ResNet20"):
        with pytest.raises(ValueError, match=f"'{taken}' already"):
            register_backbone(replace(mine, name=taken))
    with pytest.raises(TypeError, match="str is not a Backbone"):
        register_backbone("ResNet20")


def test_one_of_many_threads_registers(registry):
    mine = replace(get_backbone("ResNet20"), name="Mine")

    def attempt(_):
        try:
            register_backbone(mine)
        except ValueError:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(64))) == 1


def build_tiny(*, include_top, weights, input_shape, classes=10):
    x = inputs = keras.Input(input_shape)
    x = keras.layers.Conv2D(4, 3, name="edges")(x)
    if weights == "ones":
        keras.Model(inputs, x).set_weights([np.ones((3, 3, 3, 4)), np.ones(4)])
    if include_top:
        x = keras.layers.Dense(classes)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, x)


def test_registered_builder_with_weights_of_its_own():
    tiny = Backbone("Tiny", (16, 16), "tf", (BottleneckLayer("edges", "edges", 4),), 112, ("ones",), build_tiny)
    for size in (None, (20, 24)):
        network = tiny.build(image_size=size)
        assert network.input_shape == (None, *(size or (16, 16)), 3)
        assert all((weight == 1).all() for weight in network.get_weights())
    assert tiny.weights_id("pretrained") == tiny.weights_id("ones") == "ones"
    assert not (tiny.build(weights=None).get_weights()[0] == 1).any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layers": ()}, "at least one"),
        ({"layers": (BottleneckLayer("a", "a", 1), BottleneckLayer("a", "b", 2))}, "each name once"),
        ({"preprocessing": "imagenet"}, "expected 'none', 'tf'"),
        ({"image_size": (0, 32)}, "in pixels"),
        ({"image_size": (32, 32, 3)}, "in pixels"),
    ],
)
def test_entries_are_checked(change, message):
    with pytest.raises(ValueError, match=message):
        replace(get_backbone("ResNet20"), **change)


def test_layers_of_convnext_stand_at_the_ends_of_its_stages():
    # Keras leaves these places unnamed, so the table counts operations; what follows each of them does have a name.
    backbone = get_backbone("ConvNeXtTiny")
    network = backbone.build(image_size=(32, 32), weights=None)
    for stage, layer in enumerate(backbone.layers[:-1]):
        assert network.operations[layer.keras_name + 1].name == f"convnext_tiny_downsampling_block_{stage}"


@pytest.mark.slow
def test_convnext_normalises_after_pooling():
    backbone = get_backbone("ConvNeXtTiny")
    network = backbone.build(image_size=(64, 64), weights=None)
    rng = np.random.default_rng(0)
    network.layers[-1].set_weights([rng.uniform(0.5, 1.5, 768), rng.normal(size=768)])
    x = rng.uniform(0, 255, (2, 64, 64, 3)).astype(np.float32)
    before, after = keras.Model(network.input, [network.layers[-1].input, network.output])(x)
    for pooling, pool in (("avg", np.mean), ("max", np.max)):
        features = np.asarray(keras.Model(network.input, backbone.pooled_output(network, "output", pooling))(x))
        expected = np.asarray(network.layers[-1](pool(np.asarray(before), axis=(1, 2))))
        np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-4)
        assert not np.allclose(features, pool(np.asarray(after), axis=(1, 2)), rtol=1e-2, atol=1e-2)
    assert backbone.pooled_output(network, "output", None) is network.output
    with pytest.raises(ValueError, match="pooling='mean'; expected 'avg', 'max' or None"):
        backbone.pooled_output(network, "output", "mean")


def test_any_layer_by_name_or_index():
    backbone = get_backbone("ResNet20")
    network = backbone.build(weights=None)
    for layer, expected in (
        ("stem_relu", "stem_relu"),
        (1, "stem_conv"),
        (-1, "stage3_unit3"),
        (np.int64(2), "stem_bn"),
    ):
        name = backbone.layer_name(layer)
        assert backbone.layer_output(network, name) is network.get_layer(expected).output
    with pytest.raises(ValueError, match="ResNet20 has no layer 'stage9'; there are 'stage1_unit3', 'stage2_unit3'"):
        backbone.layer_output(network, "stage9")
    with pytest.raises(ValueError, match=r"ResNet20 has no layer 'layer\[999\]'"):
        backbone.layer_output(network, backbone.layer_name(999))
    with pytest.raises(TypeError, match=r"layer=1.5; expected 'stage1_unit3'"):
        backbone.layer_name(1.5)


def test_names_that_keras_made_up_are_refused():
    backbone = get_backbone("InceptionV3")
    inputs = keras.Input((8, 8, 3))
    network = keras.Model(inputs, keras.layers.Conv2D(2, 3)(keras.layers.ReLU()(inputs)))
    automatic = network.layers[-1].name
    with pytest.raises(ValueError, match=f"'{automatic}' is an automatic name.*index instead: 2"):
        backbone.layer_output(network, automatic)


def test_another_order_of_layers_is_noticed():
    backbone = get_backbone("MobileNetV3Small")
    network = get_backbone("ResNet20").build(weights=None)
    with pytest.raises(ValueError, match="'output' of MobileNetV3Small has 64 channels in this version of Keras"):
        backbone.layer_output(network, "output")


def test_seed_decides_and_nothing_else_changes():
    import random

    backbone = get_backbone("ResNet20")
    random.seed(5)
    expected = random.random()
    random.seed(5)
    builds = [backbone.build(weights=None, random_state=seed).get_weights() for seed in (0, 0, 1)]
    assert random.random() == expected
    assert all(np.array_equal(a, b) for a, b in zip(builds[0], builds[1], strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(builds[0], builds[2], strict=True))


def test_threads_build_what_one_would():
    backbone = get_backbone("ResNet20")
    alone = [backbone.build(weights=None, random_state=seed).get_weights()[0] for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(
            pool.map(lambda seed: backbone.build(weights=None, random_state=seed).get_weights()[0], range(4))
        )
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.skipif(
    "SKCNN_ALL_BACKBONES" not in os.environ, reason="builds all 44 networks, some of gigabytes: set SKCNN_ALL_BACKBONES"
)
@pytest.mark.parametrize("backbone", TABLE.values(), ids=TABLE)
def test_every_entry_as_built(backbone):
    network = backbone.build(weights=None)
    assert network.count_params() == backbone.n_parameters
    outputs = [backbone.layer_output(network, layer.name) for layer in backbone.layers]
    assert [output.shape[-1] for output in outputs] == [layer.n_features for layer in backbone.layers]
    heights = [output.shape[1] for output in outputs]
    assert heights == sorted(set(heights), reverse=True)
    assert outputs[-1] is network.output
    if backbone.name in APPLICATIONS:
        # With top and without a size, Keras builds at its own (MobileNetV3 at any).
        whole = getattr(keras.applications, backbone.name)(weights=None)
        assert whole.input_shape[1:3] in (backbone.image_size, (None, None))
