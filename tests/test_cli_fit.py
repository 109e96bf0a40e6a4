"""skcnn fit: honest estimates, and what may be trained."""

import json
import re
import zipfile
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

import skcnn
from skcnn.cache import memory_cache
from skcnn.cli import main
from skcnn.datasets import load_image_folder
from skcnn.model_selection import duplicate_groups
from skcnn.neural_network import CNNClassifier

RESNET20 = ["--backbone", "ResNet20", "--quiet"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two classes of 12 noisy images, red and green; four of the red ones are copies of others, somewhat brighter."""
    root = tmp_path_factory.mktemp("colours") / "data"
    rng = np.random.default_rng(0)
    for channel, name in enumerate(("red", "green")):
        (root / name).mkdir(parents=True)
        for index in range(12):
            coarse = rng.integers(0, 160, (8, 8, 3))
            coarse[..., channel] += 60
            pixels = np.kron(coarse, np.ones((6, 6, 1))).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{index}.png")
            if name == "red" and index < 4:
                Image.fromarray(pixels + 4).save(root / name / f"copy{index}.png")
    return root


def fitted(data, path, *options):
    assert main(["fit", str(data), "-o", str(path), *RESNET20, *options]) == 0
    return skcnn.load(path)


def test_the_report_is_about_images_that_the_model_did_not_see(data, tmp_path, capsys):
    html = tmp_path / "report.html"
    model = fitted(data, tmp_path / "m.skcnn", "--cv", "4", "--html", str(html))
    out = capsys.readouterr().out
    assert "28 images of 2 classes: green, red" in out
    assert "4 near duplicates of other images, kept together" in out
    assert "Estimate for new images:" in out
    assert "m on data, by 4-fold cross-validation" in out
    X, y = load_image_folder(data).frame[["path"]], load_image_folder(data).target
    folds = StratifiedGroupKFold(4, shuffle=True, random_state=0)
    expected = cross_val_predict(model, X, y, groups=duplicate_groups(X), cv=folds)
    assert f"accuracy {np.mean(expected == y):.3f}" in out
    assert "by 4-fold cross-validation" in html.read_text("utf-8")
    assert "data:image" in html.read_text("utf-8")
    assert model.training_images_.contain(X).all()
    assert len(model.training_images_) == 28


def test_a_part_is_held_out_with_its_duplicates(data, tmp_path, capsys):
    model = fitted(data, tmp_path / "m.skcnn", "--test-size", "0.25", "--seed", "3")
    out = capsys.readouterr().out
    n_train, n_test = map(int, re.search(r"(\d+) for training, (\d+) held out", out).groups())
    assert (n_train, n_test) == (21, 7)
    assert "m on data, 7 images held out from training" in out
    X, y = load_image_folder(data).frame[["path"]], load_image_folder(data).target
    known = model.training_images_.contain(X)
    assert known.sum() == 21
    assert set(duplicate_groups(X)[known]).isdisjoint(duplicate_groups(X)[~known])
    assert f"accuracy {np.mean(model.predict(X[~known]) == y[~known]):.3f}" in out


def test_a_class_without_images_to_test_on_is_an_error(data, tmp_path, capsys):
    few = load_image_folder(data).frame.groupby("label").head(2)
    few.to_csv(tmp_path / "few.csv", index=False)
    arguments = ["fit", str(tmp_path / "few.csv"), "-o", str(tmp_path / "m.skcnn"), *RESNET20, "--test-size", "0.2"]
    assert main(arguments) == 1
    assert re.search("--test-size 0.2 holds out no image of (red|green), so that", capsys.readouterr().err)
    assert not (tmp_path / "m.skcnn").exists()


def test_a_saved_file_holds_no_paths(data, tmp_path):
    fitted(data, tmp_path / "m.skcnn", "--cv", "0")
    with zipfile.ZipFile(tmp_path / "m.skcnn") as archive:
        content = b"".join(archive.read(name) for name in archive.namelist())
        assert json.loads(archive.read("manifest.json"))["estimator"] == "Pipeline"
    assert data.name.encode() + b"/" not in content
    assert b"copy0" not in content


def test_a_logistic_head(data, tmp_path, capsys):
    model = fitted(data, tmp_path / "m.skcnn", "--head", "logistic", "--cv", "0")
    assert isinstance(model[-1], LogisticRegression)
    X, y = load_image_folder(data).frame[["path"]], load_image_folder(data).target
    assert model.score(X, y) > 0.9
    assert "Estimate" not in capsys.readouterr().out


def test_a_search_needs_the_weights_of_all_backbones(data, tmp_path, monkeypatch, capsys):
    def no_network(url, timeout):
        raise URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    memory_cache().clear()
    backbones = [part for name in ("ResNet20", "VGG16", "MobileNetV2") for part in ("--backbone", name)]
    assert main(["fit", str(data), "-o", str(tmp_path / "m.skcnn"), "--search", *backbones]) == 1
    err = capsys.readouterr().err
    assert "error: The weights of VGG16, MobileNetV2 could not be downloaded: no route to host." in err
    assert "--weights VGG16=PATH --weights MobileNetV2=PATH" in err
    assert memory_cache().info().passes == 0
    assert not (tmp_path / "m.skcnn").exists()

    weights = ["--weights", "ResNet20=pretrained", "--weights", "VGG16=vgg.h5", "--weights", "MobileNetV2=net.h5"]
    assert main(["fit", str(data), "-o", str(tmp_path / "m.skcnn"), "--search", *backbones, *weights]) == 1
    assert re.search(r"no weights file 'vgg\.h5'.*\n.*no weights file 'net\.h5'", capsys.readouterr().err)


def test_a_search_prints_its_candidates_and_saves_the_best(data, tmp_path, capsys):
    model = fitted(data, tmp_path / "m.skcnn", "--search", "--test-size", "0.3")
    out = capsys.readouterr().out
    lines = out.partition("best first):\n")[2].partition("\n\n")[0].splitlines()
    header, *rows = (line.split() for line in lines)
    assert header == ["backbone", "layer", "alpha", "log-loss", "std"]
    assert len(rows) == 2 * 3  # layers x penalties
    losses = [float(row[3]) for row in rows]
    assert losses == sorted(losses)
    assert list(model[0].layers) == [rows[0][1]]
    assert f"{model[-1].alpha:.2g}" == rows[0][2]


def test_fine_tuning(data, tmp_path, capsys):
    options = ["--fine-tune", "--epochs", "1", "--unfreeze", "-2", "--learning-rate", "1e-4", "--test-size", "0.5"]
    model = fitted(data, tmp_path / "m.skcnn", *options, "--augmentation", "light", "--image-size", "16")
    assert isinstance(model, CNNClassifier)
    given = {name: model.get_params()[name] for name in ("epochs", "unfreeze", "learning_rate", "augmentation")}
    assert given == {"epochs": 1, "unfreeze": -2, "learning_rate": 1e-4, "augmentation": "light"}
    assert "m on data, 14 images held out from training" in capsys.readouterr().out


def test_fine_tuning_holds_a_part_out_by_itself(data, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(CNNClassifier, "fit", lambda self, X, y: (_ for _ in ()).throw(ValueError(f"{len(X)} rows")))
    assert main(["fit", str(data), "-o", str(tmp_path / "m.skcnn"), *RESNET20, "--fine-tune"]) == 1
    captured = capsys.readouterr()
    assert "22 for training, 6 held out" in captured.out
    assert "22 rows" in captured.err
    assert list(Path(tmp_path).iterdir()) == []


def test_what_was_trained_is_saved_though_nobody_reads_the_output(data, tmp_path, monkeypatch, capsys):
    def closed(*arguments, **options):
        if "Estimate" in arguments[0]:
            raise OSError("nobody reads")

    monkeypatch.setattr("builtins.print", closed)
    html = tmp_path / "r.html"
    assert main(["fit", str(data), "-o", str(tmp_path / "m.skcnn"), *RESNET20, "--html", str(html)]) == 1
    assert skcnn.load(tmp_path / "m.skcnn").classes_.tolist() == ["green", "red"]
    assert html.exists()


def test_fewer_folds_where_classes_are_small(data, tmp_path, capsys):
    few = load_image_folder(data).frame.groupby("label").head(3)
    few.to_csv(tmp_path / "few.csv", index=False)
    assert main(["fit", str(tmp_path / "few.csv"), "-o", str(tmp_path / "m.skcnn"), *RESNET20]) == 0
    assert "by 3-fold cross-validation" in capsys.readouterr().out


def test_a_comparison_says_which_models_know_the_images(data, tmp_path, capsys):
    train, test = str(tmp_path / "train.csv"), str(tmp_path / "test.csv")
    assert main(["split", str(data), "--train", train, "--test", test, "--test-size", "0.25"]) == 0
    fitted(train, tmp_path / "fair.skcnn", "--cv", "0")
    fitted(data, tmp_path / "knows.skcnn", "--cv", "0")
    capsys.readouterr()
    assert main(["compare", str(tmp_path / "fair.skcnn"), str(tmp_path / "knows.skcnn"), test]) == 0
    out = capsys.readouterr().out
    assert "7 of 7 images were in the training set of knows, so its metrics are too optimistic" in out
    assert "of fair" not in out


def test_tables_of_a_split_have_names_of_their_own(data, tmp_path, capsys):
    table = str(tmp_path / "a.csv")
    with pytest.raises(SystemExit):
        main(["split", str(data), "--train", table, "--test", table])
    assert "need names of their own" in capsys.readouterr().err
    assert not Path(table).exists()


def test_split_keeps_duplicates_together(data, tmp_path, capsys):
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    assert main(["split", str(data), "--train", str(train), "--test", str(test), "--test-size", "0.25"]) == 0
    assert "21 images" in capsys.readouterr().out
    parts = pd.read_csv(train), pd.read_csv(test)
    assert [len(part) for part in parts] == [21, 7]
    assert all(list(part.columns) == ["path", "label"] for part in parts)
    every = load_image_folder(data).frame
    assert sorted(path for part in parts for path in part["path"]) == sorted(map(str, every["path"]))
    groups = dict(zip(map(str, every["path"]), duplicate_groups(every[["path"]]), strict=True))
    assert {groups[path] for path in parts[0]["path"]}.isdisjoint(groups[path] for path in parts[1]["path"])
    assert parts[1]["label"].value_counts().max() <= 5
    assert main(["fit", str(train), "-o", str(tmp_path / "m.skcnn"), *RESNET20, "--cv", "0"]) == 0


def test_split_writes_paths_that_travel_with_the_images(data, tmp_path):
    names = [data / "train.csv", data / "dev.csv", data / "test.csv"]
    try:
        train, dev, test = map(str, names)
        assert main(["split", str(data), "--train", train, "--dev", dev, "--test", test]) == 0
        assert all(pd.read_csv(name)["path"].str.match(r"(red|green)/").all() for name in names)
        assert sum(len(pd.read_csv(name)) for name in names) == 28
    finally:
        for name in names:
            name.unlink(missing_ok=True)


def test_images_without_a_class_are_reported_in_the_words_of_the_command(tmp_path, capsys):
    (tmp_path / "new").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "new" / "a.png")
    assert main(["fit", str(tmp_path / "new"), "-o", str(tmp_path / "m.skcnn"), "--backbone", "ResNet20"]) == 1
    error = capsys.readouterr().err
    assert "move each into a folder named after its class, or list paths and labels in a .csv.\n" in error
    assert "labels=None" not in error


def test_many_bad_images_are_reported_in_the_words_of_the_command(tmp_path, capsys):
    for folder, content in (("a", b"no image"), ("b", b"nor this")):
        (tmp_path / "new" / folder).mkdir(parents=True)
        for number in range(11):
            (tmp_path / "new" / folder / f"{number}.png").write_bytes(content)
    assert main(["fit", str(tmp_path / "new"), "-o", str(tmp_path / "m.skcnn"), "--backbone", "ResNet20"]) == 1
    assert "\n  ... and 2 more\nRepair or remove them, or leave them out with --skip-bad." in capsys.readouterr().err


@pytest.mark.filterwarnings("default:It has no graph:UserWarning")
def test_a_program_is_saved_and_a_model_that_has_none_is_saved_all_the_same(data, tmp_path, monkeypatch, capsys):
    pytest.importorskip("openvino")
    path = tmp_path / "m.skcnn"
    fitted(data, path, "--head", "logistic", "--cv", "0", "--program")
    assert skcnn.persistence.load_program(path).classes_.tolist() == ["green", "red"]
    monkeypatch.setattr("skcnn.exporting.make_program", unmakeable)
    fitted(data, path, "--head", "logistic", "--cv", "0", "--program")
    assert "warning: It has no graph. The model is saved without a program." in capsys.readouterr().err
    assert "program/about.json" not in skcnn.persistence.read_manifest(path)["sha256"]
    with pytest.raises(SystemExit) as caught:
        main(["fit", str(data), "-o", str(path), "--task", "identity", "--program"])
    assert caught.value.code == 2
    assert "--program is for models of classes; --task identity has no program" in capsys.readouterr().err


def unmakeable(model):
    raise TypeError("It has no graph.")
