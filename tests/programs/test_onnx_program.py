"""Programs for ONNX Runtime give what the estimator gives, and what ONNX Runtime gets was checked before."""

import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from toy import build_toy

import skcnn
from skcnn._keras import import_keras
from skcnn.cli import main
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.persistence import ModelFileError, load_program
from skcnn.programs import MEMBERS, Program, ProgramError

onnx = pytest.importorskip("onnx")
pytest.importorskip("tf2onnx")
onnxruntime = pytest.importorskip("onnxruntime")

ABOUT, GRAPH, WEIGHTS = MEMBERS["onnxruntime"]


def hide(monkeypatch, *packages):
    """Make skcnn believe that packages are not installed."""
    from importlib.util import find_spec

    def found(name):
        return None if name in packages else find_spec(name)

    monkeypatch.setattr("skcnn.exporting._export.find_spec", found)
    monkeypatch.setattr("skcnn.programs._onnx_checks.find_spec", found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of images, and a model that was saved where there is no OpenVINO."""
    root = tmp_path_factory.mktemp("onnx_programs")
    images = np.random.default_rng(0).integers(0, 256, (30, 20, 12, 3), np.uint8)
    paths = [str(root / f"{number}.png") for number in range(30)]
    for path, pixels in zip(paths, images, strict=True):
        Image.fromarray(pixels).save(path)
    red = images[..., 0].mean(axis=(1, 2))
    keras = import_keras()
    pixels = keras.Input((16, 16, 3))
    network = keras.Model(pixels, build_toy(weights="toy")(keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)))
    features = BottleneckFeatures(network, resize="crop", engine="keras", cache=None)
    head = CalibratedClassifierCV(LogisticRegression(), cv=2)
    model = make_pipeline(features, StandardScaler(), head).fit(paths, np.digitize(red, np.quantile(red, [0.3, 0.6])))
    with pytest.MonkeyPatch.context() as monkeypatch:
        hide(monkeypatch, "openvino")
        skcnn.save(model, root / "m.skcnn", training_features=paths, program=True)
    skcnn.save(model, root / "plain.skcnn")
    return root, paths, model


@pytest.fixture(scope="module")
def members(folder):
    with zipfile.ZipFile(folder[0] / "m.skcnn") as archive:
        return {name: archive.read(name) for name in (ABOUT, GRAPH, WEIGHTS)}


def test_what_the_estimator_gives(folder):
    root, paths, model = folder
    program = load_program(root / "m.skcnn")
    assert program.runtime == "onnxruntime"
    np.testing.assert_allclose(program.predict_proba(paths), model.predict_proba(paths), atol=1e-5)
    assert program.predict(paths).tolist() == model.predict(paths).tolist()
    training = skcnn.load(root / "m.skcnn").training_features_
    np.testing.assert_allclose(program.distances(paths), training.distances(model[0].transform(paths)), rtol=1e-4)
    # An image does not depend on the others of its batch.
    np.testing.assert_array_equal(program.predict_proba(paths[3:4]), program.predict_proba(paths)[3:4])
    with pytest.raises(ValueError, match=r"pixels are uint8 \(1, 8, 8, 3\); expected uint8 \(n, 16, 16, 3\)"):
        program.run(np.zeros((1, 8, 8, 3), np.uint8))


def test_the_command_imports_neither_scikit_learn_nor_keras(folder):
    script = (
        "import sys\nfrom skcnn.cli import main\n"
        "code = main(['predict', 'm.skcnn', '0.png', '1.png', '--top', '2'])\n"
        "heavy = {'sklearn', 'pandas', 'scipy', 'skops', 'keras', 'tensorflow', 'openvino', 'tf2onnx'}\n"
        "found = heavy & set(sys.modules)\n"
        "sys.exit(code or (str(found) if found else 0 if 'onnxruntime' in sys.modules else 'no runtime'))"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=folder[0], capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.count("\n") == 4


def test_it_is_served(folder, tmp_path, monkeypatch):
    from skcnn.serving._predictors import ProgramPredictor

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    hide(monkeypatch, "openvino")
    root, _, model = folder
    made = load_program(root / "plain.skcnn", make=True)
    kept = load_program(root / "plain.skcnn")
    assert (made.runtime, kept.runtime) == ("onnxruntime", "onnxruntime")
    predictor = ProgramPredictor(kept)
    pixels = np.random.default_rng(1).integers(0, 256, (4, 16, 16, 3), np.uint8)
    found = np.array([predicted.probabilities for predicted in predictor.run(list(pixels))])
    np.testing.assert_allclose(found, model.predict_proba(pixels), atol=1e-5)


def changed(members, change):
    """Return members with a changed graph."""
    graph = onnx.ModelProto.FromString(members[GRAPH])
    change(graph)
    return members | {GRAPH: graph.SerializeToString()}


def node(kind, **attributes):
    """Return a change: the last operator becomes another one."""

    def change(model):
        last = model.graph.node[-1]
        last.CopyFrom(onnx.helper.make_node(kind, last.input[:1], last.output, **attributes))

    return change


def body():
    value = onnx.helper.make_tensor_value_info("inner", 1, [1])
    return onnx.helper.make_graph([onnx.helper.make_node("Identity", ["inner"], ["x"])], "body", [value], [value])


def external(model):
    tensor = model.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def convolution(**attributes):
    """Return a change: attributes of the first convolution."""

    def change(model):
        conv = next(node for node in model.graph.node if node.op_type == "Conv")
        for name, value in attributes.items():
            for attribute in [attribute for attribute in conv.attribute if attribute.name == name]:
                conv.attribute.remove(attribute)
            conv.attribute.append(onnx.helper.make_attribute(name, value))

    return change


def cycle(model):
    model.graph.node[0].input[0] = model.graph.node[-1].output[0]


def padded(by):
    """Return a change: pixels are padded first."""

    def change(model):
        graph = model.graph
        graph.initializer.add(name="pads", dims=[8], data_type=7)
        graph.node.insert(0, onnx.helper.make_node("Pad", [graph.input[0].name, "pads"], ["padded"]))
        graph.node[1].input[0] = "padded"

    return change, np.array([0, by, by, 0, 0, by, by, 0], "<i8").tobytes()


FORGERIES = {
    "external data": (external, "its tensor has data_location, external_data"),
    "data in the graph": (lambda m: setattr(m.graph.initializer[0], "raw_data", b"a"), "its tensor has raw_data"),
    "a loop": (node("Loop", body=body()), "the operators Loop, which no program has"),
    "a branch": (node("If", then_branch=body(), else_branch=body()), "the operators If, which no program has"),
    "a graph in an attribute": (node("Softmax", body=body()), "its Softmax has g, which no program has"),
    "a tensor in an attribute": (node("Softmax", t=onnx.helper.make_tensor("t", 1, [1], [1.0])), "its Softmax has t"),
    "a domain": (node("Softmax", domain="com.microsoft"), "of the domains com.microsoft; expected ai.onnx"),
    "an operator of a domain": (lambda m: m.opset_import.add(domain="evil", version=1), "are of ai.onnx 17, evil 1"),
    "another version": (lambda m: setattr(m.opset_import[0], "version", 6), "are of ai.onnx 6; expected ai.onnx 13"),
    "functions": (lambda m: m.functions.add(name="f"), "its file has functions"),
    "settings": (lambda m: m.metadata_props.add(key="ort_config", value="{}"), "its file has metadata_props"),
    "a sparse tensor": (lambda m: m.graph.sparse_initializer.add(), "its graph has sparse_initializer"),
    "a huge tensor": (lambda m: m.graph.initializer[0].dims.extend([2**40]), "its tensors have .* and its weights"),
    "many axes": (lambda m: m.graph.initializer[0].dims.extend([2**60] * 10**5), "a tensor has the type"),
    "text": (lambda m: setattr(m.graph.initializer[0], "data_type", 8), "a tensor has the type 8"),
    "no operators": (lambda m: m.graph.ClearField("node"), "its graph has 0 operators"),
    "two outputs": (lambda m: m.graph.output.add(name="b"), "it has 1 inputs and 2 outputs"),
    "no steps": (convolution(strides=[0, 0]), "its operator Conv has strides out of bounds"),
    "no groups": (convolution(group=0), "its operator Conv has group out of bounds"),
    "huge paddings": (convolution(pads=[2**62] * 4), "its operator Conv has pads out of bounds"),
    "too many values": (convolution(pads=[2**20] * 4), r"an operator Conv gives \[.*\] values per image"),
    "another output": (node("Identity"), "it gives 3 numbers per image, which are fewer than it says"),
    "the same name": (
        lambda m: m.graph.initializer[0].__setattr__("name", m.graph.input[0].name),
        "two of its tensors have the same name",
    ),
    "a cycle": (cycle, "an operator Cast gives values of unknown number or type"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_forged_graphs_are_refused(forgery, members):
    change, message = FORGERIES[forgery]
    with pytest.raises(ProgramError, match=message):
        Program(changed(members, change))


@pytest.mark.parametrize(("by", "message"), [(2**14, r"an operator Pad gives"), (2**62, "a tensor of integers")])
def test_paddings_in_tensors(by, message, members):
    change, pads = padded(by)
    forged = changed(members, change)
    with pytest.raises(ProgramError, match=message):
        Program(forged | {WEIGHTS: forged[WEIGHTS] + pads})


def test_bytes_that_are_no_graph(members):
    no_text = members[GRAPH].replace(b"\x04Conv", b"\x04Con\x82")
    for graph, message in ((b"<net/>", "not one of ONNX"), (no_text, "the operators .*Con"), (b"", "of no version")):
        with pytest.raises(ProgramError, match=message):
            Program(members | {GRAPH: graph})
    with pytest.raises(ProgramError, match=r"its tensors have [\d,]+ bytes, and its weights"):
        Program(members | {WEIGHTS: members[WEIGHTS][:-4]})
    with pytest.raises(ProgramError, match=r"it has 1 classes and 3 probabilities"):
        Program(members | {ABOUT: json.dumps(json.loads(members[ABOUT]) | {"classes": ["a"]}).encode()})
    with pytest.raises(ProgramError, match=r"expected at most 16,777,216"):
        Program(members | {GRAPH: bytes(2**24 + 1)})
    with pytest.raises(ProgramError, match=r"it has the members program/about\.json; expected"):
        Program({ABOUT: members[ABOUT]})


def test_what_no_check_knows_is_not_passed_on(members):
    from skcnn.programs._onnx_checks import checked_onnx

    secret = b"\xfa\x3f\x06secret"  # a field that no version of ONNX has
    unknown = onnx.ModelProto.FromString(members[GRAPH] + secret)
    unknown.graph.node[0].MergeFromString(secret)
    for attribute in [attribute for node in unknown.graph.node for attribute in node.attribute]:
        attribute.MergeFromString(secret)
    content = unknown.SerializeToString()
    assert content.count(b"secret") > 2
    assert b"secret" not in checked_onnx(content, members[WEIGHTS], (16, 16))


def test_where_nothing_runs_it(folder, monkeypatch):
    root, _, model = folder
    monkeypatch.setattr("skcnn.engines._onnxruntime.find_spec", lambda name: None)
    from skcnn.engines import is_onnxruntime_installed

    is_onnxruntime_installed.cache_clear()
    try:
        with pytest.raises(ImportError, match=r"needs ONNX Runtime: `pip install 'skcnn\[onnx\]'`"):
            load_program(root / "m.skcnn")
    finally:
        monkeypatch.undo()
        is_onnxruntime_installed.cache_clear()
    hide(monkeypatch, "onnx", "openvino")
    with pytest.raises(ImportError, match=r"needs onnx and ONNX Runtime: `pip install 'skcnn\[onnx\]'`"):
        load_program(root / "m.skcnn")
    with pytest.raises(ImportError, match=r"'skcnn\[openvino\]'`, or ONNX Runtime, .* neither openvino nor onnx\."):
        skcnn.save(model, root / "none.skcnn", program=True)
    assert not (root / "none.skcnn").exists()


def test_what_no_program_has(folder, monkeypatch):
    hide(monkeypatch, "openvino")
    monkeypatch.setattr("skcnn.programs._onnx_checks.ONNX_OPERATORS", frozenset({"Cast"}))
    with pytest.raises(TypeError, match=r"Pipeline has no program for onnxruntime: its graph has the operators .*Conv"):
        skcnn.save(folder[2], folder[0] / "none.skcnn", program=True)


def test_constants_that_keras_loses_are_kept(tmp_path):
    from skcnn.exporting import _formats

    model, pixels = normalising(), np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), np.uint8)
    _formats.write_onnx(model, tmp_path / "m.onnx", {})
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    assert [tensor.name for tensor in session.get_inputs()] == ["pixels"]
    found = session.run(None, {"pixels": pixels})[0]
    np.testing.assert_allclose(found, model.predict(pixels, verbose=0), atol=1e-6)


def normalising():
    keras = import_keras()
    pixels = keras.Input((4, 4, 3), dtype="uint8", name="pixels")
    scaled = keras.layers.Normalization(mean=[127.5] * 3, variance=[5000.0] * 3)(keras.ops.cast(pixels, "float32"))
    return keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(scaled))


def test_grouped_convolutions_and_gelu(tmp_path, monkeypatch):
    from skcnn.exporting import _formats

    keras = import_keras()
    pixels = keras.Input((8, 8, 3), dtype="uint8", name="pixels")
    maps = keras.layers.Conv2D(4, 2, 2)(keras.ops.cast(pixels, "float32"))
    maps = keras.layers.Conv2D(4, 3, padding="same", groups=4)(maps)
    maps = keras.layers.Activation("gelu")(keras.layers.LayerNormalization()(maps))
    model = keras.Model(pixels, keras.layers.Flatten()(maps))
    values = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
    _formats.write_onnx(model, tmp_path / "m.onnx", {})
    found = onnxruntime.InferenceSession(tmp_path / "m.onnx").run(None, {"pixels": values})[0]
    np.testing.assert_allclose(found, model.predict(values, verbose=0), atol=1e-5)
    monkeypatch.setattr(_formats, "exported_frozen", lambda model, opset: _formats._exported_by_keras(model))
    with pytest.raises(TypeError, match=r"the operators .*Erfc.*, which tf2onnx does not write as ONNX\. Export it to"):
        _formats.write_onnx(model, tmp_path / "m.onnx", {})


def test_constants_that_every_export_loses(tmp_path, monkeypatch):
    from skcnn.exporting import _formats

    monkeypatch.setattr(_formats, "exported_frozen", lambda model, opset: _formats._exported_by_keras(model))
    with pytest.raises(TypeError, match=r"loses constants of the network \(.*normalization.*\)\. Export it to another"):
        _formats.write_onnx(normalising(), tmp_path / "m.onnx", {})


@pytest.mark.filterwarnings("always")
def test_a_damaged_member_is_found(folder, tmp_path, capsys):
    with zipfile.ZipFile(folder[0] / "m.skcnn") as archive, zipfile.ZipFile(tmp_path / "m.skcnn", "w") as forged:
        for name in archive.namelist():
            content = archive.read(name)
            forged.writestr(name, content[::-1] if name == GRAPH else content)
    with pytest.raises(ModelFileError, match=r"is damaged: program/network\.onnx does not match its digest"):
        load_program(tmp_path / "m.skcnn")
    assert main(["predict", str(tmp_path / "m.skcnn"), folder[1][0]]) == 0
    assert "The model is loaded instead" in capsys.readouterr().err
