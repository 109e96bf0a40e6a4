"""``skcnn evaluate`` and ``skcnn predict`` with models that predict numbers."""

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

import skcnn
from skcnn.cli import main
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.neural_network import CNNRegressor
from skcnn.report import RegressionReport
from tests.toy import build_toy

N_IMAGES = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Grey images, and tables with their brightness, whole numbers of which are written without a point."""
    root = tmp_path_factory.mktemp("grey")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(N_IMAGES):
        grey = int(rng.integers(20, 236))
        (root / "some").mkdir(exist_ok=True)
        pixels = np.clip(rng.normal(grey, 25, (16, 16, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(root / "some" / f"{number}.png")
        brightness = "100" if number == 0 else f"{pixels.mean():.3f}"
        rows.append((f"some/{number}.png", brightness, "dark" if grey < 128 else "light"))
    pd.DataFrame(rows, columns=["path", "brightness", "label"]).to_csv(root / "grey.csv", index=False)
    return root


@pytest.fixture
def there(folder, monkeypatch):
    monkeypatch.chdir(folder)
    return folder


def data_of(folder):
    table = pd.read_csv(folder / "grey.csv")
    return [str(folder / path) for path in table["path"]], table["brightness"].to_numpy()


def toy():
    """A network that a saved file holds."""
    pixels = keras.Input((16, 16, 3))
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    return keras.Model(pixels, build_toy(weights="toy")(scaled))


def ridge():
    return make_pipeline(BottleneckFeatures(toy()), Ridge(1e-2))


@pytest.fixture(scope="module")
def models(folder):
    """A ridge regression on features, and a fine-tuned network: saved."""
    paths, brightness = data_of(folder)
    network = CNNRegressor(toy(), head_epochs=50, head_learning_rate=0.05, epochs=0, random_state=0, verbose=0)
    for name, model in (("ridge", ridge()), ("network", network)):
        skcnn.save(model.fit(paths, brightness), folder / f"{name}.skcnn", training_images=paths[:30])
    return folder


def said(capsys, *arguments) -> str:
    assert main([*map(str, arguments), "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return out


@pytest.mark.parametrize("name", ["ridge", "network"])
def test_evaluate_prints_and_writes_the_report(name, models, there, tmp_path, capsys):
    page = tmp_path / "report.html"
    out = said(capsys, "evaluate", f"{name}.skcnn", "grey.csv", "--label-column", "brightness", "--html", page)
    paths, brightness = data_of(there)
    model = skcnn.load(f"{name}.skcnn")
    report = RegressionReport.from_estimator(model, paths, brightness, name=f"{name} on grey.csv")
    assert out == f"{report}\n\nReport: {page}\n"
    assert report.headline["r2"] > 0.5
    assert "30 of 40 images were in the training set" in out
    html = page.read_text("utf-8")
    assert "Targets</dt><dd>1: brightness" in html
    assert html.count("data:image/jpeg") == 12


@pytest.mark.parametrize("name", ["ridge", "network"])
def test_predict_prints_numbers_or_writes_a_table(name, models, there, tmp_path, capsys):
    expected = skcnn.load(f"{name}.skcnn").predict(["some/0.png", "some/1.png"])
    lines = [
        line.split("\t") for line in said(capsys, "predict", f"{name}.skcnn", "some/0.png", "some/1.png").split("\n")
    ]
    assert [line[0] for line in lines] == ["some/0.png", "some/1.png", ""]
    np.testing.assert_allclose([float(line[1]) for line in lines[:2]], expected, rtol=1e-5)
    table = tmp_path / "numbers.csv"
    out = said(capsys, "predict", f"{name}.skcnn", "some/0.png", "some/1.png", "-o", table)
    assert out == f"{table}: 2 images\n"
    frame = pd.read_csv(table)
    assert list(frame.columns) == ["path", "predicted"]
    assert frame["path"].tolist() == ["some/0.png", "some/1.png"]
    np.testing.assert_allclose(frame["predicted"], expected)


def test_several_numbers_per_image(there, tmp_path, capsys):
    paths, brightness = data_of(there)
    both = np.column_stack([brightness, -brightness])
    skcnn.save(ridge().fit(paths, both), tmp_path / "two.skcnn")
    table = tmp_path / "numbers.jsonl"
    said(capsys, "predict", tmp_path / "two.skcnn", "some/0.png", "-o", table)
    frame = pd.read_json(table, lines=True)
    assert list(frame.columns) == ["path", "predicted_0", "predicted_1"]
    assert frame["predicted_0"][0] == pytest.approx(-frame["predicted_1"][0])
    assert said(capsys, "predict", tmp_path / "two.skcnn", "some/0.png").count("\t") == 2
    arguments = ["evaluate", str(tmp_path / "two.skcnn"), "grey.csv", "--label-column", "brightness", "--quiet"]
    assert main(arguments) == 1
    assert "predicts 2 numbers per image, and a column of labels has one" in capsys.readouterr().err


EVALUATE = ["evaluate", "ridge.skcnn"]
BRIGHTNESS = ["--label-column", "brightness"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*EVALUATE, "grey.csv"], "predicts numbers; the column 'label' of grey.csv holds something else for 40 of 40"),
        ([*EVALUATE, "grey.csv"], "name a column of numbers with --label-column."),
        ([*EVALUATE, "."], "the folders of . are called something else for 40 of 40 images, such as 'some' of"),
        ([*EVALUATE, "."], "give a .csv with a column of numbers."),
        ([*EVALUATE, "grey.csv", *BRIGHTNESS, "--recall", "0.9"], "--recall needs a model of two classes; ridge.skcnn"),
        (["predict", "ridge.skcnn", "some/0.png", "--top", "3"], "--top 3 needs a model of classes; ridge.skcnn"),
    ],
)
def test_errors_come_before_the_network_runs(arguments, message, models, there, monkeypatch, capsys):
    monkeypatch.setattr("skcnn.feature_extraction.BottleneckFeatures.transform", None)
    assert main([*arguments, "--quiet"]) == 1
    assert message in capsys.readouterr().err
