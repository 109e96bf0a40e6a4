"""skcnn: CNNDetector with its defaults."""

import skcnn
from skcnn.datasets import load_voc
from skcnn.detection import CNNDetector

save, load = skcnn.save, skcnn.load


def fit(folder, weights, seed):
    X, y = load_voc(folder, invalid="clip")
    return CNNDetector(weights=weights, random_state=seed, verbose=0).fit(X, y)


def predict(model, folder):
    X, _ = load_voc(folder, invalid="clip")
    return X["path"], model.predict(X)
