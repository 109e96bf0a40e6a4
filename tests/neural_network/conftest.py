"""Tiny tasks and a tiny network, so that a fit takes a second."""

import keras
import numpy as np
import pytest

from skcnn.neural_network import CNNClassifier


@pytest.fixture
def task():
    """Thirty images (30, 16, 16, 3) uint8 of three kinds: reddish, greenish, bluish; labels are strings."""
    generator = np.random.default_rng(0)
    X = generator.integers(0, 120, (30, 16, 16, 3)).astype(np.uint8)
    codes = np.arange(30) % 3
    for row, code in enumerate(codes):
        X[row, ..., code] += 120
    return X, np.array(["red", "tree", "water"])[codes]


@pytest.fixture(scope="session")
def tiny_network():
    """A network with BatchNorm, 8 features."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Rescaling(1 / 127.5, offset=-1),
            keras.layers.Conv2D(6, 3, 2, activation="relu", name="edges"),
            keras.layers.BatchNormalization(name="norm"),
            keras.layers.Conv2D(8, 3, 2, activation="relu", name="parts"),
        ],
        name="Tiny",
    )
    model.get_layer("norm").set_weights([np.full(6, v, "float32") for v in (1.1, 0.1, 0.2, 0.5)])
    return model


@pytest.fixture
def tiny(tiny_network):
    """Make a classifier on the tiny network."""

    def make(**parameters):
        defaults = {
            "head_epochs": 3,
            "head_learning_rate": 0.05,
            "epochs": 2,
            "learning_rate": 0.01,
            "learning_rate_schedule": "constant",
            "unfreeze": "all",
            "dropout": 0.0,
            "batch_size": 8,
            "random_state": 0,
        }
        return CNNClassifier(tiny_network, **{**defaults, **parameters})

    return make
