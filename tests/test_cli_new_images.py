"""Images without labels, columns of other names, and bad images, in the commands."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.model_selection import FixedThresholdClassifier

import skcnn
from skcnn.cli import main
from skcnn.cli._common import write_table
from skcnn.datasets import load_digit_images

RESNET20 = ["--backbone", "ResNet20", "--quiet"]


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    """Zeros and ones, 6 images each: class folders, images without labels, and a table with other columns."""
    root = tmp_path_factory.mktemp("digits")
    digits = load_digit_images()
    rows = []
    for digit, name in enumerate(("path", "one")):  # a class is called like a column of the tables
        for number, pixels in enumerate(digits.data[digits.target == digit][:6]):
            for file in (root / "train" / name / f"{number}.png", root / "new" / f"{name}{number}.png"):
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(file)
            rows.append((f"train/{name}/{number}.png", name))
    pd.DataFrame(rows, columns=["file", "kind"]).to_csv(root / "train.csv", index=False)
    (root / "new" / "deep").mkdir()
    shutil.copy(root / "new" / "one0.png", root / "new" / "deep" / "again.png")
    return root


@pytest.fixture(scope="module")
def model(digits) -> Path:
    path = digits / "digits.skcnn"
    assert main(["fit", str(digits / "train"), "-o", str(path), *RESNET20, "--cv", "0"]) == 0
    return path


@pytest.fixture
def there(digits, monkeypatch) -> Path:
    monkeypatch.chdir(digits)
    return digits


@pytest.fixture
def with_bad(digits, tmp_path, monkeypatch) -> Path:
    """The class folders with three bad images in them, all that a class has among them."""
    shutil.copytree(digits / "train", tmp_path / "train")
    whole = (tmp_path / "train" / "one" / "0.png").read_bytes()
    for name, content in {"one/cut.png": whole[:80], "path/7.jpg": b"text", "lost/1.png": b""}.items():
        (tmp_path / "train" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "train" / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    return tmp_path


BAD = ["train/lost/1.png", "train/one/cut.png", "train/path/7.jpg"]


def json_lines(path: str) -> pd.DataFrame:
    return pd.DataFrame([json.loads(line) for line in Path(path).read_text("utf-8").splitlines()])


# --- predict --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "read"), [("out.csv", pd.read_csv), ("out.PARQUET", pd.read_parquet), ("out.jsonl", json_lines)]
)
def test_predict_writes_a_table(there, model, tmp_path, name, read, capsys):
    import fsspec

    with fsspec.open("memory://new/one1.png", "wb") as file:
        file.write((there / "new" / "one1.png").read_bytes())
    output = str(tmp_path / name)
    given = ["new/path3.png", "new/", "train.csv", "memory://new/one1.png"]
    assert main(["predict", "digits.skcnn", *given, "-o", output, "--path-column", "file", "--quiet"]) == 0
    assert capsys.readouterr().out == f"{output}: 27 images\n"
    frame = read(output)
    assert list(frame.columns) == ["path", "label", "one", "probability_path"]
    listed = ["new/deep/again.png", *(f"new/{name}{number}.png" for name in ("one", "path") for number in range(6))]
    listed += pd.read_csv("train.csv")["file"].tolist()
    assert frame["path"].tolist() == ["new/path3.png", *listed, "memory://new/one1.png"]
    loaded = skcnn.load(model)
    paths = frame["path"].tolist()
    assert frame["label"].tolist() == loaded.predict(paths).tolist()
    np.testing.assert_allclose(frame[["one", "probability_path"]], loaded.predict_proba(paths), rtol=1e-12)
    assert frame["label"].tolist()[-2:] == ["one", "one"]


def test_predict_prints_what_is_asked_for(there, tmp_path, capsys):
    given = ["predict", "digits.skcnn", "new/path0.png", "new/one0.png", "--quiet"]
    assert main(given) == 0
    plain = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[:2] for line in plain] == [["new/path0.png", "path"], ["new/one0.png", "one"]]
    output = str(tmp_path / "out.csv")
    assert main([*given, "-o", output, "--top", "2"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert lines[::2] == plain
    assert len(lines) == 4
    assert last == f"{output}: 2 images"


def test_the_label_is_what_the_model_predicts(there, model, tmp_path, capsys):
    strict = FixedThresholdClassifier(skcnn.load(model), threshold=0.999, pos_label="path")
    train = pd.read_csv("train.csv")
    strict.fit(train["file"].tolist(), train["kind"])
    skcnn.save(strict, tmp_path / "strict.skcnn")
    output = str(tmp_path / "out.csv")
    assert main(["predict", str(tmp_path / "strict.skcnn"), "new", "-o", output, "--quiet"]) == 0
    frame = pd.read_csv(output)
    expected = np.where(frame["probability_path"] >= 0.999, "path", "one")
    assert frame["label"].tolist() == expected.tolist()
    assert (frame.loc[frame["label"] == "one", "probability_path"] > 0.5).any()  # not the most probable class
    capsys.readouterr()
    assert main(["predict", str(tmp_path / "strict.skcnn"), "new", "--quiet"]) == 0
    assert [line.split("\t")[1] for line in capsys.readouterr().out.splitlines()] == expected.tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "none/out.csv"], "the folder none does not exist"),
        (["none.jpg"], "none.jpg: no such file or folder; expected an image, a folder, a .csv or a URL"),
        (["train.csv"], "train.csv: no column 'path'; its columns are 'file', 'kind'. Name the right one with --path"),
    ],
)
def test_predict_checks_before_it_loads_the_model(there, arguments, message, monkeypatch, capsys):
    monkeypatch.setattr("skcnn.persistence.load", None)
    assert main(["predict", "digits.skcnn", "new", *arguments]) == 1
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_json_lines_are_strict(tmp_path):
    path = tmp_path / "a.jsonl"
    frame = pd.DataFrame(
        {"path": pd.Series(["\udcff.png", "caf\u00e9"], dtype=object), "x": [np.nan, -np.inf], "y": [1e-20, 1 / 3]}
    )
    write_table(frame, str(path))

    def refuse(text):
        raise AssertionError(f"{text} is not JSON")

    rows = [json.loads(line, parse_constant=refuse) for line in path.read_text("utf-8").splitlines()]
    assert [list(row) for row in rows] == [["path", "x", "y"]] * 2
    assert [row["path"] for row in rows] == ["\\udcff.png", "caf\u00e9"]
    assert [row["x"] for row in rows] == [None, None]
    assert [row["y"] for row in rows] == [1e-20, 1 / 3]
    frame = pd.DataFrame({"path": "a/b.png", "label": [1, 2], "x": np.array([0.1, 0.2], "float32")})
    write_table(frame, str(path))
    assert path.read_text() == (
        '{"path": "a/b.png", "label": 1, "x": 0.10000000149011612}\n'
        '{"path": "a/b.png", "label": 2, "x": 0.20000000298023224}\n'
    )


# --- extract without labels, columns of other names -----------------------------------------------------------------


def extract(data: str, output: str, *options: str) -> pd.DataFrame:
    assert main(["extract", data, "-o", output, *RESNET20, *options]) == 0
    return pd.read_csv(output)


def test_extract_without_labels(there, tmp_path, capsys):
    output = str(tmp_path / "features.csv")
    labelled = extract("train", output)
    assert list(labelled.columns[:2]) == ["path", "label"]
    flat = extract("train/one", output)
    assert list(flat.columns[:2]) == ["path", "ResNet20_stage3_unit3_avg_0"]
    assert flat["path"].tolist() == [f"train/one/{number}.png" for number in range(6)]
    same = labelled["label"] == "one"
    np.testing.assert_allclose(flat.iloc[:, 1:], labelled[same].iloc[:, 2:], rtol=1e-4, atol=1e-5)
    capsys.readouterr()
    table = extract("train.csv", output, "--path-column", "file")
    assert list(table.columns[:2]) == ["path", "ResNet20_stage3_unit3_avg_0"]
    assert capsys.readouterr().out == f"{output}: 12 images, 64 features\n"
    table = extract("train.csv", output, "--path-column", "file", "--label-column", "kind")
    assert table["label"].tolist() == ["path"] * 6 + ["one"] * 6


@pytest.mark.filterwarnings("default:load_image_folder")
def test_images_beside_class_folders_stay_outside(there, tmp_path, capsys):
    frame = extract("new", str(tmp_path / "features.csv"))  # new/deep/ is a class
    assert frame[["path", "label"]].to_numpy().tolist() == [["new/deep/again.png", "deep"]]
    assert "12 images outside any class folder" in capsys.readouterr().err


def test_columns_of_other_names(there, tmp_path, capsys):
    columns = ["--path-column", "file", "--label-column", "kind"]
    path = str(tmp_path / "a.skcnn")
    assert main(["fit", "train.csv", "-o", path, *columns, *RESNET20, "--cv", "0"]) == 0
    assert "12 images of 2 classes: one, path\n" in capsys.readouterr().out
    assert main(["evaluate", path, "train.csv", *columns, "--quiet"]) == 0
    assert "Accuracy" in capsys.readouterr().out
    assert main(["compare", path, "digits.skcnn", "train.csv", *columns, "--quiet"]) == 0
    assert "12 images of train.csv" in capsys.readouterr().out
    assert main(["check", "train.csv", "--path-column", "file"]) == 0
    assert capsys.readouterr().out == "12 images, all can be read.\n"


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ("train.csv", [], "train.csv: no column 'path' and no column 'label'; its columns are 'file', 'kind'. Name"),
        ("train.csv", [], "with --path-column and --label-column; columns are separated by commas."),
        ("train.csv", ["--path-column", "file", "--label-column", "knd"], "no column 'knd'; its columns are"),
        ("train", ["--label-column", "kind"], "--label-column kind; expected a .csv as input, got train."),
        ("train", ["--path-column", "file"], "--path-column file; expected a .csv as input, got train."),
    ],
)  # fmt: skip
def test_columns_that_are_not_there(there, data, options, message, capsys):
    for command in (
        ["fit", data, "-o", "m.skcnn"],
        ["extract", data, "-o", "f.csv"],
        ["evaluate", "digits.skcnn", data],
    ):
        if command[0] == "extract" and not options:
            continue  # which needs no labels
        assert main([*command, *options, "--quiet"]) == 1
        assert message in capsys.readouterr().err
    assert not Path("m.skcnn").exists()


def test_a_table_that_is_none(there, tmp_path, capsys):
    (tmp_path / "empty.csv").write_text("")
    for command in (
        ["check", f"{tmp_path}/empty.csv"],
        ["extract", f"{tmp_path}/empty.csv", "-o", f"{tmp_path}/f.csv"],
    ):
        assert main(command) == 1
        assert "not a CSV table with a header line" in capsys.readouterr().err


# --- bad images -----------------------------------------------------------------------------------------------------


def test_check(with_bad, capsys):
    assert main(["check", "train", "-o", "bad.csv", "--show", "2", "--quiet"]) == 3
    head, *lines = capsys.readouterr().out.splitlines()
    assert head == "3 of 15 images cannot be read:"
    assert lines[0] == "  train/lost/1.png: empty file"
    assert lines[1].startswith("  train/one/cut.png: ")
    assert lines[2:] == ["  ... and 1 more"]
    bad = pd.read_csv("bad.csv")
    assert list(bad.columns) == ["path", "reason"]
    assert bad["path"].tolist() == BAD
    assert bad["reason"].str.len().min() > 5
    for path in BAD:
        Path(path).unlink()
    assert main(["check", "train", "-o", "bad.jsonl", "--quiet"]) == 0
    assert capsys.readouterr().out == "12 images, all can be read.\n"
    assert Path("bad.jsonl").read_text().strip() == ""


def test_check_of_a_table(with_bad, capsys):
    pd.DataFrame({"path": ["one/0.png", "none.png"], "label": [1, 2]}).to_csv("train/a.csv", index=False)
    assert main(["check", "train/a.csv", "train/path/0.png", "--quiet"]) == 3
    expected = f"1 of 3 images cannot be read:\n  train/none.png: no such file (relative to {with_bad})\n"
    assert capsys.readouterr().out == expected


def test_check_loads_no_keras(with_bad):
    code = (
        "import sys; from skcnn.cli import main; code = main(['check', 'train', '--quiet']); "
        "assert not {'keras', 'tensorflow', 'matplotlib'} & set(sys.modules); sys.exit(code)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 3


def test_fit_skips_bad_images(with_bad, capsys):
    fit = ["fit", "train", *RESNET20, "--cv", "2", "-o"]
    assert main([*fit, "a.skcnn"]) == 1
    err = capsys.readouterr().err
    assert "3 of 15 images cannot be used:\n  row 0: train/lost/1.png: empty file" in err
    last = "\nRepair or remove them, or leave them out with --skip-bad. `skcnn check` lists them.\n"
    assert err.endswith(last)
    assert not Path("a.bad.csv").exists()

    assert main([*fit, "a.skcnn", "--skip-bad"]) == 0
    out, err = capsys.readouterr()
    assert "12 of 15 images of 2 classes: one, path\n" in out
    assert "2-fold cross-validation" in out
    lines = err.splitlines()
    assert lines[:2] == ["skcnn: warning: 3 of 15 images cannot be read:", "  train/lost/1.png: empty file"]
    assert lines[4:] == ["They were left out, and are listed in a.bad.csv."]
    assert pd.read_csv("a.bad.csv")["path"].tolist() == BAD

    for path in BAD:
        Path(path).unlink()
    Path("train/lost").rmdir()
    assert main([*fit, "b.skcnn", "--skip-bad"]) == 0
    out, err = capsys.readouterr()
    assert "12 images of 2 classes" in out
    assert err == ""
    assert not Path("b.bad.csv").exists()
    paths = [f"train/{name}/{number}.png" for name in ("one", "path") for number in range(6)]
    np.testing.assert_allclose(
        skcnn.load("a.skcnn").predict_proba(paths), skcnn.load("b.skcnn").predict_proba(paths), atol=1e-6
    )


def test_other_commands_skip_bad_images(with_bad, digits, model, capsys):
    good = extract(str(digits / "train"), "good.csv")
    features = extract("train", "features.csv", "--skip-bad")
    out, err = capsys.readouterr()
    assert "features.csv: 12 of 15 images, 64 features" in out
    assert "listed in features.bad.csv." in err
    pd.testing.assert_frame_equal(features.iloc[:, 1:], good.iloc[:, 1:], rtol=1e-4, atol=1e-5)

    command = ["predict", str(model), "train", "--quiet"]
    assert main(command) == 1
    assert "--skip-bad" in capsys.readouterr().err
    table = pd.DataFrame({"path": ["train/one/0.png", "none.png"], "label": "one"})
    table.to_csv("missing.csv", index=False)
    assert main(["evaluate", str(model), "missing.csv", "--quiet"]) == 1
    assert f"row 1: none.png: no such file (relative to {with_bad})\n" in capsys.readouterr().err
    assert main([*command, "--skip-bad", "-o", "out.jsonl"]) == 0
    out, err = capsys.readouterr()
    assert out == "out.jsonl: 12 of 15 images\n"
    assert "listed in out.bad.csv." in err
    assert json_lines("out.jsonl")["path"].tolist() == features["path"].tolist()

    shutil.rmtree("train/lost")  # which is no class of the model
    assert main(["evaluate", str(model), "train", "--quiet", "--skip-bad"]) == 0
    out, err = capsys.readouterr()
    assert "12 samples" in out
    assert err.startswith("skcnn: warning: 2 of 14 images cannot be read:\n")
    assert pd.read_csv("bad_images.csv")["path"].tolist() == BAD[1:]


def test_no_image_is_left(with_bad, capsys):
    assert main(["check", "train/lost"]) == 3
    assert capsys.readouterr().out == "1 of 1 image cannot be read:\n  train/lost/1.png: empty file\n"
    assert main(["extract", "train/lost", "-o", "a.csv", *RESNET20, "--skip-bad"]) == 1
    assert capsys.readouterr().err == (
        "skcnn: error: No image is left: 1 of 1 image cannot be read:\n  train/lost/1.png: empty file\n"
    )
    assert sorted(path.name for path in with_bad.iterdir()) == ["train"]


def test_names_of_bad_images_are_shown_as_text_and_kept_in_tables(with_bad, capsys):
    names = ["train/one/\x1b[2J\n.png", "train/one/caf\udce9.png"]
    for name in names:
        Path(name).write_bytes(b"text")
    assert main(["check", "train", "-o", "bad.csv", "--quiet"]) == 3
    assert not set("\x1b\udce9") & set(capsys.readouterr().out)
    assert set(names) <= set(pd.read_csv("bad.csv", encoding_errors="surrogateescape", dtype=object)["path"])
