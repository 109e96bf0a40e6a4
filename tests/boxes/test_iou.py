"""Intersection over union, against pycocotools and by properties."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skcnn.boxes import paired_iou, pairwise_iou

corners = arrays(float, st.tuples(st.integers(0, 6), st.just(4)), elements=st.integers(0, 20).map(float))


def proper(boxes):
    """Return boxes of at least one pixel."""
    start = np.minimum(boxes[:, :2], boxes[:, 2:])
    return np.concatenate([start, start + 1 + np.abs(boxes[:, :2] - boxes[:, 2:])], axis=1)


@settings(max_examples=25, deadline=None)
@given(corners, corners)
def test_it_equals_pycocotools(a, b):
    mask = pytest.importorskip("pycocotools.mask")
    a, b = proper(a), proper(b)
    found = pairwise_iou(a, b)
    assert found.shape == (len(a), len(b))
    if len(a) and len(b):
        widths = [np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1) for boxes in (a, b)]
        np.testing.assert_allclose(found, mask.iou(*widths, [0] * len(b)), atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(corners)
def test_a_box_agrees_with_itself_and_pairs_are_the_diagonal(a):
    a = proper(a)
    np.testing.assert_array_equal(paired_iou(a, a), np.ones(len(a)))
    np.testing.assert_array_equal(np.diag(pairwise_iou(a, a[::-1])), paired_iou(a, a[::-1]))


def test_boxes_without_an_area_overlap_nothing():
    bad = [[0, 0, np.nan, 10], [10, 10, 0, 0], [5, 5, 5, 5], [0, 10, 10, 0]]
    np.testing.assert_array_equal(pairwise_iou(bad, [[0, 0, 10, 10], *bad]), np.zeros((4, 5)))


def test_tables_and_many_boxes():
    table = pd.DataFrame({"label": ["a"], "xmax": [10.0], "ymax": [10.0], "xmin": [0.0], "ymin": [0.0]})
    many = np.tile([0.0, 0.0, 5.0, 10.0], (1200, 1))
    np.testing.assert_array_equal(pairwise_iou(many, table), np.full((1200, 1), 0.5))
    assert pairwise_iou(many, many).min() == 1
    assert pairwise_iou([], table).shape == (0, 1)


def test_what_is_not_boxes_is_refused_by_name():
    with pytest.raises(ValueError, match=r"b has shape \(1, 3\)"):
        pairwise_iou([[0, 0, 1, 1]], [[1, 2, 3]])
    with pytest.raises(ValueError, match="a has 2 boxes and b has 1"):
        paired_iou([[0, 0, 1, 1]] * 2, [[0, 0, 1, 1]])
