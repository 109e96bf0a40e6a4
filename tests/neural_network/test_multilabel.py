"""CNNClassifier with an indicator matrix as y: an image may have several classes, or none."""

import keras
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from sklearn.metrics import accuracy_score, average_precision_score
from sklearn.model_selection import cross_val_predict

import skcnn
from skcnn.neural_network import CNNClassifier


@pytest.fixture(scope="module")
def tags():
    """Images whose red and green may be bright, both or neither."""
    generator = np.random.default_rng(0)
    y = generator.integers(0, 2, (40, 3))
    y[:, 2] = 0  # a class that no image has
    X = generator.integers(0, 100, (40, 16, 16, 3))
    X[..., :2] += 130 * y[:, None, None, :2]
    return X.astype(np.uint8), y


@pytest.fixture
def quick(tiny):
    return lambda **parameters: tiny(**{"head_epochs": 40, "epochs": 1, "learning_rate": 1e-3, **parameters})


def test_learns(tags, quick):
    X, y = tags
    fitted = quick().fit(X[:30], y[:30])
    predicted = fitted.predict(X[30:])
    assert predicted.dtype == np.int64
    assert fitted.score(X[30:], y[30:]) == accuracy_score(y[30:], predicted) > 0.8  # all tags of an image
    probabilities = fitted.predict_proba(X)
    assert probabilities.shape == (40, 3)
    np.testing.assert_array_equal(fitted.predict(X), probabilities > 0.5)
    assert average_precision_score(y[:, :2], probabilities[:, :2]) > 0.95
    assert probabilities[:, 2].max() < 0.5
    assert list(fitted.classes_) == [0, 1, 2]
    assert fitted.multilabel_
    np.testing.assert_allclose(fitted.model_.predict(X.astype("float32"), verbose=0), probabilities, atol=1e-5)
    assert {"loss", "binary_accuracy"} <= set(fitted.history_)


def test_the_same_in_every_form(tags, quick, tmp_path):
    X, y = tags
    expected = quick(epochs=0, head_epochs=3).fit(X, y).predict_proba(X)
    frame = pd.DataFrame(y, columns=["red", "green", "nothing"])
    for form in (y.tolist(), y.astype(bool), csr_matrix(y), frame):
        fitted = quick(epochs=0, head_epochs=3).fit(X, form)
        np.testing.assert_allclose(fitted.predict_proba(X), expected, atol=1e-6)
    assert list(fitted.classes_) == ["red", "green", "nothing"]
    assert set(fitted.predict_top_k(X[:1], 1)["class"]) <= {"red", "green", "nothing"}
    assert fitted.score(X, frame) == fitted.score(X, y)
    skcnn.save(fitted, tmp_path / "tags.skcnn")
    loaded = skcnn.load(tmp_path / "tags.skcnn")
    np.testing.assert_array_equal(loaded.predict(X), fitted.predict(X))


def test_cross_validated_and_in_parts(tags, quick):
    X, y = tags
    probabilities = cross_val_predict(quick(epochs=0), X, y, method="predict_proba", cv=3)
    assert average_precision_score(y[:, :2], probabilities[:, :2]) > 0.9
    fitted = quick(learning_rate=0.05, unfreeze=None)
    for _ in range(20):
        fitted.partial_fit(X, y, classes=["red", "green", "nothing"])
    assert fitted.score(X, y) > 0.7
    with pytest.raises(ValueError, match="y has 2 columns; expected one per class, 'red', 'green', 'nothing'"):
        fitted.partial_fit(X, y[:, :2])


def test_early_stopping(tags, quick):
    fitted = quick(epochs=0, early_stopping=True, n_iter_no_change=2, validation_fraction=0.25).fit(*tags)
    assert fitted.best_epoch_ == fitted.history_["val_loss"].argmin() + 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"class_weight": "balanced"}, "class_weight='balanced' is for one class per image"),
        ({"loss": "categorical_crossentropy"}, "loss='categorical_crossentropy' is for one class per image"),
        ({"loss": "ctc"}, "loss='ctc' is for sequences of labels; expected 'auto'"),
    ],
)
def test_refused(tags, quick, parameters, message):
    with pytest.raises(ValueError, match=message):
        quick(**parameters).fit(*tags)


def test_binary_losses_are_taken(tags, quick):
    focal = quick(loss=keras.losses.BinaryFocalCrossentropy(), epochs=0).fit(*tags)
    assert focal.score(*tags) > 0.5
    assert isinstance(focal, CNNClassifier)
