"""embetter, with its network in eval mode: the encoder itself leaves it in training mode."""

from pathlib import Path

import _mobilenet
import joblib
import pandas as pd
from embetter.grab import ColumnGrabber
from embetter.vision import ImageLoader, TimmEncoder
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline


def read(folder):
    paths = sorted(Path(folder).glob("*/*"))
    return pd.DataFrame({"path": paths}), [path.parent.name for path in paths]


def fit(folder, weights, seed):
    encoder = TimmEncoder(_mobilenet.NAME)
    encoder.model.eval()
    head = LogisticRegression(C=0.1, max_iter=1000)
    return make_pipeline(ColumnGrabber("path"), ImageLoader(), encoder, head).fit(*read(folder))


def predict(model, folder):
    X, _ = read(folder)
    return X["path"], model.predict_proba(X)


def save(model, path):
    joblib.dump(model, path)


def load(path):
    return joblib.load(path)


def refit(model, folder):
    return model.fit(*read(folder))


def search(model, folder):
    grid = {"logisticregression__C": [0.1, 1.0]}
    return GridSearchCV(model, grid, cv=3, error_score="raise").fit(*read(folder))
