"""Fine-tuning against a linear classifier on frozen features: five flowers, MobileNetV2, paired by seed.

    python benchmarks/fine_tuning.py flowers5/ --weights mobilenet_v2_1.0_224.weights.h5

The folder contains one folder per class and ``source_split.csv`` (file, label, split). The linear classifier is a
LogisticRegression with C chosen by cross-validation on the training images. The epochs of fine-tuning are chosen
among those given, too: by the log-loss on a validation set, a fifth of the training images, with the seed 0. The test
images choose nothing.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from sklearn.model_selection import GridSearchCV, StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline

from skcnn.feature_extraction import BottleneckFeatures
from skcnn.metrics import TrainingCurveDisplay
from skcnn.neural_network import CNNClassifier


def main() -> None:
    """Print one line of JSON a seed, and the paired difference."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", default="pretrained")
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, nargs="+", default=[2, 5, 10], help="to choose among")
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    parser.add_argument("--unfreeze", default="block_12_add")
    parser.add_argument("--curve", type=Path, help="where to draw the training curve of the first seed (.png)")
    arguments = parser.parse_args()

    split = pd.read_csv(arguments.folder / "source_split.csv")
    file, part = split.columns[0], split.columns[2]
    label = split[file].str.split("/").str[0].to_numpy()
    is_test = (split[part] != "train").to_numpy()
    X, y = split[[file]], label
    common = {"weights": arguments.weights, "image_size": arguments.image_size, "root": arguments.folder}

    linear = make_pipeline(BottleneckFeatures("MobileNetV2", **common), LogisticRegression(max_iter=2000))
    grid = {"logisticregression__C": [1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1, 10]}
    search = GridSearchCV(linear, grid, cv=5, scoring="neg_log_loss")
    search.fit(X[~is_test], y[~is_test])
    frozen = search.predict_proba(X[is_test])
    base = accuracy_score(y[is_test], search.classes_[frozen.argmax(1)])
    line = {"linear": round(base, 4), "log_loss": round(log_loss(y[is_test], frozen), 4), **search.best_params_}
    print(json.dumps(line), flush=True)

    classifier = CNNClassifier(
        "MobileNetV2", **common, head_epochs=20, head_learning_rate=1e-3, learning_rate=arguments.learning_rate,
        unfreeze=arguments.unfreeze, learning_rate_schedule="cosine", dropout=0.2, random_state=0,
    )  # fmt: skip
    aside = StratifiedShuffleSplit(1, test_size=0.2, random_state=0)
    choice = GridSearchCV(classifier, {"epochs": arguments.epochs}, cv=aside, scoring="neg_log_loss", refit=False)
    choice.fit(X[~is_test], y[~is_test])
    losses = (-choice.cv_results_["mean_test_score"]).round(4).tolist()
    print(json.dumps({"log_loss_aside": dict(zip(arguments.epochs, losses, strict=True)), **choice.best_params_}))

    differences = []
    for seed in range(arguments.seeds):
        started = time.perf_counter()
        classifier.set_params(**choice.best_params_, random_state=seed).fit(X[~is_test], y[~is_test])
        probabilities = classifier.predict_proba(X[is_test])
        accuracy = accuracy_score(y[is_test], classifier.classes_[probabilities.argmax(1)])
        differences.append(accuracy - base)
        line = {
            "seed": seed,
            "fine_tuned": round(accuracy, 4),
            "log_loss": round(log_loss(y[is_test], probabilities), 4),
            "seconds": round(time.perf_counter() - started),
        }
        print(json.dumps(line), flush=True)
        if arguments.curve and seed == 0:
            TrainingCurveDisplay.from_estimator(classifier).plot().figure_.savefig(arguments.curve, dpi=120)
    mean, error = np.mean(differences), np.std(differences, ddof=1) / np.sqrt(len(differences))
    low, high = t.interval(0.95, len(differences) - 1, mean, error)
    interval = [round(float(low), 4), round(float(high), 4)]
    print(json.dumps({"mean_difference": round(float(mean), 4), "interval_95": interval}))


if __name__ == "__main__":
    main()
