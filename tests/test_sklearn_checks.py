"""scikit-learn's own checks on the transformer of images.

On an estimator that says that it takes no tables of numbers scikit-learn runs one check. So they run on a subclass
that does: each row of numbers becomes an image one pixel high.
"""

import numpy as np
import pytest
from sklearn.exceptions import SkipTestWarning
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks
from sklearn.utils.validation import validate_data

from skcnn.feature_extraction import BottleneckFeatures
from skcnn.images import Images


class RowsAsImages(BottleneckFeatures):
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


@parametrize_with_checks([RowsAsImages("ResNet20", image_size=16)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_there_are_many_checks():
    on_tables = sum(1 for _ in estimator_checks_generator(RowsAsImages("ResNet20")))
    with pytest.warns(SkipTestWarning):
        on_images = sum(1 for _ in estimator_checks_generator(BottleneckFeatures("ResNet20")))
    assert on_tables > 40 > 5 > on_images
