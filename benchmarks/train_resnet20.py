"""Train the ResNet20 whose CIFAR-10 weights are shipped with skcnn.

One command::

    python benchmarks/train_resnet20.py --data cifar10_jpeg.npz --output skcnn/backbones/weights

``--data`` takes an ``.npz`` with ``x_train, y_train, x_test, y_test`` (uint8 pixels) or with the packed JPEG bytes
``train_jpeg, train_offset, train_y`` and the same for ``test``. Without it, ``keras.datasets.cifar10`` is used.

The recipe is He et al. (2016), section 4.2 (batches of 128, SGD with momentum 0.9, images shifted by up to 4 pixels
and flipped), with a cosine schedule in place of the steps so that far fewer epochs do. A run that is killed goes on
from its last epoch when the command is given again. The test set is looked at once, after the last epoch.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import time
from itertools import pairwise
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from skcnn.backbones._resnet20 import build_resnet20

WEIGHTS_NAME = "resnet20_cifar10.weights.h5"


def load_cifar10(path: str | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return x_train, y_train, x_test, y_test: uint8 (n, 32, 32, 3) and int (n,)."""
    if path is None:
        (x_train, y_train), (x_test, y_test) = keras.datasets.cifar10.load_data()
        return x_train, y_train.ravel(), x_test, y_test.ravel()
    with np.load(path) as archive:
        if "x_train" in archive:
            return archive["x_train"], archive["y_train"].ravel(), archive["x_test"], archive["y_test"].ravel()
        parts: list[np.ndarray] = []
        for split in ("train", "test"):
            packed, offsets = archive[f"{split}_jpeg"].tobytes(), archive[f"{split}_offset"].astype(int)
            images = [
                np.asarray(Image.open(io.BytesIO(packed[start:stop])).convert("RGB"))
                for start, stop in pairwise(offsets)
            ]
            parts += [np.stack(images), archive[f"{split}_y"].astype("int64")]
    return parts[0], parts[1], parts[2], parts[3]


class ShiftedAndFlipped(keras.utils.PyDataset):
    """Shuffled batches of images shifted by up to ``shift`` pixels and flipped left to right; a seed per epoch."""

    def __init__(self, x: np.ndarray, y: np.ndarray, batch_size: int, seed: int, shift: int = 4):
        super().__init__()
        self.padded = np.pad(x, [(0, 0), (shift, shift), (shift, shift), (0, 0)], constant_values=128)
        self.size, self.shift = x.shape[1], shift
        self.y, self.batch_size, self.seed = y, batch_size, seed
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Draw the order and the augmentation of one epoch (so that a resumed run draws what it would have drawn)."""
        generator = np.random.default_rng([self.seed, epoch])
        n_samples = len(self.y)
        self.order = generator.permutation(n_samples)
        self.offsets = generator.integers(0, 2 * self.shift + 1, (n_samples, 2))
        self.flips = generator.random(n_samples) < 0.5

    def __len__(self) -> int:
        return len(self.y) // self.batch_size

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        pixels = np.arange(self.size)
        ys = self.offsets[rows, 0, None] + pixels
        xs = self.offsets[rows, 1, None] + pixels
        xs = np.where(self.flips[rows, None], xs[:, ::-1], xs)
        batch = self.padded[rows[:, None, None], ys[:, :, None], xs[:, None, :]]
        return batch.astype("float32") / 127.5 - 1, self.y[rows]


def main() -> None:
    """Train, evaluate once, write the weights and their README."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="an .npz of CIFAR-10 (default: keras.datasets.cifar10)")
    parser.add_argument(
        "--data-note", default="", help="a line for the README of the weights on where the data is from"
    )
    parser.add_argument("--output", type=Path, default=Path("skcnn/backbones/weights"))
    parser.add_argument("--checkpoint", type=Path, default=Path("build/resnet20"), help="where a killed run goes on")
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--learning-rate", type=float, default=0.1)
    parser.add_argument("--weight-decay", type=float, default=5e-3, help="decoupled; times the learning rate a step")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, help="stop each epoch after so many steps (to time one)")
    arguments = parser.parse_args()

    keras.utils.set_random_seed(arguments.seed)
    x_train, y_train, x_test, y_test = load_cifar10(arguments.data)
    batches = ShiftedAndFlipped(x_train, y_train, arguments.batch_size, arguments.seed)
    steps = arguments.steps or len(batches)
    model = build_resnet20()
    optimizer = keras.optimizers.SGD(
        keras.optimizers.schedules.CosineDecay(arguments.learning_rate, steps * arguments.epochs),
        momentum=0.9,
        nesterov=True,
        weight_decay=arguments.weight_decay,
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])

    arguments.checkpoint.mkdir(parents=True, exist_ok=True)
    log = arguments.checkpoint / "history.jsonl"
    started = time.time()

    def end_epoch(epoch: int, logs: dict[str, float]) -> None:
        row = {"epoch": epoch + 1, "seconds": round(time.time() - started), **{k: float(v) for k, v in logs.items()}}
        with log.open("a") as file:
            file.write(json.dumps(row) + "\n")

    model.fit(
        batches,
        epochs=arguments.epochs,
        steps_per_epoch=arguments.steps,
        shuffle=False,
        verbose=2,
        callbacks=[
            keras.callbacks.BackupAndRestore(arguments.checkpoint / "backup", delete_checkpoint=False),
            keras.callbacks.LambdaCallback(
                on_epoch_begin=lambda epoch, logs: batches.start_epoch(epoch), on_epoch_end=end_epoch
            ),
        ],
    )

    def accuracy(x: np.ndarray, y: np.ndarray) -> float:
        return float((model.predict(x.astype("float32") / 127.5 - 1, 500, verbose=0).argmax(1) == y).mean())

    test_accuracy = accuracy(x_test, y_test)
    arguments.output.mkdir(parents=True, exist_ok=True)
    path = arguments.output / WEIGHTS_NAME
    network = build_resnet20()  # of its own: a compiled model would save its optimizer as well
    network.set_weights(model.get_weights())
    network.save_weights(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    curve = " ".join(f"{json.loads(line)['accuracy']:.3f}" for line in log.read_text().splitlines())
    readme = f"""# Weights shipped with skcnn

## {WEIGHTS_NAME}

| | |
|---|---|
| network | ResNet20 (`skcnn/backbones/_resnet20.py`), {model.count_params():,} parameters, float32 |
| data | CIFAR-10: {len(x_train):,} training images, {len(x_test):,} test images. {arguments.data_note} |
| input | RGB, 32 x 32, scaled to [-1, 1] |
| recipe | {arguments.epochs} epochs of SGD: batches of {arguments.batch_size}, Nesterov momentum 0.9, learning rate \
{arguments.learning_rate} with cosine decay to 0, decoupled weight decay {arguments.weight_decay} (not on BatchNorm \
and biases), shifts of up to 4 pixels, left-right flips |
| seed | {arguments.seed} |
| training accuracy, epoch by epoch | {curve} |
| test accuracy | {test_accuracy:.4f} (looked at once, after the last epoch) |
| SHA-256 | `{digest}` |
| made with | `python benchmarks/train_resnet20.py --data ... --epochs {arguments.epochs}`, Keras {keras.__version__}, \
{keras.backend.backend()} backend |
| licence | that of skcnn |
"""
    (arguments.output / "README.md").write_text(readme)
    print(f"test accuracy {test_accuracy:.4f}\n{path} {digest}")


if __name__ == "__main__":
    main()
