import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from skcnn.metrics import ThresholdDisplay, operating_point, threshold_table


def task(n_samples=200):
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, 2, n_samples)
    return y_true, rng.normal(size=n_samples) + y_true


def legend_texts(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def test_frame_is_the_table():
    y_true, y_score = task()
    weight = np.random.default_rng(1).random(len(y_true))
    display = ThresholdDisplay.from_predictions(y_true, y_score, sample_weight=weight)
    pd.testing.assert_frame_equal(display.frame(), threshold_table(y_true, y_score, sample_weight=weight))


@pytest.mark.parametrize("n_samples", [50, 5000])
def test_curves_pass_through_the_metrics(n_samples):
    y_true, y_score = task(n_samples)
    display = ThresholdDisplay.from_predictions(y_true, y_score).plot(metrics=["tpr", "ppv"])
    assert display.ax_.get_xlim()[0] < y_score.min()
    for line, metric in zip(display.ax_.get_lines(), ["tpr", "ppv"], strict=True):
        x, y = line.get_data()
        assert len(x) <= 1001
        golden = threshold_table(y_true, y_score, thresholds=x[:-1])[metric]
        np.testing.assert_allclose(y[:-1], golden)


def test_probabilities_are_drawn_from_0_to_1():
    display = ThresholdDisplay.from_predictions([0, 1, 1, 0], [0.2, 0.8, 0.6, 0.7]).plot(metrics=["tpr"])
    x, y = display.ax_.get_lines()[0].get_data()
    assert x.tolist() == [0, 0.2, 0.6, 0.7, 0.8, 1]
    assert y.tolist() == [1, 1, 1, 0.5, 0.5, 0]
    # Between two scores the metrics are those of the upper one.
    assert display.ax_.get_lines()[0].get_drawstyle() == "steps-pre"


def test_point_is_marked():
    y_true, y_score = task()
    point = operating_point(y_true, y_score, min_recall=0.9)
    display = ThresholdDisplay.from_predictions(y_true, y_score, name="$x").plot(point=point)
    assert legend_texts(display)[-1] == f"threshold {point['threshold']:.3g}"
    marked = [line for line in display.ax_.get_lines() if line.get_marker() == "o"]
    assert [line.get_ydata()[0] for line in marked] == point[["tpr", "fpr", "ppv", "f1"]].tolist()
    display.figure_.draw_without_rendering()
    nothing = operating_point([1, 0], [0.3, 0.6], max_fpr=0)
    assert len(legend_texts(display.plot(point=nothing))) == 4


def test_plot_draws_what_and_where_it_is_told():
    ax = Figure().subplots()
    display = ThresholdDisplay.from_predictions(*task())
    assert display.plot(ax, metrics=["npv", "accuracy"], legend=False) is display
    assert display.ax_ is ax
    assert len(ax.get_lines()) == 2
    assert ax.get_legend() is None
    with pytest.raises(ValueError, match=r"metrics names \['recall'\]; expected some of \['tpr'"):
        display.plot(metrics=["recall"])
    with pytest.raises(ValueError, match="metrics names 'none'"):
        display.plot(metrics=[])


def test_from_estimator():
    X, y = load_iris(return_X_y=True, as_frame=True)
    y = y.map(dict(enumerate(["setosa", "versicolor", "virginica"])))
    estimator = LogisticRegression(max_iter=500).fit(X, y)
    display = ThresholdDisplay.from_estimator(estimator, X, y, pos_label="virginica")
    golden = threshold_table(y, estimator.predict_proba(X)[:, 2], pos_label="virginica")
    pd.testing.assert_frame_equal(display.frame(), golden)
    same = ThresholdDisplay.from_predictions(y, estimator.predict_proba(X)[:, 2], pos_label="virginica")
    assert same.name == display.name
    assert display.plot().ax_.get_legend().get_title().get_text() == "virginica"
    with pytest.raises(ValueError, match="There are 3 classes: give one of 'setosa', 'versicolor', 'virginica'"):
        ThresholdDisplay.from_estimator(estimator, X, y)
    with pytest.raises(ValueError, match="pos_label is 'rose'; expected one of"):
        ThresholdDisplay.from_estimator(estimator, X, y, pos_label="rose")
    two = y != "setosa"
    binary = LogisticRegression(max_iter=500).fit(X[two], y[two])
    assert ThresholdDisplay.from_estimator(binary, X[two], y[two]).name == "virginica"
