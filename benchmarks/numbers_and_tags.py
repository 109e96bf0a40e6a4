"""CNNRegressor and several classes per image, beside linear models on the features of the same frozen network.

Two commands::

    python benchmarks/numbers_and_tags.py numbers pets370/ --weights mobilenet_v2.weights.h5
    python benchmarks/numbers_and_tags.py tags caltech30/ --weights mobilenet_v2.weights.h5

``numbers``: how high the head of a pet is, as a fraction of the image (``index.csv`` has boxes of heads). R2 in each
of five folds, beside a ridge regression whose penalty is chosen within the training images of the fold.

``tags``: collages of two to four images of different classes; the tags are the classes that are on a collage. Macro
average precision on collages of images that no collage of the training set has, beside one logistic regression per
class, whose penalty is chosen by cross-validation on the training collages.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _rounds import describe, machine, table
from PIL import Image, ImageOps
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import average_precision_score
from sklearn.model_selection import GridSearchCV, KFold, train_test_split
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcnn.datasets import load_image_folder
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.neural_network import CNNClassifier, CNNRegressor


def numbers(folder: Path, common: dict[str, Any], settings: dict[str, Any], seeds: range) -> dict[str, list[float]]:
    """Return R2 in each fold, of CNNRegressor and of a ridge regression on features."""
    index = pd.read_csv(folder / "index.csv").dropna(subset=["head_ymin", "head_ymax"])
    X = [str(folder / "images" / f"{name}.jpg") for name in index["image_id"]]
    y = ((index["head_ymax"] - index["head_ymin"]) / index["height"]).to_numpy()
    X, scores = np.array(X), {"CNNRegressor": [], "BottleneckFeatures + Ridge": []}
    for seed in seeds:
        for train, test in KFold(5, shuffle=True, random_state=seed).split(X):
            ridge = make_pipeline(BottleneckFeatures(**common), StandardScaler(), RidgeCV(np.logspace(0, 5, 21)))
            network = CNNRegressor(**common, **settings, random_state=seed)
            for name, model in zip(scores, (network, ridge), strict=True):
                scores[name].append(float(model.fit(X[train], y[train]).score(X[test], y[test])))
    return scores


def collages(paths: np.ndarray, labels: np.ndarray, n: int, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ``n`` collages (n, size, size, 3) uint8 of two to four images, and the classes on each as indicators."""
    generator = np.random.default_rng(seed)
    half = size // 2
    names = np.unique(labels)
    X, tags = np.full((n, size, size, 3), 127, np.uint8), np.zeros((n, len(names)), int)
    for row in range(n):
        chosen = generator.choice(len(names), generator.integers(2, 5), replace=False)
        places = generator.permutation(4)
        for place, code in zip(places, chosen, strict=False):
            path = generator.choice(paths[labels == names[code]])
            image = ImageOps.exif_transpose(Image.open(path)).convert("RGB").resize((half, half))
            top, left = divmod(int(place), 2)
            X[row, top * half : (top + 1) * half, left * half : (left + 1) * half] = np.asarray(image)
        tags[row, chosen] = 1
    return X, tags


def tags(
    folder: Path, common: dict[str, Any], settings: dict[str, Any], seeds: range, n_collages: int
) -> dict[str, list[float]]:
    """Return macro average precision for each seed, of CNNClassifier and of one logistic regression per class."""
    images = load_image_folder(folder)
    paths, labels = images.data["path"].to_numpy(), np.asarray(images.target)
    scores: dict[str, list[float]] = {"CNNClassifier": [], "BottleneckFeatures + OneVsRest": []}
    for seed in seeds:
        parts = train_test_split(paths, labels, test_size=1 / 3, stratify=labels, random_state=seed)
        X_train, y_train = collages(parts[0], parts[2], n_collages, common["image_size"], seed)
        X_test, y_test = collages(parts[1], parts[3], n_collages // 2, common["image_size"], seed + 1000)
        network = CNNClassifier(**common, **settings, random_state=seed).fit(X_train, y_train)
        linear = make_pipeline(BottleneckFeatures(**common), OneVsRestClassifier(LogisticRegression(max_iter=2000)))
        grid = {"onevsrestclassifier__estimator__C": [1e-3, 1e-2, 1e-1, 1]}
        search = GridSearchCV(linear, grid, cv=3, scoring="average_precision").fit(X_train, y_train)
        for name, model in zip(scores, (network, search), strict=True):
            scores[name].append(float(average_precision_score(y_test, model.predict_proba(X_test), average="macro")))
    return scores


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", choices=["numbers", "tags"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--backbone", default="MobileNetV2")
    parser.add_argument("--weights", default="pretrained")
    parser.add_argument("--collages", type=int, default=1200, help="to train on; half as many to test")
    parser.add_argument("--image-size", type=int, default=160)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--settings", type=json.loads, default={}, help="parameters of the network that are no default")
    options = parser.parse_args(arguments)
    common = {"backbone": options.backbone, "weights": options.weights, "image_size": options.image_size}
    started = time.perf_counter()
    given = options.folder, common, options.settings, range(options.seeds)
    scores = numbers(*given) if options.task == "numbers" else tags(*given, options.collages)
    own, linear = map(np.array, scores.values())
    metric = {"numbers": "R2", "tags": "macro average precision"}[options.task]
    rows = []
    for name, values in scores.items():
        spread = f"{np.std(values, ddof=1):.4f}" if len(values) > 1 else ""
        rows.append([name, f"{np.mean(values):.4f}", spread])
    print(f"{options.folder.name}, {len(own)} rounds, {time.perf_counter() - started:.0f} s; {describe(machine())}\n")
    print(table(["", metric, "standard deviation"], rows))
    print(f"\nDifference: {np.mean(own - linear):+.4f}, above 0 in {np.sum(own > linear)} of {len(own)} rounds.")


if __name__ == "__main__":
    main()
