import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from sklearn import metrics
from sklearn.calibration import calibration_curve
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from skcnn.metrics import ReliabilityDisplay, calibration_frame


@st.composite
def tasks(draw):
    n_classes = draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n_samples = draw(st.integers(2, 60))
    y_true = rng.integers(0, draw(st.integers(1, n_classes)), n_samples)
    y_score = rng.integers(1, draw(st.sampled_from([2, 5, 1000])) + 1, (n_samples, n_classes)).astype(float)
    y_score /= y_score.sum(axis=1, keepdims=True)
    weight = None
    if draw(st.booleans()):
        weight = rng.integers(0, 4, n_samples) / 2
        weight[0] = 1
    return y_true, y_score, weight


@settings(deadline=None, derandomize=True, max_examples=40)
@given(tasks())
def test_brier_is_scikit_learns(task):
    y_true, y_score, weight = task
    n_classes = y_score.shape[1]
    frame = calibration_frame(y_true, y_score, classes=range(n_classes), sample_weight=weight)
    for number in range(n_classes):
        is_class = (y_true == number).astype(int)
        golden = metrics.brier_score_loss(
            is_class, np.clip(y_score[:, number], 0, 1), sample_weight=weight, pos_label=1, labels=[0, 1]
        )
        assert frame["brier"].iloc[1 + number] == pytest.approx(golden)
    score = y_score if n_classes > 2 else y_score[:, 1]
    golden = metrics.brier_score_loss(
        y_true, score, sample_weight=weight, labels=range(n_classes), **({"pos_label": 1} if n_classes == 2 else {})
    )
    assert frame["brier"].iloc[0] == pytest.approx(golden)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(tasks(), st.integers(1, 20))
def test_bins_are_scikit_learns(task, n_bins):
    y_true, y_score, _ = task
    display = ReliabilityDisplay.from_predictions(y_true, y_score, classes=range(y_score.shape[1]), n_bins=n_bins)
    right = y_score.argmax(axis=1) == y_true
    columns = [(right, y_score.max(axis=1)), *((y_true == number, p) for number, p in enumerate(y_score.T))]
    for column, (happened, probability) in enumerate(columns):
        points = display.bins[display.bins["column"] == column]
        fraction, mean = calibration_curve(happened, probability, n_bins=n_bins, pos_label=True)
        np.testing.assert_allclose(points["fraction"], fraction)
        np.testing.assert_allclose(points["probability"], mean)
        assert points["count"].sum() == len(y_true)
        golden = np.sum(points["count"] / len(y_true) * np.abs(fraction - mean))
        assert display.calibration["ece"].iloc[column] == pytest.approx(golden)


def test_errors_by_hand():
    # Highest probabilities: 0.95 right, 0.95 wrong, 0.55 right, 0.55 right.
    y_score = [[0.95, 0.05, 0], [0.95, 0.05, 0], [0.25, 0.55, 0.2], [0.2, 0.25, 0.55]]
    frame = calibration_frame(list("abbc"), y_score, n_bins=10)
    assert list(frame.index) == ["all classes", "a", "b", "c"]
    assert frame["support"].tolist() == [4, 1, 2, 1]
    together = frame.iloc[0]
    assert together["probability"] == pytest.approx(0.75)
    assert together["fraction"] == pytest.approx(0.75)
    assert together["ece"] == pytest.approx(0.5 * 0.45 + 0.5 * 0.45)
    # Class a: bins of 0.95 (fraction 1/2), 0.25 and 0.2 (fraction 0; 0.2 belongs to the bin below it).
    assert frame.loc["a", "ece"] == pytest.approx(0.5 * 0.45 + 0.25 * 0.25 + 0.25 * 0.2)


def test_weights_count_as_copies():
    rng = np.random.default_rng(0)
    y_true, y_score = rng.integers(0, 3, 50), rng.dirichlet(np.ones(3), 50)
    times = rng.integers(0, 3, 50)
    weighted = calibration_frame(y_true, y_score, sample_weight=times)
    copied = calibration_frame(np.repeat(y_true, times), np.repeat(y_score, times, axis=0), classes=range(3))
    np.testing.assert_allclose(weighted, copied)


def test_what_is_no_probability_is_refused():
    with pytest.raises(ValueError, match=r"given as y_score, not probabilities\. Give those of predict_proba"):
        calibration_frame([0, 1, 2], [[3.0, 1, 0], [0, 2, 1], [-1, 0, 5]])
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="there are none: decision_function"):
        ReliabilityDisplay.from_estimator(LinearSVC().fit(X, y), X, y)
    with pytest.raises(ValueError, match="n_bins=0"):
        calibration_frame([0, 1], [0.2, 0.7], n_bins=0)


def test_one_class_has_no_calibration():
    frame = calibration_frame(["a", "a"], [[1.0], [1.0]])
    assert frame[["ece", "brier"]].isna().all(axis=None)


def legend_texts(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def test_display_of_many_classes_shows_them_together():
    X, y = load_iris(return_X_y=True)
    display = ReliabilityDisplay.from_estimator(LogisticRegression(max_iter=500).fit(X, y), X, y, name="iris").plot()
    (text,) = legend_texts(display)
    assert text.startswith("all classes (ECE 0.")
    assert display.ax_.get_xlabel().startswith("Highest probability of a sample\n")
    assert display.ax_.get_legend().get_title().get_text() == "iris"
    assert set(display.frame()["class"]) == {"all classes", 0, 1, 2}


def test_display_of_two_classes_shows_the_second():
    display = ReliabilityDisplay.from_predictions([False, True, True, False], [0.1, 0.8, 0.6, 0.7]).plot()
    assert [text.split(" (")[0] for text in legend_texts(display)] == ["True"]
    assert display.ax_.get_ylabel() == "Fraction of the class"


def test_display_of_chosen_classes():
    rng = np.random.default_rng(0)
    names = np.array([r"$\frac{1}$", "_hidden", "all classes", *"abcde"])
    y_true, y_score = names[rng.integers(0, 8, 80)], rng.dirichlet(np.ones(8), 80)
    ax = Figure().subplots()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        display = ReliabilityDisplay.from_predictions(y_true, y_score, classes=names)
        assert display.plot(ax, classes=["_hidden", r"$\frac{1}$", "all classes"]) is display
        ax.figure.draw_without_rendering()
    assert [text.rsplit(" (", 1)[0] for text in legend_texts(display)] == ["_hidden", r"$\frac{1}$", "all classes"]
    # The class of that name, not all of them.
    assert ax.get_xlabel().startswith("Probability of the class\n")
    with pytest.raises(ValueError, match=r"classes names \['f'\]"):
        display.plot(classes=["f"])
    with pytest.raises(ValueError, match="classes names 7; expected at most 6"):
        display.plot(classes=names[:7])
    assert display.plot(legend=False).ax_.get_legend() is None
