"""``skcnn extract --rows-per-part``: a folder of parts, resumed, of folders, tables and shards."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from skcnn.cli import main
from skcnn.datasets import load_digit_images, write_tfrecords
from skcnn.distributed import load_features

RESNET20 = ["--backbone", "ResNet20", "--engine", "keras", "--quiet"]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Twelve images of two classes, as folders and as shards."""
    root = tmp_path_factory.mktemp("digits")
    X, y = load_digit_images(return_X_y=True)
    for digit in (0, 1):
        (root / "train" / str(digit)).mkdir(parents=True)
        for number, pixels in enumerate(X[y == digit][:6]):
            Image.fromarray(pixels).save(root / "train" / str(digit) / f"{number}.png")
    paths = [str(path) for path in sorted((root / "train").glob("*/*.png"))]
    write_tfrecords(paths, [0] * 6 + [1] * 6, root / "shards", 5)
    write_tfrecords(paths, None, root / "unlabelled", 5)
    return root


@pytest.fixture
def there(digits, monkeypatch):
    monkeypatch.chdir(digits)
    return digits


def test_parts_hold_what_the_table_holds(there, tmp_path, capsys):
    assert main(["extract", "train", "-o", str(tmp_path / "table.parquet"), *RESNET20]) == 0
    table = pd.read_parquet(tmp_path / "table.parquet")
    command = ["extract", "train", "-o", str(tmp_path / "parts"), "--rows-per-part", "5", *RESNET20]
    assert main(command) == 0
    assert "parts: 12 images, 64 features in 3 parts" in capsys.readouterr().out
    features = load_features(tmp_path / "parts")
    np.testing.assert_array_equal(features.to_numpy(), table.iloc[:, 2:].to_numpy())
    assert features.labels().tolist() == table["label"].tolist()
    assert features.paths().tolist() == table["path"].tolist()
    assert features.feature_names == list(table.columns[2:])
    part = tmp_path / "parts" / "part-00001-of-00003.parquet"
    part.unlink()
    assert main(command) == 0
    assert part.exists()
    assert main([*command, "--layers", "stage1_unit3"]) == 1
    assert "has parts of other images or labels, of another size, or of another transformer" in capsys.readouterr().err


@pytest.mark.parametrize(("data", "labels"), [("shards", [0] * 6 + [1] * 6), ("unlabelled", None)])
def test_shards(data, labels, there, tmp_path, capsys):
    assert main(["extract", f"{data}/*.tfrecord", "-o", str(tmp_path / "out"), "--rows-per-part", "8", *RESNET20]) == 0
    features = load_features(tmp_path / "out")
    assert features.shape == (12, 64)
    assert features.has_labels == (labels is not None)
    if labels:
        assert features.labels().tolist() == labels
    assert features.paths()[5].endswith("images-00001-of-00003.tfrecord, offset 0")


def test_bad_rows_of_shards(there, tmp_path, capsys):
    paths = [str(path) for path in sorted((there / "train" / "0").glob("*.png"))]
    (tmp_path / "text.png").write_bytes(b"no image")
    write_tfrecords([*paths[:2], str(tmp_path / "text.png"), *paths[2:]], list("abcabca"), tmp_path / "shards")
    command = ["extract", str(tmp_path / "shards" / "*.tfrecord"), "-o", str(tmp_path / "out"), "--rows-per-part", "4"]
    assert main([*command, *RESNET20]) == 1
    err = capsys.readouterr().err
    assert "row 2" in err
    assert "--skip-bad" in err
    assert main([*command[:3], str(tmp_path / "good"), *command[4:], *RESNET20, "--skip-bad"]) == 0
    assert load_features(tmp_path / "good").labels().tolist() == list("ababca")
    assert "1 of 7 images cannot be read" in capsys.readouterr().err
    assert main([*command, *RESNET20, "--label-column", "kind"]) == 1
    assert "expected one of the features of the records, 'image', 'label'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "-o", "f.parquet", "--workers", "2"], "--workers needs --rows-per-part"),
        (["train", "-o", "f.csv", "--scheduler", "tcp://x:1"], "--scheduler needs --rows-per-part"),
        (["train", "-o", "features"], "features is not a table: --rows-per-part writes features in parts to a folder"),
        (["shards/*.tfrecord", "-o", "f.csv"], "may hold very many images: --rows-per-part writes features in parts"),
        (["train", "-o", "f.csv", "--rows-per-part", "3"], "got f.csv; expected a folder for --rows-per-part"),
    ],
)
def test_usage_errors(arguments, message, there, capsys):
    with pytest.raises(SystemExit):
        main(["extract", *arguments])
    assert message in capsys.readouterr().err


def test_an_object_store(there, s3, monkeypatch, tmp_path, capsys):
    import fsspec

    # Credentials as the command takes them: from the environment.
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.options["endpoint_url"])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    files, lines = fsspec.filesystem("s3", **s3.options), ["path,label"]
    for path in sorted((there / "train").glob("*/*.png")):
        url = f"s3://bucket/train/{path.parent.name}-{path.name}"
        files.pipe_file(url, path.read_bytes())
        lines.append(f"{url},{path.parent.name}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images.csv").write_text("\n".join([*lines, "s3://bucket/gone.png,1"]))
    command = ["extract", "images.csv", "-o", "s3://bucket/by/command/", "--rows-per-part", "5", *RESNET20]
    assert main([*command, "--skip-bad"]) == 0
    out, err = capsys.readouterr()
    assert "s3://bucket/by/command/: 12 of 13 images, 64 features in 3 parts" in out
    assert "bad_images.csv" in err
    bad = pd.read_csv("bad_images.csv")
    assert bad.to_numpy().tolist() == [["s3://bucket/gone.png", "the store has no such file"]]
    features = load_features("s3://bucket/by/command")
    assert features.shape == (12, 64)
    assert features.labels().tolist() == [0] * 6 + [1] * 6
    assert main(["extract", str(there / "train"), "-o", "here", "--rows-per-part", "5", *RESNET20]) == 0
    np.testing.assert_array_equal(features.to_numpy(), load_features("here").to_numpy())
    assert main(["extract", "s3://bucket/no-*.tar", "-o", "there", "--rows-per-part", "5"]) == 1
    assert "s3://bucket/no-*.tar" in capsys.readouterr().err


def test_shards_that_are_not_there(there, capsys):
    for pattern, found in [
        ("no/*.tar", f"there is no folder {there / 'no'}"),
        ("no-*.tfrecord", f"in {there}, 0 files end in .tfrecord"),
        ("shards/no-*.tfrecord", f"in {there / 'shards'}, 3 files end in .tfrecord: images-00000-of-00003.tfrecord,"),
        ("shards/no.tfrecord", f"in {there / 'shards'}, 3 files end in .tfrecord: images-00000-of-00003.tfrecord,"),
    ]:
        # Also where other arguments are missing: this is what is wrong first.
        for rest in (["--rows-per-part", "3"], []):
            assert main(["extract", pattern, "-o", "out", *rest]) == 1
            err = capsys.readouterr().err
            assert f"no file matches {pattern}; expected the path of a shard, or a pattern such as 'train-*.t" in err
            assert found in err


def test_a_file_in_place_of_the_folder(there, tmp_path, capsys):
    (tmp_path / "out").write_text("")
    assert main(["extract", "train", "-o", str(tmp_path / "out"), "--rows-per-part", "3"]) == 1
    assert "is a file; expected a folder to write to" in capsys.readouterr().err
