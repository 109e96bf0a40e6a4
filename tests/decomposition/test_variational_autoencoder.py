"""What is the VariationalAutoencoder's own: the bound, its parts, and samples."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.base import clone
from toy import TINY

from skcnn.decomposition import VariationalAutoencoder


def test_the_bound_is_a_mean_over_draws(vae, grey):
    X = grey[:3]
    found = vae.score_samples(X, n_draws=400)
    mean, variance = vae.posterior(X)
    np.testing.assert_array_equal(mean, vae.transform(X))
    deviation = np.sqrt(variance)
    generator = np.random.default_rng(5)
    for row in range(3):
        codes = generator.normal(mean[row], deviation[row], (2000, 2))
        levels = np.clip(vae.decoder_.predict(codes, verbose=0).reshape(2000, -1) / 255, 1e-7, 1 - 1e-7)
        x = X[row].ravel() / 255
        likelihood = x * np.log(levels) + (1 - x) * np.log(1 - levels)
        # By its definition, without the closed form of the divergence.
        bound = likelihood.sum(axis=1) + (norm.logpdf(codes) - norm.logpdf(codes, mean[row], deviation[row])).sum(
            axis=1
        )
        assert found[row] == pytest.approx(bound.mean(), abs=5 * bound.std() / np.sqrt(400))
    assert vae.score(X) == vae.score_samples(X, n_draws=10).mean()


def test_the_bound_of_an_image_depends_on_no_other_one(vae, grey):
    found = vae.score_samples(grey)
    np.testing.assert_allclose(vae.score_samples(grey[::-1])[::-1], found, rtol=1e-5)
    np.testing.assert_allclose(vae.score_samples(grey[3:4]), found[3:4], rtol=1e-5)
    with pytest.raises(ValueError, match="n_draws=0"):
        vae.score_samples(grey, n_draws=0)


def test_the_loss_is_minus_the_bound(grey):
    # With a rate that changes nothing, the loss of an epoch is that of the network as it is.
    still = VariationalAutoencoder(2, **TINY, learning_rate=1e-12).fit(grey)
    history = still.history_.iloc[0]
    assert history["loss"] == pytest.approx(-still.score_samples(grey, n_draws=100).mean(), rel=0.01)
    heavy = clone(still).set_params(beta=11.0).fit(grey).history_.iloc[0]
    assert heavy["cross_entropy"] == pytest.approx(history["cross_entropy"], rel=1e-6)
    divergence = history["loss"] - history["cross_entropy"]
    assert divergence > 0
    assert heavy["loss"] - heavy["cross_entropy"] == pytest.approx(11 * divergence, rel=2e-3)


def test_a_large_beta_leaves_nothing_in_the_codes(grey):
    fitted = VariationalAutoencoder(2, **TINY | {"epochs": 10, "learning_rate": 0.02, "batch_size": 4}, beta=100).fit(
        grey
    )
    assert np.abs(fitted.transform(grey)).max() < 0.3


def test_samples_are_of_standard_normal_codes(vae):
    images = vae.sample(5, random_state=0)
    np.testing.assert_array_equal(images, vae.inverse_transform(np.random.RandomState(0).standard_normal((5, 2))))
    np.testing.assert_array_equal(images, vae.sample(5, random_state=0))
    assert images.shape == (5, 8, 8)
    assert vae.sample().shape == (1, 8, 8)
