"""Faces of people who were not seen before, where they and the weights are shared."""

import numpy as np
import pytest

from skcnn.feature_extraction import BottleneckFeatures
from skcnn.metric_learning import FaceRecognizer, FaceVerifier
from skcnn.metrics import equal_error_rate, identity_pairs, tar_at_far, verification_rates

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def faces(shared):
    people = sorted(person for person in (shared / "data" / "faces_orl").iterdir() if person.is_dir())
    X = np.array([str(path) for person in people for path in sorted(person.iterdir())], dtype=object)
    y = np.repeat([person.name for person in people], 10)
    return X[:200], y[:200], X[200:], y[200:]


@pytest.fixture(scope="module")
def network(shared):
    weights = shared / "weights" / "mobilenet_v2_1.0_224.weights.h5"
    return BottleneckFeatures("MobileNetV2", weights=weights, layers="block_13_expand_relu", image_size=96, verbose=0)


def test_people_who_were_not_seen_before_are_verified(faces, network):
    X, y, X_new, y_new = faces
    pairs, is_same = identity_pairs(y_new)
    table = np.stack([X_new[pairs[:, 0]], X_new[pairs[:, 1]]], axis=1)
    verifier = FaceVerifier(network, far=0.01, whiten="lda", mirror=True).fit(X, y)
    score = verifier.decision_function(table)
    assert equal_error_rate(is_same, score) <= 0.04
    assert tar_at_far(is_same, score, far=0.01) >= 0.9
    rates = verification_rates(is_same, score, 0, people=y_new[pairs], random_state=0).loc["all"]
    assert verifier.rates_["far_low"] <= rates["far"] <= verifier.rates_["far_high"]
    plain = FaceVerifier(network, far=0.01, center=False).fit(X, y).decision_function(table)
    assert equal_error_rate(is_same, plain) > 0.05


def test_strangers_are_unknown(faces, network):
    X, y, X_new, _ = faces
    enrolled = np.arange(200) % 2 == 0
    recognizer = FaceRecognizer(network, far=0.01, whiten="lda", mirror=True).fit(X[enrolled], y[enrolled])
    assert recognizer.score(X[~enrolled], y[~enrolled]) > 0.9
    assert np.mean(recognizer.predict(X_new) == "unknown") > 0.95
