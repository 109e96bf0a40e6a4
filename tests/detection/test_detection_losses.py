"""Losses of boxes and of scores."""

import numpy as np
import pytest
from keras import ops
from numpy.testing import assert_allclose

from skcnn.boxes import paired_iou
from skcnn.detection._decoding import best_boxes, candidates, decoded_boxes
from skcnn.detection._grid import Grid
from skcnn.detection._losses import BOX_LOSSES, box_similarity, score_loss


@pytest.fixture
def boxes():
    generator = np.random.default_rng(0)
    corners = generator.uniform(0, 20, (2, 30, 2))
    return np.concatenate([corners, corners + generator.uniform(1, 20, (2, 30, 2))], axis=2).astype("float32")


@pytest.mark.parametrize("kind", BOX_LOSSES)
def test_similarity(kind, boxes):
    a, b = boxes
    iou, similarity = (ops.convert_to_numpy(part) for part in box_similarity(kind, *map(ops.convert_to_tensor, boxes)))
    assert_allclose(iou, paired_iou(a, b), atol=1e-5)
    assert (similarity <= iou + 1e-6).all()
    assert (similarity >= -2).all()
    same = box_similarity(kind, ops.convert_to_tensor(a), ops.convert_to_tensor(a))[1]
    assert_allclose(ops.convert_to_numpy(same), 1, atol=1e-5)


def test_similarity_of_boxes_apart():
    a, b = (ops.convert_to_tensor([box]) for box in ([0.0, 0, 10, 10], [20.0, 0, 30, 10]))
    found = {kind: float(ops.convert_to_numpy(box_similarity(kind, a, b)[1])[0]) for kind in BOX_LOSSES}
    assert_allclose([found[kind] for kind in BOX_LOSSES], [0, -1 / 3, -0.4, -0.4], atol=1e-5)


def test_aspect_ratio_counts_in_ciou():
    a, b = (ops.convert_to_tensor([box]) for box in ([0.0, 0, 20, 10], [5.0, -5, 15, 15]))
    diou, ciou = (float(ops.convert_to_numpy(box_similarity(kind, a, b)[1])[0]) for kind in ("diou", "ciou"))
    assert ciou < diou - 0.01


def test_score_losses():
    logits, targets = np.array([-3.0, 0.5, 4.0], "float32"), np.array([0.0, 1.0, 0.0], "float32")
    scores = 1 / (1 + np.exp(-logits))
    entropy = -targets * np.log(scores) - (1 - targets) * np.log1p(-scores)
    given = ops.convert_to_tensor(targets), ops.convert_to_tensor(logits)
    found = {kind: ops.convert_to_numpy(score_loss(kind, *given)) for kind in ("binary_crossentropy", "focal")}
    assert_allclose(found["binary_crossentropy"], entropy, rtol=1e-5)
    alpha = np.array([0.75, 0.25, 0.75])
    assert_allclose(found["focal"], alpha * (targets - scores) ** 2 * entropy, rtol=1e-5)
    quality = score_loss("quality_focal", ops.convert_to_tensor(scores), ops.convert_to_tensor(logits))
    assert_allclose(ops.convert_to_numpy(quality), 0, atol=1e-6)  # it says exactly how good the box is


def test_decoding_is_the_same_on_tensors_and_arrays():
    slots = Grid((32, 32), (8,), (((10.0, 6.0),),), has_anchors=False).slots()
    values = np.random.default_rng(0).normal(0, 2, (16, 7)).astype("float32")
    on_tensors = ops.convert_to_numpy(decoded_boxes(ops.convert_to_tensor(values[None, :, :4]), slots))[0]
    boxes, scores, codes = candidates(values, slots, "anchor", 0.0)
    order = np.lexsort(boxes.T)
    assert_allclose(boxes[order], on_tensors[np.lexsort(on_tensors.T)], rtol=1e-4)
    assert (np.diff(scores) <= 0).all()
    assert set(codes) <= {0, 1}
    assert len(candidates(values, slots, "sigmoid", 0.5)[0]) < 16


def test_voting_is_the_mean_of_those_that_agree():
    boxes = np.array([[0.0, 0, 10, 10], [0, 0, 10, 12], [30, 30, 40, 40], [0, 0, 10, 11]])
    scores, codes = np.array([0.9, 0.6, 0.8, 0.5]), np.array([0, 0, 0, 1])
    options = {"iou_threshold": 0.5, "method": "hard", "score_threshold": 0.1, "max_detections": 10}
    kept, kept_scores, kept_codes = best_boxes(boxes, scores, codes, voting=0.6, **options)
    assert_allclose(kept, [[0, 0, 10, 10.8], boxes[2], boxes[3]])
    assert_allclose(kept_scores, [0.9, 0.8, 0.5])
    assert kept_codes.tolist() == [0, 0, 1]
    plain = best_boxes(boxes, scores, codes, voting=None, **options)[0]
    assert_allclose(plain, boxes[[0, 2, 3]])
