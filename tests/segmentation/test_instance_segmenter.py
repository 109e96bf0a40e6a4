"""InstanceSegmenter: a mask per object, by any detector and any segmenter."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, cross_val_predict
from toy import build_toy

import skcnn
from skcnn._training import _map_estimator, fit_memory
from skcnn.boxes import as_boxes, as_instances, whole_masks
from skcnn.detection import CNNDetector
from skcnn.images import BadImageError, as_images
from skcnn.metrics import InstanceDisplay, average_precision, mask_average_precision
from skcnn.segmentation import CNNSegmenter, InstanceSegmenter
from skcnn.segmentation._crops import Crops, window_around

COLUMNS = ["label", "xmin", "ymin", "xmax", "ymax"]


@pytest.fixture(scope="module")
def objects():
    """Twenty images (32, 48, 3) with up to two triangles, red or blue; boxes with masks."""
    generator = np.random.default_rng(0)
    X = generator.integers(0, 40, (20, 32, 48, 3)).astype(np.uint8)
    y = []
    for number, image in enumerate(X):
        rows, masks = [], []
        for half in range(1 if number % 3 else 2 * (number > 0)):
            side, label = int(generator.integers(12, 18)), ["red", "blue"][generator.integers(2)]
            left, top = 24 * half + int(generator.integers(0, 25 - side)), int(generator.integers(0, 33 - side))
            triangle = np.tri(side, dtype=bool)
            image[top : top + side, left : left + side][triangle] = [230, 40, 40] if label == "red" else [40, 40, 230]
            rows.append([label, left, top, left + side, top + side])
            masks.append(triangle)
        y.append(pd.DataFrame(rows, columns=COLUMNS).assign(mask=pd.Series(masks, dtype=object)))
    return X, as_instances(y, X)


class BrightBoxes(BaseEstimator):
    """Finds the bright pixels of each half of an image; ``moved`` to the right."""

    def __init__(self, moved=0, score=0.9):
        self.moved = moved
        self.score = score

    def fit(self, X, y):
        assert not any("mask" in table for table in y)
        self.n_boxes_ = sum(map(len, y))
        return self

    def predict(self, X):
        images, found = as_images(X), np.empty(len(X), object)
        for row in range(len(images)):
            pixels, rows = images.decode(row, images.size(row)), []
            for half in (0, 24):
                bright = pixels[:, half : half + 24].max(axis=-1) > 120
                if bright.any():
                    ys, xs = np.nonzero(bright)
                    label = "red" if pixels[:, half : half + 24, 0].max() > 120 else "blue"
                    left, right = xs.min() + half + self.moved, xs.max() + 1 + half + self.moved
                    rows.append([label, left, ys.min(), right, ys.max() + 1, self.score])
            found[row] = pd.DataFrame(rows, columns=[*COLUMNS, "score"])
        return found


class BrightPixels(BaseEstimator):
    """Knows how large the crops and masks were that it learned from."""

    def __init__(self, label=1):
        self.label = label

    def fit(self, X, y):
        images = as_images(X)
        self.sizes_ = [images.size(row) for row in range(len(images))]
        self.masks_ = list(y)
        assert [mask.shape for mask in self.masks_] == self.sizes_
        return self

    def predict(self, X):
        images, found = as_images(X), np.empty(len(X), object)
        for row in range(len(images)):
            pixels = images.decode(row, images.size(row))
            found[row] = np.where(pixels.max(axis=-1) > 120, self.label, 0).astype(np.uint8)
        return found


class Broken(BrightPixels):
    """Cannot be fitted."""

    def fit(self, X, y):
        raise RuntimeError("broken")


def test_masks_of_boxes(objects):
    X, y = objects
    fitted = InstanceSegmenter(BrightBoxes(), BrightPixels(), margin=0.25).fit(X, y)
    assert fitted.classes_ == ["blue", "red"]
    assert fitted.detector_.n_boxes_ == len(fitted.segmenter_.sizes_) == sum(map(len, y))
    found = fitted.predict(X)
    assert found.shape == (20,)
    assert list(found[0].columns) == [*COLUMNS, "score", "mask"]
    assert not len(found[0])
    for row in range(20):
        np.testing.assert_array_equal(whole_masks(found[row], (32, 48)), whole_masks(y[row], (32, 48)))
    assert fitted.score(X, y) == mask_average_precision(y, found) == pytest.approx(1)
    # Boxes that are not exact: masks end there, and there is no other pixel.
    moved = fitted.set_params(detector__moved=2).fit(X, y).predict(X)
    for row in range(1, 20):
        true, masks = whole_masks(y[row], (32, 48)), whole_masks(moved[row], (32, 48))
        assert not (masks & ~true).any()
        assert 0 < (true & ~masks).sum() < 0.3 * true.sum()
    assert 0.3 < mask_average_precision(y, moved) < 1


def test_the_segmenter_sees_a_margin(objects):
    X, y = objects
    for margin in (0.0, 0.5):
        fitted = InstanceSegmenter(None, BrightPixels(), margin=margin).fit(X[1:2], y[1:2])
        (xmin, ymin, xmax, ymax), (mask,) = y[1].loc[0, COLUMNS[1:]], fitted.segmenter_.masks_
        added = margin * (xmax - xmin)
        rows = slice(max(0, int(ymin - added)), int(np.ceil(ymax + added)))
        columns = slice(max(0, int(xmin - added)), int(np.ceil(xmax + added)))
        np.testing.assert_array_equal(mask == 1, whole_masks(y[1], (32, 48))[0][rows, columns])
    assert window_around(np.array([3.0, 4.0, 9.0, 8.0]), (10, 10), 0.0) == (4, 3, 8, 9)
    assert window_around(np.array([3.0, 4.0, 9.0, 8.0]), (10, 10), 0.5) == (2, 0, 10, 10)


def test_boxes_may_be_given(objects):
    X, y = objects
    fitted = InstanceSegmenter(None, BrightPixels()).fit(X, y)
    assert not hasattr(fitted, "predict")
    assert not hasattr(fitted, "score")
    with pytest.raises(AttributeError, match="predict") as raised:
        fitted.predict(X)
    assert "give them to predict_masks" in str(raised.value.__cause__)
    found = fitted.predict_masks(X, y)
    assert mask_average_precision(y, [table.assign(score=1.0) for table in found]) == pytest.approx(1)
    assert list(found[1].columns) == [*COLUMNS, "mask"]
    by_hand = fitted.predict_masks(X[1:2], [y[1][COLUMNS[1:]].to_numpy()])
    np.testing.assert_array_equal(by_hand[0]["mask"][0], y[1]["mask"][0])
    assert not len(fitted.predict_masks(X[:2], [[], []])[0])
    with pytest.raises(ValueError, match=r"1 box of boxes is invalid\. Image 0, box 0 .* it leaves the image"):
        fitted.predict_masks(X[:1], [[[0, 0, 99, 9]]])
    with pytest.raises(NotFittedError):
        clone(fitted).predict_masks(X, y)


def test_parts_that_are_fitted_stay_as_they_are(objects):
    X, y = objects
    detector, segmenter = BrightBoxes().fit(X, as_boxes(y)), BrightPixels(label=3)
    segmenter.sizes_ = "of another fit"
    fitted = InstanceSegmenter(FrozenEstimator(detector), FrozenEstimator(segmenter)).fit(X[:4], y[:4])
    assert fitted.detector_.estimator is detector
    assert fitted.segmenter_.sizes_ == "of another fit"
    assert fitted.score(X, y) == pytest.approx(1)  # all classes but 0 are the object


def test_a_search_reaches_the_parts(objects):
    X, y = objects
    candidates = {"detector__moved": [0, 4], "segmenter__label": [0, 1], "margin": [0.0, 0.2]}
    search = GridSearchCV(InstanceSegmenter(BrightBoxes(), BrightPixels()), candidates, cv=2).fit(X, y)
    assert search.best_params_["detector__moved"] == 0
    assert search.best_params_["segmenter__label"] == 1
    found = cross_val_predict(search.best_estimator_, X, y, cv=3)
    assert mask_average_precision(y, found) == pytest.approx(1)


@pytest.fixture(scope="module")
def learned(objects):
    """One of networks of a few layers; tests do not change it."""
    network = build_toy(weights="toy", input_shape=(32, 48, 3))
    both = {"head_learning_rate": 0.02, "batch_size": 8, "random_state": 0}
    detector = CNNDetector(network, n_channels=16, n_convolutions=1, head_epochs=30, **both)
    segmenter = CNNSegmenter(network, n_channels=16, n_convolutions=1, head_epochs=10, **both)
    return InstanceSegmenter(detector, segmenter).fit(*objects)


def test_networks_learn_both(learned, objects):
    X, y = objects
    found = learned.predict(X)
    assert average_precision(y, found, iou=0.5) > 0.8
    assert mask_average_precision(y, found, iou=0.5) > 0.8
    given = [table.assign(score=1.0) for table in learned.predict_masks(X, y)]
    filled = [
        table.assign(score=1.0, mask=pd.Series([np.ones_like(mask) for mask in table["mask"]], dtype=object))
        for table in y
    ]
    assert mask_average_precision(y, given) > 0.5 > mask_average_precision(y, filled)
    display = InstanceDisplay.from_estimator(learned, X, y, n_images=2)
    assert len(display.images) == 2


def test_a_search_over_the_segmenter_trains_the_detector_once_per_fold(learned, objects, monkeypatch):
    n_trainings = []
    train = _map_estimator.train
    monkeypatch.setattr(_map_estimator, "train", lambda *given: (n_trainings.append(1), train(*given)))
    monkeypatch.setattr(fit_memory(), "max_bytes", 2**22)
    fit_memory().clear()
    quick = InstanceSegmenter(clone(learned.detector).set_params(head_epochs=1), BrightPixels())
    X, y = objects
    GridSearchCV(quick, {"margin": [0.0, 0.2]}, cv=2, refit=False).fit(X[:8], y[:8])
    assert len(n_trainings) == 2
    fit_memory().clear()


def test_saved_and_loaded(learned, objects, tmp_path):
    X = objects[0][:4]
    skcnn.save(learned, tmp_path / "i.skcnn")
    loaded = skcnn.load(tmp_path / "i.skcnn")
    for one, other in zip(learned.predict(X), loaded.predict(X), strict=True):
        pd.testing.assert_frame_equal(one.drop(columns="mask"), other.drop(columns="mask"), atol=1e-4)
        for mask, same in zip(one["mask"], other["mask"], strict=True):
            np.testing.assert_array_equal(mask, same)
    frozen = InstanceSegmenter(FrozenEstimator(learned.detector_), FrozenEstimator(learned.segmenter_))
    skcnn.save(frozen.fit(*objects), tmp_path / "f.skcnn")
    pd.testing.assert_frame_equal(
        skcnn.load(tmp_path / "f.skcnn").predict(X)[1].drop(columns="mask"), learned.predict(X)[1].drop(columns="mask")
    )


def test_files_below_a_root(objects, tmp_path):
    X, y = objects
    for row in range(4):
        Image.fromarray(X[row]).save(tmp_path / f"{row}.png")
    names = pd.DataFrame({"path": [f"{row}.png" for row in range(4)]})
    fitted = InstanceSegmenter(BrightBoxes(), BrightPixels(), root=tmp_path).fit(names, y[:4])
    assert fitted.score(names, y[:4]) == pytest.approx(1)
    assert fitted.feature_names_in_.tolist() == ["path"]


def test_images_that_cannot_be_read_are_named(objects, segmenter_of, tmp_path):
    X, y = objects
    for row in range(4):
        Image.fromarray(X[row]).save(tmp_path / f"{row}.png")
    whole = (tmp_path / "3.png").read_bytes()
    (tmp_path / "3.png").write_bytes(whole[: len(whole) // 2])  # its size can be read, and its pixels cannot
    paths = [str(tmp_path / f"{row}.png") for row in range(4)]
    with pytest.raises(BadImageError, match="1 of 4 images") as raised:
        InstanceSegmenter(None, segmenter_of(head_epochs=1)).fit(paths, y[:4])
    assert raised.value.bad_rows[["row", "path"]].to_numpy().tolist() == [[3, paths[3]]]


def test_what_is_refused(objects):
    X, y = objects
    with pytest.raises(ValueError, match="y has no objects"):
        InstanceSegmenter(BrightBoxes(), BrightPixels()).fit(X[:1], y[:1])
    with pytest.raises(ValueError, match="Image 1 of y has boxes without masks"):
        InstanceSegmenter(BrightBoxes(), BrightPixels()).fit(X, as_boxes(y))
    with pytest.raises(ValueError, match="X has 2 images"):
        InstanceSegmenter(BrightBoxes(), BrightPixels()).fit(X[:2], y[:3])
    fitted = InstanceSegmenter(BrightBoxes(), BrightPixels()).fit(X, y)
    with pytest.raises(RuntimeError, match="broken"):
        fitted.set_params(segmenter=Broken()).fit(X, y)
    with pytest.raises(NotFittedError):  # not with a new detector and the former segmenter
        fitted.predict(X)
    with pytest.raises(ValueError, match="The 'margin' parameter of InstanceSegmenter"):
        InstanceSegmenter(BrightBoxes(), BrightPixels(), margin=-1).fit(X, y)
    with pytest.raises(ValueError, match="The 'detector' parameter of InstanceSegmenter"):
        InstanceSegmenter(object(), BrightPixels()).fit(X, y)


def test_crops_are_parts_of_images(objects, tmp_path):
    X = objects[0]
    Image.fromarray(X[0]).save(tmp_path / "0.png")
    images = as_images([str(tmp_path / "0.png"), X[1]])
    windows = [(2, 3, 20, 30), (0, 0, 32, 48), (2, 3, 20, 30)]
    crops = Crops(images, [0, 0, 1], windows)
    assert as_images(crops) is crops
    for row, number in ((2, 1), (0, 0), (1, 0)):
        top, left, bottom, right = windows[row]
        np.testing.assert_array_equal(crops.read(row), X[number, top:bottom, left:right])
        assert crops.size(row) == (bottom - top, right - left)
        assert crops.number(row) == number
        assert crops.path(row) is None
    some = crops.take([2, 0])
    np.testing.assert_array_equal(some.read(0), X[1, 2:20, 3:30])
    assert some.digest(1) == crops.digest(0)
    assert len({crops.digest(row) for row in range(3)}) == 3
