"""skcnn: a network with a new head, trained as in the loops of Keras, by its defaults; the network is frozen."""

from sklearn.model_selection import GridSearchCV

import skcnn
from skcnn.datasets import load_image_folder
from skcnn.neural_network import CNNClassifier

save, load = skcnn.save, skcnn.load


def fit(folder, weights, seed):
    X, y = load_image_folder(folder, return_X_y=True)
    return CNNClassifier(weights=weights, epochs=0, random_state=seed, verbose=0).fit(X, y)


def predict(model, folder):
    X = load_image_folder(folder).data
    return X["path"], model.predict_proba(X)


def refit(model, folder):
    return model.fit(*load_image_folder(folder, return_X_y=True))


def search(model, folder):
    grid = {"head_learning_rate": [1e-3, 1e-2]}
    return GridSearchCV(model, grid, cv=3, error_score="raise").fit(*load_image_folder(folder, return_X_y=True))
