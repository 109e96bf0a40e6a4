import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import make_classification
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from skcnn.metrics import (
    ConfusionDisplay,
    OneVsRestRocDisplay,
    ReliabilityDisplay,
    ThresholdDisplay,
    threshold_table,
)
from skcnn.metrics._predictions import Predictions
from skcnn.report import ClassifierReport

Y_SCORE = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.3, 0.5], [0.5, 0.4, 0.1]])
Y_TRUE = np.array(["a", "b", "c", "b"])


def data(n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    return make_classification(120, 8, n_informative=6, n_classes=n_classes, random_state=0)


def test_labels_become_numbers_of_classes_in_the_order_given():
    predictions = Predictions.from_arrays(Y_TRUE, Y_SCORE[:, ::-1], classes=["c", "b", "a"])
    assert predictions.true.tolist() == [2, 1, 0, 1]
    assert predictions.predicted.tolist() == [2, 1, 0, 2]
    assert predictions.classes.tolist() == ["c", "b", "a"]


@pytest.mark.parametrize(
    "y_true",
    [
        list(Y_TRUE),
        pd.Series(Y_TRUE),
        pd.Series(Y_TRUE, dtype="category"),
        pd.DataFrame({"label": Y_TRUE}),
        Y_TRUE.astype(object),
    ],
    ids=["list", "series", "categorical", "frame", "objects"],
)
def test_labels_may_be_in_any_container(y_true):
    predictions = Predictions.from_arrays(y_true, Y_SCORE)
    assert predictions.true.tolist() == [0, 1, 2, 1]
    assert predictions.predicted.tolist() == [0, 1, 2, 0]


def test_columns_of_a_frame_are_the_classes():
    frame = pd.DataFrame(Y_SCORE[:, ::-1], columns=["c", "b", "a"])
    predictions = Predictions.from_arrays(Y_TRUE, frame)
    assert predictions.classes.tolist() == ["c", "b", "a"]
    assert predictions.true.tolist() == [2, 1, 0, 1]


@pytest.mark.parametrize("labels", [[0, 1], [False, True], ["no", "yes"], [-1, 1], [2.5, 7.5]])
def test_scores_of_the_second_class_alone(labels):
    y_true = np.array(labels)[[0, 1, 1, 0]]
    probability = Predictions.from_arrays(y_true, [0.1, 0.9, 0.4, 0.5])
    assert probability.is_probability
    np.testing.assert_allclose(probability.score[:, 0], [0.9, 0.1, 0.6, 0.5])
    assert probability.predicted.tolist() == [0, 1, 0, 0]
    decision = Predictions.from_arrays(y_true, [-2.0, 0.1, 3.0, 0.0])
    assert not decision.is_probability
    assert decision.predicted.tolist() == [0, 1, 1, 0]


def test_probabilities_are_told_from_other_scores():
    assert Predictions.from_arrays(Y_TRUE, Y_SCORE).is_probability
    assert Predictions.from_arrays(Y_TRUE, Y_SCORE.astype(np.float32)).is_probability
    assert not Predictions.from_arrays(Y_TRUE, Y_SCORE * 2).is_probability
    assert not Predictions.from_arrays(Y_TRUE, Y_SCORE * 0.99).is_probability
    assert not Predictions.from_arrays(Y_TRUE, np.log(Y_SCORE)).is_probability


def test_float32_is_kept_and_integers_become_floats():
    assert Predictions.from_arrays(Y_TRUE, Y_SCORE.astype(np.float32)).score.dtype == np.float32
    assert Predictions.from_arrays(Y_TRUE, np.eye(3, dtype=int)[[0, 1, 2, 0]]).score.dtype == np.float64


def test_predictions_without_scores():
    predictions = Predictions.from_arrays(["a", "b"], y_pred=["b", "c"])
    assert predictions.score is None
    assert predictions.classes.tolist() == ["a", "b", "c"]


def test_arguments_are_not_changed():
    y_score, weights = Y_SCORE.copy(), np.ones(4)
    Predictions.from_arrays(Y_TRUE, y_score, sample_weight=weights)
    np.testing.assert_array_equal(y_score, Y_SCORE)
    np.testing.assert_array_equal(weights, np.ones(4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y_true": Y_TRUE}, "Neither y_score nor y_pred"),
        ({"y_true": [], "y_score": np.empty((0, 3))}, "y_true is empty"),
        ({"y_true": [[0, 1], [1, 0]], "y_score": Y_SCORE[:2]}, r"y_true has shape \(2, 2\)"),
        ({"y_true": ["a", None, "b"], "y_pred": ["a", "b", "b"]}, "missing values in row 1"),
        ({"y_true": Y_TRUE, "y_score": Y_SCORE[:3]}, "y_score has 3 samples; expected 4"),
        ({"y_true": Y_TRUE, "y_pred": Y_TRUE[:3]}, "y_pred has 3 samples; expected 4"),
        ({"y_true": Y_TRUE, "y_score": Y_TRUE}, "predicted labels go into y_pred="),
        ({"y_true": Y_TRUE, "y_score": Y_SCORE[None]}, r"y_score has shape \(1, 4, 3\)"),
        ({"y_true": Y_TRUE, "y_score": np.where(Y_SCORE == 0.8, np.nan, Y_SCORE)}, "NaN or infinite values in row 1"),
        ({"y_true": ["a", "b", "a", "b"], "y_score": Y_SCORE}, "for 3 classes, but the labels are of 2; pass classes="),
        ({"y_true": Y_TRUE, "y_score": Y_SCORE, "classes": ["a", "b"]}, "y_score has 3 columns, but classes names 2"),
        ({"y_true": Y_TRUE, "y_score": Y_SCORE, "classes": ["a", "b", "b"]}, "names 'b' twice"),
        ({"y_true": Y_TRUE, "y_score": Y_SCORE, "classes": ["a", "b", "x"]}, "y_true holds labels .* 'c' in row 2"),
        (
            {"y_true": [0, 1, 2, 1], "y_score": Y_SCORE, "classes": ["0", "1", "2"]},
            "y_true holds labels .* 0, 1, 2 in rows",
        ),
        ({"y_true": Y_TRUE, "y_pred": ["a", "b", "x", "a"], "classes": ["a", "b", "c"]}, "y_pred holds labels .* 'x'"),
        ({"y_true": np.array(["a", 1], object), "y_pred": ["a", "a"]}, "cannot be sorted together"),
        ({"y_true": Y_TRUE, "y_score": Y_SCORE, "sample_weight": [1, 2]}, r"sample_weight has shape \(2,\)"),
        (
            {"y_true": Y_TRUE, "y_score": Y_SCORE, "sample_weight": [1, -1, 1, np.nan]},
            "negative, NaN or infinite in rows 1, 3",
        ),
        ({"y_true": Y_TRUE, "y_score": Y_SCORE, "sample_weight": [0, 0, 0, 0]}, "0 for every sample"),
    ],
)
def test_errors_say_what_was_given(arguments, message):
    with pytest.raises(ValueError, match=message):
        Predictions.from_arrays(**arguments)


@pytest.mark.parametrize("given", [[1, "a", "a", 1], [[1], ["a"], ["a"], [1]], (True, "a", "a", True)])
def test_numbers_among_text_stay_numbers(given):
    with pytest.raises(ValueError, match="types that cannot be sorted together; pass classes= in order"):
        Predictions.from_arrays(given, y_pred=given)
    predictions = Predictions.from_arrays(given, y_pred=given, classes=["a", 1])
    assert predictions.true.tolist() == [1, 0, 0, 1]
    assert predictions.classes.tolist() == ["a", 1]
    with pytest.raises(ValueError, match=r"not among the classes: 1 in rows 0, 3|not among the classes: True"):
        Predictions.from_arrays(given, y_pred=["a"] * 4, classes=["a", "1"])


def test_a_missing_label_in_a_list_of_text_is_missing():
    with pytest.raises(ValueError, match="y_true has missing values in row 1; drop these rows first"):
        Predictions.from_arrays(["a", float("nan"), "b"], y_pred=["a", "a", "b"])


@pytest.mark.parametrize("name", ["y_true", "y_pred", "y_score", "sample_weight"])
def test_masked_values_are_not_taken_for_valid_ones(name):
    given = {"y_true": Y_TRUE, "y_score": Y_SCORE, "y_pred": Y_TRUE, "sample_weight": np.ones(4)}
    masked = given | {name: np.ma.array(given[name])}
    assert Predictions.from_arrays(**masked).n_samples == 4
    masked[name][2] = np.ma.masked
    with pytest.raises(ValueError, match=rf"{name} is masked in row 2; drop these rows of all that is given"):
        Predictions.from_arrays(**masked)


def test_labels_that_are_no_utf8_are_fit_for_tables():
    labels = ["caf\udce9", "rose", "rose"]
    report = ClassifierReport.from_predictions(labels, y_pred=["rose", "rose", "caf\udce9"], classes=labels[:2])
    assert list(report.classification_frame.index) == [r"caf\udce9", "rose"]
    assert report.most_confused()["true"].tolist() == [r"caf\udce9", "rose"]
    assert r"caf\udce9" in str(report)
    table = threshold_table(labels, [0.9, 0.1, 0.2], pos_label="caf\udce9", thresholds=[0.5])
    assert table["tp"].tolist() == [1]


def test_displays_take_the_labels_as_they_were_given():
    labels = ["caf\udce9", "rose"]
    X, y = [[0.0], [1.0], [2.0]], [*labels, labels[0]]
    estimator = KNeighborsClassifier(n_neighbors=1).fit(X, y)
    assert OneVsRestRocDisplay.from_estimator(estimator, X, y).colors([labels[0]]).keys() == {r"caf\udce9"}
    ConfusionDisplay.from_estimator(estimator, X, y).plot(classes=labels)
    ReliabilityDisplay.from_estimator(estimator, X, y).plot(classes=labels[:1])
    assert ThresholdDisplay.from_estimator(estimator, X, y, pos_label=labels[0]).frame()["tp"].max() == 2


def test_long_lists_in_errors_are_cut():
    with pytest.raises(ValueError, match=r"in rows 0, 1, 2, 3, 4 and 95 more\. The classes are 'a', 'b'\."):
        Predictions.from_arrays(["x"] * 100, y_pred=["a"] * 100, classes=["a", "b"])


@pytest.mark.parametrize("n_classes", [2, 4])
def test_estimator_with_probabilities(n_classes):
    X, y = data(n_classes)
    estimator = KNeighborsClassifier().fit(X, y)
    predictions = Predictions.from_estimator(estimator, X, y)
    np.testing.assert_array_equal(predictions.score, estimator.predict_proba(X))
    np.testing.assert_array_equal(predictions.predicted, estimator.predict(X))
    assert predictions.is_probability
    assert predictions.score_note == "predict_proba"


@pytest.mark.parametrize("n_classes", [2, 4])
def test_estimator_with_a_decision_function(n_classes):
    X, y = data(n_classes)
    estimator = RidgeClassifier().fit(X, y)
    predictions = Predictions.from_estimator(estimator, X, y)
    decision = estimator.decision_function(X)
    np.testing.assert_array_equal(predictions.score[:, -1], decision if n_classes == 2 else decision[:, -1])
    assert predictions.score.shape == (120, n_classes)
    assert not predictions.is_probability


def test_decision_values_within_0_and_1_are_no_probabilities():
    X, y = data(2)
    estimator = RidgeClassifier().fit(X, y)
    decision = estimator.decision_function(X)
    inside = (decision > 0) & (decision < 1)
    predictions = Predictions.from_estimator(estimator, X[inside], y[inside])
    assert predictions.n_samples > 10
    assert not predictions.is_probability


@pytest.mark.parametrize("n_classes", [3, 4])
def test_a_column_per_pair_of_classes_is_no_score_per_class(n_classes):
    X, y = data(n_classes)
    estimator = GridSearchCV(SVC(decision_function_shape="ovo"), {"C": [1.0]}, cv=2).fit(X, y)
    predictions = Predictions.from_estimator(estimator, X, y)
    assert predictions.score is None
    assert "pair of classes" in predictions.score_note


def test_predict_decides_where_it_differs_from_the_highest_score():
    X, y = data(2)
    estimator = FixedThresholdClassifier(LogisticRegression(), threshold=0.9).fit(X, y)
    predictions = Predictions.from_estimator(estimator, X, y)
    assert (predictions.predicted != predictions.score.argmax(axis=1)).any()
    np.testing.assert_array_equal(predictions.predicted, estimator.predict(X))


class OnlyPredicts(KNeighborsClassifier):
    predict_proba = property()


def test_estimator_without_scores():
    X, y = data(3)
    predictions = Predictions.from_estimator(OnlyPredicts().fit(X, y), X, y)
    assert predictions.score is None
    assert predictions.score_note == "OnlyPredicts has neither predict_proba nor decision_function"


class Unnormalised(KNeighborsClassifier):
    def predict_proba(self, X):
        return super().predict_proba(X) * 0.8


def test_probabilities_that_do_not_sum_to_1_are_scores():
    X, y = data(3)
    predictions = Predictions.from_estimator(Unnormalised().fit(X, y), X, y)
    assert not predictions.is_probability
    assert predictions.score_note == "predict_proba, whose rows do not sum to 1"


def test_estimator_that_knows_one_class():
    predictions = Predictions.from_estimator(DummyClassifier().fit([[0]] * 4, ["a"] * 4), [[0]] * 2, ["a", "a"])
    assert predictions.score.shape == (2, 1)


def test_estimators_that_are_refused():
    X, y = data(3)
    with pytest.raises(NotFittedError):
        Predictions.from_estimator(LogisticRegression(), X, y)
    with pytest.raises(TypeError, match="LinearRegression is not a fitted classifier"):
        Predictions.from_estimator(LinearRegression().fit(X, y), X, y)
    with pytest.raises(TypeError, match="predicts 2 targets"):
        Predictions.from_estimator(KNeighborsClassifier().fit(X, np.c_[y, y]), X, y)
    with pytest.raises(ValueError, match="y holds labels that are not among the classes: 2 in rows"):
        Predictions.from_estimator(LogisticRegression().fit(X[y < 2], y[y < 2]), X, y)
