import json
import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageOps

from skcnn.cli import main

pytestmark = pytest.mark.filterwarnings("default::skcnn.images.BadImageWarning")


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Two parts of a split: test/ holds an exact copy, a mirrored one and a file that is no image."""
    generator = np.random.default_rng(0)
    for part in ("train", "test"):
        for label in ("cat", "dog"):
            (tmp_path / part / label).mkdir(parents=True)
    images = [Image.fromarray(generator.integers(0, 256, (24, 24, 3), np.uint8)).resize((96, 96)) for _ in range(7)]
    for number, image in enumerate(images[:5]):
        image.save(tmp_path / "train" / "cat" / f"{number}.png")
    images[0].save(tmp_path / "train" / "cat" / "10.png")
    images[1].save(tmp_path / "test" / "dog" / "copy.PNG")
    ImageOps.mirror(images[2]).save(tmp_path / "test" / "cat" / "mirrored.jpg")
    images[5].save(tmp_path / "test" / "cat" / "new.png")
    (tmp_path / "test" / "cat" / "bad.jpg").write_bytes(b"no image")
    (tmp_path / "test" / "cat" / "notes.txt").write_text("no image either")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_parts_of_a_split(folders, capsys):
    assert main(["duplicates", "train/", "test/", "--quiet"]) == 3
    out, err = capsys.readouterr()
    assert "10 images. Pairs of duplicates: 3 (2 exact, 1 near), 2 across folders." in out
    across, within = out.split("Within a folder (1): train/")
    assert "ACROSS folders (2): test/ and train/" in across
    lines = [line.split() for line in across.splitlines() if line.startswith("  ")]
    assert lines[:2] == [["exact", "train/cat/1.png"], ["test/dog/copy.PNG"]]
    assert lines[2][1:] == ["mirrored", "train/cat/2.png"]
    assert "train/cat/0.png" in within
    assert "train/cat/10.png" in within
    assert "row 6: test/cat/bad.jpg: not an image" in err


def test_one_folder_is_split_by_its_folders(folders, capsys):
    assert main(["duplicates", ".", "--across", "--quiet", "--show", "1", "-o", "pairs.csv"]) == 3
    out = capsys.readouterr().out
    assert "ACROSS folders (2): test and train" in out
    assert "... and 1 more" in out
    assert "Within" not in out
    pairs = pd.read_csv("pairs.csv")
    assert pairs["kind"].tolist() == ["exact", "near"]
    assert (pairs["group_a"] != pairs["group_b"]).all()


def test_json(folders, capsys):
    assert main(["duplicates", "train", "test", "--json", "--quiet"]) == 3
    pairs = json.loads(capsys.readouterr().out)
    assert len(pairs) == 3
    assert pairs[0]["path_a"] == "train/cat/0.png"
    assert pairs[2]["mirrored"] is True


def test_none_found(folders, capsys):
    assert main(["duplicates", "test", "--quiet"]) == 0
    assert "4 images, no duplicates among them." in capsys.readouterr().out
    assert main(["duplicates", "test", "--across", "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none/"], "none/: no such folder; expected"),
        (["train/dog"], "train/dog contains no images"),
        (["train", "train/cat"], "train/cat lies in train"),
        (["train", "./train/"], "share no file"),
    ],
)
def test_errors_are_one_line(folders, arguments, message, capsys):
    assert main(["duplicates", *arguments]) == 1
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_no_keras(folders):
    import subprocess
    import sys

    code = (
        "import sys; from skcnn.cli import main; main(['duplicates', 'test', '--quiet']); "
        "assert not {'keras', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_names_of_files_are_shown_as_text_and_kept_in_tables(folders, capsys):
    names = ["test/cat/caf\udce9.png", "test/cat/\x1b[2J\n\u202e.png", "test/caf\udce9/1.png"]
    (folders / "test" / "caf\udce9").mkdir()
    for name in names:
        Image.open("train/cat/3.png").save(name)
    assert main(["duplicates", "train", "test", "--json"]) == 3
    assert set(names) <= {pair["path_b"] for pair in json.loads(capsys.readouterr().out)}

    (folders / "test" / "cat" / "\x1b\udce9.png").write_bytes(b"no image")
    assert main(["duplicates", "test", "-o", "pairs.csv"]) == main(["duplicates", "test", "-o", "pairs.parquet"]) == 3
    out, err = capsys.readouterr()
    for shown in (r"test/cat/caf\udce9.png", r"test/cat/\x1b[2J\n\u202e.png", r"caf\udce9 and cat"):
        assert shown in out
    assert r"test/cat/\x1b\udce9.png: not an image" in err
    assert not set("\x1b\u202e\udce9") & set(out + err)
    # As the operating system writes the names; Parquet takes no such text.
    assert os.fsencode(names[0]) in (folders / "pairs.csv").read_bytes()
    assert r"test/cat/caf\udce9.png" in set(pd.read_parquet("pairs.parquet")[["path_a", "path_b"]].to_numpy().ravel())
