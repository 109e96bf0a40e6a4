"""`skcnn generate`: images of a saved generator, as files or as one grid."""

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from toy import TINY

import skcnn
from skcnn.cli import main
from skcnn.decomposition import VariationalAutoencoder
from skcnn.generative import ImageGAN


@pytest.fixture(scope="module")
def gan():
    X = np.random.default_rng(0).integers(0, 256, (16, 6, 6), np.uint8)
    y = np.repeat(["cat/dog", "other"], 8)
    parameters = {"n_components": 3, "filters": (8,), "epochs": 1, "batch_size": 8, "n_critic": 1, "ema": 0.5}
    return ImageGAN(conditional=True, **parameters, n_evaluations=0, random_state=0, verbose=0).fit(X, y)


@pytest.fixture(scope="module")
def saved(gan, tmp_path_factory):
    path = tmp_path_factory.mktemp("gan") / "gan.skcnn"
    skcnn.save(gan, path)
    return str(path)


def test_one_file_per_image(gan, saved, tmp_path, capsys):
    folder = tmp_path / "new"
    assert main(["generate", saved, "-n", "11", "-o", str(folder), "--seed", "5"]) == 0
    assert capsys.readouterr().out == f"{folder}: 11 images\n"
    names = sorted(path.name for path in folder.iterdir())
    assert names[:2] == ["01_cat_dog.png", "02_other.png"]
    expected = gan.sample(11, np.resize(gan.classes_, 11), random_state=5)
    found = np.stack([np.asarray(Image.open(folder / name)) for name in names])
    np.testing.assert_array_equal(found, expected)
    # Nothing is replaced: the numbers go on.
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / "notes.txt").touch()
    assert main(["generate", saved, "-n", "2", "-o", str(folder), "--label", "other"]) == 0
    assert "2 images, from number 12 on: the others were there before" in capsys.readouterr().out
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".png"}
    assert set(after) - set(before) == {"12_other.png", "13_other.png"}
    assert {name: after[name] for name in before} == before


def test_one_grid(gan, saved, tmp_path, capsys):
    path = tmp_path / "grid.png"
    assert main(["generate", saved, "-n", "5", "-o", str(path), "--label", "other", "--scale", "2"]) == 0
    grid = np.asarray(Image.open(path))
    assert grid.shape == (2 * 12 + 2, 3 * 12 + 4)
    expected = gan.sample(5, "other", random_state=0)
    np.testing.assert_array_equal(grid[14:26:2, 14:26:2], expected[4])
    assert (grid[14:, 28:] == 255).all()
    assert capsys.readouterr().out == f"{path}: 5 images\n"


def test_other_generators(tmp_path, capsys):
    X = np.random.default_rng(0).integers(0, 256, (16, 8, 8), np.uint8)
    skcnn.save(VariationalAutoencoder(2, **TINY).fit(X), tmp_path / "vae.skcnn")
    assert main(["generate", str(tmp_path / "vae.skcnn"), "-n", "3", "-o", str(tmp_path / "new")]) == 0
    assert len(list((tmp_path / "new").iterdir())) == 3
    assert main(["generate", str(tmp_path / "vae.skcnn"), "-o", str(tmp_path / "new"), "--label", "a"]) == 1
    assert "have no classes" in capsys.readouterr().err


def test_errors(saved, tmp_path, capsys):
    assert main(["generate", saved, "-o", str(tmp_path / "a"), "--label", "dog"]) == 1
    assert "--label dog; expected one of the classes cat/dog, other" in capsys.readouterr().err
    skcnn.save(LogisticRegression(), tmp_path / "other.skcnn")
    assert main(["generate", str(tmp_path / "other.skcnn"), "-o", str(tmp_path / "a")]) == 1
    assert "holds a LogisticRegression, which generates nothing" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("name", ["grid.jpg", "new.skcnn", "s3://bucket/new"])
def test_outputs_that_are_neither_a_folder_nor_a_grid(name, saved, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["generate", saved, "-o", name])
    assert f"got {name}; expected a folder, or a name that ends in .png for one grid" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_outputs_that_cannot_be_written(saved, tmp_path, capsys):
    (tmp_path / "file").write_text("kept")
    assert main(["generate", saved, "-o", str(tmp_path / "file")]) == 1
    assert "is a file; expected a folder to write to" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "kept"
    assert main(["generate", saved, "-o", str(tmp_path / "none" / "grid.png")]) == 1
    assert "none does not exist; create it first" in capsys.readouterr().err


def test_a_folder_may_be_called_anything(saved, tmp_path):
    for name in ("cats.v2", "old.png"):
        (tmp_path / "old.png").mkdir(exist_ok=True)
        assert main(["generate", saved, "-n", "2", "-o", str(tmp_path / name)]) == 0
        assert len(list((tmp_path / name).iterdir())) == 2
