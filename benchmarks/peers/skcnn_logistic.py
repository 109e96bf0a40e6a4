"""skcnn: features of a frozen network, and scikit-learn's logistic regression."""

from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

import skcnn
from skcnn.datasets import load_image_folder
from skcnn.feature_extraction import BottleneckFeatures

save, load = skcnn.save, skcnn.load


def fit(folder, weights, seed):
    X, y = load_image_folder(folder, return_X_y=True)
    return make_pipeline(BottleneckFeatures(weights=weights), LogisticRegression(C=0.1, max_iter=1000)).fit(X, y)


def predict(model, folder):
    X = load_image_folder(folder).data
    return X["path"], model.predict_proba(X)


def refit(model, folder):
    return model.fit(*load_image_folder(folder, return_X_y=True))


def search(model, folder):
    grid = {"logisticregression__C": [0.1, 1.0]}
    return GridSearchCV(model, grid, cv=3, error_score="raise").fit(*load_image_folder(folder, return_X_y=True))
