"""``skcnn evaluate --recall``: the threshold of a model with two classes."""

import re

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_score, recall_score
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import make_pipeline

import skcnn
from skcnn.cli import main
from skcnn.datasets import load_image_folder
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.metrics import operating_point

N_IMAGES = {"good": 40, "defect": 20}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Grey images of two classes, which overlap: those of a defect are somewhat lighter."""
    root = tmp_path_factory.mktemp("parts")
    rng = np.random.default_rng(0)
    for label, mean in (("good", 100), ("defect", 130)):
        (root / label).mkdir()
        for number in range(N_IMAGES[label]):
            grey = int(np.clip(rng.normal(mean, 20), 0, 255))
            Image.new("RGB", (32, 32), (grey, grey, grey)).save(root / label / f"{number}.png")
    return root


def features():
    return BottleneckFeatures("ResNet20", layers="stage1_unit1")


@pytest.fixture(scope="module")
def model(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "parts.skcnn"
    data = load_image_folder(folder)
    skcnn.save(make_pipeline(features(), LogisticRegression(C=0.01)).fit(data.frame[["path"]], data.target), path)
    return path


def said(capsys, *arguments) -> str:
    assert main(["evaluate", *map(str, arguments), "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


@pytest.mark.parametrize(("positive", "number"), [(None, 1), ("good", 1), ("defect", 0)])
def test_the_threshold_meets_the_recall_and_is_saved(positive, number, folder, model, tmp_path, capsys):
    path = tmp_path / "careful.skcnn"
    options = [] if positive is None else ["--positive", positive]
    out = said(capsys, model, folder, "--recall", "0.9", *options, "-o", path)
    data = load_image_folder(folder)
    X, label = data.frame[["path"]], ("defect", "good")[number]
    score = skcnn.load(model).predict_proba(X)[:, number]
    point = operating_point(data.target, score, pos_label=label, min_recall=0.9)
    threshold = float(re.search(rf"Threshold for a recall of at least 0\.9 of “{label}”: (\S+)\n", out)[1])
    assert threshold == point["threshold"]

    careful = skcnn.load(path)
    assert isinstance(careful, FixedThresholdClassifier)
    assert (careful.threshold, careful.pos_label) == (threshold, label)
    predicted = careful.predict(X)
    recall = recall_score(data.target, predicted, pos_label=label)
    precision = precision_score(data.target, predicted, pos_label=label)
    assert recall >= 0.9
    for name, value in (("Precision", precision), ("Recall", recall)):
        assert re.search(rf"^{name} +{value:.3f} \([01]\.\d{{3}} to [01]\.\d{{3}}\)$", out, re.MULTILINE)
    n_found, n_all = round(recall * N_IMAGES[label]), N_IMAGES[label]
    n_false = int(((predicted == label) & (data.target != label)).sum())
    assert f"Found: {n_found} of {n_all}. False positives: {n_false} of {60 - n_all}." in out
    assert "95\u00a0% intervals, from 1,000 bootstrap resamples" in out
    assert "chosen on these images, so these metrics are too optimistic: evaluate it on other images" in out
    assert out.endswith(f"Saved with this threshold: {path}\n")

    # The new model is evaluated with its threshold, and may get another one.
    again = said(capsys, path, folder, "--recall", "1", *options)
    row = next(line for line in again.splitlines() if line.split()[:1] == [label])
    assert row.split()[2:4] == [f"{precision:.3f}", f"{recall:.3f}"]
    assert f"Found: {n_all} of {n_all}." in again


def test_without_recall_nothing_is_said_of_thresholds(folder, model, capsys):
    assert "hreshold" not in said(capsys, model, folder)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *[(["--recall", text], f"got {text}; expected a number in (0, 1]") for text in ("0", "1.5", "nan", "much")],
        (["--positive", "defect"], "--positive defect is expected with --recall, such as --recall 0.9"),
        (["-o", "new.skcnn"], "-o new.skcnn is expected with --recall, such as --recall 0.9"),
    ],
)
def test_options_are_checked_before_the_model_is_loaded(options, message, folder, model, monkeypatch, capsys):
    monkeypatch.setattr("skcnn.persistence.load", None)
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", str(model), str(folder), *options])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_what_a_threshold_needs(folder, model, tmp_path, monkeypatch, capsys):
    data = load_image_folder(folder)
    X, three = data.frame[["path"]], np.array(["a", "b", "c"])[np.arange(60) % 3]
    path = tmp_path / "three.skcnn"
    skcnn.save(make_pipeline(features(), LogisticRegression()).fit(X, three), path)
    data.frame[data.target == "good"].rename(columns={"target": "label"}).to_csv(tmp_path / "good.csv", index=False)
    # Nothing goes through a network before these are reported.
    monkeypatch.setattr("skcnn.feature_extraction.BottleneckFeatures.transform", None)
    for arguments, message in (
        ([path, folder], f"--recall needs a model of two classes; {path} has 3: a, b, c"),
        ([model, folder, "--positive", "bad"], "--positive bad; expected one of the classes: defect, good"),
        ([model, tmp_path / "good.csv", "--positive", "defect"], "good.csv has no image of the class defect"),
    ):
        assert main(["evaluate", *map(str, arguments), "--recall", "0.9", "--quiet"]) == 1
        assert message in capsys.readouterr().err


def test_distances_to_the_training_images(folder, model, tmp_path, capsys):
    known, data = skcnn.load(model), load_image_folder(folder)
    path = tmp_path / "known.skcnn"
    skcnn.save(known, path, training_features=data.frame[["path"]])
    out = said(capsys, path, folder)
    quantiles = np.quantile(skcnn.load(path).training_features_.quantiles, [0.05, 0.5])
    assert re.search(rf"^ +5% +{quantiles[0]:.2f} +\d\.\d\d$", out, re.MULTILINE)
    assert re.search(rf"^ +50% +{quantiles[1]:.2f} +\d\.\d\d$", out, re.MULTILINE)
    assert re.search(r"^[0-5]\.\d% of the images lie farther than 95 % of the training images", out, re.MULTILINE)
    said(capsys, path, folder, "--html", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert '<section id="distances">' in page
    assert f"<td>{quantiles[1]:.2f}</td>" in page
    assert 'aria-label="Distances to the training set"' in page
    for label in ("good", "defect"):
        (tmp_path / "white" / label).mkdir(parents=True)
        Image.new("RGB", (32, 32), "white").save(tmp_path / "white" / label / "1.png")
    assert "100.0% of the images lie farther" in said(capsys, path, tmp_path / "white")
    careful = tmp_path / "careful.skcnn"
    assert "lie farther" in said(capsys, path, folder, "--recall", "0.9", "-o", careful)
    assert hasattr(skcnn.load(careful), "training_features_")
    assert "lie farther" not in said(capsys, model, folder)
