"""Every metric against scikit-learn's own function, and against hand-computed ones."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from skcnn.metrics import classification_frame, headline_frame, top_k_frame


@st.composite
def tasks(draw, probabilities=True):
    """Predictions with ties, weights of 0, and classes that have no sample."""
    n_classes = draw(st.integers(2, 7))
    present = draw(st.integers(1, n_classes))
    n_samples = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    y_true = rng.integers(0, present, n_samples)
    levels = draw(st.sampled_from([2, 5, 1000]))  # Few levels: many equal scores.
    y_score = rng.integers(1, levels + 1, (n_samples, n_classes)).astype(float)
    if probabilities:
        y_score /= y_score.sum(axis=1, keepdims=True)
    weight = None
    if draw(st.booleans()):
        weight = rng.integers(0, 4, n_samples) / 2
        weight[0] = 1
    return y_true, y_score, weight


def counted_rows(y_true, weight):
    return np.ones(len(y_true), bool) if weight is None else weight > 0


@settings(deadline=None, derandomize=True, max_examples=25)
@given(tasks(), st.integers(1, 6))
def test_headline_metrics_are_scikit_learns(task, top_k):
    y_true, y_score, weight = task
    y_pred, n_classes = y_score.argmax(axis=1), y_score.shape[1]
    names = np.array([f"class {number}" for number in range(n_classes)])
    value = headline_frame(names[y_true], y_score, classes=names, sample_weight=weight, top_k=top_k)["value"]
    labels = np.arange(n_classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of classes that are missing; that is what is tested.
        balanced_accuracy = metrics.balanced_accuracy_score(y_true, y_pred, sample_weight=weight)
        f1 = metrics.f1_score(
            y_true, y_pred, labels=labels, average="macro", sample_weight=weight, zero_division=np.nan
        )
    expected = {
        "accuracy": metrics.accuracy_score(y_true, y_pred, sample_weight=weight),
        "balanced_accuracy": balanced_accuracy,
        "log_loss": metrics.log_loss(y_true, y_score, labels=labels, sample_weight=weight),
        "f1_macro": f1,
    }
    if n_classes > 2:
        k = min(top_k, n_classes - 1)
        expected["top_k_accuracy"] = metrics.top_k_accuracy_score(
            y_true, y_score, k=k, labels=labels, sample_weight=weight
        )
    counts = counted_rows(y_true, weight)
    if len(np.unique(y_true[counts])) == n_classes:
        arguments = (y_true, y_score) if n_classes > 2 else (y_true, y_score[:, 1])
        expected["roc_auc_ovr"] = metrics.roc_auc_score(*arguments, multi_class="ovr", sample_weight=weight)
        one_hot = np.eye(n_classes)[y_true]
        expected["average_precision_macro"] = metrics.average_precision_score(one_hot, y_score, sample_weight=weight)
    for metric, golden in expected.items():
        assert value[metric] == pytest.approx(golden, abs=1e-12), metric


@settings(deadline=None, derandomize=True, max_examples=25)
@given(tasks(probabilities=False))
def test_class_metrics_are_scikit_learns(task):
    y_true, y_score, weight = task
    y_pred, n_classes = y_score.argmax(axis=1), y_score.shape[1]
    frame = classification_frame(y_true, y_score, classes=range(n_classes), sample_weight=weight)
    for number in range(n_classes):
        row, is_true, is_pred = frame.loc[number], y_true == number, y_pred == number
        for metric in ("precision", "recall", "f1"):
            function = getattr(metrics, f"{metric}_score")
            golden = function(is_true, is_pred, sample_weight=weight, zero_division=np.nan)
            assert row[metric] == pytest.approx(golden, nan_ok=True), metric
        weights = np.ones(len(y_true)) if weight is None else weight
        assert row["support"] == weights[is_true].sum()
        seen = np.unique(is_true[counted_rows(y_true, weight)])
        if len(seen) == 2:
            golden = metrics.roc_auc_score(is_true, y_score[:, number], sample_weight=weight)
            assert row["roc_auc"] == pytest.approx(golden)
        else:
            assert np.isnan(row["roc_auc"])
        if True in seen:
            golden = metrics.average_precision_score(is_true, y_score[:, number], sample_weight=weight)
            assert row["average_precision"] == pytest.approx(golden)
        else:
            assert np.isnan(row["average_precision"])


def test_order_and_type_of_labels_change_nothing():
    rng = np.random.default_rng(0)
    y_true, y_score = rng.integers(0, 4, 50), rng.dirichlet(np.ones(4), 50)
    by_number = headline_frame(y_true, y_score)
    names = np.array(["z", "m", "a", "k"])
    by_name = headline_frame(names[y_true], y_score, classes=names)
    pd.testing.assert_frame_equal(by_number, by_name)


def test_float32_scores_give_scikit_learns_log_loss():
    y_score = np.array([[1, 0, 0], [0.2, 0.5, 0.3], [0, 0.9, 0.1]], dtype=np.float32)
    value = headline_frame([0, 1, 0], y_score, classes=[0, 1, 2])["value"]
    assert value["log_loss"] == pytest.approx(metrics.log_loss([0, 1, 0], y_score, labels=[0, 1, 2]))


def test_a_probability_of_0_for_the_truth_is_told():
    note = headline_frame([0, 1, 2], [[1, 0, 0], [1, 0, 0], [0, 0, 1]])["note"]
    assert note["log_loss"] == "1 sample had probability 0 for the true class, read as the smallest step above 0"


def test_metrics_by_hand():
    # True a a a b b c; predicted a a b b a a.
    frame = classification_frame(list("aaabbc"), y_pred=list("aabbaa"))
    np.testing.assert_allclose(frame["support"], [3, 2, 1])
    np.testing.assert_allclose(frame["precision"], [2 / 4, 1 / 2, np.nan])
    np.testing.assert_allclose(frame["recall"], [2 / 3, 1 / 2, 0])
    np.testing.assert_allclose(frame["f1"], [4 / 7, 1 / 2, 0])
    assert frame[["roc_auc", "average_precision"]].isna().all(axis=None)
    value = headline_frame(list("aaabbc"), y_pred=list("aabbaa"))["value"]
    assert value["accuracy"] == 0.5
    assert value["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)
    assert value["f1_macro"] == pytest.approx((4 / 7 + 1 / 2 + 0) / 3)


def test_top_k_by_hand():
    y_score = [[0.4, 0.3, 0.2, 0.1], [0.4, 0.3, 0.2, 0.1], [0.4, 0.3, 0.2, 0.1], [0.4, 0.3, 0.2, 0.1]]
    for top_k, share, note in [(1, 0.25, ""), (2, 0.5, ""), (3, 0.75, ""), (5, 0.75, "in place of top-5")]:
        row = headline_frame([0, 1, 2, 3], y_score, top_k=top_k).loc["top_k_accuracy"]
        assert row["value"] == share
        assert row["note"].startswith(note)
        assert bool(row["note"]) == bool(note)
    with pytest.raises(ValueError, match="top_k=0"):
        headline_frame([0, 1, 2, 3], y_score, top_k=0)


@settings(deadline=None, derandomize=True, max_examples=25)
@given(tasks(), st.integers(1, 6))
def test_top_k_table_is_scikit_learns(task, max_k):
    y_true, y_score, weight = task
    n_classes = y_score.shape[1]
    frame = top_k_frame(y_true, y_score, classes=range(n_classes), sample_weight=weight, max_k=max_k)
    assert list(frame.index) == list(range(1, min(max_k, n_classes - 1) + 1))
    score = y_score if n_classes > 2 else y_score[:, 1]
    for k, row in frame.iterrows():
        options = {"k": k, "labels": range(n_classes), "sample_weight": weight}
        assert row["top_k_accuracy"] == pytest.approx(metrics.top_k_accuracy_score(y_true, score, **options))
        count = metrics.top_k_accuracy_score(y_true, score, normalize=False, **options)
        assert row["count"] == pytest.approx(count)


def test_top_k_table_of_one_class_is_empty():
    assert top_k_frame(["a", "a"], [[1.0], [1.0]]).empty
    with pytest.raises(ValueError, match="max_k=0"):
        top_k_frame([0, 1], [0.2, 0.7], max_k=0)


def test_without_scores_the_reason_is_given():
    frame = headline_frame([0, 1, 2], y_pred=[0, 1, 1])
    for metric in ("log_loss", "top_k_accuracy", "roc_auc_ovr", "average_precision_macro"):
        assert np.isnan(frame.loc[metric, "value"])
        assert frame.loc[metric, "note"] == "no scores: none were given"
    assert frame.loc["accuracy"].tolist() == [2 / 3, ""]


def test_scores_that_are_no_probabilities_have_no_log_loss():
    frame = headline_frame([0, 1, 2], [[3.0, 1, 0], [0, 2, 1], [-1, 0, 5]])
    assert np.isnan(frame.loc["log_loss", "value"])
    assert frame.loc["log_loss", "note"] == "no probabilities: given as y_score, not probabilities"
    assert frame.loc["roc_auc_ovr", "value"] == 1


def test_one_class_in_y_true():
    frame = headline_frame(["a", "a"], [[0.9, 0.1], [0.4, 0.6]], classes=["a", "b"])
    assert frame.loc["accuracy", "value"] == 0.5
    assert frame.loc["balanced_accuracy"].tolist() == [0.5, "mean over 1 of 2 classes"]
    assert np.isnan(frame.loc["roc_auc_ovr", "value"])
    assert frame.loc["roc_auc_ovr", "note"] == "defined for no class"
    assert frame.loc["average_precision_macro"].tolist() == [1, "mean over 1 of 2 classes"]


def test_one_class_in_all():
    frame = headline_frame(["a", "a"], [[1.0], [1.0]])
    assert frame.loc["accuracy", "value"] == 1
    assert frame["value"].isna().to_dict() == {
        "accuracy": False,
        "balanced_accuracy": False,
        "log_loss": True,
        "top_k_accuracy": True,
        "f1_macro": False,
        "roc_auc_ovr": True,
        "average_precision_macro": False,
    }
    assert (frame["note"][frame["value"].isna()] != "").all()


def test_boolean_labels():
    y_true, y_score = [True, False, True, False], [0.9, 0.2, 0.4, 0.3]
    assert classification_frame(y_true, y_score)["recall"].tolist() == [1, 0.5]
