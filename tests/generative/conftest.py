"""Small images of two classes, and a GAN fitted on them."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin

from skcnn.generative import ImageGAN


class Levels(TransformerMixin, BaseEstimator):
    """Pixels as features: no network runs for a comparison."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return np.reshape(X, (len(X), -1)) / 255


#: One form of networks, so that they are compiled once per loss.
TINY_GAN = {
    "n_components": 3,
    "filters": (8,),
    "layers": "dense",
    "epochs": 2,
    "batch_size": 8,
    "n_critic": 1,
    "ema": 0.5,
    "features": Levels(),
    "n_evaluations": 0,
    "validation_fraction": 0.2,
    "random_state": 0,
    "verbose": 0,
}


@pytest.fixture(scope="session")
def bars():
    """Forty images (40, 6, 6) uint8, each with a bright bar, upright or not, and which of both it is."""
    generator = np.random.default_rng(0)
    X = generator.integers(0, 40, (40, 6, 6)).astype(np.uint8)
    y = np.array(["flat", "upright"])[np.arange(40) % 2]
    for row in range(40):
        place = generator.integers(1, 4)
        (X[row].T if row % 2 else X[row])[place : place + 2] += 200
    return X, y


@pytest.fixture(scope="session")
def gan(bars):
    """A fitted one; tests do not change it."""
    return ImageGAN(conditional=True, **TINY_GAN).fit(*bars)
