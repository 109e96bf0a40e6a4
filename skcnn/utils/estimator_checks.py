"""Checks of transformers and classifiers that take images.

:func:`sklearn.utils.estimator_checks.check_estimator` uses tables of numbers, so that it checks almost nothing of an
estimator that takes only images. These checks use images, in all forms that are accepted.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.base import BaseEstimator, clone
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_get_params_invariance, check_set_params

from skcnn.utils._classifier_checks import check_image_classifier, yield_image_classifier_checks
from skcnn.utils._images import close as _close
from skcnn.utils._images import encode as _encode
from skcnn.utils._images import make_images

__all__ = [
    "check_image_classifier",
    "check_image_transformer",
    "make_images",
    "yield_image_classifier_checks",
    "yield_image_transformer_checks",
]


def check_image_transformer(transformer: BaseEstimator) -> None:
    """Run every check on a transformer of images.

    Parameters
    ----------
    transformer : estimator
        Its ``transform`` takes images (see :func:`skcnn.images.as_images`) and gives an array (n_samples, n_features).
        It is cloned, not changed.

    Raises
    ------
    AssertionError
        If it does not behave; the traceback names the check.

    Examples
    --------
    >>> from skcnn.feature_extraction import BottleneckFeatures
    >>> from skcnn.utils.estimator_checks import check_image_transformer
    >>> check_image_transformer(BottleneckFeatures("ResNet20"))
    """
    for _, check in yield_image_transformer_checks(transformer):
        check()


def yield_image_transformer_checks(transformer: BaseEstimator) -> Iterator[tuple[str, Callable[[], None]]]:
    """Yield every check as ``(name, callable without arguments)``, for ``pytest.mark.parametrize``.

    Parameters
    ----------
    transformer : estimator
        As for :func:`check_image_transformer`.

    Yields
    ------
    name : str
    check : callable
    """
    for check in _CHECKS:
        yield check.__name__, lambda check=check: check(clone(transformer))  # type: ignore[misc]


def check_output(transformer: Any) -> None:
    """See that features are float32, two-dimensional, finite, one row per image, and different for different images."""
    X = make_images()
    features = transformer.fit(X).transform(X)
    assert isinstance(features, np.ndarray)
    assert features.ndim == 2
    assert features.shape[0] == len(X)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert len(np.unique(features, axis=0)) == len(X)


def check_stateless(transformer: Any) -> None:
    """See that ``transform`` works without ``fit``, gives what ``fit_transform`` gives, and changes no attribute."""
    X = make_images()
    state = dict(transformer.__dict__)
    without_fit = transformer.transform(X)
    assert transformer.__dict__ == state
    assert transformer.fit(X) is transformer
    state = dict(transformer.__dict__)
    _close(transformer.transform(X), without_fit)
    assert transformer.__dict__ == state
    _close(clone(transformer).fit_transform(X, ["a"] * len(X)), without_fit)
    _close(transformer.fit(X[:2]).transform(X), without_fit)


def check_parameters(transformer: Any) -> None:
    """See that ``get_params``, ``set_params`` and ``clone`` agree, and an unknown parameter is refused."""
    name = type(transformer).__name__
    check_get_params_invariance(name, clone(transformer))
    check_set_params(name, clone(transformer))
    assert clone(transformer).get_params().keys() == transformer.get_params().keys()
    try:
        type(transformer)(no_such_parameter=1)
    except TypeError:
        return
    raise AssertionError("a misspelled parameter was accepted")


def check_order_and_batches(transformer: Any) -> None:
    """See that an image's features do not depend on its neighbours: order, subsets, one at a time, duplicates."""
    X = make_images(7)
    features = transformer.transform(X)
    order = np.random.default_rng(1).permutation(7)
    _close(clone(transformer).transform(X[order]), features[order])
    _close(clone(transformer).transform(X[[2, 2, 5, 2]]), features[[2, 2, 5, 2]])
    _close(np.concatenate([transformer.transform(X[row : row + 1]) for row in range(7)]), features)
    for batch_size in (1, 3, 100):
        if "batch_size" in transformer.get_params():
            _close(clone(transformer).set_params(batch_size=batch_size).transform(X), features)


def check_input_forms(transformer: Any) -> None:
    """See that the same images in other forms have the same features."""
    X = make_images(4)
    features = transformer.transform(X)
    encoded = [_encode(pixels) for pixels in X]
    column = np.empty((4, 1), object)
    column[:, 0] = encoded
    forms = (
        X.astype("float64"),
        list(X),
        [Image.fromarray(pixels) for pixels in X],
        encoded,
        column,
        pd.Series(encoded, index=[3, 1, 4, 15]),
        pd.DataFrame({"image": encoded}),
    )
    for form in forms:
        _close(clone(transformer).fit(form).transform(form), features)


def check_features_in(transformer: Any) -> None:
    """See that ``n_features_in_`` is 1 for a column, unset for arrays of images, and that a column's name is kept."""
    X = make_images(3)
    transformer.fit(X)
    assert not hasattr(transformer, "n_features_in_")  # never the height of an image
    frame = pd.DataFrame({"image": [_encode(pixels) for pixels in X]})
    transformer.fit(frame)
    assert transformer.n_features_in_ == 1
    assert list(transformer.feature_names_in_) == ["image"]
    try:
        transformer.transform(frame.rename(columns={"image": "other"}))
    except ValueError as error:
        assert "feature names" in str(error)  # noqa: PT017
    else:
        raise AssertionError("another column was accepted")
    transformer.fit(X)
    assert not hasattr(transformer, "feature_names_in_")


def check_set_output(transformer: Any) -> None:
    """See that ``set_output(transform="pandas")`` gives a frame with unique names and the rows' own index."""
    X = make_images(3)
    frame = pd.DataFrame({"image": [_encode(pixels) for pixels in X]}, index=["a", "b", "c"])
    expected = transformer.transform(X)
    out = clone(transformer).set_output(transform="pandas").fit_transform(frame)
    names = clone(transformer).get_feature_names_out()
    assert list(out.columns) == list(names)
    assert len(set(names)) == len(names) == expected.shape[1]
    assert list(out.index) == ["a", "b", "c"]
    _close(out, expected)


def check_column_transformer(transformer: Any) -> None:
    """See that it stands in a ColumnTransformer beside columns of numbers."""
    X = make_images(4)
    frame = pd.DataFrame({"image": [_encode(pixels) for pixels in X], "size": [1.0, 2.0, 3.0, 4.0]})
    columns = ColumnTransformer([("image", transformer, ["image"]), ("number", StandardScaler(), ["size"])])
    out = columns.set_output(transform="pandas").fit_transform(frame)
    _close(out.filter(like="image__"), clone(transformer).transform(X))
    _close(columns.transform(frame), out)
    single = ColumnTransformer([("image", clone(transformer), "image")]).fit_transform(frame)
    _close(single, clone(transformer).transform(X))


def check_copies(transformer: Any) -> None:
    """See that pickles and deep copies, before and after ``fit``, give the same features, and are small."""
    X = make_images(3)
    features = transformer.transform(X)
    for fitted in (clone(transformer), clone(transformer).fit(X)):
        for again in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
            _close(again.transform(X), features)


def check_threads(transformer: Any) -> None:
    """See that threads that share it, or hold clones of it, get what one alone gets."""
    X = make_images(6)
    features = clone(transformer).transform(X)
    workers = [transformer, transformer, clone(transformer), clone(transformer)]
    with ThreadPoolExecutor(4) as pool:
        for out in pool.map(lambda worker: worker.transform(X), workers):
            _close(out, features)


def check_input_untouched(transformer: Any) -> None:
    """See that X is not written to, and may be read-only."""
    X = make_images(3)
    before = X.copy()
    X.setflags(write=False)
    transformer.fit(X).transform(X)
    assert np.array_equal(X, before)


def check_bad_input(transformer: Any) -> None:
    """See that tables of numbers, no rows at all and floats outside [0, 255] are refused."""
    for X in (np.ones((3, 5)), np.empty((0, 8, 8, 3), np.uint8), np.full((2, 8, 8, 3), 1000.0), "a.png"):
        for method in (transformer.fit, transformer.transform):
            try:
                method(X)
            except (ValueError, TypeError) as error:
                assert str(error)  # noqa: PT017
            else:
                raise AssertionError(f"{type(X).__name__} {getattr(X, 'shape', X)} was accepted")


def check_tags(transformer: Any) -> None:
    """See that the tags say what it takes: images, strings and one-dimensional X, no tables, no fit needed."""
    tags = transformer.__sklearn_tags__()
    assert not tags.requires_fit
    assert not tags.input_tags.two_d_array
    assert tags.input_tags.one_d_array
    assert tags.input_tags.three_d_array
    assert tags.input_tags.string
    assert tags.estimator_type == "transformer" or tags.transformer_tags is not None


_CHECKS: tuple[Callable[[Any], None], ...] = (
    check_output,
    check_stateless,
    check_parameters,
    check_order_and_batches,
    check_input_forms,
    check_features_in,
    check_set_output,
    check_column_transformer,
    check_copies,
    check_threads,
    check_input_untouched,
    check_bad_input,
    check_tags,
)
