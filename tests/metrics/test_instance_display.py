"""InstanceDisplay: masks are where they are, right and wrong ones are told apart."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from skcnn.metrics import InstanceDisplay

BLUE, RED, YELLOW, WHITE = (11, 102, 195), (199, 66, 43), (229, 161, 0), (255, 255, 255)


def table(*rows):
    frame = pd.DataFrame(rows, columns=["label", "xmin", "ymin", "xmax", "ymax", "score"])
    sides = zip(frame["ymax"] - frame["ymin"], frame["xmax"] - frame["xmin"], strict=True)
    frame["mask"] = pd.Series([np.ones(side, bool) for side in sides], dtype=object)
    return frame


@pytest.fixture
def task():
    """Four grey images of 60 x 80: right, a wrong one beside a right one, missed, and without objects."""
    X = np.full((4, 60, 80, 3), 120, np.uint8)
    y = [table(["cat", 10, 10, 40, 40, 1.0]) for _ in range(3)] + [table()]
    found = [
        table(["cat", 10, 10, 40, 37, 0.9]),
        table(["cat", 10, 10, 40, 40, 0.9], ["cat", 50, 20, 70, 50, 0.8], ["cat", 50, 20, 70, 50, 0.1]),
        table(["dog", 10, 10, 40, 40, 0.7]),
        table(),
    ]
    return X, [one.drop(columns="score") for one in y], found


def is_color(image, color):
    return (image == color).all(axis=-1)


def test_worst_first(task):
    X, y, found = task
    frame = InstanceDisplay.from_predictions(y, found, X=X, score_threshold=0.5).frame()
    assert frame["row"].tolist() == [2, 1, 0, 3]
    assert frame[["right", "wrong", "missed"]].to_numpy().tolist() == [[0, 1, 1], [1, 1, 0], [1, 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(frame["mean_iou"], [0, 0.5, 0.9, np.nan])
    strict = InstanceDisplay.from_predictions(y, found, X=X, iou=0.95, rows=[0], score_threshold=0.5).frame()
    assert strict[["right", "wrong", "missed"]].to_numpy().tolist() == [[0, 1, 1]]
    # The best F1 leaves out what is wrong.
    assert InstanceDisplay.from_predictions(y, found, X=X, rows=[1, 2]).frame()["wrong"].tolist() == [0, 0]


def test_what_is_drawn(task):
    X, y, found = task
    display = InstanceDisplay.from_predictions(y, found, X=X, rows=[0, 1, 2], score_threshold=0.5)
    right, wrong, missed = display.images
    tinted = (right != 120).any(axis=-1)
    assert tinted[12:36, 12:38].all()
    assert not tinted[45:].any()
    assert is_color(right, WHITE).sum() > 10  # the lower edge, which is not covered by the box
    assert is_color(right, BLUE).sum() > 100
    assert not is_color(right, RED).any() | is_color(right, YELLOW).any()
    assert is_color(wrong, BLUE)[:, 10:40].any()
    assert is_color(wrong, RED)[:, 50:70].any()
    assert is_color(missed, RED).any()
    colors = {tuple(wrong[25, 25].tolist()), tuple(wrong[40, 60].tolist())}
    assert len(colors) == 2  # one per object


def test_it_is_drawn(task, tmp_path):
    X, y, found = task
    display = InstanceDisplay.from_predictions(
        y, found, X=[*X[:2], str(tmp_path / "gone.png"), X[3]], name="Worst", score_threshold=0.5
    )
    assert display.frame()["reason"].tolist()[0].startswith("no such file")
    assert display.images[0] is None
    assert len(display.plot().ax_.images) == 3
    texts = [text.get_text() for text in display.ax_.texts]
    assert {"IoU 0.500", "1 wrong", "no object"} <= set(texts)
    plt.close("all")
    assert display.thumbnails()["data_uri"].notna().sum() == 3


def test_parameters_are_checked(task):
    X, y, found = task
    with pytest.raises(ValueError, match="rows has 4"):
        InstanceDisplay.from_predictions(y, found, X=X, rows=[4])
    with pytest.raises(ValueError, match="X has 2 images; expected 4"):
        InstanceDisplay.from_predictions(y, found, X=X[:2])
    with pytest.raises(ValueError, match="iou=0"):
        InstanceDisplay.from_predictions(y, found, X=X, iou=0)
    with pytest.raises(TypeError, match="has no predict"):
        InstanceDisplay.from_estimator(object(), X, y)
