"""What the weights that come with skcnn are worth: a linear probe on CIFAR-10, and ``skcnn demo`` over five splits.

One command::

    python benchmarks/shipped_weights.py --data cifar10_jpeg.npz

The probe is a logistic regression on the average-pooled features of 5,000 training images, judged on 5,000 test
images, with the shipped weights and with random ones. The digits are split five times (seeds 0 to 4, stratified,
30 % to test on), and the demo's search is held against logistic regression on raw pixels. ``--data`` is as for
``train_resnet20.py``; without it only the digits are run.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from train_resnet20 import load_cifar10

from skcnn.cli import demo_search
from skcnn.datasets import load_digit_images
from skcnn.feature_extraction import BottleneckFeatures


def probe(path: str, n_samples: int = 5000) -> None:
    """Print the accuracy of linear probes on CIFAR-10."""
    x_train, y_train, x_test, y_test = load_cifar10(path)
    rows = np.random.default_rng(0).permutation(len(x_train))[:n_samples]
    test_rows = np.random.default_rng(1).permutation(len(x_test))[:n_samples]
    print(f"| linear probe, {n_samples} CIFAR-10 images | test accuracy |\n|---|---|")
    for weights in ("cifar10", None):
        classifier = make_pipeline(
            BottleneckFeatures("ResNet20", weights=weights, cache=None, batch_size=256),
            StandardScaler(),
            LogisticRegression(max_iter=2000),
        )
        accuracy = classifier.fit(x_train[rows], y_train[rows]).score(x_test[test_rows], y_test[test_rows])
        print(f"| weights={weights!r} | {accuracy:.4f} |", flush=True)


def digits(n_splits: int = 5) -> None:
    """Print the accuracy of the demo's search and of logistic regression on raw pixels, split by split."""
    X, y = load_digit_images(return_X_y=True)
    pixels = load_digits().data / 16
    accuracies = []
    print("| split of the digits | raw pixels, logistic regression | skcnn demo | seconds |\n|---|---|---|---|")
    for seed in range(n_splits):
        train, test = train_test_split(np.arange(len(y)), test_size=0.3, stratify=y, random_state=seed)
        raw = LogisticRegression(max_iter=1000).fit(pixels[train], y[train])
        start = time.perf_counter()
        search = demo_search(seed).fit(X[train], y[train])
        predicted = search.predict(X[test])
        seconds = time.perf_counter() - start
        accuracies.append((raw.score(pixels[test], y[test]), float((predicted == y[test]).mean())))
        print(f"| {seed} | {accuracies[-1][0]:.4f} | {accuracies[-1][1]:.4f} | {seconds:.0f} |", flush=True)
    means = np.mean(accuracies, axis=0)
    print(f"| mean | {means[0]:.4f} | {means[1]:.4f} | |")


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="CIFAR-10 as an .npz")
    arguments = parser.parse_args()
    if arguments.data:
        probe(arguments.data)
        print()
    digits()


if __name__ == "__main__":
    main()
