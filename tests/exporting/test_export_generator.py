"""Generators in files of runtimes give the images of the estimator."""

import json

import numpy as np
import pytest

import skcnn
from skcnn.generative import ImageGAN


@pytest.fixture(scope="module", params=[True, False])
def gan(request):
    X = np.random.default_rng(0).integers(0, 256, (16, 6, 6, 3), np.uint8)
    parameters = {"n_components": 3, "filters": (8,), "epochs": 1, "batch_size": 8, "n_critic": 1, "ema": 0.5}
    gan = ImageGAN(conditional=request.param, **parameters, n_evaluations=0, random_state=0, verbose=0)
    return gan.fit(X, np.repeat(["cat", "dog"], 8))


def given_and_expected(gan):
    codes = np.random.default_rng(1).standard_normal((4, 3)).astype("float32")
    if not gan.conditional:
        return codes, gan.generate(codes)
    places = [0, 1, 1, 0]
    return np.hstack([codes, np.eye(2, dtype="float32")[places]]), gan.generate(codes, gan.classes_[places])


def test_openvino(gan, tmp_path):
    openvino = pytest.importorskip("openvino")
    skcnn.export(gan, tmp_path / "g.xml")
    network = openvino.Core().compile_model(tmp_path / "g.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    codes, images = given_and_expected(gan)
    np.testing.assert_allclose(network({"codes": codes})["images"], images, atol=0.51)


def test_onnx(gan, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("tf2onnx")
    skcnn.export(gan, tmp_path / "g.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "g.onnx")
    codes, images = given_and_expected(gan)
    (found,) = session.run(["images"], {"codes": codes})
    np.testing.assert_allclose(found, images, atol=0.51)
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == (["cat", "dog"] if gan.conditional else None)
    assert json.loads(about["n_components"]) == 3
