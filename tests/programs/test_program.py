"""Programs give what the estimator gives, without scikit-learn and Keras, and are checked before they are run."""

import hashlib
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from toy import build_toy

import skcnn
from skcnn._keras import import_keras
from skcnn.cli import main
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.images import BadImageError
from skcnn.persistence import ModelFileError, load_program

pytest.importorskip("openvino")

ABOUT, GRAPH, WEIGHTS = "program/about.json", "program/network.xml", "program/network.bin"


def network():
    """A network that a saved file holds."""
    keras = import_keras()
    pixels = keras.Input((16, 16, 3))
    return keras.Model(pixels, build_toy(weights="toy")(keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of images, and saved models of their classes and of their brightness."""
    root = tmp_path_factory.mktemp("programs")
    images = np.random.default_rng(0).integers(0, 256, (30, 20, 12, 3), np.uint8)
    paths = [str(root / f"{number}.png") for number in range(30)]
    for path, pixels in zip(paths, images, strict=True):
        Image.fromarray(pixels).save(path)
    red = images[..., 0].mean(axis=(1, 2))
    steps = BottleneckFeatures(network(), resize="crop", engine="keras", cache=None), StandardScaler()
    classes = make_pipeline(*steps, LogisticRegression()).fit(paths, np.digitize(red, np.quantile(red, [0.3, 0.6])))
    numbers = make_pipeline(*steps, Ridge()).fit(paths, red)
    for name, model in (("classes", classes), ("numbers", numbers)):
        skcnn.save(model, root / f"{name}.skcnn", program=True)
    skcnn.save(classes, root / "plain.skcnn")
    (root / "bad.png").write_bytes(b"no image")
    return root, paths


def test_what_the_estimator_gives(folder):
    root, paths = folder
    program, model = load_program(root / "classes.skcnn"), skcnn.load(root / "classes.skcnn")
    np.testing.assert_allclose(program.predict_proba(paths), model.predict_proba(paths), atol=1e-5)
    assert program.predict(paths).tolist() == model.predict(paths).tolist()
    assert (program.classes_.tolist(), program.image_size, program.resize) == ([0, 1, 2], (16, 16), "crop")
    program, model = load_program(root / "numbers.skcnn"), skcnn.load(root / "numbers.skcnn")
    np.testing.assert_allclose(program.predict(paths), model.predict(paths), rtol=1e-4)
    with pytest.raises(AttributeError, match="predicts numbers"):
        program.predict_proba(paths)
    assert load_program(root / "plain.skcnn") is None
    with pytest.raises(BadImageError, match=r"row 1: .*bad\.png"):
        program.predict([paths[0], str(root / "bad.png")])


def test_the_command_imports_neither_scikit_learn_nor_keras(folder):
    root, _ = folder
    script = (
        "import sys\nfrom skcnn.cli import main\n"
        "code = main(['predict', 'classes.skcnn', '0.png', '1.png', '--top', '2'])\n"
        "found = {'sklearn', 'pandas', 'scipy', 'skops', 'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)\n"
        "sys.exit(code or (str(found) if found else 0))"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.count("\n") == 4


@pytest.mark.parametrize("name", ["classes", "numbers"])
def test_the_command_prints_the_same(name, folder, capsys, monkeypatch):
    root, _ = folder
    monkeypatch.chdir(root)
    assert main(["predict", f"{name}.skcnn", "0.png", "1.png"]) == 0
    by_program = capsys.readouterr().out
    monkeypatch.setattr("skcnn.cli._predict._predict_by_program", lambda options: False)
    assert main(["predict", f"{name}.skcnn", "0.png", "1.png"]) == 0
    fields = [[line.split("\t") for line in out.splitlines()] for out in (by_program, capsys.readouterr().out)]
    assert [line[:-1] for line in fields[0]] == [line[:-1] for line in fields[1]]
    numbers = [[float(line[-1]) for line in lines] for lines in fields]
    np.testing.assert_allclose(*numbers, rtol=1e-3)


def forged(source, target, **changed):
    """Write a file with other members, and the digests that belong to them."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for name, change in changed.items():
        members[name] = change(members[name])
    manifest = json.loads(members.pop("manifest.json"))
    manifest["sha256"] = {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        for name, content in members.items():
            archive.writestr(name, content)


def about(**changed):
    return {ABOUT: lambda old: json.dumps(json.loads(old) | changed).encode()}


def graph(old, new):
    return {GRAPH: lambda text: text.replace(old, new)}


FORGERIES = {
    "cut weights": ({WEIGHTS: lambda old: old[: len(old) // 2]}, "OpenVINO cannot run it"),
    "no graph": ({GRAPH: lambda old: b"<net/>"}, "it|its graph has 0 layers"),
    "no XML": ({GRAPH: lambda old: b"{}"}, "its graph is not XML"),
    "entities": ({GRAPH: lambda old: b'<!DOCTYPE a [<!ENTITY b "c">]>' + old}, "declares a document type"),
    "a loop": (graph(b'type="SoftMax"', b'type="Loop"'), "the operators Loop, which no program has"),
    "a graph in the graph": (graph(b"</layers>", b"</layers><body><layer/></body>"), "its graph holds other graphs"),
    "fewer classes": (about(classes=["a"]), "it has 1 classes and 3 probabilities"),
    "mixed classes": (about(classes=["a", 1, 2]), "expected classes of one type"),
    "nested classes": (about(classes=[[1], [2], [3]]), "expected classes of one type"),
    "a huge image": (about(image_size=[10**6, 10**6]), "what it says of itself is malformed"),
    "another rule": (about(resize="__import__"), "what it says of itself is malformed"),
    "text": ({ABOUT: lambda old: b"[" * 10**5}, "what it says of itself is malformed"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_forged_programs_are_refused_and_the_model_still_loads(forgery, folder, tmp_path):
    root, _ = folder
    changed, message = FORGERIES[forgery]
    forged(root / "classes.skcnn", tmp_path / "m.skcnn", **changed)
    with pytest.raises(ModelFileError, match=f"has a program that is damaged or forged: .*({message})"):
        load_program(tmp_path / "m.skcnn")
    assert skcnn.load(tmp_path / "m.skcnn").classes_.tolist() == [0, 1, 2]


@pytest.mark.filterwarnings("always")
def test_the_command_falls_back_and_says_why(folder, tmp_path, capsys):
    root, paths = folder
    forged(root / "classes.skcnn", tmp_path / "m.skcnn", **about(classes=["a"]))
    assert main(["predict", str(tmp_path / "m.skcnn"), paths[0]]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(paths[0])
    assert "it has 1 classes and 3 probabilities. The model is loaded instead" in " ".join(err.split())


def test_a_damaged_member_is_found(folder, tmp_path):
    root, _ = folder
    with zipfile.ZipFile(root / "classes.skcnn") as archive:
        manifest = json.loads(archive.read("manifest.json"))
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "m.skcnn", "w") as archive:
        for name, member in members.items():
            archive.writestr(name, member[::-1] if name == WEIGHTS else member)
    assert set(manifest["sha256"]) >= {ABOUT, GRAPH, WEIGHTS}
    with pytest.raises(ModelFileError, match=r"is damaged: program/network\.bin does not match its digest"):
        load_program(tmp_path / "m.skcnn")


def test_values_without_bound(folder):
    import openvino
    from openvino import opset13 as ops

    from skcnn.programs._checks import check_sizes

    pixels = ops.parameter([1, 16, 16, 3], np.float32)
    huge = ops.pad(pixels, [0, 0, 0, 0], [0, 2**14, 2**14, 0], "constant")
    with pytest.raises(ValueError, match=r"an operator .* gives .*16400"):
        check_sizes(openvino.Model([huge], [pixels]))


def test_distances_to_the_training_set(folder, tmp_path):
    root, paths = folder
    model = skcnn.load(root / "classes.skcnn")
    skcnn.save(model, tmp_path / "m.skcnn", training_features=paths, program=True)
    program, loaded = load_program(tmp_path / "m.skcnn"), skcnn.load(tmp_path / "m.skcnn")
    training, features = loaded.training_features_, model[0].transform(paths)
    np.testing.assert_allclose(program.distances(paths), training.distances(features), rtol=1e-4)
    np.testing.assert_allclose(program.predict_proba(paths), model.predict_proba(paths), atol=1e-5)
    np.testing.assert_allclose(program.training_distances_, training.quantiles)
    distances = program.distances(paths)
    np.testing.assert_allclose(program.farther_than(distances), training.farther_than(distances), rtol=1e-6)
    white = np.full((1, 16, 16, 3), 255, np.uint8)
    assert program.distances(white)[0] > training.quantiles[-1]
    assert program.farther_than(program.distances(white))[0] == 1
    plain = load_program(root / "classes.skcnn")
    with pytest.raises(AttributeError, match="measures no distances: save the model with training_features=X"):
        plain.distances(paths)
    # Saved again, an estimator keeps them only if it is asked to, as with the images.
    skcnn.save(loaded, tmp_path / "without.skcnn")
    assert not hasattr(skcnn.load(tmp_path / "without.skcnn"), "training_features_")


@pytest.mark.parametrize("values", [[1.0], [2.0, 1.0], [1.0, float("nan")], ["a", "b"], {"a": 1}, [0.0] * 2000])
def test_forged_quantiles(values, folder, tmp_path):
    root, _ = folder
    forged(root / "classes.skcnn", tmp_path / "m.skcnn", **about(training_distances=values))
    with pytest.raises(ModelFileError, match="expected quantiles of distances"):
        load_program(tmp_path / "m.skcnn")


def test_programs_are_kept_and_made_again_if_they_are_damaged(folder, tmp_path, monkeypatch):
    root, paths = folder
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with zipfile.ZipFile(root / "classes.skcnn") as archive:
        members = {name: archive.read(name) for name in (ABOUT, GRAPH, WEIGHTS)}
    made = []
    monkeypatch.setattr("skcnn.exporting.make_program", lambda model: made.append(model) or members)
    expected = load_program(root / "classes.skcnn").predict_proba(paths[:3])
    assert load_program(root / "plain.skcnn") is None
    for is_damaged, n_made in ((False, 1), (False, 1), (True, 2), (False, 2)):
        if is_damaged:
            (kept,) = tmp_path.rglob("*.zip")
            kept.write_bytes(kept.read_bytes()[:100])
        found = load_program(root / "plain.skcnn", make=True).predict_proba(paths[:3])
        np.testing.assert_array_equal(found, expected)
        assert len(made) == n_made
    np.testing.assert_array_equal(load_program(root / "plain.skcnn").predict_proba(paths[:3]), expected)
    assert load_program(root / "numbers.skcnn").classes_ is None
