"""CNNSegmenter: masks in, masks of the original size out."""

import copy

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
from skcnn.images import BadImageError, BadMaskError, as_masks
from skcnn.metrics import mask_iou, mask_scorers
from skcnn.persistence import ModelFileError
from skcnn.segmentation import CNNSegmenter


def test_predict_finds_the_regions(fitted, scenes):
    X, y = scenes
    found = fitted.predict(X)
    assert found.dtype == object
    assert found.shape == (24,)
    assert all(mask.dtype == np.uint8 and mask.shape == (32, 48) for mask in found)
    assert fitted.score(X, y) == mask_iou(y, found) > 0.85
    assert fitted.classes_.tolist() == [0, 1, 2]
    assert len(fitted.history_) == fitted.n_iter_ == fitted.best_epoch_ == 15


def test_probabilities_are_those_of_the_masks(fitted, scenes):
    found = fitted.predict_proba(scenes[0][:3])
    for scores, mask in zip(found, fitted.predict(scenes[0][:3]), strict=True):
        assert scores.shape == (32, 48, 3)
        assert_allclose(scores.sum(axis=-1), 1, atol=1e-5)
        assert_array_equal(scores.argmax(axis=-1), mask)
    logits = fitted.model_.predict(scenes[0][:3].astype("float32"), verbose=0)
    assert_array_equal(logits.argmax(axis=-1), np.stack(fitted.predict(scenes[0][:3])))


@pytest.mark.parametrize("resize", ["stretch", "pad"])
def test_masks_have_the_size_of_their_image(fitted, scenes, resize):
    X, y = scenes
    sizes = [(64, 96), (50, 60), (20, 90)]
    large = [np.asarray(Image.fromarray(X[row]).resize(size[::-1])) for row, size in enumerate(sizes)]
    found = clone(fitted).set_params(resize=resize, head_epochs=1).fit(X, y).predict(large)
    assert [mask.shape for mask in found] == sizes
    assert all((mask <= 2).all() for mask in found)
    if resize == "stretch":
        assert mask_iou([y[0]], [fitted.predict(large[:1])[0][::2, ::2]]) > 0.7


def test_crop_predicts_what_was_cut_off(scenes, segmenter_of):
    X, y = scenes
    segmenter = segmenter_of(resize="crop").fit(X, y)
    wide = np.concatenate([X[0], X[1], X[2]], axis=1)
    (found,) = segmenter.predict([wide])
    assert found.shape == (32, 144)
    assert mask_iou([np.concatenate(list(y[:3]), axis=1)], [found]) > 0.8


def test_original_size_in_windows(fitted, scenes):
    X, y = scenes
    large = np.concatenate([np.concatenate(list(X[row : row + 4]), axis=1) for row in (0, 4, 8)])
    true = np.concatenate([np.concatenate(list(y[row : row + 4]), axis=1) for row in (0, 4, 8)])
    whole, tiled = (clone_with(fitted, predict_size="original", tile_size=side) for side in (192, 64))
    scores = tiled.predict_proba([large])[0]
    whole, tiled = (segmenter.predict([large, X[0]]) for segmenter in (whole, tiled))
    assert whole[0].shape == true.shape == (96, 192)
    assert np.mean(whole[0] != tiled[0]) < 0.01
    assert mask_iou([true, y[0]], tiled) > 0.8
    assert_array_equal(scores.argmax(axis=-1), tiled[0])


def test_overlap_is_less_than_half_of_a_tile(fitted, scenes):
    with pytest.raises(ValueError, match="tile_overlap=16; expected less than half"):
        clone_with(fitted, predict_size="original", tile_size=32, tile_overlap=16).predict(scenes[0][:1])


def test_forms_of_y_give_the_same(scenes, segmenter_of, tmp_path):
    X, y = scenes[0][:8], scenes[1][:8]
    colors = {0: (0, 0, 0), 1: (255, 0, 0), 2: (0, 0, 255)}
    paths, colored = [], []
    for row, mask in enumerate(y):
        paths.append(str(tmp_path / f"{row}.png"))
        Image.fromarray(mask).save(paths[-1])
        colored.append(np.array([colors[label] for label in range(3)], np.uint8)[mask])
    forms = [
        (y, None),
        (paths, None),
        (pd.DataFrame({"mask": paths}), None),
        (colored, colors),
        (as_masks(paths), None),
    ]
    first, *others = (
        segmenter_of(head_epochs=1, colors=table).fit(X, form).predict_proba(X[:2]) for form, table in forms
    )
    for other in others:
        assert_array_equal(np.stack(list(other)), np.stack(list(first)))
    assert segmenter_of(head_epochs=1, colors=colors).fit(X, colored).score(X, colored) > 0


def test_pixels_that_do_not_count(scenes, segmenter_of):
    X, y = scenes[0], scenes[1].copy()
    wrong = y.copy()
    wrong[y == 2] = 255  # blue rectangles are not labelled
    segmenter = segmenter_of(n_classes=3).fit(X, wrong)
    assert 2 not in np.unique(np.stack(list(segmenter.predict(X))))
    assert segmenter.score(X, wrong) > 0.9 > segmenter.score(X, y)


def test_errors_name_image_and_value(scenes, segmenter_of, tmp_path):
    X, y = scenes[0][:4], scenes[1][:4].copy()
    y[2, 5, 5] = 7
    with pytest.raises(BadMaskError, match=r"row 2: label 7, but classes are 0\.\.2"):
        segmenter_of(n_classes=3).fit(X, y)
    with pytest.raises(BadMaskError, match="row 0: 32 x 47 pixels, but the image has 32 x 48"):
        segmenter_of().fit(X, [y[0, :, 1:], *y[1:]])
    with pytest.raises(ValueError, match="X has 3 images, and y 4 masks"):
        segmenter_of().fit(X[:3], y)
    with pytest.raises(ValueError, match=r"y has the classes \[0\].*give colors=\{0: 0, 1: 255\}"):
        segmenter_of().fit(X, np.where(scenes[1][:4] > 0, 255, 0))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG no image")
    with pytest.raises((BadImageError, ValueError), match=r"broken\.png"):
        segmenter_of().fit([*X[:3], str(tmp_path / "broken.png")], scenes[1][:4])


def test_parameters_are_checked(scenes, segmenter_of):
    for parameters, message in [
        ({"loss": "hinge"}, "loss='hinge'; expected 'cross_entropy'"),
        ({"loss": "dice+dice"}, "loss='dice"),
        ({"class_weight": {5: 1}}, r"class_weight=\{5: 1\}; expected numbers >= 0 by label, of 0, 1, 2"),
        ({"class_weight": "balanced", "n_classes": 4}, "no pixel of class 3"),
        ({"architecture": "fcn8"}, "takes maps of 3 strides, and .* has those of 2, 4"),
        ({"head_epochs": 0}, "head_epochs=0 and epochs=0"),
        ({"checkpoint": "folder", "random_state": None}, "resuming requires an integer random_state"),
    ]:
        with pytest.raises(ValueError, match=message):
            segmenter_of(**parameters).fit(scenes[0][:4], scenes[1][:4])


def test_class_weights(segmenter_of):
    segmenter = segmenter_of(class_weight="balanced")
    segmenter.classes_ = np.arange(3, dtype=np.uint8)
    segmenter._learn_class_weight(np.array([60, 30, 10]))
    assert_allclose(segmenter.class_weight_, [100 / 180, 100 / 90, 100 / 30])
    segmenter.set_params(class_weight={1: 5.0})._learn_class_weight(np.array([60, 30, 10]))
    assert segmenter.class_weight_.tolist() == [1, 5, 1]


def test_cross_validation_takes_what_it_gives(scenes, segmenter_of):
    X, y = scenes
    found = cross_val_predict(segmenter_of(head_epochs=1), X, y, cv=2)
    assert found.shape == (24,)
    assert 0 < mask_iou(y, found) <= 1
    scores = cross_val_score(
        segmenter_of(head_epochs=1), X, as_masks(y), cv=2, scoring=mask_scorers("mask_iou")["mask_iou"]
    )
    assert_allclose(scores, cross_val_score(segmenter_of(head_epochs=1), X, y, cv=2))


def test_predict_time_parameters_need_no_other_fit(scenes, segmenter_of, monkeypatch):
    monkeypatch.setattr(fit_memory(), "max_bytes", 2**20)
    fit_memory().clear()
    n_trainings, train = [], _map_estimator.train
    monkeypatch.setattr(_map_estimator, "train", lambda *given: (n_trainings.append(1), train(*given)))
    search = GridSearchCV(segmenter_of(head_epochs=1), {"test_time_flips": [False, True]}, cv=2)
    search.fit(*scenes)
    assert len(n_trainings) == 3  # one per fold, and the last one
    fit_memory().clear()


def test_clone_and_refit_are_alike(scenes, segmenter_of):
    first = segmenter_of(head_epochs=1).fit(*scenes)
    again = clone(first).fit(*scenes)
    for a, b in zip(again.predict_proba(scenes[0][:2]), first.predict_proba(scenes[0][:2]), strict=True):
        assert_array_equal(a, b)


@pytest.fixture(scope="module")
def of_a_model(scenes):
    """One on a Keras model, which takes images of one size only."""
    network = build_toy(weights="toy", input_shape=(32, 48, 3))
    return CNNSegmenter(network, n_channels=16, head_epochs=1, epochs=0, random_state=0).fit(*scenes)


def test_saved_and_loaded(of_a_model, scenes, tmp_path):
    skcnn.save(of_a_model, tmp_path / "segmenter.skcnn")
    loaded = skcnn.load(tmp_path / "segmenter.skcnn")
    for a, b in zip(loaded.predict_proba(scenes[0][:4]), of_a_model.predict_proba(scenes[0][:4]), strict=True):
        assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("forged", [{"n_channels": 4096}, {"classes_": np.arange(1)}, {"image_size_": (10**6, 10**6)}])
def test_forged_files_are_refused(of_a_model, tmp_path, forged):
    copy_of = copy.copy(of_a_model)
    vars(copy_of).update(forged)
    skcnn.save(copy_of, tmp_path / "segmenter.skcnn")
    with pytest.raises(ModelFileError, match=r"ask for another head|image_size="):
        skcnn.load(tmp_path / "segmenter.skcnn")


def test_windows_of_a_model_have_its_size(of_a_model, scenes):
    large = np.concatenate(list(scenes[0][:3]))
    (found,) = clone_with(of_a_model, predict_size="original").predict([large])
    assert found.shape == (96, 48)


def clone_with(estimator, **parameters):
    """Return a fitted copy with other parameters."""
    return copy.copy(estimator).set_params(**parameters)


def test_a_changed_network_is_refused(scenes, segmenter_of):
    segmenter = segmenter_of(head_epochs=1).fit(*scenes)
    with pytest.raises(ValueError, match="changed after fit"):
        segmenter.set_params(architecture="fcn32").predict(scenes[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    "parameters",
    [
        {"architecture": "fcn16"},
        {"architecture": "fcn32"},
        {"loss": "dice"},
        {"loss": "focal+tversky"},
        {"epochs": 1, "unfreeze": "parts"},
        {"epochs": 1, "unfreeze": "all", "head_epochs": 1},
        {"augmentation": "light"},
        {"augmentation": "light", "augmentation_views": 2, "flips": "both"},
        {"early_stopping": True, "validation_fraction": 0.25},
    ],
)
def test_options_train(scenes, segmenter_of, parameters):
    given = {"head_epochs": 3} | parameters
    segmenter = segmenter_of(**given).fit(*scenes)
    history = segmenter.history_
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    assert list(history["phase"]) == ["head"] * given["head_epochs"] + ["fine"] * parameters.get("epochs", 0)
    assert ("base" in segmenter._weights) == ("epochs" in parameters)
    assert ("val_loss" in history) == ("early_stopping" in parameters)


@pytest.mark.slow
def test_a_run_resumes(scenes, segmenter_of, tmp_path):
    whole = segmenter_of(head_epochs=2, checkpoint=tmp_path / "a").fit(*scenes)
    resumed = segmenter_of(head_epochs=2, checkpoint=tmp_path / "a").fit(*scenes)
    assert resumed.history_.equals(whole.history_)


@pytest.mark.slow
def test_pets(shared):
    """A few epochs on real images are far better than the mean mask (0.57)."""
    from skcnn.datasets import load_mask_folder

    X, y = load_mask_folder(shared / "data/pets370/images", shared / "data/pets370/masks")
    rows = np.arange(0, 370, 4)
    weights = shared / "weights/mobilenet_v2_1.0_224.weights.h5"
    segmenter = CNNSegmenter(weights=weights, image_size=128, head_epochs=8, epochs=0, random_state=0)
    segmenter.fit(X.iloc[rows], y[rows])
    assert segmenter.score(X.iloc[rows + 1], y[rows + 1]) > 0.75
