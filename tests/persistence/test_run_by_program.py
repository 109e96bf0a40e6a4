"""What load returns predicts by the program of its file, without Keras, until it is another estimator."""

import hashlib
import json
import pickle
import subprocess
import sys
import warnings
import zipfile

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from toy import build_toy

import skcnn
from skcnn.datasets import load_digit_images
from skcnn.engines import clear_engines
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.images import BadImageError, BadImageWarning
from skcnn.neural_network import CNNClassifier, CNNRegressor

pytest.importorskip("openvino")

ABOUT = "program/about.json"
X, Y = (values[:60] for values in load_digit_images(return_X_y=True))
#: Of the size of the toy network.
SMALL = np.random.default_rng(0).integers(0, 256, (60, 16, 16, 3), np.uint8)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Files with programs: of a pipeline, and of a network with a trained head; and what they predicted before."""
    root = tmp_path_factory.mktemp("by_program")
    features = BottleneckFeatures("ResNet20", engine="keras", cache=None)
    models = {
        "pipeline": make_pipeline(features, StandardScaler(), LogisticRegression()).fit(X, Y),
        "network": CNNClassifier("ResNet20", head_epochs=1, epochs=0, random_state=0).fit(X, Y),
    }
    expected = {name: model.predict_proba(X) for name, model in models.items()}
    for name, model in models.items():
        skcnn.save(model, root / f"{name}.skcnn", program=True)
    np.save(root / "X.npy", X)
    return root, expected


@pytest.fixture
def no_keras(monkeypatch):
    """Fail where Keras is to run a network."""

    def fail(*args):
        pytest.fail("Keras is to run a network")

    clear_engines()
    monkeypatch.setattr("skcnn.engines._auto.KerasEngine", fail)
    monkeypatch.setattr("skcnn.engines._registry.KerasEngine", fail)
    monkeypatch.setattr("skcnn.neural_network._cnn.head_graph", fail)


def forged(source, target, change):
    """Write a file whose program says something else of itself, with the digests that belong to it."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[ABOUT] = json.dumps(change(json.loads(members[ABOUT]))).encode()
    manifest = json.loads(members.pop("manifest.json"))
    manifest["sha256"] = {name: hashlib.sha256(content).hexdigest() for name, content in members.items()}
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        for name, content in members.items():
            archive.writestr(name, content)


def test_predicting_imports_no_keras(saved):
    root, expected = saved
    script = (
        "import json, sys\nimport numpy as np, skcnn\nX = np.load('X.npy')\nfound = {}\n"
        "for name in ('pipeline', 'network'):\n"
        "    model = skcnn.load(f'{name}.skcnn')\n"
        "    found[name] = model.predict_proba(X).tolist(), model.predict(X).tolist()\n"
        "found['heavy'] = sorted({'keras', 'tensorflow', 'jax', 'torch', 'scikeras'} & set(sys.modules))\n"
        "print(json.dumps(found))"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")
    found = json.loads(run.stdout)
    assert found["heavy"] == []
    for name, probabilities in expected.items():
        np.testing.assert_allclose(found[name][0], probabilities, atol=1e-5)
        assert found[name][1] == np.unique(Y)[probabilities.argmax(axis=1)].tolist()


def test_an_exported_network_needs_no_keras_either(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    features = BottleneckFeatures("ResNet20", engine="openvino", cache=None)
    skcnn.save(make_pipeline(features, StandardScaler(), LogisticRegression()).fit(X, Y), tmp_path / "m.skcnn")
    np.save(tmp_path / "X.npy", X[:2])
    script = (
        "import sys, numpy as np, skcnn\nskcnn.load('m.skcnn').predict(np.load('X.npy'))\n"
        "sys.exit(str({'keras', 'tensorflow'} & set(sys.modules) or '') or 0)"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")


def test_inside_other_estimators(tmp_path):
    network = build_toy(weights="toy")
    features = BottleneckFeatures(network, layers=["edges", "parts"], engine="keras", cache=None)
    search = GridSearchCV(
        make_pipeline(features, LogisticRegression(max_iter=5000)), {"logisticregression__C": [0.1, 1]}, cv=2
    )
    model = CalibratedClassifierCV(search, cv=2).fit(SMALL, Y % 3)
    skcnn.save(model, tmp_path / "m.skcnn", program=True)
    loaded = skcnn.load(tmp_path / "m.skcnn")
    inside = [member.estimator.best_estimator_[0] for member in loaded.calibrated_classifiers_]
    assert [features._saved_network() is not None for features in inside] == [True, True]
    np.testing.assert_allclose(loaded.predict_proba(SMALL), model.predict_proba(SMALL), atol=1e-5)
    assert inside[0].get_feature_names_out().tolist() == features.get_feature_names_out().tolist()
    # What is fitted anew is a clone, which Keras runs as ever.
    assert not hasattr(clone(inside[0]), "_program")
    assert not hasattr(loaded.estimator.estimator[0], "_program")


def test_numbers(tmp_path, monkeypatch):
    numbers = np.column_stack([SMALL.mean(axis=(1, 2, 3)), -1000.0 * Y])
    model = CNNRegressor(build_toy(weights="toy"), head_epochs=1, epochs=0, random_state=0).fit(SMALL, numbers)
    expected = model.predict(SMALL)
    skcnn.save(model, tmp_path / "m.skcnn", program=True)
    loaded = skcnn.load(tmp_path / "m.skcnn")
    monkeypatch.setattr("skcnn.neural_network._cnn.head_graph", lambda *args: pytest.fail("Keras is to run a network"))
    np.testing.assert_allclose(loaded.predict(SMALL), expected, rtol=1e-4)


@pytest.mark.usefixtures("no_keras")
def test_rows_without_an_image_and_pickles(saved):
    root, expected = saved
    rows = [*X[:2], np.zeros(3, np.uint8), X[2]]
    for name in expected:
        loaded = pickle.loads(pickle.dumps(skcnn.load(root / f"{name}.skcnn")))
        with pytest.raises(BadImageError, match="row 2"):
            loaded.predict(rows)
        np.testing.assert_allclose(loaded.predict_proba(X[:3]), expected[name][:3], atol=1e-5)
    loaded.set_params(on_error="nan")
    with pytest.warns(BadImageWarning):
        found = loaded.predict_proba(rows)
    assert np.isnan(found[2]).all()
    np.testing.assert_allclose(found[[0, 1, 3]], expected["network"][:3], atol=1e-5)


def test_changed_estimators_are_run_by_keras(saved, monkeypatch):
    root, _ = saved
    features = skcnn.load(root / "pipeline.skcnn")[0]
    assert features._saved_network() is not None
    features.set_params(layers="stage2_unit3")
    assert features._saved_network() is None
    np.testing.assert_allclose(features.transform(X[:2]), clone(features).transform(X[:2]))
    network = skcnn.load(root / "network.skcnn")
    assert network._program_engine() is not None
    network.set_params(resize="pad")
    assert network._program_engine() is None
    network.set_params(resize="stretch")
    network._token = "of another fit"
    assert network._program_engine() is None
    plain = skcnn.load(root / "pipeline.skcnn", program=False)[0]
    assert plain._saved_network() is None
    # Records of a file's network are not those of the published one.
    job = skcnn.load(root / "pipeline.skcnn")[0]
    plans = [one._job(one._backbone(), one._outputs(one._backbone())).plan for one in (job, plain)]
    assert plans[0].fingerprint != plans[1].fingerprint


def test_programs_without_features_are_no_matter_of_warnings(saved, tmp_path):
    root, expected = saved
    forged(root / "pipeline.skcnn", tmp_path / "m.skcnn", lambda about: {**about, "features": None})
    clear_engines()
    loaded = skcnn.load(tmp_path / "m.skcnn")
    assert loaded[0]._saved_network() is None
    np.testing.assert_allclose(loaded.predict_proba(X), expected["pipeline"], atol=1e-6)


def test_a_loaded_model_is_saved_again(saved, tmp_path):
    root, expected = saved
    for name, probabilities in expected.items():
        skcnn.save(skcnn.load(root / f"{name}.skcnn"), tmp_path / "m.skcnn")
        with zipfile.ZipFile(tmp_path / "m.skcnn") as archive:
            assert ABOUT not in archive.namelist()
        loaded = skcnn.load(tmp_path / "m.skcnn")
        np.testing.assert_allclose(loaded.predict_proba(X[:3]), probabilities[:3], atol=1e-6)


@pytest.mark.filterwarnings("always")
def test_it_falls_back_and_says_why(saved, tmp_path):
    root, expected = saved
    forged(root / "pipeline.skcnn", tmp_path / "m.skcnn", lambda about: {**about, "features": [[-1]]})
    loaded = skcnn.load(tmp_path / "m.skcnn")
    with pytest.warns(UserWarning, match=r"program of a saved file is not used: .*shapes of features.* Keras runs"):
        found = loaded.predict_proba(X)
    np.testing.assert_allclose(found, expected["pipeline"], atol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # once
        loaded.predict(X)
        clear_engines()
        skcnn.load(tmp_path / "m.skcnn", program=False).predict(X)
