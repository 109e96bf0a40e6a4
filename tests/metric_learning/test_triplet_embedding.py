import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score

import skcnn
from skcnn.feature_extraction import BottleneckFeatures
from skcnn.images import BadImageError, BadImageWarning
from skcnn.metric_learning import FaceVerifier, TripletEmbedding, _phases
from skcnn.metric_learning import _triplet_embedding as module
from skcnn.metrics import identity_pairs
from tests.toy import TOY, build_toy

HEAD = {"n_components": 6, "identities_per_batch": 3, "images_per_identity": 2, "random_state": 0, "verbose": 0}
QUICK = {**HEAD, "head_epochs": 1, "epochs": 0}
FINE = {**HEAD, "head_epochs": 0, "epochs": 1, "learning_rate": 1e-3, "unfreeze": "parts"}


@pytest.fixture(scope="module")
def textures():
    """Ten textures with six images each, (60, 16, 16, 3): the same tile, at another place and of another brightness."""
    generator = np.random.default_rng(0)
    tiles = generator.integers(0, 200, (10, 4, 4, 3))
    X = np.empty((60, 16, 16, 3), np.uint8)
    for row in range(60):
        image = np.tile(np.roll(tiles[row // 6], generator.integers(0, 4, 2), (0, 1)), (4, 4, 1))
        X[row] = np.clip(image + generator.integers(0, 55) + generator.normal(0, 6, image.shape), 0, 255)
    return X, np.repeat([f"t{number}" for number in range(10)], 6)


def run(model, X):
    """Return what a Keras model gives, without compiling it."""
    return np.asarray(model(X.astype("float32"), training=False))


def auc_of(vectors, y):
    pairs, same = identity_pairs(y)
    return roc_auc_score(same, np.einsum("ij,ij->i", vectors[pairs[:, 0]], vectors[pairs[:, 1]]))


def test_untrained_it_is_the_centred_cosine_of_features(textures):
    X, y = textures
    embedding = TripletEmbedding(TOY, **{**QUICK, "n_components": 8, "head_epochs": 0}).fit(X, y)
    vectors = embedding.transform(X)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    features = BottleneckFeatures(TOY, verbose=0).transform(X)
    centred = features - features.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    assert np.allclose(vectors @ vectors.T, centred @ centred.T, atol=1e-3)
    assert embedding.history_.empty
    assert embedding.score(X, y) == pytest.approx(auc_of(centred, y), abs=1e-3)


def test_training_brings_people_together(textures):
    X, y = textures
    start = TripletEmbedding(TOY, **{**QUICK, "head_epochs": 0}).fit(X, y)
    parameters = {**QUICK, "head_epochs": 8, "head_learning_rate": 0.02}
    embedding = TripletEmbedding(TOY, **parameters).fit(X, y)
    assert embedding.score(X, y) > start.score(X, y) + 0.01
    history = embedding.history_
    assert history.columns.tolist() == ["phase", "epoch", "loss", "spread", "learning_rate"]
    assert history["loss"].iloc[-3:].mean() < history["loss"].iloc[:3].mean()
    assert history["spread"].between(0, 1).all()
    assert embedding.n_identities_ == 10
    assert embedding.get_feature_names_out().tolist()[-1] == "tripletembedding5"
    assert np.array_equal(clone(embedding).fit(X, y).transform(X), embedding.transform(X))
    # What Keras computes is what NumPy does.
    assert np.allclose(run(embedding.model_, X), embedding.transform(X), atol=1e-4)
    again = pickle.loads(pickle.dumps(embedding))
    assert np.array_equal(again.transform(X[:3]), embedding.transform(X[:3]))


def test_open_layers_are_trained_behind_those_that_run_once(textures, monkeypatch, tmp_path):
    X, y = textures
    runs = []

    class Counted(_phases.Activations):
        def keep(self):
            runs.append(self.n_values)
            return super().keep()

    monkeypatch.setattr(_phases, "Activations", Counted)
    embedding = TripletEmbedding(TOY, **FINE).fit(X, y)
    assert runs == [8 * 8 * 6]
    assert embedding.history_["phase"].tolist() == ["fine"]
    first = TripletEmbedding(TOY, **{**FINE, "epochs": 0}).fit(X, y)
    trained, before = embedding.model_, first.model_
    assert not np.allclose(trained.get_weights()[-4], before.get_weights()[-4])  # the kernel of "parts"
    assert np.allclose(trained.get_weights()[0], before.get_weights()[0])  # that of "edges"
    assert np.allclose(embedding.transform(X), run(trained, X), atol=1e-4)


@pytest.mark.slow
def test_whole_networks_are_trained_to_the_same(textures, monkeypatch):
    X, y = textures
    embedding = TripletEmbedding(TOY, **FINE).fit(X, y)
    monkeypatch.setattr(module.Design, "cut", lambda *_: None)
    whole = TripletEmbedding(TOY, **FINE).fit(X, y)
    assert whole.history_["loss"].iloc[0] == pytest.approx(embedding.history_["loss"].iloc[0], rel=1e-3)
    assert np.allclose(whole.transform(X), embedding.transform(X), atol=5e-3)


def test_earlier_layers(textures):
    X, y = textures
    embedding = TripletEmbedding(TOY, layer="first", **{**QUICK, "head_epochs": 0}).fit(X, y)
    features = BottleneckFeatures(TOY, layers="first", verbose=0)
    assert embedding._weights["head"][0].shape == (6, 6)
    assert features.transform(X[:1]).shape == (1, 6)
    with pytest.raises(ValueError, match="opens no layer up to layer='first'"):
        TripletEmbedding(TOY, layer="first", **FINE).fit(X, y)


def test_a_verifier_fits_it_on_people_who_are_not_held_out(textures):
    X, y = textures
    verifier = FaceVerifier(TripletEmbedding(TOY, **QUICK), far=0.2, cv=2).fit(X, y)
    assert verifier.embedding_.n_identities_ == 10
    assert 0 < verifier.rates_["far"] <= 0.2


def test_bad_rows(textures, tmp_path):
    X, y = textures
    rows = [*X[:12], tmp_path / "none.png"]
    with pytest.raises(BadImageError, match=r"none\.png"):
        TripletEmbedding(TOY, **QUICK).fit(rows, [*y[:12], "t9"])
    with pytest.warns(BadImageWarning), pytest.warns(UserWarning, match="2 identities, fewer than"):
        embedding = TripletEmbedding(TOY, on_error="nan", **QUICK).fit(rows, [*y[:12], "t9"])
    with pytest.warns(BadImageWarning):
        vectors = embedding.transform(rows)
    assert np.isnan(vectors).all(axis=1).tolist() == [False] * 12 + [True]


def test_collapse_is_warned_of(textures, monkeypatch):
    X, y = textures
    spread = TripletEmbedding(TOY, **QUICK).fit(X, y).history_["spread"].iloc[-1]
    monkeypatch.setattr(module, "_COLLAPSED", spread + 0.01)
    with pytest.warns(ConvergenceWarning, match=f"collapsed: after the last epoch their variance is {spread:.2g}"):
        TripletEmbedding(TOY, **QUICK).fit(X, y)


@pytest.mark.slow
def test_hard_mining_collapses_at_a_large_learning_rate_and_semi_hard_does_not_at_a_usual_one(textures):
    X, y = textures
    hard = {"mining": "hard", "head_epochs": 10, "head_learning_rate": 0.1}
    with pytest.warns(ConvergenceWarning, match="collapsed"):
        TripletEmbedding(TOY, **{**QUICK, **hard}).fit(X, y)
    embedding = TripletEmbedding(TOY, **{**QUICK, "head_epochs": 10, "head_learning_rate": 0.01}).fit(X, y)
    assert embedding.history_["spread"].iloc[-1] > 0.3


@pytest.mark.parametrize("parameters", [QUICK, FINE])
def test_saved_and_loaded(textures, tmp_path, parameters):
    X, y = textures
    embedding = TripletEmbedding(build_toy(weights="toy"), **parameters).fit(X, y)
    vectors = embedding.transform(X)  # from now on it holds the trained network, which is not saved
    skcnn.save(embedding, tmp_path / "embedding.skcnn")
    loaded = skcnn.load(tmp_path / "embedding.skcnn")
    assert "_trained_features" not in vars(loaded)
    assert np.allclose(loaded.transform(X), vectors, atol=1e-5)
    assert loaded.history_.equals(embedding.history_)
    embedding.n_components = 7
    skcnn.save(embedding, tmp_path / "forged.skcnn")
    with pytest.raises(skcnn.persistence.ModelFileError, match="n_components is 7, and the head has 6"):
        skcnn.load(tmp_path / "forged.skcnn")


@pytest.mark.parametrize(
    ("change", "rows", "message"),
    [
        ({"margin": 0}, slice(None), "'margin'"),
        ({}, slice(0, 60, 6), "10 identities, of which 0 have two images"),
        ({}, slice(0, 6), "1 identities"),
        ({"layer": "no"}, slice(None), "no"),
    ],
)
def test_errors_say_what_is_expected(textures, change, rows, message):
    X, y = textures
    with pytest.raises(ValueError, match=message):
        TripletEmbedding(TOY, **{**QUICK, **change}).fit(X[rows], y[rows])


def test_parameters_that_decide_the_network_stay_as_they_were(textures):
    X, y = textures
    embedding = TripletEmbedding(TOY, **QUICK).fit(X, y).set_params(pooling="max")
    with pytest.raises(ValueError, match="pooling was changed after fit"):
        embedding.transform(X)
