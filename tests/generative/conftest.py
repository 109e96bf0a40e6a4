"""Small images of two classes, and a GAN fitted on them."""

import numpy as np
import pytest

from skcnn.generative import ImageGAN
from tests.generative.tiny_gan import TINY_GAN


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
