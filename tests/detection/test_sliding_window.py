"""Windows, crops and what a classifier makes of them."""

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skcnn.boxes import pairwise_iou
from skcnn.detection import SlidingWindowDetector
from skcnn.detection._one_pass import one_pass_of
from skcnn.detection._windows import as_window_box, crop, pyramid, windows_of
from skcnn.images import BadImageError
from skcnn.metrics import average_precision
from skcnn.neural_network import CNNClassifier

CORNERS = ["xmin", "ymin", "xmax", "ymax"]


def as_rows(X):
    return X.reshape(len(X), -1) / 255


def linear():
    return make_pipeline(FunctionTransformer(as_rows), LogisticRegression())


def detector(estimator=None, **parameters):
    given = {"window": 16, "stride": 4, "random_state": 0, **parameters}
    return SlidingWindowDetector(linear() if estimator is None else estimator, **given)


def test_finds_what_is_there(squares):
    X, y = squares
    fitted = detector().fit(X[:8], y[:8])
    assert fitted.classes_.tolist() == ["red"]
    found = fitted.predict(X[8:])
    assert found.shape == (4,)
    assert found.dtype == object
    assert len(found[3]) == 0  # the image without a square
    for boxes, true in zip(found[:3], y[8:11], strict=True):
        assert list(boxes.columns) == ["label", *CORNERS, "score"]
        assert pairwise_iou(boxes[CORNERS].to_numpy()[:1], true[CORNERS].to_numpy())[0, 0] > 0.5
    assert average_precision(y[8:], found, iou=0.5) == 1.0
    assert fitted.score(X[8:], y[8:]) == average_precision(y[8:], found)


def test_same_seed_same_detector(squares):
    X, y = squares
    a, b = (detector().fit(X, y).predict(X[:2]) for _ in range(2))
    pd.testing.assert_frame_equal(a[0], b[0])


def test_cross_validation_and_search(squares, tmp_path):
    X, y = squares
    paths = []
    for row, image in enumerate(X):
        Image.fromarray(image).save(tmp_path / f"{row}.png")
        paths.append(f"{row}.png")
    whole = np.empty(len(y), object)
    whole[:] = y
    found = cross_val_predict(detector(root=tmp_path), np.array(paths), whole, cv=3)
    assert average_precision(y, found, iou=0.5) > 0.9
    search = GridSearchCV(detector(), {"score_threshold": [0.5, 0.999999]}, cv=2).fit(X, whole)
    assert search.best_params_ == {"score_threshold": 0.5}
    assert clone(detector()).get_params()["window"] == 16


def test_one_pass_is_equal_to_windows(squares):
    X, y = squares
    network = CNNClassifier(
        "LeNet5", weights=None, image_size=32, pooling=None, head_epochs=0, epochs=3, learning_rate=0.01,
        unfreeze="all", batch_norm="train", batch_size=8, dropout=0.0, learning_rate_schedule="constant",
        early_stopping=True, validation_fraction=0.1, random_state=0,
    )  # fmt: skip
    fitted = detector(network, window=32, stride=(4, 8), scales=[0.5, 1.0]).fit(X, y)
    whole = fitted.score_maps(X[0])
    fitted.set_params(one_pass=False)
    single = fitted.score_maps(X[0])
    assert [windows.shape for windows, _ in whole] == [(17, 11, 4), (5, 4, 4)]
    for (places, maps), (same_places, expected) in zip(whole, single, strict=True):
        np.testing.assert_array_equal(places, same_places)
        np.testing.assert_allclose(maps, expected, atol=1e-4)
    with pytest.raises(ValueError, match=r"stride=\(3, 3\); expected multiples of the network's stride, \(4, 4\)"):
        fitted.set_params(one_pass=True, stride=3).predict(X[:1])
    # It is made once per fit.
    once = one_pass_of(fitted.estimator_, (32, 32), (4, 8), wanted=False)
    assert once.step == (1, 2)
    assert one_pass_of(fitted.estimator_, (32, 32), (4, 8), wanted=False) is once
    fitted.estimator_.classes_ = fitted.estimator_.classes_.copy()  # as another fit does
    assert one_pass_of(fitted.estimator_, (32, 32), (4, 8), wanted=False) is not once


def test_one_output_for_two_classes():
    class Brightness(BaseEstimator):
        """Says how bright the middle of a window is, as a network of one output."""

        classes_ = np.array(["background", "bright"])

        def __init__(self):
            weights = np.zeros((3, 3, 1, 1), np.float32)
            weights[1, 1] = 1 / 255
            self.model_ = keras.Sequential([keras.Input((3, 3, 1)), keras.layers.Conv2D(1, 3), keras.layers.Flatten()])
            self.model_.set_weights([weights, np.zeros(1, np.float32)])

    found = one_pass_of(Brightness(), (3, 3), (1, 1), wanted=False).probabilities(np.full((5, 4, 1), 51, np.uint8))
    np.testing.assert_allclose(found, np.tile([0.8, 0.2], (3, 2, 1)), atol=1e-6)


@pytest.mark.parametrize(
    ("changed", "message"), [({}, "and no network; expected a CNNClassifier"), ({"scales": [1, -2]}, "scales=")]
)
def test_one_pass_or_an_error(squares, changed, message):
    with pytest.raises(ValueError, match=message):
        detector(one_pass=True, **changed).fit(*squares).predict(squares[0])


def test_a_fitted_classifier_stays(squares):
    X, y = squares
    windows = np.stack([crop(image, np.array([0.0, 0, 16, 16]), (16, 16)) for image in X])
    windows[::2] = [230, 60, 60]
    names = np.where(np.arange(12) % 2, "none", "red")
    classifier = linear().fit(windows, names)
    fitted = detector(FrozenEstimator(classifier), background="none").fit(X, y)
    assert average_precision(y, fitted.predict(X), iou=0.5) > 0.9
    with pytest.raises(ValueError, match=r"does not know: \['blue'\]"):
        detector(FrozenEstimator(classifier)).fit(X, [t.assign(label="blue") for t in y])


class Always(ClassifierMixin, BaseEstimator):
    """Gives every window the same probability."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[-1])

    def predict_proba(self, X):
        return np.tile(np.linspace(0, 1, len(self.classes_)), (len(X), 1))


def test_scales_are_those_of_the_boxes(squares):
    X, y = squares
    fitted = detector(Always()).fit(X, y)
    assert fitted.scales_ == (1.0,)
    y[0] = y[0].assign(xmax=y[0]["xmin"] + 4, ymax=y[0]["ymin"] + 4)
    assert len(detector(Always()).fit(X, y).scales_) == 5
    found = fitted.set_params(max_detections=3, iou_threshold=1.0).predict(X[:1])[0]
    assert len(found) == 3


def test_words_of_errors(squares):
    X, y = squares
    with pytest.raises(ValueError, match="background"):
        detector(background="red").fit(X, y)
    with pytest.raises(ValueError, match="no boxes"):
        detector().fit(X[3:4], y[3:4])
    with pytest.raises(ValueError, match="leaves the image"):
        detector().fit(X[:1], [[[0, 0, 1000, 10]]])
    with pytest.raises(TypeError, match="no predict_proba"):
        detector(make_pipeline(FunctionTransformer(as_rows), RidgeClassifier())).fit(X, y)
    with pytest.raises(BadImageError, match="no-such"):
        detector().fit(["no-such.png"], [[[0, 0, 1, 1]]])
    with pytest.raises(ValueError, match="window"):
        detector(window=(3, 4, 5)).fit(X, y)
    with pytest.raises(ValueError, match="one table per image"):
        detector().fit(X, y[:3])


def test_windows_cover_the_image():
    image = np.random.default_rng(0).integers(0, 256, (37, 50, 3)).astype(np.uint8)
    (level,) = pyramid(image, (16, 16), (4, 5), (1.0,))
    assert level.boxes[:, 2].max() >= 50
    assert level.boxes[:, 3].max() >= 37
    pixels = windows_of(level, (16, 16), (4, 5))
    assert len(pixels) == len(level.boxes) == np.prod(level.n_windows)
    for window, (left, top, right, bottom) in zip(pixels[:8], level.boxes[:8].astype(int), strict=True):
        np.testing.assert_array_equal(window, level.pixels[top:bottom, left:right])
    # An image smaller than the smallest window has one window, and larger scales are left out.
    (small,) = pyramid(image[:9, :9], (16, 16), (4, 4), (1.0, 2.0))
    assert small.n_windows == (1, 1)


def test_crops():
    image = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    np.testing.assert_array_equal(crop(image, np.array([1, 1, 3, 3]), (2, 2)), image[1:3, 1:3])
    outside = crop(image, np.array([-2, 0, 2, 4]), (4, 4))
    np.testing.assert_array_equal(outside[:, :2], np.repeat(image[:, :1], 2, axis=1))
    np.testing.assert_array_equal(as_window_box(np.array([0.0, 0, 10, 20]), (16, 16)), [-5, 0, 15, 20])
