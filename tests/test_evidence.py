"""The page of evidence says what the results say, and the smallest row of each file comes out the same again."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_1samp

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
FILES = ("accuracy", "published", "cost_curves", "quantisation")


@pytest.fixture
def script(monkeypatch):
    """Return a benchmark's module by its name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def test_the_page_is_made_of_the_results(script):
    evidence = script("evidence")
    page = evidence.PAGE.read_text(encoding="utf-8")
    assert evidence.filled(page, evidence.tables()) == page


def test_tables_without_a_place_raise(script):
    filled = script("evidence").filled
    assert filled("<!-- made: a -->\n<!-- end -->\n<!-- made: b -->\nold\n<!-- end -->", {"a": "1", "b": "2"}) == (
        "<!-- made: a -->\n1\n<!-- end -->\n<!-- made: b -->\n2\n<!-- end -->"
    )
    with pytest.raises(ValueError, match="marks for"):
        filled("<!-- made: a -->\n<!-- end -->", {"a": "1", "b": "2"})


@pytest.mark.parametrize("name", FILES)
def test_results_say_where_they_are_from(name):
    result = json.loads((BENCHMARKS / "results" / f"{name}.json").read_text())
    assert all({"processor", "cores", "versions", "gpu"} <= one.keys() for one in result["machines"])
    assert result["setting"]["seeds"]
    assert result["setting"]["command"].startswith("python benchmarks/")
    assert result["rows"]
    assert all(row["date"] and row["machine"] < len(result["machines"]) for row in result["rows"])


def test_interval_is_that_of_the_t_test(script):
    interval = script("_results").interval
    values = np.random.default_rng(0).normal(size=5)
    low, high = ttest_1samp(values, 0).confidence_interval(0.95)
    assert interval(values) == pytest.approx((values.mean(), low, high))
    # Five folds: 1/5 becomes 1/5 + 1/4, and the interval 1.5 times as wide.
    mean, low, high = interval(values, test_per_train=1 / 4)
    assert high - mean == pytest.approx(1.5 * (interval(values)[2] - mean))
    assert low == pytest.approx(2 * mean - high)
    assert np.isnan(interval([0.5])[1:]).all()


def test_exponent_of_a_power(script):
    n = np.array([1, 10, 100, 1000])
    assert script("cost_curves").exponent(n, 3 * n**1.5) == pytest.approx((1.5, 0), abs=1e-9)


def test_differences_are_paired_by_fold(script):
    evidence = script("evidence")
    common = {"data": "d", "network": "n", "n_folds": 5, "n_test": 20, "n_train": 80}
    easy = [0.9, 0.7, 0.8, 0.6, 0.95]
    scores = {"minibatch": easy, "classic": [one - gain for one, gain in zip(easy, [0.02, 0.03] * 3, strict=False)]}
    rows = [
        {**common, "method": method, "fold": fold, "scores": [{"accuracy": value, "log_loss": 1 - value}]}
        for method, values in scores.items()
        for fold, value in reversed(list(enumerate(values)))
    ]
    found = evidence.difference(rows, "d", "n", "classic", "accuracy")
    assert found == pytest.approx(script("_results").interval([0.02, 0.03, 0.02, 0.03, 0.02], test_per_train=0.25))
    assert evidence.verdict(found, "accuracy") == "better"
    assert evidence.verdict(evidence.difference(rows, "d", "n", "classic", "log_loss"), "log_loss") == "better"
    assert evidence.verdict((0.01, -0.01, 0.03), "accuracy") == "no difference shown"
    assert evidence.difference(rows, "d", "n", "frozen", "accuracy") is None


def test_rows_are_kept_and_replaced(script, tmp_path):
    results = script("_results").Results
    path = tmp_path / "results" / "x.json"
    one, other = (results(path, ("name",), seeds=[0]) for _ in range(2))
    one.add({"name": "b", "value": 1})
    other.add({"name": "a", "value": 2})  # read before the first was written
    one.add({"name": "b", "value": 3})
    held = results(path, ("name",), seeds=[0])
    assert [(row["name"], row["value"]) for row in held.rows] == [("a", 2), ("b", 3)]
    assert held.find(name="a")[0]["value"] == 2
    assert not held.find(name="c")


def smallest(name, *, of):
    """Return the row that took least, of those that ``of`` accepts."""
    rows = json.loads((BENCHMARKS / "results" / f"{name}.json").read_text())["rows"]
    return min((row for row in rows if of(row)), key=lambda row: row["cpu_s"])


def folders(shared, tmp_path):
    return [str(shared / "data"), "--weights", str(shared / "weights"), "--cache", str(tmp_path / "cache")]


@pytest.mark.slow
def test_the_smallest_row_of_accuracy_again(script, shared, tmp_path):
    accuracy, evidence = script("accuracy"), script("evidence")
    row = smallest("accuracy", of=lambda row: row["method"] == "minibatch" and row["fold"] == 0)
    path = tmp_path / "again.json"
    # Species and breed have the same features, which have the name of the former.
    feature_data = "pets370 species" if row["data"].startswith("pets370") else row["data"]
    common = [*folders(shared, tmp_path), "--json", str(path), "--only-network", row["network"]]
    accuracy.main([*common, "--step", "features", "--only-data", feature_data])
    accuracy.main([*common, "--step", "heads", "--only-data", row["data"], "--only-method", "minibatch"])
    again = json.loads(path.read_text())["rows"]
    before = evidence.load("accuracy")["rows"]
    for metric in ("accuracy", "log_loss"):
        new, old = (
            evidence.values(evidence.cell_of(rows, row["data"], row["network"], "minibatch"), metric)
            for rows in (again, before)
        )
        _, low, high = script("_results").interval(old, test_per_train=evidence.test_per_train(row))
        assert low <= np.mean(new) <= high


@pytest.mark.slow
def test_the_smallest_row_of_published_again(script, shared, tmp_path):
    published, evidence = script("published"), script("evidence")
    row = smallest("published", of=lambda row: row["experiment"] == "breeds" and row["method"] == "bagged")
    assert row["network"] == "MobileNetV2"
    path, pets = tmp_path / "again.json", shared / "data" / "pets370"
    network = f"MobileNetV2={shared / 'weights' / 'mobilenet_v2_1.0_224.weights.h5'}"
    command = ["breeds", str(pets / "index.csv"), "--images", str(pets / "images"), "--network", network]
    published.main([*command, "--name", row["data"], "--json", str(path)])
    published.main(["thresholds", "--json", str(path)])
    again = json.loads(path.read_text())["rows"]
    before = evidence.load("published")["rows"]
    same = [one for one in before if [one[key] for key in published.KEY[:4]] == [row[key] for key in published.KEY[:4]]]
    (new,) = (one for one in again if one["method"] == "bagged")
    for metric in ("accuracy", "log_loss"):
        # One split, where the interval is of the mean of several.
        spread = np.std([one[metric] for one in same], ddof=1)
        assert abs(new[metric] - np.mean([one[metric] for one in same])) <= 4 * spread
    counted = [one for one in again if one["experiment"] == "thresholds"]
    assert counted
    assert all(one["equal"] for one in counted)


@pytest.mark.slow
def test_the_smallest_row_of_cost_curves_again(script, tmp_path):
    costs = script("cost_curves")
    row = smallest("cost_curves", of=lambda row: row["curve"] == "head fit, images")
    path = tmp_path / "again.json"
    costs.main([str(tmp_path), "--curves", row["curve"], "--most", str(row["n"]), "--json", str(path)])
    (new,) = json.loads(path.read_text())["rows"]
    # How fast a machine is, no test asks; memory is the same anywhere but for the libraries.
    assert new["n"] == row["n"]
    assert 0.6 <= new["peak_mb"] / row["peak_mb"] <= 1.6
