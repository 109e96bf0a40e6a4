"""Autoencoders on the other backends of Keras, where these are installed."""

import importlib.util
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from toy import TINY

from skcnn.decomposition import ConvAutoencoder

SCRIPT = """
import json, sys
import numpy as np
from skcnn.decomposition import ConvAutoencoder, VariationalAutoencoder

X, parameters = np.asarray(json.loads(sys.argv[1]), np.uint8), json.loads(sys.argv[2])
vaes = [VariationalAutoencoder(2, **parameters).fit(X) for _ in range(2)]
codes = [vae.transform(X) for vae in vaes]
losses = vaes[0].history_["loss"].tolist()
assert np.array_equal(*codes) and vaes[0].sample(3, random_state=0).shape == (3, 8, 8)
print(json.dumps([ConvAutoencoder(2, **parameters).fit(X).transform(X).tolist(), losses, vaes[0].score(X)]))
"""


@pytest.mark.parametrize("backend", sorted({"tensorflow", "jax", "torch"} - {keras.config.backend()}))
def test_every_other_backend_trains_it(backend, grey, vae):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    parameters = {**TINY, "epochs": 4}
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(grey.tolist()), json.dumps(parameters)],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    codes, losses, score = json.loads(done.stdout.splitlines()[-1])
    np.testing.assert_allclose(codes, ConvAutoencoder(2, **parameters).fit(grey).transform(grey), atol=1e-4)
    # Its draws are other ones.
    np.testing.assert_allclose(losses, vae.history_["loss"], rtol=0.02)
    assert score == pytest.approx(vae.score(grey), rel=0.02)
