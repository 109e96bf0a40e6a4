"""The scaling of pixels, against ``keras.applications``, on every backend that is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from skcnn.backbones import scale_pixels

MODES = ("tf", "torch", "caffe")


def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), dtype=np.uint8)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("mode", MODES)
def test_same_as_preprocess_input(mode, dtype):
    x = pixels()
    expected = keras.applications.imagenet_utils.preprocess_input(x.astype(np.float32), mode=mode)
    scaled = np.asarray(scale_pixels(x.astype(dtype), mode))
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, expected, rtol=0, atol=3e-5 if mode == "caffe" else 1e-6)


def test_none_only_makes_them_float():
    scaled = np.asarray(scale_pixels(pixels(), "none"))
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled, pixels())


@pytest.mark.parametrize("mode", ["none", *MODES])
def test_as_part_of_a_model_that_can_be_saved(mode, tmp_path):
    x = keras.Input((5, 4, 3), dtype="uint8")
    model = keras.Model(x, scale_pixels(x, mode))
    assert model.output.dtype == "float32"
    expected = np.asarray(scale_pixels(pixels(), mode))
    np.testing.assert_array_equal(np.asarray(model(pixels())), expected)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(np.asarray(loaded(pixels())), expected)


def test_float32_whatever_the_policy_is():
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        scaled = np.asarray(scale_pixels(pixels(), "torch"))
    finally:
        keras.config.set_dtype_policy(policy)
    np.testing.assert_array_equal(scaled, np.asarray(scale_pixels(pixels(), "torch")))


def test_unknown_mode():
    with pytest.raises(ValueError, match=r"mode='imagenet'; expected 'none', 'tf', 'torch', 'caffe'"):
        scale_pixels(pixels(), "imagenet")


SCRIPT = """
import json, sys
import keras, numpy as np
from skcnn.backbones import get_backbone, scale_pixels

x = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), dtype=np.uint8)
inputs = keras.Input((5, 4, 3), dtype="uint8")
results = {}
for mode in ("none", "tf", "torch", "caffe"):
    model = keras.Model(inputs, scale_pixels(inputs, mode))
    results[mode] = keras.ops.convert_to_numpy(model(x)).astype(float).tolist()
backbone = get_backbone("ResNet20")
network = backbone.build(weights=None)
pixels = keras.Input((32, 32, 3), dtype="uint8")
tapped = keras.Model(network.input, [backbone.pooled_output(network, layer.name, "avg") for layer in backbone.layers])
whole = keras.Model(pixels, tapped(scale_pixels(pixels, backbone.preprocessing)))
images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
results["shapes"] = [list(features.shape) for features in whole(images)]
print(json.dumps(results))
"""


@pytest.mark.parametrize("backend", sorted({"tensorflow", "jax", "torch"} - {keras.config.backend()}))
def test_every_other_backend_runs_it(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout.splitlines()[-1])
    assert results.pop("shapes") == [[2, 16], [2, 32], [2, 64]]
    for mode, values in results.items():
        np.testing.assert_allclose(values, np.asarray(scale_pixels(pixels(), mode)), rtol=0, atol=3e-5)
