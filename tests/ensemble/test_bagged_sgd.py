import pickle
from functools import partial

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.special import softmax
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectFromModel, VarianceThreshold
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import get_scorer, log_loss
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

from skcnn.ensemble import BaggedSGDClassifier

SOLVERS = ["minibatch", "sklearn"]
both_solvers = pytest.mark.parametrize("solver", SOLVERS)

WHY = {
    "check_sample_weight_equivalence_on_dense_data": (
        "weights set the chances of a random draw, as in BaggingClassifier: only the distribution of the result is the "
        "same, which test_weights_stand_for_repeated_rows holds it to"
    )
}


# One check trains scikit-learn's SGD with class weights of 1000 against 0.0001.
@pytest.mark.filterwarnings("ignore:Maximum number of iteration:sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(
    [
        *[BaggedSGDClassifier(solver=solver) for solver in SOLVERS],
        # scikit-learn's checks ask a classifier without an intercept for less.
        *[
            BaggedSGDClassifier(solver=solver, fit_intercept=True, max_features=1.0, bootstrap_features=False)
            for solver in SOLVERS
        ],
    ],
    expected_failed_checks=lambda estimator: WHY,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


# The solver of scikit-learn


@pytest.mark.parametrize("weighted", [False, True])
def test_sklearn_solver_is_the_recipe_itself(digits, weighted):
    X, X_test, y, _ = digits
    weight = np.random.default_rng(0).integers(1, 4, len(X)) if weighted else None
    classifier = BaggedSGDClassifier(solver="sklearn", variance_threshold=9.0, n_estimators=3, random_state=7)
    classifier.fit(X, y, sample_weight=weight)
    sgd = SGDClassifier(loss="log_loss", penalty="elasticnet", alpha=1 / len(X), fit_intercept=False)
    recipe = make_pipeline(
        VarianceThreshold(9.0),
        BaggingClassifier(sgd, 3, max_samples=len(X) // 2, max_features=0.5, bootstrap_features=True, random_state=7),
    )
    recipe.fit(X, y, baggingclassifier__sample_weight=None if weight is None else weight / weight.mean())
    np.testing.assert_array_equal(classifier.predict_proba(X_test), recipe.predict_proba(X_test))
    np.testing.assert_array_equal(classifier.predict(X_test), recipe.predict(X_test))
    bags = classifier.bagging_.estimators_
    np.testing.assert_array_equal(classifier.estimators_coef_, [bag.coef_ for bag in bags])
    kept = X[:, classifier.support_][:, classifier.bagging_.estimators_features_[1]]
    np.testing.assert_array_equal(kept, X[:, classifier.estimators_features_[1]])


def test_minibatch_is_as_good_as_the_recipe(digits):
    X, X_test, y, y_test = digits
    fast, classic = (BaggedSGDClassifier(solver=solver, random_state=0).fit(X, y) for solver in SOLVERS)
    assert fast.score(X_test, y_test) > classic.score(X_test, y_test) - 0.01
    losses = [log_loss(y_test, c.predict_proba(X_test)) for c in (fast, classic)]
    assert losses[0] < losses[1]


# The variance filter


@both_solvers
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("factor", [0.02, 2e-12, 2e-23, 1e9])
def test_auto_threshold_works_at_any_scale(digits, solver, dtype, factor):
    X, X_test, y, y_test = digits
    options = {"solver": solver, "n_estimators": 3, "random_state": 0}
    classifier = BaggedSGDClassifier(**options).fit((X * factor).astype(dtype), y)
    as_it_is = BaggedSGDClassifier(**options).fit(X, y)
    np.testing.assert_array_equal(classifier.support_, as_it_is.support_)
    proba = classifier.predict_proba((X_test * factor).astype(dtype))
    if solver == "minibatch":
        np.testing.assert_allclose(proba, as_it_is.predict_proba(X_test), atol=1e-3)
    assert np.mean(classifier.classes_[proba.argmax(axis=1)] == y_test) > 0.85


@pytest.mark.parametrize("threshold", [0.0, 0.5, 9.0])
def test_a_number_means_what_variance_threshold_means(digits, threshold):
    X, _, y, _ = digits
    X = X + 1e-3  # constant columns whose mean rounds
    support = BaggedSGDClassifier(variance_threshold=threshold).fit(X, y).support_
    np.testing.assert_array_equal(support, VarianceThreshold(threshold).fit(X).get_support())
    assert 0 < support.sum() < X.shape[1]


def test_auto_threshold_drops_what_hardly_varies():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 12)) * np.sqrt([1, 2, 3, 0.3, 0.05, 0, 0, 0, 0, 0, 0, 0])
    X[:, 5:] += 0.1  # constant
    X[:, 11] += 1e-17 * rng.normal(size=200)
    classifier = BaggedSGDClassifier(max_features=1.0).fit(X, X[:, 0] > 0)
    assert classifier.support_.tolist() == [True] * 4 + [False] * 8
    assert np.all(classifier.variances_[5:11] == 0)
    assert not np.isin(np.concatenate(classifier.estimators_features_), np.arange(4, 12)).any()


def test_emptied_matrix_says_what_was_there_and_what_to_do(digits):
    X, _, y, _ = digits
    X = X[:, X.var(axis=0) > 1] / 1e3
    low, middle, high = (f"{f(X.var(axis=0)):.3g}" for f in (np.min, np.median, np.max))
    with pytest.raises(ValueError, match=rf"variance_threshold=0.1 leaves none of the {X.shape[1]} features") as error:
        BaggedSGDClassifier(variance_threshold=0.1).fit(X, y)
    message = str(error.value)
    assert f"min {low}, median {middle}, max {high}" in message
    assert "variance_threshold='auto'" in message
    with pytest.raises(ValueError, match="No feature varies over the rows given"):
        BaggedSGDClassifier().fit(np.full((20, 3), 0.1), np.arange(20) % 2)


# Weights


@both_solvers
def test_weights_stand_for_repeated_rows(solver):
    rng = np.random.default_rng(0)
    X, y = make_classification(60, 6, n_informative=4, n_redundant=0, n_classes=3, flip_y=0.2, random_state=1)
    weight = rng.integers(0, 5, len(X)) * np.where(y == 0, 3, 1)
    make = partial(BaggedSGDClassifier, solver=solver, n_estimators=8, max_samples=40)
    rows = np.repeat(np.arange(len(X)), weight)
    n_seeds = 40 if solver == "minibatch" else 15

    def outcomes(X_fit, y_fit, sample_weight):
        fits = [make(random_state=seed).fit(X_fit, y_fit, sample_weight=sample_weight) for seed in range(n_seeds)]
        return np.array([fit.predict_proba(X).mean(axis=0) for fit in fits])

    weighted, repeated = outcomes(X, y, weight), outcomes(X[rows], y[rows], None)
    unweighted = outcomes(X, y, None)
    error = np.sqrt((weighted.var(axis=0) + repeated.var(axis=0)) / (n_seeds - 1))
    assert np.all(np.abs(weighted.mean(axis=0) - repeated.mean(axis=0)) < 3.5 * error)
    assert np.any(
        np.abs(unweighted.mean(axis=0) - repeated.mean(axis=0)) > 8 * error
    )  # the test would see a difference


@both_solvers
@pytest.mark.parametrize("factor", [1e-6, 7.0, 1e8])
def test_scaling_all_weights_changes_nothing(digits, solver, factor):
    X, X_test, y, _ = digits
    weight = np.random.default_rng(0).random(len(X))
    make = partial(BaggedSGDClassifier, solver=solver, n_estimators=2, random_state=0)
    proba = make().fit(X, y, sample_weight=weight).predict_proba(X_test)
    scaled = make().fit(X, y, sample_weight=weight * factor)
    np.testing.assert_allclose(scaled.predict_proba(X_test), proba, atol=1e-6)
    if solver == "sklearn":
        assert scaled.bagging_.max_samples == len(X) // 2


@both_solvers
def test_rows_without_weight_might_as_well_be_absent(digits, solver):
    X, X_test, y, _ = digits
    weight = np.random.default_rng(0).integers(0, 3, len(X)).astype(float)
    weight[y == "digit 3"] = 0
    X = np.where(weight[:, np.newaxis] == 0, 1e6, X)
    make = partial(BaggedSGDClassifier, solver=solver, n_estimators=2, random_state=0)
    with_them = make().fit(X, y, sample_weight=weight)
    rows = weight > 0
    without = make().fit(X[rows], y[rows], sample_weight=weight[rows])
    assert with_them.classes_.tolist() == sorted(set(y) - {"digit 3"})
    np.testing.assert_array_equal(with_them.predict_proba(X_test), without.predict_proba(X_test))


def test_unusable_weights_are_refused(digits):
    X, _, y, _ = digits
    for weight, message in [
        (-np.ones(len(X)), "no negative weights"),
        (np.zeros(len(X)), "zero for every row"),
        (np.ones((len(X), 1)), r"1-D.*shape \(1347, 1\)"),
        (np.ones(3), "inconsistent numbers of samples"),
        (np.full(len(X), np.nan), "sample_weight contains NaN"),
    ]:
        with pytest.raises(ValueError, match=message):
            BaggedSGDClassifier().fit(X, y, sample_weight=weight)


@both_solvers
def test_class_weight_balanced(solver):
    X, y = make_classification(1500, 20, n_informative=5, weights=[0.93], class_sep=0.7, flip_y=0.02, random_state=0)
    y = np.where(y == 1, "rare", "common")
    X, X_test, y, y_test = train_test_split(X, y, random_state=0, stratify=y)
    make = partial(BaggedSGDClassifier, solver=solver, fit_intercept=True, random_state=0)
    plain, balanced = make().fit(X, y), make(class_weight="balanced").fit(X, y)
    rare = y_test == "rare"
    recall = [np.mean(classifier.predict(X_test)[rare] == "rare") for classifier in (plain, balanced)]
    assert recall[1] > recall[0] + 0.2
    counts = {label: np.sum(y == label) for label in ("common", "rare")}
    by_hand = make(class_weight={label: len(y) / 2 / count for label, count in counts.items()}).fit(X, y)
    np.testing.assert_allclose(by_hand.predict_proba(X_test), balanced.predict_proba(X_test))


# Labels and shapes


@both_solvers
@pytest.mark.parametrize("routing", [False, True])
def test_a_bag_that_misses_a_class_still_has_it(digits, solver, routing):
    X, X_test, y, _ = digits
    rare = np.flatnonzero(y == "digit 9")[:1]
    rows = np.concatenate([np.flatnonzero(y != "digit 9"), rare])
    with sklearn.config_context(enable_metadata_routing=routing):
        classifier = BaggedSGDClassifier(solver=solver, n_estimators=5, max_samples=40, random_state=0)
        classifier.fit(X[rows], y[rows])
        proba = classifier.predict_proba(X_test)
    assert classifier.classes_.tolist() == [f"digit {label}" for label in range(10)]
    assert proba.shape == (len(X_test), 10)
    assert classifier.estimators_coef_.shape[:2] == (5, 10)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert np.isfinite(classifier.predict_log_proba(X_test)).all()


@both_solvers
@pytest.mark.parametrize("n_classes", [2, 3])
def test_outputs_agree(solver, n_classes):
    X, y = make_classification(300, 12, n_informative=6, n_classes=n_classes, random_state=0)
    labels = np.array(["a", "b", "c"])[y]
    classifier = BaggedSGDClassifier(solver=solver, random_state=0).fit(X, labels)
    proba, scores = classifier.predict_proba(X), classifier.decision_function(X)
    assert proba.shape == (300, n_classes)
    assert proba.dtype == np.float64
    np.testing.assert_array_equal(classifier.predict(X), classifier.classes_[proba.argmax(axis=1)])
    np.testing.assert_allclose(classifier.predict_log_proba(X), np.log(proba))
    n_outputs = 1 if n_classes == 2 else n_classes
    assert scores.shape == ((300,) if n_classes == 2 else (300, n_classes))
    if n_classes == 2:
        np.testing.assert_array_equal(scores.argsort(kind="stable"), proba[:, 1].argsort(kind="stable"))
        np.testing.assert_allclose(scores, np.log(proba[:, 1] / proba[:, 0]))
    assert classifier.coef_.shape == (n_outputs, 12)
    assert classifier.intercept_.shape == (n_outputs,)
    assert classifier.estimators_coef_.shape == (10, n_outputs, 6)
    assert classifier.estimators_intercept_.shape == (10, n_outputs)


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_attributes_are_what_predicts(n_classes, fit_intercept):
    X, y = make_classification(300, 12, n_informative=6, n_classes=n_classes, shift=3.0, random_state=0)
    classifier = BaggedSGDClassifier(fit_intercept=fit_intercept, random_state=0).fit(X, y)
    bags = zip(
        classifier.estimators_features_, classifier.estimators_coef_, classifier.estimators_intercept_, strict=True
    )
    scores = np.array([X[:, features] @ coef.T + intercept for features, coef, intercept in bags])
    np.testing.assert_allclose(X @ classifier.coef_.T + classifier.intercept_, scores.mean(axis=0), atol=1e-9)
    if n_classes == 2:
        scores = np.concatenate([np.zeros_like(scores), scores], axis=2)
    np.testing.assert_allclose(classifier.predict_proba(X), softmax(scores, axis=2).mean(axis=0))


@both_solvers
def test_draws(digits, solver):
    X, _, y, _ = digits
    make = partial(BaggedSGDClassifier, solver=solver, n_estimators=2, random_state=0)
    classifier = make(max_features=7, bootstrap_features=False).fit(X, y)
    assert all(len(set(features)) == 7 for features in classifier.estimators_features_)
    assert len(make().fit(X, y).estimators_features_[0]) == classifier.support_.sum() // 2
    n_kept = classifier.support_.sum()
    with pytest.raises(ValueError, match=rf"max_features=64 is more than the {n_kept} of 64 features"):
        make(max_features=64).fit(X, y)
    with pytest.raises(ValueError, match=rf"max_samples=9999 is more than the {len(X)} rows, and bootstrap=False"):
        make(max_samples=9999, bootstrap=False).fit(X, y)
    one_class = y == "digit 1"
    with pytest.raises(ValueError, match="at least two classes; the rows given have 1 class"):
        make().fit(X[one_class], y[one_class])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_estimators", 0),
        ("max_samples", 1.5),
        ("max_features", 0.0),
        ("variance_threshold", -1.0),
        ("variance_threshold", "median"),
        ("solver", "lbfgs"),
        ("penalty", "ridge"),
        ("alpha", -1e-3),
        ("l1_ratio", 2.0),
        ("tol", -1.0),
        ("batch_size", 0),
        ("class_weight", "even"),
    ],
)
def test_bad_parameters_are_named(digits, name, value):
    X, _, y, _ = digits
    with pytest.raises(ValueError, match=rf"The '{name}' parameter of BaggedSGDClassifier must be .* Got {value!r}"):
        BaggedSGDClassifier(**{name: value}).fit(X, y)


# Repeatability and scikit-learn's machinery


@both_solvers
def test_only_the_seed_matters(digits, solver):
    X, X_test, y, _ = digits
    make = partial(BaggedSGDClassifier, solver=solver, n_estimators=2)
    proba = make(random_state=3).fit(X, y).predict_proba(X_test)
    np.testing.assert_array_equal(make(random_state=3).fit(X, y).predict_proba(X_test), proba)
    assert np.any(make(random_state=4).fit(X, y).predict_proba(X_test) != proba)


def test_threads_do_not_matter(digits):
    X, _, y, _ = digits
    make = partial(BaggedSGDClassifier, n_estimators=3, random_state=0)
    coef = make().fit(X, y).estimators_coef_
    np.testing.assert_array_equal(make(n_jobs=2).fit(X, y).estimators_coef_, coef)
    with joblib.parallel_config(backend="loky", n_jobs=2):  # processes could not store what they learn
        np.testing.assert_array_equal(make().fit(X, y).estimators_coef_, coef)
    with threadpool_limits(2, user_api="blas"):
        np.testing.assert_array_equal(make().fit(X, y).estimators_coef_, coef)


@both_solvers
def test_clone_and_pickle(digits, solver):
    X, X_test, y, _ = digits
    classifier = BaggedSGDClassifier(solver=solver, n_estimators=2, random_state=0).fit(X, y)
    copy = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_array_equal(copy.predict_proba(X_test), classifier.predict_proba(X_test))
    with pytest.raises(NotFittedError):
        clone(classifier).predict(X_test)
    assert not hasattr(clone(classifier), "coef_")


def test_another_solver_leaves_nothing_behind(digits):
    X, X_test, y, _ = digits
    make = partial(BaggedSGDClassifier, n_estimators=2, random_state=0)
    fits = {solver: make(solver=solver).fit(X, y).predict_proba(X_test) for solver in SOLVERS}
    online = make().partial_fit(X, y, classes=np.unique(y)).predict_proba(X_test)
    classifier = make()
    for solver in ["sklearn", "minibatch", "sklearn"]:
        classifier.set_params(solver=solver).fit(X, y)
        np.testing.assert_array_equal(classifier.predict_proba(X_test), fits[solver])
    classifier.set_params(solver="minibatch").partial_fit(X, y, classes=np.unique(y))
    np.testing.assert_array_equal(classifier.predict_proba(X_test), online)


def test_search_routing_and_frames(digits):
    X, _, y, _ = digits
    frame = pd.DataFrame(X, columns=[f"pixel{i}" for i in range(X.shape[1])])
    weight = np.where(y == "digit 0", 5.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        classifier = BaggedSGDClassifier(n_estimators=2, random_state=0)
        classifier.set_fit_request(sample_weight=True)
        search = GridSearchCV(
            make_pipeline(StandardScaler().set_fit_request(sample_weight=False), classifier),
            {"baggedsgdclassifier__alpha": [1e-3, 10.0], "baggedsgdclassifier__variance_threshold": [0.0, "auto"]},
            scoring=get_scorer("accuracy").set_score_request(sample_weight=False),
            cv=3,
        ).fit(frame, y, sample_weight=weight)
    assert search.best_params_["baggedsgdclassifier__alpha"] == 1e-3
    assert search.best_estimator_[-1].class_count_[0] > 2 * search.best_estimator_[-1].class_count_[1]
    fitted = BaggedSGDClassifier(n_estimators=2).fit(frame, y)
    assert fitted.feature_names_in_.tolist() == frame.columns.tolist()
    assert fitted.n_features_in_ == 64
    assert SelectFromModel(fitted, prefit=True, max_features=10).transform(frame.to_numpy()).shape == (len(X), 10)
