"""Every public function over hostile boxes: a right answer, or an error that names image and box."""

import numpy as np
import pandas as pd
import pytest

import skcnn.boxes
import skcnn.metrics
from skcnn import boxes as b
from skcnn import metrics as m

SIZE = (100, 100)


def table(*rows, label="cat", score=0.5):
    frame = pd.DataFrame(rows, columns=b.COORDINATES, dtype=float)
    frame.insert(0, "label", pd.Series([label] * len(frame), dtype=object))
    return frame.assign(score=score)


def many(count):
    start = np.random.default_rng(0).uniform(0, 80, (count, 2))
    return table(*np.concatenate([start, start + 10], axis=1)).assign(score=np.linspace(0, 1, count))


GOOD = table([1, 2, 30, 40])
BAD = {
    "NaN": table([np.nan, 0, 5, 5]),
    "infinite": table([0, 0, np.inf, 5]),
    "inverted": table([9, 9, 2, 2]),
    "no area": table([3, 3, 3, 9]),
    "no label": table([1, 1, 2, 2], label=None),
    "score of NaN": table([1, 1, 2, 2], score=np.nan),
}
STRANGE = {
    "no boxes": table(),
    "10,000 boxes": many(10_000),
    "outside": table([-50, -50, 500, 500]),
    "unknown label": table([1, 1, 20, 20], label="unicorn"),
    "huge": table([0, 0, 1e9, 1e9]),
}
X = np.zeros((2, *SIZE, 3), np.uint8)

#: Each takes y of two images.
OF_BOXES = {
    "as_boxes": b.as_boxes,
    "boxes_to_coco": b.boxes_to_coco,
    "boxes_to_frame": b.boxes_to_frame,
    "boxes_to_supervision": b.boxes_to_supervision,
    "boxes_to_torchvision": b.boxes_to_torchvision,
    "boxes_to_voc": lambda y: b.boxes_to_voc(y[1], SIZE),
    "boxes_to_yolo": lambda y: b.boxes_to_yolo(y[1], SIZE, ["cat", "unicorn"]),
    "check_boxes": lambda y: b.check_boxes(b.box_arrays(y)),
    "boxes_from_frame": lambda y: (
        b.boxes_from_frame(
            pd.concat([t.assign(image=row) for row, t in enumerate(y)]),
            np.zeros((2, *SIZE, 3), np.uint8),
            invalid="raise",
        )
        if np.nanmax(y[1][b.COORDINATES].to_numpy(), initial=0) < 100 and not (y[1][b.COORDINATES] < 0).any(axis=None)
        else b.as_boxes(y)
    ),
    "stratify_by_boxes": b.stratify_by_boxes,
}
OF_PREDICTIONS = {
    "average_precision": m.average_precision,
    "average_recall": m.average_recall,
    "detection_frame": m.detection_frame,
    "class_detection_frame": m.class_detection_frame,
    "detection_curve_frame": m.detection_curve_frame,
    "detection_errors": m.detection_errors,
    "detection_intervals": lambda y, p: m.detection_intervals(y, p, n_resamples=2, random_state=0),
    "localization_accuracy": m.localization_accuracy,
    "mean_iou": m.mean_iou,
    "BoxPrecisionRecallDisplay": m.BoxPrecisionRecallDisplay.from_predictions,
    "BoxGridDisplay": lambda y, p: m.BoxGridDisplay.from_predictions(y, p, X=X),
}
#: Not of boxes, or tried elsewhere over what is hostile to them.
OTHERS = {
    "COORDINATES", "INVALID", "BoxArrays", "box_arrays", "box_table", "boxes_from_coco", "boxes_from_voc",
    "boxes_from_yolo", "non_max_suppression", "paired_iou", "pairwise_iou", "sorted_labels", "box_scorers",
    "mask_iou",
}  # fmt: skip
#: Of boxes with masks: test_instances and test_mask_average_precision have hostile ones.
OF_MASKS = {
    "PlacedMask", "as_instances", "compact_masks", "instance_arrays", "mask_detection_frame", "pairwise_mask_iou",
    "pixels_of_box", "whole_masks",
}  # fmt: skip
#: Of videos: tests/tracking has hostile ones.
OF_VIDEOS = {"Pairs", "Video", "as_videos", "best_pairs", "joined", "overlapping_pairs", "overlaps_by_frame"}


def test_no_function_is_forgotten():
    of_boxes = {name for name in m.__all__ if "box" in name.lower() or "detection" in name or "iou" in name}
    assert set(b.__all__) | of_boxes <= set(OF_BOXES) | set(OF_PREDICTIONS) | OTHERS | OF_VIDEOS | OF_MASKS


@pytest.mark.parametrize("name", OF_BOXES)
def test_functions_of_boxes(name):
    for bad in BAD.values():
        with pytest.raises(ValueError, match=r"(image 1|Image 1|Image 0), box 0"):
            OF_BOXES[name]([GOOD, bad])
    for strange in STRANGE.values():
        OF_BOXES[name]([GOOD, strange])


@pytest.mark.parametrize("name", OF_PREDICTIONS)
def test_functions_of_predictions(name):
    function = OF_PREDICTIONS[name]
    for what, bad in BAD.items():
        with pytest.raises(ValueError, match=r"y_pred is invalid\. Image 1, box 0"):
            function([GOOD, GOOD], [GOOD, bad])
        if what != "score of NaN":
            with pytest.raises(ValueError, match=r"y_true is invalid\. Image 1, box 0"):
                function([GOOD, bad.drop(columns="score")], [GOOD, GOOD])
    for what, strange in STRANGE.items():
        if what != "10,000 boxes":
            function([GOOD, GOOD], [GOOD, strange])
            function([GOOD, strange], [GOOD, GOOD])
    function([GOOD, GOOD], [GOOD, STRANGE["10,000 boxes"]])
    function([], []) if name != "BoxGridDisplay" else None


def test_thousands_of_boxes_on_both_sides():
    y, predicted = [many(1000).drop(columns="score")], [many(1000)]
    assert m.average_precision(y, predicted, max_detections=1000) == pytest.approx(1)
    assert set(m.detection_errors(y, predicted, score_threshold=0)["kind"]) == {"right"}
    assert m.mean_iou(y, predicted) == pytest.approx(1)
    assert len(b.non_max_suppression(many(10_000)[b.COORDINATES], many(10_000)["score"])[0]) < 1000


@pytest.mark.parametrize("module", [skcnn.boxes, skcnn.metrics])
def test_labels_of_one_class_and_of_two_kinds(module):
    y = [table([1, 2, 30, 40], label=7), table([1, 2, 30, 40], label="seven")]
    if module is skcnn.boxes:
        assert b.sorted_labels(b.box_arrays(y).label) == [7, "seven"]
        assert len(b.boxes_to_coco(y)["categories"]) == 2
    else:
        assert m.average_precision(y, y) == pytest.approx(1)
