"""What grows how: processor time and memory of extraction, of the default head and of prediction.

One command, which goes on where it was ended, and adds its rows to ``benchmarks/results/cost_curves.json``::

    OMP_NUM_THREADS=1 python benchmarks/cost_curves.py data/ --weights weights/ --minutes 5

Extraction is of flowers5's files with MobileNetV2, over and over where they are too few, without a cache, and of arrays
of CIFAR-10 with the small ResNet20; and of files at several sizes. Heads are ``BaggedSGDClassifier()`` on generated
features, 1,280 per image as MobileNetV2 has: class means and noise, negative values cut off. Every point runs in a
process of its own; what takes less than a second runs several times, and the median counts. Memory is the peak of the
process, with the imports, and with images and features as they are given.

The exponent of a curve is the slope of log(time) on log(n), by least squares, with its standard error: 1 is
proportional. That of memory is of what is added to the smallest point's process.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _evidence import add_folders, load_images, network
from _results import FOLDER, Budget, Results, Row, in_own_process, own_usage

KEY = ("curve", "n")
FEATURES = 1280
#: Of the curve over classes.
ROWS = 10_000
N = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000)
CURVES: dict[str, tuple[int, ...]] = {
    "head fit, images": N,
    "head prediction, images": N,
    "head fit, classes": (2, 10, 30, 100, 300, 1_000),
    "head prediction, classes": (2, 10, 30, 100, 300, 1_000),
    "extraction by ResNet20, images": N,
    "extraction by MobileNetV2, images": N[:5],
    "extraction by MobileNetV2, image size": (96, 128, 160, 192, 224),
}
#: Images of the curve over sizes.
SIZED = 500


def generated(n_rows: int, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return features, (n_rows, 1280), float32, and classes, each at least once."""
    generator = np.random.default_rng(0)
    means = generator.normal(0, 0.08, (n_classes, FEATURES)).astype(np.float32)
    y = generator.permutation(np.arange(n_rows) % n_classes)
    X = np.empty((n_rows, FEATURES), np.float32)
    for begin in range(0, n_rows, 10_000):
        part = slice(begin, begin + 10_000)
        X[part] = means[y[part]] + generator.standard_normal((len(y[part]), FEATURES), np.float32)
    return np.maximum(X, 0, out=X), y


def prepared(options: argparse.Namespace, curve: str, n: int) -> Callable[[], Any]:
    """Return what is measured, with all that it needs made and imported."""
    if curve.startswith("head"):
        from skcnn.ensemble import BaggedSGDClassifier

        n_rows, n_classes = (ROWS, n) if curve.endswith("classes") else (n, 10)
        X, y = generated(n_rows, n_classes)
        head = BaggedSGDClassifier(random_state=0)
        if "fit" in curve:
            return lambda: head.fit(X, y)
        head.fit(X[:2000], y[:2000])
        return lambda: head.predict_proba(X)
    from skcnn.feature_extraction import BottleneckFeatures

    name = "ResNet20" if "ResNet20" in curve else "MobileNetV2"
    count, size = (SIZED, n) if curve.endswith("size") else (n, None)
    held = load_images("CIFAR-10 whole" if name == "ResNet20" else "flowers5", options.data)
    rows = np.arange(count) % len(held.y)
    images = held.take(rows)
    del held
    given = network(name, options.weights, options.cache / "networks")
    transformer = BottleneckFeatures(**given, image_size=size, cache=None)
    # The engine is chosen for many images, and its export kept: not part of the curve.
    transformer.transform(images[:64])
    return lambda: transformer.transform(images)


def point(options: argparse.Namespace, curve: str, n: int) -> Row:
    """Measure one point."""
    run = prepared(options, curve, n)
    seconds: list[float] = []
    began = time.perf_counter()
    while not seconds or (len(seconds) < 9 and time.perf_counter() - began < 1):
        before = own_usage()["cpu_s"]
        run()
        seconds.append(own_usage()["cpu_s"] - before)
    row: Row = {"curve": curve, "n": n, "cpu_s": round(float(np.median(seconds)), 4), "runs": len(seconds)}
    return row | {"peak_mb": own_usage()["peak_mb"]}


def exponent(n: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Return the slope of log(values) on log(n), and its standard error."""
    from scipy.stats import linregress

    fit = linregress(np.log(n), np.log(values))
    return float(fit.slope), float(fit.stderr)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_folders(parser)
    parser.add_argument("--json", type=Path, default=FOLDER / "cost_curves.json")
    parser.add_argument("--curves", nargs="+", choices=CURVES, default=list(CURVES), metavar="CURVE")
    parser.add_argument("--most", type=int, help="leave out points beyond")
    parser.add_argument("--point", nargs=2, help=argparse.SUPPRESS)  # one point, in this process
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.point:
        options.answer.write_text(json.dumps(point(options, options.point[0], int(options.point[1]))))
        return
    budget = Budget(options.minutes)
    command = "python benchmarks/cost_curves.py data/ --weights weights/"
    results = Results(options.json, KEY, command=command, seeds=[0], n_features=FEATURES, rows_of_classes=ROWS)
    for curve in options.curves:
        for n in CURVES[curve]:
            if results.find(curve=curve, n=n) or (options.most and n > options.most):
                continue
            if budget.spent():
                return
            folders = ["--weights", str(options.weights), "--cache", str(options.cache)]
            row = in_own_process("cost_curves.py", str(options.data), *folders, "--point", curve, str(n))
            results.add(row)
            print(json.dumps(row), flush=True)
    print("all points are there", file=sys.stderr)


if __name__ == "__main__":
    main()
