"""``skcnn predict`` by the name of a network: the classes of ImageNet."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from toy import TOY_IMAGENET, build_toy_imagenet

import skcnn
from skcnn.cli import main
from skcnn.neural_network import ImageNetClassifier


@pytest.fixture
def there(tmp_path, monkeypatch):
    """A folder to work in, with two images; the name ToyImageNet is known."""
    monkeypatch.setattr("skcnn.backbones._registry._registered", {TOY_IMAGENET.name: TOY_IMAGENET})
    monkeypatch.chdir(tmp_path)
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(f"{number}.png")
    return tmp_path


def lines(capsys):
    return [line.split("\t") for line in capsys.readouterr().out.splitlines()]


def expected(k=1, **parameters):
    found = ImageNetClassifier(TOY_IMAGENET, **parameters).predict_top_k(["0.png", "1.png"], k=k)
    rows = zip(found.index.get_level_values("row"), found["class"], found["probability"], strict=True)
    return [[f"{row}.png", name, f"{probability:.4f}"] for row, name, probability in rows]


@pytest.mark.parametrize("top", [None, 3])
def test_the_most_probable_classes(there, capsys, top):
    options = [] if top is None else ["--top", str(top)]
    assert main(["predict", "ToyImageNet", "0.png", "1.png", *options]) == 0
    assert lines(capsys) == expected(top or 1)


def test_weights_of_a_file(there, capsys):
    build_toy_imagenet(include_top=True, weights=None).save_weights("a.weights.h5")
    assert main(["predict", "ToyImageNet", "0.png", "1.png", "--weights", "a.weights.h5"]) == 0
    found = lines(capsys)
    assert found == expected(weights="a.weights.h5")
    assert found != expected()


def test_a_table(there, capsys):
    assert main(["predict", "ToyImageNet", ".", "-o", "table.csv"]) == 0
    assert capsys.readouterr().out == "table.csv: 2 images\n"
    table = pd.read_csv("table.csv")
    classifier = ImageNetClassifier(TOY_IMAGENET)
    assert table.columns.tolist() == ["path", "label", *classifier.classes_]
    assert table["label"].tolist() == classifier.predict(["0.png", "1.png"]).tolist()
    np.testing.assert_allclose(table.iloc[:, 2:], classifier.predict_proba(["0.png", "1.png"]), atol=1e-9)


def test_a_file_of_this_name_wins(there, capsys):
    build_toy_imagenet(include_top=True, weights=None).save_weights("a.weights.h5")
    skcnn.save(ImageNetClassifier("ToyImageNet", weights="a.weights.h5"), "ToyImageNet")
    assert main(["predict", "ToyImageNet", "0.png", "1.png"]) == 0
    assert lines(capsys) == expected(weights="a.weights.h5")
    with pytest.raises(SystemExit, match="2"):
        main(["predict", "ToyImageNet", "0.png", "--weights", "a.weights.h5"])
    assert "--weights needs the name of a network; ToyImageNet is a file" in capsys.readouterr().err


def test_a_folder_of_this_name_does_not(there, capsys):
    (there / "ToyImageNet").mkdir()
    assert main(["predict", "ToyImageNet", "0.png"]) == 0
    assert lines(capsys) == expected()[:1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ResNet20", "0.png"], "ResNet20 has no classifier of the classes of ImageNet"),
        (
            ["MobilNetV2", "0.png"],
            "expected a file that `skcnn fit` wrote, or the name of a network. Did you mean 'Mob",
        ),
        (["MobileNetV2", "0.png", "--weights", "none.weights.h5"], "There is no weights file 'none.weights.h5'"),
        (["MobileNetV2", "0.png", "--weights", "0.png"], "MobileNetV2 has no weights '0.png'; expected"),
        (["MobileNetV2", "none.png"], "none.png: no such file"),
        (["0.png", "1.png"], "0.png"),
    ],
)
def test_errors(there, capsys, arguments, message):
    assert main(["predict", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_weights_that_cannot_be_downloaded(there, capsys, monkeypatch):
    def no_network(url, timeout):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setenv("KERAS_HOME", str(there / "home"))
    monkeypatch.setattr("urllib.request.urlopen", no_network)
    assert main(["predict", "MobileNetV2", "0.png"]) == 1
    message = capsys.readouterr().err
    assert "--weights PATH: that one, with its classifier" in message
    assert "1.0_224.h5 https://" in message
    assert "no_top" not in message


SCRIPT = """
import sys
from skcnn.cli import main
code = main(["predict", *sys.argv[1:]])
print(code, sorted({"keras", "tensorflow", "scikeras", "sklearn"} & set(sys.modules)))
"""


@pytest.mark.parametrize("arguments", [["ResNet20", "0.png"], ["MobileNetV2", "none.png"]])
def test_mistakes_are_reported_before_anything_heavy_is_imported(there, arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1 []\n", done.stdout + done.stderr
