"""Average precision of masks equals pycocotools's, in whichever form masks are."""

import io
import sys
from contextlib import redirect_stdout

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator

from skcnn.boxes import as_instances
from skcnn.metrics import average_precision, box_scorers, mask_average_precision, mask_detection_frame

SIDE = 110


@st.composite
def instances(draw):
    """Draw true and predicted objects as dicts: rectangles and triangles, some of them large, some without pixels."""
    generator = np.random.default_rng(draw(st.integers(0, 10_000)))
    y_true, y_pred = [], []
    for _ in range(draw(st.integers(1, 3))):
        true = [_mask(generator) for _ in range(draw(st.integers(0, 4)))]
        labels = generator.integers(0, 2, len(true)).tolist()
        moved = [np.roll(mask, generator.integers(-2, 3, 2), axis=(0, 1)) for mask in true if generator.random() < 0.8]
        found = [*moved, *(_mask(generator) for _ in range(draw(st.integers(0, 2))))]
        guesses = (labels * 2 + [0, 1, 0, 1])[: len(found)]
        y_true.append(_item(true, labels))
        y_pred.append(_item(found, guesses) | {"scores": generator.integers(1, 5, len(found)) / 5})
    return y_true, y_pred


def _mask(generator):
    mask = np.zeros((SIDE, SIDE), bool)
    height, width = generator.integers(2, SIDE, 2)
    top, left = generator.integers(0, SIDE - height + 1), generator.integers(0, SIDE - width + 1)
    shape = np.tri(height, width, dtype=bool) if generator.random() < 0.5 else np.ones((height, width), bool)
    mask[top : top + height, left : left + width] = shape
    return mask if generator.random() < 0.95 else np.zeros_like(mask)


def _item(masks, labels):
    boxes = np.empty((0, 4)) if not masks else np.array([_box(mask) for mask in masks], float)
    return {"boxes": boxes, "labels": labels, "masks": np.array(masks, bool).reshape(-1, SIDE, SIDE)}


def _box(mask):
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) if len(rows) else (0, 0, 1, 1)


def of_pycocotools(y_true, y_pred):
    """Return the twelve metrics."""
    from pycocotools import mask as coco
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def annotations(y):
        found = []
        for row, item in enumerate(y):
            for place, label in enumerate(item["labels"]):
                runs = coco.encode(np.asfortranarray(item["masks"][place], np.uint8))
                one = {"image_id": row, "category_id": int(label), "segmentation": runs}
                if "scores" in item:
                    one["score"] = float(item["scores"][place])
                else:
                    one |= {"id": len(found) + 1, "area": float(coco.area(runs)), "iscrowd": 0, "bbox": [0, 0, 1, 1]}
                found.append(one)
        return found

    truth = COCO()
    truth.dataset = {
        "images": [{"id": row, "height": SIDE, "width": SIDE} for row in range(len(y_true))],
        "categories": [{"id": number, "name": str(number)} for number in range(2)],
        "annotations": annotations(y_true),
    }
    with redirect_stdout(io.StringIO()):
        truth.createIndex()
        if results := annotations(y_pred):
            found = truth.loadRes(results)
        else:
            found = COCO()
            found.dataset = {**truth.dataset, "annotations": []}
            found.createIndex()
        evaluation = COCOeval(truth, found, "segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return np.where(evaluation.stats < 0, np.nan, evaluation.stats)


@settings(max_examples=15, deadline=None)
@given(instances())
def test_all_twelve_equal_pycocotools(case):
    stats = of_pycocotools(*case)
    frame = mask_detection_frame(*case)
    np.testing.assert_allclose(frame["value"], stats, atol=1e-6)
    assert mask_average_precision(*case) == pytest.approx(stats[0], abs=1e-6, nan_ok=True)
    assert mask_average_precision(*case, iou=0.75) == pytest.approx(stats[2], abs=1e-6, nan_ok=True)
    # The same in the form that estimators return.
    compact = [as_instances(y, np.zeros((len(y), SIDE, SIDE, 3), np.uint8)) for y in case]
    assert mask_average_precision(*compact) == pytest.approx(stats[0], abs=1e-6, nan_ok=True)


def test_masks_count_and_not_boxes():
    square, triangle = np.ones((1, 20, 20), bool), np.tri(20, dtype=bool)[None]
    y = [{"boxes": [[5, 5, 25, 25]], "labels": ["a"], "masks": triangle}]
    found = [{"boxes": [[5, 5, 25, 25]], "labels": ["a"], "masks": square, "scores": [0.5]}]
    assert average_precision(y, found) == pytest.approx(1)
    assert mask_average_precision(y, found) == pytest.approx(0.1)  # an IoU of 210 / 400
    scorer = box_scorers("mask_average_precision_50")["mask_average_precision_50"]

    class Found(BaseEstimator):
        def predict(self, X):
            return found

    assert scorer(Found(), np.zeros((1, 30, 30, 3), np.uint8), y) == pytest.approx(1)


def test_what_is_refused(monkeypatch):
    y = [{"boxes": [[0, 0, 5, 5]], "labels": ["a"], "masks": np.ones((1, 5, 5), bool)}]
    found = [y[0] | {"scores": [0.5]}]
    with pytest.raises(ValueError, match="y_pred has no scores"):
        mask_average_precision(y, y)
    with pytest.raises(ValueError, match="Image 0 of y_pred has boxes without masks"):
        mask_average_precision(y, [{"boxes": [[0, 0, 5, 5]], "labels": ["a"], "scores": [0.5]}])
    with pytest.raises(ValueError, match=r"Image 0 of y_true, object 0 \('a'\): a mask of 4 x 4 pixels; expected"):
        mask_average_precision([y[0] | {"masks": np.ones((1, 4, 4), bool)}], found)
    with pytest.raises(ValueError, match="y_true has boxes of 2 images and y_pred of 1 image"):
        mask_average_precision([*y, []], found)
    with pytest.raises(ValueError, match=r"y_pred is invalid\. Image 0, box 0 .* the label is unknown"):
        mask_average_precision([[]], found, classes=["b"])
    with pytest.raises(ValueError, match="iou=2"):
        mask_average_precision(y, found, iou=2)
    assert np.isnan(mask_average_precision([[], []], [[], []]))
    assert mask_average_precision(y, [[]]) == 0
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(ImportError, match=r"skcnn\[detection\]"):
        mask_average_precision(y, found)
