"""Files of runtimes: read by these, they give what the estimator predicts, and say what is to be known."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from toy import build_toy

import skcnn
from skcnn._keras import import_keras
from skcnn.cli import main
from skcnn.exporting import export
from skcnn.feature_extraction import BottleneckFeatures


def network():
    """A network that a saved file holds."""
    keras = import_keras()
    pixels = keras.Input((16, 16, 3))
    return keras.Model(pixels, build_toy(weights="toy")(keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8)


@pytest.fixture(scope="module")
def model(images):
    y = np.array(["dark", "light"])[(images[:, :, :, 0].mean(axis=(1, 2)) > 127).astype(int)]
    features = BottleneckFeatures(network(), resize="pad", engine="keras", cache=None)
    return make_pipeline(features, StandardScaler(), LogisticRegression()).fit(pd.DataFrame({"image": list(images)}), y)


ABOUT = {
    "classes": ["dark", "light"],
    "image_size": [16, 16],
    "resize": "pad",
    "estimator": "Pipeline",
    "skcnn": skcnn.__version__,
}


def test_openvino(model, images, tmp_path):
    openvino = pytest.importorskip("openvino")
    export(model, tmp_path / "m.xml")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["m.bin", "m.xml"]
    core = openvino.Core()
    read = core.read_model(tmp_path / "m.xml")
    about = {name: read.get_rt_info(["skcnn", name]).astype(str) for name in ABOUT}
    assert {
        name: value if isinstance(ABOUT[name], str) else json.loads(value) for name, value in about.items()
    } == ABOUT
    run = core.compile_model(read, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = run({"pixels": images})["probabilities"]
    np.testing.assert_allclose(found, model.predict_proba(pd.DataFrame({"image": list(images)})), atol=1e-5)


def test_onnx_by_a_client_without_skcnn(model, images, tmp_path):
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    export(model, tmp_path / "m.onnx")
    Image.fromarray(images[0]).save(tmp_path / "a.png")
    Image.fromarray(images[1]).resize((30, 20)).save(tmp_path / "b.png")
    page = (Path(__file__).parents[2] / "docs" / "production.md").read_text()
    (client,) = (part.partition("```")[0] for part in page.split(":caption: client.py\n")[1:])
    without = "import sys; sys.modules |= dict.fromkeys(['skcnn', 'sklearn', 'keras', 'tensorflow'])\n"
    (tmp_path / "run.py").write_text(without + client)
    command = [sys.executable, "run.py", "m.onnx", "a.png", "b.png"]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    paths = pd.DataFrame({"image": [str(tmp_path / name) for name in ("a.png", "b.png")]})
    expected = model.predict_proba(paths)
    for line, name, row in zip(printed.splitlines(), ("a.png", "b.png"), expected, strict=True):
        best = row.argmax()
        assert line == f"{name}\t{ABOUT['classes'][best]}\t{row[best]:.4f}"


@pytest.mark.slow
def test_litert(model, images, tmp_path):
    interpreters = pytest.importorskip("ai_edge_litert.interpreter")
    export(model, tmp_path / "m.tflite")
    with zipfile.ZipFile(tmp_path / "m.tflite") as archive:
        assert json.loads(archive.read("skcnn.json")) == ABOUT
        assert archive.read("labels.txt").decode().split() == ABOUT["classes"]
    interpreter = interpreters.Interpreter(str(tmp_path / "m.tflite"))
    (pixels,), (output,) = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(pixels["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(pixels["index"], images)
    interpreter.invoke()
    expected = model.predict_proba(pd.DataFrame({"image": list(images)}))
    np.testing.assert_allclose(interpreter.get_tensor(output["index"]), expected, atol=1e-5)


def test_the_command(model, tmp_path, capsys, monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.chdir(tmp_path)
    skcnn.save(model, "m.skcnn")
    assert main(["export", "m.skcnn", "m.xml"]) == 0
    assert capsys.readouterr().out.startswith("m.xml: 0.0 MB")
    with pytest.raises(SystemExit):
        main(["export", "m.skcnn", "m.h5"])
    assert "expected a name that ends in .onnx" in capsys.readouterr().err


def test_nothing_is_written_if_something_is_wrong(model, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"has the suffix '.pb'; expected .onnx, .xml, .tflite"):
        export(model, tmp_path / "m.pb")
    monkeypatch.setattr("skcnn.exporting._formats.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"needs onnx and tf2onnx: `pip install 'skcnn\[onnx\]'`"):
        export(model, tmp_path / "m.onnx")
    changed = make_pipeline(*(step for _, step in model.steps))
    monkeypatch.setattr(LogisticRegression, "predict_proba", lambda self, X: np.full((len(X), 2), 0.5))
    with pytest.raises(ValueError, match=r"does not give what it predicts: they differ by 0\."):
        export(changed, tmp_path / "m.xml")
    assert list(tmp_path.iterdir()) == []
