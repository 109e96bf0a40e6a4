"""A report says how many of its images the model was trained on."""

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import skcnn
from skcnn.images import ImageDigests
from skcnn.report import ClassifierReport


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    X = rng.integers(0, 100, (40, 4, 4, 3), dtype=np.uint8)
    X[y == 1] += 100
    return X, y


def flat(X):
    return X.reshape(-1, 48)


def fitted(X, y):
    return make_pipeline(FunctionTransformer(flat), GaussianNB()).fit(X, y)


def test_it_counts_the_images_of_the_training_set(data, tmp_path, monkeypatch):
    X, y = data
    model = fitted(X[:30], y[:30])
    model.training_images_ = ImageDigests.of(X[:30])
    report = ClassifierReport.from_estimator(model, X[20:], y[20:])
    said = "10 of 20 images were in the training set, so these metrics are too optimistic for new images."
    assert said in report.summary
    assert said in report.to_text()
    assert said in report.to_html(tmp_path / "r.html").read_text("utf-8")
    assert said in report._repr_html_()
    assert report.provenance["In the training set"] == "10"


def test_new_images_and_unknown_ones(data):
    X, y = data
    model = fitted(X[:20], y[:20])
    report = ClassifierReport.from_estimator(model, X[20:], y[20:])
    assert report.provenance["In the training set"] == "not known"
    model.training_images_ = ImageDigests.of(X[:20])
    report = ClassifierReport.from_estimator(model, X[20:], y[20:])
    assert report.provenance["In the training set"] == "0"
    assert "training set" not in report.summary


def test_numbers_are_not_images(data):
    X, y = data
    model = GaussianNB().fit(X.reshape(40, -1), y)
    model.training_images_ = ImageDigests.of(X)
    report = ClassifierReport.from_estimator(model, X.reshape(40, -1), y)
    assert report.provenance["In the training set"] == "not known"


def test_from_a_saved_file(data, tmp_path):
    X, y = data
    model = GaussianNB().fit(X.reshape(40, -1), y)
    skcnn.save(model, tmp_path / "m.skcnn", training_images=X)
    assert not hasattr(model, "training_images_")
    loaded = skcnn.load(tmp_path / "m.skcnn")
    assert loaded.training_images_.contain(X).all()
    skcnn.save(loaded, tmp_path / "again.skcnn", training_images=loaded.training_images_)
    assert len(skcnn.load(tmp_path / "again.skcnn").training_images_) == 40
    skcnn.save(loaded, tmp_path / "none.skcnn")
    assert not hasattr(skcnn.load(tmp_path / "none.skcnn"), "training_images_")
