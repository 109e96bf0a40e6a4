"""Labels of every form pass one door."""

import unicodedata

import numpy as np
import pandas as pd
import polars as pl
import pytest
from toy import TOY

from skcnn._labels import as_label, as_labels
from skcnn.ensemble import BaggedSGDClassifier
from skcnn.metrics import threshold_table
from skcnn.neural_network import CNNClassifier
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


FORMS = {
    "NFD": lambda codes: np.array([unicodedata.normalize("NFD", "caf\u00e9"), "the"])[codes],
    "string": lambda codes: pd.Series(
        np.array([unicodedata.normalize("NFD", "caf\u00e9"), "the"])[codes], dtype="string"
    ),
    "Int64": lambda codes: pd.Series(codes, dtype="Int64"),
    "boolean": lambda codes: pd.Series(codes == 1, dtype="boolean"),
    "category": lambda codes: pd.Series(codes == 1, dtype="boolean").astype("category"),
    "float16": lambda codes: codes.astype("float16"),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_score_takes_the_labels_that_fit_takes(form):
    codes = np.arange(20) % 2
    X = np.zeros((20, 8, 8, 3), np.uint8)
    X[codes == 1] = 255
    given, wrong = form(codes), form(1 - codes)
    network = CNNClassifier(TOY, image_size=8, head_epochs=20, head_learning_rate=0.1, epochs=0, random_state=0)
    for classifier, rows in ((BaggedSGDClassifier(random_state=0), X.reshape(20, -1) / 255), (network, X)):
        classifier.fit(rows, given)
        assert classifier.score(rows, given) == 1
        assert classifier.score(rows, wrong) == 0
        assert classifier.score(rows[:2], form(np.array([0, 0])), sample_weight=[3, 1]) == 0.75


def test_class_weights_by_labels_in_another_form():
    codes = np.arange(20) % 2
    rows, labels = np.eye(2)[codes] + 1.0, FORMS["NFD"](codes)
    weights = [{unicodedata.normalize(form, "caf\u00e9"): 5.0, "the": 1.0} for form in ("NFD", "NFC")]
    assert weights[0] != weights[1]
    fitted = [BaggedSGDClassifier(random_state=0, class_weight=weight).fit(rows, labels) for weight in weights]
    even = BaggedSGDClassifier(random_state=0).fit(rows, labels)
    np.testing.assert_array_equal(fitted[0].predict_proba(rows), fitted[1].predict_proba(rows))
    assert np.abs(fitted[0].predict_proba(rows) - even.predict_proba(rows)).max() > 0.01
