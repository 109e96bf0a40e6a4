"""Heat of windows: where it is hot, and what it is called."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator

from skcnn.detection import CalibratedDetector, SlidingWindowDetector
from skcnn.images import BadImageError
from skcnn.inspection import WindowHeatDisplay

COLUMNS = ["label", "xmin", "ymin", "xmax", "ymax"]


class Colours(ClassifierMixin, BaseEstimator):
    """Says how red, green or neither the middle of a window is."""

    def fit(self, X, y):
        self.classes_ = np.array(["background", "green", "red"])
        return self

    def predict_proba(self, X):
        middle = X[:, X.shape[1] // 2, X.shape[2] // 2] / 255
        return np.stack([1 - middle[:, :2].max(axis=1), middle[:, 1] * 0.8, middle[:, 0]], axis=1)

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def detector(**parameters):
    """A detector of windows of 8 pixels, a pixel apart, that needs no training."""
    given = {"window": 8, "stride": 1, "scales": [1.0], **parameters}
    estimator = FrozenEstimator(Colours().fit(None, None))
    y = [pd.DataFrame([["red", 0, 0, 8, 8], ["green", 0, 0, 8, 8]], columns=COLUMNS)]
    return SlidingWindowDetector(estimator, **given).fit(np.zeros((1, 24, 32, 3), np.uint8), y)


@pytest.fixture
def X():
    images = np.zeros((2, 24, 32, 3), np.uint8)
    images[0, 10:14, 20:24, 0] = 255  # red
    images[1, 10:14, 6:10, 1] = 255  # green
    return images


def test_it_is_hot_where_the_object_is(X):
    display = WindowHeatDisplay.from_estimator(detector(), X)
    assert [heat.shape for heat in display.heatmaps] == [(24, 32)] * 2
    hot = display.heatmaps[0] > 0.5
    assert hot[10:14, 20:24].mean() > 0.5
    assert hot.sum() <= 25
    assert display.heatmaps[0][:, :15].max() == 0
    frame = display.frame()
    assert frame["target"].tolist() == ["red", "green"]  # whatever is most probable
    assert frame["score"].tolist() == [1.0, 0.8]
    assert frame["n_windows"].tolist() == [17 * 25] * 2
    assert frame[["height", "width"]].to_numpy().tolist() == [[24, 32]] * 2
    best = frame.loc[0, COLUMNS[1:]].to_numpy(float)
    assert best.tolist() == [16, 6, 24, 14]  # the first window whose middle is red
    red = WindowHeatDisplay.from_estimator(detector(), X, target="red")
    assert red.heatmaps[1].max() == 0
    each = WindowHeatDisplay.from_estimator(detector(), X, target=["green", "red"])
    assert each.frame()["score"].tolist() == [0.0, 0.0]


def test_of_all_scales_the_hottest(X):
    # At the second scale a window is 16 pixels, and its centres are 2 pixels apart.
    both = WindowHeatDisplay.from_estimator(detector(scales=[1.0, 2.0]), X[:1])
    alone = [WindowHeatDisplay.from_estimator(detector(scales=[scale]), X[:1]) for scale in (1.0, 2.0)]
    np.testing.assert_array_equal(both.heatmaps[0], np.maximum(*(display.heatmaps[0] for display in alone)))
    assert both.frame()["n_windows"][0] == sum(display.frame()["n_windows"][0] for display in alone)


def test_images_are_drawn_small_and_windows_are_of_the_whole(X, tmp_path):
    path = str(tmp_path / "a.png")
    Image.fromarray(X[0].repeat(4, axis=0).repeat(4, axis=1)).save(path)
    display = WindowHeatDisplay.from_estimator(detector(scales=[4.0], root=tmp_path), ["a.png"], size=64)
    assert display.images[0].shape == (48, 64, 3)
    assert display.heatmaps[0].shape == (48, 64)
    frame = display.frame()
    assert frame["path"].tolist() == [path]
    assert frame[["height", "width"]].to_numpy().tolist() == [[96, 128]]
    # The same place as in the small image, four times as far.
    np.testing.assert_allclose(frame.loc[0, COLUMNS[1:]].to_numpy(float), [64, 24, 96, 56], atol=8)
    display.plot()


def test_drawn_beside_the_image(X):
    display = WindowHeatDisplay.from_estimator(FrozenEstimator(detector()), X, name="Heat").plot(alpha=1.0)
    assert len(display.ax_.get_images()) == 4
    assert "best window" in [text.get_text() for text in display.ax_.texts]
    assert display.ax_.get_title() == "Heat"
    window = display.ax_.get_images()[0].get_array()
    assert (window[6, 16:24] == window[6, 16]).all()  # its edge, in one colour
    assert window[6, 16].tolist() != X[0, 6, 16].tolist()
    overlay = display.overlays(alpha=1.0)[0]
    assert overlay[0, 0].tolist() != overlay[12, 22].tolist()
    np.testing.assert_array_equal(display.overlays(alpha=0.0)[0], X[0])


def test_what_it_does_not_take(X):
    with pytest.raises(TypeError, match="estimator is a DummyClassifier, which classifies no windows"):
        WindowHeatDisplay.from_estimator(DummyClassifier(), X)
    with pytest.raises(TypeError, match="CalibratedDetector"):
        WindowHeatDisplay.from_estimator(CalibratedDetector(detector()), X)
    with pytest.raises(NotFittedError):
        WindowHeatDisplay.from_estimator(SlidingWindowDetector(Colours()), X)
    with pytest.raises(ValueError, match="target has 'blue', which is not a class of the detector"):
        WindowHeatDisplay.from_estimator(detector(), X, target="blue")
    with pytest.raises(ValueError, match="target has 3 labels; expected one, or 2"):
        WindowHeatDisplay.from_estimator(detector(), X, target=["red"] * 3)
    with pytest.raises(ValueError, match="size=0"):
        WindowHeatDisplay.from_estimator(detector(), X, size=0)
    with pytest.raises(ValueError, match="alpha=2"):
        WindowHeatDisplay.from_estimator(detector(), X).overlays(alpha=2)
    with pytest.raises(BadImageError, match=r"no\.png"):
        WindowHeatDisplay.from_estimator(detector(), ["no.png"])
