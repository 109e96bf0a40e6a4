"""Fits on one device and on two, in a process of its own: TensorFlow is told of devices before it starts.

Prints what both gave as JSON: history and outputs of each estimator, and how many replicas trained.
"""

import json
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
sys.path.insert(0, str(Path(__file__).parents[1]))

import keras  # noqa: E402
from toy import TOY  # noqa: E402

import skcnn  # noqa: E402
from skcnn.neural_network import CNNClassifier, CNNRegressor  # noqa: E402
from skcnn.segmentation import CNNSegmenter  # noqa: E402

REPLICAS = []


class Replicas(keras.callbacks.Callback):
    """Notes how many devices a model is trained by."""

    def on_train_begin(self, logs=None):
        REPLICAS.append(self.model.distribute_strategy.num_replicas_in_sync)


def squares(n):
    """Return images of three kinds, numbers of the kinds, and weights of the images."""
    generator = np.random.default_rng(0)
    X = generator.integers(0, 120, (n, 16, 16, 3)).astype(np.uint8)
    codes = np.arange(n) % 3
    for row, code in enumerate(codes):
        X[row, ..., code] += 120
    return X, codes, generator.uniform(0.5, 2, n)


SETTINGS = {
    "weights": "toy",
    "head_epochs": 1,
    "epochs": 2,
    "unfreeze": "all",
    "learning_rate": 0.01,
    "dropout": 0.0,
    "batch_size": 8,
    "cache": None,
    "random_state": 0,
}


def main():
    X, codes, weights = squares(41)  # five batches of 8, and one of 1
    found = {}
    for name, estimator, y in (
        ("classifier", CNNClassifier(TOY, callbacks=[Replicas], **SETTINGS), codes),
        ("stopping", CNNClassifier(TOY, callbacks=[Replicas], early_stopping=True, **SETTINGS), codes),
        ("regressor", CNNRegressor(TOY, callbacks=[Replicas], **SETTINGS), codes + 0.5),
    ):
        for devices in (1, 2):
            REPLICAS.clear()
            with skcnn.on_devices("auto") if devices == 2 else nullcontext():
                estimator.fit(X, y, sample_weight=weights)
            outputs = estimator.predict(X) if name == "regressor" else estimator.predict_proba(X)
            history = estimator.history_.drop(columns="phase").to_dict("list")
            found[f"{name} {devices}"] = {"history": history, "outputs": outputs.tolist(), "replicas": [*REPLICAS]}

    masks = np.zeros(X.shape[:3], np.uint8)
    masks[:, :8] = codes[:, None, None]
    maps = {"n_channels": 8, "image_size": 16, "head_epochs": 2, "epochs": 0, "flips": None, "random_state": 0}
    for devices in (1, 2):
        with skcnn.on_devices(devices):
            segmenter = CNNSegmenter(TOY, weights="toy", batch_size=20, cache=None, **maps).fit(X, masks)
        found[f"segmenter {devices}"] = segmenter.history_["loss"].tolist()

    # The linear scaling rule: as twice the batch at twice the rates on one device.
    classifier = CNNClassifier(TOY, **SETTINGS)
    with skcnn.on_devices(2, linear_scaling=True):
        found["scaled 2"] = classifier.fit(X, codes).history_.drop(columns="phase").to_dict("list")
    rates = {"batch_size": 16, "learning_rate": 0.02, "head_learning_rate": 2 * classifier.head_learning_rate}
    classifier.set_params(**rates).fit(X, codes)
    found["scaled 1"] = classifier.history_.drop(columns="phase").to_dict("list")

    errors = {}
    for name, parameters, devices in (
        ("batch_size", {"batch_size": 9}, 2),
        ("batch_norm", {"batch_norm": "train"}, 2),
        ("devices", {}, 3),
    ):
        try:
            with skcnn.on_devices(devices):
                CNNClassifier(TOY, **SETTINGS | parameters).fit(X, codes)
        except ValueError as error:
            errors[name] = str(error)
    print("FOUND", json.dumps({"fits": found, "errors": errors}))


if __name__ == "__main__":
    main()
