"""CNNDetector: any number of objects per image."""

import copy

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import GridSearchCV, cross_val_predict
from toy import build_toy

import skcnn
from skcnn._training import _map_estimator, fit_memory
from skcnn.boxes import box_arrays
from skcnn.detection import CNNDetector
from skcnn.metrics import average_precision, box_scorers
from skcnn.persistence import ModelFileError

NETWORK = build_toy(weights="toy", input_shape=(32, 48, 3))
COLUMNS = ["label", "xmin", "ymin", "xmax", "ymax"]


@pytest.fixture(scope="module")
def scenes():
    """Thirty-two images (32, 32, 48, 3) with up to two red or blue squares; boxes."""
    generator = np.random.default_rng(0)
    X = generator.integers(0, 40, (32, 32, 48, 3)).astype(np.uint8)
    y = []
    for number, image in enumerate(X):
        boxes = []
        for half in range(number % 3):
            side, label = int(generator.integers(10, 15)), ["red", "blue"][generator.integers(2)]
            left = 24 * half + int(generator.integers(0, 25 - side))
            top = int(generator.integers(0, 33 - side))
            image[top : top + side, left : left + side] = [230, 40, 40] if label == "red" else [40, 40, 230]
            boxes.append([label, left, top, left + side, top + side])
        y.append(pd.DataFrame(boxes, columns=COLUMNS))
    return X, y


def detector_of(**parameters):
    """Return one on the toy network; most of the same form, so that its graph is compiled once."""
    given = {
        "n_channels": 16,
        "n_convolutions": 1,
        "head_epochs": 30,
        "head_learning_rate": 0.02,
        "batch_size": 8,
        "random_state": 0,
    }
    return CNNDetector(NETWORK, **given | parameters)


@pytest.fixture(scope="module")
def fitted(scenes):
    """A fitted one; tests do not change it."""
    return detector_of().fit(*scenes)


def same_boxes(one, other):
    for a, b in zip(one, other, strict=True):
        pd.testing.assert_frame_equal(a, b)


def test_predict_finds_objects(fitted, scenes):
    X, y = scenes
    found = fitted.predict(X)
    assert found.shape == (32,)
    assert list(found[0].columns) == [*COLUMNS, "score"]
    assert average_precision(y, found, iou=0.5) > 0.9
    assert fitted.score(X, y) > 0.4
    assert (fitted.levels_, fitted.anchors_, fitted.anchor_coverage_) == ((4,), None, 1.0)
    arrays = box_arrays(found)
    assert (arrays.xyxy >= 0).all()
    assert (arrays.xyxy <= [48, 32, 48, 32]).all()
    assert list(fitted.history_.columns) == ["phase", "epoch", "loss", "learning_rate"]
    assert fitted.n_iter_ == fitted.best_epoch_ == 30


def test_predict_time_parameters(fitted, scenes):
    X = scenes[0][:6]
    before = fitted.get_params()
    many = box_arrays(fitted.set_params(score_threshold=0.01).predict(X))
    few = box_arrays(fitted.set_params(score_threshold=0.3, max_detections=1).predict(X))
    assert len(many.image) > len(few.image)
    assert np.bincount(few.image).max() == 1
    assert few.score.min() >= 0.3
    flipped = fitted.set_params(test_time_flips=True, **{k: before[k] for k in ("score_threshold", "max_detections")})
    assert average_precision(scenes[1][:6], flipped.predict(X), iou=0.5) > 0.8
    fitted.set_params(**before)


def test_search_over_predict_time_parameters_trains_once_per_fold(scenes, monkeypatch):
    monkeypatch.setattr(fit_memory(), "max_bytes", 2**22)
    fit_memory().clear()
    n_trainings = []
    train = _map_estimator.train
    monkeypatch.setattr(_map_estimator, "train", lambda *given: (n_trainings.append(1), train(*given)))
    candidates = {"score_threshold": [0.05, 0.2], "iou_threshold": [0.3, 0.6]}
    scoring = box_scorers("average_precision_50")["average_precision_50"]
    search = GridSearchCV(detector_of(head_epochs=1), candidates, cv=2, scoring=scoring).fit(*scenes)
    assert len(search.cv_results_["params"]) == 4
    assert len(n_trainings) == 3  # one per fold, and the last one
    fit_memory().clear()


def test_frozen_layers_run_once_per_view(scenes, monkeypatch):
    n_images = []
    compute = _map_estimator.Activations._compute_all
    monkeypatch.setattr(_map_estimator.Activations, "_compute_all", lambda self: (n_images.append(1), compute(self))[1])
    detector_of(head_epochs=3).fit(*scenes)
    assert len(n_images) == 1  # and not one per epoch


def test_anchors(scenes):
    detector = detector_of(anchors=2, class_scores="cell", head_epochs=20).fit(*scenes)
    (anchors,) = detector.anchors_
    assert anchors.shape == (2, 2)
    assert anchors.min() > 9
    assert anchors.max() < 15
    assert detector.anchor_coverage_ == 1
    assert average_precision(scenes[1], detector.predict(scenes[0]), iou=0.5) > 0.5


@pytest.mark.slow
@pytest.mark.parametrize("class_scores", ["anchor", "sigmoid"])
def test_classes_of_anchors(scenes, class_scores):
    detector = detector_of(anchors=2, class_scores=class_scores, head_epochs=25).fit(*scenes)
    assert average_precision(scenes[1], detector.predict(scenes[0]), iou=0.5) > 0.5


@pytest.mark.parametrize(
    "parameters",
    [
        {"augmentation": "light", "augmentation_views": 2, "flips": "both", "early_stopping": True},
        pytest.param(
            {"epochs": 1, "unfreeze": "parts", "score_loss": "focal", "box_loss": "ciou", "levels": (2, 4)},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"augmentation": "light", "mosaic": 0.5, "early_stopping": True, "validation_fraction": 0.25},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_options_train(scenes, parameters):
    X, y = scenes[0][:20], scenes[1][:20]
    detector = detector_of(head_epochs=2, **parameters).fit(X, y)
    history = detector.history_
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    assert ("val_loss" in history) == ("early_stopping" in parameters)
    assert len(detector.predict(scenes[0][:2])) == 2


def test_saved_and_loaded(fitted, scenes, tmp_path):
    skcnn.save(fitted, tmp_path / "detector.skcnn")
    loaded = skcnn.load(tmp_path / "detector.skcnn")
    same_boxes(loaded.predict(scenes[0][:4]), fitted.predict(scenes[0][:4]))
    assert loaded.levels_ == fitted.levels_


@pytest.mark.parametrize("forged", [{"n_channels": 4096}, {"_priors": (((1e-3, np.nan),),)}, {"levels_": (0,)}])
def test_forged_files_are_refused(fitted, tmp_path, forged):
    copy_of = copy.copy(fitted)
    vars(copy_of).update(forged)
    skcnn.save(copy_of, tmp_path / "detector.skcnn")
    with pytest.raises(ModelFileError, match=r"ask for more|sizes > 0|ints > 0"):
        skcnn.load(tmp_path / "detector.skcnn")


def test_batches_do_not_matter(fitted, scenes, monkeypatch):
    whole = fitted.predict(scenes[0][:7])
    monkeypatch.setattr(_map_estimator, "_AT_ONCE", 3)
    n_images = []
    outputs = CNNDetector._outputs_of
    monkeypatch.setattr(
        CNNDetector,
        "_outputs_of",
        lambda self, part, *given: (n_images.append(len(part)), outputs(self, part, *given))[1],
    )
    for one, other in zip(whole, fitted.predict(scenes[0][:7]), strict=True):
        assert_allclose(one[COLUMNS[1:]], other[COLUMNS[1:]], atol=1e-3)
    assert n_images == [3, 3, 1]  # what is held at a time does not grow with X


def test_checkpoint_resumes(scenes, tmp_path):
    X, y = scenes
    whole = detector_of(head_epochs=3).fit(X, y)
    again = detector_of(head_epochs=3, checkpoint=tmp_path).fit(X, y)
    assert len(list(tmp_path.glob("*.npz"))) == 1
    resumed = detector_of(head_epochs=3, checkpoint=tmp_path).fit(X, y)
    for detector in (again, resumed):
        for a, b in zip(detector._weights["head"], whole._weights["head"], strict=True):
            assert_array_equal(a, b)


def test_cross_val_predict(scenes):
    X, y = scenes
    tables = np.empty(len(y), object)
    tables[:] = y
    found = cross_val_predict(detector_of(head_epochs=1), X, tables, cv=2)
    assert found.shape == (32,)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"anchors": 0}, "anchors=0; expected None, a number of anchors"),
        ({"loss_weights": (1, 2)}, "loss_weights=.*expected three numbers"),
        ({"head_epochs": 0}, "expected at least one of them > 0"),
        ({"anchors": 1, "levels": (2, 4)}, "1 anchor for 2 levels"),
        ({"levels": 8}, "levels=8; expected 'auto', or strides of the network's maps: 2, 4"),
    ],
)
def test_invalid_parameters(scenes, parameters, message):
    with pytest.raises(ValueError, match=message):
        detector_of(**parameters).fit(*scenes)


def test_no_boxes_and_changed_parameters_are_refused(fitted, scenes):
    with pytest.raises(ValueError, match="y has no boxes"):
        detector_of().fit(scenes[0][:2], [[], []])
    fitted.n_channels = 8
    with pytest.raises(ValueError, match="was changed after fit"):
        fitted.predict(scenes[0][:2])
    fitted.n_channels = 16
