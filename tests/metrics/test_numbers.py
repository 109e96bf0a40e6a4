"""Predicted numbers: what is accepted, what targets are called, and what errors say."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from skcnn.metrics._numbers import NumberPredictions


def test_one_target_and_several_become_columns():
    one = NumberPredictions.from_arrays([1, 2, 3], np.array([[1.5], [2], [2]]))
    assert (one.true.shape, one.predicted.shape, one.target_names) == ((3, 1), (3, 1), ["target"])
    assert one.error[:, 0].tolist() == [0.5, 0, -1]
    assert one.weights.tolist() == [1, 1, 1]
    two = NumberPredictions.from_arrays(np.ones((3, 2)), np.zeros((3, 2)), sample_weight=[1, 0, 2])
    assert (two.n_targets, two.target_names, two.weights.tolist()) == (2, ["target 0", "target 1"], [1, 0, 2])
    assert two.target("target 1").target_names == ["target 1"]


@pytest.mark.parametrize(
    ("y", "given", "expected"),
    [
        (pd.DataFrame({"width": [1, 2], "height": [3, 4]}), None, ["width", "height"]),
        (pd.Series([1, 2], name="age"), None, ["age"]),
        (pd.Series([1, 2]), None, ["target"]),
        (pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]), None, ["target 0", "target 1"]),
        (pd.Series([1, 2], name="age"), ["years"], ["years"]),
        ([1, 2], "years", ["years"]),
    ],
)
def test_names_of_targets(y, given, expected):
    assert NumberPredictions.from_arrays(y, np.asarray(y), target_names=given).target_names == expected
    # Predictions in a frame have names, too.
    assert NumberPredictions.from_arrays(np.asarray(y), y, target_names=given).target_names == expected


@pytest.mark.parametrize(
    ("y_true", "y_pred", "options", "message"),
    [
        (["3", "4"], [3, 4], {}, r"y_true does not hold numbers; shape \(n_samples,\) or"),
        ([3, 4], ["a", "b"], {}, "y_pred does not hold numbers"),
        (pd.Series([3, "4"]), [3, 4], {}, "y_true does not hold numbers"),
        ([3, 4j], [3, 4], {}, "y_true does not hold numbers"),
        ([1, np.nan, np.inf], [1, 2, 3], {}, "y_true has NaN or infinite values in rows 1, 2; drop these rows"),
        ([1, 2, 3], [1, 2, np.nan], {}, "y_pred has NaN or infinite values in row 2"),
        ([1, 2, 3], [1, 2], {}, r"y_pred has shape \(2,\); expected \(3,\), that of the true numbers"),
        ([1, 2], np.ones((2, 3)), {}, r"y_pred has shape \(2, 3\); expected \(2,\)"),
        (np.ones((2, 2, 2)), [1, 2], {}, r"y_true has shape \(2, 2, 2\); expected \(n_samples,\) or"),
        ([], [], {}, "y_true is empty"),
        (np.ma.masked_array([1, 2], [0, 1]), [1, 2], {}, "y_true is masked in row 1"),
        ([1, 2], [1, 2], {"sample_weight": [1, -1]}, "sample_weight is negative, NaN or infinite in row 1"),
        ([1, 2], [1, 2], {"target_names": ["a", "b"]}, r"target_names is \['a', 'b'\]; expected 1"),
        (np.ones((2, 2)), np.ones((2, 2)), {"target_names": ["a", "a"]}, "expected 2, each once"),
    ],
)
def test_errors_say_what_was_given(y_true, y_pred, options, message):
    with pytest.raises(ValueError, match=message):
        NumberPredictions.from_arrays(y_true, y_pred, **options)


def test_an_unknown_target_is_an_error_with_the_names():
    with pytest.raises(ValueError, match=r"target='age'; expected one of the targets: 'target'\."):
        NumberPredictions.from_arrays([1], [1]).target("age")


def test_an_estimator_is_run():
    X, y = np.arange(6.0)[:, None], pd.DataFrame({"a": np.arange(6.0), "b": -np.arange(6.0)})
    predictions = NumberPredictions.from_estimator(LinearRegression().fit(X, y), X, y)
    np.testing.assert_allclose(predictions.predicted, y.to_numpy(), atol=1e-12)
    assert predictions.target_names == ["a", "b"]
    with pytest.raises(TypeError, match="LogisticRegression is a classifier, which ClassifierReport is for"):
        NumberPredictions.from_estimator(LogisticRegression().fit(X, [0, 1] * 3), X, [0, 1] * 3)
    with pytest.raises(ValueError, match=r"predict\(X\) has shape \(6, 2\); expected \(6,\)"):
        NumberPredictions.from_estimator(LinearRegression().fit(X, y), X, y["a"])
