"""``skcnn fit``, ``evaluate`` and ``predict`` on images with masks."""

import argparse
import json
import re
import shutil
import warnings

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from toy import build_toy

import skcnn
from skcnn.cli import _fit_masks, _predict_masks, main
from skcnn.cli._masks import has_masks_clearly, load_masks, mask_form
from skcnn.cli._models import segmenter_from
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.images import as_images, as_masks
from skcnn.metrics import mask_iou
from skcnn.segmentation import CNNSegmenter


def toy_segmenter(options, dataset):
    """Return one that learns squares within seconds: the graph is that of ``tests/segmentation``, but for its size."""
    return CNNSegmenter(
        build_toy(weights="toy", input_shape=(32, 32, 3)),
        colors=dataset.colors,
        n_channels=32,
        head_epochs=10,
        head_learning_rate=0.01,
        batch_size=4,
        random_state=0,
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Sixteen images of 40 x 48 pixels with a red square, and masks: two folders, a table, Pascal VOC, and colours."""
    root = tmp_path_factory.mktemp("scenes")
    folders = ["pair/images", "pair/masks", "voc/JPEGImages", "voc/SegmentationClass", "black", "rgb"]
    for folder in folders:
        (root / folder).mkdir(parents=True)
    (root / "voc" / "ImageSets" / "Segmentation").mkdir(parents=True)
    generator = np.random.default_rng(0)
    paths, y = [], []
    for number in range(16):
        image = generator.integers(0, 60, (40, 48, 3)).astype(np.uint8)
        mask = np.zeros((40, 48), np.uint8)
        top, left = generator.integers(0, 24, 2).tolist()
        image[top : top + 16, left : left + 20] = [230, 40, 40]
        mask[top : top + 16, left : left + 20] = 1
        for folder in ("pair/images", "voc/JPEGImages"):
            Image.fromarray(image).save(root / folder / f"{number}.png")
        for folder, stored in (
            ("pair/masks", mask),
            ("voc/SegmentationClass", mask),
            ("black", 255 * mask),
            ("rgb", np.stack([128 * mask, 0 * mask, 0 * mask], axis=-1)),
        ):
            Image.fromarray(stored).save(root / folder / f"{number}{'_m' if folder == 'black' else ''}.png")
        paths.append(str(root / "pair" / "images" / f"{number}.png"))
        y.append(mask)
    (root / "voc" / "ImageSets" / "Segmentation" / "odd.txt").write_text("\n".join(map(str, range(1, 16, 2))))
    rows = pd.DataFrame({"path": paths, "mask": [path.replace("images", "masks") for path in paths]})
    rows.map(lambda path: path.removeprefix(f"{root}/")).to_csv(root / "masks.csv", index=False)
    return root, paths, y


@pytest.fixture(scope="module")
def fitted(data, tmp_path_factory):
    """A segmenter that the command trained, and what it printed."""
    root, _, _ = data
    folder = tmp_path_factory.mktemp("fitted")
    path = folder / "red.skcnn"
    lines = []
    names = ["--class-names", "floor", "square"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.print", lambda *text, **options: lines.append(" ".join(map(str, text))))
        patch.setattr(_fit_masks, "segmenter_from", toy_segmenter)
        command = ["fit", str(root / "pair"), "-o", str(path), "--html", str(folder / "r.html"), "--quiet"]
        assert main([*command, *names]) == 0
    return path, "\n".join(lines)


def arguments_of(data, **options):
    names = ("split", "image_folder", "invalid", "path_column", "label_column", "mask_folder", "mask_suffix")
    given = dict.fromkeys((*names, "colors", "class_names")) | options
    return argparse.Namespace(data=str(data), skip_bad=False, **given)


def test_all_forms_are_one(data):
    root, paths, y = data
    black = {"mask_folder": str(root / "black"), "mask_suffix": "_m", "colors": [(None, 0), (None, 255)]}
    forms = [
        ("folders", root / "pair", {}),
        ("folders", root / "pair" / "images", black),
        (
            "folders",
            root / "pair" / "images",
            {"mask_folder": str(root / "rgb"), "colors": [(0, (0, 0, 0)), (1, (128, 0, 0))]},
        ),
        ("table", root / "masks.csv", {}),
        ("voc", root / "voc", {}),
    ]
    for form, given, options in forms:
        arguments = arguments_of(given, **options)
        assert mask_form(arguments) == form
        assert has_masks_clearly(arguments, form)
        dataset = load_masks(arguments, form)
        assert [path.rpartition("/")[2] for path in dataset.frame["path"]] == [
            path.rpartition("/")[2] for path in paths
        ]
        assert dataset.labels == [0, 1]
        masks = as_masks(dataset.target, colors=dataset.colors)
        assert all(np.array_equal(masks.labels(row), mask) for row, mask in enumerate(y))
    assert len(load_masks(arguments_of(root / "voc", split="odd"), "voc").frame) == 8
    assert mask_form(arguments_of(root / "pair" / "images")) is None
    rows = pd.read_csv(root / "masks.csv").rename(columns={"path": "file", "mask": "where"})
    rows.to_csv(root / "named.csv", index=False)
    named = arguments_of(root / "named.csv", path_column="file", label_column="where")
    assert len(load_masks(named, mask_form(named)).frame) == 16
    assert not has_masks_clearly(named, "table")  # the column may be one of classes


def test_masks_of_coco(data, tmp_path):
    pytest.importorskip("faster_coco_eval")
    root, paths, _ = data
    square = {"image_id": 1, "category_id": 7, "segmentation": [[2, 2, 6, 2, 6, 6, 2, 6]]}
    coco = {
        "images": [{"id": 1, "file_name": "3.png", "height": 40, "width": 48}],
        "categories": [{"id": 7, "name": "square"}],
        "annotations": [square],
    }
    (tmp_path / "c.json").write_text(json.dumps(coco))
    arguments = arguments_of(tmp_path / "c.json", image_folder=str(root / "pair" / "images"))
    dataset = load_masks(arguments, mask_form(arguments))
    assert dataset.frame["path"].tolist() == [paths[3]]
    assert dataset.class_names == ["background", "square"]
    assert dataset.present == [[0, 1]]


def test_fit_holds_images_out_and_says_what_it_did(fitted):
    path, out = fitted
    assert "16 images with masks of 2 classes: floor, square" in out
    assert re.search(r"1[23] for training, [34] held out", out)
    assert "Images are resized to 32 x 32; head: unet" in out
    assert "Estimate for new images:\nSegmentationReport: red on pair, " in out
    assert re.search(r"Mean IoU +0\.[89]\d\d +\(", out)
    assert re.search(r"square 0\.\d+ 0\.\d+", out)
    assert f"Saved: {path}" in out
    assert "<html" in path.with_name("r.html").read_text()
    segmenter = skcnn.load(path)
    assert segmenter.classes_.tolist() == [0, 1]
    assert segmenter.training_images_ is not None


def test_options_are_parameters_of_the_segmenter(data, monkeypatch, tmp_path):
    made = []

    def stop(options, dataset):
        made.append(segmenter_from(options, dataset).get_params())
        raise ValueError("made")

    monkeypatch.setattr(_fit_masks, "segmenter_from", stop)
    images, masks = str(data[0] / "pair" / "images"), str(data[0] / "black")
    command = ["fit", images, "-o", str(tmp_path / "m.skcnn"), "--quiet", "--mask-folder", masks, "--mask-suffix", "_m"]
    command += ["--colors", "0", "255"]
    assert main(command) == 1
    more = ["--architecture", "fcn8", "--loss", "dice", "--flips", "none", "--class-weight", "balanced", "--seed", "3"]
    more += ["--head-epochs", "2", "--fine-tune", "--unfreeze", "none", "--class-names", "floor", "square"]
    assert main([*command, *more]) == 1
    plain, other = made
    default = CNNSegmenter().get_params() | {"colors": {0: 0, 1: 255}, "random_state": 0, "verbose": 0}
    assert plain == default
    assert other == default | {
        "architecture": "fcn8",
        "loss": "dice",
        "flips": None,
        "class_weight": "balanced",
        "random_state": 3,
        "head_epochs": 2,
        "epochs": 5,
        "n_classes": 2,
    } | {"unfreeze": other["unfreeze"]}


def test_evaluate_takes_every_form(data, fitted, tmp_path, capsys):
    root, paths, y = data
    model = str(fitted[0])
    expected = mask_iou(y, skcnn.load(model).predict(paths))
    black = ["--mask-folder", str(root / "black"), "--mask-suffix", "_m", "--colors", "0", "255"]
    for given in (["pair"], ["masks.csv"], ["voc"], ["pair/images", *black]):
        assert main(["evaluate", model, str(root / given[0]), *given[1:], "--quiet"]) == 0
        out = capsys.readouterr().out
        assert "16 images with masks of 2 classes: 0, 1" in out
        assert float(re.search(r"(?m)^Mean IoU +([\d.]+)", out)[1]) == pytest.approx(expected, abs=0.001)
        assert "were in the training set" in out
    page = tmp_path / "e.html"
    assert main(["evaluate", model, str(root / "voc"), "--split", "odd", "--quiet", "--html", str(page)]) == 0
    assert "8 images" in capsys.readouterr().out
    assert "<html" in page.read_text()


def test_predict_writes_masks_named_by_images(data, fitted, tmp_path, monkeypatch, capsys):
    _, paths, _ = data
    (tmp_path / "again").mkdir()
    twin = tmp_path / "again" / "0.png"
    Image.open(paths[0]).resize((96, 80)).save(twin)
    monkeypatch.setattr(_predict_masks, "_AT_ONCE", 2)
    command = ["predict", str(fitted[0]), *paths[:4], str(twin), "--quiet"]
    assert main([*command, "-o", str(tmp_path / "m"), "--draw", str(tmp_path / "new" / "drawn")]) == 0
    assert "5 images" in capsys.readouterr().out
    names = ["0.png", "0_2.png", "1.png", "2.png", "3.png"]
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == names
    assert sorted(path.name for path in (tmp_path / "new" / "drawn").iterdir()) == names
    found = skcnn.load(fitted[0]).predict([*paths[:4], str(twin)])
    files = [str(tmp_path / "m" / name) for name in ("0.png", "1.png", "2.png", "3.png", "0_2.png")]
    written = as_masks(files)
    assert all(np.array_equal(written.labels(row), mask) for row, mask in enumerate(found))
    with Image.open(files[0]) as image:
        assert image.mode == "P"
        assert image.getpalette()[:3] == [0, 0, 0]
        assert image.getpalette()[3:6] != [0, 0, 0]
    drawn = as_images([str(tmp_path / "new" / "drawn" / "1.png")]).decode(0, (40, 48)).astype(int)
    before = as_images(paths[1:2]).decode(0, (40, 48)).astype(int)
    assert np.array_equal(np.abs(drawn - before).max(axis=2) > 0, found[1] == 1)


def test_predict_prints_fractions_of_pixels(data, fitted, tmp_path, capsys):
    _, paths, _ = data
    found = skcnn.load(fitted[0]).predict(paths[:3])
    assert main(["predict", str(fitted[0]), *paths[:3], "--quiet"]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    expected = [
        (path, label, np.mean(mask == label)) for path, mask in zip(paths, found, strict=False) for label in (0, 1)
    ]
    assert [tuple(line) for line in lines] == [(path, str(label), f"{value:.4f}") for path, label, value in expected]
    assert main(["predict", str(fitted[0]), *paths[:3], "-o", str(tmp_path / "f.csv"), "--quiet"]) == 0
    table = pd.read_csv(tmp_path / "f.csv")
    assert list(table.columns) == ["path", "0", "1"]
    np.testing.assert_allclose(table["1"], [np.mean(mask == 1) for mask in found])


def test_predict_replaces_no_image_and_writes_nothing_before_an_error(data, fitted, tmp_path, monkeypatch, capsys):
    _, paths, _ = data
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        shutil.copy(paths[number], folder)
    before = [(folder / f"{number}.png").read_bytes() for number in range(3)]
    for where in ("-o", "--draw"):
        assert main(["predict", str(fitted[0]), str(folder), where, str(folder), "--quiet"]) == 1
        assert "0.png is one of the images, and would be replaced" in capsys.readouterr().err
    assert [(folder / f"{number}.png").read_bytes() for number in range(3)] == before
    monkeypatch.setattr(_predict_masks, "_AT_ONCE", 2)
    (folder / "2.png").write_bytes(before[2][: len(before[2]) // 2])  # its size can be read
    command = ["predict", str(fitted[0]), str(folder), "-o", str(tmp_path / "m"), "--quiet"]
    assert main(command) == 1
    err = capsys.readouterr().err
    assert "row 2: " in err
    assert "2.png" in err
    assert not (tmp_path / "m").exists()
    assert main([*command, "--skip-bad"]) == 0
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["0.png", "1.png"]


MISTAKES = [
    (["fit", "{root}/pair/images", "--task", "segmentation"], 2, "--task segmentation needs a folder with images/"),
    (["fit", "{root}/pair", "--head", "logistic"], 2, "--head is for classifiers"),
    (["fit", "{root}/pair", "--epochs", "3"], 2, "--epochs needs --fine-tune"),
    (["fit", "{root}/pair", "--split", "odd"], 2, "--split odd needs a folder of Pascal VOC"),
    (["fit", "{root}/pair", "--invalid", "drop"], 2, "--invalid drop is of boxes"),
    (["fit", "{root}/pair", "--task", "classification", "--loss", "dice"], 2, "--loss is for segmenters"),
    (["fit", "{root}/pair", "--task", "classification", "--colors", "0"], 2, "--colors needs data with masks"),
    (["fit", "{root}/pair", "--colors", "red"], 2, "got red; expected a number or RED,GREEN,BLUE"),
    (["fit", "{root}/pair", "--colors", "0=0", "0=9"], 2, "--colors gives class 0 twice"),
    (["fit", "{root}/pair", "--loss", "foo"], 2, "--loss foo; expected cross_entropy, dice, focal"),
    (["fit", "{root}/pair", "--loss", "dice+dice"], 2, "a sum of different ones, such as cross_entropy+dice"),
    (["fit", "{root}/pair", "--loss", "dise"], 2, "Did you mean 'dice'?"),
    (["fit", "{root}/pair", "--cv", "99"], 1, "--cv 99; expected 2 to 16 folds"),
    (["fit", "{root}/pair/images", "--mask-folder", "{root}/none"], 1, "no such file or folder"),
    (["fit", "{root}/pair", "--class-names", "floor"], 1, "masks/0.png: label 1, but classes are 0..0"),
    (["fit", "{root}/pair", "--class-names", "floor"], 1, "give each class a name with --class-names"),
    (["fit", "{root}/pair", "--colors", "0", "255"], 1, "give each class its own with --colors, or leave it out"),
    (["fit", "{root}/pair/images", "--mask-folder", "{root}/rgb"], 1, "give the colour of each with --colors"),
    (["fit", "{root}/pair/images", "--mask-folder", "{root}/black", "--mask-suffix", "_m"], 1, "give --colors 0 255"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), MISTAKES)
def test_mistakes_are_reported_before_a_training(arguments, code, message, data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(CNNSegmenter, "fit", None)
    command = [part.format(root=data[0]) for part in arguments] + ["-o", str(tmp_path / "m.skcnn")]
    if code == 2:
        with pytest.raises(SystemExit):
            main(command)
    else:
        assert main(command) == 1
    err = capsys.readouterr().err
    assert message in err
    assert "rows of X" not in err
    assert not (tmp_path / "m.skcnn").exists()


def test_models_and_data_that_do_not_belong_together(data, fitted, tmp_path, capsys):
    root, paths, _ = data
    model = str(fitted[0])
    for command, message in (
        (["evaluate", model, root / "pair" / "images"], "predicts masks; expected a folder with images/ and masks/"),
        (["evaluate", model, root / "pair", "--recall", "0.9"], "--recall needs a model of two classes"),
        (["predict", model, paths[0], "--top", "2"], "--top 2 needs a model of classes"),
        (["predict", model, paths[0], "--min-score", "0.5"], "--min-score needs a detector"),
        (["predict", model, paths[0], "-o", tmp_path / "c.json"], "c.json needs a detector"),
        (["predict", model, paths[0], "-o", tmp_path / "a", "--draw", tmp_path / "a"], "give two folders"),
    ):
        assert main(list(map(str, command))) == 1
        assert message in capsys.readouterr().err
    skcnn.save(make_pipeline(BottleneckFeatures("ResNet20"), LogisticRegression()), tmp_path / "classes.skcnn")
    for folder, found in (("pair", "has the folders images and masks"), ("voc", "JPEGImages and SegmentationClass")):
        assert main(["evaluate", str(tmp_path / "classes.skcnn"), str(root / folder)]) == 1
        err = " ".join(capsys.readouterr().err.split())
        assert f"classes.skcnn predicts no masks, and {root / folder}" in err
        assert found in err
    (root / "three").mkdir(exist_ok=True)
    for number in range(16):
        Image.fromarray(np.full((40, 48), 3, np.uint8)).save(root / "three" / f"{number}.png")
    command = ["evaluate", model, str(root / "pair" / "images"), "--mask-folder", str(root / "three"), "--quiet"]
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main(command) == 0
    assert "have the labels 3, which" in capsys.readouterr().err


@pytest.mark.slow
def test_cross_validated(data, tmp_path, capsys):
    path = tmp_path / "cv.skcnn"
    command = ["fit", str(data[0] / "pair"), "-o", str(path), "--backbone", "ResNet20", "--image-size", "32", "--quiet"]
    assert main([*command, "--head-epochs", "2", "--cv", "2"]) == 0
    assert "by 2-fold cross-validation" in capsys.readouterr().out
