"""The table of eight bits is made of its results; scripts that quantise and profile count and pair what they say."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    """Return a benchmark's module by its name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def committed(script):
    quantisation = script("quantisation")
    return quantisation, script("_results").Results(BENCHMARKS / "results" / "quantisation.json", quantisation.KEY)


def test_the_table_is_made_of_the_results(script):
    quantisation, results = committed(script)
    assert quantisation.tables(results) in (BENCHMARKS / "README.md").read_text(encoding="utf-8")
    assert {row["network"] for row in results.rows} == {*quantisation.TRAINED, *quantisation.RANDOM}


def test_calibration_sees_training_rows_alone(script):
    train = np.arange(0, 1000, 2)
    rows = script("quantisation").calibration_rows(train, 300)
    assert len(set(rows)) == 300
    assert set(rows) <= set(train)
    np.testing.assert_array_equal(rows, script("quantisation").calibration_rows(train, 300))


def test_differences_are_paired_by_fold(script):
    float32, drops = np.array([0.9, 0.8, 0.7, 0.85, 0.6]), np.array([0.01, 0.02, 0.01, 0.02, 0.015])
    folds = [
        {"n_train": 80, "n_test": 20, "accuracy": {"float32": a, "int8": a - drop}}
        for a, drop in zip(float32, drops, strict=True)
    ]
    half = 2.776445 * drops.std(ddof=1) * np.sqrt(1 / 5 + 1 / 4)  # Student's t for four degrees of freedom
    mean, low, high = -1.5, 100 * (-0.015 - half), 100 * (-0.015 + half)
    found = script("quantisation").difference(folds, "accuracy", "int8", 100.0)
    assert found == f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"


def test_cosines_by_hand(script):
    expected = np.array([[1, 0], [0, 2], [3, 4], [0, 0]], np.float32)
    found = np.array([[1, 1], [0, 5], [3, 4], [1, 1]], np.float32)  # a row of zeros has no direction
    assert script("quantisation").cosines(expected, found) == {"least": 0.70711, "median": 1.0}


def test_multiplications_are_those_of_keras(script):
    pytest.importorskip("openvino")
    networks, layer_times = script("_networks"), script("layer_times")
    plan = networks.plan_of("ResNet20", None)
    found = layer_times.multiplications(script("_openvino").Exported(plan).model())
    flops = networks.count_flops(plan.backbone.build(weights=None))
    assert 2 * sum(count for _, count in found.values()) == flops
    assert [kind for kind, _ in found.values()].count("first") == 1


@pytest.mark.slow
def test_layers_take_time(script, tmp_path, capsys):
    pytest.importorskip("openvino")
    path = tmp_path / "report.json"
    arguments = ["--backbone", "ResNet20", "--images", "16", "--rounds", "1", "--json", str(path)]
    script("layer_times").main(arguments)
    report = json.loads(path.read_text())
    assert {"float32", "float32, run by Keras", "bfloat16", "matrix product"} <= report["rounds"][0].keys()
    kinds = report["profiles"]["float32"]
    assert kinds["depthwise"]["layers"] == 0
    assert kinds["first"]["ms"] > 0
    assert "| first |" in capsys.readouterr().out


@pytest.mark.slow
def test_the_smallest_network_again(script, shared, tmp_path):
    pytest.importorskip("nncf")
    quantisation, results = committed(script)
    path = tmp_path / "again.json"
    folders = [str(shared / "data"), "--weights", str(shared / "weights"), "--cache", str(tmp_path / "cache")]
    quantisation.main([*folders, "--networks", "ResNet20", "--rounds", "1", "--results", str(path)])
    again = script("_results").Results(path, quantisation.KEY)
    drops = [
        [fold["accuracy"]["int8"] - fold["accuracy"]["float32"] for fold in one.find(network="ResNet20", part="fold")]
        for one in (results, again)
    ]
    _, low, high = script("_results").interval(drops[0], test_per_train=0.25)
    assert low <= np.mean(drops[1]) <= high
