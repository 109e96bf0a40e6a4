"""The features of an estimator's network, wherever it stands in the estimator."""

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from toy import TOY, build_toy

import skcnn
from skcnn.exporting import bottleneck_features, make_program
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.images import BadImageError
from skcnn.model_selection import with_threshold
from skcnn.neural_network import CNNClassifier
from skcnn.persistence import load_program

X = np.random.default_rng(0).integers(0, 256, (24, 16, 16, 3), np.uint8)
Y = np.arange(24) % 2


def test_of_a_pipeline_in_whatever():
    features = BottleneckFeatures(TOY, weights="toy", engine="keras", cache=None)
    expected = features.fit_transform(X)
    pipeline = make_pipeline(features, LogisticRegression()).fit(X, Y)
    search = GridSearchCV(pipeline, {"logisticregression__C": [0.1, 1]}, cv=2).fit(X, Y)
    calibrated = CalibratedClassifierCV(pipeline, cv=2).fit(X, Y)
    for model in (features, pipeline, search, calibrated, with_threshold(pipeline, 0.4)):
        np.testing.assert_allclose(bottleneck_features(model, X), expected, atol=1e-6)
    with pytest.raises(TypeError, match="A LogisticRegression has no features of images; expected CNNClassifier"):
        bottleneck_features(LogisticRegression(), X)


def test_of_a_fine_tuned_network(tmp_path):
    pytest.importorskip("openvino")
    model = CNNClassifier(
        build_toy(weights="toy"), weights="pretrained", hidden_layer_sizes=(5,), head_epochs=1, epochs=1, random_state=0
    ).fit(X, Y)
    features = bottleneck_features(model, X)
    np.testing.assert_array_equal(features, model.features(X))
    skcnn.save(model, tmp_path / "m.skcnn", training_features=X, program=True)
    program = load_program(tmp_path / "m.skcnn")
    training = skcnn.load(tmp_path / "m.skcnn").training_features_
    np.testing.assert_allclose(program.distances(X), training.distances(features), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(program.predict_proba(X), model.predict_proba(X), atol=1e-5)
    with pytest.raises(BadImageError, match="row 1"):
        bottleneck_features(model, [X[0], np.zeros(3, np.uint8)])


def test_several_classes_per_image_have_no_program():
    indicators = np.column_stack([Y, 1 - Y])
    model = CNNClassifier(
        build_toy(weights="toy"), weights="pretrained", hidden_layer_sizes=(5,), head_epochs=1, epochs=0, random_state=0
    ).fit(X, indicators)
    with pytest.raises(TypeError, match="predicts several classes per image, and a program predicts one"):
        make_program(model)
