"""Average precision equals pycocotools's, and that of weighted images equals that of repeated ones."""

import io
import sys
from contextlib import redirect_stdout

import numpy as np
import pandas as pd
import pytest
from box_cases import box_predictions
from hypothesis import given, settings
from hypothesis import strategies as st

from skcnn.boxes import as_boxes, boxes_to_coco
from skcnn.metrics import (
    average_precision,
    average_recall,
    class_detection_frame,
    detection_frame,
    detection_intervals,
)


def of_pycocotools(y_true, y_pred):
    """Return the twelve metrics and the average precision of each class."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    classes = [0, 1, 2, 3]
    truth = COCO()
    truth.dataset = boxes_to_coco(y_true, classes=classes)
    with redirect_stdout(io.StringIO()):
        truth.createIndex()
        results = boxes_to_coco(y_pred, classes=classes)["annotations"]
        found = truth.loadRes(results) if results else COCO()
        if not results:
            found.dataset = {**truth.dataset, "annotations": []}
            found.createIndex()
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    by_class = evaluation.eval["precision"][:, :, :, 0, 2].mean(axis=(0, 1))
    return np.where(evaluation.stats < 0, np.nan, evaluation.stats), np.where(by_class < 0, np.nan, by_class)


@settings(max_examples=15, deadline=None)
@given(box_predictions())
def test_all_twelve_equal_pycocotools(case):
    stats, by_class = of_pycocotools(*case)
    frame = detection_frame(*case)
    np.testing.assert_allclose(frame["value"], stats, atol=1e-6)
    classes = class_detection_frame(*case, classes=[0, 1, 2, 3])
    np.testing.assert_allclose(classes["average_precision"], by_class, atol=1e-6)
    assert average_precision(*case, iou=0.5) == pytest.approx(stats[1], abs=1e-6, nan_ok=True)
    assert average_recall(*case) == pytest.approx(stats[8], abs=1e-6, nan_ok=True)
    assert (frame["note"] != "").tolist() == np.isnan(stats).tolist()


@settings(max_examples=8, deadline=None)
@given(box_predictions(), st.integers(0, 100))
def test_images_with_weights_equal_repeated_images(case, seed):
    from skcnn.metrics._box_intervals import WeightedPrecision
    from skcnn.metrics._box_predictions import BoxPredictions

    # Without ties: copies of two boxes of equal score take turns, which weights do not.
    for number, item in enumerate(case[1]):
        item["scores"] = item["scores"] + (np.arange(len(item["scores"])) + 20 * number) / 1e4
    weights = np.random.default_rng(seed).integers(0, 3, len(case[0]))
    repeated = [[image for image, weight in zip(y, weights, strict=True) for _ in range(weight)] for y in case]
    means = WeightedPrecision(BoxPredictions.from_arrays(*case)).means(weights[:, None])
    expected = detection_frame(*repeated)["value"] if weights.sum() else pd.Series(np.nan, index=list(means))
    np.testing.assert_allclose(np.concatenate(list(means.values())), expected[list(means)], atol=1e-6)


def test_intervals_hold_the_value_and_follow_the_seed():
    found = {"boxes": [[0, 0, 50, 50]], "labels": [1], "scores": [0.9]}
    y_true, y_pred = [[[0, 0, 50, 46, 1]]] * 30, [found] * 20 + [[]] * 10
    frame = detection_intervals(y_true, y_pred, random_state=0, n_resamples=50)
    row = frame.loc["average_precision_50"]
    assert 0.5 < row["low"] < row["value"] < row["high"] < 0.85
    pd.testing.assert_frame_equal(frame, detection_intervals(y_true, y_pred, random_state=0, n_resamples=50, n_jobs=2))
    assert frame.loc["average_precision_small", "note"] == "no true box is small"


def test_only_so_many_boxes_count():
    found = {"boxes": [[0, 0, 9, 9], [20, 20, 29, 29]], "labels": [1, 1], "scores": [0.9, 0.8]}
    y_true = [[[0, 0, 9, 9, 1], [20, 20, 29, 29, 1]]]
    assert average_precision(y_true, [found]) == 1
    assert average_precision(y_true, [found], max_detections=1) == pytest.approx(51 / 101)
    assert average_recall(y_true, [found], max_detections=1) == 0.5


def test_what_is_refused(monkeypatch):
    y = [[[0, 0, 5, 5]]]
    with pytest.raises(ValueError, match="y_pred has no scores"):
        average_precision(y, y)
    found = as_boxes([{"boxes": [[0, 0, 5, 5]], "labels": ["object"], "scores": [0.5]}])
    with pytest.raises(ValueError, match="y_true has boxes of 2 images and y_pred of 1 image"):
        average_precision([*y, []], found)
    with pytest.raises(ValueError, match="iou=0"):
        average_precision(y, found, iou=0)
    with pytest.raises(ValueError, match="max_detections=0"):
        average_precision(y, found, max_detections=0)
    with pytest.raises(ValueError, match=r"1 box of y_pred is invalid. Image 0, box 0 .* the label is unknown"):
        average_precision([[]], found, classes=["cat"])
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(ImportError, match=r"skcnn\[detection\]"):
        average_precision(y, found)


def test_nothing_true_is_nan_and_nothing_found_is_zero():
    assert np.isnan(average_precision([[], []], [[], []]))
    assert average_precision([[[0, 0, 5, 5]]], [[]]) == 0
