"""scikit-learn's checks on subclasses that take tables of numbers."""

import numpy as np
import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator, parametrize_with_checks
from sklearn.utils.validation import validate_data
from tolerance import allow_for_float32

from skcnn.decomposition import ConvAutoencoder, VariationalAutoencoder
from skcnn.images import Images


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
        return tags


class RowsToCodes(TakesTables, ConvAutoencoder):
    pass


class RowsToDistributions(TakesTables, VariationalAutoencoder):
    pass


QUICK = {"filters": (4,), "image_size": 8, "epochs": 1, "batch_size": 256, "random_state": 0}


# A fit takes a tenth of a second, however small, and the checks make two hundred.
@pytest.mark.slow
@parametrize_with_checks([RowsToCodes(2, **QUICK), RowsToDistributions(2, **QUICK)])
def test_scikit_learns_checks(estimator, check, monkeypatch):
    allow_for_float32(check, monkeypatch)
    check(estimator)


@pytest.mark.parametrize("kind", [RowsToCodes, RowsToDistributions])
def test_there_are_many_checks(kind):
    assert sum(1 for _ in estimator_checks_generator(kind(2, **QUICK))) > 45
