"""The table of which class is taken for which, against scikit-learn's and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix

from skcnn.metrics import confusion_frame, most_confused


@st.composite
def labels_and_weights(draw):
    """True and predicted class numbers, some of them without a sample; and weights, some of them 0."""
    n_classes, n_samples = draw(st.integers(2, 7)), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    y_true, y_pred = rng.integers(0, draw(st.integers(1, n_classes)), n_samples), rng.integers(0, n_classes, n_samples)
    weight = np.append(1, rng.integers(0, 4, n_samples - 1) / 2) if draw(st.booleans()) else None
    return n_classes, y_true, y_pred, weight


@settings(deadline=None, derandomize=True, max_examples=20)
@given(labels_and_weights())
def test_confusion_is_scikit_learns(task):
    n_classes, y_true, y_pred, weight = task
    labels = np.arange(n_classes)
    for normalize in (None, "true", "pred", "all"):
        frame = confusion_frame(y_true, y_pred, classes=labels, sample_weight=weight, normalize=normalize)
        golden = confusion_matrix(y_true, y_pred, labels=labels, sample_weight=weight, normalize=normalize)
        np.testing.assert_allclose(frame.fillna(0), golden)


def test_confusion_normalised_by_an_empty_row_is_nan():
    frame = confusion_frame(["a", "b"], ["a", "a"], classes=["a", "b", "c"], normalize="true")
    assert frame.loc["c"].isna().all()
    assert frame.loc["b"].tolist() == [1, 0, 0]
    with pytest.raises(ValueError, match="normalize='rows'"):
        confusion_frame(["a"], ["a"], normalize="rows")


def test_most_confused_by_hand():
    # c is taken for a twice (of 2), b for a twice (of 4), a for b once (of 3).
    y_true, y_pred = list("aaabbbbcc"), list("aabaabbaa")
    frame = most_confused(y_true, y_pred)
    assert list(zip(frame["true"], frame["predicted"], frame["count"], strict=True)) == [
        ("c", "a", 2),
        ("b", "a", 2),
        ("a", "b", 1),
    ]
    np.testing.assert_allclose(frame["fraction"], [1, 1 / 2, 1 / 3])
    assert len(most_confused(y_true, y_pred, k=1)) == 1
    with pytest.raises(ValueError, match="k=0; expected an int >= 1"):
        most_confused(y_true, y_pred, k=0)
    assert most_confused(y_true, y_true).empty


def test_boolean_labels():
    pair = most_confused([True, False, True, False], [True, False, False, False])
    assert pair.iloc[0].tolist() == [True, False, 1, 0.5]
