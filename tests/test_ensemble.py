import pickle
from functools import partial

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy.special import softmax
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, make_classification
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.feature_selection import SelectFromModel, VarianceThreshold
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

import skcnn.ensemble
from skcnn.ensemble import BaggedSGDClassifier
from skcnn.ensemble._softmax_sgd import SoftmaxSGD, log_softmax

SOLVERS = ["minibatch", "sklearn"]
both_solvers = pytest.mark.parametrize("solver", SOLVERS)

#: One bag that is all of the data: what it learns is known from elsewhere.
PLAIN = {
    "n_estimators": 1,
    "max_samples": 1.0,
    "max_features": 1.0,
    "bootstrap": False,
    "bootstrap_features": False,
    "variance_threshold": 0.0,
}

WHY = {
    "check_sample_weight_equivalence_on_dense_data": (
        "weights set the chances of a random draw, as in BaggingClassifier: only the distribution of the result is the "
        "same, which test_weights_stand_for_repeated_rows holds it to"
    )
}


@parametrize_with_checks(
    [
        *[BaggedSGDClassifier(solver=solver) for solver in SOLVERS],
        # scikit-learn's checks ask a classifier without an intercept for less.
        *[BaggedSGDClassifier(solver=solver, fit_intercept=True, max_features=1.0) for solver in SOLVERS],
    ],
    expected_failed_checks=lambda estimator: WHY,
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def digits():
    """Train and test halves of scikit-learn's digits, with labels that are strings."""
    X, y = load_digits(return_X_y=True)
    return train_test_split(X, np.array([f"digit {label}" for label in y]), random_state=0, stratify=y)


# What the mini-batch solver minimises


def objective_gap(classifier, X, y, alpha):
    """Return how far the coefficients are from satisfying the optimality conditions of the elastic net."""
    scale = X.std(axis=0)
    Z = X / scale
    W = (classifier.coef_ * scale).T
    scores = Z @ W
    proba = softmax(np.hstack([0 * scores, scores]) if scores.shape[1] == 1 else scores, axis=1)
    residual = proba - (y[:, np.newaxis] == classifier.classes_)
    gradient = Z.T @ residual[:, -W.shape[1] :] / len(X) + alpha * (1 - classifier.l1_ratio) * W
    l1 = alpha * classifier.l1_ratio
    return np.where(W == 0, np.maximum(np.abs(gradient) - l1, 0), np.abs(gradient + l1 * np.sign(W))).max()


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("load", [load_digits, load_breast_cancer])
def test_one_bag_of_everything_is_logistic_regression(load, fit_intercept):
    X, y = load(return_X_y=True)
    X = X[:, X.var(axis=0) > 0]
    classifier = BaggedSGDClassifier(
        **PLAIN, penalty="l2", alpha=0.01, fit_intercept=fit_intercept, tol=1e-6, random_state=0
    ).fit(X, y)
    reference = make_pipeline(
        StandardScaler(with_mean=fit_intercept),
        LogisticRegression(C=1 / (0.01 * len(X)), fit_intercept=fit_intercept, max_iter=5000),
    ).fit(X, y)
    np.testing.assert_allclose(classifier.predict_proba(X), reference.predict_proba(X), atol=0.02)
    assert np.any(classifier.intercept_) == fit_intercept


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("shift", [0.0, 5.0])  # a large mean calls for the metric of the solver
def test_elastic_net_reaches_its_optimum(n_classes, shift):
    X, y = make_classification(600, 30, n_informative=6, n_redundant=0, n_classes=n_classes, random_state=0)
    X = X + shift
    classifier = BaggedSGDClassifier(**PLAIN, alpha=0.05, l1_ratio=0.5, tol=1e-7, random_state=0).fit(X, y)
    assert objective_gap(classifier, X, y, 0.05) < 2e-3
    assert objective_gap(classifier, X, y, 0.06) > 2e-3  # the measure tells another objective
    zeros = (classifier.coef_ == 0).mean()
    assert 0.3 < zeros < 1
    assert not (clone(classifier).set_params(penalty="l2").fit(X, y).coef_ == 0).any()
    none, ridge = (clone(classifier).set_params(penalty=penalty).fit(X, y) for penalty in (None, "l2"))
    assert np.abs(none.coef_).sum() > np.abs(ridge.coef_).sum()
    lasso = clone(classifier).set_params(penalty="l1").fit(X, y)
    assert (lasso.coef_ == 0).mean() > zeros


def test_proximal_step_solves_its_problem():
    rng = np.random.default_rng(0)
    direction = np.abs(rng.normal(size=20))
    direction /= np.linalg.norm(direction)
    solver = SoftmaxSGD(np.zeros((20, 3)), l1=1.0, l2=0.0, batch_size=8, fit_intercept=False)
    solver.direction, solver.stiffness = direction, 7.0
    start = rng.normal(size=(20, 3))
    moved = solver._shrink(start, 0.4)
    # Stationarity of 1/2 |x - y|^2 in the metric + 0.4 |x|_1.
    pull = (np.eye(20) + 7.0 * np.outer(direction, direction)) @ (moved - start)
    inside = moved == 0
    assert 0 < inside.sum() < inside.size
    np.testing.assert_allclose(pull[~inside], -0.4 * np.sign(moved[~inside]), atol=1e-9)
    assert np.abs(pull[inside]).max() <= 0.4 + 1e-9


@pytest.mark.parametrize("n_classes", [2, 3])
def test_scaling_weights_and_penalty_alike_changes_nothing(n_classes):
    X, y = make_classification(200, 10, n_informative=5, n_classes=n_classes, random_state=0)
    one = BaggedSGDClassifier(alpha=0.01, random_state=0).fit(X, y)
    four = BaggedSGDClassifier(alpha=0.04, class_weight=dict.fromkeys(range(n_classes), 4), random_state=0).fit(X, y)
    np.testing.assert_allclose(four.predict_proba(X), one.predict_proba(X), rtol=1e-4)


def test_auto_alpha_is_one_over_the_rows(digits):
    X, _, y, _ = digits
    auto = BaggedSGDClassifier(random_state=0).fit(X, y)
    given = BaggedSGDClassifier(alpha=1 / len(X), random_state=0).fit(X, y)
    np.testing.assert_array_equal(auto.coef_, given.coef_)
    assert np.any(auto.coef_ != BaggedSGDClassifier(alpha=0.1, random_state=0).fit(X, y).coef_)


def test_max_iter_warns_and_tol_none_runs_it_out(digits):
    X, _, y, _ = digits
    with pytest.warns(ConvergenceWarning, match="max_iter=2 epochs"):
        assert BaggedSGDClassifier(max_iter=2).fit(X, y).n_iter_ == 2
    assert BaggedSGDClassifier(max_iter=3, tol=None).fit(X, y).n_iter_ == 3


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
    losses = [sklearn.metrics.log_loss(y_test, c.predict_proba(X_test)) for c in (fast, classic)]
    assert losses[0] < losses[1]


# The variance filter


@both_solvers
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("factor", [0.02, 2e-12, 1e9])
def test_auto_threshold_works_at_any_scale(digits, solver, dtype, factor):
    X, X_test, y, y_test = digits
    options = {"solver": solver, "n_estimators": 3, "random_state": 0}
    classifier = BaggedSGDClassifier(**options).fit((X * factor).astype(dtype), y)
    as_it_is = BaggedSGDClassifier(**options).fit(X, y)
    np.testing.assert_array_equal(classifier.support_, as_it_is.support_)
    proba = classifier.predict_proba((X_test * factor).astype(dtype))
    np.testing.assert_allclose(proba, as_it_is.predict_proba(X_test), atol=0.05 if solver == "sklearn" else 1e-3)
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
    X = rng.normal(size=(200, 12)) * np.sqrt([1, 2, 3, 0.3, 0.1, 0, 0, 0, 0, 0, 0, 0])
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
    make = partial(BaggedSGDClassifier, solver=solver, n_estimators=8, max_samples=80, alpha="auto")
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


def test_log_softmax_stands_large_scores():
    np.testing.assert_allclose(log_softmax(np.array([[1e4], [-1e4]])), [[-1e4, 0], [0, -1e4]])
    np.testing.assert_allclose(np.exp(log_softmax(np.array([[1.0, 2.0, 3.0]]))), softmax([[1.0, 2.0, 3.0]], axis=1))


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
    make = partial(BaggedSGDClassifier, solver=solver, n_estimators=4)
    proba = make(random_state=3).fit(X, y).predict_proba(X_test)
    np.testing.assert_array_equal(make(random_state=3).fit(X, y).predict_proba(X_test), proba)
    assert np.any(make(random_state=4).fit(X, y).predict_proba(X_test) != proba)
    threads = make(random_state=3, n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(threads.estimators_coef_, make(random_state=3).fit(X, y).estimators_coef_)
    if solver == "minibatch":
        with threadpool_limits(2):
            np.testing.assert_array_equal(make(random_state=3).fit(X, y).estimators_coef_, threads.estimators_coef_)


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
    classifier = BaggedSGDClassifier(solver="sklearn", n_estimators=2, random_state=0).fit(X, y)
    classifier.set_params(solver="minibatch").fit(X, y)
    fresh = BaggedSGDClassifier(n_estimators=2, random_state=0).fit(X, y)
    np.testing.assert_array_equal(classifier.predict_proba(X_test), fresh.predict_proba(X_test))


def test_search_routing_and_frames(digits):
    X, _, y, _ = digits
    frame = pd.DataFrame(X, columns=[f"pixel{i}" for i in range(X.shape[1])])
    weight = np.where(y == "digit 0", 5.0, 1.0)
    with sklearn.config_context(enable_metadata_routing=True):
        classifier = BaggedSGDClassifier(n_estimators=2, random_state=0).set_fit_request(sample_weight=True)
        search = GridSearchCV(
            make_pipeline(StandardScaler().set_fit_request(sample_weight=False), classifier),
            {"baggedsgdclassifier__alpha": [1e-3, 10.0], "baggedsgdclassifier__variance_threshold": [0.0, "auto"]},
            cv=3,
        ).fit(frame, y, sample_weight=weight)
    assert search.best_params_["baggedsgdclassifier__alpha"] == 1e-3
    assert search.best_estimator_[-1].class_count_[0] > 2 * search.best_estimator_[-1].class_count_[1]
    fitted = BaggedSGDClassifier(n_estimators=2).fit(frame, y)
    assert fitted.feature_names_in_.tolist() == frame.columns.tolist()
    assert fitted.n_features_in_ == 64
    assert SelectFromModel(fitted, prefit=True, max_features=10).transform(frame.to_numpy()).shape == (len(X), 10)


# partial_fit


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

    monkeypatch.setattr(skcnn.ensemble.SoftmaxSGD, "partial_fit", record)
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
    make = skcnn.ensemble.SoftmaxSGD

    def record(*args, **options):
        strengths.append(options["l1"] + options["l2"])
        return make(*args, **options)

    monkeypatch.setattr(skcnn.ensemble, "SoftmaxSGD", record)
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
    with pytest.raises(ValueError, match="classes must name all labels"):
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
    X, X_test, y, y_test = digits
    shares = []
    for weight in (None, {"digit 8": 20.0}):
        online = BaggedSGDClassifier(class_weight=weight, random_state=0)
        for _ in range(5):
            online.partial_fit(X, y, classes=np.unique(y))
        shares.append(np.mean(online.predict(X_test) == "digit 8"))
    assert shares[1] > shares[0]
