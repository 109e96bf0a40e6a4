"""``skcnn fit`` on features in parts: a model that predicts images, as if it had been trained on them in memory."""

import shutil

import numpy as np
import pytest
from PIL import Image

import skcnn
from skcnn.cli import main
from skcnn.datasets import load_digit_images
from skcnn.distributed import load_features
from skcnn.feature_extraction import BottleneckFeatures

RESNET20 = ["--backbone", "ResNet20", "--engine", "keras", "--quiet"]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """120 images of three classes in folders, 30 others, and the features of the former in parts."""
    root = tmp_path_factory.mktemp("digits")
    X, y = load_digit_images(return_X_y=True)
    for digit in (0, 1, 7):
        for number, pixels in enumerate(X[y == digit][:50]):
            folder = root / ("train" if number < 40 else "new") / str(digit)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    command = ["extract", str(root / "train"), "-o", str(root / "parts"), "--rows-per-part", "50", *RESNET20]
    assert main([*command, "--resize", "pad"]) == 0
    return root


@pytest.fixture
def there(digits, monkeypatch):
    monkeypatch.chdir(digits)
    return digits


def test_the_model_predicts_images_with_the_network_of_the_parts(there, tmp_path, capsys):
    capsys.readouterr()
    model = str(tmp_path / "m.skcnn")
    assert main(["fit", "parts", "-o", model, "--html", str(tmp_path / "r.html"), "--test-size", "0.25"]) == 0
    out = capsys.readouterr().out
    assert "parts: 120 images, 64 features" in out
    assert "90 images for training, of 3 classes: 0, 1, 7" in out
    assert "m on parts, 30 images held out" in out
    assert "accuracy" in (tmp_path / "r.html").read_text("utf-8")
    assert main(["predict", model, "new", "-o", str(tmp_path / "new.csv")]) == 0
    lines = (tmp_path / "new.csv").read_text().splitlines()[1:]
    right = [path.split("/")[-2] == label for path, label, *_ in (line.split(",") for line in lines)]
    assert len(right) == 30
    assert np.mean(right) > 0.9
    loaded = skcnn.load(model)
    assert loaded[0].resize == "pad"
    assert loaded.training_features_.mean.shape == (64,)
    features = load_features("parts")
    # Features of images and those of the parts are the same, and so is what is predicted for them.
    np.testing.assert_array_equal(loaded.predict(features.paths().tolist()), loaded[1].predict(features.to_numpy()))
    assert main(["evaluate", model, "new"]) == 0


def test_no_estimate_and_the_options_of_the_head(there, tmp_path, capsys):
    command = ["fit", "parts", "-o", str(tmp_path / "m.skcnn"), "--cv", "0", "--alpha", "0.01", "--seed", "3"]
    assert main([*command, "--class-weight", "balanced"]) == 0
    out = capsys.readouterr().out
    assert "120 images for training" in out
    assert "Estimate" not in out
    head = skcnn.load(tmp_path / "m.skcnn")[1]
    assert (head.alpha, head.class_weight, head.random_state) == (0.01, "balanced", 3)


def test_a_url(there, tmp_path, capsys):
    pytest.importorskip("fsspec")
    url = f"memory://{tmp_path.name}/parts"
    assert main(["extract", "train", "-o", url, "--rows-per-part", "60", *RESNET20]) == 0
    assert main(["fit", url, "-o", str(tmp_path / "m.skcnn")]) == 0
    assert "96 images for training" in capsys.readouterr().out


def test_the_network_is_missing_or_another_one(there, tmp_path, capsys):
    shutil.copytree("parts", tmp_path / "parts")
    network = tmp_path / "parts" / "network.skcnn"
    skcnn.save(BottleneckFeatures("ResNet20", layers="stage1_unit3"), network)
    command = ["fit", str(tmp_path / "parts"), "-o", str(tmp_path / "m.skcnn")]
    assert main(command) == 1
    err = capsys.readouterr().err
    assert "gives 16 features, the first of them ResNet20_stage1_unit3_avg_0; the parts have 64" in err
    network.unlink()
    assert main(command) == 1
    assert "has no network.skcnn, the network of these features. `skcnn extract" in capsys.readouterr().err
    (tmp_path / "parts" / "part-00001-of-00003.parquet").unlink()
    assert main(command) == 1
    assert "1 of 3 parts are missing" in capsys.readouterr().err
    assert main(["fit", "memory://nothing/there", "-o", str(tmp_path / "m.skcnn")]) == 1
    assert "expected a folder that extract_parts has written to" in capsys.readouterr().err


def test_parts_without_labels(there, tmp_path, capsys):
    (tmp_path / "flat").mkdir()
    shutil.copy("new/0/40.png", tmp_path / "flat" / "a.png")
    command = ["extract", str(tmp_path / "flat"), "-o", str(tmp_path / "out"), "--rows-per-part", "9", *RESNET20]
    assert main(command) == 0
    assert main(["fit", str(tmp_path / "out"), "-o", str(tmp_path / "m.skcnn")]) == 1
    assert "holds no labels. Extract images with labels" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option",
    [
        ["--fine-tune"],
        ["--backbone", "ResNet20"],
        ["--cv", "5"],
        ["--head", "logistic"],
        ["--task", "detection"],
        ["--skip-bad"],
        ["--resize", "crop"],
        ["--architecture", "unet"],
        ["--search"],
    ],
)
def test_what_features_cannot_be_given(option, there, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["fit", "parts", "-o", str(tmp_path / "m.skcnn"), *option])
    assert f"{' '.join(option) if 'logistic' in option else option[0]} cannot be used with parts, whose features" in (
        capsys.readouterr().err
    )
