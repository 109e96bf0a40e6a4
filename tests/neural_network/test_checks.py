"""Our own checks of image classifiers, and scikit-learn's on a subclass that takes tables of numbers."""

import numpy as np
import pytest
from sklearn.exceptions import SkipTestWarning
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks
from sklearn.utils.validation import validate_data
from tolerance import allow_for_float32
from toy import TOY

from skcnn.images import Images
from skcnn.neural_network import CNNClassifier, CNNRegressor
from skcnn.utils.estimator_checks import yield_image_classifier_checks

FROZEN = CNNClassifier(TOY, head_epochs=4, head_learning_rate=0.05, epochs=0, random_state=0)
TUNED = CNNClassifier(TOY, head_epochs=1, epochs=1, learning_rate=1e-3, unfreeze="parts", random_state=0)


@pytest.mark.parametrize("check", [pytest.param(c, id=name) for name, c in yield_image_classifier_checks(FROZEN)])
def test_frozen(check):
    check()


@pytest.mark.parametrize("check", [pytest.param(c, id=name) for name, c in yield_image_classifier_checks(TUNED)])
def test_fine_tuned(check):
    check()


class TakesTables:
    """Takes tables of numbers; for these checks alone."""

    def _check_input(self, X, *, reset):
        self._validate_params()
        X = validate_data(self, X, reset=reset, dtype="float64")
        pixels = np.rint(255 / (1 + np.exp(-np.clip(X, -30, 30)))).astype(np.uint8)
        return Images([row[None, :] for row in pixels])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        tags.input_tags.one_d_array = tags.input_tags.three_d_array = tags.input_tags.string = False
        if tags.regressor_tags is not None:
            tags.regressor_tags.poor_score = True  # the toy network was never trained
        return tags


class RowsAsImages(TakesTables, CNNClassifier):
    pass


class RowsToNumbers(TakesTables, CNNRegressor):
    pass


# Quick, and no more: few epochs of few steps, and few layers that partial_fit opens.
QUICK = {
    "head_learning_rate": 0.2, "learning_rate_schedule": "constant", "dropout": 0.0, "epochs": 0, "unfreeze": "parts",
    "batch_size": 256, "random_state": 0,
}  # fmt: skip


def on_tables():
    return RowsAsImages(TOY, head_epochs=10, **QUICK)


NOT_PASSED = {
    "check_sample_weight_equivalence_on_dense_data": (
        "a row twice and a row of weight 2 come in other batches, as in every estimator that is trained in batches"
    ),
}


@parametrize_with_checks(
    [on_tables(), RowsToNumbers(TOY, head_epochs=2, **QUICK)], expected_failed_checks=lambda estimator: NOT_PASSED
)
def test_scikit_learns_checks(estimator, check, monkeypatch):
    allow_for_float32(check, monkeypatch)
    check(estimator)


def test_there_are_many_checks():
    n_on_tables = sum(1 for _ in estimator_checks_generator(on_tables()))
    with pytest.warns(SkipTestWarning):
        on_images = sum(1 for _ in estimator_checks_generator(FROZEN))
    assert n_on_tables > 50 > 5 > on_images
