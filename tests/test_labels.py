"""Labels of every form pass one door."""

import unicodedata

import numpy as np
import pandas as pd
import polars as pl
import pytest

from skcnn._labels import as_label, as_labels
from skcnn.ensemble import BaggedSGDClassifier
from skcnn.metrics import threshold_table
from skcnn.report import ClassifierReport

VALUES = np.array([True, False, True])


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (pd.Series([2, 3, 2], dtype="Int64"), np.array([2, 3, 2])),
        (pd.Series(VALUES, dtype="boolean"), VALUES),
        (pd.Series([0.5, 1.5, 0.5], dtype="Float32"), np.array([0.5, 1.5, 0.5], np.float32)),
        (pd.Series(["a", "b", "a"], dtype="category"), np.array(["a", "b", "a"], object)),
        (pd.Series([7, 8, 7], dtype="category"), np.array([7, 8, 7])),
        (pd.array([1, 2], dtype="Int8"), np.array([1, 2], np.int8)),
        (pl.Series(["x", "y"]), np.array(["x", "y"], object)),
        (np.array([1, 2], np.float16), np.array([1, 2], np.float32)),
        ([True, False], np.array([True, False])),
    ],
)
def test_forms(y, expected):
    labels = as_labels(y)
    assert labels.tolist() == expected.tolist()
    assert labels.dtype.kind == expected.dtype.kind or labels.dtype.kind in "OU"
    assert labels.dtype != np.float16


def test_missing_values_stay_for_the_caller_to_refuse():
    labels = as_labels(pd.Series([1, None], dtype="Int64"))
    assert pd.isna(labels).tolist() == [False, True]


def test_text_is_composed_and_what_becomes_one_class_is_named():
    composed, decomposed = "p\u00e2te", unicodedata.normalize("NFD", "p\u00e2te")
    assert as_labels([decomposed, "riz"]).tolist() == [composed, "riz"]
    with pytest.warns(UserWarning, match="one class: 'p\u00e2te'"):
        assert as_labels([decomposed, composed]).tolist() == [composed, composed]


@pytest.mark.parametrize("dtype", ["Int64", "boolean", "category", "string", "float16"])
def test_fit_score_and_report_agree(dtype):
    X = np.random.default_rng(0).normal(size=(60, 8))
    codes = (X[:, 0] > 0).astype(int)
    y = pd.Series(codes.astype(bool) if dtype == "boolean" else codes).astype(str if dtype == "string" else dtype)
    y = y.astype("string") if dtype == "string" else y
    model = BaggedSGDClassifier(random_state=0).fit(X, y)
    expected = (model.predict(X) == as_labels(y)).mean()
    assert expected > 0.8
    assert ClassifierReport.from_estimator(model, X, y).headline["accuracy"] == pytest.approx(expected)
    assert model.score(X, y) == pytest.approx(expected)


COMPOSED = "p\u00e2te"
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)


def test_a_single_label_is_composed_wherever_one_is_given():
    X = np.random.default_rng(0).normal(size=(60, 4))
    y = np.where(X[:, 0] > 0, DECOMPOSED, "riz")
    given = BaggedSGDClassifier(class_weight={DECOMPOSED: 3, "riz": 1}, random_state=0).fit(X, y)
    expected = BaggedSGDClassifier(class_weight={COMPOSED: 3, "riz": 1}, random_state=0).fit(X, as_labels(y))
    assert given.classes_.tolist() == [COMPOSED, "riz"]
    np.testing.assert_array_equal(given.predict_proba(X), expected.predict_proba(X))
    table = threshold_table(y, X[:, 0], pos_label=DECOMPOSED)
    pd.testing.assert_frame_equal(table, threshold_table(as_labels(y), X[:, 0], pos_label=COMPOSED))


@pytest.mark.parametrize(("label", "expected"), [(DECOMPOSED, COMPOSED), ("a", "a"), (3, 3), (None, None)])
def test_as_label(label, expected):
    assert as_label(label) == expected
