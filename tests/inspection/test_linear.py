import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from skcnn.inspection._linear import is_linear_classifier, linear_scores

X, Y = load_iris(return_X_y=True)

AFFINE = [
    [],
    [StandardScaler()],
    [MinMaxScaler(), PCA(2, whiten=True)],
    [RobustScaler(), SelectKBest(k=3), MaxAbsScaler()],
    [VarianceThreshold(0.5), StandardScaler()],
]


@pytest.mark.parametrize("steps", AFFINE, ids=lambda steps: "-".join(type(step).__name__ for step in steps))
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("as_frames", [False, True])
def test_scores_are_those_of_the_pipeline(steps, n_classes, as_frames):
    pipe = make_pipeline(*steps, LogisticRegression(max_iter=1000))
    if as_frames:
        pipe.set_output(transform="pandas")
    rows = n_classes > Y
    pipe.fit(X[rows], Y[rows])
    weights, bias = linear_scores(pipe[:-1], pipe[-1], 4)
    assert weights.dtype == bias.dtype == np.float32
    decision = pipe.decision_function(X)
    np.testing.assert_allclose(X @ weights + bias, decision.reshape(len(X), -1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "step",
    [
        Normalizer(),
        QuantileTransformer(n_quantiles=10),
        MinMaxScaler(clip=True),
        FunctionTransformer(np.sqrt),
        FunctionTransformer(lambda rows: np.maximum(rows, 0)),
    ],
    ids=lambda step: type(step).__name__,
)
def test_other_steps_are_refused(step):
    pipe = make_pipeline(step, LogisticRegression(max_iter=1000)).fit(X, Y)
    with pytest.raises(ValueError, match=rf"\({type(step).__name__}\) are not affine"):
        linear_scores(pipe[:-1], pipe[-1], 4)


@pytest.mark.parametrize(
    ("classifier", "is_linear"),
    [
        (LogisticRegression(max_iter=1000), True),
        (SGDClassifier(random_state=0), True),
        (RidgeClassifier(), True),
        (LinearSVC(), True),
        (SVC(kernel="linear"), False),
        (SVC(), False),
        (DecisionTreeClassifier(), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_linear_classifiers(classifier, is_linear):
    assert not is_linear_classifier(classifier)
    assert is_linear_classifier(classifier.fit(X, Y)) == is_linear
