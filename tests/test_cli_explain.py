import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

import skcnn
from skcnn.cli import main
from skcnn.datasets import load_digit_images
from skcnn.detection import SlidingWindowDetector
from skcnn.ensemble import BaggedSGDClassifier
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.inspection import GradCAMDisplay, WindowHeatDisplay
from skcnn.neural_network import CNNClassifier

X, Y = load_digit_images(return_X_y=True)
FEW = np.flatnonzero(Y < 3)[:60]


def saved(path: Path, *steps, labels=None) -> Path:
    pipe = make_pipeline(BottleneckFeatures("ResNet20"), *steps)
    skcnn.save(pipe.fit(X[FEW], Y[FEW] if labels is None else labels), path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A model of the digits 0, 1 and 2, and two images."""
    root = tmp_path_factory.mktemp("digits")
    saved(root / "digits.skcnn", BaggedSGDClassifier(random_state=0))
    for number in range(2):
        Image.fromarray(X[number]).save(root / f"{number}.png")
    return root


@pytest.mark.parametrize("options", [[], ["--label", "2"], ["--layer", "stage2_unit3"]])
def test_the_heat_is_that_of_the_display(folder, tmp_path, capsys, options):
    images, heat = [str(folder / "0.png"), str(folder / "1.png")], tmp_path / "heat.png"
    assert main(["explain", str(folder / "digits.skcnn"), *images, "-o", str(heat), *options]) == 0
    printed = capsys.readouterr()
    assert printed.err == f"Figure: {heat}\n"
    parameters = {"target": 2} if "--label" in options else {"layer": options[1]} if options else {}
    display = GradCAMDisplay.from_estimator(skcnn.load(folder / "digits.skcnn"), images, **parameters)
    expected = display.frame()
    lines = [line.split("\t") for line in printed.out.splitlines()]
    assert [line[0] for line in lines] == images
    assert [line[1] for line in lines] == expected["target"].astype(str).tolist()
    np.testing.assert_allclose([float(line[2]) for line in lines], expected["score"], atol=1e-3)
    display.plot().figure_.savefig(tmp_path / "expected.png", dpi=200)
    with Image.open(heat) as found, Image.open(tmp_path / "expected.png") as drawn:
        difference = np.abs(np.asarray(found, dtype=float) - np.asarray(drawn, dtype=float))
    assert difference.max() <= 2


@pytest.mark.parametrize("suffix", ["jpg", "pdf", "svg"])
def test_the_name_says_the_format(folder, tmp_path, suffix):
    heat = tmp_path / f"heat.{suffix}"
    assert main(["explain", str(folder / "digits.skcnn"), str(folder / "0.png"), "-o", str(heat)]) == 0
    assert heat.read_bytes().startswith({"jpg": b"\xff\xd8", "pdf": b"%PDF", "svg": b"<?xml"}[suffix])
    assert [file.name for file in tmp_path.iterdir()] == [heat.name]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([KNeighborsClassifier()], "KNeighborsClassifier is not a linear classifier. Accepted: a fitted CNNClassifier"),
        ([Normalizer(), LogisticRegression()], "(Normalizer) are not affine"),
        ([], "The estimator is BottleneckFeatures. Accepted"),
    ],
)
def test_what_cannot_be_explained_is_said_before_a_network_is_built(
    folder, tmp_path, monkeypatch, capsys, steps, message
):
    model = saved(tmp_path / "model.skcnn", *steps)
    monkeypatch.setattr("skcnn.inspection._explainable.feature_network", None)
    assert main(["explain", str(model), str(folder / "0.png"), "-o", str(tmp_path / "heat.png")]) == 1
    error = capsys.readouterr().err
    assert f"{model} cannot be explained. " in error
    assert message in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{folder}/0.png", "-o", "no/such/heat.png"], "the folder no/such does not exist"),
        (["no such.png", "-o", "heat.png"], "no such.png: no such file or folder; expected an image, a folder"),
        (["{folder}/0.png", "-o", "{folder}/0.png"], "0.png is one of the images, and would be replaced"),
        (
            ["{folder}/0.png", "{folder}/1.png", "-o", "{folder}/1.png"],
            "1.png is one of the images, and would be replaced; give another name",
        ),
        (["{folder}/0.png", "-o", "heat.png", "--label", "7"], "--label 7; the classes of the model are 0, 1, 2."),
    ],
)
def test_mistakes_are_reported_before_keras_starts(folder, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("skcnn.inspection._explainable.feature_network", None)
    arguments = [argument.format(folder=folder) for argument in arguments]
    assert main(["explain", str(folder / "digits.skcnn"), *arguments]) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_figure_has_a_format(folder, capsys):
    with pytest.raises(SystemExit):
        main(["explain", str(folder / "digits.skcnn"), str(folder / "0.png"), "-o", "heat.txt"])
    assert "got heat.txt; expected a name that ends in .png, .jpg, .pdf, .svg" in capsys.readouterr().err


def test_a_folder_is_explained_and_bad_images_are_left_out(folder, tmp_path, capsys):
    for number in range(2):
        shutil.copy(folder / f"{number}.png", tmp_path)
    (tmp_path / "bad.png").write_bytes(b"no image")
    heat = tmp_path / "heat.png"
    command = ["explain", str(folder / "digits.skcnn"), str(tmp_path), "-o", str(heat)]
    assert main(command) == 1
    assert "bad.png" in capsys.readouterr().err
    assert main([*command, "--skip-bad"]) == 0
    printed = capsys.readouterr()
    assert [Path(line.split("\t")[0]).name for line in printed.out.splitlines()] == ["0.png", "1.png"]
    assert "1 of 3 images cannot be read" in printed.err


def test_one_figure_shows_a_hundred_images(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("skcnn.persistence.load", None)
    images = [str(folder / "0.png")] * 101
    assert main(["explain", str(folder / "digits.skcnn"), *images, "-o", str(tmp_path / "heat.png")]) == 1
    assert "101 images; one figure shows at most 100" in capsys.readouterr().err


def test_a_fine_tuned_network_is_explained(folder, tmp_path, capsys):
    model = tmp_path / "cnn.skcnn"
    skcnn.save(CNNClassifier("ResNet20", head_epochs=2, epochs=0, random_state=0).fit(X[FEW], Y[FEW]), model)
    command = ["explain", str(model), str(folder / "1.png"), "-o", str(tmp_path / "heat.png"), "--label", "1"]
    assert main(command) == 0
    assert capsys.readouterr().out.split("\t")[:2] == [str(folder / "1.png"), "1"]


def test_a_class_is_named_as_it_is_written(folder, tmp_path, capsys):
    names = np.array(["nought", "one", "two"])
    model = saved(tmp_path / "named.skcnn", LogisticRegression(max_iter=1000), labels=names[Y[FEW]])
    command = ["explain", str(model), str(folder / "0.png"), "-o", str(tmp_path / "heat.png"), "--label", "two"]
    assert main(command) == 0
    assert capsys.readouterr().out.split("\t")[1] == "two"


def test_windows_of_a_detector(folder, tmp_path, capsys):
    classifier = FrozenEstimator(skcnn.load(folder / "digits.skcnn"))
    detector = SlidingWindowDetector(classifier, window=32, stride=8, scales=[1.0])
    everywhere = [[0, 0, 32, 32, 0], [0, 0, 32, 32, 1], [0, 0, 32, 32, 2]]
    skcnn.save(detector.fit([np.zeros((32, 32, 3), np.uint8)], [everywhere]), tmp_path / "windows.skcnn")
    large, heat = str(tmp_path / "large.png"), tmp_path / "heat.png"
    Image.fromarray(np.pad(X[0], ((8, 16), (24, 0), (0, 0)))).save(large)
    command = ["explain", str(tmp_path / "windows.skcnn"), large, "-o", str(heat), "--label", "0"]
    assert main(command) == 0
    path, label, score = capsys.readouterr().out.split()
    best = WindowHeatDisplay.from_estimator(detector, [large], target=0).frame().iloc[0]
    assert (path, label) == (large, "0")
    assert float(score) == pytest.approx(best["score"], abs=1e-3)
    assert heat.stat().st_size > 0
    assert main([*command, "--layer", "stage2_unit3"]) == 1
    assert "--layer stage2_unit3 needs another model" in capsys.readouterr().err
