import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix

from skcnn.metrics import ConfusionDisplay

# True class 0 is taken for 3 twice, 1 for 2 once; the others are right.
Y_TRUE = np.array([0, 0, 0, 1, 1, 2, 3, 4])
Y_PRED = np.array([3, 3, 0, 2, 1, 2, 3, 4])


def many(n_classes: int = 120) -> ConfusionDisplay:
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, n_classes, 4000)
    wrong = rng.random(4000) < 0.1
    names = np.array([f"class {number:03d}" for number in range(n_classes)])
    y_pred = np.where(wrong, rng.integers(0, n_classes, 4000), y_true)
    return ConfusionDisplay.from_predictions(names[y_true], names[y_pred], classes=names)


def test_frame_is_scikit_learns():
    display = ConfusionDisplay.from_predictions(Y_TRUE, Y_PRED)
    np.testing.assert_array_equal(display.frame(), confusion_matrix(Y_TRUE, Y_PRED))
    golden = confusion_matrix(Y_TRUE, Y_PRED, normalize="true")
    np.testing.assert_allclose(display.frame(normalize="true"), golden)


def test_from_estimator():
    X, y = load_iris(return_X_y=True)
    estimator = LogisticRegression(max_iter=500).fit(X, y)
    golden = confusion_matrix(y, estimator.predict(X))
    np.testing.assert_array_equal(ConfusionDisplay.from_estimator(estimator, X, y).frame(), golden)


def test_few_classes_have_every_name_and_number():
    display = ConfusionDisplay.from_predictions(Y_TRUE, Y_PRED, name="cost $5 and $6").plot()
    ax = display.ax_
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0", "1", "2", "3", "4"]
    numbers = {tuple(map(int, text.get_position()[::-1])): text.get_text() for text in ax.texts}
    assert numbers == {(0, 0): "1", (0, 3): "2", (1, 1): "1", (1, 2): "1", (2, 2): "1", (3, 3): "1", (4, 4): "1"}
    display.figure_.draw_without_rendering()


def test_colours_are_shares_of_the_true_class():
    cells = ConfusionDisplay.from_predictions(Y_TRUE, Y_PRED).plot().ax_.get_images()[0].get_array()
    opacity = cells[..., 3]
    assert opacity[4, 4] == 1
    assert opacity[0, 1] == 0
    assert opacity[0, 3] > opacity[1, 2] > opacity[0, 0] > 0  # 2 of 3, 1 of 2 (both wrong), 1 of 3.
    assert cells[0, 3, 0] > cells[0, 3, 2]  # Wrong is red,
    assert cells[0, 0, 2] > cells[0, 0, 0]  # right is blue.


def test_120_classes_have_some_names_and_no_number():
    ax = many().plot().ax_
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == [f"class {number:03d}" for number in range(0, 120, 10)]
    assert len(ax.texts) == 0


def test_confused_classes_are_neighbours():
    display = ConfusionDisplay.from_predictions(Y_TRUE, Y_PRED)
    assert display.most_confused_classes() == [0, 3, 1, 2]
    assert display.most_confused_classes(3) == [0, 3]
    assert display.most_confused_classes(None) == [0, 3, 1, 2, 4]
    right = ConfusionDisplay.from_predictions(Y_TRUE, Y_TRUE)
    assert right.most_confused_classes() == []
    assert right.most_confused_classes(None) == [0, 1, 2, 3, 4]
    assert len(many().most_confused_classes()) <= 12


def test_part_of_the_matrix():
    display = many()
    chosen = display.most_confused_classes()
    ax = display.plot(classes=chosen).ax_
    assert [label.get_text() for label in ax.get_yticklabels()] == chosen
    counts = display.frame().loc[chosen, chosen].to_numpy()
    assert sorted(int(text.get_text()) for text in ax.texts) == sorted(counts[counts > 0])
    # Shares are of all samples of the class, not of those in the part.
    share = display.frame(normalize="true").loc[chosen[0], chosen[0]]
    assert ax.get_images()[0].get_array()[0, 0, 3] == pytest.approx(0.15 + 0.85 * share)


def test_boolean_classes_are_labels_and_not_a_mask():
    display = ConfusionDisplay.from_predictions([True, False, True], [True, True, True]).plot(classes=[True, False])
    assert [label.get_text() for label in display.ax_.get_yticklabels()] == ["True", "False"]


def test_unknown_classes_are_refused():
    display = ConfusionDisplay.from_predictions(Y_TRUE, Y_PRED)
    for classes in ([], [7]):
        with pytest.raises(ValueError, match=r"expected at least one of \[0, 1, 2, 3, 4\]"):
            display.plot(classes=classes)
