"""Small images, and autoencoders fitted on them."""

import numpy as np
import pytest
from toy import TINY

from skcnn.decomposition import ConvAutoencoder, VariationalAutoencoder


@pytest.fixture(scope="session")
def grey():
    """Twenty-four images (24, 8, 8) uint8, each with a bright bar, upright or not."""
    generator = np.random.default_rng(0)
    X = generator.integers(0, 60, (24, 8, 8)).astype(np.uint8)
    for row in range(24):
        place = generator.integers(1, 6)
        (X[row] if row % 2 else X[row].T)[place : place + 2] += 180
    return X


@pytest.fixture(scope="session")
def vae(grey):
    """A fitted one; tests do not change it."""
    return VariationalAutoencoder(2, **TINY | {"epochs": 4}).fit(grey)


@pytest.fixture(scope="session")
def autoencoder(grey):
    """A fitted one; tests do not change it."""
    return ConvAutoencoder(2, **TINY | {"epochs": 20, "learning_rate": 0.02, "batch_size": 4}).fit(grey)


@pytest.fixture(params=["autoencoder", "vae"])
def fitted(request):
    return request.getfixturevalue(request.param)
