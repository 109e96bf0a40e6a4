"""Boxes and predictions as hypothesis draws them: ties, empty images, missing classes."""

import numpy as np
from hypothesis import strategies as st


@st.composite
def box_predictions(draw, max_images=4, max_boxes=5, side=130):
    """Draw y_true and y_pred as lists of dicts; scores and corners are few, so that there are ties."""
    generator = np.random.default_rng(draw(st.integers(0, 10_000)))
    y_true, y_pred = [], []
    for _ in range(draw(st.integers(1, max_images))):
        true, labels = _boxes(generator, draw(st.integers(0, max_boxes)), side)
        found = generator.random(len(true)) < 0.8
        moved = np.clip(true[found] + generator.integers(-3, 4, (found.sum(), 4)), 0, side)
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
        others, other_labels = _boxes(generator, draw(st.integers(0, 3)), side)
        guesses = np.concatenate([moved, true[found][::2], others])
        guessed = np.concatenate([labels[found], labels[found][::2], other_labels])
        guessed[generator.random(len(guessed)) < 0.1] = 3
        y_true.append({"boxes": true, "labels": labels})
        y_pred.append({"boxes": guesses, "labels": guessed, "scores": generator.integers(1, 5, len(guesses)) / 5})
    return y_true, y_pred


def _boxes(generator, count, side):
    start = generator.integers(0, side // 2, (count, 2)).astype(float)
    boxes = np.concatenate([start, start + generator.integers(2, side // 2, (count, 2))], axis=1)
    return boxes, generator.integers(0, 3, count)
