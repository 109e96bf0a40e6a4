"""skcnn: features of a frozen network, and bagged linear classifiers (its default pipeline)."""

from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import skcnn
from skcnn.datasets import load_image_folder
from skcnn.ensemble import BaggedSGDClassifier
from skcnn.feature_extraction import BottleneckFeatures

save, load = skcnn.save, skcnn.load


def fit(folder, weights, seed):
    X, y = load_image_folder(folder, return_X_y=True)
    return make_pipeline(BottleneckFeatures(weights=weights), BaggedSGDClassifier(random_state=seed)).fit(X, y)


def predict(model, folder):
    X = load_image_folder(folder).data
    return X["path"], model.predict_proba(X)


def refit(model, folder):
    return model.fit(*load_image_folder(folder, return_X_y=True))


def search(model, folder):
    grid = {"baggedsgdclassifier__alpha": [0.001, 0.01]}
    return GridSearchCV(model, grid, cv=3, error_score="raise").fit(*load_image_folder(folder, return_X_y=True))
