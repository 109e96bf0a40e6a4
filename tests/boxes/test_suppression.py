"""Non-maximum suppression, against a plain form of its definition and torchvision's numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skcnn.boxes import non_max_suppression, pairwise_iou, stratify_by_boxes


@st.composite
def detections(draw):
    count = draw(st.integers(0, 12))
    generator = np.random.default_rng(draw(st.integers(0, 1000)))
    start = generator.integers(0, 10, (count, 2)).astype(float)
    boxes = np.concatenate([start, start + generator.integers(1, 10, (count, 2))], axis=1)
    return boxes, generator.integers(0, 6, count) / 5, generator.integers(0, 2, count)


@settings(max_examples=20, deadline=None)
@given(detections(), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_what_stays_is_what_the_definition_says(case, threshold):
    boxes, scores, labels = case
    rows, kept_scores = non_max_suppression(boxes, scores, labels, iou_threshold=threshold)
    expected: list[int] = []
    for row in np.argsort(-scores, kind="stable"):
        overlaps = pairwise_iou(boxes[row][None], boxes[expected])[0]
        if not (overlaps[labels[np.array(expected, int)] == labels[row]] > threshold).any():
            expected.append(int(row))
    assert rows.tolist() == expected
    np.testing.assert_array_equal(kept_scores, scores[rows])


@settings(max_examples=20, deadline=None)
@given(detections())
def test_soft_methods_lower_scores_and_lose_nothing_without_a_threshold(case):
    boxes, scores, labels = case
    for method in ("linear", "gaussian"):
        rows, lowered = non_max_suppression(boxes, scores, labels, method=method)
        assert sorted(rows) == list(range(len(boxes)))
        assert (lowered <= scores[rows]).all()
        assert (np.diff(lowered) <= 0).all()


def test_factors_of_the_paper():
    boxes, scores = [[0, 0, 10, 10], [0, 0, 10, 8]], [0.9, 0.8]
    assert non_max_suppression(boxes, scores, method="linear")[1] == pytest.approx([0.9, 0.8 * 0.2])
    assert non_max_suppression(boxes, scores, method="gaussian")[1] == pytest.approx([0.9, 0.8 * np.exp(-0.64 / 0.5)])
    assert non_max_suppression(boxes, scores, method="linear", score_threshold=0.2)[0].tolist() == [0]


def test_ten_thousand_boxes_and_what_is_refused():
    start = np.random.default_rng(0).uniform(0, 100, (10_000, 2))
    boxes = np.concatenate([start, start + 20], axis=1)
    rows, _ = non_max_suppression(boxes, start[:, 0] / 100, max_detections=50)
    assert len(rows) == 50
    assert len(non_max_suppression([], [])[0]) == 0
    assert non_max_suppression([[0, 0, 1, 1]] * 2, [np.nan, 0.5])[0].tolist() == [1]
    for options in [{"method": "best"}, {"iou_threshold": 2}, {"sigma": 0}, {"max_detections": -1}]:
        with pytest.raises(ValueError, match=next(iter(options))):
            non_max_suppression([[0, 0, 1, 1]], [0.5], **options)
    with pytest.raises(ValueError, match="1 boxes with scores of shape"):
        non_max_suppression([[0, 0, 1, 1]], [0.5, 0.5])


def test_strata_follow_the_rarest_class_and_are_large_enough():
    box = [0, 0, 1, 1]
    y = [[[*box, 0]]] * 10 + [[[*box, 0], [*box, 1]]] * 4 + [[[*box, 0], [*box, 2]]] + [[]] * 2
    strata = stratify_by_boxes(y, min_images=3)
    assert len(set(strata[:10])) == 1
    assert strata[14] == strata[0]  # one image of class 2 is too few: it goes by class 0
    assert len(set(strata)) == 3
    assert stratify_by_boxes([[], []]).tolist() == [0, 0]
