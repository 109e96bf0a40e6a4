import multiprocessing
import pickle
import sqlite3
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import FunctionTransformer

import skcnn
from skcnn.metric_learning import FaceRecognizer
from skcnn.metric_learning._gallery import Gallery
from tests.metric_learning.conftest import Flat, make_identities

FAR = 0.05
#: Nothing is learned.
PLAIN = {"threshold": 0.02, "center": False}


@pytest.fixture
def people():
    """20 people with 6 images each, 4 of them to enrol."""
    X, y = make_identities(20, 6)
    first = np.arange(len(y)) % 6 < 4
    return SimpleNamespace(X=X[first], y=y[first], probes=X[~first], names=y[~first])


@pytest.fixture
def recognizer(people):
    return FaceRecognizer(Flat(), far=FAR, whiten="lda").fit(people.X, people.y)


@pytest.mark.parametrize("method", ["nearest", "mean", "knn"])
def test_known_and_unknown_people(people, method):
    recognizer = FaceRecognizer(Flat(), far=FAR, whiten="lda", method=method).fit(people.X, people.y)
    unknown, _ = make_identities(40, seed=9)
    found = recognizer.predict(people.probes)
    assert np.mean(found == people.names) > 0.8
    assert set(found) <= {*people.names, "unknown"}
    far = np.mean(recognizer.predict(unknown) != "unknown")
    assert recognizer.rates_["far_low"] <= far <= 2 * recognizer.rates_["far_high"]
    assert recognizer.rates_["n_unknown"] == len(people.X)
    assert FAR - 2 / len(people.X) < recognizer.rates_["far"] <= FAR
    names = np.concatenate([people.names, np.full(len(unknown), "stranger")])
    both = np.concatenate([people.probes, unknown])
    right = np.concatenate([found == people.names, recognizer.predict(unknown) == "unknown"])
    assert recognizer.score(both, names) == pytest.approx(right.mean())


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_answers_are_those_of_scikit_learns_neighbours(people, metric):
    threshold = 0.02 if metric == "cosine" else 60
    recognizer = FaceRecognizer(Flat(), metric=metric, threshold=threshold, center=False)
    recognizer.partial_fit(people.X, people.y)
    distances, indices = recognizer.kneighbors(people.probes, 3)
    table = NearestNeighbors(n_neighbors=3, metric=metric).fit(Flat().transform(people.X))
    expected, places = table.kneighbors(Flat().transform(people.probes))
    assert np.allclose(distances, expected, atol=2e-2 if metric == "euclidean" else 1e-5)
    assert np.mean(indices == places) > 0.98  # but for rounding
    assert np.array_equal(recognizer.kneighbors(people.probes, 3, return_distance=False), indices)
    assert np.array_equal(recognizer.identities_, people.y)
    nearest = np.where(distances[:, 0] <= threshold, people.y[indices[:, 0]], "unknown")
    assert np.array_equal(recognizer.predict(people.probes), nearest)
    name, distance = recognizer.who_is_it(people.probes[0])
    assert (name, distance) == (nearest[0], pytest.approx(distances[0, 0], abs=1e-3))
    decision = recognizer.decision_function(people.probes)
    assert decision.shape == (len(people.probes), 20)
    assert np.allclose(decision.max(axis=1), threshold - distances[:, 0], atol=1e-3)


def test_neighbours_vote_and_the_nearest_decides_ties():
    X = np.array([[0, 10], [1, 10], [2, 10], [5, 10], [8, 10]], np.float32)[:, None]
    recognizer = FaceRecognizer(Flat(), threshold=9, center=False, metric="euclidean", method="knn", n_neighbors=3)
    recognizer.partial_fit(X, ["a", "b", "b", "c", "d"])
    probes = np.array([[0, 10], [6, 10]], np.float32)[:, None]
    assert recognizer.predict(probes).tolist() == ["b", "c"]
    assert recognizer.who_is_it(probes[0]).distance == pytest.approx(1)


def test_enrolment_and_forgetting_do_not_touch_others(people, recognizer):
    before = recognizer.decision_function(people.probes)
    answers = recognizer.predict(people.probes)
    threshold = recognizer.threshold_
    more, names = make_identities(5, seed=3)
    recognizer.partial_fit(more, [f"new-{name}" for name in names])
    after = recognizer.decision_function(people.probes)
    assert after.shape[1] == 25
    assert np.allclose(after[:, :20], before, atol=1e-6)
    for name in np.unique(names):
        recognizer.forget(f"new-{name}")
    assert np.array_equal(recognizer.decision_function(people.probes), before)
    recognizer.forget("p007")
    assert recognizer.classes_.tolist() == [f"p{number:03d}" for number in range(20) if number != 7]
    left = np.delete(recognizer.classes_, []).tolist()
    kept = [column for column, name in enumerate(sorted({*people.names})) if name in left]
    assert np.allclose(recognizer.decision_function(people.probes), before[:, kept], atol=1e-6)
    others = answers != "p007"
    assert np.array_equal(recognizer.predict(people.probes)[others], answers[others])
    assert "p007" not in recognizer.predict(people.probes)
    assert recognizer.threshold_ == threshold


def test_the_threshold_comes_from_people_who_are_held_out(people):
    recognizer = FaceRecognizer(Flat(), far=FAR, whiten="lda", cv=4).fit(people.X, people.y)
    # Of known people nearly all images are nearer than that.
    distance = recognizer.threshold_ - recognizer.decision_function(people.X).max(axis=1)
    assert (distance <= recognizer.threshold_).all()
    with pytest.warns(UserWarning, match="80 images of held-out people, fewer than 1 / far = 1,000"):
        strict = FaceRecognizer(Flat(), far=0.001, whiten="lda", cv=4).fit(people.X, people.y)
    assert strict.rates_["far"] == 0
    assert strict.threshold_ < recognizer.threshold_


def test_a_store_is_shared_and_outlives_the_process(people, tmp_path):
    path = tmp_path / "people.sqlite"
    recognizer = FaceRecognizer(Flat(), far=FAR, store=path).fit(people.X, people.y)
    plain = FaceRecognizer(Flat(), far=FAR).fit(people.X, people.y)
    assert np.array_equal(recognizer.predict(people.probes), plain.predict(people.probes))
    other = pickle.loads(pickle.dumps(recognizer))
    assert "_stored" not in other.__getstate__()
    assert np.array_equal(other.predict(people.probes), plain.predict(people.probes))
    more, _ = make_identities(2, seed=3)
    other.partial_fit(more, np.repeat(["new", "neu"], 4)).forget("p003")
    assert recognizer.classes_.tolist() == other.classes_.tolist()
    assert recognizer.who_is_it(more[0]).name == "new"
    assert b"p003" not in path.read_bytes()
    # A saved model holds neither place nor people.
    saved = FaceRecognizer(FunctionTransformer(), **PLAIN, store=tmp_path / "b")
    saved.partial_fit(np.ones((1, 4)), ["somebody"])
    skcnn.save(saved, tmp_path / "model.skcnn")
    loaded = skcnn.load(tmp_path / "model.skcnn")
    assert loaded.store is None
    assert not len(loaded.classes_)
    assert loaded.set_params(store=tmp_path / "b").classes_.tolist() == ["somebody"]


def enrol_many(recognizer, X, names):
    for x, name in zip(X, names, strict=True):
        recognizer.partial_fit([x], [name])


def test_processes_enrol_at_once(people, tmp_path):
    recognizer = FaceRecognizer(Flat(), far=FAR, store=tmp_path / "people").fit(people.X, people.y)
    new, _ = make_identities(10, 1, seed=4)
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(
            target=enrol_many,
            args=(pickle.loads(pickle.dumps(recognizer)), new[part::2], [f"n{row}" for row in range(part, 10, 2)]),
        )
        for part in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert {f"n{row}" for row in range(10)} <= set(recognizer.classes_)
    assert [recognizer.who_is_it(new[row]).name for row in range(10)] == [f"n{row}" for row in range(10)]


def test_a_store_of_another_space_or_program_is_refused(people, tmp_path):
    path = tmp_path / "people"
    recognizer = FaceRecognizer(Flat(), far=FAR, store=path).fit(people.X, people.y)
    with pytest.raises(ValueError, match="holds 80 vectors, and fit begins with none"):
        FaceRecognizer(Flat(), far=FAR, store=path).fit(people.X, people.y)
    other = FaceRecognizer(Flat(), far=FAR).fit(people.X[:40], people.y[:40]).set_params(store=path)
    with pytest.raises(ValueError, match="another embedding, centre or whitening"):
        other.predict(people.probes)
    with pytest.raises(FileNotFoundError, match="no such file"):
        recognizer.set_params(store=tmp_path / "none").predict(people.probes)
    (tmp_path / "text").write_text("no database" * 100)
    with pytest.raises(ValueError, match="not a database of identities"):
        recognizer.set_params(store=tmp_path / "text").predict(people.probes)
    sqlite3.connect(tmp_path / "foreign").execute("CREATE TABLE t (x)").connection.close()
    with pytest.raises(ValueError, match="of another program"):
        recognizer.set_params(store=tmp_path / "foreign").predict(people.probes)


def test_numbers_are_identities_too(people):
    codes = np.unique(people.y, return_inverse=True)[1]
    recognizer = FaceRecognizer(Flat(), far=FAR, unknown=-1).fit(people.X, codes)
    assert recognizer.predict(people.probes).dtype.kind == "i"
    mixed = FaceRecognizer(Flat(), far=FAR).fit(people.X, codes)
    assert {type(name) for name in mixed.predict(np.concatenate([people.probes, 255 - people.probes]))} == {int, str}


def test_many_people_have_one_image_each():
    X = np.random.default_rng(0).normal(size=(300, 8))
    recognizer = FaceRecognizer(FunctionTransformer(), **PLAIN).partial_fit(X, np.arange(300))
    assert np.array_equal(recognizer.predict(X), np.arange(300))


def test_saved_and_loaded(people, tmp_path):
    rows, probes = Flat().transform(people.X), Flat().transform(people.probes)
    recognizer = FaceRecognizer(FunctionTransformer(), far=FAR, whiten="lda").fit(rows, people.y)
    skcnn.save(recognizer, tmp_path / "model.skcnn")
    loaded = skcnn.load(tmp_path / "model.skcnn")
    assert np.array_equal(loaded.decision_function(probes), recognizer.decision_function(probes))
    assert np.array_equal(loaded.predict(probes), recognizer.predict(probes))
    assert loaded.partial_fit(rows[:1], ["d"]).classes_.tolist()[-1] == "d"


def test_forged_galleries_are_refused():
    gallery = Gallery(np.zeros((2, 3), np.float32), ["a", "b"])
    gallery.__skcnn_unpack__({})
    for codes in ([0, 2**40], [0], [0, 0]):
        gallery.codes = np.array(codes)
        with pytest.raises(ValueError, match="do not fit together"):
            gallery.__skcnn_unpack__({})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda r, p: r.forget("x"), "'x' is not enrolled"),
        (lambda r, p: r.partial_fit(p.X[:1], ["unknown"]), "'unknown', which is what unknown people are called"),
        (lambda r, p: r.kneighbors(p.X, 0), "n_neighbors=0"),
        (lambda r, p: FaceRecognizer(Flat()).partial_fit(p.X, p.y), "partial_fit before fit"),
        (lambda r, p: FaceRecognizer(Flat(), method="far").fit(p.X, p.y), "'method'"),
        (lambda r, p: FaceRecognizer(Flat(), **PLAIN).partial_fit(p.X[:1], ["a"]).forget("a").predict(p.X), "Nobody"),
        (lambda r, p: r.score(p.X, p.y[:2]), r"y has shape \(2,\)"),
        (lambda r, p: r.partial_fit(p.X[:2], [0.5, 1]), "Unknown label type"),
        (lambda r, p: r.partial_fit(p.X[:2], [np.inf, 1]), r"y\[0\] is infinity"),
        (lambda r, p: r.partial_fit(p.X[:2], ["a", None]), r"y\[1\] is NaN or missing"),
        (lambda r, p: r.partial_fit(p.X[:2], None), "requires y to be passed"),
    ],
)
def test_errors_say_what_is_expected(recognizer, people, make, message):
    with pytest.raises(ValueError, match=message):
        make(recognizer, people)
