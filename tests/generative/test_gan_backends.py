"""GANs on the other backends of Keras, where these are installed."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from skcnn.generative import ImageGAN
from tests.generative.tiny_gan import TINY_GAN

SCRIPT = """
import json, sys
import numpy as np
from tests.generative.tiny_gan import TINY_GAN
from skcnn.generative import ImageGAN

X, y = np.asarray(json.loads(sys.argv[1]), np.uint8), json.loads(sys.argv[2])
found = {}
for loss in ("wgan-gp", "gan", "wgan", "began", "dcgan"):
    layers = "conv" if loss == "dcgan" else "dense"
    gan = ImageGAN(loss, conditional=True, **TINY_GAN | {"layers": layers}).fit(X, y)
    again = ImageGAN(loss, conditional=True, **TINY_GAN | {"layers": layers}).fit(X, y)
    images = gan.sample(5, random_state=0)
    assert np.array_equal(images, again.sample(5, random_state=0))
    found[loss] = [gan.history_["discriminator_loss"].tolist(), images.astype(int).tolist()]
from skcnn.generative._networks import Design
from skcnn.generative._objectives import Objective
from skcnn.generative._players import training_game
import keras

design, optimizer = Design("wgan-gp", (6, 6), 1, 3, (4,), True), keras.optimizers.SGD(0.1)
generator = np.random.default_rng(0)
batch = {
    "codes": generator.normal(size=(6, 3)).astype("float32"),
    "pixels": generator.normal(size=(6, 6, 6, 1)).astype("float32"),
    "mix": generator.random((6, 1, 1, 1)).astype("float32"),
}
with training_game(design, Objective("wgan-gp"), optimizer, "sgd", 0.0) as game:
    game.put(design.initial_weights(0))
    game.reset(None)
    for player, other in (("discriminator", "generator"), ("generator", "discriminator")):
        before = game.take([player, other])
        game.step(player, batch if player == "discriminator" else {"codes": batch["codes"]})
        after = game.take([player, other])
        assert all(np.array_equal(a, b) for a, b in zip(before[other], after[other]))
        assert any(not np.array_equal(a, b) for a, b in zip(before[player], after[player]))
print(json.dumps(found))
"""


@pytest.mark.parametrize("backend", sorted({"tensorflow", "jax", "torch"} - {keras.config.backend()}))
def test_every_other_backend_trains_it(backend, bars):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    X, y = bars
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(X.tolist()), json.dumps(y.tolist())],
        capture_output=True, text=True, env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    for loss, (losses, images) in found.items():
        layers = "conv" if loss == "dcgan" else "dense"
        here = ImageGAN(loss, conditional=True, **TINY_GAN | {"layers": layers}).fit(X, y)
        np.testing.assert_allclose(losses, here.history_["discriminator_loss"], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(images, here.sample(5, random_state=0).astype(int), atol=2)
