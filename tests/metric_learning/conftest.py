"""Synthetic identities: vectors around a centre each, as images of one row of pixels; and a transformer of them."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, TransformerMixin


class Flat(TransformerMixin, BaseEstimator):
    """Images to the rows of their pixels, without a fit."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return np.stack([np.asarray(image, float).ravel() for image in X])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        return tags


class Learned(Flat):
    """Remembers whom it was fitted on."""

    def fit(self, X, y=None):
        self.seen_ = set(np.asarray(y).tolist())
        Learned.fits.append(self.seen_)
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.requires_fit = True
        return tags


def make_identities(n_identities, n_images=4, n_dimensions=12, seed=0):
    """Return images (n, 2, n_dimensions / 2) and names; what is noise within a person is more in later dimensions."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(128, 40, (n_identities, n_dimensions))
    y = np.repeat([f"p{number:03d}" for number in range(n_identities)], n_images)
    X = np.repeat(centres, n_images, axis=0) + generator.normal(
        0, np.linspace(3, 30, n_dimensions), (len(y), n_dimensions)
    )
    return np.clip(X, 0, 255).astype(np.float32).reshape(len(y), 2, -1), y


@pytest.fixture(scope="session")
def identities():
    return make_identities(20)
