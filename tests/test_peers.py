"""The benchmark of other tools: splits, scores and tables, what it says went wrong, and its smallest rows once more."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, log_loss

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
RESULTS = BENCHMARKS / "results" / "peers.json"


@pytest.fixture
def script(monkeypatch):
    """Return a benchmark's module by its name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.syspath_prepend(str(BENCHMARKS / "peers"))
    return importlib.import_module


@pytest.fixture
def classes(tmp_path) -> Path:
    """A folder with two classes of five images each: red above blue, and blue above red."""
    generator = np.random.default_rng(0)
    for name, channel in (("blue", 2), ("red", 0)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(5):
            pixels = generator.integers(0, 90, (24, 32, 3), np.uint8)
            pixels[:12, :, channel] = 250
            pixels[12:, :, 2 - channel] = 250
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{number}.jpg")
    return tmp_path / "data"


def test_splits_are_fixed_and_apart(script, classes, tmp_path):
    task = script("_peer_tasks").TASKS["flowers5"]
    first, second = (task.lay_out(classes, tmp_path / name, 3, 2) for name in "ab")
    assert first == second == {"train": 6, "test": 4, "digest": first["digest"]}
    parts = [
        {path.relative_to(tmp_path / "a" / part) for path in (tmp_path / "a" / part).glob("*/*.jpg")}
        for part in ("train", "test")
    ]
    assert [len(part) for part in parts] == [6, 4]
    assert not parts[0] & parts[1]
    assert task.lay_out(classes, tmp_path / "c", 2, 2)["digest"] != first["digest"]


def test_scores_are_those_of_scikit_learn(script, classes, tmp_path):
    task = script("_peer_tasks").TASKS["flowers5"]
    task.lay_out(classes, tmp_path, 3, 2)
    paths = sorted(map(str, (tmp_path / "test").glob("*/*")))
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
    true = [0, 0, 1, 1]
    order = [2, 0, 3, 1]
    row = task.score(tmp_path, [paths[index] for index in order], probabilities[order])
    assert row["accuracy"] == accuracy_score(true, probabilities.argmax(1))
    assert row["log_loss"] == pytest.approx(log_loss(true, probabilities))
    assert row["wrong"] == [1]
    with pytest.raises(ValueError, match="Got predictions for 3 images; expected 4"):
        task.score(tmp_path, paths[:3], probabilities[:3])


def test_lines_of_code(script):
    lines = ['"""Text', 'of a script."""', "", "import a  # b", "", "# comment", "def fit():", '    """Text."""']
    lines += ["    return a", "", "", "def search():", "    return 1", ""]
    source = "\n".join(lines)
    assert script("_peer_tables").lines_of_code(source) == 3


def test_intervals(script):
    tables = script("_peer_tables")
    interval = binomtest(54, 60).proportion_ci(method="wilson")
    assert tables.wilson(0.9, 60) == pytest.approx((interval.low, interval.high), abs=1e-4)
    value, low, high = tables.paired([1, 2], [2, 3, 4, 5], 100)
    assert value == pytest.approx(0.02)
    differences = np.repeat([1.0, -1.0, 0.0], [3, 1, 96])
    assert high - low == pytest.approx(2 * 1.96 * differences.std(ddof=1) / 10)


def test_a_process_is_measured(script, tmp_path):
    code = "import time; held = bytearray(80_000_000)\nwhile time.process_time() < 0.3: pass\nraise SystemExit(3)"
    used = script("peers").measured([sys.executable, "-c", code], {}, tmp_path / "log.txt")
    assert used["returncode"] == 3
    assert used["processors"] >= 0.3
    assert used["peak_mb"] >= 80


class Nearest:
    """A tool that remembers mean colours; ``keeps`` makes ``refit`` go on with what it knew, ``skips`` hides errors."""

    __name__ = "nearest"

    def __init__(self, keeps=False, skips=False):
        self.keeps, self.skips = keeps, skips

    def read(self, folder):
        paths, colours = [], []
        for path in sorted(Path(folder).glob("*/*")):
            try:
                with Image.open(path) as image:
                    colours.append(np.asarray(image.convert("RGB"), float)[:12].mean((0, 1)))
            except OSError:
                if not self.skips:
                    raise
                continue
            paths.append(path)
        return paths, np.array(colours), np.array([path.parent.name for path in paths])

    def fit(self, folder, weights, seed):
        _, colours, labels = self.read(folder)
        return {label: colours[labels == label].mean(axis=0) for label in np.unique(labels)}

    def predict(self, model, folder):
        paths, colours, _ = self.read(folder)
        scores = np.exp([[-np.abs(one - centre).sum() / 50 for centre in model.values()] for one in colours])
        return paths, scores / scores.sum(axis=1, keepdims=True)

    def refit(self, model, folder):
        return model if self.keeps else self.fit(folder, "", 0)


def test_what_goes_wrong_is_seen(script, classes, tmp_path):
    child = script("_child")
    script("_peer_tasks").TASKS["flowers5"].lay_out(classes, tmp_path, 3, 2)
    folders = str(tmp_path / "train"), str(tmp_path / "test"), ""
    right, wrong = Nearest(), Nearest(keeps=True, skips=True)
    assert child.trouble_no_image(right, *folders) == "UnidentifiedImageError, names the file"
    assert child.trouble_truncated(right, *folders) == "OSError, does not name the file"
    assert child.trouble_no_image(wrong, *folders) == child.trouble_truncated(wrong, *folders) == "silent"
    assert child.trouble_turned(right, *folders).startswith("silent: other probabilities")
    assert child.trouble_twice(right, *folders) == "the same"
    assert child.trouble_again(right, *folders) == "starts afresh"
    assert child.trouble_again(wrong, *folders).startswith("silent: goes on from the old weights")
    assert child.trouble_search(right, *folders) == "no estimator from files on"


def test_ratios_are_of_the_same_rounds(script):
    tables = script("_peer_tables")
    ours = [{"seed": seed, "processors": seconds, "peak_mb": 90.0} for seed, seconds in enumerate([10, 20, 40])]
    theirs = [{"seed": seed, "processors": seconds, "peak_mb": 80.0} for seed, seconds in enumerate([20, 20, 60])]
    assert tables.times_of(ours, theirs) == "1.5 (1.0 to 2.0)"
    assert tables.times_of(ours, theirs[:1]) == "2.0"
    assert tables.times_of([], theirs) == ""
    assert tables.costs_of(ours, theirs) == ["20 (20 to 60)", "1.5 (1.0 to 2.0)", "80 (80 to 80)"]
    assert tables.first_of([{"accuracy": 0.5, "seed": 0}, {"accuracy": 0.75, "seed": 1}])["range"] == "0.500 to 0.750"


def test_a_row_that_failed_says_why(script):
    about = {"title": "tool", "lines": 9, "versions": {}, "environment": "torch"}
    row = {"task": "flowers5", "peer": "tool", "seed": 0, "processors": 2.0, "peak_mb": 90.0, "failed": "OSError: no"}
    sizes = {"train": 6, "test": 4, "digest": "d"}
    report = {"peers": {"tool": about}, "tasks": {"flowers5": sizes}, "runs": [row], "troubles": {}}
    assert "| tool | 9 | OSError: no |" in script("_peer_tables").as_markdown(report)


def test_the_page_has_the_tables_of_the_results(script):
    page = (ROOT / "docs" / "evidence.md").read_text(encoding="utf-8")
    assert script("_peer_tables").as_markdown(json.loads(RESULTS.read_text())) in page


def test_every_tool_has_its_script_versions_and_split(script):
    peers, report = script("peers"), json.loads(RESULTS.read_text())
    assert all(about["versions"] and about["lines"] > 0 for about in report["peers"].values())
    for peer in peers.PEERS:
        source = (BENCHMARKS / "peers" / f"{peer}.py").read_text()
        assert all(f"def {name}(" in source or f"{name}, " in source for name in ("fit", "predict", "save"))
    assert all(row["task"] in report["tasks"] and row["date"] for row in report["runs"])
    others = {row["peer"] for row in report["runs"] if "accuracy" in row and not row["peer"].startswith("skcnn")}
    assert len(others) >= 6


@pytest.mark.slow
@pytest.mark.parametrize("peer", ["skcnn_logistic", "keras_features", "scikeras_classifier"])
def test_the_smallest_rows_again(script, shared, tmp_path, peer):
    if peer.startswith("scikeras"):
        pytest.importorskip("scikeras", reason="SciKeras is not installed")
    path, tables = tmp_path / "again.json", script("_peer_tables")
    command = ["run", "--task", "flowers5", "--data", str(shared / "data" / "flowers5"), "--rounds", "1"]
    weights = str(shared / "weights" / "mobilenet_v2_1.0_224.weights.h5")
    script("peers").main([*command, "--weights", weights, "--peers", peer, "--json", str(path)])
    again, before = json.loads(path.read_text()), json.loads(RESULTS.read_text())
    assert again["tasks"]["flowers5"] == before["tasks"]["flowers5"]
    (new,) = again["runs"]
    old = tables.runs_of(before, "flowers5", peer)[0]
    low, high = tables.wilson(old["accuracy"], before["tasks"]["flowers5"]["test"])
    assert low <= new["accuracy"] <= high
    assert abs(new["log_loss"] - old["log_loss"]) <= 1.96 * old["log_loss_error"]
