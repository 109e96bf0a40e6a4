"""BaggedSGDClassifier: a variance filter and bagged linear classifiers, for features that a network has extracted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn import config_context
from sklearn.ensemble import BaggingClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from threadpoolctl import threadpool_limits

from skcnn._labels import accuracy, as_class_weight, as_labels
from skcnn._timing import timed
from skcnn.ensemble._bags import Bags
from skcnn.ensemble._rows import check_classes, check_streamable, checked, drop_weightless, encode
from skcnn.ensemble._softmax_sgd import MAX_STALLS
from skcnn.ensemble._streamed import Draws, Stalls, first_pass, several_times
from skcnn.ensemble._variance import (
    standardise,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


def _has_partial_fit(estimator: BaggedSGDClassifier) -> bool:
    if estimator.solver != "minibatch":
        raise AttributeError(f"partial_fit and fit_batches need solver='minibatch', got solver={estimator.solver!r}.")
    return True


class BaggedSGDClassifier(Bags):
    r"""Linear classifiers trained by SGD on random patches of the data, their probabilities averaged.

    A common recipe for features of a pretrained network: drop the features that hardly vary, then bag ten elastic-net
    logistic regressions, each on half of the rows and half of the features, drawn with replacement. It is one estimator
    here, so that a search reaches every part of it.

    Every bag minimises

    .. math:: \frac1n \sum_{i=1}^n c_i \, \ell_i(W)
              + \alpha \left( \frac{1 - \rho}{2} \|W\|_2^2 + \rho \|W\|_1 \right),

    where n counts the rows of X, :math:`c_i` how often the bag drew row i (times the weight of its class),
    :math:`\ell_i` is the log-loss and :math:`\rho` is ``l1_ratio``.

    Parameters
    ----------
    n_estimators : int, default=10
        Number of bags.
    max_samples : float in (0, 1] or int, default=0.5
        Rows that each bag draws: a fraction of the rows whose weight is not zero, or a count.
    max_features : float in (0, 1] or int, default=0.5
        Features that each bag draws: a fraction of those that pass the variance filter, or a count.
    bootstrap : bool, default=True
        Whether rows are drawn with replacement.
    bootstrap_features : bool, default=True
        Whether features are drawn with replacement.
    variance_threshold : {"auto"} or float, default="auto"
        Features whose variance is not above it are dropped. A number is taken in the squared units of X, as in
        :class:`~sklearn.feature_selection.VarianceThreshold` (the recipe has 0.1). ``"auto"`` is 0.1 times the
        median variance of the features that vary at all, whatever the scale of X.
    solver : {"minibatch", "sklearn"}, default="minibatch"
        ``"minibatch"``: softmax regression by mini-batch SGD on features divided by their standard deviation (and
        centred where there is an intercept), the step found from the data; some fifty times faster. ``"sklearn"``:
        :class:`~sklearn.ensemble.BaggingClassifier` of :class:`~sklearn.linear_model.SGDClassifier`, one class against
        the rest, on the features as they are; with ``variance_threshold="auto"`` all multiplied by one number, so that
        their median standard deviation is 0.5, as is common, and the recipe works at any scale.
    penalty : {"elasticnet", "l2", "l1"} or None, default="elasticnet"
        The penalty on the coefficients.
    alpha : {"auto"} or float, default="auto"
        Strength of the penalty. ``"auto"`` is one over the number of rows.
    l1_ratio : float in [0, 1], default=0.15
        Fraction of L1 in ``penalty="elasticnet"``.
    fit_intercept : bool, default=False
        Whether to learn an intercept. The recipe has none: pooled features, none of them negative, do without one; a
        handful of columns does not.
    max_iter : int, default=1000
        Maximum number of epochs; ``tol`` usually ends training much earlier.
    tol : float or None, default=1e-3
        Training of a bag ends when what it minimises no longer falls by this much per epoch (``solver="sklearn"``: when
        the loss alone does not). None runs all of ``max_iter``.
    batch_size : int, default=128
        Rows per step, for ``solver="minibatch"``.
    class_weight : dict, {"balanced"} or None, default=None
        Weights of the classes in the loss. ``"balanced"`` weights them inversely to their frequency: it helps the
        recall of rare classes, and worsens log-loss.
    n_jobs : int or None, default=None
        Bags that are trained at the same time (None is 1 unless a ``joblib.parallel_config`` says otherwise): by
        processes for ``solver="sklearn"``, by threads for ``"minibatch"``, which gains little from it. The result does
        not depend on it.
    random_state : int, RandomState or None, default=None
        Seed of the draws and of the order of rows. An int makes the result repeatable.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels, sorted. All of them have a column in every bag, whether or not the bag drew them.
    variances_ : ndarray of shape (n_features,)
        Variances of the features; ``partial_fit`` measures them on its first call.
    support_ : ndarray of shape (n_features,), dtype bool
        Which features pass the variance filter.
    estimators_features_ : list of n_estimators ndarrays
        Columns of X that each bag uses.
    estimators_coef_ : ndarray of shape (n_estimators, n_outputs, n_drawn_features)
        Coefficients of each bag for those columns, in units of X; n_outputs is 1 for two classes, else n_classes.
    estimators_intercept_ : ndarray of shape (n_estimators, n_outputs)
        Intercepts of each bag, for X as it is; zeros without ``fit_intercept``.
    coef_ : ndarray of shape (n_outputs, n_features)
        Mean of the bags' coefficients, 0 where no bag uses a feature. It shows which features support which class;
        ``predict_proba`` averages the bags' probabilities, which is not a function of this mean.
    intercept_ : ndarray of shape (n_outputs,)
        Mean of the bags' intercepts.
    bagging_ : BaggingClassifier
        The ensemble itself, for ``solver="sklearn"`` alone.
    n_iter_ : int
        Largest number of epochs of a bag; 1 after ``partial_fit``.
    class_count_ : ndarray of shape (n_classes,)
        Rows seen of each class, weighted, over all calls of ``partial_fit``.
    n_features_in_ : int
        Number of features of X.
    feature_names_in_ : ndarray of shape (n_features,), dtype object
        Their names, if X is a frame whose columns are all named by strings.

    See Also
    --------
    skcnn.feature_extraction.BottleneckFeatures : Features of images.
    sklearn.linear_model.LogisticRegression : One linear classifier, without bags.

    Notes
    -----
    ``sample_weight`` sets the chances of being drawn, not the loss: on average, a weight of 2 has the same effect as
    having the row twice. Scaling all weights changes nothing, and a row of weight 0 is not used.

    References
    ----------
    L. Breiman, "Bagging predictors", Machine Learning 24, 1996, section 4.2: averaged probabilities.

    G. Louppe and P. Geurts, "Ensembles on random patches", ECML PKDD 2012, section 2: rows and features drawn.

    L. Bottou, "Large-scale machine learning with stochastic gradient descent", COMPSTAT 2010, section 2.

    H. Zou and T. Hastie, "Regularization and variable selection via the elastic net", Journal of the Royal Statistical
    Society B 67, 2005, section 2.

    N. C. Oza, "Online bagging and boosting", IEEE SMC 2005, section 2: Poisson weights.

    S. Ma, R. Bassily and M. Belkin, "The power of interpolation", ICML 2018, section 3: the step that a batch allows.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.model_selection import train_test_split
    >>> from skcnn.ensemble import BaggedSGDClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    >>> classifier = BaggedSGDClassifier(random_state=0).fit(X_train, y_train)
    >>> classifier.score(X_test, y_test) > 0.9
    True
    >>> classifier.coef_.shape
    (10, 64)
    """

    _parameter_constraints = {  # noqa: RUF012  (scikit-learn's own form)
        "n_estimators": [Interval(Integral, 1, None, closed="left")],
        "max_samples": [Interval(Integral, 1, None, closed="left"), Interval(RealNotInt, 0, 1, closed="right")],
        "max_features": [Interval(Integral, 1, None, closed="left"), Interval(RealNotInt, 0, 1, closed="right")],
        "bootstrap": ["boolean"],
        "bootstrap_features": ["boolean"],
        "variance_threshold": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "solver": [StrOptions({"minibatch", "sklearn"})],
        "penalty": [StrOptions({"elasticnet", "l2", "l1"}), None],
        "alpha": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "fit_intercept": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left"), None],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "class_weight": [StrOptions({"balanced"}), dict, None],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        *,
        n_estimators: int = 10,
        max_samples: float = 0.5,
        max_features: float = 0.5,
        bootstrap: bool = True,
        bootstrap_features: bool = True,
        variance_threshold: float | str = "auto",
        solver: str = "minibatch",
        penalty: str | None = "elasticnet",
        alpha: float | str = "auto",
        l1_ratio: float = 0.15,
        fit_intercept: bool = False,
        max_iter: int = 1000,
        tol: float | None = 1e-3,
        batch_size: int = 128,
        class_weight: dict | str | None = None,
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ):
        self.n_estimators = n_estimators
        self.max_samples = max_samples
        self.max_features = max_features
        self.bootstrap = bootstrap
        self.bootstrap_features = bootstrap_features
        self.variance_threshold = variance_threshold
        self.solver = solver
        self.penalty = penalty
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.max_iter = max_iter
        self.tol = tol
        self.batch_size = batch_size
        self.class_weight = class_weight
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> BaggedSGDClassifier:
        """Train the ensemble.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features, finite.
        y : array-like of shape (n_samples,)
            Labels: numbers or strings, at least two different ones.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows, not negative. None weights all rows equally.

        Returns
        -------
        self : BaggedSGDClassifier

        Raises
        ------
        ValueError
            If a parameter, X, y or the weights are not acceptable, y has one class only, or the variance filter leaves
            no feature.
        """
        self._validate_params()
        X, y = checked(self, X, y if y is None else as_labels(y), reset=True)
        check_classification_targets(y)
        X, y, weight = drop_weightless(X, y, sample_weight)
        self.classes_, codes = np.unique(y, return_inverse=True)
        self.class_count_ = np.bincount(codes, weights=weight)
        if len(self.classes_) < 2:
            raise ValueError(
                f"{type(self).__name__} needs at least two classes; the rows given have 1 class, "
                f"{self.classes_.tolist()[0]!r}."
            )
        self._filter_features(X, weight)
        by_label = as_class_weight(self.class_weight)
        class_weight = compute_class_weight(by_label, classes=self.classes_, y=y, sample_weight=weight)
        with timed("model", len(X)):
            if self.solver == "sklearn":
                self._fit_bagging(X, y, None if sample_weight is None else weight, class_weight)
            else:
                self._fit_minibatch(X, codes, weight, class_weight)
        return self

    @available_if(_has_partial_fit)
    def partial_fit(
        self, X: Any, y: Any, classes: ArrayLike | None = None, sample_weight: ArrayLike | None = None
    ) -> BaggedSGDClassifier:
        """Train on some more rows: online bagging, one epoch over them at a constant step.

        A bag sees a row as often as a Poisson variable of mean ``max_samples`` says (Oza 2005; without ``bootstrap``:
        once, with that probability). The first call draws the features, and freezes the variance filter and the units
        of the features: give it rows that are representative. After ``fit``, training goes on from there.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features, finite.
        y : array-like of shape (n_samples,)
            Labels, all of them in ``classes``.
        classes : array-like of shape (n_classes,) or None, default=None
            All labels that may occur. Required in the first call.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows, relative to the other rows of this call.

        Returns
        -------
        self : BaggedSGDClassifier

        Raises
        ------
        ValueError
            If y or the weights are invalid, and if ``class_weight="balanced"`` or a count as ``max_samples`` depends on
            rows that have not been seen, or ``classes`` is missing, changes or lacks a label.
        AttributeError
            If the solver is not ``"minibatch"``.
        """
        self._validate_params()
        check_streamable(self.class_weight, self.max_samples)
        first = not hasattr(self, "_velocity")
        X, y = checked(self, X, y if y is None else as_labels(y), reset=first)
        check_classification_targets(y)
        X, y, weight = drop_weightless(X, y, sample_weight)
        classes = check_classes(None if classes is None else as_labels(classes), None if first else self.classes_)
        codes = encode(y, classes)
        if first:
            self.classes_, self.class_count_ = classes, np.zeros(len(classes))
            self._filter_features(X, weight)
            self._draw_features()
        if self._velocity is None:
            self._velocity = np.stack([np.zeros_like(self._model(0, 1).coef)] * len(self.estimators_features_))
        self._n_calls += 1
        self.class_count_ = self.class_count_ + np.bincount(codes, weights=weight, minlength=len(classes))

        X = standardise(X, self._offset, self._scale)
        targets = np.eye(len(classes), dtype=np.float32)[codes]
        class_weight = self._class_weight_of_counts()
        class_fraction = self.class_count_ * class_weight
        class_fraction /= class_fraction.sum()
        with threadpool_limits(1, user_api="blas"):
            for bag in range(len(self.estimators_features_)):
                rng = np.random.default_rng([self._seed, bag, self._n_calls])
                rate = self.max_samples * weight
                count = rng.poisson(rate) if self.bootstrap else rng.random(len(rate)) < rate
                model = self._model(bag, self.class_count_.sum())
                self._train_on(
                    bag, model, X, targets, count * class_weight[codes], class_fraction=class_fraction, rng=rng
                )
        self.n_iter_ = 1
        return self

    @available_if(_has_partial_fit)
    def fit_batches(self, batches: Iterable[tuple[Any, Any]]) -> BaggedSGDClassifier:
        """Train on batches that are read again in every epoch: for more rows than fit in memory.

        The first pass finds the classes, the variances and the units of the features. The following ones are epochs,
        until ``tol`` or ``max_iter`` ends them as in ``fit``, which minimises the same: a bag draws a row a Poisson
        number of times of mean ``max_samples`` (Oza 2005; without ``bootstrap``: once, with that probability), always
        the same number. Memory is that of a batch.

        Parameters
        ----------
        batches : iterable of (X, y)
            X is array-like of shape (n_rows, n_features), y of shape (n_rows,). It is iterated over once per pass, so a
            generator will not do: give a list, or :meth:`skcnn.distributed.FeatureParts.shuffled`. Each batch should
            have some thousand rows of all classes in random order; batches of one class each make training diverge
            from that of ``fit``.

        Returns
        -------
        self : BaggedSGDClassifier

        Raises
        ------
        TypeError
            If ``batches`` can be iterated over only once.
        ValueError
            If a parameter or a batch is invalid, there is only one class, or the variance filter leaves no feature.
        AttributeError
            If the solver is not ``"minibatch"``.

        Examples
        --------
        >>> import tempfile
        >>> from skcnn.datasets import load_digit_images
        >>> from skcnn.distributed import extract_parts
        >>> from skcnn.ensemble import BaggedSGDClassifier
        >>> from skcnn.feature_extraction import BottleneckFeatures
        >>> X, y = load_digit_images(return_X_y=True)
        >>> network = BottleneckFeatures("ResNet20", verbose=0)
        >>> features = extract_parts(X[:500], network, tempfile.mkdtemp(), y=y[:500], rows_per_part=200)
        >>> BaggedSGDClassifier(random_state=0).fit_batches(features.shuffled(random_state=0))
        BaggedSGDClassifier(random_state=0)
        """
        self._validate_params()
        begin = several_times(batches)
        seen = first_pass(self._checked_batches(begin(), reset=True))
        self.classes_, self.class_count_ = seen.classes, seen.class_count
        if len(self.classes_) < 2:
            raise ValueError(
                f"{type(self).__name__} needs at least two classes; the batches have 1 class, "
                f"{self.classes_.tolist()[0]!r}."
            )
        self._set_filter(seen.mean, seen.variance, seen.dtype)
        self._draw_features()
        self._velocity = np.stack([np.zeros_like(self._model(0, 1).coef)] * self.n_estimators)
        n_samples = int(self.class_count_.sum())
        class_weight = self._class_weight_of_counts()
        class_fraction = self.class_count_ * class_weight / (self.class_count_ @ class_weight)
        rate = float(self._count_rows(n_samples) / n_samples)
        draws = Draws(len(seen.mean), rate=rate, bootstrap=self.bootstrap, seed=self._seed)
        stalls = Stalls(self.n_estimators, self.tol, MAX_STALLS)
        # The products are small, and looking for the threads of BLAS takes longer than a small batch.
        with threadpool_limits(1, user_api="blas"):
            for epoch in range(1, self.max_iter + 1):
                losses, weights = np.zeros(self.n_estimators), np.zeros(self.n_estimators)
                for number, (X, y) in enumerate(self._checked_batches(begin(), reset=False)):
                    codes, hashes = encode(y, self.classes_), draws.hashes(X)
                    Z = standardise(X, self._offset, self._scale)
                    targets = np.eye(len(self.classes_), dtype=np.float32)[codes]
                    with timed("model", len(X)):
                        for bag in np.flatnonzero(stalls.open).tolist():
                            row_weight = draws.of_bag(bag, hashes) * class_weight[codes]
                            loss = self._train_on(
                                bag,
                                self._model(bag, n_samples),
                                Z,
                                targets,
                                row_weight,
                                class_fraction=class_fraction,
                                rng=np.random.default_rng([self._seed, bag, epoch, number]),
                                damping=float(stalls.damping[bag]),
                            )
                            losses[bag] += loss * row_weight.sum()
                            weights[bag] += row_weight.sum()
                for bag in np.flatnonzero(stalls.open & (weights > 0)).tolist():
                    penalty = self._model(bag, n_samples).penalty() / (weights[bag] / n_samples)
                    stalls.note(bag, losses[bag] / weights[bag] + penalty)
                self.n_iter_ = epoch
                if not stalls.open.any():
                    break
            else:
                if self.tol is not None:
                    self._warn_of_max_iter()
        return self

    def score(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy of :meth:`predict`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features, finite.
        y : array-like of shape (n_samples,)
            True labels, in any form that ``fit`` takes.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the samples.

        Returns
        -------
        float
            In [0, 1].

        Raises
        ------
        ValueError
            If X or y is invalid, or they do not fit together.
        """
        return accuracy(y, self.predict(X), sample_weight)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        # Through the origin, no weight of a class makes two raw columns favour it everywhere, as one check expects.
        tags.classifier_tags.poor_score = not self.fit_intercept
        return tags

    def _fit_bagging(self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, class_weight: np.ndarray) -> None:
        self.__dict__.pop("_velocity", None)  # of the other solver
        self.bagging_ = BaggingClassifier(
            SGDClassifier(
                loss="log_loss",
                penalty=self.penalty,
                alpha=self._alpha(len(X)),
                l1_ratio=self.l1_ratio,
                fit_intercept=self.fit_intercept,
                max_iter=self.max_iter,
                tol=self.tol,
                # Bagging numbers the labels before its estimators see them.
                class_weight=None if self.class_weight is None else dict(enumerate(class_weight)),
            ),
            n_estimators=self.n_estimators,
            max_samples=self._count_rows(len(X)),
            max_features=self._count_features(),
            bootstrap=self.bootstrap,
            bootstrap_features=self.bootstrap_features,
            n_jobs=self.n_jobs,
            random_state=self.random_state,
        )
        # With routing on, Bagging hands its estimators the drawn rows and no weights: a class that a bag misses would
        # then have no coefficients there.
        with config_context(enable_metadata_routing=False):
            self.bagging_.fit(self._in_units(X), y, sample_weight=weight)
        kept = np.flatnonzero(self.support_)
        estimators = self.bagging_.estimators_
        self.estimators_features_ = [kept[columns] for columns in self.bagging_.estimators_features_]
        self.estimators_coef_ = np.stack([estimator.coef_ for estimator in estimators]) / self._unit
        self.estimators_intercept_ = np.stack(
            [np.broadcast_to(estimator.intercept_, len(estimator.coef_)) for estimator in estimators]
        )
        self.n_iter_ = max(estimator.n_iter_ for estimator in estimators)

    def _checked_batches(
        self, batches: Iterator[tuple[Any, Any]], *, reset: bool
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield batches whose rows and labels are checked; the first one says how many features there are."""
        for X, y in batches:
            X, y = checked(self, X, y if y is None else as_labels(y), reset=reset)
            check_classification_targets(y)
            yield X, y
            reset = False
