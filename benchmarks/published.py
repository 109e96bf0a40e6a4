r"""Published experiments, for those who have their data and weights; each command also takes smaller data.

Rows are added to ``benchmarks/results/published.json``, and what is there already is not run again. What was published
is in ``published.csv``; ``python benchmarks/evidence.py`` puts both side by side.

**breeds**: 120 breeds of dogs, 9,200 images to train on and 1,022 to test on; bagged SGD beside a retrained top. With
the data of the competition "Dog Breed Identification", whose ``labels.csv`` has the columns ``id`` and ``breed``, and
the weights that Keras downloads::

    python benchmarks/published.py breeds labels.csv --images train/ --label breed --test-size 1022 \
        --network InceptionV3 --network Xception --network InceptionResNetV2 --network ResNet50

The same on the 37 breeds of pets370, ten splits::

    python benchmarks/published.py breeds pets370/index.csv --images pets370/images --label breed --splits 10 \
        --network MobileNetV2=mobilenet_v2_1.0_224.weights.h5

**flowers**: kinds of flowers, one folder per class, split 75/15/10; the network frozen, and then open from a layer on::

    python benchmarks/published.py flowers flowers/ --network Xception --unfreeze 56
    python benchmarks/published.py flowers flowers5/ --network MobileNetV2=mobilenet_v2_1.0_224.weights.h5 \
        --unfreeze block_7_expand --image-size 160

**cifar**: CIFAR-10 with a small network, frozen and open from a layer on; the first images of both official parts::

    python benchmarks/published.py cifar cifar10_jpeg.npz --network mobilenet_025.keras --unfreeze conv_dw_11 \
        --rows 5000 2000

**thresholds**: the table of thresholds beside counts by a loop, and the accuracy paradox::

    python benchmarks/published.py thresholds
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _evidence import cifar_images
from _results import FOLDER, Results, Row, own_usage
from sklearn.metrics import accuracy_score, log_loss

KEY = ("experiment", "data", "network", "method", "split")


def scored(classifier: Any, X: Any, y: np.ndarray) -> Row:
    """Return accuracy and log-loss."""
    p = classifier.predict_proba(X).astype(np.float64)
    p /= p.sum(axis=1, keepdims=True)
    accuracy = accuracy_score(y, classifier.classes_[p.argmax(axis=1)])
    return {"accuracy": round(float(accuracy), 6), "log_loss": round(float(log_loss(y, p)), 6)}


def fitted(classifier: Any, X: Any, y: np.ndarray) -> tuple[Any, Row]:
    """Fit, and return the classifier and the seconds."""
    before, wall = own_usage()["cpu_s"], time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        classifier.fit(X, y)
    return classifier, {
        "cpu_s": round(own_usage()["cpu_s"] - before, 1),
        "wall_s": round(time.perf_counter() - wall, 1),
    }


def networks(options: argparse.Namespace) -> list[tuple[str, dict[str, Any]]]:
    """Return the networks that were named, NAME or NAME=WEIGHTS, as parameters of an estimator."""
    given = [one.partition("=") for one in options.network]
    return [(Path(name).stem, {"backbone": name, "weights": path or "pretrained"}) for name, _, path in given]


def breeds(options: argparse.Namespace, results: Results) -> None:
    """Compare bagged SGD with a retrained top, on random splits."""
    from sklearn.model_selection import train_test_split
    from sklearn.pipeline import make_pipeline

    from skcnn.ensemble import BaggedSGDClassifier
    from skcnn.feature_extraction import BottleneckFeatures
    from skcnn.neural_network import CNNClassifier

    table = pd.read_csv(options.data)
    X = np.array([str(options.images / f"{one}.jpg") for one in table.iloc[:, 0]])
    y = table[options.label].to_numpy(str)
    test_size = int(options.test_size) if options.test_size >= 1 else options.test_size
    for name, given in networks(options):
        common = {**given, "cache": options.cache or "memory"}
        for split in range(options.splits):
            train, test = train_test_split(np.arange(len(y)), test_size=test_size, stratify=y, random_state=split)
            pipe = make_pipeline(BottleneckFeatures(**common), BaggedSGDClassifier(random_state=split))
            top = CNNClassifier(**common, epochs=0, random_state=split, verbose=0)
            for method, classifier in (("bagged", pipe), ("retrained", top)):
                row: Row = {"experiment": "breeds", "data": options.name or options.data.stem, "network": name}
                row |= {"method": method, "split": split, "n_train": len(train), "n_test": len(test)}
                if not results.find(**{key: row[key] for key in KEY}):
                    done, seconds = fitted(classifier, list(X[train]), y[train])
                    show(results, row | seconds | scored(done, list(X[test]), y[test]))


def opened(options: argparse.Namespace, results: Results, experiment: str, parts: dict[str, tuple[Any, Any]]) -> None:
    """Train a head on the frozen network, then the network from a layer on."""
    from skcnn.neural_network import CNNClassifier

    for name, given in networks(options):
        for method, changed in (("frozen", {"epochs": 0}), ("open", {"unfreeze": as_layer(options.unfreeze)})):
            row: Row = {"experiment": experiment, "data": options.name or options.data.stem, "network": name}
            row |= {"method": method, "split": 0, "image_size": options.image_size}
            row |= {f"n_{part}": len(y) for part, (_, y) in parts.items()} | ({"from": options.unfreeze} | changed)
            if results.find(**{key: row[key] for key in KEY}):
                continue
            common = {**given, "image_size": options.image_size, "cache": options.cache or "memory"}
            classifier = CNNClassifier(**common, **changed, random_state=0, verbose=0)
            done, seconds = fitted(classifier, *parts["train"])
            row |= seconds | scored(done, *parts["test"])
            if "dev" in parts:
                row |= {f"dev_{key}": value for key, value in scored(done, *parts["dev"]).items()}
            show(results, row)


def as_layer(text: str) -> str | int:
    """Return the name of a layer, or its index."""
    return int(text) if text.lstrip("-").isdigit() else text


def flowers(options: argparse.Namespace, results: Results) -> None:
    """Split 75/15/10, and compare a frozen network with an open one."""
    from skcnn.datasets import load_image_folder
    from skcnn.model_selection import train_dev_test_split

    dataset = load_image_folder(options.data)
    X, y = np.asarray(dataset.data["path"], str), np.asarray(dataset.target, str)
    split = train_dev_test_split(X, y, dev_size=0.15, test_size=0.10, random_state=0)
    rows = {"train": split.train, "dev": split.dev, "test": split.test}
    opened(options, results, "flowers", {part: (list(X[taken]), y[taken]) for part, taken in rows.items()})


def cifar(options: argparse.Namespace, results: Results) -> None:
    """Compare a frozen network with an open one on the first images of CIFAR-10."""
    images = cifar_images(options.data, tuple(options.rows) if options.rows else None)
    n_train = images.n_train or 0
    parts = {"train": (images.X[:n_train], images.y[:n_train]), "test": (images.X[n_train:], images.y[n_train:])}
    opened(options, results, "cifar", parts)


def thresholds(options: argparse.Namespace, results: Results) -> None:
    """Compare the table of thresholds with counts by a loop, and show the accuracy paradox."""
    from skcnn.metrics import threshold_table

    number = np.arange(1500)
    y = ((number >= 1200) & ~((number >= 1230) & (number < 1260))) | ((number >= 600) & (number < 630))
    cases = {"1,500 scores": (y, number / 1500, [1260 / 1500, 1200 / 1500, 600 / 1500, 0.0])}
    cases["accuracy paradox"] = (np.arange(100) == 99, np.full(100, 0.1), [0.5])
    for name, (y_true, y_score, at) in cases.items():
        table = threshold_table(y_true, y_score, thresholds=at)
        for line in table.to_dict("records"):
            counts = {"tp": 0, "fp": 0, "tn": 0, "fn": 0}
            for is_true, score in zip(y_true, y_score, strict=True):
                is_called = score >= line["threshold"]
                counts[("t" if is_true == is_called else "f") + ("p" if is_called else "n")] += 1
            row: Row = {"experiment": "thresholds", "data": name, "network": "", "method": f"{line['threshold']:.3f}"}
            row |= {"split": 0, "equal": all(line[key] == count for key, count in counts.items())} | counts
            rates = ("tpr", "fpr", "ppv", "accuracy", "f1")
            show(results, row | {key: None if np.isnan(line[key]) else float(line[key]) for key in rates})


def show(results: Results, row: Row) -> None:
    """Keep a row, and print it."""
    results.add(row)
    print(json.dumps(row), flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("breeds", "flowers", "cifar", "thresholds"):
        command = commands.add_parser(name)
        command.add_argument("--json", type=Path, default=FOLDER / "published.json")
        if name == "thresholds":
            continue
        command.add_argument("data", type=Path)
        command.add_argument("--network", action="append", required=True, help="NAME or NAME=WEIGHTS; may be repeated")
        command.add_argument("--name", help="what the data are called in the table (default: the name of the file)")
        command.add_argument("--cache", type=Path, help="folder for features (default: in memory)")
        if name == "breeds":
            command.add_argument("--images", type=Path, required=True, help="folder of the images, id.jpg")
            command.add_argument("--label", default="breed", help="column of the labels (default: breed)")
            command.add_argument("--test-size", type=float, default=0.1, help="number or fraction (default: 0.1)")
            command.add_argument("--splits", type=int, default=1, help="random splits (default: 1)")
        else:
            command.add_argument("--unfreeze", required=True, help="layer from which on the network is open")
            command.add_argument("--image-size", type=int)
        if name == "cifar":
            command.add_argument("--rows", type=int, nargs=2, help="training and test images (default: all)")
    options = parser.parse_args(arguments)
    run = {"breeds": breeds, "flowers": flowers, "cifar": cifar, "thresholds": thresholds}[options.command]
    run(options, Results(options.json, KEY, command="python benchmarks/published.py ...", seeds=[0]))


if __name__ == "__main__":
    main()
