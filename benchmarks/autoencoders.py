"""Autoencoders: how good codes of digits are, and whether an encoder is a better start for a classifier.

    python benchmarks/autoencoders.py digits [--tune]
    python benchmarks/autoencoders.py start --data cifar10.npz

``digits`` fits a variational autoencoder with 8 components on half of scikit-learn's digits (8 x 8 pixels, one grey
channel) and measures the other half: the cross-entropy of the image of the mean code plus the divergence, in nats; the
ELBO with 100 draws per image; and the mean squared error beside that of PCA with 8 components. ``--tune`` instead
compares candidates on a fifth of the training half, which is how the parameters were chosen.

``start`` fits an autoencoder on images without labels, and ``CNNClassifier`` on 1,000 labelled ones, from its encoder
and from an encoder of the same form with random weights. The file has the arrays ``X``, (n, height, width, 3) uint8,
and ``y``.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from skcnn.decomposition import ConvAutoencoder, VariationalAutoencoder

#: Chosen by ``--tune``.
PARAMETERS = {"filters": (64, 128), "learning_rate": 2e-3, "epochs": 300}
CANDIDATES = (
    {"filters": (32, 64), "learning_rate": 1e-3, "epochs": 100},
    {"filters": (32, 64), "learning_rate": 2e-3, "epochs": 300},
    {"filters": (64, 128), "learning_rate": 2e-3, "epochs": 300},
    {"filters": (64, 128), "learning_rate": 1e-3, "epochs": 300},
)
N_COMPONENTS = 8
N_TEST = 2_000


def halves() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the digits of the training half and of the test half, (n, 8, 8) in [0, 1], and the former's labels."""
    X, y = load_digits(return_X_y=True)
    train, test, labels, _ = train_test_split(X / 16, y, test_size=0.5, stratify=y, random_state=0)
    return train.reshape(-1, 8, 8), test.reshape(-1, 8, 8), labels


def measured(vae: VariationalAutoencoder, X: np.ndarray) -> dict[str, float]:
    """Return what a fitted model is worth on images (n, 8, 8) in [0, 1]; all but the error in nats per image."""
    mean, variance = (part.astype(np.float64) for part in vae.posterior(255 * X))
    found = vae.decoder_.predict(mean, verbose=0)[..., 0].astype(np.float64) / 255
    levels = np.clip(found, 1e-12, 1 - 1e-7)  # in float32 nothing is closer to 1
    entropy = -(X * np.log(levels) + (1 - X) * np.log1p(-levels)).sum(axis=(1, 2)).mean()
    divergence = (mean**2 + variance - 1 - np.log(variance)).sum(axis=1).mean() / 2
    return {
        "cross-entropy at the mean": entropy,
        "divergence": divergence,
        "sum": entropy + divergence,
        "ELBO, 100 draws": vae.score_samples(255 * X, n_draws=100).mean(),
        "squared error": ((found - X) ** 2).mean(),
    }


def error_of_pca(train: np.ndarray, test: np.ndarray) -> float:
    """Return the mean squared error per pixel of PCA with as many components."""
    flat = test.reshape(len(test), -1)
    pca = PCA(N_COMPONENTS).fit(train.reshape(len(train), -1))
    return float(((pca.inverse_transform(pca.transform(flat)) - flat) ** 2).mean())


def measure_digits(train: np.ndarray, test: np.ndarray, parameters: dict[str, Any], seed: int) -> dict[str, float]:
    """Fit on one part and measure the other one."""
    start = time.perf_counter()
    vae = VariationalAutoencoder(N_COMPONENTS, **parameters, random_state=seed).fit(255 * train)
    seconds = time.perf_counter() - start
    row = measured(vae, test)
    return {**row, "of PCA": error_of_pca(train, test), "seconds of fit": seconds}


def digits(*, tune: bool) -> None:
    """Print the table of the digits."""
    train, test, labels = halves()
    runs = [(PARAMETERS, seed) for seed in range(3)]
    if tune:
        train, test = train_test_split(train, test_size=0.2, stratify=labels, random_state=0)
        runs = [(candidate, 0) for candidate in CANDIDATES]
    for number, (parameters, seed) in enumerate(runs):
        row = measure_digits(train, test, parameters, seed)
        if not number:
            print("| parameters | random_state | " + " | ".join(row) + " |\n|" + " --- |" * (len(row) + 2))
        cells = [f"{value:.4f}" if "error" in name or "PCA" in name else f"{value:.2f}" for name, value in row.items()]
        print(f"| `{parameters}` | {seed} | " + " | ".join(cells) + " |", flush=True)


def start(data: Path, n_unlabelled: int, n_labelled: int, epochs: int, classifier_epochs: int) -> None:
    """Print the accuracies of classifiers from a trained encoder and from a random one."""
    import keras

    from skcnn.neural_network import CNNClassifier

    with np.load(data) as file:
        X, y = file["X"], file["y"]
    print("| random_state | from the encoder | from random weights | seconds of the autoencoder |")
    print("| --- | --- | --- | --- |")
    for seed in range(3):
        rows = np.random.default_rng(seed).permutation(len(X))
        unlabelled, labelled = rows[:n_unlabelled], rows[n_unlabelled : n_unlabelled + n_labelled]
        test = rows[n_unlabelled + n_labelled :][:N_TEST]
        begun = time.perf_counter()
        autoencoder = ConvAutoencoder(128, filters=(64, 128, 256), epochs=epochs, random_state=seed).fit(X[unlabelled])
        seconds = time.perf_counter() - begun
        encoder = autoencoder.encoder_
        keras.utils.set_random_seed(seed)
        accuracies = []
        for backbone in (encoder, keras.models.clone_model(encoder)):
            classifier = CNNClassifier(
                backbone, pooling=None, epochs=classifier_epochs, learning_rate=1e-3, head_epochs=5,
                unfreeze="all", dropout=0.0,
                learning_rate_schedule="cosine", augmentation="light", random_state=seed,
            )  # fmt: skip
            accuracies.append(classifier.fit(X[labelled], y[labelled]).score(X[test], y[test]))
        print(f"| {seed} | {accuracies[0]:.3f} | {accuracies[1]:.3f} | {seconds:.0f} |", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    of_digits = commands.add_parser("digits")
    of_digits.add_argument("--tune", action="store_true", help="compare candidates on part of the training half")
    of_start = commands.add_parser("start")
    of_start.add_argument("--data", type=Path, required=True, help="a .npz file with X and y")
    of_start.add_argument("--unlabelled", type=int, default=10_000, help="images of the autoencoder")
    of_start.add_argument("--labelled", type=int, default=1_000, help="images of the classifier")
    of_start.add_argument("--epochs", type=int, default=10, help="epochs of the autoencoder")
    of_start.add_argument("--classifier-epochs", type=int, default=20, help="epochs of each classifier")
    options = parser.parse_args(arguments)
    if options.command == "digits":
        digits(tune=options.tune)
    else:
        start(options.data, options.unlabelled, options.labelled, options.epochs, options.classifier_epochs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
