"""Where weights come from: Keras's files, the user's, the shipped ones; and what is said where they fail."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import urllib.error
import urllib.request
import warnings
from dataclasses import replace

import h5py
import keras
import numpy as np
import pytest
from keras.src.applications import efficientnet
from keras.src.backend import config
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

from skcnn.backbones import (
    Backbone,
    BottleneckLayer,
    PartialWeights,
    WeightsDownloadError,
    WeightsFile,
    WrongWeightsError,
    as_weights_file,
    backbone_from_model,
    get_backbone,
    scale_pixels,
)
from skcnn.backbones._resnet20 import build_resnet20
from skcnn.backbones._shipped import RESNET20_CIFAR10, RESNET20_CIFAR10_SHA256

# Keras's save_weights with TensorFlow's variables and NumPy 2; not of this package's making.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

MOBILENET_V2_FILE = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_{size}_no_top.h5"


def save_legacy(model, path):
    with h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(file, model)
    return path


def draw(model, seed):
    """Give a network weights of which no two are alike, and return them."""
    rng = np.random.default_rng(seed)
    values = [np.asarray(rng.uniform(0.5, 1.5, weight.shape)).astype(weight.dtype) for weight in model.get_weights()]
    model.set_weights(values)
    return values


def assert_equal(model, values):
    assert all(np.array_equal(one, other) for one, other in zip(model.get_weights(), values, strict=True))


def features(model, x):
    return np.asarray(keras.layers.GlobalAveragePooling2D()(model(x, training=False)))


def make_image(size=64):
    return np.random.default_rng(1).uniform(0, 255, (2, size, size, 3)).astype(np.float32)


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    """An empty Keras home; nobody downloads into it."""

    def no_network(url, *args, **kwargs):
        raise urllib.error.URLError("no route to host")

    home = tmp_path / "keras-home"
    (home / "models").mkdir(parents=True)
    monkeypatch.setenv("KERAS_HOME", str(home))
    monkeypatch.setattr(config, "_KERAS_DIR", str(home))
    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    return home


@pytest.mark.slow
def test_published_weights_are_those_of_the_own_size(keras_home):
    models = keras_home / "models"
    kinds = {}
    for size in (224, 128):  # Keras itself would take the second file for images of 128 x 128
        network = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(size, size, 3))
        kinds[size] = draw(network, seed=size)
        save_legacy(network, models / MOBILENET_V2_FILE.format(size=size))
    before = {path.name: path.stat().st_mtime_ns for path in models.iterdir()}
    backbone = get_backbone("MobileNetV2")
    for image_size, weights in ((None, "pretrained"), ((128, 128), "imagenet"), ((96, 160), "pretrained")):
        network = backbone.build(image_size=image_size, weights=weights)
        assert network.input_shape == (None, *(image_size or (224, 224)), 3)
        assert_equal(network, kinds[224])
    assert {path.name: path.stat().st_mtime_ns for path in models.iterdir()} == before


def test_failed_download_says_what_to_do(keras_home):
    with pytest.raises(WeightsDownloadError) as caught:
        get_backbone("MobileNetV2").build()
    file = MOBILENET_V2_FILE.format(size=224)
    url = f"https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2/{file}"
    path = keras_home / "models" / file
    assert isinstance(caught.value, OSError)
    assert caught.value.missing == {"MobileNetV2": (path, url)}
    message = str(caught.value)
    for part in ("weights of MobileNetV2", "no route to host", f"\n  curl -f -L -o {path} {url}\n", "weights='PATH'"):
        assert part in message
    assert message.count(url) == 1
    assert not list(path.parent.iterdir())


def test_damaged_download_says_so(keras_home):
    file = keras_home / "models" / MOBILENET_V2_FILE.format(size=224)
    file.write_bytes(b"cut short")
    with pytest.raises(OSError, match=r"could not be read from.*delete it") as caught:
        get_backbone("MobileNetV2").build()
    assert str(file) in str(caught.value)
    assert not isinstance(caught.value, WeightsDownloadError)


def test_builders_that_download_by_themselves(keras_home):
    url = "https://example.org/a/mine.h5"

    def build(*, include_top, weights, input_shape):
        raise Exception(f"URL fetch failure on {url}: None -- no route to host")  # as keras.utils.get_file does

    backbone = Backbone("Mine", (8, 8), "none", (BottleneckLayer("a", "a", 1),), 1, ("mine",), build)
    with pytest.raises(WeightsDownloadError, match=r"weights of Mine .*: no route to host\.") as caught:
        backbone.build()
    assert caught.value.missing == {"Mine": (keras_home / "models" / "mine.h5", url)}


def test_other_errors_of_a_builder_are_its_own():
    def build(*, include_top, weights, input_shape):
        raise KeyError("a bug")

    backbone = Backbone("Broken", (8, 8), "none", (BottleneckLayer("a", "a", 1),), 1, ("mine",), build)
    with pytest.raises(KeyError, match="a bug"):
        backbone.build()


@pytest.mark.slow
def test_efficientnet_scales_pixels_as_keras_does(keras_home, monkeypatch, tmp_path):
    # Keras puts one more layer into EfficientNetB* where it loads its own weights, and only there. Without it they mean
    # something else: at another size, from a path, or in a file that was saved from such a network. (Compared where the
    # layer acts; the last row of a lower image meets its edge.)
    plain = keras.applications.EfficientNetB0(weights=None, include_top=False, input_shape=(224, 224, 3))
    draw(plain, seed=0)
    plain.get_layer(index=2).finalize_state()
    published = save_legacy(plain, keras_home / "models" / "efficientnetb0_notop.h5")
    digest = hashlib.md5(published.read_bytes(), usedforsecurity=False).hexdigest()
    x = make_image(224)

    def stem(network):
        return np.asarray(
            keras.Model(network.input, network.get_layer("stem_conv").output)(x[:, : network.input_shape[1]])
        )

    backbone = get_backbone("EfficientNetB0")
    wide = {"image_size": (96, 224)}
    own = backbone.build(weights=published, **wide)  # of unknown origin
    np.testing.assert_array_equal(stem(own)[:, :47], stem(plain)[:, :47])

    monkeypatch.setitem(efficientnet.WEIGHTS_HASHES, "b0", ("", digest))
    reference = keras.applications.EfficientNetB0(include_top=False, input_shape=(224, 224, 3))
    expected = stem(reference)
    assert np.abs(stem(plain) - expected).max() > 0.1 * np.abs(expected).max()
    reference.save_weights(tmp_path / "again.weights.h5")
    for weights in ("pretrained", published, tmp_path / "again.weights.h5"):
        network = backbone.build(weights=weights, **wide)
        np.testing.assert_allclose(
            stem(network)[:, :47], expected[:, :47], rtol=1e-4, atol=1e-5 * np.abs(expected).max()
        )
        assert len(network.layers) == len(plain.layers)
        for one, other in zip(network.get_weights()[3:], reference.get_weights()[3:], strict=True):
            np.testing.assert_array_equal(one, other)


def with_and_without_top():
    """The forms of files; of those that are read alike one only in the default set, as each builds a real network."""
    for top in (True, False):
        for suffix in (".weights.h5", ".h5", ".hdf5"):
            quick = (top, suffix) in ((True, ".h5"), (False, ".weights.h5"))
            yield pytest.param(top, suffix, marks=() if quick else pytest.mark.slow)


@pytest.mark.parametrize(("top", "suffix"), list(with_and_without_top()))
def test_files_with_and_without_top(suffix, top, tmp_path):
    network = keras.applications.MobileNetV3Small(weights=None, include_top=top, input_shape=(64, 64, 3), classes=7)
    values = draw(network, seed=0)
    path = tmp_path / f"mine{suffix}"
    if suffix == ".weights.h5":
        network.save_weights(path)
    else:
        save_legacy(network, path)
    loaded = get_backbone("MobileNetV3Small").build(image_size=(64, 64), weights=str(path))
    assert_equal(loaded, values[: len(loaded.weights)])


@pytest.mark.filterwarnings("ignore:.*HDF5 file:UserWarning", "ignore::UserWarning")
def test_whole_model_in_a_legacy_file(tmp_path):
    network = build_resnet20(classes=3)
    values = draw(network, seed=0)
    network.save(tmp_path / "whole.h5")
    loaded = get_backbone("ResNet20").build(weights=tmp_path / "whole.h5")
    assert_equal(loaded, values[: len(loaded.weights)])


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
def test_file_of_another_network(suffix, tmp_path):
    path = tmp_path / f"other{suffix}"
    other = keras.applications.MobileNet(weights=None, include_top=False, input_shape=(64, 64, 3), alpha=0.25)
    if suffix == ".weights.h5":
        other.save_weights(path)
    else:
        save_legacy(other, path)
    # Warnings are errors here, and none of Keras's, one per layer, comes in the way.
    with pytest.raises(WrongWeightsError) as caught:
        get_backbone("ResNet20").build(weights=path)
    message = str(caught.value)
    assert message.startswith(f"{path} does not hold the weights of ResNet20: Keras reports: ")
    assert "objects could not be loaded" in message or "Layer count mismatch" in message
    assert "fits is a .weights.h5 or .h5 file that Keras saved from ResNet20" in message
    assert "backbone='MODEL.keras'" in message
    assert len(message) < 1000


def test_warnings_about_a_file_that_fits_are_shown(tmp_path, monkeypatch):
    network = build_resnet20(include_top=False)
    network.save_weights(tmp_path / "mine.weights.h5")
    load = type(network).load_weights

    def load_and_warn(*arguments):
        load(*arguments)
        warnings.warn("Skipping nested container", stacklevel=1)

    monkeypatch.setattr(keras.Model, "load_weights", load_and_warn)
    with pytest.warns(UserWarning, match="Skipping nested container"):
        get_backbone("ResNet20").build(weights=tmp_path / "mine.weights.h5")


def test_the_file_that_fits_is_named(tmp_path):
    path = tmp_path / "mine.weights.h5"
    build_resnet20(include_top=False).save_weights(path)
    with pytest.raises(
        WrongWeightsError, match=r"publishes \(https://.*/weights_mobilenet_v3_small_.*_no_top_v2\.h5\)"
    ):
        get_backbone("MobileNetV3Small").build(weights=path, image_size=(32, 32))


def test_file_that_is_none(tmp_path):
    path = tmp_path / "page.h5"
    path.write_text("<html>404</html>")
    with pytest.raises(ValueError, match=r"page.h5 does not hold the weights of ResNet20: it is not an HDF5 file"):
        get_backbone("ResNet20").build(weights=path)


@pytest.mark.parametrize("act", [lambda b, w: b.build(weights=w), lambda b, w: b.weights_id(w)], ids=["build", "id"])
def test_what_is_no_weights(act, tmp_path):
    resnet20 = get_backbone("ResNet20")
    with pytest.raises(FileNotFoundError, match=r"no weights file '.*missing\.h5'"):
        act(resnet20, tmp_path / "missing.h5")
    with pytest.raises(FileNotFoundError, match=r"no weights file 'missing\.weights\.h5' \(current folder"):
        act(resnet20, "missing.weights.h5")
    (tmp_path / "model.keras").touch()
    with pytest.raises(ValueError, match=r"whole model .* is given as the backbone"):
        act(resnet20, tmp_path / "model.keras")
    with pytest.raises(ValueError, match=r"ResNet20 has no weights 'imagenet'; expected .pretrained. .or 'cifar10'"):
        act(resnet20, "imagenet")
    with pytest.raises(ValueError, match="has no weights 3"):
        act(resnet20, 3)
    bare = replace(get_backbone("VGG16"), name="Bare", weights=())
    with pytest.raises(ValueError, match=r"Bare has no weights 'pretrained'; expected the path of a"):
        act(bare, "pretrained")


def test_weights_of_several_networks(tmp_path):
    vgg, resnet20 = get_backbone("VGG16"), get_backbone("ResNet20")
    path = tmp_path / "a.h5"
    path.write_bytes(b"one")
    weights = {"VGG16": path, "ResNet20": "pretrained", "LeNet5": None}
    assert vgg.weights_id(weights) == vgg.weights_id(path)
    assert resnet20.weights_id(weights) == resnet20.weights_id("pretrained")
    assert get_backbone("LeNet5").weights_id(weights) == "random:0"
    for one, other in zip(resnet20.build(weights=weights).get_weights(), resnet20.build().get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match=r"no entry for 'AlexNet'; it has 'VGG16', 'ResNet20', 'LeNet5'"):
        get_backbone("AlexNet").weights_id(weights)
    own = backbone_from_model(keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)], name="own"))
    assert own.weights_id(weights) == own.weights_id("pretrained")
    with pytest.raises(ValueError, match="has its own weights"):
        own.weights_id({"own": path})


def test_weights_id(tmp_path):
    vgg = get_backbone("VGG16")
    assert vgg.weights_id("pretrained") == vgg.weights_id("imagenet") == "imagenet"
    assert vgg.weights_id(None) == "random:0"
    assert vgg.weights_id(None, 7) == "random:7"
    path = tmp_path / "a.h5"
    path.write_bytes(b"one")
    one = f"sha256:{hashlib.sha256(b'one').hexdigest()}"
    assert vgg.weights_id(path) == vgg.weights_id(str(path)) == vgg.weights_id(WeightsFile(b"one", ".h5")) == one
    path.write_bytes(b"another")
    assert vgg.weights_id(path) == f"sha256:{hashlib.sha256(b'another').hexdigest()}"


def test_weights_file_in_memory(tmp_path):
    network = build_resnet20(include_top=False)
    values = draw(network, seed=0)
    network.save_weights(tmp_path / "mine.weights.h5")
    file = as_weights_file(tmp_path / "mine.weights.h5")
    assert (file.suffix, file.content) == (".weights.h5", (tmp_path / "mine.weights.h5").read_bytes())
    assert len(repr(file)) < 100
    (tmp_path / "mine.weights.h5").unlink()
    assert_equal(get_backbone("ResNet20").build(weights=file), values)
    assert as_weights_file(file) is file
    assert as_weights_file("pretrained") is as_weights_file("imagenet") is as_weights_file(None) is None


@pytest.fixture
def shipped(tmp_path):
    network = build_resnet20()
    values = draw(network, seed=0)
    path = tmp_path / "shipped.weights.h5"
    network.save_weights(path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return replace(get_backbone("ResNet20"), path=path, sha256=sha256), values


def test_shipped_weights(shipped):
    backbone, values = shipped
    for weights in ("pretrained", "cifar10"):
        network = backbone.build(image_size=(48, 40), weights=weights)
        assert_equal(network, values[: len(network.weights)])
        assert backbone.weights_id(weights) == f"cifar10:{backbone.sha256[:16]}"
    assert backbone.weights_id(None, 3) == "random:3"


def test_shipped_weights_that_were_changed_or_are_gone(shipped):
    backbone, _ = shipped
    backbone.path.write_bytes(backbone.path.read_bytes()[:-1] + b"!")
    with pytest.raises(OSError, match=f"SHA-256 is .*, and not {backbone.sha256}.*reinstall skcnn"):
        backbone.build()
    backbone.path.unlink()
    with pytest.raises(FileNotFoundError, match="installation of skcnn is incomplete"):
        backbone.build()


def test_the_shipped_file_is_the_one_that_the_package_knows():
    assert hashlib.sha256(RESNET20_CIFAR10.read_bytes()).hexdigest() == RESNET20_CIFAR10_SHA256
    assert get_backbone("ResNet20").build().output_shape == (None, 8, 8, 64)


def test_importing_weights_takes_no_h5py():
    code = "import sys, skcnn.backbones; sys.exit('h5py' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)


@pytest.mark.slow
def test_real_mobilenet_v2_file_with_top(shared):
    path = shared / "weights" / "mobilenet_v2_1.0_224.weights.h5"
    whole = keras.applications.MobileNetV2(weights=str(path))
    network = get_backbone("MobileNetV2").build(weights=path)
    assert_equal(network, whole.get_weights()[:-2])
    # At another size the very same weights, and at this one Keras's features.
    assert_equal(get_backbone("MobileNetV2").build(image_size=(128, 128), weights=path), network.get_weights())
    pixels = make_image(224)
    pooled = keras.Model(whole.input, whole.get_layer("out_relu").output)
    expected = features(pooled, keras.applications.mobilenet_v2.preprocess_input(pixels.copy()))
    np.testing.assert_allclose(features(network, scale_pixels(pixels, "tf")), expected, rtol=1e-4, atol=1e-4)


def test_real_mobilenet_file_in_float16(shared):
    path = shared / "weights" / "mobilenet_v1_1.0_224_f16.weights.h5"
    network = get_backbone("MobileNet").build(weights=path)
    assert {weight.dtype for weight in network.weights} == {"float32"}
    assert_equal(network, keras.applications.MobileNet(weights=str(path)).get_weights()[:-2])


def test_real_files_of_other_networks(shared):
    with pytest.raises(ValueError, match="does not hold the weights of MobileNet:"):
        get_backbone("MobileNet").build(weights=shared / "weights" / "mobilenet_v1_0.25_224_keras.weights.h5")
    with pytest.raises(ValueError, match="does not hold the weights of ResNet20:"):
        get_backbone("ResNet20").build(weights=shared / "weights" / "legacy_h5" / "pretrainedResnet.h5")


def test_weights_of_some_layers():
    backbone = get_backbone("ResNet20")
    weights = PartialWeights("pretrained", ("stem*", "stage1_unit1_1_conv"))
    network, published = backbone.build(weights=weights, random_state=3), backbone.build()
    again, other = (backbone.build(weights=weights, random_state=seed) for seed in (3, 4))
    n_taken = 0
    for layers in zip(network.layers, published.layers, again.layers, other.layers, strict=True):
        name = layers[0].name
        is_taken = name.startswith("stem") or name == "stage1_unit1_1_conv"
        n_taken += is_taken and bool(layers[0].weights)
        for values, given, same, drawn in zip(*(layer.get_weights() for layer in layers), strict=True):
            np.testing.assert_array_equal(values, same)
            assert np.array_equal(values, given) == is_taken
            assert np.array_equal(values, drawn) == (is_taken or np.ptp(values) == 0)
    assert n_taken > 1
    ids = {
        backbone.weights_id(one, 3) for one in (weights, "pretrained", None, PartialWeights("pretrained", ("stem*",)))
    }
    assert len(ids) == 4
    assert backbone.weights_id(weights, 3) != backbone.weights_id(weights, 4)


def test_no_layer_of_that_name():
    with pytest.raises(ValueError, match=r"No layer of ResNet20 that has weights is called 'stage9\*'"):
        get_backbone("ResNet20").build(weights=PartialWeights("pretrained", ("stem*", "stage9*")))
    with pytest.raises(ValueError, match="Did you mean 'stage1_unit1_1_conv'"):
        get_backbone("ResNet20").build(weights=PartialWeights("pretrained", ("stage1_unit1_1_con",)))
