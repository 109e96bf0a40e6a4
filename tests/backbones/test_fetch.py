"""Weights are looked for and downloaded before any network needs them."""

from __future__ import annotations

import subprocess
import sys
import urllib.error

import keras
import pytest

from skcnn.backbones import WeightsDownloadError, fetch_weights, get_backbone, list_backbones, list_weights_files


@pytest.fixture
def models(monkeypatch, tmp_path):
    """An empty folder of Keras's weights, on a machine without a network."""

    def no_network(url, timeout):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path / "models"


def test_names_all_that_are_missing(models):
    with pytest.raises(WeightsDownloadError) as caught:
        fetch_weights(["ResNet20", "VGG16", "MobileNetV2"])
    assert list(caught.value.missing) == ["VGG16", "MobileNetV2"]


def test_files_that_are_there(models):
    models.mkdir()
    path = get_backbone("VGG16").published_file.path
    assert path.parent == models
    path.touch()
    assert fetch_weights(["VGG16", "ResNet20"]) == fetch_weights("VGG16") == {"VGG16": path}


def test_files_of_the_user(models, tmp_path):
    path = tmp_path / "mine.h5"
    path.touch()
    assert fetch_weights(["VGG16", "LeNet5"], weights={"VGG16": str(path), "LeNet5": None}) == {"VGG16": path}
    with pytest.raises(FileNotFoundError, match=r"no weights file 'a\.h5'.*\nThere is no weights file 'b\.h5'"):
        fetch_weights(["VGG16", "VGG19"], weights={"VGG16": "a.h5", "VGG19": "b.h5"})
    with pytest.raises(ValueError, match=r"no entry for 'VGG16'.*\n.*no entry for 'ResNet50'"):
        fetch_weights(["VGG16", "ResNet50"], weights={"VGG19": "b.h5"})
    with pytest.raises(ValueError, match="There is no backbone 'VGG61'"):
        fetch_weights(["VGG61"])


def test_networks_of_the_user_are_passed_over(models):
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)])
    assert fetch_weights(model) == fetch_weights([model, "there/is/none.keras", get_backbone("ResNet20")]) == {}


def test_takes_no_keras():
    code = "import sys, skcnn.backbones as b; b.fetch_weights('ResNet20'); sys.exit('keras' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_table_of_files(models):
    models.mkdir()
    get_backbone("VGG19").published_file.path.touch()
    table = list_weights_files().set_index("name")
    backbones = list_backbones().set_index("name")
    assert set(table.index) == {name for name, row in backbones.iterrows() if "imagenet" in row["weights"]}
    assert table.index[table["is_there"]].tolist() == ["VGG19"]
    row = table.loc["NASNetMobile"]
    assert (row["folder"], row["file"]) == (str(models), "nasnet_mobile_no_top.h5")
    assert row["url"].endswith("/nasnet/NASNet-mobile-no-top.h5")
