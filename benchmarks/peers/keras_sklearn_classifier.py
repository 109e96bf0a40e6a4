"""Keras's own wrapper for scikit-learn: SKLearnClassifier on rows of pixels, as it takes no other form of X."""

from pathlib import Path

import joblib
import keras
import numpy as np
from keras.wrappers import SKLearnClassifier
from sklearn.model_selection import GridSearchCV


def read(folder):
    paths = sorted(Path(folder).glob("*/*"))
    pixels = [keras.utils.load_img(path, target_size=(224, 224), interpolation="bilinear") for path in paths]
    return paths, np.stack([np.ravel(image) for image in pixels]), np.array([path.parent.name for path in paths])


def build(X, y, weights, learning_rate):
    base = keras.applications.MobileNetV2(include_top=False, weights=weights, pooling="avg")
    base.trainable = False
    inputs = keras.Input(X.shape[1:])
    pixels = keras.layers.Rescaling(1 / 127.5, offset=-1)(keras.layers.Reshape((224, 224, 3))(inputs))
    features = base(pixels, training=False)
    features = keras.layers.Dropout(0.2)(features)
    model = keras.Model(inputs, keras.layers.Dense(y.shape[1], activation="softmax")(features))
    model.compile(keras.optimizers.Adam(learning_rate), "categorical_crossentropy")
    return model


def fit(folder, weights, seed):
    keras.utils.set_random_seed(seed)
    _, X, y = read(folder)
    model = SKLearnClassifier(
        build,
        model_kwargs={"weights": weights, "learning_rate": 3e-3},
        fit_kwargs={"epochs": 10, "batch_size": 32, "verbose": 0},
    )
    return model.fit(X, y)


def predict(model, folder):
    paths, X, _ = read(folder)
    return paths, model.model_.predict(X, verbose=0)  # it has no predict_proba


def save(model, path):
    joblib.dump(model, path)


def load(path):
    return joblib.load(path)


def refit(model, folder):
    return model.fit(*read(folder)[1:])


def search(model, folder):
    grid = {"model_kwargs": [{**model.model_kwargs, "learning_rate": rate} for rate in (3e-3, 1e-3)]}
    return GridSearchCV(model, grid, cv=3, error_score="raise").fit(*read(folder)[1:])
