"""``fit_batches`` learns what ``fit`` learns, from rows that come in batches, in every epoch again."""

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from skcnn.ensemble import BaggedSGDClassifier
from skcnn.ensemble._streamed import Draws, first_pass


class Shuffled:
    """Rows in another order and in other batches in every pass."""

    def __init__(self, X, y, size=700):
        self.X, self.y, self.size, self.n_passes = X, y, size, 0

    def __iter__(self):
        self.n_passes += 1
        order = np.random.default_rng(self.n_passes).permutation(len(self.X))
        for start in range(0, len(order), self.size + self.n_passes):
            rows = order[start : start + self.size + self.n_passes]
            yield self.X[rows], self.y[rows]


@pytest.mark.parametrize("parameters", [{}, {"bootstrap": False, "fit_intercept": True}])
def test_it_learns_as_well_as_fit(digits, parameters):
    X, X_test, y, y_test = digits
    batches = Shuffled(X, y)
    streamed = BaggedSGDClassifier(random_state=0, **parameters).fit_batches(batches)
    whole = BaggedSGDClassifier(random_state=0, **parameters).fit(X, y)
    assert streamed.score(X_test, y_test) > whole.score(X_test, y_test) - 0.01
    assert batches.n_passes == streamed.n_iter_ + 1
    np.testing.assert_array_equal(streamed.classes_, whole.classes_)
    np.testing.assert_array_equal(streamed.class_count_, np.unique(y, return_counts=True)[1])
    np.testing.assert_allclose(streamed.variances_, whole.variances_, rtol=1e-9)
    np.testing.assert_array_equal(streamed.support_, whole.support_)


def test_two_classes_with_names_and_weights(digits):
    X, _, y, _ = digits
    y = np.where(y == "digit 3", "three", "another")
    plain = BaggedSGDClassifier(random_state=0).fit_batches(Shuffled(X, y))
    balanced = BaggedSGDClassifier(class_weight="balanced", random_state=0).fit_batches(Shuffled(X, y))
    as_dict = {"another": len(y) / (2 * np.sum(y == "another")), "three": len(y) / (2 * np.sum(y == "three"))}
    by_dict = BaggedSGDClassifier(class_weight=as_dict, random_state=0).fit_batches(Shuffled(X, y))
    np.testing.assert_allclose(balanced.coef_, by_dict.coef_)
    assert balanced.predict_proba(X)[:, 1].mean() > plain.predict_proba(X)[:, 1].mean()
    assert plain.score(X, y) > 0.95


def test_it_is_repeatable_and_partial_fit_goes_on_from_it(digits):
    X, X_test, y, y_test = digits
    one, two = (BaggedSGDClassifier(random_state=0).fit_batches(Shuffled(X, y)) for _ in range(2))
    np.testing.assert_array_equal(one.coef_, two.coef_)
    one.partial_fit(X[:200], y[:200])
    assert np.any(one.coef_ != two.coef_)
    assert one.score(X_test, y_test) > two.score(X_test, y_test) - 0.03
    with pytest.raises(ValueError, match="the batches have 1 class, 7"):
        one.fit_batches([(X[:5], np.full(5, 7))])


def test_moments_of_batches_are_those_of_all_rows():
    rng = np.random.default_rng(0)
    X = rng.normal(5, 2, (1000, 4)).astype(np.float32)
    X[:, 2] = 0.1
    y = np.sort(rng.integers(0, 5, 1000))
    seen = first_pass(iter([(X[start : start + 70], y[start : start + 70]) for start in range(0, 1000, 70)]))
    np.testing.assert_allclose(seen.mean, X.astype(float).mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(seen.variance[[0, 1, 3]], X.astype(float).var(axis=0)[[0, 1, 3]], rtol=1e-12)
    assert seen.variance[2] == 0.0
    assert seen.classes.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(seen.class_count, np.bincount(y))


@pytest.mark.parametrize("bootstrap", [True, False])
def test_draws_depend_on_the_row_alone_and_are_as_often_as_asked(bootstrap):
    X = np.random.default_rng(0).normal(size=(20_000, 3)).astype(np.float32)
    draws = Draws(3, rate=0.5, bootstrap=bootstrap, seed=1)
    counts = np.stack([draws.of_bag(bag, draws.hashes(X)) for bag in range(3)])
    order = np.random.default_rng(1).permutation(len(X))
    np.testing.assert_array_equal(draws.of_bag(2, draws.hashes(X[order[:77]])), counts[2][order[:77]])
    # Of Poisson numbers of mean 0.5: P(0) = exp(-1/2), and the variance is the mean; bags are independent.
    standard_error = np.sqrt(0.5 / len(X))
    np.testing.assert_allclose(counts.mean(axis=1), 0.5, atol=4 * standard_error)
    np.testing.assert_allclose(np.corrcoef(counts)[np.triu_indices(3, 1)], 0, atol=4 / np.sqrt(len(X)))
    if bootstrap:
        np.testing.assert_allclose((counts == 0).mean(axis=1), np.exp(-0.5), atol=4 * standard_error)
        np.testing.assert_allclose(counts.var(axis=1), 0.5, atol=0.03)
    else:
        assert set(np.unique(counts)) == {0, 1}
    # Rows that differ in the last bit of one feature are drawn independently.
    beside = X.copy()
    beside[:, 1] = np.nextafter(beside[:, 1], np.float32(np.inf))
    other = draws.of_bag(0, draws.hashes(beside))
    assert abs(np.corrcoef(counts[0], other)[0, 1]) < 4 / np.sqrt(len(X))


def test_what_it_refuses(digits):
    X, _, y, _ = digits
    classifier = BaggedSGDClassifier(random_state=0)
    with pytest.raises(TypeError, match=r"batches is a generator; expected batches .* several times"):
        classifier.fit_batches((X, y) for _ in range(3))
    with pytest.raises(TypeError, match="batches is a int"):
        classifier.fit_batches(3)
    with pytest.raises(ValueError, match="batches is empty"):
        classifier.fit_batches([])
    with pytest.raises(ValueError, match="leaves none of the 64 features"):
        classifier.fit_batches([(np.ones_like(X), y)])
    with pytest.raises(ValueError, match="NaN in all features of 1 of"):
        classifier.fit_batches([(X, y), (np.where(np.arange(len(X)) == 3, np.nan, X.T).T, y)])
    with pytest.raises(AttributeError) as caught:
        BaggedSGDClassifier(solver="sklearn").fit_batches([(X, y)])
    assert "partial_fit and fit_batches need solver='minibatch'" in str(caught.value.__cause__)
    with pytest.warns(ConvergenceWarning, match="after max_iter=2 epochs"):
        BaggedSGDClassifier(max_iter=2, random_state=0).fit_batches([(X, y)])
