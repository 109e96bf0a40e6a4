"""Style transfer on the other backends of Keras, where these are installed."""

import importlib.util
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from style_toy import LAYERS, build_style_toy, patterns

from skcnn.generative import StyleTransfer

SCRIPT = """
import json
from style_toy import LAYERS, build_style_toy, patterns
from skcnn.generative import StyleTransfer

content, style = patterns((24, 24))
for tile_size in (None, 12):
    transfer = StyleTransfer(build_style_toy(), **LAYERS, max_iter=4, output_size=24, tile_size=tile_size).fit([style])
    images, losses = transfer.transform([content], return_losses=True)
print(json.dumps([images[0].tolist(), losses["loss"].tolist()]))
"""


@pytest.mark.parametrize("backend", sorted({"tensorflow", "jax", "torch"} - {keras.config.backend()}))
def test_every_other_backend_makes_the_same_image(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    image, losses = json.loads(done.stdout.splitlines()[-1])
    content, style = patterns((24, 24))
    own = StyleTransfer(build_style_toy(), **LAYERS, max_iter=4, output_size=24).fit([style])
    (expected,), table = own.transform([content], return_losses=True)
    np.testing.assert_allclose(losses, table["loss"], rtol=1e-3)
    assert np.abs(np.array(image) - expected.astype(int)).max() <= 2
