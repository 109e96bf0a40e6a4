"""CNNLocalizer: one object per image."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from toy import build_toy

import skcnn
from skcnn._training import _map_estimator, fit_memory
from skcnn.boxes import box_arrays
from skcnn.detection import CNNLocalizer
from skcnn.images import BadImageError
from skcnn.metrics import box_scorers, localization_accuracy, mean_iou

NETWORK = build_toy(weights="toy", input_shape=(32, 48, 3))
COLUMNS = ["label", "xmin", "ymin", "xmax", "ymax"]


@pytest.fixture(scope="module")
def scenes():
    """Forty images (40, 32, 48, 3) with a red or blue rectangle; the last eight without one. One box per image."""
    generator = np.random.default_rng(0)
    X = generator.integers(0, 40, (40, 32, 48, 3)).astype(np.uint8)
    rows = []
    for number, image in enumerate(X):
        width, height = (int(side) for side in generator.integers(12, 20, 2))
        left, top = int(generator.integers(0, 49 - width)), int(generator.integers(0, 33 - height))
        color, label = ([230, 40, 40], "red") if number % 2 else ([40, 40, 230], "blue")
        if number < 32:
            image[top : top + height, left : left + width] = color
            rows.append([label, left, top, left + width, top + height])
        else:
            rows.append([None, *[np.nan] * 4])
    return X, pd.DataFrame(rows, columns=COLUMNS)


def localizer_of(**parameters):
    """Return one on the toy network; all of the same form, so that its graph is compiled once."""
    given = {
        "n_channels": 16,
        "head_epochs": 25,
        "head_learning_rate": 0.02,
        "batch_size": 8,
        "random_state": 0,
    }
    return CNNLocalizer(NETWORK, **given | parameters)


def _n_boxes(estimator, X, y):
    return float(estimator.predict(X)["xmin"].notna().sum())


@pytest.fixture(scope="module")
def fitted(scenes):
    """A fitted one; tests do not change it."""
    return localizer_of().fit(*scenes)


def test_predict_finds_the_object(fitted, scenes):
    X, y = scenes
    found = fitted.predict(X)
    assert list(found.columns) == [*COLUMNS, "score"]
    assert fitted.score(X, y) == localization_accuracy(y, found) > 0.8
    assert mean_iou(y[:32], found[:32]) > 0.6
    assert fitted.classes_.tolist() == ["blue", "red"]
    assert found["score"].between(0.3, 1).all()


def test_nan_box_is_no_object(fitted, scenes):
    X, y = scenes
    found = fitted.predict(X[28:])
    is_empty = y["xmin"].isna()[28:].to_numpy()
    assert (found["label"].isna().to_numpy() == is_empty).mean() > 0.8
    assert_array_equal(found["label"].isna(), found["xmin"].isna())
    assert box_arrays(found).n_images == 12
    assert fitted.model_.output_shape == (None, 4 + 3)


def test_without_empty_images_there_is_no_class_for_them(scenes):
    X, y = scenes[0][:32], scenes[1][:32]
    localizer = localizer_of(head_epochs=1).fit(X, y)
    assert localizer.model_.output_shape == (None, 4 + 2)
    assert localizer.predict(scenes[0])["xmin"].notna().all()


def test_cross_validation_takes_what_it_gives(fitted, scenes):
    X, y = scenes[0][:32], scenes[1][:32]
    found = cross_val_predict(localizer_of(head_epochs=1), X, y, cv=2)
    assert found.shape == (32, 6)
    assert 0 <= mean_iou(y, found) <= 1
    scores = cross_val_score(localizer_of(head_epochs=1), X, y, cv=2, scoring=box_scorers("mean_iou")["mean_iou"])
    assert_allclose(scores.mean(), mean_iou(y, found))


def test_forms_of_y_give_the_same(scenes):
    X, y = scenes[0][:32], scenes[1][:32]
    tables = [y.iloc[[row]].reset_index(drop=True) for row in range(32)]
    one, other = (localizer_of(head_epochs=1).fit(X, form).predict(X) for form in (y, tables))
    pd.testing.assert_frame_equal(one, other)


def test_several_boxes_are_refused(scenes):
    X = scenes[0][:2]
    with pytest.raises(ValueError, match=r"Image 1 of y has 2 boxes; expected at most one per image"):
        localizer_of().fit(X, [[[0, 0, 9, 9]], [[0, 0, 9, 9], [1, 1, 8, 8]]])
    with pytest.raises(ValueError, match="y has no boxes"):
        localizer_of().fit(X, [[], []])


def test_predict_time_parameters_need_no_other_fit(scenes, monkeypatch):
    monkeypatch.setattr(fit_memory(), "max_bytes", 2**20)
    fit_memory().clear()
    n_trainings = []
    train = _map_estimator.train
    monkeypatch.setattr(_map_estimator, "train", lambda *given: (n_trainings.append(1), train(*given)))
    search = GridSearchCV(localizer_of(head_epochs=1), {"test_time_flips": [False, True]}, cv=2, scoring=_n_boxes)
    search.fit(scenes[0][:32], scenes[1][:32])
    assert len(n_trainings) == 3  # one per fold, and the last one
    fit_memory().clear()


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [{"box_loss": "mae"}, {"epochs": 1, "unfreeze": "parts"}])
def test_options_train(scenes, parameters):
    X, y = scenes
    localizer = localizer_of(head_epochs=2, **parameters).fit(X, y)
    history = localizer.history_
    assert history["loss"].is_monotonic_decreasing
    assert list(history["phase"]) == ["head", "head", *["fine"] * parameters.get("epochs", 0)]
    assert ("base" in localizer._weights) == ("epochs" in parameters)


def test_saved_and_loaded(fitted, scenes, tmp_path):
    skcnn.save(fitted, tmp_path / "localizer.skcnn")
    loaded = skcnn.load(tmp_path / "localizer.skcnn")
    pd.testing.assert_frame_equal(loaded.predict(scenes[0][:4]), fitted.predict(scenes[0][:4]))


def test_clone_and_refit_are_alike(scenes):
    X, y = scenes[0][:32], scenes[1][:32]
    first = localizer_of(head_epochs=2).fit(X, y)
    again = clone(first).fit(X, y)
    pd.testing.assert_frame_equal(again.predict(X[:8]), first.predict(X[:8]))


def test_model_gives_what_is_predicted(fitted, scenes):
    outputs = fitted.model_.predict(scenes[0][:3].astype("float32"), verbose=0)
    found = fitted.predict(scenes[0][:3])
    assert_allclose(outputs[:, 0] * 48, (found["xmin"] + found["xmax"]) / 2, atol=1.5)


def test_bad_images_are_named(fitted, scenes, tmp_path):
    X = [scenes[0][0], str(tmp_path / "broken.png"), scenes[0][1]]
    (tmp_path / "broken.png").write_bytes(b"\x89PNG no image")
    with pytest.raises(BadImageError, match=r"broken\.png"):
        fitted.predict(X)
    Image.fromarray(scenes[0][2]).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "broken.png").write_bytes(whole[: len(whole) // 2])  # of a size that can be read
    for call in (lambda: fitted.predict(X), lambda: localizer_of().fit(X, [[[0, 0, 9, 9]], [], []])):
        with pytest.raises(BadImageError, match=r"broken\.png") as raised:
            call()
        assert raised.value.bad_rows["row"].tolist() == [1]


def test_checkpoint_needs_a_seed(scenes, tmp_path):
    with pytest.raises(ValueError, match="resuming requires an integer random_state"):
        localizer_of(checkpoint=tmp_path, random_state=None).fit(*scenes)
