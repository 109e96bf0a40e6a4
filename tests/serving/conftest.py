"""Saved models of a few layers, and clients of servers of them."""

import numpy as np
import pytest
from serving_client import Client, encoded
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from toy import build_toy

import skcnn
from skcnn._keras import import_keras
from skcnn.feature_extraction import BottleneckFeatures


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """A folder of saved models, the images that they were fitted on (encoded), and the estimators by name."""
    keras = import_keras()
    pixels = keras.Input((16, 16, 3))
    maps = keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    for layer in build_toy(weights="toy").layers[1:]:
        maps = layer(maps)
    network = keras.Model(pixels, maps)
    root = tmp_path_factory.mktemp("served")
    images = np.random.default_rng(0).integers(0, 256, (30, 20, 12, 3), np.uint8)
    X, red = [encoded(image) for image in images], images[..., 0].mean(axis=(1, 2))
    steps = BottleneckFeatures(network, resize="crop", engine="keras", cache=None), StandardScaler()
    y = np.array(["dark", "middle", "bright"], object)[np.digitize(red, np.quantile(red, [0.3, 0.6]))]
    models = {
        "classes": make_pipeline(*steps, LogisticRegression()).fit(X, y),
        "numbers": make_pipeline(*steps, Ridge()).fit(X, red),
    }
    for name, model in models.items():
        skcnn.save(model, root / f"{name}.skcnn", program=True)
    return root, X, models


@pytest.fixture
def client_of():
    """Return a function that gives a client of a server of files, which is stopped at the end of the test."""
    clients = []

    def make(models, **options):
        clients.append(Client(models, **options))
        return clients[-1]

    yield make
    for client in clients:
        client.stop()
