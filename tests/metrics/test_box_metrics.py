"""Curves, kinds of error, overlap and scorers of boxes; and their Displays."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from box_cases import box_predictions
from hypothesis import given, settings
from PIL import Image
from sklearn.base import BaseEstimator
from sklearn.model_selection import cross_val_predict, cross_validate

from skcnn.boxes import as_boxes
from skcnn.metrics import (
    BoxGridDisplay,
    BoxPrecisionRecallDisplay,
    average_precision,
    box_scorers,
    detection_curve_frame,
    detection_errors,
    localization_accuracy,
    mean_iou,
)


def found(*rows):
    """Return predicted boxes of rows ``xmin, ymin, xmax, ymax, label, score``."""
    return {"boxes": [row[:4] for row in rows], "labels": [row[4] for row in rows], "scores": [row[5] for row in rows]}


Y_TRUE = [found([0, 0, 40, 40, "a", 1], [60, 60, 100, 100, "b", 1]), found(), found([0, 0, 40, 40, "b", 1])]
Y_PRED = [
    found(
        [0, 0, 40, 38, "a", 0.9],
        [0, 0, 40, 36, "a", 0.8],
        [60, 60, 100, 98, "a", 0.7],
        [60, 60, 100, 75, "b", 0.6],
        [0, 0, 40, 40, "a", 0.05],
    ),
    found([0, 0, 10, 10, "b", 0.5]),
    found(),
]


def test_kinds_of_error():
    errors = detection_errors(Y_TRUE, Y_PRED, score_threshold=0.1)
    assert errors[["image", "kind", "true_label", "predicted_label"]].to_numpy().tolist() == [
        [0, "right", "a", "a"],
        [0, "double", "a", "a"],
        [0, "wrong class", "b", "a"],
        [0, "bad box", "b", "b"],
        [0, "missed", "b", None],
        [1, "background", None, "b"],
        [2, "missed", "b", None],
    ]
    np.testing.assert_allclose(errors["iou"], [0.95, 0.9, 0.95, 0.375, 0.375, 0, 0])
    assert errors["score"].isna().tolist() == [kind == "missed" for kind in errors["kind"]]


def test_the_default_threshold_has_the_highest_f1():
    assert detection_errors(Y_TRUE, Y_PRED)["kind"].tolist() == ["right", "missed", "missed"]


@settings(max_examples=10, deadline=None)
@given(box_predictions())
def test_every_box_is_counted_once(case):
    errors = detection_errors(*case, score_threshold=0)
    kinds = errors["kind"].value_counts()
    assert kinds.get("right", 0) + kinds.get("missed", 0) == sum(len(item["boxes"]) for item in case[0])
    assert len(errors) - kinds.get("missed", 0) == sum(len(item["boxes"]) for item in case[1])
    right = errors[errors["kind"] == "right"]
    assert (right["true_label"] == right["predicted_label"]).all()
    assert (right["iou"] >= 0.5).all()


@settings(max_examples=8, deadline=None)
@given(box_predictions())
def test_the_area_of_a_curve_is_average_precision(case):
    curves = detection_curve_frame(*case, ious=[0.5, 0.75])
    for iou, points in curves.groupby("iou"):
        areas = points.groupby("label")["precision"].mean()
        assert areas.mean() == pytest.approx(average_precision(*case, iou=iou), abs=1e-6)


def test_mean_iou_and_accuracy_of_one_box_per_image():
    rows = [["cat", 0, 0, 10, 10], ["dog", 0, 0, 10, 10], ["cat", 0, 0, 10, 10], [None, *[np.nan] * 4]]
    y = pd.DataFrame(rows, columns=["label", "xmin", "ymin", "xmax", "ymax"])
    predicted = np.array(
        [["cat", 0, 0, 10, 8, 0.5], ["cat", 0, 0, 10, 10, 0.5], ["cat", 0, 0, 10, 4, 0.5], [None, *[np.nan] * 5]],
        dtype=object,
    )
    assert mean_iou(y, predicted) == pytest.approx((0.8 + 1 + 0.4 + 1) / 4)
    assert localization_accuracy(y, predicted) == 0.5
    assert mean_iou(y[:1], [[]]) == 0
    assert localization_accuracy(y[3:], [[[0, 0, 1, 1]]]) == 0
    assert np.isnan(mean_iou([], []))


def test_mean_iou_pairs_several_boxes():
    y, other = [[[0, 0, 10, 10], [5, 0, 15, 10]]], [[[5, 0, 15, 10], [0, 0, 10, 10], [50, 50, 60, 60]]]
    assert mean_iou(y, other) == pytest.approx(2 / 3)


class Constant(BaseEstimator):
    """A detector that finds the boxes of the first training image in all images, or none."""

    def fit(self, X, y):
        """Keep boxes."""
        self.boxes_ = as_boxes(y)[0].assign(score=1.0)
        return self

    def predict(self, X):
        """Return a 1-D object array of tables."""
        boxes = np.empty(len(X), object)
        boxes[:] = [self.boxes_ for _ in range(len(X))]
        return boxes


def test_scorers_score_whole_folds():
    X, y = np.zeros((6, 8, 8, 3), np.uint8), as_boxes([[[0, 0, 8, 8]]] * 6)
    scores = cross_validate(Constant(), X, y, cv=3, scoring=box_scorers("average_precision_50", "mean_iou"))
    assert scores["test_average_precision_50"].tolist() == scores["test_mean_iou"].tolist() == [1.0] * 3
    predicted = cross_val_predict(Constant(), X, y, cv=3)
    assert average_precision(y, predicted) == 1
    assert list(box_scorers()) == ["average_precision", "average_precision_50", "average_precision_75"]
    with pytest.raises(ValueError, match=r"called 'map'; known are 'average_precision'"):
        box_scorers("map")


def test_curves_are_drawn_by_iou_and_by_class():
    display = BoxPrecisionRecallDisplay.from_predictions(Y_TRUE, Y_PRED, ious=[0.5, 0.99])
    assert [text.get_text() for text in display.plot().ax_.get_legend().get_texts()] == [
        "IoU 0.5 (0.500)",
        "IoU 0.99 (0.125)",
    ]
    display.plot(by="label")
    assert len(display.ax_.lines) == 2
    with pytest.raises(ValueError, match="by='size'"):
        display.plot(by="size")
    X, y = np.zeros((2, 8, 8, 3), np.uint8), as_boxes([[[0, 0, 8, 8]]] * 2)
    fitted = Constant().fit(X, y)
    frame = BoxPrecisionRecallDisplay.from_estimator(fitted, X, y).frame()
    assert (frame["precision"] == 1).all()
    BoxPrecisionRecallDisplay.from_predictions([], []).plot()
    plt.close("all")


def test_boxes_are_drawn_where_they_are(tmp_path):
    paths = [str(tmp_path / f"{number}.png") for number in range(3)]
    for path in paths[:2]:
        Image.new("RGB", (120, 120), "white").save(path)
    display = BoxGridDisplay.from_predictions(Y_TRUE, Y_PRED, X=paths, score_threshold=0.1, size=60)
    frame = display.frame()
    assert frame["row"].tolist() == [0, 2, 1]
    kinds = ["right", "wrong class", "bad box", "double", "background", "missed"]
    assert frame.loc[0, kinds].tolist() == [1, 1, 1, 1, 0, 1]
    assert "no such file" in frame.loc[1, "reason"]
    coloured = np.argwhere((display.images[0] != 255).any(axis=2))
    assert coloured.min() == 0
    assert coloured.max() == 50  # at half the size
    texts = [text.get_text() for text in display.plot().ax_.texts]
    assert "4 missed" not in texts
    assert "1 right" in texts
    assert display.thumbnails()["data_uri"].notna().tolist() == [True, False, True]
    chosen = BoxGridDisplay.from_predictions(Y_TRUE, Y_PRED, X=paths, rows=[1, 0], score_threshold=0.1)
    assert chosen.frame()["row"].tolist() == [1, 0]
    with pytest.raises(ValueError, match="rows has 3"):
        BoxGridDisplay.from_predictions(Y_TRUE, Y_PRED, X=paths, rows=[3])
    with pytest.raises(ValueError, match="X has 2 images; expected 3"):
        BoxGridDisplay.from_predictions(Y_TRUE, Y_PRED, X=paths[:2])
    plt.close("all")
