"""A transformer that workers can import: the mean colour of images, slowly if asked to."""

import time

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from skcnn.images import BadImageError, BadRow, as_images, bad_rows_frame


class MeanColour(TransformerMixin, BaseEstimator):
    """Three features, as BottleneckFeatures raises for bad rows or gives NaN; ``log`` gets a line per call."""

    def __init__(self, factor=1.0, on_error="raise", log=None, pause=0.0, n_jobs=None):
        self.factor, self.on_error, self.log, self.pause, self.n_jobs = factor, on_error, log, pause, n_jobs

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        if self.log:
            with open(self.log, "a") as file:
                file.write(f"{len(X)}\n")
        images, bad, rows = as_images(X), [], []
        for row in range(len(images)):
            try:
                rows.append(self.factor * images.decode(row, (4, 4)).mean(axis=(0, 1)))
            except Exception as error:
                bad.append(BadRow(row, images.path(row), str(error)))
                rows.append(np.full(3, np.nan))
        time.sleep(self.pause)
        if bad and self.on_error == "raise":
            raise BadImageError(bad_rows_frame(bad), len(images))
        return np.array(rows)

    def get_feature_names_out(self, input_features=None):
        return np.array(["red", "green", "blue"], dtype=object)
