"""Networks with the classifier that their weights were trained with: which file they need, and what is said if not."""

from __future__ import annotations

import os
import pickle
import urllib.error

import h5py
import keras
import numpy as np
import pytest
from keras.src import backend
from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group
from keras.src.utils import file_utils
from toy import TOY_IMAGENET, build_toy_imagenet

from skcnn.backbones import (
    WeightsDownloadError,
    WrongWeightsError,
    backbone_from_model,
    fetch_weights,
    get_backbone,
)
from skcnn.backbones._table import TABLE

APPLICATIONS = [name for name, backbone in TABLE.items() if isinstance(backbone.builder, str)]


class Asked(Exception):
    """Keras asks for a file: its name, and its address."""


def few_and_all():
    """Names of networks: one of each kind of file name, and the others where all networks are asked for."""
    few = {"MobileNetV2": (), "NASNetMobile": pytest.mark.slow, "MobileNetV3Small": pytest.mark.slow}
    few |= dict.fromkeys(("EfficientNetB0", "DenseNet121", "ConvNeXtTiny"), pytest.mark.slow)
    asked = "SKCNN_ALL_BACKBONES" in os.environ
    rest = pytest.mark.skipif(not asked, reason="builds all networks of Keras: set SKCNN_ALL_BACKBONES")
    return [pytest.param(name, marks=few.get(name, rest)) for name in APPLICATIONS]


@pytest.mark.parametrize("name", few_and_all())
def test_it_is_the_file_that_keras_asks_for(name, monkeypatch):
    def get_file(fname, origin, *, cache_subdir, **options):
        raise Asked(fname, origin, cache_subdir)

    monkeypatch.setattr(file_utils, "get_file", get_file)
    backbone = get_backbone(name).with_classifier()
    with pytest.raises(Asked) as caught:
        backbone._build_network(backbone.image_size, weights="imagenet")
    file = backbone.published_file
    assert caught.value.args == (file.path.name, file.url, "models")


def test_no_file_is_that_without_a_classifier():
    for name in APPLICATIONS:
        whole, without = get_backbone(name).with_classifier().published_file, get_backbone(name).published_file
        assert "top" not in whole.path.name
        assert "top" not in whole.url
        assert whole.path != without.path


def test_what_it_is():
    backbone = get_backbone("MobileNetV2")
    whole = backbone.with_classifier()
    assert whole.has_classifier
    assert not backbone.has_classifier
    assert whole.with_classifier() == whole
    assert whole.name == backbone.name
    assert whole.identity != backbone.identity
    assert pickle.loads(pickle.dumps(whole)) == whole
    for name in ("ResNet20", "LeNet5"):
        with pytest.raises(ValueError, match=f"{name} has no classifier of the classes of ImageNet"):
            get_backbone(name).with_classifier()


def test_a_model_is_taken_as_it_is():
    model = build_toy_imagenet(include_top=True)
    backbone = backbone_from_model(model)
    assert backbone.with_classifier() is backbone
    with pytest.raises(ValueError, match=r"gives \(None, 7, 7, 8\); expected \(None, 1000\)"):
        backbone_from_model(build_toy_imagenet()).with_classifier()


def save_legacy(model, path):
    with h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(file, model)


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
@pytest.mark.parametrize("size", [None, (24, 20)])
def test_weights_of_a_file(suffix, size, tmp_path):
    model = build_toy_imagenet(include_top=True, weights="imagenet")
    path = tmp_path / f"a{suffix}"
    model.save_weights(path) if suffix == ".weights.h5" else save_legacy(model, path)
    built = TOY_IMAGENET.with_classifier().build(weights=path, image_size=size)
    assert built.input_shape[1:3] == (size or (16, 16))
    assert built.output_shape == (None, 1000)
    assert all(map(np.array_equal, built.get_weights(), model.get_weights()))


@pytest.mark.parametrize("suffix", [".weights.h5", ".h5"])
@pytest.mark.parametrize("options", [{"include_top": False}, {"include_top": True, "classes": 10}])
def test_a_file_without_this_classifier_is_refused(suffix, options, tmp_path):
    path = tmp_path / f"a{suffix}"
    model = build_toy_imagenet(**options)
    model.save_weights(path) if suffix == ".weights.h5" else save_legacy(model, path)
    with pytest.raises(WrongWeightsError, match=r"does not hold the weights of ToyImageNet: Keras reports") as caught:
        TOY_IMAGENET.with_classifier().build(weights=path)
    assert "saved from ToyImageNet, with its classifier." in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_size_that_the_classifier_does_not_take():
    whole = get_backbone("VGG19").with_classifier()
    with pytest.raises(
        ValueError, match=r"classifier of VGG19 takes images of 224 x 224 pixels only: leave image_size"
    ):
        whole.build(weights=None, image_size=128)


def test_a_failed_download_names_the_file_with_the_classifier(tmp_path, monkeypatch):
    def no_network(url, timeout):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr("urllib.request.urlopen", no_network)
    backbone = get_backbone("MobileNetV2").with_classifier()
    for try_it in (backbone.build, lambda: fetch_weights(backbone)):
        with pytest.raises(WeightsDownloadError, match="no route to host") as caught:
            try_it()
        message = str(caught.value)
        file = tmp_path / "models" / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224.h5"
        assert caught.value.missing["MobileNetV2"][0] == file
        assert f"\n  curl -f -L -o {file} https://" in message
        assert "weights='PATH': that one, with its classifier, or one that Keras saved" in message
        assert "no_top" not in message
        assert "ResNet20" not in message  # it has not these classes
        assert str(pickle.loads(pickle.dumps(caught.value))) == message


@pytest.mark.slow
def test_published_weights_at_another_size(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(backend.config, "_KERAS_DIR", str(tmp_path))
    (tmp_path / "models").mkdir()
    backbone = get_backbone("MobileNetV2").with_classifier()
    model = keras.applications.MobileNetV2(weights=None)
    save_legacy(model, backbone.published_file.path)
    built = backbone.build(image_size=(96, 160))
    assert built.output_shape == (None, 1000)
    assert all(map(np.array_equal, built.get_weights(), model.get_weights()))
