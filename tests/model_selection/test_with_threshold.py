"""The threshold that is given to a fitted classifier, against scores that are compared with it by hand."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

import skcnn
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.model_selection import with_threshold

X = np.random.default_rng(0).random((60, 4))
IS_LARGE = X[:, 0] > 0.5
LABELS = {
    "text": np.where(IS_LARGE, "b", "a"),
    "objects": np.where(IS_LARGE, "b", "a").astype(object),
    "0 and 1": IS_LARGE.astype(int),
    "numbers": np.where(IS_LARGE, 7, 3),
    "bool": IS_LARGE,
}


@pytest.mark.parametrize("y", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("number", [0, 1])
def test_the_score_at_the_threshold_is_positive(y, number):
    classifier = LogisticRegression().fit(X, y)
    score = classifier.predict_proba(X)[:, number]
    threshold = np.sort(score)[20]
    fixed = with_threshold(classifier, threshold, pos_label=classifier.classes_[number])
    assert (score >= threshold).sum() == 40
    np.testing.assert_array_equal(
        fixed.predict(X), classifier.classes_[np.where(score >= threshold, number, 1 - number)]
    )
    np.testing.assert_array_equal(fixed.predict_proba(X), classifier.predict_proba(X))
    np.testing.assert_array_equal(fixed.classes_, classifier.classes_)


def test_the_second_class_is_positive_unless_told():
    classifier = LogisticRegression().fit(X, LABELS["text"])
    fixed = with_threshold(classifier, 0.3)
    np.testing.assert_array_equal(fixed.predict(X) == "b", classifier.predict_proba(X)[:, 1] >= 0.3)
    assert fixed.pos_label == "b"


def test_scores_of_a_decision_function():
    classifier = LinearSVC().fit(X, LABELS["text"])
    score = classifier.decision_function(X)
    np.testing.assert_array_equal(with_threshold(classifier, 0.4).predict(X) == "b", score >= 0.4)
    np.testing.assert_array_equal(with_threshold(classifier, 0.4, pos_label="a").predict(X) == "a", -score >= 0.4)


def test_nothing_is_copied_or_trained_again():
    classifier = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, LABELS["text"])
    fixed = with_threshold(classifier, 0.3)
    assert fixed.estimator_.estimator is classifier
    again = clone(fixed).fit(X[:2], ["b", "a"])
    np.testing.assert_array_equal(again.predict_proba(X), classifier.predict_proba(X))


def test_a_second_threshold_replaces_the_first():
    classifier = LogisticRegression().fit(X, LABELS["text"])
    fixed = with_threshold(with_threshold(classifier, 0.9), 0.2, pos_label="a")
    assert fixed.estimator.estimator is classifier
    np.testing.assert_array_equal(fixed.predict(X) == "a", classifier.predict_proba(X)[:, 0] >= 0.2)


def test_a_pipeline_of_images_and_its_file(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3), dtype=np.uint8)
    images[6:] //= 2
    features = BottleneckFeatures("ResNet20", layers="stage1_unit1", batch_size=12)
    pipeline = make_pipeline(features, LogisticRegression(C=1e-4)).fit(images, ["light"] * 6 + ["dark"] * 6)
    threshold = np.sort(pipeline.predict_proba(images)[:, 1])[2]
    fixed = with_threshold(pipeline, threshold)
    assert (fixed.predict(images) == "light").sum() == 10
    skcnn.save(fixed, tmp_path / "fixed.skcnn")
    again = skcnn.load(tmp_path / "fixed.skcnn")
    assert (again.threshold, again.pos_label) == (threshold, "light")
    np.testing.assert_allclose(again.predict_proba(images), pipeline.predict_proba(images), rtol=1e-5)
    np.testing.assert_array_equal(with_threshold(again, 0.5).predict(images), pipeline.predict(images))


def fitted(estimator, y=LABELS["text"]):
    return estimator.fit(X, y)


@pytest.mark.parametrize(
    ("estimator", "error", "said"),
    [
        (LogisticRegression(), NotFittedError, "LogisticRegression instance is not fitted yet"),
        (make_pipeline(StandardScaler(), LogisticRegression()), NotFittedError, "not fitted yet"),
        (fitted(LinearRegression(), X[:, 0]), TypeError, "LinearRegression is not a classifier"),
        (
            fitted(LogisticRegression(), np.arange(60) % 3),
            ValueError,
            "Got a LogisticRegression with 3 classes; expected",
        ),
        (
            fitted(MultiOutputClassifier(LogisticRegression()), np.c_[IS_LARGE, ~IS_LARGE]),
            ValueError,
            "of several targets; expected two classes",
        ),
    ],
)
def test_estimators_without_two_classes(estimator, error, said):
    with pytest.raises(error, match=said):
        with_threshold(estimator, 0.5)


class Labels(LogisticRegression):
    """A classifier without scores."""

    predict_proba = decision_function = property()


def test_a_classifier_without_scores():
    classifier = fitted(LogisticRegression())
    classifier.__class__ = Labels
    with pytest.raises(TypeError, match="Labels has neither predict_proba nor decision_function"):
        with_threshold(classifier, 0.5)


@pytest.mark.parametrize("threshold", [np.nan, np.inf, "0.5", None])
def test_thresholds_that_are_not_numbers(threshold):
    with pytest.raises(ValueError, match=r"Got threshold=.*; expected a finite number"):
        with_threshold(fitted(LogisticRegression()), threshold)


def test_labels_that_are_not_classes():
    with pytest.raises(ValueError, match="Got pos_label='c'; expected one of the classes, 'a', 'b'"):
        with_threshold(fitted(LogisticRegression()), 0.5, pos_label="c")
