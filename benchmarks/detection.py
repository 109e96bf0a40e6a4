"""Detection: what CNNDetector and CNNLocalizer are worth on real images, and how long they take.

    python benchmarks/detection.py detector --data bccd --weights mobilenet.weights.h5 [--best] [--folds 5]
    python benchmarks/detection.py localizer --data pets370 --weights mobilenet.weights.h5

``detector`` reads a folder of Pascal VOC, trains on its ``trainval`` images and measures its ``test`` images: with the
default parameters, or with ``--best`` with those that were chosen on ``train`` and ``val`` (of blood cells, BCCD). With
``--folds`` it cross-validates on ``trainval`` instead. ``--set name=value`` changes a parameter; with ``--validate``
the detector is trained on ``train`` and measured on ``val``, which is how parameters were chosen.

``localizer`` reads ``index.csv`` (columns ``image_id``, ``species``, ``head_xmin`` ...) and cross-validates with 5
folds.

Without ``--weights`` the published weights are downloaded.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _reports import add_parameters
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict, cross_validate

from skcnn.boxes import stratify_by_boxes
from skcnn.datasets import load_voc
from skcnn.detection import CNNDetector, CNNLocalizer
from skcnn.metrics import average_precision, box_scorers, class_detection_frame, localization_accuracy, mean_iou

#: Chosen on train and val of BCCD: a blood cell has no upright position.
BEST: dict[str, Any] = {"flips": "both", "suppression": "gaussian", "test_time_flips": True}


def measure_detector(detector: CNNDetector, data: Path, train: str, test: str) -> dict[str, float]:
    """Train on one list of images and measure another one."""
    X, y = load_voc(data, split=train, invalid="clip")
    X_test, y_test = load_voc(data, split=test, invalid="clip")
    start = time.perf_counter()
    detector.fit(X, y)
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    found = detector.predict(X_test)
    per_image = (time.perf_counter() - start) / len(X_test)
    print(class_detection_frame(y_test, found).round(3).to_string())
    return {
        "AP50": average_precision(y_test, found, iou=0.5),
        "AP": average_precision(y_test, found),
        "seconds of fit": seconds,
        "seconds per image": per_image,
    }


def cross_validate_detector(detector: CNNDetector, data: Path, n_folds: int) -> dict[str, float]:
    """Return mean and standard deviation over folds, which have their share of each class."""
    X, y = load_voc(data, split="trainval", invalid="clip")
    folds = list(StratifiedKFold(n_folds, shuffle=True, random_state=0).split(X, stratify_by_boxes(y)))
    start = time.perf_counter()
    found = cross_validate(
        detector, X, y, cv=folds, scoring=box_scorers("average_precision", "average_precision_50"), error_score="raise"
    )
    row = {"seconds": time.perf_counter() - start}
    for name, title in (("average_precision_50", "AP50"), ("average_precision", "AP")):
        scores = found[f"test_{name}"]
        row |= {title: scores.mean(), f"{title}, standard deviation": scores.std(ddof=1)}
    return row


def measure_localizer(localizer: CNNLocalizer, data: Path) -> dict[str, float]:
    """Cross-validate on heads of pets."""
    index = pd.read_csv(data / "index.csv")
    paths = {path.stem: str(path) for path in (data / "images").iterdir()}
    X = pd.DataFrame({"path": [paths[name] for name in index["image_id"]]})
    names = {"species": "label", **{f"head_{side}": side for side in ("xmin", "ymin", "xmax", "ymax")}}
    y = index[list(names)].rename(columns=names)
    start = time.perf_counter()
    found = cross_val_predict(localizer, X, y, cv=KFold(5, shuffle=True, random_state=0))
    seconds = time.perf_counter() - start
    boxes, true = found.copy(), y.assign(label="head")
    boxes[:, 0] = "head"
    return {
        "mean IoU": mean_iou(y, found),
        "IoU >= 0.5": localization_accuracy(true, boxes),
        "label right": float(np.mean(found[:, 0] == y["label"])),
        "score (both)": localization_accuracy(y, found),
        "seconds": seconds,
    }


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("detector", "localizer"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", default="pretrained", help="file of the network's weights")
    parser.add_argument("--best", action="store_true", help="parameters chosen on train and val")
    parser.add_argument("--validate", action="store_true", help="train on train, measure val")
    parser.add_argument("--folds", type=int, default=0, help="cross-validate on trainval")
    parser.add_argument("--seed", type=int, default=0)
    add_parameters(parser)
    options = parser.parse_args(arguments)
    parameters = {"weights": options.weights, "random_state": options.seed, "verbose": 0, **dict(options.set)}
    if options.what == "localizer":
        row = measure_localizer(CNNLocalizer(**parameters), options.data)
    else:
        detector = CNNDetector(**{**(BEST if options.best else {}), **parameters})
        if options.folds:
            row = cross_validate_detector(detector, options.data, options.folds)
        else:
            splits = ("train", "val") if options.validate else ("trainval", "test")
            row = measure_detector(detector, options.data, *splits)
    print(", ".join(f"{name} {value:.3f}" for name, value in row.items()))


if __name__ == "__main__":
    main()
