"""The graph of an estimator gives what the estimator predicts."""

import keras
import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, Normalizer, RobustScaler, StandardScaler
from sklearn.svm import LinearSVC
from toy import TOY, TOY_IMAGENET

from skcnn.ensemble import BaggedSGDClassifier
from skcnn.exporting._graph import prediction_of
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.neural_network import CNNClassifier, CNNRegressor, ImageNetClassifier

N_TRAIN = 60


@pytest.fixture(scope="module")
def images():
    """Images of three classes, told apart by their colours, and by noise."""
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    tint = np.eye(3)[y][:, np.newaxis, np.newaxis] * 90
    return np.clip(rng.normal(90, 40, (90, 16, 16, 3)) + tint, 0, 255).astype(np.uint8), y


def features(**options):
    return BottleneckFeatures(TOY, weights="toy", cache=None, engine="keras", **options)


HEADS = {
    "bags": [BaggedSGDClassifier(n_estimators=3, random_state=0)],
    "bags of scikit-learn": [BaggedSGDClassifier(solver="sklearn", n_estimators=3, random_state=0)],
    "scaled": [StandardScaler(), LogisticRegression()],
    "not centred": [StandardScaler(with_mean=False), LogisticRegression()],
    "ranges": [MinMaxScaler(), MaxAbsScaler(), RobustScaler(), LogisticRegression()],
    "components": [VarianceThreshold(), PCA(4, whiten=True), LogisticRegression()],
    "singular vectors": [SelectKBest(k=6), TruncatedSVD(3), LogisticRegression()],
    "one against the rest": [StandardScaler(), SGDClassifier(loss="log_loss", random_state=0)],
    "discriminant": [LinearDiscriminantAnalysis()],
    "calibrated": [StandardScaler(), CalibratedClassifierCV(LinearSVC(), cv=2)],
    "calibrated bags": [CalibratedClassifierCV(BaggedSGDClassifier(n_estimators=3, random_state=0), cv=2)],
    "search": [
        GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [1]}, cv=2)
    ],
}


def difference(estimator, X):
    """Return how far the graph is from the estimator, at most."""
    prediction = prediction_of(estimator)
    assert prediction.classes.tolist() == estimator.classes_.tolist()
    return np.abs(prediction.model.predict_on_batch(X) - estimator.predict_proba(X)).max()


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("head", HEADS)
def test_heads(head, n_classes, images):
    X, y = images
    y = np.array(["a", "b", "c"])[np.minimum(y, n_classes - 1)]
    model = make_pipeline(features(), *HEADS[head]).fit(X[:N_TRAIN], y[:N_TRAIN])
    probabilities = model.predict_proba(X[N_TRAIN:])
    assert np.ptp(probabilities, axis=0).max() > 0.2  # a constant would be easy
    assert difference(model, X[N_TRAIN:]) <= 1e-5


def test_a_calibration_around_the_pipeline_has_one_network(images):
    X, y = images
    inner = make_pipeline(features(), StandardScaler(), LogisticRegression())
    model = CalibratedClassifierCV(inner, cv=2).fit(X[:N_TRAIN], y[:N_TRAIN])
    assert difference(model, X[N_TRAIN:]) <= 1e-5
    networks = [layer for layer in prediction_of(model).model.layers if isinstance(layer, keras.Model)]
    assert len(networks) == 1


def test_a_column_of_a_frame(images):
    import pandas as pd

    X, y = images
    frame = pd.DataFrame({"image": list(X), "number": y})
    model = make_pipeline(ColumnTransformer([("images", features(), ["image"])]), LogisticRegression())
    model.fit(frame[:N_TRAIN], y[:N_TRAIN])
    found = prediction_of(model).model.predict_on_batch(X[N_TRAIN:])
    np.testing.assert_allclose(found, model.predict_proba(frame[N_TRAIN:]), atol=1e-5)


def test_networks(images):
    X, y = images
    options = {"head_epochs": 2, "epochs": 1, "unfreeze": "all", "random_state": 0, "verbose": 0}
    classifier = CNNClassifier(TOY, weights="toy", **options).fit(X[:N_TRAIN], y[:N_TRAIN])
    assert difference(classifier, X) <= 1e-5
    assert difference(FrozenEstimator(classifier), X) <= 1e-5
    two = CNNClassifier(TOY, weights="toy", **options).fit(X[:N_TRAIN], y[:N_TRAIN] > 0)
    assert difference(two, X) <= 1e-5
    published = ImageNetClassifier(TOY_IMAGENET, engine="keras")
    assert difference(published, X[:8]) <= 1e-5
    regressor = CNNRegressor(TOY, weights="toy", **options).fit(X[:N_TRAIN], 100.0 * y[:N_TRAIN])
    prediction = prediction_of(regressor)
    assert (prediction.output, prediction.classes) == ("numbers", None)
    np.testing.assert_allclose(prediction.model.predict_on_batch(X)[:, 0], regressor.predict(X), rtol=1e-4)


def test_numbers(images):
    X, y = images
    targets = np.stack([y, X.mean(axis=(1, 2, 3))], axis=1)
    model = make_pipeline(features(), StandardScaler(), Ridge()).fit(X[:N_TRAIN], targets[:N_TRAIN])
    found = prediction_of(model).model.predict_on_batch(X[N_TRAIN:])
    np.testing.assert_allclose(found, model.predict(X[N_TRAIN:]), rtol=1e-4, atol=1e-4)


def test_what_has_no_graph(images):
    X, y = images
    for head, message in (
        ([RandomForestClassifier(2)], "RandomForestClassifier cannot be exported: it is not a linear classifier"),
        ([Normalizer(), LogisticRegression()], "Normalizer cannot be exported: it is not an affine map"),
        ([CalibratedClassifierCV(LogisticRegression(), method="isotonic", cv=2)], "expected method='sigmoid'"),
    ):
        with pytest.raises(TypeError, match=message):
            prediction_of(make_pipeline(features(), *head).fit(X, y))
    with pytest.raises(TypeError, match=r"LogisticRegression cannot be exported: it takes images"):
        prediction_of(LogisticRegression().fit(X.reshape(len(X), -1), y))
    with pytest.raises(NotFittedError):
        prediction_of(make_pipeline(features(), LogisticRegression()))
    members = [make_pipeline(features(image_size=size), LogisticRegression()) for size in (16, 20)]
    model = CalibratedClassifierCV(members[0], cv=2).fit(X, y)
    model.calibrated_classifiers_[1].estimator = members[1].fit(X, y)
    with pytest.raises(TypeError, match=r"different sizes: \(16, 16\) \(stretch\) and \(20, 20\)"):
        prediction_of(model)


@pytest.mark.parametrize(
    ("scores", "sure", "dtype"),
    [
        ((-1000, -900, -800), None, np.float32),
        ((-1000, -900, -800), None, np.float64),
        ((-85, -1000, -2000), 0, np.float32),  # the sigmoids of the others are 0
        ((-86, -87, -88), None, np.float32),
    ],
)
def test_scores_far_from_0_of_one_against_the_rest(images, scores, sure, dtype):
    # Of scores that are all far below 0, scikit-learn's one-against-the-rest classifiers make equal probabilities.
    X, _ = images
    model = make_pipeline(features(), SGDClassifier(loss="log_loss")).fit(X, np.arange(len(X)) % 3)
    model[-1].coef_ = np.zeros_like(model[-1].coef_, dtype)
    model[-1].intercept_ = np.array(scores, dtype)
    expected = model.predict_proba(X)
    if sure is None:
        assert expected.max() < 0.7
    else:
        assert expected[0, sure] == 1
    np.testing.assert_allclose(prediction_of(model).model.predict(X, verbose=0), expected, rtol=1e-5, atol=1e-12)
