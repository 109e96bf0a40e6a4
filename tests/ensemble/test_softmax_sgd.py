import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax
from sklearn.datasets import load_breast_cancer, load_digits, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skcnn.ensemble import BaggedSGDClassifier
from skcnn.ensemble._softmax_sgd import SoftmaxSGD, log_softmax

#: One bag that is all of the data: what it learns is known from elsewhere.
PLAIN = {
    "n_estimators": 1,
    "max_samples": 1.0,
    "max_features": 1.0,
    "bootstrap": False,
    "bootstrap_features": False,
    "variance_threshold": 0.0,
}


def objective(W, Z, y, alpha, l1_ratio):
    """Return what a bag minimises and the gradient of its smooth part, in float64; W is (n_outputs, n_features)."""
    scores = Z @ W.T
    scores = np.hstack([0 * scores, scores]) if len(W) == 1 else scores
    log_proba = scores - logsumexp(scores, axis=1, keepdims=True)
    target = y[:, np.newaxis] == np.unique(y)
    penalty = alpha * ((1 - l1_ratio) / 2 * (W**2).sum() + l1_ratio * np.abs(W).sum())
    gradient = (np.exp(log_proba) - target)[:, -len(W) :].T @ Z / len(Z) + alpha * (1 - l1_ratio) * W
    return penalty - log_proba[target].mean(), gradient


def least_objective(Z, y, alpha, l1_ratio):
    """Return the minimum of the objective, by L-BFGS-B on the positive and the negative parts of W."""
    n_classes, n_features = len(np.unique(y)), Z.shape[1]
    shape = (2, 1 if n_classes == 2 else n_classes, n_features)

    def parts(flat):
        positive, negative = flat.reshape(shape)
        value, gradient = objective(positive - negative, Z, y, alpha, l1_ratio)
        l1 = alpha * l1_ratio
        excess = l1 * (flat.sum() - np.abs(positive - negative).sum())
        return value + excess, np.stack([gradient + l1, l1 - gradient]).ravel()

    start = np.full(np.prod(shape), 1e-3)
    found = minimize(parts, start, jac=True, bounds=[(0, None)] * len(start), options={"maxiter": 5000})
    assert found.success
    return found.fun


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("load", [load_digits, load_breast_cancer])
def test_one_bag_of_everything_is_logistic_regression(load, fit_intercept):
    X, y = load(return_X_y=True)
    X = X[:, X.var(axis=0) > 0]
    classifier = BaggedSGDClassifier(
        **PLAIN, penalty="l2", alpha=0.01, fit_intercept=fit_intercept, tol=1e-7, random_state=0
    ).fit(X, y)
    reference = make_pipeline(
        StandardScaler(with_mean=fit_intercept),
        LogisticRegression(C=1 / (0.01 * len(X)), fit_intercept=fit_intercept, max_iter=5000),
    ).fit(X, y)
    np.testing.assert_allclose(classifier.predict_proba(X), reference.predict_proba(X), atol=0.02)
    assert np.any(classifier.intercept_) == fit_intercept


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("shift", [0.0, 5.0])  # a large mean calls for the metric of the solver
@pytest.mark.parametrize("l1_ratio", [0.15, 1.0])
def test_elastic_net_reaches_its_optimum(n_classes, shift, l1_ratio):
    X, y = make_classification(600, 30, n_informative=6, n_redundant=0, n_classes=n_classes, random_state=0)
    X = X + shift
    classifier = BaggedSGDClassifier(**PLAIN, alpha=0.03, l1_ratio=l1_ratio, tol=1e-5, random_state=0).fit(X, y)
    scale = X.std(axis=0)
    reached = objective(classifier.coef_ * scale, X / scale, y, 0.03, l1_ratio)[0]
    assert reached == pytest.approx(least_objective(X / scale, y, 0.03, l1_ratio), abs=1e-3)
    assert least_objective(X / scale, y, 0.033, l1_ratio) > reached + 2e-3  # another objective would be told apart


def test_penalties():
    X, y = make_classification(600, 30, n_informative=6, n_redundant=0, random_state=0)
    fits = {
        penalty: BaggedSGDClassifier(**PLAIN, penalty=penalty, alpha=0.03, random_state=0).fit(X, y).coef_
        for penalty in (None, "l2", "elasticnet", "l1")
    }
    zeros = {penalty: np.sum(coef == 0) for penalty, coef in fits.items()}
    assert zeros[None] == zeros["l2"] == 0 < zeros["l1"]
    assert np.abs(fits[None]).sum() > np.abs(fits["l2"]).sum() > np.abs(fits["elasticnet"]).sum()
    assert np.abs(fits["elasticnet"]).sum() > np.abs(fits["l1"]).sum()


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


def test_log_softmax_stands_large_scores():
    np.testing.assert_allclose(log_softmax(np.array([[1e4], [-1e4]])), [[-1e4, 0], [0, -1e4]])
    np.testing.assert_allclose(np.exp(log_softmax(np.array([[1.0, 2.0, 3.0]]))), softmax([[1.0, 2.0, 3.0]], axis=1))
