import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pandas as pd
import pytest
import sklearn.datasets
from PIL import Image
from sklearn.utils import Bunch

import skcnn
from skcnn.backbones import get_backbone
from skcnn.cache import FeatureCache, memory_cache
from skcnn.cli import main
from skcnn.datasets import load_digit_images, load_image_folder

RESNET20 = ["--backbone", "ResNet20", "--quiet"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Digits 0, 1 and 10 (which are twos), 20 images each, in two folders: train and test."""
    root = tmp_path_factory.mktemp("digits")
    digits = load_digit_images()
    for digit, name in ((0, "0"), (1, "1"), (2, "10")):
        images = digits.data[digits.target == digit][:40]
        for index, pixels in enumerate(images):
            folder = root / ("train" if index < 20 else "test") / name
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"{index}.png")
    return root


@pytest.fixture(scope="module")
def model(folders):
    path = folders / "digits.skcnn"
    assert main(["fit", str(folders / "train"), "-o", str(path), *RESNET20, "--pooling", "none"]) == 0
    return path


def test_fit_tells_what_it_did(folders, tmp_path, capsys):
    path = tmp_path / "model.skcnn"
    assert main(["fit", str(folders / "train"), "-o", str(path), *RESNET20, "--cv", "4"]) == 0
    out = capsys.readouterr().out
    assert "60 images of 3 classes: 0, 1, 10" in out
    assert "4-fold cross-validation" in out
    assert re.search(r"[Aa]ccuracy", out)
    assert f"Saved: {path}" in out
    assert path.exists()


def test_evaluate(folders, model, tmp_path, capsys):
    html = tmp_path / "report.html"
    assert main(["evaluate", str(model), str(folders / "test"), "--html", str(html), "--quiet"]) == 0
    out = capsys.readouterr().out
    accuracy = float(re.search(r"[Aa]ccuracy\D*([01]\.\d+)", out).group(1))
    assert accuracy > 0.8
    assert re.search(r"Accuracy +\S+ +\(\S+ to \S+\)", out)
    assert html.read_text().lstrip().lower().startswith("<!doctype html>")


def test_compare(folders, model, tmp_path, capsys):
    other, html = tmp_path / "coarse.skcnn", tmp_path / "comparison.html"
    coarse = [*RESNET20, "--layers", "stage1_unit1", "--cv", "0"]
    assert main(["fit", str(folders / "train"), "-o", str(other), *coarse]) == 0
    capsys.readouterr()
    test = str(folders / "test")
    assert main(["compare", str(model), str(other), test, "--html", str(html), "--quiet"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("60 images of test.\n")
    header = next(line for line in out.splitlines() if line.split()[-1:] == ["difference"])
    assert header.split() == ["digits", "coarse", "difference"]
    accuracy = next(line for line in out.splitlines() if line.startswith("Accuracy"))
    values = [float(value.replace("\u2212", "-")) for value in re.findall(r"(\S+) \(\S+ to \S+\)", accuracy)]
    expected = [np.mean(skcnn.load(path).predict(paths_of(test)) == labels_of(test)) for path in (model, other)]
    np.testing.assert_allclose(values, [*expected, expected[1] - expected[0]], atol=6e-4)
    assert "coarse against digits" in html.read_text("utf-8")


def test_compare_wants_two_models(folders, model, capsys):
    assert main(["compare", str(model), str(folders / "test")]) == 1
    assert "test is a folder; expected a file that skcnn.save wrote" in capsys.readouterr().err


def paths_of(folder: str) -> list[str]:
    return load_image_folder(folder).frame["path"].tolist()


def labels_of(folder: str) -> np.ndarray:
    return np.asarray(load_image_folder(folder).target)


def test_predict(folders, model, capsys):
    paths = [str(folders / "test" / name / "30.png") for name in ("0", "1", "10")]
    assert main(["predict", str(model), *paths, "--top", "2"]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == [path for path in paths for _ in range(2)]
    assert [line[1] for line in lines[::2]] == list(skcnn.load(model).predict(paths))
    assert lines[0][1] == "0"
    probabilities = np.array([float(line[2]) for line in lines]).reshape(3, 2)
    assert (probabilities[:, 0] >= probabilities[:, 1]).all()


@pytest.mark.parametrize(("suffix", "read"), [("parquet", pd.read_parquet), ("csv", pd.read_csv)])
def test_extract(folders, tmp_path, suffix, read, capsys):
    path = tmp_path / f"features.{suffix}"
    layers = ["--layers", "stage1_unit3", "stage3_unit3"]
    assert main(["extract", str(folders / "test"), "-o", str(path), *RESNET20, *layers]) == 0
    frame = read(path)
    assert frame.shape == (60, 2 + 16 + 64)
    assert list(frame.columns[:3]) == ["path", "label", "ResNet20_stage1_unit3_avg_0"]
    assert sorted(frame["label"].astype(str).unique()) == ["0", "1", "10"]
    assert "60 images, 80 features" in capsys.readouterr().out
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_table_in_place_of_a_folder(folders, tmp_path, capsys):
    frame = pd.DataFrame(
        [(str(path), path.parent.name) for path in sorted((folders / "train").glob("*/*.png"))],
        columns=["path", "label"],
    )
    frame.to_csv(tmp_path / "train.csv", index=False)
    assert main(["fit", str(tmp_path / "train.csv"), "-o", str(tmp_path / "m.skcnn"), *RESNET20, "--cv", "0"]) == 0
    assert "60 images of 3 classes" in capsys.readouterr().out


def test_missing_weights_in_the_words_of_the_command(folders, tmp_path, monkeypatch, capsys):
    def no_network(url, timeout):
        raise URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", no_network)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    path = get_backbone("VGG16").published_file.path
    fit = ["fit", str(folders / "train"), "-o", str(tmp_path / "m.skcnn"), "--backbone", "VGG16", "--engine", "keras"]
    for command in (fit, ["backbones", "--download", "ResNet20", "VGG16"]):
        assert main(command) == 1
        err = capsys.readouterr().err
        assert err.startswith("skcnn: error: The weights of VGG16 could not be downloaded: no route to host.\n")
        assert f"\n  curl -f -L -o {path} https://" in err
        for option in ("--weights PATH", "--backbone ResNet20"):
            assert (option in err) == (command is fit)
        assert "weights=" not in err
    path.touch()
    assert main(["backbones", "--download", "ResNet20", "VGG16"]) == 0
    assert capsys.readouterr().out == f"ResNet20: its weights come with skcnn\nVGG16: {path}\n"


def test_backbones(capsys):
    assert main(["backbones"]) == 0
    out = capsys.readouterr().out
    assert "MobileNetV2" in out
    assert "224 x 224" in out
    assert "cifar10" in out


@pytest.fixture
def cache(tmp_path):
    cache = FeatureCache(tmp_path / "cache")
    cache.put_many("net", [b"1", b"2"], np.ones((2, 250_000)))
    cache.count_hits(3)
    return cache


def test_cache_info_and_clear(cache, capsys):
    folder = str(cache.folder)
    assert main(["cache", "info", folder]) == 0
    out = capsys.readouterr().out
    assert "2 records, 2.0 MB" in out
    assert "2 passes" in out
    assert "3 rows" in out
    assert main(["cache", "verify", folder]) == 0
    assert "2 records, all valid" in capsys.readouterr().out
    assert main(["cache", "clear", folder]) == 0
    assert "2 records, 2.0 MB" in capsys.readouterr().out
    assert cache.info().n_records == 0
    assert sum(file.stat().st_size for file in cache.folder.iterdir() if file.is_file()) < 500_000


def test_cache_verify_tells_what_is_bad(cache, capsys):
    with sqlite3.connect(cache.folder / "features.sqlite") as connection:
        connection.execute("UPDATE contents SET content = zeroblob(4) WHERE id = 1")
    connection.close()
    assert main(["cache", "verify", str(cache.folder)]) == 1
    assert capsys.readouterr().err == "skcnn: error: bad entries removed: 1; valid: 1 record\n"
    assert main(["cache", "verify", str(cache.folder)]) == 0


@pytest.mark.parametrize("action", ["info", "clear", "verify"])
def test_a_folder_that_is_no_cache_is_left_alone(action, tmp_path, capsys):
    file = tmp_path / "features.sqlite"
    assert main(["cache", action, str(tmp_path)]) == 1
    assert "is not a cache directory" in capsys.readouterr().err
    file.write_bytes(b"something else" * 100)
    assert main(["cache", action, str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert "not a database" in err
    assert err.count("\n") == 1
    assert file.read_bytes() == b"something else" * 100
    assert list(tmp_path.iterdir()) == [file]


def test_demo(tmp_path, capsys, monkeypatch):
    memory_cache().clear()
    # The whole of it but for the number of digits, which costs a minute.
    for module, name in ((skcnn.datasets, "load_digit_images"), (sklearn.datasets, "load_digits")):
        digits = getattr(module, name)()
        few = Bunch(data=digits.data[:300], target=digits.target[:300])
        monkeypatch.setattr(module, name, lambda few=few: few)
    html = tmp_path / "demo.html"
    assert main(["demo", "--html", str(html), "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "logistic regression on raw pixels" in out
    # 210 images for each of 3 layers and the 90 of the test; not for every fold of 6 candidates.
    assert "took 720 passes of an image through the network; without the cache: 6,600." in out
    assert html.exists()


def test_the_demo_names_commands_that_can_be_typed(monkeypatch):
    from skcnn.cli._demo import _program

    monkeypatch.setattr("shutil.which", {"skcnn": "/usr/bin/skcnn"}.get)
    assert _program() == "skcnn"
    monkeypatch.setattr("shutil.which", {}.get)
    monkeypatch.setattr("sys.argv", [".venv/bin/skcnn", "demo"])
    assert _program() == ".venv/bin/skcnn"
    monkeypatch.setattr("sys.argv", ["/x/skcnn/__main__.py", "demo"])
    assert _program() == f"{sys.executable} -m skcnn"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "no-such-folder", "-o", "m.skcnn"], "no-such-folder"),
        (["fit", "no-such.csv", "-o", "m.skcnn"], "no-such.csv"),
        (["fit", ".", "-o", "no-such-folder/m.skcnn"], "no-such-folder"),
        (["evaluate", "no-such.skcnn", "."], "no-such.skcnn"),
        (["predict", "no-such.skcnn", "a.jpg"], "no-such.skcnn"),
        (["fit", "some.txt", "-o", "m.skcnn"], "some.txt"),
        (["check", "none.jpg"], "none.jpg: no such file or folder; expected an image, a folder, a .csv or a URL"),
    ],
)
def test_errors_are_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    err = capsys.readouterr().err
    assert err.startswith("skcnn: error: ")
    assert message in err
    assert err.count("\n") == 1
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_bad_images_are_named(model, tmp_path, capsys):
    path = tmp_path / "cut.png"
    path.write_bytes(b"no image")
    assert main(["predict", str(model), str(path)]) == 1
    assert f"row 0: {path}: not an image of a known format" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("classes", "cv", "message"),
    [
        (["0"], "5", "contains one class (0); at least two"),
        (["0", "1"], "21", "--cv 21; expected 2 to 20 folds"),
        (["0", "1"], "1", "--cv 1;"),
    ],
)
def test_too_little_to_learn_from_is_told_at_once(folders, tmp_path, classes, cv, message, monkeypatch, capsys):
    monkeypatch.setattr("skcnn.feature_extraction.BottleneckFeatures.fit", None)  # nothing goes through a network
    table = load_image_folder(folders / "train", categories=classes).frame
    table.to_csv(tmp_path / "data.csv", index=False)
    assert main(["fit", str(tmp_path / "data.csv"), "-o", str(tmp_path / "m.skcnn"), "--cv", cv, *RESNET20]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.filterwarnings("default:load_image_folder")
def test_whatever_names_hold(folders, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    classes = {"0": "caf\udce9", "1": "<script>\x1b[2J"}
    for digit, name in classes.items():
        (tmp_path / "data" / name).mkdir(parents=True)
        for place, file in enumerate(["\udcff.png", "a\nb.png", "\u202e.png"]):
            shutil.copy(folders / "train" / digit / f"{place}.png", tmp_path / "data" / name / file)
    (tmp_path / "data" / "caf\udce9" / "out.png").symlink_to(folders / "train" / "0" / "9.png")

    def said(*arguments) -> tuple[str, str]:
        assert main([*arguments, "--quiet"]) == 0
        out, err = capsys.readouterr()
        assert not set("\x1b\u202e\udce9\udcff") & set(out + err)
        return out, err

    out, err = said("fit", "data", "-o", "m.skcnn", "--backbone", "ResNet20", "--cv", "0")
    assert r"6 images of 2 classes: <script>\x1b[2J, caf\udce9" in out
    # A warning is a line, without the place in the source.
    assert err.startswith("skcnn: warning: load_image_folder('data') passed over 1 symbolic link")
    assert err.count("\n") == 1
    out, err = said("evaluate", "m.skcnn", "data")
    assert r"caf\udce9" in out
    assert err.startswith("skcnn: warning: ")
    out, _ = said("predict", "m.skcnn", *(f"data/{name}/a\nb.png" for name in classes.values()))
    assert [line.split("\t")[0] for line in out.splitlines()] == [
        r"data/caf\udce9/a\nb.png",
        r"data/<script>\x1b[2J/a\nb.png",
    ]
    for table in ("f.csv", "f.parquet"):
        said("extract", "data", "-o", table, "--backbone", "ResNet20")
    assert os.fsencode("data/caf\udce9/\udcff.png") in Path("f.csv").read_bytes()
    assert r"data/caf\udce9/\udcff.png" in set(pd.read_parquet("f.parquet")["path"])


def test_what_is_not_there_is_reported_before_anything_is_imported(tmp_path, model, folders):
    (tmp_path / "flowers").mkdir()
    code = (
        "import sys; from skcnn.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('sklearn', 'pandas', 'scipy', 'matplotlib', 'keras') if name in sys.modules])"
    )
    several = [
        (["fit", "flwoers", "-o", "m.skcnn"], "Did you mean 'flowers'?"),
        (["fit", "flowers", "-o", "m.skcnn", "--backbone", "resnet5"], "Did you mean 'ResNet50'"),
        (["predict", "no-such.skcnn", "a.jpg"], "no-such.skcnn: no such file"),
        (["predict", str(folders / "train" / "0" / "0.png"), "a.jpg"], "is not a file that skcnn.save wrote"),
    ]
    for arguments, message in several:
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=tmp_path)
        assert done.stdout == "[]\n", arguments
        assert message in done.stderr


def test_debug_shows_the_traceback():
    with pytest.raises(FileNotFoundError):
        main(["predict", "no-such.skcnn", "a.jpg", "--debug"])


FIT = ["fit", ".", "-o", "m.skcnn"]
USAGE_ERRORS = [
    ([], "required: COMMAND"),
    (["fti"], "Did you mean 'fit'?"),
    (["cache", "drop", "."], "invalid choice: 'drop'"),
    (["cache", "inf", "."], "Did you mean 'info'?"),
    (["fit"], "required: data, -o/--output"),
    ([*FIT, "--alpha", "much"], "got much; expected auto or a number > 0"),
    ([*FIT, "--test-size", "1.5"], "got 1.5; expected a fraction in (0, 1)"),
    ([*FIT, "--cv", "-1"], "got -1; expected an integer >= 0"),
    ([*FIT, "--batch-size", "x"], "got x; expected an integer >= 1"),
    ([*FIT, "--backbone", "mobilnetv2"], "there is no backbone 'mobilnetv2'. Did you mean 'MobileNetV2' or"),
    ([*FIT, "--backbone", "mobilenetv2"], "Did you mean 'MobileNetV2'?"),
    ([*FIT, "--tets-size", "0.2"], "unrecognized arguments: --tets-size 0.2. Did you mean '--test-size'"),
    ([*FIT, "--epochs", "2"], "--epochs needs --fine-tune"),
    ([*FIT, "--fine-tune", "--alpha", "1"], "--alpha cannot be used with --fine-tune"),
    ([*FIT, "--search", "--layers", "a"], "leave out --layers and --alpha"),
    ([*FIT, "--head", "logistic", "--alpha", "1"], "--alpha is the penalty of --head bagged-sgd"),
    ([*FIT, "--backbone", "VGG16", "--backbone", "VGG19"], "several --backbone need --search"),
    ([*FIT, "--weights", "a.h5", "--weights", "b.h5"], "several --weights need the form NAME=FILE"),
    (
        [*FIT, "--search", "--backbone", "VGG16", "--backbone", "VGG19", "--weights", "a.h5"],
        "several --backbone need --weights NAME=FILE for each: VGG16, VGG19",
    ),
    ([*FIT, "--cv", "0", "--html", "r.html"], "--html needs an estimate"),
    (["extract", ".", "-o", "features.xls"], "got features.xls; expected a name that ends in .parquet, .csv, .jsonl"),
    (["predict", "MobileNetV2", ".", "-o", "new.txt"], "such as new.csv, or a folder for masks"),
    (["duplicates", ".", "-o", "pairs.xls"], "got pairs.xls; expected a name that ends in .parquet, .csv, .jsonl"),
    (["duplicates", ".", "--min-similarity", "2"], "got 2; expected a number in (0, 1]"),
]


@pytest.mark.parametrize(("arguments", "message"), USAGE_ERRORS)
def test_usage_errors(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.startswith("skcnn")
    assert err.count("\n") == 2
    assert "--help` shows what is expected" in err


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["demo"],
        ["fit"],
        ["evaluate"],
        ["predict"],
        ["extract"],
        ["check"],
        ["duplicates"],
        ["backbones"],
        ["cache"],
    ],
)
def test_help(command, capsys):
    with pytest.raises(SystemExit) as caught:
        main([*command, "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert "usage: skcnn" in out
    assert "--debug" in out or command == []


def test_as_a_module_and_version():
    done = subprocess.run([sys.executable, "-m", "skcnn", "--version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"skcnn \d+\.\d+\.\d+\S*\n", done.stdout)


@pytest.mark.skipif(sys.platform == "win32", reason="the shell closes no streams")
@pytest.mark.parametrize(
    ("command", "closed", "code"),
    [("duplicates {} -o table.csv", "<&- >&- 2>&-", 3), ("backbones", ">&-", 0), ("cache info none", "2>&-", 1)],
)
def test_closed_streams(command, closed, code, folders, tmp_path):
    line = f"{sys.executable} -m skcnn {command.format(folders / 'train')} {closed}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    if "table" in command:  # and nothing else was written into it
        assert pd.read_csv(tmp_path / "table.csv").columns[0] == "row_a"


@pytest.mark.parametrize("command", ["evaluate {} {}/test --html {}", "predict {} {}/test/0/20.png", "backbones"])
def test_streams_that_are_none(command, folders, model, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    code = main(command.format(model, folders, tmp_path / "report.html").split())
    assert (code, sys.stdout, sys.stderr) == (0, None, None)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_pipes_and_devices_are_refused(folders, model, tmp_path, capsys):
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    for command in (
        f"predict {pipe} {folders}/test/0/20.png",
        f"predict {model} {pipe}",
        f"evaluate {model} {pipe}",
        f"evaluate {model} {folders}/test --html {pipe}",
        f"fit {pipe} -o {tmp_path}/a.skcnn",
        f"fit {folders}/train -o /dev/null",
        f"extract {folders}/train -o {tmp_path}/a.csv --cache {pipe}",
        f"cache info {pipe}",
    ):
        assert main([*command.split(), *([] if "cache info" in command else ["--quiet"])]) == 1, command
        assert re.search(r"is a (pipe|device); expected|not a regular file", capsys.readouterr().err), command
