"""A report asks for labels and scores, and each image goes through the network once; a URL is fetched once."""

from collections import Counter

import fsspec
import keras
import numpy as np
import numpy.testing as npt
import pandas as pd
import pytest
from PIL import Image
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from toy import TOY

from skcnn.feature_extraction import BottleneckFeatures
from skcnn.images import BadImageError, _paths
from skcnn.metrics import ConfusionDisplay
from skcnn.report import ClassifierReport


@pytest.fixture(scope="module")
def module_task():
    generator = np.random.default_rng(0)
    X = generator.integers(0, 120, (24, 16, 16, 3)).astype(np.uint8)
    X[::2, ..., 0] += 120
    return X, np.array(["red", "none"] * 12)


@pytest.fixture
def counted(monkeypatch):
    """Count the images that go through any Keras model."""
    n_images = [0]
    predict = keras.Model.predict_on_batch

    def count(self, x):
        n_images[0] += len(x)
        return predict(self, x)

    monkeypatch.setattr(keras.Model, "predict_on_batch", count)
    return n_images


def copied(X):
    return X.copy()


FORMS = {
    "alone": lambda c: c,
    "pipeline": lambda c: make_pipeline(FunctionTransformer(copied), c),
    "search": lambda c: GridSearchCV(c, {"head_epochs": [1]}, cv=2),
    "search of a pipeline": lambda c: GridSearchCV(
        make_pipeline(FunctionTransformer(copied), c), {"cnnclassifier__epochs": [1]}, cv=2
    ),
    "threshold": lambda c: FixedThresholdClassifier(c, threshold=0.9, pos_label="red"),
    "threshold of a pipeline": lambda c: FixedThresholdClassifier(
        make_pipeline(FunctionTransformer(copied), c), threshold=0.9, pos_label="red"
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_fine_tuned_network_sees_an_image_once(tiny, module_task, counted, form):
    X, y = module_task
    classifier = FORMS[form](tiny(unfreeze="parts", head_epochs=1, epochs=1)).fit(X, y)
    labels, scores = classifier.predict(X), classifier.predict_proba(X)
    counted[0] = 0
    report = ClassifierReport.from_estimator(classifier, X, y)
    assert counted[0] == len(X)
    predictions = report._findings.predictions
    npt.assert_array_equal(predictions.classes[predictions.predicted], labels)
    npt.assert_array_equal(predictions.score, scores)
    if "threshold" in form:  # not the class of the higher score
        npt.assert_array_equal(labels == "red", scores[:, list(classifier.classes_).index("red")] >= 0.9)
    ConfusionDisplay.from_estimator(classifier, X, y)
    assert counted[0] == 2 * len(X)  # nothing is kept beyond the call
    assert ClassifierReport.from_estimator(classifier, X[::-1], y[::-1]).n_samples == len(X)
    assert counted[0] == 3 * len(X)


@pytest.mark.parametrize("threshold", [False, True])
def test_features_without_a_cache_are_computed_once(module_task, counted, threshold):
    X, y = pd.DataFrame({"image": list(module_task[0]), "age": range(24)}), module_task[1]
    features = make_column_transformer((BottleneckFeatures(TOY, cache=None), ["image"]), ("passthrough", ["age"]))
    classifier = make_pipeline(features, LogisticRegression(max_iter=1000))
    if threshold:
        classifier = FixedThresholdClassifier(classifier, threshold=0.9, pos_label="red")
    classifier.fit(X, y)
    labels = classifier.predict(X)
    counted[0] = 0
    predictions = ClassifierReport.from_estimator(classifier, X, y)._findings.predictions
    assert counted[0] in (0, len(X))  # 0 where OpenVINO runs it
    npt.assert_array_equal(predictions.classes[predictions.predicted], labels)


def test_a_bad_image_is_an_error_as_ever(tiny, module_task):
    X, y = module_task
    classifier = tiny(unfreeze="parts", head_epochs=1, epochs=1, on_error="nan").fit(X, y)
    with pytest.raises(BadImageError, match="row 1"):
        ClassifierReport.from_estimator(classifier, [X[0], b"no image"], y[:2])


@pytest.fixture
def urls(module_task, monkeypatch):
    """The images as URLs, and how often each is fetched."""
    paths = [f"memory://one-pass/{row}.png" for row in range(len(module_task[0]))]
    for path, pixels in zip(paths, module_task[0], strict=True):
        with fsspec.open(path, "wb") as file:
            Image.fromarray(pixels).save(file, "PNG")
    fetched, read = Counter(), _paths.read_url

    def count(url):
        fetched[url] += 1
        return read(url)

    monkeypatch.setattr(_paths, "read_url", count)
    return paths, fetched


@pytest.mark.parametrize("cache", [None, "memory"])
def test_a_url_is_fetched_once(tiny, module_task, urls, cache, counted):
    paths, fetched = urls
    features = BottleneckFeatures(TOY, cache=cache)
    expected = BottleneckFeatures(TOY, cache=None).transform(module_task[0])
    npt.assert_allclose(features.transform(paths), expected, rtol=1e-4, atol=1e-6)
    assert set(fetched.values()) == {1}
    classifier = tiny(unfreeze="parts", head_epochs=1, epochs=2, cache=cache)
    fetched.clear()
    classifier.fit(paths, module_task[1])  # its epochs, too
    assert set(fetched.values()) == {1}
    for fitted in (classifier, make_pipeline(features, LogisticRegression()).fit(paths, module_task[1])):
        fetched.clear()
        ClassifierReport.from_estimator(fitted, paths, module_task[1])
        assert set(fetched.values()) == {1}
        assert len(fetched) == len(paths)
