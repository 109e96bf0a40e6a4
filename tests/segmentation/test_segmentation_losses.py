"""Losses are what their papers say: equal to NumPy's loops over pixels."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from skcnn.segmentation._losses import LOSSES, SMOOTH, mask_loss

WEIGHTS, GAMMA, BETA = (0.5, 2.0, 1.0), 1.5, 0.8


def reference(name, labels, logits):
    """Return the loss of one image, pixel by pixel."""
    pixels = [(label, row) for label, row in zip(labels.ravel(), logits.reshape(-1, 3), strict=True) if label != 255]
    p = [np.exp(row - row.max()) / np.exp(row - row.max()).sum() for _, row in pixels]
    if name in ("cross_entropy", "focal"):
        total = 0.0
        for (label, _), found in zip(pixels, p, strict=True):
            easy = 1.0 if name == "cross_entropy" else (1 - found[label]) ** GAMMA
            total += -WEIGHTS[label] * easy * np.log(found[label])
        return total / max(len(pixels), 1)
    overlaps = []
    for c in range(3):
        true = np.array([label == c for label, _ in pixels], float)
        found = np.array([row[c] for row in p])
        if name == "dice":
            overlaps.append((2 * (found * true).sum() + SMOOTH) / (found.sum() + true.sum() + SMOOTH))
        else:
            both = (found * true).sum()
            wrong, missed = (found * (1 - true)).sum(), ((1 - found) * true).sum()
            overlaps.append((both + SMOOTH) / (both + (1 - BETA) * wrong + BETA * missed + SMOOTH))
    return 1 - np.average(overlaps, weights=WEIGHTS)


def found_for(names, labels, logits):
    loss = mask_loss(names, 3, class_weight=WEIGHTS, gamma=GAMMA, beta=BETA)
    return keras.ops.convert_to_numpy(loss(labels.astype("float32"), logits))


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(LOSSES), st.integers(0, 2**32 - 1), st.floats(0, 30))
def test_losses_equal_a_reference(name, seed, spread):
    generator = np.random.default_rng(seed)
    labels = generator.choice([0, 1, 2, 255], (2, 3, 4))
    logits = (spread * generator.normal(size=(2, 3, 4, 3))).astype("float32")
    expected = [reference(name, *pair) for pair in zip(labels, logits.astype(float), strict=True)]
    assert_allclose(found_for([name], labels, logits), expected, rtol=1e-4, atol=1e-5)


def test_sums_and_images_without_pixels_that_count():
    generator = np.random.default_rng(0)
    labels, logits = generator.integers(0, 3, (2, 3, 4)), generator.normal(size=(2, 3, 4, 3)).astype("float32")
    parts = [found_for([name], labels, logits) for name in ("dice", "focal")]
    assert_allclose(found_for(["dice", "focal"], labels, logits), sum(parts), rtol=1e-5)
    labels[1] = 255
    assert_allclose(found_for(["cross_entropy", "dice"], labels, logits)[1], 0, atol=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_right_is_best(name):
    labels = np.array([[[0, 1], [2, 255]]])
    right = np.zeros((1, 2, 2, 3), "float32")
    for row, column, label in ((0, 0, 0), (0, 1, 1), (1, 0, 2)):
        right[0, row, column, label] = 20
    assert found_for([name], labels, right)[0] < 1e-4
    assert found_for([name], labels, -right)[0] > found_for([name], labels, 0 * right)[0] > 0.1
