"""scikit-learn's checks on a subclass that takes tables of numbers."""

import numpy as np
import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks
from sklearn.utils.validation import validate_data
from tolerance import allow_for_float32

from skcnn.generative import ImageGAN
from skcnn.images import Images
from tests.generative.tiny_gan import TINY_GAN


class RowsToImages(ImageGAN):
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
        return tags


QUICK = TINY_GAN | {"image_size": 6, "epochs": 1, "validation_fraction": 0.0}


# A fit takes a tenth of a second, however small.
@pytest.mark.slow
@parametrize_with_checks([RowsToImages(**QUICK)])
def test_scikit_learns_checks(estimator, check, monkeypatch):
    allow_for_float32(check, monkeypatch)
    check(estimator)


def test_there_are_many_checks():
    assert sum(1 for _ in estimator_checks_generator(RowsToImages(**QUICK))) > 40
