"""What SciKeras does here, and the traps of plain SciKeras that CNNClassifier does not have."""

import subprocess
import sys
from typing import ClassVar

import keras
import numpy as np
import pytest
from sklearn.base import clone, is_classifier
from sklearn.model_selection import cross_val_score
from toy import TOY

from skcnn.neural_network import CNNRegressor, build_cnn


def plain(backbone=TOY, **parameters):
    """A plain SciKeras classifier on our builder."""
    from scikeras.wrappers import KerasClassifier

    return KerasClassifier(
        build_cnn,
        loss="sparse_categorical_crossentropy",
        optimizer="adam",
        backbone=backbone,
        image_size=16,
        verbose=0,
        **parameters,
    )


def test_our_builder_in_plain_scikeras(task):
    X, y = task
    keras.utils.set_random_seed(0)
    classifier = plain("ResNet20", epochs=10, batch_size=5, metrics=["accuracy"]).fit(X, y)
    assert classifier.predict_proba(X).shape == (30, 3)
    assert classifier.score(X, y) > 0.5


def test_our_builder_keeps_batch_norm_as_it_is(task):
    X, y = task
    before = build_cnn({"n_classes_": 3}, backbone="ResNet20", image_size=16).get_layer("base")
    after = plain("ResNet20", epochs=1, unfreeze="all", random_state=None).fit(X, y).model_.get_layer("base")
    moved = 0
    for old, new in zip(before.layers, after.layers, strict=True):
        change = [np.abs(a - b).max() for a, b in zip(old.get_weights(), new.get_weights(), strict=True)]
        if isinstance(new, keras.layers.BatchNormalization):
            assert max(change) == 0
        moved += bool(change and max(change))
    assert moved > 10


@pytest.mark.parametrize("unfreeze", [None, "all"])
def test_binary_builder(unfreeze):
    model = build_cnn({"n_classes_": 2}, {"loss": "binary_crossentropy", "optimizer": "sgd"}, backbone="ResNet20")
    assert model.output_shape == (None, 1)
    assert model.compiled


# Each of these fails on plain SciKeras.


def test_is_a_classifier_and_folds_are_stratified(task, tiny):
    X, y = task
    order = np.argsort(y)
    assert not is_classifier(plain())  # the trap
    assert is_classifier(tiny())
    assert cross_val_score(tiny(head_epochs=10), X[order], y[order], cv=3).mean() > 0.8


def test_paths(tiny, image_files):
    y = list("ababab")
    with pytest.raises(ValueError, match=r"could not convert|dtype"):
        plain().fit(np.array(image_files)[:, None], y)  # the trap
    assert tiny().fit(image_files, y).predict(image_files).shape == (6,)


def test_pixels_of_another_type_at_predict(task, tiny):
    X, y = task
    with pytest.raises(ValueError, match="casting"):
        plain().fit(X, y).predict(X.astype("float32"))  # the trap
    classifier = tiny().fit(X, y)
    np.testing.assert_allclose(classifier.predict_proba(X.astype("float32")), classifier.predict_proba(X), atol=1e-6)


def test_one_row(task, tiny):
    X, y = task
    assert plain().fit(X, y).predict_proba(X[:1]).ndim == 1  # the trap
    assert tiny().fit(X, y).predict_proba(X[:1]).shape == (1, 3)


def test_the_callers_sample_weight(task, tiny):
    X, y = task
    weights = np.ones(30)
    uneven = {"red": 2.0, "tree": 1.0, "water": 1.0}
    plain(class_weight=uneven).fit(X, y, sample_weight=weights)
    assert (weights != 1).any()  # the trap
    weights = np.ones(30)
    tiny(class_weight=uneven).fit(X, y, sample_weight=weights)
    assert (weights == 1).all()


def test_clone_carries_no_weights(task, tiny, tiny_network):
    from scikeras.wrappers import KerasClassifier

    X, y = task
    prebuilt = keras.Sequential(
        [keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")]
    )
    prebuilt.compile("adam", "sparse_categorical_crossentropy")
    before = [np.array(w) for w in prebuilt.get_weights()]
    given = KerasClassifier(prebuilt, loss="sparse_categorical_crossentropy", verbose=0)
    given.fit(X, y)
    assert np.abs(before[0] - given.model.get_weights()[0]).max() > 0  # the trap
    fitted = tiny().fit(X, y)
    again = clone(fitted)
    for old, new in zip(tiny_network.get_weights(), again.backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(again.fit(X, y).predict_proba(X), fitted.predict_proba(X))


def test_names_of_columns(task, tiny):
    import pandas as pd
    from scikeras.wrappers import KerasClassifier

    def on_numbers():
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, activation="softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model

    numbers = pd.DataFrame(np.zeros((30, 2), "float32"), columns=["a", "b"])
    fitted = KerasClassifier(on_numbers, loss="sparse_categorical_crossentropy", verbose=0).fit(numbers, task[1])
    assert not hasattr(fitted, "feature_names_in_")  # the trap
    frame = pd.DataFrame({"image": [*task[0]]})
    assert tiny().fit(frame, task[1]).feature_names_in_.tolist() == ["image"]


class OpDeterminism(keras.callbacks.Callback):
    """Notes whether TensorFlow refuses unseeded random operations, in the whole process, while a fit runs."""

    seen: ClassVar[list[bool]] = []

    def on_epoch_begin(self, epoch, logs=None):
        from tensorflow.python.framework import config

        self.seen.append(bool(config.is_op_determinism_enabled()))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a switch of TensorFlow's")
def test_op_determinism_is_left_as_it_is(task, tiny):
    X, y = task
    OpDeterminism.seen.clear()
    plain(random_state=0, callbacks=OpDeterminism).fit(X, y)
    assert OpDeterminism.seen == [True]  # the trap: other threads' unseeded operations raise
    OpDeterminism.seen.clear()
    tiny(random_state=0, callbacks=[OpDeterminism]).fit(X, y)
    assert OpDeterminism.seen == [False] * 5


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_scikeras_comes_late():
    run("import sys, skcnn.neural_network as n; n.CNNClassifier(); sys.exit('scikeras' in sys.modules)")


@pytest.mark.parametrize("loss", ["auto", "binary_crossentropy", "categorical_crossentropy"])
@pytest.mark.parametrize("labels", [["ant", "bee"], [3, 7]])
def test_a_fitted_classifier_as_scikeras_own(tiny, loss, labels):
    X = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3)).astype(np.uint8)
    y = np.array(labels * 10)
    classifier = tiny(loss=loss).fit(X, y)
    plain = classifier.to_scikeras()
    assert type(plain).__module__ == "scikeras.wrappers"
    pixels = X.astype("float32")
    np.testing.assert_array_equal(plain.predict(pixels), classifier.predict(X))
    np.testing.assert_allclose(plain.predict_proba(pixels), classifier.predict_proba(X), atol=1e-6)
    assert plain.score(pixels, y) == classifier.score(X, y)
    if loss != "categorical_crossentropy":  # SciKeras makes no one-hot targets of two classes
        plain.partial_fit(pixels, y)  # goes on from there


def test_other_fitted_estimators_as_scikeras_own(tiny, tiny_network):
    X = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3)).astype(np.uint8)
    tags = np.random.default_rng(1).integers(0, 2, (20, 3))
    tagger = tiny().fit(X, tags)
    plain = tagger.to_scikeras()
    np.testing.assert_array_equal(plain.predict(X.astype("float32")), tagger.predict(X))
    for y in (X.mean(axis=(1, 2, 3)), X.mean(axis=(1, 2))):
        regressor = CNNRegressor(tiny_network, head_epochs=2, epochs=1, random_state=0).fit(X, y)
        plain = regressor.to_scikeras()
        np.testing.assert_allclose(plain.predict(X.astype("float32")), regressor.predict(X), rtol=1e-5)
