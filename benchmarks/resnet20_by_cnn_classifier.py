"""The recipe of the shipped ResNet20, as parameters of CNNClassifier: whether the first epochs learn alike.

One command::

    python benchmarks/resnet20_by_cnn_classifier.py --data cifar10_jpeg.npz

``--data`` is what ``train_resnet20.py`` takes; the curve beside it is the one that this script wrote down when it
trained the shipped weights, with seed 0. The schedule is that of 24 epochs, whatever ``--epochs`` are run. The network
starts from the very weights that the script draws from the same seed, as they decide much of the first epoch: over its
first 130 steps the script itself reaches an accuracy of 0.361 from one seed, and of 0.247 from the next. Order, shifts
and flips are drawn again. A run that is killed goes on from its last epoch.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import keras
from train_resnet20 import load_cifar10

import skcnn.backbones
from skcnn.backbones._resnet20 import build_resnet20
from skcnn.neural_network import CNNClassifier

SCHEDULED_EPOCHS = 24


def recorded_curve() -> list[float]:
    """Return the training accuracy of each epoch, as the README of the shipped weights gives it."""
    readme = (Path(skcnn.backbones.__file__).parent / "weights" / "README.md").read_text()
    found = re.search(r"training accuracy, epoch by epoch \| ([\d. ]+) \|", readme)
    assert found, "the README of the weights has no curve"
    return [float(value) for value in found[1].split()]


def initial_weights(folder: Path, seed: int) -> Path:
    """Write down what ``train_resnet20.py`` starts from, and return the path."""
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(seed)
    path = folder / "initial.weights.h5"
    build_resnet20().save_weights(path)
    return path


def classifier(epochs: int, checkpoint: Path, seed: int, verbose: int) -> CNNClassifier:
    """Return the recipe; it ends after so many of its scheduled epochs."""

    def ending() -> Any:
        def end(epoch: int, logs: dict[str, float]) -> None:
            callback.model.stop_training = epoch + 1 >= epochs

        callback = keras.callbacks.LambdaCallback(on_epoch_end=end)
        return callback

    shift = 4 / 32
    return CNNClassifier(
        "ResNet20",
        weights=initial_weights(checkpoint, seed),
        head_epochs=0,
        dropout=0.0,
        epochs=SCHEDULED_EPOCHS,
        learning_rate=0.1,
        learning_rate_schedule="cosine",
        unfreeze="all",
        batch_norm="train",
        optimizer=keras.optimizers.SGD(momentum=0.9, nesterov=True, weight_decay=5e-3),
        batch_size=128,
        augmentation=[
            keras.layers.RandomTranslation(
                shift, shift, fill_mode="constant", fill_value=128.0, interpolation="nearest"
            ),
            keras.layers.RandomFlip("horizontal"),
        ],
        checkpoint=checkpoint,
        callbacks=[ending],
        random_state=seed,
        verbose=verbose,
    )


def main() -> None:
    """Train, and print the two curves side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="an .npz of CIFAR-10 (default: keras.datasets.cifar10)")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the first weights, the order and the shifts")
    parser.add_argument("--checkpoint", type=Path, default=Path("build/resnet20_by_cnn_classifier"))
    arguments = parser.parse_args()
    x_train, y_train, x_test, y_test = load_cifar10(arguments.data)
    trained = classifier(arguments.epochs, arguments.checkpoint, arguments.seed, verbose=2).fit(x_train, y_train)
    print("| epoch | train_resnet20.py | CNNClassifier |\n|---|---|---|")
    for epoch, (recorded, found) in enumerate(zip(recorded_curve(), trained.history_["accuracy"], strict=False), 1):
        print(f"| {epoch} | {recorded:.3f} | {found:.3f} |")
    print(f"\ntest accuracy {trained.score(x_test, y_test):.4f} after {trained.n_iter_} epochs")


if __name__ == "__main__":
    main()
