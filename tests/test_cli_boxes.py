"""``skcnn fit``, ``evaluate`` and ``predict`` on images with boxes."""

import argparse
import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from toy import build_toy

import skcnn
from skcnn.boxes import boxes_from_frame, boxes_to_coco, boxes_to_frame, boxes_to_voc
from skcnn.cli import _fit_boxes, main
from skcnn.cli._boxes import box_form, load_boxes
from skcnn.cli._models import detector_from
from skcnn.cli._predict_boxes import predict_boxes
from skcnn.datasets import load_coco
from skcnn.detection import CNNDetector
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.images import as_images
from skcnn.metrics import average_precision

COLUMNS = ["label", "xmin", "ymin", "xmax", "ymax"]
CORNERS = COLUMNS[1:]
#: A detector that is trained within seconds.
QUICK = ["--backbone", "ResNet20", "--image-size", "32", "--head-epochs", "2", "--batch-size", "4", "--quiet"]


def toy_detector(options=None):
    """Return one that learns squares within a second: the graph is that of ``test_detector``, but for its size."""
    parameters = {"n_channels": 16, "n_convolutions": 1, "head_epochs": 30, "head_learning_rate": 0.02}
    return CNNDetector(build_toy(weights="toy", input_shape=(32, 32, 3)), random_state=0, **parameters)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Sixteen images of a red square, the last two without; as Pascal VOC, COCO and a table."""
    root = tmp_path_factory.mktemp("squares")
    voc = root / "voc"
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (voc / folder).mkdir(parents=True)
    generator = np.random.default_rng(0)
    paths, y = [], []
    for number in range(16):
        image = generator.integers(0, 60, (32, 32, 3)).astype(np.uint8)
        left, top = generator.integers(0, 20, 2).tolist()
        boxes = [["red", left, top, left + 12, top + 12]] if number < 14 else []
        image[top : top + 12, left : left + 12] = [230, 40, 40] if boxes else 30
        y.append(pd.DataFrame(boxes, columns=COLUMNS))
        paths.append(str(voc / "JPEGImages" / f"{number}.png"))
        Image.fromarray(image).save(paths[-1])
        (voc / "Annotations" / f"{number}.xml").write_text(boxes_to_voc(y[-1], (32, 32)))
    (voc / "ImageSets" / "Main" / "odd.txt").write_text("\n".join(map(str, range(1, 16, 2))))
    coco = boxes_to_coco(y, paths)
    for image in coco["images"]:
        image["file_name"] = image["file_name"].rpartition("/")[2]
    (root / "coco.json").write_text(json.dumps(coco))
    rows = boxes_to_frame(y, paths).rename(columns={"image": "path"})
    nothing = pd.DataFrame({"path": paths[14:]})
    rows = pd.concat([rows, nothing]).assign(path=lambda frame: frame["path"].str.removeprefix(f"{root}/"))
    rows.to_csv(root / "boxes.csv", index=False)
    return root, paths, y


@pytest.fixture(scope="module")
def fitted(data, tmp_path_factory):
    """A detector that the command trained, and what it printed."""
    root, _, _ = data
    folder = tmp_path_factory.mktemp("fitted")
    path = folder / "red.skcnn"
    lines = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.print", lambda *text, **options: lines.append(" ".join(map(str, text))))
        patch.setattr(_fit_boxes, "detector_from", toy_detector)
        assert main(["fit", str(root / "voc"), "-o", str(path), "--html", str(folder / "r.html"), "--quiet"]) == 0
    return path, "\n".join(lines)


@pytest.fixture(scope="module")
def classifier(data, tmp_path_factory):
    _, paths, y = data
    path = tmp_path_factory.mktemp("classifier") / "any.skcnn"
    features = BottleneckFeatures("ResNet20", layers="stage1_unit1")
    labels = ["red" if len(boxes) else "none" for boxes in y]
    skcnn.save(make_pipeline(features, LogisticRegression()).fit(paths, labels), path)
    return path


def arguments_of(data, **options):
    names = ("split", "image_folder", "invalid", "path_column", "label_column")
    return argparse.Namespace(data=str(data), skip_bad=False, **(dict.fromkeys(names) | options))


def test_all_forms_are_one(data):
    root, paths, y = data
    forms = {"voc": (root / "voc", {}), "table": (root / "boxes.csv", {})}
    forms["coco"] = (root / "coco.json", {"image_folder": str(root / "voc" / "JPEGImages")})
    for form, (given, options) in forms.items():
        assert box_form(str(given)) == form
        dataset = load_boxes(arguments_of(given, **options), form)
        assert list(map(str, dataset.frame["path"])) == paths, form
        assert dataset.target_names == ["red"]
        for found, expected in zip(dataset.target, y, strict=True):
            np.testing.assert_allclose(found[CORNERS].to_numpy(float), expected[CORNERS].to_numpy(float))
    assert box_form(str(root)) is None
    assert box_form(str(root / "voc" / "JPEGImages")) is None
    (root / "plain.csv").write_text("path,label\na.png,red\n")
    assert box_form(str(root / "plain.csv")) is None
    some = load_boxes(arguments_of(root / "voc", split="odd"), "voc")
    assert len(some.frame) == 8


def test_labels_and_columns_of_a_table(data, tmp_path):
    _, paths, _ = data
    rows = pd.DataFrame({"image": paths[:2], "what": ["007", "8"], "xmin": 0, "ymin": 0, "xmax": 8, "ymax": 8})
    rows.to_csv(tmp_path / "a.csv", index=False)
    assert load_boxes(arguments_of(tmp_path / "a.csv", label_column="what"), "table").target_names == ["007", "8"]
    rows.assign(what=[7, 8]).to_csv(tmp_path / "b.csv", index=False)
    assert load_boxes(arguments_of(tmp_path / "b.csv", label_column="what"), "table").target_names == [7, 8]
    with pytest.raises(ValueError, match=r"no column 'label'.*Name the right one with --label-column"):
        load_boxes(arguments_of(tmp_path / "a.csv"), "table")


def test_fit_holds_images_out_and_says_what_it_did(fitted):
    path, out = fitted
    assert "16 images with 14 boxes of 1 class: red" in out
    assert re.search(r"1[23] for training, [34] held out", out)
    assert "Images are resized to 32 x 32; strides of the grid: 4" in out
    assert "Estimate for new images:\nDetectionReport: red on voc, " in out
    assert f"Saved: {path}" in out
    assert "<html" in path.with_name("r.html").read_text()
    detector = skcnn.load(path)
    assert detector.classes_.tolist() == ["red"]
    assert detector.training_images_ is not None


def test_options_are_parameters_of_the_detector(data, monkeypatch, tmp_path):
    made = []

    def stop(options):
        made.append(detector_from(options).get_params())
        raise ValueError("made")

    monkeypatch.setattr(_fit_boxes, "detector_from", stop)
    command = ["fit", str(data[0] / "voc"), "-o", str(tmp_path / "m.skcnn"), "--quiet", "--seed", "3", *QUICK]
    assert main(command) == 1
    assert main([*command, "--fine-tune", "--unfreeze", "0.3", "--learning-rate", "0.01", "--resize", "pad"]) == 1
    plain, tuned = made
    default = CNNDetector().get_params()
    given = {
        "backbone": "ResNet20",
        "image_size": 32,
        "head_epochs": 2,
        "batch_size": 4,
        "random_state": 3,
        "verbose": 0,
    }
    assert plain == default | given
    assert tuned == default | given | {"epochs": 5, "unfreeze": 0.3, "learning_rate": 0.01, "resize": "pad"}


def test_evaluate_takes_every_form(data, fitted, capsys):
    root, paths, y = data
    model = str(fitted[0])
    expected = average_precision(y, skcnn.load(model).predict(paths))
    images = ["--image-folder", str(root / "voc" / "JPEGImages")]
    for given in (["voc"], ["coco.json", *images], ["boxes.csv"]):
        assert main(["evaluate", model, str(root / given[0]), *given[1:], "--quiet"]) == 0
        out = capsys.readouterr().out
        assert "16 images with 14 boxes" in out
        assert float(re.search(r"(?m)^AP +([\d.]+)", out)[1]) == pytest.approx(expected, abs=0.001)
    assert main(["evaluate", model, str(root / "voc"), "--split", "odd", "--quiet"]) == 0
    assert "8 images with 7 boxes" in capsys.readouterr().out


def test_predict_prints_boxes(data, fitted, capsys):
    _, paths, _ = data
    assert main(["predict", str(fitted[0]), *paths[:3], "--min-score", "0.1", "--quiet"]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    found = skcnn.load(fitted[0]).predict(paths[:3])
    expected = [
        (path, box) for path, boxes in zip(paths, found, strict=False) for box in boxes.itertuples() if box.score >= 0.1
    ]
    assert len(lines) == len(expected) > 0
    for line, (path, box) in zip(lines, expected, strict=True):
        assert line[:3] == [path, "red", f"{box.score:.4f}"]
        np.testing.assert_allclose(np.array(line[3:], float), [box.xmin, box.ymin, box.xmax, box.ymax], atol=0.06)


def test_predict_writes_tables_and_coco(data, fitted, tmp_path, capsys):
    _, paths, _ = data
    found = skcnn.load(fitted[0]).set_params(score_threshold=0.05).predict(paths)
    assert main(["predict", str(fitted[0]), *paths, "-o", str(tmp_path / "b.csv"), "--quiet"]) == 0
    assert "b.csv: 16 images" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "b.csv")
    assert list(table.columns) == ["path", "label", "score", *CORNERS]
    assert set(table["path"]) == set(paths)  # those without a box as well
    again = boxes_from_frame(table, paths, image="path")
    for one, other in zip(again, found, strict=True):
        np.testing.assert_allclose(one[[*CORNERS, "score"]].to_numpy(float), other[[*CORNERS, "score"]].to_numpy(float))
    assert main(["predict", str(fitted[0]), *paths, "-o", str(tmp_path / "b.json"), "--min-score", "0.2"]) == 0
    coco = json.loads((tmp_path / "b.json").read_text())
    assert len(coco["annotations"]) == sum((boxes["score"] >= 0.2).sum() for boxes in found)
    assert all(annotation["score"] >= 0.2 for annotation in coco["annotations"])
    X, boxes = load_coco(tmp_path / "b.json")  # which other tools write alike
    assert X["path"].tolist() == paths
    assert sum(map(len, boxes)) == len(coco["annotations"])


def test_predict_draws_boxes(data, fitted, tmp_path, capsys):
    _, paths, _ = data
    (tmp_path / "again").mkdir()
    twin = tmp_path / "again" / "0.png"
    Image.open(paths[0]).resize((320, 320)).save(twin)
    command = ["predict", str(fitted[0]), paths[0], str(twin), "--draw", str(tmp_path / "new" / "drawn"), "--quiet"]
    assert main([*command, "--min-score", "0.05"]) == 0
    assert "in 2 images" in capsys.readouterr().out
    drawn = tmp_path / "new" / "drawn"
    assert sorted(path.name for path in drawn.iterdir()) == ["0.jpg", "0_2.jpg"]
    (boxes,) = skcnn.load(fitted[0]).predict([str(twin)])
    large = as_images([str(drawn / "0_2.jpg")]).decode(0, (320, 320)).astype(int)
    before = as_images([str(twin)]).decode(0, (320, 320)).astype(int)
    changed = np.abs(large - before).max(axis=2) > 60
    assert changed.any()
    left, top, _, bottom = boxes.loc[0, CORNERS].to_numpy(float)
    # The frame of the best box, two pixels wide; inside, a label at most.
    column = min(int(left) + 1, 319)
    assert changed[int(top) + 4 : int(bottom) - 4, column].mean() > 0.8
    assert changed.mean() < 0.3


def test_predict_draws_masks_of_objects(tmp_path, capsys):
    grey = str(tmp_path / "grey.png")
    Image.new("RGB", (200, 200), (90, 90, 90)).save(grey)
    mask = np.zeros((100, 120), bool)
    mask[40:, :60] = True
    table = pd.DataFrame([["red", 40.0, 60.0, 160.0, 160.0, 0.9]], columns=[*COLUMNS, "score"]).assign(mask=[mask])

    class Instances:
        def predict(self, X):
            found = np.empty(len(X), object)
            found[:] = [table for _ in X]
            return found

    options = argparse.Namespace(top=None, draw=str(tmp_path), output=None, min_score=None, model="m")
    predict_boxes(Instances(), [grey], options)
    drawn = as_images([str(tmp_path / "grey.jpg")]).decode(0, (200, 200)).astype(int)
    tinted = np.abs(drawn - 90).max(axis=2) > 20
    assert tinted[105:152, 48:96].all()
    assert not tinted[105:152, 104:152].any()
    assert not tinted[:, 170:].any()


MISTAKES = [
    (["fit", "{root}/plain.csv", "--task", "detection"], 2, "--task detection needs a folder of Pascal VOC"),
    (["fit", "{root}/voc", "--head", "logistic"], 2, "--head is for classifiers"),
    (["fit", "{root}/voc", "--search"], 2, "--search is for classifiers"),
    (["fit", "{root}/voc", "--epochs", "3"], 2, "--epochs needs --fine-tune"),
    (["fit", "{root}/voc", "--image-folder", "."], 2, "--image-folder . needs a .json of COCO"),
    (["fit", "{root}/coco.json", "--split", "odd"], 2, "--split odd needs a folder of Pascal VOC"),
    (["fit", "{root}/coco.json", "--label-column", "a"], 2, "--label-column a needs a .csv"),
    (["fit", "{root}/plain.csv", "--invalid", "drop"], 2, "--invalid drop needs data with boxes"),
    (["fit", "{root}/plain.csv", "--head-epochs", "2"], 2, "--head-epochs is of a detector"),
    (["fit", "{root}/voc", "--task", "classification"], 1, "has boxes; --task classification needs"),
    (["fit", "{root}/voc", "--split", "even"], 1, "--split 'even', and there is no"),
    (["fit", "{root}/voc", "--cv", "99"], 1, "--cv 99; expected 2 to 16 folds"),
    (["fit", "{root}/none.json"], 1, "no such file or folder; expected a .json of COCO"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), MISTAKES)
def test_mistakes_are_reported_before_a_training(arguments, code, message, data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(_fit_boxes, "detector_from", None)
    (data[0] / "plain.csv").write_text("path,label\na.png,red\n")
    command = [part.format(root=data[0]) for part in arguments] + ["-o", str(tmp_path / "m.skcnn")]
    if code == 2:
        with pytest.raises(SystemExit):
            main(command)
    else:
        assert main(command) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "m.skcnn").exists()


def test_invalid_boxes_in_the_words_of_options(data, tmp_path, capsys):
    _, paths, y = data
    rows = boxes_to_frame(y[:4], paths[:4]).rename(columns={"image": "path"})
    rows.loc[1, "xmax"] = 99
    rows.to_csv(tmp_path / "b.csv", index=False)
    assert main(["fit", str(tmp_path / "b.csv"), "-o", str(tmp_path / "m.skcnn")]) == 1
    err = capsys.readouterr().err
    assert "it leaves the image, which is 32 wide" in err
    assert "give --invalid drop to leave it out (--invalid clip cuts boxes" in err
    dataset = load_boxes(arguments_of(tmp_path / "b.csv", invalid="clip"), "table")
    assert dataset.target[1]["xmax"].tolist() == [32]


@pytest.mark.parametrize("form", ["voc", "coco", "table"])
def test_bad_images_are_left_out_with_their_boxes(form, data, fitted, tmp_path, monkeypatch, capsys):
    root, _, _ = data
    shutil.copytree(root, tmp_path / "copy")
    monkeypatch.chdir(tmp_path)
    images = tmp_path / "copy" / "voc" / "JPEGImages"
    (images / "3.png").write_bytes(b"no image")
    content = (images / "4.png").read_bytes()
    (images / "4.png").write_bytes(content[: len(content) // 2])  # its size can be read
    given = {"voc": ["voc"], "coco": ["coco.json", "--image-folder", str(images)], "table": ["boxes.csv"]}[form]
    command = ["evaluate", str(fitted[0]), str(tmp_path / "copy" / given[0]), *given[1:], "--quiet"]
    assert main(command) == 1
    assert "3.png: not an image of a known format" in capsys.readouterr().err
    assert main([*command, "--skip-bad"]) == 0
    out, err = capsys.readouterr()
    assert "14 of 16 images with 12 boxes" in out
    assert "2 of 16 images cannot be read" in err
    assert pd.read_csv(tmp_path / "bad_images.csv")["path"].tolist() == [str(images / "3.png"), str(images / "4.png")]


def test_models_and_data_that_do_not_belong_together(data, fitted, classifier, tmp_path, capsys):
    root, paths, _ = data
    (root / "plain.csv").write_text(f"path,label\n{paths[0]},red\n{paths[15]},none\n")
    for command, message in (
        (["evaluate", fitted[0], root / "plain.csv"], "finds boxes; expected a folder of Pascal VOC"),
        (["evaluate", fitted[0], root / "voc", "--recall", "0.9"], "--recall needs a model of two classes"),
        (["evaluate", classifier, root / "voc"], "finds no boxes; expected a folder with one folder of images"),
        (["predict", fitted[0], paths[0], "--top", "2"], "--top 2 needs a model of classes"),
        (["predict", classifier, paths[0], "--draw", tmp_path / "d"], "--draw needs a detector"),
        (["predict", classifier, paths[0], "-o", tmp_path / "c.json"], "c.json needs a detector"),
    ):
        assert main(list(map(str, command))) == 1
        assert message in capsys.readouterr().err
    # A table of labels may have boxes, too.
    rows = pd.DataFrame({"path": [paths[0], paths[15]], "label": ["red", "none"], **dict.fromkeys(CORNERS, 1)})
    rows.assign(xmax=9, ymax=9).to_csv(tmp_path / "both.csv", index=False)
    assert main(["evaluate", str(classifier), str(tmp_path / "both.csv"), "--quiet"]) == 0
    assert "Accuracy" in capsys.readouterr().out


@pytest.mark.slow
def test_fine_tuned_and_cross_validated(data, tmp_path, capsys):
    root, _, _ = data
    path = tmp_path / "cv.skcnn"
    command = ["fit", str(root / "boxes.csv"), "-o", str(path), *QUICK, "--cv", "2", "--fine-tune", "--epochs", "1"]
    assert main([*command, "--unfreeze", "stage3_unit3"]) == 0
    out = capsys.readouterr().out
    assert "by 2-fold cross-validation" in out
    detector = skcnn.load(path)
    assert detector.history_["phase"].tolist() == ["head"] * 2 + ["fine"]
    assert main(["fit", str(root / "boxes.csv"), "-o", str(path), *QUICK, "--cv", "0"]) == 0
    assert "Estimate" not in capsys.readouterr().out
