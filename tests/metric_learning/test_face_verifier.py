import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import RocCurveDisplay, get_scorer, roc_auc_score
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, LeavePGroupsOut, cross_val_score
from sklearn.pipeline import make_pipeline

import skcnn
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.metric_learning import FaceVerifier, _face_verifier
from skcnn.metrics import identity_pairs, verification_rates
from tests.metric_learning.conftest import Flat, Learned, make_identities
from tests.toy import TOY

FAR = 0.05


def table_of(X, y):
    pairs, same = identity_pairs(y)
    frame = pd.DataFrame({"a": [X[i] for i in pairs[:, 0]], "b": [X[j] for j in pairs[:, 1]]})
    return frame, same.astype(int), y[pairs]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_threshold_is_that_of_people_who_were_held_out(identities, metric):
    X, y = identities
    verifier = FaceVerifier(Flat(), far=FAR, metric=metric, whiten="lda", cv=GroupKFold(4)).fit(X, y)
    people = {name: fold for fold, (_, rows) in enumerate(GroupKFold(4).split(X, groups=y)) for name in y[rows]}
    n_pairs = 4 * (5 * 4 // 2) * 16  # folds, pairs of people, pairs of images
    assert verifier.rates_["n_impostor"] == n_pairs
    assert len(set(people.values())) == 4
    assert verifier.rates_["far"] <= FAR
    assert verifier.rates_["far"] > FAR - 2 / n_pairs
    assert verifier.rates_["far_low"] <= verifier.rates_["far"] <= verifier.rates_["far_high"]


def test_realised_rate_on_new_people_and_of_a_threshold_in_sample(identities):
    X, y = identities
    new, names = make_identities(60, seed=7)
    frame, same, people = table_of(new, names)
    verifier = FaceVerifier(Flat(), far=FAR, whiten="lda").fit(X, y)
    rates = verification_rates(same, verifier.decision_function(frame), 0, people=people, random_state=0).loc["all"]
    assert verifier.rates_["far_low"] <= rates["far"] <= verifier.rates_["far_high"]
    # The people of fit itself are closer together: their threshold would reject more, or they have a smaller FAR.
    seen, seen_same, _ = table_of(X, y)
    assert roc_auc_score(seen_same, verifier.decision_function(seen)) > roc_auc_score(
        same, verifier.decision_function(frame)
    )


def test_centring_and_whitening_help(identities):
    X, y = identities
    frame, same, _ = table_of(*make_identities(30, seed=5))
    auc = {
        (center, whiten): roc_auc_score(
            same, FaceVerifier(Flat(), far=FAR, center=center, whiten=whiten).fit(X, y).decision_function(frame)
        )
        for center, whiten in [(False, None), (True, None), (True, "lda"), (True, "pca")]
    }
    assert len(set(auc.values())) == 4
    assert auc[True, "lda"] > max(auc[True, None], auc[True, "pca"])


def test_lda_makes_the_covariance_within_identities_the_identity_matrix(identities):
    X, y = make_identities(60, 8)
    verifier = FaceVerifier(Flat(), far=FAR, metric="euclidean", whiten="lda").fit(X, y)
    assert verifier.whitening_.shape == (12, 12)
    residuals = Flat().transform(X) - Flat().transform(X).reshape(60, 8, 12).mean(axis=1).repeat(8, axis=0)
    within = LedoitWolf(assume_centered=True).fit(residuals).covariance_ * 480 / (480 - 60)
    assert np.allclose(verifier.whitening_.T @ within @ verifier.whitening_, np.eye(12))
    few = FaceVerifier(Flat(), far=FAR, whiten="lda", n_components=3).fit(X, y)
    assert few.whitening_.shape == (12, 3)
    part = FaceVerifier(Flat(), far=FAR, whiten="pca", n_components=0.5).fit(X, y)
    assert part.whitening_.shape[1] < 12


def test_an_embedding_that_learns_never_sees_those_who_are_held_out(identities):
    X, y = identities
    Learned.fits = []
    verifier = FaceVerifier(Learned(), far=FAR, cv=4).fit(X, y)
    assert [len(seen) for seen in Learned.fits] == [20, 15, 15, 15, 15]
    assert verifier.embedding_.seen_ == set(y)
    held_out = [set(y) - seen for seen in Learned.fits[1:]]
    assert set.union(*held_out) == set(y)
    Learned.fits = []
    frozen = FrozenEstimator(Learned().fit(X[:4], y[:4]))
    FaceVerifier(frozen, far=FAR).fit(X, y)
    assert len(Learned.fits) == 1


def test_eigenfaces_are_an_embedding(identities):
    X, y = identities
    verifier = FaceVerifier(make_pipeline(Flat(), PCA(6)), far=FAR).fit(X, y)
    assert verifier.center_.shape == (6,)


def test_pairs_learn_centre_and_threshold_alone(identities):
    frame, same, _ = table_of(*identities)
    verifier = FaceVerifier(Flat(), far=FAR).fit(frame, same)
    distance = verifier.threshold_ - verifier.decision_function(frame)
    impostor = distance[same == 0]
    assert (
        np.sort(impostor)[int(FAR * len(impostor)) - 1]
        <= verifier.threshold_
        < np.sort(impostor)[int(FAR * len(impostor))]
    )
    assert verifier.rates_["n_impostor"] == (same == 0).sum()
    assert np.isnan(verifier.rates_["far_low"])
    predicted = verifier.predict(frame)
    assert verifier.score(frame, same) == np.mean(predicted == same)
    tuples = list(zip(frame["a"], frame["b"], strict=True))
    assert np.array_equal(verifier.predict(tuples), predicted)


def test_a_fixed_threshold(identities):
    X, y = identities
    verifier = FaceVerifier(Flat(), threshold=0.2).fit(X, y)
    assert verifier.threshold_ == 0.2
    assert verifier.rates_["frr"] > 0
    assert verifier.rates_["far"] < 0.01
    few = FaceVerifier(Flat(), threshold=0.7).fit(X[:8], y[:8])
    assert few.rates_.empty


def test_scikit_learn_draws_and_searches_it(identities):
    X, y = identities
    frame, same, _ = table_of(X, y)
    verifier = FaceVerifier(Flat(), far=FAR).fit(X, y)
    assert RocCurveDisplay.from_estimator(verifier, frame, same).roc_auc > 0.8
    assert get_scorer("roc_auc")(verifier, frame, same) == roc_auc_score(same, verifier.decision_function(frame))
    scores = cross_val_score(FaceVerifier(Flat(), far=FAR), X, y, cv=GroupKFold(2), groups=y)
    assert (scores > 0.9).all()
    search = GridSearchCV(
        FaceVerifier(Flat(), far=FAR), {"whiten": [None, "lda"]}, cv=KFold(2), error_score="raise"
    ).fit(X, y)
    assert search.best_estimator_.threshold_ > 0
    assert clone(verifier).get_params()["far"] == FAR


def test_enrolled_people_are_verified(identities):
    X, y = identities
    verifier = FaceVerifier(Flat(), far=FAR).fit(X, y)
    verifier.enroll(X[:2], y[:2]).enroll(X[4:6], y[4:6])
    assert verifier.enrolled_.tolist() == ["p000", "p001"]
    distance = verifier.threshold_ - verifier.decision_function([(X[2], X[0]), (X[2], X[1])])
    assert verifier.verify(X[2], "p000") == (distance.min() <= verifier.threshold_)
    assert verifier.verify(X[0], "p000") is True
    assert verifier.verify(X[40], "p001") is False
    again = pickle.loads(pickle.dumps(verifier))
    assert again.verify(X[2], "p000") == verifier.verify(X[2], "p000")
    verifier.forget("p000")
    with pytest.raises(ValueError, match="'p000' is not enrolled"):
        verifier.verify(X[0], "p000")
    with pytest.raises(ValueError, match="'p000' is not enrolled"):
        verifier.forget("p000")


def test_a_network_and_mirror_images(images, image_files):
    X = [*image_files, *image_files]
    y = [*"aabbcc", *"ddeeff"]
    paths = FaceVerifier(BottleneckFeatures(TOY, verbose=0), threshold=0.5, mirror=True).fit(X, y)
    arrays = FaceVerifier(BottleneckFeatures(TOY, verbose=0), threshold=0.5, mirror=True).fit(
        np.concatenate([images, images]), y
    )
    assert np.allclose(paths.center_, arrays.center_, atol=1e-5)
    features = BottleneckFeatures(TOY, verbose=0)
    both = (features.transform(images) + features.transform(images[:, :, ::-1])) / 2
    assert np.allclose(arrays.center_, both.mean(axis=0), atol=1e-5)
    # A face and its mirror image are one.
    assert arrays.decision_function([(images[0], images[0][:, ::-1])])[0] == pytest.approx(0.5, abs=1e-6)


def test_few_impostor_pairs_are_warned_of(identities):
    X, y = identities
    with pytest.warns(UserWarning, match="3,040 impostor pairs, fewer than 1 / far = 10,000"):
        verifier = FaceVerifier(Flat(), far=1e-4).fit(X, y)
    assert verifier.rates_["far"] == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda X, y: FaceVerifier(Flat(), far=0).fit(X, y), "'far'"),
        (lambda X, y: FaceVerifier(Flat()).fit(X, y[:3]), r"y has shape \(3,\)"),
        (lambda X, y: FaceVerifier(Flat()).fit(X[:12], y[:12]), "3 identities; at least 4"),
        (lambda X, y: FaceVerifier(Flat(), cv=KFold(3)).fit(X, y), "both sides of a split"),
        (lambda X, y: FaceVerifier(Flat(), far=FAR, whiten="lda").fit(X[::4], y[::4]), "several images"),
        (lambda X, y: FaceVerifier(Flat(), n_components=0.5).fit(X, y), "n_components=0.5"),
        (lambda X, y: FaceVerifier(Flat(), whiten="lda").fit([(X[0], X[1])], [1]), "whiten='lda' with pairs"),
        (lambda X, y: FaceVerifier(Flat()).fit([(X[0], X[1])], [1]), "no pairs of two identities"),
        (lambda X, y: FaceVerifier(Flat()).fit([(X[0], X[1])], [2]), "y has the values 2"),
        (lambda X, y: FaceVerifier(Flat(), far=FAR).fit(X, y).predict(X), "expected pairs of images"),
        (lambda X, y: FaceVerifier(Flat(), far=FAR).fit(X / 0 * np.nan, y), "rows 0, 1, 2, 3, 4, ..."),
        (lambda X, y: FaceVerifier(Flat(), far=FAR).fit(X, y).verify(X[0], "x"), "'x' is not enrolled"),
        (lambda X, y: FaceVerifier(Flat(), far=FAR).fit(X, y).predict([(X[0][:1], X[0][:1])]), "6 dimensions"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value", "ignore:The groups")
def test_errors_say_what_is_expected(identities, make, message):
    with pytest.raises(ValueError, match=message):
        make(*identities)


@pytest.mark.parametrize(("cv", "n_people"), [(LeavePGroupsOut(2), 8), (None, 8), (None, 20)])
def test_leaving_people_out_two_by_two_makes_all_pairs_once(identities, cv, n_people):
    X, y = identities
    rates = FaceVerifier(Flat(), far=FAR, cv=cv).fit(X[: 4 * n_people], y[: 4 * n_people]).rates_
    assert rates["n_impostor"] == n_people * (n_people - 1) // 2 * 16
    assert rates["n_genuine"] == n_people * 6


def test_of_many_images_people_are_held_out_in_five_folds(identities, monkeypatch):
    X, y = identities
    monkeypatch.setattr(_face_verifier, "MAX_PAIRS", 1000)
    rates = FaceVerifier(Flat(), far=FAR).fit(X, y).rates_
    assert rates["n_impostor"] == 5 * (4 * 3 // 2 * 16)


def test_saved_and_loaded(identities, images, tmp_path):
    X = np.concatenate([images, 255 - images])
    verifier = FaceVerifier(BottleneckFeatures("ResNet20", image_size=16, verbose=0), threshold=0.3, whiten="lda")
    verifier.fit(X, [*"aabbccddeeff"]).enroll(X[:2], ["a", "b"])
    skcnn.save(verifier, tmp_path / "verifier.skcnn")
    loaded = skcnn.load(tmp_path / "verifier.skcnn")
    assert loaded.enrolled_.tolist() == ["a", "b"]
    pairs = [(X[0], X[3]), (X[1], X[2])]
    assert np.allclose(loaded.decision_function(pairs), verifier.decision_function(pairs))
    assert loaded.verify(X[0], "a") == verifier.verify(X[0], "a")
    assert loaded.rates_.equals(verifier.rates_)
