"""Checks of classifiers that take images."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.metrics import get_scorer
from sklearn.model_selection import StratifiedKFold, check_cv, cross_val_predict, cross_val_score
from sklearn.utils.estimator_checks import check_get_params_invariance, check_set_params

from skcnn.utils._images import close, encode, make_images


def check_image_classifier(classifier: BaseEstimator) -> None:
    """Run every check on a classifier of images.

    Parameters
    ----------
    classifier : estimator
        Its ``fit`` takes images (see :func:`skcnn.images.as_images`) and labels. It should be quick (a small network,
        few epochs) and have an int as ``random_state``. It is cloned, not changed.

    Raises
    ------
    AssertionError
        If it does not behave; the traceback names the check.

    Examples
    --------
    >>> from skcnn.neural_network import CNNClassifier
    >>> from skcnn.utils.estimator_checks import check_image_classifier
    >>> check_image_classifier(CNNClassifier("ResNet20", head_epochs=2, epochs=0, random_state=0))
    """
    for _, check in yield_image_classifier_checks(classifier):
        check()


def yield_image_classifier_checks(classifier: BaseEstimator) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield every check as ``(name, callable without arguments)``, for ``pytest.mark.parametrize``.

    Parameters
    ----------
    classifier : estimator
        As for :func:`check_image_classifier`.

    Yields
    ------
    name : str
    check : callable
    """
    for check in _CHECKS:
        yield check.__name__, lambda check=check: check(clone(classifier))  # type: ignore[misc]


def _task(n_classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Return 18 images and their classes, as strings."""
    y = np.arange(18) % n_classes
    X = make_images(18) // 2
    for row, code in enumerate(y):
        X[row, ..., code] += 120
    return X, np.array(["ant", "bee", "cat"])[y]


def check_probabilities(classifier: Any) -> None:
    """See that probabilities are what they should be, for two classes and for three, and ``predict`` agrees."""
    for n_classes in (2, 3):
        X, y = _task(n_classes)
        assert classifier.fit(X, y) is classifier
        assert list(classifier.classes_) == sorted(set(y))
        probabilities = classifier.predict_proba(X)
        assert probabilities.shape == (18, n_classes)
        assert np.isfinite(probabilities).all()
        assert (probabilities >= 0).all()
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
        assert np.array_equal(classifier.predict(X), classifier.classes_[probabilities.argmax(axis=1)])


def check_labels(classifier: Any) -> None:
    """See that labels are given back in the type in which they came: strings, ints, bools, objects."""
    X, y = _task(2)
    codes = np.unique(y, return_inverse=True)[1]
    expected = None
    for classes in (np.array(["b", "c"]), np.array([3, 7]), np.array([False, True]), np.array(["b", "c"], object)):
        fitted = clone(classifier).fit(X, classes[codes])
        assert set(fitted.predict(X)) <= set(classes)
        assert fitted.predict(X).dtype == classes.dtype
        expected = fitted.predict_proba(X) if expected is None else expected
        close(fitted.predict_proba(X), expected)
    close(clone(classifier).fit(X, pd.Series(list(y))).predict_proba(X), expected)


def check_parameters(classifier: Any) -> None:
    """See that ``get_params``, ``set_params`` and ``clone`` agree, and an unknown parameter is refused."""
    name = type(classifier).__name__
    check_get_params_invariance(name, clone(classifier))
    check_set_params(name, clone(classifier))
    try:
        type(classifier)(no_such_parameter=1)
    except TypeError:
        return
    raise AssertionError("a misspelled parameter was accepted")


def check_fit_changes_no_parameter(classifier: Any) -> None:
    """See that ``fit`` leaves the parameters as they are, and predicting changes no attribute."""
    X, y = _task()
    parameters = dict(classifier.get_params())
    classifier.fit(X, y)
    assert classifier.get_params().keys() == parameters.keys()
    assert all(classifier.get_params()[name] is value for name, value in parameters.items())
    state = dict(classifier.__dict__)
    classifier.predict(X)
    classifier.predict_proba(X)
    assert classifier.__dict__ == state


def check_refit(classifier: Any) -> None:
    """See that a second ``fit``, on other classes even, remembers nothing of the first, nor do clones."""
    X, y = _task()
    expected = clone(classifier).fit(X, y).predict_proba(X)
    fitted = clone(classifier).fit(X[:10], np.arange(10) % 2)
    close(clone(fitted).fit(X, y).predict_proba(X), expected)
    close(fitted.fit(X, y).predict_proba(X), expected)


def check_order_and_batches(classifier: Any) -> None:
    """See that what is said of an image does not depend on its neighbours: order, subsets, one at a time."""
    X, y = _task()
    probabilities = classifier.fit(X, y).predict_proba(X)
    order = np.random.default_rng(1).permutation(18)
    close(classifier.predict_proba(X[order]), probabilities[order])
    close(np.concatenate([classifier.predict_proba(X[row : row + 1]) for row in range(4)]), probabilities[:4])
    assert classifier.predict(X[:1]).shape == (1,)
    if "batch_size" in classifier.get_params():
        again = copy.deepcopy(classifier).set_params(batch_size=5)
        close(again.predict_proba(X), probabilities)


def check_input_forms(classifier: Any) -> None:
    """See that the same images in other forms have the same probabilities."""
    X, y = _task()
    probabilities = clone(classifier).fit(X, y).predict_proba(X)
    encoded = [encode(pixels) for pixels in X]
    column = np.empty((18, 1), object)
    column[:, 0] = encoded
    forms = ([Image.fromarray(pixels) for pixels in X], encoded, column, pd.DataFrame({"image": encoded}))
    for form in forms:
        close(clone(classifier).fit(form, list(y)).predict_proba(form), probabilities)
    close(clone(classifier).fit(X, y).predict_proba(X.astype("float32")), probabilities)


def check_features_in(classifier: Any) -> None:
    """See that ``n_features_in_`` is 1 for a column, unset for arrays of images, and that a column's name is kept."""
    X, y = _task()
    assert not hasattr(classifier.fit(X, y), "n_features_in_")
    frame = pd.DataFrame({"image": [encode(pixels) for pixels in X]})
    classifier.fit(frame, y)
    assert classifier.n_features_in_ == 1
    assert list(classifier.feature_names_in_) == ["image"]
    try:
        classifier.predict(frame.rename(columns={"image": "other"}))
    except ValueError as error:
        assert "feature names" in str(error)  # noqa: PT017
    else:
        raise AssertionError("another column was accepted")


def check_copies(classifier: Any) -> None:
    """See that pickles and deep copies, before and after ``fit``, give the same probabilities."""
    X, y = _task()
    for copied in (pickle.loads(pickle.dumps(classifier)), copy.deepcopy(classifier)):
        close(copied.fit(X, y).predict_proba(X), clone(classifier).fit(X, y).predict_proba(X))
    fitted = clone(classifier).fit(X, y)
    for copied in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        close(copied.predict_proba(X), fitted.predict_proba(X))


def check_threads(classifier: Any) -> None:
    """See that threads that fit clones, or share a fitted one, get what one alone gets."""
    X, y = _task()
    tasks = [(X, y), (X[::-1], y), (X, y), (X[:12], y[:12])]
    expected = [clone(classifier).fit(*task).predict_proba(X) for task in tasks]
    with ThreadPoolExecutor(4) as pool:
        for found, wanted in zip(
            pool.map(lambda task: clone(classifier).fit(*task).predict_proba(X), tasks), expected, strict=True
        ):
            close(found, wanted)
        fitted = clone(classifier).fit(X, y)
        for found in pool.map(lambda _: fitted.predict_proba(X), range(4)):
            close(found, expected[0])


def check_sample_weight(classifier: Any) -> None:
    """See that weights are neither needed nor changed, and that equal ones do nothing."""
    X, y = _task()
    weights = np.ones(18)
    weights.setflags(write=False)
    expected = clone(classifier).fit(X, y).predict_proba(X)
    close(clone(classifier).fit(X, y, sample_weight=weights).predict_proba(X), expected)
    close(clone(classifier).fit(X, y, sample_weight=list(weights)).predict_proba(X), expected)
    if "class_weight" in classifier.get_params():
        clone(classifier).set_params(class_weight="balanced").fit(X, y, sample_weight=weights)
        assert (weights == 1).all()
    assert isinstance(clone(classifier).fit(X, y).score(X, y, sample_weight=weights), float)


def check_input_untouched(classifier: Any) -> None:
    """See that X and y are not written to, and may be read-only."""
    X, y = _task()
    before = X.copy(), y.copy()
    X.setflags(write=False)
    y.setflags(write=False)
    classifier.fit(X, y).predict(X)
    assert np.array_equal(X, before[0])
    assert np.array_equal(y, before[1])


def check_is_a_classifier(classifier: Any) -> None:
    """See that scikit-learn takes it for a classifier, so that cross-validation is stratified."""
    X, y = _task()
    assert is_classifier(classifier)
    assert isinstance(check_cv(3, y, classifier=is_classifier(classifier)), StratifiedKFold)
    # Sorted labels: without stratification every fold would hold a class that was never seen.
    order = np.argsort(y, kind="stable")
    seen = cross_val_predict(classifier, X[order], y[order], cv=3, method="predict_proba")
    assert seen.shape == (18, 3)


def check_scorers(classifier: Any) -> None:
    """See that scorers work that want probabilities, of two classes and of three."""
    X, y = _task(2)
    fitted = clone(classifier).fit(X, y)
    for name in ("accuracy", "roc_auc", "neg_log_loss"):
        assert np.isfinite(get_scorer(name)(fitted, X, y)), name
    X, y = _task(3)
    for scoring in ("roc_auc_ovr", "neg_log_loss", "balanced_accuracy"):
        assert np.isfinite(cross_val_score(classifier, X, y, cv=3, scoring=scoring, error_score="raise")).all()


def check_bad_input(classifier: Any) -> None:
    """See that tables of numbers, no rows, one class and y of another length are refused."""
    X, y = _task()
    fitted = clone(classifier).fit(X, y)
    for bad in (np.ones((18, 5)), np.empty((0, 8, 8, 3), np.uint8), np.full((18, 8, 8, 3), 1000.0), "a.png"):
        _see_refused(clone(classifier).fit, bad, y[: len(bad)])
        _see_refused(fitted.predict, bad)
        _see_refused(fitted.predict_proba, bad)
    _see_refused(clone(classifier).fit, X, y[:-1])
    _see_refused(clone(classifier).fit, X, ["ant"] * 18)
    _see_refused(clone(classifier).fit, X, np.linspace(0, 1, 18))
    _see_refused(clone(classifier).predict, X)  # not fitted


def _see_refused(method: Callable[..., Any], *arguments: Any) -> None:
    try:
        method(*arguments)
    except (ValueError, TypeError) as error:
        assert str(error)  # noqa: PT017
    else:
        raise AssertionError(f"{method.__name__} accepted {[getattr(a, 'shape', a) for a in arguments]}")


def check_tags(classifier: Any) -> None:
    """See that the tags say what it takes: images, strings and one-dimensional X, no tables."""
    tags = classifier.__sklearn_tags__()
    assert tags.estimator_type == "classifier"
    assert tags.target_tags.required
    assert not tags.input_tags.two_d_array
    assert tags.input_tags.one_d_array
    assert tags.input_tags.three_d_array
    assert tags.input_tags.string


_CHECKS: tuple[Callable[[Any], None], ...] = (
    check_probabilities,
    check_labels,
    check_parameters,
    check_fit_changes_no_parameter,
    check_refit,
    check_order_and_batches,
    check_input_forms,
    check_features_in,
    check_copies,
    check_threads,
    check_sample_weight,
    check_input_untouched,
    check_is_a_classifier,
    check_scorers,
    check_bad_input,
    check_tags,
)
