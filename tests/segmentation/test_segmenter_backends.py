"""CNNSegmenter on the other backends of Keras, where these are installed."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest
from numpy.testing import assert_allclose

SCRIPT = """
import json, sys
import numpy as np
from toy import build_toy
from skcnn.segmentation import CNNSegmenter

generator = np.random.default_rng(0)
X = generator.integers(0, 40, (8, 32, 32, 3)).astype(np.uint8)
y = np.zeros((8, 32, 32), np.uint8)
for image, mask in zip(X, y):
    left, top = generator.integers(0, 20, 2)
    image[top : top + 12, left : left + 12] = 230
    mask[top : top + 12, left : left + 12] = 1
network = build_toy(weights="toy", input_shape=(32, 32, 3))
options = {"n_channels": 16, "head_epochs": 3, "head_learning_rate": 0.02, "batch_size": 4, "random_state": 0}
found = []
for loss, architecture in [("cross_entropy+dice", "unet"), ("focal+tversky", "fcn16")]:
    segmenter = CNNSegmenter(network, loss=loss, architecture=architecture, class_weight={1: 2.0}, **options).fit(X, y)
    found.append(segmenter.history_["loss"].tolist())
    found.append([float(scores[..., 1].mean()) for scores in segmenter.predict_proba(X)])
print(json.dumps(found))
"""


def outcome(backend: str) -> list:
    paths = [*sys.path, str(Path(__file__).parents[1])]
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("backend", sorted({"tensorflow", "jax", "torch"} - {keras.config.backend()}))
def test_every_other_backend_trains_it(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    for found, expected in zip(outcome(backend), outcome(keras.config.backend()), strict=True):
        assert_allclose(found, expected, rtol=0.05, atol=0.05)
