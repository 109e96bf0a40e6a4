import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn import metrics
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from skcnn._plot.theme import SERIES
from skcnn.metrics import OneVsRestPrecisionRecallDisplay, OneVsRestRocDisplay
from skcnn.metrics._plot.curves import singled_out
from skcnn.metrics._predictions import Predictions

DISPLAYS = [OneVsRestRocDisplay, OneVsRestPrecisionRecallDisplay]


def task(n_classes: int = 4, n_samples: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, n_classes, n_samples)
    # Class 0 is the hardest to find, the last one the easiest; rounding makes ties.
    y_score = rng.normal(size=(n_samples, n_classes))
    y_score[np.arange(n_samples), y_true] += 0.4 * (1 + y_true)
    return y_true, y_score.round(1)


def legend_texts(display) -> list[str]:
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


@pytest.mark.parametrize("weighted", [False, True])
def test_roc_points_and_areas_are_scikit_learns(weighted):
    y_true, y_score = task()
    weight = np.random.default_rng(1).random(len(y_true)) if weighted else None
    display = OneVsRestRocDisplay.from_predictions(y_true, y_score, sample_weight=weight)
    for number, points in display.frame().groupby("class"):
        golden = metrics.roc_curve(y_true == number, y_score[:, number], sample_weight=weight)
        np.testing.assert_allclose(points[["fpr", "tpr", "threshold"]].to_numpy().T, golden)
        area = metrics.roc_auc_score(y_true == number, y_score[:, number], sample_weight=weight)
        assert display.areas[number] == pytest.approx(area)


@pytest.mark.parametrize("weighted", [False, True])
def test_precision_recall_points_and_areas_are_scikit_learns(weighted):
    y_true, y_score = task()
    weight = np.random.default_rng(1).random(len(y_true)) if weighted else None
    display = OneVsRestPrecisionRecallDisplay.from_predictions(y_true, y_score, sample_weight=weight)
    for number, points in display.frame().groupby("class"):
        golden = np.array(
            metrics.precision_recall_curve(
                y_true == number, y_score[:, number], sample_weight=weight, drop_intermediate=True
            )[:2]
        )[:, ::-1]
        np.testing.assert_allclose(points[["precision", "recall"]].to_numpy().T, golden[:, : len(points)])
        assert (golden[1, len(points) :] == 1).all()
        assert points["recall"].iloc[-1] == 1
        area = metrics.average_precision_score(y_true == number, y_score[:, number], sample_weight=weight)
        assert display.areas[number] == pytest.approx(area)


@pytest.mark.parametrize("display_class", DISPLAYS)
def test_area_under_the_mean_curve_is_the_mean_area(display_class):
    display = display_class.from_predictions(*task())
    mean = display.macro_curve().to_numpy()
    assert metrics.auc(mean[:, 0], mean[:, 1]) == pytest.approx(display.areas.mean(), abs=0.003)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_present", [1, 3, 4])
def test_micro_average_is_scikit_learns(weighted, n_present):
    y_true, y_score = task()
    y_true = y_true % n_present
    weight = np.random.default_rng(1).random(len(y_true)) if weighted else None
    pairs = np.eye(4, dtype=int)[y_true].ravel(), y_score.ravel()
    pair_weight = None if weight is None else np.repeat(weight, 4)
    roc, precision_recall = (
        display_class.from_predictions(y_true, y_score, classes=range(4), sample_weight=weight)
        for display_class in DISPLAYS
    )
    golden = metrics.roc_curve(*pairs, sample_weight=pair_weight)
    np.testing.assert_allclose(roc.micro_curve().to_numpy().T, golden)
    golden = metrics.precision_recall_curve(*pairs, sample_weight=pair_weight, drop_intermediate=True)[1::-1]
    points = precision_recall.micro_curve()[["recall", "precision"]].to_numpy().T
    np.testing.assert_allclose(points, np.array(golden)[:, ::-1][:, : points.shape[1]])
    one_hot = np.eye(4, dtype=int)[y_true]
    assert roc.micro_area == pytest.approx(
        metrics.roc_auc_score(one_hot, y_score, average="micro", sample_weight=weight)
    )
    assert precision_recall.micro_area == pytest.approx(
        metrics.average_precision_score(one_hot, y_score, average="micro", sample_weight=weight)
    )


@pytest.mark.parametrize("display_class", DISPLAYS)
def test_one_class_has_no_micro_average(display_class):
    display = display_class.from_predictions(["a", "a"], [[1.0], [1.0]])
    assert display.micro_curve().empty
    assert np.isnan(display.micro_area)
    display.plot()


@pytest.mark.parametrize("display_class", DISPLAYS)
def test_class_without_a_sample_has_no_curve(display_class):
    y_true, y_score = task()
    display = display_class.from_predictions(y_true % 3, y_score, classes=range(4))
    assert display.frame()["class"].unique().tolist() == [0, 1, 2]
    assert display.areas.isna().tolist() == [False, False, False, True]
    assert list(display.colors()) == [0, 1, 2]
    display.plot()
    with pytest.raises(ValueError, match=r"classes names \[3\]; those with a curve are \[0, 1, 2\]"):
        display.plot(classes=[3])


@pytest.mark.parametrize("display_class", DISPLAYS)
def test_many_classes_five_are_singled_out(display_class):
    display = display_class.from_predictions(*task(12))
    colors = display.colors()
    assert list(colors) == list(display.areas.sort_values().index[:5])
    assert len(set(colors.values())) == 5
    display.plot()
    lines = display.ax_.get_lines()
    assert len(lines) == 14  # Twelve classes and two averages.
    assert sum(line.get_color() in SERIES for line in lines) == 5
    texts = legend_texts(display)
    assert len(texts) == 8
    assert texts[0] == f"macro average ({display.areas.mean():.3f})"
    assert texts[1] == f"micro average ({display.micro_area:.3f})"
    assert texts[-1] == "other classes"
    with pytest.raises(ValueError, match="classes names 7; expected at most 6"):
        display.plot(classes=range(7))


def test_chosen_classes_are_drawn_in_colour():
    display = OneVsRestRocDisplay.from_predictions(*task(8)).plot(classes=[7, 2])
    assert [text.split(" ")[0] for text in legend_texts(display)] == ["macro", "micro", "7", "2", "other"]


def test_two_classes_have_no_average():
    display = OneVsRestRocDisplay.from_predictions([False, True, True, False], [0.1, 0.8, 0.6, 0.7]).plot()
    assert legend_texts(display) == ["False (0.750)", "True (0.750)"]


def test_nothing_defined_is_said():
    display = OneVsRestRocDisplay.from_predictions(["a", "a"], [[0.9, 0.1], [0.4, 0.6]], classes=["a", "b"]).plot()
    assert display.frame().empty
    assert [text.get_text() for text in display.ax_.texts] == ["not defined for any class"]


def test_names_of_classes_are_no_markup():
    names = np.array(["_hidden", "cost $5 and $6", r"$\frac{1}$", "<script>"])
    y_true, y_score = task()
    display = OneVsRestRocDisplay.from_predictions(names[y_true], y_score, classes=names, name="$name").plot()
    texts = [text.rsplit(" ", 1)[0] for text in legend_texts(display)]
    assert texts == ["macro average", "micro average", *names]
    assert not any(text.get_parse_math() for text in display.ax_.get_legend().get_texts())
    display.figure_.draw_without_rendering()


def test_plot_draws_where_it_is_told():
    ax = Figure().subplots()
    display = OneVsRestRocDisplay.from_predictions(*task())
    assert display.plot(ax, legend=False) is display
    assert display.ax_ is ax
    assert ax.get_legend() is None


def test_from_estimator():
    X, y = load_iris(return_X_y=True)
    estimator = LogisticRegression(max_iter=500).fit(X, y)
    display = OneVsRestPrecisionRecallDisplay.from_estimator(estimator, X, y, name="iris")
    golden = metrics.average_precision_score(np.eye(3)[y], estimator.predict_proba(X), average=None)
    np.testing.assert_allclose(display.areas, golden)
    assert display.name == "iris"


def test_scores_are_needed():
    with pytest.raises(ValueError, match="A curve needs scores, and there are none: none were given"):
        OneVsRestRocDisplay._from_checked(Predictions.from_arrays([0, 1], y_pred=[0, 1]))


def test_displays_single_out_the_same_classes():
    y_true, y_score = task(12)
    roc = OneVsRestRocDisplay.from_predictions(y_true, y_score)
    precision_recall = OneVsRestPrecisionRecallDisplay.from_predictions(y_true, y_score)
    chosen = singled_out([roc, precision_recall])
    assert chosen[0] == chosen[1] == list(precision_recall.colors())
    assert singled_out([]) == []
