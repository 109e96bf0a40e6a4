"""SciKeras: KerasClassifier on arrays of pixels."""

from pathlib import Path

import joblib
import keras
import numpy as np
from scikeras.wrappers import KerasClassifier
from sklearn.model_selection import GridSearchCV


def read(folder):
    paths = sorted(Path(folder).glob("*/*"))
    pixels = [keras.utils.load_img(path, target_size=(224, 224), interpolation="bilinear") for path in paths]
    return paths, np.stack([np.asarray(image) for image in pixels]), np.array([path.parent.name for path in paths])


def build(weights, meta):
    base = keras.applications.MobileNetV2(include_top=False, weights=weights, pooling="avg")
    base.trainable = False
    inputs = keras.Input((224, 224, 3))
    features = base(keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs), training=False)
    features = keras.layers.Dropout(0.2)(features)
    return keras.Model(inputs, keras.layers.Dense(meta["n_classes_"], activation="softmax")(features))


def fit(folder, weights, seed):
    _, X, y = read(folder)
    model = KerasClassifier(
        build,
        model__weights=weights,
        loss="sparse_categorical_crossentropy",
        optimizer="adam",
        optimizer__learning_rate=3e-3,
        epochs=10,
        batch_size=32,
        random_state=seed,
        verbose=0,
    )
    return model.fit(X, y)


def predict(model, folder):
    paths, X, _ = read(folder)
    return paths, model.predict_proba(X)


def save(model, path):
    joblib.dump(model, path)


def load(path):
    return joblib.load(path)


def refit(model, folder):
    return model.fit(*read(folder)[1:])


def search(model, folder):
    grid = {"optimizer__learning_rate": [3e-3, 1e-3]}
    return GridSearchCV(model, grid, cv=3, error_score="raise").fit(*read(folder)[1:])
