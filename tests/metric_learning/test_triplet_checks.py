"""scikit-learn's checks on a subclass that takes tables of numbers."""

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import validate_data

from skcnn.images import Images
from skcnn.metric_learning import TripletEmbedding
from tests.toy import TOY


class RowsToVectors(TripletEmbedding):
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


#: The checks are about everything but the training.
UNTRAINED = {"n_components": 4, "head_epochs": 0, "epochs": 0, "identities_per_batch": 2, "random_state": 0}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:y has [0-9]* identities, fewer than:UserWarning")
@parametrize_with_checks([RowsToVectors(TOY, verbose=0, **UNTRAINED)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)
