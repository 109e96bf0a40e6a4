"""Small scenes with masks, and a segmenter on a network of a few layers."""

import numpy as np
import pytest
from toy import TOY

from skcnn.segmentation import CNNSegmenter

#: One form of each, so that its graph is compiled once.
GIVEN = {
    "weights": "toy",
    "image_size": (32, 48),
    "n_channels": 32,
    "head_epochs": 15,
    "head_learning_rate": 0.01,
    "batch_size": 4,
    "random_state": 0,
}


@pytest.fixture(scope="session")
def scenes():
    """Twenty-four images (24, 32, 48, 3) with a red or blue rectangle, and masks (24, 32, 48): 0, 1 red, 2 blue."""
    generator = np.random.default_rng(0)
    X = generator.integers(0, 40, (24, 32, 48, 3)).astype(np.uint8)
    y = np.zeros(X.shape[:3], np.uint8)
    for number, (image, mask) in enumerate(zip(X, y, strict=True)):
        width, height = (int(side) for side in generator.integers(12, 20, 2))
        left, top = int(generator.integers(0, 49 - width)), int(generator.integers(0, 33 - height))
        image[top : top + height, left : left + width] = [230, 40, 40] if number % 2 else [40, 40, 230]
        mask[top : top + height, left : left + width] = 1 if number % 2 else 2
    return X, y


@pytest.fixture(scope="session")
def segmenter_of():
    """Make a segmenter on the toy network."""
    return lambda **parameters: CNNSegmenter(TOY, **GIVEN | parameters)


@pytest.fixture(scope="session")
def fitted(scenes, segmenter_of):
    """A fitted one; tests do not change it."""
    return segmenter_of().fit(*scenes)
