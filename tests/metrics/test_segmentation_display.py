"""SegmentationDisplay: what is right, wrong and missed is where it is."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from skcnn.metrics import SegmentationDisplay


@pytest.fixture
def task():
    """Three grey images of 32 x 32 and their masks; the second is predicted badly, the third is missed as a whole."""
    X = np.full((3, 32, 32, 3), 120, np.uint8)
    y = np.zeros((3, 32, 32), np.uint8)
    y[:, 8:24, 8:24] = 1
    found = y.copy()
    found[1] = np.roll(y[1], 4, axis=1)
    found[2] = 0
    return X, y, found


def is_color(image, name):
    color = {"red": (199, 66, 43), "yellow": (229, 161, 0), "white": (255, 255, 255)}[name]
    return (image == color).all(axis=-1)


def test_worst_first(task):
    X, y, found = task
    frame = SegmentationDisplay.from_predictions(y, found, X=X).frame()
    assert frame["row"].tolist() == [2, 1, 0]
    assert frame["mean_iou"].is_monotonic_increasing
    assert frame["wrong"].tolist() == [0.25, 0.125, 0]
    assert SegmentationDisplay.from_predictions(y, found, X=X, rows=[0, 2]).frame()["row"].tolist() == [0, 2]


def test_errors_are_marked(task):
    X, y, found = task
    display = SegmentationDisplay.from_predictions(y, found, X=X, kind="errors", rows=[0, 1, 2])
    right, moved, missed = display.images
    assert not is_color(right, "red").any() | is_color(right, "yellow").any()
    assert is_color(moved, "red").sum() == is_color(moved, "yellow").sum() == 64
    np.testing.assert_array_equal(is_color(missed, "yellow"), y[2] == 1)


def test_overlay_tints_what_is_predicted(task):
    X, y, found = task
    (image,) = SegmentationDisplay.from_predictions(y, found, X=X, rows=[1]).images
    changed = (image != 120).any(axis=-1) & ~is_color(image, "white")
    assert (changed <= (found[1] == 1)).all()
    assert changed.sum() > 200
    assert is_color(image, "white").sum() > 50
    assert not is_color(SegmentationDisplay.from_predictions(y, found, X=X, rows=[2]).images[0], "red").any()


def test_it_is_drawn(task, tmp_path):
    X, y, found = task
    display = SegmentationDisplay.from_predictions(y, found, X=[*X[:2], str(tmp_path / "gone.png")], name="Worst")
    assert display.frame()["reason"].tolist()[0].startswith("no such file")
    assert display.images[0] is None
    assert len(display.plot().ax_.images) == 2
    plt.close("all")
    assert display.thumbnails()["data_uri"].notna().sum() == 2


def test_parameters_are_checked(task):
    X, y, found = task
    with pytest.raises(ValueError, match="kind='mask'"):
        SegmentationDisplay.from_predictions(y, found, X=X, kind="mask")
    with pytest.raises(ValueError, match="rows has 3"):
        SegmentationDisplay.from_predictions(y, found, X=X, rows=[3])
    with pytest.raises(ValueError, match="X has 2 images; expected 3"):
        SegmentationDisplay.from_predictions(y, found, X=X[:2])
    with pytest.raises(TypeError, match="has no predict"):
        SegmentationDisplay.from_estimator(object(), X, y)
