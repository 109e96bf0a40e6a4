"""What is the ConvAutoencoder's own: its losses, its score, and samples of a normal distribution."""

import numpy as np
import pytest
from toy import TINY

from skcnn.decomposition import ConvAutoencoder


def test_score(autoencoder, grey):
    assert autoencoder.score(grey) == -autoencoder.reconstruction_error(grey).mean()


def test_samples_are_of_the_distribution_of_the_codes(autoencoder, grey):
    codes = autoencoder.transform(grey)
    np.testing.assert_allclose(autoencoder.code_mean_, codes.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(autoencoder.code_covariance_, np.cov(codes.T, ddof=0), rtol=1e-3, atol=1e-8)
    images = autoencoder.sample(5, random_state=0)
    assert images.shape == (5, 8, 8)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, autoencoder.sample(5, random_state=0))
    drawn = np.random.RandomState(0).multivariate_normal(autoencoder.code_mean_, autoencoder.code_covariance_, 5)
    np.testing.assert_array_equal(images, autoencoder.inverse_transform(drawn))


def test_losses(grey):
    by_entropy = ConvAutoencoder(2, **TINY, loss="binary_crossentropy").fit(grey)
    assert 0.3 < by_entropy.history_["loss"][0] < 0.8  # a constant image of 0.5 has log(2) = 0.69
    with pytest.raises(ValueError, match="'loss' parameter"):
        ConvAutoencoder(2, **TINY, loss="mae").fit(grey)
