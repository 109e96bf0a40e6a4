"""What an epoch of fine-tuning costs behind frozen layers, beside ``keras.Model.fit`` written by hand.

One command::

    python benchmarks/frozen_prefix.py --data flowers/ --weights mobilenet_v2.weights.h5 --json frozen_prefix.json

Both train MobileNetV2 at 160 x 160 pixels for three epochs with the same layers open, the same loss, optimizer and
batches, and BatchNorm in inference mode, as Keras's guide to transfer learning has it. With layers open from some place
on, both have the decoded images in memory; with all layers open (``all``), both decode the files in every epoch, Keras
by ``image_dataset_from_directory``. Only the epochs after the first count: the first compiles, and computes what the
frozen layers give. Rounds are interleaved; what counts is the median of the ratios of steps per second. The last column
is the final loss less that of the same CNNClassifier with the whole network in its training graph.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
from _images import image_files
from _reports import add_json, write_report
from _rounds import Round, describe, interleaved, machine, median, ratio, show_ratio, table
from PIL import Image, ImageOps

from skcnn.datasets import load_image_folder
from skcnn.neural_network import CNNClassifier

SIZE, EPOCHS, RATE = 160, 3, 1e-4

#: That generated images are given.
N_CLASSES = 5


class EpochTimes(keras.callbacks.Callback):
    """Adds the seconds of every epoch after the first to a list: on the wall and of the processor."""

    def __init__(self, times: list[tuple[float, float]]):
        super().__init__()
        self.times = times

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the clocks."""
        self.began = time.perf_counter(), time.process_time()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Stop them."""
        if epoch:
            wall, cpu = self.began
            self.times.append((time.perf_counter() - wall, time.process_time() - cpu))


def by_hand(weights: str | None, unfreeze: str, n_classes: int) -> keras.Model:
    """Return a compiled network, as Keras's guides write it."""
    base = keras.applications.MobileNetV2(input_shape=(SIZE, SIZE, 3), include_top=False, weights=None)
    if weights is not None:
        whole = keras.applications.MobileNetV2(weights=None)
        whole.load_weights(weights)
        for own, given in zip(base.layers, whole.layers, strict=False):
            own.set_weights(given.get_weights())
    is_open = unfreeze == "all"
    for layer in base.layers:
        is_open = is_open or layer.name == unfreeze
        layer.trainable = is_open
    pixels = keras.Input((SIZE, SIZE, 3))
    features = base(keras.layers.Rescaling(1 / 127.5, -1)(pixels), training=False)
    features = keras.layers.GlobalAveragePooling2D()(features)
    model = keras.Model(pixels, keras.layers.Dense(n_classes, activation="softmax")(features))
    model.compile(keras.optimizers.Adam(RATE), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def measure(options: argparse.Namespace, unfreeze: str, paths: list[str], y: np.ndarray) -> dict[str, Any]:
    """Run all rounds of one frontier, and return its row."""
    pixels = np.stack([np.asarray(Image.open(path)) for path in paths])
    X: Any = paths if unfreeze == "all" else pixels
    model = by_hand(options.weights, unfreeze, len(np.unique(y)))
    times: dict[str, list[tuple[float, float]]] = {"CNNClassifier.fit": [], "keras.Model.fit": []}
    losses = {}

    def classifier(**changed: Any) -> CNNClassifier:
        return CNNClassifier(
            "MobileNetV2", weights=options.weights or None, image_size=SIZE, head_epochs=0, epochs=EPOCHS,
            unfreeze=unfreeze, learning_rate=RATE, learning_rate_schedule="constant", batch_size=options.batch_size,
            dropout=0.0, random_state=0, **changed,
        )  # fmt: skip

    def ours() -> None:
        callback = lambda: EpochTimes(times["CNNClassifier.fit"])  # noqa: E731
        losses["prefix"] = classifier(callbacks=[callback]).fit(X, y).history_["loss"].iloc[-1]

    def theirs() -> None:
        callbacks = [EpochTimes(times["keras.Model.fit"])]
        if unfreeze == "all":
            data = keras.utils.image_dataset_from_directory(
                Path(paths[0]).parent.parent, image_size=(SIZE, SIZE), batch_size=options.batch_size, verbose=False
            )
            model.fit(data.prefetch(2), epochs=EPOCHS, shuffle=False, callbacks=callbacks, verbose=0)
        else:
            model.fit(X, y, batch_size=options.batch_size, epochs=EPOCHS, callbacks=callbacks, verbose=0)

    interleaved({"CNNClassifier.fit": ours, "keras.Model.fit": theirs}, options.rounds)
    pairs = zip(*(np.reshape(taken, (-1, EPOCHS - 1, 2)).sum(axis=1) for taken in times.values()), strict=True)
    rounds: list[Round] = [
        {name: dict(zip(("wall", "cpu"), taken, strict=True)) for name, taken in zip(times, pair, strict=True)}
        for pair in pairs
    ]
    difference = None
    if unfreeze != "all":  # a layer that changes nothing keeps the whole network in the training graph
        whole = classifier(augmentation=[keras.layers.Identity()]).fit(X, y).history_["loss"].iloc[-1]
        difference = float(losses["prefix"] - whole)
    return {"unfreeze": unfreeze, "rounds": rounds, "difference": difference}


def _classes(folder: Path, n_images: int, data: str | None) -> tuple[list[str], np.ndarray]:
    """Write images of the network's size, one folder per class, and return their paths and the codes of their classes.

    The classes are those of ``data``; generated images have none, and are given some.
    """
    if data is None:
        sources, y = image_files(folder / "generated", n_images, (SIZE, SIZE), None), np.arange(n_images) % N_CLASSES
    else:
        images = load_image_folder(data)
        chosen = np.random.default_rng(0).permutation(len(images.target))[:n_images]
        sources = [images.data["path"].iloc[row] for row in chosen]
        y = np.unique(np.asarray(images.target), return_inverse=True)[1][chosen]
    paths = []
    for number, (source, code) in enumerate(zip(sources, y, strict=True)):
        paths.append(str(folder / "classes" / str(code) / f"{number:06d}.jpg"))
        Path(paths[-1]).parent.mkdir(parents=True, exist_ok=True)
        image = ImageOps.exif_transpose(Image.open(source)).convert("RGB")
        image.resize((SIZE, SIZE), Image.Resampling.BILINEAR).save(paths[-1], quality=90)
    return paths, y


def main(arguments: list[str] | None = None) -> None:
    """Measure, print Markdown, and write JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="a folder of images, one folder per class; generated ones are the default")
    parser.add_argument("--weights", help="a file for MobileNetV2; the default is weights drawn at random")
    parser.add_argument("--unfreeze", nargs="+", default=["block_13_expand", "block_15_expand", "all"])
    parser.add_argument("--images", type=int, default=320)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    add_json(parser)
    options = parser.parse_args(arguments)

    # Drawn at random they are as fast; only what is learned is of no worth.
    warnings.filterwarnings("ignore", "weights=None with batch_norm='inference'")
    with tempfile.TemporaryDirectory() as folder:
        paths, y = _classes(Path(folder), options.images, options.data)
        results = [measure(options, unfreeze, paths, y) for unfreeze in options.unfreeze]
    head = machine()
    steps = -(-options.images // options.batch_size) * (EPOCHS - 1)
    rows = []
    for result in results:
        rounds = result["rounds"]
        speeds = [f"{steps / median(rounds, name, 'wall'):.2f}" for name in rounds[0]]
        ratios = [show_ratio(ratio(rounds, "keras.Model.fit", "CNNClassifier.fit", clock)) for clock in ("wall", "cpu")]
        difference = "" if result["difference"] is None else f"{result['difference']:+.1e}"
        rows.append([result["unfreeze"], *speeds, *ratios, difference])
    print(f"{options.images} images, batches of {options.batch_size}, {options.rounds} rounds, {describe(head)}\n")
    columns = ["open from", "steps / s", "of Keras", "ratio, wall", "ratio, processor", "final loss, less the whole's"]
    print(table(columns, rows))
    write_report(options.json, {"machine": head, "settings": vars(options), "results": results})


if __name__ == "__main__":
    main()
