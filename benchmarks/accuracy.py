"""Accuracy, log-loss, time and memory of heads and fine-tuning: five networks, six data sets, seven ways to train.

One command, which goes on where it was ended, and adds its rows to ``benchmarks/results/accuracy.json``::

    OMP_NUM_THREADS=1 python benchmarks/accuracy.py data/ --weights weights/ --minutes 5
    python benchmarks/evidence.py                              # the tables and figures of docs/evidence.md

``data/`` has the folders ``flowers5/`` and ``caltech30/`` (one folder per class), ``pets370/`` (``images/`` and
``index.csv``) and ``cifar10/`` (``cifar10_jpeg.npz``). Folds are stratified, shuffled with seed 0, and the same for
all; CIFAR-10 has its official split. Seeds are 0.

- *minibatch*: ``BaggedSGDClassifier()``, the default head.
- *tuned*: the default head of 30 bags, with penalty and bags chosen by log-loss in a ``GridSearchCV`` (three folds) of
  the training rows: ``GRID``, which was written down before its first row ran.
- *classic*: scikit-learn alone, ``VarianceThreshold(0.1)`` and ten bags of elastic-net ``SGDClassifier``, ``alpha`` one
  over the rows, half of the rows and half of the features.
- *logistic*: ``LogisticRegression(C=0.1)``.
- *all features*, *30 bags*, both, *all rows*, with 30 bags too, *temperature*: the default head changed, with
  MobileNetV2 alone.
- *frozen*: ``CNNClassifier(epochs=0)``, a head retrained by Adam on the frozen network.
- *suffix*: ``CNNClassifier()``, its default: the second half of the network is fine-tuned.
- *whole*: ``CNNClassifier(unfreeze="all")``.

Features are computed once (``--step features``), and heads are fitted to them. Every cell of the table runs in a
process of its own: processor seconds are those of one fit, all threads together, and the peak of memory is that of the
process, with the imports, over the folds that ran in it. For suffix and whole the network is part of the fit. ``OPEN``
names the cells of fine-tuning that run; ``--step costs`` measures the steps of each network, from which the cost of the
others is estimated.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from _evidence import DATA, NETWORKS, add_folders, load_images, network
from _results import FOLDER, Budget, Results, Row, in_own_process, own_usage

HEADS = ("minibatch", "tuned", "classic", "logistic")
TRAINED = ("frozen", "suffix", "whole")
#: What the tuned head chooses from: a penalty of one over the rows, or one of two fixed ones, and half or all of
#: what each bag draws (half is noisy where there are few rows). More bags only cost time: no search.
GRID: dict[str, list[Any]] = {"alpha": ["auto", 0.001, 0.01], "max_features": [0.5, 1.0], "max_samples": [0.5, 1.0]}
TUNED_BAGS = 30
#: Changes of the default head, with MobileNetV2 alone.
VARIANTS: dict[str, dict[str, Any]] = {
    "all features": {"max_features": 1.0, "bootstrap_features": False},
    "30 bags": {"n_estimators": 30},
    "all features, 30 bags": {"max_features": 1.0, "bootstrap_features": False, "n_estimators": 30},
    "all rows": {"max_samples": 1.0},
    "all rows, 30 bags": {"max_samples": 1.0, "n_estimators": 30},
    "temperature": {},
}
#: Blocks of test images, for the interval of an official split.
BLOCKS = 20
#: Images and epochs of the fits that a step's cost is measured by.
COST_IMAGES, COST_EPOCHS = 64, (1, 3)
STEPS = ("features", "heads", "variants", "costs", "open")
KEY = ("data", "network", "method", "fold")

#: Cells of fine-tuning that run (as many folds); the others are estimated.
OPEN = {
    ("pets370 species", "MobileNetV2", "suffix"): 5,
    ("pets370 breed", "MobileNetV2", "suffix"): 5,
    ("caltech30", "MobileNetV2", "suffix"): 1,
    ("flowers5", "MobileNetV2", "suffix"): 1,
    ("pets370 breed", "MobileNet 0.25", "whole"): 5,
    ("pets370 species", "MobileNet 0.25", "whole"): 5,
    ("flowers5", "MobileNet 0.25", "whole"): 1,
    ("caltech30", "MobileNet 0.25", "whole"): 1,
    ("CIFAR-10", "ResNet20", "suffix"): 1,
    ("CIFAR-10", "ResNet20", "whole"): 1,
    ("flowers5", "ResNet20", "suffix"): 5,
    ("caltech30", "ResNet20", "suffix"): 5,
    ("flowers5", "ResNet20", "whole"): 5,
    ("caltech30", "ResNet20", "whole"): 5,
    ("pets370 breed", "MobileNet 0.25", "suffix"): 5,
    ("pets370 species", "MobileNet 0.25", "suffix"): 5,
    ("pets370 breed", "MobileNetV2", "whole"): 5,
    ("pets370 breed", "SqueezeNet", "suffix"): 5,
    ("pets370 breed", "MobileNet", "suffix"): 5,
    ("flowers5", "MobileNet 0.25", "suffix"): 5,
    ("caltech30", "MobileNet 0.25", "suffix"): 5,
}


def is_a_cell(data: str, name: str) -> bool:
    """Return whether a network is tried on a data set at all: all of CIFAR-10 goes through the small one alone."""
    return data != "CIFAR-10 whole" or name == "ResNet20"


def features_file(cache: Path, data: str, name: str) -> Path:
    """Return where the features are; species and breed share them."""
    return cache / "features" / f"{data.split()[0] if 'pets' in data else data}--{name}.npy".replace(" ", "_")


def extract(options: argparse.Namespace, data: str, name: str) -> Row:
    """Compute the features of all images, keep them, and return what it took."""
    from skcnn.feature_extraction import BottleneckFeatures

    images = load_images(data, options.data)
    given = network(name, options.weights, options.cache / "networks")
    transformer = BottleneckFeatures(**given, cache=options.cache / "images")
    transformer.transform(images.take(np.arange(8)))  # imports, and the network's export
    before, wall = own_usage()["cpu_s"], time.perf_counter()
    features = transformer.transform(images.X)
    path = features_file(options.cache, data, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, features)
    used = own_usage()
    row = {"data": data, "network": name, "method": "features", "fold": 0, "n_images": len(features)}
    row |= {"n_features": features.shape[1], "cpu_s": round(used["cpu_s"] - before, 2), "peak_mb": used["peak_mb"]}
    return row | {"wall_s": round(time.perf_counter() - wall, 2)}


def head(method: str, n_rows: int) -> Any:
    """Return one of the classifiers of features."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.ensemble import BaggingClassifier
    from sklearn.feature_selection import VarianceThreshold
    from sklearn.linear_model import LogisticRegression, SGDClassifier
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline

    from skcnn.ensemble import BaggedSGDClassifier

    if method == "minibatch" or method in VARIANTS:
        bagged = BaggedSGDClassifier(random_state=0, **VARIANTS.get(method, {}))
        if method == "temperature":
            return CalibratedClassifierCV(bagged, method="temperature", cv=3, ensemble=False)
        return bagged
    if method == "tuned":
        bagged = BaggedSGDClassifier(n_estimators=TUNED_BAGS, random_state=0)
        return GridSearchCV(bagged, GRID, scoring="neg_log_loss", cv=3)
    if method == "logistic":
        return LogisticRegression(C=0.1, max_iter=1000)
    sgd = SGDClassifier(loss="log_loss", penalty="elasticnet", alpha=1 / n_rows)
    bags = BaggingClassifier(sgd, 10, max_samples=0.5, max_features=0.5, random_state=0)
    return make_pipeline(VarianceThreshold(0.1), bags)


def trained(method: str, given: dict[str, Any], **changed: Any) -> Any:
    """Return one of the classifiers that train a network. A RandomState lets no earlier fit be remembered."""
    from skcnn.neural_network import CNNClassifier

    ways: dict[str, dict[str, Any]] = {"frozen": {"epochs": 0}, "suffix": {}, "whole": {"unfreeze": "all"}}
    parameters = {**given, **ways[method], "random_state": np.random.RandomState(0), "verbose": 0, **changed}
    return CNNClassifier(**parameters)


def scores(y: np.ndarray, classes: np.ndarray, probabilities: np.ndarray, n_blocks: int) -> list[dict[str, float]]:
    """Return accuracy and log-loss of each block of test images."""
    p = np.clip(probabilities.astype(np.float64), 1e-15, None)
    p /= p.sum(axis=1, keepdims=True)
    is_right = classes[p.argmax(axis=1)] == y
    losses = -np.log(p[np.arange(len(y)), np.searchsorted(classes, y)])
    blocks = np.array_split(np.arange(len(y)), n_blocks)
    return [{"accuracy": float(is_right[b].mean()), "log_loss": round(float(losses[b].mean()), 6)} for b in blocks]


def fit_cell(options: argparse.Namespace, data: str, name: str, method: str, folds: list[int]) -> list[Row]:
    """Fit once per fold, and return the rows."""
    is_head = method in (*HEADS, *VARIANTS)
    images = load_images(data, options.data, only_y=is_head)
    features = np.load(features_file(options.cache, data, name)) if is_head else None
    rows = []
    for fold in folds:
        train, test = images.folds(options.folds)[fold]
        take = images.take if features is None else features.__getitem__
        if is_head:
            classifier = head(method, len(train))
        else:
            given = network(name, options.weights, options.cache / "networks")
            classifier = trained(method, given, cache=options.cache / "images")
        row: Row = {"data": data, "network": name, "method": method, "fold": fold}
        row |= {"n_train": len(train), "n_test": len(test), "n_folds": 1 if images.n_train else options.folds}
        X_train, X_test = take(train), take(test)
        before, wall = own_usage()["cpu_s"], time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                classifier.fit(X_train, images.y[train])
            except ValueError as error:  # VarianceThreshold(0.1), where no feature varies so much
                rows.append(row | {"failed": str(error).strip()[:200]})
                continue
            row |= {"cpu_s": round(own_usage()["cpu_s"] - before, 2), "wall_s": round(time.perf_counter() - wall, 2)}
            if method == "tuned":
                row["chosen"] = classifier.best_params_
            probabilities = classifier.predict_proba(X_test)
        row["scores"] = scores(images.y[test], classifier.classes_, probabilities, BLOCKS if images.n_train else 1)
        rows.append(row | {"peak_mb": own_usage()["peak_mb"]})
    return rows


def cost_row(options: argparse.Namespace, name: str, method: str) -> Row:
    """Return the processor seconds per image and epoch of fine-tuning: a fit of few images less a shorter one."""
    images = load_images("CIFAR-10" if name == "ResNet20" else "pets370 species", options.data)
    rows = np.random.default_rng(0).permutation(len(images.y))[:COST_IMAGES]  # the first ones may be of one class
    taken = []
    for epochs in (COST_EPOCHS[0], *COST_EPOCHS):  # the first fit imports and compiles, and does not count
        given = network(name, options.weights, options.cache / "networks")
        classifier = trained(method, given, cache=None, head_epochs=0, epochs=epochs)
        before = own_usage()["cpu_s"]
        classifier.fit(images.take(rows), images.y[rows])
        taken.append(own_usage()["cpu_s"] - before)
    per_epoch = (taken[2] - taken[1]) / (COST_EPOCHS[1] - COST_EPOCHS[0]) / COST_IMAGES
    row: Row = {"data": "cost", "network": name, "method": method, "fold": 0}
    return row | {"cpu_s_per_image_and_epoch": round(per_epoch, 5), "cpu_s_first": round(taken[0], 2)}


def cells(options: argparse.Namespace) -> list[tuple[str, str, str, list[int]]]:
    """Return the cells of the steps that were asked for, with their folds, the most telling ones first."""
    pairs = [(data, name) for name in NETWORKS for data in DATA if is_a_cell(data, name)]
    found: list[tuple[str, str, str, int]] = []
    count_of = lambda data: 1 if data.startswith("CIFAR") else options.folds  # noqa: E731
    if "features" in options.step:
        found += [(data, name, "features", 1) for data, name in pairs if data != "pets370 breed"]
    if "heads" in options.step:
        found += [(data, name, method, count_of(data)) for data, name in pairs for method in (*HEADS, "frozen")]
    if "variants" in options.step:
        found += [(data, "MobileNetV2", method, count_of(data)) for data in DATA[:-1] for method in VARIANTS]
    if "costs" in options.step:
        found += [("cost", name, method, 1) for name in NETWORKS for method in ("suffix", "whole")]
    if "open" in options.step:
        found += [(*cell, min(count, options.folds)) for cell, count in OPEN.items()]
    asked = (options.only_data, options.only_network, options.only_method)
    return [
        (*cell, [fold for fold in range(count) if options.only_fold is None or fold in options.only_fold])
        for *cell, count in found
        if all(only is None or part in only for part, only in zip(cell, asked, strict=True))
    ]


def answer(options: argparse.Namespace) -> list[Row]:
    """Run the rows of one cell in this process."""
    data, name, method, *folds = options.cell
    if method == "features":
        return [extract(options, data, name)]
    if data == "cost":
        return [cost_row(options, name, method)]
    return fit_cell(options, data, name, method, [int(fold) for fold in folds])


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_folders(parser)
    parser.add_argument("--step", nargs="+", default=STEPS, choices=STEPS)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--json", type=Path, default=FOLDER / "accuracy.json")
    parser.add_argument("--only-data", nargs="+", metavar="NAME")
    parser.add_argument("--only-network", nargs="+", metavar="NAME")
    parser.add_argument("--only-method", nargs="+", metavar="NAME")
    parser.add_argument("--only-fold", nargs="+", type=int, metavar="NUMBER")
    parser.add_argument("--cell", nargs="+", help=argparse.SUPPRESS)  # one cell, in this process
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.cell:
        options.answer.write_text(json.dumps(answer(options)))
        return
    budget = Budget(options.minutes)
    command = "python benchmarks/accuracy.py data/ --weights weights/"
    results = Results(options.json, KEY, command=command, seeds=[0], folds=options.folds)
    for data, name, method, folds in cells(options):
        known = [row["fold"] for row in results.find(data=data, network=name, method=method)]
        has_features = features_file(options.cache, data, name).exists()
        missing = [fold for fold in folds if fold not in known or (method == "features" and not has_features)]
        if not missing:
            continue
        if budget.spent():
            break
        if not has_features and method in (*HEADS, *VARIANTS, "frozen"):
            # Species has the features of breed as well.
            run_cell(options, results, data.replace("breed", "species"), name, "features", [0])
        # What takes long has a process per fold, lest a kill loses those before.
        for part in [[fold] for fold in missing] if method in ("classic", "suffix", "whole") else [missing]:
            run_cell(options, results, data, name, method, part)
            if budget.spent():
                break
    else:
        print("all rows are there", file=sys.stderr)


def run_cell(
    options: argparse.Namespace, results: Results, data: str, name: str, method: str, folds: list[int]
) -> None:
    """Run a cell in a process of its own, and keep and print its rows."""
    folders = ["--weights", str(options.weights), "--cache", str(options.cache), "--folds", str(options.folds)]
    cell = ["--cell", data, name, method, *map(str, folds)]
    for row in in_own_process("accuracy.py", str(options.data), *folders, *cell):
        results.add(row)
        shown = {key: value for key, value in row.items() if key != "scores"}
        print(json.dumps(shown | dict(row.get("scores", [{}])[0])), flush=True)


if __name__ == "__main__":
    main()
