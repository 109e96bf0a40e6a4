"""Tables of thresholds against scikit-learn at each threshold, and against rows computed by hand."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from skcnn.metrics import operating_point, threshold_table
from skcnn.metrics._predictions import Predictions
from skcnn.metrics._thresholds import threshold_table_of


@st.composite
def tasks(draw):
    """Labels 0 and 1, at times of one class only, scores with ties, weights of 0."""
    n_samples = draw(st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    y_true = rng.integers(0, 2, n_samples) if draw(st.booleans()) else np.full(n_samples, draw(st.integers(0, 1)))
    y_score = rng.integers(-2, draw(st.sampled_from([1, 5, 1000])), n_samples) / 4
    weight = None
    if draw(st.booleans()):
        weight = rng.integers(0, 4, n_samples) / 2
        weight[0] = 1
    return y_true, y_score.astype(draw(st.sampled_from([np.float32, np.float64]))), weight


def check_rows(table, y_true, y_score, weight):
    for row in table.itertuples():
        y_pred = (y_score >= row.threshold).astype(int)
        confusion = metrics.confusion_matrix(y_true, y_pred, labels=[0, 1], sample_weight=weight)
        assert [row.tn, row.fp, row.fn, row.tp] == confusion.ravel().tolist()
        options = {"sample_weight": weight, "zero_division": np.nan}
        golden = {
            "tpr": metrics.recall_score(y_true, y_pred, **options),
            "fpr": 1 - metrics.recall_score(y_true, y_pred, pos_label=0, **options),
            "ppv": metrics.precision_score(y_true, y_pred, **options),
            "npv": metrics.precision_score(y_true, y_pred, pos_label=0, **options),
            "f1": metrics.f1_score(y_true, y_pred, **options),
            "accuracy": metrics.accuracy_score(y_true, y_pred, sample_weight=weight),
        }
        for metric, value in golden.items():
            assert getattr(row, metric) == pytest.approx(value, nan_ok=True), metric


@settings(deadline=None, derandomize=True, max_examples=20)
@given(tasks())
def test_every_row_is_scikit_learns(task):
    y_true, y_score, weight = task
    table = threshold_table(y_true, y_score, sample_weight=weight)
    counts = np.ones(len(y_true), bool) if weight is None else weight > 0
    assert table["threshold"].tolist() == [np.inf, *np.unique(y_score[counts])[::-1]]
    check_rows(table, y_true, y_score, weight)


@settings(deadline=None, derandomize=True, max_examples=10)
@given(tasks(), st.lists(st.integers(-3, 6), min_size=1, max_size=5))
def test_chosen_thresholds_are_scikit_learns(task, fourths):
    y_true, y_score, weight = task
    at = [fourth / 4 for fourth in fourths]
    table = threshold_table(y_true, y_score, thresholds=at, sample_weight=weight)
    assert table["threshold"].tolist() == at
    check_rows(table, y_true, y_score, weight)


@pytest.mark.parametrize("weighted", [False, True])
def test_rates_are_those_of_the_roc_curve(weighted):
    rng = np.random.default_rng(0)
    y_true, y_score = rng.integers(0, 2, 1500), rng.random(1500).round(3)
    weight = rng.random(1500) if weighted else None
    table = threshold_table(y_true, y_score, sample_weight=weight)
    fpr, tpr, threshold = metrics.roc_curve(y_true, y_score, sample_weight=weight, drop_intermediate=False)
    np.testing.assert_allclose(table[["fpr", "tpr", "threshold"]].to_numpy().T, [fpr, tpr, threshold])


def test_1500_scores_by_hand():
    # Sample i of 1500 has score i / 1500. Positive: the 300 from 1200 on, but for the 30 from 1230 on, and 30 from 600.
    number = np.arange(1500)
    y_true = ((number >= 1200) & ~((number >= 1230) & (number < 1260))) | ((number >= 600) & (number < 630))
    y_score = number / 1500
    by_hand = {
        # threshold: tp, fp, tn, fn
        np.inf: (0, 0, 1200, 300),
        1260 / 1500: (240, 0, 1200, 60),
        1200 / 1500: (270, 30, 1170, 30),
        600 / 1500: (300, 600, 600, 0),
        0.0: (300, 1200, 0, 0),
    }
    table = threshold_table(y_true, y_score).set_index("threshold")
    assert len(table) == 1501
    assert {column.kind for column in table[["tp", "fp", "tn", "fn"]].dtypes} == {"i"}
    for threshold, counts in by_hand.items():
        assert tuple(table.loc[threshold, ["tp", "fp", "tn", "fn"]]) == counts
    row = table.loc[1200 / 1500]
    assert row[["tpr", "fpr", "ppv", "npv", "f1", "accuracy"]].tolist() == pytest.approx(
        [270 / 300, 30 / 1200, 270 / 300, 1170 / 1200, 540 / 600, 1440 / 1500]
    )
    # At the lowest score all are called positive: there is no negative predictive value.
    assert np.isnan(table.loc[0.0, "npv"])
    assert table.loc[0.0, "ppv"] == 0.2


def test_accuracy_paradox():
    # Nothing is ever found, and the accuracy is 0.99.
    (row,) = threshold_table([0] * 99 + [1], [0.1] * 100, thresholds=[0.5]).itertuples()
    assert (row.tp, row.fp, row.tn, row.fn) == (0, 0, 99, 1)
    assert row.accuracy == 0.99
    assert np.isnan(row.ppv)
    assert row.tpr == 0
    assert row.f1 == 0


def test_one_class_leaves_rates_undefined():
    negative = threshold_table([0, 0], [0.2, 0.7])
    assert negative["tpr"].isna().all()
    assert negative["fpr"].tolist() == [0, 0.5, 1]
    assert negative["f1"].isna().tolist() == [True, False, False]
    assert threshold_table(["a", "a"], [0.2, 0.7], pos_label="a")["fpr"].isna().all()
    assert threshold_table(["a", "a"], [0.2, 0.7], pos_label="b")["tpr"].isna().all()


def test_a_class_against_the_rest():
    y_true, y_score = np.array(list("abcab")), np.array([[3, 1, 0], [0, 2, 1], [1, 0, 2], [1, 0, 3], [4, 1, 0.5]])
    table = threshold_table(y_true, y_score[:, 2], pos_label="c")
    pd.testing.assert_frame_equal(table, threshold_table(y_true == "c", y_score[:, 2]))
    pd.testing.assert_frame_equal(table, threshold_table_of(Predictions.from_arrays(y_true, y_score), 2))


def test_positive_label_is_1_or_told():
    golden = threshold_table([0, 1, 1], [0.1, 0.4, 0.3])
    pd.testing.assert_frame_equal(threshold_table([-1, 1, 1], [0.1, 0.4, 0.3]), golden)
    pd.testing.assert_frame_equal(threshold_table([False, True, True], [0.1, 0.4, 0.3]), golden)
    with pytest.raises(ValueError, match=r"Got the labels 'cat', 'dog'; expected 0 and 1 or -1 and 1, or pos_label"):
        threshold_table(["cat", "dog"], [0.1, 0.4])
    with pytest.raises(ValueError, match="Got the labels 1, 2"):
        threshold_table([1, 2], [0.1, 0.4])
    with pytest.raises(ValueError, match="pos_label is 'Dog', which is not among the labels 'cat', 'dog'"):
        threshold_table(["cat", "dog"], [0.1, 0.4], pos_label="Dog")


def test_what_is_no_score_or_threshold_is_refused():
    with pytest.raises(ValueError, match=r"y_score has shape \(2, 2\)"):
        threshold_table([0, 1], [[0.1, 0.9], [0.3, 0.7]])
    with pytest.raises(ValueError, match="thresholds has NaN"):
        threshold_table([0, 1], [0.1, 0.9], thresholds=[0.5, np.nan])
    with pytest.raises(ValueError, match=r"thresholds has shape \(\)"):
        threshold_table([0, 1], [0.1, 0.9], thresholds=0.5)
    with pytest.raises(ValueError, match="needs scores, and there are none"):
        threshold_table_of(Predictions.from_arrays([0, 1], y_pred=[0, 1]), 1)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(tasks(), st.sampled_from(["min_recall", "max_fpr", "min_precision"]), st.integers(0, 20))
def test_operating_point_is_the_best_of_all_rows(task, demand, twentieths):
    y_true, y_score, weight = task
    value = twentieths / 20
    table = threshold_table(y_true, y_score, sample_weight=weight)
    meets = {
        "min_recall": table["tpr"] >= value,
        "max_fpr": table["fpr"] <= value,
        "min_precision": table["ppv"] >= value,
    }[demand]
    if not meets.any():
        with pytest.raises(ValueError, match=f"No threshold has {demand}="):
            operating_point(y_true, y_score, sample_weight=weight, **{demand: value})
        return
    # min_recall: the fewest false positives first; the others: the most true positives first.
    ways = [(row.fp, -row.tp) if demand == "min_recall" else (-row.tp, row.fp) for row in table[meets].itertuples()]
    golden = table[meets].iloc[ways.index(min(ways))]
    got = operating_point(y_true, y_score, sample_weight=weight, **{demand: value})
    pd.testing.assert_series_equal(got, golden, check_names=False)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(tasks(), st.lists(st.integers(-2, 5), min_size=4, max_size=4))
def test_cost_is_the_least(task, cells):
    y_true, y_score, weight = task
    costs = np.reshape(cells, (2, 2))
    got = operating_point(y_true, y_score, costs=costs, sample_weight=weight)

    def counts_at(threshold):
        return metrics.confusion_matrix(y_true, y_score >= threshold, labels=[0, 1], sample_weight=weight)

    every = [counts_at(threshold) for threshold in [np.inf, *y_score]]
    least = min((counts * costs).sum() for counts in every)
    equals = [counts for counts in every if (counts * costs).sum() == pytest.approx(least)]
    assert (got["fp"], -got["tp"]) == min((counts[0, 1], -counts[1, 1]) for counts in equals)


def test_ties_by_hand():
    y_true, y_score = [1, 1, 0, 1, 1, 0], [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    # At 0.6 and at 0.5 there is one false positive: 0.5 finds more.
    assert operating_point(y_true, y_score, min_recall=0.7)["threshold"] == 0.5
    # 0.8 and 0.9 have no false positive.
    assert operating_point(y_true, y_score, max_fpr=0)["threshold"] == 0.8
    # A negative one on top: with no false positive allowed, nothing is called positive.
    assert operating_point([1, 0], [0.3, 0.6], max_fpr=0)["threshold"] == np.inf
    # Found or not, a positive one costs as much as a false alarm.
    assert operating_point([0, 1], [0.3, 0.3], costs=[[0, 1], [1, 0]])["threshold"] == np.inf


def test_sums_of_weights_are_rounded():
    # Nine of ten equal weights are 0.9 of them, though in floating point a hair less; below them lies a negative one.
    weight = np.full(11, 1 / 3)
    y_true, y_score = np.append(np.ones(10, int), 0), np.append(np.arange(10.0), 0.5)
    point = operating_point(y_true, y_score, min_recall=0.9, sample_weight=weight)
    assert point["tpr"] < 0.9
    assert point["threshold"] == 1


@pytest.mark.parametrize(
    ("demand", "message"),
    [
        ({}, "No requirement was given; exactly one of min_recall, max_fpr, min_precision, costs is accepted"),
        ({"min_recall": 0.9, "max_fpr": 0.1}, "min_recall and max_fpr were given; exactly one"),
        ({"min_recall": 95}, r"min_recall is 95; expected a fraction in \[0, 1\]"),
        ({"costs": [1, 10]}, r"costs is \[1.0, 10.0\]; finite numbers \[\[c_tn, c_fp\], \[c_fn, c_tp\]\]"),
        (
            {"min_precision": 0.9},
            r"No threshold has min_precision=0.9: the highest precision is 0.6667, at threshold 0.4 with a recall of 1",
        ),
    ],
)
def test_demands_that_cannot_be_met(demand, message):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=message):
            operating_point([0, 1, 1, 0], [0.8, 0.6, 0.4, 0.2], **demand)


def test_a_class_that_is_missing_is_told():
    with pytest.raises(ValueError, match="there is no positive sample"):
        operating_point([0, 0], [0.1, 0.2], min_recall=0.5)
    with pytest.raises(ValueError, match="there is no negative sample"):
        operating_point([1, 1], [0.1, 0.2], max_fpr=0.5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"thresholds": ["high"]}, "thresholds does not hold numbers"),
        ({"sample_weight": ["a", "b"]}, "sample_weight does not hold numbers"),
        ({"pos_label": [1]}, r"Got pos_label=\[1\]; expected one of the labels"),
        ({"y_score": ["0", "1"]}, "y_score does not hold numbers"),
        ({"y_score": [1j, 0]}, "y_score does not hold numbers"),
    ],
)
def test_what_is_no_number_is_refused_by_name(given, said):
    with pytest.raises(ValueError, match=said):
        threshold_table(**{"y_true": [0, 1], "y_score": [0.1, 0.2], **given})


@pytest.mark.parametrize(
    ("demand", "said"),
    [
        ({"min_recall": "0.9"}, "min_recall is '0.9'; expected a fraction"),
        ({"costs": [[1], [2, 3]]}, "costs does not hold numbers; finite numbers"),
        ({"costs": {"fp": 1}}, "costs does not hold numbers; finite numbers"),
    ],
)
def test_a_demand_that_is_no_number_is_refused_by_name(demand, said):
    with pytest.raises(ValueError, match=said):
        operating_point([0, 1], [0.1, 0.2], **demand)
