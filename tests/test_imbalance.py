"""A rare class: scikit-learn's threshold tuning and calibration hold our estimators."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.metrics import f1_score, log_loss, make_scorer, recall_score
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, TunedThresholdClassifierCV
from sklearn.pipeline import make_pipeline

from skcnn.ensemble import BaggedSGDClassifier
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.neural_network import CNNClassifier


@pytest.fixture(scope="module")
def rare(tmp_path_factory):
    """Sixty images of 16 px as paths: twelve reddish ones labelled "rare", the others grey, with noise between."""
    generator = np.random.default_rng(0)
    y = np.where(np.arange(60) % 5 == 0, "rare", "common")
    folder, paths = tmp_path_factory.mktemp("rare"), []
    for row, label in enumerate(y):
        pixels = generator.integers(0, 150, (16, 16, 3))
        pixels[..., 0] += (label == "rare") * 40 + generator.integers(0, 40)
        paths.append(str(folder / f"{row}.png"))
        Image.fromarray(pixels.astype(np.uint8)).save(paths[-1])
    return pd.DataFrame({"path": paths}), y


FEATURES = BottleneckFeatures("ResNet20", image_size=16, layers="stage1_unit3")
ESTIMATORS = {
    "BaggedSGDClassifier": BaggedSGDClassifier(n_estimators=3, random_state=0),
    "pipeline": make_pipeline(FEATURES, BaggedSGDClassifier(n_estimators=3, random_state=0)),
    "CNNClassifier": CNNClassifier(
        "ResNet20",
        image_size=16,
        head_epochs=8,
        head_learning_rate=0.05,
        dropout=0.0,
        learning_rate_schedule="cosine",
        epochs=0,
        batch_size=16,
        random_state=0,
    ),
}


@pytest.fixture(params=ESTIMATORS)
def task(request, rare):
    """An estimator, its X and y."""
    X, y = rare
    if request.param == "BaggedSGDClassifier":
        X = FEATURES.transform(X)
    return clone(ESTIMATORS[request.param]), X, y


def test_threshold_is_tuned(task):
    estimator, X, y = task
    scorer = make_scorer(recall_score, pos_label="rare")
    tuned = TunedThresholdClassifierCV(estimator, scoring=scorer, cv=2, store_cv_results=True).fit(X, y)
    # Recall alone is best where everything is called rare: the lowest threshold.
    assert tuned.best_threshold_ == pytest.approx(tuned.cv_results_["thresholds"].min())
    assert tuned.best_score_ == 1
    by_hand = np.where(tuned.predict_proba(X)[:, 1] >= tuned.best_threshold_, "rare", "common")
    np.testing.assert_array_equal(tuned.predict(X), by_hand)


def test_threshold_for_the_rare_class_given_by_name(rare):
    estimator, (X, y) = ESTIMATORS["pipeline"], rare
    scorer = make_scorer(f1_score, pos_label="rare")
    tuned = TunedThresholdClassifierCV(estimator, scoring=scorer, cv=3, thresholds=20).fit(X, y)
    assert set(tuned.predict(X)) <= {"rare", "common"}
    fixed = FixedThresholdClassifier(estimator, threshold=tuned.best_threshold_, pos_label="rare").fit(X, y)
    np.testing.assert_array_equal(fixed.predict(X), tuned.predict(X))


def test_calibration_undoes_what_class_weights_do_to_probabilities(task):
    estimator, X, y = task
    name = "class_weight" if not hasattr(estimator, "steps") else "baggedsgdclassifier__class_weight"
    weighted = clone(estimator).set_params(**{name: "balanced"})
    calibrated = CalibratedClassifierCV(clone(weighted), cv=2).fit(X, y)
    assert list(calibrated.classes_) == ["common", "rare"]
    assert weighted.fit(X, y).predict_proba(X)[:, 1].mean() > 0.2
    assert calibrated.predict_proba(X)[:, 1].mean() == pytest.approx(0.2, abs=0.05)
    assert log_loss(y, calibrated.predict_proba(X)) < log_loss(y, np.full((60, 2), [0.8, 0.2]))


def test_a_search_inside_a_tuned_threshold(rare):
    X, y = rare
    search = GridSearchCV(ESTIMATORS["pipeline"], {"baggedsgdclassifier__class_weight": [None, "balanced"]}, cv=2)
    tuned = TunedThresholdClassifierCV(search, scoring="balanced_accuracy", cv=2).fit(X, y)
    assert tuned.predict(X[:3]).shape == (3,)
