"""How fast CNNClassifier trains, beside ``keras.Model.fit`` written by hand on the same decoded images.

One command::

    python benchmarks/training_speed.py --json training_speed.json

Both train all of a network at 32 x 32 pixels from the same arrays, with the same loss, optimizer, batches and
normalisation that learns. Rounds are interleaved; what counts is the median of the ratios of steps per second.
"""

from __future__ import annotations

import argparse

import keras
import numpy as np
from _reports import add_json, write_report
from _rounds import describe, interleaved, machine, median, ratio, show_ratio, table

from skcnn.backbones import get_backbone, scale_pixels
from skcnn.neural_network import CNNClassifier

N_CLASSES = 10


def by_hand(backbone: str) -> keras.Model:
    """Return a compiled network, as Keras's guides write it."""
    chosen = get_backbone(backbone)
    pixels = keras.Input((32, 32, 3), dtype="uint8")
    network = chosen.build(image_size=32, weights=None)
    features = keras.layers.GlobalAveragePooling2D()(network(scale_pixels(pixels, chosen.preprocessing)))
    model = keras.Model(pixels, keras.layers.Dense(N_CLASSES, activation="softmax")(features))
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main(arguments: list[str] | None = None) -> None:
    """Measure, print Markdown, and write JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="ResNet20")
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    add_json(parser)
    options = parser.parse_args(arguments)

    generator = np.random.default_rng(0)
    X = generator.integers(0, 256, (options.images, 32, 32, 3), np.uint8)
    y = generator.integers(0, N_CLASSES, options.images)
    classifier = CNNClassifier(
        options.backbone,
        weights=None,
        image_size=32,
        head_epochs=0,
        epochs=1,
        learning_rate=1e-3,
        learning_rate_schedule="constant",
        unfreeze="all",
        dropout=0.0,
        batch_norm="train",
        batch_size=options.batch_size,
        cache=None,  # lest a fit that was made before be remembered
        random_state=0,
    )
    model = by_hand(options.backbone)
    runs = {
        "CNNClassifier.fit": lambda: classifier.fit(X, y),
        "keras.Model.fit": lambda: model.fit(X, y, batch_size=options.batch_size, verbose=0),
    }
    for run in runs.values():
        run()  # compiles
    rounds = interleaved(runs, options.rounds)
    steps = -(-options.images // options.batch_size)
    head = machine()
    rows = []
    for name in runs:
        speeds = [f"{steps / median(rounds, name, clock):.2f}" for clock in ("wall", "cpu")]
        ratios = [show_ratio(ratio(rounds, "keras.Model.fit", name, clock)) for clock in ("wall", "cpu")]
        rows.append([name, *speeds, *ratios])
    print(f"{options.backbone}, {steps} steps of {options.batch_size} images per round, {describe(head)}\n")
    columns = ["", "steps / s", "steps / s of processor", "against Keras, wall", "against Keras, processor"]
    print(table(columns, rows))
    write_report(options.json, {"machine": head, "settings": vars(options), "rounds": rounds})


if __name__ == "__main__":
    main()
