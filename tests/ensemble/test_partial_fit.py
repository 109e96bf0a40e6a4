import pickle

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, make_classification

import skcnn.ensemble._bags
from skcnn.ensemble import BaggedSGDClassifier


def chunks(X, y, size=100):
    return [(X[start : start + size], y[start : start + size]) for start in range(0, len(X), size)]


@pytest.mark.parametrize("bootstrap", [True, False])
def test_partial_fit_learns_as_well_as_fit(digits, bootstrap):
    X, X_test, y, y_test = digits
    online = BaggedSGDClassifier(bootstrap=bootstrap, random_state=0)
    for _ in range(10):
        for X_chunk, y_chunk in chunks(X, y):
            online.partial_fit(X_chunk, y_chunk, classes=np.unique(y))
    whole = BaggedSGDClassifier(bootstrap=bootstrap, random_state=0).fit(X, y)
    assert online.score(X_test, y_test) > whole.score(X_test, y_test) - 0.02
    assert online.class_count_.sum() == pytest.approx(10 * len(X))
    assert online.n_iter_ == 1


def test_partial_fit_of_two_classes_with_an_intercept():
    X, y = load_breast_cancer(return_X_y=True)
    online = BaggedSGDClassifier(fit_intercept=True, random_state=0)
    for _ in range(10):
        for X_chunk, y_chunk in chunks(X, y):
            online.partial_fit(X_chunk, y_chunk, classes=[0, 1])
    assert online.score(X, y) > 0.93


def test_partial_fit_weights_are_poisson(monkeypatch):
    X, y = make_classification(2000, 5, random_state=0)
    weight = np.where(y == 1, 3.0, 1.0)
    seen = []

    def record(self, X, targets, row_weight, **options):
        seen.append((len(X), np.rint(row_weight / (len(X) / 2000)).astype(int), targets[:, 1] == 1))

    monkeypatch.setattr(skcnn.ensemble._bags.SoftmaxSGD, "partial_fit", record)
    BaggedSGDClassifier(max_samples=0.8, random_state=0).partial_fit(X, y, [0, 1], sample_weight=weight)
    assert len(seen) == 10
    for label, rate in ((0, 0.8 / weight.mean()), (1, 0.8 * 3 / weight.mean())):
        counts = np.concatenate([counts[is_one == label] for _, counts, is_one in seen])
        n_rows = 10 * np.sum(y == label)
        assert counts.sum() / n_rows == pytest.approx(rate, rel=0.03)
        # Of a Poisson variable, mean and variance are the same; rows drawn 0 times are not handed on.
        assert (counts**2).sum() / n_rows - rate**2 == pytest.approx(rate, rel=0.06)


def test_partial_fit_freezes_the_filter_and_the_features(digits):
    X, _, y, _ = digits
    online = BaggedSGDClassifier(random_state=0).partial_fit(X, y, classes=np.unique(y))
    variances, support, features = online.variances_, online.support_, np.copy(online.estimators_features_)
    coef = online.coef_
    online.partial_fit(X[:200] * np.linspace(0, 3, 64), y[:200])
    np.testing.assert_array_equal(online.variances_, variances)
    np.testing.assert_array_equal(online.support_, support)
    np.testing.assert_array_equal(online.estimators_features_, features)
    assert np.any(online.coef_ != coef)


def test_partial_fit_goes_on_from_fit_and_from_a_pickle(digits):
    X, X_test, y, y_test = digits
    classifier = BaggedSGDClassifier(random_state=0).fit(X, y)
    features, score = np.copy(classifier.estimators_features_), classifier.score(X_test, y_test)
    classifier.partial_fit(X[:300], y[:300])
    np.testing.assert_array_equal(classifier.estimators_features_, features)
    assert classifier.score(X_test, y_test) > score - 0.03
    assert classifier.class_count_.sum() == len(X) + 300
    copy = pickle.loads(pickle.dumps(classifier))
    coef = classifier.partial_fit(X[300:400], y[300:400]).coef_
    np.testing.assert_array_equal(copy.partial_fit(X[300:400], y[300:400]).coef_, coef)
    again = copy.partial_fit(X[300:400], y[300:400]).coef_
    assert np.any(again != coef)


def test_partial_fit_alpha_follows_the_rows_seen(digits, monkeypatch):
    X, _, y, _ = digits
    strengths = []
    make = skcnn.ensemble._bags.SoftmaxSGD

    def record(*args, **options):
        strengths.append(options["l1"] + options["l2"])
        return make(*args, **options)

    monkeypatch.setattr(skcnn.ensemble._bags, "SoftmaxSGD", record)
    online = BaggedSGDClassifier(n_estimators=1, random_state=0)
    for X_chunk, y_chunk in chunks(X[:300], y[:300]):
        strengths.clear()
        online.partial_fit(X_chunk, y_chunk, classes=np.unique(y))
        assert strengths[-1] == pytest.approx(1 / online.class_count_.sum())
    assert strengths[-1] == pytest.approx(1 / 300)


def test_partial_fit_weights(digits):
    X, _, y, _ = digits
    weight = np.random.default_rng(0).integers(0, 3, len(X)).astype(float)
    rows = weight > 0

    def coef(X, y, weight):
        online = BaggedSGDClassifier(n_estimators=2, random_state=0)
        return online.partial_fit(X, y, classes=np.unique(digits[2]), sample_weight=weight).coef_

    np.testing.assert_array_equal(coef(X, y, weight), coef(X, y, weight * 4))
    np.testing.assert_array_equal(coef(X, y, weight), coef(X[rows], y[rows], weight[rows]))


def test_partial_fit_refuses_what_it_cannot_know(digits):
    X, _, y, _ = digits
    labels = np.unique(y)
    with pytest.raises(ValueError, match="classes must contain all labels"):
        BaggedSGDClassifier().partial_fit(X, y)
    with pytest.raises(ValueError, match="at least two classes"):
        BaggedSGDClassifier().partial_fit(X, y, classes=["digit 1"])
    with pytest.raises(ValueError, match=r"not among the classes: \['digit 9'\]"):
        BaggedSGDClassifier().partial_fit(X, y, classes=labels[:-1])
    with pytest.raises(ValueError, match="not those of the first call"):
        BaggedSGDClassifier().partial_fit(X, y, classes=labels).partial_fit(X, y, classes=labels[:2])
    with pytest.raises(ValueError, match="class_weight='balanced' cannot be used with partial_fit"):
        BaggedSGDClassifier(class_weight="balanced").partial_fit(X, y, classes=labels)
    with pytest.raises(ValueError, match="max_samples=100 is a count"):
        BaggedSGDClassifier(max_samples=100).partial_fit(X, y, classes=labels)
    assert not hasattr(BaggedSGDClassifier(solver="sklearn"), "partial_fit")
    with pytest.raises(AttributeError, match="partial_fit"):
        BaggedSGDClassifier(solver="sklearn").partial_fit(X, y, classes=labels)


def test_partial_fit_class_weight(digits):
    X, X_test, y, _ = digits
    shares = []
    for weight in (None, {"digit 8": 20.0}):
        online = BaggedSGDClassifier(class_weight=weight, random_state=0)
        for _ in range(5):
            online.partial_fit(X, y, classes=np.unique(y))
        shares.append(np.mean(online.predict(X_test) == "digit 8"))
    assert shares[1] > shares[0]
