"""CNNDetector and CNNLocalizer on the other backends of Keras, where these are installed."""

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
from skcnn.boxes import box_arrays
from skcnn.detection import CNNDetector, CNNLocalizer

generator = np.random.default_rng(0)
X = generator.integers(0, 40, (8, 32, 32, 3)).astype(np.uint8)
y = []
for image in X:
    left, top = generator.integers(0, 20, 2)
    image[top : top + 12, left : left + 12] = 230
    y.append([[left, top, left + 12, top + 12]])
network = build_toy(weights="toy", input_shape=(32, 32, 3))
options = {"n_channels": 8, "head_epochs": 3, "head_learning_rate": 0.02, "batch_size": 4, "random_state": 0}
detector = CNNDetector(network, n_convolutions=1, score_threshold=0.0, **options).fit(X, y)
localizer = CNNLocalizer(network, box_loss="ciou", **options).fit(X, y)
found = box_arrays(detector.predict(X))
assert found.n_images == 8 and len(found.score)
print(json.dumps([
    detector.history_["loss"].tolist(),
    localizer.history_["loss"].tolist(),
    localizer.predict(X)[["xmin", "ymin", "xmax", "ymax"]].to_numpy().tolist(),
]))
"""


def outcome(backend: str) -> list:
    paths = [*sys.path, str(Path(__file__).parents[1])]
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("backend", sorted({"tensorflow", "jax", "torch"} - {keras.config.backend()}))
def test_every_other_backend_trains_them(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    for found, expected in zip(outcome(backend), outcome(keras.config.backend()), strict=True):
        assert_allclose(found, expected, rtol=0.05, atol=0.5)
