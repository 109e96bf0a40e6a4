"""A fit on JAX, by one process or by two that share each batch: what it gave, as JSON.

Arguments: number of the process, or "alone"; the ports of both; a folder for checkpoints.
"""

import json
import os
import sys
from contextlib import nullcontext
from pathlib import Path

os.environ |= {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
sys.path.insert(0, str(Path(__file__).parents[1]))

import keras
import numpy as np
from toy import TOY

import skcnn
from skcnn.neural_network import CNNClassifier


def main(process, ports, folder):
    if process != "alone":
        addresses = ",".join(f"127.0.0.1:{port}" for port in ports.split(","))
        keras.distribution.initialize(addresses, 2, int(process))
    generator = np.random.default_rng(0)
    X = generator.integers(0, 120, (41, 16, 16, 3)).astype(np.uint8)
    codes = np.arange(41) % 3
    for row, code in enumerate(codes):
        X[row, ..., code] += 120
    weights = generator.uniform(0.5, 2, 41)
    classifier = CNNClassifier(
        TOY, weights="toy", head_epochs=1, epochs=2, unfreeze="all", learning_rate=0.01, dropout=0.0, batch_size=8,
        early_stopping=True, cache=None, checkpoint=folder, random_state=0,
    )  # fmt: skip
    with nullcontext() if process == "alone" else skcnn.on_devices():
        classifier.fit(X, codes, sample_weight=weights)
    history = classifier.history_.drop(columns="phase").to_dict("list")
    saved = [path.name for path in Path(folder).glob("*")]
    print("FOUND", json.dumps({"history": history, "outputs": classifier.predict_proba(X).tolist(), "saved": saved}))


if __name__ == "__main__":
    main(*sys.argv[1:])
