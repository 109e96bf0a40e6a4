import io
import json
import os
import pickle
import subprocess
import sys
import zipfile

import joblib
import keras
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import make_column_transformer
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import skcnn
from skcnn.backbones import as_weights_file, get_backbone
from skcnn.ensemble import BaggedSGDClassifier
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.persistence import ModelFileError, UntrustedTypesError, read_manifest


@pytest.fixture
def task():
    X = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    X[::3] //= 2
    return X, np.where(np.arange(30) % 3 == 0, "dark", "bright")


def head():
    return BaggedSGDClassifier(n_estimators=3, random_state=0)


def fitted(task, features=None):
    return make_pipeline(features or BottleneckFeatures("ResNet20"), head()).fit(*task)


def same_predictions(a, b, X):
    np.testing.assert_array_equal(a.classes_, b.classes_)
    np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), rtol=1e-5, atol=1e-7)


@pytest.mark.filterwarnings("ignore:Maximum number of iteration:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["minibatch", "sklearn"])
def test_a_search_over_a_pipeline(task, tmp_path, solver):
    X, y = task
    search = GridSearchCV(
        make_pipeline(BottleneckFeatures("ResNet20"), BaggedSGDClassifier(n_estimators=3, solver=solver)),
        {"baggedsgdclassifier__alpha": [1e-3, 1e-2], "bottleneckfeatures__layers": [None, ["stage1_unit3"]]},
        cv=2,
        scoring="neg_log_loss",
    ).fit(X, y)
    skcnn.save(search, tmp_path / "search.skcnn")
    again = skcnn.load(tmp_path / "search.skcnn")
    same_predictions(again, search, X)
    assert again.best_params_ == search.best_params_
    assert again.score(X, y) == pytest.approx(search.score(X, y))


def test_beside_numbers(task, tmp_path):
    X, y = task
    frame = pd.DataFrame({"image": [*X], "size": np.arange(30.0)})
    columns = make_column_transformer((BottleneckFeatures("ResNet20"), ["image"]), (StandardScaler(), ["size"]))
    pipeline = make_pipeline(columns, head()).fit(frame, y)
    skcnn.save(pipeline, tmp_path / "a.skcnn")
    same_predictions(skcnn.load(tmp_path / "a.skcnn"), pipeline, frame)


def test_scikit_learns_own_estimators(task, tmp_path):
    X, y = task
    flat = X.reshape(30, -1)
    voting = VotingClassifier([("a", LogisticRegression(max_iter=2000)), ("b", head())], voting="soft").fit(flat, y)
    skcnn.save(voting, tmp_path / "a.skcnn")
    same_predictions(skcnn.load(tmp_path / "a.skcnn"), voting, flat)


def test_pickle_and_joblib_work_too(task, tmp_path):
    pipeline = fitted(task)
    same_predictions(pickle.loads(pickle.dumps(pipeline)), pipeline, task[0])
    joblib.dump(pipeline, tmp_path / "a.joblib")
    same_predictions(joblib.load(tmp_path / "a.joblib"), pipeline, task[0])


def test_a_network_given_as_object_travels_in_the_file(task, tmp_path):
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(4, 3)])
    pipeline = fitted(task, BottleneckFeatures(network))
    skcnn.save(pipeline, tmp_path / "a.skcnn")
    assert any(name.startswith("networks/") for name in zipfile.ZipFile(tmp_path / "a.skcnn").namelist())
    again = skcnn.load(tmp_path / "a.skcnn")
    same_predictions(again, pipeline, task[0])
    assert again[0].backbone is not network
    assert pipeline[0].backbone is network  # saving changes nothing


def test_a_network_given_by_path_travels_in_the_file(task, tmp_path):
    keras.utils.set_random_seed(0)
    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)]).save(tmp_path / "n.keras")
    pipeline = fitted(task, BottleneckFeatures(str(tmp_path / "n.keras")))
    skcnn.save(pipeline, tmp_path / "a.skcnn")
    expected = pipeline.predict_proba(task[0])
    (tmp_path / "n.keras").unlink()
    np.testing.assert_allclose(skcnn.load(tmp_path / "a.skcnn").predict_proba(task[0]), expected, rtol=1e-5)


def test_weights_given_by_path_travel_in_the_file(task, tmp_path):
    keras.utils.set_random_seed(5)
    network = get_backbone("ResNet20").build(weights=None, random_state=9)
    network.save_weights(tmp_path / "mine.weights.h5")
    pipeline = fitted(task, BottleneckFeatures("ResNet20", weights=tmp_path / "mine.weights.h5"))
    skcnn.save(pipeline, tmp_path / "a.skcnn")
    expected = pipeline.predict_proba(task[0])
    (tmp_path / "mine.weights.h5").unlink()
    again = skcnn.load(tmp_path / "a.skcnn")
    np.testing.assert_allclose(again.predict_proba(task[0]), expected, rtol=1e-5)
    assert len(repr(again)) < 1000
    skcnn.save(again, tmp_path / "b.skcnn")  # and once more, without the path
    np.testing.assert_allclose(skcnn.load(tmp_path / "b.skcnn").predict_proba(task[0]), expected, rtol=1e-5)
    same_predictions(pickle.loads(pickle.dumps(again)), again, task[0])


def test_of_the_weights_of_several_networks_one_travels(task, tmp_path):
    path = tmp_path / "mine.weights.h5"
    get_backbone("ResNet20").build(weights=None, random_state=9).save_weights(path)
    weights = {"ResNet20": path, "LeNet5": None}
    # Of a search, the template's own backbone (here the default) may be none of those searched.
    pipeline = make_pipeline(BottleneckFeatures(weights=weights), head())
    search = GridSearchCV(pipeline, {"bottleneckfeatures__backbone": ["ResNet20", "LeNet5"]}, cv=2).fit(*task)
    assert search.estimator[0].weights is weights
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    search.best_estimator_.set_params(bottleneckfeatures__backbone="ResNet20").fit(*task)
    skcnn.save(search, tmp_path / "a.skcnn")
    with zipfile.ZipFile(tmp_path / "a.skcnn") as archive:
        assert [name for name in archive.namelist() if name.startswith("weights/")] == [
            f"weights/{as_weights_file(path).sha256}.weights.h5"
        ]
        assert b"mine" not in archive.read("estimator.skops")
    expected = search.predict_proba(task[0])
    path.unlink()
    again = skcnn.load(tmp_path / "a.skcnn")
    np.testing.assert_allclose(again.predict_proba(task[0]), expected, rtol=1e-5)
    assert again.estimator[0].weights == {}
    with pytest.raises(ValueError, match="weights has no entry for 'MobileNetV2'; it has none"):
        again.estimator[0].transform(task[0])
    skcnn.save(again, tmp_path / "b.skcnn")

    for backbone, stored in (("LeNet5", None), ("ResNet20", "pretrained")):
        features = BottleneckFeatures(backbone, weights={"LeNet5": None, "ResNet20": "pretrained"})
        skcnn.save(features, tmp_path / "c.skcnn")
        assert skcnn.load(tmp_path / "c.skcnn").weights == stored


def test_published_weights_are_named_not_copied(task, tmp_path):
    skcnn.save(fitted(task), tmp_path / "a.skcnn")
    assert sorted(zipfile.ZipFile(tmp_path / "a.skcnn").namelist()) == ["estimator.skops", "manifest.json"]
    manifest = read_manifest(tmp_path / "a.skcnn")
    assert manifest["estimator"] == "Pipeline"
    assert manifest["versions"]["skcnn"] == skcnn.__version__


def test_functions_without_a_name_are_refused(tmp_path):
    with pytest.raises(TypeError, match=r"Pipeline holds .*<lambda>, which cannot be saved without its code"):
        skcnn.save(make_pipeline(FunctionTransformer(lambda X: X), LogisticRegression()), tmp_path / "m.skcnn")
    assert not list(tmp_path.iterdir())


def test_a_callable_is_refused_with_what_to_do(task, tmp_path):
    features = BottleneckFeatures(lambda input_shape: keras.Sequential([keras.Input(input_shape)]), image_size=8)
    with pytest.raises(TypeError, match="register_backbone"):
        skcnn.save(features, tmp_path / "a.skcnn")
    assert list(tmp_path.iterdir()) == []


class Shout:
    """What a hostile file would hold: unpickling or building it prints."""

    def __reduce__(self):
        return print, ("code was run",)


def test_unknown_types_are_listed_and_refused(tmp_path):
    pipeline = make_pipeline(FunctionTransformer(np.sqrt), FunctionTransformer(subprocess.list2cmdline))
    with pytest.warns(UserWarning, match=r"load\(path, trusted=\['subprocess\.list2cmdline'\]\)"):
        skcnn.save(pipeline, tmp_path / "a.skcnn")
    with pytest.raises(UntrustedTypesError, match=r"subprocess\.list2cmdline.*trusted=") as caught:
        skcnn.load(tmp_path / "a.skcnn")
    assert caught.value.types == ["subprocess.list2cmdline"]
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    again = skcnn.load(tmp_path / "a.skcnn", trusted=caught.value.types)
    assert again[1].func is subprocess.list2cmdline


def test_pickles_are_never_read(tmp_path, capsys):
    path = tmp_path / "a.skcnn"
    for content in (pickle.dumps(Shout()), b"", b"PK nonsense"):
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match=r"a\.skcnn is not a file that skcnn\.save wrote"):
            skcnn.load(path)
    rewrite(tmp_path, path, {"estimator.skops": pickle.dumps(Shout())})
    with pytest.raises(Exception):  # noqa: B017
        skcnn.load(path)
    assert "code was run" not in capsys.readouterr().out


def rewrite(tmp_path, path, members, **manifest):
    """Make a file whose digests fit its members."""
    import hashlib

    base = {"format": 1, "sha256": {name: hashlib.sha256(value).hexdigest() for name, value in members.items()}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", json.dumps({**base, **manifest}))
        for name, value in members.items():
            archive.writestr(name, value)


def test_damage_and_foreign_files_are_told(task, tmp_path):
    path = tmp_path / "a.skcnn"
    with pytest.raises(FileNotFoundError):
        skcnn.load(path)
    state = skops.io.dumps(LogisticRegression())
    rewrite(tmp_path, path, {"estimator.skops": state}, sha256={"estimator.skops": "0" * 64})
    with pytest.raises(ModelFileError, match=r"damaged: estimator\.skops does not match"):
        skcnn.load(path)
    rewrite(tmp_path, path, {"estimator.skops": state}, format=99, versions={"skcnn": "9.0"})
    with pytest.raises(ModelFileError, match=r"format 99.*install skcnn 9\.0 or later"):
        skcnn.load(path)
    rewrite(tmp_path, path, {"other": state})
    with pytest.raises(ModelFileError, match="damaged"):
        skcnn.load(path)
    rewrite(tmp_path, path, {"estimator.skops": state}, format="one")
    with pytest.raises(ModelFileError, match="malformed"):
        skcnn.load(path)
    skcnn.save(fitted(task), path)
    whole = path.read_bytes()
    for cut in (10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        with pytest.raises(ModelFileError):
            skcnn.load(path)


def test_any_flipped_byte_is_noticed_or_harmless(tmp_path):
    path = tmp_path / "a.skcnn"
    skcnn.save(LogisticRegression(C=0.125), path)
    whole = path.read_bytes()
    noticed = 0
    for position in range(0, len(whole), 7):
        flipped = bytearray(whole)
        flipped[position] ^= 0xFF
        path.write_bytes(flipped)
        try:
            assert skcnn.load(path).C == 0.125  # a byte that says nothing, such as the time of a member
        except ModelFileError:
            noticed += 1
    assert noticed > len(whole) / 7 / 2


def test_nothing_is_half_written(task, tmp_path, monkeypatch):
    path = tmp_path / "a.skcnn"
    path.write_bytes(b"the old one")
    monkeypatch.setattr(zipfile.ZipFile, "writestr", lambda *a, **k: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        skcnn.save(head(), path)
    assert path.read_bytes() == b"the old one"
    assert [file.name for file in tmp_path.iterdir()] == ["a.skcnn"]


def test_another_process_loads_it(task, tmp_path):
    pipeline = fitted(task)
    skcnn.save(pipeline, tmp_path / "a.skcnn")
    np.save(tmp_path / "X.npy", task[0])
    code = (
        "import sys, numpy, skcnn; m = skcnn.load(sys.argv[1]); "
        "numpy.save(sys.argv[3], m.predict_proba(numpy.load(sys.argv[2])))"
    )
    arguments = [str(tmp_path / name) for name in ("a.skcnn", "X.npy", "p.npy")]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)
    np.testing.assert_allclose(np.load(tmp_path / "p.npy"), pipeline.predict_proba(task[0]), rtol=1e-5)


def test_the_file_is_plain_data(task, tmp_path):
    skcnn.save(fitted(task), tmp_path / "a.skcnn")
    state = zipfile.ZipFile(tmp_path / "a.skcnn").read("estimator.skops")
    names = zipfile.ZipFile(io.BytesIO(state)).namelist()
    assert all(name.endswith((".json", ".npy", ".npz")) for name in names)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_or_device_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(ModelFileError, match=r"is a (pipe|device); expected a file that skcnn.save wrote"):
            skcnn.load(path)
