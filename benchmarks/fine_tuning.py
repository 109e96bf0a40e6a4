"""The default fine-tuning against a linear classifier on frozen features: five flowers, MobileNetV2, five seeds.

    python benchmarks/fine_tuning.py flowers5/ --weights mobilenet_v2_1.0_224.weights.h5

The folder contains one folder per class and ``source_split.csv`` (file, label, split). The linear classifier is a
LogisticRegression with C chosen by cross-validation on the training images; it is fitted on features at the size that
the network is fine-tuned at, and at 224 pixels, its best. CNNClassifier has its default parameters, which were chosen
on other data sets: the test images choose nothing.
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
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from skcnn.feature_extraction import BottleneckFeatures
from skcnn.metrics import TrainingCurveDisplay
from skcnn.neural_network import CNNClassifier


def scores(y: np.ndarray, classes: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Return accuracy and log-loss of the probabilities."""
    return {
        "accuracy": round(accuracy_score(y, classes[probabilities.argmax(1)]), 4),
        "log_loss": round(log_loss(y, probabilities), 4),
    }


def interval_of_mean(differences: list[float]) -> dict[str, object]:
    """Return the mean difference with its 95 % interval (Student's t, over seeds)."""
    mean, error = np.mean(differences), np.std(differences, ddof=1) / np.sqrt(len(differences))
    low, high = t.interval(0.95, len(differences) - 1, mean, error)
    return {"mean": round(float(mean), 4), "interval_95": [round(float(low), 4), round(float(high), 4)]}


def main() -> None:
    """Print one line of JSON per model, and the paired differences."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--weights", default="pretrained")
    parser.add_argument("--image-size", type=int, default=160, help="for fine-tuning (default: 160)")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--curve", type=Path, help="where to draw the training curve of the first seed (.png)")
    arguments = parser.parse_args()

    split = pd.read_csv(arguments.folder / "source_split.csv")
    file, part = split.columns[0], split.columns[2]
    y = split[file].str.split("/").str[0].to_numpy()
    is_test = (split[part] != "train").to_numpy()
    X = split[[file]]
    common = {"weights": arguments.weights, "root": arguments.folder}

    linear = {}
    for size in sorted({arguments.image_size, 224}):
        pipeline = make_pipeline(
            BottleneckFeatures("MobileNetV2", image_size=size, **common), LogisticRegression(max_iter=2000)
        )
        grid = {"logisticregression__C": [1e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1, 10]}
        search = GridSearchCV(pipeline, grid, cv=5, scoring="neg_log_loss").fit(X[~is_test], y[~is_test])
        linear[size] = scores(y[is_test], search.classes_, search.predict_proba(X[is_test]))
        print(json.dumps({"linear": size, **linear[size], **search.best_params_}), flush=True)

    tuned = []
    for seed in range(arguments.seeds):
        started = time.perf_counter()
        classifier = CNNClassifier("MobileNetV2", image_size=arguments.image_size, random_state=seed, **common)
        classifier.fit(X[~is_test], y[~is_test])
        seconds = round(time.perf_counter() - started)
        tuned.append(scores(y[is_test], classifier.classes_, classifier.predict_proba(X[is_test])))
        line = {"fine_tuned": arguments.image_size, "seed": seed, **tuned[-1], "seconds": seconds}
        print(json.dumps(line), flush=True)
        if arguments.curve and seed == 0:
            TrainingCurveDisplay.from_estimator(classifier).plot().figure_.savefig(arguments.curve, dpi=120)
    for size, base in linear.items():
        differences = {
            name: interval_of_mean([scored[name] - base[name] for scored in tuned]) for name in ("accuracy", "log_loss")
        }
        print(json.dumps({"fine_tuned_minus_linear_at": size, **differences}))


if __name__ == "__main__":
    main()
