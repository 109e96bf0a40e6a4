"""Is ``precision="int8"`` worth having? Eight bits beside bfloat16 and float32: speed, features and accuracy.

One command; a network that is in ``benchmarks/results/quantisation.json`` already does not run again::

    python benchmarks/quantisation.py data/ --weights weights/

It needs NNCF (``pip install nncf``), which quantises a network that was exported to OpenVINO after its training.
``data/`` has ``flowers5/``, one folder per class. Networks run as ``engine="openvino"`` runs them.

Speed: interleaved rounds of 128 images, pixels in memory, processor seconds; each ratio is the median of those within
a round, with its range. Accuracy: five folds, stratified, shuffled with seed 0. The network is quantised anew for each
fold, calibrated on 300 of its training images, and training and test images go through the same network; the head is
``BaggedSGDClassifier(random_state=0)``. Differences are paired by fold, with a 95 % interval by the corrected
resampled t test. The cosine is that of the features of a test image with those in float32: the smallest, and the
median. Networks without weights at hand have random ones, and only their speed is measured.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _evidence import Images, add_folders, load_images, network
from _networks import plan_of, random_weights
from _openvino import Exported
from _results import FOLDER, Budget, Results, Row, interval
from _rounds import interleaved, median, ratio, show_ratio, table

from skcnn.images import as_images, read_batches

PRECISIONS = ("float32", "bfloat16", "int8")
#: Networks whose weights are at hand, and those with random ones.
TRAINED = ("MobileNetV2", "MobileNet 0.25", "SqueezeNet", "ResNet20")
RANDOM = ("EfficientNetB0",)
KEY = ("network", "part", "fold")


def read_pixels(images: Images, rows: Sequence[int] | np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Return the pixels of images (n, height, width, 3), uint8."""
    paths = images.take(np.asarray(rows))
    batches = read_batches(as_images(paths), range(len(paths)), image_size, batch_size=64)
    return np.concatenate([batch.pixels for batch in batches])


def calibration_rows(train: np.ndarray, count: int) -> np.ndarray:
    """Return the training rows that a network is calibrated on."""
    return np.random.default_rng(0).permutation(train)[:count]


def measure_speed(exported: Exported, pixels: np.ndarray, options: argparse.Namespace) -> Row:
    """Return milliseconds of the processor per image in each precision, and ratios."""
    networks = {name: exported.network(name, pixels) for name in PRECISIONS}
    timed = pixels[: options.images]
    for one in networks.values():
        one.run(timed)
    rounds = interleaved({name: lambda n=one: n.run(timed) for name, one in networks.items()}, options.rounds)
    row: Row = {"n_images": len(timed), "rounds": options.rounds, "load": round(os.getloadavg()[0], 1)}
    for clock in ("cpu", "wall"):
        row[clock] = {name: round(1e3 * median(rounds, name, clock) / len(timed), 4) for name in PRECISIONS}
    row["x bfloat16"] = ratio(rounds, "bfloat16", "int8", "cpu")
    return row | {"x float32": ratio(rounds, "float32", "int8", "cpu")}


def cosines(expected: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Return the smallest and the median cosine of rows."""
    norms = np.linalg.norm(expected, axis=1) * np.linalg.norm(found, axis=1)
    values = (expected * found).sum(axis=1)[norms > 0] / norms[norms > 0]
    return {"least": round(float(values.min()), 5), "median": round(float(np.median(values)), 5)}


def measure_fold(features: dict[str, np.ndarray], y: np.ndarray, train: np.ndarray, test: np.ndarray) -> Row:
    """Return accuracy and log-loss of the default head on the features of each precision, and their cosines."""
    from sklearn.metrics import accuracy_score, log_loss

    from skcnn.ensemble import BaggedSGDClassifier

    row: Row = {"n_train": len(train), "n_test": len(test), "accuracy": {}, "log_loss": {}, "cosine": {}}
    for precision, values in features.items():
        head = BaggedSGDClassifier(random_state=0).fit(values[train], y[train])
        p = head.predict_proba(values[test])
        row["accuracy"][precision] = float(accuracy_score(y[test], head.classes_[p.argmax(axis=1)]))
        row["log_loss"][precision] = round(float(log_loss(y[test], p, labels=head.classes_)), 6)
        row["cosine"][precision] = cosines(features["float32"][test], values[test])
    return row


def _once(path: Path, exported: Exported, precision: str, pixels: np.ndarray) -> np.ndarray:
    """Return the features of all images, from the file where they are after the first time."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, exported.network(precision).run(pixels))
    return np.load(path)


def measure(
    name: str, images: Images, results: Results, work: Path, budget: Budget, options: argparse.Namespace
) -> None:
    """Measure a network, and add its rows."""
    if name in RANDOM:
        given: dict[str, Any] = {"backbone": name, "weights": None}
    else:
        given = network(name, options.weights, options.cache / "networks")
    plan = plan_of(given["backbone"], given["weights"])
    everything = np.arange(len(images.y))
    rows = everything if name not in RANDOM else calibration_rows(everything, options.calibration)
    pixels = read_pixels(images, rows, plan.image_size)
    sample = pixels[calibration_rows(np.arange(len(rows)), options.calibration)]
    if name in RANDOM:
        plan = plan_of(name, random_weights(name, sample[:16], work / f"{name}.weights.h5"))
    exported = Exported(plan)
    if not results.find(network=name, part="speed"):
        results.add({"network": name, "part": "speed", "fold": 0, **measure_speed(exported, sample, options)})
    missing = [fold for fold in range(options.folds) if not results.find(network=name, part="fold", fold=fold)]
    if name not in RANDOM and missing:
        kept = options.cache / "quantisation"
        features = {one: _once(kept / f"{name}-{one}.npy", exported, one, pixels) for one in PRECISIONS[:2]}
        folds = images.folds(options.folds)
        for fold in missing:
            if budget.spent():
                return
            train, test = folds[fold]
            quantised = exported.network("int8", pixels[calibration_rows(train, options.calibration)])
            found = measure_fold({**features, "int8": quantised.run(pixels)}, images.y, train, test)
            results.add({"network": name, "part": "fold", "fold": fold, **found})


def difference(folds: list[Row], metric: str, other: str, unit: float) -> str:
    """Return what a precision changes in comparison with float32, paired by fold, as it stands in a table."""
    values = [fold[metric][other] - fold[metric]["float32"] for fold in folds]
    ratio_of_rows = folds[0]["n_test"] / folds[0]["n_train"]
    mean, low, high = (unit * value for value in interval(values, test_per_train=ratio_of_rows))
    digits = 2 if unit > 1 else 3
    return f"{mean:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


def tables(results: Results) -> str:
    """Return the two tables, in Markdown."""
    speeds, accuracies = [], []
    for name in (*TRAINED, *RANDOM):
        for row in results.find(network=name, part="speed"):
            shown = f"{name} (random weights)" if name in RANDOM else name
            ratios = [show_ratio(row[f"x {other}"]) for other in ("bfloat16", "float32")]
            speeds.append([shown, *(f"{row['cpu'][one]:.2f}" for one in PRECISIONS), *ratios])
        folds = results.find(network=name, part="fold")
        for precision in PRECISIONS if folds else ():
            means = [np.mean([fold[metric][precision] for fold in folds]) for metric in ("accuracy", "log_loss")]
            cells = [name, precision, f"{100 * means[0]:.2f}", f"{means[1]:.3f}"]
            if precision == "float32":
                accuracies.append([*cells, "", "", "", ""])
                continue
            least = min(fold["cosine"][precision]["least"] for fold in folds)
            middle = np.median([fold["cosine"][precision]["median"] for fold in folds])
            drops = [difference(folds, "accuracy", precision, 100.0), difference(folds, "log_loss", precision, 1.0)]
            accuracies.append([*cells, *drops, f"{least:.3f}", f"{middle:.4f}"])
    header = ["network", *(f"{one}, ms" for one in PRECISIONS), "int8 x bfloat16", "x float32"]
    columns = ["network", "precision", "accuracy, %", "log-loss", "points from float32", "log-loss from float32"]
    return f"{table(header, speeds)}\n\n{table([*columns, 'least cosine', 'median'], accuracies)}"


def main(arguments: list[str] | None = None) -> None:
    """Measure what is not measured yet, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_folders(parser)
    parser.add_argument("--networks", nargs="+", default=[*TRAINED, *RANDOM], metavar="NAME")
    parser.add_argument("--calibration", type=int, default=300, help="images (default: %(default)s)")
    parser.add_argument("--images", type=int, default=128, help="a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="default: %(default)s")
    parser.add_argument("--folds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--results", type=Path, default=FOLDER / "quantisation.json", help="default: %(default)s")
    options = parser.parse_args(arguments)
    command = "python benchmarks/quantisation.py data/ --weights weights/"
    results = Results(options.results, KEY, command=command, seeds=[0])
    budget = Budget(options.minutes)
    images = load_images("flowers5", options.data)
    with tempfile.TemporaryDirectory() as work:
        for name in options.networks:
            n_rows = 1 if name in RANDOM else 1 + options.folds
            if len(results.find(network=name)) < n_rows and not budget.spent():
                measure(name, images, results, Path(work), budget, options)
    print(tables(results))


if __name__ == "__main__":
    main()
