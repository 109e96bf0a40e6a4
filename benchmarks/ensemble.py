"""Compare BaggedSGDClassifier's two solvers, and a plain logistic regression, on features of images.

One command, on folders of images (one folder per class) or on features that were saved as an ``.npz`` with X and y::

    OMP_NUM_THREADS=1 python benchmarks/ensemble.py flowers/ --weights mobilenet_v2.weights.h5
    OMP_NUM_THREADS=1 python benchmarks/ensemble.py flowers.npz --log flowers.jsonl

The folds are the same for all (stratified, shuffled with seed 0). A round is one fold and one seed; in it the
classifiers are fitted one after the other, in an order that turns with the rounds, so that whatever else the machine
does falls on all alike. ``minibatch`` and ``sklearn`` have the defaults and that solver; ``sklearn 0.1`` is the recipe
that is common, to the letter, with a variance threshold of 0.1. Accuracy and log-loss are means over folds and seeds;
times are medians of one fit; a ratio is the median over the rounds of a classifier's time to that of ``minibatch`` in
the same round.

With ``--log`` every result is appended to a file, and what is there already is not measured again.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedKFold

from skcnn.ensemble import BaggedSGDClassifier


def load_features(data: Path, backbone: str, weights: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the features, (n_samples, n_features), and the labels of an ``.npz`` or of a folder of images."""
    if data.is_file():
        with np.load(data) as archive:
            return archive["X"], archive["y"]
    from skcnn.datasets import load_image_folder
    from skcnn.feature_extraction import BottleneckFeatures

    dataset = load_image_folder(data)
    return BottleneckFeatures(backbone, weights=weights, verbose=1).transform(dataset.data), np.asarray(dataset.target)


def candidates(seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the classifiers of a round by name."""
    classifiers: dict[str, Any] = {"minibatch": BaggedSGDClassifier(random_state=seed)}
    if seed < arguments.sklearn_seeds:
        classifiers["sklearn"] = BaggedSGDClassifier(solver="sklearn", random_state=seed)
    if seed < arguments.recipe_seeds:
        classifiers["sklearn 0.1"] = BaggedSGDClassifier(solver="sklearn", variance_threshold=0.1, random_state=seed)
    if seed == 0:
        classifiers["LogisticRegression(C=0.1)"] = LogisticRegression(C=0.1, max_iter=1000)
    return classifiers


def measure(classifier: Any, X: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray) -> dict[str, float]:
    """Fit once and return accuracy, log-loss and the seconds of the fit."""
    X_train, y_train = X[train], y[train]
    wall, cpu = time.perf_counter(), time.process_time()
    classifier.fit(X_train, y_train)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    proba = classifier.predict_proba(X[test]).astype(np.float64)
    proba /= proba.sum(axis=1, keepdims=True)
    return {
        "accuracy": float(np.mean(classifier.classes_[proba.argmax(axis=1)] == y[test])),
        "log-loss": float(log_loss(y[test], proba, labels=classifier.classes_)),
        "wall s": wall,
        "CPU s": cpu,
    }


def run(name: str, X: np.ndarray, y: np.ndarray, arguments: argparse.Namespace) -> pd.DataFrame:
    """Return one row for each fit."""
    log = Path(arguments.log) if arguments.log else None
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log and log.exists() else []
    rows = [row for row in rows if row["data"] == name]
    done = {(row["fold"], row["seed"], row["classifier"]) for row in rows}
    folds = list(StratifiedKFold(arguments.folds, shuffle=True, random_state=0).split(X, y))
    for seed in range(arguments.seeds):
        for fold, (train, test) in enumerate(folds):
            classifiers = list(candidates(seed, arguments).items())
            turn = fold % len(classifiers)
            for label, classifier in classifiers[turn:] + classifiers[:turn]:
                if (fold, seed, label) in done:
                    continue
                key = {"data": name, "fold": fold, "seed": seed, "classifier": label}
                rows.append(key | measure(classifier, X, y, train, test))
                if log:
                    with log.open("a") as file:
                        file.write(json.dumps(rows[-1]) + "\n")
    return pd.DataFrame(rows)


def table(rows: pd.DataFrame) -> str:
    """Return the means and the ratios as a table in Markdown."""
    clocks = ["wall s", "CPU s"]
    lines = [
        "| classifier | fits | accuracy | log-loss | wall s | CPU s | wall ratio | CPU ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    times = rows.set_index(["classifier", "fold", "seed"])[clocks]
    for label, group in rows.groupby("classifier"):
        # Every fold weighs alike, whatever seeds were run.
        mean = group.groupby("fold")[["accuracy", "log-loss"]].mean().mean()
        median = times.loc[label].median()
        ratio = (times.loc[label] / times.loc["minibatch"]).median()
        cells = [label, str(len(group)), f"{mean['accuracy']:.4f}", f"{mean['log-loss']:.4f}"]
        cells += [f"{median[clock]:.2f}" for clock in clocks] + [f"{ratio[clock]:.1f}" for clock in clocks]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path, help="folders of images, or .npz files with X and y")
    parser.add_argument("--backbone", default="MobileNetV2", help="network for folders (default: MobileNetV2)")
    parser.add_argument("--weights", default="pretrained", help="its weights, by name or path (default: pretrained)")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=5, help="seeds of solver='minibatch'")
    parser.add_argument("--sklearn-seeds", type=int, default=5, help="seeds of solver='sklearn', which takes long")
    parser.add_argument("--recipe-seeds", type=int, default=1, help="seeds of the recipe with a threshold of 0.1")
    parser.add_argument("--log", help="file of results so far, one JSON object a line")
    arguments = parser.parse_args()
    for data in arguments.data:
        X, y = load_features(data, arguments.backbone, arguments.weights)
        print(f"\n{data.stem}: {X.shape[0]} x {X.shape[1]} features, {len(np.unique(y))} classes\n", flush=True)
        print(table(run(data.stem, X, y, arguments)), flush=True)


if __name__ == "__main__":
    main()
