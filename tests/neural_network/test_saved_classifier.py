"""A fitted CNNClassifier in one file, from which no code is run."""

import hashlib
import json
import zipfile

import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

import skcnn
from skcnn._members import unpacked
from skcnn.backbones import UnsavedWeights, get_backbone
from skcnn.neural_network import CNNClassifier


def same_after_a_trip(classifier, X, tmp_path):
    skcnn.save(classifier, tmp_path / "a.skcnn")
    again = skcnn.load(tmp_path / "a.skcnn")
    np.testing.assert_allclose(again.predict_proba(X), classifier.predict_proba(X), rtol=1e-5, atol=1e-7)
    return again


@pytest.mark.parametrize("epochs", [0, 1])
def test_fitted(task, tiny, tmp_path, epochs):
    X, y = task
    classifier = tiny(
        epochs=epochs,
        optimizer=keras.optimizers.SGD(momentum=0.5),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
        augmentation=[keras.layers.RandomFlip(), keras.layers.RandomRotation(0.1)],
    ).fit(X, y)
    again = same_after_a_trip(classifier, X, tmp_path)
    assert again.optimizer.momentum == 0.5
    assert again.loss.get_config()["label_smoothing"] == 0.1
    assert [type(layer).__name__ for layer in again.augmentation] == ["RandomFlip", "RandomRotation"]
    np.testing.assert_array_equal(again.history_, classifier.history_)
    again.fit(X, y)


def test_no_pickle_inside(task, tmp_path):
    classifier = CNNClassifier("ResNet20", image_size=16, head_epochs=1, epochs=1, random_state=0).fit(*task)
    same_after_a_trip(classifier, task[0], tmp_path)
    with (
        zipfile.ZipFile(tmp_path / "a.skcnn") as archive,
        zipfile.ZipFile(archive.open("estimator.skops")) as inner,
    ):
        assert all(name.endswith((".npy", ".json")) for name in inner.namelist())
    assert (tmp_path / "a.skcnn").stat().st_size < 1_500_000


def test_weights_by_path_travel_along(task, tmp_path):
    X, y = task
    path = tmp_path / "mine.weights.h5"
    get_backbone("ResNet20").build(weights=None, random_state=9).save_weights(path)
    # Given for this network, or as one of those of several networks.
    for epochs, weights in ((0, path), (1, {"ResNet20": path, "LeNet5": "elsewhere.h5"})):
        classifier = CNNClassifier("ResNet20", weights=weights, image_size=16, head_epochs=1, epochs=epochs)
        classifier.fit(X, y)
        expected = classifier.predict_proba(X)
        skcnn.save(classifier, tmp_path / "a.skcnn")
        content = path.read_bytes()
        path.unlink()
        np.testing.assert_allclose(skcnn.load(tmp_path / "a.skcnn").predict_proba(X), expected, rtol=1e-5)
        path.write_bytes(content)


def test_the_weights_that_fine_tuning_began_with_are_not_saved(task, tmp_path):
    X, y = task
    path = tmp_path / "mine.weights.h5"
    get_backbone("ResNet20").build(weights=None, random_state=9).save_weights(path)
    classifier = CNNClassifier("ResNet20", weights=path, image_size=16, head_epochs=1, epochs=1, random_state=0)
    again = same_after_a_trip(classifier.fit(X, y), X, tmp_path)
    with zipfile.ZipFile(tmp_path / "a.skcnn") as archive:
        assert not [name for name in archive.namelist() if name.startswith("weights/")]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert again.weights == UnsavedWeights(digest)
    same_after_a_trip(again, X, tmp_path)
    with pytest.raises(ValueError, match=f"set the parameter weights: .* {digest}"):
        clone(again).fit(X, y)
    refitted = again.set_params(weights=path).fit(X, y)
    np.testing.assert_allclose(refitted.predict_proba(X), classifier.predict_proba(X), atol=1e-6)


def test_a_search(task, tmp_path):
    X, y = task
    classifier = CNNClassifier("ResNet20", image_size=16, head_epochs=2, epochs=0, random_state=0)
    search = GridSearchCV(classifier, {"dropout": [0.0, 0.5]}, cv=2).fit(X, y)
    assert same_after_a_trip(search, X, tmp_path).best_params_ == search.best_params_


def test_what_cannot_be_saved_without_code(task, tiny, tmp_path):
    class Mine(keras.layers.Layer):
        pass

    for parameters, message in (
        ({"callbacks": [keras.callbacks.TerminateOnNaN]}, "callbacks cannot be saved"),
        ({"augmentation": Mine()}, "cannot be saved without its code"),
        ({"augmentation": keras.layers.Lambda(lambda x: x)}, "cannot be saved without its code"),
    ):
        with pytest.raises(TypeError, match=message):
            skcnn.save(tiny(**parameters), tmp_path / "a.skcnn")


@pytest.mark.parametrize(
    "config",
    [
        {"module": "os", "class_name": "system", "config": {"command": "true"}, "registered_name": None},
        {"module": "keras.layers", "class_name": "Lambda", "config": {}, "registered_name": "Lambda"},
        {"module": "keras.layers", "class_name": "X", "config": {"a": [{"module": "os", "class_name": "system"}]}},
    ],
)
def test_a_file_cannot_name_classes_of_others(config):
    stored = CNNClassifier(augmentation={"keras": json.dumps(config)})
    with pytest.raises(TypeError, match="cannot be saved without its code"):
        unpacked(stored, {})
