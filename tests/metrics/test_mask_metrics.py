"""Metrics of masks are what loops over pixels give, and scikit-learn where it has them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, jaccard_score, recall_score

from skcnn.images import as_masks
from skcnn.metrics import (
    boundary_f1,
    class_segmentation_frame,
    mask_dice,
    mask_iou,
    mask_scorers,
    pixel_accuracy,
    pixel_confusion_frame,
    segmentation_frame,
    segmentation_intervals,
)
from skcnn.metrics._mask_boundaries import boundary_counts


def masks_of(seed, n=4, n_classes=4, ignored=True):
    """Return true and predicted masks of several sizes, in regions, of which a third is predicted wrongly."""
    generator = np.random.default_rng(seed)
    true, predicted = np.empty(n, object), np.empty(n, object)
    for row in range(n):
        size = generator.integers(6, 20, 2)
        small = generator.integers(0, n_classes, (3, 3)).astype(np.uint8)
        true[row] = np.asarray(Image.fromarray(small).resize(size[::-1].tolist(), Image.Resampling.NEAREST)).copy()
        predicted[row] = np.where(generator.random(size) < 0.3, generator.integers(0, n_classes, size), true[row])
        predicted[row] = predicted[row].astype(np.uint8)
        if ignored:
            true[row][generator.random(size) < 0.1] = 255
    return true, predicted


def flat(true, predicted):
    """Return all pixels that count."""
    a, b = (np.concatenate([mask.ravel() for mask in masks]) for masks in (true, predicted))
    return a[a != 255], b[a != 255]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_metrics_of_all_pixels_are_those_of_scikit_learn(seed):
    true, predicted = masks_of(seed)
    a, b = flat(true, predicted)
    assert_allclose(mask_iou(true, predicted), jaccard_score(a, b, average="macro"))
    assert_allclose(mask_dice(true, predicted), f1_score(a, b, average="macro"))
    assert_allclose(pixel_accuracy(true, predicted), accuracy_score(a, b))
    labels = sorted({*a, *b})
    assert_array_equal(pixel_confusion_frame(true, predicted), confusion_matrix(a, b, labels=labels))
    frame = segmentation_frame(true, predicted)["value"]
    there = [label for label in labels if label in a]
    assert_allclose(frame["mean_recall"], recall_score(a, b, labels=there, average="macro"))
    assert_allclose(frame["weighted_iou"], jaccard_score(a, b, average="weighted"))
    per_image = [jaccard_score(*flat([t], [p]), average="macro") for t, p in zip(true, predicted, strict=True)]
    assert_allclose(mask_iou(true, predicted, per_image=True), np.mean(per_image))
    by_class = class_segmentation_frame(true, predicted)
    assert_allclose(by_class["iou"], jaccard_score(a, b, average=None))
    assert by_class["support"].sum() == len(a)
    assert_allclose(by_class["fraction"].sum(), 1)


def edge_pixels(mask, label, counts):
    """Return the pixels of a class with a neighbour that is another one, by a loop."""
    found = []
    for y, x in np.ndindex(mask.shape):
        if mask[y, x] != label or not counts[y, x]:
            continue
        for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0)):
            v, u = y + dy, x + dx
            if 0 <= v < mask.shape[0] and 0 <= u < mask.shape[1] and counts[v, u] and mask[v, u] != label:
                found.append((y, x))
                break
    return np.array(found, float).reshape(-1, 2)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.3))
def test_edges_are_those_of_a_loop(seed, tolerance):
    true, predicted = (masks[0] for masks in masks_of(seed, 1))
    for label in range(4):
        edges = [edge_pixels(mask, label, true != 255) for mask in (true, predicted)]
        distance = max(1.0, tolerance * np.hypot(*true.shape))
        near = [0, 0]
        if len(edges[0]) and len(edges[1]):
            apart = cdist(edges[1], edges[0])
            near = [(apart.min(axis=1) <= distance).sum(), (apart.min(axis=0) <= distance).sum()]
        expected = [near[0], len(edges[1]), near[1], len(edges[0])]
        assert boundary_counts(true, predicted, label, tolerance).tolist() == expected


def test_edges_of_masks():
    y = np.zeros((3, 40, 40), np.uint8)
    y[:2, 10:30, 10:30] = 1
    assert boundary_f1(y, y) == 1
    assert boundary_f1(y[:1], np.zeros_like(y[:1])) == 0
    assert np.isnan(boundary_f1(y[2:], y[2:]))
    near, far = np.roll(y, 1, axis=1), np.roll(y, 6, axis=1)
    assert boundary_f1(y, near) == 1 > boundary_f1(y, far) > 0
    assert boundary_f1(y, far, tolerance=0.2) == 1
    with pytest.raises(ValueError, match="tolerance=2"):
        boundary_f1(y, y, tolerance=2)


def test_pixels_without_a_prediction_are_wrong():
    true, predicted = np.array([[[0, 0, 1, 1]]]), np.array([[[0, 255, 1, 255]]])
    assert mask_iou(true, predicted) == 0.5
    assert pixel_accuracy(true, predicted) == 0.5
    assert pixel_confusion_frame(true, predicted).to_numpy().sum() == 2
    assert mask_iou(predicted, true) == 1  # a true 255 does not count


def test_what_is_not_defined_says_why():
    nothing = np.full((2, 3, 3), 255)
    frame = segmentation_frame(nothing, np.zeros((2, 3, 3), int), classes=["a", "b"])
    assert frame["value"].isna().all()
    assert frame.loc["mean_iou", "note"] == "no pixel counts"
    assert segmentation_frame([], [])["value"].isna().all()
    one = class_segmentation_frame(np.zeros((1, 3, 3), int), np.zeros((1, 3, 3), int), classes=["a", "b"])
    assert one["iou"].tolist()[0] == 1
    assert np.isnan(one.loc["b", "iou"])


def test_errors_name_the_image(tmp_path):
    true = np.zeros((2, 3, 3), np.uint8)
    wrong = true.copy()
    wrong[1, 0, 0] = 7
    with pytest.raises(ValueError, match=r"Image 1: label 7, but classes are 0\.\.2"):
        segmentation_frame(true, wrong, classes=["a", "b", "c"])
    with pytest.raises(ValueError, match="Image 0: the predicted mask has 2 x 3 pixels, the true one 3 x 3"):
        mask_iou(true, [true[0, 1:], true[1]])
    with pytest.raises(ValueError, match="y_true has 2 masks and y_pred 1 mask"):
        mask_iou(true, true[:1])
    with pytest.raises(ValueError, match=r"Image 0 \(.*gone\.png\): no such file"):
        mask_iou([str(tmp_path / "gone.png")], true[:1])


def test_intervals():
    true, predicted = masks_of(0, 30)
    frame = segmentation_intervals(true, predicted, random_state=0, n_resamples=200)
    assert list(frame.columns) == ["value", "low", "high", "note"]
    pd.testing.assert_series_equal(frame["value"], segmentation_frame(true, predicted)["value"])
    assert ((frame["low"] < frame["value"]) & (frame["value"] < frame["high"])).all()
    again = segmentation_intervals(true, predicted, random_state=0, n_resamples=200)
    assert frame.equals(again)
    wide = segmentation_intervals(true[:10], predicted[:10], random_state=0, n_resamples=200)
    assert wide.loc["pixel_accuracy", ["high", "low"]].agg(lambda v: v.iloc[0] - v.iloc[1]) > (
        frame.loc["pixel_accuracy", "high"] - frame.loc["pixel_accuracy", "low"]
    )
    perfect = segmentation_intervals(true, [np.where(mask == 255, 0, mask) for mask in true], random_state=0)
    assert (perfect["note"].str.startswith("the same in all resamples")).any()


def test_a_resample_is_what_its_images_give():
    """Weights of images give what repeated images do."""
    from skcnn.metrics._mask_predictions import MaskPredictions
    from skcnn.metrics._mask_tables import headline_values

    true, predicted = masks_of(1, 5)
    drawn = [0, 0, 3, 4, 4]
    weights = np.bincount(drawn, minlength=5)[:, None].astype(float)
    found = headline_values(MaskPredictions.from_arrays(true, predicted), weights)
    expected = segmentation_frame(true[drawn], predicted[drawn])["value"]
    for name, value in expected.items():
        assert_allclose(found[name][0], value, err_msg=name)


def test_scorers_and_colours():
    true, predicted = masks_of(2, 6, ignored=False)

    class Known(BaseEstimator):
        def predict(self, X):
            return predicted[X]

    rows = np.arange(6)
    scores = {name: scorer(Known(), rows, true) for name, scorer in mask_scorers().items()}
    assert scores["mask_iou"] == mask_iou(true, predicted)
    assert scores["boundary_f1"] == boundary_f1(true, predicted)
    masks = as_masks(list(true))
    assert mask_scorers("mask_iou")["mask_iou"](Known(), rows[2:4], masks[np.array([2, 3])]) == mask_iou(
        true[2:4], predicted[2:4]
    )
    assert masks.shape == (6,)
    with pytest.raises(ValueError, match="No scorer of masks is called 'iou'"):
        mask_scorers("iou")
