"""Distances to the training set in a classifier's report."""

from types import SimpleNamespace

import numpy as np
import pytest

from skcnn.metrics import TrainingFeatures, distance_frame
from skcnn.metrics.parts import Predictions
from skcnn.report import ClassifierReport

FEATURES = np.random.default_rng(0).normal(size=(200, 6))
KNOWN = TrainingFeatures.of(FEATURES[:100])
PREDICTIONS = Predictions.from_arrays(np.arange(100) % 2, np.full((100, 2), 0.5))


def report(estimator, features):
    return ClassifierReport(PREDICTIONS, name="m", estimator=estimator, features=features)


def test_the_table_and_the_section(tmp_path):
    new = np.vstack([FEATURES[100:199] + 1, np.full((1, 6), np.nan)])
    made = report(SimpleNamespace(training_features_=KNOWN), new)
    assert made.distance_frame.equals(distance_frame(KNOWN, new))
    page = made.to_html(tmp_path / "report.html").read_text("utf-8")
    fraction = made.distance_frame.loc[0.95, "fraction"]
    assert f"{100 * fraction:.1f} % of the images lie farther than 95 % of the training images" in page
    assert page.count("<h2>Distance to the training set</h2>") == 1


def test_the_histogram_counts_every_image():
    import matplotlib.pyplot as plt

    new = FEATURES[100:] * 3  # some beyond all training samples
    distances = report(SimpleNamespace(training_features_=KNOWN), new)._findings.distances
    _, ax = plt.subplots()
    distances.plot(ax)
    assert sum(bar.get_height() for bar in ax.patches if hasattr(bar, "get_height")) == 100


def test_without_features_there_is_no_section():
    made = report(SimpleNamespace(training_features_=KNOWN), None)
    assert made.distance_frame is None
    with pytest.raises(ValueError, match="estimator has no training_features_ to compare them with"):
        report(SimpleNamespace(), FEATURES[100:])
    with pytest.raises(ValueError, match="features have 99 rows; expected 100"):
        report(SimpleNamespace(training_features_=KNOWN), FEATURES[:99])
