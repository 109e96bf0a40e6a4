"""The bags of the mini-batch solver: what they draw, their models, and how rows move them."""

from __future__ import annotations

import warnings

import numpy as np
from joblib import Parallel, delayed
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_class_weight
from threadpoolctl import threadpool_limits

from skcnn._labels import as_class_weight
from skcnn.ensemble._averaged import AveragedLinearClassifier
from skcnn.ensemble._rows import count_of
from skcnn.ensemble._softmax_sgd import SoftmaxSGD
from skcnn.ensemble._variance import (
    AUTO_THRESHOLD,
    TYPICAL_STD,
    standardise,
    support_mask,
    typical_variance,
    weighted_moments,
)


class Bags(AveragedLinearClassifier):
    """The half of an ensemble that trains bags by mini-batches; a subclass has the parameters, and checks rows."""

    n_estimators: int
    max_samples: float
    max_features: float
    bootstrap: bool
    bootstrap_features: bool
    variance_threshold: float | str
    penalty: str | None
    alpha: float | str
    l1_ratio: float
    fit_intercept: bool
    max_iter: int
    tol: float | None
    batch_size: int
    class_weight: dict | str | None
    n_jobs: int | None
    random_state: int | np.random.RandomState | None

    class_count_: np.ndarray
    _velocity: np.ndarray | None

    def _filter_features(self, X: np.ndarray, weight: np.ndarray) -> None:
        self._set_filter(*weighted_moments(X, weight), X.dtype)

    def _set_filter(self, mean: np.ndarray, variance: np.ndarray, dtype: np.dtype) -> None:
        self.variances_ = variance
        typical = typical_variance(mean, variance, dtype)
        auto = self.variance_threshold == "auto"
        threshold = (AUTO_THRESHOLD * typical or np.inf) if auto else float(self.variance_threshold)
        self.support_ = support_mask(self.variances_, threshold, given=self.variance_threshold)
        # The units of the two solvers: one for all features, and each feature's own.
        self._unit = float(np.sqrt(typical)) / TYPICAL_STD if auto else 1.0
        self._scale = np.sqrt(np.where(self.support_, self.variances_, 1.0))
        self._offset = mean if self.fit_intercept else np.zeros(len(mean))

    def _alpha(self, n_samples: float) -> float:
        return 1 / n_samples if self.alpha == "auto" else float(self.alpha)

    def _count_rows(self, n_samples: int) -> int:
        of = "rows, and bootstrap=False draws none twice"
        return count_of(self.max_samples, n_samples, name="max_samples", of=of, at_most_all=not self.bootstrap)

    def _count_features(self) -> int:
        of = f"of {len(self.support_)} features that pass the variance filter"
        return count_of(self.max_features, int(self.support_.sum()), name="max_features", of=of, at_most_all=True)

    def _fit_minibatch(self, X: np.ndarray, codes: np.ndarray, weight: np.ndarray, class_weight: np.ndarray) -> None:
        self._draw_features()
        n_samples, n_drawn = len(X), self._count_rows(len(X))
        X = standardise(X, self._offset, self._scale)
        targets = np.eye(len(self.classes_), dtype=np.float32)[codes]
        chance = weight / weight.sum()

        def fit_bag(bag: int) -> tuple[int, bool]:
            rng = np.random.default_rng([self._seed, bag])
            drawn = rng.choice(n_samples, n_drawn, replace=self.bootstrap, p=chance)
            rows, count = np.unique(drawn, return_counts=True)
            # The solver takes the mean over the rows that it is given, the objective one over all.
            row_weight = count * class_weight[codes[rows]] * (len(rows) / n_samples)
            model = self._model(bag, n_samples)
            patch = X[np.ix_(rows, self.estimators_features_[bag])]
            ended = model.fit(
                patch, targets[rows], row_weight.astype(np.float32), max_iter=self.max_iter, tol=self.tol, rng=rng
            )
            self._store(bag, model)
            return ended

        # The products are small: threads within one cost more than they bring, the more so on a busy machine.
        with threadpool_limits(1, user_api="blas"):
            bags = range(self.n_estimators)
            ended = Parallel(n_jobs=self.n_jobs, require="sharedmem")(delayed(fit_bag)(bag) for bag in bags)
        self.n_iter_ = max(n_iter for n_iter, _ in ended)
        if not all(converged for _, converged in ended):
            self._warn_of_max_iter()

    def _warn_of_max_iter(self) -> None:
        warnings.warn(
            f"Training had not converged after max_iter={self.max_iter} epochs. Raise max_iter, or tol={self.tol}.",
            ConvergenceWarning,
            stacklevel=4,
        )

    def _class_weight_of_counts(self) -> np.ndarray:
        """Return the weight of each class, (n_classes,), where rows are known by their number in each class alone."""
        if self.class_weight == "balanced":
            return self.class_count_.sum() / (len(self.classes_) * self.class_count_)
        return compute_class_weight(as_class_weight(self.class_weight), classes=self.classes_, y=self.classes_)

    def _train_on(
        self,
        bag: int,
        model: SoftmaxSGD,
        X: np.ndarray,
        targets: np.ndarray,
        row_weight: np.ndarray,
        *,
        class_fraction: np.ndarray,
        rng: np.random.Generator,
        damping: float = 1.0,
    ) -> float:
        """Train a bag for an epoch on those of some standardised rows that it draws; return their mean loss."""
        rows = np.flatnonzero(row_weight)
        if len(rows) == 0:
            return 0.0
        loss = model.partial_fit(
            X[np.ix_(rows, self.estimators_features_[bag])],
            targets[rows],
            # The solver takes the mean over the rows that it is given, the objective one over all.
            (row_weight[rows] * (len(rows) / len(X))).astype(np.float32),
            class_fraction=class_fraction,
            rng=rng,
            damping=damping,
        )
        self._velocity[bag] = model.velocity  # type: ignore[index]  # there is one
        self._store(bag, model)
        return loss

    def _draw_features(self) -> None:
        self.__dict__.pop("bagging_", None)  # of the other solver
        self._seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        self._n_calls = 0
        kept, n_drawn = np.flatnonzero(self.support_), self._count_features()
        rng = np.random.default_rng(self._seed)
        self.estimators_features_ = [
            rng.choice(kept, n_drawn, replace=self.bootstrap_features) for _ in range(self.n_estimators)
        ]
        n_outputs = 1 if len(self.classes_) == 2 else len(self.classes_)
        self.estimators_coef_ = np.zeros((self.n_estimators, n_outputs, n_drawn))
        self.estimators_intercept_ = np.zeros((self.n_estimators, n_outputs))
        self._velocity = None

    def _model(self, bag: int, n_samples: float) -> SoftmaxSGD:
        """Return the solver of a bag in its present state, in standardised units."""
        features = self.estimators_features_[bag]
        coef = self.estimators_coef_[bag] * self._scale[features]
        if self.fit_intercept:
            intercept = self.estimators_intercept_[bag] + self.estimators_coef_[bag] @ self._offset[features]
            coef = np.column_stack([coef, intercept])
        alpha = 0.0 if self.penalty is None else self._alpha(n_samples)
        l1_ratio = float(self.l1_ratio) if self.penalty == "elasticnet" else float(self.penalty == "l1")
        return SoftmaxSGD(
            coef.T.astype(np.float32),
            l1=alpha * l1_ratio,
            l2=alpha * (1 - l1_ratio),
            batch_size=self.batch_size,
            fit_intercept=self.fit_intercept,
            velocity=None if self._velocity is None else self._velocity[bag],
        )

    def _store(self, bag: int, model: SoftmaxSGD) -> None:
        """Keep the coefficients of a bag, in units of X."""
        features = self.estimators_features_[bag]
        self.estimators_coef_[bag] = model.coef[: len(features)].T / self._scale[features]
        if self.fit_intercept:
            shift = self.estimators_coef_[bag] @ self._offset[features]
            self.estimators_intercept_[bag] = model.coef[-1] - shift
